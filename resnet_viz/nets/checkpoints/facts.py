"""What a checkpoint states about itself: plain values beside the tensors, which were not checked."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from resnet_viz.nets.checkpoints.contents import CONTAINERS, is_module, joined
from resnet_viz.nets.checkpoints.errors import printable
from resnet_viz.nets.checkpoints.numpy_values import array_tensor, scalar_value
from resnet_viz.nets.checkpoints.tensors import StoredTensor
from resnet_viz.nets.checkpoints.values import StandIn

MOST_FACTS = 200
MOST_NAMES = 30_000
MOST_VISITS = 20_000
LONGEST_VALUE = 200
DEEPEST = 4

CLASS_NAMES = (
    "classes",
    "class_names",
    "classnames",
    "labels",
    "categories",
    "class_to_idx",
    "idx_to_class",
    "id2label",
    "label2id",
)
ARCHITECTURE = ("arch", "architecture", "model_name", "backbone", "net_type", "model_type", "_class")
# "best_acc1", "val_accuracy", "test_top1", "prec@1": how often the best class is right, and not one of five.
ACCURACY = re.compile(
    r"(?:(?:best|test|val|valid|validation|eval|final|max)[_/-]?)*(?:acc(?:uracy)?[@_]?1?|prec[@_]?1|top[@_-]?1)(?:[_-]?acc)?",
    re.IGNORECASE,
)
# Histories and states of other objects, in which single numbers say nothing about the network.
UNINTERESTING = ("optimizer", "optim", "scheduler", "sched", "scaler", "callbacks", "loops", "rng", "history", "log")

FactValue = str | bool | int | float | None


@dataclass(frozen=True)
class Facts:
    """What the file says: plain values by their path in it, and those among them that concern the network.

    None and empty where the file does not say it. `mean` and `std` are the three channels' on any scale. `accuracy` is a share,
    0 to 1, with the name under which the file states it.
    """

    values: Mapping[str, FactValue]
    class_names: tuple[str, ...] = ()
    architecture: str | None = None
    epoch: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    accuracy: tuple[str, float] | None = None


def find_facts(content: object) -> Facts:
    """Go through the plain values of a checkpoint, a bounded number of them, those that stand outermost first."""
    values: dict[str, FactValue] = {}
    names: tuple[str, ...] = ()
    numbers: dict[str, tuple[float, ...]] = {}
    for path, value in _walk(content):
        key = path.rpartition(".")[2].lower()
        if isinstance(value, (dict, list, tuple)):
            if not names and key in CLASS_NAMES:
                names = _class_names(value)
            if key in ("mean", "std") and key not in numbers and (found := _three(value)):
                numbers[key] = found
            continue
        plain = _plain(value)
        if plain is not None and len(values) < MOST_FACTS:
            values.setdefault(printable(path), plain)
    return Facts(
        values,
        names,
        next((text for text in (_last(values, key) for key in ARCHITECTURE) if isinstance(text, str)), None),
        next((number for number in (_last(values, key) for key in ("epoch", "epochs")) if type(number) is int), None),
        numbers.get("mean"),
        numbers.get("std"),
        next(filter(None, (_accuracy(path, value) for path, value in values.items())), None),
    )


def _walk(content: object) -> Iterator[tuple[str, object]]:
    """Yield what stands in dicts and attributes with its path, level by level, leaving modules and tensors out."""
    level: list[tuple[str, object]] = [("", content)]
    seen: set[int] = set()
    visits = 0
    for _ in range(DEEPEST):
        inner: list[tuple[str, object]] = []
        for path, value in level:
            if id(value) in seen:
                continue
            seen.add(id(value))
            for name, item in _named(value):
                visits += 1
                if visits > MOST_VISITS:
                    return
                place = joined(path, name)
                if isinstance(item, StoredTensor):
                    # Training code keeps the best accuracy as a tensor of one number; the network's own are not read.
                    if ACCURACY.fullmatch(name) and _is_number(item):
                        yield place, float(item.values())
                    continue
                yield place, _array(item)
                if isinstance(item, (dict, StandIn)) and not name.lower().startswith(UNINTERESTING):
                    inner.append((place, item))
        level = inner


def _named(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, StandIn):
        attributes = value.attributes or {}
        if is_module(value):
            yield "_class", value.name
        yield from (pair for pair in attributes.items() if not is_module(value) or not isinstance(pair[1], CONTAINERS))
        yield from (value.entries or {}).items()


def _array(value: object) -> object:
    """Return a small array's numbers, and anything else as it is."""
    tensor = array_tensor(value) if isinstance(value, StandIn) else None
    if tensor is None or tensor.count > 16 or tensor.problem or tensor.type.name.startswith("complex"):
        return value
    return tensor.values().flatten().tolist()


def _is_number(tensor: StoredTensor) -> bool:
    return tensor.count == 1 and not tensor.problem and not tensor.type.name.startswith("complex")


def _accuracy(path: str, value: FactValue) -> tuple[str, float] | None:
    """Return an accuracy with its path, as a share: files hold percent as well."""
    if not ACCURACY.fullmatch(path.rpartition(".")[2]) or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 < value <= 100:
        return None
    return path, float(value if value <= 1 else value / 100)


def _plain(value: object) -> FactValue:
    if isinstance(value, StandIn):
        value = scalar_value(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return printable(value[:LONGEST_VALUE])
    if isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    return None


def _last(values: Mapping[str, FactValue], key: str) -> FactValue:
    """Return the outermost value whose path ends with the key."""
    return next((value for path, value in values.items() if path.rpartition(".")[2] == key), None)


def _class_names(value: object) -> tuple[str, ...]:
    """Return names in order of their index, from a list, or a dict from index to name or from name to index."""
    if isinstance(value, (list, tuple)):
        names = list(value) if len(value) <= MOST_NAMES else []
    elif isinstance(value, dict) and len(value) <= MOST_NAMES:
        by_name = all(type(index) is int for index in value.values())
        pairs = {str(index): name for name, index in value.items()} if by_name else value
        names = [pairs.get(str(index)) for index in range(len(value))]
    else:
        names = []
    found = tuple(printable(name[:LONGEST_VALUE]) for name in names if isinstance(name, str))
    return found if len(found) == len(names) else ()


def _three(value: object) -> tuple[float, ...]:
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        return ()
    numbers = tuple(float(item) for item in value if isinstance(item, (int, float)) and abs(item) < 2**53)
    return numbers if len(numbers) == 3 and all(map(math.isfinite, numbers)) else ()
