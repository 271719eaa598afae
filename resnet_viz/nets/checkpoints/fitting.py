"""Whether the layers of a checkpoint fit together: each convolution reads what the one before it returns."""

import re

from resnet_viz.nets.checkpoints.assembly import Plan, TensorShape
from resnet_viz.nets.checkpoints.squeezing import squeezes

SQUEEZE = re.compile(r"[01]\.(weight|bias)")
NORM = ("weight", "bias", "running_mean", "running_var")


def expected_shapes(plan: Plan) -> dict[str, TensorShape]:
    """Return the shape that each tensor of a network has for its layers to fit together, by torchvision's names.

    Where a shape is free, as the width inside of a block is, it is the tensor's own. KeyError names a tensor that is missing.
    """
    found: dict[str, TensorShape] = {}
    channels = plan.channels
    for index, layer in enumerate(plan.stem):
        channels = _convolution(plan, found, layer, channels)
        number = int(layer.rpartition(".")[2]) if "." in layer else 0
        if index < len(plan.stem) - 1:
            _norm(plan, found, f"conv1.{number + 1}", channels)
        elif not plan.preactivation:
            _norm(plan, found, "bn1", channels)
    for stage, count in enumerate(plan.blocks, 1):
        for number in range(count):
            channels = _block(plan, found, f"layer{stage}.{number}", channels, widens=number == 0)
    if plan.preactivation and "bn1.weight" in plan.shapes:
        _norm(plan, found, "bn1", channels)
    if plan.head == ("fc",):
        found |= {"fc.weight": (plan.classes, channels), "fc.bias": (plan.classes,)}
    # Layers of a longer head were taken because they fit.
    head = {name: shape for name, shape in plan.shapes.items() if name.startswith("fc.") and name.count(".") == 2}
    return found | head | _squeezes(plan)


def _squeezes(plan: Plan) -> dict[str, TensorShape]:
    """Return the tensors of squeeze and excitation in the blocks whose two layers fit together."""
    found: dict[str, TensorShape] = {}
    for name, shape in plan.shapes.items():
        block, _, rest = name.partition(".se.")
        if rest == "0.weight" and squeezes(shape, plan.shapes.get(f"{block}.se.1.weight", ())):
            found |= {key: plan.shapes[key] for key in plan.shapes if SQUEEZE.fullmatch(key.removeprefix(f"{block}.se."))}
    return found


def _block(plan: Plan, found: dict[str, TensorShape], name: str, channels: int, *, widens: bool) -> int:
    last = 3 if plan.bottleneck else 2
    projection = f"{name}.downsample.0"
    outputs: int | None = channels
    if f"{projection}.weight" in plan.shapes:
        outputs = plan.shapes[f"{projection}.weight"][0]
    elif widens:
        # Zeros stand in for the channels that are missing.
        outputs = None
    inputs = channels
    for number in range(1, last + 1):
        grouped = plan.bottleneck and number == 2
        before = inputs
        inputs = _convolution(plan, found, f"{name}.conv{number}", inputs, outputs if number == last else None, grouped=grouped)
        _norm(plan, found, f"{name}.bn{number}", before if plan.preactivation else inputs)
    if f"{projection}.weight" in plan.shapes:
        returned = _convolution(plan, found, projection, channels)
        if not plan.preactivation or f"{name}.downsample.1.weight" in plan.shapes:
            _norm(plan, found, f"{name}.downsample.1", returned)
    return inputs


def _convolution(
    plan: Plan, found: dict[str, TensorShape], layer: str, inputs: int, outputs: int | None = None, *, grouped: bool = False
) -> int:
    key = f"{layer}.weight"
    shape = plan.shapes[key]
    own, per_group, kernel = (*shape, 0, 0, 0)[:3]
    fits = grouped and per_group and inputs % per_group == 0 and own % max(1, inputs // per_group) == 0
    found[key] = (outputs or own, per_group if fits else inputs, kernel, kernel)
    return found[key][0]


def norm_parts(plan: Plan) -> tuple[str, ...]:
    """Return what each norm holds."""
    return NORM if plan.statistics else NORM[:2]


def _norm(plan: Plan, found: dict[str, TensorShape], layer: str, channels: int) -> None:
    found |= {f"{layer}.{part}": (channels,) for part in norm_parts(plan)}
