"""The images of a survey: a point for each, those with extreme values, a table of all, and the link to the Inspect page."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

import resnet_viz as rv
from app import query, results, show, state
from app.state import Selection
from app.surveys import HeldSurvey, is_untrained
from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.analyses.survey.statistics import extremes, usable
from resnet_viz.figures.theme import short
from resnet_viz.nets.labels import visible

EACH_END, SIDE, TABLE_HEIGHT = 6, 160, 420
COLUMNS = {
    "class": st.column_config.TextColumn("class"),
    "predicted": st.column_config.TextColumn("predicted"),
    "probability": st.column_config.NumberColumn("probability", format="percent"),
    "correct": st.column_config.CheckboxColumn("right"),
}


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
    show.chart(figure, "survey-images", on_click=_pick)
    left, right = st.columns([11, 5], gap="medium")
    with left:
        st.markdown(f"#### Largest and smallest {show.escape(MEANINGS[measure].symbol)} in block {short(block)}")
        st.caption("Click the first cell of a row to choose its image.")
        _selectable(ends, measure, "survey-extremes")
    with right:
        _card(held, chosen, picked, block)


def picked_image(found: rv.Survey, chosen: Selection, measure: str, block: str) -> str:
    """The chosen image, or else the one with the largest value; the survey has at least one image that could be used."""
    names = found.image_names()
    if chosen.picked in set(names):
        return chosen.picked
    ends = extremes(found, measure, block, EACH_END)
    return str(ends.index[0]) if len(ends) else names[0]


def table(held: HeldSurvey, measure: str, block: str) -> None:
    """All images in a table that only draws the visible rows, and the downloads."""
    found = held.survey
    images = usable(found)
    values = found.measure(measure)[:, found.manifest.block_number(block)]
    rows = images[["class", "predicted", "probability", "correct"]].copy()
    rows.insert(0, measure, values)
    st.markdown(f"#### All {len(rows):,} images, with {show.escape(MEANINGS[measure].symbol)} in block {short(block)}")
    st.caption("Click the name of a column to sort by it, and the first cell of a row to choose its image.")
    _selectable(rows, measure, "survey-table", height=TABLE_HEIGHT)
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


def _selectable(rows: pd.DataFrame, measure: str, key: str, height: int | None = None) -> None:
    meaning = MEANINGS[measure]
    columns = COLUMNS | {measure: st.column_config.NumberColumn(meaning.symbol, help=meaning.sentence, format="%.4g")}
    st.dataframe(
        rows.assign(**{"class": rows["class"].fillna("not known")}),
        column_config=columns,
        key=f"{key}-{measure}",
        on_select=lambda: _pick_row(f"{key}-{measure}", [str(name) for name in rows.index]),
        selection_mode="single-row",
        height="auto" if height is None else height,
    )


def _card(held: HeldSurvey, chosen: Selection, picked: str, block: str) -> None:
    """The chosen image, the prediction for it, and a button that opens it on the Inspect page if it is available."""
    facts = usable(held.survey).loc[[picked]].iloc[0]
    st.markdown(f"#### {show.escape(picked)}")
    predicted = f"Predicted: {facts['predicted']} ({facts['probability']:.1%})"
    own = f"Class: {facts['class']}" if isinstance(facts["class"], str) else "Its class is not known."
    st.caption(show.escape(f"{predicted}. {own}"))
    image = held.images.get(picked, "")
    if not image or not results.is_here(image):
        st.caption("This image is not on this server. To inspect it, upload it on the Inspect page.")
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
