"""Faults that strike an installation with an embedded server of its own: ``oasis run`` alone, and ``oasis up`` with all its parts.

Here: the life of servers and of parts, from outside. Not here: what happens inside a pass (``kinds_passes``).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from oasis_pipeline.home import list_processes
from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.objects import LocalStore
from oasis_pipeline_tests.faults.bench import (
    DATABASE,
    PATIENCE_S,
    Bench,
    FailedError,
    Outcome,
    Place,
    StuckError,
    copy_tree,
)
from oasis_pipeline_tests.faults.compare import difference
from oasis_pipeline_tests.faults.kinds import kind
from oasis_pipeline_tests.faults.kinds_passes import choose
from oasis_pipeline_tests.faults.loads import copy_load
from oasis_pipeline_tests.fixtures.platform import Up, command_line, free_port
from oasis_pipeline_tests.fixtures.server_faults import server_trial


def _server_of(bench: Bench, work: str) -> Path:
    """A data folder with one database, ready to be copied; made once for each bench."""
    data = bench.folder / f"server-{work}" / "postgres"
    if not data.exists():
        data.parent.mkdir()
        copy_tree(bench.base / "pg" / "postgres", data)
        address = embedded.start(data, keep=True)
        with closing(psycopg2.connect(replace(address, db="template1").uri())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                template, other = ("t_empty", "t_made") if work == "intake" else ("t_made", "t_empty")
                cursor.execute(f"ALTER DATABASE {template} RENAME TO {DATABASE}")
                cursor.execute(f"DROP DATABASE {other}")
                cursor.execute("CHECKPOINT")
        embedded.stop(data)
    return data


def _own_place(bench: Bench, work: str, load: str) -> Place:
    """An installation with a server of its own, which does not run."""
    prepared = _server_of(bench, work)
    for old in bench.folder.glob("o[0-9]*"):
        shutil.rmtree(old, ignore_errors=True)
    root = bench.folder / f"o{time.monotonic_ns() % 10**9}"
    root.mkdir()
    home, drop = root / "home", root / "drop"
    if work == "intake":
        home.mkdir()
    else:
        copy_tree(bench.base / "home", home)
    # the base was made on a server elsewhere
    for left in home.glob("postgres*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    copy_tree(prepared, home / "postgres")
    drop.mkdir()
    copy_load(bench.base, load, drop)
    environment = {"OASIS_HOME": str(home), "OASIS_DATA_PATH": str(drop), "OASIS_DB": DATABASE}
    address = replace(bench.server, db=DATABASE)
    return Place(home, drop, address, environment, load, work, LocalStore(home / "store"))


def _processes_in(home: Path) -> list[psutil.Process]:
    """Server processes and parts of a home folder that are alive."""
    found = []
    for process in list_processes():
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                continue
            inside = process.name().startswith("postgres") and Path(process.cwd()) == home / "postgres"
            if inside or any(str(home) in word for word in command_line(process)):
                found.append(process)
    return found


def _recover(bench: Bench, place: Place, outcome: Outcome) -> Outcome:
    """A pass in bounded time, an idle one, no server left behind, and everything there."""
    try:
        answer = bench.finish(bench.warm.start(place.work, environment=place.environment))
        if answer is None or "error" in answer:
            raise FailedError(f"the pass after the fault failed: {answer}")
        bench.second_pass(place)
        _await_end(place.home)
    except (StuckError, FailedError) as error:
        outcome.stuck += 1
        outcome.say(str(error))
    try:
        address = embedded.start(place.home / "postgres", keep=True)
        found = replace(place, address=replace(address, db=DATABASE))
        outcome.add(difference(bench.undisturbed_of(place), bench.state(found)))
    finally:
        with suppress(Exception):
            embedded.stop(place.home / "postgres")
        for process in _processes_in(place.home):
            with suppress(psutil.Error):
                process.kill()
    return outcome


def _await_end(home: Path) -> None:
    """Wait until nothing of an installation runs any more."""
    end = time.monotonic() + 30
    while left := _processes_in(home):
        if time.monotonic() > end:
            said = "; ".join(
                " ".join(command_line(process))[:120] for process in left[:4] if process.is_running()
            )
            raise FailedError(f"{len(left)} processes are left: {said}")
        time.sleep(0.1)


def _postgres(home: Path, rng: random.Random, which: str) -> bool:
    """SIGKILL of the postmaster, of a backend, or of all of the server's processes."""
    try:
        postmaster = psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().split()[0]))
        children = postmaster.children()
    except (OSError, ValueError, IndexError, psutil.Error):
        return False
    backends = [
        child for child in children if "postgres: postgres" in " ".join(command_line(child))
    ] or children
    victims = {"postmaster": [postmaster], "backend": backends[:1], "server": [postmaster, *children]}[which]
    for victim in victims:
        with suppress(psutil.Error):
            victim.kill()
    return bool(victims)


def _run_trial(bench: Bench, rng: random.Random, what: str) -> Outcome:
    """A pass that starts and stops its own server."""
    work, load = choose(rng, "intake")
    seconds = bench.undisturbed(work, load).seconds + 1.0
    place, outcome = _own_place(bench, work, load), Outcome()
    job = bench.warm.start(work, environment=place.environment)
    at = rng.uniform(0, seconds)
    time.sleep(at)
    struck = True
    if what in ("pass", "pass and server"):
        job.kill()
    if what in ("postmaster", "backend"):
        struck = _postgres(place.home, rng, what)
    if what == "pass and server":
        _postgres(place.home, rng, "server")
    try:
        answer = bench.finish(job)
    except StuckError as error:
        outcome.stuck += 1
        outcome.say(str(error))
        answer = None
    outcome.hit = struck and (answer is None or "error" in answer)
    outcome.where = (
        f"{load} at {at:.2f} s: {'killed' if answer is None else answer.get('error', 'went on')[:120]}"
    )
    return _recover(bench, place, outcome)


for _what, _share in (("pass", 4), ("backend", 5), ("postmaster", 4), ("pass and server", 5)):
    kind(f"own server: {_what} killed", _share)(lambda bench, rng, what=_what: _run_trial(bench, rng, what))


@kind("own server: one of its processes killed while commands leave", 24)
def killed_while_leaving(bench: Bench, rng: random.Random) -> Outcome:
    """Any process of the server, with work and log to recover, at the moment when the last users go."""
    data = bench.folder / "leaving" / "postgres"
    seed = rng.randrange(1 << 24)
    done = server_trial(data, seed)
    return Outcome(
        True, f"{done.what}, seed {seed}", done.lost, done.doubled, int(bool(done.stuck)), done.stuck
    )


# ---- oasis up


class Platform(Up):
    """``oasis up`` on the installation of a trial."""

    def __init__(self, place: Place) -> None:
        self._drop = place.drop
        super().__init__(place.home, free_port())

    def stop(self) -> int:
        """Ask it to stop; its status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


def _part(platform: Platform, rng: random.Random, what: str) -> bool:
    """SIGKILL of a part."""
    if what in ("postmaster", "backend"):
        return _postgres(platform.home, rng, what)
    if what == "up":
        platform.process.kill()
        platform.process.wait()
        return True
    words = {
        "web server": "dagster-webserver",
        "daemon": "dagster-daemon",
        "service": " serve ",
        "worker": "spawn_main",
    }
    victims = [process for process in platform.tree()[1:] if words[what] in " ".join(command_line(process))]
    if victims:
        with suppress(psutil.Error):
            victims[0].kill()
    return bool(victims)


def _up_trial(bench: Bench, rng: random.Random, what: str) -> Outcome:
    """The platform at work on a new file, a part of it killed; stopped, started again, stopped, and looked at."""
    load = "readings"
    bench.undisturbed("whole", load)
    place, outcome = _own_place(bench, "whole", load), Outcome()
    (place.home / ".env").write_text(f"OASIS_DATA_PATH={place.drop}\nOASIS_DB={DATABASE}\n")
    platform = Platform(place)
    try:
        platform.wait_for("Ctrl-C stops")
        time.sleep(rng.uniform(0, 30))
        outcome.hit = _part(platform, rng, what)
        outcome.where = what
        time.sleep(rng.uniform(1, 10))
        again = None
        if platform.process.poll() is None:
            status = platform.stop()
            if status != 0:
                outcome.say(f"the stop after it ended with {status}")
        else:
            outcome.say(f"ended by itself: {' '.join(platform.said().split())[-200:]}")
            again = Platform(place)
            again.wait_for("Ctrl-C stops")
            if again.stop() != 0:
                raise FailedError(f"the stop of the second `oasis up` failed: {again.said()[-300:]}")
        _await_end(place.home)
    except (AssertionError, FailedError, subprocess.TimeoutExpired) as error:
        outcome.stuck += 1
        outcome.say(f"{type(error).__name__}: {' '.join(str(error).split())[-600:]}")
    finally:
        for process in _processes_in(place.home):
            with suppress(psutil.Error):
                process.kill()
        if platform.process.poll() is None:
            platform.process.kill()
        platform.process.wait()
    return _recover(bench, place, outcome)


for _what in ("up", "daemon", "web server", "service", "worker", "postmaster", "backend"):
    kind(f"oasis up: {_what} killed", 1)(lambda bench, rng, what=_what: _up_trial(bench, rng, what))


@kind("oasis up: a second one", 1)
def second_up(bench: Bench, rng: random.Random) -> Outcome:
    """A second ``oasis up`` of one home is refused with a line, and the first goes on."""
    bench.undisturbed("whole", "readings")
    place, outcome = _own_place(bench, "whole", "readings"), Outcome()
    (place.home / ".env").write_text(f"OASIS_DATA_PATH={place.drop}\nOASIS_DB={DATABASE}\n")
    first = Platform(place)
    seconds: list[Any] = []
    try:
        time.sleep(rng.uniform(0, 8))
        seconds.append(Platform(place))
        first.wait_for("Ctrl-C stops")
        outcome.hit = True
        status = seconds[0].process.wait(PATIENCE_S)
        outcome.where = f"ended with {status}"
        if status == 0 or "is already running" not in seconds[0].said():
            raise FailedError(f"the second `oasis up` was not refused: {seconds[0].said()[-300:]}")
        if first.stop() != 0:
            raise FailedError(f"the stop failed: {first.said()[-300:]}")
        _await_end(place.home)
    except (AssertionError, FailedError, subprocess.TimeoutExpired) as error:
        outcome.stuck += 1
        outcome.say(f"{type(error).__name__}: {' '.join(str(error).split())[-600:]}")
    finally:
        for process in _processes_in(place.home):
            with suppress(psutil.Error):
                process.kill()
        for each in (first, *seconds):
            if each.process.poll() is None:
                each.process.kill()
            each.process.wait()
    return _recover(bench, place, outcome)
