"""DeepLift and Guided Backprop against computations of their own, for the places where activations and pools may stand."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import resnet_viz as rv
from tests.own_networks import Blocks, conv

PREPROCESSING = rv.Preprocessing(8, 8, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


class _Rescale(torch.autograd.Function):
    """The rescale rule for a batch of the image and the baseline."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: nn.Module) -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(x)
        return layer(x)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            y = ctx.layer(point)
            (local,) = torch.autograd.grad(y.sum(), point)
        step, rise = x[:1] - x[1:], y[:1] - y[1:]
        multiplier = torch.where(step.abs() < 1e-10, local[:1], rise / step)
        return slope[:1] * torch.cat([multiplier, multiplier]), None


class _RescalePool(torch.autograd.Function):
    """The rule for a max pool, window by window."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pool: nn.MaxPool2d) -> Tensor:
        ctx.pool = pool
        ctx.save_for_backward(x)
        return pool(x)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        side, stride, padding = ctx.pool.kernel_size, ctx.pool.stride, ctx.pool.padding
        moved = torch.zeros_like(x[0])
        for channel in range(x.shape[1]):
            for row in range(slope.shape[2]):
                for column in range(slope.shape[3]):
                    top, left = row * stride - padding, column * stride - padding
                    rows, columns = slice(max(0, top), top + side), slice(max(0, left), left + side)
                    image, ground = x[0, channel, rows, columns], x[1, channel, rows, columns]
                    owner = image if image.max() > ground.max() else ground
                    difference = (image.max() - ground.max()) * slope[0, channel, row, column]
                    place = divmod(int(owner.argmax()), owner.shape[1])
                    moved[channel, rows, columns][place] += difference
        step = x[0] - x[1]
        multiplier = torch.where(step.abs() < 1e-10, 0, moved / step)
        return torch.stack([multiplier, multiplier]), None


class _Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: nn.Module) -> Tensor:
        ctx.save_for_backward(x)
        return layer(x)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return slope.relu() * (x > 0), None


class _Ruled(nn.Module):
    """A layer with another gradient."""

    def __init__(self, rule: type[torch.autograd.Function], layer: nn.Module) -> None:
        super().__init__()
        self.rule, self.layer = rule, layer

    def forward(self, x: Tensor) -> Any:
        return self.rule.apply(x, self.layer)


def with_rules(module: nn.Module, rules: dict[type[nn.Module], type[torch.autograd.Function]]) -> nn.Module:
    own = copy.deepcopy(module).eval()
    for path, layer in list(own.named_modules(remove_duplicate=False)):
        if type(layer) in rules:
            owner, _, name = path.rpartition(".")
            setattr(own.get_submodule(owner), name, _Ruled(rules[type(layer)], layer))
    return own


def deep_lift_by_hand(module: nn.Module, x: Tensor, baseline: Tensor, target: int) -> Tensor:
    """The rescale rule for every activation and max pool, (3, H, W)."""
    activations = (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Sigmoid)
    own = with_rules(module, dict.fromkeys(activations, _Rescale) | {nn.MaxPool2d: _RescalePool})
    both = torch.cat([x, baseline]).requires_grad_()
    slope = torch.autograd.grad(own(both)[:, target].sum(), both)[0][0]
    return slope * (x - baseline)[0]


class Placed(nn.Module):
    """A block with its activation where `sort` says."""

    def __init__(self, sort: str, act: nn.Module) -> None:
        super().__init__()
        self.sort, self.act, self.conv, self.pool = sort, act, conv(), nn.MaxPool2d(3, 1, 1)
        self.drop = nn.Dropout()

    def forward(self, x: Tensor) -> Any:
        return SORTS[self.sort](self, x)


SORTS: dict[str, Callable[[Placed, Tensor], Tensor]] = {
    "on x": lambda own, x: x + own.conv(own.act(x)),
    "on x behind idle layers": lambda own, x: x + own.conv(own.act(own.drop(x).contiguous())),
    "on both paths": lambda own, x: own.act(x) + own.act(own.conv(own.act(x))),
    "pool on the shortcut": lambda own, x: own.pool(x) + own.act(own.conv(x)),
    "pool after the activation": lambda own, x: x + own.pool(own.act(own.conv(x))),
    "twice in a row": lambda own, x: x + own.act(own.act(own.conv(x))),
    "on a part": lambda own, x: x + own.conv(torch.cat([own.act(x[:, :4]), x[:, 4:]], 1)),
    "after the sum": lambda own, x: own.act(x + own.conv(x)),
}


@pytest.fixture
def image(make_image: Callable[..., Image.Image]) -> Image.Image:
    torch.manual_seed(0)
    return make_image(8, 8)


def _compare(module: nn.Module, image: Image.Image) -> None:
    net = rv.from_module(module, preprocessing=PREPROCESSING)
    found = rv.attribute(net, image, "deep_lift", 1)
    black = net.preprocess(Image.new("RGB", image.size))
    expected = deep_lift_by_hand(module, net.preprocess(image), black, 1).detach().numpy()
    np.testing.assert_allclose(found.attributions, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert found.delta == pytest.approx(0, abs=1e-4 * float(np.abs(expected).sum()))


class TestDeepLift:
    @pytest.mark.parametrize("act", [nn.ReLU, nn.GELU, nn.SiLU, nn.ReLU6])
    @pytest.mark.parametrize("sort", SORTS)
    def test_by_hand(self, sort: str, act: Callable[[], nn.Module], image: Image.Image) -> None:
        _compare(Blocks(Placed(sort, act()), Placed(sort, act())), image)

    @pytest.mark.parametrize("act", [nn.ReLU, nn.GELU, nn.Sigmoid])
    @pytest.mark.parametrize("sort", ["on x", "after the sum", "pool on the shortcut"])
    def test_one_activation_of_several_blocks(self, sort: str, act: Callable[[], nn.Module], image: Image.Image) -> None:
        shared = act()
        _compare(Blocks(Placed(sort, shared), Placed(sort, shared), Placed("on x", shared)), image)

    def test_one_pool_and_one_block_several_times(self, image: Image.Image) -> None:
        first, second = Placed("pool on the shortcut", nn.ReLU()), Placed("pool after the activation", nn.ReLU())
        second.pool = first.pool
        _compare(Blocks(nn.Sequential(first, second), nn.Sequential(second, first)), image)

    @pytest.mark.parametrize("pool", [nn.MaxPool2d(2, 2), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(3, 2), nn.MaxPool2d(4, 1, 2)])
    def test_pools_between_blocks(self, pool: nn.MaxPool2d, image: Image.Image) -> None:
        _compare(Blocks(Placed("on x", nn.ReLU()), nn.ReLU(), pool, Placed("after the sum", nn.ReLU())), image)


class TestGuidedBackprop:
    @pytest.mark.parametrize("sort", SORTS)
    @pytest.mark.parametrize("shared", [False, True])
    def test_by_hand(self, sort: str, shared: bool, image: Image.Image) -> None:  # noqa: FBT001 - a parameter of the test
        one = nn.ReLU()
        module = Blocks(Placed(sort, one), Placed(sort, one if shared else nn.ReLU()))
        net = rv.from_module(module, preprocessing=PREPROCESSING)
        x = net.preprocess(image).requires_grad_()
        (expected,) = torch.autograd.grad(with_rules(module, {nn.ReLU: _Guided})(x)[0, 1], x)
        found = rv.attribute(net, image, "guided_backprop", 1).attributions
        np.testing.assert_allclose(found, expected[0].numpy(), rtol=1e-4, atol=1e-6 * expected.abs().max().item())
