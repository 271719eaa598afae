"""The commands about images: several images and folders, every analysis, progress, and errors as sentences with exit codes."""

import errno
import io
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import resnet_viz as rv
from resnet_viz.cli import app
from resnet_viz.commands.explaining import parsed
from resnet_viz.commands.images import bar, class_of, names_of, sentence_of
from resnet_viz.nets.zoo import DEFAULT_MODEL, blueprint

SAMPLES = Path(__file__).parents[1] / "assets" / "samples"
SMALL = ["--model", "resnet20-cifar10", "--device", "cpu"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images in a folder, one of them deeper, beside a file that is none."""
    (tmp_path / "photos" / "more").mkdir(parents=True)
    shutil.copy(SAMPLES / "cifar-cat.jpg", tmp_path / "photos")
    shutil.copy(SAMPLES / "cifar-dog.jpg", tmp_path / "photos" / "more")
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    return tmp_path / "photos"


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def net() -> rv.Net:
    return rv.load("resnet20-cifar10", device="cpu")


def test_inspect_takes_images_and_folders(folder: Path, net: rv.Net, tmp_path: Path) -> None:
    code, said = run(
        "inspect", folder, SAMPLES / "cifar-ship.jpg", *SMALL, "--csv", tmp_path / "all.csv", "--report", tmp_path / "out"
    )
    assert code == 0, said
    assert len(said.splitlines()) == 3
    table = pd.read_csv(tmp_path / "all.csv", index_col=["image", "block"])
    assert list(dict.fromkeys(table.index.get_level_values("image"))) == ["cifar-cat", "cifar-dog", "cifar-ship"]
    own = rv.inspect(net, rv.open_image(SAMPLES / "cifar-dog.jpg")).table()
    assert np.allclose(table.loc["cifar-dog"]["ratio"], own["ratio"], rtol=1e-5)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cifar-cat.html", "cifar-dog.html", "cifar-ship.html"]


def test_an_image_that_fails_is_named_and_the_others_go_on(folder: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    code, said = run("inspect", folder, *SMALL)
    assert code == 1
    assert re.search(r"broken\.jpg: \S.+\.", said)
    assert "cifar-cat: cat" in said
    assert "cifar-dog: " in said
    assert "Traceback" not in said


def test_attribution_writes_its_arrays(net: rv.Net, tmp_path: Path) -> None:
    npz, html = tmp_path / "map.npz", tmp_path / "map.html"
    image = SAMPLES / "cifar-cat.jpg"
    code, said = run(
        "attribution", image, *SMALL, "--option", "steps=8", "--option", "baseline=blur", "--npz", npz, "--report", html
    )
    assert code == 0, said
    assert "Convergence delta" in said
    own = rv.attribute(net, rv.open_image(image), "integrated_gradients", steps=8, baseline="blur")
    with np.load(npz) as found:
        assert np.allclose(found["map"], own.map, atol=1e-5)
    assert "Integrated Gradients" in html.read_text()


def test_gradients_and_conductance_print_and_write_their_tables(net: rv.Net, tmp_path: Path) -> None:
    image = SAMPLES / "cifar-cat.jpg"
    code, said = run(
        "gradients", image, *SMALL, "--objective", "logit difference", "--versus", "dog", "--csv", tmp_path / "g.csv"
    )
    assert code == 0, said
    own = rv.gradients(net, rv.open_image(image), objective="logit difference", versus="dog").table()
    assert np.allclose(pd.read_csv(tmp_path / "g.csv", index_col="block")["shortcut_share"], own["shortcut_share"], rtol=1e-4)
    code, said = run("conductance", image, *SMALL, "--steps", "4", "--csv", tmp_path / "c.csv", "--report", tmp_path / "c.html")
    assert code == 0, said
    found = rv.conductance(net, rv.open_image(image), steps=4)
    totals = pd.read_csv(tmp_path / "c.csv", index_col="block")["total"]
    assert np.allclose(totals, [block.total_sum for block in found.blocks], rtol=1e-3, atol=1e-4)


def test_compare_takes_two_networks_or_two_images(folder: Path, tmp_path: Path) -> None:
    code, said = run("compare", folder, *SMALL, "--with", "plain20-cifar10", "--csv", tmp_path / "c.csv")
    assert code == 0, said
    assert len(pd.read_csv(tmp_path / "c.csv")) == 18
    code, said = run("compare", SAMPLES / "cifar-cat.jpg", SAMPLES / "cifar-dog.jpg", *SMALL, "--report", tmp_path / "two.html")
    assert code == 0, said
    assert said.startswith("cifar-cat.jpg (left) and cifar-dog.jpg (right)\n")
    assert "for cifar-cat.jpg" in said
    assert "left image" not in said
    assert (tmp_path / "two.html").exists()
    shutil.copy(SAMPLES / "cifar-dog.jpg", folder / "more" / "cifar-cat.jpg")
    code, said = run("compare", folder / "cifar-cat.jpg", folder / "more" / "cifar-cat.jpg", *SMALL)
    assert said.startswith(f"{folder / 'cifar-cat.jpg'} (left) and {folder / 'more' / 'cifar-cat.jpg'} (right)\n")


def test_two_checkpoints_of_one_architecture_are_told_apart_by_their_files(
    make_cifar: Callable[..., rv.Net], tmp_path: Path
) -> None:
    for seed in (0, 1):
        torch.save(make_cifar("A", seed=seed).module.state_dict(), tmp_path / f"{seed}.pth")
    photo, seen = SAMPLES / "cifar-cat.jpg", list[str]()
    nets = {
        name: rv.load_checkpoint(tmp_path / name, architecture="CIFAR ResNet-8, zero-pad", device="cpu")
        for name in ("0.pth", "1.pth")
    }
    for first, second in (("0.pth", "1.pth"), ("0.pth", "0.pth")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("resnet_viz.commands.comparing.network", lambda model, *_, **__: nets[Path(model).name])
            seen.append(run("compare", photo, "--model", tmp_path / first, "--with", tmp_path / second)[1])
    assert seen[0].startswith("0.pth (left) and 1.pth (right)\n")
    assert seen[1].startswith("the left side (left) and the right side (right)\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["inspect", "missing.jpg"], "There is no file at missing.jpg"),
        (["attribution", SAMPLES / "cifar-cat.jpg", "--method", "magic"], "method 'magic' is unknown"),
        (["attribution", SAMPLES / "cifar-cat.jpg", "--option", "steps"], "has no value"),
        (["attribution", SAMPLES / "cifar-cat.jpg", "--option", "magic=1"], "has no option 'magic'"),
        (["gradients", SAMPLES / "cifar-cat.jpg", "--objective", "magic"], "objective 'magic' is unknown"),
        (["conductance", SAMPLES / "cifar-cat.jpg", "--baseline", "magic"], "baseline"),
        (["conductance", SAMPLES / "cifar-cat.jpg", "--steps", "0"], "steps"),
        (["conductance", SAMPLES / "cifar-cat.jpg", "--steps", "1000000"], "steps=1,000,000 is too many"),
        (["attribution", SAMPLES / "cifar-cat.jpg", "--option", "steps=abc"], "steps='abc' is no whole number"),
        (["gradients", SAMPLES / "cifar-cat.jpg", "--versus", "dog"], "Add --objective 'logit difference'"),
        (["inspect", SAMPLES / "cifar-cat.jpg", "--target", ""], "--target is empty"),
        (["inspect", ""], "The name of an image is empty"),
        (["compare", SAMPLES / "cifar-cat.jpg"], "Name two images, or another network with --with"),
        (["compare", SAMPLES / "cifar-cat.jpg", "--with", "resnet9"], "There is no file resnet9, and no network of that name"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(arguments: list[object], sentence: str) -> None:
    code, said = run(*arguments, *SMALL)
    assert code == 1
    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("nofile.pth", "There is no file nofile.pth, and no network of that name: `resnet-viz models` lists them."),
        ("resnet9", "`resnet-viz models` lists them; did you mean 'resnet"),
        (str(SAMPLES), f"{SAMPLES} is a folder. Name a checkpoint file in it, or a network that `resnet-viz models` lists."),
        ("", "The name of the network is empty. `resnet-viz models` lists the names."),
    ],
)
@pytest.mark.parametrize("command", ["inspect", "gradients", "survey"])
def test_a_model_that_is_neither_a_file_nor_a_name_is_refused(command: str, model: str, sentence: str) -> None:
    code, said = run(command, SAMPLES / "cifar-cat.jpg", "--model", model)
    assert code == 1
    assert sentence in said


def test_a_missing_file_of_labels_is_not_told_to_be_written() -> None:
    code, said = run("survey", SAMPLES, *SMALL, "--labels", "nofile.json")
    assert (code, said.strip()) == (1, "There is no file at nofile.json. Check its name and its folder.")


def test_a_logit_difference_names_both_classes() -> None:
    for more, named in ((["--versus", "dog"], "cat's logit − dog's logit"), ([], "cat's logit − ")):
        said = run("gradients", SAMPLES / "cifar-cat.jpg", *SMALL, "--objective", "logit difference", *more)[1]
        assert said.startswith(f"cifar-cat: gradients of {named}")
    assert run("gradients", SAMPLES / "cifar-cat.jpg", *SMALL)[1].startswith("cifar-cat: gradients of cat's logit\n")


def test_the_commands_of_the_documentation_name_classes_and_networks_that_exist() -> None:
    root = Path(__file__).parents[1]
    texts = [path.read_text() for path in (root / "README.md", *sorted((root / "docs").rglob("*.md")))]
    lines = [line.partition("#")[0] for text in texts for line in re.findall(r"^resnet-viz .*", text, re.MULTILINE)]
    given = [dict(pairwise(shlex.split(line))) for line in lines]
    assert sum("--versus" in options for options in given) >= 1
    for options in given:
        models = [options[name] for name in ("--model", "--with") if name in options] or [DEFAULT_MODEL]
        for named in models:
            described = None if Path(named).suffix else blueprint(named)
            for option in ("--target", "--versus"):
                assert described is None or class_of(options.get(option), described) != -1


def test_the_columns_of_the_networks_are_aligned() -> None:
    lines = run("models")[1].splitlines()
    starts = {re.search(r" {2}(ready|to download|untrained) ", line).start() for line in lines}  # type: ignore[union-attr]
    assert len(lines) > 50
    assert len(starts) == 1
    assert not any(" 1 blocks" in line for line in lines)


def test_a_folder_without_images_and_one_report_of_several_images_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, said = run("inspect", tmp_path / "empty", *SMALL)
    assert (code, "contains no images" in said) == (1, True)
    code, said = run("inspect", folder, *SMALL, "--report", tmp_path / "one.html")
    assert (code, "Name a folder" in said) == (1, True)


def test_no_file_of_another_kind_is_replaced(folder: Path, tmp_path: Path) -> None:
    """And it is said before the network is opened."""
    photo, none = folder / "cifar-cat.jpg", ["--model", "none"]
    before = photo.read_bytes()
    (tmp_path / "notes").write_text("mine")
    for option, place, words in (
        ("--csv", photo, "is one of the images and stays as it is"),
        ("--report", photo, "is one of the images and stays as it is"),
        ("--csv", folder / "notes.txt", "exists and stays as it is, because its name does not end in .csv"),
        ("--report", tmp_path / "notes", "is a file and stays as it is"),
        ("--csv", folder, "is a folder. Name a file in it"),
        ("--csv", tmp_path / "missing" / "a.csv", "There is no folder"),
    ):
        code, said = run("inspect", photo, *none, option, place)
        assert (code, words in said) == (1, True), said
    assert photo.read_bytes() == before
    code, said = run("attribution", photo, *none, "--npz", photo)
    assert (code, "is one of the images" in said) == (1, True)


def test_a_table_and_a_report_are_replaced(folder: Path, tmp_path: Path) -> None:
    for name, option in (("a.csv", "--csv"), ("a.html", "--report")):
        (tmp_path / name).write_text("old")
        assert run("inspect", folder / "cifar-cat.jpg", *SMALL, option, tmp_path / name)[0] == 0
        assert (tmp_path / name).read_text() != "old"


def test_targets(net: rv.Net) -> None:
    assert [class_of(text, net) for text in (None, "cat", "CAT", "3")] == [None, 3, 3, 3]
    for text, words in (("", "--target is empty"), ("-1", "target -1 is outside"), ("99", "target 99 is outside")):
        with pytest.raises(ValueError, match=words):
            class_of(text, net)
    with pytest.raises(ValueError, match=r"no class 'kat'; it has airplane, .*, truck$"):
        class_of("kat", net)


def test_a_target_that_several_classes_have_is_refused(net: rv.Net) -> None:
    named = replace(net, labels=("crane", *net.labels[1:9], "crane"))
    assert class_of("9", named) == 9
    for text in ("crane", "Crane"):
        with pytest.raises(ValueError, match="has several classes named 'crane': choose one by its index, 0 and 9"):
            class_of(text, named)


def test_errors_of_the_system_say_what_to_do() -> None:
    for number, words in (
        (errno.ENOSPC, "a.csv could not be written: No space left on device. Check that the disk has room"),
        (errno.ENOENT, "There is no file at a.csv. Check its name"),
        (errno.EISDIR, "a.csv is a folder, and a file is needed. Name a file in it"),
        (errno.EACCES, "a.csv could not be read or written: Permission denied. Check that you may use it"),
    ):
        assert sentence_of(OSError(number, os.strerror(number), "a.csv")).startswith(words)


def test_images_of_the_same_name_have_names_of_their_own() -> None:
    paths = [Path("a/cat.jpg"), Path("b/cat.jpg"), Path("dog.png"), Path("b/cat.png")]
    names = names_of(paths)
    assert names[2] == "dog"
    assert len(set(names)) == 4
    assert not any("/" in name for name in names)


def test_options_are_read_as_numbers_and_texts() -> None:
    assert parsed(["steps=64", "noise=0.05", "baseline=blur"]) == {"steps": 64, "noise": 0.05, "baseline": "blur"}


def test_progress_is_shown_to_whoever_watches_and_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for watched in (True, False):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda watched=watched: watched)
        monkeypatch.setattr(sys, "stderr", stream)
        with bar("Inspect", "image") as shown:
            shown(1, 2)
        assert ("Inspect" in stream.getvalue()) == watched
