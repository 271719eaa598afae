"""Survey: what does a network do with many images, block by block, and where do wrong and right predictions separate?"""

from dataclasses import replace

import streamlit as st

import resnet_viz as rv
from app import results, show, state
from app.state import Selection
from app.surveys import HeldSurvey, MissingSurveyError
from app.views import picture_section, shares, survey_images, survey_making, survey_sections
from app.views.share_section import Shared, share
from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.analyses.survey.measuring import MEASURED
from resnet_viz.analyses.survey.statistics import class_counts, measures_with_values, usual_measure
from resnet_viz.counting import counted
from resnet_viz.figures.theme import short
from resnet_viz.nets.zoo import DEFAULT_MODEL


def page() -> None:
    """The whole page, top to bottom. If a survey is not available, the page says why and shows one that ships with the app."""
    chosen = state.selection()
    state.write(chosen)
    held, name = _held(chosen)
    found = held.survey
    with st.container(horizontal=True, vertical_alignment="bottom", key="header"):
        show.product(f"{found.manifest.title} · {counted(found.count, 'image')} · {len(found.block_names)} blocks")
        _pick_survey(held, name)
        share(_shared)
    picture_section.notice()
    survey_making.section(chosen)
    _facts(found)
    measure, block = _pick_measure(chosen, found)
    survey_sections.depth(found, chosen, measure, block)
    survey_images.at_block(held, chosen, measure, block)
    survey_sections.classes(found, chosen, measure)
    survey_sections.mistakes(found)
    survey_images.table(held, chosen, measure, block)


def _shared() -> Shared:
    """What this page gives away."""
    chosen = state.selection()
    held, name = _held(chosen)
    return shares.survey(held.survey, name, chosen, *_chosen_measure(chosen, held.survey))


def _held(chosen: Selection) -> tuple[HeldSurvey, str]:
    """The survey that the URL names, otherwise the shipped one of the chosen network."""
    shipped = results.shipped_surveys()
    if chosen.survey and chosen.survey not in shipped:
        try:
            return results.own_surveys().get(chosen.survey, results.session()), chosen.survey
        except MissingSurveyError as error:
            state.complain(str(error))
            state.write(replace(chosen, survey=""))
    name = next(each for each in (chosen.survey, chosen.model, DEFAULT_MODEL) if each in shipped)
    return shipped[name], name


def _pick_survey(held: HeldSurvey, name: str) -> None:
    titles = {each: shipped.title for each, shipped in results.shipped_surveys().items()} | results.own_survey_titles()
    titles.setdefault(name, held.title)
    st.selectbox(
        "Survey",
        list(titles),
        format_func=lambda each: _sentence_case(titles[each]),
        width=520,
        **state.bound("survey", name),
    )


def _sentence_case(text: str) -> str:
    """Begin with a capital letter, unless the title begins with the name of a file."""
    return f"T{text[1:]}" if text.startswith("the ") else text


def _facts(found: rv.Survey) -> None:
    bad, counts = found.bad, class_counts(found)
    rows = {
        "images": f"{found.count:,}",
        "could not be used": f"{len(bad):,}",
        "with a known class": f"{counts.known:,}",
        **({"in a folder that is no class": f"{counts.folders:,}"} if counts.folders else {}),
        "predicted correctly": f"{found.accuracy:.1%}" if counts.known else "–",
        "weights": found.manifest.weights,
        "SHA-256 of the weights": found.manifest.sha256[:12],
    }
    show.facts_in_line("What was surveyed", rows)
    if len(bad):
        with st.expander(f"{counted(len(bad), 'image')} that could not be used", icon=":material/error:"):
            st.dataframe(bad, column_config={"error": st.column_config.TextColumn("why", width="large")})


def _chosen_measure(chosen: Selection, found: rv.Survey) -> tuple[str, str]:
    """The measure and the block, as the link says or by default."""
    known = measures_with_values(found)
    measure = chosen.quantity if chosen.quantity in known else usual_measure(found)
    return measure, chosen.block if chosen.block in found.block_names else found.block_names[-1]


def _pick_measure(chosen: Selection, found: rv.Survey) -> tuple[str, str]:
    measure, block = _chosen_measure(chosen, found)
    known = measures_with_values(found) or (measure,)
    with st.container(horizontal=True, vertical_alignment="bottom", key="survey-pickers"):
        st.selectbox(
            "Measure",
            known,
            format_func=lambda name: f"{MEANINGS[name].symbol}, {MEANINGS[name].unit}",
            width=360,
            **state.bound("quantity", measure),
        )
        st.selectbox("Block", found.block_names, format_func=short, width=140, **state.bound("block", block))
    missing = [MEANINGS[name].symbol for name in MEASURED if name not in known]
    if missing and found.image_names():
        st.caption(show.escape(f"{_why_missing(found)}: {', '.join(missing)}."))
    return measure, block


def _why_missing(found: rv.Survey) -> str:
    if all(block.shortcut == "none" for block in found.manifest.blocks):
        return "This network has no shortcuts, so there is no identity x to compare F with. Measures without values"
    return "Measures without values in this network"
