"""Results as Plotly figures: every function takes a result and returns a figure, and does nothing else.

`figure.layout.meta` holds "finding" (also the title), "how_to_read" and "alt".
"""

from resnet_viz.figures.block_equation import block_equation
from resnet_viz.figures.block_map import block_map
from resnet_viz.figures.cam_overlay import cam_overlay
from resnet_viz.figures.channel_mosaic import channel_map, channel_mosaic
from resnet_viz.figures.measures_by_depth import measures_by_depth
from resnet_viz.figures.predictions import predictions

__all__ = [
    "block_equation",
    "block_map",
    "cam_overlay",
    "channel_map",
    "channel_mosaic",
    "measures_by_depth",
    "predictions",
]
