"""Gradient norms of a plain and a residual network by block in one epoch, with their range over all epochs behind them.

x is the position of the block from input (left) to output (right), y the norm on a log scale; grey is plain, blue residual.
"""

from collections.abc import Sequence

import plotly.graph_objects as go

from resnet_viz.figures.theme import IDENTITY, LIGHT, PLAIN, Theme, finish, short, translucent
from resnet_viz.lessons.degradation import Norms

WIDTH, HEIGHT, TOP = 1080, 420, 44
MOST_TICKS = 14


def gradients_by_block(networks: Sequence[Norms], theme: Theme = LIGHT) -> go.Figure:
    """Draw one line per network; ValueError if there is none."""
    if not networks:
        raise ValueError("there is no network with gradient norms to draw")
    fig = go.Figure()
    for each in networks:
        for trace in _traces(each):
            fig.add_trace(trace)
        fig.add_annotation(_label(each, theme))
    longest = max(networks, key=lambda each: len(each.blocks))
    every = -(-len(longest.blocks) // MOST_TICKS)
    fig.update_layout(
        xaxis={
            "title": "block, from input to output",
            "range": [-0.03, 1.16],
            "tickvals": _places(longest)[::every],
            "ticktext": [short(name) for name in longest.blocks][::every],
            "showgrid": False,
            "showline": True,
        },
        yaxis={
            "title": {"text": "gradient norm", "standoff": 12},
            "type": "log",
            "exponentformat": "power",
            "tickvals": [m * 10.0**e for e in range(-8, 3) for m in (1, 2, 5)],
        },
        width=WIDTH,
        height=HEIGHT,
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        showlegend=False,
        overwrite=True,
    )
    finding = "; ".join(
        f"{each.run.title}'s smallest gradient is {each.smallest_share:.2g} of its largest" for each in networks
    )
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="L2 norm over a block's parameters, mean over the steps of an epoch. Bands: each block's range over all "
        "epochs.",
        alt=f"{finding}, in epoch {', '.join(str(each.epoch) for each in networks)}.",
    )


def _traces(each: Norms) -> tuple[go.Scatter, go.Scatter]:
    colour = PLAIN if each.run.plain else IDENTITY
    x = _places(each)
    band = go.Scatter(
        x=[*x, *reversed(x)],
        y=[*each.highest, *reversed(each.lowest)],
        fill="toself",
        fillcolor=translucent(colour, 0.13),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
    )
    line = go.Scatter(
        x=x,
        y=each.values,
        mode="lines+markers",
        name=each.run.title,
        line={"color": colour, "width": 3, "dash": "dash" if each.run.plain else "solid"},
        marker={"size": 8, "symbol": "square" if each.run.plain else "circle"},
        customdata=[short(name) for name in each.blocks],
        hovertemplate=f"{each.run.title}, epoch {each.epoch}<br>block %{{customdata}}: %{{y:.3g}}<extra></extra>",
    )
    return band, line


def _label(each: Norms, theme: Theme) -> dict[str, object]:
    return {
        "x": 1.02,
        "y": 1.0 if each.run.plain else 0.9,
        "yref": "paper",
        "xanchor": "left",
        "text": f"<b>{each.run.title}</b> {'▪ – –' if each.run.plain else '● —'}",
        "showarrow": False,
        "font": {"size": 14, "color": theme.text},
    }


def _places(each: Norms) -> list[float]:
    last = max(1, len(each.blocks) - 1)
    return [index / last for index in range(len(each.blocks))]
