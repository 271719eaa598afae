"""The available width: a phone gets images one below the other, a larger window side by side.

The first guess uses the browser's name; a script on the page reports it if the window is different.
"""

import streamlit as st

# Pixels between the page's margins, on a phone and in a window of 1440 pixels; charts shrink if there are fewer.
PHONE, WIDE = 350, 1360
LEAST_PHONE, LEAST_WIDE = 280, 760

# The page is drawn after this script runs, so the script waits for the button, for two seconds at most.
SCRIPT = """<script>
window.viewportIsNarrow = %s;
(function tell(left) {
  const narrow = matchMedia("(max-width: 640px)");
  if (!window.viewportWatched) {
    window.viewportWatched = true;
    narrow.addEventListener("change", () => tell(20));
  }
  if (narrow.matches === window.viewportIsNarrow) return;
  const button = document.querySelector(".st-key-viewport button");
  if (button) {
    window.viewportIsNarrow = narrow.matches;
    button.click();
  } else if (left) setTimeout(tell, 100, left - 1);
})(20);
</script>"""


def is_narrow() -> bool:
    """Whether the window is a phone's, at most 640 pixels wide."""
    narrow: bool = st.session_state.setdefault("narrow", "Mobi" in st.context.headers.get("User-Agent", ""))
    return narrow


def room(share: float = 1.0) -> int:
    """Pixels across for a chart with this share of a wide page, and the full width of a phone."""
    return PHONE if is_narrow() else round(WIDE * share)


def least(share: float = 1.0) -> int:
    """The width in pixels below which such a chart scrolls instead of shrinking further."""
    return LEAST_PHONE if is_narrow() else round(LEAST_WIDE * share)


def watch() -> None:
    """React when the browser's window becomes narrow, or wide again."""
    narrow = is_narrow()
    with st.container(key="viewport"):
        st.button("Use the other layout", key="other-layout", on_click=_turn, args=(not narrow,))
        st.html(SCRIPT % str(narrow).lower(), unsafe_allow_javascript=True)


def _turn(narrow: bool) -> None:  # noqa: FBT001 - Streamlit passes it by position
    st.session_state["narrow"] = narrow
