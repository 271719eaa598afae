"""Downloading a file of weights: the result is either the complete, verified file or nothing."""

import atexit
import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen
from uuid import uuid4

from resnet_viz.nets.net import WeightsError
from resnet_viz.progress import OnProgress, ignore_progress

CHUNK = 2**18
TIMEOUT = 20.0
ABANDONED_AFTER = 3600.0
BY_HAND = "copy the file into the folder that RESNET_VIZ_WEIGHTS_DIR names"

_unfinished: set[Path] = set()


@dataclass(frozen=True)
class WantedFile:
    """A file on the web and its destination.

    `sha256` is the hash in hex or its first digits; `size` is in bytes, as far as it is known beforehand; `timeout` is in
    seconds without a byte.
    """

    url: str
    target: Path
    sha256: str
    size: int
    timeout: float = TIMEOUT

    @property
    def host(self) -> str:
        """The name of the server."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


def download(wanted: WantedFile, on_progress: OnProgress = ignore_progress) -> None:
    """Download a file to its target, in one step at the end; any failure leaves nothing behind.

    `on_progress` gets the received and the total number of bytes; an exception that it raises cancels. Raises WeightsError with
    a sentence for a failure of the host, the connection, the content or the disk.
    """
    with _answer(wanted) as answer:
        # Some versions of Python count this down in `read1`.
        promised = answer.length
        _make_room(wanted.target, promised or wanted.size)
        with _partial(wanted.target) as file:
            _copy(answer, promised, file, wanted, on_progress)


def _answer(wanted: WantedFile) -> HTTPResponse:
    request = Request(wanted.url, headers={"User-Agent": "resnet-viz"})  # noqa: S310 - `official` checks the scheme
    try:
        answer: HTTPResponse = urlopen(request, timeout=wanted.timeout)  # noqa: S310 - as above
    except HTTPError as error:
        error.close()
        said = f"{error.code} {error.reason}".strip()
        raise _broken_off(wanted, f"{wanted.host} answered {said}. Try again later, or {BY_HAND}.") from error
    except (OSError, HTTPException, ValueError) as error:
        # urllib wraps the actual error.
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            reason = f"no answer within {wanted.timeout:g} seconds"
        raise _broken_off(
            wanted, f"{wanted.host} cannot be reached ({reason}). Check the network and try again, or {BY_HAND}."
        ) from error
    return answer


def _copy(answer: HTTPResponse, promised: int | None, file: BinaryIO, wanted: WantedFile, on_progress: OnProgress) -> None:
    """Write the body, check its length and hash, and report every packet, so that it can be cancelled at any point."""
    digest, done, total = hashlib.sha256(), 0, wanted.size if promised is None else promised
    # Without an announced length, a body that grows to twice the size is not the file.
    most = 2 * wanted.size if promised is None else promised
    on_progress(done, total)
    while done < most and (chunk := _next(answer, most - done, wanted, f"after {_megabytes(done, total)}")):
        with _disk(wanted.target):
            file.write(chunk)
        digest.update(chunk)
        done += len(chunk)
        on_progress(done, total)
    if promised is not None and done < promised:
        raise _broken_off(wanted, f"the connection was interrupted after {_megabytes(done, total)}. Try again.")
    if not digest.hexdigest().startswith(wanted.sha256):
        raise _broken_off(
            wanted,
            f"{wanted.host} sent a different file, which was discarded (its SHA-256 begins with"
            f" {digest.hexdigest()[:8]}, not {wanted.sha256[:8]}). Check whether your internet connection requires a login, "
            f"or {BY_HAND}.",
        )


def _next(answer: HTTPResponse, most: int, wanted: WantedFile, where: str) -> bytes:
    """Return received bytes, at most `most`; nothing at the end."""
    try:
        return answer.read1(min(most, CHUNK))
    except TimeoutError as error:
        raise _broken_off(wanted, f"{wanted.host} stopped sending {where}. Check the network and try again.") from error
    except (OSError, HTTPException) as error:
        raise _broken_off(wanted, f"the connection was interrupted {where}. Try again.") from error


def _broken_off(wanted: WantedFile, why: str) -> WeightsError:
    return WeightsError(f"{wanted.target.name} could not be downloaded: {why}")


def _make_room(target: Path, size: int) -> None:
    with _disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        # Left behind by a killed process; a running download writes more often.
        for left in target.parent.glob(f"{target.name}.*.part"):
            if time.time() - left.stat().st_mtime > ABANDONED_AFTER:
                left.unlink(missing_ok=True)
        free = shutil.disk_usage(target.parent).free
    if free < size:
        raise WeightsError(
            f"There is not enough space for {target.name} in {target.parent}: it needs {size / 1e6:,.0f} MB and "
            f"{free / 1e6:,.0f} MB are free. Free some space, or name another folder in RESNET_VIZ_WEIGHTS_DIR."
        )


@atexit.register
def remove_unfinished() -> None:
    """Remove every incomplete file: the end of a process stops a background thread without its clean-up."""
    for path in tuple(_unfinished):
        path.unlink(missing_ok=True)


@contextmanager
def _partial(target: Path) -> Iterator[BinaryIO]:
    """A new file next to `target` that replaces it at the end, or is removed after a failure."""
    path = target.with_name(f"{target.name}.{uuid4().hex}.part")
    _unfinished.add(path)
    try:
        with _disk(target):
            file = path.open("xb")
        try:
            yield file
        finally:
            with _disk(target):
                file.close()
        with _disk(target):
            path.replace(target)
    finally:
        path.unlink(missing_ok=True)
        _unfinished.discard(path)


@contextmanager
def _disk(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WeightsError(
            f"{target.name} cannot be written into {target.parent} ({error.strerror or error}). Free some space, make the "
            f"folder writable, or name another one in RESNET_VIZ_WEIGHTS_DIR."
        ) from error


def _megabytes(done: int, total: int) -> str:
    return f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
