"""The parameters of the URL: anybody can write a link, so each is checked before a page reads it."""

import unicodedata

import streamlit as st

# The longest value that a page writes is a list of every attribution method.
LONGEST = 400
MOST_DIGITS = 9
SHOWN = 60


def value(name: str) -> str | None:
    """Return a parameter; None if the URL has none, or one that no page writes: very long, or with invisible characters."""
    text = st.query_params.get(name)
    return text if text is not None and is_plausible(text) else None


def is_plausible(text: str) -> bool:
    """Whether a page could have written this value: short, without control characters, surrogates and direction marks."""
    return len(text) <= LONGEST and not any(unicodedata.category(letter).startswith("C") for letter in text)


def whole_number(text: str) -> int | None:
    """Read an index that a page wrote; None for anything else, including thousands of digits."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS else None


def shortened(text: str) -> str:
    """Return the part of a value that a sentence can quote."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
