"""Small networks as people write them, each with a different form of its additions."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Blocks(nn.Module):
    """A stem, blocks and a head; 8 channels, 5 classes."""

    def __init__(self, *blocks: nn.Module, channels: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(channels, 5)

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))


def conv(channels: int = 8, out: int | None = None, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out or channels, 3, stride, padding=1)


class Shared(nn.Module):
    """One shared in-place ReLU, and `+=`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1, self.conv2, self.bn2 = conv(), nn.BatchNorm2d(8), conv(), nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Any:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x
        return self.relu(out)


class Functional(nn.Module):
    """Functions for everything without weights; `sort` selects how the activation and the addition are written."""

    def __init__(self, sort: str) -> None:
        super().__init__()
        self.sort, self.conv1, self.conv2 = sort, conv(), conv()

    def forward(self, x: Tensor) -> Any:
        if self.sort == "F.relu":
            return F.relu(self.conv2(F.relu(self.conv1(x), inplace=True)) + x)
        if self.sort == "torch.add":
            return torch.relu(torch.add(self.conv2(self.conv1(x).relu_()), x))
        if self.sort == "keywords":
            return torch.relu_(torch.add(input=x, other=self.conv2(self.conv1(x).relu())))
        if self.sort == "method":
            return x.add(self.conv2(F.gelu(self.conv1(x), approximate="tanh"))).relu()
        if self.sort == "add_":
            return F.leaky_relu(self.conv2(F.silu(self.conv1(x))).add_(x), 0.2)
        return sum([x, self.conv2(F.elu(self.conv1(x)))])


class Scaled(nn.Module):
    """A learned factor per channel, a constant one, and dropout on the branch; no activation after the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(), conv()
        self.gamma = nn.Parameter(torch.full((8, 1, 1), 0.5))
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Any:
        return x + self.drop(0.3 * self.gamma * self.conv2(self.conv1(x).sigmoid()))


class Alpha(nn.Module):
    """The factor of torch.add."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv()

    def forward(self, x: Tensor) -> Any:
        return torch.add(x, self.conv1(x).tanh(), alpha=0.3)


class PreActivation(nn.Module):
    """He et al. 2016; the in-place activation also overwrites the input of a projection, as in many public implementations."""

    def __init__(self, stride: int = 1, *, inplace: bool = True) -> None:
        super().__init__()
        self.bn1, self.relu1, self.conv1 = nn.BatchNorm2d(8), nn.ReLU(inplace), conv(stride=stride)
        self.bn2, self.relu2, self.conv2 = nn.BatchNorm2d(8), nn.ReLU(inplace), conv()
        self.projection = nn.Conv2d(8, 8, 1, stride) if stride > 1 else None

    def forward(self, x: Tensor) -> Any:
        out = self.relu1(self.bn1(x))
        shortcut = x if self.projection is None else self.projection(out)
        return self.conv2(self.relu2(self.bn2(self.conv1(out)))) + shortcut


class OverwrittenInput(nn.Module):
    """The activation overwrites the block's own input: its shortcut is relu(x)."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.conv1 = nn.ReLU(inplace=True), conv()

    def forward(self, x: Tensor) -> Any:
        return x + self.conv1(self.relu(x))


class Down(nn.Module):
    """Half the pixels and twice the channels; `sort` picks the shortcut."""

    def __init__(self, sort: str) -> None:
        super().__init__()
        self.sort, self.conv1, self.bn1 = sort, conv(8, 16, 2), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = conv(16), nn.BatchNorm2d(16)
        self.pool, self.project, self.norm = nn.AvgPool2d(2), nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16)
        self.strided = nn.Conv2d(8, 16, 1, 2)

    def shortcut(self, x: Tensor) -> Any:
        if self.sort == "projection":
            return self.norm(self.strided(x))
        if self.sort == "zero-pad":
            return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4))
        if self.sort == "concatenated":
            pooled = F.avg_pool2d(x, 2)
            return torch.cat([pooled, torch.zeros_like(pooled)], 1)
        return self.norm(self.project(self.pool(x)))

    def forward(self, x: Tensor) -> Any:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class Pooling(nn.Module):
    """Half the pixels, the same channels, and a pool for a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv(stride=2)

    def forward(self, x: Tensor) -> Any:
        return self.conv1(x) + F.max_pool2d(x, 2)


class DependsOnShape(nn.Module):
    """A condition on its input's shape, which torch.fx cannot trace."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(), conv()

    def forward(self, x: Tensor) -> Any:
        if x.shape[-1] > 4:
            x = F.relu(self.conv2(F.relu(self.conv1(x))) + x)
        return x


class Inner(nn.Module):
    """An addition within the branch, of two of its own tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = conv(4), conv(4), conv()

    def forward(self, x: Tensor) -> Any:
        left, right = x.chunk(2, 1)
        left = self.first(left)
        right = self.second(left + right)
        return F.relu(self.last(torch.cat([left, right], 1)) + x)


class Response(nn.Module):
    """A normalisation that adds its input, as a separate module within a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, 8, 1, 1))

    def forward(self, x: Tensor) -> Any:
        return x + self.gamma * x * x.mean(1, keepdim=True)


class WithResponse(nn.Module):
    """A block with such a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.response = conv(), Response()

    def forward(self, x: Tensor) -> Any:
        return x + self.response(self.conv1(x).relu())


class Around(nn.Module):
    """A skip connection around several blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(Scaled(), Scaled(), Scaled())

    def forward(self, x: Tensor) -> Any:
        return x + self.body(x)


class Fusion(nn.Module):
    """Two paths with a block each, added to one another."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Scaled(), Shared()

    def forward(self, x: Tensor) -> Any:
        return self.first(x) + self.second(x * 0.5)


class Layer(nn.Module):
    """A transformer's layer: two additions in one module."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Any:
        normed = self.norm1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Patches, a class token and two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.layers = nn.ModuleList([Layer(16), Layer(16)])
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Any:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(tokens.shape[0], -1, -1), tokens], 1)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.head(tokens[:, 0])


class TorchTransformer(nn.Module):
    """The additions are inside torch's own module."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True)
        self.patches, self.encoder, self.head = nn.Conv2d(3, 16, 4, 4), nn.TransformerEncoder(layer, 2), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.encoder(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


class InTheRoot(nn.Module):
    """Everything in one forward pass, without modules for blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first, self.second, self.fc = nn.Conv2d(3, 8, 3, padding=1), conv(), conv(), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        x = x + F.relu(self.first(x))
        x = x + F.relu(self.second(x))
        return self.fc(x.mean((2, 3)))


class Plain(nn.Module):
    """It adds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.conv(x).relu().mean((2, 3)) + 1)


@dataclass
class Output:
    """The output type of networks from some libraries."""

    logits: Tensor
    features: Tensor


class Returning(nn.Module):
    """Returns its logits in an object, a dict or a tuple, or something without identifiable logits."""

    def __init__(self, sort: str) -> None:
        super().__init__()
        self.sort, self.net = sort, Blocks(Shared())

    def forward(self, x: Tensor) -> Any:
        logits = self.net(x)
        return {
            "object": Output(logits, x),
            "dict": {"features": x, "logits": logits},
            "tuple": (logits, x),
            "single": {"prediction": logits},
            "unclear": {"first": logits, "second": x},
        }[self.sort]
