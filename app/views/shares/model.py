"""The Model page to take away."""

from functools import partial

import numpy as np
import pandas as pd

import resnet_viz as rv
from app import results, waiting
from app.state import Selection
from app.views.architecture_section import parts_table
from app.views.share_section import Shared
from app.views.view_code import Script, quoted
from resnet_viz.figures.training.confusion import class_accuracy, confusion
from resnet_viz.nets.curves import block_norms, errors_table
from resnet_viz.nets.zoo import read_card
from resnet_viz.reporting.charting import of_chart
from resnet_viz.reporting.pieces import Contents, Piece


def model(info: rv.ModelInfo, chosen: Selection) -> Shared | None:
    """Describe the parts of a network, and of a shipped one its training and its accuracy; None if its files are damaged."""
    trained = chosen.trained and info.here
    script = Script()
    script.net(waiting.network(info.name, trained=trained))
    script.add(
        "parts = pd.DataFrame(list(architecture(net)))",
        imports=("import pandas as pd", "from resnet_viz.nets.architecture import architecture"),
    )
    try:
        pieces = [*_training(info, script), *_accuracy(info, script)] if info.source == "shipped" and trained else []
    except rv.WeightsError:
        return None
    table = parts_table(results.parts(info.name)).set_index("part")
    notes = (f"{info.task}; {info.note}.",)
    contents = Contents(f"{info.name}-model", info.title, notes, tuple(pieces), table=table, table_title="Architecture")
    return Shared(contents, script.text())


def _training(info: rv.ModelInfo, script: Script) -> list[Piece]:
    curves = results.curves()
    if info.name not in curves:
        return []
    curve = curves[info.name]
    script.add(
        "",
        'curves = read_curves(info.name for info in rv.list_models() if info.source == "shipped")',
        f"errors = rv.figures.training_curves(curves, {quoted(info.name)})",
        f"norms = rv.figures.gradient_norms(curves[{quoted(info.name)}], {quoted(info.title)})",
        imports="from resnet_viz.nets.curves import read_curves",
    )
    return [
        of_chart("training-curves", partial(rv.figures.training_curves, curves, info.name), errors_table(curves)),
        of_chart("gradient-norms", partial(rv.figures.gradient_norms, curve, info.title), block_norms(curve)),
    ]


def _accuracy(info: rv.ModelInfo, script: Script) -> list[Piece]:
    card = read_card(info.name)
    counts, labels = np.array(card["confusion"]), list(card["accuracy_by_class"])
    script.add(
        "",
        f"card = read_card({quoted(info.name)})",
        'counts, labels = np.array(card["confusion"]), list(card["accuracy_by_class"])',
        "bars = rv.figures.class_accuracy(counts, labels)",
        "matrix = rv.figures.confusion(counts, labels)",
        imports=("import numpy as np", "from resnet_viz.nets.zoo import read_card"),
    )
    by_class = pd.DataFrame({"accuracy (%)": 100 * pd.Series(card["accuracy_by_class"])}).rename_axis("class")
    table = pd.DataFrame(counts, labels, labels).rename_axis("class")
    return [
        of_chart("class-accuracy", partial(class_accuracy, counts, labels), by_class),
        of_chart("confusion", partial(confusion, counts, labels), table),
    ]
