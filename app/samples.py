"""The images that ship with the app."""

import json
from dataclasses import dataclass

from resnet_viz import assets
from resnet_viz.images import digest


@dataclass(frozen=True)
class Sample:
    """An image that ships with the app; `label` is its class, None if no shipped network has it; `digest` its SHA-256."""

    id: str
    title: str
    description: str
    label: str | None
    data: bytes
    digest: str


def read_samples() -> dict[str, Sample]:
    """The sample gallery by id, in its order."""
    found = {}
    for row in json.loads((assets.SAMPLES_FOLDER / "samples.json").read_text()):
        data = (assets.SAMPLES_FOLDER / row["file"]).read_bytes()
        found[row["id"]] = Sample(row["id"], row["title"], row["description"], row["label"], data, digest(data))
    return found
