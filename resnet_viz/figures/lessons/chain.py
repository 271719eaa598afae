"""Each block's correction to its input: x and F(x) as images and as arrows, and the logits decoded after each block.

The arrows are drawn to scale in the plane of the two tensors: their lengths are |x| and |F(x)|, and the cosine of the angle
between them is cos(x, F). The third side of the triangle is therefore the sum.
"""

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.inspection import BlockInspection
from resnet_viz.analyses.logit_lens import Lens
from resnet_viz.figures.theme import IDENTITY, LIGHT, PLAIN, RESIDUAL, SIGNED, SUM, Theme, finish, plain, short

HEIGHT, TOP = 140, 40
SYMBOLS = ("circle", "square", "diamond", "x")


def angle(block: BlockInspection) -> float:
    """Return the angle between identity and residual in degrees."""
    return math.degrees(math.acos(max(-1.0, min(1.0, block.measures.cosine))))


def correction(block: BlockInspection, theme: Theme = LIGHT) -> go.Figure:
    """Draw a block's x and F(x), both the mean over channels on one scale, and next to them both as arrows with their sum.

    Needs the block's maps (see `Inspection.keeping`); ValueError for a plain block, which does not correct its input.
    """
    identity = block.identity
    if identity is None:
        raise ValueError(f"block {short(block.name)} is plain: it replaces its input instead of correcting it")
    pictures = (identity.mean(0), block.residual.mean(0))
    limit = max(float(np.abs(picture).max()) for picture in pictures) or 1.0
    fig = go.Figure()
    m = block.measures
    captions = (f"x, norm {m.identity_norm:.3g}", f"F(x), norm {m.residual_norm:.3g}")
    for number, (picture, colour) in enumerate(zip(pictures, (IDENTITY, RESIDUAL), strict=True)):
        _add_picture(fig, picture, number, colour, limit)
        fig.add_annotation(**_caption(0.1 + 0.24 * number, captions[number], theme))
    arrows = _arrows(block)
    _add_arrows(fig, arrows)
    fig.add_annotation(**_caption(0.75, f"{angle(block):.0f}° apart", theme))
    fig.update_layout(width=560, height=HEIGHT + TOP, margin={"l": 2, "r": 2, "t": TOP, "b": 24}, overwrite=True)
    finding = f"Block {short(block.name)} corrects its input by {m.ratio:.0%} of its norm, at an angle of {angle(block):.0f}°"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Means over channels, ±{limit:.3g}. Arrows to scale: blue x, orange F(x), green their sum.",
        alt=f"{finding}. Length of x {m.identity_norm:.4g}, of F {m.residual_norm:.4g}, of the sum {m.sum_norm:.4g}.",
    )


def lens_lines(lens: Lens, selected: str, theme: Theme = LIGHT) -> go.Figure:
    """Draw the probability of the most relevant classes as decoded after each block; the `selected` place is marked."""
    shares, names = lens.probabilities, ["stem", *map(short, lens.places[1:])]
    fig = go.Figure()
    for number, index in enumerate(_classes(lens)):
        answer = number == 0
        fig.add_trace(
            go.Scatter(
                x=names,
                y=[float(value) for value in shares[:, index]],
                mode="lines+markers",
                name=plain(_short_label(lens.labels[index])),
                line={"color": SUM if answer else PLAIN, "width": 4 if answer else 2, "dash": "solid" if answer else "dot"},
                marker={"size": 8 if answer else 7, "symbol": SYMBOLS[number]},
                customdata=names,
                hovertemplate=f"{plain(lens.labels[index])}<br>after %{{customdata}}: %{{y:.1%}}<extra></extra>",
            )
        )
    fig.add_vline(x=lens.places.index(selected), line={"color": theme.text, "width": 1, "dash": "dash"})
    every = math.ceil(len(names) / 14)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    fig.update_layout(
        xaxis={
            "type": "category",
            "tickvals": names[::every],
            "tickangle": 0,
            "showgrid": False,
            "showline": True,
            "title": "after block",
        },
        yaxis={"title": {"text": "probability", "standoff": 12}, "tickformat": ".0%", "range": [-0.04, 1.06]},
        width=560,
        height=HEIGHT + TOP + 10,
        margin={"l": 0, "r": 8, "t": 66, "b": 0},
        legend=legend,
        overwrite=True,
    )
    answer_label = lens.labels[lens.leaders[-1]]
    finding = f"{_settling(lens)}: {answer_label} {float(shares[-1, lens.leaders[-1]]):.0%} at the end"
    spoken = ", ".join(
        f"{name} {lens.labels[index]} {float(row[index]):.0%}"
        for name, row, index in zip(names, shares, lens.leaders, strict=True)
    )
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="The network's prediction without all later branches: the output follows the shortcuts to the end.",
        alt=f"{finding}. Most probable class after each block: {spoken}.",
    )


def _settling(lens: Lens) -> str:
    return (
        "The final prediction leads from the start, before the first block"
        if lens.settled == "stem"
        else f"The final prediction leads from block {short(lens.settled)} on"
    )


def _classes(lens: Lens) -> list[int]:
    """The predicted class, then the classes that lead somewhere, the highest first."""
    answer, peaks = lens.leaders[-1], lens.probabilities.max(0)
    others = sorted({*lens.leaders} - {answer}, key=lambda index: -peaks[index])
    return [answer, *others[: len(SYMBOLS) - 1]]


def _short_label(label: str) -> str:
    return label if len(label) <= 18 else f"{label[:17]}…"


def _add_picture(fig: go.Figure, picture: Array, number: int, colour: str, limit: float) -> None:
    axis = "" if number == 0 else str(number + 1)
    fig.add_trace(
        go.Heatmap(
            z=picture,
            zmin=-limit,
            zmax=limit,
            colorscale=SIGNED,
            showscale=False,
            xaxis=f"x{axis}",
            yaxis=f"y{axis}",
            hovertemplate="x %{x}, y %{y}<br>%{z:.4f}<extra></extra>",
        )
    )
    left = 0.24 * number
    still = {
        "showgrid": False,
        "showticklabels": False,
        "ticks": "",
        "zeroline": False,
        "constrain": "domain",
    }
    border = {"showline": True, "mirror": True, "linecolor": colour, "linewidth": 3}
    fig.update_layout(
        {
            f"xaxis{axis}": {"domain": [left, left + 0.2], "anchor": f"y{axis}", **still, **border},
            f"yaxis{axis}": {
                "anchor": f"x{axis}",
                "domain": [0, 1],
                "scaleanchor": f"x{axis}",
                "autorange": "reversed",
                **still,
                **border,
            },
        },
        overwrite=True,
    )


def _arrows(block: BlockInspection) -> dict[str, tuple[float, float]]:
    """The tips of x, which lies along the axis, and of x + F, both in units of |x|."""
    ratio, turn = block.measures.ratio, math.radians(angle(block))
    return {"x": (1.0, 0.0), "sum": (1 + ratio * math.cos(turn), ratio * math.sin(turn))}


def _add_arrows(fig: go.Figure, tips: dict[str, tuple[float, float]]) -> None:
    (across, _), (end, up) = tips["x"], tips["sum"]
    for start, tip, colour in (((0, 0), (across, 0), IDENTITY), ((across, 0), (end, up), RESIDUAL), ((0, 0), (end, up), SUM)):
        fig.add_annotation(**_arrow(start, tip, colour))
    # Annotations alone give axes no range.
    fig.add_trace(
        go.Scatter(
            x=[0, across, end], y=[0, 0, up], mode="markers", xaxis="x3", yaxis="y3", marker={"opacity": 0}, hoverinfo="skip"
        )
    )
    fig.update_traces(showlegend=False)
    spread = max(1.0, end, up) - min(0.0, end)
    hidden = {"visible": False}
    fig.update_layout(
        xaxis3={
            "domain": [0.5, 1],
            "anchor": "y3",
            "range": [min(0, end) - 0.1 * spread, max(1, end) + 0.12 * spread],
            **hidden,
        },
        yaxis3={"domain": [0, 1], "anchor": "x3", "scaleanchor": "x3", "range": [-0.15 * spread, up + 0.15 * spread], **hidden},
        overwrite=True,
    )


def _arrow(start: tuple[float, float], tip: tuple[float, float], colour: str) -> dict[str, Any]:
    return {
        "x": tip[0],
        "y": tip[1],
        "ax": start[0],
        "ay": start[1],
        "xref": "x3",
        "yref": "y3",
        "axref": "x3",
        "ayref": "y3",
        "text": "",
        "showarrow": True,
        "arrowhead": 2,
        "arrowsize": 1,
        "arrowwidth": 3.5,
        "arrowcolor": colour,
    }


def _caption(x: float, text: str, theme: Theme) -> dict[str, Any]:
    font = {"color": theme.text, "size": 13}
    return {
        "x": x,
        "y": 0,
        "xref": "paper",
        "yref": "paper",
        "text": text,
        "showarrow": False,
        "font": font,
        "yanchor": "top",
        "xanchor": "center",
    }
