"""The same work, or as much of it as they offer, in other libraries, each through its own public interface.

The peers work on torchvision's network, as their users do, and get a ready tensor and the class; only ours includes
preprocessing.
"""

import torchlens
from captum.attr import IntegratedGradients, LayerActivation, LayerConductance, LayerGradCam
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn, no_grad, zeros
from torchcam.methods import GradCAM as TorchcamGradCAM
from torchlens.backends.torch.wrappers import wrap_torch

from benchmarks.subjects import ExampleRun


def torchlens_wrap() -> None:
    """Let TorchLens wrap torch's functions and do its one-time work."""
    wrap_torch()
    torchlens.trace(nn.ReLU(), zeros(1))


def torchlens_trace(subject: ExampleRun) -> object:
    """Log every operation."""
    with no_grad():
        return torchlens.trace(subject.stock, subject.x)


def torchlens_extract(subject: ExampleRun) -> object:
    """Save the places of the four tensors; "iadd" is torchvision's addition, which is not a module."""
    with no_grad():
        return torchlens.extract(subject.stock, subject.x, [*_places(subject), "iadd"])


def captum_activations_at_once(subject: ExampleRun) -> object:
    """Pass captum every place in a list."""
    with no_grad():
        return LayerActivation(subject.stock, list(_places(subject).values())).attribute(subject.x)


def captum_activations_in_a_loop(subject: ExampleRun) -> object:
    """Call captum for one place after the other."""
    with no_grad():
        return [LayerActivation(subject.stock, place).attribute(subject.x) for place in _places(subject).values()]


def captum_grad_cam_in_a_loop(subject: ExampleRun) -> object:
    """Call captum for one block's Grad-CAM after the other."""
    x = _input(subject)
    return [
        LayerGradCam(subject.stock, block).attribute(x, target=subject.target, relu_attributions=True)
        for block in subject.stock_blocks.values()
    ]


def grad_cam_in_a_loop(subject: ExampleRun) -> object:
    """Call pytorch-grad-cam for one block's Grad-CAM after the other."""
    return [_grad_cam(subject, [block]) for block in subject.stock_blocks.values()]


def grad_cam_at_once(subject: ExampleRun) -> object:
    """Pass pytorch-grad-cam every block as a target layer."""
    return _grad_cam(subject, list(subject.stock_blocks.values()))


def torchcam_at_once(subject: ExampleRun) -> object:
    """Pass torchcam every block as a target layer."""
    with TorchcamGradCAM(subject.stock, list(subject.stock_blocks)) as extractor:
        scores = subject.stock(_input(subject))
        return extractor(subject.target, scores, normalized=False)


def captum_path(subject: ExampleRun, steps: int, batch: int | None = None) -> object:
    """Call captum for integrated gradients, by default with all steps in one pass."""
    method = IntegratedGradients(subject.stock)
    return method.attribute(subject.x, target=subject.target, n_steps=steps, internal_batch_size=batch)


def captum_conductance_in_a_loop(subject: ExampleRun, steps: int) -> object:
    """Call captum for one block's conductance after the other."""
    return [
        LayerConductance(subject.stock, block).attribute(subject.x, target=subject.target, n_steps=steps)
        for block in subject.stock_blocks.values()
    ]


def _grad_cam(subject: ExampleRun, blocks: list[nn.Module]) -> object:
    with GradCAM(model=subject.stock, target_layers=blocks) as cam:
        return cam(_input(subject), targets=[ClassifierOutputTarget(subject.target)])


def _input(subject: ExampleRun) -> Tensor:
    # The weights are frozen: only the input requires a gradient, which costs less than the gradients of all weights.
    return subject.x.detach().requires_grad_()


def _places(subject: ExampleRun) -> dict[str, nn.Module]:
    """The modules of torchvision's network with a residual, an output or a projected identity as their output."""
    places: dict[str, nn.Module] = {}
    for name, block in subject.stock_blocks.items():
        wanted = {f"{name}.bn3": block.bn3, f"{name}.downsample": block.downsample, name: block}
        places |= {place: module for place, module in wanted.items() if isinstance(module, nn.Module)}
    return places
