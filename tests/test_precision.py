"""Networks in half precision, bfloat16 and double precision: every analysis runs, and sums are exact in their own precision."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import resnet_viz as rv
from resnet_viz.analyses import trust
from resnet_viz.analyses.ablation import sweep
from resnet_viz.analyses.logit_lens import lens
from resnet_viz.lessons.activation_order import orders
from resnet_viz.lessons.matching import run as match
from resnet_viz.nets.net import Net
from tests.own_networks import Blocks, Shared

MakeImage = Callable[..., Image.Image]
MakeNet = Callable[..., Net]
PRECISIONS = [torch.float16, torch.bfloat16, torch.float64]


@pytest.fixture(params=PRECISIONS, ids=str)
def net(request: pytest.FixtureRequest, make_cifar: MakeNet) -> Net:
    made = make_cifar("B", depth=8)
    made.module.to(request.param)
    return made


@pytest.fixture
def whole(make_cifar: MakeNet) -> Net:
    """The same network in float32."""
    return make_cifar("B", depth=8)


def close(found: np.ndarray, expected: np.ndarray, net: Net) -> None:
    """Equal up to the rounding of the layers, relative to the largest entry."""
    limit = {torch.float16: 0.02, torch.bfloat16: 0.1, torch.float64: 1e-4}[net.precision]
    assert np.abs(np.asarray(found, np.float64) - expected).max() <= limit * np.abs(expected).max()


def test_inspection_is_that_of_the_float32_network_to_rounding(net: Net, whole: Net, make_image: MakeImage) -> None:
    found, expected = rv.inspect(net, make_image(), 3), rv.inspect(whole, make_image(), 3)
    for ours, theirs in zip(found.blocks, expected.blocks, strict=True):
        for name in ("identity", "residual", "sum", "output"):
            close(getattr(ours, name), getattr(theirs, name), net)
        assert np.isfinite(list(vars(ours.measures).values())[:13]).all()
        assert ours.measures.residual_norm == pytest.approx(theirs.measures.residual_norm, rel=0.05)
        assert ours.measures.response_std == pytest.approx(float(ours.residual.std()), rel=1e-3)
    close(
        np.array([p.logit for p in sorted(found.predictions, key=lambda p: p.index)]),
        rv.ablate(whole, make_image(), {}).logits,
        net,
    )


def test_identity_and_residual_add_up_exactly_in_the_networks_own_precision(net: Net, make_image: MakeImage) -> None:
    found = rv.inspect(net, make_image())
    for block in found.blocks:
        assert block.maps is not None
        assert block.identity is not None
        assert block.grad_identity is not None
        assert block.maps.precision == str(net.precision).removeprefix("torch.")
        assert block.maps.error == 0
        forward = torch.from_numpy(block.identity).to(net.precision) + torch.from_numpy(block.residual).to(net.precision)
        backward = torch.from_numpy(block.grad_identity).to(net.precision) + torch.from_numpy(block.grad_residual).to(
            net.precision
        )
        assert torch.equal(forward, torch.from_numpy(block.sum).to(net.precision))
        assert torch.equal(backward, torch.from_numpy(block.grad_input).to(net.precision))
        # The check can fail: one entry of the sum that is off shows.
        wrong = block.sum.copy()
        wrong[0, 0, 0] += 1
        assert replace(block.maps, sum=wrong).error == pytest.approx(1, rel=0.02)
    assert all(block.error == 0 for block in rv.gradients(net, make_image()).blocks)


def test_norms_do_not_overflow(make_cifar: MakeNet, make_image: MakeImage) -> None:
    """The sum of the squares of the stem's output is far over 65,504, the largest number in half precision."""
    net = make_cifar("A", depth=8)
    with torch.no_grad():
        net.module.bn1.weight.mul_(30)  # type: ignore[union-attr, operator]  # a batch norm
    net.module.half()
    block = rv.inspect(net, make_image()).blocks[0]
    assert block.identity is not None
    exact = float(np.linalg.norm(block.identity.astype(np.float64)))
    assert exact**2 > 65504
    assert block.measures.identity_norm == pytest.approx(exact, rel=1e-4)


def test_maps_by_block_are_those_of_the_float32_network(net: Net, whole: Net, make_image: MakeImage) -> None:
    image = make_image()
    cams = rv.block_cams(net, image, 3)
    for name, cam in rv.block_cams(whole, image, 3).items():
        close(cams[name], cam, net)
    for one, other in zip(rv.conductance(net, image, 3, 8).blocks, rv.conductance(whole, image, 3, 8).blocks, strict=True):
        # Differences of neighbouring points, of which half precision keeps a few digits.
        assert np.corrcoef(one.total.ravel(), other.total.ravel())[0, 1] > 0.9
    close(lens(net, image).logits, lens(whole, image).logits, net)
    close(sweep(net, image, 3).logits, sweep(whole, image, 3).logits, net)
    assert orders(net, image).cut == pytest.approx(orders(whole, image).cut, abs=0.02)
    close(rv.activations(net, image).blocks[0].sum, rv.activations(whole, image).blocks[0].sum, net)
    before = {name: value.clone() for name, value in net.module.state_dict().items()}
    ours, theirs = match(net, image, "layer2.0"), match(whole, image, "layer2.0")
    assert ours.projected is not None
    assert theirs.projected is not None
    close(ours.projected, theirs.projected, net)
    assert all(torch.equal(value, before[name]) for name, value in net.module.state_dict().items())


def test_the_experiments_of_the_literature_run(net: Net, whole: Net, make_image: MakeImage) -> None:
    image = make_image()
    paths = rv.path_gradients(net, image, 3)
    # ReLUs near 0 may switch, which changes single entries of a gradient.
    assert np.corrcoef(paths.coefficients.sum(0).ravel(), rv.inspect(whole, image, 3).blocks[0].grad_input.ravel())[0, 1] > 0.9
    assert sum(paths.lengths.shares) == pytest.approx(1, abs=0.05)
    close(np.array(rv.refinement(net, image, 3).losses), np.array(rv.refinement(whole, image, 3).losses), net)
    close(rv.loss_landscape(net, image, 3, points=3).loss, rv.loss_landscape(whole, image, 3, points=3).loss, net)
    for found in (
        rv.receptive_fields(net, image, probes=2).blocks[-1].map,
        rv.shattered_gradients(net, image, 3, points=4).values,
    ):
        assert np.isfinite(found).all()
        assert found.max() > 0
    close(rv.survey(net, [image]).measure("residual_norm"), rv.survey(whole, [image]).measure("residual_norm"), net)


@pytest.mark.parametrize("method", [name for name in rv.METHODS if name != "occlusion"])
def test_every_method_explains_it(net: Net, whole: Net, make_image: MakeImage, method: str) -> None:
    options: dict[str, Any] = {"steps": 8} if method == "integrated_gradients" else {}
    if method == "deep_lift" and net.precision == torch.float16:
        with pytest.raises(ValueError, match=r"DeepLift divides by differences that half precision rounds to 0\. Use"):
            rv.attribute(net, make_image(), method, 3)
        return
    found = rv.attribute(net, make_image(), method, 3, **options)
    expected = rv.attribute(whole, make_image(), method, 3, **options)
    assert np.isfinite(found.map).all()
    # A gradient is the roughest: a ReLU near its kink may be on the other side.
    assert np.corrcoef(found.map.ravel(), expected.map.ravel())[0, 1] > 0.9


def test_occlusion_and_the_checks_of_trust_run(net: Net, make_image: MakeImage) -> None:
    image = make_image()
    found = rv.attribute(net, image, "occlusion", 3, window=1 / 2, stride=1 / 2)
    assert np.isfinite(found.map).all()
    assert np.isfinite(trust.perturbation(net, image, found, 2).deletion.probabilities).all()
    assert all(value is not None for value in trust.randomisation(net, image, found).correlations)
    assert np.isfinite(trust.infidelity(net, image, found, 4))


@pytest.fixture
def double_by_default() -> Iterator[None]:
    """What a program may have chosen for its own tensors."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


STATELESS: dict[str, Callable[[Net, Image.Image], Any]] = {
    "inspect": lambda net, image: rv.inspect(net, image, 1).blocks[0].grad_input,
    "gradients": lambda net, image: rv.gradients(net, image, 1).blocks[0].total,
    "ablation": lambda net, image: rv.ablation_sweep(net, image, 1)["logit"].to_numpy(),
    "deletions": lambda net, image: [row.probability for row in rv.deletions(net, image, 1, sets=2).rows],
    "refinement": lambda net, image: rv.refinement(net, image, 1).losses,
    "paths": lambda net, image: rv.path_gradients(net, image, 1).coefficients,
    "conductance": lambda net, image: rv.conductance(net, image, 1, steps=4).blocks[0].total,
} | {
    name: lambda net, image, name=name, options=options: rv.attribute(net, image, name, 1, **options).attributions
    for name, options in {
        "integrated_gradients": {"steps": 4, "baseline": "noise"}, "smoothgrad": {"samples": 2},
        "gradient_shap": {"samples": 2},
        "deep_lift": {}, "guided_backprop": {}, "occlusion": {"window": 0.5, "stride": 0.5}, "grad_cam": {},
    }.items()
}  # fmt: skip


@pytest.mark.parametrize("name", STATELESS)
@pytest.mark.parametrize("given", [torch.float32, torch.float64])
def test_the_callers_default_number_type_changes_nothing(
    name: str, given: torch.dtype, make_image: Callable[..., Image.Image], request: pytest.FixtureRequest
) -> None:
    torch.manual_seed(0)
    module = Blocks(Shared(), Shared()).eval()
    preprocessing = rv.Preprocessing(16, 16, (0.5,) * 3, (0.25,) * 3)
    image = make_image(16, 16)
    expected = STATELESS[name](rv.from_module(module, preprocessing=preprocessing), image)
    request.getfixturevalue("double_by_default")
    net = rv.from_module(module.to(given), preprocessing=preprocessing)
    assert net.preprocess(image).dtype == torch.float32
    np.testing.assert_allclose(STATELESS[name](net, image), expected, rtol=1e-5, atol=1e-6)
