"""The store keeps its bound; the engine computes once, keeps little, and forgets what failed."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import resnet_viz as rv
from resnet_viz.analyses.inspection import inspect
from resnet_viz.engine.local import InspectionRequest, LocalEngine
from resnet_viz.engine.store import Store


@pytest.fixture
def net() -> rv.Net:
    return rv.load("resnet20-cifar10", weights=None, device="cpu")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """The targets of all inspections that were really computed."""
    made: list[int | None] = []

    def counted(net: rv.Net, image: Image.Image, target: int | None, **options: object) -> rv.Inspection:
        made.append(target)
        time.sleep(0.05)
        return inspect(net, image, target, **options)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr("resnet_viz.engine.local.inspect", counted)
    return made


def picture() -> Image.Image:
    return Image.new("RGB", (32, 32), (200, 120, 40))


def test_the_store_drops_what_was_used_longest_ago() -> None:
    store: Store[bytes] = Store(10, len)
    store.put("a", b"1234")
    store.put("b", b"1234")
    store.get("a")
    store.put("c", b"1234")
    assert store.get("b") is None
    assert store.get("a") == b"1234"


def test_the_store_refuses_what_is_larger_than_itself() -> None:
    store: Store[bytes] = Store(3, len)
    assert not store.put("a", b"1234")
    assert store.get("a") is None


def test_the_same_view_is_computed_once(net: rv.Net, calls: list[int | None]) -> None:
    engine = LocalEngine()
    first = engine.inspect(net, InspectionRequest("a"), picture)
    second = engine.inspect(net, InspectionRequest("a"), picture)
    assert len(calls) == 1
    assert first.predictions == second.predictions


def test_another_block_of_the_same_view_costs_nothing(net: rv.Net, calls: list[int | None]) -> None:
    engine = LocalEngine()
    for block in ("layer1.0", "layer3.2", "layer2.1"):
        result = engine.inspect(net, InspectionRequest("a"), picture, block)
        assert [b.name for b in result.blocks if b.maps is not None] == [block]
    assert len(calls) == 1


def test_another_image_target_or_network_is_computed_anew(net: rv.Net, calls: list[int | None]) -> None:
    engine = LocalEngine()
    other = rv.load("resnet20-cifar10", weights=None, device="cpu", seed=1)
    for network, request in [(net, "a"), (net, "b"), (other, "a")]:
        engine.inspect(network, InspectionRequest(request), picture)
    engine.inspect(net, InspectionRequest("a", 3), picture)
    assert calls == [None, None, None, 3]


def test_many_who_ask_at_once_share_one_computation(net: rv.Net, calls: list[int | None]) -> None:
    engine = LocalEngine()
    results: list[rv.Inspection] = []
    people = [
        threading.Thread(target=lambda: results.append(engine.inspect(net, InspectionRequest("a"), picture))) for _ in range(8)
    ]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert len(calls) == 1
    assert len({result.predictions for result in results}) == 1


def test_a_cancelled_inspection_leaves_nothing_and_the_next_one_works(net: rv.Net) -> None:
    engine = LocalEngine()

    def cancel(done: int, total: int) -> None:
        raise InterruptedError(f"{done} of {total}")

    with pytest.raises(InterruptedError, match="1 of 9"):
        engine.inspect(net, InspectionRequest("a"), picture, on_block=cancel)
    assert engine.inspect(net, InspectionRequest("a"), picture).predictions


def test_what_a_session_gets_is_small_and_true(net: rv.Net) -> None:
    whole = rv.inspect(net, picture())
    kept = LocalEngine().inspect(net, InspectionRequest("a"), picture, "layer2.0")
    assert kept.nbytes < whole.nbytes / 4
    assert np.array_equal(kept.block("layer2.0").residual, whole.block("layer2.0").residual)
    assert kept.table().equals(whole.table())


def test_a_result_too_large_to_keep_whole_is_kept_by_the_block(net: rv.Net, calls: list[int | None]) -> None:
    engine = LocalEngine(capacity=2**20)
    engine.inspect(net, InspectionRequest("a"), picture, "layer2.0")
    engine.inspect(net, InspectionRequest("a"), picture, "layer2.0")
    assert len(calls) == 1
    engine.inspect(net, InspectionRequest("a"), picture, "layer2.1")
    assert len(calls) == 2


def test_an_unknown_block_falls_back_to_the_one_that_changes_most(net: rv.Net) -> None:
    result = LocalEngine().inspect(net, InspectionRequest("a"), picture, "layer9.9")
    assert result.block(result.most_changed()).maps is not None


def test_a_session_keeps_at_most_32_megabytes_of_a_resnet_50() -> None:
    whole = rv.inspect(rv.load("resnet50", weights=None, device="cpu"), Image.new("RGB", (224, 224), (90, 120, 40)))
    assert whole.nbytes > 100e6
    assert max(whole.keeping(block.name).nbytes for block in whole.blocks) <= 32 * 2**20


class TestOnce:
    """Any other answer: computed once, kept, and told apart by everything that decides it."""

    def ask(self, engine: LocalEngine, net: rv.Net, computed: list[int], request: object = "gradients") -> np.ndarray:
        def compute() -> np.ndarray:
            computed.append(1)
            return np.zeros(10)

        return engine.once(net, (request,), compute)

    def test_whoever_asks_for_the_same_gets_the_same(self, net: rv.Net) -> None:
        engine, computed = LocalEngine(), list[int]()
        threads = [threading.Thread(target=self.ask, args=(engine, net, computed)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(computed) == 1

    def test_settings_of_the_network_make_another_question(self, net: rv.Net) -> None:
        engine, computed = LocalEngine(), list[int]()
        larger = replace(net, preprocessing=replace(net.preprocessing, resize=40, crop=40))
        for each in (net, larger, replace(net, labels=tuple("abcdefghij")), net):
            self.ask(engine, each, computed)
        self.ask(engine, net, computed, "conductance")
        assert len(computed) == 4

    def test_what_fails_reaches_the_caller_and_is_asked_again(self, net: rv.Net) -> None:
        engine, computed = LocalEngine(), list[int]()

        def fail() -> np.ndarray:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            engine.once(net, ("gradients",), fail)
        self.ask(engine, net, computed)
        assert len(computed) == 1
