"""How often a session may ask for what costs much: uploads, and computations that nobody has asked for yet."""

from functools import cache
from typing import Literal

from app import sessions
from app.middleware.buckets import Buckets
from app.settings import settings

LimitedAction = Literal["upload", "computation"]


class TooOftenError(RuntimeError):
    """A session asked for too much in a short time; the message is for the user, `seconds` is how long to wait."""

    def __init__(self, sentence: str, seconds: int) -> None:
        super().__init__(sentence)
        self.seconds = seconds


def admit(kind: LimitedAction) -> None:
    """Count one more of this session's uploads or computations; TooOftenError with a sentence when there were too many.

    Call it before the work starts, and not for results that are there already.
    """
    seconds = _buckets()[kind].take(sessions.name())
    if seconds:
        sentences: dict[LimitedAction, str] = {
            "upload": f"That was a lot of files in a short time. Wait {spoken(seconds)}, then give this one again.",
            "computation": f"That was a lot to compute in a short time. Wait {spoken(seconds)}, then try again.",
        }
        raise TooOftenError(sentences[kind], seconds)


def spoken(seconds: int) -> str:
    """Write a time to wait as people say it."""
    if seconds < 100:
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    return f"{round(seconds / 60)} minutes"


@cache
def _buckets() -> dict[LimitedAction, Buckets]:
    return {"upload": Buckets(settings().uploads_per_minute), "computation": Buckets(settings().computations_per_minute)}
