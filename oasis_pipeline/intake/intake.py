"""The life of a drop file, and one pass over the drop folder.

Here: which files there are, in which order they go, and the steps of a file's life with what happens if one fails. Not
here: what is in a file (``files``, ``rules``), the transaction that loads it (``load``), the archive (``archive``).

Steps of a file's life, each only after the one before is durable: ``loaded`` (one transaction), ``first_day`` (noted
in the home folder), ``archived`` (read back and compared), ``marked`` (the warehouse knows of it), ``deleted``. A file is
known by kind, stamp and the hash of its bytes: after a crash at any point the next pass finds what was done, and goes on
from there. A file that can't be read goes to ``rejected/``: ``reason`` (the text beside it), then ``moved``.

A file may still be written while it is seen. One that changes while it is read is left for the next pass, and a fresh
one (under two seconds old) that looks unfinished or can't be read is looked at again when it has settled. What slips
through (a writer that pauses for longer) is loaded again under its full content, as a later arrival of the same stamp.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from oasis_pipeline.home import make_home
from oasis_pipeline.intake.archive import ArchiveError, archive_file, archive_name, first_day_seen
from oasis_pipeline.intake.failures import RuleFileError, read_rules, reduce_again
from oasis_pipeline.intake.files import DropName, archive_path, parse_name, read_chunks
from oasis_pipeline.intake.load import Context, FileReport, load_file
from oasis_pipeline.intake.marks import Marks
from oasis_pipeline.intake.unpacking import UnreadableFileError
from oasis_pipeline.schema.system_tables import FILE
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Transaction, Warehouse

_log = logging.getLogger(__name__)

SETTLED_SECONDS = 2.0
"""A file this old that can't be read is not one that is still being written."""

OnStep = Callable[[str, str], None]
Progress = Callable[[int, int, str], None]


@dataclass
class PassReport:
    """What one pass did.

    Attributes
    ----------
    files : list of FileReport
        In the order in which they were taken in.
    rejected_files : list of (str, str)
        Name and reason.
    unknown_files : list of str
        Names that fit no kind; they stay where they are.
    warnings : list of str
        One clear line each.
    changed : dict of str to dict of str to int
        Asset -> partition (empty for an asset without) -> rows that changed.
    first_day : date or None
        First day of any row kept by day.
    """

    files: list[FileReport] = field(default_factory=list)
    rejected_files: list[tuple[str, str]] = field(default_factory=list)
    unknown_files: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    changed: dict[str, dict[str, int]] = field(default_factory=dict)
    first_day: date | None = None


class _UnsettledError(Exception):
    """The file is being written; it waits for the next pass."""


@dataclass(frozen=True)
class _Seen:
    """A file as it was when it was looked at."""

    path: Path
    drop: DropName
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def look(cls, path: Path, drop: DropName) -> _Seen:
        found = path.stat()
        return cls(path, drop, found.st_size, found.st_mtime_ns, found.st_ino)

    @property
    def age_s(self) -> float:
        """Seconds since it was written; a clock that runs ahead makes it old, not for ever new."""
        age = time.time() - self.mtime_ns / 1e9
        return age if age >= 0 else SETTLED_SECONDS

    def unchanged(self) -> bool:
        try:
            return _Seen.look(self.path, self.drop) == self
        except FileNotFoundError:
            return False


def take_in(
    warehouse: Warehouse,
    store: ObjectStore,
    settings: Settings,
    *,
    progress: Progress | None = None,
    on_step: OnStep | None = None,
) -> PassReport:
    """Take in every file of the drop folder; one pass.

    Parameters
    ----------
    warehouse : Warehouse
    store : ObjectStore
    settings : Settings
        Drop folder, home, first day accepted.
    progress : callable, optional
        Called with (files done, files in all, name) before each file, and at the end.
    on_step : callable, optional
        Called with (step, name) after each durable step of a file's life, and as ``loading`` just before the
        transaction is committed.

    Returns
    -------
    PassReport

    Raises
    ------
    StorageError
        If the warehouse does not answer. Anything that is wrong with a file is in the report instead.
    """
    report = PassReport()
    step: OnStep = on_step or (lambda _step, _name: None)
    tell: Progress = progress or (lambda _done, _all, _name: None)
    _note_first_day(warehouse, settings, report)
    drops = _list_drops(settings.drop, report)
    _tell_lost(warehouse, settings, report)
    try:
        context = Context(settings.earliest_day, read_rules(settings.home), settings.zone)
        with warehouse.transaction() as tx:
            marks = Marks()
            if reduce_again(tx, context.failure_rules, marks):
                marks.write(tx)
                _gather(marks.changed, report)
    except RuleFileError as error:
        report.warnings.append(f"{error}; files of failures wait")
        drops = [seen for seen in drops if seen.drop.kind.name != "Failures"]
        context = Context(settings.earliest_day, [], settings.zone)
    for done, seen in enumerate(drops):
        tell(done, len(drops), seen.drop.name)
        try:
            _live(seen, warehouse, store, settings, context, report, step)
        except FileNotFoundError:
            continue  # another pass was quicker
        except _UnsettledError:
            report.warnings.append(f"{seen.drop.name} is still being written; it waits for the next pass")
        except ArchiveError as error:
            report.warnings.append(str(error))
        except OSError as error:
            report.warnings.append(
                f"{seen.drop.name}: {error.strerror or error}; it is left where it is. Check its owner and permissions"
            )
        except StorageError as error:
            warehouse.query("SELECT 1")  # raises if it is the warehouse that is gone
            report.warnings.append(
                f"{seen.drop.name}: {error}; it is left where it is and tried again in the next pass"
            )
        except Exception as error:
            # One file must not keep the others out; nothing of it is stored, and the log has the whole story.
            _log.exception("%s could not be taken in", seen.drop.name)
            report.warnings.append(f"{seen.drop.name}: unexpected {error!r}; it is left where it is")
    tell(len(drops), len(drops), "")
    _note_first_day(warehouse, settings, report)
    return report


def _list_drops(folder: Path, report: PassReport) -> list[_Seen]:
    """Files of the folder in the order in which they go: WellDetails first, then by kind, stamp and time of arrival."""
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        report.warnings.append(f"there is no drop folder {folder}")
        return []
    except OSError as error:
        report.warnings.append(f"can't read the drop folder {folder}: {error.strerror}")
        return []
    found: list[_Seen] = []
    for path in entries:
        drop = parse_name(path.name)
        if drop is None or path.is_dir():
            report.unknown_files.append(path.name)
            report.warnings.append(
                f"{path.name!r} is no name of a drop file (<Kind>.E2E.<YYYYMMDD>.<HHMM>.csv ...); it is left where it is"
            )
            continue
        try:
            found.append(_Seen.look(path, drop))
        except FileNotFoundError:
            continue
        except OSError as error:
            report.warnings.append(f"{path.name}: {error.strerror}; it is left where it is")
    return sorted(
        found, key=lambda seen: (seen.drop.kind.order, seen.drop.stamp, seen.mtime_ns, seen.drop.name)
    )


def _tell_lost(warehouse: Warehouse, settings: Settings, report: PassReport) -> None:
    """Warn of files that were loaded but went out of the drop folder before they were archived."""
    waiting = warehouse.query(
        f"SELECT kind, stamp, source_file FROM {FILE.full_name} WHERE NOT archived"
    ).to_pylist()
    for row in waiting:
        own_name = f"{row['kind']}.E2E.{row['stamp']:%Y%m%d.%H%M}"
        if not any(settings.drop.glob(f"{own_name}.*")):
            report.warnings.append(
                f"{row['source_file']} was loaded, but is not in the archive nor in the drop folder: its rows stand, its days "
                "can't be made again from the archive. Put the file back"
            )


def _live(
    seen: _Seen,
    warehouse: Warehouse,
    store: ObjectStore,
    settings: Settings,
    context: Context,
    report: PassReport,
    step: OnStep,
) -> None:
    """Go through the life of a file, from wherever an earlier pass left it."""
    seen = _settle(seen)
    began = time.monotonic()
    sha256 = _hash(seen)
    try:
        done, archived = _load(seen, sha256, warehouse, context, report, step)
    except UnreadableFileError as error:
        fresh = seen.age_s < SETTLED_SECONDS
        if fresh:
            time.sleep(SETTLED_SECONDS - seen.age_s)
        if not seen.unchanged():
            raise _UnsettledError from error
        _reject(seen, sha256, str(error), settings, report, step)
        return
    done.seconds = time.monotonic() - began
    report.files.append(done)
    name = done.source_file
    if not done.already_loaded:
        _note_first_day(warehouse, settings, report)
        step("first_day", name)
    if not (archived and store.size(archive_path(seen.drop.kind, name)) == seen.size):
        archive_file(store, seen.drop.kind, name, seen.path, sha256)
        step("archived", name)
        with warehouse.transaction() as tx:
            tx.execute(f"UPDATE {FILE.full_name} SET archived = true WHERE source_file = $1", (name,))
        step("marked", name)
    if not seen.unchanged():
        raise _UnsettledError  # a new file of that name: not the one that was archived
    seen.path.unlink(missing_ok=True)
    _sync(seen.path.parent)
    step("deleted", name)
    done.seconds = time.monotonic() - began


def _settle(seen: _Seen) -> _Seen:
    """Give a fresh text file without an end of line the time to be finished; its last line may be half a one."""
    if seen.age_s >= SETTLED_SECONDS or seen.drop.suffix not in (".csv", ".ndjson"):
        return seen
    with seen.path.open("rb") as file:
        file.seek(max(0, seen.size - 1))
        finished = file.read(1) in (b"\n", b"\r")
    if not finished:
        time.sleep(max(0.0, SETTLED_SECONDS - seen.age_s))
    now = _Seen.look(seen.path, seen.drop)
    if now != seen and now.age_s < SETTLED_SECONDS:
        raise _UnsettledError
    return now


def _hash(seen: _Seen) -> str:
    with seen.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if not seen.unchanged():
        raise _UnsettledError
    return sha256


def _load(
    seen: _Seen, sha256: str, warehouse: Warehouse, context: Context, report: PassReport, step: OnStep
) -> tuple[FileReport, bool]:
    """Load a file, unless it is known; also tells whether it is archived."""
    known = _known(warehouse, seen.drop, sha256)
    if known is not None:
        return known
    with warehouse.transaction() as tx:
        tx.lock("intake")
        # Another pass may have loaded it while this one waited for the lock.
        known = _known(tx, seen.drop, sha256)
        if known is not None:
            return known
        name = seen.drop.name
        taken = tx.query(f"SELECT 1 AS n FROM {FILE.full_name} WHERE source_file = $1", (name,)).num_rows
        source_file = archive_name(name, seen.drop.suffix, sha256) if taken else name
        chunks = read_chunks(seen.path, seen.drop.suffix, seen.drop.kind)
        done, changed, warnings = load_file(tx, seen.drop, chunks, source_file, sha256, context)
        if not seen.unchanged():
            raise _UnsettledError
        step("loading", source_file)
    step("loaded", source_file)
    report.warnings += warnings
    _gather(changed, report)
    return done, False


def _gather(changed: dict[str, dict[str, int]], report: PassReport) -> None:
    for asset, partitions in changed.items():
        mine = report.changed.setdefault(asset, {})
        for partition, rows in partitions.items():
            mine[partition] = mine.get(partition, 0) + rows


def _known(source: Warehouse | Transaction, drop: DropName, sha256: str) -> tuple[FileReport, bool] | None:
    found = source.query(
        f"SELECT source_file, rows, stored, superseded, rejected, ignored_columns, archived FROM {FILE.full_name} "
        "WHERE kind = $1 AND stamp = $2::timestamp AND sha256 = $3",
        (drop.kind.name, drop.stamp, sha256),
    ).to_pylist()
    if not found:
        return None
    row = found[0]
    ignored = row["ignored_columns"].split(", ") if row["ignored_columns"] else []
    report = FileReport(
        row["source_file"],
        drop.kind.name,
        row["rows"],
        row["stored"],
        row["superseded"],
        row["rejected"],
        ignored,
    )
    report.already_loaded = True
    return report, bool(row["archived"])


def _reject(
    seen: _Seen, sha256: str, reason: str, settings: Settings, report: PassReport, step: OnStep
) -> None:
    """Move a file that can't be read beside the drop folder, the reason first."""
    folder = settings.rejected_files
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        # a power cut would take the folder with all that was moved into it
        _sync(folder.parent)
    name = seen.drop.name
    target = folder / name
    if target.exists() and _digest(target) != sha256:
        target = folder / archive_name(name, seen.drop.suffix, sha256)
    _write_whole(folder / f"{target.name}.reason.txt", f"{reason}\n")
    step("reason", name)
    shutil.move(seen.path, target)
    _sync(folder)
    _sync(seen.path.parent)
    step("moved", name)
    report.rejected_files.append((name, reason))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_whole(path: Path, text: str) -> None:
    """Write a small file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync(path.parent)


def _note_first_day(warehouse: Warehouse, settings: Settings, report: PassReport) -> None:
    """Keep the first day where the graph finds it without a connection; it only ever moves back."""
    seen = first_day_seen(warehouse)
    noted = read_first_day(settings)
    report.first_day = min((day for day in (seen, noted) if day is not None), default=None)
    if report.first_day is not None and report.first_day != noted:
        make_home(settings.home)
        write_first_day(settings, report.first_day)


def write_first_day(settings: Settings, day: date) -> None:
    """Note the first day; the home folder has to be there.

    Parameters
    ----------
    settings : Settings
    day : date
    """
    _write_whole(settings.first_day_file, day.isoformat())


def read_first_day(settings: Settings) -> date | None:
    """First day that intake has noted; None if there is no note, or none that can be read.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    date or None
    """
    try:
        return date.fromisoformat(settings.first_day_file.read_text("utf-8").strip())
    except (OSError, ValueError):
        return None


def _sync(folder: Path) -> None:
    """Make renames and deletions in a folder durable."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
