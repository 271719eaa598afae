"""S18: x + sin(3x) with and without the skip, against autograd and torch's own Adam."""

import time

import numpy as np
import pytest
import torch
from torch import nn

from resnet_viz.analyses.activations import Array
from resnet_viz.engine import wire
from resnet_viz.engine.job_types import JOB_TYPES
from resnet_viz.figures.lessons.toy import toy_fit
from resnet_viz.figures.theme import IDENTITY, PLAIN, RESIDUAL, SUM
from resnet_viz.lessons.toy import FRAMES, RATE, ToyFit, _Learner, fit, moments, of_frames


@pytest.fixture(scope="module")
def short() -> ToyFit:
    return fit(8, 60, seed=2)


@pytest.mark.parametrize("skip", [False, True])
def test_s18_both_learn_as_torch_would(short: ToyFit, skip: bool) -> None:  # noqa: FBT001 - a parameter
    learner = _Learner(8, 2, skip=skip)
    layers = [nn.Linear(1, 8), nn.Linear(8, 8), nn.Linear(8, 1)]
    for layer, weight, bias in zip(layers, learner.parameters[::2], learner.parameters[1::2], strict=True):
        layer.weight.data, layer.bias.data = torch.tensor(weight.T.copy()), torch.tensor(bias)
    net = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    x = torch.tensor(short.x)[:, None]
    for _ in range(60):
        made = net(x) + x if skip else net(x)
        optimizer.zero_grad()
        (made - x - torch.sin(3 * x)).square().mean().backward()
        optimizer.step()
    frames = short.beside if skip else short.without
    assert np.abs(net(x).detach().numpy()[:, 0] - frames[-1]).max() < 2e-3


def test_s18_with_x_handed_on_only_the_sine_is_left_to_learn() -> None:
    begun = time.thread_time()
    found = fit()
    assert time.thread_time() - begun < 10
    without, beside = found.errors
    wave = np.sin(3 * found.x)
    assert without[0] > 2
    assert beside[0] < 1
    # At the end N is the sine with the skip, and x and the sine without.
    assert np.sqrt(np.square(found.beside[-1] - wave).mean()) == pytest.approx(beside[-1], rel=1e-3)
    assert beside[-1] < without[-1] < 0.2
    assert np.corrcoef(found.beside[-1], wave)[0, 1] > 0.99
    assert np.corrcoef(found.without[-1], found.x)[0, 1] > 0.9


def test_s18_the_same_seed_is_the_same_start_and_the_same_end(short: ToyFit) -> None:
    assert np.array_equal(short.without[0], short.beside[0])
    assert np.array_equal(fit(8, 60, seed=2).beside, short.beside)
    assert not np.array_equal(fit(8, 60, seed=3).beside, short.beside)


def test_s18_it_can_be_watched_and_stopped() -> None:
    seen: list[Array] = []

    def watch(done: int, total: int, frames: Array | None) -> None:
        assert total == 60
        assert frames is not None
        seen.append(frames)
        if done == 20:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fit(8, 60, on_step=watch)
    assert len(seen) == 21
    so_far = of_frames(8, 60, seen[-1])
    assert len(so_far.steps) == seen[-1].shape[1] == len([step for step in moments(60) if step <= 20])
    assert toy_fit(so_far).layout.title.text.startswith("After ")


def test_s18_it_travels_and_what_is_not_offered_gets_a_sentence(short: ToyFit) -> None:
    answer = JOB_TYPES["toy"].answer
    assert np.array_equal(wire.decode(wire.encode(short), answer, 2**20).beside, short.beside)
    with pytest.raises(ValueError, match="not one of 8, 16, 32"):
        fit(9)
    with pytest.raises(ValueError, match=f"between {FRAMES} and"):
        fit(8, 1)
    with pytest.raises(ValueError, match="has frames 0 to"):
        toy_fit(short, 99)


def test_s18_the_drawing_says_who_is_nearer(short: ToyFit) -> None:
    figure = toy_fit(short)
    without, beside = (float(error[-1]) for error in short.errors)
    assert f"{without / beside:.1f} times smaller with the skip" in figure.layout.title.text
    colours = [trace.line.color for trace in figure.data]
    assert colours[1] == PLAIN
    assert {IDENTITY, RESIDUAL, SUM} <= set(colours)
    swapped = ToyFit(8, short.x, short.steps, short.x + short.beside, short.without - short.x)
    assert "the skip connection does not help" in toy_fit(swapped).layout.title.text
