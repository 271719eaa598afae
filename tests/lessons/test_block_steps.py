"""S5 and S6: each step of a block against functions by hand, each line of the code against what it leaves when it runs."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet as torchvision_resnet

import resnet_viz as rv
from resnet_viz.engine.wire import decode, encode
from resnet_viz.figures.theme import RESIDUAL
from resnet_viz.lessons.block_steps import BlockKind, Walk, forward_source, walk
from resnet_viz.nets.net import Net

MakeImage = Callable[..., Image.Image]
MakeNet = Callable[..., Net]


def norm(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return F.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])


def test_s05_each_step_is_what_its_operation_makes(make_cifar: MakeNet, make_image: MakeImage) -> None:
    net = make_cifar("A", depth=14)
    found = walk(net, make_image(), "layer2.1")
    assert found.names == ("x", "conv1", "bn1", "relu1", "conv2", "bn2", "sum", "output")
    assert (found.kind, found.plain) == ("BasicBlock", False)
    state = {name.removeprefix("layer2.1."): value for name, value in net.module.state_dict().items()}
    tensors = {step.name: torch.from_numpy(step.values)[None] for step in found.steps}
    expected = {
        "conv1": F.conv2d(tensors["x"], state["conv1.weight"], padding=1),
        "bn1": norm(tensors["conv1"], state, "bn1"),
        "relu1": tensors["bn1"].clamp(min=0),
        "conv2": F.conv2d(tensors["relu1"], state["conv2.weight"], padding=1),
        "bn2": norm(tensors["conv2"], state, "bn2"),
        "sum": tensors["x"] + tensors["bn2"],
        "output": tensors["sum"].clamp(min=0),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(tensors[name], values, atol=1e-5, err_msg=name)
    assert found.step("conv1").operation == "3×3 convolution, 32 → 32 channels, stride 1, padding 1"
    assert found.step("sum").negative == pytest.approx(float((expected["sum"] < 0).float().mean()))


@pytest.mark.parametrize(
    ("shortcut", "says"), [("A", "every second pixel of x and appends 16 channels of zeros"), ("B", "1×1 convolution")]
)
def test_s05_a_shortcut_that_changes_shapes_is_a_step_of_its_own(
    shortcut: str, says: str, make_cifar: MakeNet, make_image: MakeImage
) -> None:
    found = walk(make_cifar(shortcut), make_image(), "layer2.0")
    assert found.names[-3:] == ("identity", "sum", "output")
    assert says in found.step("identity").operation
    total = found.step("identity").values + found.step("bn2").values
    np.testing.assert_array_equal(found.step("sum").values, total)


def test_s05_a_plain_block_adds_nothing(make_cifar: MakeNet, make_image: MakeImage) -> None:
    found = walk(make_cifar("plain"), make_image(), "layer1.0")
    assert found.plain
    assert found.names == ("x", "conv1", "bn1", "relu1", "conv2", "bn2", "output")
    np.testing.assert_array_equal(found.step("output").values, found.step("bn2").values.clip(min=0))


def test_s05_a_bottleneck_has_three_convolutions(make_imagenet: Callable[[str], Net], make_image: MakeImage) -> None:
    found = walk(make_imagenet("resnet50"), make_image(64, 64), "layer1.1")
    sizes = [step.operation[:3] for step in found.steps if step.name.startswith("conv")]
    assert sizes == ["1×1", "3×3", "1×1"]
    back = decode(encode(found), Walk, 2**24)
    np.testing.assert_array_equal(back.step("sum").values, found.step("sum").values)


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
        torch.testing.assert_close(after[line.number][variable], steps[line.makes], msg=line.text)
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


def test_an_unknown_block_or_step_gets_a_sentence(make_cifar: MakeNet, make_image: MakeImage) -> None:
    net = make_cifar()
    with pytest.raises(ValueError, match=r"has no block 'layer7\.7'; it has layer1\.0"):
        walk(net, make_image(), "layer7.7")
    with pytest.raises(KeyError, match="has no step 'conv9'"):
        walk(net, make_image(), "layer1.0").step("conv9")


def test_the_diagram_fills_the_active_step_and_every_step_answers_the_mouse(make_cifar: MakeNet, make_image: MakeImage) -> None:
    found = walk(make_cifar(), make_image(), "layer2.0")
    figure = rv.figures.block_steps(found, "bn1")
    assert tuple(figure.data[-1].customdata) == found.names
    assert [shape.fillcolor for shape in figure.layout.shapes].count(RESIDUAL) == 1
    assert figure.layout.meta["finding"] == "Step 3 of 9: batch norm of 32 channels"
    mosaic = rv.figures.step_mosaic(found, "bn1", None, 150)
    assert mosaic.layout.height - mosaic.layout.margin.t <= 150
    norms = np.linalg.norm(found.step("bn1").values.reshape(32, -1), axis=1)
    assert f"Channel {norms.argmax()} of 32 has the largest norm in bn1 in block 2.0" in mosaic.layout.meta["finding"]
    one = rv.figures.step_map(found, "bn1", 5, 150)
    np.testing.assert_array_equal(one.data[0].z, found.step("bn1").values[5])
    with pytest.raises(ValueError, match="has channels 0 to 31, not 32"):
        rv.figures.step_map(found, "bn1", 32, 150)
