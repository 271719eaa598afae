"""What is left of the target's probability with several blocks removed at once, by how many. Grey is plain, green residual."""

from collections.abc import Sequence

import plotly.graph_objects as go

from resnet_viz.analyses.deletions import Deletions
from resnet_viz.figures.theme import LIGHT, PLAIN, SUM, Theme, finish, plain, short

WIDTH, HEIGHT, TOP = 640, 356, 60


def deletion_lines(found: Sequence[Deletions], theme: Theme = LIGHT) -> go.Figure:
    """Draw the probability by the share of removable blocks that are removed: a point per set, a line through the means."""
    fig = go.Figure()
    for each in found:
        colour = PLAIN if each.model.startswith("plain") else SUM
        total = len(each.removable) or 1
        fig.add_trace(
            go.Scatter(
                x=[len(row.removed) / total for row in each.rows],
                y=[row.probability for row in each.rows],
                mode="markers",
                marker={"color": colour, "size": 6, "opacity": 0.35, "symbol": "x" if colour == PLAIN else "circle"},
                customdata=[(", ".join(map(short, row.removed)) or "none", plain(row.prediction)) for row in each.rows],
                hovertemplate=(
                    f"{plain(each.title)} without %{{customdata[0]}}<br>{plain(each.target_label)} %{{y:.1%}}"
                    "<br>predicts %{customdata[1]}<extra></extra>"
                ),
                showlegend=False,
            )
        )
        counts = sorted({len(row.removed) for row in each.rows})
        fig.add_trace(
            go.Scatter(
                x=[count / total for count in counts],
                y=[each.mean(count) for count in counts],
                mode="lines",
                name=plain(each.title),
                line={"color": colour, "width": 3.5, "dash": "dash" if colour == PLAIN else "solid"},
                hoverinfo="skip",
            )
        )
    fig.update_layout(
        xaxis={
            "title": "share of the removable blocks that are removed",
            "tickformat": ".0%",
            "showgrid": False,
            "showline": True,
        },
        yaxis={
            "title": {"text": f"probability of {plain(found[0].target_label)}", "standoff": 12},
            "tickformat": ".0%",
            "range": [-0.02, 1.05],
        },
        width=WIDTH,
        height=HEIGHT,
        margin={"l": 0, "r": 8, "t": TOP, "b": 0},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        overwrite=True,
    )
    finding = "; ".join(map(_half, found))
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Random sets of blocks removed at once, for this image. Each point is one set, the line is the mean.",
        alt=f"{finding}.",
    )


def _half(found: Deletions) -> str:
    """With how many blocks removed the target keeps half of its probability on average."""
    counts = sorted({len(row.removed) for row in found.rows})
    whole = found.mean(0)
    kept = 0
    for count in counts:
        if found.mean(count) < whole / 2:
            break
        kept = count
    blocks = "no block" if kept == 0 else "1 block" if kept == 1 else f"{kept} blocks"
    return f"{found.title} keeps half of its probability with {blocks} of {len(found.removable)} removed"
