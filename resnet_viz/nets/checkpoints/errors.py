"""The one error that a checkpoint raises, and how names from a file are shown in it."""

from collections.abc import Iterable, Sequence

from resnet_viz.nets.net import WeightsError

LONGEST_SHOWN = 80
# The way out wherever a network is not supported.
FROM_CODE = "If you have the model's code, open it from Python with rv.from_module(model)."


class CheckpointError(WeightsError):
    """A file that is not a checkpoint, or a checkpoint that fits no supported network; the message is for the user.

    `candidates` are the choices, where the file leaves several.
    """

    def __init__(self, message: str, candidates: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)


def shown(name: str) -> str:
    """Return a name of the file as it can stand in a sentence: without control characters, and not of any length."""
    start, end = name[: LONGEST_SHOWN - 20], name[-19:]
    return printable(name if len(name) <= LONGEST_SHOWN else f"{start}…{end}")


def printable(text: str) -> str:
    """Return a text of the file with its control characters replaced, those that turn the writing direction among them."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def damaged(what: str) -> CheckpointError:
    """Return the error for bytes that contradict the format; `what` is the contradiction, a clause."""
    return CheckpointError(f"The checkpoint is damaged or was cut off: {what}. Copy the file again, or save it again.")


def shape_text(shape: Sequence[int]) -> str:
    """Write a shape for a sentence: "64×3×7×7"."""
    return "×".join(map(str, shape)) or "of a single number"


def listed(names: Iterable[str], most: int = 3) -> str:
    """Name the first few for a sentence."""
    given = [shown(name) for name in names]
    more = f" and {len(given) - most} more" if len(given) > most else ""
    return ", ".join(given[:most]) + more
