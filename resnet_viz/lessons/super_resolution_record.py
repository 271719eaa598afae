"""The longer runs that ship with the app: `python -m resnet_viz.lessons.super_resolution_record`.

Each of the four networks is trained for all factors; an interrupted run resumes where it stopped. The weights, a card that
describes them and how they were trained, and the curve are written to `assets/lessons`. `check` measures the shipped weights
again.
"""

import csv
import hashlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from safetensors.torch import save

from resnet_viz import assets
from resnet_viz.lessons.super_resolution import FACTORS, SIDE, Quality
from resnet_viz.lessons.super_resolution_nets import DESIGNS, SuperResolver, multiply_adds, parameters
from resnet_viz.lessons.super_resolution_recorded import card, file, network
from resnet_viz.lessons.super_resolution_training import (
    TRAINING_PHOTOS,
    VALIDATION_PHOTOS,
    WINDOW,
    SuperResolutionRecipe,
    Training,
    bicubic,
    measure,
    moments_of,
)

RUNS = Path("runs/super-resolution")
TOLERANCE_DB = 0.01

app = typer.Typer(help=__doc__, no_args_is_help=False)


@dataclass(frozen=True)
class Point:
    """A row of a curve: the step, the seconds of CPU time so far, and PSNR (dB) and SSIM by factor."""

    step: int
    seconds: float
    psnr: dict[str, float]
    ssim: dict[str, float]


@app.command("record")
def record_command(
    names: Annotated[list[str] | None, typer.Argument(help="Any of plain, global, blocks and shuffle; all by default.")] = None,
    steps: int = SuperResolutionRecipe.steps,
    runs: Annotated[Path, typer.Option(help="Folder for checkpoints of unfinished runs.")] = RUNS,
) -> None:
    """Train networks, each on one core, and write weights, card and curve."""
    torch.set_num_threads(1)
    recipe = SuperResolutionRecipe(steps=steps)
    for name in names or DESIGNS:
        if name not in DESIGNS:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(DESIGNS)}")
        training, curve = run(name, recipe, runs, lambda name, point: typer.echo(f"{name}: {point}"))
        typer.echo(f"{name}: shipped, {ship(training, curve)['results']}")


@app.command("check")
def check_command() -> None:
    """Measure the shipped weights again; exit with 1 if one differs by more than 0.01 dB from its card."""
    agree = True
    for name in DESIGNS:
        written = card(name)["results"]
        measured = _results(network(name))
        apart = max(abs(measured[factor]["psnr"] - written[factor]["psnr"]) for factor in written)
        agree &= apart <= TOLERANCE_DB
        typer.echo(f"{name}: {measured}; at most {apart:.4f} dB off the card")
    if not agree:
        raise typer.Exit(1)


def run(
    name: str, recipe: SuperResolutionRecipe, folder: Path, on_point: Callable[[str, Point], None] = lambda *_: None
) -> tuple[Training, list[Point]]:
    """Train one network to the end of the recipe, resuming from its checkpoint in `folder`; returns it and its curve."""
    training, path = Training(name, recipe), folder / f"{name}.pt"
    curve: list[Point] = []
    spent = 0.0
    if path.exists():
        saved = torch.load(path, weights_only=True)
        if saved["recipe"] != asdict(recipe):
            raise ValueError(f"{path} was trained with another recipe ({saved['recipe']}). Remove it to start again")
        training.net.load_state_dict(saved["net"])
        training.optimizer.load_state_dict(saved["optimizer"])
        curve = [Point(**row) for row in saved["curve"]]
        training.step, spent = curve[-1].step, curve[-1].seconds
    for moment in [*moments_of(recipe.steps), recipe.steps]:
        if curve and moment <= curve[-1].step:
            continue
        started = time.process_time()
        while training.step < moment:
            training.advance()
        spent += time.process_time() - started
        found = {str(factor): measure(training.net, factor) for factor in recipe.factors}
        psnrs, ssims = ({factor: getattr(q, field) for factor, q in found.items()} for field in ("psnr", "ssim"))
        curve.append(Point(moment, spent, psnrs, ssims))
        _save(training, curve, path)
        on_point(name, curve[-1])
    return training, curve


def ship(training: Training, curve: list[Point], folder: Path = assets.LESSONS_FOLDER) -> dict[str, Any]:
    """Write weights, card and curve; returns the card."""
    name, net, recipe = training.name, training.net, training.recipe
    weights = save({key: tensor.contiguous() for key, tensor in net.state_dict().items()})
    about = {
        "name": name,
        "title": DESIGNS[name].title,
        "parameters": parameters(net),
        "multiply_adds_per_pixel": {str(factor): multiply_adds(net, factor) for factor in recipe.factors},
        "sha256": hashlib.sha256(weights).hexdigest(),
        "results": _results(net),
        "bicubic": {str(factor): _rounded(bicubic(factor, SIDE)) for factor in recipe.factors},
        "bicubic_on_curve": {str(factor): _rounded(bicubic(factor)) for factor in recipe.factors},
        "curve_measured_on": f"the middle {WINDOW} × {WINDOW} pixels of the same",
        "measured_on": f"luminance of the middle {SIDE} × {SIDE} pixels of each validation photo, shorter side {SIDE} pixels",
        "data": {"training": _hashes(TRAINING_PHOTOS), "validation": _hashes(VALIDATION_PHOTOS)},
        "recipe": asdict(recipe) | {"optimizer": "Adam, mean squared error"},
        "processor_seconds": round(curve[-1].seconds),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "command": f"python -m resnet_viz.lessons.super_resolution_record record {name} --steps {recipe.steps}",
    }
    folder.mkdir(parents=True, exist_ok=True)
    file(name, "safetensors", folder).write_bytes(weights)
    file(name, "json", folder).write_text(json.dumps(about, indent=1) + "\n")
    with file(name, "csv", folder).open("w", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["step", "seconds", *(f"{kind}_x{factor}" for factor in recipe.factors for kind in ("psnr", "ssim"))])
        for point in curve:
            values = [each[str(factor)] for factor in recipe.factors for each in (point.psnr, point.ssim)]
            writer.writerow([point.step, f"{point.seconds:.1f}", *(f"{value:.5f}" for value in values)])
    return about


def _results(net: SuperResolver) -> dict[str, dict[str, float]]:
    return {str(factor): _rounded(measure(net, factor, SIDE)) for factor in FACTORS}


def _rounded(found: Quality) -> dict[str, float]:
    return {"psnr": round(found.psnr, 4), "ssim": round(found.ssim, 5)}


def _hashes(photos: tuple[str, ...]) -> dict[str, str]:
    return {photo: hashlib.sha256((assets.SAMPLES_FOLDER / photo).read_bytes()).hexdigest() for photo in photos}


def _save(training: Training, curve: list[Point], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "net": training.net.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "recipe": asdict(training.recipe),
        "curve": [asdict(point) for point in curve],
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    # A rename is atomic: if the process is killed while it writes, the previous checkpoint stays intact.
    partial.replace(path)


if __name__ == "__main__":
    app()
