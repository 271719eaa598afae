"""Which network of torchvision or timm a state dict belongs to, found from the names and shapes of its tensors.

A signature is a hash of all names and shapes but those of the classification layer, which most people replace. The index ships
with the program, and `python -m resnet_viz.nets.families signatures` writes it. Networks that differ only in their forward pass
have the same signature.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from resnet_viz import assets

SIGNATURES = assets.ARCHITECTURES_FOLDER / "signatures.json"
DIGITS = 12
COUNTER = "num_batches_tracked"

Shapes = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Signed:
    """The networks that a state dict may belong to, by the names that `rv.load` takes, and the module of their last layer."""

    names: tuple[str, ...]
    head: str


def find_signed(shapes: Shapes) -> Signed | None:
    """Return the networks with these names and shapes, whatever the number of classes; None where none is known."""
    names = [name for name in shapes if not name.endswith(COUNTER)]
    for head, index in _signatures().items():
        count = sum(not name.startswith(f"{head}.") for name in names)
        # Hashing thousands of names takes longer than counting them.
        if count in _counts()[head] and (found := index.get(signature(shapes, head))):
            return Signed(tuple(found), head)
    return None


def prepare_index() -> None:
    """Read the index, so that `find_signed` opens no file."""
    _counts()


def signature(shapes: Shapes, head: str) -> str:
    """Return the number of all tensors but those of a module, and but counters, with a hash of their names and shapes."""
    lines = sorted(
        f"{name} {'x'.join(map(str, shape))}"
        for name, shape in shapes.items()
        if not name.startswith(f"{head}.") and not name.endswith(COUNTER)
    )
    return f"{len(lines)}-{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()[:DIGITS]}"


def write_signatures(found: Iterable[tuple[str, str, Shapes]]) -> None:
    """Write the index of some networks, given as name, module of the last layer, and the names and shapes of the tensors."""
    index: dict[str, dict[str, list[str]]] = {}
    for name, head, shapes in found:
        index.setdefault(head, {}).setdefault(signature(shapes, head), []).append(name)
    lines = []
    for head, signatures in sorted(index.items()):
        rows = ",\n".join(f"  {json.dumps(each)}: {json.dumps(sorted(names))}" for each, names in sorted(signatures.items()))
        lines.append(f"{json.dumps(head)}: {{\n{rows}\n}}")
    SIGNATURES.write_text("{\n" + ",\n".join(lines) + "\n}\n")


@cache
def _signatures() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = json.loads(SIGNATURES.read_text())
    return found


@cache
def _counts() -> dict[str, frozenset[int]]:
    return {head: frozenset(int(key.partition("-")[0]) for key in index) for head, index in _signatures().items()}
