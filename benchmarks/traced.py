"""What it costs that blocks are found in a graph: the forward pass of the traced network beside that of the network itself."""

import torch
from torch import Tensor

from benchmarks.contest import Contestant, Work
from benchmarks.subjects import ExampleRun
from benchmarks.workloads import CAPTURE_LIMIT, INSPECT_LIMIT, captured, forward, forward_backward
from resnet_viz.analyses.inspection import inspect

FORWARD_LIMIT = 1.02


def traced_works(subject: ExampleRun) -> tuple[Work, ...]:
    """The forward pass, and what the first page needs, of a network that was opened from its graph."""
    return _forward_work(subject), _capture_work(subject), _inspect_work(subject)


def _forward_work(subject: ExampleRun) -> Work:
    title = subject.net.title
    return Work(
        name=f"traced forward, {title}",
        meaning=(
            f"One forward pass of a {title} whose blocks were found in its graph, with their places and without a hook,"
            " relative to one of the network as its package builds it."
        ),
        limit=FORWARD_LIMIT,
        bare=Contestant("eager forward", "logits", lambda: forward(subject)),
        ours=Contestant("ResNet Viz", "the same logits", lambda: _traced_forward(subject)),
        peers=(),
    )


def _capture_work(subject: ExampleRun) -> Work:
    title, count = subject.net.title, len(subject.net.blocks)
    return Work(
        name=f"capture, {title}",
        meaning=f"The four tensors of each of the {count} blocks of a {title}, relative to one forward pass.",
        limit=CAPTURE_LIMIT,
        bare=Contestant("bare forward", "logits", lambda: forward(subject)),
        ours=Contestant("ResNet Viz", f"identity, residual, sum, output of {count} blocks", lambda: captured(subject)),
        peers=(),
    )


def _inspect_work(subject: ExampleRun) -> Work:
    title, count = subject.net.title, len(subject.net.blocks)
    return Work(
        name=f"inspect, {title}",
        meaning=f"Everything that the first page shows of a {title}, relative to one forward pass and one backward pass.",
        limit=INSPECT_LIMIT,
        bare=Contestant("bare forward and backward", "gradient at the input", lambda: forward_backward(subject)),
        ours=Contestant(
            "ResNet Viz",
            f"tensors, gradients, Grad-CAMs and measures of {count} blocks",
            lambda: inspect(subject.net, subject.image),
        ),
        peers=(),
    )


def _traced_forward(subject: ExampleRun) -> Tensor:
    with torch.no_grad():
        logits: Tensor = subject.net.module(subject.x)
    return logits
