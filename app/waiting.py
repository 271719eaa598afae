"""Requests to the engine: progress while it computes, a sentence if there is no answer, and the last good view stays."""

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeGuard, TypeVar, cast

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

import resnet_viz as rv
from app import jobs, middleware, query, results, state, turns
from app.catalogue import Subject
from app.show import escape
from app.state import Selection
from app.uploads import MissingImageError
from resnet_viz.analyses.activations import Array
from resnet_viz.counting import counted
from resnet_viz.engine.jobs import AwayError, EngineError, JobCancelledError, OptionValue, Progress, Ticket
from resnet_viz.engine.shown import PREFIX as SHOWN
from resnet_viz.nets.families.timm import PREFIX as TIMM

POLL, PREVIEW_EVERY = 0.05, 1.0
# Seconds until progress is first shown, and how long an answer must still take for progress to be worth showing.
SIGN_AFTER, LONG = 0.3, 1.0

# Seconds to wait for what is expected to be there, also on the way from an engine elsewhere.
AT_HAND = 2.0

Found = TypeVar("Found")
ShowPartial = Callable[[Array], None]


class NoWeightsError(LookupError):
    """The trained weights of `model`, named by the selection's `field`, are not available; the message is for the user."""

    def __init__(self, sentence: str, field: str, model: str) -> None:
        super().__init__(sentence)
        self.field = field
        self.model = model


# Exceptions with a message for the user.
SENTENCES = (NoWeightsError, MissingImageError, rv.ImageError, EngineError, middleware.TooOftenError, ValueError)


def first_good(attempts: Iterable[Selection], ask: Callable[[Selection], Found]) -> tuple[Selection, Found] | None:
    """Return the first selection that is available with its answer, and show a complaint if an earlier one was not."""
    for attempt in attempts:
        try:
            return attempt, ask(attempt)
        except NoWeightsError as error:
            state.complain(str(error), error.model, error.field)
        except AwayError as error:
            state.complain(str(error), away=True)
        except SENTENCES as error:
            state.complain(str(error))
    return None


def network(model: str, *, trained: bool, field: str = "model", framing: str = "") -> Subject:
    """Return a network of the catalogue, with the framing of the photo that it receives.

    ValueError for one that is not in the catalogue, NoWeightsError if its weights are not available.
    """
    if model not in results.models():
        raise ValueError(unknown(model))
    try:
        return results.subject(model, trained=trained, field=field, framing=framing)
    except rv.WeightsError as error:
        raise NoWeightsError(str(error), field, model) from error


def unknown(model: str) -> str:
    """Say why a network that a link names is not in the list."""
    if model.startswith(SHOWN):
        return (
            "The network of this link was shown by a Python program that has ended, or has shown it under another name. Run"
            " rv.show(net) again and open the address that it returns."
        )
    if model.startswith(TIMM):
        return results.refusal(query.shortened(model))
    if model.startswith("checkpoint-"):
        return (
            "The checkpoint of this link is not available here: a checkpoint can only be used in the browser that opened it, "
            "at most two at a time, and is removed shortly after its page is closed or when the server restarts. Open the file "
            "again on the Model page."
        )
    return f"There is no network called {query.shortened(model)}. Choose one from the list."


def inspection(subject: Subject, image: str, target: int | None, block: str) -> rv.Inspection:
    """Inspect an image block by block; raises what `first_good` handles."""
    view = f"inspection {subject.field}"
    return cast("rv.Inspection", _ask(subject, "block", "inspection", image, target, view, block=block))


def attempt(subject: Subject, unit: str, kind: str, image: str, view: str, **options: OptionValue) -> Any:  # noqa: ANN401 - each kind's own result
    """Submit and wait as `answer` does, for a result that a page can do without; raises what `first_good` handles."""
    return _ask(subject, unit, kind, image, None, view, **options)


def answer(
    subject: Subject, unit: str, kind: str, image: str, target: int | None, view: str = "", **options: OptionValue
) -> Any:  # noqa: ANN401 - each kind's own result
    """Submit and wait, with progress in units such as "block"; if there is no answer, the page ends with a message."""
    try:
        return _ask(subject, unit, kind, image, target, view, **options)
    except SENTENCES as error:
        _refuse(error)
        st.stop()


def at_hand(ask: Callable[[], Ticket]) -> Any | None:  # noqa: ANN401 - each kind's own result
    """Return an answer that the page has shown already, without progress; None if it is not there."""
    try:
        ticket = ask()
        try:
            is_there = ticket.wait(0)
            if not is_there:
                with turns.paused():
                    is_there = ticket.wait(AT_HAND)
            return ticket.answer() if is_there else None
        finally:
            ticket.cancel()
    except (*SENTENCES, JobCancelledError, rv.WeightsError):
        return None


def about_network(subject: Subject, kind: str, view: str, **options: OptionValue) -> Any:  # noqa: ANN401 - each kind's own result
    """Submit a job about a network alone and wait; if there is no answer, the page ends with a message."""
    try:
        return _wait(jobs.submit_without_image(subject, kind, view, **options), subject, lambda _: None)
    except SENTENCES as error:
        _refuse(error)
        st.stop()


def _ask(subject: Subject, unit: str, kind: str, image: str, target: int | None, view: str, **options: OptionValue) -> Any:  # noqa: ANN401 - each kind's own result
    place = st.empty()

    def show(progress: Progress) -> None:
        place.progress(*_progress(subject.title, unit, progress))

    try:
        return _wait(jobs.submit(subject, kind, image, target, view, **options), subject, show)
    finally:
        place.empty()


@contextmanager
def begun(key: Hashable, ask: Callable[[], Ticket]) -> Iterator[Callable[[], Ticket]]:
    """Submit a `long` job before the page above it is drawn; yields a function that returns its ticket in its place.

    A stopped job is not submitted, and a failed one is submitted again in its place, which shows the reason.
    """
    ticket = None
    if not is_stopped(key):
        with suppress(*SENTENCES):
            ticket = ask()
    try:
        yield ask if ticket is None else lambda: ticket
    finally:
        if ticket is not None:
            ticket.cancel()


def long(
    what: str,
    key: Hashable,
    asks: Sequence[Callable[[], Ticket]],
    subject: Subject | None = None,
    preview: ShowPartial | None = None,
    resume: Callable[[], None] | None = None,
) -> list[Any] | None:
    """Submit long jobs one after the other, with progress and a button that stops them.

    None while they are stopped, with the partial result on the page if `preview` draws one; without an answer, a sentence.

    `key` identifies the request: a new one is not stopped. `what` names its steps; `subject` is the network of the request, if
    it is one of the catalogue's; `preview` draws the partial map or curve.
    """
    if is_stopped(key):
        _show_stopped(key, preview, resume)
        return None
    place = st.empty()
    display = _Stoppable(place, what, key, subject.title if subject else "", len(asks), preview)
    try:
        found = []
        for number, ask in enumerate(asks):
            display.number = number
            found.append(_wait(ask(), subject, display.show))
    except SENTENCES as error:
        place.empty()
        _refuse(error)
        return None
    finally:
        place.empty()
    return found


def _show_stopped(key: Hashable, preview: ShowPartial | None, resume: Callable[[], None] | None) -> None:
    """Say where it was stopped, with the button to go on, or to start again, and the partial result."""
    kept: _Kept | None = st.session_state.get("partial")
    kept = kept if kept is not None and kept.key == key else None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Stopped at {kept.what} {kept.done} of {kept.total}." if kept else "Stopped.")
        st.button("Resume" if resume else "Start again", key="resume", on_click=_go_on, args=(resume,))
    # A training draws its own curves.
    if kept is not None and preview is not None and resume is None:
        preview(kept.partial)


def _go_on(resume: Callable[[], None] | None) -> None:
    st.session_state.pop("stopped", None)
    if resume is not None:
        resume()


@dataclass(frozen=True, eq=False)
class _Kept:
    """The latest partial result of what a session watches."""

    key: Hashable
    what: str
    done: int
    total: int
    partial: Array


class _Stoppable:
    """Progress with a button that stops, and below it the partial map."""

    def __init__(
        self, place: DeltaGenerator, what: str, key: Hashable, title: str, count: int, preview: ShowPartial | None
    ) -> None:
        self._place, self._what, self._key, self._title, self._count, self._preview = place, what, key, title, count, preview
        self._bar: DeltaGenerator | None = None
        self._picture: DeltaGenerator | None = None
        self._drawn: Array | None = None
        self._drawn_at = 0.0
        self.number = 0

    def show(self, progress: Progress) -> None:
        if self._bar is None:
            with self._place.container(key=f"stoppable-{hash(self._key)}"):
                with st.container(horizontal=True, vertical_alignment="center"):
                    self._bar = st.empty()
                    st.button("Stop", key=f"stop-{hash(self._key)}", on_click=_stop, args=(self._key,))
                self._picture = st.empty()
        if self._count > 1:
            share = (progress.done / progress.total if progress.total else 0.0) + self.number
            text = _about(self._title, f"{self._what} {self.number + 1} of {self._count}")
            self._bar.progress(share / self._count, _waiting(progress) or text)
        else:
            self._bar.progress(*_progress(self._title, self._what, progress))
        if self._preview and self._picture and self._is_news(progress.partial):
            self._drawn, self._drawn_at = progress.partial, time.monotonic()
            what = self._what.rsplit(" ", 1)[-1]
            st.session_state["partial"] = _Kept(self._key, what, progress.done, progress.total, progress.partial)
            with self._picture.container():
                self._preview(progress.partial)

    def _is_news(self, partial: Array | None) -> TypeGuard[Array]:
        if partial is None or time.monotonic() - self._drawn_at < PREVIEW_EVERY:
            return False
        return self._drawn is None or not np.array_equal(partial, self._drawn)


def _wait(ticket: Ticket, subject: Subject | None, show: Callable[[Progress], None]) -> Any:  # noqa: ANN401 - each kind's own result
    """Wait for the answer; when a newer request has replaced this script, Streamlit stops it where it shows something."""
    started = time.monotonic()
    try:
        if not ticket.wait(0):
            with turns.paused():
                while not ticket.wait(POLL):
                    progress = ticket.progress
                    if _is_worth_showing(time.monotonic() - started, progress):
                        show(progress)
        return ticket.answer()
    except rv.WeightsError as error:
        if subject is None:
            raise
        raise NoWeightsError(str(error), subject.field, subject.model) from error
    except JobCancelledError:
        # A newer script of this session has requested something else.
        st.stop()
    finally:
        ticket.cancel()


def _is_worth_showing(elapsed: float, progress: Progress) -> bool:
    """A partial map is shown immediately, other progress after a while; neither if the answer will arrive soon."""
    soon = progress.done > 0 and elapsed * progress.total / progress.done < LONG
    return not soon and (progress.partial is not None or elapsed > SIGN_AFTER)


def _progress(title: str, unit: str, progress: Progress) -> tuple[float, str]:
    if not progress.total:
        return 0.0, _waiting(progress) or _about(title, "starting")
    return progress.done / progress.total, _about(title, f"{unit} {progress.done} of {progress.total}")


def _about(title: str, text: str) -> str:
    """A complaint about a network, or about nothing in particular."""
    return f"{title}: {text}" if title else text[:1].upper() + text[1:]


def _waiting(progress: Progress) -> str:
    """Say how many jobs are ahead; nothing once it runs."""
    if progress.ahead is None:
        return ""
    if progress.ahead == 0:
        return "You are next."
    return ahead_in_words(progress.ahead)


def ahead_in_words(ahead: int) -> str:
    """Say how many jobs are ahead."""
    return f"{counted(ahead, 'analysis is', 'analyses are')} before yours."


def _refuse(error: Exception) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.warning(escape(str(error)), icon=":material/error:")
        st.button("Try again", key=f"again-{hash(str(error))}", icon=":material/refresh:")


def is_stopped(key: Hashable) -> bool:
    """Whether the user has stopped the request that `key` identifies."""
    return bool(st.session_state.get("stopped") == key)


def _stop(key: Hashable) -> None:
    st.session_state["stopped"] = key
