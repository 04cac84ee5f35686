"""Making tables, and changing them while they hold rows."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from oasis_pipeline.schema import TABLES, Column, Kind, Table, Type
from oasis_pipeline.storage import migrate
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.migrate import STEPS, Step, prepare
from oasis_pipeline.storage.postgres import Warehouse

pytestmark = pytest.mark.server

SYSTEM = tuple(t for t in TABLES if t.schema == "oasis")
PUMP = Table(
    "analysis",
    "pump",
    ("well",),
    (
        Column("well", Type.TEXT),
        Column("depth", Type.FLOAT, "ft", "Depth of the pump"),
        Column("old", Type.TEXT),
    ),
    Kind.STATE,
    "Test.",
)
# the next release: depth becomes a required whole number under another name, and there is a new column
PUMP_2 = replace(
    PUMP,
    columns=(
        Column("well", Type.TEXT),
        Column("depth_ft", Type.INT, "ft", "Depth of the pump", required=True),
        Column("old", Type.TEXT),
        Column("new", Type.POINTS),
    ),
)
RENAME = Step(
    len(STEPS) + 1,
    "depth in whole feet",
    "ALTER TABLE analysis.pump RENAME depth TO depth_ft;"
    "UPDATE analysis.pump SET depth_ft = 0 WHERE depth_ft IS NULL;"
    "ALTER TABLE analysis.pump ALTER depth_ft TYPE bigint USING round(depth_ft), ALTER depth_ft SET NOT NULL",
)


@pytest.fixture
def address(embedded_server: Address, request: pytest.FixtureRequest) -> Iterator[Address]:
    name = f"migrate {abs(hash(request.node.name))}"
    yield replace(embedded_server, db=name)
    with closing(psycopg2.connect(embedded_server.uri())) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def ask(address: Address, sql: str) -> list[Any]:
    with closing(psycopg2.connect(address.uri())) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def versions(address: Address) -> list[int]:
    return [row[0] for row in ask(address, "SELECT version FROM oasis.schema_version ORDER BY 1")]


def test_a_database_is_made_with_every_table_and_stamped(address: Address) -> None:
    prepare(address)
    there = {tuple(row) for row in ask(address, "SELECT schemaname, tablename FROM pg_tables")}
    assert {(t.schema, t.name) for t in TABLES} <= there
    assert versions(address) == [STEPS[-1].version]
    assert ask(address, "SELECT nextval('oasis.tick'), to_regnamespace('dagster') IS NOT NULL") == [(1, True)]
    described = ask(
        address, "SELECT obj_description('xspoc.card'::regclass), col_description('xspoc.card'::regclass, 1)"
    )
    assert all(described[0])


def test_twice_is_once(address: Address) -> None:
    prepare(address)
    before = ask(address, "SELECT oid, relname, xmin::text FROM pg_class ORDER BY 1")
    prepare(address)
    assert ask(address, "SELECT oid, relname, xmin::text FROM pg_class ORDER BY 1") == before


def test_a_step_changes_a_table_that_holds_rows(address: Address) -> None:
    prepare(address, (*SYSTEM, PUMP))
    ask(address, "INSERT INTO analysis.pump VALUES ('a', 4711.6, 'x'), ('b', NULL, NULL)")
    prepare(address, (*SYSTEM, PUMP_2), (*STEPS, RENAME))
    assert ask(address, "SELECT well, depth_ft, old, new FROM analysis.pump ORDER BY 1") == [
        ("a", 4712, "x", None),
        ("b", 0, None, None),
    ]
    assert versions(address) == [STEPS[-1].version, RENAME.version]
    # and a fresh database comes out the same without the step
    prepare(replace(address, db=f"{address.db} 2"), (*SYSTEM, PUMP_2), (*STEPS, RENAME))
    assert versions(replace(address, db=f"{address.db} 2")) == [RENAME.version]


def test_the_damping_of_earlier_releases_is_that_of_the_power_balance(address: Address) -> None:
    old = Table(
        "clean",
        "carddiag",
        ("NodeID",),
        (Column("NodeID", Type.TEXT), Column("damping", Type.FLOAT, "", "Damping")),
        Kind.STATE,
        "Test.",
    )
    new = replace(old, columns=(*old.columns, Column("balance_damping", Type.FLOAT, "", "Damping")))
    prepare(address, (*SYSTEM, old), STEPS[:2])
    ask(address, "INSERT INTO clean.carddiag VALUES ('a', 0.12)")
    prepare(address, (*SYSTEM, new))
    assert ask(address, 'SELECT "NodeID", damping, balance_damping FROM clean.carddiag') == [
        ("a", None, 0.12)
    ]
    assert versions(address) == list(range(2, STEPS[-1].version + 1))


def test_steps_run_in_order_and_each_is_whole(address: Address) -> None:
    prepare(address, (*SYSTEM, PUMP))
    ask(address, "INSERT INTO analysis.pump VALUES ('a', 1, 'x')")

    def fail(cursor: Any) -> None:
        cursor.execute("UPDATE analysis.pump SET old = 'spoilt'")
        cursor.execute("SELECT 1 / 0")

    steps = (*STEPS, RENAME, Step(RENAME.version + 1, "goes wrong", fail))
    with pytest.raises(
        StorageError, match=r"step \d+ \(goes wrong\) failed and was undone: division by zero"
    ):
        prepare(address, (*SYSTEM, PUMP_2), steps)
    assert versions(address) == [STEPS[-1].version, RENAME.version]
    assert ask(address, "SELECT depth_ft, old FROM analysis.pump") == [(1, "x")]


def test_new_tables_and_nullable_columns_need_no_step(address: Address) -> None:
    prepare(address, SYSTEM)
    prepare(address, (*SYSTEM, PUMP))
    ask(address, "INSERT INTO analysis.pump VALUES ('a', 1, 'x')")
    prepare(address, (*SYSTEM, replace(PUMP, columns=(*PUMP.columns, Column("more", Type.UTC)))))
    assert ask(address, "SELECT well, more FROM analysis.pump") == [("a", None)]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            "ALTER TABLE analysis.pump ALTER depth TYPE text",
            "analysis.pump.depth is text, should be double precision",
        ),
        ("ALTER TABLE analysis.pump ALTER depth SET NOT NULL", "depth is double precision not null"),
    ],
)
def test_tables_that_do_not_fit_are_named(address: Address, spoil: str, words: str) -> None:
    prepare(address, (*SYSTEM, PUMP))
    ask(address, spoil)
    with pytest.raises(StorageError, match=words):
        prepare(address, (*SYSTEM, PUMP))


def test_a_required_column_that_rows_lack_is_refused_and_nothing_changes(address: Address) -> None:
    prepare(address, (*SYSTEM, PUMP))
    ask(address, "INSERT INTO analysis.pump VALUES ('a', 1, 'x')")
    with pytest.raises(StorageError, match="contains null values"):
        prepare(
            address,
            (*SYSTEM, replace(PUMP, columns=(*PUMP.columns, Column("more", Type.INT, required=True)))),
        )
    assert ask(address, "SELECT * FROM analysis.pump") == [("a", 1.0, "x")]


def test_tables_of_a_newer_release_are_left_alone(address: Address) -> None:
    prepare(address)
    ask(address, "INSERT INTO oasis.schema_version VALUES (999, 'from the future', now())")
    ask(address, "DROP TABLE clean.xpred")
    with pytest.raises(
        StorageError, match=r"newer release \(schema version 999, this one knows \d+\): upgrade"
    ):
        prepare(address)
    assert ask(address, "SELECT to_regclass('clean.xpred')") == [(None,)]


def test_many_at_once_make_it_once(address: Address) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: prepare(address), range(4)))
    assert versions(address) == [STEPS[-1].version]


def test_a_database_that_another_process_made_meanwhile_is_taken(
    address: Address, embedded_server: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, made = migrate._connect, []

    def late(at: Address, db: str | None = None) -> object:
        if not made:
            made.append(
                ask(embedded_server, f"CREATE DATABASE \"{address.db}\" TEMPLATE template0 ENCODING 'UTF8'")
            )
            raise psycopg2.OperationalError(f'database "{address.db}" does not exist')
        return connect(at, db)

    monkeypatch.setattr(migrate, "_connect", late)
    prepare(address)
    assert versions(address) == [STEPS[-1].version]


def test_another_encoding_is_refused(address: Address, embedded_server: Address) -> None:
    ask(
        embedded_server,
        f"CREATE DATABASE \"{address.db}\" TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C' LOCALE_PROVIDER libc",
    )
    with pytest.raises(StorageError, match="is in SQL_ASCII"):
        prepare(address)


def test_a_role_that_may_not_make_a_database_is_told_what_to_ask_for(
    address: Address, embedded_server: Address
) -> None:
    ask(embedded_server, "DROP ROLE IF EXISTS poor")
    ask(embedded_server, "CREATE ROLE poor LOGIN PASSWORD 'hunter2'")
    with pytest.raises(StorageError, match="CREATE DATABASE") as raised:
        prepare(replace(address, user="poor", password="hunter2"))
    assert "hunter2" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_server_that_does_not_answer_is_told_in_one_line_without_the_password() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        gone = Address("127.0.0.1", unused.getsockname()[1], "me", "oasis", "s3cr%t p@ss")
        with pytest.raises(StorageError, match="does not answer") as raised:
            prepare(gone)
        with pytest.raises(StorageError, match="does not answer") as later:
            Warehouse(gone).query("SELECT 1")
    for error in (raised, later):
        assert "\n" not in str(error.value)
        assert "s3cr" not in str(error.value)
        assert "postgresql://me@127.0.0.1" in str(error.value)


OLD_BINARIES = next(
    (
        Path(p).resolve().parent
        for p in (shutil.which("postgres"),)
        if p and (Path(p).resolve().parent / "initdb").exists()
    ),
    None,
)


@pytest.mark.skipif(OLD_BINARIES is None, reason="no PostgreSQL of the system")
def test_a_configured_server_over_tcp_with_a_password(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's own PostgreSQL, an older major version as a rule, with password log-in and another locale."""
    import datetime as dt
    import os
    import pwd

    import pyarrow as pa

    from oasis_pipeline.settings import load_settings
    from oasis_pipeline.storage.installation import open_warehouse

    assert OLD_BINARIES is not None
    data = server_folder / "server"
    data.mkdir(mode=0o700)
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        for folder in (server_folder, *server_folder.parents):
            folder.chmod(folder.stat().st_mode | 0o111)
        os.chown(data, owner.pw_uid, owner.pw_gid)
        user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    word = data.parent / "word"
    word.write_text("p@ss w'rd/%\n")
    word.chmod(0o644)

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [OLD_BINARIES / program, *arguments], check=True, cwd=data, stdout=subprocess.DEVNULL, **user
        )  # type: ignore[operator]

    run(
        "initdb",
        "-D",
        str(data),
        "-U",
        "boss",
        f"--pwfile={word}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    run("pg_ctl", "start", "-w", "-s", "-D", str(data), "-l", str(data / "log"), "-o", options)
    try:
        monkeypatch.setenv("OASIS_PASS", "p@ss w'rd/%")
        settings = load_settings(
            server_folder / "home", host="127.0.0.1", port=port, user="boss", db="Oil field"
        )
        warehouse = open_warehouse(settings)
        card = next(t for t in TABLES if t.name == "card")
        rows = pa.table(
            {
                "NodeID": ["a"],
                "Date": pa.array([dt.datetime(2024, 1, 1)], pa.timestamp("ms")),
                "surfcard_load": pa.array([[1.0, 2.0]], pa.list_(pa.float32())),
                "file_stamp": pa.array([dt.datetime(2024, 1, 2)], pa.timestamp("ms")),
            }
        )
        with warehouse.transaction() as tx:
            assert tx.upsert(card, rows, newest_by="file_stamp").inserted == 1
            assert tx.upsert(card, rows, newest_by="file_stamp").changed == 0
        assert warehouse.read(card, ["surfcard_load"]).to_pylist() == [{"surfcard_load": [1.0, 2.0]}]
        assert "ss w" not in repr(warehouse) + warehouse.address.public() + str(warehouse.address) + repr(
            settings
        )
        warehouse.close()
        monkeypatch.setenv("OASIS_PASS", "wrong one")
        with pytest.raises(
            StorageError, match=r"does not answer: .*password authentication failed"
        ) as raised:
            open_warehouse(load_settings(server_folder / "home", host="127.0.0.1", port=port, user="boss"))
        assert "wrong one" not in str(raised.value)
    finally:
        run("pg_ctl", "stop", "-w", "-s", "-m", "fast", "-D", str(data))
