"""Which classes a network confuses: accuracy per class on the test images, and the predicted class of the other images.

Counts are (true class, predicted class), as in a model card.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from resnet_viz.figures.theme import ATTRIBUTION, LIGHT, SUM, Theme, finish

Counts = NDArray[np.int64]

TOP, BOTTOM, LEFT = 44, 92, 104


def class_accuracy(counts: Counts, labels: Sequence[str], theme: Theme = LIGHT) -> go.Figure:
    """Draw the accuracy per class, best first; x is percent."""
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
            hovertemplate="%{y}<br>%{text} correct<extra></extra>",
        )
    )
    fig.update_layout(
        xaxis={"range": [0, 116], "visible": False, "title": "accuracy (%)"},
        yaxis={"autorange": "reversed", "ticksuffix": "  ", "showgrid": False},
        width=360,
        height=TOP + 40 * len(names),
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        overwrite=True,
    )
    finding = f"{names[-1]} has the lowest accuracy: {shares.min():.1%}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Each bar is the share of a class's test images that the network classifies correctly.",
        alt=f"{finding}. " + ", ".join(f"{labels[index]} {shares[index]:.1%}" for index in order) + ".",
    )


def confusion(counts: Counts, labels: Sequence[str], theme: Theme = LIGHT, *, images: str = "test images") -> go.Figure:
    """Draw the confusion matrix, true classes in rows and predicted ones in columns; only mistakes are coloured.

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
            # The numbers stay legible on the strongest colour.
            zmax=1.4 * max(1.0, np.nanmax(mistakes, initial=0.0)),
            colorscale=[[0, theme.surface], [1, ATTRIBUTION]],
            showscale=False,
            xgap=1,
            ygap=1,
            hovertemplate="%{z} images of %{y} are predicted as %{x}<extra></extra>",
        )
    )
    fig.add_trace(_numbers(counts, labels, theme))
    fig.update_layout(
        xaxis={"title": "predicted class", "tickangle": -40, "showgrid": False},
        yaxis={"title": "true class", "autorange": "reversed", "showgrid": False},
        width=640,
        height=TOP + 400 + BOTTOM,
        margin={"l": LEFT, "r": 0, "t": TOP, "b": BOTTOM},
        overwrite=True,
    )
    wrong = np.nan_to_num(mistakes)
    finding = _mistake(counts, int(wrong.argmax()), labels) if wrong.any() else "Every prediction is correct"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Each row contains the {images} of one class, each column one predicted class; correct predictions "
        "are green.",
        alt=f"{finding}. A confusion matrix of {len(labels)} classes.",
    )


def _numbers(counts: Counts, labels: Sequence[str], theme: Theme) -> go.Scatter:
    """All counts as one trace: a hundred annotations take Plotly a second."""
    rows, columns = np.indices(counts.shape).reshape(2, -1)
    right = (rows == columns).tolist()
    return go.Scatter(
        x=[labels[column] for column in columns],
        y=[labels[row] for row in rows],
        mode="text",
        text=[f"<b>{count}</b>" if on else str(count or "") for count, on in zip(counts.ravel(), right, strict=True)],
        textfont={"size": 12, "color": [SUM if on else theme.text for on in right]},
        hoverinfo="skip",
        showlegend=False,
    )


def _mistake(counts: Counts, place: int, labels: Sequence[str]) -> str:
    true, predicted = divmod(place, len(labels))
    sentence = f"The most frequent mistake is {labels[true]} predicted as {labels[predicted]}: "
    return sentence[0].upper() + sentence[1:] + f"{counts[true, predicted]} of {counts[true].sum():,} images"
