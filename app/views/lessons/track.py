"""The lessons in the order of the source."""

from app.views.lessons import (
    activation_order,
    addition,
    block_code,
    block_steps,
    chain,
    cost,
    degradation,
    fewer_blocks,
    matching,
    padding,
    projection,
    residual_image,
    residual_meaning,
    signal,
    super_resolution,
    super_resolution_training,
    toy,
)
from app.views.lessons.lesson import Lesson

TRACK: tuple[Lesson, ...] = (
    super_resolution.LESSON,
    residual_image.LESSON,
    signal.LESSON,
    super_resolution_training.LESSON,
    block_steps.LESSON,
    block_code.LESSON,
    addition.LESSON,
    activation_order.LESSON,
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
