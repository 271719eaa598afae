"""`resnet-viz survey`: what it prints, what it writes, and how it says how far it is."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from resnet_viz.analyses.survey.files import open_survey
from resnet_viz.analyses.survey.running import SurveyProgress
from resnet_viz.cli import app
from resnet_viz.commands import surveying
from resnet_viz.commands.surveying import described
from tests.survey.pictures import classes_of, folder_of, png

MODEL = ["--model", "resnet20-cifar10", "--device", "cpu"]


def test_a_folder_is_surveyed_summed_up_and_compared(tmp_path: Path) -> None:
    folder, out = folder_of(tmp_path / "images", classes_of(4) | {"cat/bad.png": b"?"}), tmp_path / "s.parquet"
    first = CliRunner().invoke(app, ["survey", str(folder), *MODEL, "--out", str(out)])
    assert first.exit_code == 0, first.output
    assert "5 images of the folder images" in first.output
    assert "Could not be used: cat/bad.png" in first.output
    assert "layer3.2" in first.output
    assert open_survey(out).count == 5
    again = CliRunner().invoke(app, ["survey", str(out), "--compare", str(out)])
    assert again.exit_code == 0, again.output
    assert "on 4 images, of which 0 have a different prediction" in again.output


def test_what_cannot_be_done_is_one_sentence(tmp_path: Path) -> None:
    for images in (tmp_path, tmp_path / "nowhere"):
        found = CliRunner().invoke(app, ["survey", str(images), *MODEL])
        assert found.exit_code == 1
        assert found.output.startswith("There ")
    folder_of(tmp_path, {"a.png": png(0)})
    (tmp_path / "s.parquet").write_bytes(b"")
    found = CliRunner().invoke(app, ["survey", str(tmp_path), *MODEL, "--out", str(tmp_path / "s.parquet")])
    assert "There is a file at" in found.output


def run(*arguments: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["survey", *map(str, arguments)])
    assert found.exception is None or isinstance(found.exception, SystemExit)
    return found.exit_code, found.output


def test_a_finished_survey_is_known_by_its_content(tmp_path: Path) -> None:
    folder, out = folder_of(tmp_path / "images", {"a.png": png(0)}), tmp_path / "nosuffix"
    code, said = run(folder, *MODEL, "--out", out)
    assert (code, "No image has a known class" in said, "1 image of the folder images" in said) == (0, True, True)
    code, said = run(out, "--batch-size", 3, "--out", tmp_path / "other.parquet")
    assert code == 0
    assert "is a finished survey. Without effect: --batch-size, --out." in said
    assert not (tmp_path / "other.parquet").exists()


def test_plain_networks_are_summed_up_and_compared(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "images", classes_of(2))
    plain = ["--model", "plain20-cifar10", "--device", "cpu"]
    code, said = run(folder, *plain, "--out", tmp_path / "a.parquet")
    assert (code, "response_std" in said, "NaN" in said) == (0, True, False)
    code, said = run(tmp_path / "a.parquet", "--compare", tmp_path / "a.parquet")
    assert (code, "Mean differences" in said, "response_std" in said) == (0, True, True)
    code, said = run(folder, *MODEL, "--compare", tmp_path / "a.parquet")
    assert (code, "Mean differences" in said, "NaN" in said) == (0, True, False)


def test_what_is_wrong_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveying, "network", lambda *_, **__: pytest.fail("the work has begun"))
    folder = folder_of(tmp_path / "images", {"a.png": png(0)})
    for arguments, words in (
        ([""], "The name of the folder is empty"),
        ([folder, "--compare", tmp_path / "missing"], "There is no survey at"),
        ([folder, "--out", folder], "is a folder: name a file in it"),
        ([folder, "--out", folder / "a.png"], "There is a file at"),
    ):
        code, said = run(*arguments)
        assert (code, words in said) == (1, True), said


def test_classes_of_folders_come_from_a_file(tmp_path: Path) -> None:
    folder, labels = folder_of(tmp_path / "images", {"n01/a.png": png(0)}), tmp_path / "labels.json"
    labels.write_text('{"n01": "cat"}')
    code, said = run(folder, *MODEL, "--labels", labels)
    assert (code, "Of the 1 image with a known class" in said) == (0, True), said
    labels.write_bytes(b"\xef\xbb\xbf" + labels.read_bytes())
    code, said = run(folder, *MODEL, "--labels", labels)
    assert (code, "Of the 1 image with a known class" in said) == (0, True), "as editors on Windows save it"
    for text, words in (
        ('["cat"]', "does not say which classes folders hold"),
        ('{"n01": "cat",}', "is no JSON: "),
        ('{"n01": "kat"}', "'kat', which is no class"),
        ('{"zzz": "cat"}', "labels name folders such as 'zzz', and no image"),
    ):
        labels.write_text(text)
        code, said = run(folder, *MODEL, "--labels", labels)
        assert (code, words in said) == (1, True), said


def test_images_of_which_none_can_be_used_are_a_failure(tmp_path: Path) -> None:
    code, said = run(folder_of(tmp_path / "images", {"a.png": b"?", "b.png": b"?"}), *MODEL)
    assert (code, "Could not be used: a.png" in said, "none of the images could be used" in said) == (1, True, True)
    assert "Medians" not in said


def test_stopping_says_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = folder_of(tmp_path / "images", classes_of(3)), tmp_path / "s.parquet"

    def stop(_: object, progress: SurveyProgress) -> None:
        if progress.done:
            raise KeyboardInterrupt

    monkeypatch.setattr(surveying.ProgressLine, "__call__", stop)
    code, said = run(folder, *MODEL, "--batch-size", 2, "--out", out)
    assert (code, f"Stopped. 2 images are kept in {out}.parts. To resume" in said) == (130, True), said
    code, said = run(folder, *MODEL)
    assert (code, said.strip()) == (130, "Stopped.")


@pytest.mark.parametrize(
    ("progress", "seconds", "first", "words"),
    [
        (SurveyProgress(50, 250, 0), 10.0, 0, "50 of 250 images, 5.0 images/s, 40 s left"),
        (SurveyProgress(1050, 4000, 2), 10.0, 1000, "1,050 of 4,000 images, 5.0 images/s, 9 min 50 s left, 2 unusable"),
        (SurveyProgress(100, None, 0), 50.0, 0, "100 images, 2.0 images/s"),
        (SurveyProgress(1, 40_000, 0), 1.0, 0, "1 of 40,000 images, 1.0 images/s, 11 h 6 min left"),
    ],
)
def test_progress_in_words(progress: SurveyProgress, seconds: float, first: int, words: str) -> None:
    assert described(progress, seconds, first) == words
