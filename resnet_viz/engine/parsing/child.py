"""The warm process, started as a script: `child.py KIND FOLDER SOCKET`, with the folder of this package's parent.

It has imported a parser and forks for every file, so that files cannot affect one another. The process of a file has limits on
memory, CPU time and wall time, which the kernel enforces whatever the parser does. It gets the file in shared memory, puts
pixels or tensors into other shared memory, and answers with a line of JSON; nothing is pickled. It ends with the server: when
the server's end of the socket is closed, the whole group is killed.

The parser is imported without the imports of `import resnet_viz`: a process for images loads Pillow and NumPy, and not torch.
"""

import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

ParserAnswer = dict[str, Any]
# The file, the place for the result, and the requested part of the file, if there are several.
Parser = Callable[[bytes, int, str | None], ParserAnswer]

LONGEST_SENTENCE, LONGEST_MESSAGE = 2000, 2**16
# Almost every file is read in less time; one that takes longer continues with this niceness.
ORDINARY_SECONDS, NICENESS = 0.5, 10
# Rows of an image that are passed on at a time: few enough to stay in the CPU cache.
ROWS = 16


def main(kind: str, folder: str, descriptor: int) -> NoReturn:
    """Import the parser, then fork for every file that arrives."""
    package = ModuleType("resnet_viz")
    package.__path__ = [str(Path(folder) / "resnet_viz")]
    sys.modules["resnet_viz"] = package
    sys.path.insert(0, folder)
    # Memory of a file's process counts, the stacks of its threads included.
    threading.stack_size(2**18)
    parser = {"images": _image_parser, "checkpoints": _checkpoint_parser, "surveys": _survey_parser}[kind]()
    # Nobody waits for the processes of files, so they must not become zombies.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as control:
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, LONGEST_MESSAGE, 3)
            if not message:
                os.killpg(0, signal.SIGKILL)
            if os.fork() == 0:
                _work(parser, json.loads(message), *descriptors)
            for each in descriptors:
                os.close(each)


def _work(parser: Parser, asked: dict[str, Any], given: int, taken: int, reply: int) -> NoReturn:
    threading.Thread(target=_step_back, args=(os.getpid(),), daemon=True).start()
    _limit(asked["limits"])
    try:
        answer = parser(os.pread(given, os.fstat(given).st_size, 0), taken, asked["part"])
    except MemoryError:
        answer = {"error": "MemoryError", "sentence": ""}
    except BaseException as error:  # noqa: BLE001 - whatever it was, it is answered
        candidates = list(getattr(error, "candidates", ()))
        answer = {"error": type(error).__name__, "sentence": str(error)[:LONGEST_SENTENCE], "candidates": candidates}
    data = json.dumps(answer).encode()
    while data:
        data = data[os.write(reply, data) :]
    os._exit(0)


def _step_back(process: int) -> None:
    """Let pages go first after a while: on busy processors a file that is expensive to read waits, and not everybody else."""
    time.sleep(ORDINARY_SECONDS)
    os.setpriority(os.PRIO_PROCESS, process, os.getpriority(os.PRIO_PROCESS, process) + NICENESS)


def _limit(limits: dict[str, float]) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limits["wall"])
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    memory, seconds = int(limits["memory"]), int(limits["seconds"])
    for which, most in (
        (resource.RLIMIT_AS, used + memory),
        (resource.RLIMIT_FSIZE, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(which, (most, most))


def _image_parser() -> Parser:
    from PIL import Image  # noqa: PLC0415 - only in this kind of process

    from resnet_viz.images import open_image  # noqa: PLC0415 - only in this kind of process

    Image.init()

    def reserve(data: bytes, taken: int) -> None:
        """Reserve the memory for a photo's pixels while they are decoded: the system takes as long for that as for the copy."""
        try:
            with Image.open(BytesIO(data), formats=["JPEG"]) as image:
                width, height = image.size
            os.posix_fallocate(taken, 0, 4 * width * height)
        except Exception:  # noqa: BLE001, S110 - whatever is wrong with it, the parser says so
            pass

    def parse(data: bytes, taken: int, _: str | None) -> ParserAnswer:
        reserving = threading.Thread(target=reserve, args=(data, taken))
        # If little memory is left, there is none for a thread, and nothing to reserve either.
        with suppress(RuntimeError):
            reserving.start()
        image = open_image(data)
        if reserving.ident is not None:
            reserving.join()
        width, height = image.size
        for top in range(0, height, ROWS):
            # Four bytes per pixel, as Pillow stores them: they are copied and not rearranged.
            _write(taken, image.crop((0, top, width, min(top + ROWS, height))).tobytes("raw", "RGBX"))
        os.ftruncate(taken, 4 * width * height)
        return {"size": [width, height]}

    return parse


def _checkpoint_parser() -> Parser:
    import torch  # noqa: PLC0415 - only in this kind of process

    from resnet_viz.nets.checkpoints.loading import extract  # noqa: PLC0415 - only in this kind of process

    torch.set_num_threads(1)

    def parse(data: bytes, taken: int, part: str | None) -> ParserAnswer:
        try:
            found, place, rows = extract(data, part), 0, []
            for name, tensor in found.tensors.items():
                values = tensor.detach().contiguous()
                place += _write(taken, bytes(-place % 64))
                rows.append([name, str(values.dtype).removeprefix("torch."), list(values.shape), place])
                # A zero-dimensional tensor cannot be viewed as bytes.
                place += _write(taken, values.reshape(-1).view(torch.uint8).numpy().data)
        except RuntimeError as error:
            if "allocate memory" in str(error):
                raise MemoryError from error
            raise
        known = None if found.known is None else asdict(found.known)
        return {"tensors": rows, "facts": asdict(found.facts), "notes": found.notes, "part": found.part, "known": known}

    return parse


def _survey_parser() -> Parser:
    import pyarrow as pa  # noqa: PLC0415 - only in this kind of process

    from resnet_viz.analyses.survey.files import open_survey, survey_bytes  # noqa: PLC0415 - only in this kind of process

    # A process that forks cannot have their threads.
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)

    def parse(data: bytes, taken: int, most: str | None) -> ParserAnswer:
        """Read the file and write it again, so that what is passed on has the size that it seems to have."""
        _write(taken, survey_bytes(open_survey(data, int(most or 0))))
        return {}

    return parse


def _write(descriptor: int, data: bytes | memoryview) -> int:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
    return len(data)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
