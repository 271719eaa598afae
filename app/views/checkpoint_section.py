"""A person's own checkpoint: uploading the file, and setting what it does not contain: labels, preprocessing, architecture."""

from collections.abc import Callable
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.uploaded_file_manager import UploadedFile

import resnet_viz as rv
from app import checkpoints, embedded, jobs, middleware, show, state
from app import waiting as until
from app.checkpoints import Own, Pending
from app.settings import settings
from app.state import Selection
from resnet_viz.nets.cifar import CIFAR10_LABELS
from resnet_viz.nets.labels import LIMIT as LABELS_LIMIT
from resnet_viz.nets.labels import LabelsError, parse_labels
from resnet_viz.nets.net import Head
from resnet_viz.nets.official import best_weights
from resnet_viz.nets.preprocessing import LARGEST, Preprocessing

CHECKPOINT_TYPES = ["safetensors", "pth", "pt", "th", "tar", "ckpt", "bin"]
LABEL_TYPES = ["txt", "json", "csv"]
KEEP, NUMBERS, CIFAR, IMAGENET, FILE = "as they are now", "numbers", "CIFAR-10", "ImageNet", "from a file"
SAID = "as the checkpoint says"
MOST_FACTS, MOST_LABELS = 8, 10


def section(chosen: Selection) -> Callable[[], None]:
    """Accept a checkpoint; if one is chosen, show its settings.

    What is returned waits for the engine to recognise a new file, in its place here: to be called when the page is drawn.
    """
    mine = checkpoints.own().get(chosen.model)
    waiting = checkpoints.pending()
    title = "Your checkpoint" if mine else "Open your own checkpoint"
    with st.expander(title, expanded=mine is not None or waiting is not None, icon=":material/upload_file:"):
        _upload()
        if waiting is not None and waiting.candidates:
            _choice(waiting)
        place = st.container()
        if mine is not None:
            _settings(mine)
    return partial(_decide, waiting, place)


def _upload() -> None:
    if not embedded.takes_uploads():
        return
    # A new key after each upload empties the widget, so that the same file can be uploaded twice.
    key = f"checkpoint-{st.session_state.setdefault('checkpoint_uploads', 0)}"
    most = settings().offered_mb(st.get_option("server.maxUploadSize"))
    st.file_uploader(
        f"Checkpoint of up to {most} MB (safetensors, or written by torch.save)",
        CHECKPOINT_TYPES,
        max_upload_size=most,
        key=key,
        on_change=_take,
        args=(key,),
        help="ResNets, ResNeXts and Wide ResNets with any number of classes and any stem, and CIFAR ResNets of any depth and"
        " width, whatever their tensors are called; RegNet, ConvNeXt, EfficientNet and the other residual networks of"
        " torchvision and timm under their own names.",
    )
    st.caption(
        "The network is recognised from the names and shapes of the tensors. No code in the file is executed. Only your "
        "browser can use it; it is kept in this server's memory and removed shortly after you close the page. If the file of a "
        "training is too large, save model.state_dict() alone, without the optimizer."
    )


def _take(key: str) -> None:
    given: UploadedFile | None = st.session_state[key]
    if given is None:
        return
    st.session_state["checkpoint_uploads"] += 1
    st.session_state.pop("notice", None)
    try:
        middleware.admit("upload")
        checkpoints.read(given.getvalue(), given.name)
    except (rv.CheckpointError, middleware.TooOftenError) as error:
        # A file that waits for a choice is offered below the upload, with the same sentence.
        if checkpoints.pending() is None:
            state.complain(str(error))
    finally:
        middleware.let_go(given)


def _decide(waiting: Pending | None, place: DeltaGenerator) -> None:
    """Let the engine find out which of the networks that fit a file it is, with progress, and then open it."""
    if waiting is None or waiting.candidates:
        return
    with place:
        st.caption(
            f"Several networks fit the tensors of **{show.escape(waiting.file)}**. Sample photos run through each of them, and"
            " what its batch norms see is compared with what they remember of the training images."
        )
        with st.container(horizontal=True):
            st.button("Choose the network yourself", on_click=checkpoints.skip_deciding, args=(waiting,))
            st.button("Cancel the upload", on_click=checkpoints.cancel)
        found = until.long("network", ("verdict", id(waiting)), [partial(jobs.submit_verdict, waiting)])
        if found is None:
            return
        try:
            name = checkpoints.decided(waiting, found[0])
        except rv.CheckpointError as error:
            checkpoints.cancel()
            state.complain(str(error))
        else:
            if name:
                state.change(model=name)
        st.rerun()


def _choice(waiting: Pending) -> None:
    """Offer the networks that fit a file if it does not distinguish them."""
    st.info(
        show.escape(waiting.sentence.split(": choose one")[0].split(" Choose one")[0].rstrip(".") + "."), icon=":material/help:"
    )
    with st.form("checkpoint-choice", border=False):
        candidate = st.selectbox(f"Read {show.escape(waiting.file)} as", waiting.candidates)
        with st.container(horizontal=True):
            opened = st.form_submit_button("Open this network", type="primary")
            cancelled = st.form_submit_button("Cancel")
    if cancelled:
        checkpoints.cancel()
        st.rerun()
    if opened:
        try:
            middleware.admit("upload")
            name = checkpoints.choose(candidate)
        except (rv.CheckpointError, middleware.TooOftenError) as error:
            st.error(show.escape(str(error)), icon=":material/error:")
            return
        if name:
            state.change(model=name)
        st.rerun()


def _settings(mine: Own) -> None:
    layout, used = mine.checkpoint.layout, mine.net.preprocessing
    st.markdown(f"**{show.escape(mine.file)}** is a {layout.title} with {layout.classes} classes; {mine.net.weights.note}.")
    _said(mine)
    _confirm(mine)
    # Separate keys for every checkpoint: a value typed for one does not apply to another.
    with st.form(f"settings-{mine.net.name}", border=False):
        sizes = st.columns([1, 1, 2, 2])
        resize = sizes[0].number_input("Resize, pixels", 1, LARGEST, used.resize, help="The shorter side, before the crop.")
        crop = sizes[1].number_input("Crop, pixels", 1, LARGEST, used.crop, help="The square that the network receives.")
        mean = sizes[2].text_input("Mean of red, green, blue", _written(used.mean), help="On the scale 0 to 1.")
        std = sizes[3].text_input("Standard deviation", _written(used.std), help="On the scale 0 to 1.")
        names = st.columns([2, 2, 2])
        source = names[0].selectbox("Class names", _label_sources(mine))
        file = names[1].file_uploader(
            "Names from a file: one per line, or JSON", LABEL_TYPES, max_upload_size=LABELS_LIMIT >> 20
        )
        neighbours = [layout.name(chosen) for chosen in layout.neighbours()]
        choices = list(dict.fromkeys((mine.architecture, *neighbours)))
        architecture = names[2].selectbox(
            "Read as",
            choices,
            help="The tensors fit each of these. The default is the one that fits the statistics in the batch norms best.",
        )
        several = st.checkbox(
            "Several classes can be correct at once",
            mine.net.head == "sigmoid",
            disabled=layout.classes == 1,
            help="Each probability is then the sigmoid of its own logit. Otherwise they are the softmax of all logits.",
        )
        applied = st.form_submit_button("Apply", type="primary")
    if applied:
        _apply(
            mine,
            (int(resize), int(crop), mean, std),
            (FILE if file else source, file),
            architecture,
            "sigmoid" if several else "softmax",
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(st.session_state["pages"]["Inspect"], label="Inspect an image with it", icon=":material/arrow_forward:")
        st.button("Remove this checkpoint", on_click=_forget, args=(mine.net.name,))


def _said(mine: Own) -> None:
    """Show what was chosen, left out or changed, and what the file states about itself."""
    for note in mine.checkpoint.notes:
        st.caption(show.escape(note))
    facts = list(mine.checkpoint.facts.values.items())[:MOST_FACTS]
    if facts:
        st.caption("The file states: " + show.escape(" · ".join(f"{path}: {value}" for path, value in facts)))


def _written(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _label_sources(mine: Own) -> list[str]:
    classes = mine.checkpoint.layout.classes
    known = {len(CIFAR10_LABELS): CIFAR, 1000: IMAGENET}
    own = [SAID] if len(mine.checkpoint.facts.class_names) == classes else []
    return [KEEP, *own, NUMBERS, *([known[classes]] if classes in known else [])]


def _apply(
    mine: Own, numbers: tuple[int, int, str, str], names: tuple[str, UploadedFile | None], architecture: str, head: Head
) -> None:
    resize, crop, mean, std = numbers
    try:
        preprocessing = Preprocessing(resize, crop, _three(mean), _three(std), mine.net.preprocessing.interpolation)
        checkpoints.configure(mine.net.name, _labels(mine, *names), preprocessing, architecture, head)
    except (rv.CheckpointError, LabelsError, ValueError) as error:
        st.error(show.escape(str(error)), icon=":material/error:")
    else:
        st.session_state["checkpoint_applied"] = mine.net.name
        st.rerun()


def _confirm(mine: Own) -> None:
    """Say what the settings are, and after a change that they apply now."""
    used, labels = mine.net.preprocessing, mine.net.labels
    shown = ", ".join(labels[:MOST_LABELS]) + (", …" if len(labels) > MOST_LABELS else "")
    sentence = show.escape(
        f"Class names: {shown}. Resize {used.resize}, crop {used.crop} pixels. Read as: {mine.architecture}."
    )
    if st.session_state.pop("checkpoint_applied", None) == mine.net.name:
        st.success(f"Settings applied. {sentence}", icon=":material/check:")
    else:
        st.caption(sentence)


def _three(text: str) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(part) for part in text.replace(";", ",").split(","))
    except ValueError as error:
        raise ValueError(f"{text!r} is not a list of three numbers. Write them as 0.485, 0.456, 0.406") from error
    return red, green, blue


def _labels(mine: Own, source: str, file: UploadedFile | None) -> tuple[str, ...]:
    if source == FILE and file is not None:
        return parse_labels(file.getvalue())
    if source == SAID:
        return mine.checkpoint.facts.class_names
    if source == CIFAR:
        return CIFAR10_LABELS
    if source == IMAGENET:
        return tuple(best_weights("resnet50").meta["categories"])
    if source == NUMBERS:
        return tuple(f"class {index}" for index in range(mine.checkpoint.layout.classes))
    return mine.net.labels


def _forget(name: str) -> None:
    checkpoints.forget(name)
    state.change(model=Selection().model)
