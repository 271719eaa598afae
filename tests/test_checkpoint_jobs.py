"""Jobs of the Model page: which network a checkpoint is, and how accurate a network is on images of known classes."""

import io
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import resnet_viz as rv
from resnet_viz.engine.job_types import JOB_TYPES
from resnet_viz.engine.jobs import EngineError, Job, JobCancelledError
from resnet_viz.engine.local import LocalEngine
from resnet_viz.engine.wire import decode, encode
from resnet_viz.images import digest
from resnet_viz.nets.checkpoints.loading import Checkpoint, read_checkpoint
from tests.checkpoint_networks import Network, Ways, lived_in, photos

SAMPLES = Path(__file__).parents[1] / "assets" / "samples"


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    made = LocalEngine(devices=["cpu"])
    yield made
    made.close()


def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    buffer = io.BytesIO()
    torch.save(lived_in(Network(Ways(activation=torch.nn.functional.gelu)), photos()).state_dict(), buffer)
    return read_checkpoint(buffer.getvalue())


def verdict_job(name: str) -> Job:
    return Job("verdict", name, image="", owner="me")


class TestVerdicts:
    """Deciding between the networks that fit a checkpoint, as a job."""

    def test_the_answer_is_that_of_the_checkpoint_itself_and_is_kept_there(self, engine: LocalEngine) -> None:
        mine = checkpoint()
        found = engine.submit(verdict_job(mine.name), "me", checkpoint=mine).answer()
        assert found is mine.decide()
        assert found == checkpoint().decide()
        assert mine.layout.name(found.chosen).endswith("GELU")
        assert decode(encode(found), JOB_TYPES["verdict"].answer, 2**20) == found

    def test_progress_counts_networks_and_nobody_waiting_stops_it(self, engine: LocalEngine) -> None:
        mine, seen = checkpoint(), []
        mine.decide(on_step=lambda done, total: seen.append((done, total)))
        networks = len(mine.layout.neighbours())
        assert seen[0] == (0, networks + 1)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1] == (networks, networks + 1)

        other = checkpoint()
        ticket = engine.submit(replace(verdict_job(other.name), owner="other"), "other", checkpoint=other)
        while not ticket.progress.done and not ticket.finished:
            time.sleep(0.001)
        ticket.cancel()
        with pytest.raises(JobCancelledError):
            ticket.answer()

    def test_without_the_checkpoint_there_is_a_sentence(self, engine: LocalEngine) -> None:
        with pytest.raises(EngineError, match="upload it again"):
            engine.submit(verdict_job("checkpoint-0123"), "me").answer()


def archive(**images: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, data in images.items():
            packed.writestr(name, data)
    return buffer.getvalue()


def accuracy_job(data: bytes, labels: str) -> Job:
    return Job("accuracy", "resnet20-cifar10", digest(data), options=(("labels", labels),), data=data)


class TestAccuracy:
    """The accuracy on images of known classes, as a job."""

    def test_each_image_is_classified_and_what_is_no_image_is_left_out(self, engine: LocalEngine) -> None:
        cat, dog = ((SAMPLES / f"cifar-{label}.jpg").read_bytes() for label in ("cat", "dog"))
        data = archive(cat=cat, broken=b"no image", dog=dog)
        found = engine.submit(accuracy_job(data, "3,3,5"), "a").answer()
        net = rv.load("resnet20-cifar10", device="cpu")
        alone = rv.accuracy(net, {"cat": [SAMPLES / "cifar-cat.jpg"], "dog": [SAMPLES / "cifar-dog.jpg"]})
        assert [replace(answer, name="") for answer in found.answers] == [replace(each, name="") for each in alone.answers]
        assert [(each.name, bool(each.sentence)) for each in found.left_out] == [("broken", True)]
        assert decode(encode(found), JOB_TYPES["accuracy"].answer, 2**20) == found

    @pytest.mark.parametrize(("labels", "sentence"), [("3", "2 images and 1 class"), ("3,10", "class 10 is outside")])
    def test_wrong_classes_get_a_sentence(self, engine: LocalEngine, labels: str, sentence: str) -> None:
        with pytest.raises(ValueError, match=sentence):
            engine.submit(accuracy_job(archive(a=b"", b=b""), labels), "a").answer()
