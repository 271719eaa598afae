"""A store bounded in bytes, in all and for each owner, least recently used out first; for threads."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Value = TypeVar("Value")

EVERYBODY = ""


@dataclass(eq=False)
class _Entry(Generic[Value]):
    value: Value
    size: int
    owners: set[str] = field(default_factory=set)


class Store(Generic[Value]):
    """Values by key: at most `capacity` bytes in all, and at most `share` of them for one owner; `size` measures a value.

    A value goes when its last owner is forgotten or has too much else. What everybody owns has only the capacity as a limit.
    """

    def __init__(self, capacity: int, size: Callable[[Value], int], share: int | None = None) -> None:
        self._capacity, self._size = capacity, size
        self._share = capacity if share is None else share
        self._entries: OrderedDict[Hashable, _Entry[Value]] = OrderedDict()
        self._lock = threading.RLock()

    def get(self, key: Hashable, owner: str = EVERYBODY) -> Value | None:
        """Return the value, which counts as a use, and as a claim of the owner; or None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            self._claim(key, owner)
            return entry.value

    def put(self, key: Hashable, value: Value, owner: str = EVERYBODY) -> bool:
        """Keep a value, at the cost of those used longest ago; False if it is too large to be kept."""
        size = self._size(value)
        if size > (self._capacity if owner == EVERYBODY else min(self._capacity, self._share)):
            return False
        with self._lock:
            before = self._entries.pop(key, None)
            self._entries[key] = _Entry(value, size)
            for each in {owner} if before is None else {owner, *before.owners}:
                self._claim(key, each)
            while self.nbytes > self._capacity:
                self._entries.popitem(last=False)
        return True

    def forget(self, owner: str) -> None:
        """Let go of all that nobody else owns."""
        with self._lock:
            for key in [key for key, entry in self._entries.items() if owner in entry.owners]:
                self._release(key, owner)

    @property
    def nbytes(self) -> int:
        """How many bytes are kept in all."""
        with self._lock:
            return sum(entry.size for entry in self._entries.values())

    def held(self, owner: str) -> int:
        """How many bytes an owner has."""
        with self._lock:
            return sum(entry.size for entry in self._entries.values() if owner in entry.owners)

    def _claim(self, key: Hashable, owner: str) -> None:
        """Let somebody own a value, at the cost of their oldest ones; not what is larger than a share."""
        entry = self._entries[key]
        if owner == EVERYBODY or entry.size <= self._share:
            entry.owners.add(owner)
        if owner == EVERYBODY:
            return
        for oldest in list(self._entries):
            if self.held(owner) <= self._share:
                return
            if owner in self._entries[oldest].owners and oldest != key:
                self._release(oldest, owner)

    def _release(self, key: Hashable, owner: str) -> None:
        entry = self._entries[key]
        entry.owners.discard(owner)
        if not entry.owners:
            del self._entries[key]
