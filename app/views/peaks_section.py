"""What makes a channel fire: the images of a survey that excite it most, with the place and its receptive field marked."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import pandas as pd
import streamlit as st

import resnet_viz as rv
from app import jobs, results, show, state, waiting
from app.catalogue import Subject
from app.state import Selection
from app.surveys import HeldSurvey, MissingSurveyError
from resnet_viz.analyses.place_fields import PlaceFields
from resnet_viz.engine.jobs import OptionValue
from resnet_viz.figures.block.channel_mosaic import strongest_channel
from resnet_viz.figures.theme import short
from resnet_viz.reporting.inspecting import Firing

SHOWN = 6
# Asks the engine about a network alone: its arguments are the network, the type of job, and the view.
AskNetwork = Callable[..., Any]


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
    found = _find(result, chosen, waiting.about_network)
    if found is None:
        st.info("No survey with these weights is available yet. A survey finds the images that excite each channel most.")
        st.page_link(st.session_state["pages"]["Survey"], label="Survey your own images", icon=":material/arrow_forward:")
        return
    fires = found.fires
    st.markdown(f"#### {_heading(found.block, found.channel, len(fires), found.held)}")
    why = "" if chosen.channel_index == found.channel else "This is the channel that the image above excites most. "
    marks = (
        "Solid: the place of the largest activation. Dashed: its receptive field, outside of which no pixel has any influence."
    )
    names = "The images of this survey are not on this server, so only their names are listed."
    st.caption(f"{why}{marks if found.here else names} Choose a channel above, or click a tile under All channels.")
    if found.here:
        _photos(found, chosen)
    if len(found.here) < len(fires):
        st.dataframe(
            fires.set_index("image"),
            column_config={"value": st.column_config.NumberColumn("activation", format="%.4g")},
        )
    if 0 < len(found.here) < min(len(fires), SHOWN):
        st.caption("Images that are not on this server are only listed in the table.")


def firing(result: rv.Inspection, chosen: Selection) -> Firing | None:
    """The same for a report; None without a survey or a photo, or before the page has shown it."""
    found = _find(result, chosen, at_hand)
    if found is None or not found.here:
        return None
    subject = surveyed(found.held, chosen)
    field = at_hand(subject, "place fields", "place fields", block=found.block)
    if field is None:
        return None
    photos = {str(row.image): found.photo(row, subject) for row in found.here}
    return Firing(found.block, found.channel, found.fires, photos, field)


def surveyed(held: HeldSurvey, chosen: Selection) -> Subject:
    """Return the chosen network with the input that it had at the time of the survey."""
    framing = held.survey.manifest.preprocessing.get("framing", "")
    return waiting.network(chosen.model, trained=chosen.trained, framing="fit" if framing == "fit" else "")


def at_hand(subject: Subject, kind: str, view: str, **options: OptionValue) -> Any:  # noqa: ANN401 - each kind's own result
    """Ask about a network alone without progress; None if the answer is not there."""
    return waiting.at_hand(partial(jobs.submit_without_image, subject, kind, f"shared {view}", **options))


def survey_of(result: rv.Inspection, chosen: Selection, ask: AskNetwork) -> HeldSurvey | None:
    """The survey of the weights on screen: the one in the URL, else the latest of this session, else the shipped one."""
    shipped = results.shipped_surveys().get(chosen.model) if chosen.trained else None
    if shipped is not None and chosen.survey == chosen.model:
        return shipped
    candidates = [held for held in _own(chosen) if _has_blocks_of(held, result)]
    if candidates:
        digest = ask(surveyed(candidates[0], chosen), "weights digest", "weights digest")
        candidates = [held for held in candidates if digest is not None and held.survey.manifest.sha256 == digest.sha256]
    return next(iter(candidates), shipped)


def _own(chosen: Selection) -> list[HeldSurvey]:
    """The survey in the URL, and those of this session, the latest first."""
    found = []
    for name in dict.fromkeys([chosen.survey, *reversed(results.own_survey_titles())]):
        with suppress(MissingSurveyError):
            found.append(results.own_surveys().get(name, results.session()))
    return found


def _has_blocks_of(held: HeldSurvey, result: rv.Inspection) -> bool:
    """Whether the blocks are the same: networks with and without shortcuts may have equal weights."""
    surveyed_blocks = [(block.name, block.shortcut) for block in held.survey.manifest.blocks]
    return surveyed_blocks == [(block.name, block.shortcut) for block in result.blocks]


def _find(result: rv.Inspection, chosen: Selection, ask: AskNetwork) -> _Found | None:
    block = result.block(chosen.block)
    held = survey_of(result, chosen, ask)
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
            with st.container(width=200, gap="xxsmall", key=f"peak-box-{number}"):
                show.chart(figure, f"peak-{number}", least=130)
                st.caption(show.escape(figure.layout.meta["finding"]))
                image = found.held.images[str(row.image)]
                if st.button("Inspect this image", key=f"peak-inspect-{number}", disabled=image == chosen.image):
                    _inspect(image, found)


def _inspect(image: str, found: _Found) -> None:
    """Open an image at the same channel of the same block; the whole page shows it."""
    state.change(image=image, target="", block=found.block)
    state.change(channel=str(found.channel))
    # This part of the page can be redrawn alone.
    st.rerun()
