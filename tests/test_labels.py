"""Label files in the common layouts."""

import json

import numpy as np
import pytest

from resnet_viz.nets.labels import LIMIT, LabelsError, checked_labels, parse_labels, repeated


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


@pytest.mark.parametrize("labels", [["cat", "dog"], ("cat", "dog"), np.array(["cat", "dog"]), iter(["cat", "dog"])])
def test_labels_of_a_caller_are_texts_in_a_fixed_order(labels: object) -> None:
    assert checked_labels(labels) == ("cat", "dog")
    assert all(type(name) is str for name in checked_labels(["cat"]))


@pytest.mark.parametrize(
    ("labels", "kind", "sentence"),
    [
        ("abcdefghij", TypeError, "labels are texts, one per class in the order of the logits, and not a str"),
        (b"abc", TypeError, "and not a bytes"),
        (None, TypeError, "and not a NoneType"),
        ({"cat", "dog"}, TypeError, "and not a set"),
        ({0: "cat"}, TypeError, "and not a dict"),
        (3, TypeError, "and not a int"),
        ([0, 1], TypeError, "that of class 0 is 0"),
        (["cat", None], TypeError, "that of class 1 is None"),
        (["cat", ""], ValueError, "the label of class 1 is empty"),
        ([" ", "dog"], ValueError, "the label of class 0 is empty"),
    ],
)
def test_what_are_no_labels_gets_a_sentence(labels: object, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        checked_labels(labels)


def test_names_of_several_classes_are_named() -> None:
    assert repeated(("cat", "dog")) == ""
    assert repeated(("crane", "dog", "crane")).startswith("1 name belongs to several classes (crane):")
    assert "2 names belong to several classes (crane, maillot)" in repeated(("crane", "maillot", "maillot", "crane"))
    assert repeated(tuple("aabbccdd")).startswith("4 names belong to several classes (a, b, c ...)")
