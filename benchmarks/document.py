"""RESULTS.md in parts, each written by its own command and otherwise left unchanged."""

import re
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
# In the order of the document.
PARTS = ("looking", "workers", "gpu", "first page", "screen", "walk", "load", "faults", "soak", "siege", "doubts")
MARK = "<!-- {}: written by its command, change the code in this folder instead -->"


def write_part(name: str, text: str, path: Path = RESULTS) -> None:
    """Replace the part of that name; ValueError for a name that no part has."""
    if name not in PARTS:
        raise ValueError(f"there is no part {name!r}: choose one of {', '.join(PARTS)}")
    parts = read_parts(path) | {name: text.strip()}
    path.write_text("\n\n".join(f"{MARK.format(part)}\n{parts[part]}" for part in PARTS if part in parts) + "\n")


def read_parts(path: Path = RESULTS) -> dict[str, str]:
    """Return the existing parts by name."""
    if not path.exists():
        return {}
    pieces = re.split(re.escape(MARK).replace(r"\{\}", "(.*?)"), path.read_text())
    return {name: text.strip() for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}
