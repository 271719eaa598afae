"""Reading CIFAR-10 from a folder and from archives that the tests make themselves."""

import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from resnet_viz.training.data import Dataset, load_dataset
from resnet_viz.training.tasks import CIFAR10

MakeImage = Callable[..., Image.Image]

# Written in another order than they are read.
FILES = {
    "train/truck/0002.jpg": 9,
    "train/cat/0011.jpg": 3,
    "train/cat/0003.jpg": 3,
    "train/airplane/0001.jpg": 0,
    "test/dog/0001.jpg": 5,
    "test/bird/0009.jpg": 2,
}


@pytest.fixture
def folder(tmp_path: Path, make_image: MakeImage) -> Path:
    root = tmp_path / "cifar10"
    for seed, name in enumerate(FILES):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make_image(seed=seed).save(path, quality=75)
    (root / "README.md").write_text("Not an image.")
    return root


@pytest.fixture(params=[("tar", "."), ("tar.xz", "cifar10"), ("tar.gz", "deep/er")], ids="-".join)
def archive(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Path:
    suffix, prefix = request.param
    mode: Any = f"w:{suffix.removeprefix('tar').removeprefix('.')}"
    path = tmp_path / f"images.{suffix}"
    with tarfile.open(path, mode) as tar:
        tar.add(folder, arcname=prefix)
    return path


def assert_same(ours: Dataset, theirs: Dataset) -> None:
    for split in ("train", "test"):
        assert torch.equal(getattr(ours, split).images, getattr(theirs, split).images)
        assert torch.equal(getattr(ours, split).labels, getattr(theirs, split).labels)


class TestFolder:
    def test_images_are_in_the_order_of_their_names(self, folder: Path) -> None:
        data = load_dataset(folder, CIFAR10)
        assert data.train.labels.tolist() == [0, 3, 3, 9]
        assert data.test.labels.tolist() == [2, 5]
        assert data.train.labels.dtype == torch.int64

    @pytest.mark.parametrize("split", ["train", "test"])
    def test_pixels_are_those_of_the_files(self, split: str, folder: Path) -> None:
        images = getattr(load_dataset(folder, CIFAR10), split).images
        names = sorted(name for name in FILES if name.startswith(split))
        assert (images.shape, images.dtype) == ((len(names), 3, 32, 32), torch.uint8)
        for image, name in zip(images, names, strict=True):
            np.testing.assert_array_equal(image.permute(1, 2, 0), np.asarray(Image.open(folder / name)))

    def test_grey_images_become_rgb(self, folder: Path, make_image: MakeImage) -> None:
        make_image(seed=9).convert("L").save(folder / "test/bird/0009.jpg")
        red, green, blue = load_dataset(folder, CIFAR10).test.images[0]
        assert torch.equal(red, green)
        assert torch.equal(red, blue)

    def test_has_no_digest(self, folder: Path) -> None:
        assert load_dataset(folder, CIFAR10).sha256 == ""


class TestArchive:
    def test_holds_what_the_folder_holds(self, archive: Path, folder: Path) -> None:
        assert_same(load_dataset(archive, CIFAR10), load_dataset(folder, CIFAR10))

    def test_digest_is_the_files(self, archive: Path) -> None:
        assert load_dataset(archive, CIFAR10).sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()


class TestMissing:
    @pytest.mark.parametrize("name", ["nowhere", "nowhere.tar.xz"])
    def test_source(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=f"{name} does not exist. Pass the folder with train/ and test/"):
            load_dataset(tmp_path / name, CIFAR10)

    @pytest.mark.parametrize("split", ["train", "test"])
    def test_split(self, split: str, folder: Path) -> None:
        (folder / split).rename(folder.parent / "elsewhere")
        with pytest.raises(ValueError, match="cifar10 has no images in train/<class>/"):
            load_dataset(folder, CIFAR10)

    def test_everything(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="has no images in train/<class>/"):
            load_dataset(tmp_path, CIFAR10)


class TestStrangers:
    """What is not CIFAR-10 is named, as `load_dataset` promises."""

    @pytest.mark.parametrize("name", ["train/zebra/0001.jpg", "extra/cat/0001.jpg"], ids=["class", "split"])
    def test_names_that_are_not_cifars(self, name: str, folder: Path, make_image: MakeImage) -> None:
        path = folder / name
        path.parent.mkdir(parents=True)
        make_image().save(path)
        with pytest.raises(ValueError, match=name):
            load_dataset(folder, CIFAR10)

    def test_an_image_of_another_size(self, folder: Path, make_image: MakeImage) -> None:
        make_image(31, 32).save(folder / "train/cat/0003.jpg")
        with pytest.raises(ValueError, match=r"train/cat/0003\.jpg"):
            load_dataset(folder, CIFAR10)
