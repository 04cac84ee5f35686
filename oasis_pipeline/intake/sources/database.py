"""A SCADA database as a live source: increments by watermark, sweeps for late and corrected rows, history by ranges.

Here: what is read when, what of it is new, and the hand-over to intake. Not here: statements, the connection, and the mapping.

Each batch is written as a drop file (Parquet, stamped with the field's clock) into ``source/drop`` of the home folder and taken in by the same
`intake.take_in` as every drop file, so that rules, rejects, supersession, archive and ledger are the same by being the same code. Only when
the file is durable are watermarks moved: a process that dies in between reads the rows again, and the same rows stored twice are no change.

An increment reads, well by well, what lies behind the well's watermark less `Mapping.overlap_minutes`; a sweep looks back days. What was sent
before is told by a digest of each row, so that neither sends a row again that is as it was. Rows that lie after the field's clock
wait until their time has come; so a bad clock moves no watermark.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oasis_pipeline.cards.codec import BlobFault, decode_blobs, decode_hex, pack_bytes
from oasis_pipeline.cards.misfit import judge_cards, misfit_text
from oasis_pipeline.home import make_home
from oasis_pipeline.intake.drop_folder import AHEAD, list_drop_folder, rename_new, sync_folder
from oasis_pipeline.intake.intake import left_files, take_in
from oasis_pipeline.intake.sources import statements
from oasis_pipeline.intake.sources.base import Progress, SourceError, SourceReport
from oasis_pipeline.intake.sources.connection import SourceConnection, read_columns, source_url
from oasis_pipeline.intake.sources.mapping import (
    KINDS,
    SCHEMAS,
    ColumnMapping,
    convert_cards,
    convert_values,
    factor,
    load_mapping,
)
from oasis_pipeline.intake.sources.statements import SourceTable
from oasis_pipeline.schema import CARD_BLOBS, DROP_KINDS, DropKind, Table
from oasis_pipeline.schema.model import arrow_schema
from oasis_pipeline.schema.system_tables import SOURCE_ROW, SOURCE_TASK, SOURCE_WATERMARK
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Transaction, Warehouse

WELLS_A_STATEMENT = 50
_SAMPLE_ROWS = 20
_BLOBS = ("SurfaceCardB", "POCDownholeCardB", "DownholeCardB")
LARGEST_BATCH_BYTES = 64 << 20

_MINUTE, _MS = timedelta(minutes=1), timedelta(milliseconds=1)
_SWEEP, _STAMP = "sweep", "stamp"

OnStep = Callable[[str, str], None]
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Moment:
    """When an increment reads.

    Attributes
    ----------
    stamp : datetime
        Of its files, in the field's time, to the minute.
    until : datetime
        Rows up to then are read, in the source's time.
    """

    stamp: datetime
    until: datetime


class DatabaseSource:
    """A database with XSPOC's tables, under their own names or as ``source.toml`` maps them.

    Parameters
    ----------
    settings : Settings
        With a `source_url`.
    warehouse : Warehouse
    store : ObjectStore
    sleep : callable
        Waits so many seconds.
    on_step : callable, optional
        Called with (step, file) after each durable step: ``written``, those of intake, and ``noted``.

    Raises
    ------
    SourceError
        If address, mapping or driver can't be used.
    """

    def __init__(
        self,
        settings: Settings,
        warehouse: Warehouse,
        store: ObjectStore,
        *,
        sleep: Callable[[float], None] = time.sleep,
        on_step: OnStep | None = None,
    ) -> None:
        url = source_url(settings)
        self.mapping = load_mapping(settings.home)
        self.name, self.every_s = self.mapping.name, self.mapping.every_seconds
        self.connection = SourceConnection(url, self.mapping, sleep)
        self._warehouse, self._store = warehouse, store
        # nobody else writes there, and files come by one rename: nothing to wait for
        self._settings = settings.model_copy(
            update={"data_path": settings.source_drop, "settle_seconds": 0.0}
        )
        self._zone = self.mapping.zone(settings.zone)
        self._step: OnStep = on_step or (lambda _step, _name: None)
        self._found: list[SourceTable] | None = None

    # what is there

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def tables(self) -> list[SourceTable]:
        """Mapped tables that the source has, equipment first.

        Raises
        ------
        SourceError
            If none is there, one that was read before is gone, or lacks a column of its key.
        """
        if self._found is not None:
            return self._found
        self._found = []
        read_before = {
            row["kind"]
            for row in self._warehouse.query(
                f"SELECT DISTINCT kind FROM {SOURCE_ROW.full_name} WHERE source = $1", (self.mapping.name,)
            ).to_pylist()
        }
        for kind, table, _ in self._look():
            named = self.mapping.of(kind.name).table is not None
            if table is not None and not (
                lacking := [name for name in table.key if name not in table.columns]
            ):
                self._found.append(table)
            elif table is not None or named or kind.name in read_before:
                what = (
                    f"has no column {', '.join(lacking)}"
                    if table is not None
                    else "is not there, or the login may not see it"
                )
                raise SourceError(
                    f"table {self.mapping.table_name(kind.name)} ({kind.name}) {what}: correct source.toml, or the rights"
                )
        if not any(table.time_column for table in self._found):
            raise SourceError(
                f"{self.connection.where} has none of the mapped tables with rows in time: correct OASIS_SOURCE_URL, or `schema` in source.toml"
            )
        return self._found

    def _look(self) -> Iterator[tuple[DropKind, SourceTable | None, dict[str, tuple[str, str]]]]:
        """Each mapped kind with its table, if that is there, and all columns of it by folded name: name and type."""
        server = self.connection.server
        schemas: dict[str, dict[str, tuple[str, dict[str, tuple[str, str]]]]] = {}
        for name in KINDS:
            table = self.mapping.table_name(name)
            if table is None:
                continue
            schema = self.mapping.of(name).schema or self.mapping.schema or SCHEMAS[server]
            if schema not in schemas:
                schemas[schema] = read_columns(self.connection.read(statements.columns_of(server, schema)))
            spelled, there = schemas[schema].get(table.casefold(), ("", {}))
            kind = DROP_KINDS[name]
            if not spelled:
                yield kind, None, {}
                continue
            columns: dict[str, ColumnMapping] = {}
            missing = []
            for column in kind.columns:
                wanted = self.mapping.column(name, column)
                found = there.get(wanted.column.casefold()) if wanted else None
                if wanted is not None and found is not None:
                    columns[column] = ColumnMapping(
                        found[0], wanted.unit, wanted.position_unit, wanted.load_unit
                    )
                elif wanted is not None:
                    missing.append(column)
            yield kind, SourceTable(kind, schema, spelled, columns, tuple(missing), server), there

    # increments

    def news(self) -> str | None:
        """Say why an increment is due: a sweep, or a well with rows behind its watermark; None if it is not.

        A source that does not answer is an error at once: who looks every minute needs no further tries.
        """
        self.connection.waits_s = ()
        if self._sweep_due():
            return "a sweep is due"
        if _files_in(self._settings):
            return "files of an earlier increment wait"
        until = self._moment().until
        for table in self.tables():
            if table.time_column is None:
                continue
            marks = {well: at + _MS for well, at in self._watermarks(table).items()}
            for wells in _groups(sorted(marks)):
                if self.connection.read(table.newer({well: marks[well] for well in wells}, until)):
                    return f"{table.kind.name} has new rows"
        return None

    def run(self) -> SourceReport:
        """Bring what is new or corrected.

        Returns
        -------
        SourceReport

        Raises
        ------
        SourceError
            If the source can't be read, or intake does not take what was read; what had come is stored.
        """
        report = SourceReport()
        with self._alone():
            self._take_in_left(report)
            moment = self._moment()
            report.sweep = self._sweep_due()
            for table in self.tables():
                if table.time_column is not None:
                    self._increment(table, moment, report)
                elif report.sweep:
                    self._equipment(table, moment, report)
            if report.sweep:
                self._forget(report)
                self._note_task(_SWEEP, at=datetime.now(UTC))
        return report

    def _increment(self, table: SourceTable, moment: Moment, report: SourceReport) -> None:
        name, mapping = table.kind.name, self.mapping
        marks = self._watermarks(table)
        if report.sweep:
            first = moment.until - timedelta(days=mapping.first_days)
            new = {well: first for well in self._wells(table) if well not in marks}
            self._note(table, new, {})
            marks |= new
            back = max(timedelta(days=mapping.sweep_days(name)), timedelta(minutes=mapping.overlap_minutes))
        else:
            back, new = timedelta(minutes=mapping.overlap_minutes), {}
        batch: list[Row] = []
        for wells in _groups(sorted(marks)):
            since = {well: marks[well] - (timedelta(0) if well in new else back) for well in wells}
            known = self._digests(table, since)
            for page in self._pages(table, since=since, until=moment.until):
                report.looked_at += len(page)
                batch += [
                    row
                    for row in page
                    if known.get(_key_text(table, row)) != _digest(mapping.digest(name), [row])
                ]
                while len(batch) >= mapping.batch_rows or _bytes(batch) > LARGEST_BATCH_BYTES:
                    self._bring(table, batch[: mapping.batch_rows], moment, report)
                    batch = batch[mapping.batch_rows :]
            if report.sweep and self.connection.read(
                table.newer(dict.fromkeys(wells, moment.until), datetime(9999, 1, 1))
            ):
                note = (
                    f"{name} has rows after the field's clock ({moment.until:%Y-%m-%d %H:%M} by the source's); they wait until then."
                    " Look at the clock of the source, and at `timezone` in source.toml"
                )
                if note not in report.notes:
                    report.notes.append(note)
        self._bring(table, batch, moment, report)

    def _equipment(self, table: SourceTable, moment: Moment, report: SourceReport) -> None:
        """Bring the wells whose state changed, each whole: a file of rods replaces the well's string."""
        wells: dict[str, list[Row]] = {}
        for page in self._pages(table):
            report.looked_at += len(page)
            for row in page:
                wells.setdefault(_well(table, row), []).append(row)
        version = self.mapping.digest(table.kind.name)
        known = self._digests(table, None)
        changed = {well: rows for well, rows in wells.items() if known.get(well) != _digest(version, rows)}
        if changed:
            rows = [row for well in sorted(changed) for row in changed[well]]
            self._hand_over(table, rows, moment, report)
            self._note(
                table, {}, {well: (well, None, _digest(version, rows)) for well, rows in changed.items()}
            )

    def _bring(self, table: SourceTable, rows: list[Row], moment: Moment, report: SourceReport) -> None:
        if not rows:
            return
        self._hand_over(table, rows, moment, report)
        version = self.mapping.digest(table.kind.name)
        newest: dict[str, datetime] = {}
        digests: dict[str, tuple[str, datetime | None, str]] = {}
        for row in rows:
            well, at = _well(table, row), _cut(self._time(table, row))
            newest[well] = max(at, newest.get(well, at))
            digests[_key_text(table, row)] = (well, at, _digest(version, [row]))
        self._note(table, newest, digests)

    # history

    def backfill(self, first: date, last: date, progress: Progress | None = None) -> SourceReport:
        """Bring the history of a range of days, well by well; goes on where an earlier one of the same range was cut off.

        Parameters
        ----------
        first, last : date
            Both included, in the source's time.
        progress : callable, optional

        Returns
        -------
        SourceReport
            Only of what this call brought.
        """
        report = SourceReport()
        task = f"backfill {first} {last}"
        tell: Progress = progress or (lambda _what, _done, _all: None)
        series = [table for table in self.tables() if table.time_column is not None]
        begin = datetime.combine(first, datetime.min.time())
        end = datetime.combine(last, datetime.max.time())
        place = _Place.parse(self._task(task).get("position"))
        kinds = [table.kind.name for table in series]
        if place is not None and place.kind in kinds:
            report.notes.append(
                f"goes on after an earlier backfill of this range, at {place.kind} of {place.well}"
            )
        else:
            place = _Place(kinds[0])
            with self._alone():
                self._take_in_left(report)
                for table in self.tables():
                    if table.time_column is None:
                        self._equipment(table, self._moment(), report)
        for table in series[kinds.index(place.kind) :]:
            if place.kind != table.kind.name:
                place = _Place(table.kind.name)
            wells, done = len(self._watermarks(table)), 0
            while not place.over:
                # one batch at a time, so that increments come in between; read within the lock, so that none is overtaken
                with self._alone():
                    self._take_in_left(report)
                    moment = self._moment()
                    rows, place, passed = self._gather(table, place, begin, min(end, moment.until))
                    report.looked_at += len(rows)
                    if rows:
                        self._hand_over(table, rows, moment, report)
                    self._note_task(task, position=str(place))
                done += passed
                tell(table.kind.name, done, max(wells, done))
        self._note_task(task, position=None)
        return report

    def _gather(
        self, table: SourceTable, place: _Place, begin: datetime, end: datetime
    ) -> tuple[list[Row], _Place, int]:
        """Read on until there are rows for a file; how many wells that ended."""
        rows: list[Row] = []
        passed = 0
        while len(rows) < self.mapping.batch_rows and _bytes(rows) <= LARGEST_BATCH_BYTES:
            if place.after is None:
                ((well,),) = self.connection.read(table.next_well(place.well))
                if well is None:
                    return rows, _Place(place.kind, place.well, None, over=True), passed
                place = _Place(place.kind, str(well))
            limit = self.mapping.batch_rows
            page = self.connection.read(
                table.page(limit, since={str(place.well): begin}, until=end, after=place.after)
            )
            rows += page
            if len(page) < limit:
                passed += 1
                place = _Place(place.kind, place.well)
            else:
                place = _Place(place.kind, place.well, _key(table, page[-1]))
        return rows, place, passed

    # what the source is like

    def check(self) -> dict[str, Any]:
        """Look at tables, columns, types, counts, newest rows and clocks; nothing is stored.

        Returns
        -------
        dict
            ``source``, ``clock``, ``tables`` (one entry a kind), ``sample_card`` (a card of the first well, with what is wrong with it), and
            ``findings``: what to do, in words.
        """
        findings: list[str] = []
        ((local, utc),) = self.connection.read(statements.clock(self.connection.server))
        now = datetime.now(UTC).replace(tzinfo=None)
        skew = (utc - now).total_seconds()
        offset = round((local - utc).total_seconds() / 900) / 4
        mine = datetime.now(self._zone).replace(tzinfo=None)
        if abs(skew) > 60:
            findings.append(f"the source's clock is {skew:+.0f} s from this machine's: set one of them")
        looked = list(self._look())
        entries = [self._check_table(kind, table, there, mine, findings) for kind, table, there in looked]
        cards = next((table for kind, table, _ in looked if kind.name == "CardData"), None)
        newest = max((entry["newest"] for entry in entries if entry.get("newest") is not None), default=None)
        guess = None
        if newest is not None and abs((newest - mine).total_seconds()) < 86_400:
            # the newest row of a field that works is minutes old: the next half hour above it is the zone's
            guess = (
                -(-((newest - now).total_seconds()) // 1800) / -2
                if newest > now
                else -(((now - newest).total_seconds()) // 1800) / 2
            )
            if newest > mine + timedelta(minutes=5):
                findings.append(
                    f"the newest row lies {(newest - mine).total_seconds() / 60:.0f} minutes after the clock in {self._zone}: its times are"
                    " in another zone; set `timezone` in source.toml"
                )
        elif newest is not None and newest > mine:
            findings.append(
                f"the newest row is of {newest}, more than a day after the clock: a controller's clock is wrong"
            )
        return {
            "source": str(self.connection.where),
            "server": self.connection.server,
            "mapping": self.mapping.name,
            "clock": {
                "skew_s": round(skew, 1),
                "server_utc_offset_h": offset,
                "rows_utc_offset_h_at_least": guess,
                "timezone": str(self._zone),
                "field_timezone": self._settings.timezone,
            },
            "tables": entries,
            "sample_card": None if cards is None else self._sample_card(cards, findings),
            "findings": findings,
        }

    def _sample_card(self, table: SourceTable, findings: list[str]) -> dict[str, Any] | None:
        """Read one of the newest cards as intake would, and judge it; None where a well has none."""
        blobs = [name for name in _BLOBS if name in table.columns]
        if not blobs or set(table.key) & set(table.missing):
            return None
        try:
            ((well,),) = self.connection.read(table.next_well(None))
            rows = [] if well is None else self.connection.read(table.newest(str(well), _SAMPLE_ROWS))
            read = to_arrow(table, rows, self._zone, self._settings.zone) if rows else None
        except SourceError as error:
            findings.append(f"no card of {table.name} could be read: {error}")
            return None
        for name in blobs if read is not None else ():
            for row in read.to_pylist() if read is not None else ():
                if row[name]:
                    return _judged(table, name, row, findings)
        return None

    def _check_table(
        self,
        kind: DropKind,
        table: SourceTable | None,
        there: dict[str, tuple[str, str]],
        mine: datetime,
        findings: list[str],
    ) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "kind": kind.name,
            "table": self.mapping.table_name(kind.name),
            "found": table is not None,
        }
        if table is None:
            findings.append(
                f"no table {entry['table']} ({kind.name}): its rows will be missing; name another one in source.toml"
            )
            return entry
        used = {given.column.casefold() for given in table.columns.values()}
        entry |= {
            "columns": {
                name: f"{given.column} {there[given.column.casefold()][1]}"
                for name, given in table.columns.items()
            },
            "missing": list(table.missing),
            "not_mapped": [f"{name} {what}" for folded, (name, what) in there.items() if folded not in used],
        }
        if lacking := [name for name in table.key if name in table.missing]:
            findings.append(
                f"{table.name} has no column {', '.join(lacking)}, part of the key: map it in source.toml"
            )
            return entry
        try:
            ((count, *times),) = self.connection.read(table.extent())
            entry["rows"] = count
            if times:
                entry["oldest"], entry["newest"] = (
                    None if each is None else _naive(each, self._zone) for each in times
                )
                ((entry["rows_of_last_day"],),) = self.connection.read(
                    table.count_since(mine - timedelta(days=1), mine)
                )
                ((ahead,),) = self.connection.read(table.count_since(mine + timedelta(minutes=5)))
                if ahead:
                    findings.append(
                        f"{table.name}: {ahead} rows lie after the clock in {self._zone}; they wait until their time comes"
                    )
        except SourceError as error:
            entry["not_counted"] = str(error)
        return entry

    # reading

    def _wells(self, table: SourceTable) -> list[str]:
        found: list[str] = []
        while True:
            ((well,),) = self.connection.read(table.next_well(found[-1] if found else None))
            if well is None:
                return found
            found.append(str(well))

    def _pages(
        self, table: SourceTable, since: dict[str, datetime] | None = None, until: datetime | None = None
    ) -> Iterator[list[Row]]:
        after: list[Any] | None = None
        while True:
            page = self.connection.read(
                table.page(self.mapping.batch_rows, since=since, until=until, after=after)
            )
            if page:
                yield page
            # a server that keeps finer times than it tells sends the last row of a page again
            if len(page) < self.mapping.batch_rows or _key(table, page[-1]) == after:
                return
            after = _key(table, page[-1])

    def _time(self, table: SourceTable, row: Row) -> datetime:
        return _naive(row[list(table.columns).index(str(table.time_column))], self._zone)

    # handing over

    def _moment(self) -> Moment:
        """Stamp and end of what is read now; stamps never go back, or a corrected row would lose to the one before it."""
        now = self._settings.field_now().replace(second=0, microsecond=0)
        last = self._task(_STAMP).get("stamp")
        stamp = last if last is not None and now < last <= now + AHEAD else now
        until = stamp
        if str(self._zone) != self._settings.timezone:
            until = stamp.replace(tzinfo=self._settings.zone).astimezone(self._zone).replace(tzinfo=None)
        return Moment(stamp, until + _MINUTE - _MS)

    def _hand_over(self, table: SourceTable, rows: list[Row], moment: Moment, report: SourceReport) -> None:
        """Write a drop file and take it in."""
        folder = make_home(self._settings.drop.parent) / self._settings.drop.name
        folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{table.kind.name}.E2E.{moment.stamp:%Y%m%d.%H%M}.parquet"
        self._note_task(_STAMP, stamp=moment.stamp)
        write_drop_file(folder / name, to_arrow(table, rows, self._zone, self._settings.zone))
        self._step("written", name)
        self._take_in(report)
        counted = report.rows.get(table.kind.name, 0)
        report.rows[table.kind.name] = counted + len(rows)

    def _take_in_left(self, report: SourceReport) -> None:
        """Take in what an earlier increment wrote and nobody took in, before newer rows are read."""
        if self._settings.drop.is_dir():
            for unfinished in self._settings.drop.glob(".*.tmp"):
                unfinished.unlink(
                    missing_ok=True
                )  # of a process that died while it wrote; nobody else writes now
        if _files_in(self._settings):
            self._take_in(report)
        if left := left_files(self._warehouse, self._settings.drop):
            raise SourceError(
                f"{len(left)} files of earlier increments wait in {self._settings.drop}: {left[0]['name']} {left[0]['reason']}."
                " Nothing more is read until they are taken in"
            )

    def _take_in(self, report: SourceReport) -> None:
        done = take_in(self._warehouse, self._store, self._settings, on_step=self._step)
        report.passes.append(done)
        report.notes += [note for note in (*done.warnings, *done.notes) if note not in report.notes]
        if done.rejected_files:
            name, reason = done.rejected_files[0]
            raise SourceError(f"intake can't read what was written of the source: {name}: {reason}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other increments and backfills out, on other machines too; the lock ends with the connection of a process that dies."""
        with self._warehouse.transaction() as tx:
            tx.lock(f"source {self.mapping.name}")
            yield

    # what is known

    def _watermarks(self, table: SourceTable) -> dict[str, datetime]:
        rows = self._warehouse.query(
            f"SELECT well, newest FROM {SOURCE_WATERMARK.full_name} WHERE source = $1 AND kind = $2",
            (self.mapping.name, table.kind.name),
        )
        return {row["well"]: row["newest"] for row in rows.to_pylist()}

    def _digests(self, table: SourceTable, since: dict[str, datetime] | None) -> dict[str, str]:
        where, params = "source = $1 AND kind = $2", [self.mapping.name, table.kind.name]
        extra: list[Any] = []
        if since is not None:
            where += " AND well = ANY($3::text[]) AND row_time >= $4::timestamp"
            extra = [list(since), min(since.values())]
        rows = self._warehouse.query(
            f"SELECT row_key, digest FROM {SOURCE_ROW.full_name} WHERE {where}", (*params, *extra)
        )
        return dict(zip(rows["row_key"].to_pylist(), rows["digest"].to_pylist(), strict=True))

    def _note(
        self,
        table: SourceTable,
        newest: dict[str, datetime],
        digests: dict[str, tuple[str, datetime | None, str]],
    ) -> None:
        """Move watermarks forward, and keep digests of what was sent."""
        own = {"source": self.mapping.name, "kind": table.kind.name}
        marks = self._watermarks(table) if newest else {}
        moved = [
            {**own, "well": well, "newest": at, "noted_at": datetime.now(UTC)}
            for well, at in newest.items()
            if well not in marks or at > marks[well]
        ]
        rows = [
            {**own, "row_key": key, "well": well, "row_time": at, "digest": digest}
            for key, (well, at, digest) in digests.items()
        ]
        with self._warehouse.transaction() as tx:
            _upsert(tx, SOURCE_WATERMARK, moved)
            _upsert(tx, SOURCE_ROW, rows)
        if rows:
            self._step("noted", table.kind.name)

    def _forget(self, report: SourceReport) -> None:
        """Drop digests of rows so old that no sweep meets them again."""
        with self._warehouse.transaction() as tx:
            for kind in report_kinds(self.tables()):
                days = max(self.mapping.sweep_days(kind), self.mapping.overlap_minutes / 1440) + 1
                tx.execute(
                    f"DELETE FROM {SOURCE_ROW.full_name} AS r USING {SOURCE_WATERMARK.full_name} AS w WHERE r.source = $1 AND r.kind = $2"
                    " AND w.source = r.source AND w.kind = r.kind AND w.well = r.well AND r.row_time < w.newest - $3::float8 * interval '1 day'",
                    (self.mapping.name, kind, days),
                )

    def _task(self, name: str) -> dict[str, Any]:
        rows = self._warehouse.query(
            f"SELECT stamp, position, at FROM {SOURCE_TASK.full_name} WHERE source = $1 AND task = $2",
            (self.mapping.name, name),
        ).to_pylist()
        return rows[0] if rows else {}

    def _note_task(self, name: str, **values: Any) -> None:
        row = {
            "source": self.mapping.name,
            "task": name,
            "stamp": None,
            "position": None,
            "at": datetime.now(UTC),
            **values,
        }
        with self._warehouse.transaction() as tx:
            _upsert(tx, SOURCE_TASK, [row])

    def _sweep_due(self) -> bool:
        last = self._task(_SWEEP).get("at")
        age = None if last is None else (datetime.now(UTC) - last).total_seconds()
        return age is None or not 0 <= age < self.mapping.sweep_minutes * 60


@dataclass(frozen=True)
class _Place:
    """How far a backfill is: kind, well, and key of the last row of a well that is not done."""

    kind: str
    well: str | None = None
    after: list[Any] | None = None
    over: bool = False

    @classmethod
    def parse(cls, text: str | None) -> _Place | None:
        if text is None:
            return None
        kind, well, after, over = json.loads(text)
        if after is not None:
            after = [
                datetime.fromisoformat(each["time"]) if isinstance(each, dict) else each for each in after
            ]
        return cls(kind, well, after, over)

    def __str__(self) -> str:
        after = self.after and [
            {"time": each.isoformat()} if isinstance(each, datetime) else each for each in self.after
        ]
        return json.dumps([self.kind, self.well, after, self.over], default=float)


def _judged(table: SourceTable, name: str, row: dict[str, Any], findings: list[str]) -> dict[str, Any]:
    """Decode a card of a source and say what is wrong with it."""
    blob = row[name] if isinstance(row[name], (bytes, str)) else str(row[name])
    packed = pack_bytes([blob])
    column, faults = (decode_hex if isinstance(blob, str) else decode_blobs)(*packed)
    sample: dict[str, Any] = {"NodeID": row["NodeID"], "Date": row["Date"], "column": name}
    fault: str | None = None
    if faults[0]:
        fault = BlobFault(faults[0]).text
    else:
        position, load = column.row(0)
        pump, stroke = name != "SurfaceCardB", float(row.get("StrokeLength") or np.nan)
        code = judge_cards(column, pump=pump, stroke_length_in=np.array([stroke]))[0]
        if code:
            fault = misfit_text(position, load, int(code), pump=pump, stroke_length_in=stroke)
        sample |= {
            "points": len(position),
            "position_in": position.astype(float).round(3).tolist(),
            "load_lbf": load.astype(float).round(1).tolist(),
        }
    if fault is not None:
        findings.append(
            f"the card {name} of {row['NodeID']} at {row['Date']} in {table.name} can't be used ({fault}): map its column, order or units in "
            "source.toml"
        )
    return {**sample, "fault": fault}


def report_kinds(tables: Iterable[SourceTable]) -> list[str]:
    """Kinds of tables with rows in time."""
    return [table.kind.name for table in tables if table.time_column is not None]


def to_arrow(table: SourceTable, rows: Sequence[Row], source: tzinfo, field: tzinfo) -> pa.Table:
    """Rows of a source as a drop file holds them: the kind's columns, units and local time.

    Parameters
    ----------
    table : SourceTable
    rows : sequence of tuple
        Values in the order of `table.columns`.
    source, field : tzinfo
        Zones of the source's times and of the field.

    Returns
    -------
    pyarrow.Table
        Binary columns as stored where no unit is mapped; a column whose values are of no one type as texts.
    """
    columns: dict[str, pa.Array] = {}
    for name, values in zip(table.columns, zip(*rows, strict=True), strict=True):
        given = table.columns[name]
        if name in CARD_BLOBS:
            plain = [bytes(each) if isinstance(each, (memoryview, bytearray)) else each for each in values]
            plain = convert_cards(plain, factor(given.position_unit, "in"), factor(given.load_unit, "lbf"))
        else:
            plain = convert_values(values, factor(given.unit, table.kind.table.by_name[name].unit))
        array = _array(plain, source)
        if pa.types.is_timestamp(array.type) and str(source) != str(field):
            zoned = pc.assume_timezone(array, str(source), ambiguous="earliest", nonexistent="earliest")
            array = pc.local_timestamp(zoned.cast(pa.timestamp("us", str(field))))
        columns[name] = array
    return pa.table(columns)


def _array(values: Sequence[Any], zone: tzinfo) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return pa.nulls(len(values), pa.string())
    if kinds <= {datetime, date}:
        return pa.array(
            [None if value is None else _naive(value, zone) for value in values], pa.timestamp("us")
        )
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int} and all(value is None or abs(value) < 1 << 63 for value in values):
        return pa.array(values, pa.int64())
    if kinds <= {int, float, Decimal}:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if kinds <= {bytes, memoryview, bytearray}:
        return pa.array([None if value is None else bytes(value) for value in values], pa.binary())
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: Any) -> str:
    return bytes(value).hex() if isinstance(value, (bytes, memoryview, bytearray)) else str(value)


def _naive(value: Any, zone: tzinfo) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo is None else value.astimezone(zone).replace(tzinfo=None)
    if isinstance(value, date):
        return datetime.combine(value, datetime.min.time())
    raise SourceError(
        f"{value!r} stands in a column of times of the source, which holds no times: map a view that makes them"
    )


def _cut(at: datetime) -> datetime:
    """Without what is below the millisecond."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def write_drop_file(path: Path, rows: pa.Table) -> None:
    """Write a Parquet file that is there whole or not at all, and durable.

    Raises
    ------
    FileExistsError
        If a file has that name.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            pq.write_table(rows, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        rename_new(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _files_in(settings: Settings) -> bool:
    try:
        return bool(list_drop_folder(settings.drop, settings.field_now()).files)
    except FileNotFoundError:
        return False


def _upsert(tx: Transaction, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        tx.upsert(table, pa.Table.from_pylist(rows, schema=pa.schema(list(arrow_schema(table)))))


def _groups(wells: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(wells), WELLS_A_STATEMENT):
        yield wells[start : start + WELLS_A_STATEMENT]


def _well(table: SourceTable, row: Row) -> str:
    return str(row[list(table.columns).index("NodeID")])


def _key(table: SourceTable, row: Row) -> list[Any]:
    names = list(table.columns)
    return [row[names.index(name)] for name in table.key]


def _key_text(table: SourceTable, row: Row) -> str:
    return json.dumps([str(each) for each in _key(table, row)])


def _digest(version: str, rows: Iterable[Row]) -> str:
    told = hashlib.blake2b(version.encode(), digest_size=16)
    for row in rows:
        for value in row:
            data = bytes(value) if isinstance(value, (bytes, memoryview, bytearray)) else repr(value).encode()
            told.update(f"{type(value).__name__} {len(data)} ".encode() + data)
    return told.hexdigest()


def _bytes(rows: Sequence[Row]) -> int:
    """Bytes of rows, about, by the last of them."""
    return (
        len(rows)
        * sum(len(value) if isinstance(value, (bytes, memoryview, str)) else 8 for value in rows[-1])
        if rows
        else 0
    )
