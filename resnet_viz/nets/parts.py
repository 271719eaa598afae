"""Which part of a network each parameter belongs to: the stem, a block, what stands between two blocks, or the head."""

from torch import nn

from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.residual_graph.network import findings_of
from resnet_viz.nets.residual_graph.sections import HEAD, STEM


def parts_of(module: nn.Module) -> dict[str, str]:
    """Return the part of every parameter by the parameter's name, in the module's order; unused parameters are left out.

    Parts are named as `resnet_viz.nets.residual_graph.sections` names them; a parameter of several belongs to the first.
    """
    found: dict[str, str] = {}
    for part, parameters in parts(module).items():
        for name in parameters:
            found.setdefault(name, part)
    return {name: found[name] for name, _ in module.named_parameters() if name in found}


def parts(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Return every part's parameters by the part's name, from the stem to the head."""
    sections = {section.name: section.parameters for section in findings_of(module).sections}
    found = {STEM: sections[STEM]}
    for name, block in blocks_of(module).items():
        if (between := f"before {name}") in sections:
            found[between] = sections[between]
        found[name] = block.facts.parameters
    return found | {HEAD: sections[HEAD]}
