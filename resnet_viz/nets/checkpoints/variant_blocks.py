"""Blocks of checkpoints that torchvision's ResNets do not have: with the activation first, and with squeeze and excitation."""

import torch
from torch import Tensor, nn

from resnet_viz.nets.blocks import BasicBlock, Bottleneck, ResidualBlock


class PreActivationBlock(ResidualBlock):
    """Norm and activation before each convolution (He et al. 2016, https://arxiv.org/abs/1603.05027, Fig. 4e).

    A projection reads the activated input, as in most codes, or the input itself where `projects_input` says so. The fork
    stands where the two paths part.
    """

    conv1: nn.Conv2d
    conv2: nn.Conv2d
    downsample: nn.Module | None

    def __init__(self, layers: int) -> None:
        super().__init__()
        self._open()
        self.layers = layers
        self.downsample = None
        self.projects_input = False
        for number in range(2, layers + 1):
            self.add_module(f"relu{number}", nn.ReLU())
        # Nothing follows the sum.
        self.relu = nn.Identity()  # type: ignore[assignment]

    def branch(self, x: Tensor) -> Tensor:
        """Norm, activation and convolution, for each convolution."""
        return self._after_first(self._activated_input(x))

    def forward(self, x: Tensor) -> Tensor:
        """Return identity + F(x)."""
        if self.downsample is not None and not self.projects_input:
            to_shortcut, to_branch = self.fork(self._activated_input(x))
            identity = self.shortcut(self.downsample(to_shortcut))
            residual = self.residual(self._after_first(to_branch))
        else:
            to_shortcut, to_branch = self.fork(x)
            identity = self.shortcut(to_shortcut if self.downsample is None else self.downsample(to_shortcut))
            residual = self.residual(self.branch(to_branch))
        output: Tensor = self.relu(self.sum(identity, residual))
        return output

    def _activated_input(self, x: Tensor) -> Tensor:
        activated: Tensor = self.relu1(self.get_submodule("bn1")(x))
        return activated

    def _after_first(self, activated: Tensor) -> Tensor:
        x: Tensor = self.get_submodule("conv1")(activated)
        for number in range(2, self.layers + 1):
            x = self.get_submodule(f"relu{number}")(self.get_submodule(f"bn{number}")(x))
            x = self.get_submodule(f"conv{number}")(x)
        return x


class SqueezeExcitation(nn.Module):
    """Scales each channel by what two layers make of the averages of all (Hu et al. 2017, https://arxiv.org/abs/1709.01507).

    `squeezing` and `exciting` are the shapes of the layers' weights: 1x1 convolutions or linear layers.
    """

    def __init__(self, squeezing: tuple[int, ...], exciting: tuple[int, ...], *, bias: bool) -> None:
        super().__init__()
        for index, shape in enumerate((squeezing, exciting)):
            outputs, inputs = shape[:2]
            layer = nn.Linear(inputs, outputs, bias) if len(shape) == 2 else nn.Conv2d(inputs, outputs, 1, bias=bias)
            self.add_module(str(index), layer)
        self.relu = nn.ReLU()
        self.linear = len(squeezing) == 2

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        averages = x.mean((2, 3)) if self.linear else x.mean((2, 3), keepdim=True)
        scales = torch.sigmoid(self.get_submodule("1")(self.relu(self.get_submodule("0")(averages))))
        return x * (scales[:, :, None, None] if self.linear else scales)


class SqueezedBasicBlock(BasicBlock):
    """A basic block whose residual is scaled by squeeze and excitation."""

    def branch(self, x: Tensor) -> Tensor:
        """Return the basic block's branch, scaled by `se`."""
        scaled: Tensor = self.get_submodule("se")(super().branch(x))
        return scaled


class SqueezedBottleneck(Bottleneck):
    """A bottleneck whose residual is scaled by squeeze and excitation."""

    def branch(self, x: Tensor) -> Tensor:
        """Return the bottleneck's branch, scaled by `se`."""
        scaled: Tensor = self.get_submodule("se")(super().branch(x))
        return scaled
