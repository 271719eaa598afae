"""Which files of a selection did not arrive: Streamlit tells a page only about those that did."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.middleware.file_names import safe_name

MOST_SESSIONS, MOST_FILES = 1000, 2000


@dataclass(eq=False)
class _Sent:
    """A file that a browser sends, or wants to send."""

    id: str
    name: str
    was_refused: bool = False


class RefusedFiles:
    """The latest files that each session wanted to send, in their order; thread-safe."""

    def __init__(self) -> None:
        self._sent: OrderedDict[str, list[_Sent]] = OrderedDict()
        self._lock = threading.Lock()

    def announce(self, session: str, file: str, name: str) -> None:
        """Note that a session wants to send a file."""
        with self._lock:
            sent = self._sent.setdefault(session, [])
            sent.append(_Sent(file, name))
            del sent[:-MOST_FILES]
            self._sent.move_to_end(session)
            while len(self._sent) > MOST_SESSIONS:
                self._sent.popitem(last=False)

    def refuse(self, session: str, file: str) -> None:
        """Note that a file was refused."""
        with self._lock:
            for sent in self._sent.get(session, ()):
                sent.was_refused |= sent.id == file

    def take(self, session: str, arrived: Mapping[str, str]) -> list[str]:
        """Return the names of the refused files that were chosen with or after the first of those that arrived, and forget all.

        `arrived` are names by ids. A file that was refused and arrived when it was chosen again is not among them.
        """
        with self._lock:
            sent = self._sent.pop(session, [])
        first = next((number for number, each in enumerate(sent) if each.id in arrived), len(sent))
        names = set(arrived.values())
        # Files of one selection are announced in its order, so the first ones may be the refused ones.
        while first and sent[first - 1].was_refused:
            first -= 1
        return [each.name for each in sent[first:] if each.was_refused and each.name not in names]


REFUSED = RefusedFiles()


def refused_beside(arrived: Mapping[str, str]) -> list[str]:
    """Return the printable names of this session's files that were refused when these, names by ids, arrived."""
    context = get_script_run_ctx()
    return [] if context is None else [safe_name(name) for name in REFUSED.take(context.session_id, arrived)]
