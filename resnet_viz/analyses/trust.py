"""Can an attribution be trusted? Deletion and insertion, randomised parameters, and the effect of small changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.attribution import Attribution, attribute
from resnet_viz.analyses.baselines import Baseline
from resnet_viz.analyses.context import Explained, explain
from resnet_viz.analyses.methods import METHODS
from resnet_viz.nets.initialisation import initialise
from resnet_viz.nets.net import Net
from resnet_viz.nets.parts import parts
from resnet_viz.nets.residual_graph.sections import STEM
from resnet_viz.progress import OnProgress, ignore_progress


@dataclass(frozen=True, eq=False)
class PerturbationCurve:
    """The target's probability while pixels are removed or restored in an order; `shares` of the pixels, 0 to 1.

    `area` is the area under the curve by the trapezoidal rule: small is good for deletion, large for insertion.
    """

    shares: Array
    probabilities: Array

    @property
    def area(self) -> float:
        """The area under the curve, 0 to 1."""
        return float(np.trapezoid(self.probabilities, self.shares))


@dataclass(frozen=True, eq=False)
class Perturbation:
    """Deletion and insertion (Petsiuk et al. 2018, https://arxiv.org/abs/1806.07421, section 3.2), by the map and at random.

    Removed pixels show the `baseline`. A `constant` map has the same value at every pixel and therefore defines no order.
    """

    deletion: PerturbationCurve
    insertion: PerturbationCurve
    random_deletion: PerturbationCurve
    random_insertion: PerturbationCurve
    baseline: Baseline
    constant: bool

    @property
    def nbytes(self) -> int:
        """Memory of all arrays in bytes."""
        curves = (self.deletion, self.insertion, self.random_deletion, self.random_insertion)
        return sum(curve.shares.nbytes + curve.probabilities.nbytes for curve in curves)


@dataclass(frozen=True)
class Randomised:
    """The rank correlation with the original map after everything from the head down to each layer was re-initialised.

    None if one of the two maps has the same value at every pixel, which leaves no ranks to compare. `constant` means that the
    original map is the one, so that all correlations are None.
    """

    layers: tuple[str, ...]
    correlations: tuple[float | None, ...]
    constant: bool

    @property
    def nbytes(self) -> int:
        """Memory in bytes, about."""
        return 100 * len(self.layers)


@dataclass(frozen=True)
class Robustness:
    """How far a map is from the logit's behaviour, and how much it changes: see `infidelity` and `sensitivity`; 0 is best."""

    infidelity: float
    sensitivity: float

    @property
    def nbytes(self) -> int:
        """Memory in bytes, about."""
        return 100


def robustness(
    net: Net, image: Image.Image, attribution: Attribution, *, seed: int = 0, on_step: OnProgress = ignore_progress
) -> Robustness:
    """Compute both metrics with their default samples."""
    first = infidelity(net, image, attribution, seed=seed)
    on_step(1, 2)
    found = Robustness(first, sensitivity(net, image, attribution, seed=seed))
    on_step(2, 2)
    return found


def perturbation(
    net: Net,
    image: Image.Image,
    attribution: Attribution,
    steps: int = 32,
    *,
    baseline: Baseline = "blur",
    seed: int = 0,
    on_step: OnProgress = ignore_progress,
) -> Perturbation:
    """Remove the pixels in the order of the map, highest first, and restore them in that order; a random order for comparison.

    Removed pixels show the baseline. Batched: four curves of `steps` + 1 images. ValueError for fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"steps={steps} is too few: choose 1 or more")
    with torch.inference_mode():
        explained = explain(net, image, attribution.target)
        empty = explained.baseline(baseline, seed)
        by_map = _ranks(attribution.map)
        by_chance = np.random.default_rng(seed).permutation(by_map.size).reshape(by_map.shape)
        done = 0

        def tick(pictures: int) -> None:
            nonlocal done
            done += pictures
            on_step(done, 4 * (steps + 1))

        first, second, third, fourth = (
            _curve(explained, whole, ground, ranks, steps, tick)
            for ranks in (by_map, by_chance)
            for whole, ground in ((explained.x, empty), (empty, explained.x))
        )
    return Perturbation(first, second, third, fourth, baseline, _is_constant(attribution.map))


def randomisation(
    net: Net,
    image: Image.Image,
    attribution: Attribution,
    *,
    seed: int = 0,
    on_step: OnProgress = ignore_progress,
) -> Randomised:
    """Re-initialise the network layer by layer from the head down, and compare the map with that of the trained network.

    The cascading check of Adebayo et al. 2018 (https://arxiv.org/abs/1810.03292, section 4.1) with Spearman's rank correlation
    of absolute values: one step for the head, for each block, and for the layers between two blocks. A map that hardly changes
    does not depend on the trained weights.
    """
    drawn = replace(net, module=_with_own_weights(net.twin()))
    layers = [(name, names) for name, names in reversed(parts(net.module).items()) if names and name != STEM]
    trained = np.abs(attribution.map)
    found = []
    for done, (_, names) in enumerate(layers, 1):
        _reinitialise(drawn.module, names, seed + done)
        again = attribute(drawn, image, attribution.method, attribution.target, **attribution.options)
        found.append(rank_correlation(trained, np.abs(again.map)))
        on_step(done, len(layers))
    return Randomised(tuple(name for name, _ in layers), tuple(found), _is_constant(trained))


def infidelity(
    net: Net, image: Image.Image, attribution: Attribution, samples: int = 64, noise: float = 0.1, seed: int = 0
) -> float:
    """Return captum's infidelity (Yeh et al. 2019, https://arxiv.org/abs/1901.09392, equation 1), with the best scaling.

    The mean squared difference between the change that the map predicts for a noisy copy and the actual change of the logit; 0
    is best. `noise` is the standard deviation as a share of the image's range.
    """
    from captum.metrics import infidelity as captum_infidelity  # noqa: PLC0415 - captum takes two seconds to import

    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode(mode=False), torch.no_grad():
        explained = explain(net, image, attribution.target)
        deviation = noise * explained.range

        def perturb(inputs: Tensor) -> tuple[Tensor, Tensor]:
            drawn = torch.randn(inputs.shape, generator=generator, dtype=torch.float32, device="cpu") * deviation
            drawn = drawn.to(inputs.device)
            return drawn, inputs - drawn

        maps = torch.from_numpy(attribution.attributions)[None].to(explained.x.device)
        found = captum_infidelity(
            explained.logit, perturb, explained.x, maps, n_perturb_samples=samples,
            max_examples_per_batch=min(explained.batch, samples), normalize=True,
        )  # fmt: skip
    return float(found.item())


def sensitivity(
    net: Net, image: Image.Image, attribution: Attribution, samples: int = 8, radius: float = 0.02, seed: int = 0
) -> float:
    """Return captum's max-sensitivity (Yeh et al. 2019, definition 3): the largest change of the map for small image changes.

    The largest |map(x + d) - map(x)| / |map(x)| over `samples` uniform d within `radius`, in normalised units.
    """
    with torch.inference_mode(mode=False):
        return _sensitivity(explain(net, image, attribution.target), attribution, samples, radius, seed)


def _sensitivity(explained: Explained, attribution: Attribution, samples: int, radius: float, seed: int) -> float:
    from captum.metrics import sensitivity_max  # noqa: PLC0415 - captum takes two seconds to import

    generator = torch.Generator().manual_seed(seed)
    method = METHODS[attribution.method]
    options = method.options(**attribution.options)

    def perturb(inputs: Tensor | tuple[Tensor, ...]) -> Tensor:
        pictures = _only(inputs)
        drawn = (torch.rand(pictures.shape, generator=generator, dtype=torch.float32, device="cpu") * 2 - 1) * radius
        return pictures + drawn.to(pictures.device)

    # captum would take a bare tensor for a tuple of channels, each with a norm of its own.
    def maps(inputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor]:
        each = (method.run(replace(explained, x=x[None]), options, ignore_progress).attributions for x in _only(inputs))
        with torch.enable_grad():  # captum switches gradients off.
            return (torch.cat(list(each)),)

    found = sensitivity_max(maps, explained.x, perturb_func=perturb, n_perturb_samples=samples, max_examples_per_batch=1)
    return float(found.item())


def rank_correlation(first: Array, second: Array) -> float | None:
    """Spearman's rank correlation of two maps, with the mean rank for ties; None if one of them is constant."""
    if _is_constant(first) or _is_constant(second):
        return None
    return float(pd.Series(first.ravel()).rank().corr(pd.Series(second.ravel()).rank()))


def _is_constant(values: Array) -> bool:
    return bool(values.min() == values.max())


def _with_own_weights(twin: nn.Module) -> nn.Module:
    """Give a twin copies of the shared weights, so that they can be changed."""
    own: dict[int, nn.Parameter] = {}
    with torch.inference_mode(mode=False), torch.no_grad():
        for module in twin.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                copy = own.setdefault(id(parameter), nn.Parameter(parameter.clone(), requires_grad=False))
                own[id(copy)] = copy
                setattr(module, name, copy)
    return twin


@torch.no_grad()
def _reinitialise(module: nn.Module, names: Sequence[str], seed: int) -> None:
    """Re-initialise parameters; those that `initialise` does not cover get normal values with their own moments."""
    parameters = {name: module.get_parameter(name) for name in names}
    before = {name: parameter.clone() for name, parameter in parameters.items()}
    owners = dict.fromkeys(name.rpartition(".")[0] for name in names)
    # Only layers without layers of their own: what else a module holds may be in another part.
    layers = (layer for layer in map(module.get_submodule, owners) if not next(layer.children(), None))
    initialise(nn.ModuleList(layers), seed)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in parameters.items():
        if parameter.numel() > 1 and torch.equal(parameter, before[name]):
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float32, device="cpu")
            parameter.copy_(drawn * parameter.std().item() + parameter.mean().item())


def _only(inputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Captum passes a single input either bare or in a tuple."""
    return inputs if isinstance(inputs, Tensor) else inputs[0]


def _ranks(values: Array) -> NDArray[np.int64]:
    """Rank the pixels from the highest value on, (H, W)."""
    order = np.argsort(-values, axis=None, kind="stable")
    ranks = np.empty(order.size, np.int64)
    ranks[order] = np.arange(order.size)
    return ranks.reshape(values.shape)


def _curve(
    explained: Explained, whole: Tensor, ground: Tensor, ranks: NDArray[np.int64], steps: int, tick: Callable[[int], None]
) -> PerturbationCurve:
    """Replace the first share of the pixels in `whole` by those of `ground`, share by share."""
    counts = torch.linspace(0, ranks.size, steps + 1, dtype=torch.float32, device="cpu").round().to(explained.x.device)
    order = torch.from_numpy(ranks).to(explained.x.device)
    probabilities = []
    for chunk in explained.chunks(steps + 1):
        pictures = torch.where(order < counts[chunk].view(-1, 1, 1, 1), ground, whole)
        logits: Tensor = explained.twin(pictures)
        probabilities.append(explained.net.probabilities(logits)[:, explained.target])
        tick(chunk.stop - chunk.start)
    return PerturbationCurve((counts / ranks.size).cpu().numpy(), torch.cat(probabilities).cpu().numpy())
