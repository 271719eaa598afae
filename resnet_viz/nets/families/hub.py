"""A file of weights from the Hugging Face hub: asked for through huggingface_hub, fetched and checked as every other file is.

huggingface_hub knows the address (HF_ENDPOINT), the person's token and what its own cache holds already; the bytes come through
`nets/download.py`, which reports progress, can be cancelled, compares the SHA-256 and leaves nothing half done behind.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from resnet_viz.nets.download import BY_HAND, TIMEOUT, WantedFile, download
from resnet_viz.nets.net import WeightsError
from resnet_viz.nets.weights_folder import is_whole, turn, weights_folder
from resnet_viz.progress import OnProgress

HASH_DIGITS = 16
ENDINGS = (".safetensors", ".bin")
LOGIN = "log in with `hf auth login`, or set HF_TOKEN"


@dataclass(frozen=True)
class HubRepository:
    """A repository of the hub, such as "timm/resnet50d.ra2_in1k", and the names of the files wanted, the best one first."""

    name: str
    files: tuple[str, ...]

    def file_here(self) -> Path | None:
        """Return the file that is on this machine: in the folder of weights, or in huggingface_hub's cache; None for none."""
        for ending in ENDINGS:
            found = sorted(weights_folder().glob(f"{self._stem}-{'[0-9a-f]' * HASH_DIGITS}{ending}"))
            if found:
                return found[-1]
        return self._cached()

    def fetch(self, on_progress: OnProgress, timeout: float = TIMEOUT) -> Path:
        """Return the file, fetched where it is not here; WeightsError with a sentence, and nothing is left of what had arrived.

        `on_progress` gets the bytes that have arrived and how many there will be; what it raises cancels.
        """
        here = self.file_here()
        if here is not None and (here.parent != weights_folder() or is_whole(here)):
            return here
        wanted = self._wanted(timeout)
        with turn(wanted.target, on_progress):
            if not (wanted.target.exists() and is_whole(wanted.target)):
                download(wanted, on_progress)
        return wanted.target

    @property
    def _stem(self) -> str:
        return self.name.replace("/", "-")

    def _cached(self) -> Path | None:
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - comes with the extra "timm"

        found = (try_to_load_from_cache(self.name, file) for file in self.files)
        return next((Path(path) for path in found if isinstance(path, str)), None)

    def _wanted(self, timeout: float) -> WantedFile:
        """Ask the hub where the file is, how large it is, and what its SHA-256 is."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415 - as above
        from huggingface_hub.errors import EntryNotFoundError  # noqa: PLC0415 - as above
        from huggingface_hub.utils._headers import build_hf_headers  # noqa: PLC0415 - as above

        endpoint = os.environ.get("HF_ENDPOINT") or None
        for file in self.files:
            url = hf_hub_url(self.name, file, endpoint=endpoint)
            try:
                found = get_hf_file_metadata(url, timeout=timeout, endpoint=endpoint)
            except EntryNotFoundError:
                continue
            except Exception as error:  # noqa: BLE001 - also what the client's transport raises, which changes between versions
                self._refuse(error, url)
            digest = found.etag or ""
            if not re.fullmatch("[0-9a-f]{64}", digest):
                raise WeightsError(
                    f"{self.name} could not be downloaded: {_host(url)} names no SHA-256 for {file}, so that nobody could tell"
                    " whether it arrives whole. Download it yourself and open it with rv.load_checkpoint."
                )
            target = weights_folder() / f"{self._stem}-{digest[:HASH_DIGITS]}{Path(file).suffix}"
            # A token is for the hub alone, and not for the host that stores the files.
            own = _host(found.location) == _host(url)
            headers = {name: value for name, value in build_hf_headers().items() if name.lower() == "authorization" and own}
            return WantedFile(found.location, target, digest, found.size or 0, timeout, headers)
        raise WeightsError(
            f"{self.name} could not be downloaded: it has no file {' or '.join(self.files)}. Take other weights of this"
            " network: timm.list_pretrained() names them."
        )

    def _refuse(self, error: Exception, url: str) -> NoReturn:
        from huggingface_hub.errors import (  # noqa: PLC0415 - as above
            GatedRepoError,
            HfHubHTTPError,
            OfflineModeIsEnabled,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        host = _host(url)
        status = getattr(getattr(error, "response", None), "status_code", 0)
        if isinstance(error, OfflineModeIsEnabled):
            why = "HF_HUB_OFFLINE forbids it. Unset that variable and try again."
        elif isinstance(error, GatedRepoError) or status == 403:
            why = f"{host} does not give it to everybody. Accept its conditions on its page, {LOGIN}, and try again."
        elif isinstance(error, RepositoryNotFoundError | RevisionNotFoundError) or status in (401, 404):
            why = f"{host} has no model of that name that is open to you. If it is a private one, {LOGIN}, and try again."
        elif isinstance(error, HfHubHTTPError) and status:
            why = f"{host} answered {status}. Try again later, or {BY_HAND}."
        else:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            why = f"{host} cannot be reached ({reason}). Check the network and try again."
        raise WeightsError(f"{self.name} could not be downloaded: {why}") from error


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
