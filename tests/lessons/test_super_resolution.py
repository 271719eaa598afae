"""S1: the problem, against torch and numpy by hand; S4 and S19: the four networks trained, recorded and on an image."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from resnet_viz import assets
from resnet_viz.engine import wire
from resnet_viz.engine.job_types import JOB_TYPES
from resnet_viz.figures.lessons.super_resolution import problem_pictures, resolved_pictures
from resnet_viz.figures.lessons.super_resolution_training import curves_so_far, super_resolution_curves
from resnet_viz.figures.theme import IDENTITY, PLAIN, SUM
from resnet_viz.images import open_image
from resnet_viz.lessons import super_resolution_recorded as recorded
from resnet_viz.lessons.super_resolution import FACTORS, Problem, degrade, luminance, problem, psnr, quality, ssim, view
from resnet_viz.lessons.super_resolution_nets import DESIGNS, build, multiply_adds, parameters
from resnet_viz.lessons.super_resolution_pictures import Attempts, super_resolve, worst_window
from resnet_viz.lessons.super_resolution_record import run, ship
from resnet_viz.lessons.super_resolution_training import (
    TRAINING_PHOTOS,
    VALIDATION_PHOTOS,
    SuperResolutionRecipe,
    Training,
    Trials,
    batch,
    bicubic,
    measure,
    moments_of,
    train_all,
    training_photos,
)
from resnet_viz.nets.net import WeightsError

SMALL = SuperResolutionRecipe(depth=4, channels=4, steps=6, batch=2, heights=(240,))


@pytest.fixture(scope="module")
def cat() -> Image.Image:
    return open_image(assets.SAMPLES_FOLDER / "cat-photo.jpg")


@pytest.fixture(scope="module")
def attempts(cat: Image.Image) -> Attempts:
    return super_resolve(cat.resize((90, 60)), 2)


@pytest.fixture(scope="module")
def trials() -> Trials:
    return train_all(3, depth=4, steps=8)


def grey(picture: np.ndarray) -> np.ndarray:
    return (0.299 * picture[..., 0] + 0.587 * picture[..., 1] + 0.114 * picture[..., 2]).astype(np.float64)


def ssim_by_hand(ours: np.ndarray, wanted: np.ndarray) -> float:
    """Wang et al. 2004 with a Gaussian of 1.5 pixels over 11; the borders are mirrored."""
    line = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    window = np.outer(line, line) / line.sum() ** 2

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray(
            (np.lib.stride_tricks.sliding_window_view(np.pad(values, 5, mode="reflect"), (11, 11)) * window).sum((2, 3))
        )

    a, b = mean(ours), mean(wanted)
    va, vb, both = mean(ours**2) - a**2, mean(wanted**2) - b**2, mean(ours * wanted) - a * b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(((2 * a * b + c1) * (2 * both + c2) / ((a**2 + b**2 + c1) * (va + vb + c2))).mean())


@pytest.mark.parametrize("factor", FACTORS)
def test_s01_low_resolution_input_and_target_of_any_picture(cat: Image.Image, factor: int) -> None:
    found = problem(cat, factor)
    target = np.asarray(cat.resize((361, 240), Image.Resampling.BICUBIC).crop((60, 0, 300, 240)))
    assert np.array_equal(found.target, target)
    side = 240 // factor
    assert found.low.shape == (side, side, 3)
    assert found.upsampled.shape == target.shape
    # torch resizes a step at a time in its own way: levels may differ by rounding.
    pixels = torch.from_numpy(target.copy()).permute(2, 0, 1)[None].float()
    low = F.interpolate(pixels, size=(side, side), mode="bicubic", antialias=True)[0].permute(1, 2, 0)
    assert np.abs(low.clamp(0, 255).numpy() - found.low).max() <= 1.01
    error = np.square(grey(found.upsampled) - grey(target)).mean()
    assert found.quality.psnr == pytest.approx(10 * math.log10(255**2 / error), abs=1e-3)


def test_s01_psnr_and_ssim_are_those_of_the_literature(cat: Image.Image) -> None:
    found = problem(cat.resize((60, 48)), 2)
    ours, wanted = luminance(found.upsampled), luminance(found.target)
    a, b = torch.from_numpy(ours)[None, None], torch.from_numpy(wanted)[None, None]
    assert psnr(a, b) == pytest.approx(float(peak_signal_noise_ratio(a, b, data_range=255.0)), abs=1e-4)
    assert psnr(a, a) == math.inf
    assert ssim(a, b) == pytest.approx(ssim_by_hand(grey(found.upsampled), grey(found.target)), abs=1e-4)
    reference = structural_similarity_index_measure(a, b, data_range=255.0)
    assert isinstance(reference, torch.Tensor)
    assert ssim(a, b) == pytest.approx(reference.item(), abs=1e-5)
    assert ssim(a, a) == pytest.approx(1)


def test_s01_small_pictures_keep_their_pixels_and_tiny_ones_get_a_sentence(make_image: Callable[..., Image.Image]) -> None:
    assert view(make_image(40, 33)).shape == (24, 24, 3)
    with pytest.raises(ValueError, match="at least 24"):
        view(make_image(23, 400))
    with pytest.raises(ValueError, match="not one of 2, 3, 4"):
        problem(make_image(), 5)


def test_s01_the_picture_of_the_problem(cat: Image.Image) -> None:
    found = problem(cat, 4)
    for figure in (problem_pictures(found), problem_pictures(found, detail=True)):
        assert f"PSNR of {found.quality.psnr:.1f} dB" in figure.layout.title.text
        assert figure.layout.title.text.startswith("Only 1 of every 16 pixels is kept")
        colours = [figure.layout[f"xaxis{axis}"].linecolor for axis in ("", 2, 3)]
        assert colours[1:] == [IDENTITY, SUM]
    whole = problem_pictures(found).layout
    small, large = (axis.domain[1] - axis.domain[0] for axis in (whole.xaxis, whole.xaxis2))
    assert large / small == pytest.approx(4)


def test_s01_the_detail_is_where_bicubic_errs_most(cat: Image.Image) -> None:
    found = problem(cat, 3)
    top, left, side = worst_window(found)
    error = np.square(grey(found.target) - grey(found.upsampled))
    sums = np.lib.stride_tricks.sliding_window_view(error, (side, side))[::7, ::7].sum((2, 3))
    assert error[top : top + side, left : left + side].sum() >= sums.max() - 1e-3


def test_s04_the_networks_are_what_they_are_called() -> None:
    x, low = torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0)), torch.rand(1, 1, 6, 6)
    nets = {name: build(name, 6, 5, (2,)) for name in DESIGNS}
    layers = [layer for layer in nets["plain"].modules() if isinstance(layer, nn.Conv2d)]
    assert len(layers) == 6
    made = x
    for layer in layers[:-1]:
        made = F.conv2d(made, layer.weight, layer.bias, padding=1).relu()
    made = F.conv2d(made, layers[-1].weight, layers[-1].bias, padding=1)
    assert torch.allclose(nets["plain"](x, low, 2), made, atol=1e-6)
    # The same weights but the last ones, and what they make is added to the input: at first nothing.
    assert torch.equal(nets["global"](x, low, 2), x)
    assert torch.equal(nets["shuffle"](x, low, 2), x)
    assert sum(isinstance(layer, nn.Conv2d) for layer in nets["blocks"].modules()) == 6
    head, tail = nets["blocks"].get_submodule("head"), nets["blocks"].get_submodule("tail")
    assert torch.equal(nets["blocks"](x, low, 2), tail(head(x).relu()))
    assert parameters(nets["plain"]) == parameters(nets["global"]) == parameters(nets["blocks"])
    assert multiply_adds(nets["plain"], 2) == 9 * (5 + 4 * 25 + 5)


def test_s04_a_residual_block_adds_its_branch() -> None:
    net = build("blocks", 4, 3, (2,))
    block = net.get_submodule("body.0")
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.uniform_(-1, 1, generator=torch.Generator().manual_seed(1))
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    first, second = block.get_submodule("conv1"), block.get_submodule("conv2")
    assert torch.equal(block(x), F.relu(x + second(F.relu(first(x)))))
    with pytest.raises(ValueError, match="even number"):
        build("plain", 7, 3)
    with pytest.raises(ValueError, match="choose one of plain"):
        build("deep", 8, 3)


def test_s04_patches_belong_together_and_come_from_training_photos_alone() -> None:
    assert not set(TRAINING_PHOTOS) & set(VALIDATION_PHOTOS)
    recipe = replace(SMALL, factors=(2,))
    factor, target, low, upsampled = batch(recipe, 5)
    again = batch(recipe, 5)
    assert factor == 2
    assert torch.equal(target, again[1])
    assert not torch.equal(target, batch(recipe, 6)[1])
    for number in range(2):
        # Somewhere, turned or mirrored, each patch lies in a photo; its small one is the same place made smaller.
        shrunk = F.interpolate(target[number : number + 1], scale_factor=0.5, mode="bicubic", antialias=True)
        assert float((shrunk - low[number : number + 1])[..., 3:-3, 3:-3].abs().mean()) < 0.01
        assert float((upsampled[number] - target[number]).abs().mean()) < 0.2
    photos = training_photos((240,))
    assert len(photos) == len(TRAINING_PHOTOS)
    found = [
        any(torch.isclose(photo.target.unfold(0, 36, 12).unfold(1, 36, 12), turn).all(-1).all(-1).any() for photo in photos)
        for turn in (torch.rot90(target[0, 0], k).flip(dims) for k in range(4) for dims in ((), (1,)))
    ]
    assert any(found)


def test_s04_a_step_is_adam_on_the_mean_squared_error() -> None:
    training = Training("plain", SMALL)
    net = build("plain", SMALL.depth, SMALL.channels, seed=SMALL.seed)
    factor, target, low, upsampled = batch(SMALL, 0)
    loss = (net(upsampled, low, factor) - target).square().mean()
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    before = [parameter.detach().clone() for parameter in training.net.parameters()]
    training.advance()
    for was, now, gradient in zip(before, training.net.parameters(), gradients, strict=True):
        # Adam's first step is the rate in the gradient's direction.
        moved = (now.detach() - was)[gradient.abs() > 1e-5]
        expected = -SMALL.learning_rate(0) * gradient.sign()[gradient.abs() > 1e-5]
        assert torch.allclose(moved, expected, rtol=2e-2)
    rates = [SMALL.learning_rate(step) for step in range(SMALL.steps)]
    assert max(rates) == SMALL.rate
    assert rates[-1] < rates[1]


def test_s04_live_training_reports_and_measures_what_it_trained(trials: Trials) -> None:
    heard: list[tuple[int, int, bool]] = []
    again = train_all(3, depth=4, steps=8, on_step=lambda done, total, rows: heard.append((done, total, rows is not None)))
    assert [trial.name for trial in trials.trials] == list(DESIGNS)
    for one, other in zip(trials.trials, again.trials, strict=True):
        assert np.array_equal(one.psnr, other.psnr)
    assert list(trials.steps) == [*moments_of(8), 8]
    # Before the first step the two that add to bicubic are bicubic.
    by_name = {trial.name: trial for trial in trials.trials}
    assert by_name["global"].psnr[0] == pytest.approx(trials.bicubic.psnr, abs=1e-4)
    assert by_name["shuffle"].psnr[0] == pytest.approx(trials.bicubic.psnr, abs=1e-4)
    assert by_name["plain"].psnr[0] < 15
    assert heard[1] == (0, 8, True)
    assert len(heard) == 1 + 8 * 4
    answer = JOB_TYPES["super-resolution training"].answer
    back = wire.decode(wire.encode(trials), answer, 2**20)
    assert np.array_equal(back.trials[0].psnr, trials.trials[0].psnr)


def test_s04_training_can_be_cancelled_and_leaves_the_global_generator_alone() -> None:
    def stop(done: int, _: int, __: object) -> None:
        if done:
            raise InterruptedError

    before = torch.random.get_rng_state()
    with pytest.raises(InterruptedError):
        train_all(2, depth=4, steps=5, on_step=stop)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_stopped_training_resumes_where_it_stopped_with_the_same_result() -> None:
    steps: list[int] = []

    def stop(done: int, _: int, __: object) -> None:
        steps.append(done)
        if len(steps) == 11:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train_all(3, depth=4, steps=6, on_step=stop)
    assert steps[-1] == 2
    resumed = train_all(3, depth=4, steps=6, on_step=stop)
    assert steps[11:13] == [0, 2]
    whole = train_all(3, depth=4, steps=6)
    assert len(steps) == 2 + 4 * 6 + 1
    for one, other in zip(resumed.trials, whole.trials, strict=True):
        assert np.array_equal(one.psnr, other.psnr)
        assert one.ssim == other.ssim


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"factor": 5}, "not one of 2, 3, 4"),
        ({"factor": 2, "depth": 40}, "Choose 4 to 20"),
        ({"factor": 2, "depth": 5}, "even number"),
        ({"factor": 2, "steps": 0}, "Choose 1 to 1000"),
        ({"factor": 2, "rate": math.nan}, "is out of range"),
    ],
)
def test_s04_what_cannot_be_trained_gets_a_sentence(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        train_all(**options)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("factor", FACTORS)
def test_s04_recorded_networks_are_those_of_their_cards_and_curves(factor: int) -> None:
    found = recorded.curves(factor)
    assert found.bicubic.psnr == pytest.approx(bicubic(factor).psnr, abs=1e-3)
    for trial in found.trials:
        card, net = recorded.card(trial.name), recorded.network(trial.name)
        measured = measure(net, factor)
        assert float(trial.psnr[-1]) == pytest.approx(measured.psnr, abs=0.01)
        assert trial.ssim == pytest.approx(measured.ssim, abs=1e-3)
        assert parameters(net) == card["parameters"] == trial.parameters
        whole = measure(net, factor, 240)
        assert card["results"][str(factor)]["psnr"] == pytest.approx(whole.psnr, abs=0.01)
        assert not set(card["data"]["training"]) & set(card["data"]["validation"])


def test_s04_the_plain_network_ends_below_its_input_and_learning_the_residual_mends_it() -> None:
    found = recorded.curves(2)
    ends = {trial.name: float(trial.psnr[-1]) for trial in found.trials}
    assert ends["plain"] < found.bicubic.psnr < min(ends["global"], ends["blocks"])
    for factor in FACTORS:
        at = {trial.name: float(trial.psnr[-1]) for trial in recorded.curves(factor).trials}
        assert min(at, key=at.__getitem__) == "plain"


def test_s19_the_small_network_beats_the_residual_blocks_with_less_work() -> None:
    for factor in FACTORS:
        trials = {trial.name: trial for trial in recorded.curves(factor).trials}
        small, blocks = trials["shuffle"], trials["blocks"]
        assert small.psnr[-1] > blocks.psnr[-1]
        assert small.multiply_adds < blocks.multiply_adds / 10
        assert small.seconds < blocks.seconds


def test_s19_pixel_shuffle_puts_channels_beside_one_another() -> None:
    net = build("shuffle", 4, 4, (3,))
    with torch.no_grad():
        tail = net.get_submodule("tails.3")
        tail.weight.zero_()  # type: ignore[operator]  # a Conv2d
        tail.bias.copy_(torch.arange(9.0))  # type: ignore[operator]  # a Conv2d
        made = net(torch.zeros(1, 1, 6, 6), torch.rand(1, 1, 2, 2), 3)[0, 0]
    assert torch.equal(made, torch.arange(9.0).reshape(3, 3).tile(2, 2))


def test_s04_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    recipe = replace(SMALL, steps=4)

    class KilledError(RuntimeError):
        pass

    def kill(_: str, point: object) -> None:
        if getattr(point, "step", 0) == 2:
            raise KilledError

    with pytest.raises(KilledError):
        run("global", recipe, tmp_path / "a", kill)
    resumed, curve = run("global", recipe, tmp_path / "a")
    straight, other = run("global", recipe, tmp_path / "b")
    assert [point.psnr for point in curve] == [point.psnr for point in other]
    for one, two in zip(resumed.net.parameters(), straight.net.parameters(), strict=True):
        assert torch.equal(one, two)
    with pytest.raises(ValueError, match="another recipe"):
        run("global", replace(recipe, rate=0.5), tmp_path / "a")


def test_s04_what_is_shipped_loads_again_and_damage_gets_a_sentence(tmp_path: Path) -> None:
    training, curve = run("plain", replace(SMALL, steps=1), tmp_path / "runs")
    card = ship(training, curve, tmp_path)
    assert json.loads((tmp_path / "super-resolution-plain.json").read_text()) == json.loads(json.dumps(card))
    net = recorded.network("plain", tmp_path)
    x = torch.rand(1, 1, 12, 12)
    assert torch.allclose(net(x, x, 2), training.net(x, x, 2), atol=1e-5)
    recorded.network.cache_clear()
    weights = tmp_path / "super-resolution-plain.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="not the file that its card describes"):
        recorded.network("plain", tmp_path)
    weights.unlink()
    with pytest.raises(WeightsError, match="missing or damaged"):
        recorded.network("plain", tmp_path)
    (tmp_path / "super-resolution-plain.csv").write_text("step\n1\n")
    with pytest.raises(WeightsError, match="missing or damaged"):
        recorded.curves(2, tmp_path)
    recorded.network.cache_clear()


def test_s04_every_network_gets_the_persons_picture(attempts: Attempts) -> None:
    asked = attempts.problem
    assert asked.target.shape == (60, 60, 3)
    before, low = luminance(asked.upsampled), luminance(asked.low)
    for attempt in attempts.attempts:
        net = recorded.network(attempt.name)
        with torch.no_grad():
            after = net(torch.from_numpy(before / 255)[None, None], torch.from_numpy(low / 255)[None, None], 2)
        values = 255 * after[0, 0].clamp(0, 1).numpy()
        assert attempt.quality == quality(values, luminance(asked.target))
        # The same is added to each colour, so that luminance is what the network made, but for what is cut off and rounded.
        inside = (attempt.picture > 0).all(2) & (attempt.picture < 255).all(2)
        assert np.abs(grey(attempt.picture) - values)[inside].max() < 0.51
    answer = JOB_TYPES["super-resolution"].answer
    back = wire.decode(wire.encode(attempts), answer, 2**22)
    assert np.array_equal(back.attempts[1].picture, attempts.attempts[1].picture)


def test_s04_pictures_say_who_comes_nearest(attempts: Attempts) -> None:
    figure = resolved_pictures(attempts)
    best = max(attempts.attempts, key=lambda attempt: attempt.quality.psnr)
    assert DESIGNS[best.name].title in figure.layout.title.text
    captions = " ".join(note.text for note in figure.layout.annotations)
    for attempt in attempts.attempts:
        assert f"{attempt.quality.psnr:.2f} dB, SSIM {attempt.quality.ssim:.3f}" in captions
    assert figure.layout.xaxis3.linecolor == PLAIN
    worse = tuple(replace(attempt, quality=replace(attempt.quality, psnr=1.0)) for attempt in attempts.attempts)
    assert "No network is better than bicubic" in resolved_pictures(replace(attempts, attempts=worse)).layout.title.text


def test_s04_curves_say_how_the_plain_network_ends(trials: Trials) -> None:
    figure = super_resolution_curves(recorded.curves(2))
    assert "the plain network ends last of the four" in figure.layout.title.text
    assert "below bicubic" in figure.layout.title.text
    lines = {trace.name: trace for trace in figure.data if trace.name}
    assert lines["Plain"].line.color == PLAIN
    assert {lines[name].line.color for name in ("Global residual", "Residual blocks", "Bicubic + small CNN")} == {IDENTITY}
    assert len({lines[DESIGNS[name].title].line.dash for name in ("global", "blocks", "shuffle")}) == 3
    plain = trials.trials[0]
    better = replace(plain, psnr=plain.psnr + 100)
    crowned = super_resolution_curves(replace(trials, trials=(better, *trials.trials[1:])))
    assert "the plain network does best" in crowned.layout.title.text
    rows = np.array([[0, 25, 7, 25, 6, 25], [5, 25, 9, 26, 8, 25.5]], np.float32)
    assert "Step 5 of 40: Plain −16.00 dB, Global residual +1.00 dB" in curves_so_far(rows, 40).layout.title.text
    assert len(curves_so_far(rows[:1], 40).data) == 5


def test_the_smaller_side_decides_and_bytes_stay_bytes(cat: Image.Image) -> None:
    found = problem(cat, 2, side=48)
    assert isinstance(found, Problem)
    assert found.target.shape == (48, 48, 3)
    assert {found.target.dtype, found.low.dtype, found.upsampled.dtype} == {np.dtype(np.uint8)}
    assert np.array_equal(degrade(found.target, 2)[1], found.upsampled)
    answer = JOB_TYPES["problem"].answer
    assert np.array_equal(wire.decode(wire.encode(found), answer, 2**20).low, found.low)
