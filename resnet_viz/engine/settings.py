"""How much an engine may take: sizes with defaults for one machine, and the environment variables that change them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

MEGABYTE = 2**20


def _setting(default: int, variable: str, factor: int = 1) -> Any:  # noqa: ANN401 - a dataclass field takes its place
    return field(default=default, metadata={"variable": variable, "factor": factor})


@dataclass(frozen=True)
class Settings:
    """`results` and `share` are the bytes of answers kept, in all and for one session.

    `queue` jobs may wait, `models` networks are held for each device, and `batch` inspections by one network share a pass. A
    processor takes those by ImageNet's networks one at a time: it would hardly be faster, and the first would wait.
    """

    results: int = _setting(512 * MEGABYTE, "RESNET_VIZ_RESULTS_MB", MEGABYTE)
    share: int = _setting(32 * MEGABYTE, "RESNET_VIZ_SESSION_MB", MEGABYTE)
    queue: int = _setting(64, "RESNET_VIZ_QUEUE")
    models: int = _setting(4, "RESNET_VIZ_MODELS")
    batch: int = _setting(8, "RESNET_VIZ_BATCH")

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the environment; ValueError names a variable that is no whole number above 0."""
        given = {}
        for entry in fields(cls):
            text = environment.get(entry.metadata["variable"], "")
            if text and not (text.isdecimal() and int(text)):
                raise ValueError(f"{entry.metadata['variable']}={text!r} is no whole number above 0")
            if text:
                given[entry.name] = int(text) * entry.metadata["factor"]
        return cls(**given)
