"""Names of blocks as short as a chart has room for: what all of a network's names have in common is left out.

>>> brief(["stages.0.blocks.0", "stages.0.blocks.1", "stages.1.blocks.0"])
['0.0', '0.1', '1.0']
"""

import re
from collections.abc import Callable, Sequence

from resnet_viz.figures.theme import short

_NUMBERED = re.compile(r"^[A-Za-z_]+(\d+)$")


def brief(names: Sequence[str]) -> list[str]:
    """Shorten the names of a network, each to a unique name: "layer2.1" to "2.1", "encoder.layers.3.mlp" to "3.mlp"."""
    found = [short(name) for name in names]
    if all(re.fullmatch(r"\d+\.\d+", name) for name in found):
        return found
    steps: tuple[Callable[[list[list[str]]], list[list[str]]], ...] = (_without_start, _numbers_alone, _without_lists)
    parts = [name.split(".") for name in names]
    for step in steps:
        shorter = step(parts)
        if len({".".join(each) for each in shorter}) == len(set(names)) and all(shorter):
            parts = shorter
    return [".".join(each) for each in parts]


def fitted(name: str, letters: int) -> str:
    """Write a name in several lines if it has more letters than a line; lines that are too long end in "…"."""
    if len(name) <= letters:
        return name
    first, _, last = name.rpartition(".")
    return "<br>".join(line if len(line) <= letters else f"{line[: letters - 1]}…" for line in (first, last) if line)


def _without_start(parts: list[list[str]]) -> list[list[str]]:
    """Leave out the first steps that all names share."""
    shared = 0
    while all(len(each) > shared + 1 for each in parts) and len({each[shared] for each in parts}) == 1:
        shared += 1
    return [each[shared:] for each in parts]


def _numbers_alone(parts: list[list[str]]) -> list[list[str]]:
    """Keep the number of a step such as "layer3"."""
    return [[match[1] if (match := _NUMBERED.match(step)) else step for step in each] for each in parts]


def _without_lists(parts: list[list[str]]) -> list[list[str]]:
    """Leave out steps between two numbers, such as "blocks" in "2.blocks.1"."""
    return [
        [
            step
            for place, step in enumerate(each)
            if not (0 < place < len(each) - 1 and each[place - 1].isdigit() and each[place + 1].isdigit() and step.isalpha())
        ]
        for each in parts
    ]
