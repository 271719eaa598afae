"""Addition compared with concatenation: on two vectors, as cells with numbers, and on a block's channels, as tiles.

Upper row: identity + residual, element by element. Lower row: both concatenated. Blue is the identity, orange the residual, and
green the sum; the parts of a concatenation keep their colours.
"""

from typing import Any

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.activations import Array
from resnet_viz.figures.data_urls import data_url
from resnet_viz.figures.theme import IDENTITY, LIGHT, RESIDUAL, SUM, Theme, finish, translucent
from resnet_viz.figures.tiles import tiles
from resnet_viz.lessons.addition import NextLayer, Vectors

TOP = 44
HEIGHT = 360
UPPER, LOWER = 1.5, 0.0
ADDED = ("identity x", "+", "residual F(x)", "=", "sum")
JOINED = ("identity x", "‖", "residual F(x)", "=", "identity x", "residual F(x)")


def vectors(result: Vectors, theme: Theme = LIGHT) -> go.Figure:
    """Draw both operations on two vectors, one cell per number."""
    fig = go.Figure()
    row = _Row(fig, theme, UPPER)
    row.cells(result.left, IDENTITY)
    row.sign("+")
    row.cells(result.right, RESIDUAL)
    row.sign("=")
    if result.sum is None:
        row.words(f"cannot be added: {len(result.left)} and {len(result.right)} numbers")
    else:
        row.cells(result.sum, SUM)
    end = row.x
    row = _Row(fig, theme, LOWER)
    row.cells(result.left, IDENTITY)
    row.sign("‖")
    row.cells(result.right, RESIDUAL)
    row.sign("=")
    row.cells(result.left, IDENTITY)
    row.cells(result.right, RESIDUAL)
    _frame(fig, max(end, row.x), theme)
    finding = _finding(result)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Above, each number is added to the one at the same position. Below, the two are concatenated.",
        alt=finding,
    )


def channels(identity: Array, residual: Array, layer: NextLayer, wider: NextLayer, theme: Theme = LIGHT) -> go.Figure:
    """Draw both operations on a block's channels, (C, H, W) each, on one scale, with the cost of the layer after them."""
    total = identity + residual
    limit = float(max(np.abs(maps).max() for maps in (identity, residual, total))) or 1.0
    count = len(identity)
    columns = _columns(count)
    pictures = {
        "identity x": (tiles(identity, limit, columns, theme), IDENTITY),
        "residual F(x)": (tiles(residual, limit, columns, theme), RESIDUAL),
        "sum": (tiles(total, limit, columns, theme), SUM),
    }
    fig = go.Figure()
    _pictures(fig, ADDED, pictures, UPPER, theme)
    _pictures(fig, JOINED, pictures, LOWER, theme)
    x = _width(JOINED)
    for y, made in ((UPPER, layer), (LOWER, wider)):
        shape = "×".join(map(str, (made.channels, *identity.shape[1:])))
        text = f"<b>{shape}</b><br>{_count(made.parameters)} parameters<br>{_count(made.multiply_adds)} multiply-adds"
        fig.add_annotation(x=x + 0.35, y=y + 0.5, text=text, xanchor="left", align="left", showarrow=False, font={"size": 14})
    _frame(fig, x + 2.1, theme)
    fig.update_layout(width=820)
    finding = f"Addition keeps {count} channels; concatenation makes {wider.channels} of them"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"One tile per channel, ±{limit:.3g}: red is positive, blue negative. Right: shape, and cost of the next "
        f"{layer.words}.",
        alt=f"{finding}. The next {layer.words} has {layer.parameters} parameters after the sum, and {wider.parameters} "
        f"after the concatenation.",
    )


class _Row:
    """Cells and signs from left to right; a cell is one unit wide and high."""

    def __init__(self, fig: go.Figure, theme: Theme, y: float) -> None:
        self.fig, self.theme, self.y, self.x = fig, theme, y, 0.0

    def cells(self, numbers: tuple[float, ...], colour: str) -> None:
        for number in numbers:
            place = {"x0": self.x + 0.03, "x1": self.x + 0.97, "y0": self.y + 0.05, "y1": self.y + 0.95}
            line = {"color": colour, "width": 3}
            self.fig.add_shape(type="rect", **place, line=line, fillcolor=translucent(colour, 0.15), layer="below")
            self.fig.add_annotation(
                x=self.x + 0.5, y=self.y + 0.5, text=f"{number:g}", showarrow=False, font={"size": 18, "color": self.theme.text}
            )
            self.x += 1

    def sign(self, text: str) -> None:
        self.fig.add_annotation(
            x=self.x + 0.4, y=self.y + 0.5, text=text, showarrow=False, font={"size": 24, "color": self.theme.text}
        )
        self.x += 0.8

    def words(self, text: str) -> None:
        self.fig.add_annotation(
            x=self.x, y=self.y + 0.5, text=text, xanchor="left", showarrow=False, font={"size": 15, "color": self.theme.text}
        )
        self.x += 5


def _pictures(fig: go.Figure, names: tuple[str, ...], pictures: dict[str, tuple[Any, str]], y: float, theme: Theme) -> None:
    x = 0.0
    for name in names:
        if name not in pictures:
            fig.add_annotation(x=x + 0.2, y=y + 0.5, text=name, showarrow=False, font={"size": 24, "color": theme.text})
            x += 0.4
            continue
        picture, colour = pictures[name]
        fig.add_layout_image(
            source=data_url(picture), xref="x", yref="y", x=x + 0.02, y=y + 0.98, sizex=0.96, sizey=0.96, sizing="stretch"
        )
        fig.add_shape(type="rect", x0=x, x1=x + 1, y0=y, y1=y + 1, line={"color": colour, "width": 3})
        fig.add_annotation(
            x=x + 0.5, y=y + 1, text=name, yanchor="bottom", showarrow=False, font={"size": 13, "color": theme.text}
        )
        x += 1.04


def _width(names: tuple[str, ...]) -> float:
    return sum(0.4 if len(name) == 1 else 1.04 for name in names)


def _frame(fig: go.Figure, width: float, theme: Theme) -> None:
    # An invisible point, because axes without a trace are not drawn.
    fig.add_trace(go.Scatter(x=[0], y=[0], mode="markers", marker={"opacity": 0, "color": theme.text}, hoverinfo="skip"))
    fig.update_layout(
        xaxis={"visible": False, "range": [-0.05, width + 0.05], "constrain": "domain"},
        yaxis={"visible": False, "range": [-0.05, 2.75], "scaleanchor": "x", "constrain": "domain"},
        width=400,
        height=HEIGHT + TOP,
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        showlegend=False,
        overwrite=True,
    )


def _columns(count: int) -> int:
    return next(columns for columns in range(int(count**0.5), count + 1) if columns * columns >= count)


def _count(number: int) -> str:
    return f"{number / 1e6:,.2f} M" if number >= 1e6 else f"{number:,}"


def _vector(numbers: tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{number:g}" for number in numbers) + "]"


def _finding(result: Vectors) -> str:
    left, right, joined = map(_vector, (result.left, result.right, result.joined))
    if result.sum is None:
        return f"{left} and {right} cannot be added element by element; their concatenation is {joined}"
    return f"{left} + {right} = {_vector(result.sum)}; their concatenation is {joined}"
