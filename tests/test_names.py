"""Names in the code: each class and type has one that no other module uses, and a lesson has one in all folders."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDERS = ("resnet_viz", "app")
# A lesson's figures and page are called like the module that computes it. These pages show what another lesson computes.
PAGES_ON_OTHER_LESSONS = {"block_code", "chain", "padding", "projection"}


def _types(path: Path) -> Iterator[str]:
    """Names of the classes and of the type aliases of a module, without its type variables."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            is_variable = isinstance(node.value, ast.Call) and ast.unparse(node.value.func).endswith("TypeVar")
            if not name.isupper() and name[0].isupper() and not is_variable:
                yield name


def test_no_two_modules_define_a_type_of_the_same_name() -> None:
    """A reader who searches for a name finds one thing."""
    found: dict[str, list[str]] = defaultdict(list)
    for folder in FOLDERS:
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            for name in _types(path):
                found[name].append(str(path.relative_to(REPOSITORY)))
    assert len(found) > 100
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_a_lesson_has_one_stem() -> None:
    """What draws or shows a lesson is called like what computes it."""
    lessons, analyses, drawn, shown = (
        {path.stem for path in (REPOSITORY / folder).glob("*.py")} - {"__init__"}
        for folder in ("resnet_viz/lessons", "resnet_viz/analyses", "resnet_viz/figures/lessons", "app/views/lessons")
    )
    # An experiment that works on any network is an analysis.
    computed = lessons | analyses
    pages = {stem for stem in shown if "LESSON = " in (REPOSITORY / f"app/views/lessons/{stem}.py").read_text()}
    assert drawn - PAGES_ON_OTHER_LESSONS <= computed
    assert pages - PAGES_ON_OTHER_LESSONS <= computed


def test_no_text_shows_the_name_of_a_value() -> None:
    """A placeholder in braces outside of an f-string would stand on the page; `format` fills the others."""
    placeholder, filled = re.compile(r"(?<!%)\{[A-Za-z_][\w.]*\}"), {"show.py", "layout.py", "report.py", "map_measures.py"}
    found = []
    for folder in FOLDERS:
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            tree = ast.parse(path.read_text())
            inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
            texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
            found += [
                f"{path.name}:{text.lineno}"
                for text in texts
                if id(text) not in inside and placeholder.search(str(text.value)) and path.name not in filled
            ]
    assert found == []
