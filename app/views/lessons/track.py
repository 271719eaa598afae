"""The lessons in the order of the source."""

from views.lessons import (
    adding,
    block,
    chain,
    code,
    cost,
    degradation,
    fewer_blocks,
    matching,
    order,
    padding,
    projection,
    signal,
)
from views.lessons.lesson import Lesson

TRACK: tuple[Lesson, ...] = (
    signal.LESSON,
    block.LESSON,
    code.LESSON,
    adding.LESSON,
    order.LESSON,
    chain.LESSON,
    cost.LESSON,
    matching.LESSON,
    padding.LESSON,
    projection.LESSON,
    fewer_blocks.LESSON,
    degradation.LESSON,
)
