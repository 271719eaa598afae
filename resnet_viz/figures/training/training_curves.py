"""Error by epoch of a network and related ones on training and test images; shows degradation as He et al. 2015, Fig. 6.

Blue networks have an identity path and grey ones are plain; deeper ones have wider lines. x is the epoch, y the error, log
scale.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from resnet_viz.figures.cells import Cell, cells
from resnet_viz.figures.theme import IDENTITY, LIGHT, PLAIN, Theme, finish
from resnet_viz.nets.trained import PHOTO_TASK
from resnet_viz.nets.zoo import TRAINED, Spec


@dataclass(frozen=True)
class CurvePanel:
    """One chart: the column of the curve that it draws, the images that the error is measured on, and the dash of its lines."""

    column: str
    images: str
    dash: str


TRAINING = CurvePanel("train_error", "training", "dash")
TEST = CurvePanel("test_error", "test", "solid")

WIDTH, HEIGHT, TOP, BOTTOM, LEFT = 1080, 440, 44, 48, 68
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
LABEL_PIXELS, LABEL_SHARE = 17, 0.4


def training_curves(curves: Mapping[str, pd.DataFrame], chosen: str, theme: Theme = LIGHT) -> go.Figure:
    """Draw the curves, from `read_curve` by names of the catalogue, with the `chosen` network in front of the related ones.

    Only networks that were trained on the same data are drawn. ValueError if there is no curve of `chosen`.
    """
    if chosen not in curves:
        raise ValueError(f"there is no curve of {chosen!r}: there are {', '.join(curves) or 'none'}")
    curves = {name: curve for name, curve in curves.items() if TRAINED[name].task == TRAINED[chosen].task}
    fig = go.Figure()
    places = cells([1, 1], gap=0.03)
    notes: list[dict[str, object]] = []
    for place, panel in zip(places, (TRAINING, TEST), strict=True):
        # The chosen one last, in front of the others.
        for name in sorted(curves, key=lambda name: name == chosen):
            fig.add_trace(_line(place, curves[name], name, panel, front=name == chosen))
        notes += [label | place.references for label in _labels(curves, chosen, panel, theme)]
        notes.append(_title(place, panel, theme))
    fig.update_layout(
        **_axes(*places, last=max(int(curve["epoch"].iloc[-1]) for curve in curves.values()), limits=_limits(curves)),
        annotations=notes,
        width=WIDTH,
        height=HEIGHT,
        margin={"l": LEFT, "r": 0, "t": TOP, "b": BOTTOM},
        showlegend=False,
        overwrite=True,
    )
    finding = _finding(curves, chosen)
    return finish(fig, theme, finding=finding, how_to_read=_reading(curves, TRAINED[chosen]), alt=_alt(curves, finding))


def _axes(training: Cell, test: Cell, *, last: int, limits: tuple[float, float]) -> dict[str, dict[str, Any]]:
    """Epochs up to the last, with space for the names at the right; errors on a log scale between `limits`, powers of ten."""
    x = {
        "title": "epoch",
        "range": [1, last * (1 + LABEL_SHARE)],
        "tickvals": _epochs(last),
        "showgrid": False,
        "showline": True,
    }
    y = {
        "type": "log",
        "range": limits,
        "tickvals": TICKS,
        "ticktext": [f"{tick:.0%}" for tick in TICKS],
    }
    named, unnamed = {"title": "error (log scale)", **y}, {"matches": "y", "showticklabels": False, **y}
    return training.layout(x, named) | test.layout(x, unnamed)


def _line(place: Cell, curve: pd.DataFrame, name: str, panel: CurvePanel, *, front: bool) -> go.Scatter:
    spec = TRAINED[name]
    return go.Scatter(
        x=curve["epoch"],
        y=curve[panel.column],
        mode="lines",
        line={"color": _colour(spec), "width": 2 if spec.depth < 40 else 3.5, "dash": panel.dash},
        opacity=1 if front else 0.6,
        name=spec.title,
        hovertemplate=f"{spec.title}, epoch %{{x}}<br>%{{y:.2%}} error on {panel.images} images<extra></extra>",
        **place.axes,
    )


def _title(place: Cell, panel: CurvePanel, theme: Theme) -> dict[str, object]:
    """In the panel's upper right corner, where there are no lines."""
    return {
        "text": f"<b>Error on {panel.images} images</b>",
        "font": {"size": 14, "color": theme.text},
        "x": 1,
        "y": 1,
        "xref": f"x{place.number} domain",
        "yref": f"y{place.number} domain",
        "xanchor": "right",
        "yanchor": "top",
        "showarrow": False,
    }


def _labels(curves: Mapping[str, pd.DataFrame], chosen: str, panel: CurvePanel, theme: Theme) -> list[dict[str, object]]:
    """Name each line at its end; names that would overlap move apart, each connected to its line by a stroke."""
    low, high = _limits(curves)
    pixels = (HEIGHT - TOP - BOTTOM) / (high - low)
    ends = sorted((math.log10(_end(curve, panel)), name) for name, curve in curves.items())
    places = _apart([pixels * height for height, _ in ends], LABEL_PIXELS)
    labels = []
    for (height, name), place in zip(ends, places, strict=True):
        spec, text = TRAINED[name], f"{TRAINED[name].title} {10**height:.1%}"
        labels.append(
            {
                "x": int(curves[name]["epoch"].iloc[-1]),
                "y": height,
                "ax": 16,
                "ay": pixels * height - place,
                "xanchor": "left",
                "text": f"<b>{text}</b>" if name == chosen else text,
                "showarrow": True,
                "arrowhead": 0,
                "arrowwidth": 1.2,
                "arrowcolor": _colour(spec),
                "font": {"size": 13, "color": theme.text if name == chosen else theme.muted},
            }
        )
    return labels


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """Move ascending positions as little as possible, in least squares, so that none is nearer than `gap` to the next.

    After the gaps are subtracted, this is an isotonic regression: neighbours that would fall are pooled in their mean.
    """
    pools: list[list[float]] = []
    for index, place in enumerate(places):
        pools.append([place - index * gap])
        while len(pools) > 1 and _mean(pools[-2]) > _mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    level = [_mean(pool) for pool in pools for _ in pool]
    return [place + index * gap for index, place in enumerate(level)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _colour(spec: Spec) -> str:
    return PLAIN if spec.shortcut == "plain" else IDENTITY


def _end(curve: pd.DataFrame, panel: CurvePanel) -> float:
    """Return the last epoch's error, at least one in ten thousand, because a log scale has no 0."""
    return max(float(curve[panel.column].iloc[-1]), 1e-4)


def _limits(curves: Mapping[str, pd.DataFrame]) -> tuple[float, float]:
    errors = pd.concat([curve[panel.column] for curve in curves.values() for panel in (TRAINING, TEST)]).clip(lower=1e-4)
    return math.log10(errors.min()) - 0.08, math.log10(errors.max()) + 0.05


def _reading(curves: Mapping[str, pd.DataFrame], spec: Spec) -> str:
    colours = (
        "Blue networks have an identity path, grey ones are plain; deeper networks have wider lines. "
        if len(curves) > 1
        else ""
    )
    read = f"Lower is better. {colours}Training errors are means over an epoch, on cropped and mirrored images."
    if spec.task != PHOTO_TASK:
        return read
    size = spec.preprocessing.crop
    return f"{read} Test images are as small as the epoch's crops; the finished network is measured at {size}×{size} pixels."


def _alt(curves: Mapping[str, pd.DataFrame], finding: str) -> str:
    ends = "; ".join(
        f"{TRAINED[name].title} ends with an error of {_end(curve, TRAINING):.1%} on training images and "
        f"{_end(curve, TEST):.1%} on test images"
        for name, curve in curves.items()
    )
    return f"{finding}. Two charts of the error by epoch. {ends}."


def _epochs(last: int) -> list[int]:
    step = max(1, round(last / 6))
    return [1, *range(step, last + 1, step)] if step > 1 else list(range(1, last + 1))


def _finding(curves: Mapping[str, pd.DataFrame], chosen: str) -> str:
    """Compare with the network of another depth, which shows degradation; else with the other kind; else with none."""
    spec = TRAINED[chosen]
    others = {name: TRAINED[name] for name in curves if name != chosen}
    depths = [name for name, other in others.items() if other.shortcut == spec.shortcut]
    kinds = [name for name, other in others.items() if other.depth == spec.depth]
    kinds.sort(key=lambda name: (TRAINED[name].shortcut == "plain") == (spec.shortcut == "plain"))
    mine = curves[chosen]
    if not depths and not kinds:
        return (
            f"{spec.title} ends with an error of {_end(mine, TRAINING):.1%} on training images and {_end(mine, TEST):.1%} on "
            f"test images"
        )
    other = (depths or kinds)[0]
    panel = TRAINING if depths else TEST
    # The deeper one first, or the chosen one: "Plain-56 ends with more training error than Plain-20".
    first, second = sorted((chosen, other), key=lambda name: (-TRAINED[name].depth, name != chosen))
    a, b = (round(_end(curves[name], panel), 3) for name in (first, second))
    more = "more" if a > b else "less" if a < b else "as much"
    than = "as" if a == b else "than"
    return (
        f"{TRAINED[first].title} ends with {more} {panel.images} error {than} {TRAINED[second].title}: {a:.1%} compared with "
        f"{b:.1%}"
    )
