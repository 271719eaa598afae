"""Class names: those of a file, one per line or JSON in the common layouts, and those that a caller gives."""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from resnet_viz.counting import counted

LIMIT = 2**20
LONGEST = 120
# Control characters and direction marks, surrogates, unassigned code points. Some scripts need joiners.
HIDDEN, JOINERS, MARK = ("Cc", "Cf", "Cs", "Cn", "Co"), "\n\t\u200c\u200d", "\N{REPLACEMENT CHARACTER}"


class LabelsError(ValueError):
    """An invalid label file; the message is for the user."""


def parse_labels(data: bytes) -> tuple[str, ...]:
    """Return the class names in order of their index; LabelsError for an invalid file.

    Text has one name per line. JSON is a list of names, or an object from index to name or to [synset, name] like ImageNet's
    index file, or from name to index like torchvision's `class_to_idx`.
    """
    if len(data) > LIMIT:
        raise LabelsError(f"The label file has {len(data) / 2**20:.0f} MB. Use one of at most 1 MB, with one name per line.")
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise LabelsError("The label file is not UTF-8 text. Save it as text with one name per line, or as JSON.") from error
    names = _from_json(text) if text[:1] in ("[", "{") else [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise LabelsError("The label file is empty. Write one name per line, or a JSON list of names.")
    return tuple(visible(name[:LONGEST]) for name in names)


def checked_labels(labels: object) -> tuple[str, ...]:
    """Return class names as a tuple; TypeError for anything but texts in a fixed order, ValueError for an empty name."""
    if isinstance(labels, str | bytes | Mapping | AbstractSet) or not isinstance(labels, Iterable):
        raise TypeError(
            f"labels are texts, one per class in the order of the logits, and not a {type(labels).__name__}:"
            ' labels=["cat", "dog"]'
        )
    names = tuple(labels)
    for index, name in enumerate(names):
        if not isinstance(name, str):
            raise TypeError(f'labels are texts, and that of class {index} is {name!r}: labels=["cat", "dog"]')
        if not name.strip():
            raise ValueError(f"the label of class {index} is empty. Give every class a name; its index will do.")
    return tuple(map(str, names))


def repeated(labels: Sequence[str]) -> str:
    """Return a sentence about names that several classes have, "" if there are none: label lists of ImageNet have a few."""
    names = [name for name, count in Counter(labels).items() if count > 1]
    if not names:
        return ""
    shown = ", ".join(map(visible, names[:3])) + (" ..." if len(names) > 3 else "")
    return f"{counted(len(names), 'name belongs', 'names belong')} to several classes ({shown}): choose these by their index"


def visible(text: str) -> str:
    """Replace characters that cannot be shown, or that change the direction of writing: text comes from outside."""
    if text.isprintable():
        return text
    return "".join(MARK if unicodedata.category(letter) in HIDDEN and letter not in JOINERS else letter for letter in text)


def _from_json(text: str) -> list[str]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LabelsError(
            "The label file begins like JSON but is not valid JSON. Correct it, or write one name per line."
        ) from error
    names = [_name(value) for value in _in_order(content)]
    if all(names):
        return [name for name in names if name]
    raise LabelsError('The label file\'s JSON is neither a list of names nor an object such as {"0": "cat", "1": "dog"}.')


def _in_order(content: Any) -> list[Any]:  # noqa: ANN401 - whatever JSON holds
    if isinstance(content, list):
        return content
    numbers = [content[name] for name in content]
    by_index = content if not all(isinstance(n, int) for n in numbers) else {n: name for name, n in content.items()}
    if sorted(map(str, by_index)) != sorted(map(str, range(len(by_index)))):
        raise LabelsError("The label file's JSON skips or repeats a class index. Number the classes from 0 without gaps.")
    return [value for _, value in sorted(by_index.items(), key=lambda item: int(item[0]))]


def _name(value: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, list) and value:
        value = value[-1]
    return value.strip() if isinstance(value, str) else ""
