"""The scalar measures of every block by depth, one panel per question, blocks from first to last along x."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from resnet_viz.analyses.inspection import Inspection
from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.figures.block_names import brief
from resnet_viz.figures.cells import Cell, cells
from resnet_viz.figures.log_axis import log_axis
from resnet_viz.figures.theme import GRADIENT, IDENTITY, LIGHT, PLAIN, RESIDUAL, SUM, Theme, finish


@dataclass(frozen=True)
class MeasurePanel:
    """One chart: its title, the columns of `Inspection.table` it draws, and the scale of its y axis."""

    title: str
    columns: tuple[str, ...]
    axis: str
    scale: str = "linear"


PANELS = (
    MeasurePanel("How large are x and F?", ("identity_norm", "residual_norm"), "L2 norm", "log"),
    MeasurePanel("How large is the correction?", ("ratio",), "|F| / |x|"),
    MeasurePanel("Does F point along x?", ("cosine",), "cos(x, F)"),
    MeasurePanel("How strongly does F respond?", ("response_std",), "standard deviation"),
    MeasurePanel("How does the gradient divide?", ("grad_identity_norm", "grad_residual_norm"), "L2 norm", "log"),
    MeasurePanel("How much does the ReLU zero?", ("cut",), "share of entries"),
)
COLOURS = {
    "identity_norm": IDENTITY,
    "residual_norm": RESIDUAL,
    "ratio": RESIDUAL,
    "cosine": RESIDUAL,
    "response_std": RESIDUAL,
    "grad_identity_norm": IDENTITY,
    "grad_residual_norm": GRADIENT,
    "cut": SUM,
}
MARKERS = {"identity_norm": "circle", "grad_identity_norm": "circle"}


def measures_by_depth(inspection: Inspection, selected: str | None = None, theme: Theme = LIGHT) -> go.Figure:
    """Draw six panels of measures by block; a line marks the `selected` block."""
    table = inspection.table()
    names = brief([str(name) for name in table.index])
    plain = all(block.shortcut == "none" for block in inspection.blocks)
    places = cells((1, 1, 1), rows=2, gap=0.07, row_gap=0.2)
    ticks = names[:: math.ceil(len(names) / 9)]
    across = {"type": "category", "tickvals": ticks, "tickangle": 0, "showgrid": False, "showline": True, "title": "block"}
    axes: dict[str, Any] = {}
    for cell, panel in zip(places, PANELS, strict=True):
        values = table[list(panel.columns)].to_numpy().ravel()
        scale = log_axis(values) if panel.scale == "log" else {"type": panel.scale}
        axes |= cell.layout(across, {"title": panel.axis, **scale})
    lines = [] if selected is None else [cell.upright(list(table.index).index(selected), theme) for cell in places]
    fig = go.Figure(
        [
            _line(table, names, name, cell, plain=plain)
            for cell, panel in zip(places, PANELS, strict=True)
            for name in panel.columns
        ]
    )
    fig.update_layout(
        **axes,
        shapes=lines,
        annotations=[cell.title(_title(panel, table), theme) for cell, panel in zip(places, PANELS, strict=True)],
        width=1080,
        height=600,
        margin={"l": 0, "r": 0, "t": 84, "b": 0},
        showlegend=False,
        overwrite=True,
    )
    finding = _finding(inspection)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Blue circles are the identity path, diamonds the residual branch. Blocks are ordered from input to "
        "output.",
        alt=f"{finding}. Six charts by block: {', '.join(panel.title for panel in PANELS)}",
    )


def _title(panel: MeasurePanel, table: pd.DataFrame) -> str:
    """Return a panel's title, or why it is empty."""
    if panel.columns == ("cut",) and table["cut"].isna().all():
        return "No ReLU follows the sums"
    return panel.title


def _line(table: pd.DataFrame, names: list[str], name: str, cell: Cell, *, plain: bool) -> go.Scatter:
    symbol = MEANINGS[name].symbol
    return go.Scatter(
        x=names,
        y=table[name],
        mode="lines+markers",
        line={"color": PLAIN if plain else COLOURS[name], "width": 2.5},
        marker={"size": 7, "symbol": MARKERS.get(name, "diamond")},
        name=symbol,
        hovertemplate=f"block %{{x}}<br>{symbol} %{{y:.4g}}<extra></extra>",
        **cell.axes,
    )


def _finding(inspection: Inspection) -> str:
    table = inspection.table()
    if table["ratio"].isna().all():
        trend = table["response_std"]
        return f"Without shortcuts, the standard deviation of F(x) goes from {trend.iloc[0]:.2f} to {trend.iloc[-1]:.2f}"
    larger = int((table["ratio"] > 1).sum())
    against = int((table["cosine"] < 0).sum())
    return f"F is larger than x in {larger} of {len(table)} blocks, and points against it in {against}"
