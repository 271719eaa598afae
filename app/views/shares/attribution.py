"""The attribution page to take away, in each of its views."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

import resnet_viz as rv
from app import jobs, results, waiting
from app.catalogue import Subject
from app.state import Selection
from app.views import cells_picker, method_picker
from app.views.share_section import Shared
from app.views.view_code import Script, bare, listed, quoted
from resnet_viz.analyses.baselines import Baseline
from resnet_viz.engine.jobs import OptionValue, Ticket
from resnet_viz.figures.attribution.overlay import Cells
from resnet_viz.figures.block.block_equation import Scale
from resnet_viz.reporting.explaining import of_attribution, of_conductance, of_gallery
from resnet_viz.reporting.inspecting import InspectionView, of_cam_strip
from resnet_viz.reporting.pieces import ReportImage

JobOptions = Mapping[str, OptionValue]
# Whether the page measures infidelity and sensitivity, which takes long.
MEASURED = "measure_robustness"


def attribution(subject: Subject, chosen: Selection, result: rv.Inspection, view: str, methods: Sequence[str]) -> Shared | None:
    """Describe the view as the link says; None before its computation has finished."""
    asked = _Asked(subject, chosen, result)
    if view == "gallery":
        return _gallery(asked, methods)
    if view == "strip":
        return _strip(asked)
    if view == "conductance":
        return _conductance(asked)
    trusted = view == "trust"
    return _one(asked, trusted=trusted, measured=trusted and bool(st.session_state.get(MEASURED)))


class _Asked:
    """The network, the photo and the class that all parts are about."""

    def __init__(self, subject: Subject, chosen: Selection, result: rv.Inspection) -> None:
        self.subject, self.chosen, self.result = subject, chosen, result
        self.photo = results.ground(chosen.image, subject).large
        self.target: dict[str, int] = {} if chosen.target_index is None else {"target": result.target}

    def found(self, kind: str, **options: OptionValue) -> Any:  # noqa: ANN401 - each kind's own result
        return waiting.at_hand(self._ask(kind, options))

    def script(self) -> Script:
        script = Script()
        script.net(self.subject)
        script.image(self.chosen.image)
        script.add("photo = net.preprocessing.sharp(image)", "")
        return script

    def cells(self, usual: Cells) -> Cells:
        return cells_picker.cells_of(self.chosen, usual)

    def _ask(self, kind: str, options: JobOptions) -> Callable[[], Ticket]:
        view = f"shared {kind}"
        return partial(jobs.submit, self.subject, kind, self.chosen.image, self.result.target, view, **options)


def _one(asked: _Asked, *, trusted: bool, measured: bool = False) -> Shared | None:
    method, options = method_picker.chosen_method(asked.result, asked.chosen)
    found: rv.Attribution | None = asked.found("attribution", method=method, **options)
    if found is None:
        return None
    cells = asked.cells("exact" if found.cells is None else "smooth")
    at = () if trusted or method != "grad_cam" else method_picker.places(asked.result.block(asked.chosen.block))
    places = [asked.found("attribution", method="grad_cam", block=asked.chosen.block, place=place) for place in at]
    checks = {
        "perturbation": asked.found("perturbation", method=method, **options) if trusted else None,
        "randomised": asked.found("randomisation", method=method, **options) if trusted else None,
        "robustness": asked.found("robustness", method=method, **options) if trusted and measured else None,
    }
    known = [each for each in places if each is not None]
    contents = of_attribution(found, photo=asked.photo, cells=cells, places=known, **checks)
    script = asked.script()
    script.add(f"a = {bare('rv.attribute', 'net', 'image', quoted(method), **asked.target, **options)}")
    script.add(f"chart = rv.figures.attribution_map(a, photo=photo, cells={quoted(cells)})")
    if known:
        script.add(f"places = {listed(at)}")
        options = {"block": asked.chosen.block} | asked.target
        script.add(
            f"cams = [{bare('rv.attribute', 'net', 'image', quoted('grad_cam'), 'place=place', **options)} for place in places]"
        )
        script.add(f"at_places = rv.figures.cam_places(cams, photo=photo, cells={quoted(asked.cells('smooth'))})")
    if trusted:
        _trust(script, measured=measured)
    script.add('rv.report(a, "report.html", photo)')
    return Shared(contents, script.text())


def _trust(script: Script, *, measured: bool) -> None:
    script.imports.add(f"from resnet_viz.analyses.trust import perturbation, randomisation{', robustness' if measured else ''}")
    script.add("curves = perturbation(net, image, a)", "steps = randomisation(net, image, a)")
    script.add("deletion = rv.figures.perturbation_curves(curves, a.target_label)")
    script.add("randomised = rv.figures.randomisation_steps(steps)")
    if measured:
        script.add("metrics = robustness(net, image, a)")


def _gallery(asked: _Asked, methods: Sequence[str]) -> Shared | None:
    found = [asked.found("attribution", method=method) for method in methods]
    known = [each for each in found if each is not None]
    if not known or len(known) < len(found):
        return None
    cells = asked.cells("exact")
    script = asked.script()
    script.add(f"methods = {listed(methods)}")
    script.add(f"maps = [{bare('rv.attribute', 'net', 'image', 'method', **asked.target)} for method in methods]")
    script.add(f"chart = rv.figures.attribution_gallery(maps, photo=photo, cells={quoted(cells)})")
    return Shared(of_gallery(known, photo=asked.photo, cells=cells), script.text())


def _strip(asked: _Asked) -> Shared:
    cells, chosen = asked.cells("smooth"), asked.chosen
    scale: Scale = "each" if chosen.scale == "each" else "shared"
    view = InspectionView(block=chosen.block, scale=scale, cells=cells, photo=asked.photo)
    script = asked.script()
    script.add(f"r = {bare('rv.inspect', 'net', 'image', **asked.target)}", "predictions = rv.figures.predictions(r, 4)")
    block, drawn = quoted(chosen.block), f"photo=photo, cells={quoted(cells)}"
    script.add(f"strip = rv.figures.cam_strip(r, {block}, scale={quoted(scale)}, {drawn})")
    script.add(f"cam = rv.figures.cam_overlay(r, {block}, {drawn})")
    return Shared(of_cam_strip(asked.result, view), script.text())


def _conductance(asked: _Asked) -> Shared | None:
    baseline: Baseline = method_picker.BASELINE.values[method_picker.BASELINE.text(asked.chosen.baseline)]
    steps: int = method_picker.STEPS.values[method_picker.STEPS.text(asked.chosen.steps)]
    found: rv.Conductance | None = asked.found("conductance", baseline=baseline, steps=steps)
    if found is None:
        return None
    script = asked.script()
    options: dict[str, OptionValue] = {**asked.target, "steps": steps, "baseline": baseline}
    script.add(f"c = {bare('rv.conductance', 'net', 'image', **options)}")
    script.add("chart = rv.figures.conductance_bars(c)", 'rv.report(c, "report.html")')
    contents = replace(of_conductance(found), pictures=(ReportImage.seen(asked.result.seen),))
    return Shared(contents, script.text())
