"""The queue is fair: sessions take turns, however many jobs each has."""

from hypothesis import given
from hypothesis import strategies as st

from resnet_viz.engine.queue import FairQueue


def drained(queue: FairQueue[str]) -> list[str]:
    return list(iter(queue.take, None))


def test_sessions_take_turns() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "a3", "b1", "c1"):
        queue.put(item[0], item)
    assert queue.items() == ["a1", "b1", "c1", "a2", "a3"]
    assert drained(queue) == ["a1", "b1", "c1", "a2", "a3"]


def test_whoever_was_served_comes_last() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.put("a", "a1")
    queue.put("b", "b1")
    assert queue.take() == "a1"
    queue.put("a", "a2")
    assert drained(queue) == ["b1", "a2"]


def test_what_two_wait_for_has_the_better_place_and_is_done_once() -> None:
    queue: FairQueue[str] = FairQueue()
    shared = "shared"
    for item in ("a1", "a2", shared):
        queue.put("a", item)
    queue.put("b", shared)
    assert queue.items() == ["a1", shared, "a2"]
    assert len(queue) == 3
    assert drained(queue) == ["a1", shared, "a2"]


def test_whoever_was_taken_along_has_had_a_turn() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "b1", "b2", "c1"):
        queue.put(item[0], item)
    assert queue.take() == "a1"
    queue.take_along("b1")
    assert drained(queue) == ["c1", "b2"]


def test_one_of_two_who_wait_may_leave() -> None:
    queue: FairQueue[str] = FairQueue()
    shared = "shared"
    queue.put("a", shared)
    queue.put("b", shared)
    queue.remove(shared, "a")
    assert queue.items() == [shared]
    queue.remove(shared)
    assert queue.take() is None


@given(st.lists(st.sampled_from("abcde"), max_size=30), st.integers(0, 30))
def test_items_names_the_order_in_which_they_are_taken(sessions: list[str], served: int) -> None:
    queue: FairQueue[str] = FairQueue()
    for number, session in enumerate(sessions):
        queue.put(session, f"{session}{number}")
    for _ in range(min(served, len(sessions))):
        queue.take()
    assert drained(queue) == queue_copy_order(sessions, served)


def queue_copy_order(sessions: list[str], served: int) -> list[str]:
    """The same by rounds: in each, every session that has something left takes one, in the order of their coming."""
    left = {
        name: [f"{name}{number}" for number, each in enumerate(sessions) if each == name] for name in dict.fromkeys(sessions)
    }
    order = []
    while any(left.values()):
        order += [items.pop(0) for items in left.values() if items]
    return order[served:]
