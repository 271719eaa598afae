"""Surveys of uploaded images: accepting images, an archive or a survey file, and running the network with progress."""

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

import resnet_viz as rv
from app import embedded, middleware, parsers, results, show, state, waiting
from app.catalogue import Subject
from app.state import Selection
from app.surveys import MOST_IMAGES, HeldSurvey
from app.uploads import SHARE_BYTES
from app.views import network_picker, picture_section
from resnet_viz.analyses.survey import archives
from resnet_viz.analyses.survey.manifest import Manifest
from resnet_viz.analyses.survey.sources import SUFFIXES
from resnet_viz.engine.jobs import Ticket
from resnet_viz.images import MAX_BYTES

# Images and bytes per job: few enough that other people's jobs run in between. With many images, jobs are larger, so that their
# number stays small.
JOB_IMAGES, MOST_JOBS, JOB_BYTES = 32, 120, 12 * 2**20
STRONGEST = 6
ARCHIVES = ["zip", "tar", "tgz", "gz", "xz", "bz2"]
LIMITS = archives.ArchiveLimits(entries=MOST_IMAGES + 500, unpacked=SHARE_BYTES)


@dataclass(frozen=True)
class Making:
    """A survey in progress: its images as (name, SHA-256, bytes), and its title."""

    model: str
    trained: bool
    framing: str
    images: tuple[tuple[str, str, int], ...]
    title: str


def section(chosen: Selection) -> None:
    """The form, and below it the progress of the survey."""
    making: Making | None = st.session_state.get("survey_making")
    with st.expander("Survey your own images", expanded=making is not None, icon=":material/upload_file:"):
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
            [*picture_section.upload_types(), *ARCHIVES, "parquet"],
            accept_multiple_files=True,
            max_upload_size=SHARE_BYTES >> 20,
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
        images = tuple(_kept(files))
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


def _kept(files: Sequence[UploadedFile]) -> Iterator[tuple[str, str, int]]:
    """Store the bytes of every image and yield its name, SHA-256 and size; SurveyError if there are too many."""
    total, taken = 0, set[str]()
    for name, data in _contents(files):
        unique = name if name not in taken else f"{len(taken)} {name}"
        taken.add(unique)
        total += len(data)
        if len(taken) > MOST_IMAGES or total > SHARE_BYTES:
            raise rv.SurveyError(
                f"These are more than {MOST_IMAGES:,} images or {SHARE_BYTES >> 20} MB, the most that are surveyed here: take"
                " fewer, or use `resnet-viz survey` on a machine of your own."
            )
        yield unique, results.keep_image(data), len(data)
    if not taken:
        raise rv.SurveyError("There are no images in these files: choose images, or an archive of images.")


def _contents(files: Sequence[UploadedFile]) -> Iterator[tuple[str, bytes]]:
    for file in files:
        data = file.getvalue()
        if archives.is_archive(io.BytesIO(data)):
            for name, read in archives.entries(data, LIMITS):
                if any(name.lower().endswith(suffix) for suffix in SUFFIXES):
                    yield name, _bytes(read)
        else:
            yield middleware.safe_name(file.name).lstrip("."), data[: MAX_BYTES + 1]


def _bytes(read: Callable[[], bytes]) -> bytes:
    """The bytes of an entry; of a damaged entry none, which the survey lists as an empty file."""
    try:
        return read()
    except rv.SurveyError:
        raise
    except Exception:  # noqa: BLE001 - whatever a damaged entry raises
        return b""


def _make(making: Making) -> None:
    """Run the network over the images, job by job. Stop keeps the finished part as long as the server has memory for it."""
    try:
        subject = waiting.network(making.model, trained=making.trained, framing=making.framing)
    except waiting.SENTENCES as error:
        st.session_state.pop("survey_making")
        st.warning(show.escape(str(error)), icon=":material/error:")
        return
    jobs = list(_jobs(making.images))
    st.caption(show.escape(f"{len(making.images):,} images of {making.title}, by {subject.title}"))
    asks = [partial(_ask, subject, job) for job in jobs]
    found = waiting.long("batch", ("survey", hash(making)), asks, subject)
    if found is None:
        return
    st.session_state.pop("survey_making")
    manifest = replace(Manifest.from_json(found[0].manifest_json), images=making.title)
    survey = rv.Survey.of_parts(manifest, [each.part for each in found])
    images = {name: sha256 for name, sha256, _ in making.images}
    try:
        _add(HeldSurvey(survey, f"{making.title}, by {manifest.title}", images))
    except rv.SurveyError as error:
        state.complain(str(error))
    st.rerun()


def _add(held: HeldSurvey) -> None:
    name = results.own_surveys().add(held, results.session())
    own_titles()[name] = held.title
    state.change(survey=name, picked="")


def _jobs(images: Sequence[tuple[str, str, int]]) -> Iterator[list[tuple[str, str, int]]]:
    job: list[tuple[str, str, int]] = []
    most = max(JOB_IMAGES, -(-len(images) // MOST_JOBS))
    for image in images:
        if job and (len(job) >= most or sum(size for _, _, size in job) + image[2] > JOB_BYTES):
            yield job
            job = []
        job.append(image)
    yield job


def _ask(subject: Subject, job: Sequence[tuple[str, str, int]]) -> Ticket:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, sha256, _ in job:
            # Without the time of day, the same images make the same archive, whose result is already stored.
            archive.writestr(zipfile.ZipInfo(name), results.kept_image(sha256))
    return results.submit_archive(subject, buffer.getvalue(), "survey", strongest=STRONGEST)
