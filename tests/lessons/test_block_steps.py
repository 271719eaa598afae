"""S5: each step of a block against functions by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

import resnet_viz as rv
from resnet_viz.engine.wire import decode, encode
from resnet_viz.figures.theme import RESIDUAL
from resnet_viz.lessons.block_steps import Walk, walk, walk_places
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


def test_the_places_of_any_block_are_its_steps(make_image: MakeImage) -> None:
    """Swin's blocks have their channels last, no shortcut layer and no activation after the sum."""
    net = rv.load("swin_t", weights=None)
    found = walk_places(net, make_image(), "features.1.0.mlp")
    inspected = rv.inspect(net, make_image()).block("features.1.0.mlp").maps
    assert inspected is not None
    assert found.names == ("x", "residual", "sum")
    np.testing.assert_array_equal(found.step("residual").values, inspected.residual)
    np.testing.assert_array_equal(found.step("x").values + found.step("residual").values, found.step("sum").values)


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
