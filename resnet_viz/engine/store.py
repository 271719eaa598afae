"""A store bounded in bytes, least recently used out first, for threads."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache

Value = TypeVar("Value")


class Store(Generic[Value]):
    """Values by key, at most `capacity` bytes of them in all; `size` measures one."""

    def __init__(self, capacity: int, size: Callable[[Value], int]) -> None:
        self._values: LRUCache[Hashable, Value] = LRUCache(capacity, getsizeof=size)
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Value | None:
        """Return the value, which counts as a use, or None."""
        with self._lock:
            return self._values.get(key)

    def put(self, key: Hashable, value: Value) -> bool:
        """Keep a value, at the cost of those used longest ago; False if it is larger than the whole store."""
        with self._lock:
            try:
                self._values[key] = value
            except ValueError:
                return False
            return True
