"""What each block carries of the logit's difference: the shortcut's share and the branch's, stacked."""

import plotly.graph_objects as go

from resnet_viz.analyses.conductance import BlockConductance, Conductance
from resnet_viz.figures.block.block_equation import residual_name
from resnet_viz.figures.block_names import brief
from resnet_viz.figures.theme import IDENTITY, LIGHT, PLAIN, RESIDUAL, SUM, Theme, finish, short


def conductance_bars(conductance: Conductance, theme: Theme = LIGHT) -> go.Figure:
    """Draw one stack per block in logits: identity, residual and the last activation's part; a line marks the difference."""
    names = brief([block.name for block in conductance.blocks])
    plain = all(block.identity is None for block in conductance.blocks)
    fig = go.Figure()
    parts = [(residual_name(plain=plain), RESIDUAL, [block.residual_sum for block in conductance.blocks])]
    if not plain:
        identities = [block.identity_sum for block in conductance.blocks]
        parts.insert(0, ("identity x", IDENTITY, identities))
    parts.append(("switching of the last activation", PLAIN, [block.kink for block in conductance.blocks]))
    for name, colour, values in parts:
        hover = f"{name}<br>block %{{x}}<br>%{{y:.3f}} logits<extra></extra>"
        fig.add_trace(go.Bar(x=names, y=values, name=name, marker={"color": colour, "line": {"width": 0}}, hovertemplate=hover))
    totals = [block.total_sum for block in conductance.blocks]
    marker = {"color": theme.raised, "size": 10, "line": {"color": SUM, "width": 2.5}}
    hover = "total at the output<br>block %{x}<br>%{y:.3f} logits<extra></extra>"
    fig.add_trace(go.Scatter(x=names, y=totals, mode="markers", name="total at the output", marker=marker, hovertemplate=hover))
    fig.add_hline(
        y=conductance.difference,
        line={"color": theme.text, "width": 1.5, "dash": "dash"},
        name=f"logit(image) − logit(baseline) = {conductance.difference:.2f}",
        showlegend=True,
    )
    legend = {"orientation": "h", "x": 0, "y": -0.26, "yanchor": "top"}
    width = max(700, 26 * len(names))
    fig.update_layout(
        xaxis={"title": {"text": "block", "standoff": 6}, "type": "category", "tickangle": 0, "showgrid": False},
        yaxis={"title": {"text": "logits", "standoff": 14}, "zeroline": True},
        width=width,
        height=440,
        barmode="relative",
        margin={"l": 0, "r": 0, "t": 44, "b": 0},
        legend=legend,
        overwrite=True,
    )
    finding = _finding(conductance, plain=plain)
    spoken = ", ".join(f"{name} {total:.2f}" for name, total in zip(names, totals, strict=True))
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"{_carried(conductance)}; the stack shows through which path. Grey is the part of neither path: entries of"
        " the last activation switch on or off between the baseline and the image."
        f"{_missed(conductance)}",
        alt=f"{finding}. Total by block in logits: {spoken}. Difference {conductance.difference:.2f}.",
    )


def _missed(conductance: Conductance) -> str:
    if not conductance.whole:
        return ""
    return " Rings miss the dashed line by the error of the sum over steps."


def _carried(conductance: Conductance) -> str:
    difference = f"the difference of the logit between the {conductance.baseline} baseline and the image"
    if conductance.whole:
        return f"Every block carries the whole {difference.removeprefix('the ')}"
    return f"Some connections of this network bypass blocks, so each block may carry less than {difference}"


def _finding(conductance: Conductance, *, plain: bool) -> str:
    if plain:
        return f"Without shortcuts, the layers carry all of {conductance.target_label}'s {conductance.difference:+.1f} logits"
    shares = [(_share(block), short(block.name)) for block in conductance.blocks]
    least, most = min(shares), max(shares)
    return (
        f"The shortcut carries the largest part at block {most[1]} ({most[0]:.0%}) and the smallest at block {least[1]} "
        f"({least[0]:.0%})"
    )


def _share(block: BlockConductance) -> float:
    """Return the identity's share of both parts' absolute values, 0 to 1."""
    identity = abs(block.identity_sum)
    both = identity + abs(block.residual_sum)
    return identity / both if both else 0.0
