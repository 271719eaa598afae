"""Variables of the environment: which are read, which values are refused, and that the documentation lists each."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import resnet_viz as rv
from app import settings as app_settings
from app.settings import AppSettings
from resnet_viz.settings import (
    EngineSettings,
    EnvironmentSettings,
    ServingSettings,
    SettingError,
    ShownSettings,
    WeightsSettings,
)

ROOT = Path(__file__).parents[1]
KINDS = (AppSettings, EngineSettings, ServingSettings, WeightsSettings)
# The documentation of the app, and of an engine on Ray Serve.
PAGES = {
    AppSettings: "operating.md",
    WeightsSettings: "operating.md",
    EngineSettings: "scaling.md",
    ServingSettings: "scaling.md",
}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in {variable for kind in KINDS for variable in kind.variables()}:
        monkeypatch.delenv(variable, raising=False)


def test_without_variables_nothing_is_limited_more_than_documented() -> None:
    found = AppSettings.read()
    assert (found.class_code, found.allowed_hosts, found.sign_in_emails, found.metrics) == ("", (), (), False)
    assert (found.uploads_per_minute, found.computations_per_minute, found.code_tries_per_minute) == (30, 240, 20)
    assert found.upload_bytes == 1024 * 2**20
    limit = tomllib.loads((ROOT / "app" / ".streamlit" / "config.toml").read_text())["server"]["maxUploadSize"]
    [largest] = [info.size for info in rv.list_models() if info.name == "wide_resnet101_2"]
    # Most browsers count megabytes of 10**6 bytes.
    assert largest / 10**6 < limit == found.offered_mb(limit)
    engine = EngineSettings.read()
    assert (engine.results, engine.share, engine.queue, engine.models, engine.batch) == (512 * 2**20, 32 * 2**20, 64, 4, 8)


@pytest.mark.parametrize(("memory", "offered"), [("0", 500), ("1024", 500), ("128", 63), ("1", 1)])
def test_a_page_offers_no_more_than_a_session_has_memory_for(
    monkeypatch: pytest.MonkeyPatch, memory: str, offered: int
) -> None:
    monkeypatch.setenv("RESNET_VIZ_UPLOADS_MB", memory)
    assert AppSettings.read().offered_mb(500) == offered


def test_variables_are_read_and_read_again_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_VIZ_ALLOWED_HOSTS", "Viz.School.example, *.lab.example.")
    monkeypatch.setenv("RESNET_VIZ_UPLOADS_PER_MINUTE", "0")
    monkeypatch.setenv("RESNET_VIZ_METRICS", "1")
    monkeypatch.setenv("RESNET_VIZ_CLASS_CODE", "  ")
    found = AppSettings.read()
    assert found.allowed_hosts == ("viz.school.example", "*.lab.example")
    assert (found.uploads_per_minute, found.metrics, found.class_code) == (0, True, "")
    assert AppSettings.read() is found
    monkeypatch.setenv("RESNET_VIZ_UPLOADS_PER_MINUTE", "")
    assert AppSettings.read().uploads_per_minute == 30


@pytest.mark.parametrize(
    ("kind", "variable", "value", "sentence"),
    [
        (AppSettings, "RESNET_VIZ_UPLOADS_PER_MINUTE", "many", "is not a whole number: write one such as 30."),
        (AppSettings, "RESNET_VIZ_UPLOADS_MB", "-1", "is too small: write 0 or more."),
        (AppSettings, "RESNET_VIZ_METRICS", "maybe", "is neither on nor off: write 1 or 0."),
        (AppSettings, "RESNET_VIZ_SESSION_GRACE_S", "soon", "is not a number: write one such as 120.0."),
        (AppSettings, "RESNET_VIZ_ENGINE", "engine:8000", "is not a web address: write one that starts with http://"),
        *(
            (
                AppSettings,
                "RESNET_VIZ_ALLOWED_HOSTS",
                name,
                f"names '{name}', which is no host name: write names without scheme",
            )
            for name in ("http://x/", "viz.example:8501", "viz.example/app", "viz.*", "*viz.example", "a..b", "müller.example")
        ),
        (AppSettings, "RESNET_VIZ_SIGN_IN_EMAILS", "school.example", "names 'school.example', which is no address: write"),
        (WeightsSettings, "RESNET_VIZ_WEIGHTS_URL", "file:///etc", "is not a web address: write one that starts with http://"),
        (EngineSettings, "RESNET_VIZ_MODELS", "0", "is too small: write 1 or more."),
        (EngineSettings, "RESNET_VIZ_QUEUE", "1.5", "is not a whole number: write one such as 64."),
        (ServingSettings, "RESNET_VIZ_GPU_FRACTION", "half", "is not a number: write one such as 1."),
        (ServingSettings, "RESNET_VIZ_MAX_REPLICAS", "1", "is below RESNET_VIZ_MIN_REPLICAS=2: write 2 or more."),
        (ServingSettings, "PORT", "70000", "is too large: write 65535 or less."),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_to_write(
    kind: type[EnvironmentSettings], variable: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESNET_VIZ_MIN_REPLICAS", "2")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError) as refused:
        kind.read()
    assert str(refused.value).startswith(f"{variable}='{value}' {sentence}")


@pytest.mark.parametrize("name", ["viz.school.example", "*.lab.example", "*", "localhost", "my_app", "10.0.0.1", "::1"])
def test_names_of_hosts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_VIZ_ALLOWED_HOSTS", f"first.example {name}")
    assert AppSettings.read().allowed_hosts == ("first.example", name)


def test_a_server_refuses_what_it_would_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    app_settings.check()
    monkeypatch.setenv("RESNET_VIZ_QUEUE", "many")
    with pytest.raises(SettingError, match=r"^RESNET_VIZ_QUEUE='many'"):
        app_settings.check()


def test_an_engine_elsewhere_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_VIZ_ENGINE", "http://engine:8000")
    app_settings.check()
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(SettingError, match="pip install aiohttp"):
        app_settings.check()


def test_replicas_and_address_depend_on_other_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (ServingSettings.read().max_replicas, ServingSettings.read().host) == (1, "127.0.0.1")
    monkeypatch.setenv("RESNET_VIZ_MIN_REPLICAS", "3")
    monkeypatch.setenv("RESNET_VIZ_TOKEN", "secret")
    assert (ServingSettings.read().max_replicas, ServingSettings.read().host) == (3, "0.0.0.0")  # noqa: S104 - compared with
    monkeypatch.setenv("RESNET_VIZ_ENGINE_HOST", "10.0.0.1")
    assert ServingSettings.read().host == "10.0.0.1"


@pytest.mark.parametrize("kind", KINDS)
def test_the_documentation_lists_every_variable_with_its_meaning_and_default(kind: type[EnvironmentSettings]) -> None:
    lines = (ROOT / "docs" / PAGES[kind]).read_text().splitlines()
    for variable, info in kind.variables().items():
        extra = info.json_schema_extra
        assert isinstance(extra, dict)
        assert f"| `{variable}` | {info.description} | {extra['without']} |" in lines


def test_no_variable_is_read_past_the_settings() -> None:
    known = {variable for kind in KINDS for variable in kind.variables()}
    for path in [*(ROOT / "resnet_viz").rglob("*.py"), *(ROOT / "app").rglob("*.py")]:
        text = path.read_text()
        assert set(re.findall(r"RESNET_VIZ_[A-Z_]*[A-Z]", text)) <= known | set(ShownSettings.variables()), path
        assert not re.search(r"environ(\.get)?[(\[]\W*(RESNET_VIZ|PORT)|getenv", text), path


def test_an_engine_with_a_wrong_setting_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_VIZ_REPLICA_CPUS", "a few")
    command = [sys.executable, "-m", "resnet_viz.engine.serving"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "The engine cannot start: RESNET_VIZ_REPLICA_CPUS='a few' is not a number: write one such as 1.0."
    )
    assert "Traceback" not in done.stderr
