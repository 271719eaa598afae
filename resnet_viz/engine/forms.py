"""How a value of an annotated type is sent: `lay` converts it to plain JSON, `take` converts it back.

Both check the value against the annotation, and raise WireError if it does not match. Arrays are stored separately and
referenced by a number. Only the types that jobs and results consist of are supported.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Numbers = NDArray[Any]
Arrays = dict[str, Numbers]
Value = TypeVar("Value")


class WireError(ValueError):
    """A message that does not have the expected form; its own message is for the user."""


class Form(Protocol):
    """How one type is sent."""

    def lay(self, value: Any, arrays: Arrays) -> Any:  # noqa: ANN401 - checked by each form
        """Convert a value to JSON."""

    def take(self, tree: Any, arrays: Arrays) -> Any:  # noqa: ANN401 - checked by each form
        """Convert JSON to a value."""


@cache
def form(hint: Any) -> Form:  # noqa: ANN401, PLR0911 - any annotation, a line a form
    """Return the form of an annotation; TypeError if it has none."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _OneOf(tuple(map(form, arguments)))
    if origin is tuple:
        endless = arguments[-1] is Ellipsis
        return _Row(form(arguments[0])) if endless else _Record(tuple, tuple(map(form, arguments)))
    if origin is np.ndarray:
        return _Array(np.dtype(get_args(arguments[1])[0]))
    if origin is Literal:
        return _Plain(frozenset(map(type, arguments)), frozenset(arguments))
    if origin is dict and arguments[0] is str:
        return _Mapping(form(arguments[1]))
    if isinstance(hint, type) and (is_dataclass(hint) or hasattr(hint, "_fields")):
        return _fields(hint)
    if hint not in _SIMPLE:
        raise TypeError(f"{hint} has no form on the wire: add one, or build results from types that have one")
    return _SIMPLE[hint]


@dataclass(frozen=True)
class _Plain:
    """A type that JSON has itself: one of some types, and possibly one of some values."""

    types: frozenset[type]
    values: frozenset[Any] = frozenset()

    def lay(self, value: Any, _: Arrays) -> Any:  # noqa: ANN401 - checked here
        if type(value) not in self.types or (self.values and value not in self.values):
            raise _misfit(value, self)
        return value

    take = lay


@dataclass(frozen=True)
class _OneOf:
    """The first of several forms that fits."""

    forms: tuple[Form, ...]

    def lay(self, value: Any, arrays: Arrays) -> Any:  # noqa: ANN401 - checked by the forms
        return self._first("lay", value, arrays)

    def take(self, tree: Any, arrays: Arrays) -> Any:  # noqa: ANN401 - checked by the forms
        return self._first("take", tree, arrays)

    def _first(self, way: Literal["lay", "take"], value: Any, arrays: Arrays) -> Any:  # noqa: ANN401 - checked by the forms
        for each in self.forms:
            try:
                return each.lay(value, arrays) if way == "lay" else each.take(value, arrays)
            except WireError:
                continue
        raise _misfit(value, self)


@dataclass(frozen=True)
class _Row:
    """A tuple of any length with entries of one form."""

    entry: Form

    def lay(self, value: Any, arrays: Arrays) -> list[Any]:  # noqa: ANN401 - checked here
        return [self.entry.lay(each, arrays) for each in _a(tuple, value)]

    def take(self, tree: Any, arrays: Arrays) -> tuple[Any, ...]:  # noqa: ANN401 - checked here
        return tuple(self.entry.take(each, arrays) for each in _a(list, tree))


@dataclass(frozen=True)
class _Record:
    """A tuple, named tuple or dataclass: a list of its fields, in their order."""

    made: type
    forms: tuple[Form, ...]
    names: tuple[str, ...] = ()

    def lay(self, value: Any, arrays: Arrays) -> list[Any]:  # noqa: ANN401 - checked here
        held: Any = _a(self.made, value)
        entries = [getattr(held, name) for name in self.names] if self.names else held
        return [each.lay(entry, arrays) for each, entry in self._beside(entries)]

    def take(self, tree: Any, arrays: Arrays) -> Any:  # noqa: ANN401 - checked here
        entries = [each.take(entry, arrays) for each, entry in self._beside(_a(list, tree))]
        return self.made(*entries) if self.names else tuple(entries)

    def _beside(self, entries: Any) -> Iterable[tuple[Form, Any]]:  # noqa: ANN401 - a list or tuple
        if len(entries) != len(self.forms):
            raise _misfit(entries, self)
        return zip(self.forms, entries, strict=True)


@dataclass(frozen=True)
class _Mapping:
    """A dict from texts to values of one form."""

    entry: Form

    def lay(self, value: Any, arrays: Arrays) -> dict[str, Any]:  # noqa: ANN401 - checked here
        return {_a(str, name): self.entry.lay(each, arrays) for name, each in _a(dict, value).items()}

    def take(self, tree: Any, arrays: Arrays) -> dict[str, Any]:  # noqa: ANN401 - checked here
        return {name: self.entry.take(each, arrays) for name, each in _a(dict, tree).items()}


@dataclass(frozen=True)
class _Array:
    """An array of one number type, of any shape."""

    dtype: np.dtype[Any]

    def lay(self, value: Any, arrays: Arrays) -> str:  # noqa: ANN401 - checked here
        if _a(np.ndarray, value).dtype != self.dtype:
            raise _misfit(value, self)
        return _aside(value, arrays)

    def take(self, tree: Any, arrays: Arrays) -> Numbers:  # noqa: ANN401 - checked here
        values = arrays[_a(str, tree)]
        if values.dtype != self.dtype:
            raise _misfit(values, self)
        return values


@dataclass(frozen=True)
class _Bytes:
    """Bytes, as an array of them."""

    def lay(self, value: Any, arrays: Arrays) -> str:  # noqa: ANN401 - checked here
        return _aside(np.frombuffer(_a(bytes, value), np.uint8), arrays)

    def take(self, tree: Any, arrays: Arrays) -> bytes:  # noqa: ANN401 - checked here
        return _BYTES.take(tree, arrays).tobytes()


@dataclass(frozen=True)
class _Table:
    """A table with numbered rows: its columns, of numbers as an array and of texts as a list."""

    def lay(self, value: Any, arrays: Arrays) -> list[Any]:  # noqa: ANN401 - checked here
        if not _a(pd.DataFrame, value).index.equals(pd.RangeIndex(len(value))):
            raise _misfit(value, self)
        return [[name, self._column(column, arrays)] for name, column in value.items()]

    def take(self, tree: Any, arrays: Arrays) -> pd.DataFrame:  # noqa: ANN401 - checked here
        columns = dict(self._named(each, arrays) for each in _a(list, tree))
        return pd.DataFrame(columns)

    def _column(self, column: "pd.Series[Any]", arrays: Arrays) -> Any:  # noqa: ANN401 - a name or a list
        return _aside(column.to_numpy(), arrays) if column.dtype.kind in "fi" else _TEXTS.lay(tuple(column), arrays)

    def _named(self, pair: Any, arrays: Arrays) -> tuple[str, Any]:  # noqa: ANN401 - checked here
        name, column = _a(list, pair)
        return _a(str, name), arrays[column] if isinstance(column, str) else _TEXTS.take(column, arrays)


def _fields(hint: type) -> _Record:
    """The form of a dataclass or named tuple, from its annotations."""
    hints = get_type_hints(hint)
    names = tuple(each.name for each in fields(hint)) if is_dataclass(hint) else tuple(getattr(hint, "_fields", ()))
    return _Record(hint, tuple(form(hints[name]) for name in names), names)


def _aside(values: Numbers, arrays: Arrays) -> str:
    name = str(len(arrays))
    arrays[name] = np.asarray(values, order="C")
    return name


def _a(wanted: type[Value], value: object) -> Value:
    """The value, which must be of exactly this type."""
    if type(value) is not wanted:
        raise _misfit(value, wanted)
    return value


def _misfit(value: object, wanted: object) -> WireError:
    return WireError(
        f"The message contains a {type(value).__name__} where {wanted} was expected. The app and the engine must run the "
        f"same version."
    )


_BYTES = _Array(np.dtype(np.uint8))
_TEXTS = _Row(_Plain(frozenset({str})))
_SIMPLE: dict[Any, Form] = {
    str: _Plain(frozenset({str})),
    int: _Plain(frozenset({int})),
    float: _Plain(frozenset({float, int})),
    bool: _Plain(frozenset({bool})),
    NoneType: _Plain(frozenset({NoneType})),
    # The types of an option.
    Any: _Plain(frozenset({str, int, float, bool, NoneType})),
    bytes: _Bytes(),
    pd.DataFrame: _Table(),
}
