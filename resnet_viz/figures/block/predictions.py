"""The classes the network is most for, as bars of probability."""

import plotly.graph_objects as go

from resnet_viz.analyses.inspection import Inspection
from resnet_viz.figures.theme import LIGHT, SUM, Theme, finish, plain


def predictions(inspection: Inspection, count: int = 5, theme: Theme = LIGHT) -> go.Figure:
    """Draw the `count` most probable classes; x is the softmax probability in percent."""
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
    top = best[0]
    spoken = ", ".join(f"{p.label} {p.probability:.1%}" for p in best)
    return finish(
        fig,
        theme,
        finding=f"{inspection.title} says {top.label}",
        how_to_read="Bars are the softmax of the logits; all classes together make 100%.",
        alt=f"Most probable classes: {spoken}.",
    )
