"""The median of a measure for every class in every block, as a matrix."""

import math

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.statistics import Grouping, class_matrix
from resnet_viz.figures.survey.wording import axis_of
from resnet_viz.figures.theme import LIGHT, SIGNED, Theme, finish, plain, short

WIDTH, ROW, TOP, BOTTOM, LEFT = 1080, 26, 44, 52, 130


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
            colorbar={
                "title": {"text": "from the block's median"},
                "tickvals": [-1, 0, 1],
                "ticktext": ["lowest", "0", "highest"],
            },
            hovertemplate="%{y}, block %{x}<br>median %{customdata[0]:.4g}, over classes %{customdata[1]:.4g}<extra></extra>",
        )
    )
    fig.update_layout(
        xaxis={
            "type": "category",
            "title": "block",
            "showgrid": False,
            "tickvals": blocks[:: math.ceil(len(blocks) / 18)],
            "tickangle": 0,
        },
        yaxis={"type": "category", "autorange": "reversed", "showgrid": False},
        width=WIDTH,
        height=TOP + BOTTOM + max(6, len(classes)) * ROW,
        margin={"l": LEFT, "r": 0, "t": TOP, "b": BOTTOM},
        overwrite=True,
    )
    finding = _finding(measure, [str(name) for name in table.index], blocks, values)
    reading = (
        "One row per class, one column per block; red is above and blue below the median over the classes in that block"
        f" ({axis_of(measure)})."
    )
    alt = f"{finding}. {len(classes)} classes by {len(blocks)} blocks."
    return finish(fig, theme, finding=finding, how_to_read=reading, alt=alt)


def _finding(measure: str, classes: list[str], blocks: list[str], values: NDArray[np.float64]) -> str:
    symbol = MEANINGS[measure].symbol
    if len(classes) < 2 or not np.isfinite(values).all(0).any():
        return f"{symbol} by class: fewer than two classes are known"
    known = np.isfinite(values).all(0)
    relative = np.where(known, np.ptp(values, axis=0) / np.maximum(np.abs(values).mean(0), 1e-9), -1)
    block = int(relative.argmax())
    column = values[:, block]
    low, high = classes[int(column.argmin())], classes[int(column.argmax())]
    ends = f"{column.max():.3g} for {high}, {column.min():.3g} for {low}"
    return f"{symbol} differs most between classes in block {blocks[block]}: {ends}"
