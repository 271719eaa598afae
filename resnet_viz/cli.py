"""The command line: `resnet-viz models`, `inspect photo.jpg --report out.html`, `survey FOLDER --out survey.parquet`, `app`.

`attribution`, `gradients`, `conductance` and `compare` take images and folders as `inspect` does.
"""

import os
import subprocess
import sys
from pathlib import Path

import typer

from resnet_viz.commands.comparing import compare_command
from resnet_viz.commands.explaining import attribution_command, conductance_command, gradients_command
from resnet_viz.commands.inspecting import inspect_command
from resnet_viz.commands.surveying import survey_command
from resnet_viz.engine.allocator import ALLOCATOR
from resnet_viz.nets.zoo import list_models

# The app that is installed together with this package, by `pip install` or as the repository.
APP = Path(__file__).parents[1] / "app" / "main.py"

app = typer.Typer(help="What does each residual block of a ResNet do with an image?", no_args_is_help=True)


@app.command("models")
def models_command() -> None:
    """List every network, and whether its trained weights are on this machine."""
    rows = [
        (
            info.name,
            info.task,
            f"{info.blocks:3} {'block' if info.blocks == 1 else 'blocks'}",
            f"{info.params / 1e6:7.2f} M",
            "ready" if info.here else "to download" if info.source == "official" else "untrained",
            info.note,
        )
        for info in list_models()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


app.command("inspect")(inspect_command)
app.command("attribution")(attribution_command)
app.command("gradients")(gradients_command)
app.command("conductance")(conductance_command)
app.command("compare")(compare_command)
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
