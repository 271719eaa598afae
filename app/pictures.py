"""A photo as pages show it, encoded once: the original in small, and what lies under maps with the photo's own pixels."""

from dataclasses import dataclass

from PIL import Image, ImageOps

import resnet_viz as rv
from app import parsers
from resnet_viz.figures.attribution.backdrop import Backdrop
from resnet_viz.figures.data_urls import data_url

# Twice what is shown of them: screens have up to two pixels for each of a page's.
THUMBNAIL, ORIGINAL, SMALL = 112, 600, 448


@dataclass(frozen=True)
class Preview:
    """The original: its size in pixels, (width, height), and its images as addresses that carry their bytes."""

    size: tuple[int, int]
    original: str
    thumbnail: str

    @classmethod
    def of(cls, data: bytes) -> "Preview":
        """Make it of a file; rv.ImageError with a sentence where that is no image."""
        image = parsers.open_image(data)
        small = image.copy()
        small.thumbnail((ORIGINAL, ORIGINAL))
        return cls(image.size, data_url(small, "JPEG"), _thumbnail(small))

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return len(self.original) + len(self.thumbnail)


@dataclass(frozen=True)
class Ground:
    """What the network saw of a photo: in grey, large and small, and in colour as an address that carries its bytes."""

    large: Backdrop
    small: Backdrop
    colour: str

    @classmethod
    def of(cls, data: bytes, preprocessing: rv.Preprocessing) -> "Ground":
        """Make it of a file; rv.ImageError with a sentence where that is no image."""
        sharp = preprocessing.sharp(parsers.open_image(data))
        small = sharp if sharp.width <= SMALL else sharp.resize((SMALL, SMALL), Image.Resampling.BOX)
        return cls(Backdrop.of(sharp), Backdrop.of(small), data_url(sharp, "JPEG"))

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.large.nbytes + self.small.nbytes + len(self.colour)


def _thumbnail(image: Image.Image) -> str:
    """The middle of an image; one with fewer pixels than that keeps its own, which the browser enlarges."""
    side = min(THUMBNAIL, *image.size)
    return data_url(ImageOps.fit(image, (side, side)), "PNG" if side < THUMBNAIL / 2 else "JPEG")
