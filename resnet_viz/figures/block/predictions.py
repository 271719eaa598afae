"""The most probable classes, as bars of probability."""

import plotly.graph_objects as go

from resnet_viz.analyses.inspection import Inspection
from resnet_viz.figures.theme import LIGHT, SUM, Theme, finish, plain

READING = {
    "softmax": "Bars are the softmax of the logits: the probabilities of all classes add up to 100%.",
    "sigmoid": "Each bar is the sigmoid of one logit: the probability of that class, independent of the others.",
}


def predictions(inspection: Inspection, count: int = 5, theme: Theme = LIGHT) -> go.Figure:
    """Draw the `count` most probable classes; x is the probability in percent."""
    best = inspection.predictions[:count]
    labels = [plain(p.label if len(p.label) <= 22 else f"{p.label[:21]}…") for p in best]
    fig = go.Figure(
        go.Bar(
            x=[100 * p.probability for p in best],
            y=labels,
            orientation="h",
            marker={"color": SUM, "line": {"width": 0}, "cornerradius": 4},
            width=0.5,
            text=[f"{p.probability:.1%}" for p in best],
            textposition="outside",
            textfont={"color": theme.text},
            cliponaxis=False,
            customdata=[(plain(p.label), p.logit, p.index) for p in best],
            hovertemplate="%{customdata[0]}<br>logit %{customdata[1]:.3f}<br>class %{customdata[2]}<extra></extra>",
        )
    )
    fig.update_layout(
        xaxis={"range": [0, 118], "visible": False, "title": "probability (%)"},
        yaxis={"autorange": "reversed", "ticksuffix": "  ", "showgrid": False},
        height=40 + 26 * count,
        margin={"l": 0, "r": 0, "t": 40, "b": 0},
        bargap=0.3,
        overwrite=True,
    )
    spoken = ", ".join(f"{p.label} {p.probability:.1%}" for p in best)
    return finish(
        fig,
        theme,
        finding=_finding(inspection),
        how_to_read=READING[inspection.head],
        alt=f"Most probable classes: {spoken}.",
    )


def _finding(inspection: Inspection) -> str:
    best = inspection.predictions[0]
    if inspection.head == "softmax":
        return f"{inspection.title} predicts: {best.label} ({best.probability:.1%})"
    if len(inspection.predictions) == 1:
        return f"{inspection.title} gives {best.label} a probability of {best.probability:.1%}"
    likely = [p.label for p in inspection.predictions if p.probability > 0.5]
    return f"{inspection.title} predicts: {', '.join(likely[:3]) or 'none of its classes'}{', …' if len(likely) > 3 else ''}"
