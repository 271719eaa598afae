"""The top of the comparison: what is compared, both sides, and the controls to change them."""

from collections.abc import Callable
from dataclasses import asdict

import streamlit as st

import resnet_viz as rv
from app import results, show, state, waiting
from app.state import Selection
from app.views import photo_section, picture_section
from app.views.compare_pair import Mode, in_mode, mode_of, swapped
from app.views.network_picker import described
from app.views.share_section import Shared, share

MODES: dict[Mode, str] = {
    "networks": "Two networks, one image",
    "pictures": "One network, two images",
    "both": "Two networks, two images",
}


def header(result: rv.Comparison, chosen: Selection, shared: Callable[[], Shared | None]) -> None:
    """The product's name, what is compared in words, the button to swap the sides, and the way to take the view away."""
    mode = mode_of(chosen)
    with st.container(horizontal=True, vertical_alignment="bottom", key="header"):
        show.product(_facts(result, mode))
        _mode_picker(chosen, mode)
        _target_picker(result, chosen)
        st.button("Swap the sides", icon=":material/swap_horiz:", on_click=_select, args=(swapped(chosen),))
        share(shared)


def sides(result: rv.Comparison, chosen: Selection) -> None:
    """Each side's network, crop and predictions; and the image gallery if both sides have the same image."""
    mode = mode_of(chosen)
    if mode == "pictures":
        _network_picker("Network", "both", chosen.left)
    with st.container(key="sides"):
        left, right = st.columns(2, gap="large")
    with left:
        _side(result.left, "left", chosen, mode)
    with right:
        _side(result.right, "right", chosen, mode)
    photo_section.framing(chosen.image, chosen)
    if mode == "networks":
        _other_pictures("image", chosen.image, "gallery")
        if (chosen.left, chosen.left_weights) == (chosen.right, chosen.right_weights):
            st.info("Both sides show the same network and the same image. Choose another network on one side.")


def _facts(result: rv.Comparison, mode: Mode) -> str:
    if mode == "pictures":
        return f"{result.left.title} on two images · {result.left.device}"
    what = "one image" if mode == "networks" else "two images"
    return f"{result.left.title} and {result.right.title} on {what} · {result.left.device}"


def _side(inspected: rv.Inspection, side: str, chosen: Selection, mode: Mode) -> None:
    if mode != "pictures":
        _network_picker(f"{side.capitalize()} network", side, inspected.model)
    image = chosen.right_image if side == "right" and chosen.right_image else chosen.image
    weights = chosen.left_weights if side == "left" else chosen.right_weights
    subject = waiting.network(inspected.model, trained=weights != "none", field=side, framing=chosen.framing)
    seen, says = st.columns([1, 1], gap="medium")
    with seen:
        photo_section.photo(inspected, subject, image)
    with says:
        picture_section.answer(inspected, f"predictions-{side}", subject, image)
        if not inspected.weights.trained:
            note = f"{inspected.title} is {inspected.weights.note}. The weights of this side are random, not trained."
            st.warning(show.escape(note), icon=":material/casino:")
    if mode != "networks":
        field, key = ("image", "gallery") if side == "left" else ("right_image", "gallery-right")
        _other_pictures(field, getattr(chosen, field), key)


def _other_pictures(field: str, shown: str, key: str) -> None:
    picture_section.gallery(field, shown, key)
    with st.popover("Your own photo", icon=":material/add_photo_alternate:"):
        picture_section.upload(field)


def _mode_picker(chosen: Selection, mode: Mode) -> None:
    offered = [name for name in MODES if name != "both" or mode == "both"]
    st.session_state["compare_mode"] = mode
    st.segmented_control(
        "Compare",
        offered,
        format_func=lambda name: MODES[name],
        required=True,
        key="compare_mode",
        on_change=_change_mode,
        args=(chosen,),
    )


def _change_mode(chosen: Selection) -> None:
    _select(in_mode(chosen, st.session_state["compare_mode"], results.models()))


def _select(wanted: Selection) -> None:
    state.change(**asdict(wanted))


def _network_picker(label: str, side: str, shown: str) -> None:
    models = results.models()
    key = f"choose_{side}_network"
    st.session_state[key] = shown
    st.selectbox(
        label,
        list(models),
        format_func=lambda name: described(models[name]),
        width=400,
        key=key,
        on_change=_change_network,
        args=(side, key),
    )


def _change_network(side: str, key: str) -> None:
    name = st.session_state[key]
    fields = ("left", "right") if side == "both" else (side,)
    state.change(**dict.fromkeys(fields, name))


def _target_picker(result: rv.Comparison, chosen: Selection) -> None:
    """Offered if both sides have the same classes."""
    labels = {str(p.index): p.label for p in result.left.predictions}
    if labels != {str(p.index): p.label for p in result.right.predictions}:
        return
    st.selectbox(
        "Target class",
        ["", *labels],
        format_func=lambda index: labels.get(index, "predicted by each side"),
        width=230,
        help="Gradients and Grad-CAM are of this class's logit, on both sides.",
        **state.bound("target", chosen.target),
    )
