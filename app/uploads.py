"""Images that people upload: in memory only, under the SHA-256 of their bytes, as long as a session claims them.

A link to an upload works for everybody who has the link, as long as there is room.
"""

from app import parsers
from resnet_viz.engine.store import Store
from resnet_viz.images import digest

MOST_BYTES, SHARE_BYTES = 256 * 2**20, 64 * 2**20


class MissingImageError(LookupError):
    """A link to an image that this server does not hold; the message is for the user."""


class Uploads:
    """The uploads of all sessions, bounded in total and for each session."""

    def __init__(self) -> None:
        self._held: Store[bytes] = Store(MOST_BYTES, len, SHARE_BYTES)

    def add(self, data: bytes, session: str) -> str:
        """Check an image and keep its bytes; returns its SHA-256, raises rv.ImageError."""
        parsers.open_image(data)
        return self.keep(data, session)

    def keep(self, data: bytes, session: str) -> str:
        """Keep bytes that were not opened yet; returns their SHA-256. Opening them tells what is wrong."""
        name = digest(data)
        self._held.put(name, data, session)
        return name

    def get(self, name: str, session: str) -> bytes:
        """Return an upload's bytes and claim it for the session; MissingImageError if it is gone."""
        data = self._held.get(name, session)
        if data is None:
            raise MissingImageError(
                "The image of this link is no longer on this server, because uploads are kept in memory only. Upload it "
                "again, or choose a sample."
            )
        return data

    def holds(self, name: str, session: str) -> bool:
        """Whether an upload is still held; if so, the session claims it."""
        return self._held.get(name, session) is not None

    def forget(self, session: str) -> None:
        """Remove the uploads that only this session claims."""
        self._held.forget(session)
