"""Settings: read in one place, refused when they do not parse, and all in the README."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from backend.errors import SettingsError
from backend.settings import Settings, settings_table

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for line in settings_table().splitlines()[2:]:
        monkeypatch.delenv(line.split("`")[1], raising=False)


def test_the_environment_is_read_under_the_names_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://studio.example:8080/")
    monkeypatch.setenv("BASIC_AUTH_PASS", "secret")
    monkeypatch.setenv("WORDMASK_THREADS", "3")
    monkeypatch.setenv("WORDMASK_IMAGE_MAX_BYTES", "32MiB")
    monkeypatch.setenv("WORDMASK_ALLOWED_HOSTS", "Images.example, cdn.example")
    settings = Settings.from_env(env_file=None)
    assert settings.label_studio_url == "http://studio.example:8080"
    assert settings.basic_auth_pass is not None
    assert settings.basic_auth_pass.get_secret_value() == "secret"
    assert settings.threads == 3
    assert settings.image_max_bytes == 32 * 2**20
    assert settings.allowed_hosts == ("images.example", "cdn.example")


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "")
    monkeypatch.setenv("WORDMASK_PORT", "")
    settings = Settings.from_env(env_file=None)
    assert settings.label_studio_api_key is None
    assert settings.port == 9090


def test_a_file_is_read_and_the_environment_wins_over_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("WORDMASK_PORT=9191\nWORDMASK_PROFILE=from-file\nUNRELATED=1\n", encoding="utf-8")
    monkeypatch.setenv("WORDMASK_PROFILE", "from-environment")
    settings = Settings.from_env(env_file)
    assert (settings.port, settings.profile) == (9191, "from-environment")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        pytest.param("WORDMASK_THREADS", "many", id="not a number"),
        pytest.param("WORDMASK_PREDICT_BUDGET_SECONDS", "100", id="longer than Label Studio waits"),
        pytest.param("LABEL_STUDIO_URL", "studio.example", id="no scheme"),
        pytest.param("WORDMASK_LOG_LEVEL", "chatty", id="unknown level"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        Settings.from_env(env_file=None)


def test_a_misspelled_variable_is_warned_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("WORDMASK_TREADS", "3")
    with caplog.at_level(logging.WARNING):
        Settings.from_env(env_file=None)
    assert "did you mean WORDMASK_THREADS?" in caplog.text


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    assert "hush" not in repr(Settings(label_studio_api_key="hush", basic_auth_pass="hush", webhook_secret="hush"))


def test_the_readme_holds_the_table_of_all_settings() -> None:
    text = README.read_text(encoding="utf-8")
    written = text.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0]
    assert written.strip() == settings_table()
