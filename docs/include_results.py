"""What MkDocs does to a page: the measured results are put in, a heading level lower, so that the page has one title."""

import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "benchmarks" / "RESULTS.md"
PLACE = "{{ results }}"


def on_page_markdown(markdown: str, **_: Any) -> str:  # noqa: ANN401 - what MkDocs passes besides
    """Replace the place by the file; its headings become one level lower."""
    return markdown.replace(PLACE, re.sub(r"(?m)^#", "##", RESULTS.read_text()))
