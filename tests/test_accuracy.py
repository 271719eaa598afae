"""The accuracy on images of known classes, against counting by hand."""

import zipfile
from dataclasses import replace
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

import resnet_viz as rv
from resnet_viz.nets.net import WeightsOrigin

SAMPLES = Path(__file__).parents[1] / "assets" / "samples"


class Brightest(nn.Module):
    """Its logits are the means of red, green and blue."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) * self.weight


def network() -> rv.Net:
    plain = rv.Preprocessing(8, 8, (0, 0, 0), (1, 1, 1))
    return rv.Net("toy", "Toy", Brightest().eval(), ("red", "green", "blue"), plain, WeightsOrigin("module", "a toy"))


def test_each_image_is_counted_for_its_class() -> None:
    red, green = Image.new("RGB", (9, 9), "red"), Image.new("RGB", (9, 9), (0, 255, 0))
    found = rv.accuracy(network(), {"red": [red, green], "green": [green] * 17, "blue": []})
    assert (found.right, found.total) == (18, 19)
    wrong = found.answers[1]
    assert (wrong.name, wrong.label, wrong.predicted, wrong.right) == ("image 2", "red", "green", False)
    e = torch.tensor([0.0, 1.0, 0.0]).softmax(0)
    assert wrong.probability == pytest.approx(float(e[1]))
    assert wrong.label_probability == pytest.approx(float(e[0]))
    assert list(found.table()["right"]) == [True, False, *[True] * 17]


def test_few_images_say_little() -> None:
    """Wilson's interval of 2 in 2 is 34 to 100%, that of 9 in 10 is 60 to 98%."""
    answer = rv.accuracy(network(), {"red": [Image.new("RGB", (9, 9), "red")]}).answers[0]
    assert rv.Accuracy((answer, answer)).interval == pytest.approx((0.342, 1.0), abs=1e-3)
    wrong = rv.accuracy(network(), {"blue": [Image.new("RGB", (9, 9), "red")]}).answers[0]
    low, high = rv.Accuracy((*[answer] * 9, wrong)).interval
    assert (low, high) == pytest.approx((0.596, 0.982), abs=1e-3)


def test_a_folder_holds_a_folder_for_each_label(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        copy(SAMPLES / f"cifar-{label}.jpg", tmp_path / label)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    found = rv.accuracy(rv.load("resnet20-cifar10", device="cpu"), tmp_path)
    assert [(answer.name, answer.label) for answer in found.answers] == [("cifar-cat.jpg", "cat"), ("cifar-dog.jpg", "dog")]
    assert found.answers[0].right


def test_what_cannot_be_measured_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no class 'lion'"):
        rv.accuracy(network(), {"lion": []})
    with pytest.raises(ValueError, match="There are no images"):
        rv.accuracy(network(), {"red": []})
    with pytest.raises(ValueError, match="is not a folder"):
        rv.accuracy(network(), tmp_path / "nowhere")
    (tmp_path / "a.jpg").write_text("no image")
    with pytest.raises(rv.ImageError, match=r"None of the images could be used .*a\.jpg: .*\."):
        rv.accuracy(network(), {"red": [tmp_path / "a.jpg"]})
    with pytest.raises(rv.ImageError, match=r"There is no file or folder at .*nowhere"):
        rv.accuracy(network(), {"red": str(tmp_path / "nowhere")})


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (["a.jpg"], "a list does not say which images have which class"),
        (None, "None does not say which images"),
        ({"red": 3}, "an int holds no images of 'red'"),
        ({"red": [b"bytes"]}, "a bytes stands among the images of 'red'"),
    ],
)
def test_what_is_neither_an_image_nor_a_path_is_a_type_error(images: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        rv.accuracy(network(), images)


@pytest.fixture
def red(tmp_path: Path) -> Path:
    """A folder of a class: one image directly in it, one below, and a file with the name of an image that is none."""
    folder = tmp_path / "photos" / "red"
    (folder / "more").mkdir(parents=True)
    for name in ("1.png", "more/2.png"):
        Image.new("RGB", (9, 9), "red").save(folder / name)
    (folder / "broken.jpg").write_text("no image")
    return folder


@pytest.mark.parametrize("kind", ["folder", "archive", "file paths", "path", "text"])
def test_an_image_that_cannot_be_used_is_left_out_and_named(kind: str, red: Path, tmp_path: Path) -> None:
    if kind == "archive":
        with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
            for file in red.rglob("*.*"):
                archive.write(file, file.relative_to(red.parent))
    files = [red / "1.png", red / "missing.png", red / "broken.jpg", red / "more" / "2.png"]
    given: dict[str, Any] = {
        "folder": red.parent,
        "archive": tmp_path / "images.zip",
        "file paths": {"red": files},
        "path": {"red": red},
        "text": {"red": str(red)},
    }
    found = rv.accuracy(network(), given[kind])
    assert sorted((answer.name, answer.right) for answer in found.answers) == [("1.png", True), ("2.png", True)]
    names = [each.name for each in found.left_out]
    assert names[-1].endswith("red/broken.jpg")
    assert len(names) == (2 if kind == "file paths" else 1)
    assert all(each.sentence.endswith(".") for each in found.left_out)
    assert found.share == 1


def test_a_label_of_several_classes_is_not_taken_for_the_first(red: Path) -> None:
    """The index of a class says which one is meant."""
    net = replace(network(), labels=("red", "blue", "red"))
    for given in ({"red": red}, {"RED": red}, red.parent):
        with pytest.raises(ValueError, match="has several classes named 'red': choose one by its index, 0 and 2"):
            rv.accuracy(net, given)
    assert rv.accuracy(net, {0: red}).total == 2


def test_a_class_may_have_a_single_image(red: Path) -> None:
    for single in (Image.new("RGB", (9, 9), "red"), red / "1.png", str(red / "1.png")):
        assert rv.accuracy(network(), {"red": single}).total == 1


def test_an_archive_holds_a_folder_for_each_label(tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(SAMPLES / "cifar-cat.jpg", "images/Cat/first.jpg")
        archive.write(SAMPLES / "cifar-dog.jpg", "images/dog/second.jpg")
    found = rv.accuracy(rv.load("resnet20-cifar10", device="cpu"), path)
    assert [(answer.name, answer.label) for answer in found.answers] == [("first.jpg", "cat"), ("second.jpg", "dog")]
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(SAMPLES / "cifar-dog.jpg", "images/zebra/third.jpg")
    with pytest.raises(ValueError, match="has no class 'zebra'"):
        rv.accuracy(rv.load("resnet20-cifar10", device="cpu"), path)


def test_a_single_logit_has_no_accuracy() -> None:
    with pytest.raises(ValueError, match="single logit"):
        rv.accuracy(replace(network(), labels=("red",)), {"red": [Image.new("RGB", (9, 9), "red")]})
