"""The home folder on a shared machine, and processes known by who they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from oasis_pipeline.home import (
    Recorded,
    end_recorded,
    identify,
    list_processes,
    make_home,
    open_lock,
    read_record,
    start_mark,
    write_record,
)

Start = Callable[..., "subprocess.Popen[bytes]"]

_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Function that starts a process in a group of its own, for a home."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(code: str = "import time; time.sleep(600)", home: Path = tmp_path) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "OASIS_HOME": str(home)},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_a_new_home_is_its_owners_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        home = make_home(tmp_path / "above" / "home")
        with open_lock(home / "x.lock"):
            pass
    finally:
        os.umask(old)
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "x.lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("before", "after"), [(0o755, 0o700), (0o777, 0o700), (0o750, 0o750), (0o1777, 0o1777)]
)
def test_a_home_that_others_can_enter_is_closed_and_a_group_chosen_by_its_owner_stays(
    tmp_path: Path, before: int, after: int
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(before)
    make_home(home)
    assert home.stat().st_mode & 0o1777 == after


def test_a_lock_that_others_could_open_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "x.lock"
    file.touch()
    file.chmod(0o666)
    with open_lock(file):
        assert file.stat().st_mode & 0o777 == 0o600


def test_the_record_comes_back_and_a_broken_one_is_none(tmp_path: Path) -> None:
    assert read_record(tmp_path) == []
    wanted = [identify("one", os.getpid(), ["a", "b c"]), Recorded("two", 0, "", "x", 3, "died")]
    write_record(tmp_path, wanted)
    assert read_record(tmp_path) == wanted
    assert (tmp_path / "running.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["running.json"]
    assert [one.alive() for one in wanted] == [True, False]
    (tmp_path / "running.json").write_text('[{"name": "of a later release", "surprise": 1}]')
    assert read_record(tmp_path) == []


def test_a_group_ends_with_what_it_started_whether_or_not_its_leader_lives(
    tmp_path: Path, start: Start
) -> None:
    for leader_first in (False, True):
        process = start(_PARENT)
        assert process.stdout is not None
        child = int(process.stdout.readline())
        record = identify("it", process.pid, process.args)  # type: ignore[arg-type]
        if leader_first:
            process.kill()
            process.wait()
        assert end_recorded(tmp_path, [record]) == [record]
        assert start_mark(child) == ""
        assert process.wait() in (-signal.SIGTERM, -signal.SIGKILL)
        assert end_recorded(tmp_path, [record]) == []


def test_a_number_given_away_again_is_the_process_that_has_it_now(tmp_path: Path, start: Start) -> None:
    """A system with 32,768 numbers gives one out twice within a working day; psutil keeps what it met under it before."""
    process = start()
    earlier = next(one for one in psutil.process_iter() if one.pid == process.pid)
    earlier._ident = (process.pid, 0.0)
    assert all(one.is_running() for one in list_processes() if one.pid == process.pid)
    record = identify("it", process.pid, process.args)  # type: ignore[arg-type]
    assert end_recorded(tmp_path, [record]) == [record]


def test_one_that_does_not_listen_is_killed(tmp_path: Path, start: Start) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    process = start(deaf)
    assert process.stdout is not None
    process.stdout.readline()
    record = identify("it", process.pid, ["x"])
    assert end_recorded(tmp_path, [record], grace_s=0.3) == [record]
    assert process.wait() == -signal.SIGKILL


def test_somebody_else_with_the_same_number_or_of_another_home_is_left_alone(
    tmp_path: Path, start: Start
) -> None:
    stranger, neighbour = start(), start(home=tmp_path / "other")
    later = replace(identify("it", stranger.pid, ["x"]), started="another start")
    assert end_recorded(tmp_path, [later, identify("it", neighbour.pid, ["x"])], grace_s=0.3) == []
    assert stranger.poll() is None
    assert neighbour.poll() is None
