"""`resnet-viz survey`: what it prints, what it writes, and how it says how far it is."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from resnet_viz.analyses.survey.files import open_survey
from resnet_viz.analyses.survey.running import SurveyProgress
from resnet_viz.cli import app
from resnet_viz.survey_command import described
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
