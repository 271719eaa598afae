"""The top of the page: the network, the class, the image, and the network's predictions."""

from collections.abc import Callable
from functools import partial

import streamlit as st
from streamlit.elements.widgets.chat import ChatInputValue
from streamlit.runtime.uploaded_file_manager import UploadedFile

import resnet_viz as rv
from app import embedded, first_chart, middleware, results, show, state, waiting
from app.catalogue import Subject
from app.settings import settings
from app.state import Selection
from app.views import away_section, classes_section, download_section, introduction, network_picker, photo_section
from app.views.share_section import Shared, share
from resnet_viz.images import MAX_BYTES

OPENED = ["jpg", "jpeg", "jfif", "jpe", "pjpeg", "png", "webp", "avif", "hif", "gif", "bmp", "tif", "tiff"]
CONVERTED = ["heic", "heif"]
SHOWN = "notice_shown"


def header(result: rv.Inspection, chosen: Selection, shared: Callable[[], Shared | None]) -> None:
    """The product's name, the network in words, the two pickers, and the way to take the view away."""
    info = results.models()[chosen.model]
    with st.container(horizontal=True, vertical_alignment="bottom", key="header"):
        size = f"{info.params / 1e6:.2f}\N{NO-BREAK SPACE}M\N{NO-BREAK SPACE}parameters"
        show.product(f"{info.title} · {info.task} · {size} · {result.device}")
        introduction.introduction()
        network_picker.network_picker(chosen)
        _target_picker(result, chosen)
        share(shared)
    if not result.weights.trained:
        st.warning(f"{info.title} is {result.weights.note}. Nothing below was learned from data.", icon=":material/casino:")
        download_section.trained_instead(chosen)
    elif result.weights.source == "checkpoint":
        st.caption(show.escape(f"{info.title}: {result.weights.note}."))


def notice() -> None:
    """The last error, with a way out of it, and the download in progress."""
    found = state.notice()
    st.session_state[SHOWN] = found
    if found is not None and found.away:
        away_section.wait(found)
        return
    fetchable = found is not None and results.can_fetch(found.untrained)
    if found is not None and not (fetchable and download_section.join(found)):
        if fetchable:
            st.info(show.escape(found.sentence), icon=":material/cloud_download:")
        elif found.remark:
            st.info(show.escape(found.sentence), icon=":material/info:")
        else:
            st.error(show.escape(found.sentence), icon=":material/error:")
        with st.container(horizontal=True):
            if fetchable:
                download_section.offer(found)
            if found.untrained in results.models():
                download_section.random_instead(found)
    download_section.waiting()


def is_up_to_date() -> bool:
    """Whether the page already shows the last error; a part that is redrawn alone cannot show it."""
    return state.notice() == st.session_state.get(SHOWN)


def picture(result: rv.Inspection, chosen: Selection) -> None:
    """The photo and the network's crop of it, the most probable classes, and the controls for another image."""
    subject = waiting.network(chosen.model, trained=chosen.trained, framing=chosen.framing)
    seen, says, other = st.columns([8, 6, 16], gap="medium")
    with seen:
        photo_section.photo(result, subject, chosen.image)
        photo_section.framing(chosen.image, chosen)
    with says:
        answer(result, "predictions", subject, chosen.image)
    with other:
        first_chart.after(partial(_another, chosen.image))


def _another(image: str) -> None:
    upload("image")
    gallery("image", image, "gallery")


def answer(result: rv.Inspection, key: str, subject: Subject, image: str) -> None:
    """The most probable classes, the list of all classes, and a hint if perhaps none fits."""
    theme = show.theme()
    figure = results.chart(subject, image, ("predictions", theme), lambda: rv.figures.predictions(result, 4, theme))
    st.markdown(f"##### {show.escape(figure.finding)}")
    show.chart(figure, key)
    classes_section.classes(result)
    classes_section.hint(result)


def upload(field: str) -> None:
    """Three ways to provide an image for a field of the selection."""
    if not embedded.takes_uploads():
        return
    # A new key after each upload empties the widget, so that the same file can be uploaded twice.
    turn = f"{field}-{st.session_state.setdefault('uploads', 0)}"
    key, pasted, shot = f"upload-{turn}", f"paste-{turn}", f"camera-{turn}"
    st.file_uploader(
        "Drop a photo",
        upload_types(),
        max_upload_size=settings().offered_mb(MAX_BYTES >> 20),
        key=key,
        on_change=_take,
        args=(key, field),
        label_visibility="collapsed",
    )
    with st.container(horizontal=True, vertical_alignment="center", key=f"other-ways-{field}"):
        st.chat_input(
            "Paste a photo here",
            key=pasted,
            accept_file=True,
            file_type=upload_types(),
            on_submit=_take,
            args=(pasted, field),
            width=230,
        )
        camera = st.toggle("Camera", key=f"use-camera-{field}")
        st.caption("Your photo is kept in this server's memory only.")
    if camera:
        st.camera_input("Take a photo", key=shot, on_change=_take, args=(shot, field), label_visibility="collapsed", width=480)


def upload_types() -> list[str]:
    """Return the file extensions that a file picker accepts.

    Safari converts HEIC photos to JPEG if a page does not accept HEIC. The upload then works in the same way and is faster to
    decode, so a page in Safari does not accept it.
    """
    agent = st.context.headers.get("User-Agent", "")
    converts = "Safari/" in agent and "Chrome/" not in agent  # all browsers on an iPhone use Safari's engine
    return OPENED + ([] if converts else CONVERTED)


def gallery(field: str, shown: str, key: str) -> None:
    """The person's own images and the samples, for a field of the selection that shows one of them."""
    own = results.own_pictures(shown)
    titles = {name: f"Your photo {len(own) - number}" for number, name in enumerate(own)}
    titles |= {sample.id: sample.title for sample in results.samples().values()}
    hints = {sample.id: f"{sample.title} · {sample.description}" for sample in results.samples().values()}
    with st.container(horizontal=True, key=key, gap="xxsmall"):
        for name, title in titles.items():
            st.button(
                title,
                key=f"{key}-sample-{name}",
                type="primary" if name == shown else "secondary",
                help=hints.get(name, title),
                on_click=state.change,
                kwargs={field: name, "target": "", "channel": ""},
            )
    st.html(f"<style>{results.sample_thumbnails()}</style>")
    if own:
        st.html(f"<style>{results.own_thumbnails(own)}</style>")


def _target_picker(result: rv.Inspection, chosen: Selection) -> None:
    labels = {str(p.index): f"{p.label} ({p.probability:.1%})" for p in result.predictions}
    best = result.predictions[0].label
    st.selectbox(
        "Target class",
        ["", *labels],
        format_func=lambda index: labels.get(index, f"predicted: {best}"),
        width=220,
        help="Gradients and Grad-CAM are of this class's logit.",
        **state.bound("target", chosen.target if chosen.target in labels else ""),
    )


def _take(key: str, field: str) -> None:
    """Accept an image from any of the three ways. An invalid image gets a message and changes nothing."""
    given = st.session_state[key]
    if given is None:
        return
    st.session_state["uploads"] += 1
    st.session_state.pop("notice", None)
    try:
        middleware.admit("upload")
        name = results.add_upload(_file(given).getvalue())
    except (rv.ImageError, middleware.TooOftenError) as error:
        state.complain(str(error))
    else:
        state.change(**{field: name}, target="", channel="")
    finally:
        for file in [given] if isinstance(given, UploadedFile) else given.files:
            middleware.let_go(file)


def _file(given: UploadedFile | ChatInputValue) -> UploadedFile:
    if isinstance(given, UploadedFile):
        return given
    if not given.files:
        raise rv.ImageError("The clipboard contained text, not an image. Paste an image, or drop a file above.")
    return given.files[0]
