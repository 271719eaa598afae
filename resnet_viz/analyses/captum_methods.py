"""Methods that Captum computes, on a twin that meets its requirements: every ReLU is called once, and none works in place.

A user's module with other activations than ReLUs is refused by Guided Backprop, which is defined for these.
"""

from contextlib import ExitStack
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.analyses.cams import cam, keeper
from resnet_viz.analyses.captum_remarks import silence_captum
from resnet_viz.analyses.context import Explained
from resnet_viz.analyses.deep_lift import listed
from resnet_viz.analyses.measures import CUTTING
from resnet_viz.analyses.method_options import CamPlace, NoOptions, PlaceOptions, Result, WindowOptions
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.layouts import CHANNELS_FIRST, TensorLayout
from resnet_viz.progress import OnPartial, ignore_progress

PLACES = get_args(CamPlace)
# The window side of Occlusion's first, coarse pass, in windows; with the default window, four of them cover the image.
COARSE = 4
# Activations that serve as weights of others; Guided Backprop uses their ordinary gradient.
GATES = ("Sigmoid", "Hardsigmoid", "Tanh")
# Activations that are called as functions, and so cannot be hooked.
FUNCTIONS = frozenset(
    {"relu", "relu6", "gelu", "silu", "hardswish", "prelu", "rrelu", "threshold", "clamp", "clampmin", "clampmax", "clip"}
    | {"maximum", "minimum", "hardshrink", "softshrink", "tanhshrink", "softsign", "logsigmoid", "sin", "cos", "atan", "erf"}
)


def guided_backprop(explained: Explained, _: NoOptions, tick: OnPartial[Tensor]) -> Result:
    """Springenberg et al. 2014: a gradient that sets negative values to 0 at every ReLU."""
    from captum.attr import GuidedBackprop  # noqa: PLC0415 - captum takes two seconds to import

    _make_guidable(explained, "Guided Backprop")
    silence_captum()
    found = GuidedBackprop(explained.twin).attribute(explained.x.clone().requires_grad_(), target=explained.target)
    tick(1, 1, None)
    return Result(found.detach())


def guided_grad_cam(explained: Explained, options: PlaceOptions, tick: OnPartial[Tensor]) -> Result:
    """Selvaraju et al. 2017, section 3.2: Guided Backprop times Grad-CAM, enlarged bilinearly."""
    from captum.attr import GuidedGradCam  # noqa: PLC0415 - captum takes two seconds to import

    name, place = _place(explained, options)
    _make_guidable(explained, "Guided Grad-CAM")
    if blocks_of(explained.twin)[name].layout != CHANNELS_FIRST:
        evidence = grad_cam(explained, options, ignore_progress).attributions * 3
        return Result(evidence * guided_backprop(explained, NoOptions(), tick).attributions)
    silence_captum()
    method = GuidedGradCam(explained.twin, place)
    x = explained.x.clone().requires_grad_()
    found = method.attribute(x, target=explained.target, interpolate_mode="bilinear")
    tick(1, 1, None)
    return Result(found.detach())


def grad_cam(explained: Explained, options: PlaceOptions, tick: OnPartial[Tensor]) -> Result:
    """Selvaraju et al. 2017, equations 1 and 2, enlarged bilinearly."""
    from captum.attr import LayerGradCam  # noqa: PLC0415 - captum takes two seconds to import

    x = explained.x.clone().requires_grad_()
    name, place = _place(explained, options)
    layout = blocks_of(explained.twin)[name].layout
    if layout == CHANNELS_FIRST:
        small = LayerGradCam(explained.twin, place).attribute(x, target=explained.target, relu_attributions=True)
        assert isinstance(small, Tensor)  # noqa: S101 - for the type checker: one layer gives one tensor
    else:
        small = _cam_of(explained, place, layout, x)
    large = F.interpolate(small.detach(), explained.x.shape[2:], mode="bilinear")
    tick(1, 1, None)
    # A Grad-CAM has no colours: each channel gets a third, so that the channels' sum is the map.
    return Result(large.expand(-1, 3, -1, -1) / 3, cells=small.detach())


def occlusion(explained: Explained, options: WindowOptions, tick: OnPartial[Tensor]) -> Result:
    """Zeiler and Fergus 2014: by how much a covered window lowers the logit. A coarse pass gives an early preview."""
    from captum.attr import Occlusion  # noqa: PLC0415 - captum takes two seconds to import

    side = explained.x.shape[-1]
    window, stride = max(1, round(options.window * side)), max(1, round(options.stride * side))
    if not 0 < options.stride <= options.window <= 1:
        raise ValueError(f"window {options.window} and stride {options.stride}: choose 0 < stride <= window <= 1")
    baseline = explained.baseline(options.baseline, options.seed)
    passes = [(COARSE * window, COARSE * window), (window, stride)]
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


def _cam_of(explained: Explained, place: nn.Module, layout: TensorLayout, x: Tensor) -> Tensor:
    """Compute Grad-CAM at a place whose tensors have another layout, (1, 1, h, w)."""
    kept: list[Tensor] = []
    with ExitStack() as hooks:
        hooks.callback(place.register_forward_hook(lambda _, __, output: kept.append(output)).remove)
        (gradient,) = torch.autograd.grad(explained.logit(x).sum(), kept, materialize_grads=True)
    return cam(kept[0], gradient, layout)[:, None]


def _make_guidable(explained: Explained, title: str) -> None:
    """Raise ValueError if the network has activations other than ReLUs (gates may be sigmoids); a ReLU6 counts as a ReLU."""
    findings = getattr(explained.twin, "residual_findings", None)
    if findings is None:
        return
    others = [name for name in findings.activations if name not in (*CUTTING, *GATES)]
    others += [name for name in findings.other_nonlinear if name in FUNCTIONS]
    if others or not set(findings.activations) & set(CUTTING):
        what = f"has {listed(others)}" if others else "has none"
        raise ValueError(
            f"{title} is defined for networks whose activations are ReLUs, and {explained.net.title} {what}: take Saliency,"
            " Integrated Gradients or Grad-CAM, which work with every activation."
        )
    for path, layer in list(explained.twin.named_modules()):
        if isinstance(layer, nn.ReLU6):
            owner, _, name = path.rpartition(".")
            setattr(explained.twin.get_submodule(owner), name, _CappedReLU())


class _CappedReLU(nn.ReLU):
    """A ReLU6 that Captum treats as a ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(x)


def _place(explained: Explained, options: PlaceOptions) -> tuple[str, nn.Module]:
    blocks = blocks_of(explained.twin)
    name = options.block or _last_block(explained)
    if name not in blocks:
        raise ValueError(f"{explained.net.title} has no block {name!r}; it has {', '.join(blocks)}")
    if options.place not in PLACES:
        raise ValueError(f"place {options.place!r} is unknown: choose 'residual', 'shortcut' or 'output'")
    if options.place == "shortcut" and blocks[name].shortcut_kind == "none":
        raise ValueError(f"block {name} is plain and has no shortcut: choose 'residual' or 'output'")
    if not blocks[name].layout.spatial:
        others = [other for other, block in blocks.items() if block.layout.spatial]
        way_out = f"take one of {', '.join(others)}" if others else "take Integrated Gradients, which works on the pixels"
        raise ValueError(
            f"block {name} of {explained.net.title} has no Grad-CAM, because {blocks[name].layout.note}: {way_out}."
        )
    return name, blocks[name].get_submodule(options.place)


def _last_block(explained: Explained) -> str:
    """Return the last block whose maps reach the logit: after the last attention, only the class token reaches it."""
    blocks = {name: block for name, block in blocks_of(explained.twin).items() if block.layout.spatial}
    if not blocks:
        return next(reversed(blocks_of(explained.twin)))
    last = next(reversed(blocks))
    if not blocks[last].layout.apart:
        return last
    kept: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for name, block in blocks.items():
            hooks.callback(block.output.register_forward_hook(keeper(name, kept)).remove)
        gradients = torch.autograd.grad(
            explained.logit(explained.x.clone().requires_grad_()).sum(), list(kept.values()), materialize_grads=True
        )
    reached = {name: bool(blocks[name].layout.maps(gradient).any()) for name, gradient in zip(kept, gradients, strict=True)}
    return next((name for name in reversed(reached) if reached[name]), last)
