"""What is known about a network before it is built: its blocks, parts and costs, in files that ship with the program."""

import json
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

from resnet_viz import assets
from resnet_viz.nets.architecture import Part

RESNETS = assets.ARCHITECTURES_FOLDER / "resnets.json"
TORCHVISION = assets.ARCHITECTURES_FOLDER / "torchvision.json"


@dataclass(frozen=True)
class Record:
    """The structure of a network for an image of its input size.

    `depth` counts the layers with weights, including those of shortcuts; `centred` says whether its strided layers are centred
    (see `cell_centres`); `shortcuts` lists the kinds of its shortcuts.
    """

    depth: int
    centred: bool
    parts: tuple[Part, ...]

    @property
    def blocks(self) -> tuple[str, ...]:
        """The names of the blocks, first to last."""
        return tuple(part.name for part in self.parts if part.stage is not None)

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""
        return sum(part.parameters for part in self.parts)

    @property
    def shortcuts(self) -> str:
        """The kinds of the shortcuts of its blocks, in words."""
        kinds = {part.shortcut for part in self.parts if part.shortcut}
        return ", ".join(sorted(kinds - {"identity"})) or "identity"


@cache
def resnet_records() -> dict[str, Record]:
    """The records of the networks that this project trains and of torchvision's ResNets, by name."""
    return read_records(RESNETS)


@cache
def torchvision_records() -> dict[str, Record]:
    """The records of torchvision's residual networks other than the ResNets, by name."""
    return read_records(TORCHVISION)


def record(name: str) -> Record | None:
    """Return the record of a network, or None if there is none."""
    return resnet_records().get(name) or torchvision_records().get(name)


def read_records(path: Path) -> dict[str, Record]:
    """Read a file that `write_records` wrote."""
    content = json.loads(path.read_text())
    return {
        name: Record(entry["depth"], entry["centred"], tuple(map(_part, entry["parts"]))) for name, entry in content.items()
    }


def write_records(path: Path, records: dict[str, Record]) -> None:
    """Write one record per line, so that a diff shows which network changed."""
    lines = (f"{json.dumps(name)}: {json.dumps(_entry(record), separators=(',', ':'))}" for name, record in records.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _entry(record: Record) -> dict[str, object]:
    return {"depth": record.depth, "centred": record.centred, "parts": [astuple(part) for part in record.parts]}


def _part(values: list[object]) -> Part:
    name, stage, shortcut, given, output, *rest = values
    return Part(name, stage, shortcut, tuple(given), tuple(output), *rest)  # type: ignore[arg-type]  # as they were written
