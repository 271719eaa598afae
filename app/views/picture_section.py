"""The top of the page: which network, which class, which picture, and what the network says about it."""

import streamlit as st
from streamlit.elements.widgets.chat import ChatInputValue
from streamlit.runtime.uploaded_file_manager import UploadedFile

import controls
import resnet_viz as rv
import results
import show
from controls import Selection

UPLOAD_TYPES = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "heic", "heif", "avif"]


def header(result: rv.Inspection, chosen: Selection) -> None:
    """The product's name, the network in words, and the two pickers."""
    info = results.models()[chosen.model]
    with st.container(horizontal=True, vertical_alignment="bottom", key="header"):
        show.product(f"{info.title} · {info.task} · {info.params / 1e6:.2f} M parameters · {result.device}")
        _model_picker(chosen)
        _target_picker(result, chosen)
    if not result.weights.trained:
        st.warning(f"{info.title} is {result.weights.note}. Nothing below was learned.", icon=":material/casino:")


def notice() -> None:
    """What went wrong last, with the way out."""
    found = controls.notice()
    if found is None:
        return
    st.error(show.escape(found.sentence), icon=":material/error:")
    if found.untrained in results.models():
        title = results.models()[found.untrained].title
        label = f"Look at {title} with random weights"
        st.button(label, on_click=controls.change, kwargs={"model": found.untrained, "weights": "none"})


def picture(result: rv.Inspection, chosen: Selection) -> None:
    """The crop the network saw, the classes it is most for, and the ways to another picture."""
    seen, says, other = st.columns([1, 2, 4], gap="medium")
    with seen:
        side = result.seen.shape[0]
        alt = f"The picture as the network sees it, {side} by {side} pixels"
        st.image(result.seen, width="stretch", caption=f"as the network sees it, {side}×{side}", alt=alt)
    with says:
        figure = rv.figures.predictions(result, 4, show.theme())
        st.markdown(f"##### {show.escape(figure.layout.meta['finding'])}")
        show.chart(figure, "predictions")
    with other:
        _upload()
        _gallery(chosen)


def _model_picker(chosen: Selection) -> None:
    models = results.models()
    states = {"official": "to fetch, {:,.0f} MB", "untrained": "no trained weights"}

    def describe(name: str) -> str:
        info = models[name]
        state = "weights here" if info.here else states[info.source].format(info.size / 1e6)
        return f"{info.title} · {info.task} · {info.blocks} blocks · {info.params / 1e6:.2f} M · {state}"

    st.selectbox("Network", list(models), format_func=describe, width=400, **controls.bound("model", chosen.model))


def _target_picker(result: rv.Inspection, chosen: Selection) -> None:
    labels = {str(p.index): f"{p.label} ({p.probability:.1%})" for p in result.predictions}
    best = result.predictions[0].label
    st.selectbox(
        "Explain the class",
        ["", *labels],
        format_func=lambda index: labels.get(index, f"predicted: {best}"),
        width=220,
        help="Gradients and Grad-CAM are of this class's logit.",
        **controls.bound("target", chosen.target if chosen.target in labels else ""),
    )


def _upload() -> None:
    # A fresh key after each upload empties the widget, so that the same file can be given twice.
    key = f"upload-{st.session_state.setdefault('uploads', 0)}"
    st.file_uploader("Drop a photo", UPLOAD_TYPES, key=key, on_change=_take, args=(key,), label_visibility="collapsed")
    with st.container(horizontal=True, vertical_alignment="center", key="other-ways"):
        pasted = f"paste-{st.session_state['uploads']}"
        st.chat_input(
            "Paste a photo here",
            key=pasted,
            accept_file=True,
            file_type=UPLOAD_TYPES,
            on_submit=_take,
            args=(pasted,),
            width=260,
        )
        camera = st.toggle("Camera")
        st.caption("Your photo stays in this server's memory.")
    if camera:
        shot = f"camera-{st.session_state['uploads']}"
        st.camera_input("Take a photo", key=shot, on_change=_take, args=(shot,), label_visibility="collapsed")


def _take(key: str) -> None:
    """Take a picture from any of the three ways; what is no picture gets a sentence and changes nothing."""
    given = st.session_state[key]
    if given is None:
        return
    st.session_state["uploads"] += 1
    st.session_state.pop("notice", None)
    try:
        name = results.add_upload(_file(given).getvalue())
    except rv.ImageError as error:
        controls.complain(str(error))
    else:
        controls.change(image=name, target="", channel="")


def _file(given: UploadedFile | ChatInputValue) -> UploadedFile:
    if isinstance(given, UploadedFile):
        return given
    if not given.files:
        raise rv.ImageError("That was text: paste a picture, or drop a file above.")
    return given.files[0]


def _gallery(chosen: Selection) -> None:
    with st.container(horizontal=True, key="gallery", gap="xsmall"):
        for sample in results.samples().values():
            st.button(
                sample.title,
                key=f"sample-{sample.id}",
                type="primary" if sample.id == chosen.image else "secondary",
                help=sample.title,
                on_click=controls.change,
                kwargs={"image": sample.id, "target": "", "channel": ""},
            )
    st.html(f"<style>{results.thumbnails()}</style>")
