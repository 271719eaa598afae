"""The architecture of a network, part by part: the stem, every block and the head, with shapes, layers and costs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

from resnet_viz.nets.blocks import ResidualBlock, ShortcutKind, blocks_of
from resnet_viz.nets.costs import count_parameters
from resnet_viz.nets.net import Net
from resnet_viz.nets.residual_graph.network import GraphBlock, ResidualNetwork
from resnet_viz.nets.residual_graph.sections import HEAD, STEM

COUNTER = "torch.utils.flop_counter.FlopCounterMode, halved, because it counts each multiplication and each addition"

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """The stem, a block, layers between two blocks, or the head of a network; all parts together are the whole network.

    `name` is "stem", "layer2.0", "before layer2.0" ... or "head"; `stage` and `shortcut` are the block's, None for the others.
    Shapes are (C, H, W) or as the network holds its tensors, the head's output (classes,). `layers` are described in words and
    in order, without batch norms, ReLUs and the shortcut's own convolution; `parameters` and `multiply_adds`, for one image,
    include everything.
    """

    name: str
    stage: int | None
    shortcut: ShortcutKind | None
    input: Shape
    output: Shape
    layers: str
    parameters: int
    multiply_adds: int


def architecture(net: Net) -> tuple[Part, ...]:
    """Return the parts of a network for an image of its input size, from the stem to the head.

    Multiply-adds are torch's own count (`COUNTER`) of the convolutions and linear layers (He et al. 2015, Table 1, "FLOPs").
    Nothing is computed: a copy without memory runs on the meta device, or tracing has already found everything.
    """
    if isinstance(net.module, ResidualNetwork):
        return tuple(_traced(net.module))
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


def _traced(module: ResidualNetwork) -> Iterator[Part]:
    """The parts of a network whose blocks were found in its graph."""
    sections = {section.name: section for section in module.residual_findings.sections}
    blocks = {name: block.facts for name, block in blocks_of(module).items() if isinstance(block, GraphBlock)}
    between = {f"before {name}": name for name in blocks}
    order = [STEM, *(part for title, name in between.items() for part in (title, name)), HEAD]
    for name in order:
        if name in blocks:
            facts = blocks[name]
            words = _in_words(module, facts.branch_layers)
            yield Part(
                name=name,
                stage=facts.stage,
                shortcut=facts.shortcut,
                input=facts.input_shape,
                output=facts.shape,
                layers=words,
                parameters=facts.parameter_count,
                multiply_adds=facts.multiply_adds,
            )
        elif name in sections:
            found = sections[name]
            words = _in_words(module, found.layers)
            yield Part(name, None, None, found.input, found.output, words, found.parameter_count, found.multiply_adds)


def _in_words(module: nn.Module, paths: Iterable[str]) -> str:
    # An activation behind a sum is a block's own now, and its former path is empty.
    known = dict(module.named_modules())
    return ", ".join(filter(None, (_words(known[path]) for path in paths if path in known)))


class _PartTracker(ModuleTracker):
    """Tracks which part is running, by hooks on one network: torch's own tracker hooks every module of every thread."""

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
        layers=", ".join(filter(None, map(_words, _layers(modules)))),
        parameters=sum(map(count_parameters, modules)),
        multiply_adds=flops // 2,
    )


def _layers(modules: list[nn.Module]) -> Iterable[nn.Module]:
    for module in modules:
        for name, layer in module.named_modules():
            if not name.startswith("downsample"):
                yield layer


def _words(layer: nn.Module) -> str:
    if isinstance(layer, nn.Conv2d):
        stride = f" stride {layer.stride[0]}" if layer.stride[0] > 1 else ""
        groups = f" groups {layer.groups}" if layer.groups > 1 else ""
        return f"{layer.kernel_size[0]}×{layer.kernel_size[1]} {layer.out_channels}{groups}{stride}"
    if isinstance(layer, nn.MaxPool2d):
        return f"max pool {layer.kernel_size}×{layer.kernel_size} stride {layer.stride}"
    if isinstance(layer, nn.Linear):
        return f"linear {layer.out_features}"
    if isinstance(layer, nn.MultiheadAttention):
        return f"attention, {layer.num_heads} heads"
    return "global average pooling" if isinstance(layer, nn.AdaptiveAvgPool2d) else ""
