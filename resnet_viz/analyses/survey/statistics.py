"""Questions about a finished survey: how a measure varies with depth, and which blocks separate right and wrong predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.survey.measuring import MEASURED
from resnet_viz.analyses.survey.result import Survey

Grouping = Literal["all", "right or wrong", "class", "predicted class"]
GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)
# The first of these that has values is shown first.
USUAL, PLAIN_USUAL = "ratio", ("response_std",)
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# With fewer images on one side, the separation of the two sides means nothing.
FEWEST = 5


@dataclass(frozen=True)
class ClassCounts:
    """How many images that could be used have a class that the network has, and how many are in a folder of another name."""

    known: int
    folders: int


def class_counts(survey: Survey) -> ClassCounts:
    """Count the images whose predictions can be checked, and those whose folder is no class of the network."""
    images = usable(survey)
    known, named = images["class_index"].notna(), images["class"].notna()
    return ClassCounts(int(known.sum()), int((named & ~known).sum()))


def measures_with_values(survey: Survey) -> tuple[str, ...]:
    """Return the measures that this network has: without shortcuts, nothing is compared with the identity."""
    return tuple(name for name in MEASURED if np.isfinite(survey.measure(name)).any())


def usual_measure(survey: Survey) -> str:
    """Return the measure to begin with: |F| / |x|, or std of F in a network without shortcuts."""
    known = measures_with_values(survey)
    return next((name for name in (USUAL, *PLAIN_USUAL, *known) if name in known), USUAL)


def usable(survey: Survey) -> pd.DataFrame:
    """Return `images()` without the images that could not be used. Its rows are those of `Survey.measure`."""
    images = survey.images()
    return images[images["error"].isna()]


def groups(survey: Survey, grouping: Grouping, most: int | None = None) -> dict[str, NDArray[np.bool_]]:
    """Return which usable images belong to each group, (images,), for the `most` largest groups, in the order of the labels.

    Images whose group is unknown belong to none. Raises ValueError for an unknown grouping.
    """
    images = usable(survey)
    if grouping == "all":
        return {"all images": np.ones(len(images), bool)}
    if grouping == "right or wrong":
        correct = images["correct"]
        masks = {"right": correct.eq(other=True), "wrong": correct.eq(other=False)}
        return {name: _mask(mask) for name, mask in masks.items() if bool(_mask(mask).any())}
    if grouping not in GROUPINGS:
        raise ValueError(f"grouping {grouping!r} is unknown: take one of {', '.join(map(repr, GROUPINGS))}")
    column = images["class" if grouping == "class" else "predicted"]
    largest = column.value_counts().index[:most]
    known = [label for label in survey.manifest.labels if label in set(largest)]
    others = [label for label in largest if label not in set(known)]
    return {str(label): _mask(column.eq(label)) for label in [*known, *others]}


def quantiles(survey: Survey, measure: str, mask: NDArray[np.bool_] | None = None) -> pd.DataFrame:
    """Return the quantiles of a measure, one row per block and one column per quantile; NaN if no value is known."""
    values = survey.measure(measure)
    found = _quantiles(values if mask is None else values[mask], QUANTILES)
    return pd.DataFrame(found.T, columns=list(QUANTILES), index=pd.Index(survey.block_names, name="block"))


def separation(survey: Survey) -> pd.DataFrame:
    """Rank blocks and measures by how well they separate wrong predictions from right ones.

    Returns one row per block and measure, the best first. `auc` is the probability that the measure is larger for a wrong
    prediction than for a right one, with ties counted half (Mann and Whitney 1947, https://doi.org/10.1214/aoms/1177730491):
    0.5 means no separation, 0 and 1 mean complete separation. `right` and `wrong` are the medians. The table is empty if fewer
    than five predictions are right or fewer than five are wrong.
    """
    found = groups(survey, "right or wrong")
    right, wrong = found.get("right"), found.get("wrong")
    columns = ["block", "measure", "auc", "right", "wrong"]
    if right is None or wrong is None or min(right.sum(), wrong.sum()) < FEWEST:
        return pd.DataFrame(columns=columns)
    rows = []
    for measure in MEASURED:
        values = survey.measure(measure)
        for number, block in enumerate(survey.block_names):
            auc = area_under_curve(values[wrong, number], values[right, number])
            middles = (_median(values[mask, number]) for mask in (right, wrong))
            rows.append((block, measure, auc, *middles))
    table = pd.DataFrame(rows, columns=columns).dropna(subset=["auc"])
    order = (table["auc"] - 0.5).abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)


def area_under_curve(positive: Array, negative: Array) -> float:
    """Return the probability that a positive value exceeds a negative one, with ties counted half; NaN without values."""
    positive, negative = positive[np.isfinite(positive)], negative[np.isfinite(negative)]
    if not len(positive) or not len(negative):
        return float("nan")
    ranks = pd.Series(np.concatenate([positive, negative])).rank().to_numpy()
    above = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(above / (len(positive) * len(negative)))


def class_matrix(survey: Survey, measure: str, grouping: Grouping = "class", most: int = 30) -> pd.DataFrame:
    """Return the median of a measure for each class (rows) in each block (columns)."""
    values = survey.measure(measure)
    medians = {name: _quantiles(values[mask], (0.5,))[0] for name, mask in groups(survey, grouping, most).items()}
    return pd.DataFrame.from_dict(medians, orient="index", columns=list(survey.block_names))


def extremes(survey: Survey, measure: str, block: str, count: int = 10) -> pd.DataFrame:
    """Return the images with the largest and the smallest values of a measure in a block, in descending order."""
    values = pd.Series(
        survey.measure(measure)[:, survey.manifest.block_number(block)], index=survey.image_names(), name=measure
    )
    ordered = values.dropna().sort_values(ascending=False, kind="stable")
    chosen = ordered if len(ordered) <= 2 * count else pd.concat([ordered.iloc[:count], ordered.iloc[-count:]])
    facts = usable(survey)[["class", "class_index", "predicted", "probability", "correct"]]
    return chosen.to_frame().join(facts[~facts.index.duplicated()])


def confusion_counts(survey: Survey, most: int = 20) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Count the pairs (true class, predicted class) of the images with a known class, and name the classes.

    With more than `most` classes, only those with the most images and mistakes are counted.
    """
    images = usable(survey).dropna(subset=["class_index"])
    true, predicted = (images[name].astype(int).to_numpy() for name in ("class_index", "predicted_index"))
    size = len(survey.manifest.labels)
    seen = np.bincount(true, minlength=size) + np.bincount(predicted, minlength=size)
    mistakes = np.bincount(true[true != predicted], minlength=size) + np.bincount(predicted[true != predicted], minlength=size)
    ranked = np.lexsort((-seen, -mistakes))
    kept = np.sort(ranked[seen[ranked] > 0][:most])
    place = np.full(size, -1)
    place[kept] = np.arange(len(kept))
    inside = (place[true] >= 0) & (place[predicted] >= 0)
    counts = np.zeros((len(kept), len(kept)), np.int64)
    np.add.at(counts, (place[true[inside]], place[predicted[inside]]), 1)
    return counts, tuple(survey.manifest.labels[index] for index in kept)


def _mask(found: "pd.Series[bool]") -> NDArray[np.bool_]:
    """A missing value belongs to no group."""
    mask: NDArray[np.bool_] = found.fillna(value=False).to_numpy(dtype=bool)
    return mask


def _quantiles(values: Array, wanted: Sequence[float]) -> NDArray[np.float64]:
    """(images, blocks) -> (quantiles, blocks), computed from the known values."""
    found = np.full((len(wanted), values.shape[1]), np.nan)
    known = np.isfinite(values)
    whole = known.all(0) & bool(len(values))
    if whole.any():
        found[:, whole] = np.quantile(values[:, whole], wanted, axis=0)
    for block in np.nonzero(~whole & known.any(0))[0]:
        found[:, block] = np.quantile(values[known[:, block], block], wanted)
    return found


def _median(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
