"""A finished survey: its manifest, one row per image, and the strongest images of each channel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from resnet_viz.analyses.activations import Array
from resnet_viz.analyses.measures import MEANINGS
from resnet_viz.analyses.survey import rows as in_rows
from resnet_viz.analyses.survey.manifest import Manifest
from resnet_viz.analyses.survey.measuring import CONSTANT, MEASURED
from resnet_viz.analyses.survey.parts import SurveyPart
from resnet_viz.analyses.survey.peaks import Peaks, merge
from resnet_viz.analyses.survey.rows import FACTS, Rows
from resnet_viz.analyses.whole_numbers import is_whole


@dataclass(frozen=True, eq=False)
class Survey:
    """Every scalar measure of every block for many images, with the predictions, and the strongest images of each channel.

    The columns of a survey in a file are read from the file on demand.
    """

    manifest: Manifest
    rows: Rows
    peaks: Peaks

    @classmethod
    def of_parts(cls, manifest: Manifest, parts: Sequence[SurveyPart]) -> "Survey":
        """Combine parts in the given order."""
        firsts = np.cumsum([0, *(len(part) for part in parts)])
        peaks = [(part.peaks, int(first)) for part, first in zip(parts, firsts, strict=False)]
        none = [(Peaks.none(sum(manifest.channels), manifest.strongest), 0)]
        tables = [in_rows.to_table(part, manifest) for part in parts]
        rows = pa.concat_tables(tables).combine_chunks() if tables else in_rows.SCHEMA.empty_table()
        return cls(manifest, rows, merge(peaks or none))

    @property
    def count(self) -> int:
        """The number of images, including those that could not be used."""
        return in_rows.count(self.rows)

    @property
    def block_names(self) -> tuple[str, ...]:
        """The names of the blocks, first to last."""
        return tuple(block.name for block in self.manifest.blocks)

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.peaks.nbytes + (0 if isinstance(self.rows, Path) else int(self.rows.nbytes))

    @property
    def accuracy(self) -> float:
        """The share of right predictions among the images with a known class; NaN if none is, or the network has one class."""
        correct = in_rows.read(self.rows, ("correct",)).column("correct").drop_null()
        return float(np.mean(correct.to_numpy())) if len(correct) else float("nan")

    def images(self) -> pd.DataFrame:
        """Return one row per image, indexed by name: class, prediction, whether it is right, and why a bad image was left out.

        `correct` is missing if the class of the image is unknown or the network does not have it, and for a network with a
        single class, which it always predicts.
        """
        table: pd.DataFrame = in_rows.read(self.rows, FACTS).to_pandas(types_mapper=_MISSING.get)
        return table.set_index("image")

    def table(self) -> pd.DataFrame:
        """Return one row per image and block with every scalar measure, under the names and in the units of `inspect`.

        The index is (image, block): `table().loc["cat.jpg"]` equals what `inspect` returns for that image, up to rounding.
        Images that could not be used have no rows; `bad` lists them.
        """
        blocks = self.manifest.blocks
        names = self.image_names()
        index = pd.MultiIndex.from_product([names, self.block_names], names=["image", "block"])
        columns: dict[str, object] = {
            "stage": np.tile([block.stage for block in blocks], len(names)),
            "shortcut": np.tile([block.shortcut for block in blocks], len(names)),
        }
        for name in MEANINGS:
            if name in MEASURED:
                columns[name] = self.measure(name).ravel().astype(np.float64)
            elif name in CONSTANT:
                columns[name] = np.tile([getattr(block, name) for block in blocks], len(names))
            else:
                columns[name] = np.nan
        return pd.DataFrame(columns, index=index)

    def image_names(self) -> list[str]:
        """Return the names of the images that could be used, in the order of the rows of `measure`."""
        found = in_rows.read(self.rows, ("image", "error"))
        names: list[str] = found.filter(found.column("error").is_null()).column("image").to_pylist()
        return names

    def measure(self, name: str) -> Array:
        """Return one measure of the images that could be used, float32 (images, blocks); KeyError lists the measures."""
        if name not in MEASURED:
            raise KeyError(f"a survey has no measure {name!r}; it has {', '.join(MEASURED)}")
        return in_rows.measure_matrix(self.rows, name, len(self.manifest.blocks))

    @property
    def bad(self) -> pd.DataFrame:
        """The images that could not be used, by name, each with the reason."""
        found = self.images()
        return found.loc[found["error"].notna(), ["error"]]

    def renamed(self, names: Sequence[str], images: str) -> "Survey":
        """Return the survey with other names for its images and another description of where they come from.

        Raises ValueError if the number of names is wrong or they are not unique.
        """
        if len(set(names)) != self.count or len(names) != self.count:
            raise ValueError(f"{self.count:,} images need as many names, each of them once; {len(set(names)):,} were given")
        rows = in_rows.read(self.rows, tuple(in_rows.SCHEMA.names))
        renamed = rows.set_column(0, in_rows.SCHEMA.field("image"), pa.array(names, pa.string()))
        return replace(self, manifest=replace(self.manifest, images=images), rows=renamed)

    def strongest(self, block: str, channel: int) -> pd.DataFrame:
        """Return the images that excite a channel of a block output most, the strongest first.

        `value` is the activation; `row` and `column` are its place in the map of the channel, counted from the top left. The
        size of the map is the height and width of the `shape` of the block in the manifest. Raises KeyError for an unknown
        block, and IndexError for an unknown channel.
        """
        number = self.manifest.block_number(block)
        channels = self.manifest.channels
        if not is_whole(channel) or channel not in range(channels[number]):
            raise IndexError(f"block {block} has no channel {channel!r}: take 0 to {channels[number] - 1}")
        line = sum(channels[:number]) + channel
        known = self.peaks.images[line] >= 0
        positions = self.peaks.images[line][known]
        names = in_rows.read(self.rows, ("image",)).column("image").take(pa.array(positions))
        return pd.DataFrame(
            {
                "image": names.to_pylist(),
                "value": self.peaks.activations[line][known],
                "row": self.peaks.rows[line][known],
                "column": self.peaks.columns[line][known],
            }
        )


_MISSING = {pa.int32(): pd.Int32Dtype(), pa.bool_(): pd.BooleanDtype()}
