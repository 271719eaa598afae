"""Selection -> result: the only file with Streamlit's caches, all of them bounded.

What people upload stays in memory, under the SHA-256 of its bytes; a link to it works for whoever has the link, while there is
room.
"""

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st
from PIL import ImageOps

import resnet_viz as rv
from app import checkpoints, middleware, parsers, sessions
from resnet_viz.engine.downloads import Downloads
from resnet_viz.engine.jobs import Engine, EngineError, Job, Option, Ticket
from resnet_viz.engine.local import LocalEngine
from resnet_viz.engine.remote import RemoteEngine
from resnet_viz.engine.settings import Settings
from resnet_viz.engine.store import Store
from resnet_viz.figures.pictures import data_url
from resnet_viz.images import digest
from resnet_viz.lessons import super_resolution_training
from resnet_viz.nets.architecture import Part, architecture
from resnet_viz.nets.curves import read_curves
from resnet_viz.nets.zoo import blueprint

SAMPLES_FOLDER = Path(__file__).parents[1] / "assets" / "samples"
UPLOADS_BYTES, UPLOADS_SHARE = 256 * 2**20, 64 * 2**20
THUMBNAIL = 112


@dataclass(frozen=True)
class Sample:
    """A picture that ships with the app: `label` is its class in the data set, None for a photo; `digest` its SHA-256."""

    id: str
    title: str
    label: str | None
    data: bytes
    digest: str


@dataclass(frozen=True, eq=False)
class Subject:
    """A network as pages know it: the network itself is where the engine is.

    `field` is the selection's field that names it, `own` the session's own checkpoint.
    """

    model: str
    title: str
    labels: tuple[str, ...]
    trained: bool
    field: str = "model"
    own: checkpoints.Own | None = None


class MissingImageError(LookupError):
    """A link to an image that this server does not hold; the message is for the user."""


def session() -> str:
    """The name of the session that asks, which has ended some time after its browser has gone."""
    sessions.present(name := _connected(sessions.name()))
    return name


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
    here = tuple(info.name for info in rv.list_models() if info.here)
    return {name: mine.info for name, mine in checkpoints.own().items()} | _catalogue(here)


def subject(name: str, *, trained: bool = True, field: str = "model") -> Subject:
    """What a page must know of a network; rv.WeightsError with a sentence where its weights are not here.

    Official weights are not fetched here, where a page waits for them: see `downloads`.
    """
    info, own = models()[name], checkpoints.own().get(name)
    if trained and not info.here:
        raise rv.WeightsError(_missing(info))
    return Subject(name, info.title, (own.net if own else _blueprint(name)).labels, trained, field, own)


def can_fetch(name: str) -> bool:
    """Whether the weights of a network can be brought from the web to where jobs go.

    They come to this machine, which is no use to an engine on another one, unless RESNET_VIZ_SHARED_WEIGHTS=1 says that both
    have one folder.
    """
    shared = not os.environ.get("RESNET_VIZ_ENGINE") or os.environ.get("RESNET_VIZ_SHARED_WEIGHTS") == "1"
    info = models().get(name)
    return shared and info is not None and info.source == "official"


def block_names(asked: Subject) -> tuple[str, ...]:
    """The names of a network's blocks, first to last."""
    return tuple((asked.own.net if asked.own else _blueprint(asked.model)).blocks)


@st.cache_resource(show_spinner=False)
def downloads() -> Downloads:
    """Official weights on their way here, shared by everybody on this server."""
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
    parsers.parsers().open_image(data)
    name = digest(data)
    _uploads().put(name, data, session())
    return name


def submit(asked: Subject, kind: str, image: str, target: int | None, view: str = "", **options: Option) -> Ticket:
    """Ask the engine about a sample (by id) or an upload (by SHA-256); what is not an option of the kind gets a sentence later.

    Raises MissingImageError when the picture is not here, EngineError or middleware.TooOftenError where the job is not taken.
    """
    data, sha256 = _picture(image)
    job = Job(
        kind=kind,
        model=asked.model,
        image=sha256,
        target=target,
        options=tuple(sorted(options.items())),
        trained=asked.trained,
        owner=asked.own.revision if asked.own else "",
        data=data,
        public=image in samples(),
    )
    if asked.own:
        # Somebody's own network is nowhere but here.
        return _admitted(local_engine().submit(job, session(), view, asked.own.net))
    return _admitted(engine().submit(job, session(), view))


def practise(kind: str, view: str = "", **options: Option) -> Ticket:
    """Ask for an experiment of a lesson that makes its own networks and signals; nobody's inspection waits for it."""
    job = Job(kind, model="", image="", options=tuple(sorted(options.items())), public=True)
    return _admitted(_workshop().submit(job, session(), view))


@st.cache_resource(show_spinner=False)
def prepare_lessons() -> None:
    """Have the slow imports of lessons done while nobody waits for them yet."""
    threading.Thread(target=super_resolution_training.prepare, daemon=True).start()


@st.cache_resource(show_spinner=False)
def engine() -> Engine:
    """Where jobs go: to the engine that RESNET_VIZ_ENGINE names, or into this process."""
    address = os.environ.get("RESNET_VIZ_ENGINE", "")
    return RemoteEngine(address, os.environ.get("RESNET_VIZ_TOKEN", ""), Settings.of()) if address else local_engine()


@st.cache_resource(show_spinner=False)
def local_engine() -> LocalEngine:
    """The engine in this process."""
    return LocalEngine(Settings.of(), opener=parsers.parsers().open_image)


def _missing(info: rv.ModelInfo) -> str:
    if info.source != "official":
        return f"No trained weights of {info.title} are shipped with this copy: take another one, or look at random weights."
    if not can_fetch(info.name):
        return f"The engine does not have the weights of {info.title}: ask whoever runs it for them, or look at random weights."
    return f"The weights of {info.title} are not on this machine yet."


def _admitted(ticket: Ticket) -> Ticket:
    """Count what has to be computed; what is there already costs nothing."""
    if not ticket.finished:
        try:
            middleware.admit("computation")
        except middleware.TooOftenError:
            ticket.cancel()
            raise
    return ticket


@st.cache_resource(show_spinner=False)
def _workshop() -> LocalEngine:
    return LocalEngine(Settings.of(), opener=parsers.parsers().open_image)


@st.cache_resource(show_spinner=False, scope="session", on_release=sessions.gone)
def _connected(name: str) -> str:
    """Kept by Streamlit as long as the session's browser is there."""
    return name


def _picture(image: str) -> tuple[bytes, str]:
    """Return the bytes and their SHA-256, which is an upload's name already."""
    if image in samples():
        return samples()[image].data, samples()[image].digest
    data = _uploads().get(image, session())
    if data is None:
        raise MissingImageError(
            "The picture of this link is not on this server any more: uploads live in memory only."
            " Upload it again, or pick a sample."
        )
    return data, image


@st.cache_data(show_spinner=False, ttl=60)
def _catalogue(here: tuple[str, ...]) -> dict[str, rv.ModelInfo]:  # noqa: ARG001 - other weights here, another catalogue
    """Looked up again each minute, and when weights come or go here; those count that are where jobs go."""
    try:
        found = engine().models()
    except EngineError:
        # While the engine is away, what is here is the best guess.
        found = rv.list_models()
    return {info.name: info for info in found}


@st.cache_data(show_spinner=False, max_entries=64)
def _parts(name: str) -> tuple[Part, ...]:
    return architecture(_blueprint(name))


@st.cache_resource(show_spinner=False, max_entries=64)
def _blueprint(name: str) -> rv.Net:
    return blueprint(name)


@st.cache_resource(show_spinner=False)
def _uploads() -> Store[bytes]:
    return Store(UPLOADS_BYTES, len, UPLOADS_SHARE)


def _forget(session: str) -> None:
    """Drop what only a session that has ended had."""
    _uploads().forget(session)
    for each in {id(each): each for each in (engine(), local_engine(), _workshop())}.values():
        each.leave(session)


sessions.at_end(_forget)
