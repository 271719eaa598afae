"""Surveys through the engine: many images as jobs of a few each, put together to one survey."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.manifest import Manifest, weights_hash
from resnet_viz.analyses.survey.parts import SurveyedPart
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.running import survey
from resnet_viz.engine.jobs import EngineError, Job
from resnet_viz.engine.local import LocalEngine
from resnet_viz.engine.wire import decode, encode
from resnet_viz.images import digest
from resnet_viz.nets.zoo import load
from tests.survey.pictures import png, zip_of

MODEL = "resnet20-cifar10"


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    with closing(LocalEngine(devices=["cpu"])) as engine:
        yield engine


def job(files: dict[str, bytes]) -> Job:
    data = zip_of(files)
    return Job("survey", MODEL, digest(data), options=(("strongest", 3),), data=data)


def test_parts_add_up_to_the_survey(engine: LocalEngine) -> None:
    files = {f"{number}.png": png(number) for number in range(5)} | {"bad.png": b"no image"}
    names = list(files)
    halves = [{name: files[name] for name in half} for half in (names[:4], names[4:])]
    answers: list[SurveyedPart] = [engine.submit(job(half), "a").answer() for half in halves]
    sent = [decode(encode(answer), SurveyedPart, 2**20) for answer in answers]
    together = Survey.of_parts(Manifest.from_json(sent[0].manifest_json), [answer.part for answer in sent])
    wanted = survey(load(MODEL, device="cpu"), zip_of(files), strongest=3)
    pd.testing.assert_frame_equal(together.table(), wanted.table(), rtol=1e-4)
    pd.testing.assert_frame_equal(together.images(), wanted.images(), rtol=1e-4)
    np.testing.assert_array_equal(together.peaks.images, wanted.peaks.images)


def test_what_cannot_be_done_has_its_sentence(engine: LocalEngine) -> None:
    with pytest.raises(SurveyError, match="leads out of it"):
        engine.submit(job({"../x.png": png(0)}), "a").answer()
    with pytest.raises(EngineError, match="damaged on their way"):
        engine.submit(replace(job({"x.png": png(0)}), image="0" * 64), "a").answer()


def test_a_receptive_field_needs_no_image(engine: LocalEngine) -> None:
    asked = Job("place fields", MODEL, "", options=(("block", "layer1.0"),), public=True)
    assert engine.submit(asked, "a").answer().map_size == (32, 32)


def test_the_hash_of_the_weights_is_that_of_the_manifest(engine: LocalEngine) -> None:
    surveyed = engine.submit(job({"a.png": png(0)}), "a").answer()
    asked = Job("weights digest", MODEL, "", public=True)
    assert engine.submit(asked, "a").answer().sha256 == Manifest.from_json(surveyed.manifest_json).sha256
    untrained = load(MODEL, weights=None, device="cpu")
    assert engine.submit(replace(asked, trained=False), "a").answer().sha256 == weights_hash(untrained)
