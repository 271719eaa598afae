"""Results as Plotly figures: every function takes a result and returns a figure, and does nothing else.

`figure.layout.meta` holds "finding" (also the title), "how_to_read" and "alt".
"""

from resnet_viz.figures.attribution_map import attribution_gallery, attribution_map, attribution_so_far, cam_places
from resnet_viz.figures.block_equation import block_equation
from resnet_viz.figures.block_map import block_map
from resnet_viz.figures.cam_overlay import cam_overlay
from resnet_viz.figures.cam_strip import cam_strip
from resnet_viz.figures.channel_mosaic import channel_map, channel_mosaic
from resnet_viz.figures.comparison_by_depth import comparison_by_depth
from resnet_viz.figures.comparison_equation import comparison_equation
from resnet_viz.figures.conductance_bars import conductance_bars
from resnet_viz.figures.confusion import class_accuracy, confusion
from resnet_viz.figures.gradient_flow import gradient_flow
from resnet_viz.figures.gradient_norms import gradient_norms
from resnet_viz.figures.measures_by_depth import measures_by_depth
from resnet_viz.figures.parameter_gradients import parameter_gradients
from resnet_viz.figures.predictions import predictions
from resnet_viz.figures.training_curves import training_curves
from resnet_viz.figures.trust_curves import perturbation_curves, randomisation_steps

__all__ = [
    "attribution_gallery",
    "attribution_map",
    "attribution_so_far",
    "block_equation",
    "block_map",
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
    "gradient_flow",
    "gradient_norms",
    "measures_by_depth",
    "parameter_gradients",
    "perturbation_curves",
    "predictions",
    "randomisation_steps",
    "training_curves",
]
