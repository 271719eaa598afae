"""The trainer: one epoch at a time, a checkpoint after each, and the same curve whether or not it was interrupted.

Every random choice in an epoch comes from a generator seeded by (seed, epoch), and the learning rate is a function of the step,
so only weights, momenta and the curve have to be saved.
"""

import copy
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.transforms.v2 import functional as transforms

from resnet_viz.training.augmentation import mix, padded_crop, resized_crop, trivial_augment
from resnet_viz.training.data import Dataset, Split
from resnet_viz.training.recipe import Recipe, TrainingPrecision
from resnet_viz.training.tasks import CIFAR10, TrainingTask

GRADIENT_NORM_EVERY = 8
# A GPU is idle in small batches; a CPU gains nothing from large ones.
PIXELS_A_BATCH, PIXELS_A_BATCH_CUDA = 512_000, 8_000_000
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


@dataclass(frozen=True)
class TrainingState:
    """The state of a training: the network, its optimiser, and the moving average of the weights if there is one."""

    net: nn.Module
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None

    @property
    def judged(self) -> nn.Module:
        """The network that is evaluated and shipped."""
        return self.net if self.average is None else self.average.module


def train(
    net: nn.Module,
    data: Dataset,
    recipe: Recipe,
    folder: Path,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> list[Epoch]:
    """Train `net` in place up to `recipe.epochs`, resuming from the checkpoint in `folder` if there is one.

    Returns the whole curve. Channels-last, on the device that holds the weights. ValueError if the checkpoint was written with
    another recipe.
    """
    run = _begin(net, recipe)
    curve = _resume(run, recipe, folder)
    device = next(net.parameters()).device
    examples, test = (replace(split, images=split.images.to(device)) for split in (data.train, data.test))
    for epoch in range(len(curve), recipe.epochs):
        start = time.perf_counter()
        loss, error, norms = _train_epoch(run, examples, recipe, epoch)
        score = evaluate(run.judged, test, recipe.precision, recipe.size(epoch))
        rate = run.optimizer.param_groups[0]["lr"]
        seconds = time.perf_counter() - start
        curve.append(Epoch(epoch + 1, loss, error, score.loss, score.error, rate, seconds, norms))
        _save(run, recipe, curve, folder)
        on_epoch(curve[-1])
    net.load_state_dict(run.judged.state_dict())
    net.to(device=device, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    net.eval()
    return curve


def saved_recipe(folder: Path) -> Recipe | None:
    """Return the recipe of the checkpoint in `folder`, or None if there is none."""
    path = folder / CHECKPOINT
    return Recipe(**torch.load(path, weights_only=True)["recipe"]) if path.exists() else None


def learning_rate(recipe: Recipe, progress: float) -> float:
    """The one-cycle learning rate at `progress` in [0, 1]: a cosine up to the peak, then a cosine down to zero."""
    rising = progress < recipe.warm_up
    phase = progress / recipe.warm_up if rising else 1 - (progress - recipe.warm_up) / (1 - recipe.warm_up)
    lowest = recipe.peak_learning_rate / 25 if rising else 0.0
    cosine = torch.cos(torch.tensor(torch.pi * phase, dtype=torch.float64)).item()
    return lowest + (recipe.peak_learning_rate - lowest) * (1 - cosine) / 2


@torch.no_grad()
def evaluate(net: nn.Module, split: Split, precision: TrainingPrecision = "float32", size: int | None = None) -> Score:
    """Evaluate a split without augmentation, at its own size or resized to `size` pixels; leaves `net` in evaluation mode."""
    return score(logits_of(net, split, precision, size), split.labels)


@torch.no_grad()
def logits_of(net: nn.Module, split: Split, precision: TrainingPrecision = "float32", size: int | None = None) -> Tensor:
    """Return the logits float32 (N, classes) of a split; leaves the network in evaluation mode."""
    net.eval()
    device = next(net.parameters()).device
    batches = []
    pixels = PIXELS_A_BATCH_CUDA if device.type == "cuda" else PIXELS_A_BATCH
    for images in split.images.split(max(1, pixels // ((size or split.images.shape[-1]) ** 2))):
        seen = images.to(device)
        resized = seen if size is None else transforms.resize(seen, [size, size], antialias=True)
        with _autocast(device, precision):
            batches.append(net(normalise(resized, split.task)).float().cpu())
    return torch.cat(batches)


def score(logits: Tensor, labels: Tensor) -> Score:
    """Evaluate logits (N, classes) against class indices (N,)."""
    classes = logits.shape[1]
    confusion = (labels * classes + logits.argmax(1)).bincount(minlength=classes * classes).reshape(classes, classes)
    return Score(F.cross_entropy(logits, labels).item(), 1 - confusion.trace().item() / len(labels), confusion)


def normalise(images: Tensor, task: TrainingTask = CIFAR10) -> Tensor:
    """Convert bytes (N, 3, H, W) to what the task's networks expect: (value / 255 - mean) / standard deviation."""
    mean = torch.tensor(task.mean, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(task.std, device=images.device).view(1, 3, 1, 1)
    return ((images.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def fastest_precision(net: nn.Module, side: int = 32, batch_size: int = 128) -> TrainingPrecision:
    """Time a training step in each precision: bfloat16 is several times slower on CPUs without instructions for it."""
    device = next(net.parameters()).device
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bfloat16"  # Other trainings on the same GPU would disturb the timing.
    trial = copy.deepcopy(net)  # A training step changes the statistics of the batch norms.
    images = torch.zeros(batch_size, 3, side, side, device=device)
    times: dict[TrainingPrecision, float] = {}
    for precision in get_args(TrainingPrecision):
        for _ in range(2):
            start = time.perf_counter()
            with _autocast(device, precision):
                loss = trial(images).float().square().mean()
            torch.autograd.grad(loss, list(trial.parameters()))[0].cpu()
            times[precision] = time.perf_counter() - start
    return min(times, key=times.__getitem__)


def write_curve(curve: list[Epoch], path: Path) -> None:
    """Write a CSV file, one row per epoch; the gradient norm of block b is in the column `gradient_norm:b`."""
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


def _begin(net: nn.Module, recipe: Recipe) -> TrainingState:
    net.to(memory_format=torch.channels_last)
    weights = [p for p in net.parameters() if recipe.decay_norms or p.ndim > 1]
    others = [p for p in net.parameters() if not recipe.decay_norms and p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": weights}]
    if others:
        groups.append({"params": others, "weight_decay": 0.0})
    optimizer = torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True)
    average = get_ema_multi_avg_fn(recipe.averaging)
    return TrainingState(
        net, optimizer, AveragedModel(net, multi_avg_fn=average, use_buffers=True) if recipe.averaging else None
    )


def _train_epoch(run: TrainingState, split: Split, recipe: Recipe, epoch: int) -> tuple[float, float, dict[str, float]]:
    net = run.net.train()
    device = next(net.parameters()).device
    # They stay on the device: asking for a number each step would make a GPU wait for the CPU.
    losses: list[Tensor] = []
    errors: list[Tensor] = []
    norms: list[Tensor] = []
    blocks = _blocks(net)
    batches = -(-len(split.labels) // recipe.batch_size)
    mixing = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
    for step, (images, labels) in enumerate(_batches(split, recipe, epoch)):
        for group in run.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, (epoch * batches + step) / (recipe.epochs * batches))
        truth = labels.to(device)
        inputs, targets = _mixed(normalise(images.to(device), split.task), truth, split.task, recipe, mixing)
        with _autocast(device, recipe.precision):
            logits = net(inputs)
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=recipe.label_smoothing)
        run.optimizer.zero_grad()
        loss.backward()
        if step % GRADIENT_NORM_EVERY == 0:
            norms.append(torch.stack([_gradient_norm(block) for block in blocks.values()]))
        run.optimizer.step()
        if run.average is not None:
            run.average.update_parameters(net)
        losses.append(loss.detach() * len(labels))
        errors.append((logits.argmax(1) != truth).sum())
    means = torch.stack(norms).mean(0).tolist()
    # Added on the CPU, because not every device has float64.
    loss_sum, seen = torch.stack(losses).cpu().double().sum().item(), len(split.labels)
    return loss_sum / seen, torch.stack(errors).sum().item() / seen, dict(zip(blocks, means, strict=True))


def _mixed(
    inputs: Tensor, labels: Tensor, task: TrainingTask, recipe: Recipe, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix the recipe's share of the batches; the targets of the others are class indices (N,)."""
    if recipe.mixed == 0 or torch.rand(1, generator=generator).item() >= recipe.mixed:
        return inputs, labels
    images, targets = mix(inputs, labels, len(task.labels), generator)
    return images.contiguous(memory_format=torch.channels_last), targets


def _autocast(device: torch.device, precision: TrainingPrecision) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def _blocks(net: nn.Module) -> dict[str, nn.Module]:
    """Return the blocks of a ResNet by their names, "layer2.0": the layers of its stages."""
    stages = {name: stage for name, stage in net.named_children() if name.startswith("layer")}
    return {f"{name}.{index}": block for name, stage in stages.items() for index, block in stage.named_children()}


def _gradient_norm(block: nn.Module) -> Tensor:
    return torch.nn.utils.get_total_norm([p.grad for p in block.parameters() if p.grad is not None])


def _batches(split: Split, recipe: Recipe, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
    size = recipe.size(epoch) or split.images.shape[-1]
    for index in torch.randperm(len(split.labels), generator=generator).split(recipe.batch_size):
        images = split.images[index.to(split.images.device)]
        if recipe.smallest_crop is None:
            crops = padded_crop(images, recipe.padding, generator)
        else:
            crops = resized_crop(images, size, recipe.smallest_crop, generator)
        yield trivial_augment(crops, generator) if recipe.trivial_augment else crops, split.labels[index]


def _resume(run: TrainingState, recipe: Recipe, folder: Path) -> list[Epoch]:
    path = folder / CHECKPOINT
    if not path.exists():
        return []
    saved = torch.load(path, weights_only=True, map_location=next(run.net.parameters()).device)
    if Recipe(**saved["recipe"]) != recipe:
        raise ValueError(f"{path} was trained with another recipe ({saved['recipe']}). Remove it to start again")
    run.net.load_state_dict(saved["net"])
    run.optimizer.load_state_dict(saved["optimizer"])
    if run.average is not None:
        run.average.load_state_dict(saved["average"])
    return [Epoch(**row) for row in saved["curve"]]


def _save(run: TrainingState, recipe: Recipe, curve: list[Epoch], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "net": run.net.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "average": None if run.average is None else run.average.state_dict(),
        "recipe": asdict(recipe),
        "curve": [asdict(epoch) for epoch in curve],
    }
    partial = folder / "checkpoint.partial"
    torch.save(state, partial)
    # A rename is atomic: if the process is killed while it writes, the previous epoch stays intact.
    partial.replace(folder / CHECKPOINT)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}") if isinstance(value, float) else value
