"""The scalar measures of every block against depth, one panel a question, blocks from first to last along x."""

import math
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from resnet_viz.analyses.inspection import Inspection
from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.figures.theme import GRADIENT, IDENTITY, LIGHT, PLAIN, RESIDUAL, SUM, Theme, finish, short


@dataclass(frozen=True)
class Panel:
    """One chart: its title, the columns of `Inspection.table` it draws, and the scale of its y axis."""

    title: str
    columns: tuple[str, ...]
    axis: str
    scale: str = "linear"


PANELS = (
    Panel("How large are x and F?", ("identity_norm", "residual_norm"), "L2 norm", "log"),
    Panel("How large is the correction?", ("ratio",), "|F| / |x|"),
    Panel("Does F point along x?", ("cosine",), "cos(x, F)"),
    Panel("How strongly does F respond?", ("response_std",), "standard deviation"),
    Panel("How does the gradient divide?", ("grad_identity_norm", "grad_residual_norm"), "L2 norm", "log"),
    Panel("How much does the ReLU cut?", ("cut",), "share of entries"),
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
    names = [short(str(name)) for name in table.index]
    plain = all(block.shortcut == "none" for block in inspection.blocks)
    fig = make_subplots(2, 3, subplot_titles=[panel.title for panel in PANELS], horizontal_spacing=0.07, vertical_spacing=0.2)
    for number, panel in enumerate(PANELS):
        row, column = divmod(number, 3)
        for name in panel.columns:
            colour = PLAIN if plain else COLOURS[name]
            symbol = MEANINGS[name].symbol
            fig.add_trace(
                go.Scatter(
                    x=names,
                    y=table[name],
                    mode="lines+markers",
                    line={"color": colour, "width": 2.5},
                    marker={"size": 7, "symbol": MARKERS.get(name, "diamond")},
                    name=symbol,
                    hovertemplate=f"block %{{x}}<br>{symbol} %{{y:.4g}}<extra></extra>",
                ),
                row=row + 1,
                col=column + 1,
            )
        fig.update_yaxes(title=panel.axis, type=panel.scale, row=row + 1, col=column + 1)
    every = math.ceil(len(names) / 9)
    fig.update_xaxes(type="category", tickvals=names[::every], tickangle=0, showgrid=False, showline=True, title="block")
    if selected is not None:
        fig.add_vline(x=names.index(short(selected)), line={"color": theme.muted, "width": 1, "dash": "dot"})
    fig.update_layout(width=1080, height=600, margin={"l": 0, "r": 0, "t": 84, "b": 0}, showlegend=False, dragmode=False)
    fig.update_annotations(font={"size": 14, "color": theme.text})
    finding = _finding(inspection)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Blue circles are the identity path, diamonds the residual branch; blocks run from image to classes.",
        alt=f"{finding}. Six charts by block: {', '.join(panel.title for panel in PANELS)}",
    )


def _finding(inspection: Inspection) -> str:
    table = inspection.table()
    if table["ratio"].isna().all():
        trend = table["response_std"]
        return f"Without shortcuts the response of F goes from {trend.iloc[0]:.2f} to {trend.iloc[-1]:.2f}"
    larger = int((table["ratio"] > 1).sum())
    against = int((table["cosine"] < 0).sum())
    return f"F is larger than x in {larger} of {len(table)} blocks, and points against it in {against}"
