"""The pictures that ship with the app."""

import json
from dataclasses import dataclass

from resnet_viz import assets
from resnet_viz.images import digest


@dataclass(frozen=True)
class Sample:
    """A picture that ships with the app: `label` is its class in the data set, None for a photo; `digest` its SHA-256."""

    id: str
    title: str
    label: str | None
    data: bytes
    digest: str


def read_samples() -> dict[str, Sample]:
    """The sample gallery by id, in its order."""
    found = {}
    for row in json.loads((assets.SAMPLES_FOLDER / "samples.json").read_text()):
        data = (assets.SAMPLES_FOLDER / row["file"]).read_bytes()
        found[row["id"]] = Sample(row["id"], row["title"], row["label"], data, digest(data))
    return found
