"""The palette, the two themes, and what every figure carries: a finding, a reading aid and an alternative text.

Colours are Okabe and Ito's (https://jfly.uni-koeln.de/color/), which colour-blind people can distinguish; each has one meaning.
"""

import html
import re
from dataclasses import dataclass
from functools import cache

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.colors import sample_colorscale

from resnet_viz.nets.labels import visible

IDENTITY = "#0072B2"
RESIDUAL = "#E69F00"
SUM = "#009E73"
GRADIENT = "#CC79A7"
ATTRIBUTION = "#D55E00"
PLAIN = "#8A929C"

# A hyphen that begins a number; the hyphens of names such as "ResNet-18" follow a letter.
NEGATIVE = re.compile(r"(?<![^\s(])-(?=\d)")
# Blue below 0, red above, nearly white at 0. The limits are always symmetric about 0.
SIGNED = "RdBu_r"

FONT = '"Source Sans", "Source Sans 3", "Source Sans Pro", "Segoe UI", sans-serif'


@dataclass(frozen=True)
class Theme:
    """The differences between light and dark: colours of text, faint text, lines and raised surfaces."""

    name: str
    text: str
    muted: str
    line: str
    surface: str
    raised: str


LIGHT = Theme("light", "#1D2733", "#5A6673", "#D5DBE1", "#F4F6F8", "#FFFFFF")
DARK = Theme("dark", "#E8EDF2", "#A3AEBA", "#3A4551", "#1B232C", "#27313C")


def finish(fig: go.Figure, theme: Theme, *, finding: str, how_to_read: str, alt: str) -> go.Figure:
    """Give a figure its title, fonts and transparent background; `meta` carries the finding, reading aid and alt text."""
    finding, how_to_read, alt = map(with_minus, (finding, how_to_read, alt))
    fig.update_layout(
        title={"text": plain(finding), "x": 0, "xanchor": "left", "xref": "paper", "font": {"size": 18}},
        meta={"finding": finding, "how_to_read": how_to_read, "alt": alt},
        font={"family": FONT, "size": 13, "color": theme.text},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"bgcolor": theme.raised, "bordercolor": theme.line, "font": {"family": FONT, "color": theme.text}},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": theme.muted, "activecolor": theme.text},
        template=_template(theme),
        # Ten times faster than checking the existing content, and there is none.
        overwrite=True,
    )
    return fig


def with_minus(text: str) -> str:
    """Write the hyphen before a negative number as a minus sign, which is as wide as a plus sign."""
    return NEGATIVE.sub("−", text)


def plain(text: str) -> str:
    """Escape text in a figure, where Plotly reads <b> and <a href> as markup: labels come from outside."""
    return html.escape(visible(text), quote=False)


def short(block: str) -> str:
    """Turn "layer2.1" into "2.1", as the figures name blocks."""
    return block.removeprefix("layer") if block[5:6].isdigit() else block


@cache
def _template(theme: Theme) -> go.layout.Template:
    """The defaults of all figures: dragging and zooming are off, and the appearance of the axes.

    Plotly takes 20 ms to check a template and 2 ms to copy it.
    """
    axis = _axis(theme)
    return go.layout.Template(layout={"dragmode": False, "hovermode": "closest", "xaxis": axis, "yaxis": axis})


def rgb(colour: str) -> NDArray[np.uint8]:
    """Turn "#0072B2" into its three numbers."""
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)


def translucent(colour: str, opacity: float) -> str:
    """A translucent colour of the palette; unlike the opacity of a marker, it is visible in legends too."""
    red, green, blue = rgb(colour)
    return f"rgba({red},{green},{blue},{opacity:g})"


def _axis(theme: Theme) -> dict[str, object]:
    return {
        "gridcolor": theme.line,
        "linecolor": theme.line,
        "zerolinecolor": theme.muted,
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
    }


@cache
def signed_palette() -> NDArray[np.uint8]:
    """The signed colour scale as 255 RGB colours, uint8 (255, 3), read-only; the middle one means 0."""
    colours = sample_colorscale(SIGNED, list(np.linspace(0, 1, 255)), colortype="tuple")
    palette: NDArray[np.uint8] = np.rint(255 * np.array(colours)).astype(np.uint8)
    palette.flags.writeable = False
    return palette
