"""The text about a block's equation: each number says what it refers to, one channel or all of them."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.inspection import BlockInspection
from resnet_viz.figures.theme import short

Term = Literal["identity", "residual", "sum", "output"]

# The mean over channels hides a correction if it shows less than this share of it, and the correction is not tiny.
HIDDEN, TINY = 0.5, 0.1


def finding(block: BlockInspection, pictures: Mapping[Term, Array], channel: int | None) -> str:
    """Say how large the residual is relative to the identity, for the drawn channel or the whole block."""
    name = f"Block {short(block.name)}"
    if block.shortcut == "none":
        return f"{name} is plain: its output is ReLU(F(x)), without an addition"
    x = "x" if block.shortcut == "identity" else f"the {block.shortcut} shortcut's output"
    if channel is None:
        share = _percent(block.measures.ratio)
        return f"{name} corrects its input: the residual F(x) has {share} of the norm of {x}"
    identity, residual = float(np.linalg.norm(pictures["identity"])), float(np.linalg.norm(pictures["residual"]))
    if not identity:
        return f"{name}, channel {channel}: {x} is 0 everywhere, the residual F(x) has the norm {residual:.3g}"
    return f"{name}, channel {channel}: the residual F(x) has {_percent(residual / identity)} of the norm of {x}"


def reading(block: BlockInspection, pictures: Mapping[Term, Array], channel: int | None, limit: float | None) -> str:
    """Say what an image shows and what its colours mean: on one scale up to a limit, or each on its own."""
    what = "the mean over all channels" if channel is None else f"channel {channel}"
    sizes = "each on its own scale" if limit is None else f"all on one colour scale, ±{limit:.3g}"
    text = f"Each image is {what}, {sizes}: red is positive, blue negative, white 0.{beside(block)}"
    if channel is not None:
        return f"{text} All numbers are of this channel."
    return f"{text} All numbers are of the {block.shape[0]} channels together. {cancelling(block, pictures)}".strip()


def beside(block: BlockInspection) -> str:
    """Say which tokens the images leave out, or that positions have no place in the image; "" in most networks."""
    if block.note:
        return f" The positions are shown in a row, because {block.note}."
    if not block.tokens_apart:
        return ""
    if len(block.tokens_apart) == 1:
        return f" Each cell is a patch of the image; the {block.tokens_apart[0]} is not drawn, but the numbers include it."
    names = f"{', '.join(block.tokens_apart[:-1])} and {block.tokens_apart[-1]}"
    return f" Each cell is a patch of the image; {names} are not drawn, but the numbers include them."


def cancelling(block: BlockInspection, pictures: Mapping[Term, Array]) -> str:
    """Say that the channels of the residual cancel in the mean, if its image shows much less than its norm."""
    if block.shortcut == "none" or block.measures.ratio < TINY:
        return ""
    identity, residual = float(np.linalg.norm(pictures["identity"])), float(np.linalg.norm(pictures["residual"]))
    shown = residual / identity if identity else np.inf
    if shown >= HIDDEN * block.measures.ratio:
        return ""
    return (
        f"The channels of F(x) cancel in the mean: its mean image has {_percent(shown)} of the norm of x's mean image, but "
        f"over all channels F(x) has {_percent(block.measures.ratio)} of the norm of x. To see it, choose a single channel "
        f"or open all channels."
    )


def notes(block: BlockInspection, pictures: Mapping[Term, Array], channel: int | None) -> dict[Term, str]:
    """A number for each image's caption, with what it refers to."""
    of = "all channels" if channel is None else f"channel {channel}"
    small: dict[Term, str] = {}
    for term in pictures:
        if term == "output":
            cut = block.measures.cut if channel is None else _cut(pictures)
            small[term] = f"{block.activation} zeroes {_percent(cut)}" if not np.isnan(block.measures.cut) else _passed(block)
        elif term == "sum":
            cosine = block.measures.cosine if channel is None else _cosine(pictures)
            small[term] = "" if np.isnan(cosine) else f"cos(x, F) = {signed(cosine)}"
        else:
            whole = block.measures.identity_norm if term == "identity" else block.measures.residual_norm
            size = whole if channel is None else float(np.linalg.norm(pictures[term]))
            small[term] = f"|{'x' if term == 'identity' else 'F'}| = {size:.4g}"
    return {term: f"{text}<br>{of}" if text else of for term, text in small.items()}


def alt(block: BlockInspection, pictures: Mapping[Term, Array], channel: int | None) -> str:
    """Describe the drawing in words."""
    what = "the mean over channels" if channel is None else f"channel {channel}"
    ranges = ", ".join(f"{term} {picture.min():.3g} to {picture.max():.3g}" for term, picture in pictures.items())
    return f"{finding(block, pictures, channel)}. Each image is {what}; values: {ranges}."


def signed(value: float) -> str:
    """Write a number with its sign, the minus as wide as the plus."""
    return f"{value:+.2f}".replace("-", "−")


def _passed(block: BlockInspection) -> str:
    """The step between sum and output if it is not a ReLU."""
    return f"{block.activation} of the sum" if block.activation else "the sum itself"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _cosine(pictures: Mapping[Term, Array]) -> float:
    """The cosine between the drawn identity and residual; NaN if one is 0 or there is no identity."""
    if "identity" not in pictures:
        return float("nan")
    x, f = pictures["identity"].ravel().astype(np.float64), pictures["residual"].ravel().astype(np.float64)
    size = np.linalg.norm(x) * np.linalg.norm(f)
    return float(x @ f / size) if size else float("nan")


def _cut(pictures: Mapping[Term, Array]) -> float:
    """The share of entries that the ReLU sets to 0."""
    total = pictures.get("sum", pictures["residual"])
    return float((total < 0).mean())
