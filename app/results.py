"""Selection -> result: the only file with Streamlit's caches, all of them bounded.

What people upload stays in memory, under the SHA-256 of its bytes; a link to it works for whoever has the link, while there is
room.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from PIL import ImageOps

import resnet_viz as rv
from resnet_viz.engine.local import InspectionRequest, LocalEngine
from resnet_viz.engine.store import Store
from resnet_viz.figures.pictures import data_url
from resnet_viz.images import digest

SAMPLES_FOLDER = Path(__file__).parents[1] / "assets" / "samples"
UPLOADS_BYTES = 256 * 2**20
THUMBNAIL = 112


@dataclass(frozen=True)
class Sample:
    """A picture that ships with the app; `digest` is the SHA-256 of its bytes."""

    id: str
    title: str
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
        found[row["id"]] = Sample(row["id"], row["title"], data, digest(data))
    return found


@st.cache_data(show_spinner=False)
def thumbnails() -> str:
    """A style sheet that gives each sample's button its picture."""
    rules = []
    for sample in samples().values():
        small = ImageOps.fit(rv.open_image(sample.data), (THUMBNAIL, THUMBNAIL))
        url = data_url(small, "JPEG")
        rules.append(
            f".st-key-sample-{sample.id} button, .st-key-sample-{sample.id} button:hover {{ background-image: url({url}); }}"
        )
    return "\n".join(rules)


@st.cache_data(show_spinner=False, ttl=60)
def models() -> dict[str, rv.ModelInfo]:
    """The catalogue by name; looked up again each minute, since weights can arrive."""
    return {info.name: info for info in rv.list_models()}


def net(name: str, *, trained: bool = True) -> rv.Net:
    """A network on the best device; raises rv.WeightsError or ValueError with a sentence for the user."""
    return _net(name, trained)


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
    return _engine().inspect(network, request, lambda: rv.open_image(data), block or None, on_block)


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


@st.cache_resource(show_spinner=False, max_entries=4)
def _net(name: str, trained: bool) -> rv.Net:  # noqa: FBT001 - part of a cache's key
    return rv.load(name) if trained else rv.load(name, weights=None)


@st.cache_resource(show_spinner=False)
def _engine() -> LocalEngine:
    return LocalEngine()


@st.cache_resource(show_spinner=False)
def _uploads() -> Store[bytes]:
    return Store(UPLOADS_BYTES, len)
