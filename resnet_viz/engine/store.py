"""A store with limits in bytes, in total and per owner; the least recently used value is removed first; thread-safe.

Totals are updated with each change, and each owner's keys are kept in the order of their use, so that no operation scans all
entries.
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
    """Values by key: at most `capacity` bytes in total, and at most `share` of them for one owner; `size` measures a value.

    A value is removed when its last owner is forgotten or holds too much else. Public values are limited by the capacity only.
    """

    def __init__(self, capacity: int, size: Callable[[Value], int], share: int | None = None) -> None:
        self._capacity, self._size = capacity, size
        self._share = capacity if share is None else share
        self._entries: OrderedDict[Hashable, _Entry[Value]] = OrderedDict()
        self._keys: dict[str, OrderedDict[Hashable, None]] = {}
        self._total, self._totals = 0, Counter[str]()
        self._lock = threading.RLock()

    def get(self, key: Hashable, owner: str = EVERYBODY) -> Value | None:
        """Return the value, or None; this counts as a use, and makes the owner one of its owners."""
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
        """Keep a value, and remove the least recently used ones for it; False if it is too large to be kept."""
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
        """Release everything that has no other owner."""
        with self._lock:
            for key in list(self._keys.get(owner, ())):
                self._release(key, owner)

    @property
    def nbytes(self) -> int:
        """How many bytes are kept in total."""
        return self._total

    def held(self, owner: str) -> int:
        """How many bytes an owner holds."""
        return self._totals[owner]

    def _claim(self, key: Hashable, owner: str) -> None:
        """Make somebody an owner, and release their oldest values for it; not for values larger than a share."""
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
