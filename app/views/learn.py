"""Learn: the sequence of lessons, from the problem to training deep networks; one page each."""

import streamlit as st

from app import engines, query, show
from app.views.lessons import layout, route
from app.views.lessons.lesson import LESSON, Lesson, done
from app.views.lessons.track import TRACK


def page() -> None:
    """The lesson in the URL, or the list of all lessons."""
    engines.prepare_lessons()
    slug = st.query_params.get(LESSON, "")
    lesson = next((each for each in TRACK if each.slug == slug), None)
    if lesson is not None:
        classroom = route.is_on() and lesson in route.lessons()
        layout.show_lesson(lesson, route.lessons() if classroom else TRACK)
        if classroom:
            route.notes(lesson)
        return
    if slug:
        st.error(f"There is no lesson called {show.escape(query.shortened(slug))}. Choose one below.", icon=":material/error:")
    _overview()


def _overview() -> None:
    st.html(layout.CSS)
    st.markdown("## Learn what a residual block does by trying it out")
    finished = sum(lesson.slug in done() for lesson in TRACK)
    st.progress(finished / len(TRACK), f"{finished} of {len(TRACK)} lessons done")
    st.caption("A lesson is done when you have changed one of its controls. This browser remembers it for a year.")
    route.overview()
    with st.container(key="lesson-list"):
        for number, lesson in enumerate(TRACK, 1):
            _row(number, lesson)


def _row(number: int, lesson: Lesson) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"lesson-row-{lesson.slug}"):
        mark = ":material/check_circle:" if lesson.slug in done() else ":material/radio_button_unchecked:"
        st.button(
            f"{number}. {lesson.title}", key=f"open-{lesson.slug}", icon=mark, on_click=layout.go, args=(lesson,), width=330
        )
        st.markdown(show.escape(lesson.question))
