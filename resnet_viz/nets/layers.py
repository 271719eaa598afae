"""What torchvision's ResNets lack: the parameter-free shortcut, and blocks without any shortcut."""

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet as torchvision_resnet


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


class PlainBlock(nn.Module):
    """Layers that stand in the place of a residual block, without a shortcut.

    Nothing in a graph tells where such a block ends and the next begins, so subclasses say it: each is shown as a block, from
    the input of its first layer to the activation that it ends with.
    """


class PlainBasicBlock(PlainBlock, torchvision_resnet.BasicBlock):
    """The layers of torchvision's basic block without its shortcut, for comparison with residual learning.

    A projection that is passed for the shortcut is ignored.
    """

    conv1: nn.Conv2d
    conv2: nn.Conv2d
    bn1: nn.Module
    bn2: nn.Module
    relu: nn.Module

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, downsample: object = None, *args: object, **kwargs: object
    ) -> None:
        del downsample
        super().__init__(inplanes, planes, stride, None, *args, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(F(x)), He et al. 2015, Fig. 2 without the curved line."""
        hidden = self.relu(self.bn1(self.conv1(x)))
        output: Tensor = self.relu(self.bn2(self.conv2(hidden)))
        return output
