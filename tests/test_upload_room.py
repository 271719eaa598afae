"""The room for uploads: its limits hold, and nobody can block it by not finishing, not reading or leaving."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.middleware.upload_addresses import MOST_ADDRESSES, UploadAddresses
from app.middleware.upload_room import PATIENCE, Arriving, Held, HeldFile, UploadRoom


@dataclass
class Files:
    """Finished uploads, the open sessions, and a clock that a test advances."""

    files: list[HeldFile] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    now: float = 1000.0

    def room(self, most: int) -> UploadRoom:
        held = Held(lambda: list(self.files), self.files.remove, lambda session: session not in self.gone)
        return UploadRoom(most, held, lambda: self.now)


@pytest.fixture
def held() -> Files:
    return Files()


def arriving(room: UploadRoom, session: str, nbytes: int) -> Arriving:
    upload = room.enter(session)
    assert room.has_room(session, nbytes)
    upload.nbytes = nbytes
    return upload


def finished(held: Files, room: UploadRoom, session: str, nbytes: int) -> HeldFile:
    upload = arriving(room, session, nbytes)
    file = HeldFile(session, f"{session} {len(held.files)}", nbytes)
    held.files.append(file)
    room.leave(upload, file.file)
    return file


def test_a_session_gets_half(held: Files) -> None:
    room = held.room(100)
    arriving(room, "ann", 30)
    assert room.has_room("ann", 20)
    assert not room.has_room("ann", 21)


def test_two_who_do_not_finish_leave_room_for_a_third(held: Files) -> None:
    room = held.room(100)
    ann, ben = arriving(room, "ann", 50), arriving(room, "ben", 50)
    assert room.has_room("cleo", 10)
    assert [ann.gave_way, ben.gave_way].count(True) == 1


def test_who_holds_no_more_than_the_new_one_keeps_it(held: Files) -> None:
    room = held.room(100)
    uploads = [arriving(room, name, 25) for name in "abcd"]
    assert not room.has_room("e", 25)
    assert room.has_room("e", 24)
    assert sum(upload.gave_way for upload in uploads) == 1


def test_what_is_older_than_a_minute_gives_way_to_anybody(held: Files) -> None:
    room = held.room(100)
    old = [arriving(room, name, 10) for name in "abcde"]
    unread = [finished(held, room, name, 10) for name in "fghij"]
    assert not room.has_room("k", 10)
    held.now += PATIENCE + 1
    assert room.has_room("k", 20)
    assert sum(upload.gave_way for upload in old) + sum(file not in held.files for file in unread) == 2


def test_rooms_of_closed_sessions_come_back_at_once(held: Files) -> None:
    room = held.room(100)
    finished(held, room, "ann", 50)
    ben = arriving(room, "ben", 50)
    held.gone = {"ann"}
    assert room.has_room("cleo", 50)
    assert held.files == []
    assert not ben.gave_way


def test_who_gives_way_stops_waiting_for_the_next_piece(held: Files) -> None:
    room = held.room(100)

    async def wait_for_ever(upload: Arriving) -> str:
        try:
            async with asyncio.timeout(None) as upload.timeout:
                await asyncio.sleep(60)
        except TimeoutError:
            return "gave way"
        return "waited"

    async def both() -> str:
        waiting = asyncio.ensure_future(wait_for_ever(arriving(room, "ann", 50)))
        held.now += 1
        arriving(room, "ben", 50)
        await asyncio.sleep(0)
        assert room.has_room("cleo", 20)
        return await asyncio.wait_for(waiting, 5)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, both()).result() == "gave way"


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 60), st.booleans(), st.integers(0, 40)), max_size=30))
def test_no_sequence_breaks_a_bound(steps: list[tuple[str, int, bool, int]]) -> None:
    held = Files()
    room = held.room(100)
    for session, nbytes, ends, seconds in steps:
        held.now += seconds
        if room.has_room(session, nbytes):
            upload = room.enter(session)
            upload.nbytes = nbytes
            if ends:
                held.files.append(HeldFile(session, str(len(steps) + held.now), nbytes))
                room.leave(upload, held.files[-1].file)
        totals = room._totals()
        assert sum(totals.values()) <= 100
        assert max(totals.values(), default=0) <= 50


def test_addresses_are_bounded() -> None:
    addresses = UploadAddresses()
    handed_out = [addresses._address("/_stcore/upload_file", "ann", "a.png").upload_url for _ in range(MOST_ADDRESSES + 100)]
    assert len(addresses._places) == MOST_ADDRESSES
    assert addresses.place(handed_out[0], takes=True) is None
    assert addresses.place(handed_out[-1], takes=True) is not None
    assert addresses.place(handed_out[-1], takes=True) is None
    assert addresses.place(handed_out[-1], takes=False) is not None
