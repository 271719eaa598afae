"""The parts of a network whose blocks were found in its graph, with what lies between two blocks."""

from collections.abc import Iterable
from itertools import chain, takewhile
from typing import Self

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.parts import Part, words_of
from resnet_viz.nets.residual_graph import GraphBlock, ResidualNetwork
from resnet_viz.nets.twins import copy_tree

STEM, HEAD = "stem", "head"


def parts_of_graph(network: ResidualNetwork, shape: tuple[int, ...]) -> tuple[Part, ...]:
    """Take a traced network apart for an image of a shape (C, H, W), from the stem to the head.

    A copy without memory runs on the meta device; where the network holds constants that cannot go there, it runs where it is.
    """
    twin = copy_tree(network)
    try:
        return _parts(twin.to("meta"), shape)
    except (RuntimeError, NotImplementedError):
        return _parts(copy_tree(network), shape)


def _parts(network: nn.Module, shape: tuple[int, ...]) -> tuple[Part, ...]:
    blocks = {name: block for name, block in blocks_of(network).items() if isinstance(block, GraphBlock)}
    like = next(network.parameters())
    journey = _Journey(network, blocks)
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = journey
    x = torch.empty(1, *shape, device=like.device, dtype=like.dtype)
    with torch.no_grad(), counter:
        logits = network(x)
    journey.shapes[STEM].insert(0, x.shape[1:])
    journey.shapes[HEAD].append(logits.shape[1:])
    homes = _homes(network, blocks, journey)
    flops = {name: sum(counts.values()) // 2 for name, counts in counter.get_flop_counts().items()}
    found = (_part(name, blocks, journey, homes.get(name, 0), flops.get(name, 0)) for name in journey.parts)
    return tuple(part for part in found if part.stage or part.parameters or part.multiply_adds or part.name in (STEM, HEAD))


class _Journey(ModuleTracker):
    """The parts in the order in which an image meets them: `shapes` of each's input and output, `layers` that run in each.

    Hooks stand on one network alone; torch's own tracker hooks every module of every thread.
    """

    def __init__(self, network: nn.Module, blocks: dict[str, GraphBlock]) -> None:
        super().__init__()
        self.parts = [STEM]
        self.parents = {"Global", STEM}
        self.shapes: dict[str, list[torch.Size]] = {STEM: []}
        self.layers: dict[str, dict[str, nn.Module]] = {STEM: {}}
        last = next(reversed(blocks))
        for name, block in blocks.items():
            self._follow(name, block, HEAD if name == last else f"after {name}")
        places = {id(place) for block in blocks.values() for place in block.modules()}
        for name, layer in network.named_modules():
            if id(layer) not in places and next(layer.children(), None) is None:
                self._note(name, layer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _follow(self, name: str, block: GraphBlock, behind: str) -> None:
        def enter(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            self.shapes[self.parts[-1]].append(given[0].shape[1:])
            self._go_to(name, given[0])

        def leave(_: nn.Module, __: object, output: Tensor) -> None:
            self.shapes[name].append(output.shape[1:])
            self._go_to(behind, output)

        block.fork.register_forward_pre_hook(enter)
        block.output.register_forward_hook(leave)

    def _go_to(self, part: str, given: Tensor) -> None:
        self.parts.append(part)
        self.parents = {"Global", part}
        self.shapes[part], self.layers[part] = [given.shape[1:]], {}

    def _note(self, name: str, layer: nn.Module) -> None:
        def note(_: nn.Module, __: object) -> None:
            self.layers[self.parts[-1]].setdefault(name, layer)

        layer.register_forward_pre_hook(note)


def _homes(network: nn.Module, blocks: dict[str, GraphBlock], journey: _Journey) -> dict[str, int]:
    """Return how many parameters each part has that no block uses.

    Those that no layer of a part holds, such as a class token, are the stem's if they stand before the first block's, else the
    head's.
    """
    used = set(chain.from_iterable(block.facts.parameters for block in blocks.values()))
    part_of = {layer: part for part, layers in journey.layers.items() for layer in layers}
    counts: dict[str, int] = {}
    met = False
    for name, parameter in network.named_parameters():
        met = met or name in used
        if name not in used:
            part = part_of.get(name.rpartition(".")[0], HEAD if met else STEM)
            counts[part] = counts.get(part, 0) + parameter.numel()
    return counts


def _part(name: str, blocks: dict[str, GraphBlock], journey: _Journey, parameters: int, flops: int) -> Part:
    block, layers, shapes = blocks.get(name), journey.layers[name], journey.shapes[name]
    words = ", ".join(filter(None, map(words_of, layers.values())))
    if block is not None:
        words, parameters = words or block.facts.kind, block.facts.parameter_count
    return Part(
        name=_path_of(layers) or name if name.startswith("after ") else name,
        stage=None if block is None else block.facts.stage,
        shortcut=None if block is None else block.facts.shortcut,
        input=tuple(shapes[0]),
        output=tuple(shapes[-1]),
        layers=words,
        parameters=parameters,
        multiply_adds=flops,
    )


def _path_of(layers: Iterable[str]) -> str:
    """Name what lies between two blocks: the path that its layers have in common."""
    steps = zip(*(layer.split(".") for layer in layers), strict=False)
    return ".".join(names[0] for names in takewhile(lambda names: len(set(names)) == 1, steps))
