"""The scalar measures by hand, on tensors of two numbers."""

import math
from dataclasses import asdict

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from resnet_viz.analyses.capture import Tape
from resnet_viz.analyses.measures import MEANINGS, ForkGradients, Measures, measure
from resnet_viz.nets.blocks import ResidualBlock, blocks_of
from resnet_viz.nets.layers import PlainBasicBlock
from resnet_viz.nets.residual_graph import find_blocks

REMOVALS = ("logit_drop", "probability_drop")


def row(*values: float) -> Tensor:
    """(1, 1, 1, W)."""
    return torch.tensor(values).view(1, 1, 1, -1)


def opened(block: nn.Module) -> ResidualBlock:
    """Open a network of one block, for an image of one channel and two pixels."""
    (found,) = blocks_of(find_blocks(nn.Sequential(block), (1, 1, 2))).values()
    return found


def residual_tape(identity: Tensor, residual: Tensor) -> Tape:
    total = identity + residual
    return Tape("layer1.0", opened(BasicBlock(1, 1)), identity, identity, identity, identity, residual, total, total.relu())


def gradients(identity: Tensor | None, residual: Tensor) -> ForkGradients:
    whole = residual if identity is None else identity + residual
    return ForkGradients(identity, residual, whole, torch.tensor([[1.0, 2.5]]))


def known(measures: Measures) -> dict[str, float]:
    """The result of a measurement alone; the decrease without the block takes separate passes."""
    values = asdict(measures)
    assert all(math.isnan(values.pop(name)) for name in REMOVALS)
    return values


class TestByHand:
    def test_residual_block(self) -> None:
        tape = residual_tape(row(3.0, 4.0), row(4.0, -8.0))
        (measures,) = measure([tape], [gradients(row(6.0, 8.0), row(0.0, 30.0))])
        assert known(measures) == pytest.approx(
            {
                "identity_norm": 5.0,
                "residual_norm": math.sqrt(80),
                # x + F = (7, -4): one of two entries is cut.
                "sum_norm": math.sqrt(65),
                "output_norm": 7.0,
                "ratio": math.sqrt(80) / 5,
                "cosine": (12 - 32) / (5 * math.sqrt(80)),
                # The mean of F is -2, both entries are 6 away.
                "response_std": 6.0,
                "cut": 0.5,
                "grad_identity_norm": 10.0,
                "grad_residual_norm": 30.0,
                "grad_input_norm": math.sqrt(6**2 + 38**2),
                "shortcut_share": 0.25,
                "residual_share": 0.75,
                "cam_mass": 3.5,
                "parameters": 9 + 2 + 9 + 2,
                # Two 3x3 kernels on two pixels.
                "multiply_adds": 36,
            }
        )

    def test_plain_block_has_no_shortcut_to_measure(self) -> None:
        residual = row(-3.0, 4.0)
        tape = Tape(
            "layer1.0",
            opened(PlainBasicBlock(1, 1)),
            row(1.0, 1.0),
            None,
            row(1.0, 1.0),
            None,
            residual,
            residual,
            residual.relu(),
        )
        (measures,) = measure([tape], [gradients(None, row(3.0, -4.0))])
        values = known(measures)
        missing = {name for name, value in values.items() if math.isnan(value)}
        assert missing == {"identity_norm", "ratio", "cosine", "grad_identity_norm", "shortcut_share", "residual_share"}
        there = {name: value for name, value in values.items() if name not in missing}
        assert there == pytest.approx(
            {
                "residual_norm": 5.0,
                "sum_norm": 5.0,
                "output_norm": 4.0,
                "response_std": 3.5,
                "cut": 0.5,
                "grad_residual_norm": 5.0,
                "grad_input_norm": 5.0,
                "cam_mass": 3.5,
                "parameters": 22,
                "multiply_adds": 36,
            }
        )

    @pytest.mark.parametrize(
        ("identity", "residual", "missing"),
        [
            (row(0.0, 0.0), row(1.0, 2.0), {"ratio", "cosine"}),
            (row(1.0, 2.0), row(0.0, 0.0), {"cosine"}),
        ],
        ids=["x is 0", "F is 0"],
    )
    def test_nothing_is_divided_by_zero(self, identity: Tensor, residual: Tensor, missing: set[str]) -> None:
        (measures,) = measure([residual_tape(identity, residual)], [gradients(row(1.0, 0.0), row(1.0, 0.0))])
        assert {name for name, value in known(measures).items() if math.isnan(value)} == missing

    def test_no_gradient_on_either_path_has_no_share(self) -> None:
        (measures,) = measure([residual_tape(row(1.0, 1.0), row(1.0, 2.0))], [gradients(row(0.0, 0.0), row(0.0, 0.0))])
        assert math.isnan(measures.shortcut_share)

    @pytest.mark.parametrize(
        ("scale", "cosine"), [(2.0, 1.0), (-0.5, -1.0)], ids=["along the identity", "against the identity"]
    )
    def test_cosine_at_its_ends(self, scale: float, cosine: float) -> None:
        x = torch.linspace(-1, 2, 50).view(1, 2, 5, 5)
        (measures,) = measure([residual_tape(x, scale * x)], [gradients(row(1.0), row(1.0))])
        assert measures.cosine == pytest.approx(cosine, abs=1e-6)
        assert measures.ratio == pytest.approx(abs(scale))

    def test_zeros_are_not_counted_as_cut(self) -> None:
        """ReLU changes only negative numbers."""
        (measures,) = measure([residual_tape(row(0.0, 1.0, -2.0, 5.0), row(0.0, -1.0, 1.0, 0.0))], [gradients(None, row(1.0))])
        assert measures.cut == 0.25

    def test_rows_keep_the_order_of_the_tapes(self) -> None:
        tapes = [residual_tape(row(size, 0.0), row(1.0, 0.0)) for size in (3.0, 1.0, 2.0)]
        rows = measure(tapes, [gradients(row(1.0), row(1.0))] * 3)
        assert [measures.identity_norm for measures in rows] == [3.0, 1.0, 2.0]


class TestMeanings:
    def test_symbols_tell_measures_apart(self) -> None:
        assert len({meaning.symbol for meaning in MEANINGS.values()}) == len(MEANINGS) == 18

    def test_units_are_given_and_sentences_are_sentences(self) -> None:
        for name, meaning in MEANINGS.items():
            assert meaning.unit.strip(), name
            assert meaning.sentence[0].isupper(), name
            assert meaning.sentence.endswith("."), name
