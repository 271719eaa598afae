"""What the player is sent: the pictures bit for bit, the numbers of the measures, and a route whose lessons exist."""

import base64
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from app.components.player import Scene, film_data
from app.views import play_section
from app.views.introduction import STEPS
from app.views.lessons import route
from app.views.lessons.track import TRACK
from resnet_viz.analyses.inspection import inspect
from resnet_viz.analyses.passage import passage
from resnet_viz.figures.block.block_equation import block_equation
from resnet_viz.figures.block.block_map import block_frames
from resnet_viz.figures.theme import signed_palette
from resnet_viz.nets.net import Net


@pytest.mark.parametrize("kind", ["B", "plain"])
def test_a_scene_has_the_pictures_and_the_scale_of_the_blocks_equation(
    make_cifar: Callable[..., Net], make_image: Callable[..., Image.Image], kind: str
) -> None:
    net, image = make_cifar(kind), make_image()
    inspected = inspect(net, image)
    for block, whole in zip(passage(net, image).blocks, inspected.blocks, strict=True):
        scene, figure = play_section.scene(block, ()), block_equation(whole)
        assert scene.limit == pytest.approx(figure.layout.coloraxis.cmax)
        for picture, trace in zip(scene.pictures, figure.data, strict=True):
            assert picture.tobytes() == np.asarray(trace.z, np.float32).tobytes()


def test_values_arrive_bit_for_bit() -> None:
    values = np.array([[1.5, -0.0], [np.float32(1e-40), 3.25]], np.float32)
    sent = film_data("one", [Scene((values, values), 3.25, (("cat", 0.5),))], signed_palette())
    back = np.frombuffer(base64.b64decode(sent["scenes"][0]["pictures"][0]), "<f4").reshape(2, 2)
    assert back.tobytes() == values.tobytes()
    assert sent["scenes"][0]["decoded"] == (("cat", 0.5),)
    palette = np.frombuffer(base64.b64decode(sent["palette"]), np.uint8).reshape(-1, 3)
    assert (palette == signed_palette()).all()
    # 0 takes the colour in the middle, which is nearly white.
    assert palette[len(palette) // 2].min() > 240


def test_the_arc_of_a_stop_is_that_of_the_map(make_cifar: Callable[..., Net], make_image: Callable[..., Image.Image]) -> None:
    inspected = inspect(make_cifar("B"), make_image())
    stop = play_section.stop(inspected.blocks[1], block_frames(inspected)[1])
    numbers = dict(stop.numbers)
    measures = inspected.blocks[1].measures
    assert float(numbers["|F| / |x|"]) == pytest.approx(measures.ratio, abs=5e-4)
    assert float(numbers["|x|"]) == pytest.approx(measures.identity_norm, rel=1e-3)
    assert stop.start < stop.end
    assert stop.top > stop.line
    assert [term.operator for term in stop.terms] == ["", "+", "=", "→ ReLU →"]


def test_the_class_takes_20_minutes_and_has_notes_for_every_lesson() -> None:
    assert route.MINUTES == 20
    assert [lesson.slug for lesson in route.lessons()] == [stop.slug for stop in route.STOPS]
    assert {lesson.slug for lesson in route.lessons()} <= {lesson.slug for lesson in TRACK}
    assert all(stop.ask.endswith("?") and stop.show.endswith(".") for stop in route.STOPS)


def test_introduction_names_four_parts() -> None:
    assert len(STEPS) == 4
    assert all(step.endswith(".") for step in STEPS.values())
