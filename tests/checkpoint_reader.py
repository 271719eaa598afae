"""Reads files in a separate process that records what Python does meanwhile: used by the tests of hostile files."""

import copyreg
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from resnet_viz.nets.checkpoints.errors import CheckpointError
from resnet_viz.nets.checkpoints.loading import read_checkpoint

FORBIDDEN = ("import", "open", "exec", "compile", "os.", "subprocess.", "socket.", "ctypes.", "pickle.", "shutil.", "tempfile.")
events: list[str] = []
watching = False


def record(event: str, arguments: tuple[Any, ...]) -> None:
    if watching and event.startswith(FORBIDDEN):
        events.append(f"{event} {arguments!r:.100}")


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read(data: bytes) -> dict[str, Any]:
    global watching  # noqa: PLW0603 - audit hooks cannot be removed
    events.clear()
    before, start = peak(), time.process_time()
    watching = True
    try:
        checkpoint = read_checkpoint(data)
        outcome = f"opened {checkpoint.layout.title}"
    except CheckpointError as error:
        outcome = f"refused: {error}"
    except BaseException as error:  # noqa: BLE001 - what else comes out is what the test is about
        outcome = f"raised {type(error).__name__}: {error!s:.200}"
    watching = False
    return {"outcome": outcome, "seconds": time.process_time() - start, "memory": peak() - before, "events": list(events)}


def main() -> None:
    # If the registry of extensions were looked at, this is what would be found there.
    copyreg.add_extension("os", "system", 1)
    # Whatever is imported on first use is imported now.
    read(Path(sys.argv[1]).read_bytes())
    sys.addaudithook(record)
    for line in sys.stdin:
        data = Path(line.strip()).read_bytes()
        print(json.dumps(read(data)), flush=True)  # noqa: T201 - the answer
        del data


if __name__ == "__main__":
    os.environ.pop("PYTHONHASHSEED", None)
    main()
