"""Model cards: what shipped weights are, how they were trained and their accuracy, measured from the shipped file itself."""

import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import torch
import torchvision
from safetensors.torch import save
from torch import Tensor, nn

from resnet_viz import assets
from resnet_viz.nets.architecture import COUNTER, architecture
from resnet_viz.nets.costs import count_parameters
from resnet_viz.nets.curves import curve_file
from resnet_viz.nets.zoo import CIFAR_TASK, TRAINED, Spec, blueprint, load, read_card
from resnet_viz.training.data import Dataset, Split
from resnet_viz.training.recipe import Recipe
from resnet_viz.training.tasks import TrainingTask
from resnet_viz.training.trainer import Epoch, Score, evaluate, logits_of, score, write_curve

# The maximal number of training images that are evaluated.
SCORED = 2_500


def ship(name: str, net: nn.Module, data: Dataset, recipe: Recipe, curve: list[Epoch]) -> dict[str, Any]:
    """Write weights, card and curve of a trained network of the catalogue into `assets/`; returns the card.

    If the task ships float16, `net` is rounded to that before it is measured.
    """
    spec, task, path = TRAINED[name], data.test.task, assets.WEIGHTS_FOLDER / f"{name}.safetensors"
    state = _round_to_shipped(net, task)
    weights, parts = save(state), architecture(blueprint(name))
    logits = logits_of(net, data.test, size=task.evaluation)
    test, train = score(logits, data.test.labels), evaluate(net, _some(data.train), recipe.precision, task.evaluation)
    card = {
        "name": name,
        "title": spec.title,
        "task": task.name,
        "architecture": _architecture(spec),
        "parameters": count_parameters(net),
        "multiply_adds": sum(part.multiply_adds for part in parts),
        "multiply_adds_counter": COUNTER,
        "parts": [asdict(part) for part in parts],
        "sha256": hashlib.sha256(weights).hexdigest(),
        "precision": "float16" if task.half else "float32",
        "test_accuracy": round(1 - test.error, 4),
        "train_accuracy": round(1 - train.error, 4),
        "test_loss": round(test.loss, 4),
        "without_added": _without(task, logits, data.test.labels),
        "accuracy_by_class": _by_class(test, task),
        "confusion": test.confusion.tolist(),
        "data": {"note": task.note, "sha256": data.sha256, "train": len(data.train.labels), "test": len(data.test.labels)},
        "limits": task.limits,
        "preprocessing": {"size": task.evaluation, "mean": task.mean, "std": task.std},
        "recipe": asdict(recipe) | {"optimizer": "SGD, Nesterov", "schedule": "one cycle, cosine"},
        "seconds": round(sum(epoch.seconds for epoch in curve)),
        "device": _device(net),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "torchvision": torchvision.__version__},
        "check": f"python -m resnet_viz.training check {name} --data DATA",
    }
    path.write_bytes(weights)
    write_curve(curve, curve_file(name))
    (assets.WEIGHTS_FOLDER / f"{name}.json").write_text(json.dumps(card, indent=1) + "\n")
    (assets.WEIGHTS_FOLDER / f"{name}.md").write_text(_markdown(card), encoding="utf-8")
    return read_card(name)


def check(name: str, data: Dataset) -> Score:
    """Measure the shipped weights again on the test images, as `rv.load` loads them."""
    return evaluate(load(name).module, data.test, size=data.test.task.evaluation)


def _round_to_shipped(net: nn.Module, task: TrainingTask) -> dict[str, Tensor]:
    """Round `net` in place to the weights that the task ships, and return those: float16 for some tasks, on the CPU."""
    state = {key: _shipped(tensor, half=task.half) for key, tensor in net.state_dict().items()}
    net.load_state_dict(state)
    return state


def _shipped(tensor: Tensor, *, half: bool) -> Tensor:
    kept = tensor.cpu().contiguous()
    return kept.half() if half and kept.is_floating_point() else kept


def _some(split: Split) -> Split:
    """Every n-th training image, in an order sorted by class: enough for a figure that is not compared."""
    every = slice(None, None, -(-len(split.labels) // SCORED))
    return Split(split.images[every], split.labels[every], split.task)


def _device(net: nn.Module) -> str:
    device = next(net.parameters()).device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _architecture(spec: Spec) -> str:
    if spec.task == CIFAR_TASK:
        return f"He et al. 2015, section 4.2, depth {spec.depth}, shortcut {spec.shortcut}"
    kind = "without shortcuts" if spec.shortcut == "plain" else f"shortcut {spec.shortcut}"
    return f"He et al. 2015, Table 1, depth {spec.depth}, {kind}, torchvision's parameter names"


def _without(task: TrainingTask, logits: Tensor, labels: Tensor) -> dict[str, Any] | None:
    """The accuracy on the published classes alone: images of the added class and its logit are left out."""
    if not task.added:
        return None
    left_out = task.labels.index(task.added)
    kept = labels != left_out
    masked = logits[kept].clone()
    masked[:, left_out] = -torch.inf
    right = (masked.argmax(1) == labels[kept]).float().mean().item()
    return {"class": task.added, "test": int(kept.sum()), "test_accuracy": round(right, 4)}


def _by_class(score: Score, task: TrainingTask) -> dict[str, float]:
    right = score.confusion.diagonal() / score.confusion.sum(1)
    return dict(zip(task.labels, [round(share, 4) for share in right.tolist()], strict=True))


def _markdown(card: dict[str, Any]) -> str:
    recipe, data, versions, size = card["recipe"], card["data"], card["versions"], card["preprocessing"]["size"]
    classes = "\n".join(f"| {label} | {share:.1%} |" for label, share in card["accuracy_by_class"].items())
    parts = "\n".join(
        f"| {part['name']} | {part['layers']} | {part['shortcut'] or ''} | {_shape(part['output'])} | {part['parameters']:,}"
        f" | {part['multiply_adds']:,} |"
        for part in card["parts"]
    )
    return f"""# {card["title"]} ({card["name"]})

{card["architecture"]}; {card["parameters"]:,} parameters. Trained by this project, MIT licence.

**{card["test_accuracy"]:.2%}** of the {data["test"]:,} test images classified correctly, in float32 at {size}x{size} pixels
(of {min(data["train"], SCORED):,} training images at most: {card["train_accuracy"]:.2%}, in {recipe["precision"]}) by

    {card["check"]}

with DATA the folder of the images or of their archives.{_comparison(card)}

| class | accuracy |
|---|---|
{classes}

## Architecture
{card["multiply_adds"]:,} multiply-adds for an image of {size}x{size} pixels, counted by torch (FlopCounterMode, halved: it
counts a multiplication and an addition as two).

| part | layers | shortcut | output | parameters | multiply-adds |
|---|---|---|---|---|---|
{parts}

## Data
{data["note"]}
Archive SHA-256: {", ".join(f"`{one}`" for one in data["sha256"].split(", "))}.

## Recipe
- {recipe["epochs"]} epochs of batches of {recipe["batch_size"]}, seed {recipe["seed"]}, {recipe["precision"]}
- {recipe["optimizer"]}, momentum {recipe["momentum"]}, weight decay {recipe["weight_decay"]}
- {recipe["schedule"]}, peak learning rate {recipe["peak_learning_rate"]} after {recipe["warm_up"]:.0%} of the steps
{_augmentation(recipe)}
- {card["seconds"] / 60:.0f} minutes by the clock ({card["device"]}), waiting included, with torch {versions["torch"]},
  torchvision {versions["torchvision"]} and Python {versions["python"]}

The curve of every epoch is in `assets/curves/{card["name"]}.csv`.

## Weights
`{card["name"]}.safetensors`, {card["precision"]}, SHA-256 `{card["sha256"]}`.
Input: RGB, shorter side resized to {size} pixels, centre crop, (value / 255 - mean) / standard deviation with
mean {card["preprocessing"]["mean"]} and standard deviation {card["preprocessing"]["std"]}.

## Limits
{card["limits"]}
"""


def _comparison(card: dict[str, Any]) -> str:
    without = card["without_added"]
    if without is None:
        return ""
    return (
        f"\n\nOn the {without['test']:,} images of the other classes, with the logit of {without['class']!r} left out, as"
        f" published figures require: **{without['test_accuracy']:.2%}**."
    )


def _augmentation(recipe: dict[str, Any]) -> str:
    if recipe["smallest_crop"] is None:
        return f"- {recipe['padding']} pixels of padding, random crop, random flip"
    sizes = ", ".join(f"{pixels} pixels from epoch {start + 1}" for start, pixels in recipe["sizes"])
    stronger = (
        f"- TrivialAugment, and {recipe['mixed']:.0%} of the batches mixed, half of them by MixUp and half by CutMix\n"
        if recipe["trivial_augment"]
        else ""
    )
    return (
        f"- random resized crops of at least {recipe['smallest_crop']:.0%} of the area, aspect ratio 3/4 to 4/3, random flip\n"
        f"{stronger}"
        f"- crops of {sizes}; the test figures of the curve are at the same size\n"
        f"- label smoothing {recipe['label_smoothing']}, no weight decay on batch norms and biases,"
        f" moving average of the weights with decay {recipe['averaging']} per step"
    )


def _shape(sizes: Iterable[int]) -> str:
    return "×".join(map(str, sizes))
