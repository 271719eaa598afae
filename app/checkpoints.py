"""The checkpoints that people upload: private to their browser, bounded in memory, and deleted with its last session."""

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


# The checkpoints that are held, and those still in use after they were released, so that the bounds cover all of them.
_alive: WeakSet[Checkpoint] = WeakSet()
_adding = threading.Lock()
# Deciding between networks keeps all CPUs busy for seconds, so files are read one after another.
_deciding = threading.Lock()
_revisions = count()
_held: dict[str, dict[str, Own]] = {}
_pending: dict[str, Pending] = {}
_browsers: dict[str, str] = {}


def own() -> dict[str, Own]:
    """This session's checkpoints by name, the newest last.

    A reload of the page starts a new session: it gets the checkpoints that an earlier session of the same browser still holds.
    """
    session = sessions.name()
    if session not in _held:
        browser = sessions.browser()
        _held[session] = _of_browser(browser)
        _browsers[session] = browser
    return _held[session]


def pending() -> Pending | None:
    """Return this session's file that waits for a choice."""
    return _pending.get(sessions.name())


def add(data: bytes, file: str, part: str | None = None) -> str:
    """Add a checkpoint, which may remove the session's oldest; returns its name.

    rv.CheckpointError for an invalid file, and if the server has no room. If several networks fit, its
    `candidates` are those, and the file waits in `pending` until `choose` is called.
    """
    _pending.pop(sessions.name(), None)
    try:
        checkpoint = read_checkpoint(data, part, extractor=parsers.extract)
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
    """Remove the file that waits for a choice."""
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
    with _deciding:
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


def _of_browser(browser: str) -> dict[str, Own]:
    """Return the checkpoints of the latest session of a browser, as networks of the current session."""
    theirs = [session for session, other in list(_browsers.items()) if browser and other == browser and _held.get(session)]
    found = dict(_held[theirs[-1]]) if theirs else {}
    return {name: replace(each, revision=_revision()) for name, each in found.items()}


def _leave(session: str) -> None:
    _held.pop(session, None)
    _pending.pop(session, None)
    _browsers.pop(session, None)


sessions.at_end(_leave)
