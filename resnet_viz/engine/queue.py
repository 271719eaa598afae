"""A queue that is fair between sessions: they take turns, however many jobs each of them has."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Items in the order of their sessions' turns; an item that several sessions wait for has the best of their positions.

    Not thread-safe by itself.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Item]] = OrderedDict()

    def __len__(self) -> int:
        """How many items wait."""
        return len(self.items())

    def put(self, session: str, item: Item) -> None:
        """Let an item wait for a session's turn."""
        self._waiting.setdefault(session, deque()).append(item)

    def take(self) -> Item | None:
        """Take the first item of the session that has the turn, and move the session to the end; None when empty."""
        if not self._waiting:
            return None
        session, items = next(iter(self._waiting.items()))
        item = items[0]
        self._waiting.move_to_end(session)
        self.remove(item)
        return item

    def take_along(self, item: Item) -> None:
        """Take an item before its turn; it uses up the turn of the sessions that it was next for."""
        for session in [name for name, items in self._waiting.items() if items[0] is item]:
            self._waiting.move_to_end(session)
        self.remove(item)

    def remove(self, item: Item, session: str | None = None) -> None:
        """Remove an item, for one session or for all of them."""
        for name in [session] if session is not None else list(self._waiting):
            left = deque(other for other in self._waiting.get(name, ()) if other is not item)
            if left:
                self._waiting[name] = left
            else:
                self._waiting.pop(name, None)

    def items(self) -> list[Item]:
        """Every item once, in the order in which they will be taken."""
        found: dict[int, Item] = {}
        longest = max((len(items) for items in self._waiting.values()), default=0)
        for turn in range(longest):
            for items in self._waiting.values():
                if turn < len(items):
                    found.setdefault(id(items[turn]), items[turn])
        return list(found.values())
