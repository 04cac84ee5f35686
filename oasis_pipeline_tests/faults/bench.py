"""Where trials happen: one database server, prepared bases and loads, and a fresh installation for each trial.

Here: what all kinds of trials share. Not here: the faults (``kinds_*``).

A bench belongs to one thread and has a server of its own, so that a trial may kill it. A trial gets a database that is a copy
of a prepared one, and a home folder and a drop folder likewise; what comes out is compared with an undisturbed run on
the same base with the same load.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg2

from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.objects import LocalStore, ObjectStore
from oasis_pipeline_tests.faults.compare import Difference, State, difference, state_of
from oasis_pipeline_tests.faults.loads import copy_load
from oasis_pipeline_tests.faults.warm import Job, Warm

PATIENCE_S = float(os.environ.get("FAULTS_PATIENCE", "240"))
"""A command that takes longer is stuck. Undisturbed ones take seconds."""

DATABASE = "oasis"
"""Always the same name: dbt keeps what it has parsed by the name of the database."""


@dataclass
class Outcome:
    """What came of a trial.

    Attributes
    ----------
    hit : bool
        Whether the fault struck something that was at work.
    where : str
        Where it struck.
    lost, doubled, stuck : int
        Rows (files, objects), and commands that did not end or servers that stayed in between.
    note : str
        What else a person should know; of a fault that was found, all of it.
    """

    hit: bool = False
    where: str = ""
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    note: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not (self.lost or self.doubled or self.stuck)

    def add(self, found: Difference) -> None:
        """Count a difference."""
        self.lost += found.lost
        self.doubled += found.doubled
        if found.where:
            self.say(", ".join(f"{name} -{lost} +{more}" for name, (lost, more) in found.where.items()))

    def say(self, text: str) -> None:
        """Add to the note."""
        self.note = f"{self.note}; {text}" if self.note else text


class StuckError(Exception):
    """A command did not end in time."""


class FailedError(Exception):
    """A pass without any fault on it failed."""


@dataclass
class Place:
    """The installation of one trial."""

    home: Path
    drop: Path
    address: Address
    environment: dict[str, str]
    load: str
    work: str
    store: ObjectStore = field(default_factory=lambda: LocalStore(Path("nowhere")))


@dataclass(frozen=True)
class Undisturbed:
    """What a load comes to without a fault, how long it took, and how many points it passed."""

    state: State
    seconds: float
    points: int
    warnings: frozenset[str]


class Workshop:
    """What all benches of a run share: the base, fork servers, and what undisturbed runs came to.

    Parameters
    ----------
    folder : Path
        Short: unix sockets lie below it.
    base : Path
        As `prepare_base` has made it.
    say : callable
        For progress.
    """

    def __init__(self, folder: Path, base: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.base = base
        self.say = say
        self.undisturbed: dict[tuple[str, str], Undisturbed] = {}
        self.guard = threading.RLock()
        self.one_at_a_time: dict[tuple[str, str], threading.Lock] = {}
        self.alone = threading.Lock()
        """For trials of which only one may be at work."""
        self.shared: dict[str, Any] = {}
        self.benches: list[Bench] = []
        self._warms: dict[str, Warm] = {}
        self.closing: list[Callable[[], None]] = []

    def warm(self, name: str = "plain", environment: Mapping[str, str] | None = None) -> Warm:
        """A fork server, made at the first question; with a library loaded first, say."""
        with self.guard:
            if name not in self._warms:
                self._warms[name] = Warm(self.folder / f"warm-{name}", environment)
            return self._warms[name]

    def close(self) -> None:
        """End everything that was started here."""
        for bench in self.benches[:]:
            bench.close()
        for close in reversed(self.closing):
            with suppress(Exception):
                close()
        for warm in self._warms.values():
            warm.stop()


class Bench:
    """Server and folders of one thread.

    Parameters
    ----------
    workshop : Workshop
    name : str
        Of its folder.
    """

    def __init__(self, workshop: Workshop, name: str) -> None:
        self.workshop = workshop
        self.folder = workshop.folder / name
        self.base = workshop.base
        self.say = workshop.say
        self.folder.mkdir(parents=True)
        copy_tree(self.base / "pg", self.folder / "pg")
        self.data = self.folder / "pg" / "postgres"
        self.server = embedded.start(self.data, keep=True)
        self.warm = workshop.warm()
        self.own: dict[str, Any] = {}
        """What a kind of trials keeps for the next one of its kind on this bench."""
        self._number = 0
        self.closing: list[Callable[[], None]] = []
        workshop.benches.append(self)

    def new_database(self, template: str, *, tablespace: str = "") -> Address:
        """Make the database anew, as a copy."""
        with closing(psycopg2.connect(replace(self.server, db="template1").uri())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
                where = f" TABLESPACE {tablespace}" if tablespace else ""
                cursor.execute(f"CREATE DATABASE {DATABASE} TEMPLATE {template} STRATEGY file_copy{where}")
        return replace(self.server, db=DATABASE)

    def place(self, work: str, load: str, *, root: Path | None = None, tablespace: str = "") -> Place:
        """Make a fresh installation.

        Parameters
        ----------
        work : str
            ``intake`` on an empty warehouse, or ``whole`` on one that has been made.
        load : str
            What lies in the drop folder.
        root : Path, optional
            Empty folder for home and drop folder; by default one of the bench.
        tablespace : str
            Where the database is to lie.
        """
        self._number += 1
        if root is None:
            for old in self.folder.glob("t[0-9]*"):
                shutil.rmtree(old, ignore_errors=True)
            root = self.folder / f"t{self._number}"
            root.mkdir()
        address = self.new_database("t_empty" if work == "intake" else "t_made", tablespace=tablespace)
        home, drop = root / "home", root / "drop"
        if work == "intake":
            home.mkdir()
        else:
            copy_tree(self.base / "home", home)
        drop.mkdir()
        copy_load(self.base, load, drop)
        environment = {
            "OASIS_HOME": str(home),
            "OASIS_DATA_PATH": str(drop),
            "OASIS_HOST": address.host,
            "OASIS_PORT": str(address.port),
            "OASIS_USER": address.user,
            "OASIS_DB": address.db,
        }
        return Place(home, drop, address, environment, load, work, LocalStore(home / "store"))

    def undisturbed(self, work: str, load: str) -> Undisturbed:
        """What a load comes to; found out at the first question, and twice, so that what is compared is known to be steady."""
        with self.workshop.guard:
            one = self.workshop.one_at_a_time.setdefault((work, load), threading.Lock())
        with one:
            known = self.workshop.undisturbed
            if (work, load) not in known:
                known[work, load] = self._run_undisturbed(work, load)
            return known[work, load]

    def _run_undisturbed(self, work: str, load: str) -> Undisturbed:
        states, seconds, done = [], 0.0, None
        for _ in range(2):
            place = self.place(work, load)
            began = time.monotonic()
            done = self.finish(self.warm.start(work, environment=place.environment), PATIENCE_S * 2)
            if done is None or "error" in done:
                raise FailedError(f"the undisturbed run failed: {done}")
            seconds = time.monotonic() - began
            self.second_pass(place)
            states.append(self.state(place))
        assert done is not None
        found = difference(*states)
        if found.where:
            raise FailedError(f"two undisturbed runs of {load} differ: {found.where}")
        points, processor = done["done"]["points"], done["done"]["processor_s"]
        self.say(
            f"undisturbed {work} of {load}: {seconds:.1f} s, {processor:.1f} s of processor, {points} points"
        )
        return Undisturbed(states[0], seconds, points, frozenset(done["done"]["warnings"]))

    def told(self, place: Place, answer: dict[str, Any] | None) -> str:
        """How a pass ended, in a few words; empty if it noticed nothing."""
        if answer is None:
            return "killed"
        if "error" in answer:
            return str(answer["error"])[:150]
        usual = self.workshop.undisturbed[place.work, place.load].warnings
        return next(
            (str(warning)[:150] for warning in answer["done"]["warnings"] if warning not in usual), ""
        )

    def state(self, place: Place) -> State:
        """Everything an installation holds."""
        return state_of(place.address, place.store, place.home, place.drop)

    def finish(self, job: Job, seconds: float = PATIENCE_S) -> dict[str, Any] | None:
        """Wait for a job; its answer, or None if it was killed.

        Raises
        ------
        StuckError
            With where its threads were.
        """
        try:
            return job.wait(seconds)
        except TimeoutError:
            where = self.stacks(job.pid)
            job.kill()
            raise StuckError(f"no end after {seconds:.0f} s: {where}") from None

    def stacks(self, pid: int) -> str:
        """Where the threads of a job are, for a report of one that is stuck."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)
        time.sleep(1)
        found = [path.read_text() for path in self.folder.rglob(f"stacks.{pid}")]
        return " | ".join(" ".join(text.split()) for text in found)[:3000]

    def second_pass(self, place: Place) -> None:
        """Ask for a pass that finds nothing to do.

        Raises
        ------
        FailedError
            If it did something or failed.
        """
        done = self.finish(self.warm.start(place.work, environment=place.environment))
        if done is None or "error" in done:
            raise FailedError(f"the second pass failed: {done}")
        if done["done"]["changed"] or done["done"].get("runs"):
            raise FailedError(f"the second pass was not idle: {done['done']}")

    def judge(self, place: Place, outcome: Outcome, *, passes: int = 2) -> Outcome:
        """Let the installation recover, and compare it with an undisturbed run.

        Parameters
        ----------
        place : Place
        outcome : Outcome
            Gets what was found.
        passes : int
            How many passes may need to go on where the one before stopped; the one after them has to be idle.
        """
        undisturbed = self.undisturbed_of(place)
        try:
            self._pass_until_idle(place, passes)
        except (StuckError, FailedError) as error:
            outcome.stuck += 1
            outcome.say(str(error))
        outcome.add(difference(undisturbed, self.state(place)))
        return outcome

    def _pass_until_idle(self, place: Place, passes: int) -> None:
        for number in range(passes + 1):
            done = self.finish(self.warm.start(place.work, environment=place.environment))
            if done is None or "error" in done:
                raise FailedError(f"pass {number + 1} after the fault failed: {done}")
            idle = not done["done"]["changed"] and not done["done"].get("runs")
            if idle and not any(place.drop.iterdir()):
                return
        left = sorted(str(path.relative_to(place.drop)) for path in place.drop.rglob("*"))
        raise FailedError(
            f"pass {number + 1} after the fault was not idle: {done['done']}, in the drop folder: {left}"
        )

    def undisturbed_of(self, place: Place) -> State:
        """State that a trial's installation has to come to."""
        return self.workshop.undisturbed[place.work, place.load].state

    def backends(self, pid: int) -> list[int]:
        """Server processes that work for a process."""
        with closing(psycopg2.connect(self.server.uri())) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
                " AND pid <> pg_backend_pid()",
                (DATABASE,),
            )
            return [number for (number,) in cursor.fetchall()]

    def postmaster(self) -> int:
        """Process number of the server."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def revive(self) -> None:
        """Bring the server back, whatever was done to it."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.server = embedded.start(self.data, keep=True)
                with closing(psycopg2.connect(self.server.uri(), connect_timeout=5)):
                    return
            except Exception:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def close(self) -> None:
        """End everything that this bench started."""
        with suppress(ValueError):
            self.workshop.benches.remove(self)
        for close in reversed(self.closing):
            with suppress(Exception):
                close()
        with suppress(Exception):
            embedded.stop(self.data)
        shutil.rmtree(self.folder, ignore_errors=True)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with owners and modes; blocks are shared where the file system can."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)


def prepare_base(base: Path, say: Callable[[str], None]) -> None:
    """Make what all trials start from: loads, a server with two databases, and a home folder that has been made.

    Parameters
    ----------
    base : Path
        Folder; one that is ready is left as it is.
    say : callable
        For progress.
    """
    from oasis_pipeline.storage.migrate import prepare
    from oasis_pipeline_tests.faults.loads import write_loads

    if (base / "ready").exists():
        return
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    write_loads(base)
    data = base / "pg" / "postgres"
    server = embedded.start(data, keep=True)
    try:
        # the machine stays on; what a power cut does is tried with a file system of our own
        with (data / "postgresql.conf").open("a") as conf:
            conf.write("fsync = off\nfull_page_writes = off\nshared_buffers = 64MB\n")
        embedded.stop(data)
        server = embedded.start(data, keep=True)
        prepare(replace(server, db="t_empty"))
        home, drop = base / "home", base / "drop"
        drop.mkdir()
        copy_load(base, "history", drop)
        say("making the base that trials start from (a minute or two) ...")
        environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("OASIS_", "DAGSTER_"))
            },
            "OASIS_HOST": server.host,
            "OASIS_USER": server.user,
            "OASIS_DB": DATABASE,
        }
        command = [
            sys.executable,
            "-m",
            "oasis_pipeline.commands.main",
            "run",
            "--home",
            str(home),
            "--drop",
            str(drop),
        ]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        with closing(psycopg2.connect(replace(server, db="template1").uri())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"ALTER DATABASE {DATABASE} RENAME TO t_made")
    finally:
        embedded.stop(data)
    (base / "ready").touch()
