"""What the block map can be drawn by: each measure's name, colour and numbers, and how wide an arc it makes."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from resnet_viz.analyses.ablation import AblationSweep
from resnet_viz.analyses.inspection import BlockInspection, Inspection
from resnet_viz.figures.block.chain_layout import places_of
from resnet_viz.figures.theme import ATTRIBUTION, GRADIENT, RESIDUAL, SIGNED

MapMeasure = Literal["ratio", "cosine", "gradient", "cam_mass", "response_std", "ablation"]


@dataclass(frozen=True)
class Style:
    """How a measure is drawn: its name on buttons, in the legend, its colour, and how numbers are written."""

    button: str
    legend: str
    colour: str
    template: str
    most: str


STYLES: dict[MapMeasure, Style] = {
    "ratio": Style("|F| / |x|", "|F| / |x|", RESIDUAL, "{:.2f}", "The residual branches change most"),
    "cosine": Style("cosine", "|cos(x, F)|, red along x, blue against it", SIGNED, "{:+.2f}", "F points most along x"),
    "gradient": Style(
        "gradient share", "share of the gradient through F", GRADIENT, "{:.0%}", "The branch carries most gradient"
    ),
    "cam_mass": Style(
        "Grad-CAM", "Grad-CAM mass at the output", ATTRIBUTION, "{:.3g}", "The evidence for the class is strongest"
    ),
    "response_std": Style("response", "standard deviation of F(x)", RESIDUAL, "{:.2f}", "The branches respond most strongly"),
    "ablation": Style(
        "without F", "logits that the class loses without F(x)", RESIDUAL, "{:+.2f}", "The class misses the branch most"
    ),
}


@dataclass(frozen=True)
class ArcScale:
    """What the widest arc stands for: a value of the measure, without its sign, and the pixels that it adds to the stroke."""

    largest: float
    pixels: float


def is_plain(inspection: Inspection) -> bool:
    """Whether the network has no shortcut at all."""
    return all(block.shortcut == "none" for block in inspection.blocks)


def measures_for(*inspections: Inspection) -> tuple[MapMeasure, ...]:
    """Name the measures that all the inspections can be drawn by: a plain network has no identity to compare with."""
    if any(map(is_plain, inspections)):
        return "response_std", "cam_mass"
    return "ratio", "cosine", "gradient", "cam_mass", "response_std"


def arc_scale(measure: MapMeasure, *inspections: Inspection) -> ArcScale:
    """Return the scale on which the maps of several inspections can be compared: the same stroke is the same value."""
    values = [value_of(block, measure) for inspection in inspections for block in inspection.blocks]
    return arc_scale_of(values, min(places_of(inspection)[0].step for inspection in inspections))


def arc_scale_of(values: Iterable[float], step: float) -> ArcScale:
    """Return the scale for values, NaN among them, at blocks that stand at least `step` pixels apart."""
    return ArcScale(max((abs(value) for value in values if not math.isnan(value)), default=0) or 1, 0.09 * step)


def value_of(block: BlockInspection, measure: MapMeasure) -> float:
    """Return what the map shows of a block, from its inspection alone."""
    if measure == "gradient":
        return 1 - block.measures.shortcut_share
    value: float = getattr(block.measures, measure)
    return value


def map_values(inspection: Inspection, measure: MapMeasure, ablation: AblationSweep | None = None) -> list[float]:
    """Return what the map shows, block by block; NaN for one that cannot be removed.

    Raises ValueError for a measure that the network cannot be drawn by, and "ablation" without the sweep of this network.
    """
    known = measures_for(inspection)
    if measure == "ablation" and ablation is not None:
        drops = {block.name: block.logit_drop for block in ablation.blocks}
        return [drops[block.name] for block in inspection.blocks]
    if measure not in known:
        raise ValueError(f"{inspection.title} cannot be drawn by {measure!r}: take one of {', '.join(known)}")
    return [value_of(block, measure) for block in inspection.blocks]
