"""`resnet-viz inspect photo.jpg`: what every block does with an image, or with several."""

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
    writable_file,
)
from resnet_viz.figures.theme import short
from resnet_viz.nets.labels import visible
from resnet_viz.nets.zoo import DEFAULT_MODEL
from resnet_viz.report import report

COLUMNS = ["shortcut", "ratio", "cosine", "response_std", "cut", "shortcut_share"]
BEST = 5


def inspect_command(
    images: Images,
    *,
    model: ModelName = DEFAULT_MODEL,
    target: TargetOption = None,
    untrained: Untrained = False,
    device: Device = "auto",
    report_to: ReportTo = None,
    csv_to: CsvTo = None,
) -> None:
    """Inspect images block by block and print the measures of every block."""
    with told():
        paths = listed(images)
        single_file(report_to, paths, ".html")
        writable_file(csv_to, paths, ".csv")
        net = network(model, device, untrained=untrained)
        wanted = class_of(target, net)

        def work(job: OneImage) -> str:
            result = inspect(net, job.image, wanted, on_block=job.on_progress)
            if report_to is not None:
                report(result, job.file(report_to, ".html"), net.preprocessing.sharp(job.image))
            job.tables[job.name] = result.table()
            return described(result) if job.alone else in_line(job.name, result)

        for_each(paths, work, csv_to, what="Inspect", unit="block")


def described(result: Inspection) -> str:
    """Write the predictions, and a table of the main measures."""
    best = ", ".join(f"{visible(p.label)} {p.probability:.1%}" for p in result.predictions[:BEST])
    table = result.table()[COLUMNS].to_string(float_format="%.3f")
    return f"{result.title}, {result.weights.note}, on {result.device}\n{best}\n{table}"


def in_line(name: str, result: Inspection) -> str:
    """Write what matters most of one image among several."""
    best, changed = result.predictions[0], result.block(result.most_changed())
    measured = f"block {short(changed.name)} changes its input most (|F| / |x| {changed.measures.ratio:.2f})"
    if changed.shortcut == "none":
        measured = f"block {short(changed.name)} responds most (standard deviation {changed.measures.response_std:.2f})"
    return f"{visible(name)}: {visible(best.label)} {best.probability:.1%}; {measured}"
