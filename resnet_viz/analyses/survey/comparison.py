"""Two surveys compared: the same images with two networks, or before and after a change."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_viz.analyses.survey.errors import SurveyError, with_article
from resnet_viz.analyses.survey.folders import count_shared
from resnet_viz.analyses.survey.measuring import MEASURED
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.statistics import usable


@dataclass(frozen=True, eq=False)
class SurveyComparison:
    """How two surveys differ on the images that both could use, matched by name.

    `notes` are sentences about differences between the surveys themselves, such as other weights or preprocessing.
    """

    notes: tuple[str, ...]
    count: int
    _blocks: pd.DataFrame
    _images: pd.DataFrame

    def table(self) -> pd.DataFrame:
        """Return one row per block and measure: both medians, the mean difference (right - left), and the largest difference.

        `largest` keeps its sign and belongs to the image in the column `image`. Blocks are matched by name; blocks that only
        one network has are left out.
        """
        return self._blocks.copy()

    def images(self) -> pd.DataFrame:
        """Return one row per shared image: both predictions, whether each is right, and whether they differ (`changed`)."""
        return self._images.copy()

    @property
    def changed(self) -> int:
        """The number of images for which the two networks predict different classes."""
        return int(self._images["changed"].sum())


def compare_surveys(left: Survey, right: Survey) -> SurveyComparison:
    """Compare two surveys, whose images are matched by name; SurveyError if they share no image or no block.

    If no name is the same, those inside the folders that hold all images of a survey are compared: an archive often begins with
    such a folder. TypeError for what is no survey.
    """
    for given in (left, right):
        if not isinstance(given, Survey):
            raise TypeError(f"This is {with_article(given)} and not a survey: open a file with rv.open_survey first.")
    if not set(left.image_names()) & set(right.image_names()):
        left, right = _below_shared_folders(left), _below_shared_folders(right)
    blocks = [name for name in left.block_names if name in set(right.block_names)]
    facts = [_unique(usable(survey)) for survey in (left, right)]
    shared = [name for name in facts[0].index if name in facts[1].index]
    if not shared:
        raise SurveyError(
            "These two surveys share no image, because images are matched by their names: compare surveys of the same folder,"
            " list or archive."
        )
    if not blocks:
        raise SurveyError(
            f"{left.manifest.title} and {right.manifest.title} have no block of the same name: compare surveys by networks of"
            " the same family."
        )
    matched = [each.loc[shared] for each in facts]
    return SurveyComparison(
        notes=tuple(_notes(left, right, matched, len(blocks))),
        count=len(shared),
        _blocks=_differences(left, right, shared, blocks),
        _images=_predictions(*matched),
    )


def _below_shared_folders(survey: Survey) -> Survey:
    """The survey with names that leave out the folders that hold all of its images."""
    names = survey.images().index
    shared = count_shared(PurePosixPath(name).parts[:-1] for name in names)
    inside = ["/".join(PurePosixPath(name).parts[shared:]) for name in names]
    return survey.renamed(inside, survey.manifest.images) if shared and len(set(inside)) == len(names) else survey


def _differences(left: Survey, right: Survey, shared: list[str], blocks: list[str]) -> pd.DataFrame:
    rows = []
    for measure in MEASURED:
        both = [_matrix(survey, measure, shared, blocks) for survey in (left, right)]
        difference = both[1] - both[0]
        for number, block in enumerate(blocks):
            column = difference[:, number]
            known = np.isfinite(column)
            if not known.any():
                continue
            place = int(np.nanargmax(np.abs(column)))
            medians = (float(np.nanmedian(side[:, number])) for side in both)
            rows.append((block, measure, *medians, float(column[known].mean()), float(column[place]), shared[place]))
    columns = ["block", "measure", "left", "right", "mean_difference", "largest", "image"]
    return pd.DataFrame(rows, columns=columns).set_index(["block", "measure"])


def _matrix(survey: Survey, measure: str, shared: list[str], blocks: list[str]) -> NDArray[np.float64]:
    table = _unique(pd.DataFrame(survey.measure(measure), index=survey.image_names(), columns=list(survey.block_names)))
    return table.loc[shared, blocks].to_numpy(dtype=np.float64)


def _predictions(left: pd.DataFrame, right: pd.DataFrame) -> pd.DataFrame:
    columns = ["predicted", "probability", "correct"]
    sides: list[pd.DataFrame | pd.Series[Any]] = [
        side[columns].add_suffix(end) for side, end in ((left, "_left"), (right, "_right"))
    ]
    joined = left[["class"]].join(sides)
    joined["changed"] = (joined["predicted_left"] != joined["predicted_right"]).to_numpy()
    return joined


def _unique(table: pd.DataFrame) -> pd.DataFrame:
    return table[~table.index.duplicated()]


def _about_images(left: Survey, right: Survey, facts: Sequence[pd.DataFrame]) -> list[str]:
    """What hints at images that share only their names; `facts` are those of the shared names."""
    a, b = left.manifest, right.manifest
    notes = []
    if a.images != b.images:
        notes.append(f"The images come from {a.images} and from {b.images}; those of the same name are taken to be the same.")
    classes = [side["class"].fillna("") for side in facts]
    others = int(((classes[0] != classes[1]) & (classes[0] != "") & (classes[1] != "")).sum())
    if others:
        notes.append(f"Number of images with a different class in each survey: {others:,}. They may be different images.")
    same = (a.sha256, a.preprocessing, a.size, a.precision) == (b.sha256, b.preprocessing, b.size, b.precision)
    logits, others_logits = (side["logit"].to_numpy(float) for side in facts)
    if same and not np.allclose(logits, others_logits, rtol=1e-2, atol=1e-2):
        notes.append("The networks are the same and their logits differ, so some images of the same name are different images.")
    return notes


def _notes(left: Survey, right: Survey, facts: Sequence[pd.DataFrame], blocks: int) -> list[str]:
    shared = len(facts[0])
    a, b = left.manifest, right.manifest
    notes = _about_images(left, right, facts)
    if a.network != b.network:
        notes.append(f"The networks are {a.title} and {b.title}.")
    elif a.sha256 != b.sha256:
        notes.append(f"Both are {a.title}, with different weights.")
    if a.preprocessing != b.preprocessing or a.size != b.size:
        notes.append("The preprocessing differs, so the networks did not see the same pixels.")
    if max(left.count, right.count) > shared:
        notes.append(f"{shared:,} images are in both surveys, of {left.count:,} and {right.count:,}.")
    if max(len(left.block_names), len(right.block_names)) > blocks:
        notes.append(f"{blocks} blocks are in both networks, of {len(left.block_names)} and {len(right.block_names)}.")
    versions = [name for name in a.versions if a.versions[name] != b.versions.get(name)]
    if versions:
        notes.append("They were made with different versions of " + ", ".join(versions) + ".")
    return notes
