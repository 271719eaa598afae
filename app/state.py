"""Widgets -> one frozen Selection, bound to the URL.

The URL is the only place that holds the selection: widgets show what it says, and change it through `change`, so that a link
always reopens the same view.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import streamlit as st

from app import query
from resnet_viz.nets.zoo import DEFAULT_MODEL

DEFAULT_SAMPLE = "tortoiseshell-cat-photo"


@dataclass(frozen=True)
class Selection:
    """Everything that decides what is on screen; every field is a parameter of the URL.

    `image` is the id of a sample or the SHA-256 of an upload. `block` and `target` are empty for "the one that the result
    suggests"; `channel` is empty for the mean. `left`, `right` and `right_image` are the two sides of a comparison: two
    networks, empty for the pair that the page suggests, and the right side's own image, empty for the same one. `framing` is
    "fit" where networks see the whole photo and not its centre; `cells` is how maps are drawn, empty for each one's usual way.
    `weights`, `left_weights` and `right_weights` are "none" for random ones. From `objective` on: what gradients are of and
    beside, and which attribution is shown, by which method with which options; empty for the first choice. `survey` names a
    survey of many images, `quantity` its measure that is shown, `group` how its images are grouped, `picked` one of them.
    """

    model: str = DEFAULT_MODEL
    weights: str = "trained"
    image: str = DEFAULT_SAMPLE
    framing: str = ""
    target: str = ""
    measure: str = ""
    block: str = ""
    channel: str = ""
    scale: str = "shared"
    cells: str = ""
    detail: str = "channels"
    term: str = "residual"
    left: str = ""
    right: str = ""
    right_image: str = ""
    left_weights: str = ""
    right_weights: str = ""
    objective: str = ""
    versus: str = ""
    beside: str = ""
    view: str = ""
    method: str = ""
    methods: str = ""
    baseline: str = ""
    steps: str = ""
    samples: str = ""
    place: str = ""
    noise: str = ""
    window: str = ""
    stride: str = ""
    survey: str = ""
    quantity: str = ""
    group: str = ""
    picked: str = ""

    @property
    def trained(self) -> bool:
        """Whether trained weights are asked for."""
        return self.weights != "none"

    @property
    def target_index(self) -> int | None:
        """The class chosen, or None for the predicted one."""
        return query.whole_number(self.target)

    @property
    def channel_index(self) -> int | None:
        """The channel chosen, or None for the mean over channels."""
        return query.whole_number(self.channel)


@dataclass(frozen=True)
class Notice:
    """A sentence about what went wrong; `untrained` names a model that could be looked at with random weights instead.

    `asked` is the selection that it went wrong with, `field` the one of its fields that names the model. `away` says that the
    engine could not be reached: what was asked is asked again when it is back.
    """

    sentence: str
    untrained: str = ""
    asked: Selection = Selection()
    field: str = "model"
    away: bool = False

    @property
    def random_weights(self) -> dict[str, str]:
        """The change of the selection that looks at the model with random weights."""
        weights = "weights" if self.field == "model" else f"{self.field}_weights"
        return {self.field: self.untrained, weights: "none"}


NAMES = tuple(field.name for field in fields(Selection))


def selection() -> Selection:
    """Read the URL; what it does not say, or says in no way that can be meant, is the default.

    A page reached without parameters goes on where the last one was.
    """
    named = {name: query.value(name) for name in NAMES if name in st.query_params}
    given = {name: value for name, value in named.items() if value is not None}
    return Selection(**given) if named else st.session_state.get("selection", Selection())


def change(**values: str) -> None:
    """Change the selection from a widget's callback; a new model forgets what belonged to the old one."""
    awaited = st.session_state.get("awaited")
    if awaited is not None and awaited.field in values:
        del st.session_state["awaited"]
    if "model" in values:
        values = {"weights": "trained", "block": "", "target": "", "channel": "", "measure": ""} | values
    for side in {"left", "right"} & values.keys():
        values = {f"{side}_weights": "", "block": "", "target": ""} | values
    if "block" in values or "term" in values:
        values = {"channel": ""} | values
    st.session_state.pop("notice", None)
    write(replace(selection(), **values))


def complain(sentence: str, untrained: str = "", field: str = "model", *, away: bool = False) -> None:
    """Say what went wrong until the next change; the first of several complaints counts."""
    st.session_state.setdefault("notice", Notice(sentence, untrained, selection(), field, away))


def notice() -> Notice | None:
    """What there is to complain about."""
    found: Notice | None = st.session_state.get("notice")
    return found


def write(chosen: Selection) -> None:
    """Put the whole selection into the URL, leaving out what is empty."""
    st.session_state["selection"] = chosen
    parameters = {name: getattr(chosen, name) for name in NAMES}
    wanted = {name: value for name, value in parameters.items() if value}
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)


def bound(field: str, value: object) -> dict[str, Any]:
    """Arguments that tie a widget to a field of the selection: its key, and the callback that changes the URL."""
    key = f"choose_{field}"
    st.session_state[key] = value
    return {"key": key, "on_change": _changed, "args": (field, key)}


def _changed(field: str, key: str) -> None:
    value = st.session_state[key]
    change(**{field: "" if value is None else str(value)})
