"""Whether a map can be trusted: deletion and insertion curves, and how it changes when the network forgets what it learned."""

import plotly.graph_objects as go

from resnet_viz.analyses.trust import Perturbation, PerturbationCurve, Randomised
from resnet_viz.figures.theme import ATTRIBUTION, LIGHT, PLAIN, Theme, finish, plain, short


def perturbation_curves(curves: Perturbation, label: str, theme: Theme = LIGHT) -> go.Figure:
    """Draw the class's probability while pixels go (solid) or come back (dashed), by the map and in a random order."""
    fig = go.Figure()
    lines = (
        ("deletion by the map", curves.deletion, ATTRIBUTION, "solid"),
        ("insertion by the map", curves.insertion, ATTRIBUTION, "dash"),
        ("deletion at random", curves.random_deletion, PLAIN, "solid"),
        ("insertion at random", curves.random_insertion, PLAIN, "dash"),
    )
    for name, curve, colour, dash in lines:
        fig.add_trace(_curve(f"{name}, area {curve.area:.2f}", curve, colour, dash))
    legend = {"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"}
    fig.update_layout(
        xaxis={"title": "share of the pixels", "tickformat": ".0%", "range": [0, 1], "showgrid": False},
        yaxis={"title": f"probability of {plain(label)}", "tickformat": ".0%", "range": [-0.02, 1.02]},
        width=520,
        height=430,
        margin={"l": 0, "r": 0, "t": 44, "b": 0},
        legend=legend,
        overwrite=True,
    )
    better = sum((curves.deletion.area < curves.random_deletion.area, curves.insertion.area > curves.random_insertion.area))
    finding = (
        "The map does no better than chance",
        "The map beats chance in one of two ways",
        "The map beats chance both ways",
    )[better]
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="A good map's deletion falls early (small area) and its insertion rises early (large area).",
        alt=f"{finding}. Areas: " + ", ".join(f"{name} {curve.area:.2f}" for name, curve, _, _ in lines) + ".",
    )


def randomisation_steps(steps: Randomised, theme: Theme = LIGHT) -> go.Figure:
    """Draw the rank correlation with the trained network's map while the parameters are drawn anew from the head down."""
    names = [short(layer) for layer in steps.layers]
    values = list(steps.correlations)
    hover = "drawn anew down to %{x}<br>rank correlation %{y:.2f}<extra></extra>"
    line = {"color": ATTRIBUTION, "width": 3}
    fig = go.Figure(go.Scatter(x=names, y=values, mode="lines+markers", line=line, marker={"size": 8}, hovertemplate=hover))
    fig.update_layout(
        xaxis={"title": "drawn anew down to", "type": "category", "tickangle": 0, "showgrid": False},
        yaxis={"title": "rank correlation", "range": [-0.3, 1.02], "zeroline": True},
        width=520,
        height=430,
        margin={"l": 0, "r": 0, "t": 44, "b": 0},
        showlegend=False,
        overwrite=True,
    )
    first, last = values[0], values[-1]
    finding = f"Without the trained head {first:.0%} of the map's order is left, without any training {last:.0%}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="A map that stays high does not show what the network learned (Adebayo et al. 2018).",
        alt=f"{finding}. " + ", ".join(f"{name} {value:.2f}" for name, value in zip(names, values, strict=True)) + ".",
    )


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
