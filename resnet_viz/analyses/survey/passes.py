"""One pass of a survey: a batch of inputs forwards and backwards through the network, and everything that is recorded."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.capture import recording
from resnet_viz.analyses.survey.manifest import SurveyedBlock
from resnet_viz.analyses.survey.measuring import Meter, sources
from resnet_viz.analyses.survey.peaks import PeakKeeper
from resnet_viz.nets.blocks import ResidualBlock
from resnet_viz.nets.costs import count_parameters
from resnet_viz.nets.layouts import CHANNELS_FIRST
from resnet_viz.nets.net import Net
from resnet_viz.nets.residual_graph.network import findings_of


@dataclass(frozen=True, eq=False)
class Passed:
    """The predictions for a batch, (N,) each, and its measures, (N, blocks, measures).

    `predicted` is -1 where the network returns NaN or infinite numbers, from which no class follows.
    """

    predicted: NDArray[np.int64]
    logits: Array
    probabilities: Array
    measures: Array


def run_pass(net: Net, x: Tensor, keeper: PeakKeeper | None, positions: Sequence[int]) -> Passed:
    """Measure every block for the inputs (N, 3, H, W), with gradients of the predicted class of each.

    `keeper` receives the block outputs of the inputs at these `positions`.
    """
    meter = Meter()
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        recording(net, on_block=lambda *_: meter.add(tapes.pop())) as (run, tapes),
    ):
        # A tensor made under inference_mode takes no gradient; its copy does.
        logits = run((x.clone() if x.is_inference() else x).to(net.device).requires_grad_())
        best = logits.detach().argmax(1)
        torch.autograd.grad(logits.gather(1, best[:, None]).sum(), sources(meter.inputs), materialize_grads=True)
    detached = logits.detach()
    chosen = detached.gather(1, best[:, None])[:, 0].float().cpu().numpy()
    shares = net.probabilities(detached).gather(1, best[:, None])[:, 0].cpu().numpy()
    valid = np.isfinite(chosen) & np.isfinite(shares)
    if keeper is not None:
        outputs = meter.outputs if valid.all() else [output[torch.from_numpy(valid)] for output in meter.outputs]
        keeper.see(outputs, np.asarray(positions)[valid])
    return Passed(np.where(valid, best.cpu().numpy(), -1), chosen, shares, meter.measures())


def block_facts(net: Net, size: tuple[int, int]) -> tuple[SurveyedBlock, ...]:
    """Find the properties that are the same for every image of this size in pixels, (height, width).

    The network was opened with images of one size; other sizes, and layouts other than maps, take one forward pass.
    """
    blocks = net.blocks.values()
    if findings_of(net.module).image_shape[1:] == size and all(block.layout == CHANNELS_FIRST for block in blocks):
        return tuple(_facts(block, block.facts.shape) for block in blocks)
    with recording(net) as (run, tapes), torch.inference_mode():
        run(torch.zeros(1, 3, *size, dtype=torch.float32, device=net.device))
    return tuple(_facts(tape.block, tape.layout.maps(tape.output).shape[1:]) for tape in tapes)


def _facts(block: ResidualBlock, shape: Sequence[int]) -> SurveyedBlock:
    channels, height, width = map(int, shape)
    multiply_adds = block.facts.multiply_adds
    return SurveyedBlock(
        block.name, block.stage, block.shortcut_kind, (channels, height, width), count_parameters(block), multiply_adds
    )
