"""The command `resnet-viz survey FOLDER --out survey.parquet`, its progress in the terminal, and its printed summary."""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from resnet_viz.analyses.survey.comparison import SurveyComparison, compare_surveys
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.files import is_parquet, open_survey
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.running import SurveyProgress, survey
from resnet_viz.analyses.survey.statistics import quantiles, separation
from resnet_viz.analyses.survey.unfinished import count_finished, refuse_existing
from resnet_viz.commands.images import network, told
from resnet_viz.counting import counted
from resnet_viz.nets.labels import visible
from resnet_viz.nets.net import Net
from resnet_viz.nets.zoo import DEFAULT_MODEL

COLUMNS = ("ratio", "cosine", "cut", "shortcut_share")
OF_PLAIN = ("response_std", "output_norm", "cut", "grad_input_norm")
# Seconds between two progress lines if the output does not go to a terminal.
LINE_EVERY = 10.0


def survey_command(  # noqa: PLR0913 - each is an option of the command line
    options: typer.Context,
    images: Annotated[str, typer.Argument(help="A folder, whose sub-folders are classes, or a ZIP or TAR archive.")],
    *,
    model: Annotated[str, typer.Option(help="A name that `resnet-viz models` lists, or a checkpoint file.")] = DEFAULT_MODEL,
    out: Annotated[Path | None, typer.Option(help="The Parquet file to write; an interrupted run resumes.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per pass; by default as many as suit the device.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    untrained: Annotated[bool, typer.Option("--untrained", help="Use seeded random weights.")] = False,
    ray: Annotated[str, typer.Option(help='Run on the Ray cluster at this address; "local" starts one here.')] = "",
    labels: Annotated[
        Path | None, typer.Option(help='A JSON file that says which classes folders hold: {"n01440764": "tench"}.')
    ] = None,
    compare: Annotated[Path | None, typer.Option(help="Compare with this survey; IMAGES may be a survey file too.")] = None,
) -> None:
    """Measure what every block does with many images, and print the medians."""
    with told(lambda: _stopped(out)):
        if not images:
            raise SurveyError("The name of the folder is empty. Name a folder or an archive of images; . is this folder.")
        other = None if compare is None else open_survey(compare)
        if is_parquet(Path(images)):
            _tell_unused(options, images)
            result = open_survey(images)
        else:
            if out is not None:
                refuse_existing(out)
            classes = None if labels is None else _classes_of_folders(labels)
            net = network(model, device, untrained=untrained)
            making: dict[str, Any] = {"labels": classes, "out": out, "batch_size": batch_size}
            result = _on_ray(net, images, ray, making) if ray else _here(net, images, making)
        typer.echo(_summary(result))
        if not result.image_names():
            raise SurveyError("There is nothing to measure, because none of the images could be used: see the reasons above.")
        if other is not None and compare is not None:
            typer.echo(_comparison(compare_surveys(other, result), compare))


def _stopped(out: Path | None) -> str:
    kept = 0
    if out is not None:
        with suppress(SurveyError):
            kept = count_finished(out)
    if not kept:
        return "Stopped."
    images = counted(kept, "image is", "images are")
    return f"Stopped. {images} kept in {out}.parts. To resume, run the same command again."


def _tell_unused(options: typer.Context, images: str) -> None:
    """Name the options that were given and that only making a survey needs."""
    given = sorted(
        "--" + name.replace("_", "-")
        for name in options.params
        if name not in ("images", "compare") and getattr(options.get_parameter_source(name), "name", "") == "COMMANDLINE"
    )
    if given:
        typer.echo(f"{visible(images)} is a finished survey. Without effect: {', '.join(given)}.", err=True)


def _classes_of_folders(path: Path) -> dict[str, str | int]:
    """Read the file of `--labels`; SurveyError if it says nothing about folders."""
    wanted = 'Write a JSON object of folders and classes: {"n01440764": "tench"}.'
    try:
        found = json.loads(path.read_bytes())
    except UnicodeDecodeError as error:
        raise SurveyError(f"{path} is no text in UTF-8: save it in that encoding. {wanted}") from error
    except ValueError as error:
        raise SurveyError(f"{path} is no JSON: {error}. {wanted}") from error
    if not isinstance(found, dict):
        raise SurveyError(f"{path} does not say which classes folders hold. {wanted}")
    return found


def _here(net: Net, images: str, making: dict[str, Any]) -> Survey:
    line = ProgressLine()
    try:
        return survey(net, images, on_progress=line, **making)
    finally:
        line.end()


def _on_ray(net: Net, images: str, address: str, making: dict[str, Any]) -> Survey:
    try:
        from resnet_viz.engine.ray_survey import Cluster, survey_on_ray  # noqa: PLC0415 - its library is the extra "cluster"
    except ImportError as error:
        raise SurveyError(
            "Ray Data is not installed, and --ray needs it. Run `pip install 'resnet-viz[cluster]'`, or leave out --ray."
        ) from error
    line = ProgressLine()
    cluster = Cluster(address, gpus=1.0 if net.device.type == "cuda" else 0.0)
    try:
        return survey_on_ray(net, images, cluster=cluster, on_progress=line, **making)
    finally:
        line.end()


class ProgressLine:
    """The progress, the speed and the time left: one line that is updated in a terminal, occasional lines elsewhere."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._first = 0
        self._shown = -LINE_EVERY
        self._terminal = sys.stderr.isatty()

    def __call__(self, progress: SurveyProgress) -> None:
        """Show the progress."""
        now = time.monotonic()
        if self._started is None:
            # Images of an earlier run do not count for the speed of this one.
            self._started, self._first = now, progress.done
            return
        if self._terminal or now - self._shown >= LINE_EVERY or progress.done == progress.total:
            self._shown = now
            text = described(progress, now - self._started, self._first)
            typer.echo(f"\r{text}\033[K" if self._terminal else text, err=True, nl=not self._terminal)

    def end(self) -> None:
        """Move to a new line."""
        if self._terminal:
            typer.echo(err=True)


def described(progress: SurveyProgress, seconds: float, first: int = 0) -> str:
    """Describe the progress after this many seconds, in which the survey advanced from image `first`."""
    rate = (progress.done - first) / seconds if seconds > 0 else 0.0
    of = "" if progress.total is None else f" of {progress.total:,}"
    parts = [f"{progress.done:,}{of} images", f"{rate:.1f} images/s"]
    if progress.total is not None and rate > 0:
        parts.append(f"{_duration((progress.total - progress.done) / rate)} left")
    if progress.bad:
        parts.append(f"{progress.bad:,} unusable")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _summary(result: Survey) -> str:
    bad, count = result.bad, counted(result.count, "image")
    lines = [f"{result.manifest.title}, {result.manifest.weights}: {count} of {visible(result.manifest.images)}"]
    if result.accuracy == result.accuracy:
        known = int(result.images()["correct"].notna().sum())
        lines.append(f"Of the {counted(known, 'image')} with a known class, {result.accuracy:.1%} are predicted correctly.")
    elif len(result.manifest.labels) == 1:
        lines.append("The network has a single class, which it predicts for every image, so that there is no accuracy.")
    elif result.image_names():
        lines.append(
            "No image has a known class, so the accuracy is unknown: sort the images into folders that are named after classes,"
            " or say with --labels which classes the folders hold."
        )
    lines += [f"Could not be used: {visible(str(name))}: {visible(row.error)}" for name, row in bad.head(10).iterrows()]
    if len(bad) > 10:
        lines.append(f"... and {len(bad) - 10:,} more; Survey.bad lists them.")
    if len(bad) == result.count:
        return "\n".join(lines)
    medians = pd.DataFrame({name: quantiles(result, name)[0.5] for name in (*COLUMNS, *OF_PLAIN)})
    table = medians[list(_known(medians))]
    lines += ["", "Medians over all images", table.to_string(float_format="%.3f")]
    ranked = separation(result)
    if len(ranked):
        lines += ["", "The measures that separate wrong predictions from right ones best (auc 0.5 means no separation)"]
        lines.append(ranked.head(5).to_string(index=False, float_format="%.3f"))
    return "\n".join(lines)


def _known(table: pd.DataFrame) -> tuple[str, ...]:
    """The columns to print: those of residual networks, or those of plain ones, which have no shortcut."""
    known = [name for name in table.columns if table[name].notna().any()]
    return tuple(name for name in (COLUMNS if COLUMNS[0] in known else OF_PLAIN) if name in known)


def _comparison(found: SurveyComparison, other: Path) -> str:
    table = found.table().reset_index().pivot_table("mean_difference", "block", "measure")
    table = table[list(_known(table))]
    order = list(dict.fromkeys(found.table().index.get_level_values("block")))
    return "\n".join(
        [
            "",
            f"Compared with {other.name} on {found.count:,} images, of which {found.changed:,} have a different prediction.",
            *found.notes,
            "Mean differences, this survey minus that one",
            table.loc[order].to_string(float_format="%+.3f"),
        ]
    )
