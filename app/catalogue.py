"""The networks as pages know them: what a page must know of one, and which there are where jobs go."""

from dataclasses import dataclass

import resnet_viz as rv
from app.checkpoints import Own
from app.settings import settings
from resnet_viz.engine.jobs import Engine, EngineError


@dataclass(frozen=True, eq=False)
class Subject:
    """A network as pages know it: the network itself is where the engine is.

    `preprocessing` says which part of a photo it sees, `field` is the selection's field that names it, `own` the session's own
    checkpoint; `shown` names it in the engine of the Python program that shows it.
    """

    model: str
    title: str
    labels: tuple[str, ...]
    trained: bool
    preprocessing: rv.Preprocessing
    field: str = "model"
    own: Own | None = None
    shown: str = ""


def known_to(engine: Engine) -> dict[str, rv.ModelInfo]:
    """The catalogue by name, with the weights that an engine has; while it is away, what is here is the best guess."""
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
    """Whether the weights of a network can be brought from the web to where jobs go.

    They come to this machine, which is no use to an engine on another one, unless both have one folder.
    """
    shared = not settings().engine or settings().shared_weights
    return shared and info is not None and info.source == "official"


def why_missing(info: rv.ModelInfo) -> str:
    """Say why a network of the catalogue cannot be used with its trained weights, and what to do instead."""
    if info.source != "official":
        return f"No trained weights of {info.title} are shipped with this copy: take another one, or look at random weights."
    if not can_download(info):
        return f"The engine does not have the weights of {info.title}: ask whoever runs it for them, or look at random weights."
    return f"The weights of {info.title} are not on this machine yet."
