"""The loss over the plane around the shipped networks, recorded on training images.

The recordings in assets/lessons were made by

    python -m resnet_viz.training loss-landscape resnet56-cifar10 --data DATA

Every point is written as soon as it is measured, so an interrupted recording resumes where it stopped.
"""

import csv
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from resnet_viz import assets
from resnet_viz.lessons.fewer_blocks import normalised
from resnet_viz.lessons.loss_landscape import SPAN, Landscape, LandscapePoint, check_points, guessing, walk
from resnet_viz.lessons.recorded_arrays import from_lists, to_lists
from resnet_viz.nets.net import Net, WeightsError
from resnet_viz.nets.zoo import blueprint
from resnet_viz.progress import OnProgress

BATCH = 100


@dataclass(frozen=True, eq=False)
class Chosen:
    """The images for the loss, uint8 (N, 3, H, W), their labels, int64 (N,), and their description."""

    images: Tensor
    labels: Tensor
    about: str


@dataclass(frozen=True)
class LandscapeRecipe:
    """The settings of a recording; two recordings with the same recipe are equal.

    `weights` is the SHA-256 of the parameters of the network, `measured_on` describes the images, and `data` is their SHA-256.
    """

    model: str
    title: str
    weights: str
    points: int
    seed: int
    images: int
    measured_on: str
    data: str


def record(
    net: Net,
    chosen: Chosen,
    points: int,
    runs: Path,
    *,
    seed: int = 0,
    folder: Path = assets.LESSONS_FOLDER,
    on_point: OnProgress | None = None,
) -> Path:
    """Measure the plane, resuming an earlier run if there is one, and write the recording to the folder of the others.

    Raises ValueError for a number of points without a centre, and if the earlier run had another recipe.
    """
    check_points(points)
    data = hashlib.sha256(chosen.images.numpy().tobytes() + chosen.labels.numpy().tobytes()).hexdigest()
    recipe = LandscapeRecipe(net.name, net.title, _weights_digest(net), points, seed, len(chosen.labels), chosen.about, data)
    begun = runs / f"loss-landscape-{net.name}.csv"
    known = _begun(begun, recipe)
    batches = [normalised(net.preprocessing, batch).to(net.device) for batch in chosen.images.split(BATCH)]
    with begun.open("a", newline="") as file:
        writer = csv.writer(file)
        for point in walk(net, seed, points, batches, chosen.labels.to(net.device), known):
            writer.writerow(point)
            file.flush()
            known[point.row, point.column] = point
            if on_point is not None:
                on_point(len(known), points * points)
    return _write(recipe, known, folder)


def read(model: str, folder: Path = assets.LESSONS_FOLDER) -> Landscape:
    """Read the recording of a network; WeightsError if there is none or the file is damaged."""
    path = _file(model, folder)
    if not path.exists():
        raise WeightsError(
            f"The loss around the weights of {model} has not been recorded in this copy. Record it with: python -m"
            f" resnet_viz.training loss-landscape {model} --data DATA"
        )
    try:
        found = json.loads(path.read_text())
        recipe = LandscapeRecipe(**found["recipe"])
        loss, error = (from_lists(found[name], recipe.points, recipe.points) for name in ("loss", "error"))
        net = blueprint(model)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error_found:
        raise WeightsError(f"{path.name} is damaged. Restore the file.") from error_found
    return Landscape(
        recipe.model,
        recipe.title,
        net.weights,
        recipe.seed,
        SPAN,
        recipe.images,
        recipe.measured_on,
        guessing(len(net.labels), net.head),
        loss,
        error,
    )


def recorded_models(folder: Path = assets.LESSONS_FOLDER) -> tuple[str, ...]:
    """Return the names of the networks with a recording."""
    return tuple(sorted(path.stem.removeprefix("loss-landscape-") for path in folder.glob("loss-landscape-*.json")))


def _file(model: str, folder: Path) -> Path:
    return folder / f"loss-landscape-{model}.json"


def _weights_digest(net: Net) -> str:
    digest = hashlib.sha256()
    for name, parameter in net.module.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def _begun(path: Path, recipe: LandscapeRecipe) -> dict[tuple[int, int], LandscapePoint]:
    """Read the points that an earlier run measured; the first line of the file is its recipe."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first = json.dumps(asdict(recipe))
    if not path.exists():
        path.write_text(f"{first}\n")
        return {}
    # If the last line is incomplete, its number was cut off: the point is measured again.
    lines = path.read_text().rpartition("\n")[0].splitlines()
    if lines[:1] != [first]:
        raise ValueError(
            f"{path} is a run with other settings, another network or other images: take these again, or delete the file"
        )
    path.write_text("\n".join(lines) + "\n")
    points = [
        LandscapePoint(int(row), int(column), float(loss), float(error)) for row, column, loss, error in csv.reader(lines[1:])
    ]
    return {(point.row, point.column): point for point in points}


def _write(recipe: LandscapeRecipe, known: dict[tuple[int, int], LandscapePoint], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path, side = _file(recipe.model, folder), range(recipe.points)
    grids = {
        name: to_lists(np.array([[getattr(known[row, column], name) for column in side] for row in side]))
        for name in ("loss", "error")
    }
    path.write_text(json.dumps({"recipe": asdict(recipe)} | grids))
    return path
