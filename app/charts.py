"""A figure in the form that pages send to Streamlit: created once, without its title, and not checked again.

Plotly takes 5 to 30 ms to create and check a figure, and as long again to copy it. Figures that everybody sees are created
once.
"""

import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import plotly.graph_objects as go
from plotly.basedatatypes import BaseFigure

from resnet_viz.engine.store import EVERYBODY, Store
from resnet_viz.figures.untitled import untitled

# The limits in bytes: for all sessions together, and for the figures of one session.
CAPACITY, SHARE = 96 * 2**20, 8 * 2**20
# Lists and dictionaries take several times the memory of their JSON.
OBJECTS = 4


@dataclass(frozen=True, eq=False)
class Chart:
    """What a page needs to know about a figure: its finding, how to read it, its alternative text, and the drawing.

    `natural` is its width in pixels, or 0 if it has none. `focus` is the position that a window too narrow for it shows first,
    from 0 (left end) to 1 (right end), or None if the figure does not define it. `legend` has the entries that
    `without_legend` took out of it.
    """

    finding: str
    how_to_read: str
    alt: str
    natural: int
    height: int
    focus: float | None
    legend: tuple[Mapping[str, Any], ...]
    drawn: "Drawn" = field(repr=False)

    @classmethod
    def of(cls, figure: go.Figure) -> "Chart":
        """Remove the title, which a heading on the page shows, and serialise the rest."""
        layout, meta = untitled(figure).layout, figure.layout.meta
        text = figure.to_json()
        return cls(
            meta["finding"],
            meta["how_to_read"],
            meta["alt"],
            round(layout.width or 0),
            round(layout.height),
            meta.get("focus"),
            tuple(meta.get("legend", ())),
            Drawn(json.loads(text), len(text)),
        )

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        return OBJECTS * int(self.drawn.length)


class Drawn(BaseFigure):  # type: ignore[misc]  # plotly is untyped
    """A figure that is already serialised: Streamlit only asks a figure for its dictionary.

    Only `to_dict` works; its result is shared and must not be changed. `length` is the length of the JSON.
    """

    def __init__(self, ready: dict[str, Any], length: int) -> None:
        # The constructor of BaseFigure would check and copy everything.
        self.__dict__.update(ready=ready, length=length)

    def to_dict(self) -> dict[str, Any]:
        """Return the figure as plain lists, dictionaries, numbers and texts."""
        return cast("dict[str, Any]", vars(self)["ready"])

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
        raise AttributeError(name)


class Charts:
    """Charts that were already created, limited in bytes. The charts of an owner are removed with its session."""

    def __init__(self) -> None:
        self._store: Store[Chart] = Store(CAPACITY, lambda chart: chart.nbytes, SHARE)

    def get(self, key: Hashable, make: Callable[[], go.Figure], owner: str = EVERYBODY) -> Chart:
        """Return the chart with that key, created by `make` if there is none."""
        found = self._store.get(key, owner)
        if found is None:
            found = Chart.of(make())
            self._store.put(key, found, owner)
        return found

    def forget(self, owner: str) -> None:
        """Remove the charts that nobody else uses."""
        self._store.forget(owner)
