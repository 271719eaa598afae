"""A checkpoint of one's own in the browser: taken in, said what it leaves open, used, and nobody else's."""

import argparse
import io
import logging
import re
import zipfile
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect
from torch import nn
from torchvision.transforms._presets import ImageClassification

from app.state import DEFAULT_SAMPLE
from resnet_viz.nets.cifar import CifarResNet
from resnet_viz.nets.zoo import DEFAULT_MODEL
from tests.browser.screen import alerts, give, headings, open_app, overflow, screenshot, settle

SAMPLES = Path(__file__).parents[2] / "assets" / "samples"
UPLOAD = "[data-testid='stFileUploaderDropzoneInput']"
REFUSED = "[data-testid='stFileChip'] > [role=alert]"


@pytest.fixture(scope="module")
def stock() -> nn.Module:
    """A stock ResNet-18 with 7 classes whose batch norms have seen images."""
    torch.manual_seed(0)
    net: nn.Module = torchvision.models.resnet18(num_classes=7)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        net.train()(torch.randn(4, 3, 96, 96))
    return net.eval()


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def bring(page: Page, path: Path, data: bytes) -> None:
    path.write_bytes(data)
    page.get_by_text("Open your own checkpoint").click()
    give(page, page.locator(UPLOAD).first, path)
    # Norms that saw noise cannot tell the networks apart: the usual one comes first.
    open_it = page.get_by_role("button", name="Open this network")
    if open_it.count():
        open_it.click()
        settle(page)


def test_a_saved_resnet18_of_seven_classes_predicts_as_stock_torchvision_does(
    page: Page, stock: nn.Module, chromium: Browser, tmp_path: Path
) -> None:
    open_app(page, "model")
    bring(page, tmp_path / "flowers.pth", saved({"state_dict": stock.state_dict(), "epoch": 7, "optimizer": {"lr": 0.1}}))
    expect(page.get_by_text("flowers.pth").first).to_be_visible()
    expect(page.locator("body")).to_contain_text("ResNet-18 with 7 classes")
    screenshot(page, "checkpoint-light")
    page.get_by_role("link", name="Inspect an image with it").click()
    settle(page)
    picture = ImageClassification(crop_size=224)(Image.open(SAMPLES / f"{DEFAULT_SAMPLE}.jpg").convert("RGB"))[None]
    with torch.no_grad():
        probabilities = stock(picture).softmax(1)[0]
    best = int(probabilities.argmax())
    expect(page.get_by_role("heading", name=f"Your ResNet-18 predicts: class {best}")).to_be_visible()
    settle(page)
    shown = page.evaluate("() => document.querySelector('.st-key-scroll-predictions .js-plotly-plot').data[0].x")
    assert shown[0] == pytest.approx(100 * probabilities[best].item(), abs=1e-3)
    assert page.locator(".facts dt:has-text('max |x') + dd").inner_text() == "0"
    page.reload()
    settle(page)
    expect(page.get_by_role("heading", name=f"Your ResNet-18 predicts: class {best}")).to_be_visible()
    with chromium.new_context(viewport={"width": 1440, "height": 900}) as context:
        other = context.new_page()
        other.goto(page.url)
        settle(other)
        expect(alerts(other)).to_contain_text("can only be used in the browser that opened it")


def test_labels_and_preprocessing_can_be_set(page: Page, stock: nn.Module, tmp_path: Path) -> None:
    open_app(page, "model")
    bring(page, tmp_path / "mine.pth", saved(stock.state_dict()))
    page.get_by_role("spinbutton", name="Resize, pixels").fill("64")
    page.get_by_role("spinbutton", name="Crop, pixels").fill("96")
    page.get_by_role("button", name="Apply").click()
    settle(page)
    expect(page.locator("[data-testid='stAlert']")).to_contain_text("do not fit together")
    page.get_by_role("spinbutton", name="Resize, pixels").fill("96")
    names = "rose\n<script>alert(1)</script>\ntulip\nlily\niris\ndaisy\naster"
    form = page.locator("[data-testid='stForm']").filter(has_text="Names from a file")
    give(page, form.locator(UPLOAD), {"name": "names.txt", "mimeType": "text/plain", "buffer": names.encode()})
    page.get_by_role("button", name="Apply").click()
    settle(page)
    expect(page.locator("[data-testid='stAlert']")).to_contain_text("Settings applied. Class names: rose, ")
    page.reload()
    settle(page)
    expect(page.get_by_text("Class names: rose, ")).to_be_visible()
    page.get_by_role("link", name="Inspect an image with it").click()
    settle(page)
    says = next(text for text in headings(page) if text.startswith("Your ResNet-18 predicts: "))
    assert says.removeprefix("Your ResNet-18 predicts: ").rpartition(" (")[0] in names.splitlines()
    expect(page.get_by_text(re.compile("Network input, 96×96 pixels"))).to_be_visible()
    assert overflow(page) <= 0


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (503, "This server's memory for uploads is full. Try again in a minute."),
        (429, "You uploaded many files in a short time. Wait a minute, then choose the file again."),
        (502, "The server did not take the file. Choose it again in a minute."),
        (None, "The connection ended before the file was uploaded."),
    ],
)
def test_a_file_that_the_server_refuses_gets_a_sentence(page: Page, answer: int | None, sentence: str) -> None:
    def respond(route: Route) -> None:
        if route.request.method != "PUT":
            route.continue_()
        elif answer is None:
            route.abort()
        else:
            route.fulfill(status=answer)

    open_app(page, "model")
    page.route("**/upload_file/**", respond)
    page.get_by_text("Open your own checkpoint").click()
    page.locator(UPLOAD).first.set_input_files({"name": "mine.pth", "mimeType": "", "buffer": b"weights"})
    expect(page.locator(REFUSED)).to_contain_text(sentence)
    page.unroute("**/upload_file/**")


def test_a_file_that_the_browser_refuses_gets_a_sentence_beside_its_name(page: Page, tmp_path: Path) -> None:
    open_app(page, "model")
    page.get_by_text("Open your own checkpoint").click()
    expect(page.get_by_text("Checkpoint of up to 510 MB")).to_be_visible()
    assert "GB" not in page.locator("[data-testid='stExpander']").first.inner_text()
    with (tmp_path / "large.pth").open("wb") as large:
        large.truncate(525 * 10**6)
    page.locator(UPLOAD).first.set_input_files(tmp_path / "large.pth")
    expect(page.locator(REFUSED)).to_contain_text("This file is larger than 510 MB. Choose a smaller one.")
    box = page.locator(REFUSED).bounding_box()
    assert box is not None
    assert box["width"] > 200
    page.locator(UPLOAD).first.set_input_files({"name": "mine.onnx", "mimeType": "", "buffer": b"weights"})
    expect(page.locator(REFUSED).last).to_contain_text("Files of this kind are not accepted here. Choose another file.")
    page.set_viewport_size({"width": 390, "height": 844})
    assert overflow(page) <= 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda stock: saved({"epoch": len(list(stock.parameters()))}), "No tensors were found"),
        (
            lambda stock: saved({k: v for k, v in stock.state_dict().items() if k != "layer2.1.bn1.bias"}),
            "lacks the tensor layer2.1.bn1.bias",
        ),
    ],
)
def test_what_is_no_checkpoint_gets_a_sentence_and_nothing_is_lost(
    page: Page, stock: nn.Module, content: object, sentence: str, tmp_path: Path
) -> None:
    assert callable(content)
    open_app(page, "model")
    before = headings(page)
    bring(page, tmp_path / "odd.pth", content(stock))
    expect(page.locator("[data-testid='stAlert']").first).to_contain_text(sentence)
    expect(page.locator("[data-testid='stException'], .st-key-script-error")).to_have_count(0)
    assert headings(page) == before


@pytest.mark.parametrize("kind", ["a whole model", "a file of Lightning"])
def test_files_with_foreign_objects_open_and_what_they_say_is_shown(
    page: Page, stock: nn.Module, kind: str, tmp_path: Path
) -> None:
    lightning = {
        "state_dict": {f"model.{name}": tensor for name, tensor in stock.state_dict().items()}
        | {"criterion.weight": torch.ones(7)},
        "hyper_parameters": argparse.Namespace(arch="resnet18", classes=list("abcdefg")),
        "logger": logging.getLogger("training"),
        "epoch": 71,
    }
    open_app(page, "model")
    bring(page, tmp_path / "mine.ckpt", saved(stock if kind == "a whole model" else lightning))
    assert "model=checkpoint-" in page.url
    expect(page.locator("[data-testid='stAlert']")).to_have_count(0)
    if kind == "a file of Lightning":
        expect(page.get_by_text("Not part of the network and left out: criterion.weight.")).to_be_visible()
        expect(page.get_by_text(re.compile(r"The file states: .*epoch: 71"))).to_be_visible()
    else:
        expect(page.get_by_text(re.compile(r"The file states: .*torchvision\.models\.resnet\.ResNet"))).to_be_visible()


def test_a_forgotten_checkpoint_is_gone(page: Page, stock: nn.Module, tmp_path: Path) -> None:
    open_app(page, "model")
    bring(page, tmp_path / "mine.pth", saved(stock.state_dict()))
    assert "model=checkpoint-" in page.url
    page.get_by_role("button", name="Remove this checkpoint").click()
    settle(page)
    assert f"model={DEFAULT_MODEL}" in page.url
    expect(page.locator("body")).not_to_contain_text("mine.pth")


def test_a_resnet_d_of_timm_is_recognised(page: Page, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = timm.create_model("resnet18d", num_classes=5)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        net.train()(torch.randn(4, 3, 96, 96))
    open_app(page, "model")
    bring(page, tmp_path / "mine.pth", saved({"arch": "resnet18d", "state_dict": net.state_dict()}))
    assert "model=checkpoint-" in page.url
    expect(page.locator("body")).to_contain_text("ResNet-18, deep stem with 5 classes")
    page.get_by_role("link", name="Inspect an image with it").click()
    settle(page)
    expect(page.get_by_role("heading", name=re.compile("Your ResNet-18, deep stem predicts: class"))).to_be_visible()
    assert page.locator(".facts dt:has-text('max |x') + dd").inner_text() == "0"


def test_a_file_that_waits_for_a_choice_survives_a_reload(page: Page, tmp_path: Path) -> None:
    """Without statistics in its norms nothing decides between the networks that fit."""
    content = {name: tensor for name, tensor in CifarResNet(8, "B", seed=0).state_dict().items() if "running" not in name}
    open_app(page, "model")
    (tmp_path / "mine.pth").write_bytes(saved(content))
    page.get_by_text("Open your own checkpoint").click()
    give(page, page.locator(UPLOAD).first, tmp_path / "mine.pth")
    for _ in range(2):
        expect(page.get_by_text("Its norms hold no statistics of training images").first).to_be_visible()
        expect(page.get_by_role("button", name="Open this network")).to_be_visible()
        screenshot(page, "checkpoint-choice")
        page.reload()
        settle(page)
    page.get_by_role("button", name="Open this network").click()
    settle(page)
    assert "model=checkpoint-" in page.url
    expect(page.get_by_text("which was chosen by hand").first).to_be_visible()
    expect(page.get_by_role("button", name="Open this network")).to_have_count(0)


def archive(**images: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, data in images.items():
            packed.writestr(name.replace("__", "/") + ".jpg", data)
    return buffer.getvalue()


def measure(page: Page, data: bytes) -> None:
    form = page.locator("[data-testid='stForm']").filter(has_text="Measure the accuracy")
    give(page, form.locator(UPLOAD), {"name": "images.zip", "mimeType": "application/zip", "buffer": data})
    page.get_by_role("button", name="Measure the accuracy").click()
    settle(page)


def test_the_accuracy_on_images_of_known_classes(page: Page) -> None:
    cat, dog = ((SAMPLES / f"cifar-{label}.jpg").read_bytes() for label in ("cat", "dog"))
    open_app(page, "model")
    page.get_by_text("Measure the accuracy on images of your own").click()
    measure(page, archive(holiday__first=cat))
    expect(alerts(page)).to_contain_text("No image has a class that ResNet-20 knows")
    measure(page, archive(cat__first=cat, Dog__second=dog, dog__broken=b"no image"))
    expect(page.get_by_role("heading", name="ResNet-20 classifies 2 of 2 images correctly (100%)")).to_be_visible()
    expect(page.get_by_text("Its card states a test accuracy of")).to_be_visible()
    expect(alerts(page).filter(has_text="Left out")).to_contain_text("dog/broken.jpg")
    expect(page.locator("[data-testid='stException'], .st-key-script-error")).to_have_count(0)
    assert overflow(page) <= 0
    screenshot(page, "accuracy")
