"""An image for a lesson: one of the samples, or a photo that the person uploads in the lesson."""

import streamlit as st

import resnet_viz as rv
from app import embedded, middleware, results, show
from app.settings import settings
from app.views.lessons import lesson, subject
from app.views.picture_section import upload_types
from resnet_viz.images import MAX_BYTES


def picker() -> str:
    """The samples, and beside them a place to drop a photo; returns the image's name."""
    shown = subject.picture_picker()
    turn = f"lesson-upload-{st.session_state.setdefault('uploads', 0)}"
    with st.popover("Your own photo", icon=":material/add_photo_alternate:", key="lesson-own-photo"):
        if embedded.takes_uploads():
            st.file_uploader(
                "Drop a photo",
                upload_types(),
                max_upload_size=settings().offered_mb(MAX_BYTES >> 20),
                key=turn,
                on_change=_take,
                args=(turn,),
            )
        st.caption("Your photo is kept in this server's memory only.")
    refused = st.session_state.pop("lesson_refused", "")
    if refused:
        st.error(show.escape(refused), icon=":material/error:")
    return shown


def _take(key: str) -> None:
    """Accept a photo. An invalid file gets a message and changes nothing."""
    given = st.session_state[key]
    if given is None:
        return
    # A new key empties the widget, so that the same file can be uploaded twice.
    st.session_state["uploads"] += 1
    try:
        middleware.admit("upload")
        lesson.change(image=results.add_upload(given.getvalue()))
    except (rv.ImageError, middleware.TooOftenError) as error:
        st.session_state["lesson_refused"] = str(error)
    finally:
        middleware.let_go(given)
