"""A figure as pages show it: made once, without its title, in a form that Streamlit sends without looking at it again.

A figure takes Plotly 5 to 30 ms to make and to check, and as long again to copy; what everybody sees is made once for all.
"""

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, cast

import plotly.graph_objects as go
from plotly.basedatatypes import BaseFigure

from resnet_viz.engine.store import EVERYBODY, Store
from resnet_viz.figures.untitled import untitled

# Kept for everybody in all, and for one session's own pictures.
CAPACITY, SHARE = 96 * 2**20, 8 * 2**20
# Lists and dictionaries take several times the memory of the text that they come from.
OBJECTS = 4


@dataclass(frozen=True, eq=False)
class Chart:
    """What a page needs of a figure: its finding, its reading aid, its alternative text, and what is drawn.

    `natural` is its width in pixels, 0 where it has none. `focus` is where a window too narrow for it looks first, from 0 (left
    end) to 1 (right end); None for a figure that does not define it.
    """

    finding: str
    how_to_read: str
    alt: str
    natural: int
    height: int
    focus: float | None
    drawn: "Drawn" = field(repr=False)

    @classmethod
    def of(cls, figure: go.Figure) -> "Chart":
        """Take the title away, which a heading on the page shows, and write the rest as it is sent."""
        layout, meta = untitled(figure).layout, figure.layout.meta
        text = figure.to_json()
        return cls(
            meta["finding"],
            meta["how_to_read"],
            meta["alt"],
            round(layout.width or 0),
            round(layout.height),
            meta.get("focus"),
            Drawn(json.loads(text), len(text)),
        )

    @property
    def nbytes(self) -> int:
        """Memory in bytes, roughly."""
        return OBJECTS * int(self.drawn.length)


class Drawn(BaseFigure):  # type: ignore[misc]  # plotly is untyped
    """A figure that is ready: Streamlit asks a figure for its dictionary and checks nothing else of it.

    Only `to_dict` works; what it returns is shared and must not be changed. `length` is that of its JSON.
    """

    def __init__(self, ready: dict[str, Any], length: int) -> None:
        # BaseFigure's own constructor would check and copy everything.
        self.__dict__.update(ready=ready, length=length)

    def to_dict(self) -> dict[str, Any]:
        """Return the figure as plain lists, dictionaries, numbers and texts."""
        return cast("dict[str, Any]", vars(self)["ready"])

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
        raise AttributeError(name)


class Charts:
    """Charts that were made already, bounded in bytes; an owner's are forgotten with its session."""

    def __init__(self) -> None:
        self._store: Store[Chart] = Store(CAPACITY, lambda chart: chart.nbytes, SHARE)

    def get(self, key: Hashable, make: Callable[[], go.Figure], owner: str = EVERYBODY) -> Chart:
        """Return the chart of that key, made by `make` where there is none."""
        found = self._store.get(key, owner)
        if found is None:
            found = Chart.of(make())
            self._store.put(key, found, owner)
        return found

    def forget(self, owner: str) -> None:
        """Let go of what nobody else has."""
        self._store.forget(owner)
