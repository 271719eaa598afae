"""The files that ship with the program: weights, cards, curves, sample photos, surveys, recorded lessons, architectures.

All code finds them through this module. In the repository they are in the top-level folder `assets/`; setup.py copies them next
to this file when a wheel is built.
"""

from importlib.resources import files
from pathlib import Path


def _root() -> Path:
    here = Path(str(files(__name__)))
    return here if (here / "weights").is_dir() else here.parents[1] / "assets"


ROOT = _root()
WEIGHTS_FOLDER = ROOT / "weights"
CURVES_FOLDER = ROOT / "curves"
SAMPLES_FOLDER = ROOT / "samples"
LESSONS_FOLDER = ROOT / "lessons"
ARCHITECTURES_FOLDER = ROOT / "architectures"
SURVEYS_FOLDER = ROOT / "surveys"
