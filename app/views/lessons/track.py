"""The lessons in the order of the source."""

from views.lessons.lesson import Lesson

TRACK: tuple[Lesson, ...] = ()
