"""Label files in the common layouts."""

import json

import pytest

from resnet_viz.nets.labels import LIMIT, LabelsError, parse_labels


@pytest.mark.parametrize(
    "data",
    [
        b"cat\ndog\nzebra\n",
        b"\xef\xbb\xbfcat\r\n\r\n  dog \r\nzebra",
        b'["cat", "dog", "zebra"]',
        b'{"0": "cat", "1": "dog", "2": "zebra"}',
        b'{"2": ["n3", "zebra"], "0": ["n1", "cat"], "1": ["n2", "dog"]}',
        b'{"zebra": 2, "cat": 0, "dog": 1}',
    ],
)
def test_the_usual_shapes_give_the_names_in_order(data: bytes) -> None:
    assert parse_labels(data) == ("cat", "dog", "zebra")


def test_ten_classes_are_ordered_as_numbers() -> None:
    names = {str(index): f"name {index}" for index in range(12)}
    assert parse_labels(json.dumps(names).encode())[10] == "name 10"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"[]", "empty"),
        (b"{}", "empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[1, 2]", "neither a list of names"),
        (b'{"0": "cat", "2": "dog"}', "skips or repeats"),
        (b'{"0": "cat", "1": {}}', "neither a list of names"),
        (b'{"cat": 1, "dog": 1}', "skips or repeats"),
        (b'["cat",', "begins like JSON"),
        (b"[" * 100_000, "begins like JSON"),
        (b"x" * (LIMIT + 1), "has 1 MB"),
    ],
)
def test_what_holds_no_names_gets_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(LabelsError, match=sentence):
        parse_labels(data)


def test_a_name_without_end_is_cut() -> None:
    assert len(parse_labels(b"x" * 5000)[0]) == 120


@pytest.mark.parametrize("hidden", ["\\u202e", "\\u2066", "\\ud800", "\\u0000", "\\u200b", "\\u001b"])
def test_what_cannot_be_shown_is_marked(hidden: str) -> None:
    (name, _) = parse_labels(f'["cat{hidden}gpj", "dog"]'.encode())
    assert name == "cat\N{REPLACEMENT CHARACTER}gpj"
    name.encode()


def test_letters_of_every_script_stay() -> None:
    names = ("Größe 猫", "نمر", "क्‍ष", "e\u0301")
    assert parse_labels("\n".join(names).encode()) == names
