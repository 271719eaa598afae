"""The images of a survey: a point for each, those with extreme values, a table of all, and the link to the Inspect page."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

import resnet_viz as rv
from app import query, results, show, state, viewport
from app.state import Selection
from app.surveys import HeldSurvey, is_untrained
from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.analyses.survey.statistics import class_counts, extremes, usable
from resnet_viz.counting import counted
from resnet_viz.figures.theme import short
from resnet_viz.nets.labels import visible

EACH_END, SIDE, TABLE_HEIGHT, MOST_WITHOUT_SCROLLING = 6, 160, 420, 10
# On a phone, charts are as wide as the window.
NARROWEST = 300
# The names of images get most of the width: beside the chosen image, below it, and on a phone.
BESIDE, BELOW, ON_PHONE, FOLDER = 330, 420, 170, 130
COLUMNS = {
    "class": st.column_config.TextColumn("class", width=130),
    "folder": st.column_config.TextColumn("folder", width=FOLDER),
    "predicted": st.column_config.TextColumn("predicted", width=130),
    "probability": st.column_config.NumberColumn("probability", format="percent", width=90),
    "correct": st.column_config.CheckboxColumn("right", width=60),
}
FACTS = ["class", "class_index", "predicted", "probability", "correct"]
ELSEWHERE = "This image is not on this server. To inspect it, upload it on the Inspect page."
ALL_ELSEWHERE = (
    "The images of this survey are not on this server, only their measures. To inspect one, upload it on the Inspect page."
)


def at_block(held: HeldSurvey, chosen: Selection, measure: str, block: str) -> None:
    """All images in one block, those with the largest and smallest values, and the chosen image."""
    found = held.survey
    names = found.image_names()
    if not names:
        st.info("None of these images could be used. The list above gives the reasons.")
        return
    ends, picked = extremes(found, measure, block, EACH_END), picked_image(found, chosen, measure, block)
    figure = rv.figures.survey_scatter(found, measure, block, picked, show.theme())
    show.heading(figure)
    show.chart(figure, "survey-images", narrowest=NARROWEST, on_click=_pick)
    left, right = st.columns([11, 5], gap="medium")
    with left:
        half = (len(ends) + 1) // 2
        for name, rows in (("Largest", ends[:half]), ("Smallest", ends[half:])):
            if len(rows):
                st.markdown(f"#### {name} {show.escape(MEANINGS[measure].symbol)} in block {short(block)}")
                _selectable(rows, found, measure, f"survey-{name.lower()}", picked)
        st.caption("Click the first cell of a row to choose its image.")
    with right:
        _card(held, chosen, picked, block)


def picked_image(found: rv.Survey, chosen: Selection, measure: str, block: str) -> str:
    """The chosen image, or else the one with the largest value; the survey has at least one image that could be used."""
    names = found.image_names()
    if chosen.picked in set(names):
        return chosen.picked
    ends = extremes(found, measure, block, EACH_END)
    return str(ends.index[0]) if len(ends) else names[0]


def table(held: HeldSurvey, chosen: Selection, measure: str, block: str) -> None:
    """All images in a table that only draws the visible rows, and the downloads."""
    found = held.survey
    if not found.image_names():
        return
    images = usable(found)
    values = found.measure(measure)[:, found.manifest.block_number(block)]
    rows = images[FACTS].copy()
    rows.insert(0, measure, values)
    count = counted(len(rows), "image")
    about = f"with {show.escape(MEANINGS[measure].symbol)} in block {short(block)}"
    st.markdown(f"#### {count if len(rows) == 1 else f'All {count}'}, {about}")
    st.caption("Click the name of a column to sort by it, and the first cell of a row to choose its image.")
    height = TABLE_HEIGHT if len(rows) > MOST_WITHOUT_SCROLLING else None
    _selectable(rows, found, measure, "survey-table", picked_image(found, chosen, measure, block), height=height)
    with st.container(horizontal=True):
        st.download_button(
            "Download the survey as Parquet",
            lambda: rv.survey_bytes(found),
            f"{found.manifest.network}-survey.parquet",
            "application/vnd.apache.parquet",
            key="survey-parquet",
        )
        st.download_button(
            "Download this table as CSV", lambda: rows.to_csv().encode(), f"{found.manifest.network}-images.csv", "text/csv"
        )


def _selectable(rows: pd.DataFrame, found: rv.Survey, measure: str, key: str, picked: str, height: int | None = None) -> None:
    """A table whose tick is always at the chosen image, if it is one of the rows."""
    meaning, names = MEANINGS[measure], [str(name) for name in rows.index]
    key = f"{key}-{measure}"
    width = ON_PHONE if viewport.is_narrow() else BELOW if key.startswith("survey-table") else BESIDE
    counts = class_counts(found)
    if counts.folders and counts.known and width == BESIDE:
        width -= FOLDER
    columns = COLUMNS | {
        "image": st.column_config.TextColumn("image", width=width),
        measure: st.column_config.NumberColumn(meaning.symbol, help=meaning.sentence, format="%.4g", width=110),
    }
    ticked = [names.index(picked)] if picked in names else []
    st.session_state[key] = {"selection": {"rows": ticked, "columns": [], "cells": []}}
    st.dataframe(
        _with_folders(rows, found).rename_axis("image").reset_index(),
        hide_index=True,
        column_config=columns,
        key=key,
        on_select=lambda: _pick_row(key, names),
        selection_mode="single-row-required" if ticked else "single-row",
        height="auto" if height is None else height,
    )


def _with_folders(rows: pd.DataFrame, found: rv.Survey) -> pd.DataFrame:
    """Tell classes that the network has from the names of other folders; without any known class, nothing is right or wrong."""
    counts, known = class_counts(found), rows["class_index"].notna()
    told = rows.assign(**{"class": rows["class"].where(known, "not known")})
    if counts.folders:
        told.insert(list(told.columns).index("class") + 1, "folder", rows["class"].mask(known, ""))
    return told.drop(columns=["class_index"] if counts.known else ["class_index", "class", "correct"])


def _card(held: HeldSurvey, chosen: Selection, picked: str, block: str) -> None:
    """The chosen image, the prediction for it, and a button that opens it on the Inspect page if it is available."""
    facts = usable(held.survey).loc[[picked]].iloc[0]
    st.markdown(f"#### {show.escape(picked)}")
    predicted = f"Predicted: {facts['predicted']} ({facts['probability']:.1%})"
    st.caption(show.escape(f"{predicted}. {_class_in_words(facts)}"))
    image = held.images.get(picked, "")
    if not image or not results.is_here(image):
        st.caption(ELSEWHERE if held.images else ALL_ELSEWHERE)
        return
    try:
        show.photo(results.preview(image).original, visible(picked), SIDE)
    except rv.ImageError as error:
        st.caption(show.escape(str(error)))
        return
    st.button(
        "Inspect this image",
        key="survey-inspect",
        type="primary",
        icon=":material/arrow_forward:",
        on_click=_leave_for,
        args=(held, chosen, image, block),
    )
    if st.session_state.pop("survey_left", None):
        st.switch_page(st.session_state["pages"]["Inspect"])


def _class_in_words(facts: "pd.Series[Any]") -> str:
    if not isinstance(facts["class"], str):
        return "Its class is not known."
    if pd.isna(facts["class_index"]):
        return f"Folder: {facts['class']}, which is no class of the network."
    return f"Class: {facts['class']}."


def _leave_for(held: HeldSurvey, chosen: Selection, image: str, block: str) -> None:
    manifest = held.survey.manifest
    weights = "none" if is_untrained(manifest) else "trained"
    if manifest.network in results.models() and (manifest.network, weights) != (chosen.model, chosen.weights):
        state.change(model=manifest.network, weights=weights)
    state.change(image=image, target="", block=block)
    st.session_state["survey_left"] = True


def _pick(name: str) -> None:
    if query.is_plausible(name):
        state.change(picked=name)


def _pick_row(key: str, names: Sequence[str]) -> None:
    rows = st.session_state[key].selection.rows
    if rows:
        _pick(names[rows[0]])
