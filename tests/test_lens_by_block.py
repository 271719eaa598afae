"""The lines under the block map: their numbers, the columns that they stand in, and their names."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from resnet_viz.analyses.inspection import inspect
from resnet_viz.analyses.logit_lens import Lens, lens
from resnet_viz.figures.block.block_map import block_frames, block_map
from resnet_viz.figures.block.lens_by_block import LINES, lens_by_block, spread
from resnet_viz.nets.net import Net, WeightsOrigin


def made(logits: list[list[float]]) -> Lens:
    places = ("stem", *(f"layer1.{number}" for number in range(len(logits) - 1)))
    labels = tuple("abcdef"[: len(logits[0])])
    return Lens("net", "Net", WeightsOrigin("untrained", ""), labels, places, np.array(logits, np.float32))


def test_the_answer_comes_first_then_who_leads_somewhere_then_the_likeliest_at_the_end() -> None:
    found = made([[0, 0, 0, 0, 9], [0, 0, 5, 0, 0], [0, 7, 0, 6, 1]])
    # b wins; e leads after the stem with more than c after block 1.0; d is second at the end.
    assert found.lines(5) == (1, 4, 2, 3, 0)
    assert found.lines(2) == (1, 4)


def test_every_point_is_a_probability_of_the_lens_in_the_column_of_its_block(
    make_cifar: Callable[..., Net], make_image: Callable[..., Image.Image]
) -> None:
    net, image = make_cifar("B"), make_image()
    inspected, decoded = inspect(net, image), lens(net, image)
    figure, above = lens_by_block(inspected, decoded), block_map(inspected)
    assert figure.layout.width == above.layout.width
    assert tuple(figure.layout.xaxis.range) == tuple(above.layout.xaxis.range)
    exponentials = np.exp(decoded.logits.astype(np.float64))
    softmax = exponentials / exponentials.sum(1, keepdims=True)
    assert len(figure.data) == LINES
    for line, index in zip(reversed(figure.data), decoded.lines(LINES), strict=True):
        assert line.name == decoded.labels[index]
        np.testing.assert_allclose(line.y, softmax[:, index], rtol=1e-5)
        for x, frame in zip(line.x[1:], block_frames(inspected), strict=True):
            assert frame.x0 < x < frame.x1
    # At the end the network says what it says.
    best = inspected.predictions[0]
    assert figure.layout.meta["finding"].startswith(f"If the network stopped here: {best.label} leads from")
    assert f"{best.probability:.0%} at the end" in figure.layout.meta["finding"]


def test_the_lens_of_another_network_is_refused(make_cifar: Callable[..., Net], make_image: Callable[..., Image.Image]) -> None:
    with pytest.raises(ValueError, match="the map is of"):
        lens_by_block(inspect(make_cifar("B"), make_image()), made([[0, 1], [1, 0]]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=LINES).map(sorted))
def test_names_keep_their_distance_their_order_and_the_chart(values: list[float]) -> None:
    placed = spread(values, 0.2)
    assert all(second - first >= 0.2 - 1e-9 for first, second in pairwise(placed))
    assert placed[0] >= 0
    assert placed[-1] <= 1 + 1e-9
