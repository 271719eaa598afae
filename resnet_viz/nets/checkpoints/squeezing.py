"""Squeeze and excitation in the blocks of a checkpoint, with layers of any name."""

import re

from resnet_viz.nets.checkpoints.parts import NamedTensor

# What a block has beside its convolutions, norms and shortcut.
BESIDE = re.compile(r"^(layer\d+\.\d+)\.(?!conv\d\.|bn\d\.|downsample\.)(.+)\.weight$")


def find_squeezes(tensors: dict[str, NamedTensor]) -> None:
    """Call the two layers of a squeeze and excitation se.0 and se.1, in every block that has one."""
    layers: dict[str, list[str]] = {}
    for name in tensors:
        if match := BESIDE.match(name):
            layers.setdefault(match[1], []).append(name.removesuffix(".weight"))
    for block, found in layers.items():
        if len(found) != 2:
            continue
        squeezing, exciting = sorted((tensors[f"{layer}.weight"] for layer in found), key=lambda tensor: tensor.shape[0])
        if not squeezes(squeezing.shape, exciting.shape):
            continue
        for layer in found:
            index = 0 if tensors[f"{layer}.weight"] is squeezing else 1
            for part in ("weight", "bias"):
                if f"{layer}.{part}" in tensors:
                    tensors[f"{block}.se.{index}.{part}"] = tensors.pop(f"{layer}.{part}")


def squeezes(squeezing: tuple[int, ...], exciting: tuple[int, ...]) -> bool:
    """Whether one layer reads what the other returns, and the other way round, at a single place."""
    flat = {*squeezing[2:], *exciting[2:]} <= {1} and len(squeezing) == len(exciting) in (2, 4)
    return flat and squeezing[:2] == exciting[1::-1]
