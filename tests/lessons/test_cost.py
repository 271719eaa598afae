"""S11: what each layer costs, against the formula by hand and torch's own counter on real blocks."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from resnet_viz.figures.lessons.cost import layer_costs
from resnet_viz.figures.theme import IDENTITY, RESIDUAL
from resnet_viz.lessons.cost import run
from resnet_viz.nets.architecture import architecture
from resnet_viz.nets.zoo import blueprint, load


@pytest.mark.parametrize(("halve", "double"), [(True, True), (True, False), (False, True), (False, False)])
def test_s11_a_layer_costs_pixels_times_weights(*, halve: bool, double: bool) -> None:
    costs = run(halve=halve, double=double)
    for stage in (1, 2, 3):
        side = 32 // 2 ** (stage - 1) if halve else 32
        channels = 16 * 2 ** (stage - 1) if double else 16
        assert costs.layer(stage) == side * side * channels * channels * 9
        assert costs.stage(stage)[-1].output == (channels, side, side)
    assert [costs.layer(3) / costs.layer(1)] == [{(1, 1): 1, (1, 0): 1 / 16, (0, 1): 16, (0, 0): 1}[halve, double]]


def test_s11_the_standard_network_costs_what_the_shipped_one_is_counted_at() -> None:
    costs = run(halve=True, double=True)
    parts = {part.name: part for part in architecture(blueprint("resnet20b-cifar10"))}
    for block in costs.blocks:
        assert block.multiply_adds == parts[block.name].multiply_adds
        assert block.parameters == parts[block.name].parameters
        assert block.output == parts[block.name].output
    net = load("resnet20b-cifar10", weights=None, device="cpu")
    with FlopCounterMode(display=False) as counter:
        net.module.get_submodule("layer2.0")(torch.zeros(1, 16, 32, 32))
    assert counter.get_total_flops() // 2 == costs.stage(2)[0].multiply_adds


def test_a_stage_of_no_blocks_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match="choose 2 to 18"):
        run(halve=True, double=True, blocks=1)


def test_the_bars_are_the_costs_and_the_finding_compares_the_stages() -> None:
    costs = run(halve=False, double=True)
    fig = layer_costs(costs)
    assert [bar.marker.color for bar in fig.data[:2]] == [RESIDUAL, IDENTITY]
    heights = [branch + shortcut for branch, shortcut in zip(fig.data[0].y, fig.data[1].y, strict=True)]
    assert heights == pytest.approx([block.multiply_adds / 1e6 for block in costs.blocks])
    assert fig.layout.meta["finding"] == "A 3×3 convolution costs 2.36 M in the first stage and 37.75 M in the last"
