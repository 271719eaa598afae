"""S12 to S14: mismatches tried on real tensors, option A by slicing, survival by numpy's least squares, pixel by pixel."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

import resnet_viz as rv
from resnet_viz.engine import wire
from resnet_viz.engine.job_types import JOB_TYPES
from resnet_viz.figures.lessons.matching import kept_and_zero, shapes, survivors
from resnet_viz.figures.theme import IDENTITY, RESIDUAL
from resnet_viz.lessons import matching
from resnet_viz.lessons.matching import FeatureShape, accuracies, mismatch, run, survival
from resnet_viz.nets.layers import ZeroPad


@pytest.fixture(scope="module")
def gallery(make_image: Callable[..., Image.Image]) -> list[Image.Image]:
    return [make_image(40, 36, seed=seed) for seed in range(5)]


@pytest.fixture(autouse=True)
def small_gallery(monkeypatch: pytest.MonkeyPatch, gallery: list[Image.Image]) -> None:
    monkeypatch.setattr(matching, "_gallery", lambda: gallery)


@pytest.mark.parametrize(
    ("given", "wanted", "spatial", "channels", "fitting"),
    [
        ((16, 32, 32), (16, 32, 32), False, False, {"identity", "A", "B"}),
        ((16, 32, 32), (16, 16, 16), True, False, {"A", "B"}),
        ((16, 32, 32), (32, 32, 32), False, True, {"A", "B"}),
        ((16, 32, 32), (32, 16, 16), True, True, {"A", "B"}),
        ((64, 32, 32), (16, 32, 32), False, True, {"B"}),
        ((16, 8, 8), (16, 16, 16), True, False, set()),
    ],
)
def test_s12_the_mismatch_is_named_and_what_fits_can_really_be_added(
    *, given: FeatureShape, wanted: FeatureShape, spatial: bool, channels: bool, fitting: set[str]
) -> None:
    found = mismatch(given, wanted)
    assert (found.spatial, found.channels) == (spatial, channels)
    assert {offer.option for offer in found.offers if offer.fits} == fitting
    stride = found.stride or 1
    x, residual = torch.ones(1, *given), torch.ones(1, *wanted)
    tries: dict[str, Callable[[], torch.Tensor]] = {
        "identity": lambda: x,
        "A": lambda: ZeroPad(given[0], wanted[0], stride)(x),
        "B": lambda: F.conv2d(x, torch.ones(wanted[0], given[0], 1, 1), stride=stride),
    }
    for option, shortcut in tries.items():
        try:
            fits = shortcut().shape == residual.shape
        except ValueError:
            fits = False
        assert fits == (option in fitting)
    assert found.offer("A").parameters == 0
    assert found.offer("B").parameters == given[0] * wanted[0] + 2 * wanted[0]


def test_s12_an_invalid_shape_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match="not a valid shape of features"):
        mismatch((0, 4, 4), (1, 4, 4))


@pytest.mark.parametrize("source", ["picture", "layer2.0", "layer3.0"])
def test_s13_option_a_keeps_every_second_pixel_and_adds_zeros(
    make_cifar: Callable[..., rv.Net], make_image: Callable[..., Image.Image], source: str
) -> None:
    found = run(make_cifar("A"), make_image(64, 64, seed=9), source)
    channels = len(found.input)
    own = [channel for channel in range(len(found.zero_padded)) if channel not in found.zeros]
    assert len(found.zero_padded) == 2 * channels
    assert len(found.zeros) == channels
    assert np.array_equal(found.zero_padded[own], found.input[:, ::2, ::2])
    assert not found.zero_padded[list(found.zeros)].any()
    assert found.kept == (found.input[0, ::2, ::2].size, found.input[0].size)
    assert found.survives_a.kept == pytest.approx(1)


def test_s13_the_features_are_the_blocks_own(make_cifar: Callable[..., rv.Net], make_image: Callable[..., Image.Image]) -> None:
    net, image = make_cifar("A"), make_image(seed=9)
    found = run(net, image, "layer2.0")
    block = rv.inspect(net, image).block("layer2.0")
    assert block.identity is not None
    assert np.allclose(found.zero_padded, block.identity, atol=1e-6)


@pytest.mark.parametrize("source", ["layer2.0", "layer3.0", "picture"])
def test_s14_survival_is_numpys_least_squares_on_other_pictures(
    make_cifar: Callable[..., rv.Net], make_image: Callable[..., Image.Image], gallery: list[Image.Image], source: str
) -> None:
    net, image = make_cifar("B"), make_image(48, 48, seed=9)
    found = run(net, image, source)
    others = [run(net, each, source) for each in gallery]
    assert found.projected is not None
    assert found.survives_b is not None
    for mine, theirs, survives in (
        (found.zero_padded, [each.zero_padded for each in others], found.survives_a),
        (found.projected, [each.projected for each in others], found.survives_b),
    ):
        kept, whole = by_numpy(found.input, mine, [each.input for each in others], theirs)
        assert survives.kept == pytest.approx(kept, abs=1e-4)
        assert survives.whole == pytest.approx(whole, abs=1e-4)


def by_numpy(x: NDArray[Any], y: NDArray[Any], xs: list[NDArray[Any]], ys: list[Any]) -> tuple[float, float]:
    """R2 of the kept pixel, and of the patches of 2x2, written out with loops over pixels."""

    def rows(features: NDArray[Any], output: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        places = [(i, j) for i in range(output.shape[1]) for j in range(output.shape[2])]
        patches = [features[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].ravel() for i, j in places]
        return np.array([[*output[:, i, j], 1.0] for i, j in places], float), np.array(patches, float)

    fitted = [rows(*pair) for pair in zip(xs, ys, strict=True)]
    a, b = (np.concatenate(part) for part in zip(*fitted, strict=True))
    coefficients = np.linalg.lstsq(a, b, rcond=1e-5)[0]
    inputs, truth = rows(x, y)
    error, spread = ((truth - inputs @ coefficients) ** 2).sum(0), ((truth - truth.mean(0)) ** 2).sum(0)
    return 1 - error[::4].sum() / spread[::4].sum(), 1 - error.sum() / spread.sum()


def test_s14_a_projection_to_fewer_directions_loses_what_a_copy_keeps() -> None:
    generator = torch.Generator().manual_seed(0)
    x, others = (torch.randn(n, 4, 8, 8, generator=generator) for n in (1, 20))
    flat = torch.tensor([[1.0, 1, 1, 1], [2, 2, 2, 2]])[:, :, None, None]
    sums = survival(x, F.conv2d(x, flat, stride=2), others, F.conv2d(others, flat, stride=2), 2)
    copied = survival(x, x[:, :, ::2, ::2], others, others[:, :, ::2, ::2], 2)
    assert copied.kept == pytest.approx(1)
    assert sums.kept == pytest.approx(0.25, abs=0.1)
    assert copied.skipped == pytest.approx(0, abs=0.2)


def test_s14_the_projection_is_the_networks_own(
    make_cifar: Callable[..., rv.Net], make_image: Callable[..., Image.Image]
) -> None:
    net, image = make_cifar("B"), make_image(seed=9)
    found = run(net, image, "layer3.0")
    block = rv.inspect(net, image).block("layer3.0")
    assert block.identity is not None
    assert found.projected is not None
    assert np.allclose(found.projected, block.identity, atol=1e-5)
    projection = net.module.get_submodule("layer3.0.downsample")
    assert found.parameters == sum(p.numel() for p in projection.parameters()) == 32 * 64 + 2 * 64
    weight, norm = projection.get_parameter("0.weight").flatten(1), projection.get_submodule("1")
    gain = norm.get_parameter("weight") / (norm.get_buffer("running_var") + 1e-5).sqrt()
    values = np.linalg.svd((gain[:, None] * weight).numpy(), compute_uv=False)
    assert found.weakest == pytest.approx(values[-1] / values[0], rel=1e-3)


def test_s14_three_channels_in_and_six_out_take_six_kernels(
    make_cifar: Callable[..., rv.Net], make_image: Callable[..., Image.Image]
) -> None:
    found = run(make_cifar("A"), make_image(80, 80), "picture")
    assert found.kernels is not None
    assert found.projected is not None
    assert found.kernels.shape == (6, 3)
    assert not found.trained
    by_hand = np.einsum("oc,chw->ohw", found.kernels, found.input[:, ::2, ::2]) / np.sqrt(1 + 1e-5)
    assert np.allclose(found.projected, by_hand, atol=1e-5)


def test_s14_accuracies_are_the_model_cards() -> None:
    found = accuracies(("resnet20-cifar10", "resnet20b-cifar10", "plain110-cifar10"))
    shipped = {info.name: info for info in rv.list_models()}
    assert "plain110-cifar10" not in found
    assert all(f"{accuracy:.1%}" in shipped[name].note for name, accuracy in found.items())
    assert found


def test_a_block_that_changes_no_shape_gets_a_sentence(
    make_cifar: Callable[..., rv.Net], make_image: Callable[..., Image.Image]
) -> None:
    for source in ("layer1.0", "nonsense"):
        with pytest.raises(ValueError, match=r"choose picture or layer2\.0 or layer3\.0"):
            run(make_cifar("B"), make_image(), source)


def test_the_answer_travels(make_cifar: Callable[..., rv.Net], make_image: Callable[..., Image.Image]) -> None:
    hint = JOB_TYPES["matched"].answer
    for option in ("A", "B"):
        found = run(make_cifar(option), make_image(seed=9), "layer2.0")
        back = wire.decode(wire.encode(found), hint, 10**8)
        assert back.survives_b == found.survives_b
        assert back.zero_padded.tobytes() == found.zero_padded.tobytes()


def test_the_figures_say_what_fits_what_is_kept_and_what_survives(
    make_cifar: Callable[..., rv.Net], make_image: Callable[..., Image.Image]
) -> None:
    drawn = shapes(mismatch((16, 32, 32), (32, 16, 16)))
    assert {shape.line.color for shape in drawn.layout.shapes} == {IDENTITY, RESIDUAL}
    assert drawn.layout.meta["finding"].startswith("Both mismatches, size and channels: option A")
    assert any(shape.line.dash == "dot" for shape in drawn.layout.shapes)
    padded = kept_and_zero(run(make_cifar("A"), make_image(seed=9), "layer2.0"))
    assert padded.layout.meta["finding"].startswith("The stride keeps 25% of the pixels; padding adds 16 channels")
    found = run(make_cifar("B"), make_image(seed=9), "layer2.0")
    fig = survivors(found)
    assert found.survives_b is not None
    bars = {trace.name: trace for trace in fig.data if trace.type == "bar"}
    assert bars["option B"].x[0] == found.survives_b.whole
    assert "can be recovered after the projection" in fig.layout.meta["finding"]
    with pytest.raises(ValueError, match="no projection"):
        survivors(run(make_cifar("A"), make_image(seed=9), "layer2.0"))
