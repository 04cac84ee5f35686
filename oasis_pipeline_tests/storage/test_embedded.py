"""Life of the embedded server: real processes, killed for real."""

from __future__ import annotations

import os
import pwd
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

from oasis_pipeline.home import is_over, until
from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline_tests.fixtures.platform import command_line
from oasis_pipeline_tests.fixtures.server_faults import VICTIMS, server_trial

pytestmark = pytest.mark.server


@pytest.fixture
def new_data(server_folder: Path) -> Iterator[Path]:
    """Where a data folder would be."""
    folder = server_folder / "home" / "postgres"
    yield folder
    embedded.stop(folder)


@pytest.fixture(scope="module")
def made_once(server_folder_of_module: Path) -> Path:
    data = server_folder_of_module / "home" / "postgres"
    embedded.start(data)
    embedded.stop(data)
    return data


@pytest.fixture
def data(made_once: Path) -> Iterator[Path]:
    """A data folder that others have used: making one takes longer than most of these tests."""
    written = {
        name: (made_once / name).read_text() for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf")
    }
    yield made_once
    embedded.stop(made_once)
    for name, text in written.items():
        (made_once / name).write_text(text)


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


def test_started_found_stopped(new_data: Path) -> None:
    assert embedded.running(new_data) is None
    assert not embedded.stop(new_data)
    address = embedded.start(new_data)
    assert embedded.start(new_data) == address == embedded.running(new_data)
    assert ask(new_data, "SHOW server_version_num") >= "180000"
    assert ask(new_data, "SHOW listen_addresses") == ""
    assert ask(new_data, "SHOW timezone") == "UTC"
    assert ask(new_data, "SHOW server_encoding") == "UTF8"
    assert ask(new_data, "SHOW synchronous_commit") == "on"
    assert ask(new_data, "SELECT lower('ÄÖ') || ('B' < 'a')::text") == "äötrue"
    assert embedded.stop(new_data)
    assert embedded.running(new_data) is None
    embedded.start(new_data)
    assert embedded.running(new_data) is not None


def test_nobody_else_may_connect(data: Path) -> None:
    address = embedded.start(data)
    assert Path(address.host).stat().st_mode & 0o077 == 0
    assert psutil.Process(server_pid(data)).uids().effective != 0
    # as root the group of PostgreSQL's user may pass through, and nobody may look
    assert data.parent.stat().st_mode & 0o777 == (0o710 if os.geteuid() == 0 else 0o700)
    assert data.with_name("postgres.lock").stat().st_mode & 0o777 == 0o600
    with embedded.lease(data):
        assert data.with_name("postgres.users").stat().st_mode & 0o777 == 0o600
    assert (
        ask(data, "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules WHERE type = 'local'")
        == "peer"
    )
    assert (
        ask(data, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust' OR error IS NOT NULL")
        == "0"
    )
    assert ask(data, "SELECT count(*) FROM pg_ident_file_mappings WHERE error IS NOT NULL") == "0"
    assert ask(data, "SELECT system_user") == f"peer:{pwd.getpwuid(os.geteuid()).pw_name}"


def test_a_home_of_the_first_release_is_closed_and_what_people_wrote_into_it_stays(data: Path) -> None:
    hba, ident = data / "pg_hba.conf", data / "pg_ident.conf"
    # as initdb of the first release wrote it, and a line for a dashboard
    hba.write_text(
        "# TYPE  DATABASE        USER            ADDRESS                 METHOD\n"
        "local   all             all                                     trust\n"
        "host    all             all             127.0.0.1/32            trust\n"
        "host    oasis           dashboard       10.0.0.0/8              scram-sha-256\n"
        "local   replication     all                                     trust  # a remark\n"
    )
    ident.write_text("other somebody postgres\n")
    data.parent.chmod(0o755)
    data.with_name("postgres.lock").touch(mode=0o644)
    data.with_name("postgres.lock").chmod(0o644)
    for _ in range(2):
        embedded.start(data)
        assert ask(data, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'") == "0"
        assert (
            ask(data, "SELECT user_name[1] FROM pg_hba_file_rules WHERE address = '10.0.0.0'") == "dashboard"
        )
        assert ask(data, "SELECT count(*) FROM pg_ident_file_mappings WHERE map_name = 'other'") == "1"
        assert ask(data, "SELECT 1") == "1"
        assert data.parent.stat().st_mode & 0o007 == 0
        assert data.with_name("postgres.lock").stat().st_mode & 0o777 == 0o600
        embedded.stop(data)
    assert hba.read_text().count("peer map=oasis") == 2


def test_own_settings_outlive_a_restart(data: Path) -> None:
    embedded.start(data)
    with (data / "postgresql.conf").open("a") as conf:
        conf.write("work_mem = '7MB'\n")
    embedded.stop(data)
    embedded.start(data)
    assert ask(data, "SHOW work_mem") == "7MB"


def test_many_processes_at_once_get_one_server(new_data: Path) -> None:
    workers = [python(new_data, "print(embedded.start(data).public())") for _ in range(5)]
    answers = {worker.communicate(timeout=120)[0] for worker in workers}
    assert [worker.returncode for worker in workers] == [0] * 5
    assert len(answers) == 1
    assert ask(new_data, "SELECT 1") == "1"


def test_it_outlives_the_process_that_started_it(data: Path) -> None:
    starter = python(data, "embedded.start(data); print('up', flush=True); sys.stdin.read()")
    assert starter.stdout is not None
    assert starter.stdout.readline() == "up\n"
    starter.kill()
    starter.communicate()
    assert ask(data, "SELECT 1") == "1"


def test_committed_rows_survive_kill_9_and_the_stale_pid_file_is_no_obstacle(data: Path) -> None:
    embedded.start(data)
    ask(data, "DROP TABLE IF EXISTS kept; CREATE TABLE kept (x int)")
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


def test_a_server_that_hangs_while_it_stops_is_ended_and_started_anew(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        embedded, "_STOP_TIMEOUTS_S", {signal.SIGINT: 1.0, signal.SIGQUIT: 1.0, signal.SIGKILL: 10.0}
    )
    monkeypatch.setattr(embedded, "_ORPHANS_TIMEOUT_S", 1.0)
    embedded.start(data)
    ask(data, "DROP TABLE IF EXISTS kept; CREATE TABLE kept (x int)")
    hung = server_pid(data)
    (checkpointer,) = [
        child for child in psutil.Process(hung).children() if "checkpointer" in " ".join(command_line(child))
    ]
    # nobody writes the checkpoint that a fast stop waits for
    checkpointer.suspend()
    os.kill(hung, signal.SIGINT)
    assert until(lambda: "stopping" in (data / "postmaster.pid").read_text(), 30)
    assert embedded.running(data) is None
    embedded.start(data)
    assert server_pid(data) != hung
    assert ask(data, "SELECT count(*) FROM kept") == "0"
    # a whole server that does not react: only a kill ends it
    frozen = psutil.Process(server_pid(data))
    frozen.suspend()
    monkeypatch.setattr(embedded, "_RECOVERY_TIMEOUT_S", 0.5)
    assert embedded.stop(data)
    assert is_over(frozen)
    embedded.start(data)
    assert ask(data, "SELECT count(*) FROM kept") == "0"


def test_what_a_killed_server_left_is_ended_though_it_is_busy(data: Path) -> None:
    address = embedded.start(data)
    busy = python(
        data,
        f"""
import psycopg2
with psycopg2.connect({address.uri()!r}) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT pg_backend_pid()")
    print(cursor.fetchone()[0], flush=True)
    cursor.execute("SELECT sum(sqrt(a) * sqrt(b)) FROM generate_series(1, 100000) a, generate_series(1, 100000) b")
""",
    )
    assert busy.stdout is not None
    backend = psutil.Process(int(busy.stdout.readline()))
    begun = backend.cpu_times().user
    # an idle one ends with its server
    assert until(lambda: backend.cpu_times().user > begun + 0.2, 60)
    os.kill(server_pid(data), signal.SIGKILL)
    assert embedded.stop(data), "there was something to end"
    assert is_over(backend)
    assert not embedded.stop(data)
    busy.kill()
    busy.communicate()
    embedded.start(data)
    assert ask(data, "SELECT 1") == "1"


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_or_stuck_when_one_of_its_processes_is_killed(data: Path, seed: int) -> None:
    trial = server_trial(data, seed, victim=("backend", "checkpointer", "postmaster")[seed], wal_mb=0)
    assert trial.good, trial


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nothing_is_lost_or_stuck_in_many_trials(data: Path) -> None:
    trials = [server_trial(data, seed, wal_mb=60 if seed % 4 == 0 else 0) for seed in range(100, 120)]
    assert {trial.what.split(",")[0] for trial in trials} == set(VICTIMS)
    assert [trial for trial in trials if not trial.good] == []


@pytest.mark.parametrize("text", ["", "garbage", "12345"])
def test_a_broken_pid_file_is_stale(new_data: Path, text: str) -> None:
    new_data.mkdir(parents=True)
    (new_data / "postmaster.pid").write_text(text)
    assert embedded.running(new_data) is None


def test_a_folder_half_made_when_killed_is_made_anew(new_data: Path) -> None:
    half = new_data.with_name(f".{new_data.name}.new")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    embedded.start(new_data)
    assert ask(new_data, "SELECT 1") == "1"
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
    ask(before, "DROP TABLE IF EXISTS kept; CREATE TABLE kept (x int)")
    embedded.stop(before)
    before.parent.rename(after.parent)
    try:
        embedded.start(after)
        assert ask(after, "SELECT count(*) FROM kept") == "0"
    finally:
        embedded.stop(after)


def test_a_folder_of_something_else_is_left_alone(new_data: Path) -> None:
    new_data.mkdir(parents=True)
    (new_data / "precious.txt").write_text("mine")
    with pytest.raises(StorageError, match="not a PostgreSQL data folder"):
        embedded.start(new_data)
    assert (new_data / "precious.txt").read_text() == "mine"


def test_data_of_another_major_version_is_left_alone(new_data: Path) -> None:
    new_data.mkdir(parents=True)
    (new_data / "PG_VERSION").write_text("14\n")
    with pytest.raises(StorageError, match=r"made by PostgreSQL 14, this release brings 18"):
        embedded.start(new_data)


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
    (data / "PG_VERSION").write_text("18\n")
    if os.geteuid() == 0:
        # root's own folder, as a copy by root is, for the server that runs as somebody else; and one of nobody here
        os.chown(data, max(owner, 0), 0)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(StorageError, match=r"belongs to .*chown -R") as refused:
        embedded.start(data)
    assert str(data) in str(refused.value)
    assert [file.name for file in data.iterdir()] == ["PG_VERSION"]
