"""The architecture of a network, part by part: the stem, every block and the head, with shapes, layers and costs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn

from resnet_viz.nets.blocks import ShortcutKind, blocks_of
from resnet_viz.nets.net import Net
from resnet_viz.nets.residual_graph.network import findings_of
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
    """Return the parts of a network for an image of the size that it was opened for, from the stem to the head.

    Multiply-adds are torch's own count (`COUNTER`) of the convolutions and linear layers (He et al. 2015, Table 1, "FLOPs").
    Nothing is computed: tracing has found everything.
    """
    return tuple(_parts(net.module))


def _parts(module: nn.Module) -> Iterator[Part]:
    sections = {section.name: section for section in findings_of(module).sections}
    blocks = {name: block.facts for name, block in blocks_of(module).items()}
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
