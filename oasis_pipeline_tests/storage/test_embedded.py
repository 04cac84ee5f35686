"""Life of the embedded server: real processes, killed for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest

from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.errors import StorageError

pytestmark = pytest.mark.server


@pytest.fixture
def data(server_folder: Path) -> Iterator[Path]:
    folder = server_folder / "home" / "postgres"
    yield folder
    embedded.stop(folder)


def ask(data: Path, sql: str) -> str:
    address = embedded.running(data)
    assert address is not None
    with closing(psycopg2.connect(address.uri())) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(sql)
        row = cursor.fetchone() if cursor.description else None
        return str(row[0]) if row else ""


def server_pid(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().splitlines()[0])


def python(data: Path, body: str) -> subprocess.Popen[str]:
    """Another process of ours."""
    code = f"from pathlib import Path\nimport sys\nfrom oasis_pipeline.storage import embedded\ndata = Path({str(data)!r})\n{body}"
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_started_found_stopped(data: Path) -> None:
    assert embedded.running(data) is None
    assert not embedded.stop(data)
    address = embedded.start(data)
    assert embedded.start(data) == address == embedded.running(data)
    assert ask(data, "SHOW server_version_num") >= "180000"
    assert ask(data, "SHOW listen_addresses") == ""
    assert ask(data, "SHOW timezone") == "UTC"
    assert ask(data, "SHOW server_encoding") == "UTF8"
    assert ask(data, "SHOW synchronous_commit") == "on"
    assert ask(data, "SELECT lower('ÄÖ') || ('B' < 'a')::text") == "äötrue"
    assert embedded.stop(data)
    assert embedded.running(data) is None
    embedded.start(data)
    assert embedded.running(data) is not None


def test_nobody_else_may_connect(data: Path) -> None:
    address = embedded.start(data)
    assert Path(address.host).stat().st_mode & 0o077 == 0
    assert psutil.Process(server_pid(data)).uids().effective != 0


def test_own_settings_outlive_a_restart(data: Path) -> None:
    embedded.start(data)
    with (data / "postgresql.conf").open("a") as conf:
        conf.write("work_mem = '7MB'\n")
    embedded.stop(data)
    embedded.start(data)
    assert ask(data, "SHOW work_mem") == "7MB"


def test_many_processes_at_once_get_one_server(data: Path) -> None:
    workers = [python(data, "print(embedded.start(data).public())") for _ in range(5)]
    answers = {worker.communicate(timeout=120)[0] for worker in workers}
    assert [worker.returncode for worker in workers] == [0] * 5
    assert len(answers) == 1
    assert ask(data, "SELECT 1") == "1"


def test_it_outlives_the_process_that_started_it(data: Path) -> None:
    starter = python(data, "embedded.start(data); print('up', flush=True); sys.stdin.read()")
    assert starter.stdout is not None
    assert starter.stdout.readline() == "up\n"
    starter.kill()
    starter.communicate()
    assert ask(data, "SELECT 1") == "1"


def test_committed_rows_survive_kill_9_and_the_stale_pid_file_is_no_obstacle(data: Path) -> None:
    embedded.start(data)
    ask(data, "CREATE TABLE kept (x int)")
    ask(data, "INSERT INTO kept SELECT generate_series(1, 1000)")
    os.kill(server_pid(data), signal.SIGKILL)
    while embedded.running(data) is not None:
        time.sleep(0.01)
    assert (data / "postmaster.pid").exists()
    embedded.start(data)
    assert ask(data, "SELECT count(*) FROM kept") == "1000"


def test_a_pid_file_that_names_somebody_else_is_stale(data: Path) -> None:
    embedded.start(data)
    embedded.stop(data)
    lines = [str(os.getpid()), str(data), str(int(time.time())), "5432", str(data), "", "1 1", "ready"]
    (data / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert embedded.running(data) is None
    embedded.start(data)
    assert server_pid(data) != os.getpid()
    assert ask(data, "SELECT 1") == "1"


@pytest.mark.parametrize("text", ["", "garbage", "12345"])
def test_a_broken_pid_file_is_stale(data: Path, text: str) -> None:
    data.mkdir(parents=True)
    (data / "postmaster.pid").write_text(text)
    assert embedded.running(data) is None


def test_a_folder_half_made_when_killed_is_made_anew(data: Path) -> None:
    half = data.with_name(f".{data.name}.new")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    embedded.start(data)
    assert ask(data, "SELECT 1") == "1"
    assert not half.exists()


def test_a_home_too_deep_for_a_socket(server_folder: Path) -> None:
    data = server_folder / ("deep" * 15) / "with a space, and 'quotes'" / ("folder" * 8) / "postgres"
    try:
        address = embedded.start(data)
        assert len(f"{address.host}/.s.PGSQL.5432") < 104
        assert Path(address.host).stat().st_mode & 0o077 == 0
        assert ask(data, "SELECT 1") == "1"
        assert embedded.start(data) == address
    finally:
        embedded.stop(data)
    assert not Path(address.host).exists()


def test_a_home_that_has_moved(server_folder: Path) -> None:
    before, after = server_folder / "before" / "postgres", server_folder / "after" / "postgres"
    embedded.start(before)
    ask(before, "CREATE TABLE kept (x int)")
    embedded.stop(before)
    before.parent.rename(after.parent)
    try:
        embedded.start(after)
        assert ask(after, "SELECT count(*) FROM kept") == "0"
    finally:
        embedded.stop(after)


def test_a_folder_of_something_else_is_left_alone(data: Path) -> None:
    data.mkdir(parents=True)
    (data / "precious.txt").write_text("mine")
    with pytest.raises(StorageError, match="not a PostgreSQL data folder"):
        embedded.start(data)
    assert (data / "precious.txt").read_text() == "mine"


def test_data_of_another_major_version_is_left_alone(data: Path) -> None:
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("14\n")
    with pytest.raises(StorageError, match=r"made by PostgreSQL 14, this release brings 18"):
        embedded.start(data)


def test_a_server_that_does_not_start_says_why(data: Path) -> None:
    embedded.start(data)
    embedded.stop(data)
    with (data / "postgresql.conf").open("a") as conf:
        conf.write("work_mem = 'plenty'\n")
    with pytest.raises(
        StorageError, match=r"does not start: .*(work_mem|configuration file).*server\.log"
    ) as raised:
        embedded.start(data)
    assert "\n" not in str(raised.value)


class TestLease:
    def test_the_server_of_a_lease_ends_with_it(self, data: Path) -> None:
        with embedded.lease(data) as address:
            assert embedded.running(data) == address
        assert embedded.running(data) is None

    def test_leases_nest(self, data: Path) -> None:
        with embedded.lease(data):
            with embedded.lease(data):
                pass
            assert embedded.running(data) is not None
        assert embedded.running(data) is None

    def test_a_server_that_ran_before_stays(self, data: Path) -> None:
        embedded.start(data)
        with embedded.lease(data):
            pass
        assert embedded.running(data) is not None

    def test_a_lease_turned_into_a_lasting_server(self, data: Path) -> None:
        with embedded.lease(data):
            embedded.start(data, keep=True)
        assert embedded.running(data) is not None

    def test_the_last_of_several_processes_stops_it(self, data: Path) -> None:
        body = "with embedded.lease(data):\n    print('in', flush=True)\n    sys.stdin.read()"
        one, two = python(data, body), python(data, body)
        for process in (one, two):
            assert process.stdout is not None
            assert process.stdout.readline() == "in\n"
        one.communicate("")
        assert embedded.running(data) is not None
        two.communicate("")
        assert embedded.running(data) is None

    def test_a_killed_holder_does_not_keep_it_forever(self, data: Path) -> None:
        holder = python(data, "with embedded.lease(data):\n    print('in', flush=True)\n    sys.stdin.read()")
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
        holder.communicate()
        assert embedded.running(data) is not None
        with embedded.lease(data):
            pass
        assert embedded.running(data) is None

    def test_a_person_who_is_connected_keeps_it(self, data: Path) -> None:
        with embedded.lease(data) as address:
            person = psycopg2.connect(address.uri(), application_name="psql")
        with closing(person), person.cursor() as cursor:
            cursor.execute("SELECT 1")
        with embedded.lease(data, even_if_used=True) as address:
            person = psycopg2.connect(address.uri(), application_name="psql")
        person.close()
        assert embedded.running(data) is None


@pytest.mark.parametrize("name", ['a$HOME "b" `id`', "c\\d'e %20 #é"])
def test_a_path_with_what_a_shell_would_read(server_folder: Path, name: str) -> None:
    data = server_folder / name / "postgres"
    try:
        address = embedded.start(data)
        assert embedded.running(data) == address
        with closing(psycopg2.connect(address.uri())) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW data_directory")
            assert cursor.fetchone() == (str(data),)
        assert (data / "server.log").stat().st_size > 0
    finally:
        embedded.stop(data)
    assert [path.name for path in server_folder.iterdir()] == [name]


@pytest.mark.parametrize("owner", [12345, -1], ids=["unknown", "another"])
def test_a_folder_of_somebody_else_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int
) -> None:
    data = tmp_path / "postgres"
    data.mkdir()
    if os.geteuid() == 0:
        # root's own folder, as a copy by root is, for the server that runs as somebody else; and one of nobody here
        os.chown(data, max(owner, 0), 0)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(StorageError, match=r"belongs to .*chown -R") as refused:
        embedded.start(data)
    assert str(data) in str(refused.value)
    assert list(data.iterdir()) == []
