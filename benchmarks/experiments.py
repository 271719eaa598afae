"""The cost of the experiments of the literature, relative to one forward and one backward pass of torchvision's network."""

import torch

from benchmarks.contest import Contestant, Work
from benchmarks.subjects import ExampleRun
from benchmarks.workloads import BEST_BATCH, SELDOM, forward_backward, gradients_at
from resnet_viz.analyses.path_gradients import SAMPLES, path_gradients, path_samples
from resnet_viz.analyses.receptive_field import PROBES, receptive_fields
from resnet_viz.analyses.refinement import refinement
from resnet_viz.lessons.loss_landscape import POINTS as SIDE
from resnet_viz.lessons.loss_landscape import loss_landscape
from resnet_viz.lessons.shattered_gradients import POINTS, shattered_gradients

PATHS_LIMIT, FIELDS_LIMIT, REFINEMENT_LIMIT, SHATTERED_LIMIT, LANDSCAPE_LIMIT = 3.0, 25.0, 5.5, 1.7, 1.4


def experiment_works(subject: ExampleRun) -> list[Work]:
    """Every experiment on one network and one image."""
    return [
        _paths(subject),
        _fields(subject),
        _refinement(subject),
        _shattered(subject),
        _landscape(subject),
    ]


def _paths(subject: ExampleRun) -> Work:
    net, image, blocks = subject.net, subject.image, len(subject.net.blocks)
    return Work(
        name="path gradients",
        meaning=(
            f"The gradient at the first block of a {net.title} by the number of residual branches that it came through"
            f" (`path_gradients`, from the image): {blocks + 1} coefficients, about {blocks // 2} backward passes. Relative to"
            " one forward and one backward pass."
        ),
        limit=PATHS_LIMIT,
        bare=_bare(subject),
        ours=Contestant("ResNet Viz", f"{blocks + 1} coefficients, exactly", lambda: path_gradients(net, image)),
        peers=(
            Contestant(
                "ResNet Viz, `path_samples`",
                f"{SAMPLES} random paths of each length, as Veit et al. 2016",
                lambda: path_samples(net, image),
                every=SELDOM,
            ),
        ),
    )


def _fields(subject: ExampleRun) -> Work:
    net, image = subject.net, subject.image
    return Work(
        name="receptive fields",
        meaning=(
            f"The receptive fields of all {len(net.blocks)} blocks of a {net.title}, theoretical and effective, with {PROBES}"
            " probes each, through all paths and along the shortcuts alone (`receptive_fields`, from the image)."
        ),
        limit=FIELDS_LIMIT,
        bare=_bare(subject),
        ours=Contestant("ResNet Viz", f"2 maps of {len(net.blocks)} blocks", lambda: receptive_fields(net, image)),
        peers=(),
    )


def _refinement(subject: ExampleRun) -> Work:
    net, image = subject.net, subject.image
    return Work(
        name="refinement",
        meaning=(
            f"Cosines of every residual with the gradient of the loss, and the loss after each of {len(net.blocks)} blocks of a"
            f" {net.title} (`refinement`, from the image): a forward and a backward pass, and a forward pass per block."
        ),
        limit=REFINEMENT_LIMIT,
        bare=_bare(subject),
        ours=Contestant("ResNet Viz", f"cosines and losses of {len(net.blocks)} blocks", lambda: refinement(net, image)),
        peers=(),
    )


def _shattered(subject: ExampleRun) -> Work:
    net, image = subject.net, subject.image
    return Work(
        name="shattered gradients",
        meaning=(
            f"The autocorrelation of gradients at {POINTS} images on a line (`shattered_gradients`, from the image, batch norms"
            f" measured first), relative to forward and backward passes of as many images, {BEST_BATCH} per pass."
        ),
        limit=SHATTERED_LIMIT,
        bare=Contestant("bare sweep", "gradients at the points", lambda: gradients_at(subject, POINTS)),
        ours=Contestant("ResNet Viz", "autocorrelation", lambda: shattered_gradients(net, image)),
        peers=(),
    )


def _landscape(subject: ExampleRun) -> Work:
    net, image = subject.net, subject.image
    return Work(
        name="loss landscape",
        meaning=(
            f"The loss of one image at {SIDE} x {SIDE} points around the weights of a {net.title} (`loss_landscape`, from the"
            " image; at every point all weights move), relative to as many forward passes."
        ),
        limit=LANDSCAPE_LIMIT,
        bare=Contestant("bare forward passes", "logits", lambda: _forwards(subject)),
        ours=Contestant("ResNet Viz", f"{SIDE * SIDE} losses", lambda: loss_landscape(net, image)),
        peers=(),
    )


def _bare(subject: ExampleRun) -> Contestant:
    return Contestant("bare forward and backward", "gradient at the input", lambda: forward_backward(subject))


def _forwards(subject: ExampleRun) -> None:
    with torch.inference_mode():
        for _ in range(SIDE * SIDE):
            subject.stock(subject.x)
