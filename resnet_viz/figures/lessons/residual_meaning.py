"""One definition, three times: prediction + residual = actual for a line through points, an image, and a block of a network.

One row per meaning and one column per term; blue is the prediction, orange the residual and green the actual value.
"""

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.inspection import BlockInspection
from resnet_viz.figures.lessons.residual_image import scale_of
from resnet_viz.figures.panels import Panel, PanelContent, Sign, lay_out
from resnet_viz.figures.theme import IDENTITY, LIGHT, RESIDUAL, SUM, Theme, finish, short
from resnet_viz.lessons.residual_image import ResidualImage
from resnet_viz.lessons.residual_meaning import Line, Values

CELL, GAP, ROW_GAP, TEXT, HEADS = 128, 104, 10, 220, 24
COLUMNS = (("prediction", IDENTITY), ("residual", RESIDUAL), ("actual", SUM))


def residual_meaning(line: Line, image: ResidualImage, block: BlockInspection, theme: Theme = LIGHT) -> go.Figure:
    """Draw the three rows; the block needs its maps and an identity, ValueError for a plain one."""
    if block.identity is None or block.maps is None:
        raise ValueError(f"block {short(block.name)} is plain: it has no identity to add a residual to")
    maps = [values.mean(0) for values in (block.identity, block.residual, block.sum)]
    limit = max(float(np.abs(values).max()) for values in maps) or 1.0
    rows: list[list[tuple[PanelContent, float]]] = [
        [(image.problem.upsampled, 0.0), (image.shown, scale_of(image)), (image.problem.target, 0.0)],
        [(values, limit) for values in maps],
    ]
    panels = [
        Panel(content, _left(column), _top(row), CELL, CELL, COLUMNS[column][1], limit=scale)
        for row, cells in enumerate(rows, start=1)
        for column, (content, scale) in enumerate(cells)
    ]
    signs = [Sign(sign, _left(i + 1) - GAP / 2, _top(row) + CELL / 2) for row in range(3) for i, sign in enumerate("+=")]
    size = (int(_left(3)) + 60, int(_top(3)))
    fig = lay_out(panels, signs, theme, size)
    _add_line(fig, line, size, theme)
    errors = (line.error, image.error, block.maps.error)
    meanings = (
        ("In statistics", "the line's value, and<br>the point's distance to it"),
        ("In an image", "the bicubic image, and<br>its difference to the target"),
        ("In a network", f"block {short(block.name)}: x unchanged,<br>F(x) added to it"),
    )
    for row, ((name, text), error) in enumerate(zip(meanings, errors, strict=True)):
        middle = 1 - (_top(row) + CELL / 2) / size[1]
        small = f"<span style='font-size:12px;color:{theme.muted}'>{text}</span>"
        _write(fig, 0, middle, f"<b>{name}</b><br>{small}", theme.text, "left")
        _write(fig, (_left(3) - GAP + 24) / size[0], middle, f"largest error<br><b>{error:.2g}</b>", theme.text, "left")
    for column, (name, _) in enumerate(COLUMNS):
        _write(fig, (_left(column) + CELL / 2) / size[0], 1 - HEADS / 2 / size[1], f"<b>{name}</b>", theme.text, "center")
    exactly = f"with errors of at most {max(errors):.1g}" if max(errors) else "exactly"
    finding = f"All three rows are prediction + residual = actual, {exactly}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="The errors are the largest |prediction + residual − actual|, caused by rounding alone. Red is positive, "
        "blue negative; the maps of the block are means over its channels.",
        alt=f"{finding}. Line {errors[0]:.2g}, image {errors[1]:.2g}, block {short(block.name)} {errors[2]:.2g}.",
    )


def _add_line(fig: go.Figure, line: Line, size: tuple[int, int], theme: Theme) -> None:
    """The first row: dots on the line, sticks from 0, and the points themselves above a faint line."""
    low, high = float(min(line.actual.min(), 0)), float(max(line.actual.max(), 8))
    pad = 0.08 * (high - low)
    centre = (high + low) / 2
    for column, values in enumerate((line.predicted, line.residual, line.actual)):
        axis = f"{10 + column}"
        colour = COLUMNS[column][1]
        x, y = line.x, values
        look: dict[str, object]
        if column == 1:
            # One stick from 0 to each residual, with a gap between them.
            x, y = np.repeat(line.x, 3), np.stack([0 * values, values, np.full_like(values, np.nan)], 1).ravel()
        else:
            _add(fig, line.x, line.predicted, axis, {"mode": "lines", "line": {"color": IDENTITY, "width": 2}})
        if column == 2:
            sticks = np.stack([line.predicted, line.actual, np.full_like(values, np.nan)], 1).ravel()
            look = {"mode": "lines", "line": {"color": RESIDUAL, "width": 2}}
            _add(fig, np.repeat(line.x, 3), sticks, axis, look)
        look = {"mode": "lines", "line": {"color": colour, "width": 3}} if column == 1 else _dots(line, colour, theme)
        _add(fig, x, y, axis, look)
        # One unit has the same length in each column.
        half = (high - low) / 2 + pad
        middle = 0.0 if column == 1 else centre
        fig.update_layout(_line_axes(axis, column, (middle - half, middle + half), line, size), overwrite=True)


def _dots(line: Line, colour: str, theme: Theme) -> dict[str, object]:
    outline = [2 if index == line.moved else 0 for index in range(len(line.x))]
    return {"mode": "markers", "marker": {"color": colour, "size": 8, "line": {"color": theme.text, "width": outline}}}


def _add(fig: go.Figure, x: Values, y: Values, axis: str, look: dict[str, object]) -> None:
    place = {"xaxis": f"x{axis}", "yaxis": f"y{axis}", "hovertemplate": "x %{x:.0f}<br>%{y:.2f}<extra></extra>"}
    fig.add_trace(go.Scatter(x=x, y=y, showlegend=False, **place, **look))


def _line_axes(
    axis: str, column: int, limits: tuple[float, float], line: Line, size: tuple[int, int]
) -> dict[str, dict[str, object]]:
    frame = {"showline": True, "mirror": True, "linecolor": COLUMNS[column][1], "linewidth": 3}
    still = {"showgrid": False, "showticklabels": False, "zeroline": column == 1}
    across = [_left(column) / size[0], (_left(column) + CELL) / size[0]]
    down = [1 - (_top(0) + CELL) / size[1], 1 - _top(0) / size[1]]
    return {
        f"xaxis{axis}": {
            "domain": across,
            "anchor": f"y{axis}",
            "range": [-1, len(line.x)],
            **still,
            "zeroline": False,
            **frame,
        },
        f"yaxis{axis}": {"domain": down, "anchor": f"x{axis}", "range": list(limits), **still, **frame},
    }


def _left(column: int) -> float:
    return TEXT + column * (CELL + GAP)


def _top(row: int) -> float:
    return HEADS + row * (CELL + ROW_GAP)


def _write(fig: go.Figure, x: float, y: float, text: str, colour: str, anchor: str) -> None:
    fig.add_annotation(
        x=x,
        y=y,
        xref="paper",
        yref="paper",
        text=text,
        showarrow=False,
        xanchor=anchor,
        yanchor="middle",
        align="left",
        font={"size": 14, "color": colour},
    )
