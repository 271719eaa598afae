"""The gradient at every block's input by depth, on a logarithmic scale: through the shortcut, through F, and the total."""

import math

import plotly.graph_objects as go

from resnet_viz.analyses.gradients import Gradients
from resnet_viz.figures.block_names import brief
from resnet_viz.figures.log_axis import log_axis
from resnet_viz.figures.theme import GRADIENT, IDENTITY, LIGHT, PLAIN, RESIDUAL, Theme, finish, short


def gradient_flow(
    gradients: Gradients, beside: Gradients | None = None, selected: str | None = None, theme: Theme = LIGHT
) -> go.Figure:
    """Draw the three norms by block, and another network's total gradient `beside` them on the same scale.

    x is the position of the block from first (0) to last (1), so that networks of different depth can be compared.
    """
    fig = go.Figure()
    plain = all(block.kind == "none" for block in gradients.blocks)
    lines = [("total", "total", GRADIENT, "circle", 3.0)]
    if not plain:
        lines += [
            ("through the shortcut", "shortcut", IDENTITY, "square", 2.0),
            ("through F", "branch", RESIDUAL, "diamond", 2.0),
        ]
    for name, field, colour, symbol, width in lines:
        values = [getattr(block, field) for block in gradients.blocks]
        fig.add_trace(_line(gradients, values, name, {"color": colour, "width": width}, symbol))
    if beside is not None:
        values = [block.total for block in beside.blocks]
        fig.add_trace(_line(beside, values, f"{_name(beside)}, total", {"color": PLAIN, "width": 3, "dash": "dash"}, "x"))
    blocks = [block.name for block in gradients.blocks]
    names = brief(blocks)
    every = math.ceil(len(names) / 18)
    fig.update_layout(
        xaxis={
            "title": "block",
            "tickvals": _places(gradients)[::every],
            "ticktext": names[::every],
            "tickangle": 0,
            "showgrid": False,
            "showline": True,
        },
        yaxis={"title": {"text": "L2 norm of the gradient", "standoff": 14}, **log_axis(_values(gradients, beside))},
        overwrite=True,
    )
    if selected in blocks:
        place = _places(gradients)[blocks.index(selected)]
        fig.add_vline(x=place, line={"color": theme.muted, "width": 1, "dash": "dot"})
    legend = {"orientation": "h", "x": 0, "y": -0.18, "yanchor": "top"}
    fig.update_layout(width=700, height=440, margin={"l": 0, "r": 8, "t": 44, "b": 0}, legend=legend, overwrite=True)
    finding = _finding(gradients, beside)
    spoken = ", ".join(f"{short(block.name)} {block.total:.3g}" for block in gradients.blocks)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Read from right to left: the gradient starts at the classes and runs back to the image.",
        alt=f"{finding}. Norm of the total gradient by block: {spoken}.",
    )


def _line(gradients: Gradients, values: list[float], name: str, line: dict[str, object], symbol: str) -> go.Scatter:
    return go.Scatter(
        x=_places(gradients),
        y=values,
        mode="lines+markers",
        name=name,
        line=line,
        marker={"size": 8, "symbol": symbol},
        customdata=[short(block.name) for block in gradients.blocks],
        hovertemplate=f"{name}<br>block %{{customdata}}<br>%{{y:.4g}}<extra></extra>",
    )


def _values(gradients: Gradients, beside: Gradients | None) -> list[float]:
    blocks = (*gradients.blocks, *(beside.blocks if beside else ()))
    return [value for block in blocks for value in (block.total, block.shortcut, block.branch)]


def _places(gradients: Gradients) -> list[float]:
    last = max(1, len(gradients.blocks) - 1)
    return [index / last for index in range(len(gradients.blocks))]


def _name(gradients: Gradients) -> str:
    return gradients.title if gradients.weights.trained else f"{gradients.title} (random weights)"


def _finding(gradients: Gradients, beside: Gradients | None) -> str:
    first, last = gradients.blocks[0].total, gradients.blocks[-1].total
    finding = f"The gradient at the first block is {_times(first, last)} that at the last"
    shares = [block.share for block in gradients.blocks if not math.isnan(block.share)]
    if shares:
        finding += f"; the gradient through the shortcut is {sum(shares) / len(shares):.0%} on average"
    if beside is not None:
        finding += f". In {_name(beside)} it is {_times(beside.blocks[0].total, beside.blocks[-1].total)}"
    return finding


def _times(first: float, last: float) -> str:
    return f"{first / last:.3g} times" if last else "more than"
