"""A figure refuses what it cannot draw in a sentence, before it looks into it."""

from collections.abc import Callable, Sequence
from functools import cache, wraps
from inspect import signature
from typing import Any, get_args, get_origin, get_type_hints

import plotly.graph_objects as go

Figure = Callable[..., go.Figure]

# The functions of `resnet_viz` whose results are drawn.
MAKERS = {
    "Ablation": "rv.ablate",
    "Attribution": "rv.attribute",
    "Autocorrelation": "rv.shattered_gradients",
    "Comparison": "rv.compare",
    "Conductance": "rv.conductance",
    "Deletions": "rv.deletions",
    "Gradients": "rv.gradients",
    "Inspection": "rv.inspect",
    "Landscape": "rv.loss_landscape",
    "PathLengths": "rv.path_gradients",
    "PathSamples": "rv.path_samples",
    "ReceptiveFields": "rv.receptive_fields",
    "Refinement": "rv.refinement",
    "RefinementSurvey": "rv.refinement_survey",
    "Survey": "rv.survey",
    "Trajectory": "rv.trajectory",
}


def results_only(figure: Figure) -> Figure:
    """Return the function with a check of its first argument: TypeError for another class than its annotation names."""
    name, first = figure.__name__, next(iter(signature(figure).parameters))

    @wraps(figure)
    def checked(*args: Any, **kwargs: Any) -> go.Figure:  # noqa: ANN401 - those of the figure
        given = args[0] if args else kwargs.get(first)
        several, kind = _drawn(figure, first)
        if kind is not None and given is not None:
            _check(name, given, kind, several=several)
        return figure(*args, **kwargs)

    return checked


@cache
def _drawn(figure: Figure, first: str) -> tuple[bool, type | None]:
    """Whether a figure draws several results, and their class; None for arrays, tables and unions, which have no maker."""
    hint = get_type_hints(figure)[first]
    several = get_origin(hint) is Sequence
    kind = get_args(hint)[0] if several else hint
    ours = isinstance(kind, type) and kind.__module__.startswith("resnet_viz.")
    return several, kind if ours else None


def _check(name: str, given: object, kind: type, *, several: bool) -> None:
    listed = several and isinstance(given, Sequence) and not isinstance(given, str)
    parts = given if listed and isinstance(given, Sequence) else [given]
    wrong = next((part for part in parts if not isinstance(part, kind)), None)
    if wrong is None and listed == several:
        return
    maker = MAKERS.get(kind.__name__)
    result = f"the result of {maker}" if maker else f"the class {kind.__name__}"
    if kind.__name__ == "BlockInspection":
        result = "a block of an inspection, such as r.blocks[0] of r = rv.inspect(net, image)"
    what = f"a list of results, each {result}" if several else result
    found = type(given if wrong is None else wrong).__name__
    raise TypeError(f"rv.figures.{name} draws {what}, and this is of the type {found}")
