"""A survey against `inspect` on each image, numpy on the activations, and itself after an interruption."""

import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset

from resnet_viz.analyses.activations import activations
from resnet_viz.analyses.capture import Tape, capture, recording
from resnet_viz.analyses.inspection import inspect
from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.analyses.survey import assembling, running
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.files import open_survey
from resnet_viz.analyses.survey.items import Item
from resnet_viz.analyses.survey.measuring import Meter, sources
from resnet_viz.analyses.survey.passes import block_facts
from resnet_viz.analyses.survey.peaks import PeakKeeper
from resnet_viz.analyses.survey.running import SurveyProgress, survey
from resnet_viz.analyses.survey.sources import source_of
from resnet_viz.nets.net import Net
from resnet_viz.nets.own_modules import from_module
from resnet_viz.nets.preprocessing import Preprocessing
from tests.every_network import NETWORKS
from tests.own_networks import Around, Blocks, Fusion, Inner, PreActivation, Scaled, Shared
from tests.survey.pictures import classes_of, folder_of, picture, png, zip_of

KINDS = ("A", "B", "plain", "resnet18", "resnet50")


class StoppedError(Exception):
    """Raised by a test in the middle of a survey."""


@pytest.fixture(scope="module")
def make_net(make_cifar: Callable[..., Net], make_imagenet: Callable[[str], Net]) -> Callable[[str], Net]:
    return lambda kind: make_cifar(kind, depth=14) if len(kind) < 6 else make_imagenet(kind)


def priority() -> int:
    """The priority of this thread on Linux; a higher number gives way."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def assert_same_rows(found: Any, wanted: pd.DataFrame) -> None:
    assert list(found.columns) == list(wanted.columns)
    assert list(found["shortcut"]) == list(wanted["shortcut"])
    numbers = [each.drop(columns="shortcut").to_numpy(float) for each in (found, wanted)]
    np.testing.assert_allclose(numbers[0], numbers[1], rtol=2e-4, atol=2e-6)


class TestEqualsInspect:
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_measure_of_every_block(self, make_net: Callable[[str], Net], kind: str) -> None:
        net, images = make_net(kind), [picture(seed) for seed in range(5)]
        result = survey(net, images, batch_size=3)
        table = result.table()
        assert len(table) == 5 * len(net.blocks)
        for number, image in enumerate(images):
            inspected = inspect(net, image)
            assert_same_rows(table.xs(f"image {number}"), inspected.table())
            row = result.images().loc[f"image {number}"]
            assert row["predicted"] == inspected.predictions[0].label
            assert row["logit"] == pytest.approx(inspected.predictions[0].logit, rel=1e-4)
            assert row["probability"] == pytest.approx(inspected.predictions[0].probability, rel=1e-4)

    @pytest.mark.parametrize("body", [Fusion, Around, Inner, Scaled, PreActivation], ids=lambda body: body.__name__)
    def test_where_blocks_do_not_follow_one_another(self, body: type[nn.Module]) -> None:
        """Blocks beside, around and inside one another: the one backward pass must go through all of them."""
        net = from_module(Blocks(body(), Shared()), preprocessing=Preprocessing(16, 16, (0.5,) * 3, (0.25,) * 3))
        images = [picture(seed) for seed in range(3)]
        table = survey(net, images).table()
        for number, image in enumerate(images):
            assert_same_rows(table.xs(f"image {number}"), inspect(net, image).table())

    def test_columns_are_those_of_every_table(self, make_net: Callable[[str], Net]) -> None:
        table = survey(make_net("A"), [picture(0)]).table()
        assert list(table.columns) == ["stage", "shortcut", *MEANINGS]

    def test_tensors_end_with_the_pass(self, make_net: Callable[[str], Net]) -> None:
        """Without the help of the garbage collector: a hook that holds its own tensor would keep it."""
        net = make_net("B")
        watched: list[weakref.ref[torch.Tensor]] = []

        def run() -> None:
            meter, twin = Meter(), net.twin()

            def see(tape: Tape) -> None:
                watched.extend(weakref.ref(tensor) for tensor in (tape.input, tape.to_branch, tape.sum, tape.output))
                meter.add(tape)

            with capture(twin, on_block=lambda *_: see(tapes.pop())) as tapes:
                logits = twin(torch.rand(2, 3, 32, 32).requires_grad_())
                torch.autograd.grad(logits.amax(1).sum(), sources(meter.inputs))

        gc.disable()
        try:
            run()
            assert len(watched) == 4 * len(net.blocks)
            assert not any(each() is not None for each in watched)
        finally:
            gc.enable()

    def test_half_precision(self, make_cifar: Callable[..., Net]) -> None:
        net = make_cifar("A")
        half = replace(net, module=net.module.to(torch.bfloat16))
        assert_same_rows(survey(half, [picture(0)]).table().xs("image 0"), inspect(half, picture(0)).table())


class TestPeaks:
    def test_strongest_images_and_places(self, make_net: Callable[[str], Net]) -> None:
        net, images = make_net("A"), [picture(seed) for seed in range(11)]
        result = survey(net, images, batch_size=4, strongest=3)
        outputs = [activations(net, image).blocks[-1].output for image in images]
        for channel in range(outputs[0].shape[0]):
            found = result.strongest(result.block_names[-1], channel)
            best = np.array([output[channel].max() for output in outputs])
            np.testing.assert_allclose(found["value"], np.sort(best)[::-1][:3], rtol=1e-4)
            for row in found.itertuples():
                output = outputs[int(str(row.image).removeprefix("image "))][channel]
                assert output[row.row, row.column] == pytest.approx(row.value, rel=1e-4)

    @pytest.mark.parametrize("batch_size", [1, 3, 8, 40])
    def test_over_batches_the_first_of_equal_values_wins(self, batch_size: int) -> None:
        # Few different values, so that many are equal.
        outputs = torch.randint(0, 6, (40, 5, 4, 3), generator=torch.Generator().manual_seed(0)).float()
        keeper = PeakKeeper([5], 9)
        for first in range(0, 40, batch_size):
            batch = outputs[first : first + batch_size]
            keeper.see([batch], range(first, first + len(batch)))
        largest, places = (each.numpy() for each in (outputs.flatten(2).amax(2), outputs.flatten(2).argmax(2)))
        order = np.argsort(-largest, 0, kind="stable")[:9].T
        channels = np.arange(5)[:, None]
        assert np.array_equal(keeper.peaks.images, order)
        assert np.array_equal(keeper.peaks.activations, largest[order, channels])
        assert np.array_equal(keeper.peaks.rows * 3 + keeper.peaks.columns, places[order, channels])

    def test_fewer_images_than_places(self, make_net: Callable[[str], Net]) -> None:
        assert len(survey(make_net("A"), [picture(0), picture(1)], strongest=5).strongest("layer1.0", 0)) == 2

    def test_unknown_channel(self, make_net: Callable[[str], Net]) -> None:
        result = survey(make_net("A"), [picture(0)])
        with pytest.raises(IndexError, match="take 0 to 15"):
            result.strongest("layer1.0", 16)
        with pytest.raises(KeyError, match="has no block 'layer9'"):
            result.strongest("layer9", 0)


class TestReading:
    @pytest.mark.skipif(sys.platform != "linux", reason="only on Linux, a thread has a priority of its own")
    def test_gives_way_to_the_passes(self, make_net: Callable[[str], Net], monkeypatch: pytest.MonkeyPatch) -> None:
        read, seen = running.Surveyor._read, []

        def recorded(surveyor: running.Surveyor, item: Item) -> running.Read:
            seen.append(priority())
            return read(surveyor, item)

        monkeypatch.setattr(running.Surveyor, "_read", recorded)
        usual = priority()
        survey(make_net("A"), [picture(seed) for seed in range(3)])
        # The first image is read before the passes begin, to know their size.
        assert all(each > usual for each in seen[1:])
        assert len(seen) == 4
        assert priority() == usual

    @pytest.mark.parametrize("kind", ["A", "resnet18", "ViT"])
    @pytest.mark.parametrize("smaller", [False, True])
    def test_the_sizes_of_blocks_are_those_of_a_pass(self, kind: str, make_net: Callable[[str], Net], *, smaller: bool) -> None:
        preprocessing = Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
        net = from_module(NETWORKS[kind](), preprocessing=preprocessing) if kind in NETWORKS else make_net(kind)
        side = net.preprocessing.crop // (2 if smaller and kind not in NETWORKS else 1)
        facts = block_facts(net, (side, side))
        with recording(net) as (run, tapes), torch.no_grad():
            run(torch.zeros(1, 3, side, side))
        assert [block.shape for block in facts] == [tuple(tape.layout.maps(tape.output).shape[1:]) for tape in tapes]


class TestImages:
    def test_sub_folders_are_classes(self, make_net: Callable[[str], Net], tmp_path: Path) -> None:
        net = make_net("A")
        images = survey(net, folder_of(tmp_path, classes_of(6) | {"cat/notes.txt": b"no image"})).images()
        assert list(images.index) == [
            "cat/000.png",
            "cat/003.png",
            "dog/001.png",
            "dog/004.png",
            "zebra/002.png",
            "zebra/005.png",
        ]
        assert list(images["class"]) == ["cat", "cat", "dog", "dog", "zebra", "zebra"]
        known = images[images["class"] != "zebra"]
        assert list(known["correct"]) == [row["class"] == row["predicted"] for _, row in known.iterrows()]
        assert images.loc["zebra/002.png":, "correct"].isna().all()

    def test_folders_are_renamed(self, make_net: Callable[[str], Net], tmp_path: Path) -> None:
        folder_of(tmp_path, {"n02123045/1.png": png(1), "n02123046/2.png": png(2)})
        found = survey(make_net("A"), tmp_path, labels={"n02123045": "cat", "n02123046": 5}).images()
        assert list(found["class"]) == ["cat", "dog"]
        assert list(found["class_index"]) == [3, 5]

    @pytest.mark.parametrize("kind", ["paths", "bytes", "zip", "tensor", "data set", "pairs"])
    def test_every_kind_of_source_gives_the_same(self, make_net: Callable[[str], Net], tmp_path: Path, kind: str) -> None:
        net, files = make_net("A"), {f"{number}.png": png(number) for number in range(3)}
        inputs = torch.cat([net.preprocess(picture(number)) for number in range(3)])
        folder = folder_of(tmp_path, files)
        given: dict[str, Any] = {
            "paths": [folder / name for name in files],
            "bytes": list(files.values()),
            "zip": zip_of(files),
            "tensor": inputs,
            "data set": TensorDataset(inputs, torch.tensor([3, 4, 5])),
            "pairs": Pairs(),
        }
        found, wanted = survey(net, given[kind]), survey(net, folder)
        np.testing.assert_allclose(found.measure("ratio"), wanted.measure("ratio"), rtol=1e-5)
        if kind in ("data set", "pairs"):
            assert list(found.images()["class"]) == ["cat", "deer", "dog"]

    def test_labels_of_a_list(self, make_net: Callable[[str], Net]) -> None:
        found = survey(make_net("A"), [picture(0), picture(1)], labels=["Cat", 9]).images()
        assert list(found["class"]) == ["cat", "truck"]
        with pytest.raises(SurveyError, match="2 images and 1 label:"):
            survey(make_net("A"), [picture(0), picture(1)], labels=["cat"])

    def test_no_images(self, make_net: Callable[[str], Net], tmp_path: Path) -> None:
        with pytest.raises(SurveyError, match="There are no images in the folder"):
            survey(make_net("A"), tmp_path)
        with pytest.raises(SurveyError, match="There is no folder or file"):
            survey(make_net("A"), tmp_path / "nowhere")


class Pairs(Dataset[Any]):
    """A data set as torchvision's ImageFolder is one: PIL images with the number of their class, and the classes' names."""

    classes = ("cat", "deer", "dog")

    def __len__(self) -> int:
        return 3

    def __getitem__(self, number: int) -> Any:
        return picture(number), number


class TestBadImages:
    def test_are_listed_and_stop_nothing(self, make_net: Callable[[str], Net], tmp_path: Path) -> None:
        files = {"a.png": png(0), "b.png": b"no image", "c.png": png(1)[:200], "d.png": b"", "e.png": png(2)}
        result = survey(make_net("A"), folder_of(tmp_path, files), batch_size=2)
        assert result.count == 5
        assert list(result.bad.index) == ["b.png", "c.png", "d.png"]
        assert "empty" in str(result.bad.loc["d.png", "error"])
        assert result.image_names() == ["a.png", "e.png"]
        assert list(dict.fromkeys(result.table().index.get_level_values("image"))) == ["a.png", "e.png"]

    def test_all_are_bad(self, make_net: Callable[[str], Net]) -> None:
        result = survey(make_net("A"), [b"x", b"y"])
        assert len(result.table()) == 0
        assert len(result.bad) == 2

    def test_tensors_that_cannot_be_used(self, make_net: Callable[[str], Net]) -> None:
        good = torch.randn(3, 32, 32)
        found = survey(make_net("A"), [good, torch.randn(3, 16, 16), good * torch.nan, "nowhere.png", {}]).bad
        assert list(found.index) == ["image 1", "image 2", "nowhere.png", "image 4"]
        assert "(3, 16, 16)" in found["error"].iloc[0]
        assert "NaN" in found["error"].iloc[1]

    @pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16])
    def test_whole_numbers_are_pixels(self, dtype: torch.dtype, make_net: Callable[[str], Net]) -> None:
        pixels = torch.from_numpy(np.array(picture(3))).permute(2, 0, 1)
        found = survey(make_net("A"), [pixels.to(dtype), pixels])
        np.testing.assert_array_equal(*found.measure("ratio"))

    def test_progress_counts_all_of_them(self, make_net: Callable[[str], Net], monkeypatch: pytest.MonkeyPatch) -> None:
        """Those of another size and those without a prediction too, in every part."""
        monkeypatch.setattr(running, "PART_IMAGES", 2)
        good, progress = torch.randn(3, 32, 32), list[SurveyProgress]()
        images = [good, picture(0), torch.randn(3, 16, 16), good * 1e37, b"", good]
        found = survey(make_net("A"), images, batch_size=2, on_progress=progress.append)
        assert len(found.bad) == 3
        assert [each.bad for each in progress] == [0, 0, 2, 3]

    def test_a_data_set_that_fails(self, make_net: Callable[[str], Net]) -> None:
        class Broken(Pairs):
            def __getitem__(self, number: int) -> Any:
                if number == 1:
                    raise ZeroDivisionError
                return super().__getitem__(number)

        found = survey(make_net("A"), Broken()).bad
        assert list(found.index) == ["image 1"]
        assert "ZeroDivisionError" in found["error"].iloc[0]


class TestGoingOn:
    def test_after_an_interruption(
        self, make_net: Callable[[str], Net], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        net, folder = make_net("A"), folder_of(tmp_path / "images", classes_of(13) | {"cat/bad.png": b"?"})
        monkeypatch.setattr(running, "PART_IMAGES", 4)
        whole = survey(net, folder, batch_size=2, out=tmp_path / "whole.parquet")

        def stop(progress: SurveyProgress) -> None:
            if progress.done >= 7:
                raise StoppedError

        out = tmp_path / "again.parquet"
        with pytest.raises(StoppedError):
            survey(net, folder, batch_size=2, out=out, on_progress=stop)
        assert not out.exists()
        seen: list[SurveyProgress] = []
        again = survey(net, folder, batch_size=2, out=out, on_progress=seen.append)
        assert seen[0] == SurveyProgress(8, 14, 1)
        assert seen[-1] == SurveyProgress(14, 14, 1)
        pd.testing.assert_frame_equal(again.table(), whole.table(), rtol=1e-5)
        pd.testing.assert_frame_equal(again.images(), whole.images(), rtol=1e-5)
        np.testing.assert_array_equal(again.peaks.images, whole.peaks.images)
        assert not list(tmp_path.glob("*.parts"))

    def test_not_with_other_weights_or_images(
        self, make_cifar: Callable[..., Net], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder, out = folder_of(tmp_path / "images", classes_of(6)), tmp_path / "s.parquet"
        monkeypatch.setattr(running, "PART_IMAGES", 2)

        def stop(progress: SurveyProgress) -> None:
            if progress.done >= 4:
                raise StoppedError

        with pytest.raises(StoppedError):
            survey(make_cifar("A"), folder, batch_size=2, out=out, on_progress=stop)
        with pytest.raises(SurveyError, match="What differs: the weights"):
            survey(make_cifar("A", seed=1), folder, out=out)
        (folder / "cat" / "000.png").unlink()
        with pytest.raises(SurveyError, match="The images have changed"):
            survey(make_cifar("A"), folder, out=out)

    def test_not_over_a_finished_one(self, make_net: Callable[[str], Net], tmp_path: Path) -> None:
        survey(make_net("A"), [picture(0)], out=tmp_path / "s.parquet")
        with pytest.raises(SurveyError, match="There is a survey at"):
            survey(make_net("A"), [picture(0)], out=tmp_path / "s.parquet")

    def test_the_manifest_says_what_it_is_of(self, make_net: Callable[[str], Net], tmp_path: Path) -> None:
        net = make_net("A")
        survey(net, folder_of(tmp_path / "images", classes_of(2)), out=tmp_path / "s.parquet")
        manifest = open_survey(tmp_path / "s.parquet").manifest
        assert manifest.network == net.name
        assert len(manifest.sha256) == 64
        assert manifest.preprocessing["resize"] == "32"
        assert torch.__version__.startswith(manifest.versions["torch"])
        assert manifest.images == "the folder images"
        assert [block.name for block in manifest.blocks] == list(net.blocks)


class TestTensors:
    """Tensors of several kinds: the first one that can be used determines the shape, in the whole survey."""

    def test_the_shape_is_that_of_the_survey(self, make_net: Callable[[str], Net], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(running, "PART_IMAGES", 2)
        small, large = torch.randn(3, 32, 32), torch.randn(3, 48, 48)
        found = survey(make_net("A"), [small, small, large, small], batch_size=1)
        assert found.manifest.size == (32, 32)
        assert list(found.bad.index) == ["image 2"]

    def test_a_bad_first_tensor_does_not_set_it(self, make_net: Callable[[str], Net]) -> None:
        found = survey(make_net("A"), [torch.full((3, 48, 48), torch.nan), torch.randn(3, 32, 32)])
        assert found.manifest.size == (32, 32)
        assert list(found.bad.index) == ["image 0"]

    @pytest.mark.parametrize(
        ("images", "words"),
        [
            (torch.randn(2, 1, 32, 32), "three channels"),
            (torch.randn(2, 4, 32, 32), "three channels"),
            (torch.randn(2, 3, 0, 0), "at least one pixel"),
            ([torch.zeros(3, 32, 32).to_sparse()], "sparse tensor"),
            ([torch.zeros(3, 32, 32, device="meta")], "empty tensor"),
            (torch.zeros(2, 3, 32, 32, dtype=torch.complex64), "complex tensor"),
            (torch.full((2, 3, 32, 32), 300), "int64 numbers holds no pixels"),
            (torch.zeros(2, 3, 32, 32, dtype=torch.bool), "bool numbers holds no pixels"),
            ([None], "None is not an image"),
            ([5], "An int is not an image"),
            ([np.zeros((3, 3))], "An ndarray is not an image"),
        ],
    )
    def test_what_is_no_image_is_listed(self, images: Any, words: str, make_net: Callable[[str], Net]) -> None:
        found = survey(make_net("A"), images)
        assert found.image_names() == []
        assert words in found.bad["error"].iloc[0]

    def test_inputs_that_are_too_small_are_a_sentence(
        self, make_net: Callable[[str], Net], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def too_small(*_: object) -> None:
            raise RuntimeError("Output size is too small")

        monkeypatch.setattr(running, "block_facts", too_small)
        with pytest.raises(
            SurveyError, match=r"cannot process inputs of 2x2 pixels \(Output size is too small\): give tensors"
        ):
            survey(make_net("A"), torch.randn(2, 3, 2, 2))


class TestSingleClass:
    def test_has_no_accuracy(self, make_cifar: Callable[..., Net], tmp_path: Path) -> None:
        """It predicts this class for every image, right or wrong."""
        several = make_cifar("A")
        net = from_module(nn.Sequential(several.module, nn.Linear(10, 1)), labels=["cat"], preprocessing=several.preprocessing)
        found = survey(net, folder_of(tmp_path, classes_of(4)))
        assert np.isnan(found.accuracy)
        assert found.images()["correct"].isna().all()


class TestNoPrediction:
    def test_a_network_that_returns_nan(self, make_cifar: Callable[..., Net]) -> None:
        """Only where it does: the input that overflows is listed, and the other one is measured as always."""
        net = make_cifar("A")
        good = torch.randn(3, 32, 32)
        found = survey(net, [good, good * 1e37, good])
        assert list(found.bad.index) == ["image 1"]
        assert "from which no class follows" in found.bad["error"].iloc[0]
        assert found.images()["predicted"].isna().tolist() == [False, True, False]
        assert np.isfinite(found.peaks.activations[found.peaks.images >= 0]).all()
        assert 1 not in found.peaks.images
        np.testing.assert_allclose(found.measure("ratio")[0], survey(net, [good]).measure("ratio")[0], rtol=1e-4)


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"batch_size": 0}, "batch_size=0 is not possible: take a whole number from 1, or None"),
            ({"batch_size": 2.5}, "batch_size=2.5"),
            ({"batch_size": "8"}, "batch_size='8'"),
            ({"strongest": 65}, "strongest=65 is not possible: take a whole number from 0 to 64"),
            ({"strongest": -1}, "strongest=-1"),
        ],
    )
    def test_are_checked_before_the_first_image(
        self, options: dict[str, Any], words: str, make_net: Callable[[str], Net]
    ) -> None:
        class Untouched(Pairs):
            def __getitem__(self, number: int) -> Any:
                raise AssertionError

        with pytest.raises(ValueError, match=words):
            survey(make_net("A"), Untouched(), **options)

    def test_no_device(self, make_net: Callable[[str], Net]) -> None:
        with pytest.raises(ValueError, match="None is not a device"):
            survey(make_net("A"), [picture(0)], device=None)  # type: ignore[arg-type]  # what is refused

    def test_a_module_is_no_network(self) -> None:
        with pytest.raises(TypeError, match=r"the network is a module, Linear: open it with rv\.from_module"):
            survey(nn.Linear(2, 2), [picture(0)])  # type: ignore[arg-type]  # what is refused

    def test_a_name_is_no_network(self) -> None:
        with pytest.raises(TypeError, match="the network is given by its name 'resnet20-cifar10': open it"):
            survey("resnet20-cifar10", [picture(0)])  # type: ignore[arg-type]  # the mistake

    def test_a_pass_is_limited(self, make_net: Callable[[str], Net]) -> None:
        net = make_net("A")
        surveyor = running.Surveyor(net, 10**9, 0)
        assert surveyor.pass_size(surveyor.manifest(source_of([picture(0)], None, net.labels))) == 8 * 8 * 49

    def test_a_pass_that_does_not_fit_is_halved(self, make_net: Callable[[str], Net], monkeypatch: pytest.MonkeyPatch) -> None:
        run = assembling.PartBuilder._run.__globals__["run_pass"]

        def small(net: Net, x: torch.Tensor, *rest: Any) -> Any:
            if len(x) > 1:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 10 bytes.")
            return run(net, x, *rest)

        monkeypatch.setitem(assembling.PartBuilder._run.__globals__, "run_pass", small)
        assert survey(make_net("A"), [picture(0), picture(1), picture(2)]).image_names() == ["image 0", "image 1", "image 2"]
