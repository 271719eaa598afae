"""The theoretical receptive field of each block: the pixels that can change the centre of its output, for any weights.

The network runs with positive weights only, on an image of ones, with every operation made linear that could hide a path:
maxima become means, and activations return their input. Then no two paths cancel and no gradient is blocked, so the pixels with
a gradient are exactly those with a path. The image is a strip that is long enough for most networks; a field that reaches its
end counts as the whole image. The computation uses float64, because the outermost pixels have paths with a single weight of
each layer.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from resnet_viz.analyses.block_outputs import recorded_outputs
from resnet_viz.nets.net import Net
from resnet_viz.nets.twins import copy_tree

HEIGHT = 32
LENGTHS = (512, 2048)
# Functions that act on each value separately, and pools that return the largest of several values.
POINTWISE = frozenset(
    {
        "relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "elu", "elu_", "selu", "celu", "gelu", "silu", "silu_", "mish",
        "sigmoid", "sigmoid_", "tanh", "tanh_", "softplus", "hardtanh", "hardtanh_", "hardswish", "hardsigmoid", "layer_norm",
    }
)  # fmt: skip
POOLS: dict[str, Callable[..., Tensor]] = {"max_pool2d": F.avg_pool2d, "adaptive_max_pool2d": F.adaptive_avg_pool2d}


def theoretical_widths(net: Net, *, shortcuts_alone: bool) -> tuple[float, ...]:
    """Return the width of the theoretical receptive field of every block in pixels, first to last; 0 if there is no path.

    With `shortcuts_alone`, only paths along the shortcuts count. The width is inf if a block sees the whole image at any size.
    All widths are NaN if the network cannot run on images of another size.
    """
    widths = [math.inf] * len(net.blocks)
    for length in LENGTHS:
        try:
            widths = _widths(net, length, shortcuts_alone=shortcuts_alone)
        except (RuntimeError, ValueError, TypeError, AssertionError):
            # Some networks only accept images of one size.
            return (math.nan,) * len(widths)
        if all(map(math.isfinite, widths)):
            break
    return tuple(widths)


class OpenPaths(TorchFunctionMode):
    """Replaces the operations that could hide a path from the gradient."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401 - as in torch
        given = dict(kwargs or {})
        name = getattr(func, "__name__", "").split(".")[0]
        if name in POINTWISE:
            return args[0] if args else given["input"]
        if name in POOLS:
            x = args[0] if args else given.pop("input")
            return _mean_pool(name, x, *args[1:], **given)
        if name in ("group_norm", "instance_norm"):
            # Its statistics depend on the whole image.
            x = args[0] if args else given["input"]
            return x + x.mean((-2, -1), keepdim=True)
        return func(*args, **given)


def _mean_pool(name: str, x: Tensor, *sizes: Any, **options: Any) -> Tensor:  # noqa: ANN401 - as in torch
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode") if name == "max_pool2d" else ("output_size",)
    taken = dict(zip(names, sizes, strict=False)) | options
    if taken.pop("dilation", 1) not in (1, (1, 1), [1, 1]):
        raise ValueError("a dilated pool has no mean in torch")
    taken.pop("return_indices", None)
    pooled: Tensor = POOLS[name](x, **taken)
    return pooled


def _widths(net: Net, length: int, *, shortcuts_alone: bool) -> list[float]:
    positive = positive_copy(net)
    with torch.inference_mode(mode=False), torch.enable_grad():
        strip = torch.ones(1, 3, HEIGHT, length, dtype=torch.float64, device=net.device, requires_grad=True)
        with OpenPaths(), recorded_outputs(positive, shortcuts_alone=shortcuts_alone) as outputs:
            positive(strip)
        return [_width(output, strip) for output in outputs]


def positive_copy(net: Net) -> nn.Module:
    """Return a copy of the network in float64 with positive weights, in which no two paths cancel. The network is unchanged."""
    positive = copy_tree(net.module)
    # Also where the caller has switched gradients off: the weights take part in gradients.
    with torch.inference_mode(mode=False):
        for module in positive.modules():
            _make_positive(module)
    return positive


def _make_positive(module: nn.Module) -> None:
    """Give a module new weights: every output becomes the mean of its inputs, and norms become the identity."""
    for name, parameter in list(module.named_parameters(recurse=False)):
        value = 0.0 if name == "bias" else 1.0
        if parameter.ndim > 1:
            value = parameter.shape[0] / parameter.numel()
        # All entries share one number, which takes no memory.
        alike = torch.full((), value, dtype=torch.float64, device=parameter.device).expand(parameter.shape)
        setattr(module, name, nn.Parameter(alike, requires_grad=False))
    for name, buffer in list(module.named_buffers(recurse=False)):
        if buffer.is_floating_point():
            neutral = torch.zeros_like if name == "running_mean" else torch.ones_like
            module.register_buffer(name, neutral(buffer, dtype=torch.float64))


def _width(output: Tensor, strip: Tensor) -> float:
    middle = output[0, :, output.shape[2] // 2, output.shape[3] // 2]
    if not middle.requires_grad:
        return 0.0
    (gradient,) = torch.autograd.grad(middle.sum(), strip, retain_graph=True)
    columns = (gradient[0] != 0).any(1).any(0).nonzero()[:, 0]
    if not len(columns):
        return 0.0
    first, last = int(columns[0]), int(columns[-1])
    return math.inf if first == 0 or last == strip.shape[3] - 1 else float(last - first + 1)
