"""The checkpoints that people bring along: private to their session, bounded in memory, and gone when the session ends."""

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
    """A checkpoint of this session, the name of its file, and the network it was made into by a wiring.

    `revision` tells it from every other network that a session made, also of the same file.
    """

    checkpoint: Checkpoint
    file: str
    wiring: Wiring
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


# Those that are held, and those that somebody still works with after they were let go of, so that all stay within bounds.
_alive: WeakSet[Checkpoint] = WeakSet()
_adding = threading.Lock()
_revisions = count()
_held: dict[str, dict[str, Own]] = {}


def own() -> dict[str, Own]:
    """This session's checkpoints by name, the newest last."""
    return _held.setdefault(sessions.name(), {})


def add(data: bytes, file: str) -> str:
    """Take a checkpoint in, at the cost of the session's oldest; returns its name.

    rv.CheckpointError with a sentence for what is none, and where the server has no room.
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
                "This server holds as many checkpoints as it has room for: try again when somebody has finished, or start"
                " ResNet Viz on a machine of your own."
            )
        held.pop(making_room, None)
        _alive.add(checkpoint)
    held[checkpoint.name] = Own(checkpoint, middleware.safe_name(file), checkpoint.wiring, net, _revision())
    return checkpoint.name


def configure(name: str, labels: Sequence[str], preprocessing: Preprocessing, wiring: Wiring) -> None:
    """Make the network anew; rv.CheckpointError for the wrong number of labels, or too large a crop, which changes nothing."""
    before = own()[name]
    chosen = None if wiring == before.checkpoint.wiring else wiring
    net = before.checkpoint.net(labels, preprocessing=preprocessing, wiring=chosen)
    check_memory(net)
    own()[name] = replace(before, wiring=wiring, net=replace(net, title=before.net.title), revision=_revision())


def forget(name: str) -> None:
    """Let go of a checkpoint."""
    own().pop(name, None)


def _revision() -> str:
    return f"{sessions.name()} {next(_revisions)}"


def _leave(session: str) -> None:
    _held.pop(session, None)


sessions.at_end(_leave)
