"""Which classes a network takes for which others: how many test images of each class it gets right, and what it calls the rest.

Counts are (true class, predicted class), as a model card holds them.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from resnet_viz.figures.theme import ATTRIBUTION, LIGHT, SUM, Theme, finish

Counts = NDArray[np.int64]

TOP, BOTTOM, LEFT = 44, 92, 104


def class_accuracy(counts: Counts, labels: Sequence[str], theme: Theme = LIGHT) -> go.Figure:
    """Draw the share of each class's images that are right, best first; x is percent."""
    shares = counts.diagonal() / counts.sum(1)
    order = np.argsort(-shares, kind="stable")
    names = [labels[index] for index in order]
    fig = go.Figure(
        go.Bar(
            x=100 * shares[order],
            y=names,
            orientation="h",
            marker={"color": SUM, "line": {"width": 0}, "cornerradius": 4},
            width=0.55,
            text=[f"{share:.1%}" for share in shares[order]],
            textposition="outside",
            textfont={"color": theme.text},
            cliponaxis=False,
            hovertemplate="%{y}<br>%{text} right<extra></extra>",
        )
    )
    fig.update_layout(
        xaxis={"range": [0, 116], "visible": False, "title": "right (%)"},
        yaxis={"autorange": "reversed", "ticksuffix": "  ", "showgrid": False},
        width=360,
        height=TOP + 40 * len(names),
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        overwrite=True,
    )
    finding = f"Hardest is {names[-1]}: {shares.min():.1%} right"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Bars are shares of a class's test images that the network gets right.",
        alt=f"{finding}. " + ", ".join(f"{labels[index]} {shares[index]:.1%}" for index in order) + ".",
    )


def confusion(counts: Counts, labels: Sequence[str], theme: Theme = LIGHT, *, images: str = "test images") -> go.Figure:
    """Draw the confusion matrix, true classes down and predicted ones across; mistakes are coloured, what is right is not.

    `images` says in words what was counted.
    """
    mistakes = counts.astype(float)
    np.fill_diagonal(mistakes, np.nan)
    fig = go.Figure(
        go.Heatmap(
            x=list(labels),
            y=list(labels),
            z=mistakes,
            zmin=0,
            # Numbers stay legible on the strongest colour.
            zmax=1.4 * max(1.0, np.nanmax(mistakes, initial=0.0)),
            colorscale=[[0, theme.surface], [1, ATTRIBUTION]],
            showscale=False,
            xgap=1,
            ygap=1,
            hovertemplate="%{z} images of %{y} are taken for %{x}<extra></extra>",
        )
    )
    for (row, column), count in np.ndenumerate(counts):
        right = row == column
        text = f"<b>{count}</b>" if right else str(count or "")
        font = {"size": 12, "color": SUM if right else theme.text}
        fig.add_annotation(x=labels[column], y=labels[row], text=text, showarrow=False, font=font)
    fig.update_layout(
        xaxis={"title": "predicted", "tickangle": -40, "showgrid": False},
        yaxis={"title": "true", "autorange": "reversed", "showgrid": False},
        width=640,
        height=TOP + 400 + BOTTOM,
        margin={"l": LEFT, "r": 0, "t": TOP, "b": BOTTOM},
        overwrite=True,
    )
    wrong = np.nan_to_num(mistakes)
    finding = _mistake(counts, int(wrong.argmax()), labels) if wrong.any() else "Every prediction is right"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"A row holds the {images} of a class, a column what the network calls them; green ones are right.",
        alt=f"{finding}. A confusion matrix of {len(labels)} classes.",
    )


def _mistake(counts: Counts, place: int, labels: Sequence[str]) -> str:
    true, predicted = divmod(place, len(labels))
    sentence = f"{labels[true]} is taken for {labels[predicted]} most often: "
    return sentence[0].upper() + sentence[1:] + f"{counts[true, predicted]} of {counts[true].sum():,} images"
