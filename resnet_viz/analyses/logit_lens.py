"""What would the network predict if it stopped correcting here? The logits decoded after each block.

All residual branches after a block are removed, so that the block's output follows the remaining shortcuts, and the layers
between blocks, to the head. This is the logit lens (nostalgebraist 2020,
https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens) for residual networks: the original applies a
transformer's last layer to its residual stream. Veit et al. 2016 (https://arxiv.org/abs/1605.06431) remove branches in the same
way. After the last block, the result is the network's prediction. A plain block that changes the shape has no shortcut to
follow, so it is run.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from resnet_viz.analyses.ablation import is_removable, probabilities
from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.removals import does_not_grow, is_chain, without_branches
from resnet_viz.nets.blocks import ResidualBlock, blocks_of
from resnet_viz.nets.net import Head, Net, WeightsOrigin
from resnet_viz.progress import OnProgress, ignore_progress

STEM = "stem"


@dataclass(frozen=True, eq=False)
class Lens:
    """The logits decoded after the stem and after each block, float32 (blocks + 1, classes); the last row is the network's own.

    `places` are "stem" and the names of the blocks.
    """

    model: str
    title: str
    weights: WeightsOrigin
    labels: tuple[str, ...]
    places: tuple[str, ...]
    logits: Array
    head: Head = "softmax"

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return self.logits.nbytes

    @property
    def probabilities(self) -> Array:
        """The probabilities of each row: its softmax, or the sigmoid of each logit if `head` says so."""
        return probabilities(self.logits, self.head)

    @property
    def leaders(self) -> tuple[int, ...]:
        """The most probable class after each place."""
        return tuple(int(index) for index in self.logits.argmax(1))

    def lines(self, count: int) -> tuple[int, ...]:
        """The classes worth a line: the network's answer, the others that lead somewhere, then the likeliest at the end."""
        answer, peaks = self.leaders[-1], self.probabilities.max(0)
        leading = sorted({*self.leaders} - {answer}, key=lambda index: -float(peaks[index]))
        final = [int(index) for index in (-self.logits[-1]).argsort(kind="stable")]
        return tuple(dict.fromkeys([answer, *leading, *final]))[:count]

    @property
    def settled(self) -> str:
        """The first place from which on the most probable class is the network's prediction."""
        leaders = self.leaders
        last_other = max((number for number, leader in enumerate(leaders) if leader != leaders[-1]), default=-1)
        return self.places[last_other + 1]


def lens(net: Net, image: Image.Image, *, on_block: OnProgress | None = None) -> Lens:
    """Decode the logits after the stem and after each block, in one forward pass plus the shortcuts after each block.

    If a connection leads past several blocks, the network runs once for each place instead. `on_block(done, total)` is called
    after each block; an exception that it raises cancels.
    """
    logits: Array = _decoded(net, net.preprocess(image), on_block).cpu().numpy()
    return Lens(net.name, net.title, net.weights, net.labels, (STEM, *net.blocks), logits, net.head)


def _decoded(net: Net, x: Tensor, on_block: OnProgress | None) -> Tensor:
    """Return the logits after the stem and after each block, (blocks + 1, classes)."""
    twin = net.twin()
    with torch.inference_mode():
        if is_chain(twin):
            try:
                with ExitStack() as hooks:
                    for handle in _growing(twin, on_block):
                        hooks.callback(handle.remove)
                    logits: Tensor = twin(x)
                if len(logits) == len(net.blocks) + 1:
                    return logits.roll(-1, 0)
            except RuntimeError as error:
                if not does_not_grow(error):
                    raise
        names = list(net.blocks)
        return without_branches(net, x, [names[number:] for number in range(len(names) + 1)], on_block)


def _growing(twin: nn.Module, on_block: OnProgress | None) -> Iterator[RemovableHandle]:
    """Add one image to the batch at each place, which skips the branches after it; the first one stays the whole network's."""
    blocks = blocks_of(twin)
    for number, block in enumerate(blocks.values(), start=1):
        tell = partial(on_block, number, len(blocks)) if on_block else ignore_progress
        yield from _let_pass(block, tell) if is_removable(block) else _let_through(block, tell)


def _let_pass(block: ResidualBlock, tell: Callable[[], None]) -> Iterator[RemovableHandle]:
    """Compute the branch for the whole network's picture alone; all others, and one more, go along the shortcut."""
    at_input, at_sum = block.input_layout, block.layout
    passing: list[Tensor] = []

    def fork(_: nn.Module, args: tuple[Tensor, ...], ends: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        passing[:] = args
        return ends if block.facts.ways_share else (ends[0], at_input.of_image(ends[1], 0))

    def add(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        tell()
        if block.shortcut_kind == "none":
            x = passing.pop()
            return (torch.cat([args[0], x[1:], x[:1]]),)
        identity = at_sum.joined([args[0], at_sum.of_image(args[0], 0)])
        nothing = torch.zeros_like(at_sum.but_first(identity))
        return identity, at_sum.joined([at_sum.of_image(args[1], 0), nothing])

    yield block.fork.register_forward_hook(fork)
    yield block.sum.register_forward_pre_hook(add)


def _let_through(block: ResidualBlock, tell: Callable[[], None]) -> Iterator[RemovableHandle]:
    """Run all images, and one more, through a plain block that changes shapes."""

    def fork(_: nn.Module, __: object, ends: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        tell()
        more = torch.cat([ends[1], ends[1][:1]])
        return more, more

    yield block.fork.register_forward_hook(fork)
