"""Make the surveys that ship with the program: `python -m resnet_viz.training.shipped_surveys CIFAR10/test`.

One is of the first hundred CIFAR-10 test images of each class by ResNet-20, the other of the sample photos by the default
network.
"""

import argparse
import json
from pathlib import Path

from resnet_viz import assets
from resnet_viz.analyses.survey.files import write_survey
from resnet_viz.analyses.survey.running import survey
from resnet_viz.nets.zoo import DEFAULT_MODEL, load

CIFAR_MODEL, EACH = "resnet20-cifar10", 100


def cifar_survey(test: Path, target: Path, each: int = EACH) -> None:
    """Survey the first images of each class of a folder that has a sub-folder for each."""
    paths = [path for folder in sorted(test.iterdir()) for path in sorted(folder.iterdir())[:each]]
    names = [path.relative_to(test).as_posix() for path in paths]
    found = survey(load(CIFAR_MODEL, device="cpu"), paths, labels=[path.parent.name for path in paths])
    write_survey(found.renamed(names, "the first 100 CIFAR-10 test images of each class"), target)


def sample_survey(target: Path) -> None:
    """Survey the sample photos, whose classes their list tells where the network has one."""
    rows = [row for row in json.loads((assets.SAMPLES_FOLDER / "samples.json").read_text()) if row["kind"] == "photo"]
    paths = [assets.SAMPLES_FOLDER / row["file"] for row in rows]
    found = survey(load(DEFAULT_MODEL, device="cpu"), paths, labels=[row["label"] or "" for row in rows])
    write_survey(found.renamed([row["file"] for row in rows], "the sample photos of ResNet Viz"), target)


def main() -> None:
    """Write both files into `assets/surveys`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("test", type=Path, help="the folder of CIFAR-10 test images, with a sub-folder for each class")
    folder = assets.SURVEYS_FOLDER
    folder.mkdir(exist_ok=True)
    cifar_survey(parser.parse_args().test, folder / f"{CIFAR_MODEL}.parquet")
    sample_survey(folder / f"{DEFAULT_MODEL}.parquet")


if __name__ == "__main__":
    main()
