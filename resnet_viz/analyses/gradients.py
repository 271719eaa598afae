"""How does the gradient reach each block and each parameter? One forward and one backward pass.

At a block's input, the gradient is the sum of the gradient through the shortcut and the gradient through the residual branch
(He et al. 2016, https://arxiv.org/abs/1603.05027, equation 5). At F(x), at the shortcut's end and at the sum it is the same
tensor, which is why the gradients are measured at the input.
"""

import math
from dataclasses import asdict, dataclass

import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn

from resnet_viz.analyses.activations import at_least_float32
from resnet_viz.analyses.capture import Tape, capture
from resnet_viz.analyses.objectives import Objective, ObjectiveKind
from resnet_viz.display import InNotebooks
from resnet_viz.nets.blocks import ShortcutKind
from resnet_viz.nets.net import Net, WeightsOrigin, check_net
from resnet_viz.nets.parts import parts_of

# The names of the fields of BlockGradients in tables.
SHARED_NAMES = {
    "name": "block",
    "kind": "shortcut",
    "shortcut": "grad_identity_norm",
    "branch": "grad_residual_norm",
    "total": "grad_input_norm",
    "share": "shortcut_share",
}


@dataclass(frozen=True)
class BlockGradients:
    """The gradient at one block's input; norms are L2, in units of the objective per unit of x.

    `angle` in degrees between the two parts; `share` is the shortcut's, |g shortcut| / (|g shortcut| + |g F|); `error` is the
    largest entry of |g shortcut + g F - g|. For a plain block, `shortcut`, `angle` and `share` are NaN.
    """

    name: str
    stage: int
    kind: ShortcutKind
    shortcut: float
    branch: float
    total: float
    angle: float
    share: float
    error: float


@dataclass(frozen=True, eq=False, repr=False)
class Gradients(InNotebooks):
    """The gradients of one objective: per block, and per parameter in a table with one row each.

    `parameters` has the columns block ("stem", a block's name, "before" a block's name for layers between two blocks, or
    "head"), parameter, norm (L2), size (number of elements) and layer (the class of the layer that owns it). Parameters that
    the network does not use have no row. `versus_label` is the other class of a logit difference, "" for other objectives.
    """

    model: str
    title: str
    weights: WeightsOrigin
    objective: Objective
    target_label: str
    value: float
    blocks: tuple[BlockGradients, ...]
    parameters: pd.DataFrame
    versus_label: str = ""

    @property
    def objective_name(self) -> str:
        """The objective with its classes: "cat's logit", "cat's logit − dog's logit"."""
        if self.versus_label:
            return f"{self.target_label}'s logit − {self.versus_label}'s logit"
        return f"{self.target_label}'s {self.objective.kind}"

    @property
    def nbytes(self) -> int:
        """Approximate memory in bytes."""
        return int(self.parameters.memory_usage().sum()) + 100 * len(self.blocks)

    def table(self) -> pd.DataFrame:
        """Return one row per block; columns that `Inspection.table` has too have the same names."""
        rows = [asdict(block) | {"residual_share": 1 - block.share} for block in self.blocks]
        return pd.DataFrame(rows).rename(columns=SHARED_NAMES).set_index("block")


def gradients(
    net: Net,
    image: Image.Image,
    target: int | str | None = None,
    objective: ObjectiveKind = "logit",
    versus: int | str | None = None,
) -> Gradients:
    """Differentiate an objective of a class, by default the predicted one, at every block's input and every parameter.

    `versus` is the other class of a logit difference, by default the most probable other one. ValueError for an unknown class
    or objective, for `versus` with another objective, and for a logit difference of a network with a single logit.
    """
    check_net(net)
    twin = net.twin()
    parameters = _own_parameters(twin)
    with torch.inference_mode(mode=False), torch.enable_grad(), capture(twin) as tapes:
        logits: Tensor = twin(net.preprocess(image).requires_grad_())
        chosen = _objective(net, logits.detach()[0], target, objective, versus)
        value = chosen(logits)
        forks = [tape.to_shortcut for tape in tapes if tape.to_shortcut is not None]
        wanted = [*forks, *(tape.to_branch for tape in tapes), *(tape.input for tape in tapes), *parameters.values()]
        # Some networks have parameters that they do not use in evaluation mode.
        found = iter(torch.autograd.grad(value.sum(), wanted, allow_unused=True))
    at_shortcut = [None if tape.to_shortcut is None else next(found) for tape in tapes]
    at_branch = [next(found) for _ in tapes]
    at_input = [next(found) for _ in tapes]
    blocks = tuple(map(_block, tapes, at_shortcut, at_branch, at_input))
    parts = parts_of(net.module)
    slopes = {name: next(found) for name in parameters}
    rows = [
        _row(name, slope, parts.get(name, "")) | {"layer": type(twin.get_submodule(name.rpartition(".")[0])).__name__}
        for name, slope in slopes.items()
        if slope is not None
    ]
    label, versus_label = net.labels[chosen.target], "" if chosen.versus is None else net.labels[chosen.versus]
    return Gradients(net.name, net.title, net.weights, chosen, label, value.item(), blocks, pd.DataFrame(rows), versus_label)


def _own_parameters(twin: nn.Module) -> dict[str, nn.Parameter]:
    """Give the twin parameters of its own that share the memory of the weights, so that the originals get no gradients.

    A parameter that several layers use stays a single one, under its first name.
    """
    own = {id(parameter): nn.Parameter(parameter.detach()) for parameter in twin.parameters()}
    for module in twin.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, own[id(parameter)])
    return dict(twin.named_parameters())


def _objective(net: Net, logits: Tensor, target: int | str | None, kind: ObjectiveKind, versus: int | str | None) -> Objective:
    index = int(logits.argmax()) if target is None else net.class_index(target)
    if kind != "logit difference":
        if versus is not None:
            raise ValueError(
                f"versus={versus!r} is the other class of a logit difference, and the objective is {kind!r}. Choose the"
                " objective 'logit difference', or leave `versus` out"
            )
        return Objective(kind, index, head=net.head)
    if len(logits) < 2:
        raise ValueError(f"a logit difference needs two classes, but {net.title} has only one. Use the objective 'logit'")
    likeliest = next(other for other in logits.argsort(descending=True).tolist() if other != index)
    return Objective(kind, index, likeliest if versus is None else net.class_index(versus), net.head)


def _block(tape: Tape, shortcut: Tensor | None, branch: Tensor, total: Tensor) -> BlockGradients:
    branch_norm, total_norm = _norm(branch), _norm(total)
    if shortcut is None:
        error = (branch - total).abs().max().item()
        nan = math.nan
        return BlockGradients(tape.name, tape.stage, tape.shortcut, nan, branch_norm, total_norm, nan, nan, error)
    shortcut_norm, both = _norm(shortcut), _norm(shortcut) + branch_norm
    product = shortcut_norm * branch_norm
    both_ways = torch.dot(at_least_float32(shortcut).flatten(), at_least_float32(branch).flatten()).item()
    cosine = both_ways / product if product else math.nan
    return BlockGradients(
        name=tape.name,
        stage=tape.stage,
        kind=tape.shortcut,
        shortcut=shortcut_norm,
        branch=branch_norm,
        total=total_norm,
        angle=math.degrees(math.acos(max(-1.0, min(1.0, cosine)))) if product else math.nan,
        share=shortcut_norm / both if both else math.nan,
        error=(shortcut + branch - total).abs().max().item(),
    )


def _row(name: str, gradient: Tensor, part: str) -> dict[str, object]:
    parameter = name if part in ("stem", "head") else name.removeprefix(f"{part}.")
    return {"block": part, "parameter": parameter, "norm": _norm(gradient), "size": gradient.numel()}


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(at_least_float32(tensor)).item())
