"""Streamlit's font of icons, reduced to the icons that can occur: of 4300 icons, pages show some dozens.

An icon is a ligature of the letters of its name. Kept are all icons whose names are words in Streamlit's code or in this app's,
which is more than can occur: "home" is an icon and a word.
"""

import io
import re
from collections.abc import Iterable
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

# The name of the font's file, and the module of Streamlit that lists all of its icons.
FONT, LIST = "MaterialSymbols-Rounded.*.woff2", "material_icon_names.py"
APP = Path(__file__).parents[1]


def reduced(font: bytes, streamlit: Path) -> bytes:
    """Return a WOFF2 font with the icons whose names are words in the code of the package in that folder, or of this app."""
    scripts = (streamlit / "static" / "static" / "js").glob("*.js")
    modules = (path for folder in (streamlit, APP) for path in folder.rglob("*.py") if path.name != LIST)
    return with_icons(font, words([*scripts, *modules]))


def words(files: Iterable[Path]) -> set[str]:
    """Return everything in files that could be the name of an icon."""
    return {word for path in files for word in re.findall(r"[a-z0-9_]+", path.read_text("utf-8"))}


def with_icons(font: bytes, names: set[str]) -> bytes:
    """Return a WOFF2 font with these icons only; names that are no icons do not matter."""
    whole = TTFont(io.BytesIO(font))
    letters = {glyph: chr(code) for code, glyph in whole.getBestCmap().items()}
    for table in _ligature_tables(whole):
        for first, ligatures in table.ligatures.items():
            table.ligatures[first] = [
                ligature for ligature in ligatures if "".join(letters[glyph] for glyph in (first, *ligature.Component)) in names
            ]
    options = subset.Options(flavor="woff2", layout_features=["*"], hinting=False)
    reducer = subset.Subsetter(options)
    # The icons follow from the letters of their names.
    reducer.populate(text="abcdefghijklmnopqrstuvwxyz0123456789_")
    reducer.subset(whole)
    written = io.BytesIO()
    subset.save_font(whole, written, options)
    return written.getvalue()


def _ligature_tables(font: TTFont) -> Iterable[subset.otTables.LigatureSubst]:
    for lookup in font["GSUB"].table.LookupList.Lookup:
        for table in lookup.SubTable:
            inner = getattr(table, "ExtSubTable", table)
            if hasattr(inner, "ligatures"):
                yield inner
