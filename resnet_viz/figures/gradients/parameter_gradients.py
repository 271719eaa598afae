"""The norm of the gradient of every parameter, bars grouped by block from input to output, on a logarithmic scale."""

import math

import plotly.graph_objects as go

from resnet_viz.analyses.gradients import Gradients
from resnet_viz.figures.block_names import brief
from resnet_viz.figures.log_axis import log_axis
from resnet_viz.figures.theme import GRADIENT, LIGHT, Theme, finish

# One colour, because all are gradients; the hatching marks the kind of parameter and is visible without colours.
KINDS = {
    "convolutions": "",
    "batch norms": "/",
    "other norms": "\\",
    "linear layers": "-",
    "other parameters": ".",
    "head": "x",
}


def parameter_gradients(gradients: Gradients, theme: Theme = LIGHT) -> go.Figure:
    """Draw one bar per parameter: the L2 norm divided by the square root of its number of elements, for comparable sizes."""
    blocks = [str(name) for name in dict.fromkeys(gradients.parameters["block"])]
    rows = gradients.parameters.assign(
        place=lambda table: table["block"].map(dict(zip(blocks, brief(blocks), strict=True))),
        rms=lambda table: table["norm"] / table["size"] ** 0.5,
        kind=lambda table: [_kind(str(block), str(layer)) for block, layer in zip(table["block"], table["layer"], strict=True)],
    )
    fig = go.Figure()
    for kind, hatching in KINDS.items():
        shown = rows[rows["kind"] == kind]
        if shown.empty:
            continue
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


def _kind(block: str, layer: str) -> str:
    if block == "head":
        return "head"
    if layer.startswith("BatchNorm"):
        return "batch norms"
    if "Norm" in layer:
        return "other norms"
    if layer.startswith("Conv"):
        return "convolutions"
    return "linear layers" if "Linear" in layer else "other parameters"


def _finding(sizes: list[float], places: list[str], names: list[str]) -> str:
    known = [(size, f"{place} {name}") for size, place, name in zip(sizes, places, names, strict=True) if math.isfinite(size)]
    return f"The gradient is largest for {max(known)[1]} and smallest for {min(known)[1]}"
