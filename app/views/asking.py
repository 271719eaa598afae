"""Asking for results: progress while it lasts, a sentence when something cannot be had, and the last good view stays."""

import time
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

import controls
import resnet_viz as rv
import results
from controls import Selection

PROGRESS_AFTER = 0.3

Answer = TypeVar("Answer")


class NoWeightsError(LookupError):
    """The trained weights of `model`, which the selection's `field` names, cannot be had; the message is for the user."""

    def __init__(self, sentence: str, field: str, model: str) -> None:
        super().__init__(sentence)
        self.field = field
        self.model = model


def first_good(attempts: Iterable[Selection], ask: Callable[[Selection], Answer]) -> tuple[Selection, Answer] | None:
    """Return the first selection that can be had and its answer, with a complaint if there was one before it."""
    for attempt in attempts:
        try:
            return attempt, ask(attempt)
        except NoWeightsError as error:
            controls.complain(str(error), error.model, error.field)
        except (results.MissingImageError, rv.ImageError, ValueError) as error:
            controls.complain(str(error))
    return None


def network(model: str, *, trained: bool, field: str = "model") -> rv.Net:
    """Open a network of the catalogue; ValueError for one that is not in it, NoWeightsError where its weights are away."""
    if model not in results.models():
        raise ValueError(unknown(model))
    try:
        with st.spinner(f"Opening {results.models()[model].title}"):
            return results.net(model, trained=trained)
    except rv.WeightsError as error:
        raise NoWeightsError(str(error), field, model) from error


def unknown(model: str) -> str:
    """Say why a network that a link names is not in the list."""
    if model.startswith("checkpoint-"):
        return "The checkpoint of this link lives in the session of whoever brought it: bring yours on the Model page."
    return f"There is no network called {model}: choose one from the list."


def inspection(net: rv.Net, image: str, target: int | None, block: str) -> rv.Inspection:
    """Inspect a picture block by block; errors as of `results.inspection`."""
    progress, started = st.empty(), time.monotonic()

    def on_block(done: int, total: int) -> None:
        # Streamlit stops a script that was overtaken by a newer request here, and with it the inspection.
        if time.monotonic() - started > PROGRESS_AFTER:
            progress.progress(done / total, f"{net.title}: block {done} of {total}")

    try:
        return results.inspection(net, image, target, block, on_block)
    finally:
        progress.empty()


def stoppable(title: str, key: Hashable, compute: Callable[[Callable[[int, int], None]], Answer]) -> Answer | None:
    """Compute something long, with progress and a button that stops it; None while it is stopped, until asked for again.

    `key` tells one thing from another: what is asked for anew is not stopped. `compute` is given a function that takes how
    much is done of how much.
    """
    if st.session_state.get("stopped") == key:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Stopped. Nothing was lost.")
            st.button("Compute it after all", on_click=st.session_state.pop, args=("stopped", None))
        return None
    place, started = st.empty(), time.monotonic()
    shown = False

    def report(done: int, total: int) -> None:
        nonlocal shown
        if time.monotonic() - started < PROGRESS_AFTER:
            return
        if not shown:
            shown = True
            with place.container(horizontal=True, vertical_alignment="center", key=f"stoppable-{hash(key)}"):
                bar.append(st.progress(0.0))
                st.button("Stop", key=f"stop-{hash(key)}", on_click=_stop, args=(key,))
        # Streamlit stops a script that was overtaken here, and with it what it computes.
        bar[0].progress(done / total, f"{title}: {done} of {total}")

    bar: list[DeltaGenerator] = []
    try:
        return compute(report)
    finally:
        place.empty()


def _stop(key: Hashable) -> None:
    st.session_state["stopped"] = key
