"""The photo with a frame around the network's crop, the network's input next to it, and the choice of the framing."""

import html

import streamlit as st
from PIL import Image

import resnet_viz as rv
from app import results, state
from app.catalogue import Subject
from app.pictures import Preview
from app.state import Selection
from resnet_viz.figures.data_urls import data_url

FRAMINGS = {"crop": "Centre crop", "fit": "Whole photo"}
FRAMING_HELP = (
    "The network's input is square. A centre crop, as used in evaluation, leaves out everything outside the frame. The whole "
    "photo is fitted with a margin in the mean colour, which makes everything in it smaller."
)
# The longer side may be this many times the shorter one before the choice is offered.
SQUARE = 1.02
HEIGHT, WIDEST = 140, 300


def photo(result: rv.Inspection, subject: Subject, image: str) -> None:
    """The original with the frame, and the network's input; a photo of exactly that size is shown once."""
    preview, side = results.preview(image), result.seen.shape[0]
    views = [_input(result)]
    if preview.size != (side, side):
        views.insert(0, _original(preview, subject))
    st.html(f"<div class='photos'>{''.join(views)}</div>")


def framing(image: str, chosen: Selection) -> None:
    """The choice between the centre crop and the whole photo, if they differ."""
    size = results.preview(image).size
    shown = "fit" if chosen.framing == "fit" else "crop"
    if max(size) <= SQUARE * min(size) and shown == "crop":
        return
    st.segmented_control(
        "Network input",
        list(FRAMINGS),
        format_func=lambda name: FRAMINGS[name],
        required=True,
        help=FRAMING_HELP,
        **state.bound("framing", shown),
    )


def frame_of(size: tuple[int, int], box: tuple[float, float, float, float]) -> tuple[float, ...]:
    """The canvas around a photo of this size and the network's box: left, top, right, bottom, in the photo's pixels."""
    return min(0.0, box[0]), min(0.0, box[1]), max(float(size[0]), box[2]), max(float(size[1]), box[3])


def _original(preview: Preview, subject: Subject) -> str:
    width, height = preview.size
    box = subject.preprocessing.crop_box(preview.size)
    left, top, right, bottom = frame_of(preview.size, box)
    across, down = right - left, bottom - top

    def place(x0: float, y0: float, x1: float, y1: float) -> str:
        shares = {
            "left": (x0 - left) / across,
            "top": (y0 - top) / down,
            "width": (x1 - x0) / across,
            "height": (y1 - y0) / down,
        }
        return ";".join(f"{name}:{100 * share:.3f}%" for name, share in shares.items())

    colour = f"rgb{subject.preprocessing.mean_colour}"
    shown = min(WIDEST, HEIGHT * across / down)
    seen = "the whole photo" if subject.preprocessing.framing == "fit" else "the centre square in the frame"
    caption = f"Photo, {width:,}×{height:,} pixels. The network receives {seen}."
    return (
        f"<figure style='width:{shown:.0f}px'>"
        f"<div class='canvas' style='aspect-ratio:{across / down:.4f};background:{colour}'>"
        f"<img src='{preview.original}' alt='The original photo, {width} by {height} pixels'"
        f" style='{place(0, 0, width, height)}'>"
        f"<span class='frame' style='{place(*box)}'></span></div><figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _input(result: rv.Inspection) -> str:
    side = result.seen.shape[0]
    seen = Image.fromarray(result.seen)
    # At this low resolution, pixels are shown as squares, without loss.
    url = data_url(seen, "PNG" if side < HEIGHT else "JPEG")
    style = "image-rendering:pixelated" if side < HEIGHT else ""
    return (
        f"<figure style='width:{HEIGHT}px'><img src='{url}' alt='Network input, {side} by {side} pixels' style='{style}'>"
        f"<figcaption>Network input, {side}×{side} pixels</figcaption></figure>"
    )
