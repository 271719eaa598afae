"""What networks lose with blocks removed or moved: one image block by block, and many images by the amount of change."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from resnet_viz.analyses.ablation import Ablation, AblationSweep
from resnet_viz.figures.theme import LIGHT, PLAIN, SUM, Theme, finish, plain, short
from resnet_viz.lessons.fewer_blocks import Change, Recorded

WIDTH, HEIGHT, TOP = 640, 356, 60
GAP = 0.3  # The space between the bars of two blocks, as a share of the width per block.
MOST_WIDE_BARS = 12


def removal_bars(sweeps: Sequence[AblationSweep], theme: Theme = LIGHT) -> go.Figure:
    """Draw the target's probability without each block, one bar per network; the bars of a plain network are grey."""
    fig = go.Figure()
    names = [short(block.name) for block in max(sweeps, key=lambda sweep: len(sweep.blocks)).blocks]
    for sweep in sweeps:
        shown = [block for block in sweep.blocks if block.removable]
        fig.add_trace(
            go.Bar(
                x=[short(block.name) for block in shown],
                y=[block.probability for block in shown],
                name=plain(sweep.title),
                marker={"color": _colour(sweep), "cornerradius": 3, "pattern": _hatching(sweep, theme)},
                customdata=[(plain(block.prediction), block.probability_drop) for block in shown],
                hovertemplate=(
                    f"{plain(sweep.title)} without block %{{x}}<br>{plain(sweep.target_label)} %{{y:.1%}}, a loss of"
                    " %{customdata[1]:.1%}<br>prediction: %{customdata[0]}<extra></extra>"
                ),
            )
        )
    stays = [
        _not_removable(
            names.index(short(block.name)) + _beside(number, len(sweeps)), theme, upright=len(names) > MOST_WIDE_BARS
        )
        for number, sweep in enumerate(sweeps)
        for block in sweep.blocks
        if not block.removable
    ]
    fig.update_layout(
        annotations=stays,
        xaxis={
            "type": "category",
            "categoryarray": names,
            "title": "block removed",
            "tickangle": 0,
            "nticks": 18,
            "showgrid": False,
        },
        yaxis={
            "title": {"text": f"probability of {plain(sweeps[0].target_label)}", "standoff": 12},
            "tickformat": ".0%",
            "range": [0, 1.05],
        },
        overwrite=True,
    )
    _lay_out(fig)
    finding = "; ".join(map(_kept, sweeps))
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="One block is removed at a time; all others stay. A plain block that changes the shape cannot be removed.",
        alt=f"{finding}. {' '.join(map(_spoken, sweeps))}",
    )


def accuracy_lines(recorded: Sequence[Recorded], titles: Sequence[str], change: Change, theme: Theme = LIGHT) -> go.Figure:
    """Draw the accuracy on test images by the number of removed blocks, or by the similarity of their order to the original.

    Lines are means; each point is one measured change.
    """
    fig = go.Figure()
    for record, title in zip(recorded, titles, strict=True):
        colour = PLAIN if record.model.startswith("plain") else SUM
        rows, asked = getattr(record, change), "without" if change == "removed" else "order"
        fig.add_trace(
            go.Scatter(
                x=[row.amount for row in rows],
                y=[row.accuracy for row in rows],
                mode="markers",
                marker={"color": colour, "size": 6, "opacity": 0.35, "symbol": "x" if colour == PLAIN else "circle"},
                customdata=[", ".join(map(short, row.names)) or "none" for row in rows],
                hovertemplate=f"{plain(title)}<br>{asked} %{{customdata}}<br>%{{y:.1%}} correct<extra></extra>",
                showlegend=False,
            )
        )
        amounts = record.amounts(change)
        fig.add_trace(
            go.Scatter(
                x=amounts,
                y=[record.mean(change, amount) for amount in amounts],
                mode="lines",
                name=plain(title),
                line={"color": colour, "width": 3.5, "dash": "dash" if colour == PLAIN else "solid"},
                hoverinfo="skip",
            )
        )
    axis = (
        f"blocks removed, of {recorded[0].movable}" if change == "removed" else "Kendall's tau of the order (1: original order)"
    )
    fig.update_layout(
        xaxis={"title": axis, "showgrid": False, "showline": True, "autorange": "reversed" if change == "shuffled" else True},
        yaxis={"title": {"text": "accuracy on test images", "standoff": 12}, "tickformat": ".0%", "range": [0, 1.02]},
        overwrite=True,
    )
    fig.add_hline(
        y=0.1,
        line={"color": theme.muted, "width": 1, "dash": "dot"},
        annotation_text="guessing",
        annotation_font_color=theme.muted,
    )
    _lay_out(fig)
    finding = "; ".join(_lost(record, title, change) for record, title in zip(recorded, titles, strict=True))
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"{recorded[0].pictures:,} CIFAR-10 test images. Each point is one choice of blocks; lines are means.",
        alt=f"{finding}.",
    )


def answers(ablations: Sequence[Ablation], count: int = 3, theme: Theme = LIGHT) -> go.Figure:
    """Draw the most probable classes of several networks, one under the other; x is the probability in percent."""
    fig = go.Figure()
    rows, labels = [], []
    count = min(count, *(len(ablation.predictions) for ablation in ablations))
    for ablation in ablations:
        for best in ablation.predictions[:count]:
            rows.append((ablation, best))
            labels.append(best.label if len(best.label) <= 20 else f"{best.label[:19]}…")
    y = [number + 1.1 * (number // count) for number in range(len(rows))]
    fig.add_trace(
        go.Bar(
            x=[100 * best.probability for _, best in rows],
            y=y,
            orientation="h",
            width=0.62,
            marker={"color": [_colour(ablation) for ablation, _ in rows], "cornerradius": 4},
            text=[f"{best.probability:.1%}" for _, best in rows],
            textposition="outside",
            textfont={"color": theme.text},
            cliponaxis=False,
            customdata=[(plain(ablation.title), plain(best.label), best.logit) for ablation, best in rows],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}, logit %{customdata[2]:.3f}<extra></extra>",
        )
    )
    for number, ablation in enumerate(ablations):
        fig.add_annotation(
            x=0,
            y=number * (count + 1.1) - 0.9,
            text=f"<b>{plain(ablation.title)}</b>",
            showarrow=False,
            xanchor="left",
            font={"color": theme.text, "size": 14},
        )
    fig.update_layout(
        xaxis={"range": [0, 122], "visible": False},
        yaxis={
            "tickvals": y,
            "ticktext": [plain(label) for label in labels],
            "range": [y[-1] + 0.6, -1.5],
            "ticksuffix": "  ",
            "showgrid": False,
        },
        height=TOP + 40 * len(rows) + 40,
        margin={"l": 0, "r": 0, "t": TOP, "b": 0},
        showlegend=False,
        overwrite=True,
    )
    finding = ", ".join(f"{ablation.title} predicts {ablation.predictions[0].label}" for ablation in ablations)
    spoken = "; ".join(
        f"{ablation.title}: " + ", ".join(f"{p.label} {p.probability:.1%}" for p in ablation.predictions[:count])
        for ablation in ablations
    )
    return finish(fig, theme, finding=finding, how_to_read="Each bar is the probability of a class.", alt=f"{spoken}.")


def _lay_out(fig: go.Figure) -> None:
    legend = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    fig.update_layout(
        width=WIDTH,
        height=HEIGHT,
        margin={"l": 0, "r": 8, "t": TOP, "b": 0},
        legend=legend,
        barmode="group",
        bargap=GAP,
        overwrite=True,
    )


def _is_plain(found: AblationSweep | Ablation) -> bool:
    return isinstance(found, AblationSweep) and all(block.shortcut == "none" for block in found.blocks)


def _colour(found: AblationSweep | Ablation) -> str:
    return PLAIN if found.model.startswith("plain") or _is_plain(found) else SUM


def _hatching(sweep: AblationSweep, theme: Theme) -> dict[str, object]:
    """The bars of a plain network can be told apart without their colour, too."""
    return {"shape": "/" if _is_plain(sweep) else "", "fillmode": "overlay", "fgcolor": theme.surface, "size": 7}


def _beside(bar: int, bars: int) -> float:
    """The distance of one of several bars from the middle of their block, in blocks."""
    return (1 - GAP) * ((bar + 0.5) / bars - 0.5)


def _not_removable(place: float, theme: Theme, *, upright: bool) -> dict[str, object]:
    """A word in the place of a bar."""
    angle, font = -90 if upright else 0, {"color": theme.muted, "size": 11}
    return {"x": place, "y": 0.02, "text": "stays", "textangle": angle, "showarrow": False, "font": font, "yanchor": "bottom"}


def _kept(sweep: AblationSweep) -> str:
    answer = sweep.prediction
    shown = [block for block in sweep.blocks if block.removable]
    same = sum(block.prediction == answer for block in shown)
    return f"{sweep.title} still predicts {answer} in {same} of {len(shown)} cases"


def _lost(record: Recorded, title: str, change: Change) -> str:
    if change == "removed":
        return f"{title}: {record.intact:.0%} accuracy, {record.mean('removed', 1):.0%} with one block removed"
    moved = [row.accuracy for row in record.shuffled if row.amount < 1]
    return f"{title}: {record.intact:.0%} accuracy, {sum(moved) / len(moved):.0%} in another order"


def _spoken(sweep: AblationSweep) -> str:
    pairs = (
        f"{short(block.name)} " + ("stays" if math.isnan(block.probability) else f"{block.probability:.0%}")
        for block in sweep.blocks
    )
    return f"{sweep.title}, {sweep.target_label} without each block: {', '.join(pairs)}."
