"""How much of the gradient flows through paths of each length? The unravelled view of a residual network, without sampling.

A network of n blocks is a sum over 2^n paths: in every block a path takes the shortcut or the residual branch, and its length
is the number of branches that it takes (Veit et al. 2016, https://arxiv.org/abs/1605.06431, section 3). With every branch
scaled by t, the gradient at the input of the first block is a polynomial in t, and its coefficient k is the gradient through
exactly k branches. All coefficients are propagated backwards together; a branch shifts each of them up by one. Activations and
the masks of the ReLUs are those of the whole network, so the coefficients add up to its gradient.

`path_samples` uses the method of Veit et al. (section 5, figure 6): random paths of each length, with one backward pass each.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.cuts import Back, Cut, carry_back, count_paths, cutting
from resnet_viz.nets.net import Net, WeightsOrigin, check_net
from resnet_viz.progress import OnProgress

Floats = NDArray[np.float64]
# Larger numbers overflow the integers of NumPy.
MOST_BLOCKS = 62
# The sampled paths of one length share their backward passes.
SAMPLES = 16


@dataclass(frozen=True, eq=False)
class PathLengths:
    """The gradient through all paths of each length together; entry k belongs to the paths through exactly k branches.

    `paths` counts the paths. `norms` are the L2 norms of the gradient through them, in units of the logit per unit of x.
    `shares` are the projections on the whole gradient g, <g_k, g> / |g|^2, which add up to 1; a negative share points against
    g.
    """

    model: str
    title: str
    weights: WeightsOrigin
    target: int
    target_label: str
    logit: float
    blocks: tuple[str, ...]
    paths: tuple[int, ...]
    norms: Floats
    shares: Floats

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return self.norms.nbytes + self.shares.nbytes

    def table(self) -> pd.DataFrame:
        """Return one row per length: the number of paths, the norm of the gradient through them, and its share."""
        columns = {"paths": self.paths, "grad_norm": self.norms, "grad_share": self.shares}
        return pd.DataFrame(columns, index=pd.RangeIndex(len(self.paths), name="length"))


@dataclass(frozen=True, eq=False)
class PathGradients:
    """The gradient of the target logit at the input of the first block, separated by path length.

    `coefficients` are float32 (n + 1, C, H, W) for n blocks; in a network of tokens, (n + 1, tokens, C), and a network that
    cuts the image into parts has an axis of parts after the first. Entry k is the gradient through exactly k residual branches,
    and all entries add up to the whole gradient. `lengths` has their norms and shares.
    """

    lengths: PathLengths
    coefficients: Array

    @property
    def counts(self) -> NDArray[np.int64]:
        """The number of paths of each length, (n + 1,): the binomial coefficients of n in a chain of residual blocks."""
        exact = np.int64 if len(self.lengths.blocks) <= MOST_BLOCKS else object
        return np.array(self.lengths.paths, exact)

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return self.lengths.nbytes + self.coefficients.nbytes

    def table(self) -> pd.DataFrame:
        """Return one row per length (see `PathLengths.table`)."""
        return self.lengths.table()


@dataclass(frozen=True, eq=False)
class PathSamples:
    """Single random paths, float64 (n + 1, samples): row k contains paths through exactly k branches.

    `norms` are L2 norms of the gradient through one path, and `shares` its projection on the whole gradient, <g_path, g> /
    |g|^2.
    """

    model: str
    title: str
    weights: WeightsOrigin
    target: int
    target_label: str
    blocks: tuple[str, ...]
    paths: tuple[int, ...]
    seed: int
    norms: Floats
    shares: Floats

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        return self.norms.nbytes + self.shares.nbytes

    @property
    def estimates(self) -> Floats:
        """The estimated share of the gradient through all paths of each length: the number of paths times the sample mean."""
        means: Floats = np.array(self.paths, np.float64) * self.shares.mean(1)
        return means

    @property
    def errors(self) -> Floats:
        """The standard error of each estimate; NaN for a single sample."""
        count = self.shares.shape[1]
        if count < 2:
            return np.full(len(self.paths), np.nan)
        spread: Floats = np.array(self.paths, np.float64) * self.shares.std(1, ddof=1) / np.sqrt(count)
        return spread


def path_gradients(
    net: Net, image: Image.Image, target: int | str | None = None, *, on_block: OnProgress | None = None
) -> PathGradients:
    """Separate the gradient at the input of the first block by the number of residual branches that it flows through.

    The gradient is that of the target logit, by default of the predicted class. The cost is one forward pass and about n / 2
    backward passes for n blocks. A projection counts as the shortcut of its block; a plain block has one path, through its
    layers. `on_block(done, total)` is called after each block, from the last to the first; an exception that it raises cancels.
    Raises ValueError for a class that the network does not have.
    """
    check_net(net)
    start = _cut(net, image, target)
    carried = carry_back(start.cuts, start.value, _longer, _joined, 1, start.reporting(on_block))
    paths = count_paths(start.cuts, start.value)
    layout = next(iter(net.blocks.values())).input_layout
    found = torch.stack([layout.of_image(each, 0) for each in carried])
    # All entries of the only image: a leading axis of one goes, that of several parts of the image stays.
    found = found.squeeze(layout.axis + 1) if layout.rows == 1 else found
    coefficients = torch.cat([found, found.new_zeros(len(paths) - len(found), *found.shape[1:])]).float().cpu()
    rows = coefficients.double().flatten(1)
    whole = rows.sum(0)
    lengths = PathLengths(
        net.name,
        net.title,
        net.weights,
        start.target,
        net.labels[start.target],
        start.value.item(),
        tuple(net.blocks),
        paths,
        rows.norm(dim=1).numpy(),
        _shares(rows, whole),
    )
    return PathGradients(lengths, coefficients.numpy())


def path_samples(
    net: Net,
    image: Image.Image,
    target: int | str | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    *,
    on_length: OnProgress | None = None,
) -> PathSamples:
    """Draw `samples` random paths of every length and compute the gradient along each, as Veit et al. 2016 do.

    All paths of one length are equally likely. `on_length(done, total)` is called after each length; an exception that it
    raises cancels. Raises ValueError for a class that the network does not have, for fewer than 1 sample, and for a network
    that is not a chain of residual blocks (a plain network has a single path).
    """
    check_net(net)
    if samples < 1:
        raise ValueError(f"{samples} samples of each length are too few: choose 1 or more")
    start = _cut(net, image, target)
    paths = count_paths(start.cuts, start.value)
    if paths != tuple(math.comb(len(paths) - 1, length) for length in range(len(paths))):
        raise ValueError(
            f"the blocks of {net.title} do not form a chain in which each has a shortcut and a branch, so a path"
            " cannot be drawn block by block: take path_gradients, which needs no sampling"
        )
    whole = carry_back(start.cuts, start.value, lambda _, arrived, back: back(arrived), torch.add, 1)
    whole = whole.cpu().double().flatten()
    norms, shares = (np.empty((len(paths), samples)) for _ in range(2))
    generator = torch.Generator().manual_seed(seed)
    for length, routes in enumerate(_routes(len(paths) - 1, samples, generator)):
        arrived = carry_back(start.cuts, start.value, partial(_routed, routes), torch.add, samples)
        rows = arrived.cpu().double().flatten(1)
        norms[length], shares[length] = rows.norm(dim=1).numpy(), _shares(rows, whole)
        if on_length is not None:
            on_length(length + 1, len(paths))
    label = net.labels[start.target]
    return PathSamples(net.name, net.title, net.weights, start.target, label, tuple(net.blocks), paths, seed, norms, shares)


@dataclass(frozen=True, eq=False)
class _Start:
    """A forward pass with its cuts, and the logit that is differentiated."""

    cuts: list[Cut]
    target: int
    value: Tensor

    def reporting(self, on_block: OnProgress | None) -> Callable[[Cut], None] | None:
        if on_block is None:
            return None
        total = 1 + max(cut.block for cut in self.cuts)

        def report(cut: Cut) -> None:
            # The backward walk meets the branch first, and its cost is counted last.
            if cut.place == "residual":
                on_block(total - cut.block, total)

        return report


def _cut(net: Net, image: Image.Image, target: int | str | None) -> _Start:
    chosen = None if target is None else net.class_index(target)
    twin = net.twin()
    with torch.inference_mode(mode=False), torch.enable_grad(), cutting(twin) as cuts:
        logits: Tensor = twin(net.preprocess(image))
        index = int(logits[0].argmax()) if chosen is None else chosen
        return _Start(cuts, index, logits[0, index])


def _longer(cut: Cut, arrived: Tensor, back: Back) -> dict[int, Tensor]:
    """Send a polynomial through a piece; a residual branch makes every path through it longer by one."""
    found = back(arrived)
    if cut.place != "residual":
        return found
    return {number: torch.cat([rows.new_zeros(1, *rows.shape[1:]), rows]) for number, rows in found.items()}


def _joined(first: Tensor, second: Tensor) -> Tensor:
    """Add two polynomials, which may have different degrees."""
    if len(first) < len(second):
        first, second = second, first
    if len(first) == len(second):
        return first + second
    return torch.cat([first[: len(second)] + second, first[len(second) :]])


def _routed(routes: Tensor, cut: Cut, arrived: Tensor, back: Back) -> dict[int, Tensor]:
    """Send through a piece the rows whose paths take it; `routes` (rows, blocks) is True where a path takes the branch."""
    if cut.place == "input":
        return back(arrived)
    taken = routes[:, cut.block] if cut.place == "residual" else ~routes[:, cut.block]
    rows = taken.nonzero()[:, 0].to(arrived.device)
    if not len(rows):
        return {}
    empty = arrived.new_zeros
    return {
        number: empty(len(arrived), *found.shape[1:]).index_copy(0, rows, found)
        for number, found in back(arrived[rows]).items()
    }


def _routes(blocks: int, samples: int, generator: torch.Generator) -> Iterator[Tensor]:
    """For every length, the branches that each sampled path takes, (samples, blocks)."""
    for length in range(blocks + 1):
        order = torch.rand(samples, blocks, generator=generator, dtype=torch.float32, device="cpu").argsort(1)
        yield order.argsort(1) < length


def _shares(rows: Tensor, whole: Tensor) -> Floats:
    """Project each row on the whole gradient; NaN where that is 0."""
    shares: Floats = (rows @ whole / whole.square().sum()).numpy()
    return shares
