"""A process that waits for files of one kind, restarted if it has ended; thread-safe."""

import json
import mmap
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

FileKind = Literal["images", "checkpoints", "surveys"]

_SCRIPT = Path(__file__).with_name("child.py")
_FOLDER = Path(__file__).parents[3]
# In addition to a file's own wall time: the process may still be importing its parser.
START_SECONDS = 60.0
LONGEST_ANSWER = 32 * 2**20
PIECE = 2**16
# In characters, so that a request fits into one message.
LONGEST_PART = 2000
# Each of them would start threads, which a process that forks cannot have.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# The server's own settings let the allocator reserve more than it needs, which would count towards the limit.
LITTLE_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TOP_PAD_": "131072",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    # With pages of 2 MB, the memory of a photo is there ten times as quickly.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


@dataclass(frozen=True)
class Limits:
    """The limits of one file: `memory` in bytes in addition to the process itself, `seconds` of CPU and of `wall` time."""

    memory: int
    seconds: int
    wall: float


@dataclass(frozen=True, eq=False)
class Parsed:
    """The answer of a file's process, and the shared memory that it filled; None if it is empty."""

    answer: dict[str, Any]
    memory: mmap.mmap | None


class KilledError(RuntimeError):
    """A file's process exceeded a limit, and was killed by the kernel."""


class WarmProcess:
    """Parses files in forks of one process; call `close` in the end."""

    def __init__(self, kind: FileKind) -> None:
        self._kind = kind
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start the process, unless it runs."""
        with self._lock:
            self._started()

    def parse(self, data: bytes, limits: Limits, part: str | None = None) -> Parsed:
        """Parse a file, or a part of it; KilledError if it exceeded a limit."""
        asked = json.dumps({"limits": asdict(limits), "part": None if part is None else part[:LONGEST_PART]}).encode()
        with ExitStack() as stack:
            given, taken = (os.memfd_create(f"resnet-viz-{name}", os.MFD_CLOEXEC) for name in ("file", "parsed"))
            stack.callback(os.close, given)
            stack.callback(os.close, taken)
            left = memoryview(data)
            while left:
                left = left[os.write(given, left) :]
            reply, theirs = socket.socketpair()
            stack.enter_context(reply)
            with theirs:
                self._send(asked, [given, taken, theirs.fileno()])
            answer = _answer(reply, limits.wall + START_SECONDS)
            size = os.fstat(taken).st_size
            return Parsed(answer, mmap.mmap(taken, size, prot=mmap.PROT_READ | mmap.PROT_WRITE) if size else None)

    def close(self) -> None:
        """End the process, and everything that it forked."""
        with self._lock:
            self._end()

    @property
    def pid(self) -> int:
        """The number of the process; 0 if none runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def _send(self, message: bytes, descriptors: list[int]) -> None:
        with self._lock:
            for attempt in range(2):
                try:
                    socket.send_fds(self._started(), [message], descriptors)
                except OSError:
                    # It has ended between two files, so a new one takes this file.
                    self._end()
                    if attempt:
                        raise
                else:
                    return

    def _started(self) -> socket.socket:
        if self._control is not None and self._process is not None and self._process.poll() is None:
            return self._control
        self._end()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # Isolated from the environment, in a group of its own, which ends as one; in the server's session, since Linux
            # shares processors between sessions first, whatever the priority within each.
            command = [sys.executable, "-I", str(_SCRIPT), self._kind, str(_FOLDER), str(theirs.fileno())]
            self._process = subprocess.Popen(  # noqa: S603 - our own script
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
                env=os.environ | ONE_THREAD | LITTLE_MEMORY,
                cwd="/",
            )
        self._control = ours
        return ours

    def _end(self) -> None:
        control, process = self._control, self._process
        self._control = self._process = None
        if control is not None:
            control.close()
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            if process.poll() is None:
                process.kill()
                process.wait()


def _answer(reply: socket.socket, seconds: float) -> dict[str, Any]:
    """Read until the file's process has closed its end; it is dead if nothing came."""
    deadline, parts, length = time.monotonic() + seconds, [], 0
    while True:
        reply.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            part = reply.recv(PIECE)
        except (TimeoutError, ConnectionError) as error:
            raise KilledError from error
        if not part:
            break
        parts.append(part)
        length += len(part)
        if length > LONGEST_ANSWER:
            raise KilledError
    try:
        found: dict[str, Any] = json.loads(b"".join(parts))
    except ValueError as error:
        raise KilledError from error
    return found
