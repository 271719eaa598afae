"""Folders as people and systems leave them: links, pipes, names that are no text, and folders that may not be read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from resnet_viz.analyses.survey import folders
from resnet_viz.analyses.survey.files import open_survey
from resnet_viz.analyses.survey.folders import image_files
from resnet_viz.analyses.survey.running import survey
from resnet_viz.images import ImageError, open_image
from resnet_viz.nets.net import Net
from tests.survey.pictures import folder_of, png, tar_of


def found(folder: Path) -> list[str]:
    return [each.path.relative_to(folder).as_posix() for each in image_files(folder)]


def test_links_to_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "data", {"dog/1.png": png(0)})
    folder_of(tmp_path / "elsewhere", {"2.png": png(1)})
    (folder / "cat").symlink_to(tmp_path / "elsewhere")
    (folder / "dog" / "up").symlink_to(folder)
    (folder / "self").symlink_to("self")
    assert found(folder) == ["dog/1.png", "cat/2.png"]


def test_folders_that_lead_to_one_another_are_listed_once(tmp_path: Path) -> None:
    """Followed along every way, nine of them are a million folders."""
    names = [f"folder {number}" for number in range(9)]
    folder_of(tmp_path, {f"{name}/1.png": png(0) for name in names})
    for name in names:
        for other in names:
            (tmp_path / name / f"to {other}").symlink_to(tmp_path / other)
    assert found(tmp_path) == [f"{name}/1.png" for name in names]


def test_links_and_pipes_that_lead_nowhere_are_bad_images(make_cifar: Callable[..., Net], tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"a.png": png(0)})
    (folder / "b.png").symlink_to("b.png")
    (folder / "c.png").symlink_to("nowhere.png")
    os.mkfifo(folder / "d.png")
    result = survey(make_cifar("A"), folder)
    assert list(result.bad.index) == ["b.png", "c.png", "d.png"]
    assert "named pipe" in str(result.bad.loc["d.png", "error"])
    with pytest.raises(ImageError, match=r"is a named pipe and not a file\. Save the image"):
        open_image(folder / "d.png")


def test_a_folder_that_cannot_be_read_is_listed(
    make_cifar: Callable[..., Net], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root, every folder can be read: the system's answer is imitated."""
    folder = folder_of(tmp_path, {"cat/1.png": png(0), "dog/2.png": png(1)})
    visible = folders._visible

    def refuse(asked: Path) -> list["os.DirEntry[str]"]:
        if asked.name == "cat":
            raise PermissionError(13, "Permission denied")
        return visible(asked)

    monkeypatch.setattr(folders, "_visible", refuse)
    result = survey(make_cifar("A"), folder)
    assert result.image_names() == ["dog/2.png"]
    assert "This folder could not be read: Permission denied." in str(result.bad.loc["cat", "error"])


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    assert found(folder_of(tmp_path, {".a.png": b"", ".git/b.png": b"", "c.png": b""})) == ["c.png"]


@pytest.mark.parametrize("kind", ["folder", "archive", "list"])
def test_names_that_are_no_text(kind: str, make_cifar: Callable[..., Net], tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    folder_of(tmp_path / "data", {f"cat/{name}": png(0), f"{name[:-4]}/1.png": b"?"})
    (tmp_path / "a.tar").write_bytes(tar_of({f"cat/{name}": png(0), f"{name[:-4]}/1.png": b"?"}))
    files = [tmp_path / "data" / "cat" / name, tmp_path / "data" / name]
    given = {"folder": tmp_path / "data", "archive": tmp_path / "a.tar", "list": files}[kind]
    result = survey(make_cifar("A"), given, out=tmp_path / "s.parquet")
    assert result.count == 2
    names = list(open_survey(tmp_path / "s.parquet").images().index)
    assert [each.encode().decode() for each in names] == names
    assert any(each.endswith("cat/caf\\udce9.png") for each in names)
