"""What makes a channel fire: the images of a survey that excite it most, with the place and its receptive field marked."""

from collections.abc import Sequence
from typing import Any, cast

import streamlit as st

import resnet_viz as rv
from app import results, show, waiting
from app.state import Selection
from app.surveys import HeldSurvey, MissingSurveyError
from app.views import survey_making
from resnet_viz.analyses.place_fields import PlaceFields
from resnet_viz.figures.block.channel_mosaic import strongest_channel
from resnet_viz.figures.theme import short

SHOWN = 6


def peaks(result: rv.Inspection, chosen: Selection) -> None:
    """The strongest images of the chosen channel of the open block, or of the channel that the current image excites most."""
    block = result.block(chosen.block)
    held = _survey(chosen)
    if held is None or block.name not in held.survey.block_names:
        st.info("No survey with this network is available yet. A survey finds the images that excite each channel most.")
        st.page_link(st.session_state["pages"]["Survey"], label="Survey your own images", icon=":material/arrow_forward:")
        return
    channels = block.shape[0]
    channel = chosen.channel_index if chosen.channel_index in range(channels) else strongest_channel(block, "output")
    found = held.survey.strongest(block.name, channel or 0)
    fires = found[found["value"] > 0]
    st.markdown(f"#### {_heading(block.name, channel or 0, len(fires), held)}")
    st.caption(
        "Solid: the place of the largest activation. Dashed: its receptive field, outside of which no pixel has any influence."
        " Choose a channel above, or click a tile under All channels."
    )
    at_hand = fires[[held.images.get(str(name), "") != "" for name in fires["image"]]] if len(fires) else fires
    here = [row for row in at_hand.itertuples() if results.is_here(held.images[str(row.image)])][:SHOWN]
    if here:
        _photos(held, chosen, block.name, here)
    if len(here) < len(fires):
        st.dataframe(
            fires.set_index("image"),
            column_config={"value": st.column_config.NumberColumn("activation", format="%.4g")},
        )
    if len(here) < min(len(fires), SHOWN):
        st.caption("Images that are not on this server are only listed in the table.")


def _heading(block: str, channel: int, count: int, held: HeldSurvey) -> str:
    if not count:
        return f"Channel {channel} of block {short(block)} does not fire for any of {show.escape(held.survey.manifest.images)}"
    images = show.escape(held.survey.manifest.images)
    return f"What makes channel {channel} of block {short(block)} fire, among {images}"


def _photos(held: HeldSurvey, chosen: Selection, block: str, rows: Sequence[Any]) -> None:
    # The network input at the time of the survey.
    framing = held.survey.manifest.preprocessing.get("framing", "")
    subject = waiting.network(chosen.model, trained=chosen.trained, framing="fit" if framing == "fit" else "")
    field = cast("PlaceFields", waiting.about_network(subject, "place fields", "place fields", block=block))
    with st.container(horizontal=True, gap="medium", key="peaks"):
        for number, row in enumerate(rows):
            name, place = str(row.image), (int(row.row), int(row.column))
            ground = results.ground(held.images[name], subject)
            figure = rv.figures.peak_photo(ground.colour, field, *place, float(row.value), name, show.theme())
            with st.container(width=200, gap="xxsmall"):
                show.chart(figure, f"peak-{number}", width="content")
                st.caption(show.escape(figure.layout.meta["finding"]))


def _survey(chosen: Selection) -> HeldSurvey | None:
    """The latest survey of this session with the network on screen, or the survey that ships with the app."""
    if not chosen.trained:
        return None
    for name in reversed(survey_making.own_titles()):
        try:
            held = results.own_surveys().get(name, results.session())
        except MissingSurveyError:
            continue
        if held.survey.manifest.network == chosen.model:
            return held
    return results.shipped_surveys().get(chosen.model)
