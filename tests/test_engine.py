"""The local engine: shares, replaces, cancels, refuses, forgets; and every answer equals that of the analysis."""

import gc
import hashlib
import io
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import resnet_viz as rv
from resnet_viz import assets
from resnet_viz.analyses import trust
from resnet_viz.analyses.context import Explained
from resnet_viz.analyses.inspection import inspect_batch
from resnet_viz.engine import job_types
from resnet_viz.engine.job_types import JOB_TYPES, JobType, Task
from resnet_viz.engine.jobs import BusyError, EngineError, Job, JobCancelledError, Ticket
from resnet_viz.engine.local import LocalEngine
from resnet_viz.engine.models import Models
from resnet_viz.engine.worker import Run
from resnet_viz.settings import EngineSettings


def png(seed: int = 0, side: int = 40) -> bytes:
    values = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def job(kind: str = "inspection", seed: int = 0, **changes: object) -> Job:
    data = png(seed)
    plain = Job(kind, "resnet20-cifar10", hashlib.sha256(data).hexdigest(), trained=False, data=data)
    return replace(plain, **changes)  # type: ignore[arg-type]  # a test's own


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    local = LocalEngine(devices=["cpu"])
    yield local
    local.close()


@pytest.fixture
def net() -> rv.Net:
    return rv.load("resnet20-cifar10", weights=None, device="cpu")


@dataclass(frozen=True)
class Number:
    """The answer of a gate."""

    value: int
    nbytes: int = 8


class Gate:
    """A type of job that waits until the test lets it continue, and notices when it is cancelled."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.open = threading.Event()

    def run(self, task: Task) -> Number:
        self.begun.append(int(str(task.job.option("number"))))
        task.step(0, 2)
        while not self.open.wait(0.01):
            task.step(1, 2)
        return Number(self.begun[-1])


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate()
    monkeypatch.setitem(JOB_TYPES, "gate", JobType(made.run))
    yield made
    made.open.set()


def gated(number: int) -> Job:
    return job("gate", options=(("number", number),))


def until(met: Callable[[], bool]) -> None:
    for _ in range(500):
        if met():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen within five seconds")


class TestAnswers:
    """Each type of job gives what its analysis gives."""

    def test_inspection(self, engine: LocalEngine, net: rv.Net) -> None:
        found = engine.submit(job(options=(("block", "layer2.1"),)), "a").answer()
        alone = rv.inspect(net, rv.open_image(png()))
        assert found.table().equals(alone.table())
        assert [block.name for block in found.blocks if block.maps is not None] == ["layer2.1"]
        assert np.array_equal(found.block("layer2.1").grad_input, alone.block("layer2.1").grad_input)

    def test_an_unknown_block_is_the_one_that_changes_most(self, engine: LocalEngine) -> None:
        found = engine.submit(job(options=(("block", "layer9.9"),)), "a").answer()
        assert found.block(found.most_changed()).maps is not None

    def test_gradients(self, engine: LocalEngine, net: rv.Net) -> None:
        options = (("objective", "logit difference"), ("versus", 4))
        found = engine.submit(job("gradients", target=2, options=options), "a").answer()
        assert found.table().equals(rv.gradients(net, rv.open_image(png()), 2, "logit difference", 4).table())

    def test_attribution_and_what_asks_about_it(self, engine: LocalEngine, net: rv.Net) -> None:
        options = (("method", "integrated_gradients"), ("steps", 5))
        image = rv.open_image(png())
        alone = rv.attribute(net, image, "integrated_gradients", 1, steps=5)
        found = engine.submit(job("attribution", target=1, options=options), "a").answer()
        assert np.array_equal(found.attributions, alone.attributions)
        checked = engine.submit(job("perturbation", target=1, options=options), "a").answer()
        expected = trust.perturbation(net, image, alone)
        assert np.array_equal(checked.deletion.probabilities, expected.deletion.probabilities)
        assert engine.submit(job("randomisation", target=1, options=options), "a").answer().layers[0] == "head"
        assert engine.submit(job("robustness", target=1, options=options), "a").answer().infidelity >= 0

    def test_conductance(self, engine: LocalEngine, net: rv.Net) -> None:
        found = engine.submit(job("conductance", target=1, options=(("steps", 3),)), "a").answer()
        alone = rv.conductance(net, rv.open_image(png()), 1, 3)
        assert all(np.array_equal(mine.total, its.total) for mine, its in zip(found.blocks, alone.blocks, strict=True))

    @pytest.mark.parametrize(("batch", "tolerance"), [(1, 0.0), (8, 0.02)], ids=["each alone", "in shared passes"])
    def test_eight_sessions_at_once_get_their_own(self, net: rv.Net, batch: int, tolerance: float) -> None:
        serial = {seed: rv.inspect(net, rv.open_image(png(seed))).table() for seed in range(8)}
        engine = LocalEngine(EngineSettings(batch=batch), ["cpu", "cpu"])
        tickets = [(seed, engine.submit(job(seed=seed), f"session {seed}")) for seed in range(8) for _ in range(2)]
        answered = [(seed, ticket) for seed, ticket in tickets if not cancelled(ticket)]
        assert {seed for seed, _ in answered} == set(range(8))
        for seed, ticket in answered:
            tables = (ticket.answer().table(), serial[seed])
            # What a class loses without a block takes passes of its own: nobody has asked for it here.
            found, alone = (table.select_dtypes("number").drop(columns=["logit_drop", "probability_drop"]) for table in tables)
            # What shares a pass is equal to rounding, which decides about a ReLU now and then.
            assert ((found - alone).abs() <= tolerance * alone.abs().max()).all(axis=None)
        engine.close()

    def test_an_own_network_is_told_apart_by_its_owner(self, engine: LocalEngine) -> None:
        mine, hers = (rv.load("resnet20-cifar10", weights=None, device="cpu", seed=seed) for seed in (1, 2))
        first = engine.submit(job(owner="me 0"), "me", net=mine).answer()
        second = engine.submit(job(owner="her 0"), "her", net=hers).answer()
        assert first.predictions != second.predictions


def cancelled(ticket: Ticket) -> bool:
    try:
        ticket.answer()
    except JobCancelledError:
        return True
    return False


class TestSharing:
    """What several people request is computed once."""

    def test_those_who_ask_meanwhile_share_one_run(self, engine: LocalEngine, gate: Gate) -> None:
        tickets = [engine.submit(gated(1), f"session {number}") for number in range(8)]
        until(lambda: bool(gate.begun))
        tickets.append(engine.submit(gated(1), "late"))
        gate.open.set()
        assert {ticket.answer().value for ticket in tickets} == {1}
        assert gate.begun == [1]

    def test_it_stays_while_one_of_them_wants_it(self, engine: LocalEngine, gate: Gate) -> None:
        first, second = (engine.submit(gated(1), name) for name in "ab")
        until(lambda: bool(gate.begun))
        first.cancel()
        gate.open.set()
        assert second.answer().value == 1
        with pytest.raises(JobCancelledError):
            first.answer()

    def test_another_block_of_a_small_network_costs_nothing(self, engine: LocalEngine) -> None:
        engine.submit(job(), "a").answer()
        again = engine.submit(job(options=(("block", "layer1.0"),)), "a")
        assert again.finished
        assert again.answer().block("layer1.0").maps is not None

    def test_what_is_large_is_kept_by_the_block(self) -> None:
        engine = LocalEngine(EngineSettings(session_mb=2), ["cpu"])
        shown = job(options=(("block", "layer1.0"),))
        engine.submit(shown, "a").answer()
        assert engine.submit(shown, "a").finished
        assert engine.nbytes < 2**20
        other = engine.submit(job(options=(("block", "layer2.0"),)), "a")
        assert not other.finished
        assert other.answer().block("layer2.0").maps is not None
        engine.close()

    def test_a_public_picture_is_everybodys(self, engine: LocalEngine) -> None:
        engine.submit(job(public=True), "a").answer()
        engine.leave("a")
        assert engine.submit(job(public=True), "b").finished

    def test_a_private_answer_goes_with_its_session(self, engine: LocalEngine) -> None:
        engine.submit(job(), "a").answer()
        assert engine.nbytes > 0
        engine.leave("a")
        assert engine.nbytes == 0

    def test_an_own_networks_answer_about_a_sample_is_private(self, engine: LocalEngine, net: rv.Net) -> None:
        engine.submit(job(public=True, owner="a 0"), "a", net=net).answer()
        engine.leave("a")
        assert engine.nbytes == 0


class TestTurns:
    """Waiting people are told why; a new request replaces an older one of the same view."""

    def test_sessions_take_turns_and_see_their_place(self, engine: LocalEngine, gate: Gate) -> None:
        running = engine.submit(gated(0), "a")
        until(lambda: gate.begun == [0])
        greedy = [engine.submit(gated(number), "a", view=f"view {number}") for number in (1, 2, 3)]
        modest = engine.submit(gated(4), "b")
        until(lambda: running.progress.done == 1)
        assert running.progress.ahead is None
        assert (running.progress.done, running.progress.total) == (1, 2)
        assert [ticket.progress.ahead for ticket in (*greedy, modest)] == [1, 3, 4, 2]
        gate.open.set()
        assert modest.answer().value == 4
        assert [ticket.answer().value for ticket in greedy] == [1, 2, 3]
        assert gate.begun == [0, 1, 4, 2, 3]

    def test_a_newer_job_replaces_the_waiting_one_of_its_view(self, engine: LocalEngine, gate: Gate) -> None:
        engine.submit(gated(0), "someone")
        until(lambda: gate.begun == [0])
        old, new = engine.submit(gated(1), "a"), engine.submit(gated(2), "a")
        with pytest.raises(JobCancelledError):
            old.answer()
        gate.open.set()
        assert new.answer().value == 2
        assert gate.begun == [0, 2]

    def test_a_newer_job_stops_the_running_one_of_its_view(self, engine: LocalEngine, gate: Gate) -> None:
        old = engine.submit(gated(1), "a")
        until(lambda: gate.begun == [1])
        new = engine.submit(gated(2), "a")
        with pytest.raises(JobCancelledError):
            old.answer()
        until(lambda: gate.begun == [1, 2])
        gate.open.set()
        assert new.answer().value == 2

    def test_the_same_job_again_goes_on(self, engine: LocalEngine, gate: Gate) -> None:
        engine.submit(gated(1), "a")
        until(lambda: gate.begun == [1])
        again = engine.submit(gated(1), "a")
        gate.open.set()
        assert again.answer().value == 1
        assert gate.begun == [1]

    def test_views_of_one_session_do_not_disturb_one_another(self, engine: LocalEngine, gate: Gate) -> None:
        tickets = [engine.submit(gated(number), "a", view=f"view {number}") for number in range(3)]
        gate.open.set()
        assert [ticket.answer().value for ticket in tickets] == [0, 1, 2]

    def test_a_full_queue_answers_at_once(self, gate: Gate) -> None:
        engine = LocalEngine(EngineSettings(queue=2), ["cpu"])
        engine.submit(gated(0), "a")
        until(lambda: gate.begun == [0])
        for number in (1, 2):
            engine.submit(gated(number), f"session {number}")
        with pytest.raises(BusyError, match="2 analyses are waiting already"):
            engine.submit(gated(3), "late")
        assert engine.waiting == 2
        # Whoever waits may change their mind.
        engine.submit(gated(4), "session 1")
        gate.open.set()
        engine.close()

    def test_leaving_cancels_everything_of_the_session(self, engine: LocalEngine, gate: Gate) -> None:
        tickets = [engine.submit(gated(number), "a", view=str(number)) for number in range(3)]
        until(lambda: bool(gate.begun))
        engine.leave("a")
        assert all(map(cancelled, tickets))
        assert engine.waiting == 0


def timed(engine: LocalEngine, asked: Job) -> float:
    started = time.monotonic()
    engine.submit(asked, "b").answer()
    return time.monotonic() - started


class TestCancelling:
    """A cancelled job frees its worker, also in the middle of a pass, and leaves nothing behind."""

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("inspection", ()),
            ("gradients", ()),
            ("attribution", (("method", "integrated_gradients"), ("steps", 512))),
            ("attribution", (("method", "deep_lift"),)),
            ("attribution", (("method", "occlusion"), ("stride", 0.02))),
            ("conductance", (("steps", 512),)),
            ("randomisation", (("method", "smoothgrad"), ("samples", 96))),
        ],
    )
    def test_the_worker_is_free_within_a_second(
        self, engine: LocalEngine, kind: str, options: tuple[tuple[str, str | int | float], ...]
    ) -> None:
        slow = job(kind, model="resnet50", target=1, options=options)
        engine.submit(replace(slow, kind="inspection", options=()), "warm").answer()
        pair = timed(engine, replace(slow, kind="inspection", options=(), target=2)) + timed(engine, job())
        ticket = engine.submit(slow, "a")
        until(lambda: ticket.progress.ahead is None)
        time.sleep(0.1)
        ticket.cancel()
        # However busy the machine is: a pass of one image and what comes next took so long a moment ago.
        assert timed(engine, job(seed=1)) < 1 + pair

    def test_no_hook_is_left(self, engine: LocalEngine) -> None:
        mine = rv.load("resnet20-cifar10", weights=None, device="cpu")
        ticket = engine.submit(job("randomisation", target=1, options=(("method", "smoothgrad"),), owner="a 0"), "a", net=mine)
        until(lambda: ticket.progress.ahead is None)
        ticket.cancel()
        engine.submit(job(owner="a 1"), "a", net=mine).answer()
        hooks = [
            module._forward_hooks or module._forward_pre_hooks or module._backward_hooks for module in mine.module.modules()
        ]
        assert not any(hooks)

    def test_an_idle_engine_holds_on_to_nothing(self, engine: LocalEngine) -> None:
        mine = rv.load("resnet20-cifar10", weights=None, device="cpu")
        engine.submit(job(owner="a 0"), "a", net=mine).answer()
        engine.leave("a")
        held = weakref.ref(mine.module)
        del mine
        until(lambda: not gc.collect() and held() is None)

    def test_closing_ends_the_threads(self) -> None:
        engine = LocalEngine(devices=["cpu"])
        engine.submit(job(), "a").answer()
        engine.close()
        assert not [thread for thread in threading.enumerate() if thread in engine._threads.values()]
        with pytest.raises(BusyError, match="is being stopped"):
            engine.submit(job(), "a", view="other")


class TestFailures:
    """What is not available is a sentence, and the next job works."""

    def test_sentences_of_the_analyses_arrive(self, engine: LocalEngine) -> None:
        with pytest.raises(ValueError, match="target 77 is outside"):
            engine.submit(job(target=77), "a").answer()
        with pytest.raises(ValueError, match="'guess' is unknown"):
            engine.submit(job("attribution", options=(("method", "guess"),)), "a").answer()
        with pytest.raises(rv.WeightsError, match="not on this machine"):
            engine.submit(job(model="resnet152", trained=True), "a").answer()
        bad = b"no picture"
        with pytest.raises(rv.ImageError):
            engine.submit(job(data=bad, image=hashlib.sha256(bad).hexdigest()), "a").answer()
        assert engine.submit(job(), "a").answer().predictions

    def test_an_unknown_kind_is_refused_at_once(self, engine: LocalEngine) -> None:
        with pytest.raises(ValueError, match="no kind of job 'dream'"):
            engine.submit(job("dream"), "a")

    def test_a_picture_that_is_not_what_it_says_is_refused(self, engine: LocalEngine) -> None:
        with pytest.raises(EngineError, match="was damaged on its way"):
            engine.submit(job(data=png(1)), "a").answer()

    def test_what_nobody_foresaw_is_logged_and_told_without_details(
        self, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(_: Task) -> Number:
            raise ZeroDivisionError("secret")

        monkeypatch.setitem(JOB_TYPES, "gate", JobType(fail))
        with pytest.raises(EngineError, match="failed unexpectedly") as caught:
            engine.submit(gated(1), "a").answer()
        assert "secret" not in str(caught.value)
        assert "secret" in caplog.text

    def test_memory_that_runs_out_is_tried_with_smaller_passes(
        self, engine: LocalEngine, net: rv.Net, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gradient, sizes = Explained.gradient, list[int]()

        def scarce(explained: Explained, x: torch.Tensor) -> torch.Tensor:
            sizes.append(len(x))
            if len(x) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return gradient(explained, x)

        monkeypatch.setattr(Explained, "gradient", scarce)
        found = engine.submit(job("attribution", target=1, options=(("steps", 32),)), "a").answer()
        assert [size for size in sizes if size > 4] == [32, 16]
        monkeypatch.undo()
        assert np.allclose(found.attributions, rv.attribute(net, rv.open_image(png()), target=1).attributions, atol=1e-6)

    def test_memory_that_never_suffices_is_a_sentence(self, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_: Task) -> Number:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")

        monkeypatch.setitem(JOB_TYPES, "gate", JobType(fail))
        with pytest.raises(EngineError, match="not enough memory"):
            engine.submit(gated(1), "a").answer()


class TestPasses:
    """A worker includes waiting jobs for the same network, if that is faster."""

    @pytest.fixture
    def together(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """How many inspections each shared pass had."""
        sizes: list[int] = []

        def counted(*args: object, **options: object) -> list[rv.Inspection]:
            found = inspect_batch(*args, **options)  # type: ignore[arg-type]  # passed on as they came
            sizes.append(len(found))
            return found

        monkeypatch.setattr(job_types, "inspect_batch", counted)
        return sizes

    def test_inspections_that_wait_share_a_pass(self, gate: Gate, net: rv.Net, together: list[int]) -> None:
        engine = LocalEngine(EngineSettings(batch=4), ["cpu"])
        engine.submit(gated(0), "a")
        until(lambda: gate.begun == [0])
        tickets = [engine.submit(job(seed=seed), f"session {seed}") for seed in range(6)]
        refused = engine.submit(job(target=77), "bad")
        gate.open.set()
        for seed, ticket in enumerate(tickets):
            alone = rv.inspect(net, rv.open_image(png(seed)))
            found = ticket.answer()
            assert [p.index for p in found.predictions] == [p.index for p in alone.predictions]
            shown = found.most_changed()
            assert np.allclose(found.block(shown).residual, alone.block(shown).residual, atol=1e-4)
            assert found.block(shown).maps.error == 0
            # Nobody's answer keeps another's tensors alive.
            assert found.block(shown).residual.base is None or found.block(shown).residual.base.nbytes < 2**20
        with pytest.raises(ValueError, match="target 77"):
            refused.answer()
        assert together == [4]
        engine.close()

    def test_another_framing_is_another_pass_and_another_answer(
        self, gate: Gate, engine: LocalEngine, together: list[int]
    ) -> None:
        data = io.BytesIO()
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)).save(data, "PNG")
        wide = job(image=hashlib.sha256(data.getvalue()).hexdigest(), data=data.getvalue())
        engine.submit(gated(0), "a")
        until(lambda: gate.begun == [0])
        tickets = [engine.submit(replace(wide, framing=framing), f"session {framing}") for framing in ("crop", "fit")]
        gate.open.set()
        crop, fit = (ticket.answer().seen for ticket in tickets)
        whole = rv.open_image(data.getvalue())
        assert np.array_equal(crop, np.asarray(whole.crop((16, 0, 48, 32))))
        mean = rv.load("resnet20-cifar10", weights=None).preprocessing.mean_colour
        assert (fit[:8] == mean).all()
        assert not (fit[8:24] == mean).all()
        assert not together

    def test_large_pictures_share_one_on_a_gpu_alone(self, gate: Gate, engine: LocalEngine, together: list[int]) -> None:
        large = Run(job(model="resnet18"), JOB_TYPES["inspection"])
        assert large.gains_by_company(torch.device("cuda"))
        assert not large.gains_by_company(torch.device("cpu"))
        engine.submit(gated(0), "a")
        until(lambda: gate.begun == [0])
        tickets = [engine.submit(job(seed=seed, model="resnet18"), f"session {seed}") for seed in range(2)]
        gate.open.set()
        for ticket in tickets:
            assert ticket.answer().model == "resnet18"
        assert not together


class TestModels:
    """At most a given number of networks is held."""

    def test_the_one_used_longest_ago_goes(self) -> None:
        loaded: list[str] = []

        def loader(name: str, trained: bool, device: torch.device) -> rv.Net:  # noqa: FBT001
            loaded.append(name)
            return rv.load(name, weights="trained" if trained else None, device=device)

        models, cpu = Models(2, loader), torch.device("cpu")
        for name in ("resnet20-cifar10", "plain20-cifar10", "resnet20-cifar10", "resnet20b-cifar10", "plain20-cifar10"):
            models.get(name, False, cpu)
        assert loaded == ["resnet20-cifar10", "plain20-cifar10", "resnet20b-cifar10", "plain20-cifar10"]
        assert len(models) == 2


class TestWorkersThatBreak:
    """An error affects only its own run: its people read a sentence, and the next jobs get their answers."""

    @pytest.mark.parametrize("step", ["cut", "slim", "size"])
    def test_an_error_while_an_answer_is_handed_over(
        self, engine: LocalEngine, gate: Gate, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        def fail(*_: object) -> None:
            raise KeyError("/a/secret")

        class Unmeasured:
            @property
            def nbytes(self) -> int:
                raise KeyError("/a/secret")

        large = Number(0, 2**40)
        kinds = {
            "cut": JobType(gate.run, cut=fail),
            "slim": JobType(lambda _: large, slim=fail),
            "size": JobType(lambda _: Unmeasured()),
        }
        monkeypatch.setitem(JOB_TYPES, "broken", kinds[step])
        gate.open.set()
        with pytest.raises(EngineError, match="failed unexpectedly") as caught:
            engine.submit(job("broken", options=(("number", 1),)), "a").answer()
        assert "secret" not in str(caught.value)
        assert engine.submit(gated(2), "a").answer().value == 2
        assert engine.ready()

    @pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, MemoryError, RuntimeError])
    def test_a_worker_that_breaks_off_goes_on(
        self, engine: LocalEngine, gate: Gate, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
    ) -> None:
        def fail(_: Task) -> Number:
            raise error

        monkeypatch.setattr("resnet_viz.engine.worker.Worker.answers", lambda _, runs: [fail(run) for run in runs])
        first, second = engine.submit(gated(1), "a"), engine.submit(gated(2), "b")
        for ticket in (first, second):
            with pytest.raises(EngineError, match="failed unexpectedly"):
                ticket.answer()
        monkeypatch.undo()
        monkeypatch.setitem(JOB_TYPES, "gate", JobType(gate.run))
        gate.open.set()
        assert engine.submit(gated(3), "a").answer().value == 3

    def test_a_thread_that_died_is_replaced_and_its_jobs_end_with_a_sentence(
        self, engine: LocalEngine, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine, "_live", lambda *_: engine._next(0) and None)
        stranded = engine.submit(gated(1), "a")
        until(lambda: not engine._threads[0].is_alive())
        monkeypatch.undo()
        monkeypatch.setitem(JOB_TYPES, "gate", JobType(gate.run))
        gate.open.set()
        assert engine.ready()
        with pytest.raises(EngineError, match="failed unexpectedly"):
            stranded.answer()
        assert engine.submit(gated(2), "a").answer().value == 2

    def test_a_closed_engine_is_not_ready(self) -> None:
        engine = LocalEngine(devices=["cpu"])
        engine.close()
        assert not engine.ready()

    def test_the_probe_uses_the_engines_own_networks_and_says_what_is_wrong(
        self, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for file in assets.WEIGHTS_FOLDER.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        weights = tmp_path / "plain20-cifar10.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
        with monkeypatch.context() as changed:
            changed.setattr(assets, "WEIGHTS_FOLDER", tmp_path)
            with pytest.raises(EngineError, match=r"plain20-cifar10\.safetensors is missing or was changed"):
                engine.check()
        assert "inspects images on cpu" in engine.check()
        assert len(engine.nets) == 1
        monkeypatch.setattr("resnet_viz.engine.probe.KEPT_SECONDS", -1)
        fresh = LocalEngine(devices=["cpu"])
        monkeypatch.setattr("resnet_viz.engine.probe.inspect", lambda *_: (_ for _ in ()).throw(RuntimeError("/secret")))
        with pytest.raises(EngineError, match="log says why"):
            fresh.check()
        fresh.close()
