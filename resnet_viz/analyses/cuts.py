"""A forward pass cut at the ends of both paths of every block, so that gradients can be propagated backwards piece by piece.

The input of a block, the end of its shortcut and the end of its residual branch each become a leaf of the autograd graph: the
computation before a cut ends there, and the computation after it starts from the same values. A batch of gradients is
propagated from cut to cut and can be changed between two pieces. The pieces are linear (ReLUs keep the masks of the forward
pass), so nothing is approximated.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from resnet_viz.nets.blocks import ResidualBlock, blocks_of

CutPlace = Literal["input", "identity", "residual"]


@dataclass(frozen=True, eq=False)
class Cut:
    """A cut in block number `block`: `before` has the graph of the piece before it, `after` is a leaf with the same values."""

    place: CutPlace
    block: int
    before: Tensor
    after: Tensor


# The number of gradients per backward pass; more take more memory and save no time.
ROWS = 8

# Gradients at the end of a piece, (rows, 1, C, H, W) -> gradients at the leaves that it starts from, by the number of their
# cut.
Back = Callable[[Tensor], dict[int, Tensor]]
# A cut, the gradients at its leaf and the backward function of its piece -> the gradients at earlier leaves.
Passing = Callable[[Cut, Tensor, Back], dict[int, Tensor]]
Join = Callable[[Tensor, Tensor], Tensor]


@contextmanager
def cutting(twin: nn.Module) -> Iterator[list[Cut]]:
    """Cut every block of `twin` while the context is open. The list is filled in the order of the forward pass."""
    cuts: list[Cut] = []
    with ExitStack() as hooks:
        for number, block in enumerate(blocks_of(twin).values()):
            for handle in _hook(number, block, cuts):
                hooks.callback(handle.remove)
        yield cuts


def carry_back(
    cuts: Sequence[Cut], value: Tensor, passing: Passing, join: Join, rows: int, on_cut: Callable[[Cut], None] | None = None
) -> Tensor:
    """Propagate d value backwards piece by piece and return the gradient at the input of the first block, (rows, 1, C, H, W).

    `passing` defines what passes through a cut, and `join` adds the gradients that two pieces contribute to one leaf. `rows` is
    the number of gradients, which are all equal at the start. `on_cut` is called after each cut; an exception that it raises
    stops the walk.
    """
    numbers = {id(cut.after): number for number, cut in enumerate(cuts)}
    arrived: dict[int, Tensor] = {}

    def collect(brought: dict[int, Tensor]) -> None:
        for number, gradient in brought.items():
            arrived[number] = join(arrived[number], gradient) if number in arrived else gradient

    collect(_back(value, cuts, numbers, torch.ones(rows, *value.shape, dtype=value.dtype, device=value.device)))
    for number in range(len(cuts) - 1, 0, -1):
        cut = cuts[number]
        if number in arrived and cut.before.requires_grad:
            collect(passing(cut, arrived.pop(number), partial(_back, cut.before, cuts, numbers)))
        if on_cut is not None:
            on_cut(cut)
    return arrived.get(0, cuts[0].after.new_zeros(rows, *cuts[0].after.shape))


def count_paths(cuts: Sequence[Cut], value: Tensor) -> tuple[int, ...]:
    """Return the number of paths from the first block's input to the value through exactly 0, 1, 2 ... residual branches."""
    numbers = {id(cut.after): number for number, cut in enumerate(cuts)}
    blocks = 1 + max(cut.block for cut in cuts)
    counts = [[0] * (blocks + 1) for _ in cuts]
    for number in _leaves(value, numbers):
        counts[number][0] += 1
    for number in range(len(cuts) - 1, 0, -1):
        longer = [0, *counts[number][:-1]] if cuts[number].place == "residual" else counts[number]
        for earlier in _leaves(cuts[number].before, numbers):
            counts[earlier] = [a + b for a, b in zip(counts[earlier], longer, strict=True)]
    return tuple(counts[0])


def _hook(number: int, block: ResidualBlock, cuts: list[Cut]) -> Iterator[RemovableHandle]:
    def cut(place: CutPlace, before: Tensor) -> Tensor:
        after = before.detach().requires_grad_()
        cuts.append(Cut(place, number, before, after))
        return after

    def fork(_: nn.Module, args: tuple[Tensor, ...], __: object) -> tuple[Tensor, Tensor]:
        after = cut("input", args[0])
        return after, after

    def end(place: CutPlace) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        return lambda _, __, output: cut(place, output)

    yield block.fork.register_forward_hook(fork)
    if block.shortcut_kind != "none":
        yield block.shortcut.register_forward_hook(end("identity"))
    yield block.residual.register_forward_hook(end("residual"))


def _leaves(tensor: Tensor, numbers: dict[int, int]) -> list[int]:
    """Return the numbers of the cuts whose leaves a tensor was computed from, each once."""
    if id(tensor) in numbers:
        return [numbers[id(tensor)]]
    found, seen, waiting = set(), set(), [tensor.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None and id(variable) in numbers:
            found.add(numbers[id(variable)])
        waiting += [following for following, _ in node.next_functions]
    return sorted(found)


def _back(tensor: Tensor, cuts: Sequence[Cut], numbers: dict[int, int], gradients: Tensor) -> dict[int, Tensor]:
    """Apply the transposed Jacobian of a piece to gradients (rows, ...) at its end; the result is keyed by cut number."""
    reached = _leaves(tensor, numbers)
    if not reached:
        return {}
    if id(tensor) in numbers:
        return {reached[0]: gradients}
    leaves = [cuts[number].after for number in reached]

    def pull(gradient: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(tensor, leaves, gradient, retain_graph=True)

    return dict(zip(reached, _batched(pull, gradients), strict=True))


def _batched(pull: Callable[[Tensor], tuple[Tensor, ...]], gradients: Tensor) -> tuple[Tensor, ...]:
    if len(gradients) == 1:
        return tuple(found[None] for found in pull(gradients[0]))
    try:
        pulled: tuple[Tensor, ...] = torch.func.vmap(pull, chunk_size=ROWS)(gradients)
    except (RuntimeError, NotImplementedError):
        # An operation in a user's network may have no batching rule.
        return tuple(map(torch.stack, zip(*(pull(gradient) for gradient in gradients), strict=True)))
    return pulled
