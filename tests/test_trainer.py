"""The trainer on 64 synthetic images: what it learns, what it writes, and that an interruption has no effect."""

import copy
import csv
import itertools
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.nets.cifar import CIFAR10_LABELS, CIFAR10_MEAN, CIFAR10_STD, CifarResNet
from resnet_viz.training import trainer
from resnet_viz.training.data import Dataset, Split, load_dataset
from resnet_viz.training.recipe import Recipe
from resnet_viz.training.tasks import CIFAR10
from resnet_viz.training.trainer import Epoch, evaluate, fastest_precision, learning_rate, normalise, train, write_curve

ROOT = Path(__file__).parents[1]
RECIPE = Recipe(epochs=4, batch_size=16, peak_learning_rate=0.05, padding=2)


class StoppedError(Exception):
    """The exception that stops a run."""


def split(count: int, seed: int) -> Split:
    """Noise with a brightness that depends on the class, 0 to 3."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    noise = torch.randint(0, 60, (count, 3, 16, 16), generator=generator)
    return Split((noise + 60 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return Dataset(split(64, 0), split(20, 1), "")


def fresh() -> CifarResNet:
    return CifarResNet(8, classes=4, seed=3)


@pytest.fixture(scope="module")
def finished(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[CifarResNet, list[Epoch]]:
    """An uninterrupted run."""
    net = fresh()
    return net, train(net, data, RECIPE, tmp_path_factory.mktemp("finished"))


def stop_after(epoch: int) -> Callable[[Epoch], None]:
    def check(row: Epoch) -> None:
        if row.epoch == epoch:
            raise StoppedError

    return check


def assert_same_run(net: nn.Module, curve: list[Epoch], finished: tuple[CifarResNet, list[Epoch]]) -> None:
    expected_net, expected_curve = finished
    assert [replace(row, seconds=0) for row in curve] == [replace(row, seconds=0) for row in expected_curve]
    for name, values in expected_net.state_dict().items():
        assert torch.equal(net.state_dict()[name], values), name


class TestLearningRate:
    @pytest.mark.parametrize(
        ("progress", "expected"),
        # Up from a 25th of the peak in the first fifth, down to 0 in the rest; a cosine is half-way in the middle.
        [(0.0, 0.04), (0.1, 0.52), (0.2, 1.0), (0.6, 0.5), (1.0, 0.0), (0.4, 0.5 + 0.5 * 0.5**0.5)],
    )
    def test_by_hand(self, progress: float, expected: float) -> None:
        assert learning_rate(Recipe(peak_learning_rate=1.0, warm_up=0.2), progress) == pytest.approx(expected, abs=1e-12)

    def test_rises_to_the_peak_and_then_falls(self) -> None:
        recipe = Recipe(peak_learning_rate=0.3, warm_up=0.25)
        rates = [learning_rate(recipe, step / 100) for step in range(101)]
        assert rates.index(max(rates)) == 25
        assert rates[:26] == sorted(rates[:26])
        assert rates[25:] == sorted(rates[25:], reverse=True)
        assert max(rates) == pytest.approx(0.3)


class TestBatches:
    @staticmethod
    def batches(data: Dataset, epoch: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
        return list(trainer._batches(data.train, replace(RECIPE, batch_size=24, seed=seed), epoch))

    def test_hold_every_image_once(self) -> None:
        numbered = Dataset(Split(torch.zeros(64, 3, 4, 4, dtype=torch.uint8), torch.arange(64)), split(4, 0), "")
        labels = [labels for _, labels in self.batches(numbered, 0)]
        assert [len(batch) for batch in labels] == [24, 24, 16]
        assert torch.cat(labels).tolist() != list(range(64))
        assert sorted(torch.cat(labels).tolist()) == list(range(64))

    def test_are_the_same_each_time_whatever_was_drawn_before(self, data: Dataset) -> None:
        first = self.batches(data, 2)
        torch.rand(100)
        for (images, labels), (again, labels_again) in zip(first, self.batches(data, 2), strict=True):
            assert torch.equal(images, again)
            assert torch.equal(labels, labels_again)

    @pytest.mark.parametrize(("epoch", "seed"), [(3, 0), (2, 1)], ids=["epoch", "seed"])
    def test_differ_in_another(self, epoch: int, seed: int, data: Dataset) -> None:
        first, other = self.batches(data, 2), self.batches(data, epoch, seed)
        assert not torch.equal(first[0][0], other[0][0])
        assert not torch.equal(torch.cat([b for _, b in first]), torch.cat([b for _, b in other]))


class TestTrain:
    def test_learns(self, data: Dataset, finished: tuple[CifarResNet, list[Epoch]]) -> None:
        _, curve = finished
        assert [row.epoch for row in curve] == [1, 2, 3, 4]
        assert curve[-1].train_loss < 0.6 * curve[0].train_loss
        assert curve[-1].test_error < 0.3
        untrained = evaluate(fresh(), data.test)
        assert curve[-1].test_loss < 0.6 * untrained.loss

    def test_the_curve_ends_with_the_nets_own_score(self, data: Dataset, finished: tuple[CifarResNet, list[Epoch]]) -> None:
        net, curve = finished
        score = evaluate(net, data.test)
        assert score.loss == pytest.approx(curve[-1].test_loss, rel=1e-5)
        assert score.error == curve[-1].test_error

    def test_leaves_contiguous_weights_behind(self, finished: tuple[CifarResNet, list[Epoch]]) -> None:
        """Safetensors refuses others."""
        assert all(values.is_contiguous() for values in finished[0].state_dict().values())

    def test_records_the_learning_rate_of_the_last_step(self, finished: tuple[CifarResNet, list[Epoch]]) -> None:
        # 4 epochs of 4 steps.
        expected = [learning_rate(RECIPE, step / 16) for step in (3, 7, 11, 15)]
        assert [row.learning_rate for row in finished[1]] == pytest.approx(expected)

    def test_a_step_is_nesterovs(self, data: Dataset, tmp_path: Path) -> None:
        """One step, done by hand: v = g + decay w, w -= rate (v + momentum v); its loss and its gradients' sizes too."""
        recipe = replace(RECIPE, epochs=1, batch_size=64)
        net, by_hand = fresh(), fresh().train()
        ((images, labels),) = trainer._batches(data.train, recipe, 0)
        loss = F.cross_entropy(by_hand(normalise(images)), labels)
        weights = dict(by_hand.named_parameters())
        gradients = dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))

        (row,) = train(net, data, recipe, tmp_path)

        assert row.train_loss == pytest.approx(loss.item(), rel=1e-5)
        rate = learning_rate(recipe, 0)
        for name, after in net.named_parameters():
            velocity = gradients[name] + recipe.weight_decay * weights[name]
            expected = weights[name] - rate * (1 + recipe.momentum) * velocity
            torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-6, msg=name)
            assert not torch.equal(after, weights[name]), name
        assert list(row.gradient_norms) == ["layer1.0", "layer2.0", "layer3.0"]
        for block, norm in row.gradient_norms.items():
            squares = [gradient.square().sum() for name, gradient in gradients.items() if name.startswith(block)]
            assert norm == pytest.approx(torch.stack(squares).sum().sqrt().item(), rel=1e-3)


class TestResume:
    def test_an_interrupted_run_ends_as_an_undisturbed_one(
        self, data: Dataset, finished: tuple[CifarResNet, list[Epoch]], tmp_path: Path
    ) -> None:
        with pytest.raises(StoppedError):
            train(fresh(), data, RECIPE, tmp_path, stop_after(2))
        torch.manual_seed(99)
        net, trained = CifarResNet(8, classes=4, seed=77), []
        curve = train(net, data, RECIPE, tmp_path, lambda row: trained.append(row.epoch))
        assert trained == [3, 4]
        assert_same_run(net, curve, finished)

    def test_a_finished_run_is_not_trained_further(
        self, data: Dataset, finished: tuple[CifarResNet, list[Epoch]], tmp_path: Path
    ) -> None:
        train(fresh(), data, RECIPE, tmp_path)
        net = CifarResNet(8, classes=4, seed=77)
        assert_same_run(net, train(net, data, RECIPE, tmp_path, stop_after(4)), finished)

    @pytest.mark.parametrize(
        "change", [{"epochs": 5}, {"peak_learning_rate": 0.1}, {"seed": 1}, {"precision": "bfloat16"}], ids=str
    )
    def test_another_recipe_is_refused(self, change: dict[str, Any], data: Dataset, tmp_path: Path) -> None:
        with pytest.raises(StoppedError):
            train(fresh(), data, RECIPE, tmp_path, stop_after(1))
        with pytest.raises(ValueError, match=r"checkpoint\.pt was trained with another recipe .* Remove it to start again"):
            train(fresh(), data, replace(RECIPE, **change), tmp_path)

    def test_a_half_written_checkpoint_is_ignored(
        self, data: Dataset, finished: tuple[CifarResNet, list[Epoch]], tmp_path: Path
    ) -> None:
        (tmp_path / "checkpoint.partial").write_bytes(b"PK\x03\x04 cut off")
        net = fresh()
        assert_same_run(net, train(net, data, RECIPE, tmp_path), finished)
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]

    def test_a_kill_while_the_checkpoint_is_written_costs_one_epoch(
        self,
        data: Dataset,
        finished: tuple[CifarResNet, list[Epoch]],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        save, saves = torch.save, []

        def die_in_the_third(state: Any, path: Path) -> None:
            saves.append(path)
            if len(saves) == 3:
                path.write_bytes(b"PK\x03\x04 cut off")
                raise StoppedError
            save(state, path)

        monkeypatch.setattr(torch, "save", die_in_the_third)
        with pytest.raises(StoppedError):
            train(fresh(), data, RECIPE, tmp_path)
        net, trained = fresh(), []
        curve = train(net, data, RECIPE, tmp_path, lambda row: trained.append(row.epoch))
        assert trained == [3, 4]
        assert_same_run(net, curve, finished)


SCRIPT = """
import sys
from pathlib import Path
import torch
from tests.test_trainer import train_on_files

torch.set_num_threads(1)
train_on_files(Path(sys.argv[1]), Path(sys.argv[2]), lambda text: print(text, flush=True))
"""


def train_on_files(images: Path, run: Path, tell: Callable[[str], None]) -> tuple[CifarResNet, list[Epoch]]:
    """Four epochs of ten steps, each of which is reported."""
    net = CifarResNet(8, seed=3)
    net.register_forward_hook(lambda module, *_: tell("step") if module.training else None)
    recipe = Recipe(epochs=4, batch_size=20, peak_learning_rate=0.05)
    return net, train(net, load_dataset(images, CIFAR10), recipe, run, lambda row: tell(f"epoch {row.epoch}"))


class TestKill:
    @pytest.fixture
    def images(self, tmp_path: Path, make_image: Callable[..., Image.Image]) -> Path:
        folder = tmp_path / "cifar10"
        for number in range(240):
            split = "train" if number < 200 else "test"
            path = folder / split / CIFAR10_LABELS[number % 10] / f"{number:04}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            make_image(seed=number).save(path, quality=75)
        return folder

    @pytest.fixture
    def one_thread(self) -> Iterator[None]:
        """As many as in the other process: sums of floats depend on how they are shared out."""
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)

    @pytest.mark.usefixtures("one_thread")
    def test_a_trainer_killed_in_mid_epoch_ends_as_an_undisturbed_one(self, images: Path, tmp_path: Path) -> None:
        run = tmp_path / "killed"
        command = [sys.executable, "-c", SCRIPT, str(images), str(run)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:  # noqa: S603
            assert victim.stdout is not None
            told = [line.strip() for line in itertools.islice(victim.stdout, 10 + 1 + 4)]
            victim.kill()
        assert victim.returncode == -signal.SIGKILL
        assert told == ["step"] * 10 + ["epoch 1"] + ["step"] * 4
        assert [path.name for path in run.iterdir()] == ["checkpoint.pt"]
        undisturbed = train_on_files(images, tmp_path / "undisturbed", lambda _: None)

        told.clear()
        net, curve = train_on_files(images, run, told.append)

        assert told == [line for epoch in (2, 3, 4) for line in ["step"] * 10 + [f"epoch {epoch}"]]
        assert_same_run(net, curve, undisturbed)


class Prepared(nn.Module):
    """A network that gives prepared logits, row by row."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.given = 0
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        self.given += len(x)
        return self.logits[self.given - len(x) : self.given]


class TestEvaluate:
    # Softmax shares, the image's class, the class with the largest share.
    SHARES = ((0.5, 0.25, 0.25), (0.2, 0.7, 0.1), (0.1, 0.8, 0.1), (0.6, 0.2, 0.2), (0.3, 0.5, 0.2))
    LABELS = (0, 0, 1, 2, 1)

    @pytest.mark.parametrize("batch_size", [1, 2, 5, 500])
    def test_by_hand(self, batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trainer, "PIXELS_A_BATCH", 4 * batch_size)
        net = Prepared(torch.tensor(self.SHARES).log()).train()
        images = torch.zeros(5, 3, 2, 2, dtype=torch.uint8)
        score = evaluate(net, Split(images, torch.tensor(self.LABELS)))
        # True class by row, predicted class by column: 0 -> 0, 0 -> 1, 1 -> 1, 2 -> 0, 1 -> 1.
        assert score.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
        assert score.confusion.dtype == torch.int64
        assert score.error == pytest.approx(2 / 5)
        # The product of the right classes' shares: 0.5, 0.2, 0.8, 0.2, 0.5.
        assert score.loss == pytest.approx(-torch.tensor(0.5 * 0.2 * 0.8 * 0.2 * 0.5).log().item() / 5)
        assert not net.training

    def test_images_come_in_order_normalised_and_as_they_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trainer, "PIXELS_A_BATCH", 2 * 16 * 16)
        net = Prepared(torch.zeros(3, 4))
        images = split(3, 0).images
        evaluate(net, Split(images, torch.tensor([0, 1, 2])))
        assert torch.equal(torch.cat(net.seen), normalise(images))

    def test_changes_no_statistic(self, data: Dataset) -> None:
        net = fresh().train()
        before = copy.deepcopy(net.state_dict())
        evaluate(net, data.test)
        assert all(torch.equal(values, before[name]) for name, values in net.state_dict().items())


def test_normalise_by_hand() -> None:
    images = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    values = [(value - mean) / std for value, mean, std in zip((0.0, 1.0, 0.2), CIFAR10_MEAN, CIFAR10_STD, strict=True)]
    assert normalise(images).flatten().tolist() == pytest.approx(values, rel=1e-5)


class TestFastestPrecision:
    @pytest.mark.parametrize(("slow", "fast"), [("float32", "bfloat16"), ("bfloat16", "float32")])
    def test_is_the_one_that_took_less_time(self, slow: str, fast: str, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = [0.0]
        autocast = trainer._autocast

        def timed(device: torch.device, precision: Any) -> torch.autocast:
            clock[0] += 2.0 if precision == slow else 1.0
            return autocast(device, precision)

        monkeypatch.setattr(trainer, "_autocast", timed)
        monkeypatch.setattr("time.perf_counter", lambda: clock[0])
        assert fastest_precision(fresh(), batch_size=2) == fast

    def test_leaves_the_net_as_it_was(self) -> None:
        net = fresh()
        before = copy.deepcopy(net.state_dict())
        fastest_precision(net, batch_size=2)
        changed = [name for name, values in net.state_dict().items() if not torch.equal(values, before[name])]
        assert changed == []


class TestWriteCurve:
    ROWS = (
        Epoch(1, 2.30258512345, 0.9, 2.25, 0.875, 0.008, 12.5, {"layer1.0": 1.5, "layer2.0": 1e-7}),
        Epoch(2, 1.0, 0.33333333333, 1.125, 0.25, 0.2, 11.0, {"layer1.0": 2.5, "layer2.0": 3.0}),
    )

    def test_reads_back_to_six_digits(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "curve.csv"
        write_curve(list(self.ROWS), path)
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 2
        for row, epoch in zip(rows, self.ROWS, strict=True):
            norms = {
                name.removeprefix("gradient_norm:"): float(v) for name, v in row.items() if name.startswith("gradient_norm:")
            }
            scalars = {name: float(v) for name, v in row.items() if not name.startswith("gradient_norm:")}
            expected = asdict(epoch)
            assert norms == pytest.approx(expected.pop("gradient_norms"), rel=5e-6)
            assert scalars == pytest.approx(expected, rel=5e-6)

    def test_text(self, tmp_path: Path) -> None:
        write_curve(list(self.ROWS), tmp_path / "curve.csv")
        assert (tmp_path / "curve.csv").read_bytes().decode() == (
            "epoch,train_loss,train_error,test_loss,test_error,learning_rate,seconds,gradient_norm:layer1.0,gradient_norm:layer2.0\n"
            "1,2.30259,0.9,2.25,0.875,0.008,12.5,1.5,1e-07\n"
            "2,1.0,0.333333,1.125,0.25,0.2,11.0,2.5,3.0\n"
        )

    def test_of_a_run(self, finished: tuple[CifarResNet, list[Epoch]], tmp_path: Path) -> None:
        write_curve(finished[1], tmp_path / "curve.csv")
        with (tmp_path / "curve.csv").open(newline="") as file:
            losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
        assert losses == pytest.approx([row.train_loss for row in finished[1]], rel=1e-5)
