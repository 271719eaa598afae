"""The start of every page about one network and one image: the pickers, the image and its inspection."""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

import resnet_viz as rv
from app import state, waiting
from app.state import Selection
from app.views import picture_section
from app.views.share_section import Shared


def top(shared: Callable[[], Shared | None]) -> tuple[rv.Inspection, Selection]:
    """The top of such a page; after an error, a sentence explains it and the last good view stays.

    `shared` describes what the page gives away, when somebody asks for it.
    """
    result, chosen = inspection()
    draw(result, chosen, shared)
    return result, chosen


def draw(result: rv.Inspection, chosen: Selection, shared: Callable[[], Shared | None]) -> None:
    """The top of a page for the result of `inspection`."""
    picture_section.header(result, chosen, shared)
    picture_section.notice()
    picture_section.picture(result, chosen)


def inspection() -> tuple[rv.Inspection, Selection]:
    """The inspection in the URL, or the last one that was available, and the selection that it belongs to."""
    wanted, last_good = state.selection(), st.session_state.get("last_good", Selection())
    # If only the network is not available, the image may still be.
    attempts = (wanted, replace(last_good, image=wanted.image), last_good, Selection())
    answer = waiting.first_good(attempts, _inspect)
    if answer is None:
        picture_section.notice()
        st.stop()
    asked, result = answer
    known = asked.block in {block.name for block in result.blocks}
    good = asked if known else replace(asked, block=result.most_changed())
    st.session_state["last_good"] = good
    state.write(good)
    return result, state.selection()


def _inspect(chosen: Selection) -> rv.Inspection:
    net = waiting.network(chosen.model, trained=chosen.trained, framing=chosen.framing)
    return waiting.inspection(net, chosen.image, chosen.target_index, chosen.block)
