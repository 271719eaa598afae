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
    problem,
    projection,
    residual_image,
    residual_meaning,
    signal,
    toy,
    training_it,
)
from views.lessons.lesson import Lesson

TRACK: tuple[Lesson, ...] = (
    problem.LESSON,
    residual_image.LESSON,
    signal.LESSON,
    training_it.LESSON,
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
    residual_meaning.LESSON,
    toy.LESSON,
)
