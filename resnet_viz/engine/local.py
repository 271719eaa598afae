"""The local engine: inspections on this machine's device, each computed once and kept while there is room."""

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from PIL import Image

from resnet_viz.analyses.capture import OnBlock
from resnet_viz.analyses.inspection import Inspection, inspect
from resnet_viz.engine.store import Store
from resnet_viz.nets.net import Net


class HasSize(Protocol):
    """A result that knows its memory."""

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""


Answer = TypeVar("Answer", bound=HasSize)

DEFAULT_CAPACITY = 512 * 2**20


@dataclass(frozen=True)
class InspectionRequest:
    """What tells one inspection from another: the image by the SHA-256 of its bytes, the target by index or None."""

    digest: str
    target: int | None = None


class LocalEngine:
    """Runs inspections in the caller's thread; whoever asks for the same thing meanwhile waits for that one result."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self._store: Store[HasSize] = Store(capacity, lambda result: result.nbytes)
        self._capacity = capacity
        self._running: set[Hashable] = set()
        self._finished = threading.Condition()

    def inspect(
        self,
        net: Net,
        request: InspectionRequest,
        image: Callable[[], Image.Image],
        block: str | None = None,
        on_block: OnBlock | None = None,
    ) -> Inspection:
        """Return all scalars and Grad-CAMs, and the maps of one block: `block`, or the one that changes its input most.

        `image` is called only when something has to be computed. What `on_block` raises cancels, and nothing is kept.
        """
        key = (*_identity(net), request)
        with self._turn(key):
            kept = self._store.get(key)
            if not isinstance(kept, Inspection) or _missing(kept, block):
                kept = inspect(net, image(), request.target, on_block=on_block)
                self._keep(key, kept, block)
        return kept.keeping(_shown(kept, block))

    def once(self, net: Net, request: Hashable, compute: Callable[[], Answer]) -> Answer:
        """Return the answer to a request about a network, which tells everything that decides it; kept while there is room.

        What `compute` raises reaches the caller alone, and whoever waited computes it themselves.
        """
        key = (*_identity(net), request)
        with self._turn(key):
            kept = self._store.get(key)
            if kept is None:
                kept = compute()
                self._store.put(key, kept)
        return kept  # type: ignore[return-value]  # a request has answers of one type

    def _keep(self, key: Hashable, result: Inspection, block: str | None) -> None:
        # One result may not push out everybody else's.
        small = result if result.nbytes <= self._capacity // 4 else result.keeping(_shown(result, block))
        self._store.put(key, small)

    @contextmanager
    def _turn(self, key: Hashable) -> Iterator[None]:
        with self._finished:
            self._finished.wait_for(lambda: key not in self._running)
            self._running.add(key)
        try:
            yield
        finally:
            with self._finished:
                self._running.remove(key)
                self._finished.notify_all()


def _identity(net: Net) -> tuple[Hashable, ...]:
    """Return what decides a network's answers: checkpoints of one file may differ in their settings."""
    return (net.name, net.weights, net.labels, net.preprocessing, str(net.device))


def _missing(result: Inspection, block: str | None) -> bool:
    return result.block(_shown(result, block)).maps is None


def _shown(result: Inspection, block: str | None) -> str:
    return block if block in {inspected.name for inspected in result.blocks} else result.most_changed()
