"""A survey that goes on where it stopped: with the same images and classes only, one run at a time, and without losing work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from resnet_viz.analyses.survey import assembling, running
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.files import open_survey
from resnet_viz.analyses.survey.locks import locked
from resnet_viz.analyses.survey.running import SurveyProgress, survey
from resnet_viz.analyses.survey.unfinished import count_finished
from resnet_viz.nets.net import Net
from tests.survey.pictures import classes_of, folder_of, picture, png, zip_of


@pytest.fixture(scope="module")
def net(make_cifar: Callable[..., Net]) -> Net:
    return make_cifar("A")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PART_IMAGES", 2)


def interrupt(net: Net, images: Any, out: Path, after: int = 4, **options: Any) -> None:
    """Start a survey and press Ctrl+C after some images."""

    def stop(progress: SurveyProgress) -> None:
        if progress.done >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        survey(net, images, batch_size=2, out=out, on_progress=stop, **options)
    assert not out.exists()


KINDS: dict[str, Callable[[int], Any]] = {
    "tensor": lambda seed: torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(seed)),
    "bytes": lambda seed: [png(seed + number) for number in range(6)],
    "PIL images": lambda seed: [picture(seed + number) for number in range(6)],
    "archive": lambda seed: zip_of({f"{number}.png": png(seed + number) for number in range(6)}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_images_of_the_same_names_are_refused(kind: str, net: Net, tmp_path: Path) -> None:
    out = tmp_path / "s.parquet"
    interrupt(net, KINDS[kind](0), out)
    with pytest.raises(SurveyError, match=r"The images have changed .* is another image now"):
        survey(net, KINDS[kind](100), out=out)
    assert survey(net, KINDS[kind](0), out=out).count == 6


def test_another_file_of_the_same_name_is_refused(net: Net, tmp_path: Path) -> None:
    folder, out = folder_of(tmp_path / "images", classes_of(6)), tmp_path / "s.parquet"
    interrupt(net, folder, out)
    (folder / "cat" / "000.png").write_bytes(png(100) + b" ")
    with pytest.raises(SurveyError, match="is another image now"):
        survey(net, folder, out=out)


def test_other_classes_are_refused(net: Net, tmp_path: Path) -> None:
    images, out = KINDS["bytes"](0), tmp_path / "s.parquet"
    interrupt(net, images, out, labels=["cat"] * 6)
    with pytest.raises(SurveyError, match="had the class 'cat' and has the class 'dog' now"):
        survey(net, images, labels=["dog"] * 6, out=out)
    assert list(survey(net, images, labels=["cat"] * 6, out=out).images()["class"]) == ["cat"] * 6


def test_an_interruption_keeps_what_was_measured(net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PART_IMAGES", 512)
    out = tmp_path / "s.parquet"
    interrupt(net, KINDS["bytes"](0), out, after=2)
    assert count_finished(out) == 2
    seen: list[SurveyProgress] = []
    again = survey(net, KINDS["bytes"](0), out=out, on_progress=seen.append)
    assert seen[0].done == 2
    assert again.count == 6


def test_an_interruption_in_a_pass_leaves_whole_batches(net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def pass_or_stop(*arguments: Any) -> Any:
        calls.append(run(*arguments))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return calls[-1]

    run = assembling.PartBuilder._run.__globals__["run_pass"]
    monkeypatch.setitem(assembling.PartBuilder._run.__globals__, "run_pass", pass_or_stop)
    monkeypatch.setattr(running, "PART_IMAGES", 512)
    out = tmp_path / "s.parquet"
    with pytest.raises(KeyboardInterrupt):
        survey(net, KINDS["bytes"](0), batch_size=2, out=out)
    assert count_finished(out) == 2


def test_one_run_at_a_time(net: Net, tmp_path: Path) -> None:
    out = tmp_path / "s.parquet"

    def other(progress: SurveyProgress) -> None:
        if progress.done == 2:
            with pytest.raises(SurveyError, match=r"Another run is making the survey .*: wait until it has ended"):
                survey(net, KINDS["bytes"](0), out=out)

    assert survey(net, KINDS["bytes"](0), batch_size=2, out=out, on_progress=other).count == 6
    assert [path.name for path in tmp_path.iterdir()] == ["s.parquet"]


def test_a_lock_is_free_after_its_owner(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "lock", "taken"):
            with pytest.raises(SurveyError, match="taken"), locked(tmp_path / "lock", "taken"):
                pass
            assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    assert not list(tmp_path.iterdir())


def test_only_its_own_parts_are_removed(net: Net, tmp_path: Path) -> None:
    out, parts = tmp_path / "s.parquet", tmp_path / "s.parquet.parts"
    folder_of(parts, {"mine/thesis.txt": b"x", "notes.parquet": b"no part"})
    interrupt(net, KINDS["bytes"](0), out)
    assert survey(net, KINDS["bytes"](0), out=out).count == 6
    assert sorted(path.name for path in parts.iterdir()) == ["mine", "notes.parquet"]
    assert (parts / "mine" / "thesis.txt").read_bytes() == b"x"


def test_a_damaged_or_missing_part_is_named(net: Net, tmp_path: Path) -> None:
    out = tmp_path / "s.parquet"
    interrupt(net, KINDS["bytes"](0), out)
    second = tmp_path / "s.parquet.parts" / "000001.parquet"
    second.write_bytes(second.read_bytes()[:500])
    with pytest.raises(SurveyError, match=r"The part .*000001.parquet of the unfinished survey is damaged"):
        survey(net, KINDS["bytes"](0), out=out)
    second.unlink()
    assert survey(net, KINDS["bytes"](0), out=out).count == 6
    out = tmp_path / "t.parquet"
    interrupt(net, KINDS["bytes"](0), out)
    (tmp_path / "t.parquet.parts" / "000000.parquet").unlink()
    with pytest.raises(SurveyError, match=r"A part of the unfinished survey is missing, 000000.parquet"):
        survey(net, KINDS["bytes"](0), out=out)


def test_what_cannot_be_written_is_a_sentence(net: Net, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no survey")
    with pytest.raises(SurveyError, match="is a folder: name a file in it"):
        survey(net, [png(0)], out=tmp_path)
    with pytest.raises(SurveyError, match=r"There is a file at .* and it is no survey"):
        survey(net, [png(0)], out=tmp_path / "file")
    with pytest.raises(SurveyError, match="could not be written: File name too long"):
        survey(net, [png(0)], out=tmp_path / ("x" * 300))
    with pytest.raises(SurveyError, match=r"could not be written: Not a directory\. Check that its folder exists"):
        survey(net, [png(0)], out=tmp_path / "file" / "s.parquet")
    assert open_survey(survey(net, [png(0)], out=tmp_path / "new" / "s.parquet").rows).count == 1
