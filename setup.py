"""The one step of the build that pyproject.toml cannot express: a wheel holds assets/ inside the package resnet_viz.assets."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithAssets(build_py):
    """Copy the assets beside the module that finds them; an editable install finds them in the repository."""

    def run(self) -> None:
        """Start from an empty folder, so that a wheel holds nothing that an earlier build left there."""
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        shutil.copytree("assets", Path(self.build_lib, "resnet_viz", "assets"), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithAssets})
