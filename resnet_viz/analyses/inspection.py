"""The main analysis: everything that the first page shows, in one forward and one backward pass."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple, TypeVar, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from resnet_viz.analyses.activations import Array, array
from resnet_viz.analyses.cams import cam
from resnet_viz.analyses.capture import Tape, recording
from resnet_viz.analyses.measures import ForkGradients, Measures, measure
from resnet_viz.display import InNotebooks
from resnet_viz.nets.blocks import ShortcutKind
from resnet_viz.nets.known_layers import has_known_layers
from resnet_viz.nets.layouts import CHANNELS_FIRST, TensorLayout
from resnet_viz.nets.net import Head, Net, WeightsOrigin, check_net
from resnet_viz.progress import OnProgress

Precision = Literal["float32", "float16", "bfloat16", "float64"]
Record = TypeVar("Record", Tape, ForkGradients)

NO_PREDICTION = (
    "The network returns NaN or infinite numbers for this image, from which no class follows: check the weights of the network"
    " and its preprocessing."
)


class Prediction(NamedTuple):
    """A class, its logit, and its probability: the softmax of the logits, or the sigmoid of the logit (see `Net.head`).

    A network with a single logit has one prediction: the class of the logit, whatever its probability.
    """

    label: str
    index: int  # type: ignore[assignment]  # the public name; nobody asks a prediction for tuple.index
    logit: float
    probability: float


@dataclass(frozen=True, eq=False)
class BlockMaps:
    """One block's tensors, float32 (C, H, W); those of other layouts are seen as such maps (see `resnet_viz.nets.layouts`).

    `sum` is exactly identity + residual, and `output` exactly its activation. `grad_identity` and `grad_residual` are d logit
    / dx
    through the shortcut and through F, and add up to `grad_input`. A plain block has no shortcut: `identity` and
    `grad_identity` are None, and `sum` is the residual. `precision` is the number type that the network computes in.
    """

    identity: Array | None
    residual: Array
    sum: Array
    output: Array
    grad_identity: Array | None
    grad_residual: Array
    grad_input: Array
    precision: Precision = "float32"

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(values.nbytes for values in vars(self).values() if isinstance(values, np.ndarray))

    @property
    def error(self) -> float:
        """The largest entry of |identity + residual - sum|, computed in the network's own precision."""
        made = self.residual if self.identity is None else self.identity + self.residual
        rounded = torch.from_numpy(made).to(getattr(torch, self.precision)).to(torch.from_numpy(made).dtype).numpy()
        return float(np.abs(rounded - self.sum).max())


@dataclass(frozen=True, eq=False)
class BlockInspection:
    """One block: its scalars and Grad-CAM always, its maps unless they were dropped to save memory.

    `name` and `stage` (from 1) say where the block stands, `shortcut` the kind of its shortcut, "none" in a plain block.
    `measures` are its scalars. The arrays `identity`, `residual`, `sum`, `output` and the three gradients are those of `maps`,
    which is None after `Inspection.keeping`; they then raise ValueError.

    `shape` is (C, H, W) of the sum. `cam` is Grad-CAM at the block's output (Selvaraju et al. 2017,
    https://arxiv.org/abs/1610.02391, equation 2), (H, W), after ReLU, not normalised. `activation` is the class of the
    activation behind the sum, "" where the sum is the output. `tokens_apart` names the tokens that are no patch of the image,
    such as the class token: they count in the measures and are not in the maps. `note` says why the positions of the maps have
    no place in the image, "" where they have one.
    """

    name: str
    stage: int
    shortcut: ShortcutKind
    shape: tuple[int, int, int]
    measures: Measures
    cam: Array
    maps: BlockMaps | None
    activation: str = "ReLU"
    tokens_apart: tuple[str, ...] = ()
    note: str = ""

    @property
    def spatial(self) -> bool:
        """Whether every position of the maps has its place in the image."""
        return not self.note

    @property
    def activated(self) -> str:
        """The activation in words, "no activation" where none follows the sum."""
        return self.activation or "no activation"

    @property
    def identity(self) -> Array | None:
        """The identity x, or the shortcut's output where shapes change, float32 (C, H, W); None in a plain block."""
        return self._maps.identity

    @property
    def residual(self) -> Array:
        """The residual F(x), float32 (C, H, W)."""
        return self._maps.residual

    @property
    def sum(self) -> Array:
        """Identity + residual, float32 (C, H, W)."""
        return self._maps.sum

    @property
    def output(self) -> Array:
        """The sum after the activation, or the sum itself, float32 (C, H, W)."""
        return self._maps.output

    @property
    def grad_identity(self) -> Array | None:
        """The target's logit differentiated by the block's input, through the shortcut alone, float32 (C, H, W) of the input.

        None in a plain block.
        """
        return self._maps.grad_identity

    @property
    def grad_residual(self) -> Array:
        """The target's logit differentiated by the block's input, through the residual branch alone, float32 (C, H, W)."""
        return self._maps.grad_residual

    @property
    def grad_input(self) -> Array:
        """The whole gradient of the target's logit at the block's input, float32 (C, H, W): the sum of the two parts."""
        return self._maps.grad_input

    @property
    def _maps(self) -> BlockMaps:
        if self.maps is None:
            raise ValueError(f"the maps of {self.name} were dropped by Inspection.keeping(). Inspect the image again")
        return self.maps


@dataclass(frozen=True, eq=False, repr=False)
class Inspection(InNotebooks):
    """What every block of a network computes for one image.

    `seen` is the crop that the network received, uint8 (H, W, 3). The gradients are those of the logit of `target`.
    `predictions` contain every class, most probable first, and `head` says how the probabilities were computed. `ends`
    describes what stands before the first block and after the last.
    """

    model: str
    title: str
    weights: WeightsOrigin
    device: str
    seen: NDArray[np.uint8]
    target: int
    predictions: tuple[Prediction, ...]
    blocks: tuple[BlockInspection, ...]
    head: Head = "softmax"
    ends: tuple[str, str] = ("stem convolution", "global average pooling, linear layer")

    @property
    def target_label(self) -> str:
        """The target's name."""
        return next(p.label for p in self.predictions if p.index == self.target)

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        maps = sum(block.maps.nbytes for block in self.blocks if block.maps is not None)
        return maps + self.seen.nbytes + sum(block.cam.nbytes for block in self.blocks)

    def block(self, name: str) -> BlockInspection:
        """Return the block of that name; KeyError lists the available ones."""
        for block in self.blocks:
            if block.name == name:
                return block
        raise KeyError(f"{self.title} has no block {name!r}; it has {', '.join(block.name for block in self.blocks)}")

    def most_changed(self) -> str:
        """Name the block whose residual is largest relative to its identity; for a plain network, the strongest response."""

        def size(block: BlockInspection) -> float:
            return block.measures.response_std if block.shortcut == "none" else block.measures.ratio

        return max(self.blocks, key=size).name

    def table(self) -> pd.DataFrame:
        """Return one row per block with every scalar measure; `resnet_viz.MEANINGS` documents the columns and their units.

        `logit_drop` and `probability_drop`, the decrease of the target without each block, are NaN: they need one more pass per
        block, which `resnet_viz.ablation_sweep` makes.
        """
        rows = [
            {"block": block.name, "stage": block.stage, "shortcut": block.shortcut} | asdict(block.measures)
            for block in self.blocks
        ]
        return pd.DataFrame(rows).set_index("block")

    @property
    def has_removals(self) -> bool:
        """Whether the measures include the decrease of the target without each block."""
        return any(not math.isnan(block.measures.logit_drop) for block in self.blocks)

    def keeping(self, *names: str) -> "Inspection":
        """Return a small copy: all scalars and Grad-CAMs, but only the maps of the named blocks.

        KeyError for an unknown block lists the available ones.
        """
        for name in names:
            self.block(name)
        blocks = tuple(block if block.name in names else replace(block, maps=None) for block in self.blocks)
        return replace(self, blocks=blocks)


def inspect(
    net: Net,
    image: Image.Image,
    target: int | str | None = None,
    *,
    on_block: OnProgress | None = None,
) -> Inspection:
    """Inspect an image block by block, in one forward and one backward pass.

    `target` is a class index or label, by default the predicted class. `on_block(done, total)` is called after each block of
    the forward pass; an exception that it raises cancels the inspection. No hook touches `net`, and threads may inspect
    different images at the same time.

    Raises:
        ValueError: the network has no such class, or several of that label; its logits are NaN or infinite.
        ImageError: the image cannot be used.
        TypeError: `net` is no network, or `image` no PIL image.
    """
    return inspect_batch(net, [image], [target], on_block=on_block)[0]


def inspect_batch(
    net: Net,
    images: Iterable[Image.Image],
    targets: Sequence[int | str | None],
    *,
    on_block: OnProgress | None = None,
) -> list[Inspection]:
    """Inspect several images, each for its own target, in one pass.

    In evaluation mode, the images of a batch do not affect one another: each result equals that of the image alone, up to
    rounding. Images are cropped one at a time, so that an iterator never holds two large ones. Otherwise as `inspect`.
    """
    check_net(net)
    chosen = [None if target is None else net.class_index(target) for target in targets]
    seen = [net.preprocessing.seen(image) for image in images]
    # Also if the caller has switched gradients off.
    with torch.inference_mode(mode=False), torch.enable_grad(), recording(net, on_block) as (run, tapes):
        x = torch.cat([net.preprocessing.normalise(each) for each in seen]).to(net.device)
        logits = run(x.requires_grad_())
        if not bool(logits.isfinite().all()):
            raise ValueError(NO_PREDICTION)
        indices = [int(row.argmax()) if index is None else index for row, index in zip(logits, chosen, strict=True)]
        gradients = fork_gradients(tapes, logits[range(len(indices)), indices].sum())
    return [
        _inspection(net, crop, index, logits[number].detach(), *_one(tapes, gradients, number))
        for number, (crop, index) in enumerate(zip(seen, indices, strict=True))
    ]


def _inspection(
    net: Net, seen: Image.Image, index: int, logits: Tensor, tapes: list[Tape], gradients: list[ForkGradients]
) -> Inspection:
    measures = measure(tapes, gradients)
    return Inspection(
        model=net.name,
        title=net.title,
        weights=net.weights,
        device=str(net.device),
        seen=np.asarray(seen),
        target=index,
        predictions=ranked(net, logits),
        blocks=tuple(map(_block, tapes, gradients, measures)),
        head=net.head,
        ends=Inspection.ends if has_known_layers(net.module) else ("stem", "head"),
    )


def fork_gradients(tapes: list[Tape], logit: Tensor) -> list[ForkGradients]:
    """One backward pass: at both ends of every fork, at every block's input, and at the last block's output."""
    shortcuts = [tape.to_shortcut for tape in tapes if tape.to_shortcut is not None]
    branches = [tape.to_branch for tape in tapes]
    inputs = [tape.input for tape in tapes]
    # A block's output is often the next block's input, whose gradient is already computed.
    handed_on = [tape.output is after.input for tape, after in pairwise(tapes)] + [False]
    outputs = [tape.output for tape, next_input in zip(tapes, handed_on, strict=True) if not next_input]
    grads = iter(torch.autograd.grad(logit, [*shortcuts, *branches, *inputs, *outputs], materialize_grads=True))
    at_shortcut = [None if tape.to_shortcut is None else next(grads) for tape in tapes]
    at_branch = [next(grads) for _ in tapes]
    at_input = [next(grads) for _ in tapes]
    at_output = [at_input[number + 1] if next_input else next(grads) for number, next_input in enumerate(handed_on)]
    cams = [cam(tape.output, gradient, tape.layout) for tape, gradient in zip(tapes, at_output, strict=True)]
    return list(map(ForkGradients, at_shortcut, at_branch, at_input, cams))


def _one(tapes: list[Tape], gradients: list[ForkGradients], number: int) -> tuple[list[Tape], list[ForkGradients]]:
    """Return the part of one image of a batch, as copies; views would keep the tensors of the whole batch in memory."""
    if tapes[0].layout.count(tapes[0].sum) == 1:
        return tapes, gradients
    pairs = list(zip(tapes, gradients, strict=True))
    return [_picked(tape, tape, number) for tape, _ in pairs], [_picked(grads, tape, number) for tape, grads in pairs]


def _picked(record: Record, tape: Tape, number: int) -> Record:
    own: dict[str, Tensor] = {}
    for name, value in vars(record).items():
        if isinstance(value, Tensor):
            own[name] = _layout_of(name, record, tape).of_image(value.detach(), number).clone()
    return replace(record, **own)  # type: ignore[arg-type]  # tensors take the place of tensors


def _layout_of(name: str, record: Tape | ForkGradients, tape: Tape) -> TensorLayout:
    """Return the layout of a field: gradients are at the block's input, and a Grad-CAM has one map an image."""
    if name == "cam":
        return CHANNELS_FIRST
    at_input = isinstance(record, ForkGradients) or name in ("input", "to_shortcut", "to_branch")
    return tape.input_layout if at_input else tape.layout


def ranked(net: Net, logits: Tensor) -> tuple[Prediction, ...]:
    """List every class for logits (classes,), most probable first."""
    order = logits.argsort(descending=True).tolist()
    values, shares = logits.tolist(), net.probabilities(logits).tolist()
    return tuple(Prediction(net.labels[i], i, values[i], shares[i]) for i in order)


def _block(tape: Tape, grads: ForkGradients, measures: Measures) -> BlockInspection:
    inside, before = tape.layout, tape.input_layout
    maps = BlockMaps(
        identity=None if tape.identity is None else _maps(tape.identity, inside),
        residual=_maps(tape.residual, inside),
        sum=_maps(tape.sum, inside),
        output=_maps(tape.output, inside),
        grad_identity=None if grads.identity is None else _maps(grads.identity, before),
        grad_residual=_maps(grads.residual, before),
        grad_input=_maps(grads.input, before),
        precision=_precision(tape.sum),
    )
    channels, height, width = maps.sum.shape
    return BlockInspection(
        name=tape.name,
        stage=tape.stage,
        shortcut=tape.shortcut,
        shape=(channels, height, width),
        measures=measures,
        cam=array(grads.cam),
        maps=maps,
        activation=tape.block.activation,
        tokens_apart=inside.apart,
        note=inside.note,
    )


def _maps(tensor: Tensor, layout: TensorLayout) -> Array:
    return array(layout.maps(tensor.detach()))


def _precision(tensor: Tensor) -> Precision:
    name = str(tensor.dtype).removeprefix("torch.")
    return next(known for known in get_args(Precision) if known == name)
