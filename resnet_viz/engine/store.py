"""A store bounded in bytes, in all and for each owner, least recently used out first; for threads.

Totals are kept along, and each owner's keys in the order of their use: nothing looks at all that is held.
"""

import threading
from collections import Counter, OrderedDict
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
        self._keys: dict[str, OrderedDict[Hashable, None]] = {}
        self._total, self._totals = 0, Counter[str]()
        self._lock = threading.RLock()

    def get(self, key: Hashable, owner: str = EVERYBODY) -> Value | None:
        """Return the value, which counts as a use, and as a claim of the owner; or None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            for each in entry.owners:
                self._keys[each].move_to_end(key)
            self._claim(key, owner)
            return entry.value

    def put(self, key: Hashable, value: Value, owner: str = EVERYBODY) -> bool:
        """Keep a value, at the cost of those used longest ago; False if it is too large to be kept."""
        size = self._size(value)
        if size > (self._capacity if owner == EVERYBODY else min(self._capacity, self._share)):
            return False
        with self._lock:
            before = self._entries.get(key)
            owners = {owner} if before is None else {owner, *before.owners}
            self._remove(key)
            self._entries[key] = _Entry(value, size)
            self._total += size
            for each in owners:
                self._claim(key, each)
            while self._total > self._capacity:
                self._remove(next(iter(self._entries)))
        return True

    def forget(self, owner: str) -> None:
        """Let go of all that nobody else owns."""
        with self._lock:
            for key in list(self._keys.get(owner, ())):
                self._release(key, owner)

    @property
    def nbytes(self) -> int:
        """How many bytes are kept in all."""
        return self._total

    def held(self, owner: str) -> int:
        """How many bytes an owner has."""
        return self._totals[owner]

    def _claim(self, key: Hashable, owner: str) -> None:
        """Let somebody own a value, at the cost of their oldest ones; not what is larger than a share."""
        entry = self._entries[key]
        if owner not in entry.owners and (owner == EVERYBODY or entry.size <= self._share):
            entry.owners.add(owner)
            self._keys.setdefault(owner, OrderedDict())[key] = None
            self._totals[owner] += entry.size
        while owner != EVERYBODY and self._totals[owner] > self._share:
            self._release(next(iter(self._keys[owner])), owner)

    def _release(self, key: Hashable, owner: str) -> None:
        self._disown(key, owner)
        if not self._entries[key].owners:
            self._remove(key)

    def _remove(self, key: Hashable) -> None:
        entry = self._entries.get(key)
        if entry is not None:
            for owner in list(entry.owners):
                self._disown(key, owner)
            del self._entries[key]
            self._total -= entry.size

    def _disown(self, key: Hashable, owner: str) -> None:
        entry, keys = self._entries[key], self._keys[owner]
        entry.owners.discard(owner)
        del keys[key]
        self._totals[owner] -= entry.size
        if not keys:
            del self._keys[owner], self._totals[owner]
