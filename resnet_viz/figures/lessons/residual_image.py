"""The residual image as an equation of images: target - input = residual, and input + residual next to it.

The residual is drawn for the luminance, in levels 0..255 on a scale centred on 0.
"""

import numpy as np
import plotly.graph_objects as go

from resnet_viz.figures.panels import CAPTION, Panel, Sign, lay_out
from resnet_viz.figures.theme import IDENTITY, LIGHT, RESIDUAL, SUM, Theme, finish
from resnet_viz.lessons.residual_image import ResidualImage

SIDE, GAP, WIDE = 262, 44, 112
PERCENTILE = 99.0


def residual_equation(found: ResidualImage, theme: Theme = LIGHT) -> go.Figure:
    """Draw target, input, residual and their sum; with a flipped sign, target and input exchange places."""
    problem, middle = found.problem, SIDE / 2 + 2
    shown = found.shown
    limit = scale_of(found)
    lefts = [2, 2 + SIDE + GAP, 2 + 2 * (SIDE + GAP), 2 + 3 * SIDE + 2 * GAP + WIDE]
    target = Panel(problem.target, lefts[0], 2, SIDE, SIDE, SUM, "target", "the wanted image")
    given = Panel(problem.upsampled, lefts[1], 2, SIDE, SIDE, IDENTITY, "input", f"bicubic ×{problem.factor}")
    size = f"{np.abs(shown).mean():.1f} of 255 on average"
    residual = Panel(shown, lefts[2], 2, SIDE, SIDE, RESIDUAL, "residual", size, limit)
    total = Panel(found.sum_picture, lefts[3], 2, SIDE, SIDE, SUM, "input + residual", _error(found))
    if found.flipped:
        target, given = (
            Panel(given.content, lefts[0], 2, SIDE, SIDE, IDENTITY, given.title, given.note),
            Panel(target.content, lefts[1], 2, SIDE, SIDE, SUM, target.title, target.note),
        )
    signs = [
        Sign("−", lefts[1] - GAP / 2, middle),
        Sign("=", lefts[2] - GAP / 2, middle),
        Sign("→", lefts[3] - 26, middle),
    ]
    fig = lay_out([target, given, residual, total], signs, theme, (int(lefts[3] + SIDE + 4), SIDE + CAPTION + 6), "level")
    order = "input − target" if found.flipped else "target − input"
    exact = found.error < 1e-3
    finding = (
        f"Residual = {order}: added to the input, it {'gives the target' if exact else 'does not give the target'}; largest "
        f"error {_number(found.error)} of 255"
    )
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read=f"Residual: red where the {'input' if found.flipped else 'target'} is brighter, blue where it is darker, "
        f"white where both are equal. Colours saturate at a difference of {limit:.0f} luminance levels.",
        alt=f"{finding}. The residual of the luminance ranges from {shown.min():.0f} to {shown.max():.0f}.",
    )


def scale_of(found: ResidualImage) -> float:
    """Return the limit of the colour scale, which covers all but a few extreme pixels."""
    return float(np.percentile(np.abs(found.shown), PERCENTILE)) or float(np.abs(found.shown).max()) or 1.0


def _error(found: ResidualImage) -> str:
    return f"largest error {_number(found.error)} of 255"


def _number(error: float) -> str:
    return f"{error:.0f}" if error == round(error) else f"{error:.2g}"
