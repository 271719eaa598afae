"""The norm of each block's gradient in each epoch of training: x is the epoch, y the block, colour the norm, log scale."""

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from resnet_viz.figures.theme import GRADIENT, LIGHT, Theme, finish, short
from resnet_viz.nets.curves import block_norms

# A block with a gradient this much smaller than the largest of the same epoch hardly learns in comparison.
VANISHED = 1000

ROW, LOWEST, HIGHEST = 26, 240, 620
TOP, BOTTOM, LEFT = 44, 48, 62


def gradient_norms(curve: pd.DataFrame, title: str, theme: Theme = LIGHT) -> go.Figure:
    """Draw the gradient norms of a curve from `read_curve`; blocks are ordered from the input, at the top, to the output.

    ValueError if the curve has no gradient norms.
    """
    table = block_norms(curve)
    if table.empty:
        raise ValueError(f"the curve of {title} has no gradient norms")
    blocks = [short(str(name)) for name in table.index]
    values = table.to_numpy()
    positive = values[values > 0]
    smallest, largest = float(positive.min()), float(positive.max())
    fig = go.Figure(
        go.Heatmap(
            x=table.columns,
            y=blocks,
            z=np.log10(np.maximum(values, smallest)),
            customdata=values,
            colorscale=[[0, theme.surface], [0.5, GRADIENT], [1, theme.text]],
            colorbar=_bar(smallest, largest),
            xgap=1,
            ygap=1,
            hovertemplate="block %{y}, epoch %{x}<br>gradient norm %{customdata:.3g}<extra></extra>",
        )
    )
    every = math.ceil(len(blocks) / 20)
    height = min(max(ROW * len(blocks), LOWEST), HIGHEST) + TOP + BOTTOM
    fig.update_layout(
        xaxis={"title": "epoch", "showgrid": False},
        yaxis={
            "title": "block",
            "type": "category",
            "autorange": "reversed",
            "tickvals": blocks[::every],
            "showgrid": False,
        },
        width=720,
        height=height,
        margin={"l": LEFT, "r": 0, "t": TOP, "b": BOTTOM},
        overwrite=True,
    )
    finding = _finding(table)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="L2 norm over a block's parameters, mean over steps, on a logarithmic colour scale. Blocks from input "
        "(top) to output.",
        alt=f"{finding}. A heatmap of {len(blocks)} blocks of {title} by {table.shape[1]} epochs.",
    )


def _bar(smallest: float, largest: float) -> dict[str, object]:
    ticks = np.geomspace(smallest, largest, 5)
    return {
        "thickness": 10,
        "outlinewidth": 0,
        "title": {"text": "norm"},
        "tickvals": np.log10(ticks),
        "ticktext": [f"{tick:.2g}" for tick in ticks],
    }


def _finding(table: pd.DataFrame) -> str:
    values, blocks = table.to_numpy(), [short(str(name)) for name in table.index]
    shares = values / values.max(0)
    block, epoch = divmod(int(shares.argmin()), shares.shape[1])
    if shares[block, epoch] * VANISHED < 1:
        return f"The gradient of block {blocks[block]} vanishes in epoch {table.columns[epoch]}: {values[block, epoch]:.1e}"
    ends = f"block {blocks[0]} has {values[0, -1]:.2g} and block {blocks[-1]} {values[-1, -1]:.2g}"
    return f"No block's gradient vanishes: at the end {ends}"
