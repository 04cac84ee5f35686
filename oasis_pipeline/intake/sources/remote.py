"""Drop files that lie elsewhere: in a bucket, or on an SFTP server (``OASIS_REMOTE_DROP``).

Here: what an increment does with files, whatever holds them. Not here: how a place lists, claims and hands them out (``bucket``, ``sftp``), and
what becomes of their rows (`intake.take_in`).

A file goes: noted in ``oasis.source_task``, claimed where it lies, fetched to a folder below ``source/`` of the home folder, taken in by the same
`intake.take_in` as every drop file, removed where it lay. A process that dies in between leaves the note: the next increment of this
installation goes on with its own claims. What was loaded before it died is told by the hash of its bytes, and is not loaded as a later arrival
once more.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

from oasis_pipeline.home import make_home
from oasis_pipeline.intake.drop_folder import AHEAD, PARTIAL_SUFFIXES, printable, sync_folder
from oasis_pipeline.intake.files import DropName, parse_name
from oasis_pipeline.intake.intake import NAMED, left_files, take_in
from oasis_pipeline.intake.sources.base import Progress, SourceError, SourceReport
from oasis_pipeline.schema.system_tables import FILE, SOURCE_TASK
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

FILES_AT_ONCE = 64
BYTES_AT_ONCE = 1 << 30
"""Files, and bytes, that are fetched before they are taken in; one file may be larger."""

EVERY_S, SILENT_MINUTES = 60.0, 60.0
"""Between two looks; after how long without one somebody should know."""

_CLAIM = "claim "
_SWEEP = "sweep"

OnStep = Callable[[str, str], None]


@dataclass(frozen=True)
class RemoteFile:
    """A file as it was when it was listed.

    Attributes
    ----------
    name : str
    size : int
    version : str
        Changes with its content, or when it is put there again.
    """

    name: str
    size: int
    version: str


class Place(Protocol):
    """Where drop files lie."""

    @property
    def where(self) -> str:
        """Its address, for people and as its name; holds no secret."""
        ...

    def files(self, *, wait: bool = True) -> tuple[list[RemoteFile], list[str]]:
        """Files that are whole and nobody has claimed, and other names; without `wait` some may still be written."""
        ...

    def claim(self, file: RemoteFile, taker: str) -> bool:
        """Claim a file for an installation; False if another one was quicker, or it has changed. True again for whoever has it."""
        ...

    def fetch(self, file: RemoteFile, taker: str, to: Path) -> bool:
        """Fetch a claimed file; False if it is not what was listed any more."""
        ...

    def remove(self, file: RemoteFile, taker: str) -> bool:
        """Remove a claimed file and its claim; False if another file of that name has come meanwhile, which stays."""
        ...

    def release(self, file: RemoteFile, taker: str) -> None:
        """Give up a claim."""
        ...

    def look(self) -> list[str]:
        """Try what an increment needs; what is to be done about it."""
        ...

    def close(self) -> None:
        """End connections."""
        ...


class RemoteDrop:
    """A drop folder elsewhere, as a source.

    Parameters
    ----------
    place : Place
    settings : Settings
    warehouse : Warehouse
    store : ObjectStore
    on_step : callable, optional
        Called with (step, file) after each durable step: ``noted``, ``claimed``, ``fetched``, those of intake, ``removed``.
    """

    def __init__(
        self,
        place: Place,
        settings: Settings,
        warehouse: Warehouse,
        store: ObjectStore,
        *,
        on_step: OnStep | None = None,
    ) -> None:
        self.place = place
        self.name = place.where
        self.every_s = EVERY_S
        self.silent_minutes = SILENT_MINUTES
        self._warehouse, self._store = warehouse, store
        folder = settings.remote_drop_folder(self.name)
        # files come there by one rename, and nobody else writes
        self._settings = settings.model_copy(update={"data_path": folder, "settle_seconds": 0.0})
        self._folder = folder
        self._step: OnStep = on_step or (lambda _step, _name: None)

    def close(self) -> None:
        """End connections."""
        self.place.close()

    def news(self) -> str | None:
        """Say how many files wait; None if none does."""
        if self._claims():
            return f"files of an earlier increment of {self.name} wait"
        found, _ = self.place.files(wait=False)
        files = [file for file in found if self._is_due(file.name)]
        if not files:
            # that it was looked at: nothing new is no silence of the place
            self._note(_SWEEP)
            return None
        return f"{len(files)} files lie in {self.name}"

    def run(self) -> SourceReport:
        """Take in what lies there.

        Returns
        -------
        SourceReport

        Raises
        ------
        SourceError
            If the place can't be read, or intake does not take what was fetched; what had come is stored.
        """
        report = SourceReport(sweep=True)
        with self._alone():
            self._clear()
            taker = self._taker()
            self._take_in(report)
            for file, at in self._claims():
                self._resume(file, at, taker, report)
            self._finish(taker, report)
            found, unknown = self.place.files()
            report.looked_at = len(found)
            self._tell_unknown(unknown, report)
            due = [(self._parsed(file.name), file) for file in found]
            early = [drop for drop, _ in due if not self._is_due(drop.name)]
            for drop in early[:NAMED]:
                report.notes.append(
                    f"{drop.name} is stamped more than a day ahead of the field's clock ({self._settings.timezone}); it waits"
                )
            todo = sorted(
                ((drop, file) for drop, file in due if self._is_due(drop.name)),
                key=lambda each: (each[0].kind.order, each[0].stamp, each[0].name),
            )
            for batch in _batches([file for _, file in todo]):
                for file in batch:
                    self._claim_and_fetch(file, taker)
                self._take_in(report)
                self._finish(taker, report)
            self._note(_SWEEP)
        return report

    def backfill(self, first: date, last: date, progress: Progress | None = None) -> SourceReport:
        """Refuse: all that lies there is taken in, whatever its days."""
        raise SourceError(f"{self.name} holds drop files: put older ones there, no backfill is needed")

    def check(self) -> dict[str, Any]:
        """Say what lies there, and whether an increment can do its work."""
        findings = self.place.look()
        found, unknown = self.place.files(wait=False)
        kinds: dict[str, dict[str, Any]] = {}
        for file in found:
            drop = self._parsed(file.name)
            entry = kinds.setdefault(
                drop.kind.name, {"files": 0, "bytes": 0, "oldest": drop.stamp, "newest": drop.stamp}
            )
            entry["files"] += 1
            entry["bytes"] += file.size
            entry["oldest"], entry["newest"] = (
                min(entry["oldest"], drop.stamp),
                max(entry["newest"], drop.stamp),
            )
        findings += [
            f"{name!r} is not the name of a drop file (<Kind>.E2E.<YYYYMMDD>.<HHMM>.csv ...)"
            for name in unknown[:NAMED]
        ]
        return {"source": self.name, "kinds": kinds, "unknown": len(unknown), "findings": findings}

    # one file

    def _claim_and_fetch(self, file: RemoteFile, taker: str) -> None:
        # noted first: a claim that nobody knows of would keep the file from everybody
        self._note(_CLAIM + file.name, json.dumps(asdict(file)))
        self._step("noted", file.name)
        if not self.place.claim(file, taker):
            self._forget(file)
            return
        self._step("claimed", file.name)
        self._fetch(file, taker)

    def _fetch(self, file: RemoteFile, taker: str) -> None:
        folder = make_home(self._folder.parent.parent) / self._folder.parent.name / self._folder.name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = folder / f".{file.name}.part"
        if not self.place.fetch(file, taker, part):
            part.unlink(missing_ok=True)
            self.place.release(file, taker)
            self._forget(file)
            return
        part.replace(folder / file.name)
        sync_folder(folder)
        self._step("fetched", file.name)

    def _resume(self, file: RemoteFile, at: datetime, taker: str, report: SourceReport) -> None:
        """Go on with a file that a process had noted before it died."""
        if self._lies_here(file.name):
            return  # intake has left it, and said why
        if not self.place.claim(file, taker):
            # it had not been claimed yet, or was removed already and only the note is left
            self._forget(file)
            return
        self._fetch(file, taker)
        path = self._folder / file.name
        if path.exists() and self._is_loaded(file, path, at):
            path.unlink()
            sync_folder(self._folder)
        else:
            self._take_in(report)

    def _finish(self, taker: str, report: SourceReport) -> None:
        """Remove, where they lay, files that intake has archived or rejected."""
        left = {row["name"]: row["reason"] for row in left_files(self._warehouse, self._folder)}
        for file, _ in self._claims():
            if self._lies_here(file.name):
                report.notes.append(f"{file.name} {left.get(file.name, 'waits in ' + str(self._folder))}")
                continue
            if not self.place.remove(file, taker):
                report.notes.append(
                    f"{file.name} was put there again while it was taken in; it is taken in as a later one"
                )
            self._step("removed", file.name)
            self._forget(file)

    def _is_loaded(self, file: RemoteFile, path: Path, at: datetime) -> bool:
        """Whether the process that noted the file had it loaded and archived."""
        drop = self._parsed(file.name)
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        rows = self._warehouse.query(
            f"SELECT 1 AS there FROM {FILE.full_name} WHERE kind = $1 AND stamp = $2::timestamp AND sha256 = $3 AND archived"
            " AND loaded_at >= $4::timestamptz",
            (drop.kind.name, drop.stamp, sha256, at),
        )
        return bool(rows.num_rows)

    def _lies_here(self, name: str) -> bool:
        return (self._folder / name).exists() or any(self._folder.glob(f".{name}.*.taking"))

    # taking in

    def _take_in(self, report: SourceReport) -> None:
        if not self._folder.is_dir() or not any(self._folder.iterdir()):
            return
        done = take_in(self._warehouse, self._store, self._settings, on_step=self._step)
        report.passes.append(done)
        report.notes += [note for note in (*done.warnings, *done.notes) if note not in report.notes]
        report.notes += [f"rejected file {name}: {reason}" for name, reason in done.rejected_files]
        for taken in done.files:
            report.rows[taken.kind] = report.rows.get(taken.kind, 0) + taken.rows

    def _clear(self) -> None:
        """Remove what a process that died had fetched in part; nobody else fetches now."""
        for unfinished in self._folder.glob(".*.part"):
            unfinished.unlink(missing_ok=True)

    def _tell_unknown(self, names: Sequence[str], report: SourceReport) -> None:
        for name in names[:NAMED]:
            report.notes.append(
                f"{printable(name)!r} in {self.name} is not the name of a drop file; it is left"
            )
        if len(names) > NAMED:
            report.notes.append(f"... and {len(names) - NAMED} more names like that")

    def _parsed(self, name: str) -> DropName:
        drop = parse_name(name)
        if drop is None:
            raise SourceError(f"{name!r} is not a drop file")
        return drop

    def _is_due(self, name: str) -> bool:
        return self._parsed(name).stamp <= self._settings.field_now() + AHEAD

    # what is known

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other increments of this installation out; the lock ends with the connection of a process that dies."""
        with self._warehouse.transaction() as tx:
            tx.lock(f"source {self.name}")
            yield

    def _taker(self) -> str:
        """What tells the claims of this installation from those of others: a random name that its warehouse keeps."""
        with self._warehouse.transaction() as tx:
            tx.execute(
                f"INSERT INTO {SOURCE_TASK.full_name} (source, task, position, at) VALUES ($1, 'taker', $2, now()) ON CONFLICT DO NOTHING",
                (self.name, os.urandom(8).hex()),
            )
            rows = tx.query(
                f"SELECT position FROM {SOURCE_TASK.full_name} WHERE source = $1 AND task = 'taker'",
                (self.name,),
            )
            return str(rows["position"][0].as_py())

    def _claims(self) -> list[tuple[RemoteFile, datetime]]:
        rows = self._warehouse.query(
            f"SELECT position, at FROM {SOURCE_TASK.full_name} WHERE source = $1 AND starts_with(task, $2) ORDER BY task",
            (self.name, _CLAIM),
        )
        return [(RemoteFile(**json.loads(row["position"])), row["at"]) for row in rows.to_pylist()]

    def _note(self, task: str, position: str | None = None) -> None:
        with self._warehouse.transaction() as tx:
            tx.execute(
                f"INSERT INTO {SOURCE_TASK.full_name} (source, task, position, at) VALUES ($1, $2, $3, $4::timestamptz)"
                " ON CONFLICT (source, task) DO UPDATE SET position = excluded.position, at = excluded.at",
                (self.name, task, position, datetime.now(UTC)),
            )

    def _forget(self, file: RemoteFile) -> None:
        with self._warehouse.transaction() as tx:
            tx.execute(
                f"DELETE FROM {SOURCE_TASK.full_name} WHERE source = $1 AND task = $2",
                (self.name, _CLAIM + file.name),
            )


def sort_names(files: Sequence[RemoteFile]) -> tuple[list[RemoteFile], list[str]]:
    """Drop files, and names that are none; unfinished uploads and hidden files are neither."""
    known = [file for file in files if parse_name(file.name) is not None]
    others = [
        file.name
        for file in files
        if parse_name(file.name) is None
        and not file.name.startswith(".")
        and not file.name.endswith(PARTIAL_SUFFIXES)
    ]
    return known, sorted(others)


def _batches(files: Sequence[RemoteFile]) -> Iterator[list[RemoteFile]]:
    batch: list[RemoteFile] = []
    for file in files:
        if batch and (
            len(batch) >= FILES_AT_ONCE or sum(each.size for each in batch) + file.size > BYTES_AT_ONCE
        ):
            yield batch
            batch = []
        batch.append(file)
    if batch:
        yield batch
