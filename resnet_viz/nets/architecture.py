"""What a network is made of, part by part: the stem, every block and the head, with shapes, layers and costs."""

from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

from resnet_viz.nets.blocks import ResidualBlock, blocks_of
from resnet_viz.nets.costs import count_parameters
from resnet_viz.nets.graph_parts import parts_of_graph
from resnet_viz.nets.net import Net
from resnet_viz.nets.parts import Part, words_of
from resnet_viz.nets.residual_graph import ResidualNetwork

__all__ = ["COUNTER", "Part", "architecture"]

COUNTER = "torch.utils.flop_counter.FlopCounterMode, halved: it counts a multiplication and an addition as two"


def architecture(net: Net) -> tuple[Part, ...]:
    """Take a network apart for an image of the size that it sees, from the stem to the head.

    Multiply-adds are torch's own count (`COUNTER`), that of the convolutions and linear layers (He et al. 2015, Table 1,
    "FLOPs"). Nothing is computed: a copy without memory runs on the meta device.
    """
    if isinstance(net.module, ResidualNetwork):
        return parts_of_graph(net.module, (3, net.preprocessing.crop, net.preprocessing.crop))
    twin = net.twin().to("meta")
    blocks = blocks_of(twin)
    tracker = _PartTracker(blocks)
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = tracker
    x = torch.empty(1, 3, net.preprocessing.crop, net.preprocessing.crop, device="meta")
    with torch.no_grad(), counter:
        logits = twin(x)
    tracker.shapes["stem"] = [x, tracker.shapes[next(iter(blocks))][0]]
    tracker.shapes["head"] = [tracker.shapes[next(reversed(blocks))][1], logits]
    flops = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items()}
    stem, head = _ends(twin)
    layers = {"stem": stem} | {name: [block] for name, block in blocks.items()} | {"head": head}
    return tuple(_part(name, modules, tracker.shapes[name], flops.get(name, 0)) for name, modules in layers.items())


class _PartTracker(ModuleTracker):
    """Says which part is running, by hooks on one network: torch's own tracker hooks every module of every thread."""

    def __init__(self, blocks: dict[str, ResidualBlock]) -> None:
        super().__init__()
        self.parents = {"Global", "stem"}
        self.shapes: dict[str, list[Tensor]] = {}
        for name, block in blocks.items():
            self._follow(name, block)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _follow(self, name: str, block: ResidualBlock) -> None:
        def enter(_: nn.Module, args: tuple[Tensor]) -> None:
            self.parents = {"Global", name}
            self.shapes[name] = [args[0]]

        def leave(_: nn.Module, __: object, output: Tensor) -> None:
            self.parents = {"Global", "head"}
            self.shapes[name].append(output)

        block.register_forward_pre_hook(enter)
        block.register_forward_hook(leave)


def _ends(module: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """Return the layers before the first stage and those after the last."""
    children = list(module.children())
    stages = [index for index, child in enumerate(children) if blocks_of(child)]
    return children[: stages[0]], children[stages[-1] + 1 :]


def _part(name: str, modules: list[nn.Module], ends: list[Tensor], flops: int) -> Part:
    block = modules[0] if isinstance(modules[0], ResidualBlock) else None
    first, last = ends
    return Part(
        name=name,
        stage=None if block is None else int(name.split(".", maxsplit=1)[0].removeprefix("layer")),
        shortcut=None if block is None else block.shortcut_kind,
        input=tuple(first.shape[1:]),
        output=tuple(last.shape[1:]),
        layers=", ".join(filter(None, map(words_of, _layers(modules)))),
        parameters=sum(map(count_parameters, modules)),
        multiply_adds=flops // 2,
    )


def _layers(modules: list[nn.Module]) -> Iterable[nn.Module]:
    for module in modules:
        for name, layer in module.named_modules():
            if not name.startswith("downsample"):
                yield layer
