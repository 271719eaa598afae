"""Does each block change its features so that the loss falls? Iterative refinement, block by block, for one image.

Greff et al. 2017 (https://arxiv.org/abs/1612.07771) view the blocks of one stage as steps that refine the same features.
Jastrzebski et al. 2018 (https://arxiv.org/abs/1710.04773, section 3) write the loss after a step as

    L(h + F(h)) = L(h) + <F(h), dL/dh> + O(|F|^2)

so a block that reduces the loss has an F(x) that points along -dL/dh. The cosine between the two is measured at the input x of
the block and at its sum x + F(x). The loss after each block is measured with all later branches removed (the logit lens).
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from resnet_viz.analyses.ablation import is_removable
from resnet_viz.analyses.activations import at_least_float32
from resnet_viz.analyses.capture import Tape, recording
from resnet_viz.analyses.deletions import logits_with
from resnet_viz.analyses.objectives import Objective
from resnet_viz.nets.blocks import ShortcutKind
from resnet_viz.nets.net import Net, WeightsOrigin, check_net
from resnet_viz.progress import OnProgress


@dataclass(frozen=True)
class BlockStep:
    """One block as a step of refinement; NaN for values that the block does not have.

    `cosine_input` is cos(F(x), -dL/dx) with the gradient at the input of the block, which requires F(x) to have the shape of x;
    `cosine_sum` is the same with the gradient at the sum. `ratio` is |F(x)| / |identity|. `expected` is <F(x), dL/d sum>, the
    first-order change of the loss, and `loss` is the loss after the block. A plain block has only F(x).
    """

    name: str
    stage: int
    shortcut: ShortcutKind
    cosine_input: float
    cosine_sum: float
    ratio: float
    expected: float
    loss: float


@dataclass(frozen=True, eq=False)
class Refinement:
    """Every block as a step, first to last.

    The loss is the cross-entropy of the target; `initial` is the loss before the first block, with all branches removed.
    """

    model: str
    title: str
    weights: WeightsOrigin
    target: int
    target_label: str
    initial: float
    blocks: tuple[BlockStep, ...]

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        return 120 * len(self.blocks)

    @property
    def losses(self) -> tuple[float, ...]:
        """The loss before the first block and after each block."""
        return self.initial, *(block.loss for block in self.blocks)

    def table(self) -> pd.DataFrame:
        """Return one row per block."""
        names = ("name", "stage", "shortcut", "cosine_input", "cosine_sum", "ratio", "expected", "loss")
        rows = [{name: getattr(block, name) for name in names} for block in self.blocks]
        return pd.DataFrame(rows).rename(columns={"name": "block"}).set_index("block")


def refinement(
    net: Net, image: Image.Image, target: int | str | None = None, *, on_pass: OnProgress | None = None
) -> Refinement:
    """Compare every residual with the gradient of the loss, and measure the loss after each block.

    The loss is the cross-entropy of the target, by default the predicted class: pass the true class if you know it. The cost is
    one forward and one backward pass, and one forward pass per block, several together. `on_pass(done, total)` is called after
    each of these; an exception that it raises cancels. Raises ValueError for a class that the network does not have.
    """
    check_net(net)
    chosen = None if target is None else net.class_index(target)
    x = net.preprocess(image)
    with torch.inference_mode(mode=False), torch.enable_grad(), recording(net) as (run, tapes):
        logits: Tensor = run(x.detach().requires_grad_())
        index = int(logits[0].argmax()) if chosen is None else chosen
        loss = Objective("cross-entropy", index, head=net.head)(logits).sum()
        found = iter(
            torch.autograd.grad(loss, [tensor for tape in tapes for tensor in (tape.input, tape.sum)], materialize_grads=True)
        )
    gradients = [(next(found), next(found)) for _ in tapes]
    losses = losses_after_blocks(net, x, index, on_pass)
    blocks = tuple(_step(tape, *pair, after) for tape, pair, after in zip(tapes, gradients, losses[1:], strict=True))
    return Refinement(net.name, net.title, net.weights, index, net.labels[index], losses[0], blocks)


def losses_after_blocks(net: Net, x: Tensor, target: int, on_pass: OnProgress | None = None) -> list[float]:
    """The loss before the first block and after each, without later branches. Plain blocks that change shapes still run."""
    names = list(net.blocks)
    stays = torch.tensor([not is_removable(block) for block in net.blocks.values()], device="cpu")
    kept = torch.ones(len(names) + 1, len(names), dtype=torch.bool, device="cpu").tril(-1) | stays
    logits = torch.from_numpy(logits_with(net, x, kept, on_pass))
    losses: list[float] = Objective("cross-entropy", target, head=net.head)(logits).tolist()
    return losses


def _step(tape: Tape, at_input: Tensor, at_sum: Tensor, loss: float) -> BlockStep:
    plain, residual = tape.identity is None, _flat(tape.residual)
    same_shape = tape.input.shape == tape.residual.shape
    return BlockStep(
        name=tape.name,
        stage=tape.stage,
        shortcut=tape.shortcut,
        cosine_input=_cosine(residual, -_flat(at_input)) if same_shape and not plain else math.nan,
        cosine_sum=math.nan if plain else _cosine(residual, -_flat(at_sum)),
        ratio=math.nan if tape.identity is None else float(residual.norm() / _flat(tape.identity).norm()),
        expected=math.nan if plain else float(residual @ _flat(at_sum)),
        loss=loss,
    )


def _flat(tensor: Tensor) -> Tensor:
    return at_least_float32(tensor.detach()).flatten()


def _cosine(one: Tensor, other: Tensor) -> float:
    """The cosine; NaN if either tensor is 0."""
    size = float(one.norm() * other.norm())
    return float(np.clip(float(one @ other) / size, -1, 1)) if size > 0 else math.nan
