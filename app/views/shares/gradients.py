"""The gradients page to take away."""

from dataclasses import replace
from typing import Any

import resnet_viz as rv
from app.catalogue import Subject
from app.state import Selection
from app.views.share_section import Shared
from app.views.view_code import Script, bare, quoted
from resnet_viz.reporting.explaining import of_gradients
from resnet_viz.reporting.pieces import ReportImage


def gradients(
    subject: Subject, chosen: Selection, seen: ReportImage, found: rv.Gradients, compared: tuple[rv.Gradients, Subject] | None
) -> Shared:
    """Describe it with what the network received, next to the gradients of another network if there is one."""
    beside, other = compared or (None, None)
    contents = replace(of_gradients(found, beside, chosen.block), pictures=(seen,))
    return Shared(contents, gradients_code(subject, chosen, found, other))


def gradients_code(subject: Subject, chosen: Selection, found: rv.Gradients, other: Subject | None) -> str:
    """Write the Python that makes the page."""
    script = Script()
    script.net(subject)
    script.image(chosen.image)
    objective = found.objective
    options: dict[str, Any] = {} if chosen.target_index is None else {"target": objective.target}
    options |= {} if objective.kind == "logit" else {"objective": objective.kind}
    options |= {} if objective.versus is None else {"versus": objective.versus}
    script.add("", f"g = {bare('rv.gradients', 'net', 'image', **options)}")
    if other is None:
        script.add(f"flow = rv.figures.gradient_flow(g, selected={quoted(chosen.block)})")
    else:
        script.net(other, "other_net")
        script.add(f"beside = {bare('rv.gradients', 'other_net', 'image', **options | {'target': objective.target})}")
        script.add(f"flow = rv.figures.gradient_flow(g, beside, {quoted(chosen.block)})")
    script.add("parameters = rv.figures.parameter_gradients(g)", "table = g.table()", 'rv.report(g, "report.html")')
    return script.text()
