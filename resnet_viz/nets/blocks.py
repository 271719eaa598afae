r"""Residual blocks with named places for the identity path, the residual branch and the sum.

The blocks of He et al. 2015 (https://arxiv.org/abs/1512.03385, Fig. 2 and 5), as in torchvision, with explicit parts:

    x -> fork -> (downsample) -> shortcut -> identity --+
           \--> conv, bn, ReLU, ... conv, bn -> residual + -> sum -> relu -> output

`fork`, `shortcut`, `residual`, `sum` and `relu` are sub-modules without parameters, so torchvision's weights load unchanged,
and hooks, Captum and ablation find the same places in every network. No ReLU is shared or works in place, so that a tensor that
a hook sees is not changed later. The plain block has the same layers without the shortcut.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet as torchvision_resnet

from resnet_viz.nets.layouts import CHANNELS_FIRST

# "norm" is a single normalisation; "mixed" is several of these in one shortcut, or anything else.
ShortcutKind = Literal["identity", "zero-pad", "projection", "pool", "norm", "mixed", "none"]


class Fork(nn.Module):
    """The block's input x, passed to the shortcut and to the residual branch."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return x twice; a hook may replace them by two separate nodes."""
        return x, x


class Sum(nn.Module):
    """The element-wise addition that makes a block residual."""

    def forward(self, identity: Tensor, residual: Tensor) -> Tensor:
        """Return identity + residual, both (N, C, H, W)."""
        return identity + residual


class ZeroPad(nn.Module):
    """Shortcut A of He et al. 2015, section 3.3: every `stride`-th pixel, and zeros for the channels that x does not have.

    `before` of the `extra` zero channels come before the channels of x, by default half of them.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        if out_channels < in_channels:
            raise ValueError(f"zero padding cannot turn {in_channels} channels into {out_channels}: it only adds channels")
        self.stride = stride
        self.extra = out_channels - in_channels
        self.before = self.extra // 2

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C + extra, ceil(H / stride), ceil(W / stride))."""
        kept = x[:, :, :: self.stride, :: self.stride]
        return F.pad(kept, (0, 0, 0, 0, self.before, self.extra - self.before))

    def extra_repr(self) -> str:
        """Name the stride and the zero channels."""
        return f"stride={self.stride}, extra={self.extra}"


class ResidualBlock(nn.Module):
    """The common parts of the basic and the bottleneck block: fork, two paths, sum, ReLU."""

    downsample: nn.Module | None
    shortcut: nn.Module
    sum: nn.Module
    # Whether other layers than this block use its input.
    input_used_elsewhere = False
    # Whether the shortcut begins with a part of the branch, so that the branch cannot be left out alone.
    ways_share = False
    layout = CHANNELS_FIRST
    input_layout = CHANNELS_FIRST
    # The class of the activation behind the sum, "" for none.
    activation = "ReLU"

    def _open(self) -> None:
        self.fork = Fork()
        self.shortcut = nn.Identity()
        self.residual = nn.Identity()
        self.sum = Sum()
        self.relu1 = nn.ReLU()
        self.relu = nn.ReLU()

    @property
    def shortcut_kind(self) -> ShortcutKind:
        """How x reaches the sum."""
        if self.downsample is None:
            return "identity"
        return "zero-pad" if isinstance(self.downsample, ZeroPad) else "projection"

    def name_at(self, path: str) -> str:
        """Return the block's name, for a path in its network: "layer2.0"."""
        return path

    def stage_of(self, name: str) -> int:
        """Return the number of the stage: 2 for "layer2.0"."""
        return int(name.split(".", maxsplit=1)[0].removeprefix("layer"))

    def activated(self, total: Tensor) -> Tensor:
        """Return the block's output for a sum, without calling a hook."""
        output: Tensor = self.relu.forward(total)
        return output

    def branch(self, x: Tensor) -> Tensor:
        """Return the residual F(x), before the addition."""
        raise TypeError(f"{type(self).__name__} cannot compute F of {tuple(x.shape)}: use BasicBlock or Bottleneck")

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(identity + F(x)), He et al. 2015, equations 1 and 2."""
        to_shortcut, to_branch = self.fork(x)
        identity = self.shortcut(to_shortcut if self.downsample is None else self.downsample(to_shortcut))
        residual = self.residual(self.branch(to_branch))
        output: Tensor = self.relu(self.sum(identity, residual))
        return output


class BasicBlock(ResidualBlock, torchvision_resnet.BasicBlock):
    """Two 3x3 convolutions parallel to a shortcut (ResNet-18, -34 and the CIFAR family)."""

    conv1: nn.Conv2d
    conv2: nn.Conv2d
    bn1: nn.Module
    bn2: nn.Module

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._open()

    def branch(self, x: Tensor) -> Tensor:
        """3x3 conv, bn, ReLU, 3x3 conv, bn."""
        hidden = self.relu1(self.bn1(self.conv1(x)))
        residual: Tensor = self.bn2(self.conv2(hidden))
        return residual


class Bottleneck(ResidualBlock, torchvision_resnet.Bottleneck):
    """1x1, 3x3 and 1x1 convolutions parallel to a shortcut (ResNet-50 and deeper, ResNeXt, Wide ResNet)."""

    conv1: nn.Conv2d
    conv2: nn.Conv2d
    conv3: nn.Conv2d
    bn1: nn.Module
    bn2: nn.Module
    bn3: nn.Module

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._open()
        self.relu2 = nn.ReLU()

    def branch(self, x: Tensor) -> Tensor:
        """1x1 conv, bn, ReLU, 3x3 conv, bn, ReLU, 1x1 conv, bn."""
        hidden = self.relu1(self.bn1(self.conv1(x)))
        hidden = self.relu2(self.bn2(self.conv2(hidden)))
        residual: Tensor = self.bn3(self.conv3(hidden))
        return residual


class PlainBlock(BasicBlock):
    """The layers of the basic block without its shortcut, for comparison with residual learning.

    A projection that is passed for the shortcut is ignored.
    """

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, downsample: object = None, *args: object, **kwargs: object
    ) -> None:
        del downsample
        super().__init__(inplanes, planes, stride, None, *args, **kwargs)

    def _open(self) -> None:
        super()._open()
        del self.shortcut
        self.sum = nn.Identity()

    @property
    def shortcut_kind(self) -> ShortcutKind:
        """A plain block has no shortcut."""
        return "none"

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(F(x)), He et al. 2015, Fig. 2 without the curved line."""
        _, to_branch = self.fork(x)
        output: Tensor = self.relu(self.sum(self.residual(self.branch(to_branch))))
        return output


def blocks_of(module: nn.Module) -> dict[str, ResidualBlock]:
    """Every block of a network by its name ("layer2.0"), in the order of the forward pass."""
    return {block.name_at(path): block for path, block in module.named_modules() if isinstance(block, ResidualBlock)}


def may_overwrite(layer: nn.Module) -> bool:
    """Whether a layer is a ReLU that may overwrite its input: neither other layers nor its gradient need the input."""
    return isinstance(layer, nn.ReLU) and getattr(layer, "may_overwrite", True)


def initialise(module: nn.Module, seed: int) -> None:
    """Draw new weights from a separate generator, so that a seed always gives the same network, whatever other threads draw.

    Convolutions as in He et al. 2015b (https://arxiv.org/abs/1502.01852, equation 15, fan out), as in torchvision; batch norms
    1 and 0; linear layers uniform in +-1/sqrt(inputs). The numbers are drawn on the CPU and copied to the weights, so that
    every device and precision gets the same ones.
    """
    generator = torch.Generator().manual_seed(seed)

    def he(values: Tensor) -> Tensor:
        return nn.init.kaiming_normal_(values, mode="fan_out", nonlinearity="relu", generator=generator)

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            _fill(layer.weight, he)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            if layer.affine:
                nn.init.ones_(layer.weight)
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            uniform = partial(nn.init.uniform_, a=-bound, b=bound, generator=generator)
            _fill(layer.weight, uniform)
            if layer.bias is not None:
                _fill(layer.bias, uniform)


@torch.no_grad()
def _fill(parameter: Tensor, draw: Callable[[Tensor], Tensor]) -> None:
    if isinstance(parameter, nn.Parameter):  # A weight that is computed from others is not drawn itself.
        parameter.copy_(draw(torch.empty(parameter.shape)))
