"""The photo behind a map: the network's crop, in grey and at its own resolution, encoded once for many figures."""

import base64
import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resnet_viz.figures.cells import Cell
from resnet_viz.images import check_image

# Medium greys, so that both the photo's edges and the tint on it are visible.
GREY_SCALE, GREY_OFFSET = 0.6, 80
# A photo with fewer pixels than this is enlarged to at least this size with visible pixels; browsers would blur it.
FEWEST, ENLARGED = 128, 448
QUALITY = 80


@dataclass(frozen=True)
class Backdrop:
    """A grey image, `side` pixels square, as the bytes of an image file."""

    side: int
    kind: Literal["JPEG", "PNG"]
    data: bytes

    @classmethod
    def of(cls, crop: Image.Image) -> "Backdrop":
        """Encode a square crop as returned by `Preprocessing.sharp`."""
        grey = greyed(crop)
        if crop.width < FEWEST:
            large = -(-ENLARGED // crop.width) * crop.width
            return cls(crop.width, "PNG", _encoded(grey.resize((large, large), Image.Resampling.NEAREST), "PNG"))
        return cls(crop.width, "JPEG", _encoded(grey, "JPEG"))

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return len(self.data)

    @property
    def url(self) -> str:
        """The image as a data URL."""
        return f"data:image/{self.kind.lower()};base64,{base64.b64encode(self.data).decode()}"

    def picture(self) -> Image.Image:
        """Return the image, mode L."""
        grey = Image.open(io.BytesIO(self.data)).convert("L")
        return grey if self.kind == "JPEG" else grey.resize((self.side, self.side), Image.Resampling.NEAREST)

    def layer(self, cell: Cell, rows: int, columns: int) -> dict[str, Any]:
        """Return the layout image behind a map with this many cells, whose axes count cells from 0."""
        place = {"x": -0.5, "y": -0.5, "sizex": columns, "sizey": rows, "sizing": "stretch", "layer": "below"}
        return {"source": self.url, "xanchor": "left", "yanchor": "top", **place, **cell.references}


Photo = Image.Image | Backdrop | None


def backdrop(photo: Photo, seen: NDArray[np.uint8]) -> Backdrop:
    """Return the given backdrop, or make one from a sharp crop, or from the network's input if there is none."""
    if isinstance(photo, Backdrop):
        return photo
    return Backdrop.of(Image.fromarray(seen) if photo is None else photo)


def greyed(crop: Image.Image) -> Image.Image:
    """Return an image in medium greys, mode L; TypeError for a path or anything else that is no PIL image."""
    check_image(crop)
    return crop.convert("L").point([round(level * GREY_SCALE + GREY_OFFSET) for level in range(256)])


def _encoded(grey: Image.Image, kind: Literal["JPEG", "PNG"]) -> bytes:
    buffer = io.BytesIO()
    options = {"compress_level": 6} if kind == "PNG" else {"quality": QUALITY}
    grey.save(buffer, kind, **options)
    return buffer.getvalue()
