"""Bytes or a PIL image -> checked RGB image: any input becomes 8-bit RGB, upright, or an `ImageError` with a clear sentence.

`opening` reads files: a file is identified by its first bytes, not its name, and `formats` reduces it to the parts that
its pixels need before a decoder reads it. The comments, profiles, previews and later frames in which a small file can hide
a large cost are therefore never read. `pixels` is the one place where pixels of any mode become RGB, for files and for PIL
images alike:

- transparency is composited on white; CMYK and Lab are converted, 1-bit and palette images looked up
- 16-bit grey: value / 257, rounded (12-bit TIFF: value * 255 / 4095); 16-bit colour: the high byte, value // 256
- 32-bit integer and float: values within 0..1 times 255; values within 0..255 unchanged; anything else stretched so that
  the smallest is 0 and the largest 255 (a single value: 0). Infinite values and NaN are refused.
- colour profiles (Display P3 and others) are ignored, as in the training of the networks: the pixels that a network
  receives here are those that torchvision's loaders give it, and a conversion would take three times as long as decoding
  a JPEG
"""

from resnet_viz.images.limits import MAX_ASPECT, MAX_BYTES, MAX_PIXELS, ImageError
from resnet_viz.images.opening import digest, open_image, read_image
from resnet_viz.images.pixels import check_image, upright_rgb

__all__ = [
    "MAX_ASPECT",
    "MAX_BYTES",
    "MAX_PIXELS",
    "ImageError",
    "check_image",
    "digest",
    "open_image",
    "read_image",
    "upright_rgb",
]
