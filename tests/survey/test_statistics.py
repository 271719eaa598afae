"""Questions about surveys, against numbers that can be counted by hand, and numpy."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resnet_viz import figures
from resnet_viz.analyses.survey.comparison import compare_surveys
from resnet_viz.analyses.survey.errors import SurveyError
from resnet_viz.analyses.survey.measuring import MEASURED
from resnet_viz.analyses.survey.parts import SurveyPart
from resnet_viz.analyses.survey.peaks import Peaks
from resnet_viz.analyses.survey.result import Survey
from resnet_viz.analyses.survey.running import survey
from resnet_viz.analyses.survey.statistics import (
    GROUPINGS,
    ClassCounts,
    area_under_curve,
    class_counts,
    class_matrix,
    confusion_counts,
    extremes,
    groups,
    measures_with_values,
    quantiles,
    separation,
    usual_measure,
)
from resnet_viz.nets.net import Net
from resnet_viz.reporting.surveying import of_survey
from tests.survey.pictures import classes_of, folder_of, picture, png, zip_of

Make = Callable[..., Survey]


@pytest.fixture(scope="module")
def make(make_cifar: Callable[..., Net]) -> Make:
    """Return `make(true, predicted)`: a survey in which the ratio of image i is i in the first block, and i % 3 elsewhere."""
    manifest = survey(make_cifar("A"), [picture(0)]).manifest
    blocks = len(manifest.blocks)

    def build(true: Sequence[int], predicted: Sequence[int]) -> Survey:
        count = len(true)
        measures = np.ones((count, blocks, len(MEASURED)), np.float32)
        measures[:, :, MEASURED.index("ratio")] = (np.arange(count) % 3)[:, None]
        measures[:, 0, MEASURED.index("ratio")] = np.arange(count)
        part = SurveyPart(
            names=tuple(f"{number}.png" for number in range(count)),
            classes=tuple(manifest.labels[index] if index >= 0 else "" for index in true),
            class_indices=np.array(true, np.int64),
            sentences=("",) * count,
            predicted=np.array(predicted, np.int64),
            logits=np.ones(count, np.float32),
            probabilities=np.full(count, 0.5, np.float32),
            measures=measures,
            peaks=Peaks.none(sum(manifest.channels), manifest.strongest),
        )
        return Survey.of_parts(manifest, [part])

    return build


def test_quantiles(make: Make) -> None:
    table = quantiles(make([0] * 101, [0] * 101), "ratio")
    assert list(table.iloc[0]) == [5, 25, 50, 75, 95]
    assert list(table.index) == ["layer1.0", "layer2.0", "layer3.0"]


def test_quantiles_leave_out_what_is_not_known(make_cifar: Callable[..., Net]) -> None:
    """A plain network has no identity to measure."""
    found = survey(make_cifar("plain"), [picture(0), picture(1)])
    assert quantiles(found, "ratio").isna().all().all()
    assert quantiles(found, "response_std").notna().all().all()


def test_groups(make: Make) -> None:
    found = make([0, 0, 1, -1], [0, 1, 1, 1])
    assert {name: mask.tolist() for name, mask in groups(found, "right or wrong").items()} == {
        "right": [True, False, True, False],
        "wrong": [False, True, False, False],
    }
    assert {name: int(mask.sum()) for name, mask in groups(found, "class").items()} == {"airplane": 2, "automobile": 1}
    assert list(groups(found, "predicted class", most=1)) == ["automobile"]
    assert found.accuracy == pytest.approx(2 / 3)


def test_area_under_curve_counts_pairs() -> None:
    positive, negative = np.array([1, 2, 2, 5], np.float32), np.array([0, 2, 3], np.float32)
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert area_under_curve(positive, negative) == pytest.approx(np.mean(pairs))
    assert np.isnan(area_under_curve(positive, np.array([], np.float32)))


def test_the_block_that_tells_mistakes_apart_comes_first(make: Make) -> None:
    """The last ten of thirty images are wrong, and their ratio in the first block is larger than all others'."""
    ranked = separation(make([0] * 30, [0] * 20 + [1] * 10))
    assert tuple(ranked.iloc[0][["block", "measure"]]) == ("layer1.0", "ratio")
    assert ranked.iloc[0]["auc"] == 1
    assert ranked.iloc[0]["right"] == 9.5
    assert ranked.iloc[0]["wrong"] == 24.5
    assert len(ranked) == 3 * len(MEASURED)


def test_too_few_mistakes_say_nothing(make: Make) -> None:
    assert len(separation(make([0] * 30, [0] * 26 + [1] * 4))) == 0


def test_class_matrix(make: Make) -> None:
    table = class_matrix(make([0, 0, 0, 1, 1, 1], [0] * 6), "ratio")
    assert table.loc["airplane", "layer1.0"] == 1
    assert table.loc["automobile", "layer1.0"] == 4
    assert table.loc["automobile", "layer2.0"] == 1


def test_extremes(make: Make) -> None:
    assert list(extremes(make([0] * 9, [0] * 9), "ratio", "layer1.0", 2).index) == ["8.png", "7.png", "1.png", "0.png"]
    assert len(extremes(make([0] * 3, [0] * 3), "ratio", "layer1.0", 2)) == 3


def test_confusion(make: Make) -> None:
    counts, labels = confusion_counts(make([0, 0, 3, 3, -1], [0, 3, 3, 3, 5]))
    assert labels == ("airplane", "cat")
    assert counts.tolist() == [[1, 1], [0, 2]]


class TestComparison:
    def test_with_itself(self, make: Make) -> None:
        found = make([0] * 9, [0] * 9)
        same = compare_surveys(found, found)
        assert (same.count, same.changed, same.notes) == (9, 0, ())
        assert (same.table()["largest"] == 0).all()

    def test_finds_what_changed(self, make_cifar: Callable[..., Net]) -> None:
        images = [picture(seed) for seed in range(6)]
        left, right = (survey(make_cifar("A", seed=seed), images) for seed in (0, 1))
        found = compare_surveys(left, right)
        difference = right.measure("cosine") - left.measure("cosine")
        row = found.table().reset_index().set_index(["block", "measure"]).T[("layer2.0", "cosine")]
        assert row["mean_difference"] == pytest.approx(difference[:, 1].mean(), rel=1e-4)
        assert row["image"] == f"image {np.abs(difference[:, 1]).argmax()}"
        assert found.changed == int((left.images()["predicted"] != right.images()["predicted"]).sum())
        assert "different weights" in " ".join(found.notes)

    def test_images_that_share_only_their_names(self, make_cifar: Callable[..., Net]) -> None:
        net = make_cifar("A")
        left = survey(net, [picture(seed) for seed in range(4)], labels=["cat", "cat", "cat", ""])
        right = survey(net, [picture(seed) for seed in range(4, 8)], labels=["cat", "dog", "", "dog"])
        found = compare_surveys(left, replace(right, manifest=replace(right.manifest, images="another list")))
        assert "a list of images and from another list" in found.notes[0]
        assert "Number of images with a different class in each survey: 1." in found.notes[1]
        assert "their logits differ" in found.notes[2]

    def test_an_archive_begins_with_the_folder(self, make_cifar: Callable[..., Net], tmp_path: Path) -> None:
        """A folder and an archive of it are the same images."""
        files, net = classes_of(4), make_cifar("A")
        packed = survey(net, zip_of({f"photos/{name}": data for name, data in files.items()}))
        found = compare_surveys(survey(net, folder_of(tmp_path, files)), packed)
        assert (found.count, found.changed) == (4, 0)
        assert list(found.images().index) == sorted(files)

    def test_only_surveys(self, make: Make) -> None:
        with pytest.raises(TypeError, match=r"This is a str and not a survey: open a file with rv\.open_survey"):
            compare_surveys(make([0], [0]), "x.parquet")  # type: ignore[arg-type]  # what is refused

    def test_without_anything_in_common(self, make: Make) -> None:
        left, right = make([0] * 3, [0] * 3), make([0] * 3, [0] * 3).renamed(["a", "b", "c"], "letters")
        with pytest.raises(SurveyError, match="share no image"):
            compare_surveys(left, right)
        blocks = tuple(replace(block, name=f"x{block.name}") for block in left.manifest.blocks)
        with pytest.raises(SurveyError, match="no block of the same name"):
            compare_surveys(left, replace(left, manifest=replace(left.manifest, blocks=blocks)))


class TestFigures:
    def test_say_what_was_found(self, make: Make) -> None:
        found = make([0] * 20 + [1] * 10, [0] * 20 + [3] * 10)
        by_depth = figures.survey_by_depth(found, "ratio", "right or wrong", "layer1.0")
        assert by_depth.layout.meta["finding"] == ("|F| / |x| differs most in block 1.0: median 24.5 if wrong, 9.5 if right")
        matrix = figures.survey_matrix(found, "ratio").layout.meta["finding"]
        assert matrix == (
            "Relative to its size, |F| / |x| differs most between classes in block 1.0: 24.5 for automobile, 9.5 for airplane"
        )
        separated = figures.survey_separation(found).layout.meta["finding"]
        assert separated.startswith("|F| / |x| in block 1.0 separates wrong predictions from right ones best: it is larger")
        scatter = figures.survey_scatter(found, "ratio", "layer1.0", "29.png")
        assert sum(len(trace.x) for trace in scatter.data) == 31
        assert "29.png" in scatter.data[1].customdata

    @pytest.mark.parametrize("grouping", GROUPINGS)
    def test_without_classes_and_without_images(self, make: Make, grouping: str) -> None:
        for found in (make([-1] * 3, [0] * 3), make([], []), make([0], [0])):
            for measure in ("ratio", "identity_norm"):
                figures.survey_by_depth(found, measure, grouping)  # type: ignore[arg-type]  # one of them
                figures.survey_matrix(found, measure)
                figures.survey_scatter(found, measure, "layer1.0")
                figures.survey_separation(found)

    def test_name_the_two_classes_of_the_heading(self, make: Make) -> None:
        figure = figures.survey_by_depth(make([0] * 20 + [1] * 10 + [2] * 3, [0] * 33), "ratio", "class")
        assert figure.layout.meta["finding"] == (
            "The medians of |F| / |x| of the classes are furthest apart in block 1.0: 31 for bird, 9.5 for airplane"
        )
        assert [(each.text, each.x, each.y) for each in figure.layout.annotations] == [("bird", 0, 31), ("airplane", 0, 9.5)]
        assert len({trace.line.color for trace in figure.data}) == 2

    def test_say_how_many_images_count(self, make: Make) -> None:
        found = make([0] * 5 + [-1] * 7, [0] * 12)
        reading = figures.survey_by_depth(found, "ratio", "right or wrong").layout.meta["how_to_read"]
        assert "5 of 12 images count here: those whose class is known." in reading
        assert "count here" not in figures.survey_by_depth(found, "ratio", "predicted class").layout.meta["how_to_read"]

    def test_folders_of_other_names_are_no_classes(self, make_cifar: Callable[..., Net]) -> None:
        found = survey(make_cifar("A"), zip_of({f"grp{number % 2}/{number}.png": png(number) for number in range(4)}))
        assert class_counts(found) == ClassCounts(0, 4)
        meta = figures.survey_matrix(found, "ratio").layout.meta
        assert "between folders" in meta["finding"]
        assert meta["how_to_read"].startswith("One row per folder")
        assert "of the folders" in figures.survey_by_depth(found, "ratio", "class").layout.meta["finding"]

    def test_a_plain_network_begins_with_a_measure_that_it_has(self, make: Make, make_cifar: Callable[..., Net]) -> None:
        assert usual_measure(make([0], [0])) == "ratio"
        plain = survey(make_cifar("plain"), [picture(0), picture(1)])
        assert usual_measure(plain) == "response_std"
        assert not {"ratio", "identity_norm"} & set(measures_with_values(plain))
        contents = of_survey(plain)
        assert contents.table is not None
        assert list(contents.table.columns) == ["5%", "25%", "median", "75%", "95%"]
        assert contents.table_title.startswith("std of F by block")

    def test_markup_in_names_is_text(self, make: Make) -> None:
        found = make([0, 0], [0, 0]).renamed(["<b>x</b>.png", "y.png"], "files")
        figure = figures.survey_scatter(found, "ratio", "layer1.0")
        assert "<b>" not in figure.layout.title.text
        assert "<b>" not in figure.data[0].text[0]
        assert figure.data[0].customdata[0] == "<b>x</b>.png"

    def test_ten_thousand_images(self, make: Make) -> None:
        found = make([0] * 10_000, [0] * 10_000)
        figure = figures.survey_scatter(found, "ratio", "layer1.0")
        drawn = sum(len(trace.x) for trace in figure.data)
        assert drawn <= 2500
        assert {"0.png", "9999.png"} <= set(pd.concat([pd.Series(trace.customdata) for trace in figure.data]))
