"""``oasis backup`` and ``oasis restore``: every row and object comes back, also of an installation that is at work."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from click.testing import CliRunner

from oasis_pipeline.commands.main import cli
from oasis_pipeline.settings import load_settings
from oasis_pipeline.storage import backup
from oasis_pipeline.storage.backup import BackupError, back_up, hash_tables, restore
from oasis_pipeline.storage.copies import CopyError
from oasis_pipeline.storage.embedded import running
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.installation import using_warehouse
from oasis_pipeline.storage.objects import LocalStore, ObjectStore, S3Store, open_store
from oasis_pipeline.storage.postgres import Address, Warehouse

pytestmark = pytest.mark.server

ROWS = (
    'INSERT INTO xspoc.card ("NodeID", "Date", "SPM", surfcard_position, surfcard_load, file_stamp)'
    " SELECT 'Well ' || n % 3, '2026-01-01'::timestamp + n * interval '1 minute', n * 0.1, array[0, n, 0.1]::real[], array[1, 2, 3]::real[],"
    " '2026-01-02' FROM generate_series(1, 500) AS n"
)
LABEL = "INSERT INTO analysis.well_group (\"NodeID\", \"GroupName\", file_stamp) VALUES ('Well 1', 'Käse \"x\"', '2026-01-02')"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OASIS_")]:
        monkeypatch.delenv(name)


def fill(warehouse: Warehouse, store: ObjectStore, home: Path) -> None:
    with warehouse.transaction() as tx:
        tx.execute(ROWS)
        tx.execute(LABEL)
        tx.execute(
            "INSERT INTO oasis.asset_state (asset, partition, changed_tick, made_tick) VALUES ('clean/x', '2026-01-01', 5, 5)"
        )
    store.put_bytes("backup/CardData/a.csv", b"as it came")
    store.put_bytes("models/m/1.model", os.urandom(3 << 20))
    (home / "economics.toml").write_text("oil_price_per_bbl = 71\n")
    (home / "secret_key").write_text("s" * 60)
    (home / "secret_key").chmod(0o600)
    (home / "up.lock").touch()


def hashes(address: Address) -> dict[str, list[Any]]:
    with closing(psycopg2.connect(address.uri())) as connection, connection.cursor() as cursor:
        return hash_tables(cursor)


def test_a_home_with_its_own_server_there_and_back(server_folder: Path) -> None:
    home, copy, other = server_folder / "home", server_folder / "copy", server_folder / "other"
    settings = load_settings(home)
    with using_warehouse(settings) as warehouse:
        fill(warehouse, open_store(settings), home)
        wanted = hashes(warehouse.address)
    answer = CliRunner().invoke(cli, ["backup", str(copy), "--home", str(home), "--json"])
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.output)["objects"] == 2
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    assert running(settings.postgres_data) is None, "what was not running is stopped again"
    answer = CliRunner().invoke(cli, ["restore", str(copy), "--home", str(other)])
    assert answer.exit_code == 0, answer.output
    assert "all compared" in answer.output
    again = load_settings(other)
    with using_warehouse(again) as warehouse:
        found = hashes(warehouse.address)
        assert found == wanted
        assert found["xspoc.card"][0] == 500
        assert warehouse.query('SELECT "GroupName" AS name FROM analysis.well_group')["name"].to_pylist() == [
            'Käse "x"'
        ]
    old, new = open_store(settings), open_store(again)
    assert {name: new.sha256(name) for name in new.list()} == {name: old.sha256(name) for name in old.list()}
    assert (other / "economics.toml").read_text() == "oil_price_per_bbl = 71\n"
    assert stat.S_IMODE((other / "secret_key").stat().st_mode) == 0o600
    assert not (copy / "home" / "up.lock").exists()
    with pytest.raises(BackupError, match="is not empty"):
        restore(load_settings(home), copy)
    with pytest.raises(CopyError, match="is not empty"):
        back_up(settings, copy)


@pytest.fixture
def installation(
    warehouse: Warehouse,
    new_warehouse: Callable[[], Warehouse],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Home of an installation on a server of its own, filled; a restore goes to a database that is not there yet."""
    home = tmp_path / "home"
    home.mkdir()
    address = warehouse.address
    (home / ".env").write_text(
        f"OASIS_HOST={address.host}\nOASIS_PORT={address.port}\nOASIS_USER={address.user}\n"
    )
    monkeypatch.setenv("OASIS_DB", address.db)
    fill(warehouse, LocalStore(home / "store"), home)
    return home


def test_a_copy_of_an_installation_at_work_is_of_one_moment(
    installation: Path, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, done = load_settings(installation), threading.Event()
    store = open_store(settings)

    def work() -> None:
        number = 0
        while not done.is_set():
            number += 1
            store.put_bytes(f"clean/x/{number}.parquet", b"%d" % number)
            with warehouse.transaction() as tx:
                tx.execute(
                    "INSERT INTO oasis.asset_state (asset, partition, changed_tick, made_tick) VALUES ('clean/x', $1, $2::bigint, $2::bigint)",
                    (f"n{number}", 100 + number),
                )
                tx.execute('UPDATE xspoc.card SET "SPM" = "SPM" + 1 WHERE "NodeID" = \'Well 1\'')

    worker = threading.Thread(target=work)
    real = LocalStore.list

    def slow_list(self: LocalStore, prefix: str = "") -> list[str]:
        before = warehouse.query("SELECT count(*) AS n FROM oasis.asset_state")["n"][0].as_py()
        while warehouse.query("SELECT count(*) AS n FROM oasis.asset_state")["n"][0].as_py() < before + 3:
            pass
        return real(self, prefix)

    monkeypatch.setattr(LocalStore, "list", slow_list)
    worker.start()
    try:
        manifest = back_up(settings, tmp_path / "copy")
    finally:
        done.set()
        worker.join()
    monkeypatch.undo()
    assert len(manifest["changed_meanwhile"]) >= 3
    for name, value in {"OASIS_DB": f"{warehouse.address.db}_back"}.items():
        monkeypatch.setenv(name, value)
    again, _ = restore(load_settings(tmp_path / "other"), tmp_path / "copy")
    kept = set(open_store(again).list())
    with using_warehouse(again) as restored:
        rows = restored.query(
            "SELECT partition, made_tick FROM oasis.asset_state WHERE asset = 'clean/x'"
        ).to_pylist()
    later = {partition for _, partition in manifest["changed_meanwhile"]}
    assert all(row["made_tick"] for row in rows if row["partition"] not in later)
    assert {
        f"clean/x/{row['partition'][1:]}.parquet" for row in rows if row["partition"].startswith("n")
    } <= kept, "no row names an object that is not there"


@pytest.mark.parametrize("what", ["database.dump", "store/models/m/1.model", "home/economics.toml"])
def test_a_damaged_copy_is_refused_before_anything_is_made(
    installation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    copy, other = tmp_path / "copy", tmp_path / "other"
    back_up(load_settings(installation), copy)
    data = bytearray((copy / what).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / what).write_bytes(data)
    monkeypatch.setenv("OASIS_DB", "never_made")
    with pytest.raises(BackupError, match="damaged"):
        restore(load_settings(other), copy)
    (copy / what).unlink()
    with pytest.raises(BackupError, match="is gone"):
        restore(load_settings(other), copy)
    assert not other.exists()


def test_rows_that_came_back_otherwise_are_found(
    installation: Path, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    manifest = back_up(load_settings(installation), copy)
    manifest["tables"]["xspoc.card"][1] = "1"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("OASIS_DB", f"{warehouse.address.db}_bad")
    with pytest.raises(BackupError, match=r"xspoc\.card differ"):
        restore(load_settings(tmp_path / "other"), copy)
    monkeypatch.setenv("OASIS_DB", warehouse.address.db)
    with pytest.raises(BackupError, match="holds an installation already"):
        restore(load_settings(tmp_path / "third"), copy)


def test_a_copy_that_was_cut_off_is_none(
    installation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StorageError("No space left on device")

    monkeypatch.setattr(backup, "_copy_object", full)
    with pytest.raises(StorageError):
        back_up(load_settings(installation), tmp_path / "copy")
    with pytest.raises(BackupError, match="is not a copy"):
        restore(load_settings(tmp_path / "other"), tmp_path / "copy")


def test_a_copy_in_a_bucket_there_and_back(
    installation: Path,
    warehouse: Warehouse,
    s3_store: S3Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OASIS_S3_ENDPOINT", str(s3_store.endpoint))
    place = f"s3://{s3_store.bucket}/field/one/copy"
    answer = CliRunner().invoke(cli, ["backup", place, "--home", str(installation)])
    assert answer.exit_code == 0, answer.output
    assert "all compared" in answer.output
    copied = s3_store.list("copy/")
    assert copied[-4:] == [
        "copy/home/secret_key",
        "copy/manifest.json",
        "copy/store/backup/CardData/a.csv",
        "copy/store/models/m/1.model",
    ]
    with pytest.raises(CopyError, match="is not empty"):
        back_up(load_settings(installation), place)
    wanted = hashes(warehouse.address)
    monkeypatch.setenv("OASIS_DB", f"{warehouse.address.db}_from_bucket")
    answer = CliRunner().invoke(cli, ["restore", place, "--home", str(tmp_path / "other")])
    assert answer.exit_code == 0, answer.output
    again = load_settings(tmp_path / "other")
    with using_warehouse(again) as restored:
        assert hashes(restored.address) == wanted
    old, new = LocalStore(installation / "store"), open_store(again)
    assert {name: new.sha256(name) for name in new.list()} == {name: old.sha256(name) for name in old.list()}
    assert stat.S_IMODE((again.home / "secret_key").stat().st_mode) == 0o600
    monkeypatch.setenv("OASIS_DB", "never_made")
    s3_store.put_bytes("copy/store/backup/CardData/a.csv", b"as it camE")
    with pytest.raises(BackupError, match="damaged"):
        restore(load_settings(tmp_path / "third"), place)
    s3_store.delete("copy/store/backup/CardData/a.csv")
    with pytest.raises(BackupError, match="is gone"):
        restore(load_settings(tmp_path / "third"), place)
    s3_store.delete("copy/manifest.json")
    with pytest.raises(BackupError, match="is not a copy"):
        restore(load_settings(tmp_path / "third"), place)
    assert not (tmp_path / "third").exists()


@pytest.mark.parametrize(
    ("place", "said"), [("s3:/x", "is not the address of a bucket"), ("s3://field/a/b", "own store")]
)
def test_where_a_copy_can_not_lie(tmp_path: Path, place: str, said: str) -> None:
    settings = load_settings(tmp_path / "home", s3_bucket="field", s3_prefix="a")
    with pytest.raises(CopyError, match=said):
        back_up(settings, place)
