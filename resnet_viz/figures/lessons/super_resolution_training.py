"""Each network's gain over bicubic interpolation during training: x is the step, y the gain in PSNR, in dB.

The plain network is grey. The networks with a skip connection are blue, distinguished by dashes and by the names at their ends.
"""

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.activations import Array
from resnet_viz.figures.theme import IDENTITY, LIGHT, PLAIN, Theme, finish
from resnet_viz.lessons.super_resolution_nets import DESIGNS
from resnet_viz.lessons.super_resolution_training import Trials

LOOKS: dict[str, tuple[str, str, float]] = {
    "plain": (PLAIN, "solid", 3.5),
    "global": (IDENTITY, "dash", 2.5),
    "blocks": (IDENTITY, "solid", 3.5),
    "shuffle": (IDENTITY, "dot", 2.5),
}
WIDTH, HEIGHT = 760, 372
LOWEST, LABEL_PIXELS = -5.0, 19


def super_resolution_curves(trials: Trials, theme: Theme = LIGHT) -> go.Figure:
    """Draw the complete training of all four networks."""
    gains = {trial.name: trial.psnr - trials.bicubic.psnr for trial in trials.trials}
    fig = _curves(trials.steps, gains, float(trials.steps[-1]), theme)
    finding = _finding({name: float(gain[-1]) for name, gain in gains.items()}, trials.factor)
    spoken = "; ".join(f"{DESIGNS[trial.name].title} ends at {trial.psnr[-1]:.2f} dB" for trial in trials.trials)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"0 is bicubic interpolation, {trials.bicubic.psnr:.2f} dB at ×{trials.factor} on validation photos. "
        f"Below 0, a network is worse than its own input. Networks without the bicubic input start below the axis.",
        alt=f"{finding}. Bicubic has {trials.bicubic.psnr:.2f} dB; {spoken}.",
    )


def curves_so_far(rows: Array, steps: int, theme: Theme = LIGHT) -> go.Figure:
    """Draw the training so far, (points, 2 + networks): the step, and the PSNR of bicubic and of each network in dB."""
    gains = {name: rows[:, column] - rows[:, 1] for column, name in enumerate(DESIGNS, start=2)}
    fig = _curves(rows[:, 0], gains, float(steps), theme)
    ends = ", ".join(f"{DESIGNS[name].title} {signed(float(gain[-1]))} dB" for name, gain in gains.items())
    finding = f"Step {rows[-1, 0]:.0f} of {steps}: {ends}"
    return finish(fig, theme, finding=finding, how_to_read="0 is bicubic interpolation.", alt=f"{finding}.")


def signed(gain: float) -> str:
    """Write a gain with its sign, as "+1.61" or "−1.14"."""
    return f"{gain:+.2f}".replace("-", "−")


def _curves(steps: Array, gains: dict[str, Array], last: float, theme: Theme) -> go.Figure:
    fig = go.Figure()
    ground = {"color": theme.text, "width": 1.5}
    fig.add_trace(go.Scatter(x=[0, float(steps[-1])], y=[0, 0], mode="lines", line=ground, hoverinfo="skip"))
    for name, gain in gains.items():
        colour, dash, width = LOOKS[name]
        fig.add_trace(
            go.Scatter(
                x=steps,
                y=gain,
                mode="lines" if len(steps) > 1 else "markers",
                line={"color": colour, "dash": dash, "width": width},
                marker={"color": colour, "size": 9},
                name=DESIGNS[name].title,
                hovertemplate=f"{DESIGNS[name].title}, step %{{x}}<br>%{{y:+.2f}} dB compared with bicubic<extra></extra>",
            )
        )
    # Space for the names above the highest line.
    highest = max(1.0, *(float(gain.max()) for gain in gains.values())) + 0.9
    fig.update_layout(
        xaxis={
            "title": "training step",
            "range": [0, last * 1.42],
            "tickvals": _ticks(last),
            "showgrid": False,
        },
        yaxis={"title": "PSNR above bicubic in dB", "range": [LOWEST, highest], "ticksuffix": ""},
        annotations=_labels(float(steps[-1]), gains, highest, theme),
        width=WIDTH,
        height=HEIGHT,
        margin={"l": 56, "r": 4, "t": 44, "b": 44},
        showlegend=False,
        overwrite=True,
    )
    return fig


def _labels(last: float, gains: dict[str, Array], highest: float, theme: Theme) -> list[dict[str, object]]:
    """Name each line at its end; names that would overlap move up, each connected to its line by a stroke."""
    pixels = (HEIGHT - 88) / (highest - LOWEST)
    ends = sorted(
        [(0.0, "", "bicubic"), *((float(g[-1]), n, f"{DESIGNS[n].title} {signed(float(g[-1]))}") for n, g in gains.items())]
    )
    heights = [max(end, LOWEST + 0.2) for end, *_ in ends]
    places = _apart([pixels * height for height in heights])
    return [
        {
            "x": last,
            "y": height,
            "ax": 22,
            "ay": pixels * height - place,
            "xanchor": "left",
            "text": text if end >= LOWEST else f"{text} ↓",
            "showarrow": True,
            "arrowhead": 0,
            "arrowwidth": 1.2,
            "arrowcolor": LOOKS[name][0] if name else theme.text,
            "font": {"size": 13, "color": theme.text},
        }
        for height, place, (end, name, text) in zip(heights, places, ends, strict=True)
    ]


def _apart(places: list[float]) -> list[float]:
    """Move ascending positions up until each is far enough above the one before, then all down by half of that distance."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + LABEL_PIXELS) if moved else place)
    shift = float(np.mean([after - before for after, before in zip(moved, places, strict=True)]))
    lowered: list[float] = []
    for place in moved:
        lowered.append(max(place - shift, lowered[-1] + LABEL_PIXELS) if lowered else place - shift)
    return lowered


def _ticks(last: float) -> list[int]:
    step = max(1, round(last / 5 / 50) * 50) if last >= 250 else max(1, round(last / 5))
    return list(range(0, int(last) + 1, step))


def _finding(ends: dict[str, float], factor: int) -> str:
    plain = ends["plain"]
    best = max(ends, key=ends.__getitem__)
    if best == "plain":
        return f"At ×{factor} the plain network does best: {_against(plain)} bicubic"
    others = [gain for name, gain in ends.items() if name != "plain"]
    last = "" if plain >= min(others) else "last of the four, "
    first = f"the best, {DESIGNS[best].title}, {_against(ends[best])} it"
    return f"At ×{factor} the plain network ends {last}{_against(plain)} bicubic; {first}"


def _against(gain: float) -> str:
    return f"{abs(gain):.2f} dB {'above' if gain >= 0 else 'below'}"
