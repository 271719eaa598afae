"""The works that are timed: what a bare pass is, what ours does, and what may be asked of the peers."""

import copy
from dataclasses import replace

import torch
from torch import Tensor
from torchlens.backends.torch.wrappers import unwrap_torch

from benchmarks import peers
from benchmarks.contest import Contestant, Work
from benchmarks.subjects import Subject
from resnet_viz.analyses.ablation import Ablation, ablate, sweep
from resnet_viz.analyses.activations import activations
from resnet_viz.analyses.attribution import attribute
from resnet_viz.analyses.cams import block_cams
from resnet_viz.analyses.capture import Tape, capture
from resnet_viz.analyses.conductance import conductance
from resnet_viz.analyses.inspection import inspect

CAPTURE_LIMIT, INSPECT_LIMIT, PATH_LIMIT, CONDUCTANCE_LIMIT, CAMS_LIMIT = 1.08, 1.25, 1.05, 1.15, 1.1
ABLATION_LIMITS = {"resnet18": 3.3, "resnet50": 7.4}
# A pass of 8 pictures takes the least time a picture on the processors that were measured.
BEST_BATCH, PATH_STEPS, CONDUCTANCE_STEPS = 8, 32, 16
SELDOM = 10


def capture_work(subject: Subject) -> Work:
    """Identity, residual, sum and output of all 16 blocks."""
    return Work(
        name="capture",
        meaning=(
            "The four tensors of every block of a ResNet-50 (`capture` on a new twin), over one forward pass of torchvision's"
            " network, all on a ready tensor without gradients; `activations` starts from the picture instead."
        ),
        limit=CAPTURE_LIMIT,
        bare=Contestant("bare forward", "logits", lambda: _forward(subject)),
        ours=Contestant("ResNet Viz", "identity, residual, sum, output of 16 blocks", lambda: _capture(subject)),
        peers=(
            Contestant("ResNet Viz, from the picture", "the same, as arrays", lambda: activations(subject.net, subject.image)),
            *_capture_peers(subject),
        ),
    )


def inspect_work(subject: Subject) -> Work:
    """Capture, gradients at both ends of every fork, every block's Grad-CAM, all measures."""
    return Work(
        name="inspect",
        meaning=(
            "All that the first page shows of a ResNet-50: the four tensors, the gradient at each block's input through the"
            " shortcut, through F and in all, every block's Grad-CAM, predictions and 16 measures a block (`inspect`), over one"
            " forward pass and one backward pass of the top logit to the input of torchvision's network with frozen weights."
        ),
        limit=INSPECT_LIMIT,
        bare=Contestant("bare forward and backward", "gradient at the input", lambda: _forward_backward(subject)),
        ours=Contestant(
            "ResNet Viz", "tensors, gradients, Grad-CAMs and measures of 16 blocks", lambda: inspect(subject.net, subject.image)
        ),
        peers=_inspect_peers(subject),
    )


def path_work(subject: Subject) -> Work:
    """Integrated gradients of 32 steps."""
    return Work(
        name="integrated gradients",
        meaning=(
            f"{PATH_STEPS} steps of a ResNet-50 (`attribute`, from the picture, with F(x) - F(baseline) and the delta), over as"
            f" many forward and backward passes of torchvision's network, {BEST_BATCH} pictures a pass."
        ),
        limit=PATH_LIMIT,
        bare=Contestant("bare sweep", "gradients at the points", lambda: _sweep(subject, PATH_STEPS)),
        ours=Contestant(
            "ResNet Viz", "attributions and delta", lambda: attribute(subject.net, subject.image, target=subject.target)
        ),
        peers=(
            Contestant("captum, default", "attributions", lambda: peers.captum_path(subject, PATH_STEPS), every=2),
            Contestant(
                "captum, the batch given", "attributions", lambda: peers.captum_path(subject, PATH_STEPS, BEST_BATCH), every=2
            ),
        ),
    )


def conductance_work(subject: Subject) -> Work:
    """Conductance of all blocks of a ResNet-18."""
    points = CONDUCTANCE_STEPS + 1
    return Work(
        name="conductance",
        meaning=(
            f"All 8 blocks of a ResNet-18, {CONDUCTANCE_STEPS} steps, total and both shares (`conductance`), over forward and"
            f" backward passes of torchvision's network at as many points, {BEST_BATCH} pictures a pass."
        ),
        limit=CONDUCTANCE_LIMIT,
        bare=Contestant("bare sweep", "gradients at the points", lambda: _sweep(subject, points)),
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


def cams_work(subject: Subject) -> Work:
    """Every block's Grad-CAM."""
    return Work(
        name="block CAMs",
        meaning=(
            "Grad-CAM at the output of all 16 blocks of a ResNet-50 (`block_cams`, from the picture), over one forward and one"
            " backward pass of torchvision's network."
        ),
        limit=CAMS_LIMIT,
        bare=Contestant("bare forward and backward", "gradient at the input", lambda: _forward_backward(subject)),
        ours=Contestant("ResNet Viz", "16 Grad-CAMs", lambda: block_cams(subject.net, subject.image)),
        peers=_inspect_peers(subject),
    )


def ablation_work(subject: Subject) -> Work:
    """Every block's residual branch removed in turn."""
    count, limit = len(subject.net.blocks), ABLATION_LIMITS[subject.net.name]
    return Work(
        name=f"ablation sweep, {subject.net.title}",
        meaning=(
            f"The logits without each of the {count} blocks of a {subject.net.title} (`sweep`, from the picture), over one"
            " forward pass of torchvision's network."
        ),
        limit=limit,
        bare=Contestant("bare forward", "logits", lambda: _forward(subject)),
        ours=Contestant("ResNet Viz", f"logits without each of {count} blocks", lambda: sweep(subject.net, subject.image)),
        peers=(Contestant("ResNet Viz, `ablate` in a loop", "the same", lambda: _ablate_in_a_loop(subject), every=SELDOM),),
    )


def _ablate_in_a_loop(subject: Subject) -> list[Ablation]:
    return [ablate(subject.net, subject.image, {name: 0.0}) for name in subject.net.blocks]


def _capture(subject: Subject) -> list[Tape]:
    twin = subject.net.twin()
    with capture(twin) as tapes, torch.inference_mode():
        twin(subject.x)
    return tapes


def _capture_peers(subject: Subject) -> tuple[Contestant, ...]:
    # TorchLens leaves marks on a model and wrappers on torch: the others must not pay for them.
    marked = replace(subject, stock=copy.deepcopy(subject.stock))
    return (
        Contestant(
            "TorchLens, places named",
            "all four tensors, as copies, with each operation's metadata",
            lambda: peers.torchlens_extract(marked),
            every=SELDOM,
            set_up=peers.torchlens_wrap,
            clean_up=unwrap_torch,
        ),
        Contestant(
            "TorchLens, everything",
            "every operation's output, as copies, with metadata",
            lambda: peers.torchlens_trace(marked),
            every=SELDOM,
            set_up=peers.torchlens_wrap,
            clean_up=unwrap_torch,
        ),
        Contestant(
            "captum LayerActivation, one call",
            "residual, output, projection shortcuts; no sum: no module makes it",
            lambda: peers.captum_activations_at_once(subject),
            every=2,
        ),
        Contestant(
            "captum LayerActivation, loop",
            "the same, a forward pass a place",
            lambda: peers.captum_activations_in_a_loop(subject),
            every=SELDOM,
        ),
    )


def _inspect_peers(subject: Subject) -> tuple[Contestant, ...]:
    return (
        Contestant(
            "torchcam GradCAM, one pass",
            "16 Grad-CAMs only, the class given",
            lambda: peers.torchcam_at_once(subject),
        ),
        Contestant(
            "pytorch-grad-cam, one call",
            "the mean of 16 scaled Grad-CAMs, no single one",
            lambda: peers.grad_cam_at_once(subject),
            every=2,
        ),
        Contestant(
            "captum LayerGradCam, loop",
            "16 Grad-CAMs only, the class given",
            lambda: peers.captum_grad_cam_in_a_loop(subject),
            every=SELDOM,
        ),
        Contestant(
            "pytorch-grad-cam, loop",
            "16 Grad-CAMs only, each scaled to 0..1 and 224x224",
            lambda: peers.grad_cam_in_a_loop(subject),
            every=SELDOM,
        ),
    )


def _forward(subject: Subject) -> Tensor:
    with torch.no_grad():
        logits: Tensor = subject.stock(subject.x)
    return logits


def _forward_backward(subject: Subject) -> Tensor:
    x = subject.x.detach().requires_grad_()
    return torch.autograd.grad(subject.stock(x).max(), x)[0]


def _sweep(subject: Subject, points: int) -> list[Tensor]:
    found = []
    for start in range(0, points, BEST_BATCH):
        x = subject.x.repeat(min(BEST_BATCH, points - start), 1, 1, 1).requires_grad_()
        found.append(torch.autograd.grad(subject.stock(x)[:, subject.target].sum(), x)[0])
    return found
