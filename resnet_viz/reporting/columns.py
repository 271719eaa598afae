"""What the columns of tables are called where people read them: measures by their symbols, everything else as it is."""

from collections.abc import Iterable

from resnet_viz.analyses.measures import MEANINGS, Meaning


def title_of(column: object) -> str:
    """Write a measure by its symbol, and what follows its name as it is: "|F| / |x| left" for "ratio_left"."""
    measure, part = _split(str(column))
    return f"{MEANINGS[measure].symbol} {part}".strip() if measure in MEANINGS else str(column).replace("_", " ")


def meaning_of(column: object) -> Meaning | None:
    """Return the meaning of a column's measure; None for a column that holds none."""
    return MEANINGS.get(_split(str(column))[0])


def meanings_of(columns: Iterable[object]) -> list[Meaning]:
    """Return the meanings of the measures in some columns, each once."""
    found = {_split(str(column))[0]: None for column in columns}
    return [MEANINGS[measure] for measure in found if measure in MEANINGS]


def _split(column: str) -> tuple[str, str]:
    if column in MEANINGS:
        return column, ""
    measure, _, part = column.rpartition("_")
    return (measure, part) if measure in MEANINGS else (column, "")
