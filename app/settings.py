"""The settings of whoever runs the app, from the environment: access, limits per person, and the engine.

`docs/operating.md` explains each. The variables of the library and the engine are in `resnet_viz/settings.py`.
"""

import ipaddress
import re
from importlib.util import find_spec
from typing import Annotated

from pydantic import BeforeValidator, field_validator
from pydantic_settings import NoDecode

from resnet_viz.settings import (
    MEGABYTE,
    EngineSettings,
    EnvironmentSettings,
    SettingError,
    WeightsSettings,
    setting,
    web_address,
)

# What Streamlit names the cookie that shows an upload to come from its own page.
XSRF_COOKIE = "_streamlit_xsrf"


def _split(text: object) -> object:
    """Names and addresses are separated by commas or spaces; capital letters and a final dot make no difference."""
    if not isinstance(text, str):
        return text
    return tuple(part.lower().rstrip(".") for part in text.replace(",", " ").split())


def _is_numeric(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class AppSettings(EnvironmentSettings):
    """The settings of the app; a limit of 0 means no limit."""

    allowed_hosts: Names = setting(
        (),
        "names that the server answers to, such as `viz.school.example, *.lab.example`; `*` is any",
        "the names of a local network",
    )
    class_code: str = setting("", "the code of a class", "no code is required")
    code_tries_per_minute: int = setting(
        20, "wrong codes per minute from one address, and ten times as many from all; further ones have to wait", ge=0
    )
    sign_in_emails: Names = setting(
        (),
        "addresses and domains that may sign in, such as `@school.example, anna@home.example`",
        "everybody with an account at the provider",
    )
    uploads_per_minute: int = setting(30, "files per minute from one session; 0 is no limit", ge=0)
    computations_per_minute: int = setting(240, "computations per minute that one session starts; 0 is no limit", ge=0)
    uploads_mb: int = setting(
        1024, "memory for all uploads while they arrive and until they are read, in MB; a session gets half", ge=0
    )
    frame_sites: Names = setting(
        (), "sites that may embed the app in their pages, such as `https://moodle.school.example`", "none"
    )
    session_grace_s: float = setting(
        120.0, "seconds that a session is kept after its browser has gone, in case it comes back", "120", ge=0
    )
    metrics: bool = setting(False, "1 shows Streamlit's metrics at `/_stcore/metrics`", "they are not shown")  # noqa: FBT003
    engine: str = setting(
        "", "address of an engine on Ray Serve, such as `http://engine:8000`", "the app computes everything itself"
    )
    token: str = setting("", "shared secret of the app and that engine; the same in both", "no secret")
    shared_weights: bool = setting(
        False,  # noqa: FBT003
        "1 if the app and that engine share the folder of official weights, so that the app may download them",
        "they have separate folders",
    )

    @field_validator("allowed_hosts")
    @classmethod
    def _are_host_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not (name == "*" or re.fullmatch(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*", name) or _is_numeric(name)):
                raise ValueError(
                    f"names {name!r}, which is no host name: write names without scheme, port and path, such as"
                    " viz.school.example or *.lab.example, or * for any"
                )
        return names

    @field_validator("sign_in_emails")
    @classmethod
    def _are_addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            if not re.fullmatch(r"[^@]*@[^@]+", address):
                raise ValueError(
                    f"names {address!r}, which is no address: write addresses such as anna@home.example, or @ and a domain,"
                    " such as @school.example"
                )
        return addresses

    @field_validator("frame_sites")
    @classmethod
    def _are_sites(cls, sites: tuple[str, ...]) -> tuple[str, ...]:
        for site in sites:
            if not re.fullmatch(r"https?://(\*\.)?[a-z0-9.-]+(:(\d+|\*))?", site):
                raise ValueError(f"names {site!r}: write each site with its scheme, such as https://moodle.school.example")
        return sites

    @field_validator("engine")
    @classmethod
    def _is_on_the_web(cls, address: str) -> str:
        return web_address(address)

    @property
    def upload_bytes(self) -> int:
        """`uploads_mb` in bytes."""
        return self.uploads_mb * MEGABYTE

    def offered_mb(self, most: int) -> int:
        """Return the largest file in MB that a page offers to take; the rest of the request needs space as well."""
        return min(most, max(1, self.uploads_mb // 2 - 1)) if self.uploads_mb else most


def settings() -> AppSettings:
    """Return the app's settings; SettingError for an invalid value."""
    return AppSettings.read()


def check() -> None:
    """Read everything that a server reads later, so that an invalid value stops its start; SettingError with a sentence."""
    for kind in (AppSettings, EngineSettings, WeightsSettings):
        kind.read()
    if settings().engine and find_spec("aiohttp") is None:
        raise SettingError(
            f"RESNET_VIZ_ENGINE={settings().engine!r} names an engine on another server, but the package aiohttp, which the "
            f"app needs to reach it, is not installed. Run `pip install aiohttp`."
        )
