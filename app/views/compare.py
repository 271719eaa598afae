"""Compare: how do two networks, or one network for two images, differ block by block?"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import streamlit as st

import resnet_viz as rv
from app import results, state, waiting
from app.catalogue import Subject
from app.state import Selection
from app.views import compare_header, compare_section, picture_section, shares
from app.views.compare_pair import completed
from app.views.removals import with_removals
from app.views.share_section import Shared
from resnet_viz.analyses.comparison import BlockPair, pair_blocks


def page() -> None:
    """The whole page, top to bottom; after an error, a sentence explains it and the last good view stays."""
    st.html(Path(__file__).with_suffix(".css"))
    result, chosen = _result()
    compare_header.header(result, chosen, _shared)
    picture_section.notice()
    compare_header.sides(result, chosen)
    compare_section.differences(result, _truth(chosen))
    if chosen.measure == "ablation":
        result = _with_removals(result, chosen)
    measure = compare_section.maps(result, chosen)
    compare_section.depth(result, chosen, measure)
    compare_section.equations(result, chosen)
    compare_section.numbers(result)


def _shared() -> Shared:
    """What this page gives away."""
    result, chosen = _result()
    return shares.comparison(_subjects(chosen), chosen, result, _truth(chosen))


def _result() -> tuple[rv.Comparison, Selection]:
    """The comparison in the URL, with both sides named; if it is not available, the last available one."""
    answer = waiting.first_good(_attempts(), _compare)
    if answer is None:
        picture_section.notice()
        st.stop()
    asked, result = answer
    used = asked.target_index == result.left.target == result.right.target
    good = replace(asked, block=_opened(result.pairs, asked.block, result.right).name, target=asked.target if used else "")
    st.session_state["last_good_comparison"] = good
    state.write(good)
    return result, good


def _attempts() -> Iterator[Selection]:
    wanted, last_good = state.selection(), st.session_state.get("last_good_comparison", Selection())
    # If only a network is not available, the image may still be.
    for attempt in (wanted, replace(last_good, image=wanted.image), last_good, Selection()):
        yield completed(attempt, results.models())


def _compare(chosen: Selection) -> rv.Comparison:
    left_subject, right_subject = _subjects(chosen)
    target = _target(chosen, left_subject, right_subject)
    pairs = pair_blocks(results.block_names(left_subject), results.block_names(right_subject))
    asked = next((pair for pair in pairs if pair.name == chosen.block), None)
    right = waiting.inspection(right_subject, chosen.right_image or chosen.image, target, asked.right if asked else "")
    left = waiting.inspection(left_subject, chosen.image, target, _opened(pairs, chosen.block, right).left)
    return rv.compare(left, right)


def _subjects(chosen: Selection) -> tuple[Subject, Subject]:
    left = waiting.network(chosen.left, trained=chosen.left_weights != "none", field="left", framing=chosen.framing)
    right = waiting.network(chosen.right, trained=chosen.right_weights != "none", field="right", framing=chosen.framing)
    return left, right


def _with_removals(result: rv.Comparison, chosen: Selection) -> rv.Comparison:
    """The comparison with the decrease of each side's class without each block."""
    left, right = _subjects(chosen)
    return rv.compare(
        with_removals(left, chosen.image, result.left),
        with_removals(right, chosen.right_image or chosen.image, result.right),
    )


def _target(chosen: Selection, left: Subject, right: Subject) -> int | None:
    """Return the chosen class, or None if the networks do not both have it; then each one explains its own prediction."""
    known = left.labels == right.labels and chosen.target_index in range(len(left.labels))
    return chosen.target_index if known else None


def _opened(pairs: tuple[BlockPair, ...], name: str, right: rv.Inspection) -> BlockPair:
    """Return the pair of that name, or the one in which the right side changes its input most."""
    suggested = right.most_changed()
    named = next((pair for pair in pairs if pair.name == name), None)
    return named or next(pair for pair in pairs if pair.right == suggested)


def _truth(chosen: Selection) -> str | None:
    """Return the class of the image if both sides have the same one, and it is a sample with a known class."""
    sample = None if chosen.right_image else results.samples().get(chosen.image)
    return sample.label if sample else None
