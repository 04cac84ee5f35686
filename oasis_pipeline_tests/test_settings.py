from __future__ import annotations

import math
from datetime import date
from pathlib import Path

import pytest

from oasis_pipeline.settings import SECRET_VARIABLES, SettingsError, load_settings, variable_of


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "HOME",
        "HOST",
        "PORT",
        "USER",
        "PASS",
        "DB",
        "EMBEDDED_TCP",
        "READER_PASS",
        "DATA_PATH",
        "S3_BUCKET",
        "START",
        "TIMEZONE",
        "SETTLE_SECONDS",
        "SECRET_KEY",
    ):
        monkeypatch.delenv(f"OASIS_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults_need_nothing(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.home == tmp_path / ".oasis"
    assert settings.embedded
    assert settings.drop == tmp_path / ".oasis" / "drop"
    assert settings.rejected_files == tmp_path / ".oasis" / "rejected"
    assert settings.earliest_day == date(2000, 1, 1)


def test_the_environment_wins_over_the_env_file_of_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("OASIS_HOST=from-file\nOASIS_USER=from-file\nOASIS_START=2024-02-03\n")
    monkeypatch.setenv("OASIS_HOST", "from-environment")
    settings = load_settings(tmp_path)
    assert (settings.host, settings.user) == ("from-environment", "from-file")
    assert settings.earliest_day == date(2024, 2, 3)


def test_rejected_files_go_beside_the_drop_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OASIS_DATA_PATH", str(tmp_path / "sftp" / "in"))
    assert load_settings().rejected_files == tmp_path / "sftp" / "rejected"


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OASIS_PASS", "hunter2")
    monkeypatch.setenv("OASIS_SECRET_KEY", "hunter3")
    monkeypatch.setenv("OASIS_READER_PASS", "hunter4")
    assert "hunter" not in repr(load_settings())


def test_a_file_may_hold_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"OASIS_PASS", "OASIS_READER_PASS", "OASIS_SERVICE_PASS", "OASIS_DAGSTER_PASS", "OASIS_ADMIN_PASS", "OASIS_SOURCE_URL",
             "OASIS_REMOTE_DROP", "OASIS_SECRET_KEY"}  # fmt: skip
    assert set(SECRET_VARIABLES) == names
    for name in names:
        (tmp_path / name).write_text(f" {name} ü$#'\n")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
    settings = load_settings()
    for field in ("password", "reader_password", "service_password", "dagster_password", "admin_password", "source_url", "remote_drop", "secret_key"):  # fmt: skip
        assert getattr(settings, field).get_secret_value() == f" {variable_of(field)} ü$#'"
    assert "ü" not in repr(settings)


def test_a_file_of_the_environment_wins_over_the_env_file_and_an_empty_one_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("from a")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / ".env").write_text(
        f"OASIS_PASS=from-env-file\nOASIS_SECRET_KEY_FILE={tmp_path / 'a'}\nOASIS_READER_PASS_FILE={tmp_path / 'empty'}\n"
    )
    monkeypatch.setenv("OASIS_PASS_FILE", str(tmp_path / "a"))
    monkeypatch.setenv("OASIS_SERVICE_PASS_FILE", "")
    settings = load_settings(tmp_path)
    assert settings.password is not None
    assert settings.password.get_secret_value() == "from a"
    assert settings.secret_key is not None
    assert settings.reader_password is settings.service_password is None


def test_a_secret_that_can_not_be_read_or_is_given_twice_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OASIS_PASS_FILE", str(tmp_path / "none"))
    with pytest.raises(
        SettingsError, match=r"OASIS_PASS_FILE names .*none, which can't be read \(No such file"
    ):
        load_settings()
    (tmp_path / "none").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"OASIS_PASS_FILE .* not UTF-8"):
        load_settings()
    (tmp_path / "none").write_text("hunter2")
    monkeypatch.setenv("OASIS_PASS", "hunter3")
    with pytest.raises(SettingsError, match="OASIS_PASS and OASIS_PASS_FILE are both set") as raised:
        load_settings()
    assert "hunter" not in str(raised.value)


def test_a_wrong_value_names_its_variable_and_not_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OASIS_START", "yesterday-ish")
    with pytest.raises(SettingsError, match="OASIS_START") as raised:
        load_settings()
    assert "yesterday-ish" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_time_zone_of_the_field_is_a_name_that_exists() -> None:
    chicago = load_settings(timezone="America/Chicago")
    behind = (load_settings().field_now() - chicago.field_now()).total_seconds()
    assert 5 * 3600 - 60 < behind < 6 * 3600 + 60
    assert chicago.field_now().tzinfo is None
    for name in ("Texas", "../etc/passwd", "America/"):
        with pytest.raises(SettingsError, match=r"^configuration: OASIS_TIMEZONE is not a time zone"):
            load_settings(timezone=name)


def test_an_env_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"OASIS_DB=\xff\xfe")
    with pytest.raises(SettingsError, match="is not UTF-8 text"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("value", "listen"),
    [
        ("127.0.0.1:5433", ("127.0.0.1", 5433)),
        ("127.8.9.1:1", ("127.8.9.1", 1)),
        ("localhost:65535", ("localhost", 65535)),
        ("[::1]:5433", ("::1", 5433)),
    ],
)
def test_the_embedded_server_can_listen_to_programs_of_this_machine(
    value: str, listen: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().embedded_listen is None
    monkeypatch.setenv("OASIS_EMBEDDED_TCP", value)
    assert load_settings().embedded_listen == listen


@pytest.mark.parametrize("value", ["0.0.0.0:5433", "[::]:5433", "10.1.2.3:5433", "8.8.8.8:1"])
def test_but_never_to_other_machines(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OASIS_EMBEDDED_TCP", value)
    with pytest.raises(SettingsError, match=r"OASIS_EMBEDDED_TCP.*to other machines.*127\.0\.0\.1:5433"):
        load_settings()


@pytest.mark.parametrize(
    "value",
    ["5433", "127.0.0.1", "127.0.0.1:", ":5433", "127.0.0.1:0", "127.0.0.1:70000", "127.0.0.1:-1", "127.0.0.1:\u0665",
     "::1:5433", "my host:5433", "127.0.0.1:5433'", "db.example:5433", "127.1:5433"],
)  # fmt: skip
def test_what_is_no_host_and_port_is_one_clear_error(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OASIS_EMBEDDED_TCP", value)
    with pytest.raises(SettingsError, match=r"OASIS_EMBEDDED_TCP.*write 127\.0\.0\.1:5433") as raised:
        load_settings()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("value", ["-0.01", "nan", "much"])
def test_damping_is_a_number_from_0_on(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert math.isnan(load_settings().card_damping)
    monkeypatch.setenv("OASIS_DAMPING", "0")
    assert load_settings().card_damping == 0.0
    monkeypatch.setenv("OASIS_DAMPING", value)
    with pytest.raises(SettingsError, match="OASIS_DAMPING"):
        load_settings()
