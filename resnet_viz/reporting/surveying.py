"""A survey of many images in a report: a measure by depth, every image at a block, classes by block, and the mistakes."""

from collections.abc import Iterator
from functools import partial

import pandas as pd

from resnet_viz import figures
from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.statistics import (
    QUANTILES,
    Grouping,
    class_matrix,
    confusion_counts,
    groups,
    quantiles,
    separation,
    usable,
    usual_measure,
)
from resnet_viz.counting import counted
from resnet_viz.figures.survey.quantile_bands import MOST_CLASSES
from resnet_viz.figures.theme import short
from resnet_viz.reporting.pieces import Contents, Piece


def of_survey(
    survey: Survey, measure: str = "", block: str = "", grouping: Grouping = "all", picked: str | None = None
) -> Contents:
    """Describe a survey for one measure and one block, by default |F| / |x| and the last.

    `picked` is the name of a ringed image.
    """
    at, measure = block or survey.block_names[-1], measure or usual_measure(survey)
    facts = [
        f"{survey.manifest.title}, {survey.manifest.weights}: {counted(survey.count, 'image')} of {survey.manifest.images}."
    ]
    if survey.accuracy == survey.accuracy:
        facts.append(f"{survey.accuracy:.1%} of the images whose class is known are predicted right.")
    if len(survey.bad):
        facts.append(f"{counted(len(survey.bad), 'image')} could not be used.")
    return Contents(
        name=f"{survey.manifest.network}-survey",
        title=f"{survey.manifest.title} on {counted(survey.count, 'image')}",
        notes=tuple(facts),
        pieces=tuple(_pieces(survey, measure, at, grouping, picked)),
        table=_quantiles_by_block(survey, measure) if len(usable(survey)) else None,
        table_title=f"{MEANINGS[measure].symbol} by block: the median of all images, and the values that 5%, 25%, 75% and 95%"
        " of them do not exceed",
    )


def _quantiles_by_block(survey: Survey, measure: str) -> pd.DataFrame:
    names = {quantile: "median" if quantile == 0.5 else f"{quantile:.0%}" for quantile in QUANTILES}
    return quantiles(survey, measure).rename(columns=names)


def _pieces(survey: Survey, measure: str, block: str, grouping: Grouping, picked: str | None) -> Iterator[Piece]:
    def by_depth() -> pd.DataFrame:
        tables = {name: quantiles(survey, measure, mask) for name, mask in groups(survey, grouping, MOST_CLASSES).items()}
        return pd.concat(tables, names=["group"])

    def at_block() -> pd.DataFrame:
        images = usable(survey)[["class", "predicted", "probability", "correct"]].copy()
        images.insert(0, measure, survey.measure(measure)[:, survey.manifest.block_number(block)])
        return images

    if not len(usable(survey)):
        return
    draw = partial(figures.survey_by_depth, survey, measure, grouping, block)
    yield Piece("survey-by-depth", "The measure by depth", draw, by_depth)
    scatter = partial(figures.survey_scatter, survey, measure, block, picked)
    yield Piece("survey-images", f"Every image at block {short(block)}", scatter, at_block)
    yield from _classes(survey, measure, grouping)
    if survey.images()["correct"].notna().any():
        yield from _mistakes(survey)


def _classes(survey: Survey, measure: str, grouping: Grouping) -> Iterator[Piece]:
    """Nothing with a single class, which has nothing to be compared with."""
    known = bool(survey.images()["class"].notna().any())
    rows: Grouping = "class" if known and grouping != "predicted class" else "predicted class"
    draw = partial(figures.survey_matrix, survey, measure, rows)
    if len(class_matrix(survey, measure, rows)) > 1:
        yield Piece("survey-classes", "Classes by block", draw, lambda: class_matrix(survey, measure, rows))


def _mistakes(survey: Survey) -> Iterator[Piece]:
    ranked = separation(survey)
    if len(ranked):
        draw = partial(figures.survey_separation, survey, ranked)
        yield Piece("survey-separation", "What tells mistakes apart", draw, lambda: ranked)
    counts, labels = confusion_counts(survey)
    if len(labels) > 1:
        draw = partial(figures.confusion, counts, labels, images="images")
        yield Piece("confusion", "Mistaken classes", draw, lambda: pd.DataFrame(counts, index=labels, columns=labels))
