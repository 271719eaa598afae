"""Sessions that have been silent for long are forgotten: an app that crashes cannot end the sessions that it served."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

HOUR = 3600.0


class Silence:
    """Calls `forget` with every session that was silent for longer than `seconds`; thread-safe."""

    def __init__(
        self, forget: Callable[[str], None], seconds: float = HOUR, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._forget, self._seconds, self._clock = forget, seconds, clock
        self._heard: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def broken(self, session: str) -> None:
        """Note a sign of a session, and forget those that are silent."""
        now = self._clock()
        with self._lock:
            self._heard[session] = now
            self._heard.move_to_end(session)
            gone = [name for name, last in self._heard.items() if now - last > self._seconds]
            for name in gone:
                del self._heard[name]
        for name in gone:
            self._forget(name)
