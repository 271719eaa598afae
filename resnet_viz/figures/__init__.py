"""Results as Plotly figures: every function takes a result and returns a figure, and does nothing else.

`figure.layout.meta` holds "finding" (also the title), "how_to_read" and "alt".
"""

from resnet_viz.figures.attribution.attribution_map import attribution_gallery, attribution_map, attribution_so_far, cam_places
from resnet_viz.figures.attribution.cam_overlay import cam_overlay
from resnet_viz.figures.attribution.cam_strip import cam_strip
from resnet_viz.figures.attribution.conductance_bars import conductance_bars
from resnet_viz.figures.attribution.trust_curves import perturbation_curves, randomisation_steps
from resnet_viz.figures.block.block_equation import block_equation
from resnet_viz.figures.block.block_map import block_map
from resnet_viz.figures.block.channel_mosaic import channel_map, channel_mosaic
from resnet_viz.figures.block.comparison_by_depth import comparison_by_depth
from resnet_viz.figures.block.comparison_equation import comparison_equation
from resnet_viz.figures.block.lens_by_block import lens_by_block
from resnet_viz.figures.block.measures_by_depth import measures_by_depth
from resnet_viz.figures.block.predictions import predictions
from resnet_viz.figures.gradients.gradient_flow import gradient_flow
from resnet_viz.figures.gradients.gradient_norms import gradient_norms
from resnet_viz.figures.gradients.parameter_gradients import parameter_gradients
from resnet_viz.figures.lessons.activation_order import cut_bars, order_curves
from resnet_viz.figures.lessons.block_steps import block_steps, step_map, step_mosaic
from resnet_viz.figures.lessons.chain import correction, lens_lines
from resnet_viz.figures.lessons.deletions import deletion_lines
from resnet_viz.figures.lessons.fewer_blocks import accuracy_lines, answers, removal_bars
from resnet_viz.figures.lessons.loss_landscape import loss_contours, loss_so_far, loss_surface
from resnet_viz.figures.lessons.path_gradients import path_shares, single_paths
from resnet_viz.figures.lessons.receptive_field import field_maps, field_widths
from resnet_viz.figures.lessons.refinement import refinement_cosines, refinement_losses
from resnet_viz.figures.lessons.refinement_survey import refinement_survey_cosines, refinement_survey_losses
from resnet_viz.figures.lessons.residual_image import residual_equation
from resnet_viz.figures.lessons.residual_meaning import residual_meaning
from resnet_viz.figures.lessons.shattered_gradients import gradient_autocorrelation
from resnet_viz.figures.lessons.super_resolution import problem_pictures, resolved_pictures
from resnet_viz.figures.lessons.super_resolution_training import curves_so_far, super_resolution_curves
from resnet_viz.figures.lessons.toy import toy_fit
from resnet_viz.figures.lessons.trajectory import trajectory_contours, trajectory_losses
from resnet_viz.figures.results_only import results_only
from resnet_viz.figures.survey.class_matrix import survey_matrix
from resnet_viz.figures.survey.image_scatter import survey_scatter
from resnet_viz.figures.survey.peak_photo import peak_photo
from resnet_viz.figures.survey.quantile_bands import survey_by_depth
from resnet_viz.figures.survey.separation_map import survey_separation
from resnet_viz.figures.training.confusion import class_accuracy, confusion
from resnet_viz.figures.training.training_curves import training_curves

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
    "deletion_lines",
    "field_maps",
    "field_widths",
    "gradient_autocorrelation",
    "gradient_flow",
    "gradient_norms",
    "lens_by_block",
    "lens_lines",
    "loss_contours",
    "loss_so_far",
    "loss_surface",
    "measures_by_depth",
    "order_curves",
    "parameter_gradients",
    "path_shares",
    "peak_photo",
    "perturbation_curves",
    "predictions",
    "problem_pictures",
    "randomisation_steps",
    "refinement_cosines",
    "refinement_losses",
    "refinement_survey_cosines",
    "refinement_survey_losses",
    "removal_bars",
    "residual_equation",
    "residual_meaning",
    "resolved_pictures",
    "single_paths",
    "step_map",
    "step_mosaic",
    "super_resolution_curves",
    "survey_by_depth",
    "survey_matrix",
    "survey_scatter",
    "survey_separation",
    "toy_fit",
    "training_curves",
    "trajectory_contours",
    "trajectory_losses",
]

# Here once for all figures: a path or a network in the place of a result gets a sentence.
globals().update({_name: results_only(globals()[_name]) for _name in __all__})
