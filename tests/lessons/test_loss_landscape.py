"""The loss landscape: directions with the norms of the filters, losses of moved weights, recordings that go on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import resnet_viz as rv
from resnet_viz.engine.wire import decode, encode
from resnet_viz.lessons import loss_landscape_recorded as recorded
from resnet_viz.lessons.loss_landscape import Plane, filter_normalised, walk
from resnet_viz.nets.net import Net, WeightsError

MakeImage = Callable[..., Image.Image]
MakeNet = Callable[..., Net]


def test_each_filter_of_a_direction_has_the_norm_of_the_weights() -> None:
    weights = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    weights[2] = 0
    direction = filter_normalised(weights, torch.Generator().manual_seed(0))
    torch.testing.assert_close(direction.flatten(1).norm(dim=1), weights.flatten(1).norm(dim=1))
    assert not torch.allclose(direction[0] / direction[0].norm(), weights[0] / weights[0].norm())


def test_the_plane_moves_weights_and_leaves_norms_and_the_network(make_cifar: MakeNet) -> None:
    net = make_cifar("B")
    plane = Plane(net, seed=3)
    moved = {name: value.clone() for name, value in plane.at(1.0, 0.0).named_parameters()}
    back = dict(plane.at(0.0, 0.0).named_parameters())
    for name, original in net.module.named_parameters():
        assert torch.equal(back[name], original)
        assert back[name].data_ptr() != original.data_ptr()
        away = (moved[name] - original).flatten(1) if original.ndim > 1 else moved[name] - original
        if original.ndim > 1:
            torch.testing.assert_close(away.norm(dim=1), original.flatten(1).norm(dim=1), rtol=1e-4, atol=1e-5)
        else:
            assert not away.any()


def test_the_loss_of_one_image_in_the_middle_is_the_network_s(make_cifar: MakeNet, make_image: MakeImage) -> None:
    net, image, told = make_cifar("A"), make_image(), []
    found = rv.loss_landscape(net, image, target=4, points=3, on_point=lambda *step: told.append(step))
    with torch.no_grad():
        logits = net.module(net.preprocess(image))
    assert found.centre == pytest.approx(float(F.cross_entropy(logits, torch.tensor([4]))), rel=1e-5)
    assert found.error[1, 1] == float(logits.argmax() != 4)
    assert np.isfinite(found.loss).all()
    assert found.axis.tolist() == [-1, 0, 1]
    # Another point, with weights set by hand.
    module = Plane(net, seed=0).at(1.0, -1.0)
    with torch.no_grad():
        expected = float(F.cross_entropy(module(net.preprocess(image)), torch.tensor([4])))
    assert found.loss[0, 2] == pytest.approx(expected, rel=1e-4)
    assert [step[:2] for step in told] == [(number, 9) for number in range(1, 10)]
    assert np.isnan(told[3][2]).sum() == 5
    for points in (4, 1, 103):
        with pytest.raises(ValueError, match="choose an odd number from 3 to 101"):
            rv.loss_landscape(net, image, points=points)


@pytest.fixture
def chosen() -> recorded.Chosen:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (6, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return recorded.Chosen(images, torch.tensor([0, 1, 2, 3, 4, 5]), "six images of noise")


def test_a_recording_goes_on_where_it_stopped(tmp_path: Path, chosen: recorded.Chosen) -> None:
    net = rv.load("resnet20-cifar10", device="cpu")
    seen: list[int] = []

    def stop_at_five(done: int, _: int) -> None:
        seen.append(done)
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recorded.record(net, chosen, 3, tmp_path / "runs", folder=tmp_path, on_point=stop_at_five)
    begun = tmp_path / "runs" / "loss-landscape-resnet20-cifar10.csv"
    # As if it had been killed in the middle of a line.
    begun.write_text(begun.read_text() + "1,2,0.12")
    path = recorded.record(net, chosen, 3, tmp_path / "runs", folder=tmp_path, on_point=lambda done, _: seen.append(done))
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    whole = recorded.record(net, chosen, 3, tmp_path / "again", folder=tmp_path / "other")
    assert path.read_text() == whole.read_text()
    found = recorded.read("resnet20-cifar10", tmp_path)
    points = {(p.row, p.column): p for p in walk(net, 0, 3, [_normalised(net, chosen.images)], chosen.labels)}
    assert found.loss[0, 2] == pytest.approx(points[0, 2].loss, rel=1e-3)
    assert (found.images, found.measured_on) == (6, "six images of noise")
    assert recorded.recorded_models(tmp_path) == ("resnet20-cifar10",)
    with pytest.raises(ValueError, match="is a run with other settings"):
        recorded.record(net, chosen, 5, tmp_path / "runs", folder=tmp_path)


def _normalised(net: Net, images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (net.preprocessing.mean, net.preprocessing.std))
    return (images / 255 - mean) / std


def test_what_was_not_recorded_or_is_damaged_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"Record it with: python -m resnet_viz\.training loss-landscape plain56-cifar10"):
        recorded.read("plain56-cifar10", tmp_path)
    for text in ("", "{}", '{"recipe": {"model": 1}}', "[1]"):
        (tmp_path / "loss-landscape-plain56-cifar10.json").write_text(text)
        with pytest.raises(WeightsError, match=r"is damaged\. Restore the file"):
            recorded.read("plain56-cifar10", tmp_path)


def test_figures_and_the_wire(make_cifar: MakeNet, make_image: MakeImage) -> None:
    found = rv.loss_landscape(make_cifar("A"), make_image(), points=3)
    kind: Any = rv.Landscape
    again: rv.Landscape = decode(encode(found), kind, 2**22)
    np.testing.assert_array_equal(again.loss, found.loss)
    contours = rv.figures.loss_contours([found, found])
    drawn = [trace for trace in contours.data if trace.type == "contour"]
    # One scale for both, and one colour bar.
    assert {(trace.zmin, trace.zmax) for trace in drawn} == {(-2, 3)}
    assert [trace.showscale for trace in drawn] == [False, True]
    np.testing.assert_allclose(drawn[0].z, np.log10(found.loss).clip(-2, 3), atol=1e-3)
    assert rv.figures.loss_surface([found]).data[0].type == "surface"
    so_far = found.loss.copy()
    so_far[2] = np.nan
    assert rv.figures.loss_so_far(so_far, 1.0).layout.meta["finding"] == "6 of 9 points are computed"


def test_planes_in_a_narrow_range_share_a_finer_scale() -> None:
    pair = [recorded.read(name) for name in ("plain18-imagenette", "resnet18-imagenette")]
    lowest, highest = min(each.loss.min() for each in pair), max(each.loss.max() for each in pair)
    drawn = [trace for trace in rv.figures.loss_contours(pair).data if trace.type == "contour"]
    (low, high), *others = {(trace.zmin, trace.zmax) for trace in drawn}
    assert not others
    assert 0 <= np.log10(lowest) - low < 0.1
    assert 0 <= high - np.log10(highest) < 0.1
    ticks = drawn[-1].colorbar
    np.testing.assert_allclose([float(text) for text in ticks.ticktext], 10 ** np.array(ticks.tickvals), rtol=1e-3)
    assert all(low <= tick <= high for tick in ticks.tickvals)
    deep = [recorded.read(name) for name in ("plain56-cifar10", "resnet56-cifar10")]
    assert {(trace.zmin, trace.zmax) for trace in rv.figures.loss_contours(deep).data if trace.type == "contour"} == {(-2, 3)}
