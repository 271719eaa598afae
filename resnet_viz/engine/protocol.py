"""What an engine sends while it works: progress, a sign of life every other second, and finally the answer or an error.

A frame is a letter, the payload's length in 4 bytes, and the payload, a message of wire.py. A stream that ends without an
answer or an error was cut off: the engine died, and the job may be requested again.
"""

import struct
from dataclasses import dataclass
from typing import Literal

from resnet_viz.engine.jobs import BusyError, EngineError, JobCancelledError, Progress
from resnet_viz.engine.wire import encode
from resnet_viz.images import MAX_BYTES, ImageError
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.zoo import ModelInfo

# The session, in a header that routers can read without opening the message.
SESSION_HEADER = "x-session-id"
SESSION_NAME = r"[\x21-\x7e]{1,200}"
MOST_JOB_BYTES = MAX_BYTES + 2**20
MOST_ANSWER_BYTES = 2**30
# Seconds: the minimum between two signs of life, and the silence after which the other end counts as gone.
SIGN_OF_LIFE = 2.0
SILENCE = 15.0

CATALOGUE = tuple[ModelInfo, ...]

Letter = Literal[b"p", b"l", b"a", b"e"]
PROGRESS: Letter = b"p"
LIFE: Letter = b"l"
ANSWER: Letter = b"a"
ERROR: Letter = b"e"
HEAD = struct.Struct("!cI")

# Subclasses first.
_ERRORS: dict[str, type[Exception]] = {
    error.__name__: error for error in (JobCancelledError, BusyError, EngineError, WeightsError, ImageError, ValueError)
}


@dataclass(frozen=True)
class Refusal:
    """An error by its name, with the sentence for the user."""

    error: str
    sentence: str


def frame(letter: Letter, payload: bytes = b"") -> bytes:
    """Write a frame."""
    return HEAD.pack(letter, len(payload)) + payload


def progress_frame(progress: Progress) -> bytes:
    """Write the progress of a job."""
    return frame(PROGRESS, encode(progress))


def error_frame(error: BaseException) -> bytes:
    """Write an error with its sentence; the text of errors that are not meant for users is not sent."""
    for name, kind in _ERRORS.items():
        if isinstance(error, kind):
            return frame(ERROR, encode(Refusal(name, str(error))))
    return frame(ERROR, encode(Refusal("EngineError", "The engine failed unexpectedly; its log says why.")))


def error_of(refusal: Refusal) -> Exception:
    """Restore the error."""
    return _ERRORS.get(refusal.error, EngineError)(refusal.sentence)
