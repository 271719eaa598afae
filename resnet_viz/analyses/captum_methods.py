"""Methods that Captum computes, on a twin that meets its requirements: every ReLU is called once, and none works in place."""

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_viz.analyses.context import Explained
from resnet_viz.analyses.method_options import BaselineOptions, CamPlace, NoOptions, PlaceOptions, Result, WindowOptions
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.progress import OnPartial

# The name of the sub-module for each place in a block.
PLACES: dict[CamPlace, str] = {"residual": "residual", "shortcut": "shortcut", "output": "relu"}
# The window side of Occlusion's first, coarse pass, in windows; with the default window, four of them cover the image.
COARSE = 4


def deep_lift(explained: Explained, options: BaselineOptions, tick: OnPartial[Tensor]) -> Result:
    """Shrikumar et al. 2017, the rescale rule; ValueError for a network of half precision."""
    from captum.attr import DeepLift  # noqa: PLC0415 - captum takes two seconds to import

    if explained.net.precision == torch.float16:
        raise ValueError(
            "DeepLift divides by differences that half precision rounds to 0. Use Integrated Gradients, or the network in "
            "float32 (module.float())"
        )
    baseline = explained.baseline(options.baseline, options.seed)
    found = DeepLift(explained.twin).attribute(explained.x.clone().requires_grad_(), baseline, target=explained.target)
    tick(1, 1, None)
    return Result(found.detach(), baseline)


def guided_backprop(explained: Explained, _: NoOptions, tick: OnPartial[Tensor]) -> Result:
    """Springenberg et al. 2014: a gradient that sets negative values to 0 at every ReLU."""
    from captum.attr import GuidedBackprop  # noqa: PLC0415 - captum takes two seconds to import

    found = GuidedBackprop(explained.twin).attribute(explained.x.clone().requires_grad_(), target=explained.target)
    tick(1, 1, None)
    return Result(found.detach())


def guided_grad_cam(explained: Explained, options: PlaceOptions, tick: OnPartial[Tensor]) -> Result:
    """Selvaraju et al. 2017, section 3.2: Guided Backprop times Grad-CAM, enlarged bilinearly."""
    from captum.attr import GuidedGradCam  # noqa: PLC0415 - captum takes two seconds to import

    method = GuidedGradCam(explained.twin, _place(explained, options))
    x = explained.x.clone().requires_grad_()
    found = method.attribute(x, target=explained.target, interpolate_mode="bilinear")
    tick(1, 1, None)
    return Result(found.detach())


def grad_cam(explained: Explained, options: PlaceOptions, tick: OnPartial[Tensor]) -> Result:
    """Selvaraju et al. 2017, equations 1 and 2, enlarged bilinearly."""
    from captum.attr import LayerGradCam  # noqa: PLC0415 - captum takes two seconds to import

    x = explained.x.clone().requires_grad_()
    cam = LayerGradCam(explained.twin, _place(explained, options)).attribute(x, target=explained.target, relu_attributions=True)
    assert isinstance(cam, Tensor)  # noqa: S101 - for the type checker: one layer gives one tensor
    large = F.interpolate(cam.detach(), explained.x.shape[2:], mode="bilinear")
    tick(1, 1, None)
    # A Grad-CAM has no colours: each channel gets a third, so that the channels' sum is the map.
    return Result(large.expand(-1, 3, -1, -1) / 3, cells=cam.detach())


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


def _place(explained: Explained, options: PlaceOptions) -> torch.nn.Module:
    blocks = blocks_of(explained.twin)
    name = options.block or next(reversed(blocks))
    if name not in blocks:
        raise ValueError(f"{explained.net.title} has no block {name!r}; it has {', '.join(blocks)}")
    if options.place not in PLACES:
        raise ValueError(f"place {options.place!r} is unknown: choose 'residual', 'shortcut' or 'output'")
    if options.place == "shortcut" and blocks[name].shortcut_kind == "none":
        raise ValueError(f"block {name} is plain and has no shortcut: choose 'residual' or 'output'")
    return blocks[name].get_submodule(PLACES[options.place])
