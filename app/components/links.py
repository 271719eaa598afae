"""Pointing at a place of one map marks it in all other maps and in the photo, and previews the channel of a tile."""

from app.components.mounting import component

_mount = component("links")

# The gap between the tiles of a mosaic, in pixels of the maps.
GAP = 1
Centres = tuple[float, float]


def links(rows: int, columns: int, side: int, down: Centres, across: Centres) -> None:
    """Link the maps of one block with the photo, of which the network sees `side` by `side` pixels.

    `down` and `across` are (start, jump): the centre of cell j is at pixel start + j * jump, counted from 0.
    """
    data = {"rows": rows, "columns": columns, "side": side, "down": list(down), "across": list(across), "gap": GAP}
    _mount(key="links", data=data, height="content")
