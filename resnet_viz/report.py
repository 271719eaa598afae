"""A result as one HTML file that opens anywhere, without a network."""

from functools import singledispatch
from pathlib import Path

from PIL import Image

from resnet_viz.analyses.attribution import Attribution
from resnet_viz.analyses.comparison import Comparison
from resnet_viz.analyses.conductance import Conductance
from resnet_viz.analyses.gradients import Gradients
from resnet_viz.analyses.inspection import Inspection
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.reporting.comparing import of_comparison
from resnet_viz.reporting.explaining import of_attribution, of_conductance, of_gradients
from resnet_viz.reporting.inspecting import InspectionView, of_inspection
from resnet_viz.reporting.page import page
from resnet_viz.reporting.pieces import Contents
from resnet_viz.reporting.surveying import of_survey

Reported = Inspection | Attribution | Gradients | Conductance | Comparison | Survey


def report(result: Reported, path: str | Path, photo: Image.Image | None = None) -> Path:
    """Write a result of `inspect`, `attribute`, `gradients`, `conductance`, `compare` or `survey` with its charts and numbers.

    `photo` is the background of maps: the network's crop as `Preprocessing.sharp` returns it, or else the network's input. Of
    an inspection, every block that kept its maps has its equation. The file is self-contained and takes at most 8 MB, 5 MB of
    which are plotly.js; equations that do not fit are left out, and a sentence says so. It follows the reader's light or dark
    theme, prints in light colours, and every chart offers PNG and its data as CSV or NPZ. Returns its path. TypeError for
    another kind of result, OSError if the file cannot be written.
    """
    target = Path(path)
    target.write_text(page(contents_of(result, photo)), encoding="utf-8")
    return target


@singledispatch
def contents_of(result: object, photo: Image.Image | None = None) -> Contents:  # noqa: ARG001 - for the kinds that have maps
    """Describe a result as the figures show it by default; TypeError for a kind that has no report."""
    raise TypeError(
        f"a {type(result).__name__} has no report: pass the result of rv.inspect, rv.attribute, rv.gradients, rv.conductance, "
        "rv.compare or rv.survey"
    )


@contents_of.register
def _(result: Inspection, photo: Image.Image | None = None) -> Contents:
    return of_inspection(result, InspectionView(photo=photo))


@contents_of.register
def _(result: Attribution, photo: Image.Image | None = None) -> Contents:
    return of_attribution(result, photo=photo)


@contents_of.register
def _(result: Gradients, photo: Image.Image | None = None) -> Contents:  # noqa: ARG001 - it has no maps
    return of_gradients(result)


@contents_of.register
def _(result: Conductance, photo: Image.Image | None = None) -> Contents:  # noqa: ARG001 - it has no maps
    return of_conductance(result)


@contents_of.register
def _(result: Comparison, photo: Image.Image | None = None) -> Contents:  # noqa: ARG001 - each side has its own image
    return of_comparison(result)


@contents_of.register
def _(result: Survey, photo: Image.Image | None = None) -> Contents:  # noqa: ARG001 - it has many
    return of_survey(result)
