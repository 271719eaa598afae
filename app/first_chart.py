"""A first visit: the rest of the page is sent once the browser has drawn the first chart.

The browser loads Plotly with the first chart, and then draws all charts that have arrived in one step: the first one would
appear only with the last. What it loads for widgets that take files delays the chart as well.
"""

from collections.abc import Callable

import streamlit as st

_DRAWN = "first_chart_drawn"

# Where no chart appears within five seconds, the rest must not wait for it. The page is drawn after this script runs, so the
# script waits for the button as well.
SCRIPT = """<script>
(function tell(left) {
  const button = document.querySelector(".st-key-after-first-chart button");
  if (button && (document.querySelector(".js-plotly-plot .main-svg") || !left)) button.click();
  else if (button || left) setTimeout(tell, 20, Math.max(left - 1, 0));
})(250);
</script>"""


def after(draw: Callable[[], None]) -> None:
    """Draw a part of the page, or only its place until the browser reports the first chart, which redraws the page."""
    if shows_place("sources"):
        with st.container(key="after-first-chart"):
            st.button("Show the rest", on_click=lambda: st.session_state.update({_DRAWN: True}))
            st.html(SCRIPT, unsafe_allow_javascript=True)
    else:
        draw()


def shows_place(part: str) -> bool:
    """Whether the first chart of this session is not drawn yet; if so, show where a part of the page will be.

    Programs that are not a browser get everything at once.
    """
    if "Mozilla/" not in st.context.headers.get("User-Agent", "") or _DRAWN in st.session_state:
        return False
    # Tests wait for it as they do for Streamlit's own placeholders.
    st.html(f"<div class='to-come {part}' data-testid='stSkeleton' aria-hidden='true'></div>")
    return True
