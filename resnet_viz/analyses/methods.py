"""The attribution methods, each on a twin on which it is right: every ReLU is called once and none works in place.

Captum computes what one pass or its own loop computes. The sampling methods are sweeps of gradients with random numbers of
their own, because Captum draws them from the process's global state, which other people's analyses draw from as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_viz.analyses.baselines import Baseline, noise_like
from resnet_viz.analyses.explained import Explained, Tick
from resnet_viz.nets.blocks import ResidualBlock, blocks_of

Place = Literal["residual", "shortcut", "output"]


@dataclass(frozen=True)
class NoOptions:
    """The method has nothing to choose."""


@dataclass(frozen=True)
class BaselineOptions:
    """What the picture is compared with; `seed` is the noise's."""

    baseline: Baseline = "black"
    seed: int = 0


@dataclass(frozen=True)
class PathOptions(BaselineOptions):
    """How many points of the straight line from the baseline to the picture."""

    steps: int = 32


@dataclass(frozen=True)
class NoiseOptions:
    """How many noisy copies; `noise` is their standard deviation as a share of the picture's range."""

    samples: int = 24
    noise: float = 0.15
    seed: int = 0


@dataclass(frozen=True)
class SampledPathOptions(NoiseOptions):
    """Random points of lines from the baseline to noisy copies of the picture."""

    noise: float = 0.09
    baseline: Baseline = "black"


@dataclass(frozen=True)
class WindowOptions(BaselineOptions):
    """The side of the window and how far it moves, as shares of the picture's side."""

    window: float = 1 / 6
    stride: float = 1 / 12


@dataclass(frozen=True)
class PlaceOptions:
    """Which block, by its name or the last one, and where in it: F(x), the shortcut's end, or the block's output."""

    block: str = ""
    place: Place = "output"


@dataclass(frozen=True)
class Result:
    """Attributions (1, 3, H, W), and the baseline that they are measured from, if any."""

    attributions: Tensor
    baseline: Tensor | None = None


@dataclass(frozen=True)
class Method:
    """A method by its title, what its map says in a sentence, where it comes from, its options and how it runs."""

    title: str
    sentence: str
    source: str
    options: type[Any]
    run: Callable[[Explained, Any, Tick], Result]


def _saliency(explained: Explained, _: NoOptions, tick: Tick) -> Result:
    gradient = explained.gradient(explained.x)
    tick(1, 1, None)
    return Result(gradient)


def _input_x_gradient(explained: Explained, _: NoOptions, tick: Tick) -> Result:
    gradient = explained.gradient(explained.x)
    tick(1, 1, None)
    return Result(gradient * explained.x)


def _integrated_gradients(explained: Explained, options: PathOptions, tick: Tick) -> Result:
    """Sundararajan et al. 2017, equation 1, by Gauss-Legendre quadrature; partial sums come from points of the whole line."""
    if options.steps < 1:
        raise ValueError(f"steps={options.steps} is too few: take 1 or more")
    baseline = explained.baseline(options.baseline, options.seed)
    alphas, weights = (torch.from_numpy(values).float().to(explained.x.device) for values in gauss_legendre(options.steps))
    order = spread_out(options.steps, explained.batch)
    way = explained.x - baseline
    total, covered = torch.zeros_like(explained.x), 0.0
    for chunk in explained.chunks(options.steps):
        alpha, weight = (values[order[chunk]].view(-1, 1, 1, 1) for values in (alphas, weights))
        total += (weight * explained.gradient(baseline + alpha * way)).sum(0, keepdim=True)
        covered += weight.sum().item()
        tick(chunk.stop, options.steps, total * way / covered)
    return Result(total * way, baseline)


def _smoothgrad(explained: Explained, options: NoiseOptions, tick: Tick) -> Result:
    """Smilkov et al. 2017, section 3.1: the mean of the gradients of noisy copies."""
    deviation, generator = options.noise * explained.range, torch.Generator().manual_seed(options.seed)
    total = torch.zeros_like(explained.x)
    for chunk in explained.chunks(_positive(options.samples)):
        noise = noise_like(explained.x, chunk.stop - chunk.start, deviation, generator)
        total += explained.gradient(explained.x + noise).sum(0, keepdim=True)
        tick(chunk.stop, options.samples, total / chunk.stop)
    return Result(total / options.samples)


def _gradient_shap(explained: Explained, options: SampledPathOptions, tick: Tick) -> Result:
    """Lundberg and Lee 2017 as expected gradients (Erion et al. 2019, equation 3): random points instead of a fixed grid."""
    deviation, generator = options.noise * explained.range, torch.Generator().manual_seed(options.seed)
    baseline = explained.baseline(options.baseline, options.seed)
    total = torch.zeros_like(explained.x)
    for chunk in explained.chunks(_positive(options.samples)):
        count = chunk.stop - chunk.start
        noisy = explained.x + noise_like(explained.x, count, deviation, generator)
        alpha = torch.rand((count, 1, 1, 1), generator=generator).to(explained.x.device)
        way = noisy - baseline
        total += (explained.gradient(baseline + alpha * way) * way).sum(0, keepdim=True)
        tick(chunk.stop, options.samples, total / chunk.stop)
    return Result(total / options.samples, baseline)


def _deep_lift(explained: Explained, options: BaselineOptions, tick: Tick) -> Result:
    from captum.attr import DeepLift  # noqa: PLC0415 - captum takes two seconds to import

    baseline = explained.baseline(options.baseline, options.seed)
    found = DeepLift(explained.twin).attribute(explained.x.clone().requires_grad_(), baseline, target=explained.target)
    tick(1, 1, None)
    return Result(found.detach(), baseline)


def _guided_backprop(explained: Explained, _: NoOptions, tick: Tick) -> Result:
    from captum.attr import GuidedBackprop  # noqa: PLC0415 - captum takes two seconds to import

    found = GuidedBackprop(explained.twin).attribute(explained.x.clone().requires_grad_(), target=explained.target)
    tick(1, 1, None)
    return Result(found.detach())


def _guided_grad_cam(explained: Explained, options: PlaceOptions, tick: Tick) -> Result:
    from captum.attr import GuidedGradCam  # noqa: PLC0415 - captum takes two seconds to import

    method = GuidedGradCam(explained.twin, _place(explained, options))
    x = explained.x.clone().requires_grad_()
    found = method.attribute(x, target=explained.target, interpolate_mode="bilinear")
    tick(1, 1, None)
    return Result(found.detach())


def _grad_cam(explained: Explained, options: PlaceOptions, tick: Tick) -> Result:
    from captum.attr import LayerGradCam  # noqa: PLC0415 - captum takes two seconds to import

    x = explained.x.clone().requires_grad_()
    cam = LayerGradCam(explained.twin, _place(explained, options)).attribute(x, target=explained.target, relu_attributions=True)
    assert isinstance(cam, Tensor)  # noqa: S101 - for the type checker: one layer gives one tensor
    large = F.interpolate(cam.detach(), explained.x.shape[2:], mode="bilinear")
    tick(1, 1, None)
    # A Grad-CAM has no colours: each gets a third, so that the channels' sum is the map.
    return Result(large.expand(-1, 3, -1, -1) / 3)


def _occlusion(explained: Explained, options: WindowOptions, tick: Tick) -> Result:
    """Zeiler and Fergus 2014: what a covered window costs the logit. A coarse pass first, so that there is something to see."""
    from captum.attr import Occlusion  # noqa: PLC0415 - captum takes two seconds to import

    side = explained.x.shape[-1]
    window, stride = max(1, round(options.window * side)), max(1, round(options.stride * side))
    if not 0 < options.stride <= options.window <= 1:
        raise ValueError(f"window {options.window} and stride {options.stride}: take 0 < stride <= window <= 1")
    baseline = explained.baseline(options.baseline, options.seed)
    passes = [(2 * window, 2 * window), (window, stride)]
    counts = [_windows(side, *sizes) ** 2 for sizes in passes]
    done, coarse = 0, None
    found = torch.zeros_like(explained.x)

    def logit(x: Tensor) -> Tensor:
        nonlocal done
        done += len(x)
        tick(min(done, sum(counts)), sum(counts), coarse)
        with torch.no_grad():
            return explained.logit(x)

    for size, step in passes:
        found = Occlusion(logit).attribute(
            explained.x,
            (3, min(size, side), min(size, side)),
            (3, step, step),
            baseline,
            perturbations_per_eval=explained.batch,
        )
        coarse = found
    return Result(found)


def _windows(side: int, window: int, stride: int) -> int:
    return 1 + max(0, -(-(side - window) // stride))


def gauss_legendre(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of the quadrature on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(steps)
    return (points + 1) / 2, weights / 2


def spread_out(count: int, batch: int) -> Tensor:
    """Order 0 .. count - 1 so that every run of `batch` of them is spread over the whole range."""
    passes = -(-count // batch)
    return torch.cat([torch.arange(first, count, passes) for first in range(passes)])


def _positive(samples: int) -> int:
    if samples < 1:
        raise ValueError(f"samples={samples} is too few: take 1 or more")
    return samples


def _place(explained: Explained, options: PlaceOptions) -> torch.nn.Module:
    blocks = blocks_of(explained.twin)
    name = options.block or next(reversed(blocks))
    if name not in blocks:
        raise ValueError(f"{explained.net.title} has no block {name!r}; it has {', '.join(blocks)}")
    return _at(blocks[name], name, options.place)


def _at(block: ResidualBlock, name: str, place: Place) -> torch.nn.Module:
    if place == "shortcut" and block.shortcut_kind == "none":
        raise ValueError(f"block {name} is plain and has no shortcut: take 'residual' or 'output'")
    places: dict[Place, torch.nn.Module] = {"residual": block.residual, "output": block.relu}
    if place == "shortcut":
        return block.shortcut
    if place not in places:
        raise ValueError(f"place {place!r} is unknown: take 'residual', 'shortcut' or 'output'")
    return places[place]


METHODS: dict[str, Method] = {
    "saliency": Method(
        "Saliency",
        "How much the logit would change if a pixel did.",
        "Simonyan et al. 2013, https://arxiv.org/abs/1312.6034",
        NoOptions,
        _saliency,
    ),
    "input_x_gradient": Method(
        "Input x Gradient",
        "The gradient times the pixel's own normalised value.",
        "Shrikumar et al. 2016, https://arxiv.org/abs/1605.01713",
        NoOptions,
        _input_x_gradient,
    ),
    "integrated_gradients": Method(
        "Integrated Gradients",
        "What each pixel adds to the logit on the way from the baseline to the picture; adds up to the difference.",
        "Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365",
        PathOptions,
        _integrated_gradients,
    ),
    "smoothgrad": Method(
        "SmoothGrad",
        "The mean of the gradients of noisy copies, which evens out the flicker of a single one.",
        "Smilkov et al. 2017, https://arxiv.org/abs/1706.03825",
        NoiseOptions,
        _smoothgrad,
    ),
    "deep_lift": Method(
        "DeepLift",
        "What each pixel adds, by comparing every ReLU with what it does on the baseline; adds up to the difference.",
        "Shrikumar et al. 2017, https://arxiv.org/abs/1704.02685",
        BaselineOptions,
        _deep_lift,
    ),
    "gradient_shap": Method(
        "GradientShap",
        "What each pixel adds on random points between baseline and noisy copies; adds up to the difference on average.",
        "Lundberg and Lee 2017, https://arxiv.org/abs/1705.07874; Erion et al. 2019, https://arxiv.org/abs/1906.10670",
        SampledPathOptions,
        _gradient_shap,
    ),
    "guided_backprop": Method(
        "Guided Backprop",
        "Edges that excite: a gradient that drops what is negative at every ReLU. It hardly depends on the class.",
        "Springenberg et al. 2014, https://arxiv.org/abs/1412.6806",
        NoOptions,
        _guided_backprop,
    ),
    "guided_grad_cam": Method(
        "Guided Grad-CAM",
        "Guided Backprop where Grad-CAM sees evidence for the class.",
        "Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391",
        PlaceOptions,
        _guided_grad_cam,
    ),
    "occlusion": Method(
        "Occlusion",
        "By how much the logit falls when a window of the picture is covered.",
        "Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901",
        WindowOptions,
        _occlusion,
    ),
    "grad_cam": Method(
        "Grad-CAM",
        "Where the maps that speak for the class are strong, at a block and a place of your choice.",
        "Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391",
        PlaceOptions,
        _grad_cam,
    ),
}
