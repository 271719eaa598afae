"""The small pictures on the buttons of a gallery."""

from collections.abc import Iterable

from PIL import ImageOps

import resnet_viz as rv
from app.samples import Sample
from resnet_viz.figures.pictures import data_url

SIDE = 112


def style_sheet(samples: Iterable[Sample]) -> str:
    """A style sheet that gives each sample's button its picture, in every gallery."""
    rules = []
    for sample in samples:
        small = ImageOps.fit(rv.open_image(sample.data), (SIDE, SIDE))
        url = data_url(small, "JPEG")
        button = f"[class*='-sample-{sample.id}'] button"
        rules.append(f"{button}, {button}:hover {{ background-image: url({url}); }}")
    return "\n".join(rules)
