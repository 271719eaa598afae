"""ResNet Viz: what does each residual block of a network do with an image?

    >>> import resnet_viz as rv
    >>> net = rv.load("resnet20-cifar10")  # rv.load() opens the default network, "resnet18-imagenette"
    >>> r = rv.inspect(net, rv.open_image("cat.jpg"))
    >>> r.predictions[0].label, r.blocks[3].residual.shape, len(r.table())
    ('cat', (32, 16, 16), 9)
    >>> figure = rv.figures.block_map(r)  # figure.show() opens it in the browser

Glossary (He et al. 2015, https://arxiv.org/abs/1512.03385, and 2016, https://arxiv.org/abs/1603.05027):
    block       the part of a network from a fork, where the shortcut and the residual branch begin, to the output
    identity    x, the block's input, or the output of the shortcut where the shortcut changes x
    residual    F(x), the output of the residual branch
    sum         identity + residual
    output      the sum after the activation that follows it, or the sum itself where none follows
    shortcut    the path of the identity: "identity", "zero-pad" (option A), "projection" (options B and C), "none" in a plain
                network; modules of your own also have "pool", "norm" and "mixed"
    plain       a network with the same layers and no shortcuts
    N, C, H, W  images, channels, height, width

Reading order: images/opening.py, nets/blocks.py, nets/residual_graph/finding.py, nets/zoo.py, analyses/capture.py,
analyses/inspection.py, figures/block/block_map.py.
"""

from resnet_viz import figures, notebooks
from resnet_viz.analyses.ablation import Ablation, ablate, ablation_sweep
from resnet_viz.analyses.accuracy import Accuracy, Answer, accuracy
from resnet_viz.analyses.activations import Activations, activations
from resnet_viz.analyses.attribution import Attribution, attribute
from resnet_viz.analyses.cams import block_cams
from resnet_viz.analyses.comparison import Comparison, compare
from resnet_viz.analyses.conductance import BlockConductance, Conductance, conductance
from resnet_viz.analyses.deletions import Deletions, deletions
from resnet_viz.analyses.gradients import Gradients, gradients
from resnet_viz.analyses.inspection import BlockInspection, Inspection, Prediction, inspect
from resnet_viz.analyses.measures import MEANINGS, Measures
from resnet_viz.analyses.methods import METHODS
from resnet_viz.analyses.path_gradients import PathGradients, PathLengths, PathSamples, path_gradients, path_samples
from resnet_viz.analyses.receptive_field import BlockField, ReceptiveFields, receptive_fields
from resnet_viz.analyses.refinement import BlockStep, Refinement, refinement
from resnet_viz.analyses.refinement_survey import RefinementSurvey, refinement_survey
from resnet_viz.analyses.survey.comparison import SurveyComparison, compare_surveys
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.files import open_survey, survey_bytes, write_survey
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.running import SurveyProgress, survey
from resnet_viz.images import ImageError, open_image
from resnet_viz.lessons.loss_landscape import Landscape, loss_landscape
from resnet_viz.lessons.shattered_gradients import Autocorrelation, shattered_gradients
from resnet_viz.lessons.trajectory import Trajectory, trajectory
from resnet_viz.nets.checkpoints.errors import CheckpointError
from resnet_viz.nets.checkpoints.loading import load_checkpoint
from resnet_viz.nets.net import Net, WeightsError
from resnet_viz.nets.own_modules import from_module
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.zoo import ModelInfo, list_models, load
from resnet_viz.progress import progress_bar
from resnet_viz.report import report
from resnet_viz.showing import show

notebooks.register()

__all__ = [
    "MEANINGS",
    "METHODS",
    "Ablation",
    "Accuracy",
    "Activations",
    "Answer",
    "Attribution",
    "Autocorrelation",
    "BlockConductance",
    "BlockField",
    "BlockInspection",
    "BlockStep",
    "CheckpointError",
    "Comparison",
    "Conductance",
    "Deletions",
    "Gradients",
    "ImageError",
    "Inspection",
    "Landscape",
    "Measures",
    "ModelInfo",
    "Net",
    "PathGradients",
    "PathLengths",
    "PathSamples",
    "Prediction",
    "Preprocessing",
    "ReceptiveFields",
    "Refinement",
    "RefinementSurvey",
    "Survey",
    "SurveyComparison",
    "SurveyError",
    "SurveyProgress",
    "Trajectory",
    "WeightsError",
    "ablate",
    "ablation_sweep",
    "accuracy",
    "activations",
    "attribute",
    "block_cams",
    "compare",
    "compare_surveys",
    "conductance",
    "deletions",
    "figures",
    "from_module",
    "gradients",
    "inspect",
    "list_models",
    "load",
    "load_checkpoint",
    "loss_landscape",
    "open_image",
    "open_survey",
    "path_gradients",
    "path_samples",
    "progress_bar",
    "receptive_fields",
    "refinement",
    "refinement_survey",
    "report",
    "shattered_gradients",
    "show",
    "survey",
    "survey_bytes",
    "trajectory",
    "write_survey",
]
