"""Refinement over many images: each row is what `refinement` says of that image."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import resnet_viz as rv
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.running import SurveyProgress
from resnet_viz.engine.wire import decode, encode
from resnet_viz.figures.theme import DARK
from resnet_viz.nets.net import Net
from tests.survey.pictures import classes_of, folder_of

MakeNet = Callable[..., Net]


@pytest.mark.parametrize("shortcut", ["A", "plain"])
def test_each_image_is_as_it_is_alone(shortcut: str, make_cifar: MakeNet, tmp_path: Path) -> None:
    net = make_cifar(shortcut)
    folder = folder_of(tmp_path, classes_of(6) | {"dog/bad.png": b"no image"})
    told: list[SurveyProgress] = []
    found = rv.refinement_survey(net, folder, batch_size=3, on_progress=told.append)
    assert found.bad[0][0] == "dog/bad.png"
    assert len(found.images) == len(found.losses) > 4
    assert (told[-1].done, told[-1].bad) == (len(found.images) + 1, 1)
    for number, name in enumerate(found.images):
        label = name.split("/")[0]
        target = label if label in net.labels else None
        alone = rv.refinement(net, rv.open_image((folder / name).read_bytes()), target)
        np.testing.assert_allclose(found.cosine_input[number], [step.cosine_input for step in alone.blocks], atol=2e-5)
        np.testing.assert_allclose(found.cosine_sum[number], [step.cosine_sum for step in alone.blocks], atol=2e-5)
        np.testing.assert_allclose(found.losses[number], alone.losses, rtol=1e-4, atol=1e-5)
    assert found.known == sum(name.split("/")[0] in net.labels for name in found.images)


def test_the_table_has_medians_and_shares(make_cifar: MakeNet) -> None:
    net = make_cifar("B")
    x = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = rv.refinement_survey(net, x)
    table = found.table()
    assert list(table.index) == list(net.blocks)
    np.testing.assert_allclose(table["cosine_sum"], np.median(found.cosine_sum, 0), rtol=1e-5)
    np.testing.assert_allclose(table["loss_high"], np.quantile(found.losses[:, 1:], 0.75, axis=0), rtol=1e-5)
    changed = np.isnan(found.cosine_input[0])
    assert changed.any()
    assert np.isnan(table["down"][changed]).all()
    np.testing.assert_allclose(table["down"][~changed], (found.cosine_input > 0).mean(0)[~changed])
    assert decode(encode(found), rv.RefinementSurvey, 2**24).table().equals(table)


def test_nothing_to_measure_is_said(make_cifar: MakeNet, tmp_path: Path) -> None:
    with pytest.raises(SurveyError, match="There are no images"):
        rv.refinement_survey(make_cifar("A"), tmp_path)
    with pytest.raises(SurveyError, match="None of the 1 images"):
        rv.refinement_survey(make_cifar("A"), folder_of(tmp_path / "b", {"cat/a.png": b"no image"}))


def test_the_figures_show_the_medians(make_cifar: MakeNet) -> None:
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    found = rv.refinement_survey(make_cifar("A"), x)
    cosines = rv.figures.refinement_survey_cosines(found, DARK)
    drawn = np.array([np.nan if value is None else value for value in cosines.data[0].y], float)
    np.testing.assert_allclose(drawn, np.median(found.cosine_input, 0), rtol=1e-5)
    losses = rv.figures.refinement_survey_losses(found, DARK)
    np.testing.assert_allclose(losses.data[-1].y, np.median(found.losses, 0), rtol=1e-5)
    assert "4 images" in losses.layout.meta["how_to_read"]
