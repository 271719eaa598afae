"""The bytes of 64 maps of 56x56 on their way to the browser: our mosaic, and one heatmap per map."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from benchmarks.contest import Row, Spread
from benchmarks.subjects import picture
from resnet_viz.analyses.inspection import BlockInspection, inspect
from resnet_viz.figures import channel_mosaic
from resnet_viz.figures.block.block_equation import term_maps
from resnet_viz.figures.block.equation_words import Term
from resnet_viz.nets.zoo import load

LIMIT_MB = 0.3
BLOCK = "layer1.0"
TERMS: tuple[Term, ...] = ("identity", "residual", "sum", "output")
MEANING = (
    "The size of the JSON of a figure with all 64 channels (56x56 each) of the first block of a ResNet-18 with random weights,"
    " in MB (10^6 bytes). The spread is over identity, residual, sum and output. ResNet Viz sends one image; the alternative is"
    " 64 heatmaps."
)


def mosaic_rows() -> list[Row]:
    """Measure our mosaic and 64 heatmap subplots of the same maps."""
    net = load("resnet18", weights=None, device="cpu")
    block = inspect(net, picture(net.preprocessing.resize)).block(BLOCK)
    mosaics = [_megabytes(channel_mosaic(block, term)) for term in TERMS]
    heatmaps = [_megabytes(_heatmaps(block, term)) for term in TERMS]
    return [
        Row("64 maps", MEANING, "ResNet Viz", "a mosaic that shows values under the mouse", Spread.of(mosaics), "MB", LIMIT_MB),
        Row("64 maps", MEANING, "64 heatmap subplots", "every value of every map as a number", Spread.of(heatmaps), "MB"),
    ]


def _heatmaps(block: BlockInspection, term: Term) -> go.Figure:
    fig = make_subplots(8, 8)
    for channel, values in enumerate(term_maps(block, term)):
        fig.add_trace(go.Heatmap(z=values, showscale=False), channel // 8 + 1, channel % 8 + 1)
    return fig


def _megabytes(fig: go.Figure) -> float:
    return len(fig.to_json().encode()) / 1e6
