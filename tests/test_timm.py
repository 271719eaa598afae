"""Networks of timm by name: what its configuration says, and weights from a hub that a local server plays."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import timm as package
import torch
from PIL import Image
from safetensors.torch import save
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from torch import nn

from resnet_viz.engine.downloads import Downloads
from resnet_viz.engine.models import load_here
from resnet_viz.nets.families import timm
from resnet_viz.nets.families.__main__ import timm_record_of
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.outlines import block_names, outline, parts
from resnet_viz.nets.zoo import describe, list_models, load
from tests.hub_server import Hub, Refusal, hub_server
from tests.test_downloads import finished
from tests.weights_server import saved

NAME, REPOSITORY = "timm/test_resnet.r160_in1k", "timm/test_resnet.r160_in1k"
FILE = f"{REPOSITORY}/model.safetensors"


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """Timm's smallest ResNet with weights of its own, in evaluation mode."""
    torch.manual_seed(4)
    module: nn.Module = package.create_model("test_resnet", pretrained=False)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
            layer.running_mean.normal_(0, 0.2)
    return module.eval()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders for weights and for the hub's own cache, and nobody's token."""
    path = tmp_path / "weights"
    monkeypatch.setenv("RESNET_VIZ_WEIGHTS_DIR", str(path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    return path


@pytest.fixture
def hub(trained: nn.Module, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server() as running:
        running.files[FILE] = save({name: values.contiguous() for name, values in trained.state_dict().items()})
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def sentence_of(name: str = NAME) -> str:
    with pytest.raises(WeightsError) as raised:
        load(name, device="cpu")
    return str(raised.value)


class TestConfiguration:
    @pytest.mark.parametrize(
        "name", ["resnet50d.ra2_in1k", "convnext_tiny.in12k_ft_in1k", "resnet18.tv_in1k", "resnet26t.ra2_in1k"]
    )
    def test_preprocessing_is_timms(self, name: str, make_image: Callable[..., Image.Image]) -> None:
        image, cfg = make_image(333, 280), package.models.get_pretrained_cfg(name)
        assert cfg is not None
        config = resolve_data_config(pretrained_cfg=cfg.to_dict())  # type: ignore[no-untyped-call]
        expected = create_transform(**config, is_training=False)(image)
        found = timm.configuration(f"timm/{name}").preprocessing.tensor(image)[0]
        np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-6)

    def test_labels(self) -> None:
        assert outline(NAME).labels[281] == "tabby"
        many = outline("timm/convnext_tiny.in12k").labels
        assert len(many) == 11821
        assert "tabby" in many

    def test_what_differs_is_said(self) -> None:
        known = map(package.models.get_pretrained_cfg, package.list_models(pretrained=True))
        cfg = next(cfg for cfg in known if cfg and cfg.crop_mode == "squash" and cfg.num_classes == 1000)
        assert "scales the whole photo to a square" in timm.configuration(f"timm/{cfg.architecture}.{cfg.tag}").notes[0]
        assert timm.configuration(NAME).notes == ()

    @pytest.mark.parametrize(
        ("name", "nearest"),
        [
            ("resnt50d", "timm/resnet50d."),
            ("resnet50d.ra3_in1k", "timm/resnet50d.ra2_in1k"),
            ("convnxt_tiny", "timm/convnext_tiny"),
        ],
    )
    def test_a_name_that_timm_does_not_know_gets_the_nearest(self, name: str, nearest: str) -> None:
        with pytest.raises(ValueError, match=f"^timm knows no network '{name}'. The nearest names are ") as raised:
            load(f"timm/{name}")
        assert nearest in str(raised.value)

    @pytest.mark.parametrize("name", ["", "../resnet50", "resnet50/..", "a" * 300, "resnet50.\n"])
    def test_what_is_no_name(self, name: str) -> None:
        with pytest.raises(ValueError, match="timm knows no network"):
            load(f"timm/{name}")

    def test_features_are_no_classifier(self) -> None:
        with pytest.raises(ValueError, match="returns features instead of classes"):
            load("timm/vit_small_patch14_dinov2.lvd142m")

    def test_no_residual_additions(self) -> None:
        with pytest.raises(ValueError, match="has no residual additions"):
            load("timm/vgg11.tv_in1k", weights=None, device="cpu")

    def test_weights_outside_the_hub(self) -> None:
        with pytest.raises(WeightsError, match="outside the Hugging Face hub") as raised:
            load("timm/gcvit_tiny.in1k", device="cpu")
        assert "rv.from_module(timm.create_model('gcvit_tiny.in1k', pretrained=True))" in str(raised.value)

    def test_without_the_package_a_sentence_says_how_to_install_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        timm.configuration.cache_clear()
        monkeypatch.setattr(timm, "find_spec", lambda _: None)
        expected = "Networks of timm need the package timm, which is not installed. Run `pip install 'resnet-viz[timm]'`."
        assert sentence_of() == expected
        assert not any(info.name.startswith("timm/") for info in list_models())


class TestCatalogue:
    def test_rows_are_data(self, monkeypatch: pytest.MonkeyPatch) -> None:
        list_models()

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("a network was built")

        monkeypatch.setattr(nn.Conv2d, "__init__", refuse)
        rows = {info.name: info for info in list_models() if info.name.startswith("timm/")}
        assert len(rows) == len(timm.records()) >= 30
        assert all(info.blocks and info.params and info.size and not info.here for info in rows.values())
        assert len({info.family for info in rows.values()}) >= 15
        assert outline(next(iter(rows))).labels[0] == "tench"

    def test_names_are_timms(self) -> None:
        assert set(timm.records()) <= {f"timm/{name}" for name in package.list_pretrained()}

    def test_a_name_that_no_list_has_can_be_described(self) -> None:
        info = describe(NAME)
        assert (info.title, info.family, info.source, info.here) == ("test_resnet.r160_in1k", "timm", "official", False)

    def test_a_record_is_what_is_found(self) -> None:
        name = min(timm.records(), key=lambda name: timm.records()[name].params)
        record = timm.records()[name]
        assert timm_record_of(timm.skeleton(name), record.module) == record
        assert record.blocks == len(block_names(name))
        assert sum(part.parameters for part in parts(name)) == record.params

    def test_untrained(self) -> None:
        first, again, other = (load(NAME, weights=None, device="cpu", seed=seed) for seed in (1, 1, 2))
        states = [net.module.state_dict() for net in (first, again, other)]
        assert all(torch.equal(values, states[1][name]) for name, values in states[0].items())
        assert not torch.equal(states[0]["fc.weight"], states[2]["fc.weight"])
        assert first.weights.note == "untrained: random weights, seed 1"


class TestWeights:
    def test_come_from_the_hub(self, hub: Hub, trained: nn.Module, folder: Path) -> None:
        assert not describe(NAME).here
        with pytest.raises(WeightsError, match="not on this machine yet"):
            load_here(NAME, trained=True, device=torch.device("cpu"))
        net = load(NAME, device="cpu")
        pixels = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            assert torch.equal(net.module(pixels), trained(pixels))
        assert (net.weights.source, net.weights.note) == ("official", "timm's weights from the Hugging Face hub")
        assert not any(parameter.requires_grad for parameter in net.module.parameters())
        assert [method for method, _, _ in hub.asked] == ["HEAD", "GET"]
        (file,) = left_in(folder)
        assert file.startswith("timm-test_resnet.r160_in1k-")
        assert file.endswith(".safetensors")
        assert describe(NAME).here
        load_here(NAME, trained=True, device=torch.device("cpu"))
        assert len(hub.asked) == 2

    def test_a_damaged_file_is_fetched_anew(self, hub: Hub, folder: Path) -> None:
        load(NAME, device="cpu")
        (file,) = folder.iterdir()
        file.write_bytes(file.read_bytes()[:-1])
        load(NAME, device="cpu")
        assert [method for method, _, _ in hub.asked] == ["HEAD", "GET"] * 2

    def test_from_the_hubs_own_cache(self, hub: Hub, tmp_path: Path) -> None:
        snapshot = tmp_path / "cache" / f"models--{REPOSITORY.replace('/', '--')}"
        (snapshot / "refs").mkdir(parents=True)
        (snapshot / "refs" / "main").write_text("abc")
        (snapshot / "snapshots" / "abc").mkdir(parents=True)
        (snapshot / "snapshots" / "abc" / "model.safetensors").write_bytes(hub.files[FILE])
        assert describe(NAME).here
        load(NAME, device="cpu")
        assert not hub.asked

    def test_a_pickle_is_read_without_running_it(self, hub: Hub, trained: nn.Module) -> None:
        hub.files = {FILE.replace("model.safetensors", "pytorch_model.bin"): saved(trained.state_dict())}
        net = load(NAME, device="cpu")
        assert torch.equal(net.module.state_dict()["fc.weight"], trained.state_dict()["fc.weight"])

    def test_code_in_a_pickle_is_not_run(self, hub: Hub, tmp_path: Path) -> None:
        class Payload:
            def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
                return Path.touch, (tmp_path / "harm",)

        hub.files = {FILE.replace("model.safetensors", "pytorch_model.bin"): saved({"fc.weight": Payload()})}
        assert "is damaged or is not the file of test_resnet.r160_in1k" in sentence_of()
        assert not (tmp_path / "harm").exists()

    def test_a_token_is_for_the_hub_alone(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        load(NAME, device="cpu")
        assert [(method, "hf_secret" in said) for method, _, said in hub.asked] == [("HEAD", True), ("GET", False)]

    def test_a_private_file_of_the_hub_itself(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        hub.store = ""
        load(NAME, device="cpu")
        assert ["hf_secret" in said for _, _, said in hub.asked] == [True, True]

    def test_progress_and_cancel(self, hub: Hub, folder: Path) -> None:
        steps: list[tuple[int, int]] = []

        def stop(done: int, total: int) -> None:
            steps.append((done, total))
            if done:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            timm.HubFile.of(NAME).fetch(stop)
        assert steps[0] == (0, len(hub.files[FILE]))
        assert left_in(folder) == []

    def test_downloads_of_the_app(self, hub: Hub, folder: Path) -> None:
        downloads = Downloads()
        downloads.start(NAME, "Ada")
        state = finished(downloads, NAME)
        assert (state.failure, state.done, state.total) == ("", len(hub.files[FILE]), len(hub.files[FILE]))
        assert len(left_in(folder)) == 1


class TestFailure:
    @pytest.fixture(autouse=True)
    def nothing_is_left(self, folder: Path) -> Iterator[None]:
        yield
        assert left_in(folder) == []

    @pytest.mark.parametrize(
        ("refusal", "expected"),
        [
            (
                Refusal(404, "RepoNotFound"),
                "has no model of that name that you can access. If it is a private model, log in with",
            ),
            (Refusal(401), "has no model of that name that you can access"),
            (
                Refusal(403, "GatedRepo"),
                "restricts access to it. Accept the conditions on its page, log in with `hf auth",
            ),
            (Refusal(403), "restricts access to it"),
            (Refusal(500), "answered 500. Try again later"),
            (Refusal(503), "answered 503. Try again later"),
        ],
    )
    def test_the_hub_says_no(self, refusal: Refusal, expected: str, hub: Hub) -> None:
        hub.refusal = refusal
        sentence = sentence_of()
        assert sentence.startswith(f"{REPOSITORY} could not be downloaded: {hub.url.removeprefix('http://')} ")
        assert expected in sentence

    def test_no_such_file(self, hub: Hub) -> None:
        hub.files = {}
        assert "it has no file model.safetensors or pytorch_model.bin" in sentence_of()

    def test_nobody_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
        sentence = sentence_of()
        assert sentence.startswith(f"{REPOSITORY} could not be downloaded: 127.0.0.1:{port} cannot be reached (")
        assert sentence.endswith("Check the internet connection and try again.")

    def test_offline_by_choice(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        assert "the variable HF_HUB_OFFLINE is set. Unset it and try again" in sentence_of()
        assert not hub.asked

    def test_something_else_arrives(self, hub: Hub) -> None:
        hub.lies = os.urandom(len(hub.files[FILE]))
        assert "sent a different file, which was discarded" in sentence_of()

    def test_a_cut_connection(self, hub: Hub) -> None:
        hub.stop_after = 100_000
        assert "the connection was interrupted after 0 of" in sentence_of()

    def test_no_room(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        free: Any = SimpleNamespace(free=1000)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
        sentence = sentence_of()
        assert sentence.startswith("There is not enough space for timm-test_resnet.r160_in1k-")
        assert [method for method, _, _ in hub.asked] == ["HEAD", "GET"]

    @pytest.mark.parametrize("etag", ["", "abc", "0123456789abcdef0123456789abcdef01234567"])
    def test_a_file_without_a_hash_is_not_trusted(self, etag: str, hub: Hub) -> None:
        hub.etag = etag
        assert "gives no SHA-256 for model.safetensors" in sentence_of()
