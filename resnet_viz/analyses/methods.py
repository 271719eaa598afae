"""The catalogue of attribution methods: each one's title, meaning, source and function."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from resnet_viz.analyses.captum_methods import grad_cam, guided_backprop, guided_grad_cam, occlusion
from resnet_viz.analyses.context import Explained
from resnet_viz.analyses.deep_lift import deep_lift
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
from resnet_viz.progress import OnPartial

__all__ = ["METHODS", "PER_UNIT", "UNITS", "Method", "gauss_legendre"]

LOGIT, PER_UNIT = "logit", "logit / unit"
SQUARED, TRIPLED, PER_CELL = "logit² / unit", "logit × 3", "logit / cell"
# The meaning of each unit, phrased as the end of a sentence.
UNITS = {
    LOGIT: "the part of the class's logit that a pixel accounts for",
    PER_UNIT: "the change of the class's logit if the pixel's normalised value rose by 1",
    SQUARED: "a gradient (logit per unit of the normalised value) times a Grad-CAM value (logit)",
    TRIPLED: "the fall of the class's logit, counted once for each of the three colours",
    PER_CELL: "the part of the class's logit that a cell of the block's feature map accounts for",
}


@dataclass(frozen=True)
class Method:
    """A method: its title, the meaning of its map in a sentence, its source, the map's unit, its options, and its function."""

    title: str
    sentence: str
    source: str
    unit: str
    options: type[Any]
    run: Callable[[Explained, Any, OnPartial[Tensor]], Result]


METHODS: dict[str, Method] = {
    "saliency": Method(
        "Saliency",
        "How much the logit would change if a pixel changed.",
        "Simonyan et al. 2013, https://arxiv.org/abs/1312.6034",
        PER_UNIT,
        NoOptions,
        saliency,
    ),
    "input_x_gradient": Method(
        "Input × Gradient",
        "The gradient multiplied by the pixel's normalised value.",
        "Shrikumar et al. 2016, https://arxiv.org/abs/1605.01713",
        LOGIT,
        NoOptions,
        input_x_gradient,
    ),
    "integrated_gradients": Method(
        "Integrated Gradients",
        "What each pixel adds to the logit on the line from the baseline to the image; the map adds up to logit(image) − "
        "logit(baseline).",
        "Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365",
        LOGIT,
        PathOptions,
        integrated_gradients,
    ),
    "smoothgrad": Method(
        "SmoothGrad",
        "The mean of the gradients of noisy copies, which is smoother than a single gradient.",
        "Smilkov et al. 2017, https://arxiv.org/abs/1706.03825",
        PER_UNIT,
        NoiseOptions,
        smoothgrad,
    ),
    "deep_lift": Method(
        "DeepLift",
        "What each pixel adds, found by comparing every ReLU with its value on the baseline; the map adds up to logit(image) "
        "− logit(baseline).",
        "Shrikumar et al. 2017, https://arxiv.org/abs/1704.02685",
        LOGIT,
        BaselineOptions,
        deep_lift,
    ),
    "gradient_shap": Method(
        "GradientShap",
        "What each pixel adds at random points between the baseline and noisy copies; adds up to logit(image) − "
        "logit(baseline) on average.",
        "Lundberg and Lee 2017, https://arxiv.org/abs/1705.07874; Erion et al. 2019, https://arxiv.org/abs/1906.10670",
        LOGIT,
        SampledPathOptions,
        gradient_shap,
    ),
    "guided_backprop": Method(
        "Guided Backprop",
        "A gradient that sets negative values to 0 at every ReLU. It shows edges and hardly depends on the class.",
        "Springenberg et al. 2014, https://arxiv.org/abs/1412.6806",
        PER_UNIT,
        NoOptions,
        guided_backprop,
    ),
    "guided_grad_cam": Method(
        "Guided Grad-CAM",
        "Guided Backprop multiplied by Grad-CAM: edges where the features support the class.",
        "Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391",
        SQUARED,
        PlaceOptions,
        guided_grad_cam,
    ),
    "occlusion": Method(
        "Occlusion",
        "By how much the logit falls when a window of the image is covered, counted for each of the three colours.",
        "Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901",
        TRIPLED,
        WindowOptions,
        occlusion,
    ),
    "grad_cam": Method(
        "Grad-CAM",
        "Where the feature maps that raise the class's logit are strong, at a block and a place of your choice.",
        "Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391",
        PER_CELL,
        PlaceOptions,
        grad_cam,
    ),
}
