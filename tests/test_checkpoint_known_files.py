"""Published files are known by their hash: nobody is asked what they are."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import ResNet18_Weights

import resnet_viz as rv
from resnet_viz import assets
from resnet_viz.nets.checkpoints.known_files import find_file

SHIPPED = sorted(path.stem for path in assets.WEIGHTS_FOLDER.glob("*.safetensors"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_file_opens_as_the_network_that_it_is(name: str) -> None:
    """With its classes, its preprocessing and, to rounding, its logits."""
    ours, own = rv.load(name, device="cpu"), rv.load_checkpoint(assets.WEIGHTS_FOLDER / f"{name}.safetensors", device="cpu")
    assert own.labels == ours.labels
    assert own.preprocessing == ours.preprocessing
    assert f"the file is that of {name}" in own.weights.note
    pixels = np.random.default_rng(0).integers(0, 256, (200, 240, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    with torch.no_grad():
        one, two = (net.module(net.preprocess(image)) for net in (ours, own))
    torch.testing.assert_close(one, two, atol=1e-4 * float(one.abs().max()), rtol=0)


def test_torchvisions_files_are_known_by_the_digits_in_their_names() -> None:
    known = find_file("f37072fd" + 56 * "0")
    assert known is not None
    assert known.origin == "torchvision's ResNet18_Weights.IMAGENET1K_V1"
    assert known.labels == tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
    assert known.preprocessing.crop == 224
    assert find_file(64 * "0") is None
