"""The norm of the gradient of every parameter, bars grouped by block from input to output, on a logarithmic scale."""

import math

import plotly.graph_objects as go

from resnet_viz.analyses.gradients import Gradients
from resnet_viz.figures.log_axis import log_axis
from resnet_viz.figures.theme import GRADIENT, LIGHT, Theme, finish, short

# One colour, because all are gradients; the hatching marks the kind of parameter and is visible without colours.
KINDS = {"convolutions": "", "batch norms": "/", "head": "x"}


def parameter_gradients(gradients: Gradients, theme: Theme = LIGHT) -> go.Figure:
    """Draw one bar per parameter: the L2 norm divided by the square root of its number of elements, for comparable sizes."""
    rows = gradients.parameters.assign(
        place=lambda table: table["block"].map(lambda name: short(str(name))),
        rms=lambda table: table["norm"] / table["size"] ** 0.5,
        kind=lambda table: [
            _kind(str(block), str(name)) for block, name in zip(table["block"], table["parameter"], strict=True)
        ],
    )
    fig = go.Figure()
    for kind, hatching in KINDS.items():
        shown = rows[rows["kind"] == kind]
        names = (shown["place"] + " " + shown["parameter"]).tolist()
        fig.add_trace(
            go.Bar(
                x=shown.index.tolist(),
                y=shown["rms"].tolist(),
                name=kind,
                marker={
                    "color": GRADIENT,
                    "line": {"width": 0},
                    "pattern": {"shape": hatching, "fillmode": "overlay", "fgcolor": theme.text, "size": 5},
                },
                text=names,
                textposition="none",
                customdata=shown["norm"].tolist(),
                hovertemplate="%{text}<br>root mean square %{y:.3g}, L2 norm %{customdata:.3g}<extra></extra>",
            )
        )
    middles = rows.reset_index().groupby("place", sort=False)["index"].mean()
    legend = {"orientation": "h", "x": 0, "y": -0.18, "yanchor": "top"}
    width = max(700, 11 * len(rows))
    fig.update_layout(
        xaxis={
            "title": "block",
            "tickvals": middles.tolist(),
            "ticktext": middles.index.tolist(),
            "tickangle": 0,
            "showgrid": False,
        },
        yaxis={"title": {"text": "root mean square of the gradient", "standoff": 14}, **log_axis(rows["rms"])},
        width=width,
        height=420,
        margin={"l": 0, "r": 0, "t": 44, "b": 0},
        legend=legend,
        bargap=0.15,
        overwrite=True,
    )
    finding = _finding(rows["rms"].tolist(), rows["place"].tolist(), rows["parameter"].tolist())
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="One bar per parameter tensor, ordered from input to output. The root mean square makes tensors of"
        " different sizes comparable; an optimiser such as Adam rescales these gradients before it takes a step.",
        alt=f"{finding}. {len(rows)} parameters.",
    )


def _kind(block: str, parameter: str) -> str:
    if block == "head":
        return "head"
    return "batch norms" if parameter.startswith("bn") or ".1." in parameter else "convolutions"


def _finding(sizes: list[float], places: list[str], names: list[str]) -> str:
    known = [(size, f"{place} {name}") for size, place, name in zip(sizes, places, names, strict=True) if math.isfinite(size)]
    return f"The gradient is largest for {max(known)[1]} and smallest for {min(known)[1]}"
