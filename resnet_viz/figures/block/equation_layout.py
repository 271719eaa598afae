"""The layout of a block's equation: images in a row with captions below them, or in a column on a phone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from resnet_viz.figures.cells import STACKED, Domain

LARGEST, WIDE_GAP, NARROW_GAP = 320, 126, 46
TOP, BOTTOM, COLOURBAR = 44, 70, 78
# In a column: the operator, the image, and the caption to its right.
OPERATOR, PICTURE, ROW_GAP, BAR = 42, 200, 14, 52
ACTIVATED = "output"


@dataclass(frozen=True)
class EquationPlace:
    """An image's domains, and the positions of its caption and of the operator before it, as of Plotly annotations."""

    across: Domain
    up: Domain
    caption: dict[str, Any]
    operator: dict[str, Any]


@dataclass(frozen=True)
class EquationLayout:
    """The whole figure in pixels, and the differences between a row and a column."""

    places: tuple[EquationPlace, ...]
    width: int
    height: int
    margin: dict[str, int]
    colourbar: dict[str, Any]
    align: str
    activation: str
    activation_size: int


def layout_of(terms: Sequence[str], width: int, activation: str = "ReLU") -> EquationLayout:
    """Arrange this many images in a row, or in a column if there are fewer pixels than a row needs.

    `activation` is what stands between the sum and the output, "" for nothing: then both are the same.
    """
    return _column(len(terms), width, activation) if width < STACKED else _row(terms, width, activation)


def _row(terms: Sequence[str], width: int, activation: str) -> EquationLayout:
    gaps = [WIDE_GAP if term == ACTIVATED else NARROW_GAP for term in terms[1:]]
    picture = min(LARGEST, (width - COLOURBAR - sum(gaps)) // len(terms))
    total = picture * len(terms) + sum(gaps)
    places, x = [], 0.0
    for gap in [0, *gaps]:
        x += gap
        across = (x / total, (x + picture) / total)
        caption = _paper((x + picture / 2) / total, -0.02, "center", "top")
        places.append(EquationPlace(across, (0.0, 1.0), caption, _paper((x - gap / 2) / total, 0.5, "center", "middle")))
        x += picture
    return EquationLayout(
        places=tuple(places),
        width=total + COLOURBAR,
        height=picture + TOP + BOTTOM,
        margin={"l": 2, "r": COLOURBAR - 2, "t": TOP, "b": BOTTOM},
        colourbar={"len": 0.9, "title": {"text": "value"}},
        align="center",
        activation=f"→ {activation} →" if activation else "=",
        activation_size=20 if len(activation) < 6 else 14,
    )


def _column(count: int, width: int, activation: str) -> EquationLayout:
    picture = min(PICTURE, width - OPERATOR - 100)
    total = count * picture + (count - 1) * ROW_GAP
    places = []
    for number in range(count):
        top = 1 - number * (picture + ROW_GAP) / total
        up = (max(0.0, top - picture / total), top)
        middle = sum(up) / 2
        across = (OPERATOR / width, (OPERATOR + picture) / width)
        caption = _paper((OPERATOR + picture + 12) / width, middle, "left", "middle")
        places.append(EquationPlace(across, up, caption, _paper(OPERATOR / 2 / width, middle, "center", "middle")))
    bar = {
        "orientation": "h",
        "len": picture / width,
        "x": OPERATOR / width,
        "xanchor": "left",
        "y": -8 / total,
        "yanchor": "top",
    }
    return EquationLayout(
        places=tuple(places),
        width=width,
        height=total + TOP + BAR,
        margin={"l": 0, "r": 0, "t": TOP, "b": BAR},
        colourbar=bar,
        align="left",
        activation=f"↓<br>{activation}" if activation else "=",
        activation_size=13,
    )


def _paper(x: float, y: float, xanchor: str, yanchor: str) -> dict[str, Any]:
    return {"x": x, "y": y, "xref": "paper", "yref": "paper", "xanchor": xanchor, "yanchor": yanchor}
