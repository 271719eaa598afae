"""The way of a training over its loss landscape, recorded for a small network that was trained for this.

The recording in assets/lessons was made by

    python -m resnet_viz.training trajectory --data DATA --depth 20 --images 50000 --epochs 40 --points 31
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_viz import assets
from resnet_viz.analyses.activations import Array
from resnet_viz.lessons.recorded_arrays import from_lists, to_lists
from resnet_viz.lessons.trajectory import Trajectory
from resnet_viz.nets.net import WeightsError, WeightsOrigin

_ARRAYS = ("steps", "losses", "first", "second", "loss")


@dataclass(frozen=True, eq=False)
class RecordedTrajectory:
    """A trajectory with one checkpoint before the training and one after each epoch; `training` and `measured_on` describe it.

    `errors`, float32 (checkpoints,), is the share of some test images that each checkpoint classifies wrongly; NaN before the
    training.
    """

    trajectory: Trajectory
    training: str
    measured_on: str
    errors: Array


def write(found: RecordedTrajectory, folder: Path = assets.LESSONS_FOLDER) -> Path:
    """Write a recording next to the others."""
    way = found.trajectory
    content = {
        "model": way.model,
        "training": found.training,
        "measured_on": found.measured_on,
        "images": way.images,
        "guessing": way.guessing,
        "explained": to_lists(np.array(way.explained)),
        "errors": to_lists(found.errors),
    }
    content |= {name: to_lists(getattr(way, name)) for name in _ARRAYS}
    folder.mkdir(parents=True, exist_ok=True)
    path = _file(way.model, folder)
    path.write_text(json.dumps(content))
    return path


def read(model: str, folder: Path = assets.LESSONS_FOLDER) -> RecordedTrajectory:
    """Read the recording of a network, for example "ResNet-8"; WeightsError if there is none or the file is damaged."""
    path = _file(model, folder)
    if not path.exists():
        raise WeightsError(
            f"No training of {model} has been recorded in this copy. Record one with: python -m resnet_viz.training trajectory"
            " --data DATA"
        )
    try:
        content = json.loads(path.read_text())
        first, second = content["explained"]
        steps, losses, axes = content["steps"], content["losses"], (content["first"], content["second"])
        points, checkpoints = len(axes[0]), len(losses)
        way = Trajectory(
            content["model"],
            content["model"],
            WeightsOrigin("module", content["training"]),
            content["images"],
            content["guessing"],
            from_lists(steps, checkpoints, 2),
            (first, second),
            from_lists(losses, checkpoints),
            from_lists(axes[0], points),
            from_lists(axes[1], points),
            from_lists(content["loss"], points, points),
        )
        return RecordedTrajectory(way, content["training"], content["measured_on"], from_lists(content["errors"], checkpoints))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path.name} is damaged. Restore the file.") from error


def recorded_models(folder: Path = assets.LESSONS_FOLDER) -> tuple[str, ...]:
    """Return the names of the networks with a recording."""
    return tuple(sorted(path.stem.removeprefix("trajectory-") for path in folder.glob("trajectory-*.json")))


def _file(model: str, folder: Path) -> Path:
    return folder / f"trajectory-{model}.json"
