"""Whether a traced network answers as its module does: for several images, for one alone, and in its gradients."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from resnet_viz.nets.blocks import ResidualBlock, blocks_of
from resnet_viz.nets.residual_graph.copying import is_copy, trial_copy
from resnet_viz.nets.residual_graph.tracing import Logits, OutputError

# Shares of the largest logit by which those of an image alone may differ from those beside another image. On a CPU, rounding
# changes at most 1e-6 of it in float32 and 1e-3 in half precision, as measured on 14 families; a GPU may choose less exact
# kernels for one image than for two.
ALONE, ALONE_IN_HALF, ALONE_ON_A_GPU = 1e-4, 2e-2, 2e-2
# Shares of the largest gradient, and of the largest number in a block's output.
GRADIENT, OUTPUT = 1e-2, 5e-2


class NotCopiedError(ValueError):
    """A module that a copy of the network shares with the original, and calls."""


@dataclass(frozen=True, eq=False)
class TrialRun:
    """The logits of a network for some images together and for the first one alone, with their graph for gradients."""

    pixels: Tensor
    together: Tensor
    alone: Tensor

    def gradient(self) -> Tensor | None:
        """Return the gradient of the sum of all logits at the pixels, or None if there is none."""
        if not self.together.requires_grad:
            return None
        weights = torch.linspace(1, 2, self.together.numel()).to(self.together).view_as(self.together)
        (found,) = torch.autograd.grad(self.together, self.pixels, weights, allow_unused=True)
        return found

    def steps(self) -> Counter[str]:
        """Count the operations that autograd recorded, by name."""
        return Counter(step.name() for step in self._graph())

    @property
    def differentiable(self) -> bool:
        """Whether a gradient flows from the logits to the pixels, through operations that all have one."""
        graph = self._graph()
        reached = any(getattr(step, "variable", None) is self.pixels for step in graph)
        return reached and not any("NotImplemented" in step.name() for step in graph)

    def _graph(self) -> set[Any]:
        waiting: list[Any] = [self.together.grad_fn]
        seen: set[Any] = {None}
        while waiting:
            step = waiting.pop()
            if step not in seen:
                seen.add(step)
                waiting.extend(earlier for earlier, _ in step.next_functions)
        return seen - {None}


class PlaceWatch:
    """Keeps the tensors at the places of a network's blocks during a pass, and says whether they stay as they were added."""

    def __init__(self) -> None:
        self._kept: dict[ResidualBlock, dict[str, tuple[Tensor, int]]] = {}

    def attach(self, network: nn.Module) -> None:
        """Put a hook on every place of every block."""
        for block in blocks_of(network).values():
            kept = self._kept[block] = {}
            for name, place in block.places.items():
                place.register_forward_hook(partial(self._keep, kept, name))

    @staticmethod
    def _keep(kept: dict[str, tuple[Tensor, int]], name: str, _: nn.Module, __: Any, output: Any) -> None:  # noqa: ANN401 - a hook
        tensor = output[0] if isinstance(output, tuple) else output
        kept[name] = (tensor, tensor._version)  # noqa: SLF001 - it has no other name

    def disturbed(self) -> str:
        """Say in which block a tensor was overwritten after it was kept, or return "" if there is none."""
        for block, kept in self._kept.items():
            changed = any(tensor._version != version for tensor, version in kept.values())  # noqa: SLF001 - as above
            tensors = {name: tensor.detach() for name, (tensor, _) in kept.items()}
            if {"shortcut", "residual", "sum"} <= set(tensors):
                total = tensors["shortcut"] + tensors["residual"]
                changed = changed or not torch.equal(total.nan_to_num(), tensors["sum"].nan_to_num())
            if changed:
                return (
                    f"a later operation overwrites the input, a path or the sum of block {block.name}, so identity + residual"
                    " would not be the sum; replace what works in place there"
                )
        return ""


def trial_run(module: nn.Module, pixels: Tensor, watch: PlaceWatch | None = None) -> TrialRun:
    """Run a module in evaluation mode on some images and on the first one alone, whatever it raises.

    It runs on a copy of its tree, so that it writes to no buffer of the module itself. The `watch` keeps tensors of the second
    pass. OutputError if the output contains no tensor of logits, has another form for one image than for several, or cannot be
    differentiated.
    """
    # With gradients, as in the analyses: without them, attention may use another implementation that rounds differently.
    with torch.enable_grad():
        given = pixels.clone().requires_grad_()
        together = trial_copy(Logits(module))(given)
        again = trial_copy(Logits(module))
        if watch is not None:
            watch.attach(again)
        alone = again(pixels[:1].clone().requires_grad_())
    name = type(module).__name__
    if not isinstance(together, Tensor):
        raise OutputError(f"the logits of {name} are a {type(together).__name__}. Return a tensor (N, classes)")
    if not together.is_floating_point():
        kind = str(together.dtype).removeprefix("torch.")
        raise OutputError(f"the logits of {name} are {kind} numbers. Return floating-point logits (N, classes)")
    if together.ndim == 0 or alone.shape != (1, *together.shape[1:]):
        one, two = ("×".join(map(str, each.shape)) or "a single number" for each in (alone, together))
        raise OutputError(
            f"{name} returns {one} for one image and {two} for two. Keep the axis of images: flatten(1) in place of squeeze()"
        )
    found = TrialRun(given, together, alone)
    if not given.is_meta and not found.differentiable:
        raise OutputError(
            f"no gradient flows from the logits of {name} to the image, as after quantised or detached layers. Open the network"
            " before it was quantised"
        )
    return found


@contextmanager
def copies_only() -> Iterator[None]:
    """Let no module of this thread be called that is not a copy: its hooks would run, and its statistics change."""
    thread = threading.get_ident()

    def check(module: nn.Module, _: Any) -> None:  # noqa: ANN401 - a hook
        own = vars(module)
        hooked = own["_forward_pre_hooks"] or own["_forward_hooks"]
        # Without buffers, as in a layer that the forward pass creates, a call changes nothing.
        changes = hooked or any(buffer is not None for buffer in own["_buffers"].values())
        if changes and threading.get_ident() == thread and not is_copy(module):
            raise NotCopiedError(
                f"its forward pass calls a {type(module).__name__} not as a submodule but through something else, such as an"
                " object, a class or a global variable. That would run the module's own hooks and change its statistics. Assign"
                " it to an attribute of the module that calls it, and call it through that attribute"
            )

    handle = register_module_forward_pre_hook(check)
    try:
        yield
    finally:
        handle.remove()


def changed_weight(copy: nn.Module, module: nn.Module) -> str:
    """Name a parameter of a copy with memory of its own that is not the module's any more; "" for none."""
    own = dict(module.named_parameters())
    changed = (name for name, tensor in copy.named_parameters() if name in own and not _unchanged(tensor, own[name]))
    return next(changed, "")


def _unchanged(found: Tensor, expected: Tensor) -> bool:
    if found.shape != expected.shape:
        return False
    # NaN is not equal to itself, and seldom there.
    return torch.equal(found, expected) or torch.equal(found.nan_to_num(), expected.nan_to_num())


def mixes_images(answers: TrialRun) -> bool:
    """Whether the logits of an image depend on the other images in the batch."""
    share = ALONE_ON_A_GPU if answers.together.device.type != "cpu" else ALONE
    if answers.together.itemsize < 4:
        share = ALONE_IN_HALF
    return not _close(answers.alone, answers.together[:1], share)


def scatters_images(network: nn.Module, pixels: Tensor) -> bool:
    """Whether a block gets several tensors for one image that do not stand side by side in the batch.

    That is so if a network joins a second version of all images to the batch, and not if it cuts each image into windows.
    """
    copy = trial_copy(network)
    blocks = [block for block in blocks_of(copy).values() if block.layout.rows > 1]
    if not blocks:
        return False
    kept: list[Tensor] = []
    for block in blocks:
        block.output.register_forward_hook(lambda _, __, output: kept.append(output))
    with torch.no_grad():
        copy(pixels)
        copy(pixels[:1])
    together, alone = kept[: len(blocks)], kept[len(blocks) :]
    pairs = zip(blocks, together, alone, strict=True)
    return not all(_close(one, block.layout.of_image(all_images, 0), OUTPUT) for block, all_images, one in pairs)


def departure(found: TrialRun, own: TrialRun, *, exact: bool) -> str:
    """Say in what a traced network departs from its module, or return "" if it answers the same."""
    pairs = ((found.together, own.together), (found.alone, own.alone))
    if not all(_same(one, other, exact=exact) for one, other in pairs):
        return "the traced network's logits differ from the module's"
    # Only if autograd recorded something else can gradients differ.
    if found.steps() != own.steps() and not _same_gradients(found.gradient(), own.gradient()):
        return (
            "the traced network's gradients differ from the module's: an autograd function of its own, or `torch.no_grad()` in"
            " its forward pass, is lost in a trace"
        )
    return ""


def _same(found: Tensor, expected: Tensor, *, exact: bool) -> bool:
    if found.shape != expected.shape:
        return False
    if torch.equal(found.nan_to_num(), expected.nan_to_num()):
        return True
    return not exact and torch.allclose(found, expected, rtol=1e-3, atol=1e-5)


def _same_gradients(found: Tensor | None, expected: Tensor | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return _close(found, expected, GRADIENT)


def _close(found: Tensor, expected: Tensor, share: float) -> bool:
    found, expected = found.detach().nan_to_num(), expected.detach().nan_to_num()
    return bool((found - expected).abs().max() <= share * expected.abs().max()) if expected.numel() else True
