"""What a page needs to know about a network of the catalogue before it is built: classes, preprocessing, blocks and parts."""

from dataclasses import dataclass

from resnet_viz.nets import cell_centres
from resnet_viz.nets.architecture import Part, architecture
from resnet_viz.nets.families import timm
from resnet_viz.nets.families.records import record
from resnet_viz.nets.official import best_weights
from resnet_viz.nets.preprocessing import Preprocessing
from resnet_viz.nets.remote_weights import official_labels
from resnet_viz.nets.zoo import TRAINED, blueprint


@dataclass(frozen=True)
class Outline:
    """The classes of a network and its preprocessing."""

    labels: tuple[str, ...]
    preprocessing: Preprocessing


def outline(name: str) -> Outline:
    """Return the outline of a network without building it; raises the errors of `timm.configuration` for an unknown name."""
    if name in TRAINED:
        return Outline(TRAINED[name].labels, TRAINED[name].preprocessing)
    if timm.is_name(name):
        found = timm.configuration(name)
        return Outline(found.labels, found.preprocessing)
    return Outline(official_labels(name), Preprocessing.of(best_weights(name).transforms()))


def block_names(name: str) -> tuple[str, ...]:
    """Return the names of the blocks, first to last. A network without a record is built without weights."""
    known = record(name)
    return known.blocks if known else tuple(blueprint(name).blocks)


def layers_are_centred(name: str) -> bool:
    """Whether the strided layers are centred (see `cell_centres`). A network without a record is built without weights."""
    known = record(name)
    return known.centred if known else cell_centres.layers_are_centred(blueprint(name).module)


def parts(name: str) -> tuple[Part, ...]:
    """Return the parts of a network, from stem to head. A network without a record is built without weights."""
    known = record(name)
    return known.parts if known else architecture(blueprint(name))
