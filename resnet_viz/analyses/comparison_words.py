"""The differences between two inspections, in sentences with numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

from resnet_viz.analyses.comparison import Comparison, MeasureDifference


@dataclass(frozen=True)
class Wording:
    """A measure of one block in full, and the short form of the value that it is compared with."""

    full: str
    brief: str


WORDINGS = {
    "response_std": Wording("the response of F has a standard deviation of {:.3g}", "{:.3g}"),
    "ratio": Wording("F is {:.2f} times as large as x", "{:.2f} times"),
    "cosine": Wording("cos(x, F) is {:+.2f}", "{:+.2f}"),
    "residual_share": Wording("the gradient through F is {:.0%}", "{:.0%}"),
    "cut": Wording("the ReLU zeroes {:.0%} of the entries", "{:.0%}"),
    "cam_mass": Wording("the Grad-CAM mass is {:.3g} logits", "{:.3g}"),
}


SideNames = tuple[str, str]


def sentences(comparison: Comparison, truth: str | None = None, names: SideNames | None = None) -> tuple[str, ...]:
    """Describe what differs, the predictions first, without full stops.

    `truth` is the class of the image that both sides received; it is ignored unless both networks have that class. `names` are
    those of the left and the right side, by default what the comparison calls them.
    """
    names = names or (comparison.left_name, comparison.right_name)
    known = all(truth in {p.label for p in side.predictions} for side in (comparison.left, comparison.right))
    verdicts = [_verdict(comparison, truth, names)] if truth is not None and known else []
    blocks = [_difference(comparison, found, names) for found in comparison.largest] or ["No measure of any block differs"]
    return (*_predictions(comparison, names), *verdicts, *blocks)


def _predictions(comparison: Comparison, names: SideNames) -> Iterator[str]:
    left, right = comparison.left.predictions[0], comparison.right.predictions[0]
    alone = len(comparison.left.predictions) == len(comparison.right.predictions) == 1
    if left.label == right.label:
        values = f"{left.probability:.1%} for {names[0]}, {right.probability:.1%} for {names[1]}"
        yield (
            f"The probability of {left.label}: {values}" if alone else f"The prediction is {left.label} on both sides: {values}"
        )
        return
    said = f"{left.label} for {names[0]} ({left.probability:.1%})"
    yield f"The prediction is {said}, {right.label} for {names[1]} ({right.probability:.1%})"
    if comparison.classes:
        most = comparison.classes[0]
        values = f"{most.left:.1%} for {names[0]}, {most.right:.1%} for {names[1]}"
        yield f"The probability of {most.label} differs most: {values}"
    else:
        yield "The two networks have different classes, so their probabilities are not compared"


def _verdict(comparison: Comparison, truth: str, names: SideNames) -> str:
    right = [side.predictions[0].label == truth for side in (comparison.left, comparison.right)]
    if right[0] == right[1]:
        return f"The class of the image is {truth}: {'both predictions are' if right[0] else 'neither prediction is'} correct"
    return f"The class of the image is {truth}: {names[right.index(True)]} is correct, {names[right.index(False)]} is not"


def _difference(comparison: Comparison, found: MeasureDifference, names: SideNames) -> str:
    words = WORDINGS[found.measure]
    values = words.full.format(found.left), words.brief.format(found.right)
    left, right = found.pair.left.removeprefix("layer"), found.pair.right.removeprefix("layer")
    if comparison.aligned_by == "name":
        return f"At block {left}, {values[0]} for {names[0]}, {values[1]} for {names[1]}"
    there = f"{values[1]} in block {right} of {names[1]}"
    return f"At equal depth, {values[0]} in block {left} of {names[0]}, {there}"
