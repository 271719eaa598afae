"""Selection -> result: the only file with Streamlit's caches, all of them bounded.

What people upload stays in memory, under the SHA-256 of its bytes; a link to it works for whoever has the link, while there is
room.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st
from PIL import ImageOps

import checkpoints
import resnet_viz as rv
from resnet_viz.analyses import trust
from resnet_viz.analyses.attribution import OnProgress
from resnet_viz.analyses.baselines import Baseline
from resnet_viz.analyses.objectives import ObjectiveKind
from resnet_viz.analyses.trust import OnStep
from resnet_viz.engine.downloads import Downloads
from resnet_viz.engine.local import Answer, InspectionRequest, LocalEngine
from resnet_viz.engine.store import Store
from resnet_viz.figures.pictures import data_url
from resnet_viz.images import digest
from resnet_viz.nets.architecture import Part, architecture
from resnet_viz.nets.curves import read_curves
from resnet_viz.nets.imagenet import ARCHITECTURES
from resnet_viz.nets.official import best_weights, weights_file
from resnet_viz.nets.zoo import blueprint

SAMPLES_FOLDER = Path(__file__).parents[1] / "assets" / "samples"
UPLOADS_BYTES = 256 * 2**20
THUMBNAIL = 112


@dataclass(frozen=True)
class Sample:
    """A picture that ships with the app: `label` is its class in the data set, None for a photo; `digest` its SHA-256."""

    id: str
    title: str
    label: str | None
    data: bytes
    digest: str


class MissingImageError(LookupError):
    """A link to an image that this server does not hold; the message is for the user."""


@st.cache_resource(show_spinner=False)
def samples() -> dict[str, Sample]:
    """The sample gallery by id, in its order."""
    found = {}
    for row in json.loads((SAMPLES_FOLDER / "samples.json").read_text()):
        data = (SAMPLES_FOLDER / row["file"]).read_bytes()
        found[row["id"]] = Sample(row["id"], row["title"], row["label"], data, digest(data))
    return found


@st.cache_data(show_spinner=False)
def thumbnails() -> str:
    """A style sheet that gives each sample's button its picture, in every gallery."""
    rules = []
    for sample in samples().values():
        small = ImageOps.fit(rv.open_image(sample.data), (THUMBNAIL, THUMBNAIL))
        url = data_url(small, "JPEG")
        button = f"[class*='-sample-{sample.id}'] button"
        rules.append(f"{button}, {button}:hover {{ background-image: url({url}); }}")
    return "\n".join(rules)


def models() -> dict[str, rv.ModelInfo]:
    """This session's checkpoints and the catalogue, by name."""
    return {name: mine.info for name, mine in checkpoints.own().items()} | _catalogue()


def weights_arrived() -> None:
    """Look the catalogue up again."""
    _catalogue.clear()


def net(name: str, *, trained: bool = True) -> rv.Net:
    """A network on the best device; raises rv.WeightsError or ValueError with a sentence for the user.

    Official weights are not fetched here, where a page waits for them: see `downloads`.
    """
    if name in checkpoints.own():
        return checkpoints.own()[name].net
    if trained and name in ARCHITECTURES and not weights_file(best_weights(name)).exists():
        raise rv.WeightsError(f"The weights of {ARCHITECTURES[name].title} are not on this machine yet.")
    return _net(name, trained)


@st.cache_resource(show_spinner=False)
def downloads() -> Downloads:
    """Official weights on their way here, shared by everybody on this server; call `weights_arrived` when they are here."""
    return Downloads()


def parts(name: str) -> tuple[Part, ...]:
    """What a network is made of, from stem to head; the weights of one of the catalogue need not be here."""
    mine = checkpoints.own().get(name)
    return architecture(mine.net) if mine else _parts(name)


@st.cache_data(show_spinner=False, ttl=60)
def curves() -> dict[str, pd.DataFrame]:
    """The training curves of the shipped networks by name; raises rv.WeightsError with a sentence for a damaged file."""
    return read_curves(name for name, info in models().items() if info.source == "shipped")


def add_upload(data: bytes) -> str:
    """Check an uploaded picture and keep its bytes; returns its SHA-256, raises rv.ImageError with a sentence."""
    rv.open_image(data)
    name = digest(data)
    _uploads().put(name, data)
    return name


def inspection(
    network: rv.Net, image: str, target: int | None, block: str, on_block: Callable[[int, int], None]
) -> rv.Inspection:
    """The inspection of a sample (by id) or an upload (by SHA-256), computed once for all who ask, with the maps of `block`.

    Raises MissingImageError when the picture is not here, ValueError for a class the network does not have.
    """
    data, sha256 = _picture(image)
    request = InspectionRequest(sha256, target)
    return _engine_of(network).inspect(network, request, lambda: rv.open_image(data), block or None, on_block)


def gradients(network: rv.Net, image: str, target: int | None, objective: ObjectiveKind, versus: int | None) -> rv.Gradients:
    """The gradients of an objective; errors as of `inspection`."""
    data, sha256 = _picture(image)
    request = ("gradients", sha256, target, objective, versus)
    return _engine_of(network).once(
        network, request, lambda: rv.gradients(network, rv.open_image(data), target, objective, versus)
    )


def attribution(
    network: rv.Net, image: str, target: int, method: str, options: dict[str, object], on_progress: OnProgress
) -> rv.Attribution:
    """An attribution of a class by a method; errors as of `inspection`."""
    data, sha256 = _picture(image)
    request = ("attribution", sha256, target, method, tuple(sorted(options.items())))

    def compute() -> rv.Attribution:
        return rv.attribute(network, rv.open_image(data), method, target, on_progress=on_progress, **options)

    return _engine_of(network).once(network, request, compute)


def conductance(network: rv.Net, image: str, target: int, steps: int, baseline: Baseline, on_point: OnStep) -> rv.Conductance:
    """Every block's conductance; errors as of `inspection`."""
    data, sha256 = _picture(image)
    request = ("conductance", sha256, target, steps, baseline)

    def compute() -> rv.Conductance:
        return rv.conductance(network, rv.open_image(data), target, steps, baseline=baseline, on_point=on_point)

    return _engine_of(network).once(network, request, compute)


def perturbation(network: rv.Net, image: str, found: rv.Attribution, on_step: OnStep) -> trust.Perturbation:
    """Deletion and insertion by a map; errors as of `inspection`."""
    return _about("perturbation", trust.perturbation, network, image, found, on_step)


def randomisation(network: rv.Net, image: str, found: rv.Attribution, on_step: OnStep) -> trust.Randomised:
    """What is left of a map when the network forgets what it learned; errors as of `inspection`."""
    return _about("randomisation", trust.randomisation, network, image, found, on_step)


def robustness(network: rv.Net, image: str, found: rv.Attribution, on_step: OnStep) -> trust.Robustness:
    """Infidelity and sensitivity of a map; errors as of `inspection`."""
    return _about("robustness", trust.robustness, network, image, found, on_step)


def _about(
    kind: str, question: Callable[..., Answer], network: rv.Net, image: str, found: rv.Attribution, on_step: OnStep
) -> Answer:
    """A question about an attribution, answered once."""
    data, sha256 = _picture(image)
    request = (kind, sha256, found.target, found.method, tuple(sorted(found.options.items())))
    return _engine_of(network).once(network, request, lambda: question(network, rv.open_image(data), found, on_step=on_step))


def _picture(image: str) -> tuple[bytes, str]:
    """Return the bytes and their SHA-256, which is an upload's name already."""
    if image in samples():
        return samples()[image].data, samples()[image].digest
    data = _uploads().get(image)
    if data is None:
        raise MissingImageError(
            "The picture of this link is not on this server any more: uploads live in memory only."
            " Upload it again, or pick a sample."
        )
    return data, image


@st.cache_data(show_spinner=False, ttl=60)
def _catalogue() -> dict[str, rv.ModelInfo]:
    """Looked up again each minute, since weights can arrive."""
    return {info.name: info for info in rv.list_models()}


@st.cache_data(show_spinner=False, max_entries=64)
def _parts(name: str) -> tuple[Part, ...]:
    return architecture(blueprint(name))


@st.cache_resource(show_spinner=False, max_entries=4)
def _net(name: str, trained: bool) -> rv.Net:  # noqa: FBT001 - part of a cache's key
    return rv.load(name) if trained else rv.load(name, weights=None)


def _engine_of(network: rv.Net) -> LocalEngine:
    """What is computed with somebody's own checkpoint stays in their session."""
    return checkpoints.engine() if network.weights.source == "checkpoint" else _engine()


@st.cache_resource(show_spinner=False)
def _engine() -> LocalEngine:
    return LocalEngine()


@st.cache_resource(show_spinner=False)
def _uploads() -> Store[bytes]:
    return Store(UPLOADS_BYTES, len)
