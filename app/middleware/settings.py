"""What whoever runs the server can set, read once from the environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache


class SettingError(ValueError):
    """A variable that cannot be understood; the message is for whoever runs the server."""


@dataclass(frozen=True)
class Settings:
    """Who may come in, and how much a person may ask for; a limit of 0 is none.

    `class_code` is empty for no class mode. `hosts` are names beside those of a local network, "*" for any. `emails` are the
    addresses, and the domains as "@school.example", that may sign in; empty for all that the provider knows. `frames` are the
    sites, such as "https://moodle.school.example", that may show the app inside their pages. `uploads` and
    `computations` are a session's a minute, `tries` an address's wrong class codes a minute. `upload_bytes` is what all
    uploads may take together.
    """

    class_code: str = ""
    hosts: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    metrics: bool = False
    frames: tuple[str, ...] = ()
    uploads: int = 30
    computations: int = 240
    tries: int = 20
    upload_bytes: int = 1024 * 2**20


def read(environment: Mapping[str, str]) -> Settings:
    """Return the settings of an environment; SettingError with a sentence for a value that cannot be understood."""
    usual = Settings()
    return Settings(
        class_code=environment.get("RESNET_VIZ_CLASS_CODE", "").strip(),
        hosts=_names(environment, "RESNET_VIZ_ALLOWED_HOSTS"),
        emails=_names(environment, "RESNET_VIZ_SIGN_IN_EMAILS"),
        metrics=_switch(environment, "RESNET_VIZ_METRICS"),
        frames=_sites(environment, "RESNET_VIZ_FRAME_SITES"),
        uploads=_number(environment, "RESNET_VIZ_UPLOADS_PER_MINUTE", usual.uploads),
        computations=_number(environment, "RESNET_VIZ_COMPUTATIONS_PER_MINUTE", usual.computations),
        tries=_number(environment, "RESNET_VIZ_CODE_TRIES_PER_MINUTE", usual.tries),
        upload_bytes=_number(environment, "RESNET_VIZ_UPLOADS_MB", usual.upload_bytes >> 20) << 20,
    )


@cache
def settings() -> Settings:
    """Those of this server."""
    return read(os.environ)


def _names(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    parts = environment.get(name, "").replace(",", " ").split()
    return tuple(part.lower().rstrip(".") for part in parts)


def _sites(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    sites = _names(environment, name)
    for site in sites:
        if not re.fullmatch(r"https?://(\*\.)?[a-z0-9.-]+(:(\d+|\*))?", site):
            raise SettingError(f"{name}: {site!r} is no site. Write it with its scheme, such as https://moodle.school.example.")
    return sites


def _number(environment: Mapping[str, str], name: str, usual: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return usual
    if not text.isdecimal():
        raise SettingError(f"{name}={text!r} is not a whole number: write one such as {usual}, or 0 for no limit.")
    return int(text)


def _switch(environment: Mapping[str, str], name: str) -> bool:
    text = environment.get(name, "").strip().lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("", "0", "false", "no", "off"):
        return False
    raise SettingError(f"{name}={text!r} is neither on nor off: write 1 or 0.")
