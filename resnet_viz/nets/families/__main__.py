"""Write the records again, on the meta device, which takes minutes: `python -m resnet_viz.nets.families`.

`python -m resnet_viz.nets.families timm NAME ...` adds networks of timm to those that lists offer, and
`python -m resnet_viz.nets.families signatures` writes the index of the names and shapes of tensors.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import astuple

import torch
from torch import nn
from torchvision.models import list_models

from resnet_viz.nets.architecture import architecture
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.cell_centres import layers_are_centred
from resnet_viz.nets.costs import count_parameters
from resnet_viz.nets.families import timm, torchvision
from resnet_viz.nets.families.records import RESNETS, TORCHVISION, Record, write_records
from resnet_viz.nets.families.signatures import Shapes, write_signatures
from resnet_viz.nets.imagenet import ARCHITECTURES
from resnet_viz.nets.net import Net
from resnet_viz.nets.residual_graph import ResidualNetwork
from resnet_viz.nets.trained import TRAINED
from resnet_viz.nets.zoo import blueprint

WITH_WEIGHTS = (nn.modules.conv._ConvNd, nn.Linear, nn.MultiheadAttention)  # noqa: SLF001 - the one name of all convolutions


def record_of(net: Net) -> Record:
    """Return the record of a network."""
    return Record(_depth(net.module), layers_are_centred(net.module), architecture(net))


def timm_record_of(network: ResidualNetwork, module: str) -> timm.TimmRecord:
    """Return the record of a timm network that is defined in timm's `module`."""
    blocks = blocks_of(network)
    kinds = {block.shortcut_kind for block in blocks.values()} - {"identity"}
    shortcuts = ", ".join(sorted(kinds)) or "identity"
    return timm.TimmRecord(module, count_parameters(network), len(blocks), _depth(network), shortcuts)


def write_resnets() -> None:
    """Write the records of the networks that this project trains and of torchvision's ResNets."""
    write_records(RESNETS, {name: record_of(blueprint(name)) for name in (*TRAINED, *ARCHITECTURES)})


def write_torchvision() -> None:
    """Write the records of torchvision's families."""
    records: dict[str, Record] = {}
    for family in torchvision.FAMILIES:
        for name in list_models():
            if name.startswith(family) and name not in records:
                records[name] = record_of(blueprint(name))
    write_records(TORCHVISION, records)


def add_timm(names: list[str]) -> None:
    """Add networks of timm to the file, which is sorted by module and name."""
    from timm.models import model_entrypoint  # noqa: PLC0415 - an extra

    records = dict(timm.records())
    for name in names:
        module = model_entrypoint(name.removeprefix(timm.PREFIX).partition(".")[0]).__module__.rpartition(".")[2]
        records[name] = timm_record_of(timm.skeleton(name), module)
    order = sorted(records, key=lambda name: (records[name].module, name))
    lines = (f"{json.dumps(name)}: {json.dumps(astuple(records[name]))}" for name in order)
    timm.RECORDS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def signed_networks() -> Iterator[tuple[str, str, Shapes]]:
    """Yield every network of torchvision's families, and of the modules of timm that define residual networks."""
    from timm import list_models as list_timm  # noqa: PLC0415 - an extra
    from timm.models import model_entrypoint  # noqa: PLC0415 - as above

    for name in torchvision.names():
        module = torchvision.without_weights(name)
        # The classification layer is the last layer with weights.
        head = [place for place, layer in module.named_modules() if isinstance(layer, WITH_WEIGHTS)][-1]
        yield name, head, _shapes(module)
    residual = {record.module for record in timm.records().values()}
    for name in list_timm():
        if model_entrypoint(name).__module__.rpartition(".")[2] not in residual:
            continue
        try:
            with torch.device("meta"):
                module = timm.without_weights(name)
        except (RuntimeError, NotImplementedError, ValueError):
            # Its code computes with numbers while it is built.
            continue
        head = module.default_cfg.get("classifier") if isinstance(module.default_cfg, dict) else None
        if isinstance(head, str) and f"{head}.weight" in module.state_dict():
            yield f"{timm.PREFIX}{name}", head, _shapes(module)


def _shapes(module: nn.Module) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def _depth(network: nn.Module) -> int:
    return sum(isinstance(layer, WITH_WEIGHTS) for layer in network.modules())


if __name__ == "__main__":
    if sys.argv[1:2] == ["timm"]:
        add_timm(sys.argv[2:])
    elif sys.argv[1:] == ["signatures"]:
        write_signatures(signed_networks())
    else:
        write_resnets()
        write_torchvision()
