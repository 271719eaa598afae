"""S3 and S16: both chains and their gradients, against the layers written out and autograd, depth by depth."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.engine import wire
from resnet_viz.engine.job_types import JOB_TYPES
from resnet_viz.figures.lessons.signal import signal_depth, signal_panels
from resnet_viz.figures.theme import IDENTITY, PLAIN
from resnet_viz.lessons.signal import CHANNELS, CLASSES, DEPTHS, SignalThroughDepth, run, wave
from resnet_viz.nets.zoo import CIFAR_PREPROCESSING


@pytest.fixture(scope="module")
def picture(make_image: Callable[..., Image.Image]) -> Tensor:
    return CIFAR_PREPROCESSING.tensor(make_image())[0, :, :12, :12]


@pytest.fixture(scope="module")
def through(picture: Tensor) -> SignalThroughDepth:
    return run("picture", picture, seed=3)


def chain(
    depth: int, seed: int, *, residual: bool, norm: bool, branch: float = 1.0
) -> tuple[list[nn.Conv2d], nn.Module, Tensor]:
    """The first `depth` convolutions, what they make of an input, and the head, by modules of torch's own."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(CHANNELS, CHANNELS, 3, 3, generator=generator) for _ in range(DEPTHS[-1])]
    head = (2 * torch.rand(CLASSES, CHANNELS, generator=generator) - 1) / math.sqrt(CHANNELS)
    convs = []
    for weight in drawn[:depth]:
        conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
        conv.weight.data = weight * math.sqrt(2 / (9 * CHANNELS))
        convs.append(conv)

    class Chain(nn.Module):
        def forward(self, h: Tensor) -> Tensor:
            def layer(conv: nn.Conv2d, x: Tensor) -> Tensor:
                made: Tensor = conv(x)
                return F.batch_norm(made, None, None, training=True) if norm else made

            for first, second in zip(convs[::2], convs[1::2], strict=True):
                made = layer(second, F.relu(layer(first, h)))
                h = F.relu(h + branch * made) if residual else F.relu(made)
            return h

    return convs, Chain(), head


# A deep plain chain with batch norm grows every rounding by the factor that it grows gradients by.
@pytest.mark.parametrize(
    ("residual", "norm", "branch", "deepest"),
    [(False, True, 1.0, 20), (False, False, 1.0, 56), (True, True, 0.3, 110), (True, False, 1.0, 110)],
)
def test_s03_correlation_with_the_input_at_every_depth_is_that_of_the_chain_written_out(
    *, picture: Tensor, residual: bool, norm: bool, branch: float, deepest: int
) -> None:
    found = run("picture", picture, batch_norm=norm, branch=branch, seed=5)
    ours = found.residual if residual else found.plain
    x = ((picture - picture.mean()) / picture.std()).repeat(4, 1, 1)[None]
    for depth in (2, 8, deepest):
        _, module, _ = chain(depth, 5, residual=residual, norm=norm, branch=branch)
        with torch.no_grad():
            h = module(x)[0].flatten(1).double().numpy()
        by_hand = [
            abs(np.corrcoef(a, b)[0, 1]) if a.std() > 0 else 0.0
            for a, b in zip(h, x[0].flatten(1).double().numpy(), strict=True)
        ]
        assert ours.correlation[DEPTHS.index(depth)] == pytest.approx(np.mean(by_hand), abs=2e-3)


def test_s03_one_relu_cuts_what_is_below_zero(picture: Tensor) -> None:
    found = run("picture", picture)
    assert found.cut == pytest.approx(float(np.mean(picture.numpy() <= picture.numpy().mean())))
    assert found.signal.shape == (12, 12)
    assert run("wave", wave()).signal.shape == (256,)


@pytest.mark.parametrize(("residual", "norm"), [(False, True), (True, True), (False, False), (True, False)])
def test_s16_gradients_and_losses_at_every_depth_are_those_of_autograd(*, picture: Tensor, residual: bool, norm: bool) -> None:
    found = run("picture", picture, batch_norm=norm, seed=5)
    ours = found.residual if residual else found.plain
    for depth in (2, 8, 32):
        convs, module, head = chain(depth, 5, residual=residual, norm=norm)
        x = ((picture - picture.mean()) / picture.std()).requires_grad_()
        logits = head @ module(x.repeat(4, 1, 1)[None])[0].mean((1, 2))
        loss = torch.stack([F.cross_entropy(logits[None], torch.tensor([c])) for c in range(CLASSES)]).mean()
        at_input, at_first = torch.autograd.grad(loss, [x, convs[0].weight])
        place = DEPTHS.index(depth)
        assert ours.loss[place] == pytest.approx(loss.item(), rel=1e-3)
        assert ours.at_input[place] == pytest.approx(at_input.norm().item(), rel=5e-3)
        assert ours.at_first_layer[place] == pytest.approx(at_first.norm().item(), rel=5e-3)


def test_s16_a_branch_that_starts_at_0_hands_the_gradient_on_unchanged(picture: Tensor) -> None:
    found = run("picture", picture, branch=0.0)
    assert np.allclose(found.residual.at_input, found.residual.at_input[0], rtol=1e-5)
    assert np.allclose(found.residual.correlation, found.residual.correlation[0])
    assert not np.allclose(found.plain.at_input, found.plain.at_input[0], rtol=0.5)


def test_the_seed_alone_decides_and_torch_is_left_as_it_was(picture: Tensor, through: SignalThroughDepth) -> None:
    before = torch.get_rng_state()
    again, other = run("picture", picture, seed=3), run("picture", picture, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(again.plain.correlation, through.plain.correlation)
    assert not np.array_equal(other.plain.correlation, through.plain.correlation)


def test_a_picture_of_one_colour_and_a_wrong_branch_get_sentences() -> None:
    with pytest.raises(ValueError, match="same colour everywhere"):
        run("picture", torch.ones(3, 8, 8))
    with pytest.raises(ValueError, match="between 0 and 1"):
        run("wave", wave(), branch=2.0)


def test_it_reports_every_two_layers_and_stops_where_that_raises() -> None:
    seen: list[int] = []

    def step(done: int, total: int) -> None:
        assert total == 4 * len(DEPTHS)
        seen.append(done)
        if done == 70:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run("wave", wave(), on_step=step)
    assert seen == list(range(1, 71))


def test_the_answer_travels(through: SignalThroughDepth) -> None:
    hint = JOB_TYPES["signal"].answer
    back = wire.decode(wire.encode(through), hint, 10**8)
    assert back.plain.maps.tobytes() == through.plain.maps.tobytes()
    assert back.nbytes == through.nbytes


def test_the_chart_draws_what_was_computed_in_the_colours_of_both_chains(through: SignalThroughDepth) -> None:
    fig = signal_depth(through, "correlation", 20)
    lines = {trace.name: trace for trace in fig.data if trace.mode == "lines"}
    assert lines["plain"].line.color == PLAIN
    assert lines["residual"].line.color == IDENTITY
    assert np.array_equal(lines["residual"].y, through.residual.correlation)
    assert (
        f"plain {through.plain.correlation[9]:.2f}, residual {through.residual.correlation[9]:.2f}"
        in fig.layout.meta["finding"]
    )
    assert signal_depth(through, "at_input", 20).layout.yaxis.type == "log"
    panels = signal_panels(through, 20)
    assert panels.layout.meta["finding"] == f"One ReLU sets {through.cut:.0%} of the signal's values to 0"
    assert np.array_equal(np.array(panels.data[1].z), np.maximum(through.signal, 0))
    assert np.array_equal(np.array(panels.data[3].z), through.residual.maps[9])
