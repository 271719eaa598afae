"""The store keeps its limits, in total and for each owner, and removes what nobody owns any more."""

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from resnet_viz.engine.store import Store


def store(capacity: int, share: int | None = None) -> Store[bytes]:
    return Store(capacity, len, share)


def test_what_was_used_longest_ago_goes_first() -> None:
    kept = store(10)
    kept.put("a", b"1234")
    kept.put("b", b"1234")
    kept.get("a")
    kept.put("c", b"1234")
    assert kept.get("b") is None
    assert kept.get("a") == b"1234"


def test_what_is_too_large_is_refused() -> None:
    kept = store(100, 3)
    assert not kept.put("a", b"1234", "ann")
    assert kept.put("b", b"1234")
    assert (kept.get("a"), kept.get("b")) == (None, b"1234")


def test_an_owner_with_too_much_loses_their_own_oldest_alone() -> None:
    kept = store(100, 8)
    kept.put("bob's", b"1234", "bob")
    for key in ("first", "second", "third"):
        kept.put(key, b"1234", "ann")
    assert kept.get("first", "ann") is None
    assert kept.held("ann") == 8
    assert kept.get("bob's", "bob") == b"1234"


def test_what_two_own_stays_until_both_have_left() -> None:
    kept = store(100)
    kept.put("shared", b"1234", "ann")
    assert kept.get("shared", "bob") == b"1234"
    kept.forget("ann")
    assert kept.get("shared", "bob") == b"1234"
    kept.forget("bob")
    assert kept.get("shared", "bob") is None
    assert kept.nbytes == 0


def test_what_is_everybodys_outlives_sessions() -> None:
    kept = store(100, 4)
    kept.put("sample", b"12345678")
    kept.get("sample", "ann")
    kept.forget("ann")
    assert kept.get("sample") == b"12345678"


def test_putting_anew_replaces_and_keeps_the_owners() -> None:
    kept = store(100)
    kept.put("a", b"1", "ann")
    kept.put("a", b"22", "bob")
    kept.forget("bob")
    assert kept.get("a", "ann") == b"22"


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 12), st.sampled_from(["", "ann", "bob"])), max_size=40))
def test_no_sequence_breaks_a_bound(steps: list[tuple[str, int, str]]) -> None:
    kept = store(20, 9)
    for key, size, owner in steps:
        kept.put(key, bytes(size), owner)
        kept.get(key, owner)
        assert kept.nbytes <= 20
        assert all(kept.held(name) <= 9 for name in ("ann", "bob"))


def test_threads_do_not_break_it() -> None:
    kept = store(50, 20)

    def work(owner: str) -> None:
        for number in range(300):
            kept.put((owner, number % 7), bytes(number % 9), owner)
            kept.get((owner, number % 5), owner)
            if number % 50 == 0:
                kept.forget(owner)

    threads = [threading.Thread(target=work, args=(f"session {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(8):
        kept.forget(f"session {number}")
    assert kept.nbytes == 0


def test_a_full_store_takes_no_longer_for_an_entry_than_an_empty_one() -> None:
    def seconds(entries: int) -> float:
        kept = store(10**9, 10**8)
        for number in range(entries):
            kept.put(number, b"1234", f"session {number % 30}")
        best = float("inf")
        for attempt in range(20):
            started = time.perf_counter()
            for number in range(50):
                kept.put((attempt, number), b"1234", "ann")
                kept.get((attempt, number), "ann")
            best = min(best, time.perf_counter() - started)
        return best

    assert seconds(8000) < 4 * seconds(80)
