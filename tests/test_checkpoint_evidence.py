"""What norms remember against what they see: hand-computed, and the same with and without a shared beginning of the pass."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models import resnet as torchvision_resnet

from resnet_viz.nets.checkpoints.deciding import LIMITS, DoubtLimits, Neighbour
from resnet_viz.nets.checkpoints.evidence import Reached, differences, differences_by_part
from resnet_viz.nets.checkpoints.layouts import find_layout
from resnet_viz.nets.checkpoints.loading import resnet_of
from resnet_viz.nets.checkpoints.options import PADDING
from resnet_viz.nets.checkpoints.sample_photos import sample_images
from resnet_viz.nets.cifar import CifarResNet
from resnet_viz.nets.preprocessing import Preprocessing
from tests.checkpoint_networks import Network, lived_in, photos

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "projections": lambda: CifarResNet(8, "B"),
    "zero padding": lambda: CifarResNet(14, "A"),
    "bottlenecks": lambda: Network(bottleneck=True),
    "four stages": lambda: torchvision_resnet.ResNet(torchvision_resnet.BasicBlock, [1, 1, 1, 1], num_classes=3),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_a_pass_that_shares_its_beginning_finds_the_same(case: str) -> None:
    """The first part that each answer changes is stated, and must not come later than where the passes differ."""
    x = photos(count=4)
    state = lived_in(NETWORKS[case](), x).state_dict()
    layout = find_layout({name: tuple(tensor.shape) for name, tensor in state.items()})
    build = partial(resnet_of, layout, state)
    usual = differences_by_part(build(layout.usual), x, [], never)
    assert usual is not None
    assert [len(part.found) for part in usual][-1] == len(differences(build(layout.usual), x))
    for question, axis in enumerate(layout.questions):
        for answer, option in enumerate(axis.options):
            chosen = (*layout.usual[:question], answer, *layout.usual[question + 1 :])
            shared = usual[: max(option.first, axis.options[0].first)]
            try:
                alone = differences(build(chosen), x)
            except RuntimeError:
                continue
            found = differences_by_part(build(chosen), x, shared, never)
            assert found is not None
            assert all(map(torch.equal, found[-1].found, alone)), option.name


def never(_: object) -> bool:
    return False


def test_a_pass_stops_as_soon_as_it_is_enough() -> None:
    x = photos(count=4)
    state = lived_in(CifarResNet(14, "B"), x).state_dict()
    layout = find_layout({name: tuple(tensor.shape) for name, tensor in state.items()})
    seen: list[int] = []

    def enough(found: object) -> bool:
        seen.append(len(found))  # type: ignore[arg-type]
        return len(seen) == 4

    network = resnet_of(layout, state, layout.usual)
    assert differences_by_part(network, x, [], enough) is None
    assert seen == [1, 2, 3, 4]
    assert not any(module._forward_hooks for module in network.modules())


def test_differences_are_shifts_in_deviations_and_logarithms_of_their_ratio() -> None:
    norm = nn.BatchNorm2d(2)
    norm.running_mean, norm.running_var = torch.tensor([1.0, 0.0]), torch.tensor([4.0, 1.0])
    x = torch.tensor([[[[4.0, 6.0]], [[-1.0, 1.0]]]])
    found = differences(norm.eval(), x)
    # A hundredth of the median, which for torch is the smaller one of two.
    floor = 0.01
    mean, variance = (5.0, 0.0), (1.0, 1.0)
    expected = [
        [(mean[0] - 1) / math.sqrt(4 + floor), 0.0],
        [math.log((variance[0] + floor) / (4 + floor)) / 2, math.log((variance[1] + floor) / (1 + floor)) / 2],
    ]
    assert torch.allclose(found[0], torch.tensor(expected), atol=1e-5)
    reached = Reached(x, tuple(found))
    assert reached.found[0].shape == (2, 2)


def test_sample_photos_are_prepared_as_the_preprocessing_says() -> None:
    plain = sample_images(Preprocessing(32, 32, (0, 0, 0), (1, 1, 1)))
    assert 0 <= plain.min() < 0.1
    assert 0.9 < plain.max() <= 1
    scaled = sample_images(Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    assert torch.allclose(scaled, 2 * plain - 1, atol=1e-6)
    assert sample_images(Preprocessing(256, 224, (0, 0, 0), (1, 1, 1))).shape[1:] == (3, 128, 128)


@pytest.mark.parametrize(
    ("t", "error", "change", "is_open", "is_doubt"),
    [
        (0.0, 0.1, 0.9, False, False),
        (0.99, 0.1, 0.9, True, True),
        (0.0, 0.99, 0.9, True, True),
        (0.99, 0.1, 0.001, True, False),
        (0.99, 0.1, 0.0, False, False),
        # Less far away, and the norms agree about the place, or they do not.
        (0.3, 0.04, 0.9, True, True),
        (0.3, 0.2, 0.9, False, False),
    ],
)
def test_a_neighbour_is_a_doubt_where_it_is_not_ruled_out_and_would_change_something(
    t: float,
    error: float,
    change: float,
    is_open: bool,  # noqa: FBT001 - a parameter
    is_doubt: bool,  # noqa: FBT001 - a parameter
) -> None:
    neighbour = Neighbour((1,), t, error, change)
    assert (neighbour.is_open(), neighbour.is_doubt()) == (is_open, is_doubt)
    assert not neighbour.is_doubt(DoubtLimits(2.0, 2.0, LIMITS.same, agreed=100.0))


def test_the_padding_of_the_stem_has_a_question_of_its_own() -> None:
    layout = find_layout({name: tuple(t.shape) for name, t in CifarResNet(8, "B").state_dict().items()})
    assert PADDING in {axis.question for axis in layout.questions}
