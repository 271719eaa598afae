"""Tables of measures: each column has the measure's one name and meaning, integers are exact, blocks as in figures."""

import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

import resnet_viz as rv
from resnet_viz.figures.theme import short


def measure_table(table: pd.DataFrame, others: dict[str, ColumnConfig] | None = None) -> None:
    """Show a table with blocks as its index; a column's name may have a part after the measure's name ("ratio_left")."""
    columns = {name: column for name in table.columns if (column := _column(str(name))) is not None}
    st.dataframe(short_names(table), column_config=columns | (others or {}))


def short_names(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with blocks named as in the figures, "2.0" for layer2.0, in the index and in columns of blocks."""
    named = table.rename(index=lambda name: short(str(name)))
    for column in ("left_block", "right_block"):
        if column in named:
            named[column] = named[column].map(short)
    return named


def _column(name: str) -> ColumnConfig | None:
    measure, part = name, ""
    if name not in rv.MEANINGS:
        measure, _, part = name.rpartition("_")
    if measure not in rv.MEANINGS:
        return None
    meaning = rv.MEANINGS[measure]
    return st.column_config.NumberColumn(
        f"{meaning.symbol} {part}".strip(),
        help=f"{meaning.sentence} Unit: {meaning.unit}.",
        format="localized" if meaning.unit == "count" else "%.4g",
    )
