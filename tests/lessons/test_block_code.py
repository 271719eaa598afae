"""S6: each line of the code against what it leaves when it runs, for torchvision's blocks and for those of any network."""

import linecache
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, get_args

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import resnet as torchvision_resnet

import resnet_viz as rv
from resnet_viz.engine.wire import decode, encode
from resnet_viz.lessons.block_code import BlockCode, BlockKind, FunctionCode, block_code, forward_source
from resnet_viz.nets.net import Net
from resnet_viz.nets.residual_graph.network import findings_of
from tests.own_networks import Blocks, Functional, conv

MakeImage = Callable[..., Image.Image]
MakeNet = Callable[..., Net]
SMALL = rv.Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
CELL = """
class Typed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)

    def branch(self, x):
        return self.conv(x).relu()

    def forward(self, x):
        y = self.branch(x)
        y = 0.5 * y
        return y + x
"""


@pytest.mark.parametrize("kind", get_args(BlockKind))
@pytest.mark.parametrize("projects", [False, True])
def test_s06_each_line_makes_the_tensor_that_it_is_linked_to(kind: BlockKind, *, projects: bool) -> None:
    """Run torchvision's own block line by line and look at its variables after each line."""
    torch.manual_seed(0)
    shortcut = nn.Conv2d(8, 8, 1) if projects else None
    block = getattr(torchvision_resnet, kind)(8, 8 if kind == "BasicBlock" else 2, downsample=shortcut).eval()
    block.relu.inplace = False
    x = torch.randn(1, 8, 5, 5)
    after = variables_by_line(block, x)
    steps = by_hand(block, x)
    source = forward_source(kind)
    assert [line.text for line in source.lines if line.makes][-1].strip() == "return out"
    linked = 0
    for line in source.lines:
        if line.number not in after or not line.makes:
            continue
        variable = line.text.split()[0] if line.text.split()[0] != "return" else "out"
        torch.testing.assert_close(after[line.number][variable], steps[line.makes[0]], msg=line.text)
        linked += 1
    assert linked == {"BasicBlock": 9, "Bottleneck": 12}[kind] + projects


def variables_by_line(block: nn.Module, x: Tensor) -> dict[int, dict[str, Tensor]]:
    after: dict[int, dict[str, Tensor]] = {}
    running: list[int] = []

    def look(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code is not type(block).forward.__code__:
            return None
        if running:
            after[running.pop()] = {name: each.clone() for name, each in frame.f_locals.items() if isinstance(each, Tensor)}
        if event in ("line", "call"):
            running.append(frame.f_lineno)
        return look

    usual = sys.gettrace()
    sys.settrace(look)
    try:
        block(x)
    finally:
        sys.settrace(usual)
    return after


def by_hand(block: Any, x: Tensor) -> dict[str, Tensor]:
    steps, out = {"x": x}, x
    numbers = (1, 2, 3) if hasattr(block, "conv3") else (1, 2)
    for number in numbers:
        steps[f"conv{number}"] = getattr(block, f"conv{number}")(out)
        steps[f"bn{number}"] = getattr(block, f"bn{number}")(steps[f"conv{number}"])
        steps[f"relu{number}"] = out = steps[f"bn{number}"].clamp(min=0)
    steps["identity"] = x if block.downsample is None else block.downsample(x)
    steps["sum"] = steps[f"bn{numbers[-1]}"] + steps["identity"]
    steps["output"] = steps["sum"].clamp(min=0)
    return steps


def test_a_resnet_keeps_torchvisions_code_with_all_its_layers(make_cifar: MakeNet, make_image: MakeImage) -> None:
    found = block_code(make_cifar("B"), make_image(), "layer2.0")
    assert found.functions == (forward_source("BasicBlock"),)
    assert set(found.walk.names) == {line.makes[0] for line in found.functions[0].lines if line.makes}
    assert decode(encode(found), BlockCode, 2**24).functions == found.functions


def test_timm_shows_its_own_block(make_image: MakeImage) -> None:
    pytest.importorskip("timm")
    found = block_code(rv.load("timm/resnet10t.c3_in1k", weights=None), make_image(), "layer2.0")
    (function,) = found.functions
    assert function.title == "timm.models.resnet.BasicBlock.forward"
    assert function.package.startswith("timm ")
    assert placed(function, "sum") == ["x += shortcut"]
    assert placed(function, "output") == ["x = self.act2(x)"]
    assert placed(function, "identity") == ["shortcut = self.downsample(shortcut)"]
    assert placed(function, "residual") == ["x = self.bn2(x)"]
    assert placed(function, "x") == ["def forward(self, x: torch.Tensor) -> torch.Tensor:"]
    parts = [line.text.strip() for line in function.lines if "residual" in line.parts]
    assert parts[0] == "x = self.conv1(x)"
    # Lines that did not run have no mark.
    assert "x = self.se(x)" not in parts


def test_convnext_adds_to_a_scaled_branch(make_image: MakeImage) -> None:
    found = block_code(rv.load("convnext_tiny", weights=None), make_image(), "features.1.1")
    (function,) = found.functions
    assert function.title == "torchvision.models.convnext.CNBlock.forward"
    assert placed(function, "sum") == ["result += input"]
    assert placed(function, "residual") == ["result = self.stochastic_depth(result)"]
    assert [line.text.strip() for line in function.lines if line.parts == ("residual",) and not line.makes] == [
        "result = self.layer_scale * self.block(input)"
    ]
    assert found.walk.names == ("x", "residual", "sum")


def test_two_blocks_of_one_function_have_their_own_lines(make_image: MakeImage) -> None:
    net = rv.load("vit_b_16", weights=None)
    attention, mlp = (
        block_code(net, make_image(), name).functions[0]
        for name in ("encoder.layers.encoder_layer_0.self_attention", "encoder.layers.encoder_layer_0.mlp")
    )
    assert (placed(attention, "sum"), placed(mlp, "sum")) == (["x = x + input"], ["return x + y"])
    # The second block begins with the sum of the first.
    assert placed(mlp, "x") == ["x = x + input"]


def test_the_input_of_a_block_is_not_in_its_own_run_of_the_code(make_image: MakeImage) -> None:
    """The block before it is computed by the same function, called from the same line."""
    net = rv.load("regnet_y_400mf", weights=None)
    (function,) = block_code(net, make_image(), "trunk_output.block2.block2-1").functions
    assert placed(function, "x") == ["def forward(self, x: Tensor) -> Tensor:"]
    assert placed(function, "sum") == ["x = x + self.f(x)"]
    assert placed(function, "output") == ["return self.activation(x)"]


def test_a_line_may_compute_several_tensors(make_image: MakeImage) -> None:
    net = rv.from_module(Blocks(Functional("keywords")), preprocessing=SMALL)
    (function,) = block_code(net, make_image(), "blocks.0").functions
    (line,) = (line for line in function.lines if "sum" in line.makes)
    assert line.text.strip() == "return torch.relu_(torch.add(input=x, other=self.conv2(self.conv1(x).relu())))"
    assert line.makes == ("residual", "sum", "output")
    assert function.title == "Functional.forward"


class Adds(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class AddsElsewhere(nn.Module):
    """Another module of the block adds."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.add = conv(), Adds()

    def forward(self, x: Tensor) -> Any:
        y = self.conv(x)
        return self.add(x, y)


@pytest.mark.parametrize("tracer", ["torch.fx", "torch.export"])
def test_a_sum_in_another_function_is_shown_too(tracer: str, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> None:
    if tracer == "torch.export":
        monkeypatch.setattr("resnet_viz.nets.residual_graph.trace_with_fx", refuse)
    net = rv.from_module(Blocks(AddsElsewhere()), preprocessing=SMALL)
    assert findings_of(net.module).tracer == tracer
    (name,) = net.blocks
    around, inside = block_code(net, make_image(), name).functions
    assert around.title == "AddsElsewhere.forward"
    assert placed(around, "residual") == ["y = self.conv(x)"]
    assert placed(around, "sum") == ["return self.add(x, y)"]
    assert inside.title == "Adds.forward"
    assert placed(inside, "sum") == ["return x + y"]
    assert placed(inside, "x") == []


def refuse(*_: object) -> None:
    raise TypeError


@pytest.fixture
def cell() -> Iterator[Callable[..., type[nn.Module]]]:
    """Makes a class as a notebook does: the cell's text is in `linecache` and in no file, or as `exec` does: nowhere."""
    name = "<ipython-input-1-3f>"

    def make(*, kept: bool) -> type[nn.Module]:
        if kept:
            linecache.cache[name] = (len(CELL), None, CELL.splitlines(keepends=True), name)
        space: dict[str, Any] = {"nn": nn}
        exec(compile(CELL, name, "exec"), space)  # noqa: S102 - as a notebook does
        typed: type[nn.Module] = space["Typed"]
        return typed

    yield make
    linecache.cache.pop(name, None)


def test_a_class_of_a_notebook_shows_its_cell(cell: Callable[..., type[nn.Module]], make_image: MakeImage) -> None:
    net = rv.from_module(Blocks(cell(kept=True)()), preprocessing=SMALL)
    (function,) = block_code(net, make_image(), "blocks.0").functions
    assert (function.title, function.package) == ("Typed.forward", "")
    assert function.lines[0].number == CELL[: CELL.index("    def forward")].count("\n") + 1
    assert placed(function, "residual") == ["y = 0.5 * y"]
    assert placed(function, "sum") == ["return y + x"]
    assert [line.text.strip() for line in function.lines if "residual" in line.parts] == ["y = self.branch(x)", "y = 0.5 * y"]


def test_code_without_text_gets_a_sentence(cell: Callable[..., type[nn.Module]], make_image: MakeImage) -> None:
    net = rv.from_module(Blocks(cell(kept=False)()), preprocessing=SMALL)
    found = block_code(net, make_image(), "blocks.0")
    assert found.functions == ()
    assert found.missing.startswith("the function forward is in no file or notebook cell that can be read")
    assert found.walk.names == ("x", "residual", "sum")


def test_a_changed_cell_is_not_shown(cell: Callable[..., type[nn.Module]], make_image: MakeImage) -> None:
    net = rv.from_module(Blocks(cell(kept=True)()), preprocessing=SMALL)
    (name,) = (name for name in linecache.cache if name.startswith("<ipython-input-1"))
    changed = ["# A line more.\n", *CELL.splitlines(keepends=True)]
    linecache.cache[name] = (0, None, changed, name)
    found = block_code(net, make_image(), "blocks.0")
    assert found.functions == ()
    assert found.missing == "the file with the function forward has changed since it was imported"


def placed(function: FunctionCode, place: str) -> list[str]:
    """The lines that compute the tensor of a place."""
    return [line.text.strip() for line in function.lines if place in line.makes]
