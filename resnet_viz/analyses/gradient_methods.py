"""Methods that use one gradient, or a sweep of gradients at many points.

The random numbers come from separate generators: Captum draws them from the process's global state, which concurrent analyses
of other sessions use as well.
"""

import numpy as np
import torch
from torch import Tensor

from resnet_viz.analyses.baselines import noise_like
from resnet_viz.analyses.context import Explained
from resnet_viz.analyses.method_options import NoiseOptions, NoOptions, PathOptions, Result, SampledPathOptions, checked_count
from resnet_viz.progress import OnPartial


def saliency(explained: Explained, _: NoOptions, tick: OnPartial[Tensor]) -> Result:
    """Simonyan et al. 2013, section 3: the gradient, signed."""
    gradient = explained.gradient(explained.x)
    tick(1, 1, None)
    return Result(gradient)


def input_x_gradient(explained: Explained, _: NoOptions, tick: OnPartial[Tensor]) -> Result:
    """Shrikumar et al. 2016: the gradient times the normalised image."""
    gradient = explained.gradient(explained.x)
    tick(1, 1, None)
    return Result(gradient * explained.x)


def integrated_gradients(explained: Explained, options: PathOptions, tick: OnPartial[Tensor]) -> Result:
    """Sundararajan et al. 2017, equation 1, by Gauss-Legendre quadrature; partial sums are spread over the line."""
    points = gauss_legendre(checked_count("steps", options.steps))
    baseline = explained.baseline(options.baseline, options.seed)
    alphas, weights = (torch.from_numpy(values).float().to(explained.x.device) for values in points)
    order = spread_out(options.steps)
    way = explained.x - baseline
    total, covered = torch.zeros_like(explained.x), 0.0
    for chunk in explained.chunks(options.steps, soon=True):
        alpha, weight = (values[order[chunk]].view(-1, 1, 1, 1) for values in (alphas, weights))
        total += (weight * explained.gradient(baseline + alpha * way)).sum(0, keepdim=True)
        covered += weight.sum().item()
        tick(chunk.stop, options.steps, total * way / covered)
    return Result(total * way, baseline)


def smoothgrad(explained: Explained, options: NoiseOptions, tick: OnPartial[Tensor]) -> Result:
    """Smilkov et al. 2017, section 3.1: the mean of the gradients of noisy copies."""
    deviation, generator = options.noise * explained.range, torch.Generator().manual_seed(options.seed)
    total = torch.zeros_like(explained.x)
    for chunk in explained.chunks(checked_count("samples", options.samples), soon=True):
        noise = noise_like(explained.x, chunk.stop - chunk.start, deviation, generator)
        total += explained.gradient(explained.x + noise).sum(0, keepdim=True)
        tick(chunk.stop, options.samples, total / chunk.stop)
    return Result(total / options.samples)


def gradient_shap(explained: Explained, options: SampledPathOptions, tick: OnPartial[Tensor]) -> Result:
    """Lundberg and Lee 2017, as expected gradients (Erion et al. 2019, equation 3): random points instead of a fixed grid."""
    deviation, generator = options.noise * explained.range, torch.Generator().manual_seed(options.seed)
    baseline = explained.baseline(options.baseline, options.seed)
    # All at once, so that the numbers do not depend on how many images per pass this device takes.
    shape = (checked_count("samples", options.samples), 1, 1, 1)
    alphas = torch.rand(shape, generator=generator, dtype=torch.float32, device="cpu").to(explained.x.device)
    total = torch.zeros_like(explained.x)
    for chunk in explained.chunks(options.samples, soon=True):
        noisy = explained.x + noise_like(explained.x, chunk.stop - chunk.start, deviation, generator)
        way = noisy - baseline
        total += (explained.gradient(baseline + alphas[chunk] * way) * way).sum(0, keepdim=True)
        tick(chunk.stop, options.samples, total / chunk.stop)
    return Result(total / options.samples, baseline)


def gauss_legendre(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of the quadrature on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(steps)
    return (points + 1) / 2, weights / 2


def spread_out(count: int) -> Tensor:
    """Order 0 .. count - 1 by multiples of the golden ratio, so that every prefix is spread over the whole range."""
    places = (0.5 + torch.arange(count, dtype=torch.float64) * (5**0.5 - 1) / 2) % 1
    return places.argsort().argsort()
