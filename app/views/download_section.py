"""Official weights that are not here yet: the offer to download them, and the wait until they have come.

Someone who waits goes on working; when the weights are here, the view that was asked for is opened.
"""

from dataclasses import replace

import streamlit as st

import controls
import results
import show
from controls import Notice
from resnet_viz.engine.downloads import DownloadState

EVERY_SECOND = 1.0


def offer(found: Notice) -> None:
    """The button that downloads the weights which `found` is about; it says how much that is."""
    info = results.models()[found.untrained]
    label = f"Download {info.size / 1e6:,.0f} MB"
    st.button(label, icon=":material/download:", type="primary", on_click=_start, args=(found,))


def random_instead(found: Notice) -> None:
    """The button that shows the network with random weights."""
    label = f"Look at {results.models()[found.untrained].title} with random weights"
    st.button(label, on_click=controls.change, kwargs=found.random_weights)


def join(found: Notice) -> bool:
    """Let a person wait for weights that somebody else is downloading; False if nobody is."""
    state = results.downloads().state(found.untrained)
    if state is None or state.finished:
        return False
    _start(found)
    return True


def waiting() -> None:
    """How far the download is that this person waits for, if any."""
    if _awaited() is not None:
        _wait()


@st.fragment(run_every=EVERY_SECOND)
def _wait() -> None:
    awaited = _awaited()
    state = results.downloads().state(awaited.untrained) if awaited else None
    if awaited is None or state is None:
        st.session_state.pop("awaited", None)
        st.rerun()
    elif not state.finished:
        _progress(awaited, state)
    elif state.failure:
        _failure(awaited, state)
    else:
        _arrive(awaited)


def _progress(awaited: Notice, state: DownloadState) -> None:
    title = results.models()[awaited.untrained].title
    done, total = state.done / 1e6, state.total / 1e6
    with st.container(horizontal=True, vertical_alignment="center", key="download"):
        st.progress(
            min(state.done / state.total, 1.0),
            f"Downloading the weights of {title}: {done:,.0f} of {total:,.0f} MB. It opens by itself when they are here.",
        )
        st.button("Cancel", on_click=_cancel, args=(awaited,))


def _failure(awaited: Notice, state: DownloadState) -> None:
    st.error(show.escape(state.failure), icon=":material/error:")
    with st.container(horizontal=True):
        st.button("Try again", icon=":material/refresh:", type="primary", on_click=_start, args=(awaited,))
        random_instead(awaited)
        st.button("Close", on_click=_cancel, args=(awaited,))


def _arrive(awaited: Notice) -> None:
    """Open what was asked for, with the picture that is on screen now."""
    del st.session_state["awaited"]
    asked, image = awaited.asked, controls.selection().image
    controls.write(asked if asked.image == image else replace(asked, image=image, target="", channel=""))
    st.rerun()


def _start(found: Notice) -> None:
    st.session_state["awaited"] = found
    st.session_state.pop("notice", None)
    results.downloads().start(found.untrained, results.session())


def _cancel(awaited: Notice) -> None:
    st.session_state.pop("awaited", None)
    results.downloads().cancel(awaited.untrained, results.session())


def _awaited() -> Notice | None:
    found: Notice | None = st.session_state.get("awaited")
    return found
