"""Model cards: what shipped weights are, how they were made and how well they do, measured from the shipped file itself."""

import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import torch
import torchvision
from safetensors.torch import save
from torch import nn

from resnet_viz.nets.architecture import COUNTER, architecture
from resnet_viz.nets.cifar import CIFAR10_LABELS, CIFAR10_MEAN, CIFAR10_STD
from resnet_viz.nets.costs import count_parameters
from resnet_viz.nets.curves import curve_file
from resnet_viz.nets.zoo import CIFAR, WEIGHTS_FOLDER, blueprint, load, read_card
from resnet_viz.training.data import Dataset
from resnet_viz.training.recipe import Recipe
from resnet_viz.training.trainer import Epoch, Score, evaluate, write_curve

DATA_NOTE = (
    "CIFAR-10 (Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images) as JPEG files of quality 75 with 4:2:0 "
    "chroma: a lossy copy. Accuracies are on the JPEG test images and cannot be compared with those on the lossless set."
)


def ship(name: str, net: nn.Module, data: Dataset, recipe: Recipe, curve: list[Epoch]) -> dict[str, Any]:
    """Write weights, card and curve of a trained network of the catalogue into `assets/`; returns the card."""
    path = WEIGHTS_FOLDER / f"{name}.safetensors"
    weights = save({key: tensor.cpu().contiguous() for key, tensor in net.state_dict().items()})
    test, train = evaluate(net, data.test), evaluate(net, data.train)
    spec, parts = CIFAR[name], architecture(blueprint(name))
    card = {
        "name": name,
        "title": spec.title,
        "architecture": f"He et al. 2015, section 4.2, depth {spec.depth}, shortcut {spec.shortcut}",
        "parameters": count_parameters(net),
        "multiply_adds": sum(part.multiply_adds for part in parts),
        "multiply_adds_counter": COUNTER,
        "parts": [asdict(part) for part in parts],
        "sha256": hashlib.sha256(weights).hexdigest(),
        "test_accuracy": round(1 - test.error, 4),
        "train_accuracy": round(1 - train.error, 4),
        "test_loss": round(test.loss, 4),
        "accuracy_by_class": _by_class(test),
        "confusion": test.confusion.tolist(),
        "data": {"note": DATA_NOTE, "sha256": data.sha256, "train": len(data.train.labels), "test": len(data.test.labels)},
        "preprocessing": {"size": 32, "mean": CIFAR10_MEAN, "std": CIFAR10_STD},
        "recipe": asdict(recipe) | {"optimizer": "SGD, Nesterov", "schedule": "one cycle, cosine"},
        "seconds": round(sum(epoch.seconds for epoch in curve)),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "torchvision": torchvision.__version__},
        "check": f"python -m resnet_viz.training check {name} --data DATA",
    }
    path.write_bytes(weights)
    write_curve(curve, curve_file(name))
    (WEIGHTS_FOLDER / f"{name}.json").write_text(json.dumps(card, indent=1) + "\n")
    (WEIGHTS_FOLDER / f"{name}.md").write_text(_markdown(card), encoding="utf-8")
    return read_card(name)


def check(name: str, data: Dataset) -> Score:
    """Measure the shipped weights again on the test images, as `rv.load` loads them."""
    return evaluate(load(name).module, data.test)


def _by_class(score: Score) -> dict[str, float]:
    right = score.confusion.diagonal() / score.confusion.sum(1)
    return dict(zip(CIFAR10_LABELS, [round(share, 4) for share in right.tolist()], strict=True))


def _markdown(card: dict[str, Any]) -> str:
    recipe, data, versions = card["recipe"], card["data"], card["versions"]
    classes = "\n".join(f"| {label} | {share:.1%} |" for label, share in card["accuracy_by_class"].items())
    parts = "\n".join(
        f"| {part['name']} | {part['layers']} | {part['shortcut'] or ''} | {_shape(part['output'])} | {part['parameters']:,}"
        f" | {part['multiply_adds']:,} |"
        for part in card["parts"]
    )
    return f"""# {card["title"]} ({card["name"]})

{card["architecture"]}; {card["parameters"]:,} parameters. Trained by this project, MIT licence.

**{card["test_accuracy"]:.2%}** of the {data["test"]:,} test images right (training images: {card["train_accuracy"]:.2%}),
measured in float32 by

    {card["check"]}

with DATA the folder of the images or its archive.

| class | right |
|---|---|
{classes}

## Architecture
{card["multiply_adds"]:,} multiply-adds for an image of 32x32 pixels, counted by torch (FlopCounterMode, halved: it counts a
multiplication and an addition as two).

| part | layers | shortcut | output | parameters | multiply-adds |
|---|---|---|---|---|---|
{parts}

## Data
{data["note"]}
Archive SHA-256: `{data["sha256"]}`.

## Recipe
- {recipe["epochs"]} epochs of batches of {recipe["batch_size"]}, seed {recipe["seed"]}, {recipe["precision"]}
- {recipe["optimizer"]}, momentum {recipe["momentum"]}, weight decay {recipe["weight_decay"]}
- {recipe["schedule"]}, peak learning rate {recipe["peak_learning_rate"]} after {recipe["warm_up"]:.0%} of the steps
- {recipe["padding"]} pixels of padding, random crop, random flip
- {card["seconds"] / 60:.0f} minutes by the clock, waiting included, with torch {versions["torch"]}
  torchvision {versions["torchvision"]} and Python {versions["python"]}

The curve of every epoch is in `assets/curves/{card["name"]}.csv`.

## Weights
`{card["name"]}.safetensors`, SHA-256 `{card["sha256"]}`.
Input: RGB, shorter side resized to 32 pixels, centre crop, (value / 255 - mean) / standard deviation with
mean {card["preprocessing"]["mean"]} and standard deviation {card["preprocessing"]["std"]}.

## Limits
Ten classes, and 32x32 pixels of anything: other subjects get one of the ten names all the same. For teaching, not for
decisions.
"""


def _shape(sizes: Iterable[int]) -> str:
    return "×".join(map(str, sizes))
