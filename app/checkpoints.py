"""The checkpoints that people upload: private to their browser, bounded in memory, and deleted with its last session."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from weakref import WeakSet

import resnet_viz as rv
from app import middleware, parsers, sessions
from resnet_viz.nets.checkpoints.loading import Checkpoint, read_checkpoint
from resnet_viz.nets.checkpoints.verdicts import Verdict
from resnet_viz.nets.costs import count_parameters
from resnet_viz.nets.memory import check_memory
from resnet_viz.nets.net import Head
from resnet_viz.nets.preprocessing import Preprocessing

MOST_PER_SESSION = 2
MOST_BYTES = 2 * 2**30
FULL = "This server's memory for checkpoints is full. Try again later, or run ResNet Viz on your own machine."


@dataclass(frozen=True)
class Own:
    """A checkpoint of this session, the name of its file, and the architecture that it was read as.

    `revision` distinguishes it from every other network of the session, also of the same file.
    """

    checkpoint: Checkpoint
    file: str
    architecture: str
    net: rv.Net
    revision: str

    @property
    def info(self) -> rv.ModelInfo:
        """Its row in the catalogue."""
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


@dataclass(frozen=True, eq=False)
class Pending:
    """A file that is not opened yet: several networks fit it, and either nothing has decided between them or nothing could.

    `candidates` are what there is to choose, and `sentence` says why a choice is needed; both are empty as long as the engine
    has not decided. `checkpoint` is None where the choice is between several networks in the file, which is then read again.
    """

    file: str
    data: bytes
    checkpoint: Checkpoint | None
    sentence: str = ""
    candidates: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Memory of the file's bytes, where they are kept; the checkpoint's own is counted with all others."""
        return len(self.data)


# The checkpoints that are held, and those still in use after they were released, so that the bounds cover all of them.
_alive: WeakSet[Checkpoint] = WeakSet()
_adding = threading.Lock()
_revisions = count()
_held: dict[str, dict[str, Own]] = {}
_pending: dict[str, Pending] = {}
_browsers: dict[str, str] = {}


def own() -> dict[str, Own]:
    """This session's checkpoints by name, the newest last.

    A reload of the page starts a new session: it gets the checkpoints that an earlier session of the same browser still holds,
    and the file that waits there.
    """
    _arrive()
    return _held[sessions.name()]


def pending() -> Pending | None:
    """Return this session's file that waits for the engine or for a choice."""
    _arrive()
    return _pending.get(sessions.name())


def read(data: bytes, file: str, part: str | None = None) -> None:
    """Read a checkpoint, which then waits in `pending` for the engine to decide which network it is.

    rv.CheckpointError with a sentence for an invalid file, and if the server has no room. If the file holds several networks,
    its `candidates` are those, and the file waits in `pending` for `choose`.
    """
    cancel()
    try:
        checkpoint = read_checkpoint(data, part, extractor=parsers.extract)
    except rv.CheckpointError as error:
        if part is None and error.candidates:
            _wait(Pending(file, data, None, str(error), error.candidates))
        raise
    _wait(Pending(file, b"", checkpoint))


def decided(waiting: Pending, verdict: Verdict) -> str:
    """Take in the network that was decided on, and return its name; empty where a person has to choose between candidates."""
    if waiting.checkpoint is None:
        raise ValueError("nothing can be decided about a file that holds several networks")
    if verdict.candidates:
        _wait(replace(waiting, sentence=verdict.sentence, candidates=verdict.candidates))
        return ""
    name = _take_in(waiting.checkpoint, waiting.file, None)
    cancel()
    return name


def skip_deciding(waiting: Pending) -> None:
    """Let the person choose between all networks that fit, without waiting for the engine."""
    if waiting.checkpoint is None:
        raise ValueError("a file that holds several networks waits for a choice already")
    layout = waiting.checkpoint.layout
    names = tuple(layout.name(chosen) for chosen in layout.neighbours())
    _wait(replace(waiting, sentence="Nothing was compared: these networks fit the tensors.", candidates=names))


def choose(candidate: str) -> str:
    """Take the file that waits in as one of its candidates, and return its name; empty where the engine decides first.

    rv.CheckpointError as `read`.
    """
    waiting = _pending[sessions.name()]
    if waiting.checkpoint is None:
        read(waiting.data, waiting.file, candidate)
        return ""
    name = _take_in(waiting.checkpoint, waiting.file, candidate)
    cancel()
    return name


def cancel() -> None:
    """Let go of the file that waits, also in earlier sessions of the same browser, which a reload would take it from again."""
    waiting = _pending.pop(sessions.name(), None)
    for session, other in list(_pending.items()):
        if waiting is not None and other is waiting:
            _pending.pop(session, None)


def _wait(waiting: Pending) -> None:
    """Keep a file in place of the one that waits now; rv.CheckpointError where the server has no room for it."""
    cancel()
    with _adding:
        kept = {id(other): other.nbytes for other in _pending.values()}
        alive = {id(other): other.nbytes for other in _alive}
        if waiting.checkpoint is not None:
            alive[id(waiting.checkpoint)] = waiting.checkpoint.nbytes
        if sum(kept.values()) + waiting.nbytes + sum(alive.values()) > MOST_BYTES:
            raise rv.CheckpointError(FULL)
        if waiting.checkpoint is not None:
            _alive.add(waiting.checkpoint)
        _pending[sessions.name()] = waiting


def _take_in(checkpoint: Checkpoint, file: str, architecture: str | None) -> str:
    net = checkpoint.net(architecture=architecture)
    check_memory(net)
    held = own()
    oldest = next(iter(held)) if len(held) >= MOST_PER_SESSION else ""
    making_room = checkpoint.name if checkpoint.name in held else oldest
    with _adding:
        freed = held[making_room].checkpoint.nbytes if making_room else 0
        others = sum(other.nbytes for other in _alive if other is not checkpoint)
        if others - freed + checkpoint.nbytes > MOST_BYTES:
            raise rv.CheckpointError(FULL)
        held.pop(making_room, None)
        _alive.add(checkpoint)
    read_as = architecture or checkpoint.layout.name(checkpoint.decide().chosen)
    titled = replace(net, title=f"Your {checkpoint.layout.title}")
    held[checkpoint.name] = Own(checkpoint, middleware.safe_name(file), read_as, titled, _revision())
    return checkpoint.name


def configure(
    name: str, labels: Sequence[str], preprocessing: Preprocessing, architecture: str, head: Head = "softmax"
) -> None:
    """Rebuild the network; rv.CheckpointError for the wrong number of labels or too large a crop, which changes nothing."""
    before = own()[name]
    net = before.checkpoint.net(labels, preprocessing=preprocessing, architecture=architecture)
    check_memory(net)
    titled = replace(net, title=before.net.title, head=head)
    if architecture == before.architecture:
        # The decision between networks, and how clear it was, remains valid.
        titled = replace(titled, weights=before.net.weights)
    own()[name] = replace(before, architecture=architecture, net=titled, revision=_revision())


def forget(name: str) -> None:
    """Remove a checkpoint, also from earlier sessions of the same browser, which a reload would take it from again."""
    browser = sessions.browser()
    for session, other in list(_browsers.items()):
        if browser and other == browser:
            _held.get(session, {}).pop(name, None)
    own().pop(name, None)


def _revision() -> str:
    return f"{sessions.name()} {next(_revisions)}"


def _arrive() -> None:
    """Give a new session what the latest session of its browser holds: checkpoints, as networks of its own, and the file."""
    session = sessions.name()
    if session in _held:
        return
    browser = sessions.browser()
    earlier = [other for other, theirs in list(_browsers.items()) if browser and theirs == browser]
    held = next((_held[other] for other in reversed(earlier) if _held.get(other)), {})
    _held[session] = {name: replace(each, revision=_revision()) for name, each in held.items()}
    waiting = next((_pending[other] for other in reversed(earlier) if other in _pending), None)
    if waiting is not None:
        _pending[session] = waiting
    _browsers[session] = browser


def _leave(session: str) -> None:
    _held.pop(session, None)
    _pending.pop(session, None)
    _browsers.pop(session, None)


sessions.at_end(_leave)
