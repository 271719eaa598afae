"""Many images that a person brings: files and archives are taken apart, kept in memory, and sent to the engine in jobs."""

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from streamlit.runtime.uploaded_file_manager import UploadedFile

import resnet_viz as rv
from app import middleware, results
from app.surveys import MOST_IMAGES
from app.uploads import SHARE_BYTES
from resnet_viz.analyses.survey import archives
from resnet_viz.analyses.survey.folders import SUFFIXES
from resnet_viz.images import MAX_BYTES

# Images and bytes of one job: few enough for others' jobs to come in between; of many images more, so that jobs stay few.
JOB_IMAGES, MOST_JOBS, JOB_BYTES = 32, 120, 12 * 2**20
ARCHIVES = ["zip", "tar", "tgz", "gz", "xz", "bz2"]
LIMITS = archives.ArchiveLimits(entries=MOST_IMAGES + 500, unpacked=SHARE_BYTES)


@dataclass(frozen=True)
class BroughtImage:
    """An image's name, which is unique among those that came with it, the SHA-256 of its bytes, and how many they are."""

    name: str
    sha256: str
    size: int


def kept(files: Sequence[UploadedFile], otherwise: str) -> Iterator[BroughtImage]:
    """Keep the bytes of every image; SurveyError where there are none or too many, and then `otherwise` is the way out."""
    total, taken = 0, set[str]()
    for name, data in _contents(files):
        unique = name if name not in taken else f"{len(taken)} {name}"
        taken.add(unique)
        total += len(data)
        if len(taken) > MOST_IMAGES or total > SHARE_BYTES:
            raise rv.SurveyError(
                f"These are more than {MOST_IMAGES:,} images or {SHARE_BYTES >> 20} MB, the most that are accepted here: take"
                f" fewer, or {otherwise}."
            )
        yield BroughtImage(unique, results.keep_image(data), len(data))
    if not taken:
        raise rv.SurveyError("There are no images in these files: choose images, or an archive of images.")


def jobs(images: Sequence[BroughtImage]) -> Iterator[list[BroughtImage]]:
    """Divide images into jobs."""
    job: list[BroughtImage] = []
    most = max(JOB_IMAGES, -(-len(images) // MOST_JOBS))
    for image in images:
        if job and (len(job) >= most or sum(each.size for each in job) + image.size > JOB_BYTES):
            yield job
            job = []
        job.append(image)
    yield job


def packed(job: Sequence[BroughtImage], read: Callable[[str], bytes] = results.kept_image) -> bytes:
    """Return the images of a job as a ZIP archive; MissingImageError with a sentence where they are gone.

    `read` returns the bytes of an image.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for image in job:
            # Without the time of day the same images make the same archive, whose answer is kept.
            archive.writestr(zipfile.ZipInfo(image.name), read(image.sha256))
    return buffer.getvalue()


def _contents(files: Sequence[UploadedFile]) -> Iterator[tuple[str, bytes]]:
    for file in files:
        data = file.getvalue()
        if archives.is_archive(io.BytesIO(data)):
            for name, read in archives.entries(data, LIMITS):
                if any(name.lower().endswith(suffix) for suffix in SUFFIXES):
                    yield name, _bytes(read)
        elif file.name.lower().endswith(tuple(f".{kind}" for kind in ARCHIVES)):
            raise rv.SurveyError(
                f"{middleware.safe_name(file.name)} is not a ZIP or TAR archive, although its name says so, so it cannot be"
                " opened: pack the images again, or choose the images themselves."
            )
        else:
            yield middleware.safe_name(file.name).lstrip("."), data[: MAX_BYTES + 1]


def _bytes(read: Callable[[], bytes]) -> bytes:
    """The bytes of an entry; of a damaged one none, which is then listed as an empty file."""
    try:
        return read()
    except rv.SurveyError:
        raise
    except Exception:  # noqa: BLE001 - whatever a damaged entry raises
        return b""
