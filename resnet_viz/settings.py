"""Settings from the environment: every variable of the library and the engine is a field here, with default and meaning.

`docs/operating.md` and `docs/scaling.md` list them; the app's own variables are in `app/settings.py`.
"""

import os
from functools import lru_cache
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "RESNET_VIZ_"
MEGABYTE = 2**20


class SettingError(ValueError):
    """An invalid value of a variable; the message, for whoever runs the program, names the variable and says what to write."""


def setting(default: Any, meaning: str, without: str = "", **limits: Any) -> Any:  # noqa: ANN401 - a field takes its place
    """Describe a field: `meaning` is what the variable sets, `without` what applies without it (default: its default)."""
    return Field(default, description=meaning, json_schema_extra={"without": without or str(default)}, **limits)


class EnvironmentSettings(BaseSettings):
    """Settings from variables that begin with RESNET_VIZ_; an empty variable counts as none."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", str_strip_whitespace=True
    )

    @classmethod
    def read(cls) -> Self:
        """Return the settings from the current environment; SettingError for an invalid value."""
        found: Self = _read(cls, tuple(os.environ.get(variable) for variable in cls.variables()))
        return found

    @classmethod
    def variables(cls) -> dict[str, FieldInfo]:
        """Every variable by its name in the environment."""
        return {_variable(name, info): info for name, info in cls.model_fields.items()}


class WeightsSettings(EnvironmentSettings):
    """Where the official weights of ImageNet networks come from, and where they are stored."""

    weights_dir: str = setting("", "folder of official weights, under torchvision's file names", "torch.hub's folder")
    weights_url: str = setting("", "address of a mirror that official weights are downloaded from", "torchvision's address")

    @field_validator("weights_url")
    @classmethod
    def _is_on_the_web(cls, address: str) -> str:
        return web_address(address)


class ShownSettings(EnvironmentSettings):
    """How an app that `rv.show` started reaches the program that started it; users do not set these."""

    shown_url: str = setting("", "address at which the program answers", "nothing is shown")
    shown_token: str = setting("", "secret that the app sends with each request", "nothing is sent")


class EngineSettings(EnvironmentSettings):
    """The limits of an engine; a CPU computes ImageNet networks one image at a time, whatever `batch` is."""

    results_mb: int = setting(512, "memory for finished answers, in MB", ge=0)
    session_mb: int = setting(32, "memory for the answers of one session, in MB", ge=1)
    queue: int = setting(64, "jobs that may wait; further jobs are refused with a message", ge=1)
    models: int = setting(4, "networks that are held on each device", ge=1)
    batch: int = setting(8, "inspections by one network that share a pass", ge=1)

    @property
    def results(self) -> int:
        """`results_mb` in bytes."""
        return self.results_mb * MEGABYTE

    @property
    def share(self) -> int:
        """`session_mb` in bytes."""
        return self.session_mb * MEGABYTE


class ServingSettings(EnvironmentSettings):
    """Where an engine on Ray Serve listens, who may use it, how many replicas it has, and the resources of each.

    Nothing limits a replica to its share of a GPU: replicas on one GPU must fit into its memory together.
    """

    token: str = setting("", "shared secret of the app and that engine; the same in both", "no secret is required")
    engine_host: str = setting("", "address on which the engine listens", "`0.0.0.0` with a token, else `127.0.0.1`")
    port: int = setting(8000, "port on which the engine listens", ge=1, le=65535, validation_alias="PORT")
    min_replicas: int = setting(1, "minimum number of replicas", ge=1)
    max_replicas: int = setting(0, "maximum number of replicas", "as many as `RESNET_VIZ_MIN_REPLICAS`", ge=0)
    replica_cpus: float = setting(1.0, "CPU cores, and threads, of a replica", "1", ge=0)
    gpu_fraction: float = setting(0.0, "share of a GPU of a replica; 0.5 puts two on one GPU", "0: CPU", ge=0)
    busy: int = setting(4, "unfinished jobs of a replica above which another one is started", ge=1)

    @field_validator("max_replicas")
    @classmethod
    def _is_not_below_the_fewest(cls, most: int, others: Any) -> int:  # noqa: ANN401 - pydantic's description of a validation
        fewest = others.data.get("min_replicas", 1)
        if most and most < fewest:
            raise ValueError(f"is below RESNET_VIZ_MIN_REPLICAS={fewest}: write {fewest} or more")
        return most or fewest

    @property
    def host(self) -> str:
        """The address; without a token everybody who reaches the port may compute, so then the default is this machine only."""
        return self.engine_host or ("0.0.0.0" if self.token else "127.0.0.1")  # noqa: S104 - the token stands before it


def web_address(text: str) -> str:
    """Return an address, or the empty text; ValueError with the end of a sentence for anything but http and https."""
    parts = urlsplit(text)
    if text and not (parts.scheme in {"http", "https"} and parts.hostname):
        raise ValueError("is not a web address: write one that starts with http:// or https://, or leave the variable out")
    return text


@lru_cache(maxsize=64)
def _read(kind: type[Any], _: tuple[str | None, ...]) -> Any:  # noqa: ANN401 - what `kind` is
    """Read again only after a variable of the settings has changed."""
    try:
        return kind()
    except ValidationError as error:
        raise SettingError(" ".join(_sentence(kind, problem) for problem in error.errors())) from None


def _variable(name: str, info: FieldInfo) -> str:
    return info.validation_alias if isinstance(info.validation_alias, str) else PREFIX + name.upper()


def _sentence(kind: type[EnvironmentSettings], problem: Any) -> str:  # noqa: ANN401 - pydantic's details of an error
    place = str(problem["loc"][0])
    name, info = next((name, info) for name, info in kind.model_fields.items() if place in (name, info.validation_alias))
    limits = problem.get("ctx", {})
    example = info.default or 1
    reasons = {
        "bool_parsing": "is neither on nor off: write 1 or 0",
        "int_parsing": f"is not a whole number: write one such as {example}",
        "float_parsing": f"is not a number: write one such as {example}",
        "greater_than_equal": f"is too small: write {limits.get('ge')} or more",
        "less_than_equal": f"is too large: write {limits.get('le')} or less",
        "value_error": str(limits.get("error")),
    }
    reason = reasons.get(problem["type"], f"cannot be used ({problem['msg']})")
    return f"{_variable(name, info)}={str(problem['input'])!r} {reason}."
