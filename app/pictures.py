"""A photo as pages show it, encoded once: a small original, and the background of maps with the photo's own pixels."""

from dataclasses import dataclass

from PIL import Image, ImageOps

import resnet_viz as rv
from app import parsers
from resnet_viz.figures.attribution.backdrop import Backdrop
from resnet_viz.figures.data_urls import data_url

# Twice the size at which they are shown: screens have up to two pixels for each CSS pixel.
THUMBNAIL, ORIGINAL, SMALL = 96, (600, 320), 448


@dataclass(frozen=True)
class Preview:
    """The original: its size in pixels, (width, height), and its images as data URLs."""

    size: tuple[int, int]
    original: str
    thumbnail: str

    @classmethod
    def of(cls, data: bytes) -> "Preview":
        """Make it from a file; rv.ImageError if that is not an image."""
        image = parsers.open_image(data)
        small = image.copy()
        small.thumbnail(ORIGINAL)
        return cls(image.size, data_url(small, "JPEG"), _thumbnail(small))

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return len(self.original) + len(self.thumbnail)


@dataclass(frozen=True)
class Ground:
    """The network's crop of a photo: in grey, large and small, and in colour as a data URL."""

    large: Backdrop
    small: Backdrop
    colour: str

    @classmethod
    def of(cls, data: bytes, preprocessing: rv.Preprocessing) -> "Ground":
        """Make it from a file; rv.ImageError if that is not an image."""
        sharp = preprocessing.sharp(parsers.open_image(data))
        small = sharp if sharp.width <= SMALL else sharp.resize((SMALL, SMALL), Image.Resampling.BOX)
        return cls(Backdrop.of(sharp), Backdrop.of(small), data_url(sharp, "JPEG"))

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.large.nbytes + self.small.nbytes + len(self.colour)


def _thumbnail(image: Image.Image) -> str:
    """The middle of an image; one with fewer pixels keeps its own size, and the browser enlarges it."""
    side = min(THUMBNAIL, *image.size)
    return data_url(ImageOps.fit(image, (side, side)), "PNG" if side < THUMBNAIL / 2 else "WEBP")
