"""Super-resolution in images: the problem from the small image to the target, and each network's result next to bicubic.

Images are squares of target pixels; a detail is the square with the largest bicubic error.
"""

import plotly.graph_objects as go

from resnet_viz.figures.panels import CAPTION, Panel, Sign, lay_out
from resnet_viz.figures.theme import IDENTITY, LIGHT, PLAIN, SUM, Theme, finish
from resnet_viz.lessons.super_resolution import Picture, Problem, Quality
from resnet_viz.lessons.super_resolution_nets import DESIGNS
from resnet_viz.lessons.super_resolution_pictures import Attempts, worst_window

LARGE, GAP = 318, 76
SMALL, BETWEEN = 178, 14


def problem_pictures(problem: Problem, theme: Theme = LIGHT, *, detail: bool = False) -> go.Figure:
    """Draw the small image at its true size, the upsampled one and the target; or the detail of each."""
    side = problem.target.shape[0]
    window = worst_window(problem) if detail else (0, 0, side)
    upsampled, target = _cut(problem.upsampled, window), _cut(problem.target, window)
    # A window need not begin on a pixel of the small image; the nearest one is shown.
    top, left, length = (round(entry / problem.factor) for entry in window)
    low = _cut(problem.low, (top, left, length))
    small = LARGE if detail else LARGE / problem.factor
    pixels = low.shape[0] if detail else problem.low.shape[0]
    panels = [
        Panel(low, 2 + (LARGE - small) / 2, (LARGE - small) / 2 + 2, small, small, theme.muted, "given", _size(pixels)),
        Panel(upsampled, 2 + LARGE + GAP, 2, LARGE, LARGE, IDENTITY, "upsampled, the input", f"bicubic, {_size(len(target))}"),
        Panel(target, 2 + 2 * (LARGE + GAP), 2, LARGE, LARGE, SUM, "target", _size(len(target))),
    ]
    middle = LARGE / 2 + 2
    signs = [Sign(f"×{problem.factor} →", LARGE + GAP / 2, middle), Sign("→ ?", 2 * LARGE + 1.5 * GAP, middle)]
    fig = lay_out(panels, signs, theme, (3 * LARGE + 2 * GAP + 4, LARGE + CAPTION + 6))
    finding = (
        f"Only 1 of every {problem.factor**2} pixels is kept; bicubic interpolation reaches a PSNR of "
        f"{problem.quality.psnr:.1f} dB"
    )
    if problem.quality.psnr == float("inf"):
        finding = "This image loses nothing when it is reduced, because it has no detail"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="PSNR of the luminance: 6 dB more means half the error. "
        + ("The square with the largest bicubic error is shown." if detail else "The given image is drawn at its true size."),
        alt=f"{finding}. Three images: {_size(problem.low.shape[0])}, the same image enlarged to {_size(side)}, and the "
        f"target.",
    )


def resolved_pictures(attempts: Attempts, theme: Theme = LIGHT) -> go.Figure:
    """Draw bicubic, every network's image and the target in a row, and below them the same detail of each."""
    problem = attempts.problem
    best = max(attempts.attempts, key=lambda attempt: attempt.quality.psnr)
    columns: list[tuple[str, Picture, Quality | None, str]] = [
        ("Bicubic", problem.upsampled, problem.quality, theme.muted),
        *((DESIGNS[a.name].title, a.picture, a.quality, _colour(a.name)) for a in attempts.attempts),
        ("Target", problem.target, None, SUM),
    ]
    panels = []
    for number, (title, picture, quality, colour) in enumerate(columns):
        left = 2 + number * (SMALL + BETWEEN)
        panels.append(Panel(picture, left, 2, SMALL, SMALL, colour, title, _note(quality), sketch=True))
        panels.append(Panel(_cut(picture, attempts.detail), left, SMALL + CAPTION + 8, SMALL, SMALL, colour))
    fig = lay_out(panels, [], theme, (len(columns) * (SMALL + BETWEEN), 2 * SMALL + CAPTION + 12))
    gain = best.quality.psnr - problem.quality.psnr
    title = DESIGNS[best.name].title
    finding = (
        f"{title} comes closest to the target: {gain:.2f} dB better than bicubic interpolation"
        if gain > 0
        else f"No network is better than bicubic interpolation on this image: the best one, {title}, is {-gain:.2f} dB worse"
    )
    top, left, side = attempts.detail
    spoken = "; ".join(f"{name} {_note(quality)}" for name, _, quality, _ in columns if quality is not None)
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Below: the {side} × {side} pixels at x {left}, y {top}, where the bicubic error is largest. PSNR and "
        f"SSIM are measured on the luminance, the networks' only input.",
        alt=f"{finding}. {spoken}.",
    )


def _cut(picture: Picture, window: tuple[int, int, int]) -> Picture:
    top, left, side = window
    return picture[top : top + side, left : left + side]


def _size(side: int) -> str:
    return f"{side} × {side} pixels"


def _note(quality: Quality | None) -> str:
    return "" if quality is None else f"{quality.psnr:.2f} dB, SSIM {quality.ssim:.3f}"


def _colour(name: str) -> str:
    return PLAIN if name == "plain" else IDENTITY
