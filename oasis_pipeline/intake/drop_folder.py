"""The drop folder: which files there are, which of them are settled, and how one is claimed, put back and deleted.

Here: names and kinds of entries, the evidence that nobody writes to a file any more, and claims. Not here: what is done
with a file that is claimed (``intake``), and what is in it (``files``).

A file is settled when all of this holds: its end is whole (a final end of line, a complete gzip stream, the footer of a Parquet file) or it
has been still for long, size and time have not changed for a while, and no process that can be seen has it open for writing.
Then it is claimed: renamed, within the folder, to ``.<name>.<token>.taking``, so that a writer that opens it by name makes a new file. A
lock on the claimed file, which ends with its process, tells a claim in use from one that a crash left behind; the next pass takes up
the latter. The token is written to the warehouse with the rows: so a file that was loaded, and whose pass then crashed, is
told from the same content that was dropped once more.

Only regular files that lie in the folder itself are opened. Links are never followed.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import signal
import stat
import time
import zipfile
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from io import BufferedReader
from pathlib import Path

from oasis_pipeline.intake.files import DropName, parse_name
from oasis_pipeline.settings import Settings

PARTIAL_SUFFIXES = (".part", ".tmp", ".filepart")
"""Endings under which uploads lie until they are whole."""

AHEAD = timedelta(days=1)
"""A stamp may lie so far after the field's clock; a file stamped later waits for its time."""

LARGEST_CHECKED_GZIP = 64 << 20
"""A larger gzip file is not unpacked only to see whether it is whole."""

_CLAIM = re.compile(r"\.(?P<name>.+)\.(?P<token>[0-9a-f]{16})\.taking")
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnsettledError(Exception):
    """The file is being written, or became another one; it waits."""


@dataclass(frozen=True)
class DropFile:
    """A regular file of the drop folder, as it was when it was looked at.

    Attributes
    ----------
    path : Path
        Where it lies: under its own name, or under that of a claim.
    drop : DropName
        What its own name says.
    size, mtime_ns, ctime_ns, device, inode : int
    token : str or None
        Of its claim.
    """

    path: Path
    drop: DropName
    size: int
    mtime_ns: int
    ctime_ns: int
    device: int
    inode: int
    token: str | None = None

    @classmethod
    def of(cls, path: Path, drop: DropName, found: os.stat_result, token: str | None = None) -> DropFile:
        """Describe a file by what the system says of it."""
        return cls(
            path,
            drop,
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
            found.st_dev,
            found.st_ino,
            token,
        )

    @property
    def order(self) -> tuple[int, datetime, bool, int, str]:
        """Place in a pass: by kind, stamp, what a crash left behind first, time of writing."""
        return self.drop.kind.order, self.drop.stamp, self.token is None, self.mtime_ns, self.drop.name

    @property
    def fingerprint(self) -> str:
        """Changes when the file is written to, replaced, or dropped once more."""
        return f"{self.path.name} {self.size} {self.mtime_ns} {self.inode} {self.ctime_ns}"

    def same_as(self, found: os.stat_result) -> bool:
        """Whether what the system says now is this file, unchanged."""
        return (self.device, self.inode, self.size, self.mtime_ns) == (
            found.st_dev,
            found.st_ino,
            found.st_size,
            found.st_mtime_ns,
        )

    def still_s(self, now_s: float) -> float | None:
        """Seconds since it was written, by the clock; None if the clock that stamped it runs ahead of ours."""
        ages = (now_s - self.mtime_ns / 1e9, now_s - self.ctime_ns / 1e9)
        return next((age for age in ages if age >= 0), None)


@dataclass
class Listing:
    """What the drop folder holds.

    Attributes
    ----------
    files : list of DropFile
        In the order in which they go.
    early : list of DropFile
        Stamped more than `AHEAD` of the field's clock.
    irregular : list of (str, str)
        Entries with a drop file's name that are no regular files, and what they are.
    unknown : list of str
        Names that fit no kind; those of unfinished uploads and dot files left out.
    """

    files: list[DropFile] = field(default_factory=list)
    early: list[DropFile] = field(default_factory=list)
    irregular: list[tuple[str, str]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def list_drop_folder(folder: Path, now: datetime) -> Listing:
    """Look at every entry of the drop folder; nothing is opened.

    Parameters
    ----------
    folder : Path
    now : datetime
        The field's local time.

    Returns
    -------
    Listing

    Raises
    ------
    OSError
        If the folder can't be read.
    """
    listing = Listing()
    with os.scandir(folder) as entries:
        for entry in entries:
            _sort_in(entry, folder, now, listing)
    listing.files.sort(key=lambda file: file.order)
    listing.early.sort(key=lambda file: file.order)
    listing.irregular.sort()
    listing.unknown.sort()
    return listing


def _sort_in(entry: os.DirEntry[str], folder: Path, now: datetime, listing: Listing) -> None:
    claim = _CLAIM.fullmatch(entry.name)
    drop = parse_name(claim["name"] if claim else entry.name)
    if drop is None:
        if not entry.name.startswith(".") and not entry.name.endswith(PARTIAL_SUFFIXES):
            listing.unknown.append(printable(entry.name))
        return
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return  # gone since
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "no regular file")
        listing.irregular.append((printable(entry.name), kind))
        return
    file = DropFile.of(folder / entry.name, drop, found, claim["token"] if claim else None)
    (listing.early if drop.stamp > now + AHEAD else listing.files).append(file)


def printable(name: str) -> str:
    """A file's name as text that can be stored and shown; bytes that are no UTF-8 as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@dataclass
class Evidence:
    """What is known of files that may still be written to.

    Attributes
    ----------
    settled : list of DropFile
        As they are now.
    waiting : list of (DropFile, str, float)
        The others: as they are now, why they wait, and how long they have to be still from now on.
    """

    settled: list[DropFile] = field(default_factory=list)
    waiting: list[tuple[DropFile, str, float]] = field(default_factory=list)


def judge(files: Iterable[DropFile], settings: Settings, seen_s: float = 0.0) -> Evidence:
    """Tell files that are settled from those that may still be written to.

    Parameters
    ----------
    files : iterable of DropFile
        As they were when they were looked at first.
    settings : Settings
    seen_s : float
        Seconds since they were looked at first: what the clocks can't say is told by watching.

    Returns
    -------
    Evidence
        In the order given; files that are gone are left out.
    """
    evidence = Evidence()
    present = []
    for file in files:
        now = look_again(file)
        if now is not None:
            present.append((file, now))
    writers = open_for_writing({now.path.name for _, now in present})
    clock = time.time()
    for before, now in present:
        if (now.device, now.inode) in writers:
            evidence.waiting.append((now, "a program has it open for writing", settings.settle_seconds))
            continue
        still = now.still_s(clock)
        if still is None:
            still = seen_s if now == before else 0.0
        if still >= settings.unfinished_settle_seconds:
            evidence.settled.append(now)
        elif not is_whole(now):
            rest = settings.unfinished_settle_seconds - still
            evidence.waiting.append((now, "its end is missing", rest))
        elif still < settings.settle_seconds:
            evidence.waiting.append((now, "it has only just been written", settings.settle_seconds - still))
        else:
            evidence.settled.append(now)
    return evidence


def fingerprint_of(path: Path) -> str | None:
    """Fingerprint of whatever stands there now; None if nothing does."""
    drop = parse_name(path.name)
    try:
        return None if drop is None else DropFile.of(path, drop, path.lstat()).fingerprint
    except OSError:
        return None


def look_again(file: DropFile) -> DropFile | None:
    """A file as it is now; None if it is gone, or became something else than a regular file."""
    try:
        found = file.path.lstat()
    except OSError:
        return None
    return DropFile.of(file.path, file.drop, found, file.token) if stat.S_ISREG(found.st_mode) else None


def open_for_writing(names: Collection[str]) -> set[tuple[int, int]]:
    """Find files that a process has open for writing, in one look at all processes.

    Parameters
    ----------
    names : collection of str
        Names of the files, without folder.

    Returns
    -------
    set of (int, int)
        Device and inode. Files of processes that this one may not see are not among them, nor any where there is no ``/proc``.
    """
    found: set[tuple[int, int]] = set()
    for process in Path("/proc").glob("[0-9]*") if names else ():
        try:
            numbers = os.listdir(process / "fd")  # noqa: PTH208 - thousands of paths would take longer than all the rest
        except OSError:
            continue
        for number in numbers:
            try:
                # the name first: to ask a dead network drive for a file's state may take for ever
                if os.readlink(f"{process}/fd/{number}").rpartition("/")[2] not in names:  # noqa: PTH115
                    continue
                info = (process / "fdinfo" / number).read_text()
                flags = next(line for line in info.splitlines() if line.startswith("flags:"))
                if int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY:
                    state = (process / "fd" / number).stat()
                    found.add((state.st_dev, state.st_ino))
            except (OSError, StopIteration, ValueError):
                continue
    return found


def is_whole(file: DropFile) -> bool:
    """Whether the end of a file is there, as far as its format tells."""
    try:
        with open_regular(file.path) as stream:
            if file.drop.suffix == ".csv.gz":
                return _is_whole_gzip(stream, file.size)
            if file.drop.suffix == ".xlsx":
                return zipfile.is_zipfile(stream)
            stream.seek(max(0, file.size - 4))
            end = stream.read(4)
    except OSError:
        return True  # reading it will say what is wrong
    if file.drop.suffix == ".parquet":
        return end == b"PAR1"
    # also of UTF-16, in which an end of line is two bytes
    return end[-1:] in (b"\n", b"\r") or (end[-2:-1] in (b"\n", b"\r") and end[-1:] == b"\0")


def _is_whole_gzip(stream: BufferedReader, size: int) -> bool:
    if not 0 < size <= LARGEST_CHECKED_GZIP:
        return False
    unpacker, data = zlib.decompressobj(wbits=31), b""
    try:
        while data := data or stream.read(1 << 16):
            # what comes out is of no interest, and must not fill the memory
            unpacker.decompress(data, 1 << 20)
            data = unpacker.unconsumed_tail
            if unpacker.eof:
                # several streams may stand one after the other, and zeros after the last
                data = (unpacker.unused_data or stream.read(1 << 16)).lstrip(b"\0")
                if data:
                    unpacker = zlib.decompressobj(wbits=31)
    except zlib.error:
        return False
    return unpacker.eof


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading; a link is not followed, and a pipe not waited for.

    Raises
    ------
    OSError
        If it is something else, or can't be opened.
    """
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(f"{path.name} is not a regular file")
    return os.fdopen(number, "rb")


class Claim:
    """A file that this pass has in hand, by itself.

    Attributes
    ----------
    file : DropFile
        Under the name of the claim.
    stream : file
        Open for reading; holds the lock.
    sure : bool
        Whether the system has said that nobody has it open for writing.
    """

    def __init__(self, file: DropFile, stream: BufferedReader, sure: bool) -> None:
        self.file = file
        self.stream = stream
        self.sure = sure

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.file.path

    def unchanged(self) -> bool:
        """Whether it is as it was when it was claimed, and still where it was."""
        try:
            return self.file.same_as(os.fstat(self.stream.fileno())) and self.file.same_as(self.path.lstat())
        except FileNotFoundError:
            return False

    def delete(self) -> None:
        """Delete it from the drop folder."""
        self.path.unlink(missing_ok=True)
        sync_folder(self.path.parent)
        self.stream.close()

    def put_back(self) -> bool:
        """Give it its own name again, unless a new file has taken that; then it stays claimed, for the next pass (False)."""
        try:
            rename_new(self.path, self.path.with_name(self.file.drop.name))
        except OSError:
            return False
        finally:
            self.stream.close()
        return True


def claim(file: DropFile) -> Claim | None:
    """Claim a settled file.

    Parameters
    ----------
    file : DropFile
        As `judge` saw it; one that a crash left claimed keeps its token.

    Returns
    -------
    Claim or None
        None if another pass has it, or it is gone.

    Raises
    ------
    UnsettledError
        If it is not what it was any more.
    OSError
        If it can't be opened or renamed.
    """
    try:
        stream = open_regular(file.path)
    except FileNotFoundError:
        return None
    try:
        if not _lock(stream):
            stream.close()
            return None
        if not file.same_as(os.fstat(stream.fileno())):
            raise UnsettledError
        if file.token is None:
            token = secrets.token_hex(8)
            path = file.path.with_name(f".{file.drop.name}.{token}.taking")
            file.path.rename(path)
            file = replace(file, path=path, token=token)
        mine = Claim(file, stream, sure=False)
        if not mine.unchanged():
            # somebody put another file there in the very moment
            mine.put_back()
            raise UnsettledError
        written = _open_for_writing_now(stream)
        if written:
            mine.put_back()
            raise UnsettledError
        mine.sure = written is False
    except FileNotFoundError:
        stream.close()
        return None
    except BaseException:
        stream.close()
        raise
    return mine


def _lock(stream: BufferedReader) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: then only one pass may use it at a time
    return True


def _open_for_writing_now(stream: BufferedReader) -> bool | None:
    """Ask the kernel whether any process has a file open for writing; None if it does not tell."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        # a writer that comes while the lease lasts waits, and this process is sent a signal that would end it by default
        fcntl.fcntl(stream, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(stream, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    fcntl.fcntl(stream, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def rename_new(source: Path, target: Path) -> None:
    """Rename a file to a name that nothing has.

    Raises
    ------
    FileExistsError
        If something has that name.
    OSError
        If it can't be done, for instance because the target is on another file system.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # file systems without links of this kind
        if os.path.lexists(target):
            raise FileExistsError(f"{target} exists") from None
        source.rename(target)
        return
    source.unlink()


def sync_folder(folder: Path) -> None:
    """Make renames and deletions in a folder durable."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
