"""The format of a file, by its first bytes; a sentence for every other type of file that people try."""

import re

from resnet_viz.images.limits import ImageError

_KINDS = "JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP or TIFF"
_SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff", "PNG": rb"\x89PNG\r\n\x1a\n", "WebP": rb"RIFF.{4}WEBP", "GIF": rb"GIF8[79]a", "BMP": rb"BM",
    "TIFF": rb"II\*\0|MM\0\*",
}  # fmt: skip
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_OTHER_HEIF_BRANDS = {b"mif1", b"msf1", b"mif2"}
_REFUSED = {
    rb".{4}ftyp": "This is a video, which cannot be opened here. Save one frame of it as JPEG or PNG.",
    rb"II\+\0|MM\0\+": "This is a BigTIFF image, which cannot be opened here. Save it as an ordinary TIFF or PNG.",
    rb".*%pdf-": "This is a PDF document. Export the page or image that you want as JPEG or PNG.",
    rb".*<svg": "This is an SVG drawing, which has no pixels yet. Export it as PNG.",
    rb"[\t\n\f\r -\xff]*\Z": f"This file contains text, not an image, whatever its name. Choose a {_KINDS} file.",
    rb"": f"This is not an image that can be opened here. Choose a {_KINDS} file.",
}


def recognise(data: bytes) -> str:
    """Return the format's name; ImageError for anything else."""
    for kind, signature in _SIGNATURES.items():
        if re.match(signature, data, re.DOTALL):
            return kind
    if data[4:8] == b"ftyp" and (kind := _heif_kind(data)):
        return kind
    raise ImageError(next(why for start, why in _REFUSED.items() if re.match(start, data[:1024], re.DOTALL | re.IGNORECASE)))


def _heif_kind(data: bytes) -> str:
    """Distinguish AVIF from HEIC, which share a container: by the main brand first, then by the compatible ones."""
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
    for kind, own in (("AVIF", _AVIF_BRANDS), ("HEIC", _HEIC_BRANDS)):
        if brands[0] in own:
            return kind
    for kind, own in (("AVIF", _AVIF_BRANDS), ("HEIC", _HEIC_BRANDS | _OTHER_HEIF_BRANDS)):
        if own & set(brands):
            return kind
    return ""
