"""Blocks as steps down the loss for many images: medians and quartiles of the cosines and of the loss after each block."""

import math

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.refinement_survey import RefinementSurvey, quartiles
from resnet_viz.counting import counted
from resnet_viz.figures.lessons.refinement import blocks_axis, lay_out
from resnet_viz.figures.theme import GRADIENT, LIGHT, RESIDUAL, SUM, Theme, finish, short


def refinement_survey_cosines(found: RefinementSurvey, theme: Theme = LIGHT) -> go.Figure:
    """Draw the median of cos(F(x), -dL) over the images by block, with quartiles as whiskers."""
    names = [short(name) for name in found.blocks]
    fig = go.Figure()
    for name, values, colour in (
        ("gradient at the input", found.cosine_input, RESIDUAL),
        ("gradient at the sum", found.cosine_sum, GRADIENT),
    ):
        low, median, high = quartiles(values)
        fig.add_trace(
            go.Bar(
                x=names,
                y=_drawn(median),
                name=name,
                marker={"color": colour, "cornerradius": 3},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": _drawn(high - median),
                    "arrayminus": _drawn(median - low),
                    "color": theme.muted,
                    "thickness": 1.2,
                    "width": 3,
                },
                hovertemplate=f"block %{{x}}<br>{name}: median %{{y:.3f}}<extra></extra>",
            )
        )
    fig.update_layout(
        xaxis=blocks_axis(),
        yaxis={"title": {"text": "cosine of F(x) and −gradient of the loss", "standoff": 12}, "zeroline": True},
        bargap=0.25,
        barmode="group",
        overwrite=True,
    )
    lay_out(fig)
    down = found.down
    known = [(share, name) for share, name in zip(down.tolist(), names, strict=True) if not math.isnan(share)]
    finding = f"{found.title} has no block that adds F(x) to its own input"
    if known:
        most, best = max(known)
        least, worst = min(known)
        finding = f"F(x) points down the loss in {most:.0%} of the images in block {best}, in {least:.0%} in block {worst}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Bars are medians over {_images(found)}, whiskers the middle half of them. Above 0 a small step along F(x)"
        " makes the loss smaller.",
        alt=f"{finding}. Share of images by block: " + ", ".join(f"{name} {share:.0%}" for share, name in known) + ".",
    )


def refinement_survey_losses(found: RefinementSurvey, theme: Theme = LIGHT) -> go.Figure:
    """Draw the median loss before the first block and after each, with the quartiles as a band."""
    names = ["stem", *(short(name) for name in found.blocks)]
    low, median, high = quartiles(found.losses)
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    fig = go.Figure(
        [
            go.Scatter(x=names, y=low, **edge),
            go.Scatter(x=names, y=high, fill="tonexty", fillcolor=theme.line, **edge),
            go.Scatter(
                x=names,
                y=median,
                mode="lines+markers",
                line={"color": SUM, "width": 3.5},
                marker={"size": 8},
                hovertemplate="after %{x}: median %{y:.3g}<extra></extra>",
                showlegend=False,
            ),
        ]
    )
    fig.update_layout(
        xaxis=blocks_axis("after block"),
        yaxis={"title": {"text": "cross-entropy", "standoff": 12}, "rangemode": "tozero", "zeroline": True},
        overwrite=True,
    )
    lay_out(fig)
    falls = int((np.diff(median) < 0).sum())
    finding = f"The median loss falls in {falls} of {len(found.blocks)} blocks, from {median[0]:.2g} to {median[-1]:.2g}"
    spoken = ", ".join(f"{name} {loss:.3g}" for name, loss in zip(names, median.tolist(), strict=True))
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"The loss of {_images(found)} if the network stopped there. The line is the median, the band the middle"
        " half.",
        alt=f"{finding}. Median loss: {spoken}.",
    )


def _images(found: RefinementSurvey) -> str:
    count = len(found.images)
    of = (
        "their own class"
        if found.known == count
        else "the predicted class"
        if not found.known
        else "their own or predicted class"
    )
    return f"{counted(count, 'image')}, for {of}"


def _drawn(values: Array) -> list[float | None]:
    """Plotly draws nothing for None."""
    return [None if math.isnan(value) else value for value in values.tolist()]
