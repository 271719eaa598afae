"""The median of a measure for every class in every block, as a matrix."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.statistics import Grouping, class_matrix
from resnet_viz.figures.survey.heat_maps import BAR, block_axis, colour_bar
from resnet_viz.figures.survey.wording import axis_of, kind_of_class, kinds_of_class
from resnet_viz.figures.theme import LIGHT, SIGNED, Theme, finish, plain, short

WIDTH, ROW, TOP, BOTTOM, LEFT = 1080, 26, 30 + BAR, 52, 40


def survey_matrix(survey: Survey, measure: str, grouping: Grouping = "class", theme: Theme = LIGHT) -> go.Figure:
    """Draw the medians. The colour shows how far a class is from the median over all classes in the same block."""
    table = class_matrix(survey, measure, grouping)
    values = table.to_numpy(dtype=float)
    middle = np.nanmedian(values, axis=0) if len(table) and np.isfinite(values).any() else np.zeros(values.shape[1])
    apart = values - middle
    spread = np.nanmax(np.abs(apart), axis=0, initial=0.0) if len(table) else np.ones(values.shape[1])
    blocks, classes = [short(name) for name in table.columns], [plain(str(name)) for name in table.index]
    fig = go.Figure(
        go.Heatmap(
            x=blocks,
            y=classes,
            z=apart / np.where(spread > 0, spread, 1),
            customdata=np.stack([values, np.broadcast_to(middle, values.shape)], -1),
            zmin=-1,
            zmax=1,
            colorscale=SIGNED,
            xgap=1,
            ygap=1,
            colorbar=colour_bar([-1, 0, 1], ["below", "median", "above"]),
            hovertemplate="%{y}, block %{x}<br>median %{customdata[0]:.4g}, over classes %{customdata[1]:.4g}<extra></extra>",
        )
    )
    fig.update_layout(
        xaxis=block_axis(blocks),
        yaxis={"type": "category", "autorange": "reversed", "showgrid": False, "dtick": 1},
        width=WIDTH,
        height=TOP + BOTTOM + max(6, len(classes)) * ROW,
        margin={"l": LEFT, "r": 0, "t": TOP, "b": BOTTOM},
        overwrite=True,
    )
    row, rows = (grouping, "classes") if grouping != "class" else (kind_of_class(survey), kinds_of_class(survey))
    finding = _finding(measure, rows, [str(name) for name in table.index], blocks, values)
    reading = (
        f"One row per {row}, one column per block; red is above and blue below the median over the {rows} in that block"
        f" ({axis_of(measure)})."
    )
    alt = f"{finding}. {len(classes)} {rows} by {len(blocks)} blocks."
    return finish(fig, theme, finding=finding, how_to_read=reading, alt=alt)


def _finding(measure: str, rows: str, classes: list[str], blocks: list[str], values: NDArray[np.float64]) -> str:
    symbol = MEANINGS[measure].symbol
    if len(classes) < 2 or not np.isfinite(values).all(0).any():
        return f"{symbol} by class: fewer than two {rows} are known"
    known = np.isfinite(values).all(0)
    relative = np.where(known, np.ptp(values, axis=0) / np.maximum(np.abs(values).mean(0), 1e-9), -1)
    block = int(relative.argmax())
    column = values[:, block]
    low, high = classes[int(column.argmin())], classes[int(column.argmax())]
    ends = f"{column.max():.3g} for {high}, {column.min():.3g} for {low}"
    return f"Relative to its size, {symbol} differs most between {rows} in block {blocks[block]}: {ends}"
