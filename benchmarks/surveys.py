"""The cost of a survey of many images, relative to the bare batched passes, with decoding and preprocessing included."""

import torch
from torch import Tensor

from benchmarks.contest import Contestant, Work
from benchmarks.subjects import ExampleRun, jpeg_file
from benchmarks.workloads import BEST_BATCH
from resnet_viz.analyses.survey.running import survey

LIMIT = 1.10
IMAGES, WIDTH = 64, 320


def survey_work(subject: ExampleRun, images: int = IMAGES) -> Work:
    """Every measure of every block for JPEG files, relative to the passes alone, which start from ready tensors."""
    files = [jpeg_file(WIDTH, seed) for seed in range(images)]
    inputs = subject.x.repeat(BEST_BATCH, 1, 1, 1)
    return Work(
        name=f"survey, {subject.net.title}",
        meaning=(
            f"Every measure of every block of a {subject.net.title} for {images} JPEG files of {WIDTH}x{WIDTH} pixels, and the"
            " nine strongest images of each channel (`survey`, with decoding and preprocessing), relative to forward and"
            f" backward passes of torchvision's network from ready tensors, {BEST_BATCH} images per pass."
        ),
        limit=LIMIT,
        bare=Contestant("bare passes", "gradients at the inputs", lambda: _passes(subject, inputs, images)),
        ours=Contestant("ResNet Viz", "all measures, strongest images", lambda: survey(subject.net, files)),
        peers=(),
    )


def _passes(subject: ExampleRun, inputs: Tensor, images: int) -> list[Tensor]:
    found = []
    for _ in range(images // BEST_BATCH):
        x = inputs.detach().requires_grad_()
        found.append(torch.autograd.grad(subject.stock(x).amax(1).sum(), x)[0])
    return found
