"""Every example in a docstring runs and gives the output below it."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

import resnet_viz
from resnet_viz.engine.local import LocalEngine
from resnet_viz.nets.net import Net

CAT = Path(__file__).parents[1] / "assets" / "samples" / "cifar-cat.jpg"


def modules() -> Iterator[ModuleType]:
    yield resnet_viz
    for found in pkgutil.walk_packages(resnet_viz.__path__, "resnet_viz."):
        if "__main__" in found.name:
            continue
        try:
            yield importlib.import_module(found.name)
        except ImportError as error:
            # The remote engine is an extra.
            if error.name != "ray":
                raise


MODULES = {module.__name__: module for module in modules()}
EXAMPLES = [each for module in MODULES.values() for each in doctest.DocTestFinder().find(module) if each.examples]


@pytest.fixture
def given(make_cifar: Callable[..., Net], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names that examples may use: an engine, a network, an image, its bytes, and a file of it to open."""
    (tmp_path / "cat.jpg").write_bytes(CAT.read_bytes())
    monkeypatch.chdir(tmp_path)
    with closing(LocalEngine(devices=["cpu"])) as engine:
        yield {"engine": engine, "net": make_cifar("A"), "image": Image.open(CAT), "data": CAT.read_bytes()}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_gives_what_stands_under_it(example: doctest.DocTest, given: dict[str, Any]) -> None:
    example.globs.update(given)
    report: list[str] = []
    failed, tried = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=report.append)
    assert tried > 0
    assert failed == 0, "".join(report)


def test_there_are_the_examples_that_a_newcomer_looks_for() -> None:
    assert {"resnet_viz", "resnet_viz.engine.jobs", "resnet_viz.analyses.capture"} <= {example.name for example in EXAMPLES}


@pytest.mark.parametrize("name", MODULES)
def test_code_in_a_docstring_is_written_as_an_example_that_runs(name: str) -> None:
    module = MODULES[name]
    members = inspect.getmembers(module, lambda each: inspect.isfunction(each) or inspect.isclass(each))
    documented = [module, *(each for _, each in members if each.__module__ == name)]
    for each in documented:
        for block in re.findall(r"(?:^ {4,}\S.*\n?)+", inspect.getdoc(each) or "", re.MULTILINE):
            assert not is_code(textwrap.dedent(block)), f"{name}: write it with >>>, so that it is run:\n{block}"


def is_code(text: str) -> bool:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return False
    return any(isinstance(node, ast.Call | ast.Assign | ast.With) for node in ast.walk(tree))


def test_code_is_told_from_prose_and_diagrams() -> None:
    assert is_code("net = rv.load()\nrv.inspect(net)")
    assert not is_code(">>> net = rv.load()")
    assert not is_code("identity    x, a block's input")
    assert not is_code("x -> fork -> shortcut")
