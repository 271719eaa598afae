"""The two sides of a comparison: as the selection says, or else a pair that is worth seeing."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import resnet_viz as rv
from app.state import Selection

Mode = Literal["networks", "pictures", "both"]
ModelInfos = Mapping[str, rv.ModelInfo]

# He et al. 2015, section 4.2: at this depth the plain network trains worse than a shallow one, the residual one better.
FAMOUS_DEPTH = 56
OTHER_SAMPLES = ("cifar-dog", "cifar-cat")


def mode_of(chosen: Selection) -> Mode:
    """Say what differs between the sides of a selection that names them."""
    if not chosen.right_image:
        return "networks"
    same = (chosen.left, chosen.left_weights) == (chosen.right, chosen.right_weights)
    return "pictures" if same else "both"


def completed(chosen: Selection, models: ModelInfos) -> Selection:
    """Name both sides: the network of the other pages and a related one, else a well-known pair, else one on two images."""
    if chosen.left and chosen.right:
        return chosen
    if not chosen.left and not chosen.right and _comes_along(chosen, models):
        weights = "" if chosen.trained else "none"
        second = chosen.model if chosen.right_image else _second_network(chosen.model, models)
        both = replace(chosen, left=chosen.model, left_weights=weights, right=second)
        if second != chosen.model:
            return both
        return replace(both, right_weights=weights, right_image=chosen.right_image or another_sample(chosen.image))
    pair = suggested_pair(models)
    if chosen.right_image or pair is None:
        one = chosen.left or chosen.right or Selection().model
        return replace(chosen, left=one, right=one, right_image=chosen.right_image or another_sample(chosen.image))
    plain, residual = pair
    left = chosen.left or (plain if chosen.right != plain else residual)
    return replace(chosen, left=left, right=chosen.right or (residual if left != residual else plain))


def in_mode(chosen: Selection, mode: Mode, models: ModelInfos) -> Selection:
    """Change a selection that names its sides to another kind of comparison, keeping what it can."""
    if mode == "pictures":
        picture = chosen.right_image or another_sample(chosen.image)
        return replace(chosen, left=chosen.right, left_weights=chosen.right_weights, right_image=picture)
    if mode == "networks" and mode_of(chosen) == "pictures":
        left, right = suggested_pair(models) or (chosen.left, _second_network(chosen.left, models))
        return replace(chosen, left=left, right=right, left_weights="", right_weights="", right_image="")
    return replace(chosen, right_image="") if mode == "networks" else chosen


def swapped(chosen: Selection) -> Selection:
    """Swap the sides of a selection that names them."""
    images = {"image": chosen.right_image, "right_image": chosen.image} if chosen.right_image else {}
    weights = {"left_weights": chosen.right_weights, "right_weights": chosen.left_weights}
    return replace(chosen, left=chosen.right, right=chosen.left, **weights, **images)


def suggested_pair(models: ModelInfos) -> tuple[str, str] | None:
    """Return a plain and a residual network of equal depth with trained weights on this machine: 56 layers, or the deepest."""
    here = [info for info in models.values() if info.here]
    plains, residuals = ([info for info in here if (info.shortcut == "no shortcut") == plain] for plain in (True, False))
    pairs = [(p, r) for p in plains for r in residuals if (p.depth, p.task) == (r.depth, r.task)]
    # The shortcut with the fewest parameters is first in the alphabet.
    best = min(pairs, key=lambda pair: (pair[0].depth != FAMOUS_DEPTH, -pair[0].depth, pair[1].shortcut), default=None)
    return None if best is None else (best[0].name, best[1].name)


def another_sample(image: str) -> str:
    """Return a sample that is not this image."""
    return next(sample for sample in OTHER_SAMPLES if sample != image)


def _comes_along(chosen: Selection, models: ModelInfos) -> bool:
    """Whether another page shows a network that was chosen there, and that can be compared."""
    mine = models.get(chosen.model)
    return mine is not None and chosen.model != Selection().model and (mine.here or not chosen.trained)


def _second_network(first: str, models: ModelInfos) -> str:
    """Another network of the same task with weights on this machine, if possible of the same depth; else the same one."""
    mine = models.get(first)
    others = [info for info in models.values() if mine and info.here and info.task == mine.task and info.name != first]
    return min(others, key=lambda info: _unlike(info, mine), default=mine).name if mine else first


def _unlike(info: rv.ModelInfo, mine: rv.ModelInfo | None) -> tuple[bool, bool]:
    """Sort key: networks of the same depth first, of these the ones of the other kind."""
    if mine is None:
        return (True, True)
    return (info.depth != mine.depth, (info.shortcut == "no shortcut") == (mine.shortcut == "no shortcut"))
