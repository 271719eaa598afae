"""Model: what is this network, how was it trained, and how accurate is it?"""

from dataclasses import replace

import streamlit as st

from app import results, show, state, waiting
from app.state import Selection
from app.views import (
    accuracy_section,
    architecture_section,
    card_section,
    checkpoint_section,
    facts_section,
    picture_section,
    python_section,
    training_section,
)
from app.views.network_picker import network_picker
from app.views.share_section import share
from app.views.shares import model as shares


def page() -> None:
    """The whole page, top to bottom; if a network has no card or no curve, the page says so."""
    chosen = _chosen()
    info, parts = results.models()[chosen.model], results.parts(chosen.model)
    with st.container(horizontal=True, vertical_alignment="bottom", key="header"):
        show.product(f"{info.title} · {info.task} · architecture, training, accuracy")
        network_picker(chosen)
        share(lambda: shares.model(info, chosen))
    picture_section.notice()
    recognise = checkpoint_section.section(chosen)
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
    accuracy_section.section(info, chosen)
    recognise()


def _chosen() -> Selection:
    """The network in the URL; for one that is not in the catalogue, an error and the default are shown."""
    chosen = state.selection()
    if chosen.model not in results.models():
        state.complain(waiting.unknown(chosen.model))
        chosen = replace(chosen, model=Selection().model, weights=Selection().weights)
    state.write(chosen)
    return chosen
