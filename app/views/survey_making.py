"""Surveys of uploaded images: accepting images, an archive or a survey file, and starting the survey."""

from collections.abc import Sequence

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

import resnet_viz as rv
from app import embedded, middleware, parsers, results, state
from app.settings import settings
from app.state import Selection
from app.surveys import MOST_IMAGES, HeldSurvey, title_of
from app.uploads import SHARE_BYTES
from app.views import brought_images, network_picker, picture_section, survey_running
from app.views.survey_running import PAGE, Making
from resnet_viz.counting import counted
from resnet_viz.nets.zoo import DEFAULT_MODEL

OTHERWISE = "use `resnet-viz survey` on a machine of your own"


def section(chosen: Selection) -> None:
    """The form, and below it the progress of the survey."""
    making = survey_running.making()
    # Another one, which is closed, once there is a survey to look at.
    key = f"survey-making-{len(results.own_survey_titles())}"
    with st.expander("Survey your own images", expanded=making is not None, icon=":material/upload_file:", key=key):
        _form(chosen)
        if making is not None:
            survey_running.section(making)


def _form(chosen: Selection) -> None:
    model, trained = _network(chosen)
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
            f"At most {MOST_IMAGES:,} images and {SHARE_BYTES >> 20} MB{_most_files()}. If the folders in an archive are named"
            " after classes, the predictions are checked against them. Everything stays in this server's memory only."
        )
        asked = st.form_submit_button("Survey these images", type="primary")
    if asked:
        _take(files, model, chosen.framing, trained=trained)
        st.rerun()


def _network(chosen: Selection) -> tuple[str, bool]:
    """The network for the new survey, and whether it has its trained weights. The survey on the screen stays."""
    names = list(results.models())
    opened = chosen.model if chosen.model in names else DEFAULT_MODEL
    # A network that is opened on another page is suggested here.
    key = f"survey-network-{opened}"
    model: str = st.selectbox(
        "Network for the new survey",
        names,
        index=names.index(opened),
        format_func=lambda name: network_picker.described(results.models()[name]),
        key=key,
        width=640,
    )
    trained = chosen.trained or model != chosen.model
    if not trained:
        st.caption("It has random weights, as on the Inspect page.")
    return model, trained


def _most_files() -> str:
    most = settings().uploads_per_minute
    return f"; pack more than {most} images into an archive" if most else ""


def _take(files: Sequence[UploadedFile], model: str, framing: str, *, trained: bool) -> None:
    """Accept everything that was uploaded. A file that is refused gets a message and changes nothing."""
    st.session_state.pop("notice", None)
    missing = middleware.refused_beside({file.file_id: file.name for file in files})
    if not files:
        state.tell(_nothing(missing), PAGE)
        return
    try:
        middleware.admit("upload")
        opened = [file for file in files if file.name.lower().endswith(".parquet")]
        if opened:
            _open(opened[0], len(files) - 1 + len(missing))
            return
        images = tuple(brought_images.kept(files, OTHERWISE))
        whole = len(images) + len(missing)
        title = middleware.safe_name(files[0].name) if len(files) == 1 and not missing else f"{whole:,} uploaded images"
        survey_running.begin(Making(model, trained, framing, images, title, tuple(missing)))
    except (rv.SurveyError, middleware.TooOftenError) as error:
        state.tell(str(error), PAGE)
    finally:
        for file in files:
            middleware.let_go(file)


def _nothing(missing: Sequence[str]) -> str:
    if missing:
        return f"None of the {len(missing)} files was uploaded. {survey_running.why_missing()} Choose them again in a minute."
    return "No file was chosen. Choose images, an archive of images or a survey file, then survey them."


def _open(file: UploadedFile, others: int) -> None:
    found = parsers.open_survey(file.getvalue(), MOST_IMAGES)
    name = middleware.safe_name(file.name)
    survey_running.add(HeldSurvey(found, title_of(found.manifest, name), {}))
    if others:
        left_out = f"{counted(others, 'other file was', 'other files were')} left out: choose images without a survey file."
        state.tell(f"{name} is a survey of {counted(found.count, 'image')} and is shown below. {left_out}", PAGE, remark=True)
