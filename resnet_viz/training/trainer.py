"""The trainer: one epoch at a time, a checkpoint after each, and the same curve whether or not it was interrupted.

Whatever is random in an epoch comes from a generator seeded by (seed, epoch), and the learning rate is a function of the
step, so nothing but weights, momenta and the curve has to be saved.
"""

import copy
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.cifar import CIFAR10_MEAN, CIFAR10_STD
from resnet_viz.training.data import Dataset, Split
from resnet_viz.training.recipe import Precision, Recipe

GRADIENT_NORM_EVERY = 8
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Epoch:
    """A row of the curve: mean cross-entropy and error in [0, 1]; training figures are running means under augmentation."""

    epoch: int
    train_loss: float
    train_error: float
    test_loss: float
    test_error: float
    learning_rate: float
    seconds: float
    gradient_norms: dict[str, float]


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy, error in [0, 1], and the confusion matrix int64 (true class, predicted class)."""

    loss: float
    error: float
    confusion: Tensor


def train(
    net: nn.Module,
    data: Dataset,
    recipe: Recipe,
    folder: Path,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> list[Epoch]:
    """Train `net` in place up to `recipe.epochs`, going on from the checkpoint in `folder` where there is one.

    Returns the whole curve. Channels-last, on the device that holds the weights. ValueError if the checkpoint was written
    under another recipe.
    """
    device = next(net.parameters()).device
    net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        net.parameters(), lr=0.0, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
    )
    curve = _resume(net, optimizer, recipe, folder)
    for epoch in range(len(curve), recipe.epochs):
        start = time.perf_counter()
        loss, error, norms = _train_epoch(net, optimizer, data.train, recipe, epoch)
        score = evaluate(net, data.test, recipe.precision)
        rate = optimizer.param_groups[0]["lr"]
        seconds = time.perf_counter() - start
        curve.append(Epoch(epoch + 1, loss, error, score.loss, score.error, rate, seconds, norms))
        _save(net, optimizer, recipe, curve, folder)
        on_epoch(curve[-1])
    net.to(device=device, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    net.eval()
    return curve


def saved_recipe(folder: Path) -> Recipe | None:
    """Return the recipe of the checkpoint in `folder`, or None where there is none."""
    path = folder / CHECKPOINT
    return Recipe(**torch.load(path, weights_only=True)["recipe"]) if path.exists() else None


def learning_rate(recipe: Recipe, progress: float) -> float:
    """The one-cycle rate at `progress` in [0, 1]: a cosine up to the peak, then a cosine down to zero."""
    rising = progress < recipe.warm_up
    phase = progress / recipe.warm_up if rising else 1 - (progress - recipe.warm_up) / (1 - recipe.warm_up)
    lowest = recipe.peak_learning_rate / 25 if rising else 0.0
    cosine = torch.cos(torch.tensor(torch.pi * phase, dtype=torch.float64)).item()
    return lowest + (recipe.peak_learning_rate - lowest) * (1 - cosine) / 2


@torch.no_grad()
def evaluate(net: nn.Module, split: Split, precision: Precision = "float32", batch_size: int = 500) -> Score:
    """Score a split without augmentation; leaves the network in evaluation mode."""
    net.eval()
    device = next(net.parameters()).device
    loss, classes = 0.0, 0
    pairs = []
    for images, labels in zip(split.images.split(batch_size), split.labels.split(batch_size), strict=True):
        with _autocast(device, precision):
            logits = net(normalise(images.to(device))).float()
        loss += F.cross_entropy(logits, labels.to(device), reduction="sum").item()
        classes = logits.shape[1]
        pairs.append(labels * classes + logits.argmax(1).cpu())
    confusion = torch.cat(pairs).bincount(minlength=classes * classes).reshape(classes, classes)
    count = len(split.labels)
    return Score(loss / count, 1 - confusion.trace().item() / count, confusion)


def normalise(images: Tensor) -> Tensor:
    """Turn bytes (N, 3, H, W) into what the CIFAR networks expect: (value / 255 - mean) / standard deviation."""
    mean = torch.tensor(CIFAR10_MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(CIFAR10_STD, device=images.device).view(1, 3, 1, 1)
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def fastest_precision(net: nn.Module, batch_size: int = 128) -> Precision:
    """Time a training step in each precision: bfloat16 is several times slower on processors without instructions for it."""
    trial = copy.deepcopy(net)  # a training step moves the batch norms' statistics
    device = next(trial.parameters()).device
    images = torch.zeros(batch_size, 3, 32, 32, device=device)
    times: dict[Precision, float] = {}
    for precision in get_args(Precision):
        for _ in range(2):
            start = time.perf_counter()
            with _autocast(device, precision):
                loss = trial(images).float().square().mean()
            torch.autograd.grad(loss, list(trial.parameters()))[0].cpu()
            times[precision] = time.perf_counter() - start
    return min(times, key=times.__getitem__)


def write_curve(curve: list[Epoch], path: Path) -> None:
    """Write a CSV file, a row an epoch; the gradient norm of block b stands in the column `gradient_norm:b`."""
    rows = []
    for epoch in curve:
        row = asdict(epoch)
        norms = row.pop("gradient_norms")
        rows.append({k: _rounded(v) for k, v in (row | {f"gradient_norm:{b}": n for b, n in norms.items()}).items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _train_epoch(
    net: nn.Module, optimizer: torch.optim.Optimizer, split: Split, recipe: Recipe, epoch: int
) -> tuple[float, float, dict[str, float]]:
    net.train()
    device = next(net.parameters()).device
    loss_sum, errors, seen = 0.0, 0, 0
    norms: list[Tensor] = []
    blocks = blocks_of(net)
    batches = -(-len(split.labels) // recipe.batch_size)
    for step, (images, labels) in enumerate(_batches(split, recipe, epoch)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, (epoch * batches + step) / (recipe.epochs * batches))
        targets = labels.to(device)
        with _autocast(device, recipe.precision):
            logits = net(normalise(images.to(device)))
        loss = F.cross_entropy(logits.float(), targets)
        optimizer.zero_grad()
        loss.backward()
        if step % GRADIENT_NORM_EVERY == 0:
            norms.append(torch.stack([_gradient_norm(block) for block in blocks.values()]))
        optimizer.step()
        loss_sum += loss.item() * len(labels)
        errors += (logits.argmax(1) != targets).sum().item()
        seen += len(labels)
    means = torch.stack(norms).mean(0).tolist()
    return loss_sum / seen, errors / seen, dict(zip(blocks, means, strict=True))


def _autocast(device: torch.device, precision: Precision) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def _gradient_norm(block: nn.Module) -> Tensor:
    return torch.nn.utils.get_total_norm([p.grad for p in block.parameters() if p.grad is not None])


def _batches(split: Split, recipe: Recipe, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
    for index in torch.randperm(len(split.labels), generator=generator).split(recipe.batch_size):
        yield _augment(split.images[index], recipe.padding, generator), split.labels[index]


def _augment(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Crop each image at a place of its own out of its zero-padded self, and mirror half of them."""
    count, _, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    rows = torch.randint(2 * padding + 1, (count, 1), generator=generator) + torch.arange(height)
    columns = torch.randint(2 * padding + 1, (count, 1), generator=generator) + torch.arange(width)
    flipped = torch.rand(count, generator=generator) < 0.5
    columns[flipped] = columns[flipped].flip(1)
    image = torch.arange(count)
    return padded[image[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _resume(net: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, folder: Path) -> list[Epoch]:
    path = folder / CHECKPOINT
    if not path.exists():
        return []
    saved = torch.load(path, weights_only=True, map_location=next(net.parameters()).device)
    if saved["recipe"] != asdict(recipe):
        raise ValueError(f"{path} was trained by another recipe ({saved['recipe']}): remove it to start again")
    net.load_state_dict(saved["net"])
    optimizer.load_state_dict(saved["optimizer"])
    return [Epoch(**row) for row in saved["curve"]]


def _save(net: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, curve: list[Epoch], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "recipe": asdict(recipe),
        "curve": [asdict(epoch) for epoch in curve],
    }
    partial = folder / "checkpoint.partial"
    torch.save(state, partial)
    # A rename is atomic: a kill in mid-write leaves the epoch before intact.
    partial.replace(folder / CHECKPOINT)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}") if isinstance(value, float) else value
