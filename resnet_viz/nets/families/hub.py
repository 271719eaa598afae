"""Weight files from the Hugging Face hub: found with huggingface_hub, downloaded and checked like every other weight file.

huggingface_hub knows the address (HF_ENDPOINT), the token and the contents of its own cache. The bytes are downloaded by
`nets/download.py`, which reports progress, can be cancelled, compares the SHA-256 and leaves no incomplete file behind.
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
    """A repository of the hub, such as "timm/resnet50d.ra2_in1k", and the accepted files, the preferred one first."""

    name: str
    files: tuple[str, ...]

    def file_here(self) -> Path | None:
        """Return the local file, from the folder of weights or from huggingface_hub's cache; None if there is none."""
        for ending in ENDINGS:
            found = sorted(weights_folder().glob(f"{self._stem}-{'[0-9a-f]' * HASH_DIGITS}{ending}"))
            if found:
                return found[-1]
        return self._cached()

    def fetch(self, on_progress: OnProgress, timeout: float = TIMEOUT) -> Path:
        """Return the file, and download it if it is not on this machine.

        `on_progress` is called with the bytes received and the total; an exception that it raises cancels the download. Raises
        WeightsError if the download fails; no incomplete file is left behind.
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
        """Ask the hub for the address, the size and the SHA-256 of the file."""
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
                    f"{self.name} could not be downloaded: {_host(url)} gives no SHA-256 for {file}, so the download could not"
                    " be checked. Download it yourself and open it with rv.load_checkpoint."
                )
            target = weights_folder() / f"{self._stem}-{digest[:HASH_DIGITS]}{Path(file).suffix}"
            # The token is sent to the hub only, not to the host that stores the files.
            own = _host(found.location) == _host(url)
            headers = {name: value for name, value in build_hf_headers().items() if name.lower() == "authorization" and own}
            return WantedFile(found.location, target, digest, found.size or 0, timeout, headers)
        raise WeightsError(
            f"{self.name} could not be downloaded: it has no file {' or '.join(self.files)}. Choose other weights of this"
            " network; timm.list_pretrained() lists them."
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
            why = "the variable HF_HUB_OFFLINE is set. Unset it and try again."
        elif isinstance(error, GatedRepoError) or status == 403:
            why = f"{host} restricts access to it. Accept the conditions on its page, {LOGIN}, and try again."
        elif isinstance(error, RepositoryNotFoundError | RevisionNotFoundError) or status in (401, 404):
            why = f"{host} has no model of that name that you can access. If it is a private model, {LOGIN}, and try again."
        elif isinstance(error, HfHubHTTPError) and status:
            why = f"{host} answered {status}. Try again later, or {BY_HAND}."
        else:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            why = f"{host} cannot be reached ({reason}). Check the internet connection and try again."
        raise WeightsError(f"{self.name} could not be downloaded: {why}") from error


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
