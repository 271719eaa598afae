"""DeepLift, with an exact rule for every activation and every max pool: its map adds up to the difference of the logits.

Captum computes it on a twin in which every activation and every max pool is called once. What has no rule is refused in
advance, and a map that does not add up is refused afterwards.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.analyses.captum_remarks import silence_captum
from resnet_viz.analyses.context import Explained
from resnet_viz.analyses.method_options import BaselineOptions, Result
from resnet_viz.progress import OnPartial

_POOLS: dict[type[nn.Module], Callable[..., Any]] = {
    nn.MaxPool1d: F.max_pool1d,
    nn.MaxPool2d: F.max_pool2d,
    nn.MaxPool3d: F.max_pool3d,
}
# What rounding may miss, as a share of the difference, or of the sum of all absolute attributions where these cancel out.
ROUNDING, ROUNDING_IN_HALF = 1e-2, 2e-1
_WAY_OUT = "take Integrated Gradients or GradientShap, which need no rules."


def deep_lift(explained: Explained, options: BaselineOptions, tick: OnPartial[Tensor]) -> Result:
    """Shrikumar et al. 2017, the rescale rule.

    ValueError for a network of half precision, and for one with operations that have no rule.
    """
    if explained.net.precision == torch.float16:
        raise ValueError(
            "DeepLift divides by differences that half precision rounds to 0. Use Integrated Gradients, or the network in "
            "float32 (module.float())"
        )
    activations = _activations(explained)
    baseline = explained.baseline(options.baseline, options.seed)
    silence_captum()
    method = _method()(explained.twin, activations)
    found = method.attribute(explained.x.clone().requires_grad_(), baseline, target=explained.target).detach()
    _check_sum(explained, found, explained.difference(baseline))
    tick(1, 1, None)
    return Result(found, baseline)


def _check_sum(explained: Explained, found: Tensor, difference: float) -> None:
    """Raise ValueError if the attributions do not add up to the difference of the logits; rounding may miss a little of it."""
    share = ROUNDING if explained.net.precision.itemsize >= 4 else ROUNDING_IN_HALF
    total, size = found.double().sum().item(), found.double().abs().sum().item()
    if abs(total - difference) > share * max(abs(difference), size):
        raise ValueError(
            f"the DeepLift map of {explained.net.title} adds up to {total:.3g}, and the logit differs by {difference:.3g}"
            f" between the image and the baseline, so the map would mislead: {_WAY_OUT}"
        )


def _activations(explained: Explained) -> tuple[type[nn.Module], ...]:
    """Return the classes of the network's activations; ValueError if it has an operation without a rule."""
    findings = getattr(explained.twin, "residual_findings", None)
    # A module that was put into a Net by hand was not looked into.
    if findings is None:
        return ()
    if findings.other_nonlinear:
        raise ValueError(
            f"DeepLift has no rule for {listed(findings.other_nonlinear[:3])}, which {explained.net.title} has, so its map"
            f" would not add up to the logit's difference: {_WAY_OUT}"
        )
    return tuple(getattr(nn, name) for name in findings.activations)


def listed(words: tuple[str, ...] | list[str]) -> str:
    """Write words as an enumeration: "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


@cache
def _method() -> Any:  # noqa: ANN401 - captum has no types
    """Return Captum's DeepLift with the rules of this module."""
    from captum.attr import DeepLift  # noqa: PLC0415 - captum takes two seconds to import
    from captum.attr._core import deep_lift as captum_rules  # noqa: PLC0415 - as above

    class ExactDeepLift(DeepLift):  # type: ignore[misc]  # captum has no types
        """Hooks every activation and max pool once, by whatever names the network has it."""

        def __init__(self, model: nn.Module, activations: tuple[type[nn.Module], ...]) -> None:
            super().__init__(model)
            self._rules = captum_rules.SUPPORTED_NON_LINEAR | dict.fromkeys(activations, captum_rules.nonlinear)
            self._rules |= dict.fromkeys(_POOLS, pool_rule)
            self._hooked: set[nn.Module] = set()

        def _is_non_linear(self, module: nn.Module) -> bool:
            return type(module) in self._rules

        def _can_register_hook(self, module: nn.Module) -> bool:
            if module in self._hooked or not super()._can_register_hook(module):
                return False
            self._hooked.add(module)
            return True

        def _backward_hook(self, module: nn.Module, grad_input: Tensor, grad_output: Tensor) -> Tensor:
            rule = self._rules[type(module)]
            multipliers: Tensor = rule(module, module.input, module.output, grad_input, grad_output, eps=self.eps)
            del module.input, module.output
            return multipliers

    return ExactDeepLift


def pool_rule(
    pool: nn.Module, inputs: Tensor, outputs: Tensor, grad_input: Tensor, grad_output: Tensor, eps: float = 1e-10
) -> Tensor:
    """Return the multipliers of a max pool: a window's difference belongs to the highest pixel of the image or the baseline.

    `inputs` and the other tensors hold the image and then the baseline, along the first axis. If a window is higher in the
    image, the difference belongs to its highest pixel there, else to its highest pixel in the baseline, because the difference
    of that pixel is at least as large. Windows may overlap: a pixel gets the sum.
    """
    image, baseline = outputs.chunk(2)
    _, places = _POOLS[type(pool)](
        inputs, pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode, return_indices=True
    )
    higher, slope = torch.maximum(image, baseline), grad_output.chunk(2)[0]
    parts = torch.cat([slope * (higher - baseline), slope * (image - higher)])
    at_image, at_baseline = torch.zeros_like(inputs).flatten(2).scatter_add(2, places.flatten(2), parts.flatten(2)).chunk(2)
    difference = torch.sub(*inputs.chunk(2))
    brought = (at_image + at_baseline).view_as(difference) / difference
    multipliers = torch.where(difference.abs() < eps, grad_input.chunk(2)[0], brought)
    return torch.cat([multipliers, multipliers])
