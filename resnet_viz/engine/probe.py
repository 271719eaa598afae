"""Whether an engine works, tested by use: the inspection of a small image by a network that ships with the program."""

import logging
import math
import threading
import time
from collections.abc import Callable

import torch
from PIL import Image

from resnet_viz.analyses.inspection import inspect
from resnet_viz.engine.jobs import EngineError
from resnet_viz.engine.models import Models
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.zoo import DEFAULT_MODEL, list_models, load

KEPT_SECONDS = 5.0

log = logging.getLogger(__name__)


class EngineProbe:
    """Inspects a grey image with a network of the engine, outside the queue, and keeps the result for five seconds.

    The first time, it also compares the weights of every shipped network with the SHA-256 in their cards.
    """

    def __init__(self, device: torch.device, nets: Models, clock: Callable[[], float] = time.monotonic) -> None:
        self._device, self._nets, self._clock = device, nets, clock
        self._weights_checked = False
        self._until = -math.inf
        self._checking = threading.Lock()

    def check(self) -> str:
        """Return a sentence about what was done; raises EngineError with one if it fails."""
        with self._checking:
            if self._clock() >= self._until:
                self._inspect()
                self._until = self._clock() + KEPT_SECONDS
        return f"{DEFAULT_MODEL} inspects images on {self._device}."

    def _inspect(self) -> None:
        try:
            if not self._weights_checked:
                _check_weights()
                self._weights_checked = True
            net = self._nets.get(DEFAULT_MODEL, True, self._device)
            found = inspect(net, Image.new("RGB", (32, 32), (128, 128, 128)))
        except WeightsError as error:
            raise EngineError(str(error)) from error
        except Exception as error:
            # A broken device raises arbitrary errors, which may reveal much about the machine, so they are written only to the
            # log.
            log.exception("not ready")
            raise EngineError("The inspection of a small image failed: the engine's log says why.") from error
        if not math.isfinite(found.predictions[0].logit):
            raise EngineError(
                "The inspection of a small image gave numbers that are not finite. The device is defective; replace it."
            )


def _check_weights() -> None:
    for info in list_models():
        if info.source == "shipped":
            load(info.name, device="cpu")
