"""How well the measures of each block separate wrong predictions from right ones: a matrix of measures and blocks."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.analyses.survey.measuring import MEASURED
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.statistics import FEWEST, separation
from resnet_viz.figures.survey.heat_maps import BAR, block_axis, colour_bar
from resnet_viz.figures.theme import LIGHT, SIGNED, Theme, finish, short

WIDTH, ROW, TOP, BOTTOM, LEFT = 1080, 26, 30 + BAR, 52, 40


def survey_separation(survey: Survey, ranked: pd.DataFrame | None = None, theme: Theme = LIGHT) -> go.Figure:
    """Draw the area under the curve of every measure in every block; `ranked` is the result of `separation`, if known."""
    table = separation(survey) if ranked is None else ranked
    blocks = [short(name) for name in survey.block_names]
    wide = table.pivot_table(index="measure", columns="block", values="auc") if len(table) else pd.DataFrame()
    rows = [name for name in MEASURED if name in wide.index]
    values = wide.reindex(index=rows, columns=list(survey.block_names)).to_numpy(dtype=float)
    fig = go.Figure(
        go.Heatmap(
            x=blocks,
            y=[MEANINGS[name].symbol for name in rows],
            z=values,
            zmin=0,
            zmax=1,
            zmid=0.5,
            colorscale=SIGNED,
            xgap=1,
            ygap=1,
            colorbar=colour_bar([0, 0.5, 1], ["0", "0.5", "1"]),
            hovertemplate="%{y}, block %{x}<br>area under the curve %{z:.3f}<extra></extra>",
        )
    )
    fig.update_layout(
        xaxis=block_axis(blocks),
        yaxis={"type": "category", "autorange": "reversed", "showgrid": False, "dtick": 1},
        width=WIDTH,
        height=TOP + BOTTOM + max(3, len(rows)) * ROW,
        margin={"l": LEFT, "r": 0, "t": TOP, "b": BOTTOM},
        overwrite=True,
    )
    finding = _finding(table)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=(
            "Each cell is the probability that a wrong prediction has a larger value than a right one: 0.5 (white) means no"
            " separation, 1 (red) that it is always larger, 0 (blue) that it is always smaller."
        ),
        alt=f"{finding}. {len(rows)} measures by {len(blocks)} blocks.",
    )


def _finding(table: pd.DataFrame) -> str:
    if not len(table):
        return f"No ranking of measures: it needs at least {FEWEST} right and {FEWEST} wrong predictions"
    best = table.iloc[0]
    way = "smaller" if best["auc"] < 0.5 else "larger"
    share = float(np.maximum(best["auc"], 1 - best["auc"]))
    return (
        f"{MEANINGS[best['measure']].symbol} in block {short(best['block'])} separates wrong predictions from right ones best:"
        f" it is {way} for the wrong one in {share:.0%} of all pairs"
    )
