"""A survey on Ray with two local workers: the same table, also where one of them is killed."""

import os
import pickle
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.running import Surveyor, survey
from resnet_viz.analyses.survey.sources import source_of
from resnet_viz.nets.net import Net
from tests.survey.pictures import classes_of, folder_of, png, zip_of

pytest.importorskip("ray.data")

import ray
from ray import cloudpickle

from resnet_viz.analyses.survey.parts import SurveyPart
from resnet_viz.engine.ray_environment import ray_environment
from resnet_viz.engine.ray_survey import Cluster, Decoding, Passes, parts_on_ray, read, row_of, survey_on_ray
from resnet_viz.engine.wire import decode

TWO = Cluster(workers=2, cpus=0.5)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ray_environment().items():
            patch.setenv(name, value)
        ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=200 * 10**6)
        yield
        ray.shutdown()


@pytest.mark.parametrize(("address", "reason"), [("127.0.0.1:1", "Nothing answers at"), ("nonsense", "Invalid address")])
def test_where_no_cluster_is(make_cifar: Callable[..., Net], tmp_path: Path, address: str, reason: str) -> None:
    """A sentence, and at once: Ray itself waits for minutes at a port where nobody listens, and ends the process.

    The first test of this file, because a process that is connected to a cluster stays with it.
    """
    folder = folder_of(tmp_path, classes_of(1))
    with pytest.raises(SurveyError, match=reason):
        survey_on_ray(make_cifar("A"), folder, cluster=Cluster(address))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Each has the sentence of a survey on one machine, and a name that is no text is no hindrance."""
    folder = folder_of(tmp_path, {"cat/a.png": png(0), "cat/empty.png": b""})
    os.mkfifo(folder / "cat" / "pipe.png")
    (folder / "cat" / "broken.png").symlink_to("nowhere.png")
    (folder / os.fsdecode(b"cat/\xff.png")).write_bytes(png(1))
    rows = {item.name: read(row_of(item)) for item in source_of(folder, None, ["cat"])}
    assert {name: bool(row["data"]) for name, row in rows.items()} == {
        "cat/a.png": True, "cat/broken.png": False, "cat/empty.png": False, "cat/pipe.png": False, "cat/\\udcff.png": True,
    }  # fmt: skip
    for name, said in (("broken", "There is no file"), ("empty", "is empty"), ("pipe", "is a named pipe")):
        assert said in rows[f"cat/{name}.png"]["sentence"]


def test_the_stages_one_after_the_other(make_cifar: Callable[..., Net], tmp_path: Path) -> None:
    """What Ray does with them, in this process: each is pickled, rows become batches of arrays."""
    net, folder = make_cifar("A"), folder_of(tmp_path, classes_of(5) | {"dog/bad.png": b"no image"})
    source = source_of(folder, None, net.labels)
    surveyor = Surveyor(net, 2, 9)
    manifest = surveyor.manifest(source)
    packed = cloudpickle.dumps(Decoding(net.preprocessing))  # type: ignore[no-untyped-call]
    assert len(packed) < 2000, "every task gets it"
    decoding: Decoding = pickle.loads(packed)  # noqa: S301 - our own
    passes: Passes = pickle.loads(cloudpickle.dumps(Passes(surveyor, manifest)))  # type: ignore[no-untyped-call]  # noqa: S301 - our own
    decoded = [decoding(read(row_of(item))) for item in source]
    batch = {name: np.array([row[name] for row in decoded]) for name in decoded[0]}
    part = decode(passes(batch)["part"][0], SurveyPart, 2**24)
    assert_same(Survey.of_parts(manifest, [part]), survey(net, folder))


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("cluster")
def test_the_same_table_also_where_a_worker_is_killed(make_cifar: Callable[..., Net], tmp_path: Path) -> None:
    net, folder = make_cifar("A"), folder_of(tmp_path / "images", classes_of(30) | {"dog/bad.png": b"no image"})
    wanted = survey(net, folder)
    found = survey_on_ray(net, folder, cluster=TWO, out=tmp_path / "ray.parquet")
    assert_same(found, wanted)

    source = source_of(folder, None, net.labels)
    surveyor = Surveyor(net, None, 9)
    manifest = surveyor.manifest(source)
    killed, parts = set[int](), []
    for worked in parts_on_ray(surveyor, manifest, iter(source), TWO, images=2):
        parts.append(worked.part)
        if not killed:
            killed.add(worked.process)
            os.kill(worked.process, signal.SIGKILL)
    assert_same(Survey.of_parts(manifest, parts), wanted)


def assert_same(found: Survey, wanted: Survey) -> None:
    pd.testing.assert_frame_equal(found.images(), wanted.images(), rtol=1e-4)
    pd.testing.assert_frame_equal(found.table(), wanted.table(), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.peaks.activations, wanted.peaks.activations, rtol=1e-3, atol=1e-5)


def test_only_of_a_folder(make_cifar: Callable[..., Net], tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(zip_of({"a.png": png(0)}))
    with pytest.raises(SurveyError, match="is no folder"):
        survey_on_ray(make_cifar("A"), tmp_path / "images.zip")
