"""The home folder as a place on a shared machine: closed to others, with locks, and a list of what runs for it.

Here: the rights of the folder and of locks, and processes by identity (number, moment of start, home), so that a command finds and
ends exactly those that an earlier one started. Not here: which processes there are (``commands.supervision``), and the database's
(``storage.embedded``).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

_log = logging.getLogger(__name__)

_RECORD = "running.json"
_GRACE_S = 20.0
_KILL_S = 10.0
_OVER = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def make_home(home: Path, group: int | None = None) -> Path:
    """Make a home folder that only its owner can enter, and close one that an older release left open.

    Parameters
    ----------
    home : Path
        The folder; made with everything above it if absent.
    group : int, optional
        Group that may pass through (not list) it besides: as root, that of the user PostgreSQL runs as.

    Returns
    -------
    Path
        The folder. One that belongs to somebody else, or that all may write to (``/tmp``), is left as it is; so are rights that the
        owner gave to a group.
    """
    if not home.is_dir():
        home.parent.mkdir(parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)
    there = home.stat()
    mode = stat.S_IMODE(there.st_mode)
    if there.st_uid != os.geteuid() or mode & stat.S_ISVTX or home == Path(home.anchor):
        return home
    wanted = stat.S_IRWXU if mode & stat.S_IRWXO else mode
    if group is not None:
        wanted = stat.S_IRWXU | stat.S_IXGRP
    try:
        if group is not None and there.st_gid != group:
            os.chown(home, -1, group)
        if wanted != mode:
            home.chmod(wanted)
    except OSError as error:
        # a file system without owners and rights, for example
        _log.warning("can't close %s to other users: %s", home, error.strerror)
        return home
    if mode & stat.S_IRWXO:
        _log.warning(
            "closed %s to other users; what others write to belongs elsewhere: OASIS_DATA_PATH", home
        )
    return home


def open_lock(file: Path) -> IO[str]:
    """Open a file to lock it: made if absent, for nobody but its owner, since whoever can open it can hold it for ever."""
    opened = os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
    if os.fstat(opened.fileno()).st_mode & 0o077:
        with suppress(PermissionError):
            os.fchmod(opened.fileno(), 0o600)
    return opened


def write_private(file: Path, text: str) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    new = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(descriptor)
    new.replace(file)


@dataclass(frozen=True)
class Recorded:
    """A process that was started for a home, and how it has fared.

    Attributes
    ----------
    name : str
        What it is to people, `web server` for example.
    pid : int
        Its number, which is that of its group too; 0 while it does not run.
    started : str
        Mark of the moment of its start, which tells it from a later process with the same number.
    command : str
        What was started.
    restarts : int
        How often it has been started again.
    note : str
        What was last said about it.
    """

    name: str
    pid: int
    started: str
    command: str
    restarts: int = 0
    note: str = ""

    def alive(self) -> bool:
        """Whether it still runs: this process, not another one that has got its number."""
        return self.pid > 0 and start_mark(self.pid) == self.started


def start_mark(pid: int) -> str:
    """Mark of the moment when a process was started; empty if there is none.

    It does not depend on the clock where the system has another measure: a clock that is set would make everything a stranger.
    """
    try:
        process = psutil.Process(pid)
        if process.status() in _OVER:
            return ""
        if sys.platform == "linux":
            # ticks since the system was started: field 22, counted after the name, which may hold anything
            ticks = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            return f"{boot}/{ticks}"
        return f"{process.create_time():.3f}"
    except (psutil.Error, OSError, IndexError):
        return ""


def identify(name: str, pid: int, command: Iterable[str]) -> Recorded:
    """Take down who a process is that runs now."""
    return Recorded(name, pid, start_mark(pid), " ".join(command))


def write_record(home: Path, processes: Iterable[Recorded]) -> None:
    """Write down what runs for a home; empty if nothing does."""
    write_private(home / _RECORD, json.dumps([asdict(process) for process in processes], indent=1) + "\n")


def read_record(home: Path) -> list[Recorded]:
    """Read what was written down; empty without a record, or if it can't be read."""
    try:
        return [Recorded(**entry) for entry in json.loads((home / _RECORD).read_text())]
    except (OSError, ValueError, TypeError):
        return []


def end_recorded(home: Path, processes: Iterable[Recorded], grace_s: float = _GRACE_S) -> list[Recorded]:
    """End recorded processes with all of their groups: politely first, then without asking.

    Parameters
    ----------
    home : Path
        Home they were started for: a process of such a group counts only if its environment names this home, so that a number
        that was given away again hits nobody else.
    processes : iterable of Recorded
        Leaders of their groups; those that ended, and what they left in their groups, too.
    grace_s : float
        Time between the two.

    Returns
    -------
    list of Recorded
        Those of which something was left to end.
    """
    wanted = {process.pid: process for process in processes if process.pid > 0}
    met: dict[psutil.Process, int] = {}

    def left() -> list[psutil.Process]:
        # one on its way out has no environment any more, but still its port and its locks: it is waited for to its end
        met.update(_members(home, wanted))
        return [member for member in met if not is_over(member)]

    def signal_all(number: int) -> bool:
        """True if there was nobody to signal."""
        found = left()
        for member in found:
            with suppress(psutil.Error):
                member.send_signal(number)
        return not found

    signal_all(signal.SIGTERM)
    if not until(lambda: not left(), grace_s):
        # again and again: a process may have started another one between the look and the signal
        until(lambda: signal_all(signal.SIGKILL), _KILL_S)
    return [wanted[pid] for pid in dict.fromkeys(met.values())]


def _members(home: Path, wanted: dict[int, Recorded]) -> list[tuple[psutil.Process, int]]:
    """Processes of the groups that are still what was recorded."""
    # a number that somebody else has got says nothing of the group any more
    mine = {pid for pid, one in wanted.items() if start_mark(pid) in ("", one.started)}
    found = []
    for process in list_processes():
        try:
            group = os.getpgid(process.pid)
            if group not in mine or process.status() in _OVER:
                continue
            if process.environ().get("OASIS_HOME") != str(home):
                continue
        except (psutil.Error, OSError):
            continue
        found.append((process, group))
    return found


def list_processes() -> Iterator[psutil.Process]:
    """Every process that runs, as it is now.

    `psutil.process_iter` keeps what it met before: a process with a number given away again would be taken for the earlier one,
    which is over.
    """
    for pid in psutil.pids():
        with suppress(psutil.Error):
            yield psutil.Process(pid)


def is_over(process: psutil.Process) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return not process.is_running() or process.status() in _OVER
    except psutil.Error:
        return True


def until(condition: Callable[[], bool], seconds: float, pause_s: float = 0.05) -> bool:
    """Wait until something is true, not longer than this; whether it became true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause_s)
    return True
