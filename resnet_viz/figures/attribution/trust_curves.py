"""Whether a map can be trusted: deletion and insertion curves, and its change when the weights become random."""

import plotly.graph_objects as go

from resnet_viz.analyses.baselines import Baseline
from resnet_viz.analyses.trust import Perturbation, PerturbationCurve, Randomised
from resnet_viz.figures.block_names import brief
from resnet_viz.figures.theme import ATTRIBUTION, LIGHT, PLAIN, Theme, finish, plain

# What replaces a removed pixel, by baseline.
COVERS: dict[Baseline, str] = {
    "black": "black pixels",
    "mean colour": "the mean colour of the image",
    "blur": "a strongly blurred copy of the image",
    "noise": "random noise",
}
# The natural width in pixels: two charts side by side fill a page.
WIDTH = 660
# The rank correlation with all weights random from which each sentence applies.
VERDICTS = (
    (0.7, "The map hardly depends on the trained weights"),
    (0.3, "The map depends only partly on the trained weights"),
    (-1.0, "The map depends on the trained weights"),
)


def perturbation_curves(curves: Perturbation, label: str, theme: Theme = LIGHT) -> go.Figure:
    """Draw the class's probability while pixels are removed (solid) or restored (dashed), by the map and in random order."""
    fig = go.Figure()
    lines = (
        ("deletion by the map", curves.deletion, ATTRIBUTION, "solid"),
        ("insertion by the map", curves.insertion, ATTRIBUTION, "dash"),
        ("deletion in random order", curves.random_deletion, PLAIN, "solid"),
        ("insertion in random order", curves.random_insertion, PLAIN, "dash"),
    )
    for name, curve, colour, dash in lines:
        fig.add_trace(_curve(f"{name}, area {_area(curve):.3f}", curve, colour, dash))
    legend = {"orientation": "h", "x": 0, "y": -0.3, "yanchor": "top"}
    fig.update_layout(
        xaxis={
            "title": "share of the pixels",
            "tickformat": ".0%",
            "range": [0, 1],
            "showgrid": False,
            "ticklabeloverflow": "allow",
        },
        yaxis={
            "title": {"text": f"probability of {plain(label)}", "standoff": 12},
            "tickformat": ".0%",
            "range": [-0.02, 1.02],
        },
        width=WIDTH,
        height=430,
        margin={"l": 0, "r": 24, "t": 44, "b": 0},
        legend=legend,
        overwrite=True,
    )
    finding = _verdict_of_order(curves)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Deletion replaces pixels by {COVERS[curves.baseline]}, the highest values of the map first; insertion "
        f"restores them in that order. A good map has a small area under deletion and a large area under "
        f"insertion.",
        alt=f"{finding}. Areas: " + ", ".join(f"{name} {_area(curve):.3f}" for name, curve, _, _ in lines) + ".",
    )


def randomisation_steps(steps: Randomised, theme: Theme = LIGHT) -> go.Figure:
    """Draw the rank correlation with the original map while the network is re-initialised from the head down.

    There is no point where a map is constant.
    """
    names = brief(steps.layers)
    hover = "re-initialised from the head down to %{x}<br>rank correlation %{y:.2f}<extra></extra>"
    fig = go.Figure(
        go.Scatter(
            x=names,
            y=list(steps.correlations),
            mode="lines+markers",
            line={"color": ATTRIBUTION, "width": 3},
            marker={"size": 8},
            hovertemplate=hover,
        )
    )
    fig.update_layout(
        xaxis={
            "title": {"text": "re-initialised from the head down to", "standoff": 12},
            "type": "category",
            "tickangle": 0,
            "showgrid": False,
        },
        yaxis={
            "title": {"text": "rank correlation with the original map", "standoff": 12},
            "range": [min([-0.3, *(value - 0.1 for value in steps.correlations if value is not None)]), 1.02],
            "zeroline": True,
        },
        width=WIDTH,
        height=430,
        margin={"l": 0, "r": 0, "t": 44, "b": 0},
        showlegend=False,
        overwrite=True,
    )
    finding = _verdict_of_weights(steps)
    spoken = ", ".join(f"{name} {_written(value)}" for name, value in zip(names, steps.correlations, strict=True))
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Each step replaces the trained weights of one more block by random ones. A map that shows what the "
        "network has learned must change. A map with a rank correlation that stays high does not depend on the "
        "trained weights (Adebayo et al. 2018).",
        alt=f"{finding}. Rank correlation by step: {spoken}.",
    )


def _verdict_of_order(curves: Perturbation) -> str:
    if curves.constant:
        return "The map has the same value at every pixel, so it gives no order in which to remove them"
    deletion = _area(curves.deletion) < _area(curves.random_deletion)
    insertion = _area(curves.insertion) > _area(curves.random_insertion)
    if deletion and insertion:
        return "The order of the map is better than a random order, both for deletion and for insertion"
    if not deletion and not insertion:
        return "The order of the map is no better than a random order, neither for deletion nor for insertion"
    better, other = ("deletion", "insertion") if deletion else ("insertion", "deletion")
    return f"The order of the map is better than a random order for {better}, but not for {other}"


def _area(curve: PerturbationCurve) -> float:
    """Return the area as it is written: areas that look equal are equal in the verdict too."""
    return round(curve.area, 3)


def _verdict_of_weights(steps: Randomised) -> str:
    if steps.constant:
        return "The map has the same value at every pixel, so there are no ranks to compare"
    last = steps.correlations[-1]
    if last is None:
        return "With random weights, the map has the same value at every pixel: it depends on the trained weights"
    verdict = next(words for least, words in VERDICTS if last >= least)
    return f"{verdict}. Rank correlation with the original map: {last:.2f}"


def _written(correlation: float | None) -> str:
    return "not defined" if correlation is None else f"{correlation:.2f}"


def _curve(name: str, curve: PerturbationCurve, colour: str, dash: str) -> go.Scatter:
    hover = "%{x:.0%} of the pixels<br>%{y:.1%}<extra>" + name + "</extra>"
    return go.Scatter(
        x=curve.shares,
        y=curve.probabilities,
        mode="lines",
        name=name,
        line={"color": colour, "width": 2.5, "dash": dash},
        hovertemplate=hover,
    )
