"""Which files of a selection were refused, from what the upload route saw."""

from app.middleware.refused_files import MOST_FILES, RefusedFiles


def chosen(files: RefusedFiles, *names: str, refused: str = "") -> dict[str, str]:
    """Choose files whose ids are their names, of which some are refused; returns those that arrived."""
    for name in names:
        files.announce("ann", name, name)
    for name in refused.split():
        files.refuse("ann", name)
    return {name: name for name in names if name not in refused.split()}


def test_the_refused_files_of_a_selection_are_named() -> None:
    files = RefusedFiles()
    arrived = chosen(files, "a", "b", "c", "d", refused="a d")
    assert files.take("ann", arrived) == ["a", "d"]
    assert files.take("ann", arrived) == []


def test_a_file_that_was_refused_before_another_selection_does_not_count() -> None:
    files = RefusedFiles()
    chosen(files, "old", "older", refused="old")
    assert files.take("ann", chosen(files, "a", "b")) == []


def test_a_file_that_arrived_at_the_second_try_is_not_missing() -> None:
    files = RefusedFiles()
    first = chosen(files, "a", "b", refused="b")
    files.announce("ann", "b again", "b")
    assert files.take("ann", first | {"b again": "b"}) == []


def test_sessions_are_apart_and_bounded() -> None:
    files = RefusedFiles()
    arrived = chosen(files, *map(str, range(MOST_FILES + 5)), refused="0 7")
    assert files.take("bob", arrived) == []
    assert files.take("ann", arrived) == ["7"]
