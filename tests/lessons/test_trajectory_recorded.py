"""The recorded trajectory: what is written is read again, what ships is a training that ends where it should."""

import json
from pathlib import Path

import numpy as np
import pytest

import resnet_viz as rv
from resnet_viz.lessons.trajectory import Trajectory
from resnet_viz.lessons.trajectory_recorded import RecordedTrajectory, read, recorded_models, write
from resnet_viz.nets.net import WeightsOrigin

SHIPPED = recorded_models()


def recording() -> RecordedTrajectory:
    axis = np.linspace(-1, 1, 3, dtype=np.float32)
    steps = np.array([[2, 0], [1, 0.5], [0, 0]], np.float32)
    losses = np.array([2.3, 1.25, 0.5], np.float32)
    loss = np.arange(9, dtype=np.float32).reshape(3, 3)
    origin = WeightsOrigin("module", "2 epochs")
    way = Trajectory("ResNet-8", "ResNet-8", origin, 4, 2.3026, steps, (0.75, 0.125), losses, axis, 2 * axis, loss)
    return RecordedTrajectory(way, "2 epochs", "four images", np.array([np.nan, 0.5, 0.25], np.float32))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = recording()
    assert write(found, tmp_path).name == "trajectory-ResNet-8.json"
    assert recorded_models(tmp_path) == ("ResNet-8",)
    back = read("ResNet-8", tmp_path)
    for name in ("steps", "losses", "first", "second", "loss"):
        np.testing.assert_array_equal(getattr(back.trajectory, name), getattr(found.trajectory, name))
    np.testing.assert_array_equal(back.errors, found.errors)
    assert (back.training, back.measured_on) == ("2 epochs", "four images")
    assert (back.trajectory.explained, back.trajectory.images, back.trajectory.guessing) == ((0.75, 0.125), 4, 2.3026)


def test_what_is_missing_or_damaged_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(rv.WeightsError, match="No training of ResNet-8 has been recorded in this copy"):
        read("ResNet-8", tmp_path)
    path = write(recording(), tmp_path)
    content = json.loads(path.read_text())
    for change in ({"loss": [[1, 2], [3, 4]]}, {"steps": None}, {"explained": [1]}, {"losses": ["x", 1, 2]}):
        path.write_text(json.dumps(content | change))
        with pytest.raises(rv.WeightsError, match="is damaged"):
            read("ResNet-8", tmp_path)
    path.write_text("[]")
    with pytest.raises(rv.WeightsError, match="is damaged"):
        read("ResNet-8", tmp_path)


@pytest.mark.parametrize("model", SHIPPED)
def test_the_shipped_training_goes_down_on_its_plane(model: str) -> None:
    found = read(model)
    way = found.trajectory
    assert not way.steps[-1].any()
    assert way.losses[-1] < 0.7 * way.losses[0]
    # The norms of an untrained network have no statistics yet, so that it can do worse than guessing.
    assert way.losses[0] > 0.9 * way.guessing
    assert 0.5 < sum(way.explained) <= 1
    assert np.isfinite(way.loss).all()
    assert found.errors[-1] < found.errors[1]
    # The end of the training is on the plane, and its own loss is near those of the points around it.
    column, row = (int(np.abs(axis).argmin()) for axis in (way.first, way.second))
    around = way.loss[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    assert around.min() <= 1.1 * way.losses[-1]
    assert around.max() >= way.losses[-1]


def test_the_figure_shows_the_way_so_far() -> None:
    way = recording().trajectory
    fig = rv.figures.trajectory_contours(way, count=2)
    assert fig.data[1].x.tolist() == [2, 1]
    assert "from a loss of 2.3 to 1.25" in fig.layout.meta["finding"]
    np.testing.assert_array_equal(fig.data[0].customdata, way.loss)
    with pytest.raises(ValueError, match="4 checkpoints: choose 1 to 3"):
        rv.figures.trajectory_contours(way, count=4)


def test_the_losses_of_all_checkpoints_are_drawn_and_one_is_marked() -> None:
    way = recording().trajectory
    fig = rv.figures.trajectory_losses(way, count=2)
    np.testing.assert_array_equal(fig.data[0].y, way.losses)
    assert (fig.data[1].x.tolist(), fig.data[1].y.tolist()) == ([1], [way.losses[1]])
    assert fig.layout.meta["finding"] == "The loss of ResNet-8 goes from 2.3 to 0.5, and rises in 0 of 2 steps"
    with pytest.raises(ValueError, match="4 checkpoints: choose 1 to 3"):
        rv.figures.trajectory_losses(way, count=4)
