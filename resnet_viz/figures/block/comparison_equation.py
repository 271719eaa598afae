"""A block's equation of images on a colour scale shared with the block that it is compared with."""

import numpy as np
import plotly.graph_objects as go

from resnet_viz.analyses.inspection import BlockInspection
from resnet_viz.figures.block.block_equation import WIDTH, block_equation, term_maps, terms_of
from resnet_viz.figures.theme import LIGHT, Theme


def comparison_equation(
    block: BlockInspection, beside: BlockInspection, theme: Theme = LIGHT, *, width: int = WIDTH
) -> go.Figure:
    """Draw the equation of `block` for the channel mean; the limit is the largest mean of either block.

    Needs the maps of both blocks (see `Inspection.keeping`). `width` is the available width in pixels.
    """
    limit = max(_largest_mean(block), _largest_mean(beside)) or 1.0
    figure = block_equation(block, theme=theme, width=width)
    reading = (
        f"Each image is the mean over channels, both sides on one scale, ±{limit:.3g}: red is positive, blue negative, white 0."
    )
    meta = figure.layout.meta | {"how_to_read": reading}
    return figure.update_layout(coloraxis={"cmin": -limit, "cmax": limit}, meta=meta)


def _largest_mean(block: BlockInspection) -> float:
    return max(float(np.abs(term_maps(block, term).mean(0)).max()) for term in terms_of(block))
