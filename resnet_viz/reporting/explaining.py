"""Gradients, attributions, their checks, and conductance in a report."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_viz import figures
from resnet_viz.analyses.attribution import Attribution
from resnet_viz.analyses.conductance import Conductance
from resnet_viz.analyses.gradients import Gradients
from resnet_viz.analyses.methods import METHODS
from resnet_viz.analyses.trust import Perturbation, PerturbationCurve, Randomised, Robustness
from resnet_viz.figures.attribution.attribution_map import drawn
from resnet_viz.figures.attribution.backdrop import Photo
from resnet_viz.figures.attribution.overlay import Cells
from resnet_viz.figures.theme import short
from resnet_viz.reporting.pieces import Contents, Piece, ReportImage


def of_gradients(gradients: Gradients, beside: Gradients | None = None, block: str | None = None) -> Contents:
    """Describe gradients: by block, next to those of another network if there is one, and by parameter."""

    def by_block() -> pd.DataFrame:
        return gradients.table() if beside is None else _side_by_side(gradients, beside)

    flow = Piece("gradient-flow", "Gradients by block", partial(figures.gradient_flow, gradients, beside, block), by_block)
    by_parameter = Piece(
        "parameter-gradients",
        "Gradients by parameter",
        partial(figures.parameter_gradients, gradients),
        lambda: gradients.parameters,
    )
    return Contents(
        name=f"{gradients.model}-gradients",
        title=f"{gradients.title}: gradients of {gradients.objective_name}",
        notes=(gradients.weights.note, *([] if beside is None else [f"Compared with {beside.title}, {beside.weights.note}"])),
        pieces=(flow, by_parameter),
        table=gradients.table(),
    )


def of_attribution(
    attribution: Attribution,
    *,
    photo: Photo = None,
    cells: Cells | None = None,
    places: Sequence[Attribution] = (),
    perturbation: Perturbation | None = None,
    randomised: Randomised | None = None,
    robustness: Robustness | None = None,
) -> Contents:
    """Describe an attribution, for Grad-CAM at the `places` of its block too, and the checks of whether it can be trusted."""
    usual: Cells = "exact" if attribution.cells is None else "smooth"
    draw = partial(figures.attribution_map, attribution, photo=photo, cells=cells or usual)
    name, title = f"attribution-{attribution.method}", METHODS[attribution.method].title
    pieces = [Piece(name, title, draw, lambda: arrays(attribution), "NPZ")]
    if places:
        pieces.append(_places(places, photo, cells or "smooth"))
    if perturbation is not None:
        pieces.append(_perturbation(perturbation, attribution.target_label))
    if randomised is not None:
        pieces.append(_randomised(randomised))
    title = f"{METHODS[attribution.method].title}: {attribution.target_label}"
    notes = [sums(attribution)]
    if robustness is not None:
        notes.append(
            f"Infidelity: {robustness.infidelity:.3g}; max-sensitivity: {robustness.sensitivity:.3g} (Yeh et al. 2019)."
            " Both are best at 0."
        )
    return _about(attribution, f"{attribution.model}-{attribution.method}", title, notes, pieces)


def of_gallery(attributions: Sequence[Attribution], *, photo: Photo = None, cells: Cells = "exact") -> Contents:
    """Describe several methods on one image; ValueError for none."""
    if not attributions:
        raise ValueError("a gallery needs at least one attribution. Compute one with rv.attribute")

    def numbers() -> dict[str, NDArray[Any]]:
        return {each.method: drawn(each) for each in attributions}

    draw = partial(figures.attribution_gallery, attributions, photo=photo, cells=cells)
    piece = Piece("methods", "Methods", draw, numbers, "NPZ")
    first = attributions[0]
    title = f"{len(attributions)} attribution methods: {first.target_label}"
    return _about(first, f"{first.model}-methods", title, [sums(each) for each in attributions], [piece])


def of_conductance(conductance: Conductance) -> Contents:
    """Describe conductance: what each block carries."""
    bars = Piece(
        "conductance", "Conductance by block", partial(figures.conductance_bars, conductance), lambda: shares(conductance)
    )
    path = f"{conductance.steps} steps from the {conductance.baseline} baseline"
    note = (
        f"{path}; logit(image) − logit(baseline) is {conductance.difference:.3f}, and the largest error of a block's sum is "
        f"{conductance.delta:+.3f} logits."
    )
    return Contents(
        name=f"{conductance.model}-conductance",
        title=f"{conductance.model}: conductance of {conductance.target_label}'s logit",
        notes=(note,),
        pieces=(bars,),
        table=shares(conductance),
    )


def arrays(attribution: Attribution) -> dict[str, NDArray[Any]]:
    """Return the arrays of an attribution by their names: attributions (3, H, W), map (H, W), and cells where there are any."""
    found: dict[str, NDArray[Any]] = {"attributions": attribution.attributions, "map": attribution.map}
    return found if attribution.cells is None else found | {"cells": attribution.cells}


def sums(attribution: Attribution) -> str:
    """Say how the map was computed, and what it adds up to where that is known."""
    method = METHODS[attribution.method]
    options = ", ".join(f"{name} {value}" for name, value in attribution.options.items())
    said = f"{method.title}{f' ({options})' if options else ''}."
    if attribution.delta is None or attribution.difference is None:
        return said
    return (
        f"{said} The map adds up to {attribution.difference + attribution.delta:+.3f} logits; logit(image) − logit(baseline) "
        f"is {attribution.difference:+.3f}. Convergence delta: {attribution.delta:+.2g}."
    )


def shares(conductance: Conductance) -> pd.DataFrame:
    """Return one row per block, in logits: identity, residual, the last activation's part, total at the output, and error."""
    rows = [
        {
            "block": block.name,
            "identity": block.identity_sum,
            "residual": block.residual_sum,
            "last_activation": block.kink,
            "total": block.total_sum,
            "delta": block.delta,
        }
        for block in conductance.blocks
    ]
    return pd.DataFrame(rows).set_index("block")


def _about(attribution: Attribution, name: str, title: str, notes: list[str], pieces: list[Piece]) -> Contents:
    return Contents(
        name=name,
        title=f"{attribution.model}, {title}",
        notes=tuple(notes),
        pieces=tuple(pieces),
        pictures=(ReportImage.seen(attribution.seen),),
    )


def _places(places: Sequence[Attribution], photo: Photo, cells: Cells) -> Piece:
    def numbers() -> dict[str, NDArray[Any]]:
        return {str(each.options["place"]): drawn(each) for each in places}

    title = f"Grad-CAM at the places of block {short(str(places[0].options['block']))}"
    return Piece("grad-cam-places", title, partial(figures.cam_places, places, photo=photo, cells=cells), numbers, "NPZ")


def _perturbation(found: Perturbation, label: str) -> Piece:
    def numbers() -> pd.DataFrame:
        curves = {name: curve for name, curve in vars(found).items() if isinstance(curve, PerturbationCurve)}
        rows = [pd.DataFrame(asdict(curve)).assign(curve=name) for name, curve in curves.items()]
        return pd.concat(rows).set_index("curve")

    return Piece("deletion", "Deletion and insertion", partial(figures.perturbation_curves, found, label), numbers)


def _randomised(found: Randomised) -> Piece:
    def numbers() -> pd.DataFrame:
        values = [np.nan if value is None else value for value in found.correlations]
        return pd.DataFrame({"rank_correlation": values}, index=pd.Index(found.layers, name="re-initialised down to"))

    return Piece("re-initialisation", "Re-initialised weights", partial(figures.randomisation_steps, found), numbers)


def _side_by_side(gradients: Gradients, beside: Gradients) -> pd.DataFrame:
    tables = {each.title if each.weights.trained else f"untrained {each.title}": each.table() for each in (gradients, beside)}
    return pd.concat(tables, names=["network"])
