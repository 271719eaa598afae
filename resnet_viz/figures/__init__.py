"""Results as Plotly figures: every function takes a result and returns a figure, and does nothing else.

`figure.layout.meta` holds "finding" (also the title), "how_to_read" and "alt".
"""

from resnet_viz.figures.attribution_map import attribution_gallery, attribution_map, attribution_so_far, cam_places
from resnet_viz.figures.block_equation import block_equation
from resnet_viz.figures.block_map import block_map
from resnet_viz.figures.block_steps import block_steps, step_map, step_mosaic
from resnet_viz.figures.cam_overlay import cam_overlay
from resnet_viz.figures.cam_strip import cam_strip
from resnet_viz.figures.channel_mosaic import channel_map, channel_mosaic
from resnet_viz.figures.comparison_by_depth import comparison_by_depth
from resnet_viz.figures.comparison_equation import comparison_equation
from resnet_viz.figures.conductance_bars import conductance_bars
from resnet_viz.figures.confusion import class_accuracy, confusion
from resnet_viz.figures.correction import correction, lens_lines
from resnet_viz.figures.gradient_flow import gradient_flow
from resnet_viz.figures.gradient_norms import gradient_norms
from resnet_viz.figures.measures_by_depth import measures_by_depth
from resnet_viz.figures.order_curves import cut_bars, order_curves
from resnet_viz.figures.parameter_gradients import parameter_gradients
from resnet_viz.figures.predictions import predictions
from resnet_viz.figures.removed_blocks import accuracy_lines, answers, removal_bars
from resnet_viz.figures.residual_image import residual_equation
from resnet_viz.figures.residual_meaning import residual_meaning
from resnet_viz.figures.super_resolution import problem_pictures, resolved_pictures
from resnet_viz.figures.super_resolution_curves import curves_so_far, super_resolution_curves
from resnet_viz.figures.toy_fit import toy_fit
from resnet_viz.figures.training_curves import training_curves
from resnet_viz.figures.trust_curves import perturbation_curves, randomisation_steps

__all__ = [
    "accuracy_lines",
    "answers",
    "attribution_gallery",
    "attribution_map",
    "attribution_so_far",
    "block_equation",
    "block_map",
    "block_steps",
    "cam_overlay",
    "cam_places",
    "cam_strip",
    "channel_map",
    "channel_mosaic",
    "class_accuracy",
    "comparison_by_depth",
    "comparison_equation",
    "conductance_bars",
    "confusion",
    "correction",
    "curves_so_far",
    "cut_bars",
    "gradient_flow",
    "gradient_norms",
    "lens_lines",
    "measures_by_depth",
    "order_curves",
    "parameter_gradients",
    "perturbation_curves",
    "predictions",
    "problem_pictures",
    "randomisation_steps",
    "removal_bars",
    "residual_equation",
    "residual_meaning",
    "resolved_pictures",
    "step_map",
    "step_mosaic",
    "super_resolution_curves",
    "toy_fit",
    "training_curves",
]
