"""What two orders of a block's layers pass along the shortcut, by depth; and what a network's own last ReLUs zero."""

from typing import Literal

import plotly.graph_objects as go

from resnet_viz.figures.theme import IDENTITY, LIGHT, SUM, Theme, finish, short
from resnet_viz.lessons.activation_order import Order, Orders

Asked = Literal["negative", "missed", "correlation"]

# In one order the last ReLU acts on the output; in the other, nothing acts on the identity.
COLOURS: dict[Order, str] = {"after": SUM, "before": IDENTITY}
NAMES: dict[Order, str] = {"after": "ReLU after the addition", "before": "pre-activation"}
DASHES: dict[Order, str] = {"after": "solid", "before": "dash"}
QUESTIONS: dict[Asked, str] = {
    "negative": "negative entries in the output",
    "missed": "relative error of x₀ + F₁ + F₂ + …",
    "correlation": "correlation with the start",
}
FINDINGS: dict[Asked, str] = {
    "negative": "{} of the output is negative with the ReLU last, {} with pre-activation,",
    "missed": "x₀ and the corrections differ from the output by {} with the ReLU last, by {} with pre-activation,",
    "correlation": "Correlation with the start: {} with the ReLU last, {} with pre-activation,",
}


def order_curves(orders: Orders, asked: Asked, chosen: Order, depth: int, theme: Theme = LIGHT) -> go.Figure:
    """Draw one measure of both orders over the first `depth` blocks; the line of the `chosen` order is emphasised."""
    fig = go.Figure()
    order: Order
    for order in ("before", "after"):
        values = getattr(orders.trail(order), asked)[: depth + 1]
        strong = order == chosen
        fig.add_trace(
            go.Scatter(
                x=list(range(len(values))),
                y=[float(value) for value in values],
                mode="lines+markers",
                name=NAMES[order],
                line={"color": COLOURS[order], "width": 4 if strong else 2, "dash": DASHES[order]},
                marker={"size": 8 if strong else 5, "symbol": "circle" if order == "after" else "diamond"},
                opacity=1 if strong else 0.6,
                hovertemplate=f"{NAMES[order]}<br>after block %{{x}}: %{{y:.3f}}<extra></extra>",
            )
        )
    share = asked != "correlation"
    fig.update_layout(
        xaxis={"title": "number of blocks", "showgrid": False, "showline": True, "rangemode": "tozero"},
        yaxis={
            "title": {"text": QUESTIONS[asked], "standoff": 12},
            "tickformat": ".0%" if share else None,
            "range": [-0.03, 1.05] if asked != "correlation" else [-0.3, 1.05],
            "zeroline": True,
        },
        overwrite=True,
    )
    legend = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    fig.update_layout(width=560, height=410, margin={"l": 0, "r": 8, "t": 60, "b": 0}, legend=legend, overwrite=True)
    after, before = (float(getattr(orders.trail(order), asked)[depth]) for order in ("after", "before"))
    form = "{:.0%}" if share else "{:+.2f}"
    said = FINDINGS[asked].format(form.format(after), form.format(before))
    finding = f"{said} after {depth} block{'s' * (depth > 1)}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Both chains have the same random convolution weights and start from the same features.",
        alt=f"{finding}. One line for {NAMES['after']}, one for {NAMES['before']}.",
    )


def cut_bars(orders: Orders, theme: Theme = LIGHT) -> go.Figure:
    """Draw the share of each block's sum that the network's own last ReLU zeroes."""
    names = [short(name) for name in orders.blocks]
    values = [float(value) for value in orders.cut]
    fig = go.Figure(
        go.Bar(
            x=names,
            y=values,
            marker={"color": SUM, "cornerradius": 3},
            hovertemplate="block %{x}<br>%{y:.1%} of the sum is negative<extra></extra>",
        )
    )
    fig.update_layout(
        xaxis={"type": "category", "title": "block", "tickangle": 0, "nticks": 12, "showgrid": False},
        yaxis={
            "title": {"text": "zeroed by the last ReLU", "standoff": 12},
            "tickformat": ".0%",
            "range": [0, max(0.6, 1.1 * max(values))],
        },
        width=380,
        height=410,
        margin={"l": 0, "r": 0, "t": 60, "b": 0},
        bargap=0.35,
        overwrite=True,
    )
    most = max(range(len(values)), key=lambda number: values[number])
    finding = f"{orders.title} itself: the last ReLU zeroes {sum(values) / len(values):.0%} of the entries"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Share of each block's sum that is negative; it is largest in block {names[most]}, {values[most]:.0%}.",
        alt=f"{finding}. By block: {', '.join(f'{name} {value:.0%}' for name, value in zip(names, values, strict=True))}.",
    )
