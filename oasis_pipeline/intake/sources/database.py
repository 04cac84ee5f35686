"""A SCADA database as a live source: increments by watermark, sweeps for late and corrected rows, history by ranges.

Here: what is read when, what of it is new, and the hand-over to intake. Not here: statements,
the connection, the mapping, rows as they are (``rows``), and what is known of the source (``watermarks``).

Each batch is written as a drop file (Parquet, stamped with the field's clock) into ``source/drop`` of the home folder and taken in by the same
`intake.take_in` as every drop file, so that rules, rejects, supersession, archive and ledger are the same by being the same code. Only when
the file is durable are watermarks moved: a process that dies in between reads the rows again, and the same rows stored twice are no change.

An increment reads, well by well, what lies behind the well's watermark less `Mapping.overlap_minutes`; a sweep looks back days. What was sent
before is told by a digest of each row, so that neither sends a row again that is as it was. Rows that lie after the field's clock
wait until their time has come; so a bad clock moves no watermark.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from oasis_pipeline.home import make_home
from oasis_pipeline.intake.drop_folder import AHEAD, list_drop_folder
from oasis_pipeline.intake.intake import left_files, take_in
from oasis_pipeline.intake.sources import statements
from oasis_pipeline.intake.sources.base import Progress, SourceError, SourceReport
from oasis_pipeline.intake.sources.check import Looked, check_source
from oasis_pipeline.intake.sources.connection import SourceConnection, read_columns, source_url
from oasis_pipeline.intake.sources.mapping import (
    KINDS,
    SCHEMAS,
    ColumnMapping,
    load_mapping,
)
from oasis_pipeline.intake.sources.rows import (
    Row,
    count_bytes,
    cut_to_ms,
    digest_rows,
    key_of,
    key_text,
    naive_time,
    to_arrow,
    well_of,
    write_drop_file,
)
from oasis_pipeline.intake.sources.statements import SourceTable
from oasis_pipeline.intake.sources.watermarks import Watermarks
from oasis_pipeline.schema import DROP_KINDS
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

WELLS_A_STATEMENT = 50
LARGEST_BATCH_BYTES = 64 << 20

_MINUTE, _MS = timedelta(minutes=1), timedelta(milliseconds=1)

OnStep = Callable[[str, str], None]


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
        self._known = Watermarks(warehouse, self.mapping)
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
        read_before = self._known.kinds()
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

    def _look(self) -> Iterator[Looked]:
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
        if self._known.sweep_due():
            return "a sweep is due"
        if _files_in(self._settings):
            return "files of an earlier increment wait"
        until = self._moment().until
        for table in self.tables():
            if table.time_column is None:
                continue
            marks = {well: at + _MS for well, at in self._known.newest(table.kind.name).items()}
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
            report.sweep = self._known.sweep_due()
            for table in self.tables():
                if table.time_column is not None:
                    self._increment(table, moment, report)
                elif report.sweep:
                    self._equipment(table, moment, report)
            if report.sweep:
                self._known.forget(
                    table.kind.name for table in self.tables() if table.time_column is not None
                )
                self._known.note_sweep()
        return report

    def _increment(self, table: SourceTable, moment: Moment, report: SourceReport) -> None:
        name, mapping = table.kind.name, self.mapping
        marks = self._known.newest(table.kind.name)
        if report.sweep:
            first = moment.until - timedelta(days=mapping.first_days)
            new = {well: first for well in self._wells(table) if well not in marks}
            self._known.note(name, new, {})
            marks |= new
            back = max(timedelta(days=mapping.sweep_days(name)), timedelta(minutes=mapping.overlap_minutes))
        else:
            back, new = timedelta(minutes=mapping.overlap_minutes), {}
        batch: list[Row] = []
        for wells in _groups(sorted(marks)):
            since = {well: marks[well] - (timedelta(0) if well in new else back) for well in wells}
            known = self._known.digests(name, since)
            for page in self._pages(table, since=since, until=moment.until):
                report.looked_at += len(page)
                batch += [
                    row
                    for row in page
                    if known.get(key_text(table, row)) != digest_rows(mapping.digest(name), [row])
                ]
                while len(batch) >= mapping.batch_rows or count_bytes(batch) > LARGEST_BATCH_BYTES:
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
                wells.setdefault(well_of(table, row), []).append(row)
        version = self.mapping.digest(table.kind.name)
        known = self._known.digests(table.kind.name)
        changed = {
            well: rows for well, rows in wells.items() if known.get(well) != digest_rows(version, rows)
        }
        if changed:
            rows = [row for well in sorted(changed) for row in changed[well]]
            self._hand_over(table, rows, moment, report)
            sent = {well: (well, None, digest_rows(version, rows)) for well, rows in changed.items()}
            self._known.note(table.kind.name, {}, sent)
            self._step("noted", table.kind.name)

    def _bring(self, table: SourceTable, rows: list[Row], moment: Moment, report: SourceReport) -> None:
        if not rows:
            return
        self._hand_over(table, rows, moment, report)
        version = self.mapping.digest(table.kind.name)
        newest: dict[str, datetime] = {}
        digests: dict[str, tuple[str, datetime | None, str]] = {}
        for row in rows:
            well, at = well_of(table, row), cut_to_ms(self._time(table, row))
            newest[well] = max(at, newest.get(well, at))
            digests[key_text(table, row)] = (well, at, digest_rows(version, [row]))
        self._known.note(table.kind.name, newest, digests)
        self._step("noted", table.kind.name)

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
        place = _Place.parse(self._known.position(task))
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
            wells, done = len(self._known.newest(table.kind.name)), 0
            while not place.over:
                # one batch at a time, so that increments come in between; read within the lock, so that none is overtaken
                with self._alone():
                    self._take_in_left(report)
                    moment = self._moment()
                    rows, place, passed = self._gather(table, place, begin, min(end, moment.until))
                    report.looked_at += len(rows)
                    if rows:
                        self._hand_over(table, rows, moment, report)
                    self._known.note_position(task, str(place))
                done += passed
                tell(table.kind.name, done, max(wells, done))
        self._known.note_position(task, None)
        return report

    def _gather(
        self, table: SourceTable, place: _Place, begin: datetime, end: datetime
    ) -> tuple[list[Row], _Place, int]:
        """Read on until there are rows for a file; how many wells that ended."""
        rows: list[Row] = []
        passed = 0
        while len(rows) < self.mapping.batch_rows and count_bytes(rows) <= LARGEST_BATCH_BYTES:
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
                place = _Place(place.kind, place.well, key_of(table, page[-1]))
        return rows, place, passed

    # what the source is like

    def check(self) -> dict[str, Any]:
        """Look at tables, columns, types, counts, newest rows and clocks, see `check_source`; nothing is stored."""
        return check_source(self.connection, self.mapping, self._settings, self._look())

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
            if len(page) < self.mapping.batch_rows or key_of(table, page[-1]) == after:
                return
            after = key_of(table, page[-1])

    def _time(self, table: SourceTable, row: Row) -> datetime:
        return naive_time(row[list(table.columns).index(str(table.time_column))], self._zone)

    # handing over

    def _moment(self) -> Moment:
        """Stamp and end of what is read now; stamps never go back, or a corrected row would lose to the one before it."""
        now = self._settings.field_now().replace(second=0, microsecond=0)
        last = self._known.stamp()
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
        self._known.note_stamp(moment.stamp)
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


def _files_in(settings: Settings) -> bool:
    try:
        return bool(list_drop_folder(settings.drop, settings.field_now()).files)
    except FileNotFoundError:
        return False


def _groups(wells: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(wells), WELLS_A_STATEMENT):
        yield wells[start : start + WELLS_A_STATEMENT]
