"""The life of a drop file, and one pass over the drop folder.

Here: in which order files go, the wait for those that have only just been written, and the steps of a file's life with what happens if
one fails. Not here: what lies in the folder and when a file is settled (``drop_folder``), what is in a file (``files``, ``rules``), the
transaction that loads it (``load``), the archive (``archive``).

Steps of a file's life, each only after the one before is durable: ``claimed`` (renamed, so that nobody else writes to it by name),
``loaded`` (one transaction), ``first_day`` (noted in the home folder), ``archived`` (read back and compared), ``marked`` (the warehouse
knows of it), ``deleted``. A file is known by kind, stamp and the hash of its bytes: after a crash at any point the next pass finds what was
done, and goes on from there. A file that can't be read goes to ``rejected/``: ``reason`` (the text beside it), then ``moved``.

Of files with one stamp the one that arrives later wins, also when its content was seen before: A, B, A ends with A. Only the newest one
that is dropped again changes nothing. A file whose pass crashed is no new arrival: its claim tells.

What comes into a file after it was read is found before it is deleted: the file goes back under its own name, and is taken in whole as a later
arrival of the same stamp.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import secrets
import shutil
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from oasis_pipeline.intake.archive import ArchiveError, archive_file, archive_name
from oasis_pipeline.intake.chunks import CHUNK_BYTES, Chunk
from oasis_pipeline.intake.drop_folder import (
    Claim,
    DropFile,
    Listing,
    UnsettledError,
    claim,
    fingerprint_of,
    judge,
    list_drop_folder,
    open_for_writing,
    open_regular,
    rename_new,
    sync_folder,
)
from oasis_pipeline.intake.failures import RuleFileError, read_rules, reduce_again
from oasis_pipeline.intake.files import archive_path, read_chunks
from oasis_pipeline.intake.load import Context, FileReport, load_file
from oasis_pipeline.intake.marks import Marks
from oasis_pipeline.intake.rules import Checked, CheckedFile, Rules
from oasis_pipeline.intake.unpacking import UnreadableFileError
from oasis_pipeline.schema.system_tables import FILE, LEFT_FILE
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.first_days import (
    SOURCES,
    forget_gone_days,
    note_first_days,
    read_first_day,
    read_first_reading_day,
)
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Transaction, Warehouse

_log = logging.getLogger(__name__)

CLAIMS = 64
"""Files claimed at once; of a pass that is killed at most so many are left claimed, for the next one."""

NAMED = 20
"""Files named one by one in warnings of one kind; the rest is counted."""

ROUNDS = 3
"""So often a pass takes up files that settled while it was at work."""

WATCH_SECONDS = 0.5
"""Between two looks at files that are waited for."""

_SLACK_SECONDS = 0.05

_Item = TypeVar("_Item")

OnStep = Callable[[str, str], None]
Progress = Callable[[int, int, str], None]
OnWait = Callable[[list[str], float], None]


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
    left : dict of str to str
        Name -> why it stays in the drop folder, for files of a known kind.
    warnings : list of str
        One clear line each.
    notes : list of str
        What was done that a person may want to know: waits, files dropped again.
    changed : dict of str to dict of str to int
        Asset -> partition (empty for an asset without) -> rows that changed.
    first_day : date or None
        First day of cards and vendor results.
    stray_rows : dict of str to str
        Calendar -> a line on rows that lie far before its first day and do not move it.
    """

    files: list[FileReport] = field(default_factory=list)
    rejected_files: list[tuple[str, str]] = field(default_factory=list)
    unknown_files: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changed: dict[str, dict[str, int]] = field(default_factory=dict)
    first_day: date | None = None
    stray_rows: dict[str, str] = field(default_factory=dict)


def take_in(
    warehouse: Warehouse,
    store: ObjectStore,
    settings: Settings,
    *,
    progress: Progress | None = None,
    on_wait: OnWait | None = None,
    on_step: OnStep | None = None,
) -> PassReport:
    """Take in every file of the drop folder; one pass.

    Files that have only just been written are waited for, as long as it takes them to settle if nobody writes on
    (`Settings.settle_seconds`, `Settings.unfinished_settle_seconds`); what is not settled by then is left, and named.

    Parameters
    ----------
    warehouse : Warehouse
    store : ObjectStore
    settings : Settings
        Drop folder, home, first day accepted, time zone, how long a file has to be still.
    progress : callable, optional
        Called with (files done, files in all, name) before each file, and at the end.
    on_wait : callable, optional
        Called with (names, seconds) when the pass begins to wait for files to settle.
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
    waits_for_rules: dict[str, str] = {}
    forget_gone_days(warehouse)
    step: OnStep = on_step or (lambda _step, _name: None)
    tell: Progress = progress or (lambda _done, _all, _name: None)
    _note_first_days(warehouse, settings, report)
    listing = _list(settings, report)
    _tell_lost(warehouse, settings, listing, report)
    files = listing.files
    try:
        context = Context(settings.earliest_day, read_rules(settings.home), settings.zone)
        with warehouse.transaction() as tx:
            marks = Marks()
            if reduce_again(tx, context.failure_rules, marks):
                marks.write(tx)
                _gather(marks.changed, report)
    except RuleFileError as error:
        report.warnings.append(f"{error}; files of failures wait")
        waits_for_rules = {file.drop.name: str(error) for file in files if file.drop.kind.name == "Failures"}
        files = [file for file in files if file.drop.kind.name != "Failures"]
        context = Context(settings.earliest_day, [], settings.zone)
    files, waiting = _wait(files, settings, report, on_wait or (lambda _names, _seconds: None))
    life = _Life(warehouse, store, settings, context, report, step)
    done, known = 0, len(files)
    for _ in range(ROUNDS):
        again: list[DropFile] = []
        with (
            closing(_claimed(files, report, again)) as claims,
            ThreadPoolExecutor(1, thread_name_prefix="intake-reader") as reader,
            closing(_read_ahead(claims, context, reader)) as read,
        ):
            for mine, checked in read:
                tell(done, known, mine.file.drop.name)
                done += 1
                again += _live_or_leave(mine, checked, life)
        # what has settled while the others were taken in, what came in the meantime into a file that was read included
        later = judge([*waiting, *again], settings)
        for file, why, _ in later.waiting:
            report.left[file.drop.name] = f"is still being written ({why}); it waits for the next pass"
        waiting, files = [file for file, _, _ in later.waiting], sorted(later.settled, key=lambda f: f.order)
        if not files:
            break
        for file in files:
            report.left.pop(file.drop.name, None)
    for file in files:
        report.left[file.drop.name] = "is still being written; it waits for the next pass"
    tell(done, max(known, done), "")
    _warn_of_each([f"{name} {why}" for name, why in report.left.items()], report)
    _note_left(warehouse, settings.drop, {**report.left, **waits_for_rules})
    _note_first_days(warehouse, settings, report)
    report.warnings += report.stray_rows.values()
    return report


def _list(settings: Settings, report: PassReport) -> Listing:
    """Look at the drop folder, and name what can't be taken in."""
    folder = settings.drop
    try:
        listing = list_drop_folder(folder, settings.field_now())
    except FileNotFoundError:
        report.warnings.append(f"there is no drop folder {folder}")
        return Listing()
    except OSError as error:
        report.warnings.append(f"can't read the drop folder {folder}: {error.strerror}")
        return Listing()
    report.unknown_files = [*listing.unknown, *(name for name, _ in listing.irregular)]
    _warn_of_each(
        [
            f"{name!r} is not the name of a drop file (<Kind>.E2E.<YYYYMMDD>.<HHMM>.csv ...); it is left in place"
            for name in listing.unknown
        ],
        report,
    )
    for name, what in listing.irregular:
        report.left[name] = (
            f"is {what}; only regular files in the folder itself are loaded; it is left in place"
        )
    for file in listing.early:
        report.left[file.drop.name] = (
            f"is stamped {file.drop.stamp:%Y-%m-%d %H:%M}, more than a day ahead of the field's clock "
            f"({settings.field_now():%Y-%m-%d %H:%M}, {settings.timezone}); it is left in place until its time comes, or it is renamed"
        )
    return listing


def _wait(
    files: list[DropFile], settings: Settings, report: PassReport, on_wait: OnWait
) -> tuple[list[DropFile], list[DropFile]]:
    """Wait for files that have only just been written; answer with those that are settled, and the others."""
    began = time.monotonic()
    evidence = judge(files, settings)
    settled = evidence.settled
    now = time.monotonic()
    ends = {file.path: now + rest + _SLACK_SECONDS for file, _, rest in evidence.waiting}
    names = sorted(file.drop.name for file, _, _ in evidence.waiting)
    if ends:
        on_wait(names, max(ends.values()) - now)
    while (
        rest := max((ends[file.path] for file, _, _ in evidence.waiting), default=0.0) - time.monotonic()
    ) > 0:
        time.sleep(min(WATCH_SECONDS, rest))
        # those that were seen first: what has changed since then has to be still anew
        watched = [file for file in files if file.path in {waits.path for waits, _, _ in evidence.waiting}]
        evidence = judge(watched, settings, time.monotonic() - began)
        settled = [*settled, *evidence.settled]
    for file, why, _ in evidence.waiting:
        report.left[file.drop.name] = f"is still being written ({why}); it waits for the next pass"
    came = [name for name in names if name not in report.left]
    if came:
        shown = ", ".join(came[:3]) + (f" and {len(came) - 3} more" if len(came) > 3 else "")
        report.notes.append(
            f"waited {time.monotonic() - began:.1f} s for {shown} to settle: only just written"
        )
    return sorted(settled, key=lambda file: file.order), [file for file, _, _ in evidence.waiting]


def _claimed(files: list[DropFile], report: PassReport, again: list[DropFile]) -> Generator[Claim]:
    """Claim files, some at a time, in order; what is open for writing after all is put back."""
    for start in range(0, len(files), CLAIMS):
        mine: list[Claim] = []
        for file in files[start : start + CLAIMS]:
            try:
                claimed = claim(file)
            except UnsettledError:
                again.append(file)
            except OSError as error:
                report.left[file.drop.name] = (
                    f"can't be opened and renamed ({error.strerror or error}); it is left in place. Check its owner and "
                    "permissions, and those of the folder"
                )
            else:
                if claimed is not None:  # otherwise another pass was quicker
                    mine.append(claimed)
        # after the renaming nobody opens it by name any more: who has it open now is the last one
        unsure = {each.path.name for each in mine if not each.sure}
        writers = open_for_writing(unsure)
        try:
            while mine:
                each = mine.pop(0)
                if (each.file.device, each.file.inode) in writers:
                    again += _put_back(each)
                else:
                    yield each
        finally:
            for each in mine:
                each.put_back()


def _read_ahead(
    claims: Iterable[Claim], context: Context, reader: ThreadPoolExecutor
) -> Generator[tuple[Claim, CheckedFile]]:
    """Hand on claimed files with their rows; the next file is read and checked in a thread while the one before is stored."""
    held: deque[tuple[Claim, CheckedFile]] = deque()
    try:
        for mine in claims:
            drop = mine.file.drop
            rules = Rules(drop, context.earliest_day, context.zone)
            chunks = _checked(mine, rules)
            # how much comes out of a packed file is not known before, and a large one has a next chunk of its own
            small = drop.suffix in (".csv", ".ndjson") and mine.file.size <= CHUNK_BYTES
            ahead = _begun(chunks, reader) if small else _one_ahead(chunks, reader)
            held.append((mine, CheckedFile(drop, rules, ahead)))
            if len(held) > 1:
                yield held.popleft()
        while held:
            yield held.popleft()
    finally:
        for mine, _ in held:
            mine.put_back()


def _checked(mine: Claim, rules: Rules) -> Iterator[tuple[Chunk, Checked]]:
    for chunk in read_chunks(mine.path, mine.file.drop.suffix, mine.file.drop.kind):
        yield chunk, rules.check(chunk)


def _begun(items: Iterator[_Item], reader: ThreadPoolExecutor) -> Iterator[_Item]:
    """Hand on items that a thread gets from now on, all of them."""
    future = reader.submit(list, items)

    def hand_on() -> Iterator[_Item]:
        yield from future.result()

    return hand_on()


def _one_ahead(items: Iterator[_Item], reader: ThreadPoolExecutor) -> Iterator[_Item]:
    """Hand on items, each while a thread gets the next one."""
    future = reader.submit(next, items, None)
    while (item := future.result()) is not None:
        future = reader.submit(next, items, None)
        yield item


def _put_back(mine: Claim) -> list[DropFile]:
    """Put a file back, and answer with it under its own name; with nothing if a new file has that."""
    own = replace(mine.file, path=mine.path.with_name(mine.file.drop.name), token=None)
    return [own] if mine.put_back() else []


def _tell_lost(warehouse: Warehouse, settings: Settings, listing: Listing, report: PassReport) -> None:
    """Warn of files that were loaded but went out of the drop folder before they were archived."""
    if settings.drop in settings.fetched_drops():
        return  # passes over the drop folder tell it, of both
    waiting = warehouse.query(
        f"SELECT kind, stamp, source_file FROM {FILE.full_name} WHERE NOT archived"
    ).to_pylist()
    there = {(file.drop.kind.name, file.drop.stamp) for file in listing.files}
    for folder in settings.fetched_drops():
        with suppress(FileNotFoundError):
            waits = list_drop_folder(folder, settings.field_now()).files
            there |= {(file.drop.kind.name, file.drop.stamp) for file in waits}
    _warn_of_each(
        [
            f"{row['source_file']} was loaded, but is not in the archive nor in the drop folder: its rows are kept, but its days "
            "can't be loaded again from the archive. Put the file back"
            for row in waiting
            if (row["kind"], row["stamp"]) not in there
        ],
        report,
    )


def _note_left(warehouse: Warehouse, folder: Path, left: dict[str, str]) -> None:
    """Write down what was left and why, for ``oasis status``, and for the sensor, which is not to start a pass for it at every tick."""
    where = str(folder)
    before = warehouse.query(
        f"SELECT name, reason, fingerprint FROM {LEFT_FILE.full_name} WHERE folder = $1", (where,)
    ).to_pylist()
    now = [
        {"name": name, "reason": why, "fingerprint": fingerprint_of(folder / name)}
        for name, why in sorted(left.items())
    ]
    if sorted(before, key=lambda row: str(row["name"])) == now:
        return
    with warehouse.transaction() as tx:
        tx.lock("left files")
        tx.execute(f"DELETE FROM {LEFT_FILE.full_name} WHERE folder = $1", (where,))
        rows = [{**row, "folder": where, "left_at": datetime.now(UTC)} for row in now]
        if rows:
            schema = pa.schema(pa.field(column.name, column.type.arrow) for column in LEFT_FILE.columns)
            tx.upsert(LEFT_FILE, pa.Table.from_pylist(rows, schema=schema))


def left_files(warehouse: Warehouse, folder: Path) -> list[dict[str, Any]]:
    """Files that the last pass left in a drop folder.

    Parameters
    ----------
    warehouse : Warehouse
    folder : Path

    Returns
    -------
    list of dict
        ``name``, ``reason``, ``fingerprint``, ``left_at``; those that are there no more, or are other files by now, left out.
    """
    rows = warehouse.query(
        f"SELECT name, reason, fingerprint, left_at FROM {LEFT_FILE.full_name} WHERE folder = $1 ORDER BY name",
        (str(folder),),
    ).to_pylist()
    return [row for row in rows if fingerprint_of(folder / row["name"]) == row["fingerprint"] is not None]


def _warn_of_each(lines: list[str], report: PassReport) -> None:
    """One warning a file, up to a number that a person reads."""
    report.warnings += lines[:NAMED]
    if len(lines) > NAMED:
        report.warnings.append(f"... and {len(lines) - NAMED} more files with similar warnings")


@dataclass(frozen=True)
class _Life:
    """What the life of each file of a pass needs."""

    warehouse: Warehouse
    store: ObjectStore
    settings: Settings
    context: Context
    report: PassReport
    step: OnStep


def _live_or_leave(mine: Claim, checked: CheckedFile, life: _Life) -> list[DropFile]:
    """Go through a file's life; whatever stands in the way leaves the file in the folder, under its own name.

    Answers with the file if it may be tried again in this pass.
    """
    name, report = mine.file.drop.name, life.report
    try:
        _live(mine, checked, life)
        return []
    except UnsettledError:
        report.left[name] = "is still being written; it waits for the next pass"
        return _put_back(mine)
    except FileNotFoundError:
        report.left[name] = "was removed from the folder while it was being loaded"
    except ArchiveError as error:
        report.left[name] = f"can't be archived: {error}"
    except OSError as error:
        report.left[name] = (
            f"can't be taken in ({error.strerror or error}); it is left in place. Check its owner and permissions"
        )
    except StorageError as error:
        life.warehouse.query("SELECT 1")  # raises if it is the warehouse that is gone
        report.left[name] = f"can't be taken in: {error}; it is left in place and tried again"
    except Exception as error:
        # One file must not keep the others out; nothing of it is stored, and the log has the whole story.
        _log.exception("%s could not be taken in", name)
        report.left[name] = f"can't be taken in: unexpected {error!r}; it is left in place"
    finally:
        if not mine.stream.closed:
            mine.put_back()
    return []


def _live(mine: Claim, checked: CheckedFile, life: _Life) -> None:
    """Go through the life of a file, from wherever an earlier pass left it."""
    began = time.monotonic()
    report, step = life.report, life.step
    step("claimed", mine.file.drop.name)
    sha256 = _digest(mine)
    try:
        done, archived = _load(mine, checked, sha256, life)
    except UnreadableFileError as error:
        if not mine.unchanged():
            raise UnsettledError from error
        _reject(mine, sha256, str(error), life)
        return
    done.seconds = time.monotonic() - began
    report.files.append(done)
    name, kind = done.source_file, mine.file.drop.kind
    if not done.already_loaded:
        days = [day for assets in done.changed_days.values() for day in assets]
        noted = (read_first_day(life.settings), read_first_reading_day(life.settings))
        if days and (None in noted or min(days) < max(day for day in noted if day is not None)):
            _note_first_days(life.warehouse, life.settings, report)
        step("first_day", name)
    if not (archived and life.store.size(archive_path(kind, name)) == mine.file.size):
        if not mine.unchanged():
            raise UnsettledError
        archive_file(life.store, kind, name, mine.path, sha256)
        step("archived", name)
        with life.warehouse.transaction() as tx:
            tx.execute(f"UPDATE {FILE.full_name} SET archived = true WHERE source_file = $1", (name,))
        step("marked", name)
    if not mine.unchanged():
        report.notes.append(
            f"{mine.file.drop.name} was written to after it had been read: what was there is stored, and the whole file is "
            "loaded as a later arrival when it has settled"
        )
        raise UnsettledError
    mine.delete()
    step("deleted", name)
    done.seconds = time.monotonic() - began


def _digest(mine: Claim) -> str:
    mine.stream.seek(0)
    sha256 = hashlib.file_digest(mine.stream, "sha256").hexdigest()
    if not mine.unchanged():
        raise UnsettledError
    return sha256


def _load(mine: Claim, checked: CheckedFile, sha256: str, life: _Life) -> tuple[FileReport, bool]:
    """Load a file, unless it is known; also tells whether it is archived."""
    drop, report = mine.file.drop, life.report
    with life.warehouse.transaction() as tx:
        tx.lock("intake")
        known = _known(tx, mine, sha256)
        if known is not None and known.in_force:
            _note_again(known, mine, report)
            return known.report, known.archived
        if known is not None:
            source_file = known.report.source_file
            tx.execute('DELETE FROM xspoc.rejected WHERE "SourceFile" = $1', (source_file,))
        else:
            taken = tx.query(
                f"SELECT 1 AS n FROM {FILE.full_name} WHERE source_file = $1", (drop.name,)
            ).num_rows
            source_file = archive_name(drop.name, drop.suffix, sha256) if taken else drop.name
        done, changed, warnings = load_file(tx, checked, source_file, sha256, life.context)
        tx.execute(
            f"UPDATE {FILE.full_name} SET claim = $2 WHERE source_file = $1", (source_file, mine.file.token)
        )
        if not mine.unchanged():
            raise UnsettledError
        life.step("loading", source_file)
    life.step("loaded", source_file)
    report.warnings += warnings
    _gather(changed, report)
    if known is not None:
        report.notes.append(
            f"{drop.name} has the content of {source_file}, which was loaded before another file of the same stamp: it arrived later "
            "now, so it is loaded again and is in force"
        )
    return done, False


def _note_again(known: _Known, mine: Claim, report: PassReport) -> None:
    if not known.same_arrival:
        report.notes.append(
            f"{mine.file.drop.name} was loaded before, as {known.report.source_file}, and is in force: nothing changed"
        )


def _gather(changed: dict[str, dict[str, int]], report: PassReport) -> None:
    for asset, partitions in changed.items():
        mine = report.changed.setdefault(asset, {})
        for partition, rows in partitions.items():
            mine[partition] = mine.get(partition, 0) + rows


@dataclass(frozen=True)
class _Known:
    """A file whose bytes were loaded before, under the same kind and stamp.

    Attributes
    ----------
    report : FileReport
        The counts of that time.
    archived : bool
    same_arrival : bool
        It is the very same file, whose pass crashed.
    in_force : bool
        There is nothing to load: it is the same arrival, or the newest one of its stamp.
    """

    report: FileReport
    archived: bool
    same_arrival: bool
    in_force: bool


def _known(tx: Transaction, mine: Claim, sha256: str) -> _Known | None:
    drop = mine.file.drop
    found = tx.query(
        "SELECT f.source_file, f.rows, f.stored, f.superseded, f.rejected, f.ignored_columns, f.archived, f.claim, "
        f"NOT EXISTS (SELECT FROM {FILE.full_name} AS later WHERE later.kind = f.kind AND later.stamp = f.stamp "
        f"AND later.arrival > f.arrival) AS newest FROM {FILE.full_name} AS f "
        "WHERE f.kind = $1 AND f.stamp = $2::timestamp AND f.sha256 = $3",
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
    same_arrival = row["claim"] is not None and row["claim"] == mine.file.token
    return _Known(report, bool(row["archived"]), same_arrival, same_arrival or bool(row["newest"]))


def _reject(mine: Claim, sha256: str, reason: str, life: _Life) -> None:
    """Move a file that can't be read beside the drop folder, the reason first; nothing that is there is overwritten."""
    folder = life.settings.rejected_files
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        # a power cut would take the folder with all that was moved into it
        sync_folder(folder.parent)
    drop = mine.file.drop
    names = (drop.name, archive_name(drop.name, drop.suffix, sha256))
    target = next((folder / name for name in names if _is_free(folder / name, sha256)), None)
    if target is None:
        raise FileExistsError(errno.EEXIST, f"{folder / names[-1]} is in the way")
    _write_whole(folder / f"{target.name}.reason.txt", f"{reason}\n")
    life.step("reason", drop.name)
    _move(mine, target)
    sync_folder(folder)
    sync_folder(mine.path.parent)
    life.step("moved", drop.name)
    life.report.rejected_files.append((drop.name, reason))


def _is_free(target: Path, sha256: str) -> bool:
    """Whether nothing stands there, or the same file from an earlier pass."""
    if not os.path.lexists(target):
        return True
    try:
        with open_regular(target) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _move(mine: Claim, target: Path) -> None:
    """Move a claimed file, also to another file system."""
    if os.path.lexists(target):
        mine.path.unlink()  # the same content is there
    else:
        try:
            rename_new(mine.path, target)
        except FileExistsError:
            raise
        except OSError:
            temporary = target.with_name(f".{target.name}.{mine.file.token}.tmp")
            temporary.unlink(missing_ok=True)
            mine.stream.seek(0)
            with temporary.open("xb") as copy:
                shutil.copyfileobj(mine.stream, copy)
                copy.flush()
                os.fsync(copy.fileno())
            rename_new(temporary, target)
            mine.path.unlink()
    mine.stream.close()


def _write_whole(path: Path, text: str) -> None:
    """Write a small file so that it is there whole or not at all; a link of its name is replaced, not followed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with temporary.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def _note_first_days(warehouse: Warehouse, settings: Settings, report: PassReport) -> None:
    """Keep the first days where the graph finds them without a connection, and name rows that do not move the calendar."""
    first, moved = note_first_days(warehouse, settings)
    report.first_day = first[0].day
    for each in first:
        touched = {day for asset in SOURCES[each.calendar] for day in report.changed.get(asset, ())}
        if each.left_out and (moved or touched & set(each.left_out)):
            report.stray_rows[each.calendar] = each.warning()
        elif not each.left_out:
            report.stray_rows.pop(each.calendar, None)
