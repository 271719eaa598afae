"""Train and check the networks of the zoo: `python -m resnet_viz.training --help`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from resnet_viz.nets.cifar import CifarResNet
from resnet_viz.nets.net import pick_device
from resnet_viz.nets.zoo import CIFAR, WEIGHTS_FOLDER, CifarSpec, read_card
from resnet_viz.training import cards
from resnet_viz.training.data import load_cifar10
from resnet_viz.training.recipe import Recipe
from resnet_viz.training.trainer import Epoch, fastest_precision, saved_recipe, train

app = typer.Typer(help=__doc__, no_args_is_help=True)

Data = Annotated[Path, typer.Option(help="Folder with train/ and test/, or the archive of it.")]
Name = Annotated[str, typer.Argument(help="A CIFAR-10 network of rv.list_models(), for example resnet20-cifar10.")]


@app.command("train")
def train_command(name: Name, data: Data, runs: Path = Path("runs"), epochs: int = Recipe.epochs) -> None:
    """Train a network, going on where an earlier run stopped, and ship weights, card and curve to assets/."""
    spec = _spec(name)
    net = CifarResNet(spec.depth, spec.shortcut, seed=Recipe.seed).to(pick_device())
    begun = saved_recipe(runs / name)
    recipe = replace(Recipe(), epochs=epochs, precision=begun.precision if begun else fastest_precision(net))
    images = load_cifar10(data)
    curve = train(net, images, recipe, runs / name, _print)
    card = cards.ship(name, net, images, recipe, curve)
    typer.echo(f"{name}: {card['test_accuracy']:.2%} of the test images right; shipped to {WEIGHTS_FOLDER}")


@app.command("check")
def check_command(name: Name, data: Data) -> None:
    """Measure the shipped weights again; exit 1 if the accuracy is over 0.1 points off the card."""
    _spec(name)
    measured, written = 1 - cards.check(name, load_cifar10(data)).error, read_card(name)["test_accuracy"]
    typer.echo(f"{name}: {measured:.2%} of the test images right, card says {written:.2%}")
    if abs(measured - written) > 0.001:
        raise typer.Exit(1)


def _spec(name: str) -> CifarSpec:
    if name not in CIFAR:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(CIFAR)}")
    return CIFAR[name]


def _print(epoch: Epoch) -> None:
    typer.echo(
        f"epoch {epoch.epoch}: training loss {epoch.train_loss:.4f}, error {epoch.train_error:.2%};"
        f" test loss {epoch.test_loss:.4f}, error {epoch.test_error:.2%}; {epoch.seconds:.0f} s"
    )


if __name__ == "__main__":
    app()
