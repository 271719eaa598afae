"""The accuracy on images of one's own: whether a network is what its owner knows, before any map of it is believed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

import resnet_viz as rv
from app import embedded, jobs, middleware, show, state, waiting
from app.catalogue import Subject
from app.settings import settings
from app.state import Selection
from app.uploads import SHARE_BYTES
from app.views import brought_images, picture_section
from app.views.brought_images import BroughtImage
from resnet_viz.analyses.accuracy import Accuracy
from resnet_viz.analyses.survey.classes import ClassNames
from resnet_viz.engine.jobs import Ticket
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.published import published
from resnet_viz.nets.zoo import read_card

KEY = "accuracy_images"
OTHERWISE = "measure it with rv.accuracy on a machine of your own"
FOLDERS = "the name of their folder"
MOST_LISTED = 8


@dataclass(frozen=True)
class LabelledImages:
    """Images that a person brought for a network, and the class of those in no folder that is one of its classes."""

    model: str
    images: tuple[BroughtImage, ...]
    label: str


def section(info: rv.ModelInfo, chosen: Selection) -> None:
    """Take images of known classes in, and compare the accuracy on them with the one that the file or its publisher states."""
    brought: LabelledImages | None = st.session_state.get(KEY)
    mine = brought if brought is not None and brought.model == chosen.model else None
    with st.expander("Measure the accuracy on images of your own", expanded=mine is not None, icon=":material/fact_check:"):
        try:
            subject = waiting.network(chosen.model, trained=chosen.trained, framing=chosen.framing)
        except waiting.SENTENCES as error:
            st.caption(show.escape(str(error)))
            return
        st.caption(
            "Maps of a network that was read wrongly look like any others. Before you trust them, let it classify a few images"
            " whose classes you know: an accuracy far below the known one means that the class names, the preprocessing or the"
            " architecture differ from those of the training."
        )
        _form(subject, chosen)
        if mine is not None:
            _measure(mine, subject, _stated(info, subject))


def _form(subject: Subject, chosen: Selection) -> None:
    if not embedded.takes_uploads():
        return
    with st.form("accuracy-form", clear_on_submit=True, border=False):
        files = st.file_uploader(
            "Images, or a ZIP or TAR archive with a folder of images for each class",
            [*picture_section.upload_types(), *brought_images.ARCHIVES],
            accept_multiple_files=True,
            max_upload_size=settings().offered_mb(SHARE_BYTES >> 20),
            key="accuracy-files",
        )
        label = st.selectbox("Class of these images", [FOLDERS, *dict.fromkeys(subject.labels)], key="accuracy-label")
        asked = st.form_submit_button("Measure the accuracy", type="primary")
    if asked and files:
        _take(files, "" if label == FOLDERS else label, chosen)
        st.rerun()


def _take(files: Sequence[UploadedFile], label: str, chosen: Selection) -> None:
    """Keep the images; what is refused gets a sentence and changes nothing."""
    st.session_state.pop("notice", None)
    try:
        middleware.admit("upload")
        images = tuple(brought_images.kept(files, OTHERWISE))
        st.session_state[KEY] = LabelledImages(chosen.model, images, label)
    except (rv.SurveyError, middleware.TooOftenError) as error:
        state.complain(str(error))
    finally:
        for file in files:
            middleware.let_go(file)


def _measure(brought: LabelledImages, subject: Subject, stated: tuple[str, float] | None) -> None:
    """Classify the images and show the result; the engine keeps it, so that the page can be drawn again at once."""
    names = ClassNames(subject.labels)
    indices = {image: _index(image, brought.label, names) for image in brought.images}
    known = [image for image in brought.images if indices[image] >= 0]
    unknown = [image for image in brought.images if indices[image] < 0]
    if not known:
        st.warning(
            show.escape(
                f"No image has a class that {subject.title} knows: put the images into folders with the names of its classes"
                f" ({', '.join(subject.labels[:MOST_LISTED])}{', …' if len(subject.labels) > MOST_LISTED else ''}), or choose"
                " the class of all of them above."
            ),
            icon=":material/error:",
        )
        return
    asks = [partial(_ask, subject, job, [indices[image] for image in job]) for job in brought_images.jobs(known)]
    found = waiting.long("batch", ("accuracy", hash(brought), subject.key), asks, subject)
    if found is not None:
        _show(Accuracy.joined(found), subject, stated, [image.name for image in unknown])


def _index(image: BroughtImage, label: str, names: ClassNames) -> int:
    return names.of(label).index if label else names.of_path(image.name).index


def _ask(subject: Subject, job: Sequence[BroughtImage], indices: Sequence[int]) -> Ticket:
    return jobs.submit_labelled(subject, brought_images.packed(job), indices, "accuracy")


def _show(found: Accuracy, subject: Subject, stated: tuple[str, float] | None, unknown: Sequence[str]) -> None:
    left_out = [f"{each.name}: {each.sentence}" for each in found.left_out]
    if unknown:
        left_out.append(f"{_listed(unknown)}: no class of the network has the name of the folder.")
    if found.total:
        low, high = found.interval
        st.markdown(
            f"#### {show.escape(subject.title)} classifies {found.right:,} of {found.total:,} images correctly"
            f" ({found.share:.0%})"
        )
        st.caption(f"On many such images the accuracy lies between {low:.0%} and {high:.0%}, with 95% confidence.")
        if stated is not None:
            _compare(found, *stated)
        st.dataframe(
            found.table(),
            hide_index=True,
            column_config={
                "probability": st.column_config.NumberColumn("probability", format="percent"),
                "label_probability": st.column_config.NumberColumn("probability of its class", format="percent"),
            },
        )
    if left_out:
        st.warning(show.escape("Left out: " + " ".join(left_out[:MOST_LISTED])), icon=":material/hide_image:")


def _compare(found: Accuracy, source: str, share: float) -> None:
    """Say whether an accuracy that somebody states can be that of what was measured."""
    low, high = found.interval
    if share > high:
        st.warning(
            show.escape(
                f"{source} {share:.1%}, more than these images allow. They may be harder than the test images. Otherwise the"
                " class names, the preprocessing or the architecture differ from those of the training: check them above."
            ),
            icon=":material/error:",
        )
    elif share < low:
        st.info(show.escape(f"{source} {share:.1%}, less than was measured on these images."), icon=":material/info:")
    else:
        st.success(show.escape(f"{source} {share:.1%}, which agrees with these images."), icon=":material/check:")


def _stated(info: rv.ModelInfo, subject: Subject) -> tuple[str, float] | None:
    """Return who states an accuracy of the network, as the beginning of a sentence, and the share; None where nobody does."""
    if not subject.trained:
        return None
    if subject.own is not None:
        facts = subject.own.checkpoint.facts
        return (f"The file states {facts.accuracy[0]} =", facts.accuracy[1]) if facts.accuracy else None
    try:
        if info.source == "shipped":
            return "Its card states a test accuracy of", float(read_card(info.name)["test_accuracy"])
        if info.source == "official":
            return "Torchvision states a top-1 accuracy on ImageNet of", published(info.name).top1
    except (WeightsError, ValueError, KeyError):
        pass
    return None


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
