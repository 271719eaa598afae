"""A comparison in a report: differences in words, both block maps on one scale, by depth, the equations of the open pair."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from resnet_viz import figures
from resnet_viz.analyses.comparison import Comparison
from resnet_viz.analyses.comparison_words import sentences
from resnet_viz.analyses.inspection import BlockInspection, Inspection
from resnet_viz.figures.block.block_equation import Scale
from resnet_viz.figures.block.map_measures import MapMeasure, arc_scale, measures_for
from resnet_viz.reporting.inspecting import equation_piece, predictions_piece
from resnet_viz.reporting.pieces import Contents, Piece, ReportImage


@dataclass(frozen=True)
class ComparisonView:
    """How a comparison is looked at: the measure of the maps, the open pair by its name, the scale of the equations.

    `truth` is the image's class where it is known, which the sentences then name.
    """

    measure: MapMeasure | None = None
    block: str = ""
    scale: Scale = "shared"
    truth: str | None = None


def of_comparison(comparison: Comparison, view: ComparisonView | None = None) -> Contents:
    """Describe a comparison; the equations of the open pair are drawn where their maps were kept."""
    chosen = view or ComparisonView()
    sides = [f"Left: {comparison.left.title}, {comparison.left.weights.note}"]
    sides.append(f"Right: {comparison.right.title}, {comparison.right.weights.note}")
    return Contents(
        name=f"{comparison.left.model}-{comparison.right.model}",
        title=f"{_title(comparison.left)} and {_title(comparison.right)}",
        notes=(*sides, *(f"{sentence}." for sentence in sentences(comparison, chosen.truth))),
        pieces=tuple(_pieces(comparison, chosen)),
        pictures=tuple(_pictures(comparison)),
        table=comparison.table(),
    )


def _pictures(comparison: Comparison) -> Iterator[ReportImage]:
    left, right = comparison.left.seen, comparison.right.seen
    if np.array_equal(left, right):
        yield ReportImage.seen(left)
    else:
        yield from (ReportImage.seen(left, "left"), ReportImage.seen(right, "right"))


def _pieces(comparison: Comparison, view: ComparisonView) -> Iterator[Piece]:
    offered = measures_for(comparison.left, comparison.right)
    measure = view.measure if view.measure in offered else offered[0]
    pair = comparison.pair(view.block or _opened(comparison))
    scale = arc_scale(measure, comparison.left, comparison.right)
    sides = {"left": (comparison.left, pair.left), "right": (comparison.right, pair.right)}
    for side, (inspection, _) in sides.items():
        yield predictions_piece(inspection, f"predictions-{side}", f"Predictions, {side} side")
    for side, (inspection, block) in sides.items():
        draw = partial(figures.block_map, inspection, measure, block, scale=scale)
        yield Piece(f"block-map-{side}", f"Block map, {side} side", draw, inspection.table)
    by_depth = partial(figures.comparison_by_depth, comparison, measure, pair.name)
    yield Piece("comparison-by-depth", "The measure by depth", by_depth, comparison.table)
    left, right = (inspection.block(block) for inspection, block in sides.values())
    if left.maps is not None and right.maps is not None:
        yield _equation("left", left, right, view.scale)
        yield _equation("right", right, left, view.scale)


def _equation(side: str, block: BlockInspection, beside: BlockInspection, scale: Scale) -> Piece:
    own = equation_piece(block, None, scale)
    draw = own.figure if scale == "each" else partial(figures.comparison_equation, block, beside)
    return Piece(f"{own.name}-{side}", f"{own.title}, {side} side", draw, own.numbers, "NPZ")


def _opened(comparison: Comparison) -> str:
    suggested = comparison.right.most_changed()
    return next(pair.name for pair in comparison.pairs if pair.right == suggested)


def _title(inspection: Inspection) -> str:
    return inspection.title if inspection.weights.trained else f"{inspection.title} (random weights)"
