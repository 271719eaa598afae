"""The catalogue of attribution methods: what each is called and says, where it comes from, and what computes it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from resnet_viz.analyses.captum_methods import deep_lift, grad_cam, guided_backprop, guided_grad_cam, occlusion
from resnet_viz.analyses.context import Explained, Tick
from resnet_viz.analyses.gradient_methods import (
    gauss_legendre,
    gradient_shap,
    input_x_gradient,
    integrated_gradients,
    saliency,
    smoothgrad,
)
from resnet_viz.analyses.method_options import (
    BaselineOptions,
    NoiseOptions,
    NoOptions,
    PathOptions,
    PlaceOptions,
    Result,
    SampledPathOptions,
    WindowOptions,
)

__all__ = ["METHODS", "Method", "gauss_legendre"]

# A unit is one of the normalised values that the network is given.
LOGIT, PER_UNIT = "logit", "logit / unit"


@dataclass(frozen=True)
class Method:
    """A method by its title, what its map says in a sentence, where it comes from, its map's unit, its options, how it runs."""

    title: str
    sentence: str
    source: str
    unit: str
    options: type[Any]
    run: Callable[[Explained, Any, Tick], Result]


METHODS: dict[str, Method] = {
    "saliency": Method(
        "Saliency",
        "How much the logit would change if a pixel did.",
        "Simonyan et al. 2013, https://arxiv.org/abs/1312.6034",
        PER_UNIT,
        NoOptions,
        saliency,
    ),
    "input_x_gradient": Method(
        "Input x Gradient",
        "The gradient times the pixel's own normalised value.",
        "Shrikumar et al. 2016, https://arxiv.org/abs/1605.01713",
        LOGIT,
        NoOptions,
        input_x_gradient,
    ),
    "integrated_gradients": Method(
        "Integrated Gradients",
        "What each pixel adds to the logit on the way from the baseline to the picture; adds up to the difference.",
        "Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365",
        LOGIT,
        PathOptions,
        integrated_gradients,
    ),
    "smoothgrad": Method(
        "SmoothGrad",
        "The mean of the gradients of noisy copies, which evens out the flicker of a single one.",
        "Smilkov et al. 2017, https://arxiv.org/abs/1706.03825",
        PER_UNIT,
        NoiseOptions,
        smoothgrad,
    ),
    "deep_lift": Method(
        "DeepLift",
        "What each pixel adds, by comparing every ReLU with what it does on the baseline; adds up to the difference.",
        "Shrikumar et al. 2017, https://arxiv.org/abs/1704.02685",
        LOGIT,
        BaselineOptions,
        deep_lift,
    ),
    "gradient_shap": Method(
        "GradientShap",
        "What each pixel adds on random points between baseline and noisy copies; adds up to the difference on average.",
        "Lundberg and Lee 2017, https://arxiv.org/abs/1705.07874; Erion et al. 2019, https://arxiv.org/abs/1906.10670",
        LOGIT,
        SampledPathOptions,
        gradient_shap,
    ),
    "guided_backprop": Method(
        "Guided Backprop",
        "Edges that excite: a gradient that drops what is negative at every ReLU. It hardly depends on the class.",
        "Springenberg et al. 2014, https://arxiv.org/abs/1412.6806",
        PER_UNIT,
        NoOptions,
        guided_backprop,
    ),
    "guided_grad_cam": Method(
        "Guided Grad-CAM",
        "Guided Backprop where Grad-CAM sees evidence for the class.",
        "Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391",
        "logit² / unit",
        PlaceOptions,
        guided_grad_cam,
    ),
    "occlusion": Method(
        "Occlusion",
        "By how much the logit falls when a window of the picture is covered, counted for each of its three colours.",
        "Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901",
        "logit × 3",
        WindowOptions,
        occlusion,
    ),
    "grad_cam": Method(
        "Grad-CAM",
        "Where the maps that speak for the class are strong, at a block and a place of your choice.",
        "Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391",
        "logit / cell",
        PlaceOptions,
        grad_cam,
    ),
}
