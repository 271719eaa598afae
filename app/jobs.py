"""The way from a page to the engines: what a page asks becomes a job, and a job that must be computed is counted.

Each function raises EngineError or middleware.TooOftenError if the job is not accepted; an invalid option gets its sentence
from the ticket.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from app import checkpoints, engines, middleware, results, shown
from app.catalogue import Subject
from resnet_viz.engine.jobs import Job, OptionValue, Ticket
from resnet_viz.images import digest


def submit(asked: Subject, kind: str, image: str, target: int | None, view: str = "", **options: OptionValue) -> Ticket:
    """Submit a job about a sample (by id) or an upload (by SHA-256); MissingImageError if the image is not held."""
    return _send(asked, view, _image_job(asked, kind, image, target, options))


def prepare(
    asked: Subject, kind: str, image: str, target: int | None, view: str, **options: OptionValue
) -> Callable[[], Ticket]:
    """Prepare what `submit` does for a thread without a session; MissingImageError if the image is not held.

    It is not counted as a computation: a report asks for the maps of blocks of one inspection, which mostly are there.
    """
    return _sending(asked, view, _image_job(asked, kind, image, target, options))


def submit_archive(asked: Subject, archive: bytes, view: str, kind: str = "survey", **options: OptionValue) -> Ticket:
    """Submit a survey of the images in a ZIP archive, or another `kind` of job."""
    about = {"image": digest(archive), "data": archive}
    return _send(asked, view, _job(asked, kind, options, framing=asked.preprocessing.framing, **about))


def archive_sender(asked: Subject, kind: str = "survey", **options: OptionValue) -> Callable[[bytes, str], Ticket]:
    """Prepare what `submit_archive` does for a thread without a session: a function of an archive and a view."""
    session, way = results.session(), _way_to_engine(asked)

    def send(archive: bytes, view: str) -> Ticket:
        about = {"image": digest(archive), "data": archive}
        job = _job(asked, kind, options, framing=asked.preprocessing.framing, **about)
        return _admitted(way(job, session, view), session)

    return send


def submit_labelled(asked: Subject, archive: bytes, labels: Sequence[int], view: str) -> Ticket:
    """Ask the engine to classify the images of a ZIP archive: `labels` are the indices of their classes, in its order."""
    return submit_archive(asked, archive, view, "accuracy", labels=",".join(map(str, labels)))


def submit_without_image(asked: Subject, kind: str, view: str, **options: OptionValue) -> Ticket:
    """Submit a job about a network alone."""
    return _send(asked, view, _job(asked, kind, options, image="", public=True))


def submit_experiment(kind: str, view: str = "", **options: OptionValue) -> Ticket:
    """Submit an experiment of a lesson that builds its own networks and signals; it does not delay inspections."""
    job = Job(kind, model="", image="", options=tuple(sorted(options.items())), public=True)
    return _admitted(engines.workshop().submit(job, results.session(), view))


def submit_verdict(waiting: checkpoints.Pending) -> Ticket:
    """Ask which network a file of this session is; it does not delay inspections."""
    checkpoint = waiting.checkpoint
    if checkpoint is None:
        raise ValueError(f"{waiting.file} holds several networks: choose one of them first")
    # The same bytes may hold several networks.
    job = Job("verdict", checkpoint.name, image="", options=(("part", checkpoint.part),), owner=results.session())
    return _admitted(engines.workshop().submit(job, results.session(), "verdict", checkpoint=checkpoint))


def _image_job(asked: Subject, kind: str, image: str, target: int | None, options: Mapping[str, OptionValue]) -> Job:
    data, sha256 = results.image_data(image)
    about = {"image": sha256, "data": data, "target": target, "public": image in results.samples()}
    return _job(asked, kind, options, framing=asked.preprocessing.framing, **about)


def _job(asked: Subject, kind: str, options: Mapping[str, OptionValue], **about: Any) -> Job:  # noqa: ANN401 - fields of a job
    """A job about a network, under the name that its engine uses."""
    return Job(
        kind=kind,
        model=asked.name_in_engine,
        options=tuple(sorted(options.items())),
        trained=asked.trained,
        owner=asked.own.revision if asked.own else "",
        **about,
    )


def _send(asked: Subject, view: str, job: Job) -> Ticket:
    return _admitted(_sending(asked, view, job)())


def _sending(asked: Subject, view: str, job: Job) -> Callable[[], Ticket]:
    """What submits a job to the engine that has its network; it needs no session."""
    return partial(_way_to_engine(asked), job, results.session(), view)


def _way_to_engine(asked: Subject) -> Callable[..., Ticket]:
    """What submits jobs, with their sessions and views, to the engine that has the network."""
    if asked.own:
        # A session's own network exists only in this process.
        return partial(engines.local_engine().submit, net=asked.own.net)
    engine = shown.engine() if asked.shown else engines.engine()
    return engine.submit


def _admitted(ticket: Ticket, session: str = "") -> Ticket:
    """Count jobs that have to be computed, by default for this session; results that are already there do not count."""
    if not ticket.finished:
        try:
            middleware.admit("computation", session)
        except middleware.TooOftenError:
            ticket.cancel()
            raise
    return ticket
