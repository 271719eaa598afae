"""Addresses for uploads that reveal nothing about the session, and are useless to readers of a proxy's log."""

import re
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadFileUrlInfo

from app.middleware.refused_files import REFUSED

MOST_ADDRESSES, MOST_LETTERS = 10_000, 200
_ROUTE = re.compile(r"(?P<before>.*/_stcore/upload_file/)(?P<ticket>[^/]+)/(?P<file>[^/]+)/?")


@dataclass(frozen=True)
class UploadPlace:
    """The destination of an upload: Streamlit's own address of it, its session and its file."""

    path: str
    session: str
    file: str


class UploadAddresses:
    """Gives every file that a page is about to send its own address, which accepts one upload."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._used: OrderedDict[str, None] = OrderedDict()

    def hand_out(self, manager: MemoryUploadedFileManager) -> None:
        """Make Streamlit send pages these addresses instead of its own, which name the session."""
        if "get_upload_urls" in vars(manager):
            return

        def addresses(session_id: str, file_names: Sequence[str]) -> list[UploadFileUrlInfo]:
            return [self._address(manager.endpoint, session_id, name) for name in file_names]

        vars(manager)["get_upload_urls"] = addresses

    def place(self, path: str, *, takes: bool) -> UploadPlace | None:
        """Return the destination of an address; None for an unknown one, or one that is used up (`takes`)."""
        found = _ROUTE.fullmatch(path)
        known = self._places.get(found["ticket"]) if found else None
        if found is None or known is None or known[1] != found["file"] or (takes and found["ticket"] in self._used):
            return None
        if takes:
            self._used[found["ticket"]] = None
        session, file = known
        return UploadPlace(f"{found['before']}{session}/{file}", session, file)

    def _address(self, endpoint: str, session: str, name: str) -> UploadFileUrlInfo:
        ticket, file = secrets.token_urlsafe(24), str(uuid4())
        REFUSED.announce(session, file, name[:MOST_LETTERS])
        self._places[ticket] = session, file
        while len(self._places) > MOST_ADDRESSES:
            gone, _ = self._places.popitem(last=False)
            self._used.pop(gone, None)
        url = f"{endpoint}/{ticket}/{file}"
        return UploadFileUrlInfo(file_id=file, upload_url=url, delete_url=url)


def is_upload_route(path: str) -> bool:
    """Whether a request is for Streamlit's upload route."""
    return _ROUTE.fullmatch(path) is not None
