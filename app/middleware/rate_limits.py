"""How often a session may use what is expensive: uploads, and computations without a stored result."""

from functools import cache
from typing import Literal

from app import sessions
from app.middleware.buckets import Buckets
from app.settings import settings

LimitedAction = Literal["upload", "computation"]


class TooOftenError(RuntimeError):
    """A session requested too much in a short time; the message is for the user, `seconds` is the time to wait."""

    def __init__(self, sentence: str, seconds: int) -> None:
        super().__init__(sentence)
        self.seconds = seconds


def admit(kind: LimitedAction, session: str = "") -> None:
    """Count one more of a session's uploads or computations, by default of this one; TooOftenError if there were too many.

    Call it before the work starts, and not for results that are already there.
    """
    seconds = _buckets()[kind].take(session or sessions.name())
    if seconds:
        sentences: dict[LimitedAction, str] = {
            "upload": f"You uploaded many files in a short time. Wait {spoken(seconds)}, then upload this file again.",
            "computation": f"You started many computations in a short time. Wait {spoken(seconds)}, then try again.",
        }
        raise TooOftenError(sentences[kind], seconds)


def spoken(seconds: int) -> str:
    """Write a time to wait in words."""
    if seconds < 100:
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    return f"{round(seconds / 60)} minutes"


@cache
def _buckets() -> dict[LimitedAction, Buckets]:
    return {"upload": Buckets(settings().uploads_per_minute), "computation": Buckets(settings().computations_per_minute)}
