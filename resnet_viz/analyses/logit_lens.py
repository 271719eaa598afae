"""What would the network predict if it stopped correcting here? The logits decoded after each block.

All residual branches after a block are removed, so that the block's output follows the remaining shortcuts to the average
pooling and the linear layer. This is the logit lens (nostalgebraist 2020,
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

    @property
    def settled(self) -> str:
        """The first place from which on the most probable class is the network's prediction."""
        leaders = self.leaders
        last_other = max((number for number, leader in enumerate(leaders) if leader != leaders[-1]), default=-1)
        return self.places[last_other + 1]


def lens(net: Net, image: Image.Image, *, on_block: OnProgress | None = None) -> Lens:
    """Decode the logits after the stem and after each block, in one forward pass plus the shortcuts after each block.

    `on_block(done, total)` is called after each block; an exception that it raises cancels.
    """
    twin = net.twin()
    # One image per place passed so far, each as it would be without the branches since.
    stopped: list[Tensor] = []
    with ExitStack() as hooks, torch.inference_mode():
        for handle in _reading(twin, stopped, on_block):
            hooks.callback(handle.remove)
        logits: Array = twin(net.preprocess(image)).cpu().numpy()
    return Lens(net.name, net.title, net.weights, net.labels, (STEM, *net.blocks), logits, net.head)


def along_shortcut(block: ResidualBlock, x: Tensor) -> Tensor:
    """Return a block's output for (N, C, H, W) without its residual branch; a plain block that changes the shape is run."""
    if not is_removable(block):
        output: Tensor = block.relu(block.branch(x))
        return output
    return (x if block.downsample is None else block.downsample(x)).relu()


def _reading(twin: nn.Module, stopped: list[Tensor], on_block: OnProgress | None) -> Iterator[RemovableHandle]:
    blocks = blocks_of(twin)
    for number, block in enumerate(blocks.values(), start=1):
        tell = partial(on_block, number, len(blocks)) if on_block else ignore_progress
        yield block.register_forward_hook(_passing(block, stopped, tell))

    def head(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
        return (torch.cat([*stopped, args[0]]),)

    yield twin.get_submodule("avgpool").register_forward_pre_hook(head)


def _passing(
    block: ResidualBlock, stopped: list[Tensor], tell: Callable[[], None]
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def passing(_: nn.Module, args: tuple[Tensor, ...], __: Tensor) -> None:
        stopped[:] = [along_shortcut(block, torch.cat([*stopped, args[0]]))]
        tell()

    return passing
