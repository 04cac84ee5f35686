"""Roles with fewer rights, the read-only one by itself, and the embedded server opened to it: a real server, reached over TCP."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest

from oasis_pipeline.schema import TABLES, Column, Type
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.database_roles import (
    DAGSTER,
    READER,
    SERVICE,
    SERVICE_WRITES,
    keep_reader,
    make_role,
)
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.installation import open_warehouse, reader_address, using_warehouse
from oasis_pipeline.storage.migrate import prepare
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.fixtures.platform import command, environment, free_port

pytestmark = pytest.mark.server


def ask(address: Address, *statements: str) -> object:
    """Run statements one after the other, as a program that reads would; the first value of the last answer."""
    with closing(psycopg2.connect(address.uri())) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for statement in statements:
            cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


@pytest.fixture(scope="module")
def home(server_folder_of_module: Path) -> Path:
    """A home with its database made, and nothing listening."""
    folder = server_folder_of_module / "home"
    with using_warehouse(load_settings(folder)) as warehouse:
        warehouse.query("SELECT 1")
    return folder


@pytest.fixture
def opened(home: Path) -> Iterator[Settings]:
    """The same, opened to programs of this machine."""
    settings = load_settings(home, embedded_tcp=f"127.0.0.1:{free_port()}")
    with using_warehouse(settings, even_if_used=True):
        yield settings


def reader_of(settings: Settings) -> Address:
    address = reader_address(settings)
    assert address is not None
    return replace(address, password=settings.reader_password_file.read_text().strip())


def test_nothing_listens_unless_it_is_asked_for(home: Path) -> None:
    settings = load_settings(home)
    with using_warehouse(settings) as warehouse:
        assert reader_address(settings) is None
        assert ask(warehouse.address, "SHOW listen_addresses") == ""
    assert not settings.reader_password_file.exists()


def test_the_reader_comes_in_by_tcp_with_the_password_of_a_private_file(opened: Settings) -> None:
    assert opened.reader_password_file.stat().st_mode & 0o777 == 0o600
    reader = reader_of(opened)
    assert len(str(reader.password)) >= 32
    assert ask(reader, "SELECT system_user") == f"scram-sha-256:{READER}"
    assert ask(reader, "SELECT host(inet_server_addr()) || ':' || inet_server_port()") == opened.embedded_tcp
    for wrong in (replace(reader, password="guessed"), replace(reader, password=None)):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            ask(wrong, "SELECT 1")
    # the superuser has no password, and so no way in
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        ask(replace(reader, user=embedded.SUPERUSER), "SELECT 1")


def test_the_socket_is_as_it_was(opened: Settings) -> None:
    with using_warehouse(opened) as warehouse:
        assert warehouse.address.is_socket
        assert ask(warehouse.address, "SELECT split_part(system_user, ':', 1)") == "peer"
    inside = embedded.running(opened.postgres_data)
    assert inside is not None
    assert Path(inside.host, f".s.PGSQL.{inside.port}").exists()


def test_the_password_stays_and_one_written_by_hand_counts(home: Path) -> None:
    settings = load_settings(home, embedded_tcp=f"127.0.0.1:{free_port()}")
    passwords = []
    for _ in range(2):
        with using_warehouse(settings, even_if_used=True):
            passwords.append(reader_of(settings).password)
    assert passwords[0] == passwords[1]
    settings.reader_password_file.write_text("chosen by a person\n")
    with using_warehouse(settings, even_if_used=True):
        assert ask(reader_of(settings), "SELECT 1") == 1
    settings.reader_password_file.write_text("\n")
    with pytest.raises(StorageError, match="is empty: write a password"), using_warehouse(settings):
        pass
    settings.reader_password_file.unlink()
    with using_warehouse(settings, even_if_used=True):
        assert ask(reader_of(settings), "SELECT 1") == 1
        assert reader_of(settings).password not in passwords


def test_a_port_that_somebody_else_has_is_one_clear_line(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(StorageError, match=f"can't listen on {where}.*OASIS_EMBEDDED_TCP") as raised:
            open_warehouse(load_settings(home, embedded_tcp=where))
    assert "\n" not in str(raised.value)
    assert embedded.running(home / "postgres") is None


def test_a_server_that_runs_keeps_what_it_was_started_with(home: Path) -> None:
    with using_warehouse(load_settings(home)) as closed:
        settings = load_settings(home, embedded_tcp=f"127.0.0.1:{free_port()}")
        assert open_warehouse(settings).address == closed.address
        assert reader_address(settings) is None


@pytest.fixture
def reader(warehouse: Warehouse, tmp_path: Path) -> Address:
    """The role on a warehouse of the suite, let in by the socket."""
    keep_reader(warehouse.address, tmp_path / "reader_password")
    return replace(warehouse.address, user=READER)


def test_it_reads_every_table_of_the_platform(reader: Address) -> None:
    for table in TABLES:
        assert ask(reader, f"SELECT count(*) FROM {table.full_name}") is not None


def test_it_reads_what_is_made_later(warehouse: Warehouse, reader: Address) -> None:
    with warehouse.transaction() as tx:
        tx.execute("CREATE VIEW clean.made_later AS SELECT count(*) AS n FROM xspoc.card")
        tx.execute(
            "CREATE TABLE iot.a_day PARTITION OF iot.rawdata FOR VALUES FROM ('2026-03-01Z') TO ('2026-03-02Z')"
        )
    assert ask(reader, "SELECT n FROM clean.made_later") == 0
    assert ask(reader, "SELECT count(*) FROM iot.a_day") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO iot.module (module_num) VALUES ('x')",
        "UPDATE clean.alarm SET \"State\" = 'dismissed'",
        "DELETE FROM xspoc.card",
        "TRUNCATE oasis.asset_state",
        "SELECT nextval('oasis.tick')",
        "CREATE TABLE clean.mine (a int)",
        "CREATE TABLE public.mine (a int)",
        "CREATE SCHEMA mine",
        "DROP TABLE xspoc.card",
        "CREATE ROLE another",
        f"ALTER ROLE {READER} SUPERUSER",
        "SET ROLE postgres",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT rolpassword FROM pg_authid",
        "SELECT count(*) FROM django.people",
        "SELECT count(*) FROM dagster.runs",
    ],
)
def test_it_writes_nothing_and_sees_neither_people_nor_runs(
    warehouse: Warehouse, reader: Address, statement: str
) -> None:
    with warehouse.transaction() as tx:
        tx.execute("CREATE SCHEMA django")
        tx.execute("CREATE TABLE django.people (token text)")
        tx.execute("CREATE TABLE dagster.runs (id int)")
    # what the role's own setting forbids, a session may allow itself: only rights are a wall
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(reader, "SET default_transaction_read_only = off", statement)


def test_a_session_reads_only_by_itself(reader: Address) -> None:
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        ask(reader, "INSERT INTO iot.module VALUES ('x')")
    assert ask(reader, "SHOW timezone") == "UTC"


def test_many_processes_at_once_make_it_once(warehouse: Warehouse, tmp_path: Path) -> None:
    file = tmp_path / "reader_password"
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: keep_reader(warehouse.address, file), range(6)))
    assert [entry.name for entry in tmp_path.iterdir()] == ["reader_password"]
    assert ask(replace(warehouse.address, user=READER), "SELECT count(*) FROM clean.worklist") == 0


def test_a_command_that_finds_it_complete_writes_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    file = tmp_path / "reader_password"
    state = f"SELECT r.xmin::text || ':' || max(c.xmin::text::bigint) FROM pg_authid r, pg_class c WHERE rolname = '{READER}' GROUP BY r.xmin"
    keep_reader(warehouse.address, file)
    before = ask(warehouse.address, state)
    keep_reader(warehouse.address, file)
    assert ask(warehouse.address, state) == before
    with warehouse.transaction() as tx:
        tx.execute(f"REVOKE SELECT ON xspoc.card FROM {READER}")
    keep_reader(warehouse.address, file)
    assert ask(replace(warehouse.address, user=READER), "SELECT count(*) FROM xspoc.card") == 0


def test_a_role_that_may_make_no_roles_is_told_what_to_do(embedded_server: Address) -> None:
    ask(
        embedded_server,
        "CREATE ROLE ours LOGIN",
        "CREATE DATABASE ours OWNER ours TEMPLATE template0 ENCODING 'UTF8'",
    )
    address = replace(embedded_server, user="ours", db="ours")
    prepare(address)
    with pytest.raises(StorageError, match=r'OASIS_ADMIN_USER.*ALTER ROLE "ours" CREATEROLE') as raised:
        make_role(address, address, READER, "s3cret")
    assert "s3cret" not in str(raised.value)


def test_the_command_tells_where_and_what_to_do_where_there_is_nothing(home: Path) -> None:
    def dsn(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command("dsn", "--home", str(home), *arguments),
            capture_output=True,
            text=True,
            env=environment() | variables,
            check=False,
        )

    where = {"OASIS_EMBEDDED_TCP": f"127.0.0.1:{free_port()}"}
    try:
        for variables, words in (({}, "set OASIS_EMBEDDED_TCP=127.0.0.1:5433"), (where, "run `oasis down`")):
            answer = dsn("--reader", **variables)
            assert (answer.returncode, len(answer.stderr.splitlines())) == (1, 1), answer.stderr
            assert words in answer.stderr
        embedded.stop(home / "postgres")
        told = json.loads(dsn("--json", **where).stdout)
        assert told["reader"] == f"postgresql://{READER}@{where['OASIS_EMBEDDED_TCP']}/oasis"
        assert dsn("--reader", **where).stdout.strip() == told["reader"]
        password = Path(told["reader_password_file"]).read_text().strip()
        with closing(psycopg2.connect(told["reader"], password=password)) as connection:
            assert connection.info.user == READER
    finally:
        embedded.stop(home / "postgres")


def roles(home: Path, address: Address, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``oasis roles`` for a server of one's own."""
    ours = {
        "OASIS_HOST": address.host,
        "OASIS_PORT": str(address.port),
        "OASIS_USER": address.user,
        "OASIS_DB": address.db,
    }
    return subprocess.run(
        command("roles", "--home", str(home), "--json"),
        capture_output=True,
        text=True,
        env=environment() | ours | variables,
        check=False,
    )


@pytest.fixture(scope="module")
def site(embedded_server: Address, tmp_path_factory: pytest.TempPathFactory) -> Address:
    """A site's database, made by ``oasis roles`` and an administrator who is no superuser; the address of the platform's role."""
    ask(embedded_server, "CREATE ROLE dba LOGIN CREATEROLE CREATEDB")
    # roles belong to the whole server: those that other tests have made are the superuser's
    ask(
        embedded_server,
        *(
            f"DO $$ BEGIN CREATE ROLE {name} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            for name in (READER, SERVICE, DAGSTER)
        ),
        f"GRANT {READER}, {SERVICE}, {DAGSTER} TO dba WITH ADMIN OPTION",
    )
    address = replace(embedded_server, user="site", db="site")
    made = roles(
        tmp_path_factory.mktemp("site") / "home",
        address,
        OASIS_ADMIN_USER="dba",
        OASIS_PASS="own",
        OASIS_SERVICE_PASS="s3cr'et $1",
        OASIS_DAGSTER_PASS="d",
        OASIS_READER_PASS="r",
    )
    assert made.returncode == 0, made.stderr
    assert [row["made"] for row in json.loads(made.stdout)] == [True] * 4
    return address


def test_roles_are_made_with_their_database_and_again_after_an_upgrade(site: Address, tmp_path: Path) -> None:
    flags = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
    for name in ("site", SERVICE, DAGSTER, READER):
        assert ask(site, f"SELECT {flags} FROM pg_roles WHERE rolname = '{name}'") is False
    assert ask(site, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'site'") == "site"
    assert ask(site, "SELECT has_database_privilege('public', 'site', 'CONNECT')") is False
    # without anybody's password: rights alone, by the platform's role alone
    again = roles(tmp_path / "home", site)
    assert again.returncode == 0, again.stderr
    missing = roles(tmp_path / "home", replace(site, db="nowhere"))
    assert (missing.returncode, len(missing.stderr.splitlines())) == (1, 1)
    embedded_one = roles(tmp_path / "home", site, OASIS_HOST="")
    assert "set OASIS_EMBEDDED_TCP" in embedded_one.stderr


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        *(
            (role, statement)
            for role in ("site", SERVICE, DAGSTER, READER)
            for statement in (
                "CREATE ROLE another",
                "CREATE DATABASE another",
                "ALTER ROLE CURRENT_USER SUPERUSER",
                "SET ROLE postgres",
                "COPY (SELECT 1) TO PROGRAM 'true'",
                "SELECT pg_read_file('postgresql.conf')",
                "SELECT rolpassword FROM pg_authid",
                "ALTER SYSTEM SET fsync = off",
            )
        ),
        *(
            (role, statement)
            for role in (SERVICE, DAGSTER, READER)
            for statement in (
                "DELETE FROM xspoc.card",
                "UPDATE clean.dynapred SET \"Label1\" = 'x'",
                "INSERT INTO oasis.schema_version VALUES (99, 'x', now())",
                "DELETE FROM oasis.file",
                "TRUNCATE iot.rawdata",
                "DROP TABLE iot.rawdata",
                "ALTER TABLE iot.rawdata ADD COLUMN x int",
                "CREATE TABLE clean.mine (a int)",
                "CREATE TABLE django.mine (a int)",
                "CREATE TABLE public.mine (a int)",
                "CREATE SCHEMA mine",
                "CREATE FUNCTION iot.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                "SET ROLE site",
                "CREATE TABLE dagster.mine (a int)",
            )
        ),
        (SERVICE, "DELETE FROM clean.alarm"),
        (SERVICE, "DELETE FROM oasis.model"),
        (DAGSTER, "SELECT count(*) FROM xspoc.card"),
        (DAGSTER, "SELECT count(*) FROM oasis.model"),
        (DAGSTER, "INSERT INTO django.auth_group VALUES (9, 'x')"),
        (DAGSTER, "UPDATE django.auth_user SET is_superuser = true"),
        (DAGSTER, "SELECT count(*) FROM django.django_admin_log"),
        (DAGSTER, "CREATE TEMPORARY TABLE mine (a int)"),
        (READER, "CREATE TEMPORARY TABLE mine (a int)"),
        (READER, "SELECT iot.add_rawdata_day('2026-01-05')"),
        (READER, "SELECT count(*) FROM django.auth_user"),
        (READER, "INSERT INTO iot.module VALUES ('x')"),
    ],
)
def test_no_role_can_do_what_it_need_not(site: Address, role: str, statement: str) -> None:
    # what a role's own setting forbids, a session may allow itself: only rights are a wall
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(replace(site, user=role), "SET default_transaction_read_only = off", statement)


def test_the_service_writes_what_it_must_days_of_readings_included(site: Address) -> None:
    # all of its requests are tried by the tests of the service, which run as this role
    service = replace(site, user=SERVICE)
    with closing(psycopg2.connect(service.uri())) as connection, connection.cursor() as cursor:
        for table, rights in SERVICE_WRITES.items():
            for right in rights.split(", "):
                cursor.execute("SELECT has_table_privilege(%s, %s)", (table, right))
                assert cursor.fetchone() == (True,), (table, right)
        cursor.execute("INSERT INTO iot.module (module_num, module_type) VALUES ('m', 'x')")
        cursor.execute("SELECT iot.add_rawdata_day('2026-01-05')")
        cursor.execute(
            "INSERT INTO iot.rawdata (module_num, timestamp, measures, received_at, received_row)"
            " VALUES ('m', '2026-01-05T12:00Z', '{}', now(), 0)"
        )
        cursor.execute("SELECT nextval('oasis.tick')")
        cursor.execute("SELECT count(*) FROM django.auth_user")
    assert ask(replace(site, user=READER), "SELECT count(*) FROM iot.rawdata") == 0, "it was undone"


def test_the_service_of_another_release_is_told_who_prepares_its_tables(site: Address) -> None:
    prepare(replace(site, user=SERVICE))
    table = TABLES[-1]
    more = replace(table, columns=(*table.columns, Column("later", Type.FLOAT)))
    with pytest.raises(StorageError, match="Run `oasis roles` of this release first"):
        prepare(replace(site, user=SERVICE), (*TABLES[:-1], more))
