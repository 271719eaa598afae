"""Python code as text: the function that a call was in, read from its file or notebook cell. Nothing in it is run."""

import ast
import linecache
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path


@dataclass(frozen=True)
class Call:
    """A line that was running: its file, its function, and its number in the file.

    `first` is the function's first line, 0 if it is unknown; `run` tells apart the times that the function ran.
    """

    file: str
    function: str
    line: int
    first: int = 0
    run: str = ""

    def same_run(self, other: "Call") -> bool:
        """Whether both lines were reached in one run of one function."""
        return replace(self, line=0) == replace(other, line=0)


@dataclass(frozen=True)
class FunctionText:
    """A function's text. `name` has its module and class as far as known, `package` the version; `lines` begin at `first`."""

    name: str
    package: str
    first: int
    lines: tuple[str, ...]


class SourceMissingError(LookupError):
    """The code of a function is not at hand; the message says why."""


def read_function(call: Call) -> FunctionText:
    """Read the function that a call was in; SourceMissingError if its text is not at hand."""
    linecache.checkcache(call.file)
    text = linecache.getlines(call.file)
    if not text:
        raise SourceMissingError(
            f"the function {call.function} is in no file or notebook cell that can be read: it was typed into a Python prompt,"
            " made by exec, or its file is gone"
        )
    found = _innermost(tuple(text), call)
    if found is None:
        raise SourceMissingError(f"the file with the function {call.function} has changed since it was imported")
    name, first, end = found
    package, version = _package(call.file)
    return FunctionText(f"{package}.{name}" if package else name, version, first, tuple(text[first - 1 : end]))


def _innermost(text: tuple[str, ...], call: Call) -> tuple[str, int, int] | None:
    """The name, with its class, and the first and last line of the innermost function around a call."""
    around = [each for each in _functions(text) if each[1] <= call.line <= each[2]]
    if not around:
        return None
    name, first, end = max(around, key=lambda each: each[1])
    known = name.rpartition(".")[2] == call.function and call.first in (0, first)
    return (name, first, end) if known else None


@lru_cache(maxsize=64)
def _functions(text: tuple[str, ...]) -> tuple[tuple[str, int, int], ...]:
    """Every function of a file: its name, with the classes around it, its first line, with decorators, and its last line."""
    try:
        tree = ast.parse("".join(text))
    except (SyntaxError, ValueError):
        return ()
    found: list[tuple[str, int, int]] = []

    def visit(node: ast.AST, around: str) -> None:
        for child in ast.iter_child_nodes(node):
            inside = around
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = f"{around}{child.name}."
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([child.lineno, *(each.lineno for each in child.decorator_list)])
                found.append((inside[:-1], first, child.end_lineno or first))
            visit(child, inside)

    visit(tree, "")
    return tuple(found)


def _package(file: str) -> tuple[str, str]:
    """The dotted name of a file's module, and the name and version of its package; "" if no installed package has it."""
    path = Path(file)
    for place in sorted(filter(None, sys.path), key=len, reverse=True):
        try:
            parts = path.relative_to(place).with_suffix("").parts
        except ValueError:
            continue
        try:
            return ".".join(parts), f"{parts[0]} {metadata.version(parts[0])}"
        except metadata.PackageNotFoundError:
            break
    return "", ""
