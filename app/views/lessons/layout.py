"""The layout of every lesson: the question, what to do, the figures, the finding, and the way to the next lesson."""

from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import query, results, show, waiting
from app.state import Selection
from app.views.lessons.lesson import LESSON, PRESENTING, ROUTE, Elsewhere, Finding, Lesson, picture, remember_done
from app.views.share_section import Shared, share
from resnet_viz.reporting.charting import of_chart
from resnet_viz.reporting.pieces import Contents

CSS = Path(__file__).with_name("lessons.css")

# Arrow keys turn the pages, unless the focus is in a control that uses them. While presenting, the keys of a clicker work too,
# F toggles full screen, and Escape leaves. The button that was pressed last loses the focus, so that the space bar does not
# press it.
KEYS = """<script>
window.lessonKeys?.abort();
window.lessonKeys = new AbortController();
(presenting => {
  const press = name => document.querySelector(`.st-key-lesson-${name} button:not([disabled])`)?.click();
  if (presenting && document.activeElement?.closest(".st-key-lesson-present")) document.activeElement.blur();
  addEventListener("keydown", event => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest("input, textarea, select, [role=slider], [role=radio], [role=combobox], [role=listbox]")) return;
    const ways = {ArrowLeft: "previous", ArrowRight: "next"};
    if (presenting) Object.assign(ways, {PageUp: "previous", PageDown: "next"});
    if (ways[event.key]) {
      if (event.key.startsWith("Page")) event.preventDefault();
      press(ways[event.key]);
    }
    if (!presenting || event.repeat) return;
    if (event.key === "Escape" && !document.documentElement.hasAttribute("data-playing")) press("present");
    if (event.key.toLowerCase() === "f") {
      if (document.fullscreenElement) document.exitFullscreen(); else document.documentElement.requestFullscreen();
    }
  }, {signal: window.lessonKeys.signal});
})(%s);
</script>"""


def show_lesson(lesson: Lesson, track: tuple[Lesson, ...]) -> None:
    """The whole page of a lesson; Previous and Next go through the lessons of `track`."""
    number = track.index(lesson)
    presenting = st.query_params.get(PRESENTING) == "1"
    st.html(CSS)
    if presenting:
        st.html(f"<style>{CSS.with_name('presenting.css').read_text()}</style>")
    st.html(KEYS % str(presenting).lower(), unsafe_allow_javascript=True)
    place = _head(lesson, number, track, presenting=presenting)
    st.markdown(f"## {show.escape(lesson.question)}")
    with st.container(key="lesson-do"):
        st.markdown(show.escape(lesson.do))
    elsewhere = lesson.elsewhere
    try:
        found = lesson.body()
    except waiting.SENTENCES as error:
        st.error(show.escape(str(error)), icon=":material/error:")
    else:
        if isinstance(found, Finding) and found.elsewhere is not None:
            elsewhere = found.elsewhere
        with st.container(key="lesson-sentence"):
            st.markdown(show.escape(found.sentence if isinstance(found, Finding) else found))
        if not presenting:
            with place:
                share(lambda: _shared(lesson, found))
    _foot(lesson, elsewhere)
    remember_done(each.slug for each in track)


def go(lesson: Lesson | None) -> None:
    """Open a lesson, or the list of all lessons. The previous lesson's values are removed from the URL; the image stays."""
    kept = {name: value for name in (PRESENTING, "image", ROUTE) if (value := query.value(name)) is not None}
    st.query_params.from_dict(({LESSON: lesson.slug} if lesson else {}) | kept)


def _shared(lesson: Lesson, found: Finding | str) -> Shared | None:
    if isinstance(found, str):
        return None
    pieces = tuple(of_chart(name, draw, found.numbers.get(name)) for name, draw in found.charts.items())
    return Shared(Contents(f"lesson-{lesson.slug}", lesson.question, (found.sentence,), pieces), found.script.text())


def _head(lesson: Lesson, number: int, track: tuple[Lesson, ...], *, presenting: bool) -> DeltaGenerator:
    """The way through the lessons; returns the place for what needs the figures."""
    with st.container(horizontal=True, vertical_alignment="center", key="lesson-head"):
        st.caption(f"Lesson {number + 1} of {len(track)} · {show.escape(lesson.title)}")
        place = st.container(width="content", key="lesson-share")
        st.button("All lessons", key="lesson-all", on_click=go, args=(None,), type="tertiary")
        st.button(
            "Exit presentation" if presenting else "Present",
            key="lesson-present",
            icon=":material/present_to_all:",
            on_click=_present,
            args=(not presenting,),
            type="tertiary",
            help="Large type for a class: arrow keys and clickers turn the pages, F fills the screen, Escape leaves.",
        )
        before = track[number - 1] if number else None
        after = track[number + 1] if number + 1 < len(track) else None
        for way, icon, to in (("previous", "arrow_back", before), ("next", "arrow_forward", after)):
            st.button(
                way.capitalize(),
                key=f"lesson-{way}",
                icon=f":material/{icon}:",
                disabled=to is None,
                on_click=go,
                args=(to,),
                help=show.escape(to.title) if to else None,
            )
    return place


def _foot(lesson: Lesson, elsewhere: Elsewhere) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="lesson-foot"):
        st.button(
            _opens(lesson.page, elsewhere),
            key="lesson-elsewhere",
            icon=":material/open_in_new:",
            on_click=_elsewhere,
            args=(lesson.page, elsewhere),
        )
        st.caption(show.escape(lesson.sources))
    if st.session_state.pop("lesson_left_for", None):
        st.switch_page(st.session_state["pages"][lesson.page])


def _opens(page: str, elsewhere: Elsewhere) -> str:
    """Say what the button below a lesson opens: the networks, where some are named, and the page."""
    models = results.models()
    titles = [models[value].title for field, value in elsewhere if field in ("model", "left", "right") and value in models]
    return f"Open {' and '.join(titles)} on the {page} page" if titles else f"Open the {page} page"


def _present(presenting: bool) -> None:  # noqa: FBT001 - a button's callback
    if presenting:
        st.query_params[PRESENTING] = "1"
    else:
        st.query_params.pop(PRESENTING, None)


def _elsewhere(page: str, elsewhere: Elsewhere) -> None:
    st.session_state["selection"] = Selection(**({"image": picture()} | dict(elsewhere)))
    st.session_state["lesson_left_for"] = page
