"""An inspection in a report: predictions, the block map, the equations of blocks, one of the details, and every measure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from resnet_viz import figures
from resnet_viz.analyses.ablation import AblationSweep
from resnet_viz.analyses.inspection import BlockInspection, Inspection
from resnet_viz.analyses.logit_lens import Lens
from resnet_viz.analyses.place_fields import PlaceFields
from resnet_viz.figures.attribution.backdrop import Photo
from resnet_viz.figures.attribution.overlay import Cells
from resnet_viz.figures.block.block_equation import Scale, term_maps, term_name, terms_of
from resnet_viz.figures.block.channel_mosaic import strongest_channel
from resnet_viz.figures.block.equation_words import Term
from resnet_viz.figures.block.map_measures import MapMeasure
from resnet_viz.figures.theme import short
from resnet_viz.reporting.pieces import Contents, Piece, ReportImage, ReportNumbers

Detail = Literal["channels", "cam", "depth", "numbers"]


@dataclass(frozen=True, eq=False)
class Firing:
    """The images of a survey that make a channel fire: the rows of `Survey.strongest` with the photos that are available.

    `photos` are data URLs of the network's inputs by the names of the images, `field` is that of the channel's block.
    """

    block: str
    channel: int
    strongest: pd.DataFrame
    photos: Mapping[str, str]
    field: PlaceFields


@dataclass(frozen=True, eq=False)
class InspectionView:
    """How an inspection is looked at; every default is the one of the figures.

    `block` is the open one, by default the one that changes its input most, `channel` one of its channels instead of their
    mean, `details` are shown below its equation, with the channels of `term`, and then `firing`, if it is given. `sweep` is
    needed for the measure "ablation".
    """

    measure: MapMeasure | None = None
    block: str = ""
    channel: int | None = None
    scale: Scale = "shared"
    details: tuple[Detail, ...] = ("depth", "cam")
    term: Term | None = None
    cells: Cells = "smooth"
    photo: Photo = None
    sweep: AblationSweep | None = None
    lens: Lens | None = None
    firing: Firing | None = None


def of_inspection(inspection: Inspection, view: InspectionView | None = None) -> Contents:
    """Describe an inspection; every block that kept its maps has its equation, the open one first."""
    chosen = view or InspectionView()
    if chosen.sweep is not None:
        inspection = chosen.sweep.added_to(inspection)
    return Contents(
        name=f"{inspection.model}-{inspection.target_label}",
        title=f"{inspection.title}: {inspection.target_label}",
        notes=(inspection.weights.note,),
        pieces=tuple(_pieces(inspection, chosen)),
        pictures=(ReportImage.seen(inspection.seen),),
        table=inspection.table(),
    )


def of_cam_strip(inspection: Inspection, view: InspectionView) -> Contents:
    """Describe Grad-CAM after every block, and larger after the open one."""
    opened = view.block or inspection.blocks[-1].name

    def numbers() -> ReportNumbers:
        return {block.name: block.cam for block in inspection.blocks}

    draw = partial(figures.cam_strip, inspection, opened, scale=view.scale, photo=view.photo, cells=view.cells)
    strip = Piece("grad-cam", "Grad-CAM of every block", draw, numbers, "NPZ")
    pieces = (predictions_piece(inspection), strip, cam_piece(inspection, view, opened))
    return replace(of_inspection(inspection, replace(view, details=())), pieces=pieces)


def predictions_piece(inspection: Inspection, name: str = "predictions", title: str = "Predictions") -> Piece:
    """The most probable classes; its numbers are those of all classes."""

    def numbers() -> pd.DataFrame:
        return pd.DataFrame(inspection.predictions, columns=["label", "index", "logit", "probability"]).set_index("label")

    return Piece(name, title, partial(figures.predictions, inspection), numbers)


def equation_piece(block: BlockInspection, channel: int | None, scale: Scale, *, spare: bool = False) -> Piece:
    """A block's equation; its numbers are the images."""

    def numbers() -> ReportNumbers:
        maps = {term: term_maps(block, term) for term in terms_of(block)}
        return {term: values.mean(0) if channel is None else values[channel] for term, values in maps.items()}

    title = f"Equation of block {short(block.name)}"
    title += "" if channel is None else f", channel {channel}"
    draw = partial(figures.block_equation, block, channel, scale)
    return Piece(f"equation-{block.name}", title, draw, numbers, "NPZ", spare)


def cam_piece(inspection: Inspection, view: InspectionView, block: str) -> Piece:
    """Grad-CAM after a block over the photo; its numbers are the map."""

    def numbers() -> ReportNumbers:
        return {"cam": inspection.block(block).cam}

    draw = partial(figures.cam_overlay, inspection, block, photo=view.photo, cells=view.cells)
    return Piece(f"grad-cam-{block}", f"Grad-CAM after block {short(block)}", draw, numbers, "NPZ")


def _pieces(inspection: Inspection, view: InspectionView) -> Iterator[Piece]:
    opened = inspection.block(view.block or inspection.most_changed())
    yield predictions_piece(inspection)
    draw = partial(figures.block_map, inspection, view.measure, opened.name, ablation=view.sweep)
    yield Piece("block-map", "Block map", draw, inspection.table)
    if view.lens is not None:
        yield _lens(inspection, view.lens)
    if opened.maps is not None:
        yield equation_piece(opened, view.channel, view.scale)
    for detail in view.details:
        yield from _details(inspection, view, opened, detail)
    if view.firing is not None:
        yield from _firing(view.firing)
    for block in inspection.blocks:
        if block.maps is not None and block.name != opened.name:
            yield equation_piece(block, None, view.scale, spare=True)


def _details(inspection: Inspection, view: InspectionView, opened: BlockInspection, detail: Detail) -> Iterator[Piece]:
    if detail == "cam":
        # Where nobody has opened a block, the last one says where the network looked.
        yield cam_piece(inspection, view, view.block or inspection.blocks[-1].name)
    elif detail == "depth":
        draw = partial(figures.measures_by_depth, inspection, view.block or None)
        yield Piece("measures-by-depth", "Every block by depth", draw, inspection.table)
    elif detail == "channels" and opened.maps is not None:
        yield from _channels(opened, view)


def _channels(block: BlockInspection, view: InspectionView) -> Iterator[Piece]:
    term = view.term if view.term in terms_of(block) else terms_of(block)[-1]
    maps, name = term_maps(block, term), f"{term_name(block, term)} of block {short(block.name)}"
    channel = strongest_channel(block, term) if view.channel is None else view.channel
    draw = partial(figures.channel_mosaic, block, term, view.channel)
    yield Piece(f"channels-{block.name}-{term}", f"All channels of the {name}", draw, lambda: {term: maps}, "NPZ")
    one = partial(figures.channel_map, block, term, channel)
    yield Piece(
        f"channel-{channel}-{block.name}", f"Channel {channel} of the {name}", one, lambda: {term: maps[channel]}, "NPZ"
    )


def _firing(firing: Firing) -> Iterator[Piece]:
    """A photo each; the numbers of the first are those of all images."""
    table = firing.strongest.set_index("image")
    about = f"channel {firing.channel} of block {short(firing.block)}"
    rows: list[Any] = [row for row in firing.strongest.itertuples() if row.image in firing.photos]
    for number, row in enumerate(rows):
        name, place = str(row.image), (int(row.row), int(row.column))
        draw = partial(figures.peak_photo, firing.photos[name], firing.field, *place, float(row.value), name)
        title = f"Image {number + 1} that makes {about} fire: {name}"
        numbers = table if number == 0 else table.loc[[name]]
        yield Piece(f"fires-{number + 1}", title, draw, partial(pd.DataFrame, numbers), spare=number > 0)


def _lens(inspection: Inspection, lens: Lens) -> Piece:
    def numbers() -> pd.DataFrame:
        places = pd.Index(lens.places, name="after")
        return pd.DataFrame(np.asarray(lens.probabilities), index=places, columns=list(lens.labels))

    draw = partial(figures.lens_by_block, inspection, lens)
    return Piece("lens-by-block", "Classes decoded after each block", draw, numbers)


def merged(inspection: Inspection, others: dict[str, Inspection]) -> Inspection:
    """Put the maps of blocks from other copies of the same inspection into it, by the blocks' names."""
    blocks = tuple(others[block.name].block(block.name) if block.name in others else block for block in inspection.blocks)
    return replace(inspection, blocks=blocks)
