"""Writes the records of torchvision's networks anew: `python -m resnet_viz.nets.families`, on the meta device, in minutes."""

from torch import nn
from torchvision.models import list_models

from resnet_viz.nets.families.records import TORCHVISION, Record, write_records
from resnet_viz.nets.families.torchvision import FAMILIES, crop_of, skeleton
from resnet_viz.nets.graph_parts import parts_of_graph
from resnet_viz.nets.residual_graph import ResidualNetwork

WITH_WEIGHTS = (nn.modules.conv._ConvNd, nn.Linear, nn.MultiheadAttention)  # noqa: SLF001 - the one name of all convolutions


def record_of(network: ResidualNetwork, crop: int) -> Record:
    """Take a network apart."""
    depth = sum(isinstance(layer, WITH_WEIGHTS) for layer in network.modules())
    return Record(depth, parts_of_graph(network, (3, crop, crop)))


def main() -> None:
    """Write the file."""
    records: dict[str, Record] = {}
    for family in FAMILIES:
        for name in list_models():
            if name.startswith(family) and name not in records:
                records[name] = record_of(skeleton(name), crop_of(name))
    write_records(TORCHVISION, records)


if __name__ == "__main__":
    main()
