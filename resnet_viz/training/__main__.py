"""Train and check the shipped networks: `python -m resnet_viz.training --help`."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import nn
from torchvision.transforms.v2 import functional as transforms

from resnet_viz import assets
from resnet_viz.lessons import fewer_blocks, loss_landscape_recorded, trajectory_recorded
from resnet_viz.lessons.loss_landscape import check_points
from resnet_viz.nets.net import WeightsError, pick_device
from resnet_viz.nets.zoo import TRAINED, Spec, load, read_card
from resnet_viz.progress import OnProgress
from resnet_viz.training import cards
from resnet_viz.training.data import Dataset, load_dataset
from resnet_viz.training.recipe import Recipe
from resnet_viz.training.tasks import CIFAR10, TASKS, TrainingTask
from resnet_viz.training.trainer import Epoch, fastest_precision, saved_recipe, train
from resnet_viz.training.trajectories import TRAINED_ON, every_nth, record_trajectory

app = typer.Typer(help=__doc__, no_args_is_help=True)

# Residual and plain, shallow and deep, and one with projections: these show degradation (He et al. 2015, Fig. 6).
FAMILY = (
    "resnet18-imagenette",
    "plain18-imagenette",
    "resnet20-cifar10",
    "resnet20b-cifar10",
    "resnet56-cifar10",
    "plain20-cifar10",
    "plain56-cifar10",
)
TOLERANCE = 0.001

Data = Annotated[
    Path, typer.Option(help="Folder with the archives of all data sets; or one data set, unpacked or as an archive.")
]
Name = Annotated[str, typer.Argument(help="A network that this project trains, for example resnet18-imagenette.")]
Epochs = Annotated[int | None, typer.Option(help="Number of epochs instead of the recipe's.")]
TrainedOn = Annotated[int, typer.Option(help="About how many of the training images it sees, as many of each class.")]
Runs = Annotated[Path, typer.Option(help="Folder for the checkpoints of unfinished and finished runs.")]
RUNS = Path("runs")


@app.command("train")
def train_command(name: Name, data: Data, runs: Runs = RUNS, epochs: Epochs = None) -> None:
    """Train a network, resuming where an earlier run stopped, and write weights, card and curve to assets/."""
    _make(name, load_dataset(data, _task(name)), runs, epochs)


@app.command("zoo")
def zoo_command(data: Data, runs: Runs = RUNS, epochs: Epochs = None) -> None:
    """Train every shipped network, from data to card; finished runs are written again without training."""
    for task, names in _by_task(FAMILY).items():
        images = load_dataset(data, TASKS[task])
        for name in names:
            _make(name, images, runs, epochs)


@app.command("check")
def check_command(name: Name, data: Data) -> None:
    """Measure the shipped weights again; exit with 1 if the accuracy differs by more than 0.1 points from the card."""
    if not _agrees(name, load_dataset(data, _task(name))):
        raise typer.Exit(1)


@app.command("zoo-check")
def zoo_check_command(data: Data) -> None:
    """Measure all shipped weights again; exit with 1 if one differs by more than 0.1 points, or is not the file of its card."""
    shipped = [name for name in TRAINED if (assets.WEIGHTS_FOLDER / f"{name}.json").exists()]
    agreeing = []
    for task, names in _by_task(shipped).items():
        images = load_dataset(data, TASKS[task])
        agreeing += [name for name in names if _agrees(name, images)]
    for name in FAMILY:
        if name not in shipped:
            typer.echo(f"{name}: not shipped")
    if agreeing != shipped:
        raise typer.Exit(1)


@app.command("fewer-blocks")
def fewer_blocks_command(name: Name, data: Data, pictures: int = 2_000) -> None:
    """Measure a shipped network with blocks removed and reordered on some test images; the results go to assets/lessons."""
    net, test = load(name), load_dataset(data, _task(name)).test
    # They are sorted by class: taking every n-th image takes as many of each class.
    every = slice(None, None, max(1, len(test.labels) // pictures))
    images, labels = test.images[every], test.labels[every]
    rows = fewer_blocks.measure(net, images, labels, on_batch=lambda done, total: typer.echo(f"{done} of {total}"))
    typer.echo(f"{name}: shipped to {fewer_blocks.write(name, len(labels), rows)}")


@app.command("loss-landscape")
def loss_landscape_command(name: Name, data: Data, runs: Runs = RUNS, points: int = 51, images: int = 100) -> None:
    """Record the loss of some training images over the plane around a shipped network; resumes an interrupted recording."""
    task = _task(name)
    try:
        check_points(points)
        net, train = load(name), load_dataset(data, task).train
    except (ValueError, OSError, WeightsError) as error:
        raise typer.BadParameter(str(error)) from error
    every = train.step_to(images)
    few, about = train.every(every), f"{every_nth(every)} of {train.task.name}"
    # In the size of the network's input, as on every page.
    seen = transforms.resize(few.images, [task.evaluation, task.evaluation], antialias=True)
    chosen = loss_landscape_recorded.Chosen(seen, few.labels, about)
    try:
        path = loss_landscape_recorded.record(net, chosen, points, runs, folder=assets.LESSONS_FOLDER, on_point=_tell(points))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"{name}: shipped to {path}")


@app.command("trajectory")
def trajectory_command(
    data: Data, runs: Runs = RUNS, epochs: int = 12, depth: int = 8, images: TrainedOn = TRAINED_ON, points: int = 17
) -> None:
    """Train a small CIFAR-10 network, and record its way over its loss landscape; resumes an interrupted training."""
    try:
        check_points(points)
        dataset = load_dataset(data, CIFAR10)
        recipe = replace(CIFAR10.recipe, epochs=epochs)
        folder = runs / f"trajectory-resnet{depth}-cifar10-{images}"
        found = record_trajectory(
            dataset,
            recipe,
            folder,
            depth=depth,
            trained_on=images,
            points=points,
            on_epoch=_print,
            on_point=_tell(points),
        )
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"shipped to {trajectory_recorded.write(found, assets.LESSONS_FOLDER)}")


def _make(name: str, images: Dataset, runs: Path, epochs: int | None) -> None:
    task = images.train.task
    net = _spec(name).build(task.recipe.seed).to(pick_device())
    # On a GPU: the fastest convolutions for these sizes, and true float32 where the card says float32.
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = True, False
    recipe = _on_this_machine(net, task.recipe, task, runs / name, epochs)
    curve = train(net, images, recipe, runs / name, _print)
    card = cards.ship(name, net, images, recipe, curve)
    typer.echo(
        f"{name}: {card['test_accuracy']:.2%} of the test images classified correctly; shipped to {assets.WEIGHTS_FOLDER}"
    )


def _on_this_machine(net: nn.Module, recipe: Recipe, task: TrainingTask, folder: Path, epochs: int | None) -> Recipe:
    """The recipe in the precision in which the run has begun, or else in the fastest one."""
    begun = saved_recipe(folder)
    precision = begun.precision if begun else fastest_precision(net, recipe.size(0) or task.side)
    return replace(recipe, epochs=epochs or recipe.epochs, precision=precision)


def _by_task(names: Iterable[str]) -> dict[str, list[str]]:
    """Group networks by their task, so that a data set is read once."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_spec(name).task, []).append(name)
    return found


def _agrees(name: str, images: Dataset) -> bool:
    """Print the accuracy of the shipped weights and of their card, and return whether they agree."""
    try:
        measured, written = 1 - cards.check(name, images).error, read_card(name)["test_accuracy"]
    except WeightsError as error:
        typer.echo(f"{name}: {error}")
        return False
    agrees: bool = round(abs(measured - written), 6) <= TOLERANCE
    verdict = "" if agrees else f": over {100 * TOLERANCE:g} points apart"
    typer.echo(f"{name}: {measured:.2%} of the test images classified correctly; the card states {written:.2%}{verdict}")
    return agrees


def _spec(name: str) -> Spec:
    if name not in TRAINED:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(TRAINED)}")
    return TRAINED[name]


def _task(name: str) -> TrainingTask:
    return TASKS[_spec(name).task]


def _tell(every: int) -> OnProgress:
    def tell(done: int, total: int) -> None:
        if done % every == 0:
            typer.echo(f"{done} of {total} points")

    return tell


def _print(epoch: Epoch) -> None:
    typer.echo(
        f"epoch {epoch.epoch}: training loss {epoch.train_loss:.4f}, error {epoch.train_error:.2%};"
        f" test loss {epoch.test_loss:.4f}, error {epoch.test_error:.2%}; {epoch.seconds:.0f} s"
    )


if __name__ == "__main__":
    app()
