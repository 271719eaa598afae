"""Grad-CAM at the output of every block, from one forward and one backward pass.

Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391, equations 1 and 2.
"""

from collections.abc import Callable
from contextlib import ExitStack

import torch
from PIL import Image
from torch import Tensor, nn

from resnet_viz.analyses.activations import Array, array, at_least_float32
from resnet_viz.nets.blocks import blocks_of
from resnet_viz.nets.layouts import TensorLayout
from resnet_viz.nets.net import Net, check_net


def block_cams(net: Net, image: Image.Image, target: int | str | None = None) -> dict[str, Array]:
    """Return each block's Grad-CAM by its name, (H, W), after ReLU, not normalised; by default of the predicted class.

    A block whose positions have no place in the image has none (`BlockInspection.note` says why).
    ValueError for a class that the network does not have.
    """
    check_net(net)
    chosen = None if target is None else net.class_index(target)
    twin = net.twin()
    outputs: dict[str, Tensor] = {}
    with torch.inference_mode(mode=False), torch.enable_grad(), ExitStack() as hooks:
        blocks = {name: block for name, block in blocks_of(twin).items() if block.layout.spatial}
        for name, block in blocks.items():
            hooks.callback(block.output.register_forward_hook(keeper(name, outputs)).remove)
        logits = twin(net.preprocess(image).requires_grad_())[0]
        logit = logits.max() if chosen is None else logits[chosen]
        gradients = torch.autograd.grad(logit, list(outputs.values()), materialize_grads=True) if outputs else ()
    return {
        name: array(cam(output, gradient, blocks[name].layout))
        for (name, output), gradient in zip(outputs.items(), gradients, strict=True)
    }


def cam(output: Tensor, gradient: Tensor, layout: TensorLayout) -> Tensor:
    """A block's output and its gradient -> (N, H, W): the positive part of the maps' sum, weighted by their mean gradients."""
    weights = layout.maps(at_least_float32(gradient)).mean((2, 3))
    return torch.einsum("nc,nchw->nhw", weights, layout.maps(at_least_float32(output.detach()))).relu()


def keeper(name: str, outputs: dict[str, Tensor]) -> Callable[[nn.Module, object, Tensor], None]:
    """Return a forward hook that keeps a module's output under a name."""

    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        outputs[name] = output

    return keep
