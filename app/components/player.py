"""Play: the signal walks through the network, block by block, in the browser alone once it has the pictures.

The player is the controls and the stage; the film is what is shown on it, which is sent once and not again when another block
is opened.
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

# The mean over a tensor's channels, (H, W).
Means = NDArray[np.float32]


@dataclass(frozen=True)
class ShownTerm:
    """A picture of a block's equation: the name under it, its colour, and the operator before it ("" for the first)."""

    name: str
    colour: str
    operator: str


@dataclass(frozen=True)
class Stop:
    """A block that the signal comes to: what it is called, its numbers as (name, value), and its arc on the block map.

    `start`, `end`, `line` and `top` are the arc's ends, its height and its control points' height, in the map's coordinates.
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
    """What is shown at a block: the values of each term, float32 (H, W), their common limit, and the decoded classes.

    `decoded` are (class, probability) after the block, the likeliest first; empty where the network cannot be decoded.
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
    """Show the controls; `identity` tells one network and picture from another.

    `on_wanted` is called when somebody wants the film, `on_open` with the block at which it was stopped. While the stage is
    open the container with the key `hides` is not shown. `chart` is the key of the block map.
    """

    def opening() -> None:
        name = st.session_state["player"].opened
        # Names come from the browser, where anybody can change them.
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
    """Send the pictures of every stop; `palette` is uint8 (colours, 3), its middle colour stands for 0."""
    _mount_film(key="film", data=film_data(identity, scenes, palette))


def film_data(identity: str, scenes: Sequence[Scene], palette: NDArray[np.uint8]) -> dict[str, Any]:
    """Write scenes as JSON: values as the base64 of little-endian float32, so that they arrive bit for bit."""
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
