"""The works that are timed: the bare pass, our analysis, and the same from the peers."""

import copy
from dataclasses import replace

import torch
from torch import Tensor
from torchlens.backends.torch.wrappers import unwrap_torch

from benchmarks import peers
from benchmarks.contest import Contestant, Work
from benchmarks.subjects import ExampleRun
from resnet_viz.analyses.ablation import Ablation, ablate, sweep
from resnet_viz.analyses.activations import activations
from resnet_viz.analyses.attribution import attribute
from resnet_viz.analyses.cams import block_cams
from resnet_viz.analyses.capture import Tape, recording
from resnet_viz.analyses.conductance import conductance
from resnet_viz.analyses.inspection import inspect

CAPTURE_LIMIT, INSPECT_LIMIT, PATH_LIMIT, CONDUCTANCE_LIMIT, CAMS_LIMIT = 1.08, 1.15, 1.05, 1.15, 1.1
ABLATION_LIMITS = {"resnet18": 3.3, "resnet50": 7.4}
# A pass of 8 images takes the least time per image on the CPUs that were measured.
BEST_BATCH, PATH_STEPS, CONDUCTANCE_STEPS = 8, 32, 16
SELDOM = 10


def capture_work(subject: ExampleRun) -> Work:
    """Identity, residual, sum and output of all 16 blocks."""
    return Work(
        name="capture",
        meaning=(
            "The four tensors of every block of a ResNet-50 (`recording`), relative to one forward pass of"
            " torchvision's network. All start from a ready tensor, without gradients; `activations` starts from the image."
        ),
        limit=CAPTURE_LIMIT,
        bare=Contestant("bare forward", "logits", lambda: forward(subject)),
        ours=Contestant("ResNet Viz", "identity, residual, sum, output of 16 blocks", lambda: captured(subject)),
        peers=(
            Contestant("ResNet Viz, from the image", "the same, as arrays", lambda: activations(subject.net, subject.image)),
            *_capture_peers(subject),
        ),
    )


def inspect_work(subject: ExampleRun) -> Work:
    """Capture, gradients at both ends of every fork, every block's Grad-CAM, all measures."""
    return Work(
        name="inspect",
        meaning=(
            "Everything that the first page shows of a ResNet-50 (`inspect`): the four tensors, the gradient at each block's"
            " input (through the shortcut, through F, and their sum), Grad-CAM of every block, the predictions and every"
            " measure. The reference is one forward pass and one backward pass, from the top logit to the input, of"
            " torchvision's network with frozen weights."
        ),
        limit=INSPECT_LIMIT,
        bare=Contestant("bare forward and backward", "gradient at the input", lambda: forward_backward(subject)),
        ours=Contestant(
            "ResNet Viz", "tensors, gradients, Grad-CAMs and measures of 16 blocks", lambda: inspect(subject.net, subject.image)
        ),
        peers=_inspect_peers(subject),
    )


def path_work(subject: ExampleRun) -> Work:
    """Integrated gradients of 32 steps."""
    return Work(
        name="integrated gradients",
        meaning=(
            f"{PATH_STEPS} steps with a ResNet-50 (`attribute`, from the image, with logit(image) - logit(baseline) and the"
            f" convergence delta), relative to the same number of forward and backward passes of torchvision's network,"
            f" {BEST_BATCH} images per pass."
        ),
        limit=PATH_LIMIT,
        bare=Contestant("bare sweep", "gradients at the points", lambda: gradients_at(subject, PATH_STEPS)),
        ours=Contestant(
            "ResNet Viz",
            "attributions and convergence delta",
            lambda: attribute(subject.net, subject.image, target=subject.target),
        ),
        peers=(
            Contestant("captum, default", "attributions", lambda: peers.captum_path(subject, PATH_STEPS), every=2),
            Contestant(
                "captum, with a given batch size",
                "attributions",
                lambda: peers.captum_path(subject, PATH_STEPS, BEST_BATCH),
                every=2,
            ),
        ),
    )


def conductance_work(subject: ExampleRun) -> Work:
    """Conductance of all blocks of a ResNet-18."""
    points = CONDUCTANCE_STEPS + 1
    return Work(
        name="conductance",
        meaning=(
            f"All 8 blocks of a ResNet-18, {CONDUCTANCE_STEPS} steps, the total and both shares (`conductance`), relative to"
            f" forward and backward passes of torchvision's network at the same number of points, {BEST_BATCH} images per pass."
        ),
        limit=CONDUCTANCE_LIMIT,
        bare=Contestant("bare sweep", "gradients at the points", lambda: gradients_at(subject, points)),
        ours=Contestant(
            "ResNet Viz",
            "totals and shares of 8 blocks",
            lambda: conductance(subject.net, subject.image, subject.target, CONDUCTANCE_STEPS),
        ),
        peers=(
            Contestant(
                "captum LayerConductance, loop",
                "totals of 8 blocks",
                lambda: peers.captum_conductance_in_a_loop(subject, CONDUCTANCE_STEPS),
                every=SELDOM,
            ),
        ),
    )


def cams_work(subject: ExampleRun) -> Work:
    """Every block's Grad-CAM."""
    return Work(
        name="block CAMs",
        meaning=(
            "Grad-CAM at the output of all 16 blocks of a ResNet-50 (`block_cams`, from the image), relative to one forward and"
            " one backward pass of torchvision's network."
        ),
        limit=CAMS_LIMIT,
        bare=Contestant("bare forward and backward", "gradient at the input", lambda: forward_backward(subject)),
        ours=Contestant("ResNet Viz", "16 Grad-CAMs", lambda: block_cams(subject.net, subject.image)),
        peers=_inspect_peers(subject),
    )


def ablation_work(subject: ExampleRun) -> Work:
    """Every block's residual branch removed in turn."""
    count, limit = len(subject.net.blocks), ABLATION_LIMITS[subject.net.name]
    return Work(
        name=f"ablation sweep, {subject.net.title}",
        meaning=(
            f"The logits without each of the {count} blocks of a {subject.net.title} (`sweep`, from the image), relative to one"
            " forward pass of torchvision's network."
        ),
        limit=limit,
        bare=Contestant("bare forward", "logits", lambda: forward(subject)),
        ours=Contestant("ResNet Viz", f"logits without each of {count} blocks", lambda: sweep(subject.net, subject.image)),
        peers=(Contestant("ResNet Viz, `ablate` in a loop", "the same", lambda: _ablate_in_a_loop(subject), every=SELDOM),),
    )


def _ablate_in_a_loop(subject: ExampleRun) -> list[Ablation]:
    return [ablate(subject.net, subject.image, {name: 0.0}) for name in subject.net.blocks]


def captured(subject: ExampleRun) -> list[Tape]:
    """The four tensors of every block."""
    with recording(subject.net) as (run, tapes), torch.inference_mode():
        run(subject.x)
    return tapes


def _capture_peers(subject: ExampleRun) -> tuple[Contestant, ...]:
    # TorchLens leaves marks on a model and wrappers on torch, which must not slow the others.
    marked = replace(subject, stock=copy.deepcopy(subject.stock))
    return (
        Contestant(
            "TorchLens, named layers",
            "all four tensors as copies, with the metadata of each operation",
            lambda: peers.torchlens_extract(marked),
            every=SELDOM,
            set_up=peers.torchlens_wrap,
            clean_up=unwrap_torch,
        ),
        Contestant(
            "TorchLens, all layers",
            "the output of every operation as a copy, with metadata",
            lambda: peers.torchlens_trace(marked),
            every=SELDOM,
            set_up=peers.torchlens_wrap,
            clean_up=unwrap_torch,
        ),
        Contestant(
            "captum LayerActivation, one call",
            "residual, output and projection shortcuts, but not the sum, which no module computes",
            lambda: peers.captum_activations_at_once(subject),
            every=2,
        ),
        Contestant(
            "captum LayerActivation, loop",
            "the same, with one forward pass per layer",
            lambda: peers.captum_activations_in_a_loop(subject),
            every=SELDOM,
        ),
    )


def _inspect_peers(subject: ExampleRun) -> tuple[Contestant, ...]:
    return (
        Contestant(
            "torchcam GradCAM, one pass",
            "16 Grad-CAMs only, for a given class",
            lambda: peers.torchcam_at_once(subject),
        ),
        Contestant(
            "pytorch-grad-cam, one call",
            "only the mean of 16 scaled Grad-CAMs",
            lambda: peers.grad_cam_at_once(subject),
            every=2,
        ),
        Contestant(
            "captum LayerGradCam, loop",
            "16 Grad-CAMs only, for a given class",
            lambda: peers.captum_grad_cam_in_a_loop(subject),
            every=SELDOM,
        ),
        Contestant(
            "pytorch-grad-cam, loop",
            "16 Grad-CAMs only, each scaled to 0..1 and to 224x224 pixels",
            lambda: peers.grad_cam_in_a_loop(subject),
            every=SELDOM,
        ),
    )


def forward(subject: ExampleRun) -> Tensor:
    """The bare logits."""
    with torch.no_grad():
        logits: Tensor = subject.stock(subject.x)
    return logits


def forward_backward(subject: ExampleRun) -> Tensor:
    """The bare gradient of the largest logit at the input."""
    x = subject.x.detach().requires_grad_()
    return torch.autograd.grad(subject.stock(x).max(), x)[0]


def gradients_at(subject: ExampleRun, points: int) -> list[Tensor]:
    """Bare gradients of the target logit at this number of points, with the fastest batch size."""
    found = []
    for start in range(0, points, BEST_BATCH):
        x = subject.x.repeat(min(BEST_BATCH, points - start), 1, 1, 1).requires_grad_()
        found.append(torch.autograd.grad(subject.stock(x)[:, subject.target].sum(), x)[0])
    return found
