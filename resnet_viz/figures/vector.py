"""Figures as SVG without a script: the block map, and stacks of bars. Their colours follow the page around them.

Text and lines have the page's own colour of text, so that the same picture fits a light and a dark notebook.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape, unescape
from typing import Any

import plotly.graph_objects as go

from resnet_viz.figures.theme import FONT, LIGHT

# The ground of a notebook's cell: that of Jupyter, of Visual Studio Code, or of the browser.
GROUND = "var(--jp-layout-color0, var(--vscode-editor-background, Canvas))"
# The colours of the light theme as (colour, opacity) on the page.
ON_PAGE = {
    LIGHT.text: ("currentColor", 1.0),
    LIGHT.muted: ("currentColor", 0.75),
    LIGHT.line: ("currentColor", 0.2),
    LIGHT.surface: ("currentColor", 0.06),
    LIGHT.raised: (GROUND, 1.0),
}
ANCHORS = {"left": "start", "center": "middle", "right": "end"}
DASHES = {"dot": "2 4", "4px,4px": "4 4"}
# Pixels that a letter of the legend takes, the line before it, and the space after it.
LETTER, SAMPLE, SPACE = 6.4, 30, 22
NUMBER = r"-?\d+(?:\.\d+)?"
BAR, GAP, PLOT, FOOT, HEAD = 34, 10, 150, 22, 24


def chain_svg(figure: go.Figure) -> str:
    """Write a block map, which consists of shapes and texts at pixels, with its legend below it."""
    layout = figure.layout
    width, height = round(layout.width), round(layout.height)
    top = layout.margin.t + layout.yaxis.range[1]
    ordered = sorted(layout.shapes, key=lambda shape: shape.layer != "below")
    parts = [*(_shape(shape, top) for shape in ordered), *(part for note in layout.annotations for part in _note(note, top))]
    legend = _legend([trace for trace in figure.data if trace.showlegend is not False], height - 14)
    # The heading above it says what the title would.
    head = layout.margin.t - 8
    return _svg(width, height - head, str(layout.meta["alt"]), [*parts, *legend], shift=head)


def stacks_svg(names: Sequence[str], parts: Mapping[str, tuple[str, Sequence[float]]], alt: str) -> str:
    """Write one stack of bars for each name; `parts` are colours and values by what they are, negative ones go down."""
    values = [[series[number] for _, series in parts.values()] for number in range(len(names))]
    ups = [sum(value for value in row if value > 0) for row in values]
    downs = [sum(value for value in row if value < 0) for row in values]
    span = max(ups, default=0.0) - min(downs, default=0.0) or 1.0
    zero = HEAD + PLOT * max([0.0, *ups]) / span
    drawn = []
    for number, (name, row) in enumerate(zip(names, values, strict=True)):
        left, up, down = number * (BAR + GAP) + GAP, zero, zero
        for value, (colour, _) in zip(row, parts.values(), strict=True):
            high = abs(value) / span * PLOT
            up, y, down = (up - high, up - high, down) if value > 0 else (up, down, down + high)
            drawn.append(f'<rect x="{left}" y="{y:.1f}" width="{BAR}" height="{high:.1f}" fill="{colour}"/>')
        drawn.append(_text(left + BAR / 2, HEAD + PLOT + 15, name, 11, "middle"))
    drawn.append(f'<line x1="0" x2="{len(names) * (BAR + GAP) + GAP}" y1="{zero:.1f}" y2="{zero:.1f}" stroke="currentColor"/>')
    legend, x = [], float(GAP)
    for what, (colour, _) in parts.items():
        legend += [f'<rect x="{x}" y="2" width="12" height="12" fill="{colour}"/>', _text(x + 18, 12, what, 12, "start")]
        x += 18 + LETTER * len(what) + SPACE
    return _svg(max(round(x), len(names) * (BAR + GAP) + GAP), HEAD + PLOT + FOOT, alt, [*drawn, *legend])


def _svg(width: int, height: float, alt: str, parts: Sequence[str], shift: float = 0) -> str:
    style = f"font-family: {escape(FONT, quote=True)}; max-width: none; overflow: visible"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(alt)}" width="{width}" height="{height:.0f}" '
        f'viewBox="0 {shift} {width} {height:.0f}" style="{style}">{"".join(parts)}</svg>'
    )


def _shape(shape: Any, top: float) -> str:  # noqa: ANN401 - plotly is untyped
    paint = _painted("fill", shape.fillcolor) if shape.fillcolor else 'fill="none"'
    if shape.line.width != 0:
        paint += f' {_painted("stroke", shape.line.color)} stroke-width="{shape.line.width or 2:g}"'
    if shape.line.dash in DASHES:
        paint += f' stroke-dasharray="{DASHES[shape.line.dash]}"'
    if shape.opacity is not None:
        paint += f' opacity="{shape.opacity:.3g}"'
    if shape.type == "path":
        return f'<path d="{_flipped(shape.path, top)}" {paint}/>'
    x0, x1, y0, y1 = shape.x0, shape.x1, top - shape.y1, top - shape.y0
    if shape.type == "line":
        return f'<line x1="{x0:g}" x2="{x1:g}" y1="{y0:g}" y2="{y1:g}" {paint}/>'
    if shape.type == "circle":
        return f'<circle cx="{(x0 + x1) / 2:g}" cy="{(y0 + y1) / 2:g}" r="{(x1 - x0) / 2:g}" {paint}/>'
    return f'<rect x="{x0:g}" y="{y0:g}" width="{x1 - x0:g}" height="{y1 - y0:g}" {paint}/>'


def _flipped(path: str, top: float) -> str:
    """Turn a path whose y grows upwards into one whose y grows downwards."""
    return re.sub(rf"({NUMBER}),({NUMBER})", lambda pair: f"{float(pair[1]):g},{top - float(pair[2]):g}", path)


def _painted(what: str, colour: str) -> str:
    name, opacity = ON_PAGE.get(colour, (colour, 1.0))
    # Only a style may refer to the page's variables.
    return f'style="{what}: {name}"' if name == GROUND else f'{what}="{name}" {what}-opacity="{opacity:g}"'


def _note(note: Any, top: float) -> Iterator[str]:  # noqa: ANN401 - plotly is untyped
    """One text a line: Plotly breaks lines at <br> and knows <b>; everything else is written as it is."""
    lines = str(note.text).split("<br>")
    size, (colour, opacity) = note.font.size, ON_PAGE.get(note.font.color, (note.font.color, 1.0))
    for number, line in enumerate(lines):
        words = unescape(re.sub(r"</?b>", "", line))
        y = top - note.y + (number - (len(lines) - 1) / 2) * 1.3 * size + 0.36 * size
        yield _text(
            note.x, y, words, size, ANCHORS[note.xanchor or "center"], bold="<b>" in line, colour=colour, opacity=opacity
        )


def _text(
    x: float,
    y: float,
    words: str,
    size: float,
    anchor: str,
    *,
    bold: bool = False,
    colour: str = "currentColor",
    opacity: float = 1.0,
) -> str:
    weight = ' font-weight="700"' if bold else ""
    paint = f'fill="{colour}" fill-opacity="{opacity:g}"'
    return (
        f'<text x="{x:.4g}" y="{y:.4g}" font-size="{size:g}" text-anchor="{anchor}" {paint}{weight}>'
        f"{escape(words, quote=False)}</text>"
    )


def _legend(traces: Sequence[Any], y: float) -> Iterator[str]:
    x = 8.0
    for trace in traces:
        if trace.mode == "lines":
            dash = ' stroke-dasharray="2 4"' if trace.line.dash == "dot" else ""
            stroke = f'stroke="{trace.line.color}" stroke-width="{trace.line.width:g}"{dash}'
            yield f'<line x1="{x:.4g}" x2="{x + SAMPLE - 6:.4g}" y1="{y:g}" y2="{y:g}" {stroke}/>'
        else:
            yield f'<circle cx="{x + 12:.4g}" cy="{y:g}" r="5.5" fill="none" stroke="{trace.marker.color}" stroke-width="2.5"/>'
        yield _text(x + SAMPLE, y + 4.5, unescape(str(trace.name)), 12.5, "start")
        x += SAMPLE + LETTER * len(str(trace.name)) + SPACE
