"""What does the network still predict without some of its blocks? Residual branches scaled, and each one removed in turn.

A block computes identity + F(x). Here it computes identity + scale F(x): at scale 0 its branch is removed, and only the
shortcut remains (Veit et al. 2016, https://arxiv.org/abs/1605.06431, section 4.1). A plain block has no shortcut, so here it
computes scale F(x) + (1 - scale) x, and at scale 0 its layers are removed. This requires an output of the input's shape: a
plain block that changes the shape cannot be removed.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from resnet_viz.analyses.activations import Array, array
from resnet_viz.analyses.inspection import Inspection, Prediction, ranked
from resnet_viz.analyses.removals import does_not_grow, is_chain, without_branches
from resnet_viz.nets.blocks import ResidualBlock, ShortcutKind, blocks_of
from resnet_viz.nets.net import Head, Net, WeightsOrigin, check_net
from resnet_viz.progress import OnProgress, ignore_progress


@dataclass(frozen=True, eq=False)
class Ablation:
    """The prediction with some residual branches scaled; `scales` names the scaled ones, in the order of the network.

    `logits` are float32 (classes,); `predictions` contain every class, most probable first.
    """

    model: str
    title: str
    weights: WeightsOrigin
    scales: dict[str, float]
    logits: Array
    predictions: tuple[Prediction, ...]

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return self.logits.nbytes


@dataclass(frozen=True)
class BlockRemoval:
    """The prediction without one block's residual branch; NaN and "" for a block that cannot be removed.

    `logit` and `probability` are those of the target, `logit_drop` and `probability_drop` their decrease, negative where they
    rise; `prediction` is the most probable class without the block.
    """

    name: str
    stage: int
    shortcut: ShortcutKind
    logit: float = math.nan
    logit_drop: float = math.nan
    probability: float = math.nan
    probability_drop: float = math.nan
    prediction: str = ""

    @property
    def removable(self) -> bool:
        """Whether the network can run without it."""
        return not math.isnan(self.logit)


@dataclass(frozen=True, eq=False)
class AblationSweep:
    """Each block's residual branch removed in turn, for one class.

    `prediction` is the prediction of the whole network and `probability` the target's probability there. `intact` are its
    logits, float32 (classes,), and `logits` those without each block, (blocks, classes), NaN in the row of a block that cannot
    be removed.
    """

    model: str
    title: str
    weights: WeightsOrigin
    target: int
    target_label: str
    prediction: str
    probability: float
    intact: Array
    logits: Array
    blocks: tuple[BlockRemoval, ...]

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return self.intact.nbytes + self.logits.nbytes

    def table(self) -> pd.DataFrame:
        """Return one row per block: shortcut, whether it can be removed, and the target's logit, probability and decreases."""
        rows = [
            {
                "block": block.name,
                "stage": block.stage,
                "shortcut": block.shortcut,
                "removable": block.removable,
                "logit": block.logit,
                "logit_drop": block.logit_drop,
                "probability": block.probability,
                "probability_drop": block.probability_drop,
                "prediction": block.prediction,
            }
            for block in self.blocks
        ]
        return pd.DataFrame(rows).set_index("block")

    def added_to(self, inspection: Inspection) -> Inspection:
        """Return the inspection with the decrease of the target's logit and probability added to the measures and the table.

        ValueError for an inspection of another network or another class.
        """
        names = [block.name for block in inspection.blocks]
        if names != [block.name for block in self.blocks] or inspection.target != self.target:
            raise ValueError(
                f"blocks of {self.title} were removed for {self.target_label}, and {inspection.title} was inspected for"
                f" {inspection.target_label}. Use the same network and class for both"
            )
        blocks = tuple(
            replace(
                block,
                measures=replace(block.measures, logit_drop=removed.logit_drop, probability_drop=removed.probability_drop),
            )
            for block, removed in zip(inspection.blocks, self.blocks, strict=True)
        )
        return replace(inspection, blocks=blocks)


def ablate(net: Net, image: Image.Image, scales: Mapping[str, float]) -> Ablation:
    """Run the network with the residual branches of the named blocks scaled: {"layer1.2": 0.0} removes one, 1 changes nothing.

    ValueError for a block that the network does not have, a scale outside 0..1, or a plain block that changes the shape.
    """
    chosen = checked(net, scales)
    twin = net.twin()
    with faded(twin, chosen), torch.inference_mode():
        logits = twin(net.preprocess(image))[0]
    return Ablation(net.name, net.title, net.weights, chosen, logits.cpu().numpy(), ranked(net, logits))


def ablation_sweep(net: Net, image: Image.Image, target: int | str | None = None) -> pd.DataFrame:
    """Remove each block's residual branch in turn: one row per block, with the effect on the target (default: predicted class).

    The index is the block's name. The columns are stage, shortcut and removable, and without the block: logit and probability
    (0 to 1) of the target, logit_drop and probability_drop (their decrease from the whole network, negative where they rise),
    and prediction, the most probable class. A block that has no shortcut and changes the shape cannot be removed: its numbers
    are NaN. As in Veit et al. 2016, https://arxiv.org/abs/1605.06431, section 4.1.

    Raises:
        ValueError: the network has no such class, or several of that label.
        ImageError: the image cannot be used.
        TypeError: `net` is no network, or `image` no PIL image.
    """
    return sweep(net, image, target).table()


def sweep(
    net: Net, image: Image.Image, target: int | str | None = None, *, on_block: OnProgress | None = None
) -> AblationSweep:
    """Remove each block's residual branch in turn, in one pass of a growing batch.

    The layers before a removed block compute the same as in the whole network, so they run once. At each block, one more copy
    of the image joins the batch, the one that took the shortcut alone; the copies without an earlier block continue next to it.
    If a connection leads past several blocks, the network runs once for each of them instead. `on_block(done, total)` is called
    after each block; an exception that it raises cancels. ValueError for an unknown class.
    """
    check_net(net)
    chosen = None if target is None else net.class_index(target)
    logits = _swept(net, net.preprocess(image), on_block)
    index = int(logits[0].argmax()) if chosen is None else chosen
    rows = np.full((len(net.blocks), logits.shape[1]), np.nan, np.float32)
    rows[[is_removable(block) for block in net.blocks.values()]] = logits[1:]
    shares = probabilities(np.vstack([logits[:1], rows]), net.head)[:, index].tolist()
    blocks = tuple(
        _removal(net, name, row, index, float(logits[0, index]), (shares[0], share))
        for name, row, share in zip(net.blocks, rows, shares[1:], strict=True)
    )
    return AblationSweep(
        net.name,
        net.title,
        net.weights,
        index,
        net.labels[index],
        net.labels[int(logits[0].argmax())],
        shares[0],
        logits[0].copy(),
        rows,
        blocks,
    )


def _swept(net: Net, x: Tensor, on_block: OnProgress | None) -> Array:
    """Return the logits of the whole network, and those without each block that can be removed, (1 + blocks, classes)."""
    twin = net.frugal_twin()
    if is_chain(twin):
        try:
            with ExitStack() as hooks, torch.inference_mode():
                for handle in _growing(twin, on_block):
                    hooks.callback(handle.remove)
                # Convolutions of several images are about 5% faster in the channels-last memory format.
                logits = array(twin(x.contiguous(memory_format=torch.channels_last))[None])
            if len(logits) == 1 + sum(map(is_removable, net.blocks.values())):
                return logits
        except RuntimeError as error:
            if not does_not_grow(error):
                raise
    with torch.inference_mode():
        return array(without_branches(net, x, [(), *((name,) for name in net.blocks)], on_block)[None])


def is_removable(block: ResidualBlock) -> bool:
    """Whether a network can run without a block's layers: a plain block must output the shape of its input."""
    return block.shortcut_kind != "none" or block.keeps_shape


def checked(net: Net, scales: Mapping[str, float]) -> dict[str, float]:
    """Return the scales that are not 1, in the order of the blocks; ValueError explains an invalid one."""
    check_net(net)
    blocks = net.blocks
    for name, scale in scales.items():
        if name not in blocks:
            raise ValueError(f"{net.title} has no block {name!r}; it has {', '.join(blocks)}")
        if not 0 <= scale <= 1:
            raise ValueError(
                f"scale {scale} of {name} is not between 0 and 1. Use 0 to remove its branch and 1 to leave it unchanged"
            )
        if scale != 1 and not is_removable(blocks[name]):
            raise ValueError(
                f"{name} of {net.title} cannot be scaled or removed: it has no shortcut, and its output does not have the "
                f"shape of its input"
            )
    return {name: float(scales[name]) for name in blocks if scales.get(name, 1) != 1}


def probabilities(logits: Array, head: Head) -> Array:
    """(rows, classes) -> the softmax of each row, or the sigmoid of each logit (see `Net.head`)."""
    values = torch.from_numpy(logits)
    shares: Array = (values.softmax(1) if head == "softmax" else values.sigmoid()).numpy()
    return shares


@contextmanager
def faded(twin: nn.Module, scales: Mapping[str, float | Tensor]) -> Iterator[None]:
    """Make the named blocks of a twin compute identity + scale F(x) while the context is open.

    A scale is a number, or a tensor (N,) with one number for each image of the batch.
    """
    blocks = blocks_of(twin)
    with ExitStack() as hooks:
        for name, scale in scales.items():
            for handle in _fade(blocks[name], scale):
                hooks.callback(handle.remove)
        yield


def _fade(block: ResidualBlock, factor: float | Tensor) -> Iterator[RemovableHandle]:
    inputs: list[Tensor] = []

    def fork(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        inputs[:] = args

    def add(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        scale = block.layout.per_image(factor.to(args[0].dtype), args[0]) if isinstance(factor, Tensor) else factor
        if block.shortcut_kind != "none":
            return args[0], _scaled(args[1], scale)
        return (_scaled(args[0], scale) + _scaled(inputs.pop(), 1 - scale),)

    yield block.fork.register_forward_pre_hook(fork)
    yield block.sum.register_forward_pre_hook(add)


def _scaled(tensor: Tensor, scale: float | Tensor) -> Tensor:
    """Scale a tensor; scale 0 gives 0 also where the tensor is NaN or infinite."""
    scaled = scale * tensor
    return torch.where(torch.as_tensor(scale, device=tensor.device) == 0, torch.zeros_like(scaled), scaled)


def _growing(twin: nn.Module, on_block: OnProgress | None) -> Iterator[RemovableHandle]:
    """Make every removable block add one more image to the batch: the first one, as it would be without the block's branch."""
    blocks = blocks_of(twin)
    for number, block in enumerate(blocks.values(), start=1):
        yield from _branch_off(block, partial(on_block, number, len(blocks)) if on_block else ignore_progress)


def _branch_off(block: ResidualBlock, tell: Callable[[], None]) -> Iterator[RemovableHandle]:
    without: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Tensor, ...]) -> None:
        # A copy: where memory is scarce, activations overwrite what they are given.
        without[:] = [block.activated(block.layout.of_image(args[0], 0).clone())]

    def hand_on(_: nn.Module, __: object, output: Tensor) -> Tensor:
        tell()
        return block.layout.joined([output, without.pop()]) if without else output

    if is_removable(block):
        # The shortcut's input to the sum; in a plain block, the block's input.
        place = block.fork if block.shortcut_kind == "none" else block.sum
        yield place.register_forward_pre_hook(keep)
    yield block.output.register_forward_hook(hand_on)


def _removal(net: Net, name: str, row: Array, index: int, logit: float, probabilities: tuple[float, float]) -> BlockRemoval:
    block = net.blocks[name]
    stage = block.stage
    if np.isnan(row[0]):
        return BlockRemoval(name, stage, block.shortcut_kind)
    intact, left = probabilities
    value = float(row[index])
    return BlockRemoval(
        name, stage, block.shortcut_kind, value, logit - value, left, intact - left, net.labels[int(row.argmax())]
    )
