"""The command `resnet-viz survey FOLDER --out survey.parquet`, its progress in the terminal, and its printed summary."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from resnet_viz.analyses.survey.comparison import SurveyComparison, compare_surveys
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.files import open_survey
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.running import SurveyProgress, survey
from resnet_viz.analyses.survey.statistics import quantiles, separation
from resnet_viz.nets.checkpoints.loading import load_checkpoint
from resnet_viz.nets.labels import visible
from resnet_viz.nets.net import Net, WeightsError
from resnet_viz.nets.zoo import DEFAULT_MODEL, load

COLUMNS = ("ratio", "cosine", "cut", "shortcut_share")
# Seconds between two progress lines if the output does not go to a terminal.
LINE_EVERY = 10.0
INTERRUPTED = 130


def survey_command(
    images: Annotated[Path, typer.Argument(help="A folder, whose sub-folders are classes, or a ZIP or TAR archive.")],
    *,
    model: Annotated[str, typer.Option(help="A name that `resnet-viz models` lists, or a checkpoint file.")] = DEFAULT_MODEL,
    out: Annotated[Path | None, typer.Option(help="The Parquet file to write; an interrupted run resumes.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per pass; by default as many as suit the device.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    untrained: Annotated[bool, typer.Option("--untrained", help="Use seeded random weights.")] = False,
    ray: Annotated[str, typer.Option(help='Run on the Ray cluster at this address; "local" starts one here.')] = "",
    compare: Annotated[Path | None, typer.Option(help="Compare with this survey; IMAGES may be a survey file too.")] = None,
) -> None:
    """Measure what every block does with many images, and print the medians."""
    try:
        if images.suffix == ".parquet" and images.is_file():
            result = open_survey(images)
        else:
            net = _network(model, device, untrained=untrained)
            result = _on_ray(net, images, out, ray, batch_size) if ray else _here(net, images, out, batch_size)
        typer.echo(_summary(result))
        if compare is not None:
            typer.echo(_comparison(compare_surveys(open_survey(compare), result), compare))
    except (WeightsError, ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        kept = f" To resume, run the same command again: {out}.parts keeps the finished images." if out else ""
        typer.echo(f"\nStopped.{kept}", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _network(model: str, device: str, *, untrained: bool) -> Net:
    if Path(model).is_file():
        return load_checkpoint(model, device=device)
    return load(model, weights=None, device=device) if untrained else load(model, device=device)


def _here(net: Net, images: Path, out: Path | None, batch_size: int | None) -> Survey:
    line = ProgressLine()
    try:
        return survey(net, images, batch_size=batch_size, out=out, on_progress=line)
    finally:
        line.end()


def _on_ray(net: Net, images: Path, out: Path | None, address: str, batch_size: int | None) -> Survey:
    try:
        from resnet_viz.engine.ray_survey import Cluster, survey_on_ray  # noqa: PLC0415 - its library is the extra "cluster"
    except ImportError as error:
        raise SurveyError(
            "Ray Data is not installed, and --ray needs it. Run `pip install 'resnet-viz[cluster]'`, or leave out --ray."
        ) from error
    line = ProgressLine()
    cluster = Cluster(address, gpus=1.0 if net.device.type == "cuda" else 0.0)
    try:
        return survey_on_ray(net, images, cluster=cluster, batch_size=batch_size, out=out, on_progress=line)
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
    bad = result.bad
    lines = [f"{result.manifest.title}, {result.manifest.weights}: {result.count:,} images of {result.manifest.images}"]
    if result.accuracy == result.accuracy:
        known = int(result.images()["correct"].notna().sum())
        lines.append(f"{result.accuracy:.1%} of the {known:,} images with a known class are predicted correctly.")
    lines += [f"Could not be used: {visible(str(name))}: {visible(row.error)}" for name, row in bad.head(10).iterrows()]
    if len(bad) > 10:
        lines.append(f"... and {len(bad) - 10:,} more; Survey.bad lists them.")
    table = quantiles(result, COLUMNS[0])[[]]
    for name in COLUMNS:
        table[name] = quantiles(result, name)[0.5]
    lines += ["", "Medians over all images", table.to_string(float_format="%.3f")]
    ranked = separation(result)
    if len(ranked):
        lines += ["", "The measures that separate wrong predictions from right ones best (auc 0.5 means no separation)"]
        lines.append(ranked.head(5).to_string(index=False, float_format="%.3f"))
    return "\n".join(lines)


def _comparison(found: SurveyComparison, other: Path) -> str:
    table = found.table().unstack("measure")["mean_difference"][list(COLUMNS)]
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
