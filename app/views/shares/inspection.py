"""The first page to take away: predictions, block map, equations, the open details, and every measure."""

from dataclasses import replace
from typing import Any

import resnet_viz as rv
from app import results
from app.catalogue import Subject
from app.state import Selection
from app.surveys import HeldSurvey
from app.views import cells_picker, peaks_section
from app.views.share_section import SMALL_INPUT, Shared, block_asks
from app.views.view_code import ASSETS, Script, bare, quoted
from resnet_viz.analyses.ablation import AblationSweep
from resnet_viz.analyses.logit_lens import Lens
from resnet_viz.figures.block.block_equation import Scale, terms_of
from resnet_viz.figures.block.equation_words import Term
from resnet_viz.figures.block.map_measures import MapMeasure, measures_for
from resnet_viz.reporting.inspecting import Detail, Firing, InspectionView, merged, of_inspection

DETAILS: dict[str, tuple[Detail, ...]] = {"channels": ("channels",), "cam": ("cam",), "depth": ("depth",)}


def inspection(
    subject: Subject,
    chosen: Selection,
    result: rv.Inspection,
    *,
    sweep: AblationSweep | None = None,
    lens: Lens | None = None,
    firing: Firing | None = None,
) -> Shared:
    """Describe it as the link says; the report has the maps of all blocks, or of those that are chosen for it."""
    view = replace(_view(subject, chosen, result, sweep), lens=lens, firing=firing)
    names = [block.name for block in result.blocks]
    held = None if firing is None else peaks_section.survey_of(result, chosen, peaks_section.at_hand)
    return Shared(
        contents=of_inspection(result, view),
        code=inspection_code(subject, chosen, view, held),
        blocks=(chosen.block, *(name for name in names if name != chosen.block)),
        small=result.seen.shape[0] <= SMALL_INPUT,
        ask=block_asks(subject, chosen, chosen.target_index),
        complete=lambda others: of_inspection(merged(result, others), view),
    )


def inspection_code(subject: Subject, chosen: Selection, view: InspectionView, held: HeldSurvey | None) -> str:
    """Write the Python that makes the page; `held` is the survey with the images that make a channel fire."""
    script = Script()
    script.net(subject)
    script.image(chosen.image)
    script.add("photo = net.preprocessing.sharp(image)", "")
    script.add(f"r = {bare('rv.inspect', 'net', 'image', **_target(chosen))}")
    script.add("predictions = rv.figures.predictions(r, 4)")
    _map(script, view, chosen)
    script.add(f"block = r.block({quoted(view.block)})")
    options: dict[str, Any] = {} if view.channel is None else {"channel": view.channel}
    options |= {} if view.scale == "shared" else {"scale": view.scale}
    script.add(f"equation = {bare('rv.figures.block_equation', 'block', **options)}")
    _details(script, view)
    if view.firing is not None and held is not None:
        _firing(script, view.firing, held, chosen, subject)
    script.add("table = r.table()", 'rv.report(r, "report.html", photo)')
    return script.text()


def _view(subject: Subject, chosen: Selection, result: rv.Inspection, sweep: AblationSweep | None) -> InspectionView:
    block = result.block(chosen.block)
    measures: tuple[MapMeasure, ...] = (*measures_for(result), *(("ablation",) if sweep else ()))
    scale: Scale = "each" if chosen.scale == "each" else "shared"
    term: Term = next((name for name in terms_of(block) if name == chosen.term), terms_of(block)[-1])
    return InspectionView(
        measure=next((measure for measure in measures if measure == chosen.measure), measures[0]),
        block=block.name,
        channel=chosen.channel_index if chosen.channel_index in range(block.shape[0]) else None,
        scale=scale,
        details=DETAILS.get(chosen.detail, ()),
        term=term,
        cells=cells_picker.cells_of(chosen, "smooth"),
        photo=results.ground(chosen.image, subject).large,
        sweep=sweep,
    )


def _target(chosen: Selection) -> dict[str, int]:
    return {} if chosen.target_index is None else {"target": chosen.target_index}


def _map(script: Script, view: InspectionView, chosen: Selection) -> None:
    measure, block = quoted(view.measure), quoted(view.block)
    if view.sweep is None:
        script.add(f"block_map = rv.figures.block_map(r, {measure}, {block})")
    else:
        script.imports.add("from resnet_viz.analyses.ablation import sweep")
        target = "" if chosen.target_index is None else f", {chosen.target_index}"
        script.add(f"removals = sweep(net, image{target})", "r = removals.added_to(r)")
        script.add(f"block_map = rv.figures.block_map(r, {measure}, {block}, ablation=removals)")
    if view.lens is not None:
        script.add("lens = rv.figures.lens_by_block(r, decode(net, image))")
        script.imports.add("from resnet_viz.analyses.logit_lens import lens as decode")


def _details(script: Script, view: InspectionView) -> None:
    if "channels" in view.details:
        term = quoted(view.term)
        if view.channel is None:
            script.imports.add("from resnet_viz.figures.block.channel_mosaic import strongest_channel")
            script.add(f"channel = strongest_channel(block, {term})", f"channels = rv.figures.channel_mosaic(block, {term})")
        else:
            script.add(f"channel = {view.channel}", f"channels = rv.figures.channel_mosaic(block, {term}, channel)")
        script.add(f"one_channel = rv.figures.channel_map(block, {term}, channel)")
    if "cam" in view.details:
        script.add(f"cam = rv.figures.cam_overlay(r, block.name, photo=photo, cells={quoted(view.cells)})")
    if "depth" in view.details:
        script.add("by_depth = rv.figures.measures_by_depth(r, block.name)")


def _firing(script: Script, firing: Firing, held: HeldSurvey, chosen: Selection, subject: Subject) -> None:
    if held is results.shipped_surveys().get(chosen.model):
        script.imports.add(f"{ASSETS} SAMPLES_FOLDER")
        script.add(f'survey = rv.open_survey(SURVEYS_FOLDER / "{chosen.model}.parquet")', imports=f"{ASSETS} SURVEYS_FOLDER")
        script.add("folder = SAMPLES_FOLDER")
    else:
        script.imports.add("from pathlib import Path")
        script.add(
            'survey = rv.open_survey("survey.parquet")  # the file of Download the survey as Parquet, on the Survey page'
        )
        script.add('folder = Path("images")  # the images of that survey')
    then, net = peaks_section.surveyed(held, chosen), "net"
    if then.preprocessing != subject.preprocessing:
        net = "surveyed"
        script.net(then, net)
    script.imports.add("from resnet_viz.analyses.place_fields import place_fields")
    script.add(f"field = place_fields({net}, block.name)")
    script.add(f"strongest = survey.strongest(block.name, {firing.channel})")
    script.add(f"shown = strongest[strongest['image'].isin({list(firing.photos)!r})]")
    script.add(f"crops = [{net}.preprocessing.sharp(rv.open_image(folder / name)) for name in shown['image']]")
    script.add("places = zip(shown['row'], shown['column'], shown['value'], shown['image'])")
    script.add("photos = [rv.figures.peak_photo(crop, field, *place) for crop, place in zip(crops, places)]")
