"""What a report is made of: charts with the numbers that they show, each made when it is asked for."""

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

LONGEST = 120

# A table, or arrays by their names.
ReportNumbers = pd.DataFrame | Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Piece:
    """A chart called `title`, and its numbers; `name` is that of its files. A `spare` one is left out where space is short.

    `kind` says what file its numbers make: "CSV" of a table, "NPZ" of arrays.
    """

    name: str
    title: str
    figure: Callable[[], go.Figure]
    numbers: Callable[[], ReportNumbers]
    kind: Literal["CSV", "NPZ"] = "CSV"
    spare: bool = False

    @property
    def file_name(self) -> str:
        """The name of the file of its numbers."""
        return file_name(f"{self.name}.{self.kind.lower()}")

    @property
    def mime(self) -> str:
        """The type of that file."""
        return "text/csv" if self.kind == "CSV" else "application/zip"

    def data(self) -> bytes:
        """Write its numbers."""
        numbers = self.numbers()
        if isinstance(numbers, pd.DataFrame):
            return numbers.to_csv().encode()
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **numbers)  # type: ignore[arg-type]  # names of arrays are never "allow_pickle"
        return buffer.getvalue()


@dataclass(frozen=True, eq=False)
class ReportImage:
    """An image with what stands below it."""

    image: Image.Image
    caption: str

    @classmethod
    def seen(cls, pixels: NDArray[np.uint8], side: str = "") -> "ReportImage":
        """Show what a network received, uint8 (H, W, 3)."""
        height, width = pixels.shape[:2]
        return cls(Image.fromarray(pixels), f"{side} network input, {width}×{height} pixels".strip().capitalize())


@dataclass(frozen=True, eq=False)
class Contents:
    """All that a report says: a title, notes about the weights and the like, images, charts, and a table of measures.

    `name` is that of the file. The `pictures` are what the network received.
    """

    name: str
    title: str
    notes: tuple[str, ...]
    pieces: tuple[Piece, ...]
    pictures: tuple[ReportImage, ...] = ()
    table: pd.DataFrame | None = None
    table_title: str = "Every measure"

    @property
    def file(self) -> str:
        """The name of its file."""
        return file_name(f"{self.name}.html")


def file_name(text: str) -> str:
    """Write a name that every file system takes: labels and networks come from outside, and some contain slashes."""
    return re.sub(r"[^\w.]+", "-", text).strip("-.")[-LONGEST:]
