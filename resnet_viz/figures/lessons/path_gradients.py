"""Paths through a residual network by length: how many there are, how much gradient they carry, and what a sample estimates.

The length is the number of residual branches. Grey counts paths, purple is the gradient.
"""

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.path_gradients import PathLengths, PathSamples
from resnet_viz.figures.log_axis import log_axis
from resnet_viz.figures.theme import GRADIENT, LIGHT, PLAIN, Theme, finish, plain

WIDTH, HEIGHT, TOP = 620, 400, 60
# The lengths that a finding names carry at least this share of the gradient.
MOST = 0.9


def path_shares(lengths: PathLengths, samples: PathSamples | None = None, theme: Theme = LIGHT) -> go.Figure:
    """Draw the share of all paths and of the gradient for each length; `samples` adds the estimates from random paths."""
    ks = list(range(len(lengths.paths)))
    total = sum(lengths.paths)
    counted = [count / total for count in lengths.paths]
    fig = go.Figure(
        [
            _bars("paths", ks, counted, PLAIN, [f"{count:,}" for count in lengths.paths], "%{customdata} paths"),
            _bars(
                "gradient",
                ks,
                lengths.shares.tolist(),
                GRADIENT,
                [f"{norm:.3g}" for norm in lengths.norms],
                "norm %{customdata}",
            ),
        ]
    )
    if samples is not None:
        fig.add_trace(_estimates(samples, theme))
    fig.update_layout(
        xaxis=_lengths_axis(ks),
        yaxis={"title": {"text": "share", "standoff": 12}, "tickformat": ".0%", "zeroline": True, "rangemode": "tozero"},
        bargap=0.2,
        barmode="group",
        overwrite=True,
    )
    _lay_out(fig)
    finding = _finding(lengths)
    read = (
        "Grey: share of all paths. Purple: exact share of the gradient that flows through them; the purple bars add up to 100%."
    )
    if samples is not None:
        drawn = samples.shares.shape[1]
        read += f" Marks: estimate from {drawn} random paths of each length, ± 2 standard errors."
    shares = ", ".join(f"{k}: {share:.1%}" for k, share in zip(ks, lengths.shares, strict=True))
    return finish(fig, theme, finding=finding, how_to_read=read, alt=f"{finding}. Share of the gradient by length: {shares}.")


def single_paths(samples: PathSamples, theme: Theme = LIGHT) -> go.Figure:
    """Draw the norm of the gradient through single paths of each length: one point per path, and a line through the means."""
    ks = list(range(len(samples.paths)))
    means = samples.norms.mean(1)
    drawn = samples.norms.shape[1]
    fig = go.Figure(
        [
            go.Scatter(
                x=np.repeat(ks, drawn),
                y=samples.norms.ravel(),
                mode="markers",
                name="one path",
                marker={"color": GRADIENT, "size": 6, "opacity": 0.4},
                hovertemplate="a path through %{x} branches<br>norm %{y:.3g}<extra></extra>",
            ),
            go.Scatter(
                x=ks,
                y=means,
                mode="lines",
                name="mean",
                line={"color": GRADIENT, "width": 3.5},
                hovertemplate="mean of paths through %{x} branches<br>norm %{y:.3g}<extra></extra>",
            ),
        ]
    )
    fig.update_layout(
        xaxis=_lengths_axis(ks),
        yaxis={
            **log_axis(samples.norms.ravel().tolist()),
            "title": {"text": "gradient norm through one path (logit per unit of x)", "standoff": 12},
        },
        overwrite=True,
    )
    _lay_out(fig)
    finding = f"A single path through all {ks[-1]} branches carries a gradient {_change(means)} that of the path through none"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Each point is one of {drawn} paths drawn at random for a length (seed {samples.seed}).",
        alt=f"{finding}. Mean norms by length: {', '.join(f'{k}: {mean:.2g}' for k, mean in zip(ks, means, strict=True))}.",
    )


def carrying(lengths: PathLengths) -> tuple[int, int, float]:
    """Return the fewest neighbouring lengths that carry 90% of the gradient, first and last, and the share that they carry.

    Returns all lengths if parts that point against the gradient leave no smaller set.
    """
    sums = np.concatenate([[0.0], np.cumsum(lengths.shares)])
    count = len(lengths.shares)
    for width in range(1, count):
        first = max(range(count - width + 1), key=lambda start, width=width: sums[start + width] - sums[start])  # type: ignore[misc]
        carried = float(sums[first + width] - sums[first])
        if carried >= MOST:
            return first, first + width - 1, carried
    return 0, count - 1, float(sums[-1])


def _finding(lengths: PathLengths) -> str:
    first, last, carried = carrying(lengths)
    n = len(lengths.paths) - 1
    if lengths.paths[n] == sum(lengths.paths):
        return f"{lengths.title} has no shortcuts: its only path goes through all {n} blocks"
    which = f"{first}" if first == last else f"{first} to {last}"
    return f"Paths through {which} of {n} branches carry {carried:.0%} of the gradient of {lengths.target_label}"


def _bars(name: str, ks: list[int], values: list[float], colour: str, texts: list[str], hover: str) -> go.Bar:
    return go.Bar(
        x=ks,
        y=values,
        name=name,
        marker={"color": colour, "cornerradius": 3},
        customdata=[plain(text) for text in texts],
        hovertemplate=f"through %{{x}} branches: %{{y:.2%}}<br>{hover}<extra></extra>",
    )


def _estimates(samples: PathSamples, theme: Theme) -> go.Scatter:
    errors = np.nan_to_num(2 * samples.errors)
    return go.Scatter(
        # In the middle of the purple bar.
        x=[k + 0.2 for k in range(len(samples.paths))],
        y=samples.estimates,
        mode="markers",
        name="sampled",
        marker={"color": theme.text, "symbol": "diamond", "size": 7},
        error_y={"type": "data", "array": errors, "color": theme.text, "thickness": 1.5, "width": 4},
        hovertemplate="estimated share %{y:.1%}<extra></extra>",
    )


def _lengths_axis(ks: list[int]) -> dict[str, object]:
    return {"title": "residual branches on the path", "showgrid": False, "showline": True, "range": [-0.6, ks[-1] + 0.6]}


def _lay_out(fig: go.Figure) -> None:
    legend = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    fig.update_layout(width=WIDTH, height=HEIGHT, margin={"l": 0, "r": 8, "t": TOP, "b": 0}, legend=legend, overwrite=True)


def _change(means: np.ndarray) -> str:
    ratio = float(means[-1] / means[0]) if means[0] else float("nan")
    return f"{ratio:.2g} times" if ratio < 100 else f"{ratio:,.0f} times"
