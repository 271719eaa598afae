"""The cost of each block of a network in three stages: one bar per block; x is the block, y millions of multiply-adds."""

from typing import Any

import plotly.graph_objects as go

from resnet_viz.figures.theme import IDENTITY, LIGHT, RESIDUAL, Theme, finish, short
from resnet_viz.lessons.cost import STAGES, Costs

WIDTH, HEIGHT, TOP = 720, 470, 44
MILLION = 1e6


def layer_costs(costs: Costs, theme: Theme = LIGHT) -> go.Figure:
    """Draw every block's multiply-adds: its two convolutions in orange, its shortcut's projection on top in blue."""
    names = [short(block.name) for block in costs.blocks]
    fig = go.Figure()
    for part, colour, words in (
        ("branch", RESIDUAL, "two 3×3 convolutions"),
        ("shortcut", IDENTITY, "projection of the shortcut"),
    ):
        fig.add_trace(
            go.Bar(
                x=names,
                y=[getattr(block, part) / MILLION for block in costs.blocks],
                name=words,
                marker={"color": colour, "line": {"width": 0}},
                hovertemplate=f"block %{{x}}, {words}<br>%{{y:.3f}} million multiply-adds<extra></extra>",
            )
        )
    highest = max(block.multiply_adds for block in costs.blocks) / MILLION
    fig.add_trace(_totals(costs, names, theme))
    for number in range(1, STAGES + 1):
        fig.add_annotation(_stage(costs, number, theme))
        if number > 1:
            edge = sum(len(costs.stage(each)) for each in range(1, number)) - 0.5
            fig.add_vline(x=edge, line={"color": theme.muted, "width": 1, "dash": "dot"})
    legend = {"orientation": "h", "x": 0, "y": -0.14, "yanchor": "top"}
    fig.update_layout(
        xaxis={"title": "block", "type": "category", "showgrid": False, "showline": True},
        yaxis={"title": {"text": "multiply-adds (millions)", "standoff": 12}, "range": [0, highest * 1.34]},
        barmode="stack",
        bargap=0.3,
        width=WIDTH,
        height=HEIGHT,
        margin={"l": 52, "r": 0, "t": TOP, "b": 0},
        legend=legend,
        overwrite=True,
    )
    first, last = costs.layer(1), costs.layer(STAGES)
    finding = f"A 3×3 convolution costs {_millions(first)} in the first stage and {_millions(last)} in the last"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="One bar per block, for one image of 32×32 pixels. Above each stage: the shape of its features and its "
        "total.",
        alt=f"{finding}. Blocks from first to last: {', '.join(_millions(block.multiply_adds) for block in costs.blocks)}.",
    )


def _totals(costs: Costs, names: list[str], theme: Theme) -> go.Scatter:
    values = [block.multiply_adds / MILLION for block in costs.blocks]
    return go.Scatter(
        x=names,
        y=values,
        text=[_short(value) for value in values] if len(names) <= 12 else None,
        mode="text",
        textposition="top center",
        textfont={"size": 13, "color": theme.text},
        showlegend=False,
        hoverinfo="skip",
    )


def _stage(costs: Costs, number: int, theme: Theme) -> dict[str, Any]:
    blocks = costs.stage(number)
    before = sum(len(costs.stage(each)) for each in range(1, number))
    total = sum(block.multiply_adds for block in blocks)
    shape = "×".join(map(str, blocks[-1].output))
    return {
        "x": before + (len(blocks) - 1) / 2,
        "y": 1,
        "yref": "paper",
        "yanchor": "top",
        "text": f"<b>stage {number}: {shape}</b><br>{_millions(total)} total",
        "showarrow": False,
        "font": {"size": 14, "color": theme.text},
    }


def _short(value: float) -> str:
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _millions(count: int) -> str:
    return f"{count / MILLION:.2f} M"
