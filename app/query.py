"""The parameters of the URL as a link brings them: written by anybody, so checked before a page reads them."""

import unicodedata

import streamlit as st

# The longest value that a page writes itself is a list of every attribution method.
LONGEST = 400
MOST_DIGITS = 9
SHOWN = 60


def value(name: str) -> str | None:
    """Return a parameter; None where the URL has none, or one that no page writes: very long, or with invisible characters."""
    text = st.query_params.get(name)
    return text if text is not None and is_plausible(text) else None


def is_plausible(text: str) -> bool:
    """Whether a page could have written this value: short, without control characters, surrogates and direction marks."""
    return len(text) <= LONGEST and not any(unicodedata.category(letter).startswith("C") for letter in text)


def whole_number(text: str) -> int | None:
    """Read an index that a page wrote; None for anything else, thousands of digits included."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else None


def shortened(text: str) -> str:
    """Return as much of a value as a sentence can quote."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
