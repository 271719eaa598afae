"""An unfinished survey: a folder of parts next to its file. Each part is a survey of its own, and `finish` combines them.

One run at a time has the folder. A part knows the version of each of its images, so that a run that resumes never mixes two
data sets.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from resnet_viz.analyses.survey import rows as in_rows
from resnet_viz.analyses.survey.classes import TrueClass
from resnet_viz.analyses.survey.errors import SurveyError, writing
from resnet_viz.analyses.survey.files import is_parquet, open_survey, write_rows
from resnet_viz.analyses.survey.locks import locked
from resnet_viz.analyses.survey.manifest import Manifest
from resnet_viz.analyses.survey.parts import SurveyPart
from resnet_viz.analyses.survey.peaks import merge
from resnet_viz.analyses.survey.result import Survey

LOCK, VERSIONS = "lock", b"resnet_viz.versions"
_PART = re.compile(r"\d{6,}\.parquet")


@dataclass(frozen=True)
class FinishedImage:
    """An image that an earlier run measured: its name, class and version, and whether it could be used."""

    name: str
    label: TrueClass
    version: str
    usable: bool


@dataclass(frozen=True)
class Unfinished:
    """The parts of a survey in progress, in the folder next to its file."""

    target: Path
    manifest: Manifest

    @classmethod
    @contextmanager
    def begin(cls, target: Path, manifest: Manifest) -> Iterator["Unfinished"]:
        """Start a survey or resume one, and hold its lock until the end.

        Raises SurveyError if the file exists, another run is at work on it, a part is damaged, or the parts belong to another
        survey.
        """
        made = cls(target, manifest)
        taken = f"Another run is making the survey {target} at this moment: wait until it has ended, or choose another name."
        refuse_existing(target)
        with writing(made.folder):
            made.folder.mkdir(parents=True, exist_ok=True)
        try:
            with locked(made.folder / LOCK, taken):
                refuse_existing(target)
                made._check()
                yield made
        finally:
            # Whatever else is in the folder stays.
            with suppress(OSError):
                made.folder.rmdir()

    @property
    def folder(self) -> Path:
        """The folder of the parts."""
        return parts_folder(self.target)

    def paths(self) -> list[Path]:
        """The paths of the complete parts, in order."""
        return part_paths(self.target)

    def images(self) -> Iterator[FinishedImage]:
        """Yield every finished image, in order."""
        for path in self.paths():
            facts = in_rows.read(path, ("image", "class", "class_index", "error")).to_pylist()
            for row, version in zip(facts, _versions(path), strict=True):
                index = -1 if row["class_index"] is None else row["class_index"]
                yield FinishedImage(row["image"], TrueClass(row["class"] or "", index), version, row["error"] is None)

    def append(self, part: SurveyPart) -> None:
        """Write another part."""
        path = self.folder / f"{len(self.paths()):06}.parquet"
        versions = {VERSIONS: json.dumps(part.versions).encode()}
        write_rows(path, self.manifest, part.peaks, iter([in_rows.to_table(part, self.manifest)]), versions)

    def finish(self) -> Survey:
        """Combine the parts into the file, and remove them."""
        paths = self.paths()
        if not paths:
            write_rows(self.target, self.manifest, Survey.of_parts(self.manifest, []).peaks, iter(()))
        else:
            firsts = np.cumsum([0, *(in_rows.count(path) for path in paths)])
            parts = ((open_survey(path).peaks, int(first)) for path, first in zip(paths, firsts, strict=False))
            write_rows(self.target, self.manifest, merge(parts), (pq.read_table(path) for path in paths))
        finished = open_survey(self.target)
        for path in paths:
            path.unlink(missing_ok=True)
        return finished

    def _check(self) -> None:
        for number, path in enumerate(self.paths()):
            if path.name != f"{number:06}.parquet":
                raise SurveyError(
                    f"A part of the unfinished survey is missing, {number:06}.parquet in {self.folder}: delete the parts after"
                    " it to resume from there, or delete the folder to start again."
                )
            try:
                found = open_survey(path)
                _versions(path)
            except SurveyError as error:
                raise SurveyError(
                    f"The part {path} of the unfinished survey is damaged or was written by another version: delete it and the"
                    " parts after it to resume from there, or delete the folder to start again."
                ) from error
            if differences := found.manifest.differences(self.manifest):
                raise SurveyError(
                    f"The unfinished survey in {self.folder} was begun with something else. What differs: "
                    f"{', '.join(differences)}. Finish it with the same, choose another file name, or delete the folder."
                )


def parts_folder(target: Path) -> Path:
    """Return the folder of the parts of a survey."""
    return target.with_name(f"{target.name}.parts")


def part_paths(target: Path) -> list[Path]:
    """Return the parts that are finished, in order; other files in their folder are none of ours."""
    try:
        return sorted(path for path in parts_folder(target).iterdir() if _PART.fullmatch(path.name))
    except OSError:
        return []


def count_finished(target: str | os.PathLike[str]) -> int:
    """Return how many images of an unfinished survey are kept."""
    return sum(in_rows.count(path) for path in part_paths(Path(target)))


def refuse_existing(target: Path) -> None:
    """Raise SurveyError if there is something at the place of a survey that is to be made."""
    with writing(target):
        found, is_folder, is_survey = target.exists(), target.is_dir(), is_parquet(target)
    if is_folder:
        raise SurveyError(f"{target} is a folder: name a file in it, such as {target}/survey.parquet.")
    if is_survey:
        raise SurveyError(f"There is a survey at {target} already: open it with rv.open_survey, or choose another name.")
    if found:
        raise SurveyError(f"There is a file at {target} already, and it is no survey: choose another name.")


def _versions(path: Path) -> list[str]:
    """The versions of the images of a part; SurveyError if it has none."""
    try:
        found = json.loads((pq.read_metadata(path).metadata or {}).get(VERSIONS, b"[]"))
    except ValueError:
        found = []
    if not isinstance(found, list) or len(found) != in_rows.count(path):
        raise SurveyError(f"The part {path} does not say of which images it is: delete it and measure them again.")
    return found
