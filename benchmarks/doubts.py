"""Is a checkpoint ever opened as another network? Every trained network here, on five input scales.

    python benchmarks/doubts.py [NAME ...]

Each network is rewritten so that it takes pixels on another scale (the first convolution and its norm absorb the difference, so
that its function stays the same), then read without a word about its preprocessing. Prints a table of how often the network was
opened as what it is ("right"), as something else ("wrong"), or asked about with its true name among the candidates ("asked").
"""

import argparse

import torch
from torch import Tensor

from resnet_viz.nets.checkpoints.facts import Facts
from resnet_viz.nets.checkpoints.layouts import find_layout
from resnet_viz.nets.checkpoints.loading import Checkpoint
from resnet_viz.nets.net import Net
from resnet_viz.nets.zoo import list_models, load

# The mean and standard deviation that normalise pixels from 0 to 1.
SCALES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "own": ((), ()),
    "0 to 1": ((0.0,) * 3, (1.0,) * 3),
    "0 to 255": ((0.0,) * 3, (1 / 255,) * 3),
    "-1 to 1": ((0.5,) * 3, (0.5,) * 3),
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def main() -> None:
    """Read every network on every scale and print the outcomes."""
    shipped = [info.name for info in list_models() if info.source == "shipped"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=shipped)
    print("| network | " + " | ".join(SCALES) + " |\n|" + "---|" * (len(SCALES) + 1))
    counts = {"right": 0, "asked": 0, "wrong": 0}
    for name in parser.parse_args().names:
        net = load(name, device="cpu")
        outcomes = [outcome(net, scale) for scale in SCALES]
        for each in outcomes:
            counts[each] += 1
        print(f"| {name} | " + " | ".join(outcomes) + " |", flush=True)
    print(", ".join(f"{kind}: {count}" for kind, count in counts.items()))


def outcome(net: Net, scale: str) -> str:
    """Say how a network is opened on a scale."""
    mean, std = SCALES[scale]
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in net.module.state_dict().items()}
    if mean:
        state = rescaled(state, net, torch.tensor(mean), torch.tensor(std))
    layout = find_layout({name: tuple(tensor.shape) for name, tensor in state.items()})
    checkpoint = Checkpoint("benchmark", state, layout, Facts({}))
    verdict = checkpoint.decide()
    kinds = {block.shortcut_kind for block in net.blocks.values()}
    truth = layout.name(layout.answers("no shortcut")) if kinds == {"none"} else layout.name(layout.usual)
    if verdict.candidates:
        return "asked" if truth in verdict.candidates else "wrong"
    return "right" if layout.name(verdict.chosen) == truth else "wrong"


def rescaled(state: dict[str, Tensor], net: Net, mean: Tensor, std: Tensor) -> dict[str, Tensor]:
    """Rewrite the first convolution for pixels on another scale; exact except at the border, where zeros mean another grey."""
    own_mean, own_std = torch.tensor(net.preprocessing.mean), torch.tensor(net.preprocessing.std)
    weight = state["conv1.weight"]
    factor, shift = std / own_std, (mean - own_mean) / own_std
    moved = (weight * shift[:, None, None]).sum((1, 2, 3))
    return state | {
        "conv1.weight": weight * factor[:, None, None],
        "bn1.running_mean": state["bn1.running_mean"] - moved,
    }


if __name__ == "__main__":
    main()
