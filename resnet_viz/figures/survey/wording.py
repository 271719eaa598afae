"""How the figures of surveys write measures."""

from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.statistics import class_counts
from resnet_viz.figures.theme import ATTRIBUTION, GRADIENT, IDENTITY, RESIDUAL, SUM

COLOURS = {
    "identity_norm": IDENTITY,
    "sum_norm": SUM,
    "output_norm": SUM,
    "cut": SUM,
    "grad_identity_norm": IDENTITY,
    "grad_residual_norm": GRADIENT,
    "grad_input_norm": GRADIENT,
    "shortcut_share": IDENTITY,
    "residual_share": GRADIENT,
    "cam_mass": ATTRIBUTION,
}
# The colours of right and wrong predictions, as in the confusion matrix.
GROUP_COLOURS = {"right": SUM, "wrong": ATTRIBUTION}


def colour_of(measure: str, group: str = "") -> str:
    """Return the colour of a measure, or of a group that has its own colour."""
    return GROUP_COLOURS.get(group, COLOURS.get(measure, RESIDUAL))


def axis_of(measure: str) -> str:
    """Return a measure's symbol and unit for an axis."""
    meaning = MEANINGS[measure]
    return meaning.symbol if meaning.unit == "ratio" else f"{meaning.symbol} ({meaning.unit})"


def kinds_of_class(survey: Survey) -> str:
    """Name what images are grouped by, in the plural: folders whose names are no classes of the network are not classes."""
    counts = class_counts(survey)
    return "classes" if not counts.folders else "classes and folders" if counts.known else "folders"


def kind_of_class(survey: Survey) -> str:
    """The same in the singular."""
    return {"classes": "class", "folders": "folder"}.get(kinds_of_class(survey), "class or folder")
