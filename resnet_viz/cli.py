"""The command line: `resnet-viz models`, `inspect photo.jpg --report out.html`, `survey FOLDER --out survey.parquet`, `app`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from resnet_viz.analyses.inspection import inspect
from resnet_viz.engine.allocator import ALLOCATOR
from resnet_viz.images import ImageError, open_image
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.zoo import DEFAULT_MODEL, list_models, load
from resnet_viz.report import report
from resnet_viz.survey_command import survey_command

COLUMNS = ["shortcut", "ratio", "cosine", "response_std", "cut", "shortcut_share"]

# The app that is installed together with this package, by `pip install` or as the repository.
APP = Path(__file__).parents[1] / "app" / "main.py"

app = typer.Typer(help="What does each residual block of a ResNet do with an image?", no_args_is_help=True)


@app.command("models")
def models_command() -> None:
    """List every network, and whether its trained weights are on this machine."""
    for info in list_models():
        here = "ready" if info.here else "to download" if info.source == "official" else "untrained"
        typer.echo(f"{info.name:22} {info.task:9} {info.blocks:3} blocks {info.params / 1e6:7.2f} M  {here:10} {info.note}")


@app.command("inspect")
def inspect_command(
    image: Annotated[Path, typer.Argument(help="A JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF file.")],
    *,
    model: Annotated[str, typer.Option(help="A name that `resnet-viz models` lists.")] = DEFAULT_MODEL,
    target: Annotated[str, typer.Option(help="The class to explain, by label or index; the predicted one if left out.")] = "",
    untrained: Annotated[bool, typer.Option("--untrained", help="Use seeded random weights.")] = False,
    report_to: Annotated[Path | None, typer.Option("--report", help="Write everything into one HTML file.")] = None,
    csv_to: Annotated[Path | None, typer.Option("--csv", help="Write the table of measures.")] = None,
) -> None:
    """Inspect an image block by block and print the measures of every block."""
    try:
        net = load(model, weights=None) if untrained else load(model)
        chosen = int(target) if target.isdecimal() else target or None
        photo = open_image(image)
        result = inspect(net, photo, chosen)
        if report_to is not None:
            report(result, report_to, net.preprocessing.sharp(photo))
        if csv_to is not None:
            result.table().to_csv(csv_to)
    except (ImageError, WeightsError, ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{result.title}, {result.weights.note}, on {result.device}")
    typer.echo(", ".join(f"{p.label} {p.probability:.1%}" for p in result.predictions[:5]))
    typer.echo(result.table()[COLUMNS].to_string(float_format="%.3f"))


app.command("survey")(survey_command)


@app.command("app", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def app_command(options: typer.Context) -> None:
    """Start the app in the browser; options are passed on to `streamlit run`, for example `--server.port 8600`."""
    # -P: otherwise a folder named `app` in the current directory would be imported instead.
    command = [sys.executable, "-P", "-m", "streamlit", "run", str(APP), *options.args]
    environment = ALLOCATOR | os.environ
    if sys.platform == "win32":
        raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)  # noqa: S603 - our own command
    # No other process is between the server and the signals that stop it.
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own command
