"""The comparison page to take away."""

import resnet_viz as rv
from app.catalogue import Subject
from app.state import Selection
from app.views.share_section import Shared
from app.views.view_code import Script, bare, quoted
from resnet_viz.figures.block.block_equation import Scale
from resnet_viz.figures.block.map_measures import measures_for
from resnet_viz.reporting.comparing import ComparisonView, of_comparison


def comparison(subjects: tuple[Subject, Subject], chosen: Selection, result: rv.Comparison, truth: str | None) -> Shared:
    """Describe it as the link says."""
    scale: Scale = "each" if chosen.scale == "each" else "shared"
    offered = measures_for(result.left, result.right)
    measure = next((name for name in offered if name == chosen.measure), offered[0])
    view = ComparisonView(measure, chosen.block, scale, truth)
    return Shared(of_comparison(result, view), comparison_code(subjects, chosen, result, view))


def comparison_code(subjects: tuple[Subject, Subject], chosen: Selection, result: rv.Comparison, view: ComparisonView) -> str:
    """Write the Python that makes the page."""
    script = Script()
    left, right = subjects
    same = (left.model, left.trained) == (right.model, right.trained)
    script.net(left, "net" if same else "left_net")
    if not same:
        script.net(right, "right_net")
    script.image(chosen.image)
    image = "image"
    if chosen.right_image and chosen.right_image != chosen.image:
        image = "right_image"
        script.image(chosen.right_image, image)
    target = {} if chosen.target_index is None else {"target": chosen.target_index}
    script.add("", f"left = {bare('rv.inspect', 'net' if same else 'left_net', 'image', **target)}")
    script.add(f"right = {bare('rv.inspect', 'net' if same else 'right_net', image, **target)}")
    script.add("c = rv.compare(left, right)")
    _charts(script, result, view)
    script.add("table = c.table()", 'rv.report(c, "report.html")')
    return script.text()


def _charts(script: Script, result: rv.Comparison, view: ComparisonView) -> None:
    pair, measure = result.pair(view.block), quoted(view.measure)
    script.imports.add("from resnet_viz.figures.block.map_measures import arc_scale")
    script.add(f"scale = arc_scale({measure}, left, right)")
    for side, block in (("left", pair.left), ("right", pair.right)):
        script.add(f"predictions_{side} = rv.figures.predictions({side}, 4)")
        script.add(f"map_{side} = rv.figures.block_map({side}, {measure}, {quoted(block)}, scale=scale)")
    script.add(f"by_depth = rv.figures.comparison_by_depth(c, {measure}, {quoted(view.block)})")
    script.add(f"left_block, right_block = left.block({quoted(pair.left)}), right.block({quoted(pair.right)})")
    for side, other in (("left", "right"), ("right", "left")):
        if view.scale == "each":
            script.add(f'equation_{side} = rv.figures.block_equation({side}_block, scale="each")')
        else:
            script.add(f"equation_{side} = rv.figures.comparison_equation({side}_block, {other}_block)")
