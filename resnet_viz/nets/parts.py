"""Which part of a network each parameter belongs to: the stem, a block, what stands between two blocks, or the head."""

from torch import nn

from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.residual_graph.network import GraphBlock, ResidualNetwork
from resnet_viz.nets.residual_graph.sections import HEAD, STEM


def parts_of(module: nn.Module) -> dict[str, str]:
    """Return the part of every parameter by the parameter's name, in the module's order; unused parameters are left out.

    Parts are named as `resnet_viz.nets.residual_graph.sections` names them; a parameter of several belongs to the first.
    """
    if not isinstance(module, ResidualNetwork):
        return {name: _part(name, list(blocks_of(module))) for name, _ in module.named_parameters()}
    found: dict[str, str] = {}
    for part, parameters in parts(module).items():
        for name in parameters:
            found.setdefault(name, part)
    return {name: found[name] for name, _ in module.named_parameters() if name in found}


def parts(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Return every part's parameters by the part's name, from the stem to the head."""
    if not isinstance(module, ResidualNetwork):
        found: dict[str, tuple[str, ...]] = {STEM: (), **dict.fromkeys(blocks_of(module), ()), HEAD: ()}
        for name, part in parts_of(module).items():
            found[part] += (name,)
        return found
    sections = {section.name: section.parameters for section in module.residual_findings.sections}
    found = {STEM: sections[STEM]}
    for name, block in blocks_of(module).items():
        if (between := f"before {name}") in sections:
            found[between] = sections[between]
        assert isinstance(block, GraphBlock)  # noqa: S101 - for the type checker
        found[name] = block.facts.parameters
    return found | {HEAD: sections[HEAD]}


def require_known_layers(title: str, module: nn.Module) -> None:
    """Refuse a network whose blocks were found in its graph where a lesson goes through the layers of ResNets by their names.

    Raises:
        ValueError: with a sentence that names what to take instead.
    """
    if isinstance(module, ResidualNetwork):
        raise ValueError(  # noqa: TRY004 - what a person is told of a network that does not fit
            f"This lesson goes through the layers of a ResNet by their names, and {title} was opened from its graph, in which"
            " layers have other names: take a ResNet from the list. Every page outside the lessons works with it."
        )


def _part(name: str, blocks: list[str]) -> str:
    inside = next((block for block in blocks if name.startswith(f"{block}.")), "")
    return inside or (HEAD if name.startswith("fc.") else STEM)
