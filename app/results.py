"""What pages show without a job: images, networks, charts and surveys, in Streamlit's caches, all of them bounded.

What is cached is created elsewhere: `samples`, `pictures`, `uploads`, `catalogue`. What a job computes comes through `jobs`.
"""

import io
import zipfile
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar, cast

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

import resnet_viz as rv
from app import catalogue, checkpoints, engines, query, sessions, shown
from app.catalogue import Subject
from app.charts import Chart, Charts
from app.pictures import Ground, Preview
from app.samples import Sample, read_samples
from app.surveys import HeldSurvey, Surveys, read_shipped
from app.uploads import Uploads
from resnet_viz.engine.store import EVERYBODY, Store
from resnet_viz.nets import outlines
from resnet_viz.nets.architecture import Part, architecture
from resnet_viz.nets.cell_centres import CellCentres, centres_where
from resnet_viz.nets.cell_centres import cell_centres as centres_of
from resnet_viz.nets.curves import read_curves
from resnet_viz.nets.families import timm
from resnet_viz.nets.weights_folder import Places, weights_places
from resnet_viz.nets.zoo import describe

Encoded = TypeVar("Encoded", Preview, Ground)

PICTURES_BYTES, PICTURES_SHARE = 64 * 2**20, 8 * 2**20
MOST_OWN_PICTURES = 12


def session() -> str:
    """The name of the current session, which ends some time after its browser has gone."""
    sessions.present(name := _connected(sessions.name()))
    return name


@st.cache_resource(show_spinner=False)
def samples() -> dict[str, Sample]:
    """The sample gallery by id, in its order."""
    return read_samples()


@st.cache_data(show_spinner=False)
def sample_thumbnails() -> str:
    """A style sheet that gives each sample's button its image, in every gallery."""
    return "\n".join(_button_picture(sample.id, Preview.of(sample.data)) for sample in samples().values())


def own_thumbnails(names: Sequence[str]) -> str:
    """The same for the session's own images."""
    return "\n".join(_button_picture(name, preview(name)) for name in names)


def own_pictures(shown: str = "") -> list[str]:
    """The uploads of this session that are still held, and the image `shown` if a link opened it; the latest first."""
    names: list[str] = st.session_state.setdefault("own_pictures", [])
    if shown and shown not in samples() and shown not in names:
        names.insert(0, shown)
    return [name for name in names if _uploads().holds(name, session())][:MOST_OWN_PICTURES]


def image_data(image: str) -> tuple[bytes, str]:
    """The bytes of an image and their SHA-256, which for an upload is its name; MissingImageError if it is not held."""
    if image in samples():
        return samples()[image].data, samples()[image].digest
    return _uploads().get(image, session()), image


def preview(image: str) -> Preview:
    """A sample (by id) or upload (by SHA-256) as a thumbnail, with its size; MissingImageError if it is not held."""
    data, sha256 = image_data(image)
    return _shown(image, sha256, lambda: Preview.of(data))


def ground(image: str, asked: Subject) -> Ground:
    """A network's crop of an image, as the background of maps; MissingImageError if it is not held."""
    data, sha256 = image_data(image)
    return _shown(image, f"{sha256} {asked.preprocessing}", lambda: Ground.of(data, asked.preprocessing))


def chart(asked: Subject, image: str, what: Hashable, make: Callable[[], go.Figure]) -> Chart:
    """A figure about a network and an image, created once; `what` must distinguish it from the other figures of the two.

    The same weights and pixels always give the same result, so the result itself need not be compared.
    """
    owner = EVERYBODY if image in samples() and asked.own is None else session()
    return _charts().get((identity(asked, image), what), make, owner)


def identity(asked: Subject, image: str) -> str:
    """Identify a network and an image by their weights and pixels."""
    _, sha256 = image_data(image)
    return f"{asked.key} {sha256}"


def models() -> dict[str, rv.ModelInfo]:
    """The networks that a Python program shows, this session's checkpoints and the catalogue, by name."""
    mine = {name: network.info for name, network in shown.networks().items()}
    mine |= {name: each.info for name, each in checkpoints.own().items()}
    known = mine | _catalogue(weights_places())
    return known | {name: _described(name, weights_places()) for name in _named_in_the_address() if name not in known}


def subject(name: str, *, trained: bool = True, field: str = "model", framing: str = "") -> Subject:
    """What a page needs to know about a network; rv.WeightsError if its weights are not available.

    Official weights are not downloaded here, because the page would have to wait (see `engines.downloads`).
    """
    info, own = models()[name], checkpoints.own().get(name)
    if trained and not info.here:
        raise rv.WeightsError(catalogue.why_missing(info))
    there = shown.networks().get(name)
    known = there or (own.net if own else outlines.outline(name))
    preprocessing = replace(known.preprocessing, framing="fit" if framing == "fit" else "crop")
    # A network that a program shows has the weights that it has in that program.
    trained = trained or there is not None
    return Subject(name, info.title, known.labels, trained, preprocessing, field, own, there.key if there else "")


def cell_centres(asked: Subject, side: int, cells: int) -> CellCentres:
    """The centres of the cells of a map, in an input of `side` pixels."""
    there = shown.networks().get(asked.model)
    if asked.own:
        return centres_of(asked.own.net.module, side, cells)
    return centres_where(side, cells, centred=there.centred if there else _layers_are_centred(asked.model))


def can_fetch(name: str) -> bool:
    """Whether the weights of a network can be downloaded to where the engine runs."""
    return catalogue.can_download(models().get(name))


def block_names(asked: Subject) -> tuple[str, ...]:
    """The names of a network's blocks, first to last."""
    if asked.own:
        return tuple(asked.own.net.blocks)
    there = shown.networks().get(asked.model)
    return there.blocks if there else _block_names(asked.model)


def parts(name: str) -> tuple[Part, ...]:
    """The architecture of a network, from stem to head; the weights of a catalogue network are not needed."""
    mine, there = checkpoints.own().get(name), shown.networks().get(name)
    if there:
        return there.parts
    return architecture(mine.net) if mine else _parts(name)


@st.cache_data(show_spinner=False, ttl=60)
def curves() -> dict[str, pd.DataFrame]:
    """The training curves of the shipped networks by name; raises rv.WeightsError for a damaged file."""
    return read_curves(name for name, info in models().items() if info.source == "shipped")


def add_upload(data: bytes) -> str:
    """Check an uploaded image and keep its bytes; returns its SHA-256, raises rv.ImageError."""
    name = _uploads().add(data, session())
    names: list[str] = st.session_state.setdefault("own_pictures", [])
    st.session_state["own_pictures"] = [name, *(each for each in names if each != name)]
    return name


def keep_image(data: bytes) -> str:
    """Store the bytes of one of many uploaded images and return their SHA-256. They are opened when they are surveyed."""
    return _uploads().keep(data, session())


def kept_image(name: str) -> bytes:
    """Return the bytes of such an image; MissingImageError if they are no longer there."""
    return _uploads().get(name, session())


def kept_images() -> Callable[[str], bytes]:
    """Return what `kept_image` does for a thread without a session."""
    return partial(_uploads().get, session=session())


def is_here(image: str) -> bool:
    """Whether a sample (by id) or an upload (by SHA-256) is available."""
    return image in samples() or _uploads().holds(image, session())


@st.cache_data(show_spinner=False)
def samples_archive() -> bytes:
    """All sample photos as a ZIP archive, for what asks about many images."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for sample in samples().values():
            archive.writestr(zipfile.ZipInfo(f"{sample.id}.jpg"), sample.data)
    return buffer.getvalue()


@st.cache_resource(show_spinner=False)
def shipped_surveys() -> dict[str, HeldSurvey]:
    """The surveys that ship with the app, by the names of the networks."""
    return read_shipped(samples())


@st.cache_resource(show_spinner=False)
def own_surveys() -> Surveys:
    """The surveys that users created or uploaded, limited for each session."""
    return Surveys()


def own_survey_titles() -> dict[str, str]:
    """The surveys of this session and of the one before a reload, by name, the latest last."""
    return own_surveys().titles(session(), sessions.browser())


@st.cache_resource(show_spinner=False, scope="session", on_release=sessions.gone)
def _connected(name: str) -> str:
    """Kept by Streamlit as long as the session's browser is connected."""
    return name


@st.cache_resource(show_spinner=False, ttl=60, max_entries=4)
def _catalogue(places: Places) -> dict[str, rv.ModelInfo]:  # noqa: ARG001 - the cache's key: new weights change the catalogue
    """Refreshed each minute, and when weights on this machine change; the engine's weights count."""
    return catalogue.known_to(engines.engine())


def _named_in_the_address() -> list[str]:
    """The timm networks that the URL names: it may name any, the lists contain some."""
    named = (query.value(field) or "" for field in ("model", "left", "right"))
    return [name for name in named if name.startswith(timm.PREFIX) and not _refusal(name)]


def refusal(name: str) -> str:
    """Say why a timm network cannot be opened, or return ""."""
    return _refusal(name)


@st.cache_data(show_spinner=False, max_entries=256)
def _refusal(name: str) -> str:
    try:
        describe(name)
    except (ValueError, rv.WeightsError) as error:
        return str(error)
    return ""


@st.cache_data(show_spinner=False, ttl=60, max_entries=64)
def _described(name: str, places: Places) -> rv.ModelInfo:  # noqa: ARG001 - as above
    return describe(name)


@st.cache_data(show_spinner=False, max_entries=64)
def _parts(name: str) -> tuple[Part, ...]:
    return outlines.parts(name)


@st.cache_data(show_spinner=False, max_entries=64)
def _layers_are_centred(name: str) -> bool:
    return outlines.layers_are_centred(name)


@st.cache_data(show_spinner=False, max_entries=64)
def _block_names(name: str) -> tuple[str, ...]:
    return outlines.block_names(name)


@st.cache_resource(show_spinner=False)
def _uploads() -> Uploads:
    return Uploads()


@st.cache_resource(show_spinner=False)
def _pictures() -> Store[Preview | Ground]:
    return Store(PICTURES_BYTES, lambda picture: picture.nbytes, PICTURES_SHARE)


@st.cache_resource(show_spinner=False)
def _charts() -> Charts:
    return Charts()


def _shown(image: str, key: str, make: Callable[[], Encoded]) -> Encoded:
    """An image that is encoded once; an upload's is removed with its session."""
    owner = EVERYBODY if image in samples() else session()
    found = _pictures().get(key, owner)
    if found is None:
        found = make()
        _pictures().put(key, found, owner)
    return cast("Encoded", found)


def _button_picture(name: str, picture: Preview) -> str:
    button = f"[class*='-sample-{name}'] button"
    return f"{button}, {button}:hover {{ background-image: url({picture.thumbnail}); }}"


def _forget(session: str) -> None:
    """Remove what only an ended session used."""
    _uploads().forget(session)
    own_surveys().forget(session)
    _pictures().forget(session)
    _charts().forget(session)


sessions.at_end(_forget)
