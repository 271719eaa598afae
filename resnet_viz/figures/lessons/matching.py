"""Shapes that have to match: each shortcut's output shape, the pixels and channels that option A keeps, and what survives.

Blue is the output of the shortcut, orange the residual that it is added to. Hatched channels are 0 for any input.
"""

import math

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from resnet_viz.analyses.activations import Array
from resnet_viz.figures.data_urls import data_url
from resnet_viz.figures.theme import IDENTITY, LIGHT, RESIDUAL, Theme, finish, rgb, short
from resnet_viz.figures.tiles import TilePixels, signed_pixels, tiles
from resnet_viz.lessons.matching import PICTURE, FeatureShape, Matched, MatchingOption, Mismatch, Survival

TOP, HEIGHT, WIDTH = 44, 470, 1080
OPTIONS: dict[MatchingOption, str] = {"identity": "identity", "A": "option A: zeros", "B": "option B: projection"}

# A stack of channels: its largest side, the offset between two drawn channels, and the number of drawn channels.
SIDE, STEP, MOST_DRAWN = 0.72, 0.035, 6
FADED = 0.82
UPSCALED = 384


def shapes(result: Mismatch, theme: Theme = LIGHT) -> go.Figure:
    """Draw one row per shortcut: the input, the shortcut's output, the residual that it must match, and whether it does."""
    fig = go.Figure()
    largest = max(*result.input[1:], *result.output[1:])
    columns = {"input": 0.0, "made": 2.1, "residual": 4.2, "verdict": 5.9}
    for row, offer in enumerate(result.offers):
        y = 2.0 - row
        _words(fig, -1.75, y + 0.5, f"<b>{OPTIONS[offer.option]}</b><br>{offer.parameters:,} parameters", theme, "left")
        _stack(fig, columns["input"], y, result.input, largest, IDENTITY, theme)
        _words(fig, 1.65, y + 0.5, "→", theme, size=24)
        if offer.output is None:
            _words(fig, columns["made"] + 0.4, y + 0.5, "nothing", theme)
        else:
            zeros = 1 - result.input[0] / offer.output[0] if offer.option == "A" else 0.0
            _stack(fig, columns["made"], y, offer.output, largest, IDENTITY, theme, zeros)
        _words(fig, 3.75, y + 0.5, "+", theme, size=28)
        _stack(fig, columns["residual"], y, result.output, largest, RESIDUAL, theme)
        mark = "✓ fits" if offer.fits else "✗ does not fit"
        _words(fig, columns["verdict"], y + 0.5, f"<b>{mark}</b><br>{offer.reason}", theme, "left")
    for name, text in (("input", "input x"), ("made", "shortcut's output"), ("residual", "residual F(x)")):
        _words(fig, columns[name] + 0.45, 3.08, f"<b>{text}</b>", theme)
    _canvas(fig, (-1.8, 8.0), (-0.05, 3.2))
    mending = [OPTIONS[offer.option] for offer in result.offers if offer.fits]
    mend = "mend" if len(mending) > 1 else "mends"
    finding = f"{_mismatch(result)}: {' and '.join(mending) or 'none of the three'} {mend} it"
    if not result.spatial and not result.channels:
        finding = "The shapes are the same: the identity can be added as it is"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Sides are to scale; dashed and empty channels are zeros. An addition needs two equal shapes.",
        alt=f"{finding}. " + " ".join(f"{OPTIONS[each.option]}: {each.reason}." for each in result.offers),
    )


def kept_and_zero(result: Matched, theme: Theme = LIGHT) -> go.Figure:
    """Draw which pixels the stride of option A keeps, the others faded, and which channels it fills with zeros, hatched."""
    fig = go.Figure()
    channel = strongest(result)
    pixels = _shown(result, channel)
    _sheet(fig, 0, 0.1, 2.5, 2.5, _fade(pixels, result.stride, theme), IDENTITY)
    name = "the image" if result.source == PICTURE else f"channel {channel} of block {short(result.source)}'s input"
    after, before = result.kept
    _words(fig, 1.25, 2.78, f"<b>{name}</b>", theme)
    _words(fig, 1.25, -0.1, f"{_x(result.input.shape)}: {after:,} of {before:,} pixels kept", theme)
    _words(fig, 2.85, 1.35, "→<br>stride 2", theme, size=20)
    small = pixels[:: result.stride, :: result.stride]
    _sheet(fig, 3.2, 0.1, 1.25, 1.25, Image.fromarray(small), IDENTITY)
    _words(fig, 3.825, -0.1, f"{small.shape[0]}×{small.shape[1]} of the result", theme)
    _words(fig, 4.8, 1.35, "→<br>zeros", theme, size=20)
    count = len(result.zero_padded)
    columns = _columns(count)
    limit = float(np.abs(result.input).max()) or 1.0
    sheet = tiles(result.zero_padded, limit, columns, theme, empty=result.zeros)
    width = min(3.6, 2.5 * sheet.width / sheet.height)
    height = width * sheet.height / sheet.width
    _sheet(fig, 5.2, 0.1, width, height, sheet, IDENTITY)
    _words(fig, 5.2 + width / 2, 2.78, "<b>all channels</b>", theme)
    _words(fig, 5.2 + width / 2, -0.1, f"{_x(result.zero_padded.shape)}: {len(result.zeros)} of {count} channels are 0", theme)
    _canvas(fig, (-0.1, 8.9), (-0.25, 2.95))
    kept = f"The stride keeps {after / before:.0%} of the pixels"
    finding = f"{kept}; padding adds {len(result.zeros)} channels of zeros and no parameter"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Left: faded pixels are skipped. Right: one tile per channel, red is positive, blue negative, hatched "
        "zero.",
        alt=f"{finding}. Channels of zeros: {', '.join(map(str, result.zeros))}.",
    )


def survivors(result: Matched, theme: Theme = LIGHT) -> go.Figure:
    """Draw a projection's output next to option A's for the same input, and how much of the input each one preserves.

    ValueError for a result without a projection.
    """
    if result.projected is None or result.survives_b is None or result.kernels is None:
        raise ValueError(f"{result.source} has no projection. Choose a network with option B")
    fig = go.Figure()
    limit = float(max(np.abs(result.input).max(), np.abs(result.zero_padded).max())) or 1.0
    own = float(np.abs(result.projected).max()) or 1.0
    picture = result.source == PICTURE
    incoming = Image.fromarray(_shown(result, 0)) if picture else tiles(result.input, limit, _columns(len(result.input)), theme)
    sheets = {
        "input": (incoming, f"input {_x(result.input.shape)}"),
        "A": (tiles(result.zero_padded, limit, _columns(len(result.zero_padded)), theme, empty=result.zeros), "option A"),
        "B": (
            tiles(result.projected, own, _columns(len(result.projected)), theme),
            _projection_words(result),
        ),
    }
    high = {"input": (0.35, 1.9), "A": (1.6, 1.2), "B": (0.1, 1.2)}
    for name, (sheet, words) in sheets.items():
        y, height = high[name]
        width = min(height * sheet.width / sheet.height, 2.5)
        x = 0.0 if name == "input" else 3.1
        _sheet(fig, x, y, width, width * sheet.height / sheet.width, sheet, IDENTITY)
        _words(fig, x, y + height + 0.1, f"<b>{words}</b>", theme, "left")
        if name == "B" and picture:
            _words(fig, x + width + 0.15, y + height / 2, _kernels(result.kernels), theme, "left", size=12)
    _words(fig, 2.55, 1.3, "→", theme, size=26)
    _canvas(fig, (-0.1, 5.9), (-0.05, 3.1))
    fig.update_layout(xaxis={"domain": (0, 0.62)}, yaxis={"domain": (0, 1)})
    _bars(fig, result.survives_a, result.survives_b, theme)
    a, b = result.survives_a, result.survives_b
    kept = (
        f"Of the pixels that the stride keeps, {_percent(b.kept)} of the variance can be recovered after the projection "
        f"and {_percent(a.kept)} after the zeros"
    )
    finding = f"{kept}; of all pixels, {_percent(b.whole)} and {_percent(a.whole)}"
    return finish(
        fig,
        theme,
        finding=finding,
        how_to_read="Bars: how much of the input's variance a linear map recovers from the output (R²), for this image.",
        alt=finding,
    )


def strongest(result: Matched) -> int:
    """The channel with the most variance, which shows the most structure."""
    return int(result.input.reshape(len(result.input), -1).var(1).argmax())


def _bars(fig: go.Figure, a: Survival, b: Survival, theme: Theme) -> None:
    rows = ["all pixels", "skipped pixels", "kept pixels"]
    for name, each, pattern in (("option B", b, ""), ("option A", a, "/")):
        values = [each.whole, each.skipped, each.kept]
        fig.add_trace(
            go.Bar(
                x=values,
                y=rows,
                orientation="h",
                name=name,
                text=[f"{name[-1]} {_percent(value)}" for value in values],
                textposition="auto",
                insidetextfont={"color": "#FFFFFF" if not pattern else theme.text},
                textfont={"size": 13},
                marker={
                    "color": IDENTITY if not pattern else theme.surface,
                    "line": {"color": IDENTITY, "width": 2},
                    "pattern": {"shape": pattern, "fgcolor": IDENTITY, "size": 6, "solidity": 0.15},
                },
                xaxis="x2",
                yaxis="y2",
                hovertemplate=f"{name}, R² of %{{y}}<br>%{{x:.4f}}<extra></extra>",
            )
        )
    lowest = min(0.0, *(value for each in (a, b) for value in (each.kept, each.skipped, each.whole)))
    fig.update_layout(
        xaxis2={
            "domain": (0.74, 1),
            "range": [lowest, 1.02],
            "tickvals": [0, 0.5, 1],
            "tickformat": ".0%",
            "title": {"text": "recovered share of the input (linear R²)", "standoff": 8},
        },
        yaxis2={"anchor": "x2", "domain": (0.05, 0.95), "showgrid": False},
        barmode="group",
        bargap=0.3,
        bargroupgap=0.1,
        showlegend=False,
        overwrite=True,
    )


def _stack(
    fig: go.Figure, x: float, y: float, shape: FeatureShape, largest: int, colour: str, theme: Theme, zeros: float = 0.0
) -> None:
    """Draw some channels behind one another, with the share of zero channels dashed and empty, and the shape next to them."""
    drawn = min(MOST_DRAWN, max(1, round(math.log2(shape[0])) if shape[0] > 1 else 1))
    empty = min(drawn - 1, max(1, round(drawn * zeros))) if zeros else 0
    high, wide = (SIDE * size / largest for size in shape[1:])
    base = y + 0.5 - (high + STEP * drawn) / 2
    for number in reversed(range(drawn)):
        zero = number >= drawn - empty
        shift = STEP * number
        fig.add_shape(
            type="rect",
            x0=x + shift,
            x1=x + shift + wide,
            y0=base + shift,
            y1=base + shift + high,
            line={"color": colour, "width": 2, "dash": "dot" if zero else "solid"},
            fillcolor=theme.surface if zero else _light(colour, theme),
        )
    _words(fig, x + wide + STEP * drawn + 0.08, y + 0.5, _x(shape), theme, "left", size=13)


def _sheet(fig: go.Figure, x: float, y: float, width: float, height: float, picture: Image.Image, colour: str) -> None:
    # Pixels stay square where the browser would smooth them.
    times = max(1, round(UPSCALED / max(picture.size)))
    large = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    fig.add_layout_image(
        source=data_url(large), xref="x", yref="y", x=x, y=y + height, sizex=width, sizey=height, sizing="stretch"
    )
    fig.add_shape(type="rect", x0=x, x1=x + width, y0=y, y1=y + height, line={"color": colour, "width": 3})


def _words(fig: go.Figure, x: float, y: float, text: str, theme: Theme, anchor: str = "center", size: int = 14) -> None:
    font = {"size": size, "color": theme.text}
    fig.add_annotation(x=x, y=y, text=text, xanchor=anchor, align=anchor, showarrow=False, font=font)


def _canvas(fig: go.Figure, x: tuple[float, float], y: tuple[float, float]) -> None:
    """Axes without lines; an invisible point, because axes without a trace are not drawn."""
    fig.add_trace(go.Scatter(x=[0], y=[0], mode="markers", marker={"opacity": 0}, hoverinfo="skip", showlegend=False))
    fig.update_layout(
        xaxis={"visible": False, "range": x, "constrain": "domain"},
        yaxis={"visible": False, "range": y, "scaleanchor": "x", "constrain": "domain"},
        width=WIDTH,
        height=HEIGHT,
        margin={"l": 0, "r": 20, "t": TOP, "b": 0},
        overwrite=True,
    )


def _shown(result: Matched, channel: int) -> TilePixels:
    """An image's colours, or one channel on the signed scale; RGB (H, W, 3)."""
    if result.source == PICTURE:
        return np.rint(np.moveaxis(result.input, 0, -1) * 255).astype(np.uint8)
    limit = float(np.abs(result.input).max()) or 1.0
    return signed_pixels(result.input[channel], limit)


def _fade(pixels: TilePixels, stride: int, theme: Theme) -> Image.Image:
    faded = np.rint(pixels * (1 - FADED) + rgb(theme.surface) * FADED).astype(np.uint8)
    faded[::stride, ::stride] = pixels[::stride, ::stride]
    return Image.fromarray(faded)


def _columns(count: int) -> int:
    return {3: 3, 6: 3, 32: 8}.get(count, math.isqrt(count))


def _projection_words(result: Matched) -> str:
    weakest = "" if result.weakest is None else f": its weakest direction has {result.weakest:.0%} of the gain of the strongest"
    return ("option B" if result.trained else "option B, untrained") + weakest


def _kernels(kernels: Array) -> str:
    signs = [" ".join(f"{weight:+.1f}{letter}" for weight, letter in zip(kernel, "RGB", strict=True)) for kernel in kernels]
    return "<br>".join(f"{number}: {text}" for number, text in enumerate(signs))


def _mismatch(result: Mismatch) -> str:
    if result.spatial and result.channels:
        return "Both mismatches, size and channels"
    return "A mismatch in size" if result.spatial else "A mismatch in channels"


def _light(colour: str, theme: Theme) -> str:
    mixed = np.rint(0.2 * rgb(colour) + 0.8 * rgb(theme.raised)).astype(int)
    return f"rgb({','.join(map(str, mixed))})"


def _percent(share: float) -> str:
    return f"{share:.0%}" if abs(share - round(share, 2)) < 1e-3 or share < 0.995 else f"{share:.2%}"


def _x(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
