"""Widgets -> one frozen Selection, bound to the URL.

The URL alone holds the selection: widgets show its values and change them through `change`, so that a link always reopens the
same view.
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

    `image` is the id of a sample or the SHA-256 of an upload. An empty `block` or `target` means the one that the result
    suggests; an empty `channel` is the mean. `left`, `right` and `right_image` are the sides of a comparison: two networks,
    empty for the suggested pair, and the right side's own image, empty for the same one. `framing` is "fit" if networks receive
    the whole photo instead of its centre; `cells` is how maps are drawn, empty for the default of each. `weights`,
    `left_weights` and `right_weights` are "none" for random weights. The fields from `objective` on choose the gradients and
    their comparison, and the attribution with its method and options; empty for the default.
    `survey` names a survey of many images, `quantity` the measure of it that is shown, `group` how its images are grouped, and
    `picked` one of them.
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
        """Whether trained weights are wanted."""
        return self.weights != "none"

    @property
    def target_index(self) -> int | None:
        """The chosen class, or None for the predicted one."""
        return query.whole_number(self.target)

    @property
    def channel_index(self) -> int | None:
        """The chosen channel, or None for the mean over channels."""
        return query.whole_number(self.channel)


@dataclass(frozen=True)
class Notice:
    """A sentence about what went wrong; `untrained` names a model that could be opened with random weights instead.

    `asked` is the selection that it went wrong with, `field` its field that names the model. `away` means that the engine could
    not be reached; the request is repeated when it is back. `page` is the title of the only page that it belongs to, empty if
    it belongs to all. A `remark` is about something that went right.
    """

    sentence: str
    untrained: str = ""
    asked: Selection = Selection()
    field: str = "model"
    away: bool = False
    page: str = ""
    remark: bool = False

    @property
    def random_weights(self) -> dict[str, str]:
        """The change of the selection that opens the model with random weights."""
        weights = "weights" if self.field == "model" else f"{self.field}_weights"
        return {self.field: self.untrained, weights: "none"}


NAMES = tuple(field.name for field in fields(Selection))


def selection() -> Selection:
    """Read the URL; a missing or invalid value gives the default.

    A page opened without parameters continues with the selection of the previous page.
    """
    named = {name: query.value(name) for name in NAMES if name in st.query_params}
    given = {name: value for name, value in named.items() if value is not None}
    return Selection(**given) if named else st.session_state.get("selection", Selection())


def change(**values: str) -> None:
    """Change the selection from a widget's callback; a new model resets what belonged to the old one."""
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
    """Show a complaint until the next change; the first of several counts."""
    st.session_state.setdefault("notice", Notice(sentence, untrained, selection(), field, away))


def tell(sentence: str, page: str, *, remark: bool = False) -> None:
    """Show a sentence on one page, in place of the current one, until the next change or until the page is left."""
    st.session_state["notice"] = Notice(sentence, asked=selection(), page=page, remark=remark)


def visit(page: str) -> None:
    """Note which page is open: what was told on another one is over."""
    found = notice()
    if found is not None and found.page not in ("", page):
        del st.session_state["notice"]


def notice() -> Notice | None:
    """The current complaint."""
    found: Notice | None = st.session_state.get("notice")
    return found


def write(chosen: Selection) -> None:
    """Write the whole selection into the URL, without empty values."""
    st.session_state["selection"] = chosen
    parameters = {name: getattr(chosen, name) for name in NAMES}
    wanted = {name: value for name, value in parameters.items() if value}
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)


def bound(field: str, value: object) -> dict[str, Any]:
    """Arguments that connect a widget to a field of the selection: its key, and the callback that changes the URL."""
    key = f"choose_{field}"
    st.session_state[key] = value
    return {"key": key, "on_change": _changed, "args": (field, key)}


def _changed(field: str, key: str) -> None:
    value = st.session_state[key]
    change(**{field: "" if value is None else str(value)})
