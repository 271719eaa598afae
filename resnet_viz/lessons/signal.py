"""How much of a signal survives many layers, and how much gradient returns: chains of 3-wide convolutions before training.

Two chains share the same weights. The plain one repeats convolution, (batch norm,) and ReLU. The residual one has a shortcut
around every two convolutions (He et al. 2015, https://arxiv.org/abs/1512.03385, equation 1), in the paper's order:

    plain     h <- relu(norm(conv(h)))
    residual  h <- relu(h + norm(conv(relu(norm(conv(h))))))

Weights are drawn as in He et al. 2015b (https://arxiv.org/abs/1502.01852, equation 10, fan in). A batch norm uses the mean and
variance of the one signal, as in training. The first layers of a deeper chain are a shallower chain, so one forward pass gives
every depth. In the backward pass, the gradients of all depths go through the shared layers together.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_viz.analyses.activations import Array
from resnet_viz.progress import OnProgress

SignalKind = Literal["wave", "picture"]

CHANNELS, DEEPEST, CLASSES, WAVE = 12, 110, 10, 256
DEPTHS = tuple(range(2, DEEPEST + 1, 2))
SMALL = 1e-12


@dataclass(frozen=True, eq=False)
class Chain:
    """One chain, with one entry per depth of `DEPTHS`.

    `correlation`: |Pearson's r| of each channel with the same channel of the input, mean over channels, 0 to 1. `loss`:
    cross-entropy of an untrained linear layer on the channels' means, mean over the ten possible classes. `at_input` and
    `at_first_layer`: L2 norms of the gradient of that loss with respect to the signal and to the weights of the first
    convolution. `maps`: the channel that correlates most with the input, (depths, ...).
    """

    correlation: Array
    loss: Array
    at_input: Array
    at_first_layer: Array
    maps: Array

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(values.nbytes for values in vars(self).values())


@dataclass(frozen=True, eq=False)
class SignalThroughDepth:
    """Both chains on one signal.

    `signal` is one channel of the input, with mean 0 and standard deviation 1 over all channels; `cut` is the share of all its
    values that one ReLU sets to 0. `branch` is the factor on every residual branch before its addition.
    """

    kind: SignalKind
    signal: Array
    cut: float
    batch_norm: bool
    branch: float
    seed: int
    plain: Chain
    residual: Chain

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.signal.nbytes + self.plain.nbytes + self.residual.nbytes


def wave(seed: int = 0) -> Tensor:
    """Make a 1-D signal, float32 (1, 256): three sines with seeded phases and a frequency that rises to the right."""
    phases = torch.rand(3, 1, generator=torch.Generator().manual_seed(seed)) * 2 * math.pi
    place = torch.linspace(0, 1, WAVE)
    cycles = torch.tensor([[2.0], [5.0], [9.0]]) * place * (1 + place) / 2
    return (torch.tensor([[1.0], [0.6], [0.35]]) * torch.sin(2 * math.pi * cycles + phases)).sum(0, keepdim=True)


def run(
    kind: SignalKind,
    signal: Tensor,
    *,
    batch_norm: bool = True,
    branch: float = 1.0,
    seed: int = 0,
    on_step: OnProgress | None = None,
) -> SignalThroughDepth:
    """Send a signal, (1, L) or (3, H, W), through both chains to every depth of `DEPTHS`, and the gradients back.

    The signal is normalised to mean 0 and standard deviation 1, and its channels are repeated to fill all 12 channels.
    `on_step(done, total)` is called after every two layers, forwards and backwards; an exception that it raises stops the run.
    ValueError for a constant signal.
    """
    if not 0 <= branch <= 1:
        raise ValueError(f"the factor on the branches must be between 0 and 1, not {branch}")
    if float(signal.std()) < SMALL:
        raise ValueError("This image has the same colour everywhere, so no correlation with it exists. Choose another image.")
    source = (signal - signal.mean()) / signal.std()
    x = source.repeat(CHANNELS // len(source), *[1] * (source.ndim - 1))
    chains = Chains(batch_norm=batch_norm, branch=branch, seed=seed, dimensions=x.ndim - 1)
    total, done = 4 * len(DEPTHS), 0

    def step() -> None:
        nonlocal done
        done += 1
        if on_step is not None:
            on_step(done, total)

    plain, residual = (_follow(x, chains.units(residual=residual), chains, len(source), step) for residual in (False, True))
    shown = source[len(source) // 2].numpy()
    return SignalThroughDepth(kind, shown, float((source <= 0).float().mean()), batch_norm, branch, seed, plain, residual)


Unit = Callable[[Tensor, Tensor], Tensor]


class Chains:
    """The weights of both chains, drawn from a seed, for signals of 1 or 2 dimensions, and the linear layer for the logits."""

    def __init__(self, *, batch_norm: bool, branch: float, seed: int, dimensions: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        shape = (CHANNELS, CHANNELS, *[3] * dimensions)
        scale = math.sqrt(2 / math.prod(shape[1:]))
        self.weights = [torch.randn(shape, generator=generator) * scale for _ in range(DEEPEST)]
        self.head = (2 * torch.rand(CLASSES, CHANNELS, generator=generator) - 1) / math.sqrt(CHANNELS)
        self.batch_norm, self.branch, self.dimensions = batch_norm, branch, dimensions

    def units(self, *, residual: bool) -> list[tuple[Unit, Tensor]]:
        """Return two layers each: the function they compute of h and the first one's weights, and those weights."""
        make = self._block if residual else self._pair
        return [(make(self.weights[i + 1]), self.weights[i]) for i in range(0, DEEPEST, 2)]

    def loss(self, h: Tensor) -> Tensor:
        """Cross-entropy of the logits, mean over the ten possible classes."""
        logits = self.head @ h.flatten(1).mean(1)
        return -F.log_softmax(logits, 0).mean()

    def _layer(self, h: Tensor, weight: Tensor) -> Tensor:
        """Convolution and batch norm, (C, ...) -> (C, ...)."""
        made = (F.conv1d if self.dimensions == 1 else F.conv2d)(h[None], weight, padding=1)[0]
        if not self.batch_norm:
            return made
        pixels = tuple(range(1, made.ndim))
        centred = made - made.mean(pixels, keepdim=True)
        return centred * (centred.square().mean(pixels, keepdim=True) + 1e-5).rsqrt()

    def _pair(self, second: Tensor) -> Unit:
        return lambda h, first: self._layer(self._layer(h, first).relu(), second).relu()

    def _block(self, second: Tensor) -> Unit:
        return lambda h, first: (h + self.branch * self._layer(self._layer(h, first).relu(), second)).relu()


def _follow(x: Tensor, units: Sequence[tuple[Unit, Tensor]], chains: Chains, sources: int, step: Callable[[], None]) -> Chain:
    """Run forwards to every depth, and backwards from every depth."""
    inputs, h = [], x
    correlations, losses, maps = [], [], []
    for unit, first in units:
        inputs.append(h)
        h = unit(h, first)
        likeness = _correlation(h, x).abs()
        correlations.append(float(likeness.mean()))
        losses.append(float(chains.loss(h)))
        maps.append(h[int(likeness.argmax())].numpy())
        step()
    at_input, at_weights = _back([*inputs[1:], h], inputs, units, chains, step)
    # The signal was copied to several channels, so the gradients of its copies add up.
    folded = at_input.unflatten(1, (-1, sources)).sum(1)
    return Chain(
        np.array(correlations, np.float32),
        np.array(losses, np.float32),
        folded.flatten(1).norm(dim=1).numpy(),
        at_weights.flatten(1).norm(dim=1).numpy(),
        np.stack(maps),
    )


def _back(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    units: Sequence[tuple[Unit, Tensor]],
    chains: Chains,
    step: Callable[[], None],
) -> tuple[Tensor, Tensor]:
    """Gradients of every depth's loss with respect to the input, (depths, C, ...), and to the first layer's weights.

    Starting from the deepest unit, each loss joins the gradients that are already on their way: one pass for all depths.
    """
    under_way = torch.empty(0, *outputs[0].shape)
    for (unit, first), before, after in reversed(list(zip(units, inputs, outputs, strict=True))[1:]):
        under_way = _joined(under_way, after, chains)
        pull = torch.func.vjp(partial(_of_signal, unit, first), before)[1]
        (under_way,) = torch.func.vmap(pull)(under_way)
        step()
    unit, first = units[0]
    pull = torch.func.vjp(unit, inputs[0], first)[1]
    at_input, at_weights = torch.func.vmap(pull)(_joined(under_way, outputs[0], chains))
    step()
    return at_input, at_weights


def _joined(under_way: Tensor, after: Tensor, chains: Chains) -> Tensor:
    """Put the gradient of the loss at this depth before those of the deeper ones."""
    return torch.cat([torch.func.grad(chains.loss)(after)[None], under_way])


def _of_signal(unit: Unit, first: Tensor, h: Tensor) -> Tensor:
    return unit(h, first)


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's r of each channel of (C, ...) with the same channel of another tensor, 0 if either is constant."""
    a, b = ((t.flatten(1) - t.flatten(1).mean(1, keepdim=True)).double() for t in (a, b))
    sizes = a.norm(dim=1) * b.norm(dim=1)
    return torch.where(sizes > SMALL, (a * b).sum(1) / sizes.clamp(min=SMALL), 0)
