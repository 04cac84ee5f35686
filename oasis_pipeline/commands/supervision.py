"""The processes of ``oasis up``: started, watched, started again when they die, ended.

Here: one supervisor for any list of parts, how often it may start one again, and the guard that ends everything when the supervisor
itself is killed. Not here: which parts there are (``up``), and how processes are known and ended (``oasis_pipeline.home``).
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import click
import psutil

from oasis_pipeline.commands.common import answers
from oasis_pipeline.home import (
    Recorded,
    end_recorded,
    identify,
    make_home,
    open_lock,
    read_record,
    until,
    write_record,
)
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import embedded

RESTARTS_PER_HOUR = 10
_LONGEST_PAUSE_S = 60.0
_HOUR_S = 3600.0
_LOCK_PATIENCE_S = 60.0
_TICK_S = 0.5
_CHILDLESS_S = 5.0
_FIRST_CHILD_S = 120.0
_START_S = 300.0

SUPERVISOR = "oasis up"

# All that the guard does before it is needed is to wait; it says nothing when the supervisor takes its leave with a word.
_GUARD = "import os, sys; sys.stdin.read() or os.execv(sys.argv[1], sys.argv[1:])"


class UpError(RuntimeError):
    """The platform could not be started; the message says which part of it, and where its log is."""


class Restarts:
    """Whether something that died may be started again: at once, then after longer and longer pauses, and so often an hour.

    Parameters
    ----------
    per_hour : int
        Most restarts in any hour.
    """

    def __init__(self, per_hour: int = RESTARTS_PER_HOUR) -> None:
        self._per_hour = per_hour
        self._times: deque[float] = deque(maxlen=per_hour)
        self.count = 0

    def wait_s(self, now: float) -> float:
        """Seconds until the next restart is allowed."""
        recent = [moment for moment in self._times if now - moment < _HOUR_S]
        if not recent:
            return 0.0
        if len(recent) >= self._per_hour:
            return recent[0] + _HOUR_S - now
        return max(recent[-1] + min(2.0 ** (len(recent) - 1), _LONGEST_PAUSE_S) - now, 0.0)

    def note(self, now: float) -> None:
        """Note a restart."""
        self._times.append(now)
        self.count += 1


@dataclass
class Part:
    """A process of the platform, in a group of its own.

    Attributes
    ----------
    name : str
        What it is to people.
    command : list of str
        What is started.
    log : Path
        Where its output goes.
    has_child : bool
        True for one that does its work in a child, without which it is as good as dead.
    socket : Path or None
        Where it listens if later parts need it from their first moment.
    """

    name: str
    command: list[str]
    log: Path
    has_child: bool = False
    socket: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    record: Recorded | None = None
    restarts: Restarts = field(default_factory=Restarts)
    childless_since: float | None = None

    def ended(self) -> str:
        """Why it counts as dead; empty while it lives."""
        if self.process is None:
            return "is not started"
        if (code := self.process.poll()) is not None:
            return f"ended with status {code}"
        if not self.has_child:
            return ""
        try:
            alive = [
                child
                for child in psutil.Process(self.process.pid).children()
                if child.status() != psutil.STATUS_ZOMBIE
            ]
        except psutil.Error:
            return ""
        if alive:
            self.childless_since = None
        elif self.childless_since is None:
            self.childless_since = time.monotonic()
        elif time.monotonic() - self.childless_since > _CHILDLESS_S:
            return "lost the process that does its work"
        return ""


class Supervisor:
    """Starts parts, keeps a record of them in the home folder, starts again what dies, and ends all of them.

    Parameters
    ----------
    settings : Settings
        The installation.
    parts : list of Part
        In the order in which they are started.
    environment : mapping, optional
        Of the parts; this process's by default.
    """

    def __init__(
        self, settings: Settings, parts: list[Part], environment: dict[str, str] | None = None
    ) -> None:
        self.parts = parts
        self._home = settings.home
        self._database = DatabaseWatch(settings, self.say)
        self._environment = {**os.environ, **(environment or {})}
        self._me = identify(SUPERVISOR, os.getpid(), sys.argv)
        self._log = settings.home / "logs" / "up.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start all parts.

        Raises
        ------
        UpError
            As `wait_for`.
        """
        self._record()
        for part in self.parts:
            self._spawn(part)
            if (path := part.socket) is not None:
                self._wait(part, partial(_listens, path))

    def wait_for(self, name: str, url: str) -> None:
        """Wait until a part answers; an end of any part ends the wait, for at the start something is wrong with it.

        Raises
        ------
        UpError
            If it does not.
        """
        self._wait(next(part for part in self.parts if part.name == name), lambda: answers(url))

    def _wait(self, part: Part, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + _START_S
        while not condition():
            for one in self.parts:
                if (code := one.process.poll() if one.process else None) is not None:
                    raise UpError(f"the {one.name} ended with status {code}; its log is {one.log}")
            if time.monotonic() > end:
                raise UpError(
                    f"the {part.name} did not answer within {_START_S:.0f} s; its log is {part.log}"
                )
            time.sleep(0.2)

    def watch(self, also: Callable[[], None] = lambda: None) -> None:
        """Start again what dies, until this process is told to stop.

        Parameters
        ----------
        also : callable
            Called twice a second.
        """
        while True:
            if self._database.look():
                self._record()
            for part in self.parts:
                self._look_at(part)
            also()
            time.sleep(_TICK_S)

    def stop(self) -> None:
        """End all parts and what they started."""
        end_recorded(self._home, [part.record for part in self.parts if part.record is not None])
        for part in self.parts:
            _reap(part)
        self._record()

    def say(self, text: str) -> None:
        """Say something to whoever started this, and to the log."""
        line = f"{datetime.now().astimezone().isoformat(' ', 'seconds')} {text}"
        with suppress(OSError):
            click.echo(line)
        with suppress(OSError), self._log.open("a") as log:
            log.write(line + "\n")

    def _look_at(self, part: Part) -> None:
        why = part.ended()
        if not why:
            return
        now = time.monotonic()
        wait_s = part.restarts.wait_s(now)
        if part.record is not None:
            # the rest of its group holds its port, or works for nobody
            end_recorded(self._home, [part.record], grace_s=3.0)
            _reap(part)
            again = f"is started again in {wait_s:.0f} s" if wait_s >= 1 else "is started again"
            self.say(f"the {part.name} {why} and {again} (restart {part.restarts.count + 1}; log {part.log})")
            self._record({part.name: f"{why} at {_now()}, {again}"})
        if wait_s <= 0:
            part.restarts.note(now)
            self._spawn(part, f"started again at {_now()}")

    def _spawn(self, part: Part, note: str = "") -> None:
        part.childless_since = time.monotonic() + _FIRST_CHILD_S
        with part.log.open("ab") as out, _uninterrupted():
            part.process = subprocess.Popen(
                part.command,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,
            )
            found = identify(part.name, part.process.pid, part.command)
            part.record = replace(found, restarts=part.restarts.count, note=note)
            self._record()

    def _record(self, notes: dict[str, str] | None = None) -> None:
        entries = [self._me]
        for part in self.parts:
            entry = part.record
            if entry is None:
                command = " ".join(part.command)
                note = (notes or {}).get(part.name, "not started")
                entry = Recorded(part.name, 0, "", command, part.restarts.count, note)
            entries.append(entry)
        if (database := self._database.record()) is not None:
            entries.append(database)
        write_record(self._home, entries)


class DatabaseWatch:
    """Starts the embedded server again when it has died, and notices when another watch, as the data service's, was first.

    Parameters
    ----------
    settings : Settings
        The installation; with a server of its own there is nothing to watch.
    say : callable
        Where to tell of it.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._data = settings.postgres_data if settings.embedded else None
        self._listen = settings.embedded_listen
        self._say = say
        self._restarts = Restarts()
        self._waits = False
        self._last = ""
        self._number = embedded.process_number(self._data) if self._data is not None else 0

    def look(self) -> bool:
        """Look once, and start it if it is time to; True if there is something new to say of it."""
        if self._data is None:
            return False
        now = time.monotonic()
        if embedded.alive(self._data):
            self._waits = False
            before, self._number = self._number, embedded.process_number(self._data) or self._number
            if before in (0, self._number):
                return False
            self._restarts.note(now)
            self._tell(f"had died and was started again (restart {self._restarts.count})")
            return True
        wait_s = self._restarts.wait_s(now)
        if wait_s > 0:
            if self._waits:
                return False
            self._waits = True
            self._tell(f"has died and is started again in {wait_s:.0f} s")
            return True
        self._restarts.note(now)
        try:
            embedded.start(self._data, listen=self._listen)
            self._number = embedded.process_number(self._data)
            self._tell(f"had died and was started again (restart {self._restarts.count})")
        except Exception as error:  # whatever it was, the next look tries again
            self._tell(f"has died and can't be started: {error}")
        return True

    def record(self) -> Recorded | None:
        """What there is to say of it; None if nothing, or if it is not ours."""
        if self._data is None or not self._restarts.count:
            return None
        pid = embedded.process_number(self._data)
        return replace(
            identify("database", pid, ["postgres"]), restarts=self._restarts.count, note=self._last
        )

    def _tell(self, what: str) -> None:
        self._last = f"{what} at {_now()}"
        self._say(f"the database {what}")

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look twice a second in a thread for the length of a block."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(_TICK_S):
                self.look()

        thread = threading.Thread(target=look, name="database-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Be the only platform of a home: two daemons would start every run twice. What a killed one left is ended first.

    Parameters
    ----------
    home : Path
        Home folder.

    Raises
    ------
    UpError
        If one runs already.
    """
    make_home(home)
    with locked(home) as mine:
        if not mine:
            number = next(
                (f" (process {one.pid})" for one in read_record(home) if one.name == SUPERVISOR), ""
            )
            raise UpError(
                f"the platform of {home} is already running{number}: `oasis down` stops it, or use --home with another folder"
            )
        for one in end_left_behind(home):
            click.echo(f"ended the {one.name} (process {one.pid}) that a killed `oasis up` had left behind")
        write_record(home, [identify(SUPERVISOR, os.getpid(), sys.argv)])
        try:
            yield
        finally:
            write_record(home, [])


@contextmanager
def locked(home: Path) -> Iterator[bool]:
    """Hold the lock of the one supervisor of a home; False if one that lives holds it.

    Somebody who holds it for a moment, because he clears away after a killed one, is waited for.
    """
    with open_lock(home / "up.lock") as file:

        def taken() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        mine = taken()
        if not mine:
            until(lambda: taken() or supervisor_of(home) is not None, _LOCK_PATIENCE_S, 0.2)
            mine = taken()
        yield mine


def supervisor_of(home: Path) -> Recorded | None:
    """The ``oasis up`` that runs for a home."""
    return next((one for one in read_record(home) if one.name == SUPERVISOR and one.alive()), None)


def running_lines(home: Path) -> list[str]:
    """Say what runs for a home and how it has fared: a line for the whole, and one for each part that was started again or is dead."""
    record = read_record(home)
    if not record:
        return []
    if supervisor_of(home) is None:
        left = ", ".join(one.name for one in record if one.alive())
        return ["oasis up was killed" + (f" and left {left}: `oasis down` stops it" if left else "")]
    lines = [f"oasis up is running (process {record[0].pid})"]
    for one in record[1:]:
        if one.restarts or one.note or not one.alive():
            state = f"process {one.pid}" if one.alive() else "not running"
            lines.append(
                f"  {one.name}: {state}, restarts {one.restarts}{', ' + one.note if one.note else ''}"
            )
    return lines


def end_left_behind(home: Path) -> list[Recorded]:
    """End what a killed supervisor has left; who calls holds its lock.

    Returns
    -------
    list of Recorded
        What was left.
    """
    record = read_record(home)
    # the database ends by its own way, and its processes do not name the home
    left = end_recorded(home, [one for one in record if one.name not in (SUPERVISOR, "database")])
    if record:
        write_record(home, [])
    return left


@contextmanager
def guarded(home: Path) -> Iterator[None]:
    """Have everything ended if this process is killed inside of the block, by a small process that outlives it.

    It reads from a pipe whose other end only this process holds, which works on every system, and does then what
    ``oasis down`` does.
    """
    after = (
        sys.executable,
        "-m",
        "oasis_pipeline.commands.main",
        "down",
        "--left-behind",
        "--home",
        str(home),
    )
    with (home / "logs" / "up.log").open("ab") as log:
        guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD, *after],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        assert guard.stdin is not None
        with suppress(BrokenPipeError):
            guard.stdin.write(b"all has ended\n")
            guard.stdin.close()
        guard.wait()


class _Interrupt:
    """An interrupt that waits for the end of what must not be left half done."""

    held = False
    came = False


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def catch_signals() -> None:
    """Make the signals of people, service managers and closed terminals the same: an interrupt."""
    for number in _SIGNALS:
        # a shell that starts it in the background switches SIGINT off; who says nohup wants no SIGHUP
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: object) -> None:
    # pressed again it must not leave processes behind
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    _Interrupt.came = True
    if not _Interrupt.held:
        raise KeyboardInterrupt


@contextmanager
def _uninterrupted() -> Iterator[None]:
    _Interrupt.held = True
    try:
        yield
    finally:
        _Interrupt.held = False
    if _Interrupt.came:
        raise KeyboardInterrupt


def _reap(part: Part) -> None:
    """Take the end of a part; a child that nobody has taken yet keeps its number, so that a kill meets it and its group."""
    if part.process is not None:
        if part.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(part.process.pid, signal.SIGKILL)
        part.process.wait()
    part.process = part.record = None


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def _now() -> str:
    return datetime.now().astimezone().isoformat(" ", "seconds")
