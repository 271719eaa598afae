"""The charts of a survey: a measure by depth, classes by block, and where wrong and right predictions separate."""

import streamlit as st

import resnet_viz as rv
from app import show, state
from app.state import Selection
from app.views.measure_table import short_names
from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.analyses.survey.statistics import Grouping, class_counts, confusion_counts, separation
from resnet_viz.figures.survey.wording import kind_of_class
from resnet_viz.figures.theme import short

GROUPS: dict[Grouping, str] = {
    "all": "nothing",
    "right or wrong": "right or wrong",
    "class": "class",
    "predicted class": "predicted class",
}
RANKED = 12
# A matrix with one row compares nothing.
FEWEST_ROWS = 2
# On a phone, charts are as wide as the window.
NARROWEST = 300
UNKNOWN = (
    "No image is in a folder that is named after a class of the network, so predictions cannot be checked. Survey images in"
    " such folders to see which blocks separate wrong predictions from right ones."
)


def depth(found: rv.Survey, chosen: Selection, measure: str, block: str) -> None:
    """A measure by depth, with bands."""
    names = groupings(found)
    grouping: Grouping = next((each for each in names if each == chosen.group), "all")
    figure = rv.figures.survey_by_depth(found, measure, grouping, block, show.theme())
    with st.container(horizontal=True, vertical_alignment="bottom", key="survey-depth-head"):
        show.heading(figure)
        st.segmented_control(
            "Group by",
            list(names),
            format_func=lambda name: names[name],
            required=True,
            help=None if len(names) == len(GROUPS) else UNKNOWN,
            **state.bound("group", grouping),
        )
    show.chart(figure, "survey-depth", narrowest=NARROWEST)


def groupings(found: rv.Survey) -> dict[Grouping, str]:
    """The groupings that have groups in this survey."""
    counts = class_counts(found)
    missing = set[Grouping]()
    if not counts.known:
        missing.add("right or wrong")
    if not counts.known + counts.folders:
        missing.add("class")
    names = {each: name for each, name in GROUPS.items() if each not in missing}
    return names | ({"class": kind_of_class(found)} if "class" in names else {})


def classes(found: rv.Survey, chosen: Selection, measure: str) -> None:
    """A matrix of classes and blocks, with the true classes if they are known and the predicted classes otherwise."""
    known = bool(found.images()["class"].notna().any())
    grouping: Grouping = "class" if known and chosen.group != "predicted class" else "predicted class"
    figure = rv.figures.survey_matrix(found, measure, grouping, show.theme())
    if len(figure.data[0].y) < FEWEST_ROWS:
        st.caption(show.escape(f"{figure.layout.meta['finding']}."))
        return
    show.heading(figure)
    show.chart(figure, "survey-classes", narrowest=NARROWEST)


def mistakes(found: rv.Survey) -> None:
    """Which blocks separate wrong predictions from right ones, and which classes are confused."""
    if not found.images()["correct"].notna().any():
        st.caption(UNKNOWN)
        return
    ranked = separation(found)
    figure = rv.figures.survey_separation(found, ranked, show.theme())
    if not len(ranked):
        st.caption(show.escape(f"{figure.layout.meta['finding']}."))
    else:
        show.heading(figure)
        show.chart(figure, "survey-separation", narrowest=NARROWEST)
        best = ranked.head(RANKED).assign(measure=[MEANINGS[name].symbol for name in ranked["measure"].head(RANKED)])
        best["block"] = best["block"].map(short)
        st.dataframe(short_names(best.set_index("block")), column_config=_RANKING)
    counts, labels = confusion_counts(found)
    if len(labels) > 1:
        matrix = rv.figures.confusion(counts, labels, show.theme(), images="images")
        show.heading(matrix)
        show.chart(matrix, "survey-confusion", least=NARROWEST)


_RANKING = {
    "auc": st.column_config.NumberColumn(
        "area under the curve",
        help="The probability that a wrong prediction has a larger value than a right one. 0.5 means no separation.",
        format="%.3f",
    ),
    "right": st.column_config.NumberColumn("median if right", format="%.4g"),
    "wrong": st.column_config.NumberColumn("median if wrong", format="%.4g"),
}
