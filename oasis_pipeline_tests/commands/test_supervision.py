"""The supervisor with parts that do nothing, and its bounds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from oasis_pipeline.commands.supervision import RESTARTS_PER_HOUR, DatabaseWatch, Restarts, running_lines
from oasis_pipeline.home import Recorded, read_record, start_mark, until, write_record
from oasis_pipeline.settings import load_settings
from oasis_pipeline.storage import embedded
from oasis_pipeline_tests.fixtures.platform import command, environment, free_port

PATIENCE_S = 60

_SUPERVISOR = """
import sys
from pathlib import Path
from oasis_pipeline.commands.common import settings_of
from oasis_pipeline.commands.supervision import Part, Supervisor, catch_signals, guarded, only_one

settings = settings_of(Path(sys.argv[1]))
catch_signals()
sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
worker = [sys.executable, "-c", "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); time.sleep(600)"]
with only_one(settings.home):
    (settings.home / "logs").mkdir(exist_ok=True)
    with guarded(settings.home):
        supervisor = Supervisor(settings, [Part("sleeper", sleeper, settings.home / "a.log"), Part("worker", worker, settings.home / "b.log", has_child=True)])
        try:
            supervisor.start()
            print("started", flush=True)
            supervisor.watch()
        except KeyboardInterrupt:
            pass
        finally:
            supervisor.stop()
"""


class TestRestarts:
    def test_the_first_comes_at_once_and_the_next_later_and_later(self) -> None:
        restarts, now, waits = Restarts(), 1000.0, []
        for _ in range(RESTARTS_PER_HOUR):
            waits.append(restarts.wait_s(now))
            now += waits[-1]
            restarts.note(now)
        assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
        assert restarts.count == RESTARTS_PER_HOUR

    def test_there_are_so_many_an_hour_and_then_again(self) -> None:
        restarts, moments, now = Restarts(3), [], 0.0
        for _ in range(9):
            now += restarts.wait_s(now)
            restarts.note(now)
            moments.append(now)
        for first, fourth in zip(moments, moments[3:], strict=False):
            assert fourth - first >= 3600
        assert moments[-1] < 4 * 3600

    def test_an_old_one_is_forgotten(self) -> None:
        restarts = Restarts()
        restarts.note(0.0)
        assert restarts.wait_s(3600.0) == 0


@pytest.fixture
def supervised(tmp_path: Path) -> subprocess.Popen[str]:
    return start(tmp_path / "home")


def start(home: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _SUPERVISOR, str(home)],
        # no embedded server: the parts alone
        env={**environment(), "OASIS_HOST": "127.0.0.1", "OASIS_PORT": "9"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while (line := process.stdout.readline()) != "started\n":
        assert line, "it has ended"
    return process


def numbers(home: Path) -> dict[str, int]:
    return {one.name: one.pid for one in read_record(home) if one.alive()}


def test_what_dies_is_started_again_and_a_killed_supervisor_takes_all_with_it(
    tmp_path: Path, supervised: subprocess.Popen[str]
) -> None:
    home = tmp_path / "home"
    first = numbers(home)
    assert set(first) == {"oasis up", "sleeper", "worker"}
    os.kill(first["sleeper"], signal.SIGKILL)
    assert until(lambda: numbers(home).get("sleeper", first["sleeper"]) != first["sleeper"], PATIENCE_S)
    # one whose child is gone is as good as dead
    assert until(lambda: bool(psutil.Process(first["worker"]).children()), PATIENCE_S)
    until(lambda: False, 1.0)
    for child in psutil.Process(first["worker"]).children():
        child.kill()
    assert until(lambda: numbers(home).get("worker", first["worker"]) != first["worker"], PATIENCE_S)
    lines = "\n".join(running_lines(home))
    assert f"oasis up is running (process {supervised.pid})" in lines
    assert lines.count("restarts 1, started again at ") == 2
    log = (home / "logs" / "up.log").read_text()
    assert "the sleeper ended with status -9 and is started again (restart 1" in log
    assert "the worker lost the process that does its work and is started again" in log

    parts = [psutil.Process(pid) for name, pid in numbers(home).items() if name != "oasis up"]
    supervised.kill()
    supervised.communicate()
    _, left = psutil.wait_procs(parts, timeout=PATIENCE_S)
    assert left == []
    assert until(lambda: read_record(home) == [], PATIENCE_S)


def test_down_ends_one_that_runs_and_says_when_nothing_does(
    tmp_path: Path, supervised: subprocess.Popen[str]
) -> None:
    home = tmp_path / "home"
    parts = [psutil.Process(pid) for pid in numbers(home).values()]
    said = []
    for _ in range(2):
        done = subprocess.run(
            command("down", "--home", str(home)),
            env={**environment(), "OASIS_HOST": "127.0.0.1", "OASIS_PORT": "9"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
        said.append(done.stdout)
    assert said == [f"ended the oasis up (process {supervised.pid})\n", f"nothing is running for {home}\n"]
    assert supervised.wait(PATIENCE_S) == 0
    _, left = psutil.wait_procs(parts, timeout=5)
    assert left == []


def test_down_makes_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        command("down", "--home", str(tmp_path / "nowhere")),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout == f"nothing is running for {tmp_path / 'nowhere'}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_killed_one_is_named_with_what_it_left(tmp_path: Path) -> None:
    assert running_lines(tmp_path) == []
    me = Recorded("daemon", os.getpid(), start_mark(os.getpid()), "x")
    write_record(tmp_path, [Recorded("oasis up", 0, "", "x"), me])
    assert running_lines(tmp_path) == ["oasis up was killed and left daemon: `oasis down` stops it"]


@pytest.mark.server
def test_a_database_that_another_watch_started_again_is_told_of_too(server_folder: Path) -> None:
    settings = load_settings(server_folder / "home", embedded_tcp=f"127.0.0.1:{free_port()}")
    data = settings.postgres_data
    embedded.start(data, listen=settings.embedded_listen)
    try:
        said: dict[str, list[str]] = {"first": [], "second": []}
        first, second = (DatabaseWatch(settings, lines.append) for lines in said.values())
        assert (first.look(), second.look()) == (False, False)
        os.kill(embedded.process_number(data), signal.SIGKILL)
        assert until(lambda: not embedded.alive(data), PATIENCE_S)
        for watch in (first, second):
            assert watch.look()
            assert not watch.look()
            record = watch.record()
            assert record is not None
            assert (record.pid, record.restarts) == (embedded.process_number(data), 1)
        lines = ["the database had died and was started again (restart 1)"]
        assert said == {"first": lines, "second": lines}
        assert embedded.listens_at(data) == settings.embedded_listen
    finally:
        embedded.stop(data)
