"""The networks as pages know them: what a page needs to know about one, and which ones the engine has."""

from collections.abc import Hashable
from dataclasses import dataclass

import resnet_viz as rv
from app.checkpoints import Own
from app.settings import settings
from resnet_viz.engine.jobs import Engine, EngineError


@dataclass(frozen=True, eq=False)
class Subject:
    """A network as pages know it; the network itself is in the engine.

    `preprocessing` says which part of a photo it receives, `field` is the selection's field that names it, `own` the session's
    own checkpoint; `shown` names it in the engine of the Python program that shows it.
    """

    model: str
    title: str
    labels: tuple[str, ...]
    trained: bool
    preprocessing: rv.Preprocessing
    field: str = "model"
    own: Own | None = None
    shown: str = ""

    @property
    def name_in_engine(self) -> str:
        """The name under which its engine knows it: another one for each network that a program shows."""
        return self.shown or self.model

    @property
    def key(self) -> Hashable:
        """What distinguishes questions to it from those to other networks: its weights, and what it receives of an image."""
        return self.name_in_engine, self.own.revision if self.own else "", self.trained, self.preprocessing


def known_to(engine: Engine) -> dict[str, rv.ModelInfo]:
    """The catalogue by name, with the weights that an engine has, or this machine's while the engine is unreachable."""
    try:
        found = engine.models()
    except EngineError:
        found = rv.list_models()
    return {info.name: info for info in found}


def plain_twin(model: str) -> str:
    """Name the network with the same layers and no shortcuts: "plain20-cifar10" of "resnet20b-cifar10"."""
    family, _, data = model.partition("-")
    depth = "".join(letter for letter in family if letter.isdigit())
    return f"plain{depth}-{data}"


def can_download(info: rv.ModelInfo | None) -> bool:
    """Whether the weights of a network can be downloaded to where the engine runs.

    They are downloaded to this machine, which does not help an engine on another one unless both share a folder.
    """
    shared = not settings().engine or settings().shared_weights
    return shared and info is not None and info.source == "official"


def why_missing(info: rv.ModelInfo) -> str:
    """Say why a network of the catalogue cannot be used with its trained weights, and what to do instead."""
    if info.source != "official":
        return (
            f"This copy does not include trained weights of {info.title}. Choose another network, or open it with random "
            f"weights."
        )
    if not can_download(info):
        return (
            f"The engine does not have the weights of {info.title}. Ask its administrator to add them, or open it with "
            f"random weights."
        )
    return f"The weights of {info.title} are not on this machine yet."
