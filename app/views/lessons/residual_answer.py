"""The residual image of an image, which two lessons request from the engine."""

from typing import cast

from app import waiting
from app.state import Selection
from resnet_viz.lessons.residual_image import ResidualImage


def residual_image_of(image: str, factor: int, *, flipped: bool = False) -> ResidualImage:
    """An image's residual image."""
    network = waiting.network(Selection().model, trained=True)
    view = "lesson residual image"
    answer = waiting.answer(network, "image", "residual image", image, None, view, factor=factor, flipped=flipped)
    return cast("ResidualImage", answer)
