"""The measures that the block map can show: each one's name, colour and number format, and the width of its arcs."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from resnet_viz.analyses.ablation import AblationSweep
from resnet_viz.analyses.inspection import BlockInspection, Inspection
from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.figures.block.chain_layout import places_of
from resnet_viz.figures.theme import ATTRIBUTION, GRADIENT, RESIDUAL, SIGNED

MapMeasure = Literal["ratio", "cosine", "gradient", "cam_mass", "response_std", "ablation"]


@dataclass(frozen=True)
class Style:
    """How a measure is drawn: its explanation in the legend, its colour, the format of its numbers, and its heading.

    `column` is the measure's column in `Inspection.table`, which sets its name everywhere. `most` begins the heading, where
    {label} is the target class, and `least` is the word for the block with the smallest value.
    """

    legend: str
    colour: str
    template: str
    most: str
    column: str
    least: str = "smallest"


STYLES: dict[MapMeasure, Style] = {
    "ratio": Style("|F| / |x|", RESIDUAL, "{:.2f}", "The residual is largest relative to its input", "ratio"),
    "cosine": Style("|cos(x, F)|, red along x, blue against it", SIGNED, "{:+.2f}", "F points most along x", "cosine", "least"),
    "gradient": Style("gradient through F", GRADIENT, "{:.0%}", "The gradient through F is largest", "residual_share"),
    "cam_mass": Style(
        "Grad-CAM mass at the output", ATTRIBUTION, "{:.3g}", "The evidence for {label} is strongest", "cam_mass", "weakest"
    ),
    "response_std": Style("standard deviation of F(x)", RESIDUAL, "{:.2f}", "F(x) varies most", "response_std", "least"),
    "ablation": Style(
        "|change of the logit without F(x)|, red where the logit falls, blue where it rises",
        SIGNED,
        "{:+.2f}",
        "The logit of {label} falls most without F(x)",
        "logit_drop",
    ),
}
# These are about the target class, which the map shows at its end.
OF_THE_TARGET: frozenset[MapMeasure] = frozenset({"gradient", "cam_mass", "ablation"})


def name_of(measure: MapMeasure) -> str:
    """Return the name of a measure, the same on buttons and axes as in tables."""
    return MEANINGS[STYLES[measure].column].symbol


@dataclass(frozen=True)
class ArcScale:
    """The meaning of the widest arc: a value of the measure, without its sign, and the pixels that it adds to the stroke."""

    largest: float
    pixels: float


def is_plain(inspection: Inspection) -> bool:
    """Whether the network has no shortcut at all."""
    return all(block.shortcut == "none" for block in inspection.blocks)


def measures_for(*inspections: Inspection) -> tuple[MapMeasure, ...]:
    """Name the measures that all the inspections can be drawn by; a plain network has no identity to compare with.

    "ablation" is one of them after `AblationSweep.added_to` has added it.
    """
    found: tuple[MapMeasure, ...] = ("ratio", "cosine", "gradient", "cam_mass", "response_std")
    if any(map(is_plain, inspections)):
        found = "response_std", "cam_mass"
    return (*found, "ablation") if all(inspection.has_removals for inspection in inspections) else found


def arc_scale(measure: MapMeasure, *inspections: Inspection) -> ArcScale:
    """Return the scale on which the maps of several inspections can be compared: the same stroke means the same value."""
    values = [value_of(block, measure) for inspection in inspections for block in inspection.blocks]
    return arc_scale_of(values, min(places_of(inspection)[0].step for inspection in inspections))


def arc_scale_of(values: Iterable[float], step: float) -> ArcScale:
    """Return the scale for values, possibly with NaN, of blocks that are at least `step` pixels apart."""
    return ArcScale(max((abs(value) for value in values if not math.isnan(value)), default=0) or 1, 0.09 * step)


def value_of(block: BlockInspection, measure: MapMeasure) -> float:
    """Return the value that the map shows for a block, from its inspection alone."""
    value: float = getattr(block.measures, STYLES[measure].column)
    return value


def map_values(inspection: Inspection, measure: MapMeasure, ablation: AblationSweep | None = None) -> list[float]:
    """Return the values that the map shows, block by block; NaN for a block that cannot be removed.

    Raises ValueError for a measure that the network cannot be drawn by, and for "ablation" without the sweep of this network.
    """
    if ablation is not None:
        inspection = ablation.added_to(inspection)
    known = measures_for(inspection)
    if measure not in known:
        raise ValueError(f"{inspection.title} cannot be drawn by {measure!r}: choose one of {', '.join(known)}")
    return [value_of(block, measure) for block in inspection.blocks]


def arc_heights(inspection: Inspection, measure: MapMeasure, ablation: AblationSweep | None = None) -> list[float]:
    """Return the size of each block's measure, without its sign, as a share of the largest, from 0 to 1; 0 for NaN."""
    values = [0.0 if math.isnan(value) else abs(value) for value in map_values(inspection, measure, ablation)]
    largest = max(values, default=0.0) or 1.0
    return [value / largest for value in values]
