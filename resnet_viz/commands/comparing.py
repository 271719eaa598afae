"""`resnet-viz compare`: two networks on the same image, on each of several, or one network on two images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from resnet_viz.analyses.comparison import Comparison, compare
from resnet_viz.analyses.comparison_words import sentences
from resnet_viz.analyses.inspection import inspect
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
from resnet_viz.images import open_image
from resnet_viz.nets.labels import visible
from resnet_viz.nets.zoo import DEFAULT_MODEL
from resnet_viz.report import report

OtherName = Annotated[str, typer.Option("--with", help="The other network; without it, one network is compared on two images.")]


def compare_command(
    images: Images,
    *,
    model: ModelName = DEFAULT_MODEL,
    other: OtherName = "",
    target: TargetOption = None,
    untrained: Untrained = False,
    device: Device = "auto",
    report_to: ReportTo = None,
    csv_to: CsvTo = None,
) -> None:
    """Compare two networks on images, or one network on two images, and print what differs most."""
    with told():
        paths = listed(images)
        if not other:
            _refuse_unless_two(paths)
        single_file(report_to, paths if other else paths[1:], ".html")
        writable_file(csv_to, paths, ".csv")
        net = network(model, device, untrained=untrained)
        second = network(other, device, untrained=False) if other else net
        targets = class_of(target, net), class_of(target, second)
        names = _names(model, other, paths) if not other or net.title == second.title else None
        left = None
        if not other:
            left, paths = inspect(net, open_image(paths[0]), targets[0]), paths[1:]

        def work(job: OneImage) -> str:
            first = left or inspect(net, job.image, targets[0])
            found = compare(first, inspect(second, job.image, targets[1], on_block=job.on_progress))
            if report_to is not None:
                report(found, job.file(report_to, ".html"))
            job.tables[job.name] = found.table()
            return _said(job, found, names)

        for_each(paths, work, csv_to, what="Compare")


def _names(model: str, other: str, paths: Sequence[Path]) -> tuple[str, str] | None:
    """Return the names of two files, with their folders where both have the same name; None for one and the same."""
    left, right = (Path(model), Path(other)) if other else (paths[0], paths[1])
    short, long = (left.name, right.name), (str(left), str(right))
    return next(((visible(one), visible(two)) for one, two in (short, long) if one != two), None)


def _said(job: OneImage, found: Comparison, names: tuple[str, str] | None) -> str:
    left, right = names or (found.left_name, found.right_name)
    first, *others = sentences(found, names=(left, right))
    if not job.alone:
        return f"{visible(job.name)}: {first}."
    return "\n".join([f"{left} (left) and {right} (right)", f"{first}.", *(f"{each}." for each in others)])


def _refuse_unless_two(paths: Sequence[Path]) -> None:
    if len(paths) != 2:
        count = "is one" if len(paths) == 1 else f"are {len(paths)}"
        raise ValueError(
            f"One network is compared on two images, and there {count}. Name two images, or another network with --with."
        )
