"""Play: the signal moves through the network block by block, in the browser alone once it has the images.

The player consists of the controls and the stage. The film contains the images on the stage; it is sent once and not again when
another block is opened.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app.components.mounting import component

_mount_player = component("player")
_mount_film = component("film")

# The mean over the channels of a tensor, (H, W).
Means = NDArray[np.float32]


@dataclass(frozen=True)
class ShownTerm:
    """An image in the equation of a block: its caption, its colour, and the operator before it ("" for the first)."""

    name: str
    colour: str
    operator: str


@dataclass(frozen=True)
class Stop:
    """A block on the way of the signal: its name, its numbers as (name, value), and its arc on the block map.

    `start`, `end`, `line` and `top` are the ends of the arc, its height and the height of its control points, in map
    coordinates.
    """

    name: str
    title: str
    terms: tuple[ShownTerm, ...]
    numbers: tuple[tuple[str, str], ...]
    start: float
    end: float
    line: float
    top: float


@dataclass(frozen=True, eq=False)
class Scene:
    """What the stage shows at a block: the values of each term, float32 (H, W), their common limit, and the decoded classes.

    `decoded` contains (class, probability) after the block, the most probable first. It is empty if the network cannot be
    decoded.
    """

    pictures: tuple[Means, ...]
    limit: float
    decoded: tuple[tuple[str, float], ...]


def player(
    identity: str,
    stops: Sequence[Stop],
    opened: str,
    *,
    on_wanted: Callable[[], None],
    on_open: Callable[[str], None],
    hides: str,
    chart: str,
) -> None:
    """Show the controls; `identity` identifies the network and the image.

    `on_wanted` is called when the user requests the film, `on_open` with the block at which the user stopped. While the stage
    is open, the container with the key `hides` is hidden. `chart` is the key of the block map.
    """

    def opening() -> None:
        name = st.session_state["player"].opened
        # The names come from the browser, where anybody can change them.
        if name in {stop.name for stop in stops}:
            on_open(name)

    _mount_player(
        key="player",
        data={
            "identity": identity,
            "stops": [asdict(stop) for stop in stops],
            "opened": opened,
            "hides": hides,
            "chart": chart,
        },
        on_wanted_change=on_wanted,
        on_opened_change=opening,
    )


def film(identity: str, scenes: Sequence[Scene], palette: NDArray[np.uint8]) -> None:
    """Send the images of every stop; `palette` is uint8 (colours, 3), and its middle colour represents 0."""
    _mount_film(key="film", data=film_data(identity, scenes, palette))


def film_data(identity: str, scenes: Sequence[Scene], palette: NDArray[np.uint8]) -> dict[str, Any]:
    """Write scenes as JSON, with values as base64 of little-endian float32, so that they arrive bit for bit."""
    return {
        "identity": identity,
        "palette": base64.b64encode(palette.tobytes()).decode(),
        "scenes": [
            {
                "shape": scene.pictures[0].shape,
                "limit": scene.limit,
                "pictures": [base64.b64encode(each.astype("<f4").tobytes()).decode() for each in scene.pictures],
                "decoded": scene.decoded,
            }
            for scene in scenes
        ],
    }
