"""The autocorrelation of gradients along a line of images, a curve per network. Grey is plain, blue residual."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from resnet_viz.figures.theme import IDENTITY, LIGHT, PLAIN, Theme, finish, plain
from resnet_viz.lessons.shattered_gradients import Autocorrelation

WIDTH, HEIGHT, TOP = 760, 420, 60


def gradient_autocorrelation(found: Sequence[Autocorrelation], theme: Theme = LIGHT) -> go.Figure:
    """Draw R(lag) of several networks; the lag is a share of the line from the mean colour to the image."""
    fig = go.Figure()
    ends = []
    for number, each in enumerate(found):
        is_plain = each.model.startswith("plain")
        colour = PLAIN if is_plain else IDENTITY
        fig.add_trace(
            go.Scatter(
                x=each.lags,
                y=each.values,
                mode="lines+markers",
                name=plain(each.title),
                line={
                    "color": colour,
                    "width": 3.5 if number >= len(found) // 2 else 2,
                    "dash": "dash" if is_plain else "solid",
                },
                marker={"size": 5, "symbol": "x" if is_plain else "circle"},
                hovertemplate=f"{plain(each.title)}<br>lag %{{x:.1%}} of the line: %{{y:.2f}}<extra></extra>",
            )
        )
        ends.append((each.title, each.reach))
    fig.update_layout(
        xaxis={
            "title": "distance between two images, as a share of the line",
            "tickformat": ".0%",
            "showgrid": False,
            "showline": True,
            "rangemode": "tozero",
        },
        yaxis={"title": {"text": "autocorrelation of the gradient", "standoff": 12}, "zeroline": True, "range": [-0.55, 1.05]},
        width=WIDTH,
        height=HEIGHT,
        margin={"l": 0, "r": 8, "t": TOP, "b": 0},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        overwrite=True,
    )
    finding = "; ".join(f"{each.title}: {each.values[1]:.2f}" for each in found)
    step = float(found[0].lags[1])
    return finish(
        fig,
        theme,
        finding=f"Correlation of the gradients at neighbouring images: {finding}",
        how_to_read=f"Neighbours are {step:.1%} of the line apart. 1: the same gradient; 0 at every distance: white noise.",
        alt="Autocorrelation by distance. It falls below one half at: "
        + ", ".join(f"{title} {'never' if math.isinf(reach) else f'{reach:.1%}'}" for title, reach in ends)
        + ".",
    )
