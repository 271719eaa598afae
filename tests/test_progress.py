"""The progress bar follows every kind of callback, starts again for the next computation, and ends where one is stopped."""

import io
from contextlib import suppress

import pytest
from PIL import Image

import resnet_viz as rv
from resnet_viz.progress import ProgressBar


def test_it_follows_the_steps_and_closes_at_the_last() -> None:
    out = io.StringIO()
    bar = ProgressBar("Sweep", unit="point", file=out)
    for done in range(1, 5):
        bar(done, 4)
    assert "Sweep: 100%" in out.getvalue()
    assert "4/4" in out.getvalue()
    assert bar._bar is None


def test_the_next_computation_gets_a_bar_of_its_own() -> None:
    out = io.StringIO()
    bar = ProgressBar(file=out)
    for total in (3, 5):
        for done in range(total + 1):
            bar(done, total)
    assert "3/3" in out.getvalue()
    assert "5/5" in out.getvalue()


def test_a_computation_that_was_stopped_leaves_no_open_bar() -> None:
    with suppress(KeyboardInterrupt), ProgressBar(file=io.StringIO()) as bar:
        bar(1, 3)
        raise KeyboardInterrupt
    assert bar._bar is None


def test_it_shows_what_a_survey_reports() -> None:
    out = io.StringIO()
    bar = ProgressBar("Survey", unit="image", file=out)
    bar(rv.SurveyProgress(done=3, total=None, bad=1))
    bar(rv.SurveyProgress(done=8, total=8, bad=2))
    assert "8/8" in out.getvalue()


def test_analyses_accept_it_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    net, image = rv.load("resnet20-cifar10", weights=None, device="cpu"), Image.new("RGB", (32, 32), "orange")
    rv.inspect(net, image, on_block=rv.progress_bar("Blocks", unit="block"))
    rv.attribute(net, image, "integrated_gradients", steps=8, on_progress=rv.progress_bar("Map"))
    rv.conductance(net, image, steps=4, on_point=rv.progress_bar("Points"))
    shown = capsys.readouterr().err
    assert all(f"{name}: 100%" in shown for name in ("Blocks", "Map", "Points"))
