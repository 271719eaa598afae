"""Pointing at a place of one map marks the same place in all others and in the photo, and previews the channel of a tile."""

from app.components.mounting import component

_mount = component("links")

# What stands between the tiles of a mosaic, in pixels of the maps.
GAP = 1
Centres = tuple[float, float]


def links(rows: int, columns: int, side: int, down: Centres, across: Centres) -> None:
    """Link the maps of one block, of so many cells, and the photo, of which the network saw `side` by `side` pixels.

    `down` and `across` are (start, jump): cell j looks at the pixels around start + j * jump, counted from 0.
    """
    data = {"rows": rows, "columns": columns, "side": side, "down": list(down), "across": list(across), "gap": GAP}
    _mount(key="links", data=data, height="content")
