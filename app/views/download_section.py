"""Official weights that are not on this machine: the offer to download them, and the progress of the download.

The page stays usable during the download; when the weights have arrived, the requested view is opened.
"""

from dataclasses import replace

import streamlit as st

from app import engines, results, show, state
from app.state import Notice, Selection
from resnet_viz.engine.downloads import DownloadState

EVERY_SECOND = 1.0


def offer(found: Notice) -> None:
    """The button that downloads the weights of `found`, with their size."""
    info = results.models()[found.untrained]
    label = f"Download {info.size / 1e6:,.0f} MB" if info.size else "Download the weights"
    st.button(label, icon=":material/download:", type="primary", on_click=_start, args=(found,))


def random_instead(found: Notice) -> None:
    """The button that shows the network with random weights."""
    label = f"Open {results.models()[found.untrained].title} with random weights"
    st.button(label, on_click=state.change, kwargs=found.random_weights)


def trained_instead(chosen: Selection) -> None:
    """For a network shown with random weights: the button that opens its trained weights, or downloads them first."""
    info = results.models().get(chosen.model)
    if info is None or state.notice() is not None or _awaited() is not None:
        return
    if info.here and info.source in ("shipped", "official"):
        st.button("Use the trained weights", on_click=state.change, kwargs={"model": chosen.model})
    elif results.can_fetch(chosen.model):
        offer(Notice("", chosen.model, replace(chosen, weights="trained", block="", target="", channel="")))


def join(found: Notice) -> bool:
    """Let a person wait for weights that somebody else is downloading; False if nobody is."""
    download = engines.downloads().state(found.untrained)
    if download is None or download.finished:
        return False
    _start(found)
    return True


def waiting() -> None:
    """The progress of the download that this person waits for, if any."""
    if _awaited() is not None:
        _wait()


@st.fragment(run_every=EVERY_SECOND)
def _wait() -> None:
    awaited = _awaited()
    download = engines.downloads().state(awaited.untrained) if awaited else None
    if awaited is None or download is None:
        st.session_state.pop("awaited", None)
        st.rerun()
    elif not download.finished:
        _progress(awaited, download)
    elif download.failure:
        _failure(awaited, download)
    else:
        _arrive(awaited)


def _progress(awaited: Notice, download: DownloadState) -> None:
    title = results.models()[awaited.untrained].title
    done, total = download.done / 1e6, download.total / 1e6
    with st.container(horizontal=True, vertical_alignment="center", key="download"):
        st.progress(
            min(download.done / download.total, 1.0) if download.total else 0.0,
            f"Downloading the weights of {title}: {done:,.0f} of {total:,.0f} MB. The network opens automatically when they "
            f"have arrived.",
        )
        st.button("Cancel", on_click=_cancel, args=(awaited,))


def _failure(awaited: Notice, download: DownloadState) -> None:
    st.error(show.escape(download.failure), icon=":material/error:")
    with st.container(horizontal=True):
        st.button("Try again", icon=":material/refresh:", type="primary", on_click=_start, args=(awaited,))
        random_instead(awaited)
        st.button("Close", on_click=_cancel, args=(awaited,))


def _arrive(awaited: Notice) -> None:
    """Open the requested view, with the image that is now on screen."""
    del st.session_state["awaited"]
    asked, image = awaited.asked, state.selection().image
    state.write(asked if asked.image == image else replace(asked, image=image, target="", channel=""))
    st.rerun()


def _start(found: Notice) -> None:
    st.session_state["awaited"] = found
    st.session_state.pop("notice", None)
    engines.downloads().start(found.untrained, results.session())


def _cancel(awaited: Notice) -> None:
    st.session_state.pop("awaited", None)
    engines.downloads().cancel(awaited.untrained, results.session())


def _awaited() -> Notice | None:
    found: Notice | None = st.session_state.get("awaited")
    return found
