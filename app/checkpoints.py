"""The checkpoints that people upload: private to their browser, bounded in memory, and deleted with its last session."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from weakref import WeakSet

import resnet_viz as rv
from app import middleware, parsers, sessions
from resnet_viz.nets.checkpoints.loading import Checkpoint, read_checkpoint
from resnet_viz.nets.checkpoints.wiring import Wiring
from resnet_viz.nets.costs import count_parameters
from resnet_viz.nets.memory import check_memory
from resnet_viz.nets.preprocessing import Preprocessing

MOST_PER_SESSION = 2
MOST_BYTES = 2 * 2**30


@dataclass(frozen=True)
class Own:
    """A checkpoint of this session, the name of its file, and the network built from it with a wiring.

    `revision` distinguishes it from every other network of the session, also of the same file.
    """

    checkpoint: Checkpoint
    file: str
    wiring: Wiring
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


# The checkpoints that are held, and those still in use after they were released, so that the bounds cover all of them.
_alive: WeakSet[Checkpoint] = WeakSet()
_adding = threading.Lock()
_revisions = count()
_held: dict[str, dict[str, Own]] = {}
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


def add(data: bytes, file: str) -> str:
    """Add a checkpoint, which may remove the session's oldest; returns its name.

    rv.CheckpointError with a sentence for an invalid file, and if the server has no room.
    """
    checkpoint = read_checkpoint(data, extractor=parsers.parsers().extract)
    net = replace(checkpoint.net(), title=f"Your {checkpoint.layout.title}")
    check_memory(net)
    held = own()
    oldest = next(iter(held)) if len(held) >= MOST_PER_SESSION else ""
    making_room = checkpoint.name if checkpoint.name in held else oldest
    with _adding:
        freed = held[making_room].checkpoint.nbytes if making_room else 0
        if sum(other.nbytes for other in _alive) - freed + checkpoint.nbytes > MOST_BYTES:
            raise rv.CheckpointError(
                "This server's memory for checkpoints is full. Try again later, or run ResNet Viz on your own machine."
            )
        held.pop(making_room, None)
        _alive.add(checkpoint)
    held[checkpoint.name] = Own(checkpoint, middleware.safe_name(file), checkpoint.wiring, net, _revision())
    return checkpoint.name


def configure(name: str, labels: Sequence[str], preprocessing: Preprocessing, wiring: Wiring) -> None:
    """Rebuild the network; rv.CheckpointError for the wrong number of labels or too large a crop, which changes nothing."""
    before = own()[name]
    chosen = None if wiring == before.checkpoint.wiring else wiring
    net = before.checkpoint.net(labels, preprocessing=preprocessing, wiring=chosen)
    check_memory(net)
    own()[name] = replace(before, wiring=wiring, net=replace(net, title=before.net.title), revision=_revision())


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
    _browsers.pop(session, None)


sessions.at_end(_leave)
