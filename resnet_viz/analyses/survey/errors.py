"""The errors for images, archives and files that a survey cannot use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


class SurveyError(ValueError):
    """Images, an archive or a survey file cannot be used; the message says what happened, why, and what to do next."""


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an error of the operating system into a SurveyError that names what could not be written."""
    try:
        yield
    except OSError as error:
        raise SurveyError(
            f"{os.fspath(path)} could not be written: {reason(error)}. Check that its folder exists, that you may write there"
            " and that the disk has room, or choose another place."
        ) from error


def reason(error: OSError) -> str:
    """What the operating system says, without its number."""
    return error.strerror or type(error).__name__


def with_article(value: object) -> str:
    """The type of a value in words: "an int", "an ndarray", "a list"; None is itself."""
    name = type(value).__name__
    vowel = name[0].lower() in "aeiou" or name.startswith("nd")
    return "None" if value is None else f"{'an' if vowel else 'a'} {name}"
