"""``oasis doctor``: what is broken is found, and what to do is said."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from oasis_pipeline.automation.instance import open_instance
from oasis_pipeline.commands import doctor
from oasis_pipeline.commands.doctor import FAIL, OK, WARN, Finding, examine
from oasis_pipeline.commands.main import cli
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage.objects import S3Store
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.fixtures.xspoc import Xspoc


def of(found: list[Finding], area: str) -> dict[str, str]:
    """What was said of an area -> its state, the worst first."""
    return {each.says: each.state for each in found if each.area == area}


@pytest.fixture
def home(settings: Settings) -> Path:
    settings.home.mkdir(parents=True, mode=0o700)
    settings.drop.mkdir()
    (settings.home / "store").mkdir()
    return settings.home


@pytest.mark.server
def test_a_superuser_is_more_than_the_platform_needs(settings: Settings, warehouse: Warehouse) -> None:
    def said(by: Warehouse, settings: Settings = settings) -> list[str]:
        found = doctor.look_at_database(settings, by)
        return [each.todo for each in found if "is a superuser" in each.says and each.state == WARN]

    (todo,) = said(warehouse)
    assert "oasis backup" in todo, "the first role of a server stays a superuser"
    assert todo.endswith("oasis roles")
    assert said(warehouse, settings.model_copy(update={"host": None})) == [], (
        "the embedded server has no other"
    )
    with warehouse.transaction() as tx:
        tx.execute('CREATE ROLE "Big" LOGIN SUPERUSER')
        tx.execute('GRANT USAGE ON SCHEMA oasis TO "Big"')
        tx.execute('GRANT SELECT ON oasis.asset_state TO "Big"')
    big = Warehouse(replace(warehouse.address, user="Big"))
    try:
        (todo,) = said(big)
        assert todo.startswith('ALTER ROLE "Big" NOSUPERUSER, then oasis roles')
        with big.transaction() as tx:
            tx.execute(todo.partition(",")[0])
        assert said(big) == []
    finally:
        big.close()
        with warehouse.transaction() as tx:
            tx.execute('DROP OWNED BY "Big"')
            tx.execute('DROP ROLE "Big"')


@pytest.mark.server
def test_a_sound_installation_and_a_changed_one(
    settings: Settings, home: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1 << 40, 1 << 39, 1 << 39)
    )  # type: ignore[attr-defined]
    (home / ".env").write_text("OASIS_PASS=x\n")
    (home / ".env").chmod(0o600)
    found = examine(settings)
    # the server of the suite forgoes what guards it against power cuts
    failures = [each for each in found if each.state == FAIL]
    assert {each.says.split(":")[0] for each in failures} == {"fsync is off", "full_page_writes is off"}
    assert all(each.todo for each in found if each.state != OK)
    assert list(of(found, "store").values()) == [OK]
    assert list(of(found, "secrets").values()) == [OK]
    assert not list((home / "store").rglob("doctor/*")), "the probe is removed"
    (home / ".env").chmod(0o644)
    shutil.rmtree(settings.drop)
    settings.drop.write_text("")
    with warehouse.transaction() as tx:
        tx.execute(
            "INSERT INTO oasis.asset_state (asset, partition, changed_tick, made_tick, error) VALUES ('clean/x', '', 1, 1, 'no memory')"
        )
        tx.execute(
            "INSERT INTO oasis.file (source_file, kind, stamp, sha256, arrival, rows, stored, superseded, rejected, loaded_at, archived)"
            " VALUES ('f', 'CardData', '2026-01-01', '', 1, 1, 1, 0, 0, $1::timestamptz, false)",
            (datetime.now(UTC) - timedelta(days=9),),
        )
        tx.execute(
            "INSERT INTO xspoc.card (\"NodeID\", \"Date\", file_stamp) VALUES ('A', $1::timestamp, '2026-01-01')",
            (settings.field_now() + timedelta(hours=6),),
        )
    found = examine(settings)
    assert any(
        "can be read by others" in says and state == FAIL for says, state in of(found, "secrets").items()
    )
    assert of(found, "assets") == {"clean/x could not be made: no memory": FAIL}
    assert any(
        "but the newest card is of" in says and state == WARN for says, state in of(found, "clock").items()
    )
    data = of(found, "data")
    assert data.pop("1 files are loaded but not in the archive") == FAIL
    assert list(data.values()) == [WARN]


@pytest.mark.server
def test_full_disks_and_closed_folders(
    settings: Settings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for free, state in ((1 << 20, FAIL), (2 << 30, WARN), (1 << 38, OK)):
        monkeypatch.setattr(
            shutil, "disk_usage", lambda _path, free=free: shutil._ntuple_diskusage(1 << 40, 0, free)
        )  # type: ignore[attr-defined]
        assert {each.state for each in doctor.look_at_disks(settings)} == {state}
    monkeypatch.setattr(os, "access", lambda *_: False)
    (finding,) = doctor.look_at_drop(settings)
    assert (finding.state, "chown" in finding.todo) == (FAIL, True)
    monkeypatch.setattr("oasis_pipeline.storage.objects.LocalStore.get_bytes", lambda *_: b"other")
    assert [each.state for each in doctor.look_at_store(settings)] == [FAIL]


@pytest.mark.server
def test_the_source_is_asked(
    settings: Settings, home: Path, warehouse: Warehouse, new_xspoc: Xspoc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oasis_pipeline.intake.sources.connection.WAITS_S", ())

    def look(url: str) -> list[Finding]:
        given = {name: getattr(settings, name) for name in ("host", "port", "user", "db")}
        return doctor._try(
            "source", lambda: doctor.look_at_source(load_settings(home, source_url=url, **given), warehouse)
        )

    (finding,) = look("postgresql://u:hunter2@127.0.0.1:1/none")
    assert finding.state == FAIL
    assert "does not answer" in finding.says
    assert "hunter2" not in finding.says
    assert [each.state for each in look(new_xspoc.address.uri())] == [OK, WARN]
    with warehouse.transaction() as tx:
        tx.execute(
            "INSERT INTO oasis.source_task (source, task, at) VALUES ('xspoc', 'sweep', now() - interval '1 day')"
        )
    assert [each.state for each in look(new_xspoc.address.uri())] == [OK, FAIL]


@pytest.mark.server
def test_a_bucket_that_ignores_conditions(
    s3_store: S3Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"s3_bucket": s3_store.bucket, "s3_prefix": "field/one", "s3_endpoint": s3_store.endpoint}
    here = load_settings(settings.home, **given)
    assert [each.state for each in doctor.look_at_store(here)] == [OK]
    monkeypatch.setattr(S3Store, "put_new", lambda self, path, data: self.put_bytes(path, data) or True)
    found = list(doctor.look_at_store(here))
    assert [each.state for each in found] == [WARN, OK]
    assert "If-None-Match" in found[0].says
    assert s3_store.list() == [], "the probe is removed"


@pytest.mark.server
def test_a_drop_folder_elsewhere_is_looked_at(
    s3_store: S3Store, settings: Settings, home: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = settings.model_copy(
        update={
            "remote_drop": SecretStr(f"s3://{s3_store.bucket}/field/one"),
            "s3_endpoint": s3_store.endpoint,
        }
    )
    s3_store.put_bytes("WellTests.E2E.20250201.0000.csv", b"x")
    assert [(each.state, each.says) for each in doctor.look_at_source(here, warehouse)] == [
        (OK, f"{s3_store.url} answers; 1 files lie there"),
        (WARN, f"{s3_store.url} has not been read yet"),
    ]
    gone = settings.model_copy(
        update={"remote_drop": SecretStr("s3://nothing/x"), "s3_endpoint": s3_store.endpoint}
    )
    (finding,) = doctor.look_at_source(gone, warehouse)
    assert finding.state == FAIL
    assert "there is no bucket nothing: make it, or correct OASIS_REMOTE_DROP" in finding.says


def test_settings_files_of_the_home_folder_are_read(settings: Settings, home: Path) -> None:
    assert list(doctor.look_at_home_files(settings)) == []
    (home / "economics.toml").write_text("oil_price_per_bbl = 50\n")
    assert [each.state for each in doctor.look_at_home_files(settings)] == [OK]
    (home / "economics.toml").write_text("oil_price = 50\n")
    (home / "models.toml").write_text("[trend\n")
    (home / "failure_classes.toml").write_text("[[rule]]\nclass = 1\n")
    prices, models, classes = doctor.look_at_home_files(settings)
    assert [each.state for each in (prices, models, classes)] == [WARN, WARN, FAIL]
    assert "oil_price" in prices.says
    assert "models.toml" in models.says
    assert "failure_classes.toml" in classes.says


@pytest.mark.server
def test_daemons_that_fell_silent(
    settings: Settings, home: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DAGSTER_HOME", "OASIS_DAGSTER_URL", "DAGSTER_EVENT_BATCH_SIZE"):
        monkeypatch.setenv(name, "")
    assert [each.state for each in doctor.look_at_automation(settings, warehouse)] == [WARN]
    with open_instance(settings, warehouse.address) as instance:
        from dagster._daemon.types import DaemonHeartbeat

        never = [each for each in doctor.look_at_automation(settings, warehouse) if each.state != OK]
        assert [(each.says, each.todo) for each in never] == [
            ("Dagster's daemons have never run here", "start oasis up")
        ]
        for name, age_s in (("SENSOR", 3600), ("SCHEDULER", 10), ("QUEUED_RUN_COORDINATOR", 10)):
            instance.add_daemon_heartbeat(
                DaemonHeartbeat(datetime.now(UTC).timestamp() - age_s, name, None, [])
            )
    found = list(doctor.look_at_automation(settings, warehouse))
    assert "daemon SENSOR was last seen 60 minutes ago" in [each.says for each in found]
    assert "live_source has never ticked" in [each.says for each in found]


def test_without_an_installation_it_ends_with_1_and_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("OASIS_")]:
        monkeypatch.delenv(name)
    answer = CliRunner().invoke(cli, ["doctor", "--home", str(tmp_path / "none"), "--json"])
    assert answer.exit_code == 1
    said: dict[str, Any] = json.loads(answer.output)
    assert said["failures"] == 1
    assert any("there is no installation" in each["says"] for each in said["findings"])
    assert not (tmp_path / "none").exists()
