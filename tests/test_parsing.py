"""Files that would stop a server are stopped, and all others give the same as when parsed in this process."""

import ast
import contextlib
import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pytest
import torch
from PIL import Image
from safetensors.torch import save as save_safetensors

import resnet_viz as rv
from resnet_viz.analyses.survey import rows as in_rows
from resnet_viz.analyses.survey.files import _write_into
from resnet_viz.analyses.survey.measuring import MEASURED
from resnet_viz.assets import SURVEYS_FOLDER
from resnet_viz.engine.parsing import pool as pools
from resnet_viz.engine.parsing.budget import MemoryBudget, NoRoomError
from resnet_viz.engine.parsing.pool import ParsingPool
from resnet_viz.engine.parsing.warm_process import KilledError, Limits, WarmProcess
from resnet_viz.images import MAX_BYTES
from resnet_viz.nets.checkpoints.loading import extract
from resnet_viz.nets.cifar import CifarResNet

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="parsing elsewhere needs Linux")
MEGABYTE = 2**20
APP = Path(__file__).parents[1] / "app"


@pytest.fixture(scope="module")
def pool() -> Iterator[ParsingPool]:
    made = ParsingPool()
    made.start()
    yield made
    made.close()


def file_of(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("size", [(1, 1), (33, 17), (640, 481)])
def test_pixels_are_those_of_the_library(pool: ParsingPool, kind: str, size: tuple[int, int]) -> None:
    data = file_of(noise(*size), kind)
    here, there = rv.open_image(data), pool.open_image(data)
    assert (there.mode, there.size) == (here.mode, here.size)
    assert there.tobytes() == here.tobytes()
    assert there.resize((8, 8)).tobytes() == here.resize((8, 8)).tobytes()
    assert there.crop((0, 0, 1, 1)).getpixel((0, 0)) == here.getpixel((0, 0))


def test_what_was_opened_is_not_opened_again(pool: ParsingPool) -> None:
    data = file_of(noise(50, 40, seed=5), "PNG")
    assert pool.open_image(data) is pool.open_image(data)


def test_a_survey_is_the_same_and_says_the_same(pool: ParsingPool) -> None:
    data = (SURVEYS_FOLDER / "resnet18-imagenette.parquet").read_bytes()
    here, there = rv.open_survey(data), pool.open_survey(data, 1000)
    assert there.manifest == here.manifest
    pd.testing.assert_frame_equal(there.table(), here.table())
    np.testing.assert_array_equal(there.peaks.activations, here.peaks.activations)
    for bad, most in ((b"PAR1" + bytes(50) + b"PAR1", 1000), (data[:-2000], 1000), (data, 3)):
        with pytest.raises(rv.SurveyError) as expected:
            rv.open_survey(bad, most)
        with pytest.raises(rv.SurveyError) as found:
            pool.open_survey(bad, most)
        assert str(found.value) == str(expected.value)


def test_a_survey_with_far_more_numbers_than_it_seems_to_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of one value again and again takes a few bytes in the file and a gigabyte outside it."""
    small = rv.open_survey((SURVEYS_FOLDER / "resnet18-imagenette.parquet").read_bytes())
    table = in_rows.read(small.rows, tuple(in_rows.SCHEMA.names))
    name = MEASURED[0]
    values = pa.array(np.zeros(40 * 2**20, np.float32))
    bomb = pa.ListArray.from_arrays(pa.array([0] * len(table) + [len(values)], pa.int32()), values)
    table = table.set_column(table.schema.get_field_index(name), in_rows.SCHEMA.field(name), bomb)
    file = io.BytesIO()
    _write_into(file, small.manifest, small.peaks, iter([table]))
    assert len(file.getvalue()) < 2**21
    monkeypatch.setattr(pools, "SURVEY_MEMORY", 96 * MEGABYTE)
    pool = ParsingPool()
    try:
        with pytest.raises(rv.SurveyError, match=r"takes too much memory|does not have a number|no survey, or it is damaged"):
            pool.open_survey(file.getvalue(), 1000)
    finally:
        pool.close()


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n" + bytes(100), b"\xff\xd8\xff" + b"x" * 100, b"GIF89a"])
def test_sentences_are_those_of_the_library(pool: ParsingPool, data: bytes) -> None:
    with pytest.raises(rv.ImageError) as here:
        rv.open_image(data)
    with pytest.raises(rv.ImageError) as there:
        pool.open_image(data)
    assert str(there.value) == str(here.value)


def test_what_is_too_large_is_not_even_handed_over(pool: ParsingPool) -> None:
    with pytest.raises(rv.ImageError, match="larger than"):
        pool.open_image(bytes(MAX_BYTES + 1))


def test_tensors_and_what_a_file_says_are_those_of_the_library(pool: ParsingPool) -> None:
    state = CifarResNet(8, seed=1).state_dict()
    for data in (saved({"state_dict": state, "epoch": 7, "classes": ["cat"] * 10}), save_safetensors(state)):
        here, there = extract(data), pool.extract(data)
        assert (there.facts, there.notes, there.part) == (here.facts, here.notes, here.part)
        assert there.tensors.keys() == here.tensors.keys() == state.keys()
        for name, tensor in here.tensors.items():
            assert there.tensors[name].dtype == tensor.dtype
            assert torch.equal(there.tensors[name], tensor)


def test_a_file_of_two_networks_names_them(pool: ParsingPool, monkeypatch: pytest.MonkeyPatch) -> None:
    def here(*_: object) -> None:
        raise AssertionError("a part of a file was read in this process")

    monkeypatch.setattr(pools, "extract", here)
    data = saved({"teacher": CifarResNet(8, seed=1).state_dict(), "student": CifarResNet(8, seed=2).state_dict()})
    with pytest.raises(rv.CheckpointError, match="holds 2 networks") as caught:
        pool.extract(data)
    assert set(caught.value.candidates) == {"teacher", "student"}
    taken = pool.extract(data, "student")
    assert torch.equal(taken.tensors["conv1.weight"], CifarResNet(8, seed=2).state_dict()["conv1.weight"])


def test_a_checkpoints_sentences_are_those_of_the_library(pool: ParsingPool) -> None:
    for data in (b"nonsense", saved({"a": 1}), saved([print])):
        with pytest.raises(rv.CheckpointError) as here:
            extract(data)
        with pytest.raises(rv.CheckpointError) as there:
            pool.extract(data)
        assert str(there.value) == str(here.value)


def test_a_tensor_that_claims_more_than_it_has_gets_a_sentence_and_takes_no_memory(pool: ParsingPool) -> None:
    bomb = saved({"fc.weight": torch.zeros(1).expand(8_000_000, 64)})
    started = time.monotonic()
    with pytest.raises(rv.CheckpointError):
        pool.extract(bomb)
    assert time.monotonic() - started < 20
    assert pool.extract(saved(CifarResNet(8, seed=1).state_dict())).tensors["fc.bias"].shape == (10,)


def test_an_image_process_holds_no_torch(pool: ParsingPool) -> None:
    pool.open_image(file_of(noise(9, 9, seed=9), "PNG"))
    process = psutil.Process(pool._images.pid)
    assert not [each.path for each in process.memory_maps() if "torch" in each.path]
    assert process.memory_info().rss < 120 * MEGABYTE


@pytest.fixture
def process() -> Iterator[WarmProcess]:
    made = WarmProcess("images")
    yield made
    made.close()


def test_the_kernel_kills_what_goes_over_a_limit_and_the_next_file_is_parsed(process: WarmProcess) -> None:
    large, small = file_of(noise(2400, 2400), "PNG"), file_of(noise(8, 8), "PNG")
    usual = Limits(512 * MEGABYTE, 10, 20)
    assert process.parse(large, usual).answer["size"] == [2400, 2400]
    with pytest.raises(KilledError):
        process.parse(large, Limits(512 * MEGABYTE, 10, 0.02))
    lacking = process.parse(large, Limits(8 * MEGABYTE, 10, 20)).answer
    assert "memory" in f"{lacking['error']} {lacking['sentence']}".lower()
    assert process.parse(small, usual).answer["size"] == [8, 8]


def test_a_process_that_was_killed_is_replaced(process: WarmProcess) -> None:
    data, limits = file_of(noise(8, 8), "PNG"), Limits(256 * MEGABYTE, 5, 10)
    process.parse(data, limits)
    first = process.pid
    os.kill(first, signal.SIGKILL)
    psutil.Process(first).wait(10)
    assert process.parse(data, limits).answer["size"] == [8, 8]
    assert process.pid not in (0, first)


def test_a_file_that_takes_long_steps_back(pool: ParsingPool) -> None:
    """Pages are drawn first then, and an ordinary file does not wait behind them."""
    parser, niceness = psutil.Process(pool._images.pid), set[int]()
    data = file_of(Image.new("RGB", (6300, 6300)), "PNG")
    thread = threading.Thread(target=pool.open_image, args=(data,))
    thread.start()
    while thread.is_alive():
        for child in parser.children():
            with contextlib.suppress(psutil.Error):
                niceness.add(child.nice())
        time.sleep(0.01)
    assert min(niceness) == parser.nice() == psutil.Process().nice()
    assert max(niceness) == parser.nice() + 10
    # Linux shares processors between sessions first: in another one, priority would count for nothing.
    assert os.getsid(parser.pid) == os.getsid(0)
    assert os.getpgid(parser.pid) != os.getpgid(0)


def test_all_processes_end_with_the_pool() -> None:
    made = ParsingPool()
    made.start()
    made.open_image(file_of(noise(8, 8), "PNG"))
    family = [psutil.Process(each.pid) for each in (made._images, made._checkpoints)]
    made.close()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


def test_many_at_once_get_their_own(pool: ParsingPool) -> None:
    files = {seed: file_of(noise(40, 30, seed), "PNG") for seed in range(100, 116)}
    found: dict[int, bytes] = {}

    def work(seed: int) -> None:
        found[seed] = pool.open_image(files[seed]).tobytes()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {seed: rv.open_image(data).tobytes() for seed, data in files.items()}


def test_an_image_that_needs_more_memory_than_usual_gets_it(pool: ParsingPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "IMAGE_MEMORY", 16 * MEGABYTE)
    assert pool.open_image(file_of(noise(2500, 2000, seed=1), "PNG")).size == (2500, 2000)


def test_bytes_are_bounded_for_all_together_and_given_in_turn() -> None:
    budget, order = MemoryBudget(100), []
    holding, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with budget.taking(60, 5):
            holding.set()
            go_on.wait(10)

    def want(nbytes: int) -> None:
        with budget.taking(nbytes, 5):
            order.append(nbytes)

    first = threading.Thread(target=hold)
    first.start()
    assert holding.wait(5)
    with pytest.raises(NoRoomError), budget.taking(50, 0.05):
        pass
    large = threading.Thread(target=want, args=(1000,))
    large.start()
    time.sleep(0.1)
    # Small ones do not overtake for ever.
    small = threading.Thread(target=want, args=(10,))
    small.start()
    time.sleep(0.1)
    assert order == []
    go_on.set()
    for thread in (first, large, small):
        thread.join(5)
    assert order[0] == 1000
    with budget.taking(100, 0.1):
        pass


def test_who_waits_in_too_long_a_queue_hears_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "PATIENCE", 0.05)
    made = ParsingPool(total=100)
    with made._budget.taking(100, 1):
        with pytest.raises(rv.ImageError, match="Try again in a minute"):
            made.open_image(file_of(noise(8, 8), "PNG"))
        with pytest.raises(rv.CheckpointError, match="Try again in a minute"):
            made.extract(saved({"a": torch.ones(1)}))
    made.close()


def test_no_page_parses_what_people_send_in_the_servers_process() -> None:
    parsing = {"rv.open_image", "open_image", "Image.open", "load_checkpoint", "rv.load_checkpoint", "open_survey"}
    found = [
        f"{path.relative_to(APP)}: {ast.unparse(node)}"
        for path in APP.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in parsing
    ]
    assert found == []
