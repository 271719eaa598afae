"""Small networks of every kind that rv.from_module opens, each as its library or its owner would write it."""

from collections.abc import Callable
from functools import partial

import timm
import torch
from torch import Tensor, nn
from torchvision.models import mobilenetv2
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.efficientnet import EfficientNet, MBConvConfig
from torchvision.models.mnasnet import MNASNet
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3
from torchvision.models.regnet import BlockParams, RegNet
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

from tests.own_networks import (
    Around,
    Blocks,
    DependsOnShape,
    Down,
    Functional,
    Layer,
    Pooling,
    PreActivation,
    Returning,
    Scaled,
    Shared,
    TorchTransformer,
    Transformer,
    conv,
)

SIZE = 32


class Gated(nn.Module):
    """A block with squeeze and excitation (Hu et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(), conv()
        self.squeeze, self.excite = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.conv1(x).relu())
        gate = self.excite(self.squeeze(out.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return (out * gate + x).relu()


class Viewing(nn.Module):
    """A block that looks at its maps as rows, which only numbers in the usual order allow."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.mix = conv(), nn.Linear(SIZE * SIZE, SIZE * SIZE)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.mix(self.conv1(x).view(x.shape[0], 8, -1))
        return (x + rows.view(x.shape)).relu()


class Normed(nn.Module):
    """A normalisation alone stands in the shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv1 = nn.BatchNorm2d(8), conv()

    def forward(self, x: Tensor) -> Tensor:
        return (self.norm(x) + self.conv1(x).relu()).relu()


class SequenceFirst(nn.Module):
    """A transformer whose tensors are (tokens, N, C), as torch's own attention has them by default."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 16, 8, 8), nn.Linear(16, 5)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.norm, self.attn = nn.LayerNorm(16), nn.MultiheadAttention(16, 2)
        self.mlp = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).permute(2, 0, 1)
        tokens = torch.cat([self.token.expand(-1, tokens.shape[1], -1), tokens])
        normed = self.norm(tokens)
        tokens = tokens + self.attn(normed, normed, normed, need_weights=False)[0]
        tokens = tokens + self.mlp(tokens)
        return self.head(tokens[0])


class Folded(nn.Module):
    """Blocks on parts of the image, which stand in the axis of the images (MobileViT)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.layer, self.head = nn.Conv2d(3, 16, 8, 8), Layer(16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.stem(x)
        count, channels, height, width = maps.shape
        parts = maps.reshape(count, channels, height // 2, 2, width // 2, 2).permute(0, 3, 5, 2, 4, 1)
        parts = self.layer(parts.reshape(count * 4, height * width // 4, channels))
        return self.head(parts.reshape(count, 4, -1, channels).mean((1, 2)))


class Vectors(nn.Module):
    """Residual blocks behind the pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first, self.second = nn.Conv2d(3, 16, 3), nn.Linear(16, 16), nn.Linear(16, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu().mean((2, 3))
        x = x + self.first(x).relu()
        x = x + self.second(x).relu()
        return self.head(x)


class TwoHeads(nn.Module):
    """The logits of a head for the class token and of one for the patches are added (VOLO); a third head is for training."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Blocks(Shared(), Scaled())
        self.body.fc = nn.Identity()  # type: ignore[assignment]
        self.first, self.second, self.third = nn.Linear(8, 5), nn.Linear(8, 5), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x)
        return self.first(features) + 0.5 * self.second(features.relu()), self.third(features)


def _mbconv(ratio: float, channels: int, out: int, stride: int, layers: int) -> MBConvConfig:
    return MBConvConfig(ratio, 3, stride, channels, out, layers, width_mult=1.0, depth_mult=1.0)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "own": lambda: Blocks(Functional("torch.add"), Scaled(), PreActivation(), Shared(), Down("projection"), channels=16),
    "own dict": lambda: Returning("dict"),
    "pre-activation": lambda: Blocks(PreActivation(), PreActivation(stride=2), PreActivation()),
    "pool": lambda: Blocks(Shared(), Pooling()),
    "norm": lambda: Blocks(Normed(), Normed()),
    "mixed": lambda: Blocks(Shared(), Down("pooled projection"), channels=16),
    "gated": lambda: Blocks(Gated(), Gated()),
    "viewing": lambda: Blocks(Viewing(), Viewing()),
    "exported": lambda: Blocks(DependsOnShape(), DependsOnShape()),
    "around": lambda: Blocks(Shared(), Around()),
    "two heads": TwoHeads,
    "transformer": Transformer,
    "torch transformer": TorchTransformer,
    "sequence first": SequenceFirst,
    "folded": Folded,
    "vectors": Vectors,
    "MobileNet V2": lambda: mobilenetv2.MobileNetV2(5, 0.25, [[1, 16, 1, 1], [6, 24, 3, 2], [6, 32, 2, 2]]),
    "MobileNet V3": lambda: MobileNetV3(
        [InvertedResidualConfig(16, 3, 32, 16, use_se, "HS", 1, 1, 1.0) for use_se in (True, False)], 32, 5
    ),
    "MNASNet": lambda: MNASNet(0.2, 5),
    "EfficientNet": lambda: EfficientNet([_mbconv(1, 32, 16, 1, 2), _mbconv(4, 16, 24, 2, 2)], 0.2, num_classes=5),
    "RegNet": lambda: RegNet(
        BlockParams([1, 2], [8, 16], [4, 4], [1.0, 1.0], [2, 2], 0.25), 5, 8, activation=partial(nn.ReLU, inplace=True)
    ),
    "ConvNeXt": lambda: ConvNeXt([CNBlockConfig(8, 16, 2), CNBlockConfig(16, None, 1)], num_classes=5),
    "Swin": lambda: SwinTransformer([4, 4], 8, [1, 2], [2, 4], [4, 4], num_classes=5),
    "ViT": lambda: VisionTransformer(SIZE, 8, 2, 2, 16, 32, num_classes=5),
    "timm ResNet-D": lambda: timm.create_model("resnet10t", num_classes=5),
    "timm ViT with registers": lambda: timm.create_model(
        "vit_tiny_patch16_224", num_classes=5, img_size=SIZE, patch_size=8, depth=2, embed_dim=16, num_heads=2, reg_tokens=2
    ),
}
