"""`resnet-viz attribution`, `gradients` and `conductance`: what supports a class, in pixels, by path and by block."""

from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import typer

from resnet_viz.analyses.attribution import attribute
from resnet_viz.analyses.baselines import BASELINES, Baseline
from resnet_viz.analyses.conductance import conductance
from resnet_viz.analyses.gradients import gradients
from resnet_viz.analyses.methods import METHODS
from resnet_viz.analyses.objectives import ObjectiveKind
from resnet_viz.commands.images import (
    CsvTo,
    Device,
    Images,
    ModelName,
    OneImage,
    ReportTo,
    TargetOption,
    Untrained,
    class_of,
    for_each,
    listed,
    network,
    single_file,
    told,
    writable_file,
)
from resnet_viz.nets.labels import visible
from resnet_viz.nets.zoo import DEFAULT_MODEL
from resnet_viz.report import report
from resnet_viz.reporting.explaining import arrays, shares, sums

GRADIENTS = ["shortcut", "grad_identity_norm", "grad_residual_norm", "grad_input_norm", "shortcut_share"]

MethodName = Annotated[str, typer.Option(help=f"One of {', '.join(METHODS)}.")]
MethodOptions = Annotated[
    list[str] | None,
    typer.Option("--option", help="An option of the method, such as `steps=64` or `baseline=blur`; several times for several."),
]
NpzTo = Annotated[Path | None, typer.Option("--npz", help="Write the maps; of several images, one file each into this folder.")]


def attribution_command(  # noqa: PLR0913 - each is an option of the command line
    images: Images,
    *,
    model: ModelName = DEFAULT_MODEL,
    method: MethodName = "integrated_gradients",
    option: MethodOptions = None,
    target: TargetOption = None,
    untrained: Untrained = False,
    device: Device = "auto",
    report_to: ReportTo = None,
    npz_to: NpzTo = None,
) -> None:
    """Find the pixels that raise a class's logit, and print what the map adds up to."""
    with told():
        paths, options = listed(images), parsed(option or [])
        single_file(report_to, paths, ".html")
        single_file(npz_to, paths, ".npz")
        net = network(model, device, untrained=untrained)
        wanted = class_of(target, net)

        def work(job: OneImage) -> str:
            found = attribute(net, job.image, method, wanted, on_progress=job.on_progress, **options)
            if report_to is not None:
                report(found, job.file(report_to, ".html"), net.preprocessing.sharp(job.image))
            if npz_to is not None:
                np.savez_compressed(job.file(npz_to, ".npz"), **arrays(found))  # type: ignore[arg-type]  # plain names
            return f"{visible(job.name)}: {visible(found.target_label)}. {sums(found)}"

        for_each(paths, work, what=METHODS[method].title if method in METHODS else method, unit="pass")


def gradients_command(  # noqa: PLR0913 - each is an option of the command line
    images: Images,
    *,
    model: ModelName = DEFAULT_MODEL,
    objective: Annotated[str, typer.Option(help="logit, log-probability, cross-entropy or logit difference.")] = "logit",
    versus: Annotated[str | None, typer.Option(help="The other class of a logit difference.")] = None,
    target: TargetOption = None,
    untrained: Untrained = False,
    device: Device = "auto",
    report_to: ReportTo = None,
    csv_to: CsvTo = None,
) -> None:
    """Divide the gradient at every block's input between shortcut and branch, and print the norms."""
    with told():
        paths = listed(images)
        single_file(report_to, paths, ".html")
        writable_file(csv_to, paths, ".csv")
        net = network(model, device, untrained=untrained)
        wanted = class_of(target, net)
        other = class_of(versus, net, "--versus")
        if other is not None and objective != "logit difference":
            raise ValueError(
                "--versus is the other class of a logit difference. Add --objective 'logit difference', or leave --versus out."
            )

        def work(job: OneImage) -> str:
            kind = cast("ObjectiveKind", objective)  # checked there
            found = gradients(net, job.image, wanted, kind, other)
            if report_to is not None:
                report(found, job.file(report_to, ".html"))
            job.tables[job.name] = found.table()
            first, last = found.blocks[0].total, found.blocks[-1].total
            about = f"{visible(job.name)}: gradients of {visible(found.objective_name)}"
            if not job.alone:
                return f"{about}; |g| at the first block {first:.4g}, at the last {last:.4g}"
            return f"{about}\n{found.table()[GRADIENTS].to_string(float_format='%.4g')}"

        for_each(paths, work, csv_to, what="Gradients")


def conductance_command(  # noqa: PLR0913 - each is an option of the command line
    images: Images,
    *,
    model: ModelName = DEFAULT_MODEL,
    steps: Annotated[int, typer.Option(help="Points between the baseline and the image.")] = 32,
    baseline: Annotated[str, typer.Option(help=f"The image at which the path begins: {', '.join(BASELINES)}.")] = "black",
    target: TargetOption = None,
    untrained: Untrained = False,
    device: Device = "auto",
    report_to: ReportTo = None,
    csv_to: CsvTo = None,
) -> None:
    """Find what every block carries of a class's logit, by path, and print it in logits."""
    with told():
        paths = listed(images)
        single_file(report_to, paths, ".html")
        writable_file(csv_to, paths, ".csv")
        net = network(model, device, untrained=untrained)
        wanted = class_of(target, net)

        def work(job: OneImage) -> str:
            path = cast("Baseline", baseline)  # checked there
            found = conductance(net, job.image, wanted, steps, baseline=path, on_point=job.on_progress)
            if report_to is not None:
                report(found, job.file(report_to, ".html"))
            table = job.tables[job.name] = shares(found)
            about = (
                f"{visible(job.name)}: {visible(found.target_label)}, logit(image) − logit(baseline) {found.difference:.3f}, "
                f"largest error {found.delta:+.3f}"
            )
            return f"{about}\n{table.to_string(float_format='%.3f')}" if job.alone else about

        for_each(paths, work, csv_to, what="Conductance", unit="point")


def parsed(options: list[str]) -> dict[str, Any]:
    """Read `name=value` pairs: whole and decimal numbers as such, everything else as text; ValueError with a sentence."""
    found: dict[str, Any] = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"The option {text!r} has no value. Write its name, = and its value, such as steps=64.")
        found[name] = _number(value)
    return found


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
