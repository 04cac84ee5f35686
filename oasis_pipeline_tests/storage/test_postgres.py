"""Connections, transactions and queries."""

from __future__ import annotations

import os
import threading
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import psycopg2
import pyarrow as pa
import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.assets.resources import WarehouseResource, build_resources
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.errors import StorageError, one_line
from oasis_pipeline.storage.installation import open_warehouse, using_warehouse
from oasis_pipeline.storage.postgres import Warehouse

plain_text = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1)


@pytest.mark.server
class TestQueries:
    def test_types_are_plain_arrow(self, warehouse: Warehouse) -> None:
        rows = warehouse.query(
            "SELECT 1::numeric AS n, '{}'::jsonb AS j, '2024-01-01 00:00:00.123456'::timestamp AS t, '{1}'::real[] AS p,"
            " now() AS u, NULL::text AS x"
        )
        assert rows.schema.remove_metadata() == pa.schema(
            {
                "n": pa.float64(), "j": pa.string(), "t": pa.timestamp("ms"), "p": pa.list_(pa.float32()),
                "u": pa.timestamp("us", tz="UTC"), "x": pa.string(),
            }
        )  # fmt: skip
        assert rows["t"][0].as_py() == datetime(2024, 1, 1, 0, 0, 0, 123000)

    def test_parameters_are_bound(self, warehouse: Warehouse) -> None:
        found = warehouse.query(
            "SELECT $1::text AS a, $2::bigint + 1 AS b, $3::text[] AS c", ("a'; --", 2, ["x", "y"])
        )
        assert found.to_pylist() == [{"a": "a'; --", "b": 3, "c": ["x", "y"]}]

    def test_counts_of_touched_rows(self, warehouse: Warehouse) -> None:
        with warehouse.transaction() as tx:
            tx.execute("CREATE TABLE clean.t (x int)")
            assert tx.execute("INSERT INTO clean.t SELECT generate_series(1, 5)") == 5
            assert tx.execute("DELETE FROM clean.t WHERE x > $1", (3,)) == 2

    def test_one_line_of_the_server_own_words(self, warehouse: Warehouse) -> None:
        with pytest.raises(StorageError, match=r"^PostgreSQL refused: division by zero$") as raised:
            warehouse.query("SELECT 1 / 0")
        assert raised.value.sqlstate == "22012"
        assert warehouse.query("SELECT 1 AS one")["one"].to_pylist() == [1]

    def test_no_transaction_is_left_open(self, warehouse: Warehouse) -> None:
        warehouse.query("SELECT 1")
        with closing(psycopg2.connect(warehouse.address.uri())) as other, other.cursor() as cursor:
            cursor.execute(
                "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
                (embedded.application_name(),),
            )
            assert [row[0] for row in cursor.fetchall()] == ["idle"]

    def test_a_lock_makes_others_wait(self, warehouse: Warehouse) -> None:
        order = []
        waiting = threading.Event()

        def second() -> None:
            with warehouse.transaction() as tx:
                waiting.set()
                tx.lock("one")
                order.append("second")

        with warehouse.transaction() as tx:
            tx.lock("one")
            thread = threading.Thread(target=second)
            thread.start()
            assert waiting.wait(30)
            with warehouse.transaction() as other:
                other.lock("two")
            order.append("first")
        thread.join(30)
        assert order == ["first", "second"]

    def test_a_connection_that_the_server_dropped_is_replaced(self, warehouse: Warehouse) -> None:
        warehouse.query("SELECT 1")
        with closing(psycopg2.connect(warehouse.address.uri())) as other, other.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid()"
            )
        assert warehouse.query("SELECT 1 AS one")["one"].to_pylist() == [1]

    def test_a_forked_process_takes_connections_of_its_own(self, warehouse: Warehouse) -> None:
        before = warehouse.query("SELECT pg_backend_pid() AS pid")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = int(warehouse.query("SELECT pg_backend_pid() AS pid").equals(before))
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert warehouse.query("SELECT pg_backend_pid() AS pid").equals(before)


@pytest.mark.server
class TestOpening:
    def test_embedded_from_nothing(self, server_folder: Path) -> None:
        settings = load_settings(server_folder / "home")
        with using_warehouse(settings) as warehouse:
            assert warehouse.query("SELECT count(*) AS n FROM xspoc.card")["n"].to_pylist() == [0]
            assert warehouse.address.db == "oasis"
        assert embedded.running(settings.postgres_data) is None

    def test_a_resource_opens_once_and_finds_a_restarted_server(self, server_folder: Path) -> None:
        settings = load_settings(server_folder / "home")
        resource: WarehouseResource = build_resources(settings)["warehouse"]
        try:
            assert resource.open() is resource.open()
            embedded.stop(settings.postgres_data)
            assert resource.open().query("SELECT 1 AS one").num_rows == 1
        finally:
            embedded.stop(settings.postgres_data)

    def test_open_over_a_configured_server(self, settings: Settings) -> None:
        with closing(open_warehouse(settings)) as warehouse:
            assert warehouse.query("SELECT current_database() AS db")["db"].to_pylist() == [settings.db]


def test_resources_hold_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OASIS_PASS", "hunter2")
    monkeypatch.setenv("OASIS_SECRET_KEY", "hunter3")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter4")
    resources = build_resources(load_settings(tmp_path, host="db.example", s3_bucket="field"))
    assert set(resources) == {"warehouse", "store", "parquet_io", "s3"}
    assert "hunter" not in repr(resources)
    assert "hunter" not in str([resource.model_dump() for resource in resources.values()])
    password = resources["warehouse"].settings().password
    assert password is not None
    assert password.get_secret_value() == "hunter2"


class TestAddress:
    SOCKET = Address("/run/my folder", user="postgres", db="oasis")
    TCP = Address("db.example", 6543, "me", "oil field", "p@:/ss %")

    def test_forms(self) -> None:
        assert (
            self.SOCKET.public() == self.SOCKET.uri() == "postgresql://postgres@/oasis?host=/run/my%20folder"
        )
        assert self.TCP.public() == str(self.TCP) == "postgresql://me@db.example:6543/oil%20field"
        assert replace(self.TCP, host="::1").public() == "postgresql://me@[::1]:6543/oil%20field"

    @given(secret=plain_text, user=plain_text, db=plain_text)
    def test_drivers_read_what_was_meant(self, secret: str, user: str, db: str) -> None:
        for host in ("db.example", "/run/a b"):
            address = Address(host, 6543, user, db, secret)
            parts = psycopg2.extensions.parse_dsn(address.uri())
            assert (parts["user"], parts["password"], parts["dbname"], parts["host"], int(parts["port"])) == (
                user, secret, db, host, 6543,
            )  # fmt: skip
            url = sqlalchemy.make_url(address.sqlalchemy_url())
            assert url.drivername == "postgresql+psycopg2"
            given = sqlalchemy.create_engine(url).dialect.create_connect_args(url)[1]
            assert (given["user"], given["password"], given["dbname"], given["host"], int(given["port"])) == (
                user, secret, db, host, 6543,
            )  # fmt: skip

    @given(secret=st.text(st.characters(categories=("L", "N")), min_size=12))
    def test_the_password_shows_nowhere_but_in_what_drivers_get(self, secret: str) -> None:
        address = Address("db.example", password=secret)
        assert secret not in repr(address) + str(address) + address.public()
        for text in (
            address.uri(),
            address.sqlalchemy_url(),
            f"password={secret} host=x",
            f"password='{secret}'",
        ):
            assert secret not in one_line(f"could not connect with {text}\n to it")
        assert secret not in one_line(f"the word {secret} is wrong", secret=secret)
