"""DeepLift and Guided Backprop against computations of their own, for the places where activations and pools may stand."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import resnet_viz as rv
from resnet_viz.nets.residual_graph import nonlinearities
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


class Applied(nn.Module):
    """A block that applies an operation to its branch."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.function = conv(), function

    def forward(self, x: Tensor) -> Any:
        return x + self.function(self.conv(x))


class Recurrent(nn.Module):
    """A block whose branch is a recurrent layer over the rows of its maps."""

    def __init__(self, layer: type[nn.Module]) -> None:
        super().__init__()
        self.layer = layer(8, 8, batch_first=True)

    def forward(self, x: Tensor) -> Any:
        return x + self.layer(x.flatten(2).transpose(1, 2))[0].transpose(1, 2).reshape(x.shape)


NONLINEAR: dict[str, Callable[[Tensor], Tensor]] = {
    "square": torch.square,
    "clip": lambda x: x.clip(0, 0.5),
    "maximum": lambda x: torch.maximum(x, 0.1 * x),
    "threshold": lambda x: F.threshold(x, 0.1, 0.0),
    "hardshrink": nn.Hardshrink(),
    "lppool2d": nn.LPPool2d(2, 1, 1),
    "sin": torch.sin,
    "atan": torch.atan,
    "cos": torch.cos,
    "erf": torch.erf,
    "softsign": nn.Softsign(),
    "softshrink": F.softshrink,
    "tanhshrink": nn.Tanhshrink(),
    "logsigmoid": F.logsigmoid,
    "rrelu": nn.RReLU(),
    "clampmin": lambda x: x.clamp_min(0.1),
    "minimum": lambda x: torch.minimum(x, 0.1 * x),
    "sort": lambda x: x.sort(1)[0],
    "logaddexp": lambda x: torch.logaddexp(x, 0.1 * x),
    "adaptivemaxpool2d": lambda x: F.adaptive_max_pool2d(x, 8),
    "products of activations": lambda x: x * x,
    "reciprocal": lambda x: (x.abs().detach() + 1).reciprocal() * 0.1 + x,
    "truediv": lambda x: 1 / (x + 100),
    "detach": lambda x: x.detach() + x,
    "getitem": lambda x: x[:, torch.argsort(x[0, :, 0, 0])],
    "where": lambda x: torch.where(x > 0.1, x, 0.2 * x),
    "maskedfill": lambda x: x.masked_fill(x < 0.1, 0.3),
    "a softmax": lambda x: x.softmax(1),
    "einsum": lambda x: torch.einsum("nchw,nchw->nchw", x, x),
    "cummax": lambda x: x.cummax(1)[0],
    "prelu": nn.PReLU(),
    "localresponsenorm": nn.LocalResponseNorm(2),
    "round": lambda x: x + torch.round(x),
}
LINEAR: dict[str, Callable[[Tensor], Tensor]] = {
    "average pool": nn.AvgPool2d(3, 1, 1),
    "quotient": lambda x: x / 3,
    "shuffle": nn.ChannelShuffle(2),
    "roll": lambda x: x.roll(1, 2),
    "pad": lambda x: F.pad(x, (1, 1, 1, 1), "reflect")[..., 1:-1, 1:-1],
    "flip": lambda x: x.flip(3),
    "where": lambda x: torch.where(torch.arange(8) > 3, x, 0.5 * x),
    "cumsum": lambda x: x.cumsum(1),
    "einsum": lambda x: torch.einsum("nchw,cd->ndhw", x, torch.ones(8, 8)),
    "resize": lambda x: F.interpolate(F.avg_pool2d(x, 2), 8),
    "Fourier": lambda x: torch.fft.ifft2(torch.fft.fft2(x) * 2).real,
    "transposed": lambda x: x.transpose(2, 3).mT,
}


class TestRulesOfDeepLift:
    @pytest.mark.parametrize("name", NONLINEAR)
    def test_refuses_what_has_no_rule(self, name: str, image: Image.Image) -> None:
        net = rv.from_module(Blocks(Applied(NONLINEAR[name])), preprocessing=PREPROCESSING)
        with pytest.raises(ValueError, match=r"DeepLift has no rule for .*: take Integrated Gradients"):
            rv.attribute(net, image, "deep_lift", 1)

    @pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
    def test_refuses_recurrent_layers(self, layer: type[nn.Module], image: Image.Image) -> None:
        net = rv.from_module(Blocks(Recurrent(layer)), preprocessing=PREPROCESSING)
        with pytest.raises(ValueError, match=f"DeepLift has no rule for {layer.__name__.lower()}, which"):
            rv.attribute(net, image, "deep_lift", 1)

    @pytest.mark.parametrize("name", LINEAR)
    def test_adds_up_over_what_is_linear(self, name: str, image: Image.Image) -> None:
        net = rv.from_module(Blocks(Applied(LINEAR[name]), Applied(nn.ReLU())), preprocessing=PREPROCESSING)
        found = rv.attribute(net, image, "deep_lift", 1)
        assert found.delta == pytest.approx(0, abs=1e-4 * float(np.abs(found.attributions).sum()))

    def test_refuses_a_map_that_does_not_add_up(self, image: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nonlinearities, "_LINEAR", nonlinearities._LINEAR | {"sin"})
        net = rv.from_module(Blocks(Applied(lambda x: torch.sin(5 * x))), preprocessing=PREPROCESSING)
        with pytest.raises(ValueError, match=r"the DeepLift map of Blocks adds up to .*, and the logit differs by"):
            rv.attribute(net, image, "deep_lift", 1)


class TestGuidedBackprop:
    @pytest.mark.parametrize("name", ["threshold", "clampmin", "maximum", "prelu", "softshrink"])
    def test_refuses_other_activations_than_relu(self, name: str, image: Image.Image) -> None:
        net = rv.from_module(Blocks(Applied(nn.ReLU()), Applied(NONLINEAR[name])), preprocessing=PREPROCESSING)
        with pytest.raises(ValueError, match=f"whose activations are ReLUs, and Blocks has {name}: take Saliency"):
            rv.attribute(net, image, "guided_backprop", 1)

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
