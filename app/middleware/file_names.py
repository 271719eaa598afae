"""The name of a file that somebody uploaded: shown, and never used as a path."""

import re
import unicodedata

LONGEST = 80
NAMELESS = "a file without a name"


def safe_name(file: str) -> str:
    """Return what can be shown of a file's name: its last part, one line, at most 80 characters, the ending kept.

    Control characters go, and those that turn the direction of writing round or are not seen at all. Markup stays as it is:
    whoever shows the name escapes it.
    """
    last = re.split(r"[/\\]", file)[-1]
    seen = "".join(" " if letter.isspace() else letter for letter in last if letter.isspace() or _is_visible(letter))
    name = " ".join(seen.split())
    if len(name) > LONGEST:
        name = f"{name[: LONGEST - 21]}…{name[-20:]}"
    return name if name.strip(". ") else NAMELESS


def _is_visible(letter: str) -> bool:
    return not unicodedata.category(letter).startswith("C")
