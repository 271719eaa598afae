"""What makes a channel fire: the images of a survey that excite it most, with the place and its receptive field marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import pandas as pd
import streamlit as st

import resnet_viz as rv
from app import jobs, results, show, waiting
from app.catalogue import Subject
from app.state import Selection
from app.surveys import HeldSurvey, MissingSurveyError
from app.views import survey_making
from resnet_viz.analyses.place_fields import PlaceFields
from resnet_viz.figures.block.channel_mosaic import strongest_channel
from resnet_viz.figures.theme import short
from resnet_viz.reporting.inspecting import Firing

SHOWN = 6


@dataclass(frozen=True, eq=False)
class _Found:
    """The images of a survey that make a channel fire, a row each, and the first of the rows whose image is on this server."""

    held: HeldSurvey
    block: str
    channel: int
    fires: pd.DataFrame
    here: Sequence[Any]

    def photo(self, row: Any, subject: Subject) -> str:  # noqa: ANN401 - a named tuple of pandas
        """Return the network's crop of an image as a data URL."""
        return results.ground(self.held.images[str(row.image)], subject).colour


def peaks(result: rv.Inspection, chosen: Selection) -> None:
    """The strongest images of the chosen channel of the open block, or of the channel that the current image excites most."""
    found = _find(result, chosen)
    if found is None:
        st.info("No survey with this network is available yet. A survey finds the images that excite each channel most.")
        st.page_link(st.session_state["pages"]["Survey"], label="Survey your own images", icon=":material/arrow_forward:")
        return
    fires = found.fires
    st.markdown(f"#### {_heading(found.block, found.channel, len(fires), found.held)}")
    st.caption(
        "Solid: the place of the largest activation. Dashed: its receptive field, outside of which no pixel has any influence."
        " Choose a channel above, or click a tile under All channels."
    )
    if found.here:
        _photos(found, chosen)
    if len(found.here) < len(fires):
        st.dataframe(
            fires.set_index("image"),
            column_config={"value": st.column_config.NumberColumn("activation", format="%.4g")},
        )
    if len(found.here) < min(len(fires), SHOWN):
        st.caption("Images that are not on this server are only listed in the table.")


def firing(result: rv.Inspection, chosen: Selection) -> Firing | None:
    """The same for a report; None without a survey or a photo, or before the page has shown it."""
    found = _find(result, chosen)
    if found is None or not found.here:
        return None
    subject = surveyed(found.held, chosen)
    ask = partial(jobs.submit_without_image, subject, "place fields", "shared place fields", block=found.block)
    field = waiting.at_hand(ask)
    if field is None:
        return None
    photos = {str(row.image): found.photo(row, subject) for row in found.here}
    return Firing(found.block, found.channel, found.fires, photos, field)


def surveyed(held: HeldSurvey, chosen: Selection) -> Subject:
    """Return the chosen network with the input that it had at the time of the survey."""
    framing = held.survey.manifest.preprocessing.get("framing", "")
    return waiting.network(chosen.model, trained=chosen.trained, framing="fit" if framing == "fit" else "")


def survey_of(chosen: Selection) -> HeldSurvey | None:
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


def _find(result: rv.Inspection, chosen: Selection) -> _Found | None:
    block = result.block(chosen.block)
    held = survey_of(chosen)
    if held is None or block.name not in held.survey.block_names:
        return None
    channels = block.shape[0]
    channel = chosen.channel_index if chosen.channel_index in range(channels) else strongest_channel(block, "output")
    found = held.survey.strongest(block.name, channel or 0)
    fires = found[found["value"] > 0]
    at_hand = fires[[held.images.get(str(name), "") != "" for name in fires["image"]]] if len(fires) else fires
    here = [row for row in at_hand.itertuples() if results.is_here(held.images[str(row.image)])][:SHOWN]
    return _Found(held, block.name, channel or 0, fires, here)


def _heading(block: str, channel: int, count: int, held: HeldSurvey) -> str:
    if not count:
        return f"Channel {channel} of block {short(block)} does not fire for any of {show.escape(held.survey.manifest.images)}"
    images = show.escape(held.survey.manifest.images)
    return f"What makes channel {channel} of block {short(block)} fire, among {images}"


def _photos(found: _Found, chosen: Selection) -> None:
    subject = surveyed(found.held, chosen)
    field = cast("PlaceFields", waiting.about_network(subject, "place fields", "place fields", block=found.block))
    with st.container(horizontal=True, gap="medium", key="peaks"):
        for number, row in enumerate(found.here):
            place = int(row.row), int(row.column)
            url = found.photo(row, subject)
            figure = rv.figures.peak_photo(url, field, *place, float(row.value), str(row.image), show.theme())
            with st.container(width=200, gap="xxsmall"):
                show.chart(figure, f"peak-{number}", width="content")
                st.caption(show.escape(figure.layout.meta["finding"]))
