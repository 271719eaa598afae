"""Model: what is this network, how was it trained, and how well does it do?"""

from dataclasses import replace

import streamlit as st

from app import results, show, state, waiting
from app.state import Selection
from app.views import (
    architecture_section,
    card_section,
    checkpoint_section,
    facts_section,
    picture_section,
    python_section,
    training_section,
)
from app.views.network_picker import network_picker


def page() -> None:
    """The whole page, top to bottom; what a network does not have, a card or a curve, is left out and said."""
    chosen = _chosen()
    info, parts = results.models()[chosen.model], results.parts(chosen.model)
    with st.container(horizontal=True, vertical_alignment="bottom", key="header"):
        show.product(f"{info.title} · {info.task} · what it is, how it was trained, how well it does")
        network_picker(chosen)
    picture_section.notice()
    checkpoint_section.section(chosen)
    python_section.section()
    if info.source == "shipped" and chosen.trained:
        card = card_section.read(info.name)
        facts_section.shipped(info, parts, card)
        training_section.section(info)
        architecture_section.section(info, parts)
        card_section.accuracy(card)
        card_section.origin(card)
    else:
        facts_section.without_card(info, parts, chosen)
        architecture_section.section(info, parts)


def _chosen() -> Selection:
    """What the URL asks for; a network that is not in the catalogue is complained about, and the default shown."""
    chosen = state.selection()
    if chosen.model not in results.models():
        state.complain(waiting.unknown(chosen.model))
        chosen = replace(chosen, model=Selection().model, weights=Selection().weights)
    state.write(chosen)
    return chosen
