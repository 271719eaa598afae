"""Surveys of uploaded images: accepting images, an archive or a survey file, and running the network with progress."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

import resnet_viz as rv
from app import embedded, jobs, middleware, parsers, results, show, state, waiting
from app.catalogue import Subject
from app.settings import settings
from app.state import Selection
from app.surveys import MOST_IMAGES, HeldSurvey
from app.uploads import SHARE_BYTES
from app.views import brought_images, network_picker, picture_section
from app.views.brought_images import BroughtImage
from resnet_viz.analyses.survey.manifest import Manifest
from resnet_viz.engine.jobs import Ticket

STRONGEST = 6
OTHERWISE = "use `resnet-viz survey` on a machine of your own"


@dataclass(frozen=True)
class Making:
    """A survey that is being made: its network, its images, and what to call them."""

    model: str
    trained: bool
    framing: str
    images: tuple[BroughtImage, ...]
    title: str


def section(chosen: Selection) -> None:
    """The form, and below it the progress of the survey."""
    making: Making | None = st.session_state.get("survey_making")
    # Another one, which is closed, once there is a survey to look at.
    key = f"survey-making-{len(own_titles())}"
    with st.expander("Survey your own images", expanded=making is not None, icon=":material/upload_file:", key=key):
        _form(chosen)
        if making is not None:
            _make(making)


def own_titles() -> dict[str, str]:
    """The surveys that this session created or uploaded, by name, the latest last."""
    found: dict[str, str] = st.session_state.setdefault("own_surveys", {})
    return found


def _form(chosen: Selection) -> None:
    network_picker.network_picker(chosen)
    if not embedded.takes_uploads():
        return
    with st.form("survey-form", clear_on_submit=True, border=False):
        files = st.file_uploader(
            "Images, a ZIP or TAR archive of images, or a survey file",
            [*picture_section.upload_types(), *brought_images.ARCHIVES, "parquet"],
            accept_multiple_files=True,
            max_upload_size=settings().offered_mb(SHARE_BYTES >> 20),
            key="survey-files",
        )
        st.caption(
            f"At most {MOST_IMAGES:,} images and {SHARE_BYTES >> 20} MB; pack more than 30 images into an archive. If the"
            " folders in it are named after classes, the predictions are checked against them. Everything stays in this"
            " server's memory only."
        )
        asked = st.form_submit_button("Survey these images", type="primary")
    if asked and files:
        _take(files, chosen)
        st.rerun()


def _take(files: Sequence[UploadedFile], chosen: Selection) -> None:
    """Accept everything that was uploaded. A file that is refused gets a message and changes nothing."""
    st.session_state.pop("notice", None)
    st.session_state.pop("survey_making", None)
    try:
        middleware.admit("upload")
        opened = [file for file in files if file.name.lower().endswith(".parquet")]
        if opened:
            _open(opened[0])
            return
        images = tuple(brought_images.kept(files, OTHERWISE))
        title = middleware.safe_name(files[0].name) if len(files) == 1 else f"{len(images):,} uploaded images"
        st.session_state["survey_making"] = Making(chosen.model, chosen.trained, chosen.framing, images, title)
    except (rv.SurveyError, middleware.TooOftenError) as error:
        state.complain(str(error))
    finally:
        for file in files:
            middleware.let_go(file)


def _open(file: UploadedFile) -> None:
    found = parsers.open_survey(file.getvalue(), MOST_IMAGES)
    _add(HeldSurvey(found, f"{middleware.safe_name(file.name)}, by {found.manifest.title}", {}))


def _make(making: Making) -> None:
    """Run the network over the images, job by job. Stop keeps the finished part as long as the server has memory for it."""
    try:
        subject = waiting.network(making.model, trained=making.trained, framing=making.framing)
    except waiting.SENTENCES as error:
        st.session_state.pop("survey_making")
        st.warning(show.escape(str(error)), icon=":material/error:")
        return
    jobs = list(brought_images.jobs(making.images))
    st.caption(show.escape(f"{len(making.images):,} images of {making.title}, by {subject.title}"))
    asks = [partial(_ask, subject, job) for job in jobs]
    found = waiting.long("batch", ("survey", hash(making)), asks, subject)
    if found is None:
        return
    st.session_state.pop("survey_making")
    manifest = replace(Manifest.from_json(found[0].manifest_json), images=making.title)
    survey = rv.Survey.of_parts(manifest, [each.part for each in found])
    images = {image.name: image.sha256 for image in making.images}
    try:
        _add(HeldSurvey(survey, f"{making.title}, by {manifest.title}", images))
    except rv.SurveyError as error:
        state.complain(str(error))
    st.rerun()


def _add(held: HeldSurvey) -> None:
    name = results.own_surveys().add(held, results.session())
    own_titles()[name] = held.title
    state.change(survey=name, picked="")


def _ask(subject: Subject, job: Sequence[BroughtImage]) -> Ticket:
    return jobs.submit_archive(subject, brought_images.packed(job), "survey", strongest=STRONGEST)
