"""`resnet-viz compare`: two networks on the same image, on each of several, or one network on two images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from resnet_viz.analyses.comparison import Comparison, compare
from resnet_viz.analyses.comparison_words import sentences
from resnet_viz.analyses.inspection import Inspection, inspect
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
)
from resnet_viz.images import open_image
from resnet_viz.nets.labels import visible
from resnet_viz.nets.net import Net
from resnet_viz.nets.zoo import DEFAULT_MODEL
from resnet_viz.report import report

OtherName = Annotated[str, typer.Option("--with", help="The other network; without it, one network is compared on two images.")]


def compare_command(
    images: Images,
    *,
    model: ModelName = DEFAULT_MODEL,
    other: OtherName = "",
    target: TargetOption = "",
    untrained: Untrained = False,
    device: Device = "auto",
    report_to: ReportTo = None,
    csv_to: CsvTo = None,
) -> None:
    """Compare two networks on images, or one network on two images, and print what differs most."""
    with told():
        paths, net = listed(images), network(model, device, untrained=untrained)
        if not other:
            _refuse_unless_two(paths)
            left, paths = inspect(net, open_image(paths[0]), class_of(target)), paths[1:]
            second = net
        else:
            second, left = network(other, device, untrained=False), None
        single_file(report_to, len(paths))

        def work(job: OneImage) -> str:
            found = _compared(net, second, job, left, target)
            if report_to is not None:
                report(found, job.file(report_to, ".html"))
            job.tables[job.name] = found.table()
            return _said(job, found)

        for_each(paths, work, csv_to, what="Compare")


def _compared(net: Net, second: Net, job: OneImage, left: Inspection | None, target: str) -> Comparison:
    first = left or inspect(net, job.image, class_of(target))
    return compare(first, inspect(second, job.image, class_of(target), on_block=job.on_progress))


def _said(job: OneImage, found: Comparison) -> str:
    first, *others = sentences(found)
    if not job.alone:
        return f"{visible(job.name)}: {first}."
    return "\n".join(
        [f"{found.left_name} (left) and {found.right_name} (right)", f"{first}.", *(f"{each}." for each in others)]
    )


def _refuse_unless_two(paths: Sequence[Path]) -> None:
    if len(paths) != 2:
        count = "is one" if len(paths) == 1 else f"are {len(paths)}"
        raise ValueError(
            f"One network is compared on two images, and there {count}. Name two images, or another network with --with."
        )
