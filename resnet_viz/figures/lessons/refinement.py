"""Blocks as steps down the loss: the cosine between F(x) and the negative gradient, and the loss after each block."""

import math

import plotly.graph_objects as go

from resnet_viz.analyses.refinement import Refinement
from resnet_viz.figures.theme import GRADIENT, LIGHT, RESIDUAL, SUM, Theme, finish, plain, short

WIDTH, HEIGHT, TOP = 560, 380, 60


def refinement_cosines(found: Refinement, theme: Theme = LIGHT) -> go.Figure:
    """Draw cos(F(x), -dL) of every block, with the gradient at its input and at its sum."""
    names = [short(block.name) for block in found.blocks]
    fig = go.Figure()
    for name, field, colour, pattern in (
        ("gradient at the input", "cosine_input", RESIDUAL, ""),
        ("gradient at the sum", "cosine_sum", GRADIENT, "/"),
    ):
        values = [getattr(block, field) for block in found.blocks]
        fig.add_trace(
            go.Bar(
                x=names,
                y=[None if math.isnan(value) else value for value in values],
                name=name,
                marker={"color": colour, "cornerradius": 3, "pattern": _pattern(pattern, theme)},
                hovertemplate=f"block %{{x}}<br>{name}: %{{y:.3f}}<extra></extra>",
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
    finding = _down(found)
    spoken = ", ".join(
        f"{name} {block.cosine_input:.3f} and {block.cosine_sum:.3f}" for name, block in zip(names, found.blocks, strict=True)
    )
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Above 0, a small step along F(x) reduces the loss. A block that changes the shape has only one bar.",
        alt=f"{finding}. Cosine with the gradient at the input and at the sum by block: {spoken}.",
    )


def refinement_losses(found: Refinement, theme: Theme = LIGHT) -> go.Figure:
    """Draw the loss before the first block and after each, with all later branches removed."""
    names = ["stem", *(short(block.name) for block in found.blocks)]
    fig = go.Figure(
        go.Scatter(
            x=names,
            y=found.losses,
            mode="lines+markers",
            line={"color": SUM, "width": 3.5},
            marker={"size": 8},
            hovertemplate="after %{x}: %{y:.3g}<extra></extra>",
        )
    )
    fig.update_layout(
        xaxis=blocks_axis("after block"),
        yaxis={
            "title": {"text": f"cross-entropy of {plain(found.target_label)}", "standoff": 12},
            "rangemode": "tozero",
            "zeroline": True,
        },
        overwrite=True,
    )
    lay_out(fig)
    falls = sum(after < before for before, after in zip(found.losses, found.losses[1:], strict=False))
    finding = f"The loss falls in {falls} of {len(found.blocks)} blocks, from {found.initial:.2g} to {found.losses[-1]:.2g}"
    spoken = ", ".join(f"{name} {loss:.3g}" for name, loss in zip(names, found.losses, strict=True))
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="The loss if the network stopped there: all later branches are removed; the features follow the shortcuts.",
        alt=f"{finding}. Loss: {spoken}.",
    )


def _down(found: Refinement) -> str:
    known = [block for block in found.blocks if not math.isnan(block.cosine_input)]
    if not known:
        return f"{found.title} has no block that adds F(x) to its own input"
    down = [block for block in known if block.cosine_input > 0]
    steepest = max(known, key=lambda block: block.cosine_input)
    return (
        f"At its input, F(x) points down the loss in {len(down)} of {len(known)} blocks, most in block {short(steepest.name)}"
        f" (cosine {steepest.cosine_input:.2f})"
    )


def _pattern(shape: str, theme: Theme) -> dict[str, object]:
    return {"shape": shape, "fillmode": "overlay", "fgcolor": theme.surface, "size": 6}


def blocks_axis(title: str = "block") -> dict[str, object]:
    """A category for each block."""
    return {"type": "category", "title": title, "showgrid": False, "showline": True, "tickangle": 0, "nticks": 14}


def lay_out(fig: go.Figure) -> None:
    """Set the size, and the legend above the bars."""
    legend = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    fig.update_layout(width=WIDTH, height=HEIGHT, margin={"l": 0, "r": 8, "t": TOP, "b": 0}, legend=legend, overwrite=True)
