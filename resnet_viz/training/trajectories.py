"""A short training of a small CIFAR-10 network, with a checkpoint after every epoch, and its way over the loss landscape."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file
from torch import nn

from resnet_viz.lessons.fewer_blocks import normalised
from resnet_viz.lessons.trajectory import trajectory
from resnet_viz.lessons.trajectory_recorded import RecordedTrajectory
from resnet_viz.nets.cifar import CifarResNet
from resnet_viz.nets.net import pick_device
from resnet_viz.nets.own_modules import from_module
from resnet_viz.nets.zoo import CIFAR_PREPROCESSING
from resnet_viz.progress import OnProgress, ignore_progress
from resnet_viz.training.data import Dataset
from resnet_viz.training.recipe import Recipe
from resnet_viz.training.trainer import Epoch, train

TRAINED_ON, FEWEST, MEASURED_ON = 3_000, 30, 500


def record_trajectory(
    data: Dataset,
    recipe: Recipe,
    folder: Path,
    *,
    depth: int = 8,
    trained_on: int = TRAINED_ON,
    points: int = 17,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    on_point: OnProgress = ignore_progress,
) -> RecordedTrajectory:
    """Train a ResNet of a depth 6n + 2, and project its checkpoints onto the plane of `trajectory`.

    It sees about `trained_on` of the training images, as many of each class, and is tested on a third as many. The checkpoints
    stay in `folder`, from which an interrupted training resumes. The loss is that of 500 training images, at
    `points` x `points` points. ValueError for another depth, for fewer than 30 images, and for another recipe than that of the
    checkpoint in `folder`.
    """
    if trained_on < FEWEST:
        raise ValueError(f"{trained_on} training images: take {FEWEST} or more, of which a third as many test the network")
    device = pick_device()
    module = CifarResNet(depth, seed=recipe.seed).to(device)
    folder.mkdir(parents=True, exist_ok=True)
    _keep(module, folder, 0)

    def kept(epoch: Epoch) -> None:
        _keep(module, folder, epoch.epoch)
        on_epoch(epoch)

    every = data.train.step_to(trained_on)
    few = replace(data, train=data.train.every(every), test=data.test.every(data.test.step_to(trained_on // 3)))
    curve = train(module, few, recipe, folder, kept)
    labels = data.train.task.labels
    nets = []
    for number in range(len(curve) + 1):
        checkpoint = CifarResNet(depth, seed=None).to_empty(device="cpu")
        checkpoint.load_state_dict(load_file(_file(folder, number)))
        checkpoint.to(device)
        nets.append(from_module(checkpoint, labels=labels, preprocessing=CIFAR_PREPROCESSING, name=f"ResNet-{depth}"))
    measured_every = data.train.step_to(MEASURED_ON)
    measured = data.train.every(measured_every)
    images = list(zip(normalised(CIFAR_PREPROCESSING, measured.images), measured.labels.tolist(), strict=True))
    found = trajectory(nets, images, points=points, on_point=on_point)
    task = data.train.task.name
    return RecordedTrajectory(
        found,
        f"{len(curve)} epochs on {every_nth(every)} of {task}",
        f"{every_nth(measured_every)} of {task}",
        np.array([np.nan, *(epoch.test_error for epoch in curve)], np.float32),
    )


def every_nth(n: int) -> str:
    """Say which training images are taken."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th") if n % 100 // 10 != 1 else "th"
    return "all training images" if n == 1 else f"every {n}{ending} training image"


def _keep(module: nn.Module, folder: Path, epoch: int) -> None:
    state = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    save_file(state, _file(folder, epoch))


def _file(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch:03}.safetensors"
