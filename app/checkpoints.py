"""The checkpoints that people bring along: private to their session, bounded in memory, and gone when the session ends."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from weakref import WeakSet

import resnet_viz as rv
from app import middleware, parsers, sessions
from resnet_viz.nets.checkpoints.loading import Checkpoint, read_checkpoint
from resnet_viz.nets.costs import count_parameters
from resnet_viz.nets.memory import check_memory
from resnet_viz.nets.preprocessing import Preprocessing

MOST_PER_SESSION = 2
MOST_BYTES = 2 * 2**30
FULL = (
    "This server holds as many checkpoints as it has room for: try again when somebody has finished, or start ResNet Viz on a"
    " machine of your own."
)


@dataclass(frozen=True)
class Own:
    """A checkpoint of this session, the name of its file, and the architecture that it was read as.

    `revision` tells it from every other network that a session made, also of the same file.
    """

    checkpoint: Checkpoint
    file: str
    architecture: str
    net: rv.Net
    revision: str

    @property
    def info(self) -> rv.ModelInfo:
        """Its row of the catalogue."""
        layout, blocks = self.checkpoint.layout, self.net.blocks
        kinds = {block.shortcut_kind for block in blocks.values()} - {"identity"}
        return rv.ModelInfo(
            name=self.net.name,
            title=self.net.title,
            task=f"{layout.classes} classes",
            depth=layout.depth,
            blocks=len(blocks),
            shortcut=", ".join(sorted(kinds)) or "identity",
            params=count_parameters(self.net.module),
            size=self.checkpoint.nbytes,
            source="checkpoint",
            here=True,
            note=f"your file {self.file}",
        )


@dataclass(frozen=True)
class Pending:
    """A file of this session that several networks fit: why a choice is needed, and what there is to choose.

    `checkpoint` is None where the choice is between several networks in the file, which is then read again.
    """

    file: str
    data: bytes
    checkpoint: Checkpoint | None
    sentence: str
    candidates: tuple[str, ...]


# Those that are held, and those that somebody still works with after they were let go of, so that all stay within bounds.
_alive: WeakSet[Checkpoint] = WeakSet()
_adding = threading.Lock()
_revisions = count()
_held: dict[str, dict[str, Own]] = {}
_pending: dict[str, Pending] = {}


def own() -> dict[str, Own]:
    """This session's checkpoints by name, the newest last."""
    return _held.setdefault(sessions.name(), {})


def pending() -> Pending | None:
    """Return this session's file that waits for a choice."""
    return _pending.get(sessions.name())


def add(data: bytes, file: str, part: str | None = None) -> str:
    """Take a checkpoint in, at the cost of the session's oldest; returns its name.

    rv.CheckpointError with a sentence for what is none, and where the server has no room. Where several networks fit, its
    `candidates` are those, and the file waits in `pending` until `choose` is called.
    """
    _pending.pop(sessions.name(), None)
    try:
        checkpoint = read_checkpoint(data, part, extractor=parsers.parsers().extract)
    except rv.CheckpointError as error:
        if part is None:
            _wait(Pending(file, data, None, str(error), error.candidates))
        raise
    try:
        return _take_in(checkpoint, file, None)
    except rv.CheckpointError as error:
        _wait(Pending(file, b"", checkpoint, str(error), error.candidates))
        raise


def choose(candidate: str) -> str:
    """Take the file that waits in as one of its candidates; returns its name. rv.CheckpointError as `add`."""
    waiting = _pending[sessions.name()]
    if waiting.checkpoint is None:
        return add(waiting.data, waiting.file, candidate)
    name = _take_in(waiting.checkpoint, waiting.file, candidate)
    cancel()
    return name


def cancel() -> None:
    """Let go of the file that waits for a choice."""
    _pending.pop(sessions.name(), None)


def _wait(waiting: Pending) -> None:
    if not waiting.candidates:
        return
    with _adding:
        others = sum(_weight(other) for session, other in _pending.items() if session != sessions.name())
        if others + _weight(waiting) + sum(other.nbytes for other in _alive) > MOST_BYTES:
            raise rv.CheckpointError(FULL)
        _pending[sessions.name()] = waiting


def _weight(waiting: Pending) -> int:
    return len(waiting.data) + (waiting.checkpoint.nbytes if waiting.checkpoint else 0)


def _take_in(checkpoint: Checkpoint, file: str, architecture: str | None) -> str:
    net = checkpoint.net(architecture=architecture)
    check_memory(net)
    held = own()
    oldest = next(iter(held)) if len(held) >= MOST_PER_SESSION else ""
    making_room = checkpoint.name if checkpoint.name in held else oldest
    with _adding:
        freed = held[making_room].checkpoint.nbytes if making_room else 0
        if sum(other.nbytes for other in _alive) - freed + checkpoint.nbytes > MOST_BYTES:
            raise rv.CheckpointError(FULL)
        held.pop(making_room, None)
        _alive.add(checkpoint)
    read_as = architecture or checkpoint.layout.name(checkpoint.decide().chosen)
    titled = replace(net, title=f"Your {checkpoint.layout.title}")
    held[checkpoint.name] = Own(checkpoint, middleware.safe_name(file), read_as, titled, _revision())
    return checkpoint.name


def configure(name: str, labels: Sequence[str], preprocessing: Preprocessing, architecture: str) -> None:
    """Make the network anew; rv.CheckpointError for the wrong number of labels, or too large a crop, which changes nothing."""
    before = own()[name]
    net = before.checkpoint.net(labels, preprocessing=preprocessing, architecture=architecture)
    check_memory(net)
    titled = replace(net, title=before.net.title)
    if architecture == before.architecture:
        # What was decided, and how clearly, stays true of it.
        titled = replace(titled, weights=before.net.weights)
    own()[name] = replace(before, architecture=architecture, net=titled, revision=_revision())


def forget(name: str) -> None:
    """Let go of a checkpoint."""
    own().pop(name, None)


def _revision() -> str:
    return f"{sessions.name()} {next(_revisions)}"


def _leave(session: str) -> None:
    _held.pop(session, None)
    _pending.pop(session, None)


sessions.at_end(_leave)
