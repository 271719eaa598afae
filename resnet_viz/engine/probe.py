"""Whether an engine can do its job, found out by doing it: the inspection of a small picture by a network that is shipped."""

import logging
import math
import threading
import time
from collections.abc import Callable

import torch
from PIL import Image

from resnet_viz.analyses.inspection import inspect
from resnet_viz.engine.jobs import EngineError
from resnet_viz.nets.net import Net
from resnet_viz.nets.zoo import DEFAULT_MODEL, load

KEPT_SECONDS = 5.0

log = logging.getLogger(__name__)


class EngineProbe:
    """Inspects a grey picture on a device, beside the queue, and goes by what it found for five seconds."""

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.monotonic) -> None:
        self._device, self._clock = device, clock
        self._net: Net | None = None
        self._until = -math.inf
        self._checking = threading.Lock()

    def check(self) -> str:
        """Return a sentence about what was done; raises EngineError with one where it cannot be done."""
        with self._checking:
            if self._clock() >= self._until:
                self._inspect()
                self._until = self._clock() + KEPT_SECONDS
        return f"{DEFAULT_MODEL} inspects pictures on {self._device}."

    def _inspect(self) -> None:
        try:
            self._net = self._net or load(DEFAULT_MODEL, device=self._device)
            found = inspect(self._net, Image.new("RGB", (32, 32), (128, 128, 128)))
        except Exception as error:
            # A broken device raises whatever it likes.
            log.exception("not ready")
            raise EngineError("The inspection of a small picture failed: the engine's log says why.") from error
        if not math.isfinite(found.predictions[0].logit):
            raise EngineError("The inspection of a small picture gave no finite number: the device is broken, replace it.")
