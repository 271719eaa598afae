"""The blocks of checkpoints, with every layer by itself, so that what the tensors leave open can be exchanged layer by layer.

Plain modules with torchvision's names; the residual graph finds the places in them as in every other network.
"""

import torch
from torch import Tensor, nn

from resnet_viz.nets.layers import PlainBlock


class CheckpointBlock(nn.Module):
    """Convolution, norm and activation, two or three times, with the last activation behind the sum (He et al. 2015, Fig. 5).

    `conv1`, `bn1`, `conv2` ... are still to be put in, and where the tensors have them `downsample` and `se`, which scales the
    residual.
    """

    downsample: nn.Module | None

    def __init__(self, layers: int, stride: int) -> None:
        super().__init__()
        self.layers = layers
        self.stride = stride
        for number in range(1, layers):
            self.add_module(f"relu{number}", nn.ReLU())
        self.relu: nn.Module = nn.ReLU()
        self.downsample = None
        self.se: nn.Module | None = None

    def branch(self, x: Tensor) -> Tensor:
        """Return the residual F(x)."""
        for number in range(1, self.layers + 1):
            x = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(x))
            if number < self.layers:
                x = self.get_submodule(f"relu{number}")(x)
        return x if self.se is None else self.se(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(identity + F(x))."""
        identity = x if self.downsample is None else self.downsample(x)
        output: Tensor = self.relu(identity + self.branch(x))
        return output


class PlainCheckpointBlock(CheckpointBlock, PlainBlock):
    """The layers of a block without its shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(F(x))."""
        output: Tensor = self.relu(self.branch(x))
        return output


class PreActivationBlock(CheckpointBlock):
    """Norm and activation before each convolution (He et al. 2016, https://arxiv.org/abs/1603.05027, Fig. 4e).

    A projection reads the activated input, as in most codes, or the input itself where `projects_input` says so. Nothing
    follows the sum.
    """

    def __init__(self, layers: int, stride: int) -> None:
        super().__init__(layers, stride)
        self.projects_input = False
        self.add_module(f"relu{layers}", nn.ReLU())
        self.relu = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return identity + F(x)."""
        activated = self.get_submodule("relu1")(self.get_submodule("bn1")(x))
        identity = x
        if self.downsample is not None:
            identity = self.downsample(x if self.projects_input else activated)
        residual = self.get_submodule("conv1")(activated)
        for number in range(2, self.layers + 1):
            residual = self.get_submodule(f"relu{number}")(self.get_submodule(f"bn{number}")(residual))
            residual = self.get_submodule(f"conv{number}")(residual)
        output: Tensor = identity + residual
        return output


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
