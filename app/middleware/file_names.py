"""The name of an uploaded file: shown, and never used as a path."""

import re
import unicodedata

LONGEST = 80
NAMELESS = "a file without a name"


def safe_name(file: str) -> str:
    """Return the printable part of a file's name: its last part, one line, at most 80 characters, with its extension.

    Control characters, direction marks and invisible characters are removed. Markup stays: whatever shows the name escapes it.
    """
    last = re.split(r"[/\\]", file)[-1]
    seen = "".join(" " if letter.isspace() else letter for letter in last if letter.isspace() or _is_visible(letter))
    name = " ".join(seen.split())
    if len(name) > LONGEST:
        name = f"{name[: LONGEST - 21]}…{name[-20:]}"
    return name if name.strip(". ") else NAMELESS


def _is_visible(letter: str) -> bool:
    return not unicodedata.category(letter).startswith("C")
