"""The progress of a survey of uploaded images, in a part of the page that is redrawn alone: the rest can be used meanwhile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import streamlit as st

import resnet_viz as rv
from app import jobs, middleware, results, show, state, waiting
from app.settings import settings
from app.survey_runs import SurveyJob, SurveyRun
from app.surveys import HeldSurvey, title_of
from app.views import brought_images
from app.views.brought_images import BroughtImage
from resnet_viz.analyses.survey.manifest import Manifest
from resnet_viz.analyses.survey.parts import unused
from resnet_viz.counting import counted
from resnet_viz.engine.jobs import EngineError, Ticket

STRONGEST = 6
# Seconds between two looks at a survey that runs.
EVERY = 0.7
MOST_NAMED = 3
KEY, PAGE = "survey_making", "Survey"
# After these the same survey may go on.
RESUMABLE = (EngineError, middleware.TooOftenError, rv.WeightsError)
NOT_UPLOADED = "This file was not uploaded: the server refused it. Choose it again, or pack all images into an archive."


@dataclass(frozen=True)
class Making:
    """A survey that is being made: its network, its images, what to call them, and the files that were refused on their way.

    `run` has the parts that are finished, once it has begun.
    """

    model: str
    trained: bool
    framing: str
    images: tuple[BroughtImage, ...]
    title: str
    missing: tuple[str, ...] = ()
    run: list[SurveyRun] = field(default_factory=list, compare=False)


def making() -> Making | None:
    """The survey that this session is making."""
    found: Making | None = st.session_state.get(KEY)
    return found


def begin(wanted: Making) -> None:
    """Make a survey in place of another one. With missing files, it waits for the person."""
    discard()
    st.session_state[KEY] = wanted
    if not wanted.missing:
        _start(wanted)


def discard() -> None:
    """Give up the survey that is being made."""
    found: Making | None = st.session_state.pop(KEY, None)
    for run in found.run if found is not None else ():
        run.stop()


def section(wanted: Making) -> None:
    """What is missing, or the progress with a button that stops; then the survey opens."""
    if not wanted.run:
        _ask_whether_to_start(wanted)
        return
    run = wanted.run[0]
    if run.is_running:
        st.fragment(_progress, run_every=EVERY)(wanted, run)
    else:
        _end(wanted, run)


def add(held: HeldSurvey) -> None:
    """Keep a survey and open it."""
    name = results.own_surveys().add(held, results.session())
    state.change(survey=name, picked="")


def why_missing() -> str:
    """Say why files were refused."""
    most = settings().uploads_per_minute
    if not most:
        return "The server's memory for uploads is full, or the files are too large."
    return f"At most {most} files are accepted per minute, and only as long as the server has memory for them."


def _ask_whether_to_start(wanted: Making) -> None:
    count, rest = len(wanted.missing), len(wanted.images)
    named = ", ".join(wanted.missing[:MOST_NAMED])
    others = f" and {count - MOST_NAMED} more" if count > MOST_NAMED else ""
    verb = "was" if count == 1 else "were"
    st.warning(
        show.escape(
            f"{count} of {count + rest} files {verb} not uploaded: {named}{others}. {why_missing()} Survey the other"
            f" {counted(rest, 'image')}, or pack all of them into an archive and choose that."
        ),
        icon=":material/error:",
    )
    with st.container(horizontal=True):
        st.button(f"Survey the other {counted(rest, 'image')}", type="primary", on_click=_start, args=(wanted,))
        st.button("Discard these images", on_click=discard)


def _start(wanted: Making) -> None:
    try:
        subject = waiting.network(wanted.model, trained=wanted.trained, framing=wanted.framing)
    except waiting.SENTENCES as error:
        st.session_state.pop(KEY, None)
        state.tell(str(error), PAGE)
        return
    send, read = jobs.archive_sender(subject, strongest=STRONGEST), results.kept_images()
    parts = [SurveyJob(partial(_submit, send, read, job), len(job)) for job in brought_images.jobs(wanted.images)]
    wanted.run[:] = [SurveyRun(parts)]
    wanted.run[0].start()


def _submit(
    send: Callable[[bytes, str], Ticket], read: Callable[[str], bytes], job: Sequence[BroughtImage], view: str
) -> Ticket:
    return send(brought_images.packed(job, read), view)


def _progress(wanted: Making, run: SurveyRun) -> None:
    """Redrawn alone as long as the survey runs; then the whole page is drawn."""
    if making() is not wanted or not run.is_running:
        st.rerun()
    _caption(wanted)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(run.done / run.total, in_words(run))
        st.button("Stop", key="survey-stop", on_click=run.stop)


def _end(wanted: Making, run: SurveyRun) -> None:
    if run.is_finished:
        _finish(wanted, run)
        st.rerun()
    if run.error is None or isinstance(run.error, RESUMABLE):
        _caption(wanted)
        _stopped(run)
    elif isinstance(run.error, waiting.SENTENCES):
        discard()
        state.tell(str(run.error), PAGE)
        st.rerun()
    else:
        discard()
        raise run.error


def _caption(wanted: Making) -> None:
    network = results.models()[wanted.model].title if wanted.model in results.models() else wanted.model
    st.caption(show.escape(f"{wanted.title}, by {network}"))


def _stopped(run: SurveyRun) -> None:
    reason = f" {run.error}" if run.error is not None else ""
    text = f"Stopped after {run.done:,} of {counted(run.total, 'image')}.{reason}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(show.escape(text))
        st.button("Resume", key="survey-resume", on_click=run.start)
        st.button("Discard these images", key="survey-discard", on_click=discard)


def in_words(run: SurveyRun) -> str:
    """Write how far a survey is, and the time that is left."""
    if run.ahead:
        return waiting.ahead_in_words(run.ahead)
    left = run.seconds_left
    time_left = "" if left is None else f", {_spoken(left)} left"
    return f"{run.done:,} of {counted(run.total, 'image')}{time_left}"


def _spoken(seconds: float) -> str:
    if seconds < 60:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min"


def _finish(wanted: Making, run: SurveyRun) -> None:
    st.session_state.pop(KEY, None)
    manifest = replace(Manifest.from_json(run.found[0].manifest_json), images=wanted.title)
    parts = [each.part for each in run.found]
    if wanted.missing:
        parts.append(unused(_unique(wanted), NOT_UPLOADED, manifest))
    images = {image.name: image.sha256 for image in wanted.images}
    try:
        add(HeldSurvey(rv.Survey.of_parts(manifest, parts), title_of(manifest, wanted.title), images))
    except rv.SurveyError as error:
        state.tell(str(error), PAGE)


def _unique(wanted: Making) -> list[str]:
    """The names of the missing files, which are unique in the survey."""
    taken = {image.name for image in wanted.images}
    found = []
    for name in wanted.missing:
        unique = name if name not in taken else f"{len(taken)} {name}"
        taken.add(unique)
        found.append(unique)
    return found
