"""One file into the warehouse, within one transaction.

Here: the order of things inside the transaction and the counting of rows. Not here: what a row has to be (``rules``), what is
special to equipment, labels and failures (modules of these names), and the life of the file around the
transaction (``intake``).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oasis_pipeline.intake.blobs import NO_CARD
from oasis_pipeline.intake.equipment import NOT_WHOLE, Held, load_equipment, refuse_broken
from oasis_pipeline.intake.failures import load_failures
from oasis_pipeline.intake.files import DropName
from oasis_pipeline.intake.groups import load_groups
from oasis_pipeline.intake.labels import give_waiting_labels, load_labels, to_cards
from oasis_pipeline.intake.marks import Marks
from oasis_pipeline.intake.nodes import Spellings
from oasis_pipeline.intake.readings import ReadingsOfFile
from oasis_pipeline.intake.rules import Checked, CheckedFile, Rejected, last_of_each, time_column
from oasis_pipeline.intake.unpacking import UnreadableFileError
from oasis_pipeline.schema import DropKind, Kind, quote, table
from oasis_pipeline.schema.system_tables import FILE
from oasis_pipeline.schema.xspoc_tables import CARDS_WITH_FAULT
from oasis_pipeline.storage.postgres import Transaction
from oasis_pipeline.storage.upsert import Upserted

REJECTED = table("xspoc", "rejected")
MAX_WELLS = 200_000
"""Wells that one file may name."""
HELD_BYTES = 192 << 20
"""Bytes of rows that a file may have whose rows only count together."""


@dataclass
class FileReport:
    """What became of one file.

    Attributes
    ----------
    source_file : str
        Name in the archive.
    kind : str
    rows, stored, superseded, rejected : int
        Rows after the header; the last three add up to the first.
    ignored_columns, missing_columns : list of str
        Columns of the file that the kind does not know, and columns of the kind that the file lacks.
    changed_days : dict of str to dict of date to int
        Asset -> day -> rows that changed.
    seconds : float
    already_loaded : bool
        True if the same bytes had been loaded before; the counts are those of that time.
    rejects_kept : int
        Rejected rows that stand in ``xspoc.rejected``; of many with one reason only the first ones do.
    """

    source_file: str
    kind: str
    rows: int = 0
    stored: int = 0
    superseded: int = 0
    rejected: int = 0
    ignored_columns: list[str] = field(default_factory=list)
    missing_columns: list[str] = field(default_factory=list)
    changed_days: dict[str, dict[date, int]] = field(default_factory=dict)
    seconds: float = 0.0
    already_loaded: bool = False
    rejects_kept: int = 0


@dataclass(frozen=True)
class Context:
    """What loading needs to know besides the file.

    Attributes
    ----------
    earliest_day : date
        Rows before it are refused.
    failure_rules : list of (str, str)
        As `failures.read_rules` gives them.
    zone : tzinfo
        The field's time zone.
    """

    earliest_day: date
    failure_rules: list[tuple[str, str]]
    zone: tzinfo = UTC


@dataclass
class _Counts:
    rows: int = 0
    stored: int = 0
    superseded: int = 0
    rejected: int = 0
    kept: int = 0
    first: date | None = None
    last: date | None = None


def load_file(
    tx: Transaction, file: CheckedFile, source_file: str, sha256: str, context: Context
) -> tuple[FileReport, dict[str, dict[str, int]], list[str]]:
    """Load one file: rows, rejects, spellings, history, the file's own row, marks.

    Parameters
    ----------
    tx : Transaction
        Holding the intake lock.
    file : CheckedFile
    source_file : str
        Name in the archive.
    sha256 : str
        Hash of the file's bytes.
    context : Context

    Returns
    -------
    report : FileReport
    changed : dict
        Asset -> partition -> rows that changed, as marked in the ledger.
    warnings : list of str

    Raises
    ------
    UnreadableFileError
        If the file can't be read, or names more wells than a field can have, or holds more rows than a file that is taken whole may.
    """
    drop, rules = file.drop, file.rules
    report = FileReport(source_file, drop.kind.name)
    counts, marks, spellings = _Counts(), Marks(), Spellings(tx)
    series = _Series(tx, drop, counts, marks) if drop.kind.table.kind is Kind.SERIES else None
    readings = ReadingsOfFile(tx, drop.stamp, source_file, marks) if drop.kind.open_columns else None
    held: list[Held] = []
    broken: set[str] = set()
    unusable: list[pa.Table] = []
    for chunk, checked in file.chunks:
        report.ignored_columns = list(dict.fromkeys([*report.ignored_columns, *chunk.header.ignored]))
        report.missing_columns = list(chunk.header.missing)
        _note(checked, drop.kind, counts)
        broken |= checked.broken
        if drop.kind.whole_state and chunk.malformed_rows > len(chunk.malformed):
            raise UnreadableFileError(
                f"{chunk.malformed_rows:,} rows can't be read, so it is not known whose {drop.kind.name.lower()} are complete"
            )
        _write_rejected(tx, checked.rejected, drop.kind, source_file, spellings)
        unusable += [faulty for prefix in CARDS_WITH_FAULT if (faulty := _faulty(checked.rows, prefix))]
        if readings is not None:
            readings.add(checked.rows)
            continue
        rows = _spelled(checked.rows, spellings)
        if len(spellings) > MAX_WELLS:
            raise UnreadableFileError(
                f"it names more than {MAX_WELLS:,} wells. Does the column NodeID hold wells?"
            )
        if series is not None:
            series.add(rows)
        else:
            held.append(Held(rows, checked.row_numbers, chunk))
            _require_room(held, drop.kind)
    warnings = _of_no_use(source_file, unusable)
    if readings is not None:
        counts.stored, counts.superseded = readings.stored, readings.superseded
        report.ignored_columns += rules.text_columns
        warnings += readings.warnings()
        if rules.text_columns:
            warnings.append(
                f"{source_file}: {', '.join(rules.text_columns)} {'holds' if len(rules.text_columns) == 1 else 'hold'} texts and no"
                " numbers; a measure is a number, so the readings are stored without"
            )
    if held:
        rejected, refused = refuse_broken(held, set(_shown(spellings, broken)))
        if len(rejected):
            _write_rejected(tx, rejected, drop.kind, source_file, spellings)
            counts.rejected += len(rejected)
            counts.kept += len(rejected)
            rules.reasons[NOT_WHOLE] += len(rejected)
        if refused:
            warnings.append(
                f"{source_file}: not all rows of {_some(refused)} can be used, so none is: the earlier state of"
                f" {'it' if len(refused) == 1 else 'them'} is kept. Correct the rows (see xspoc.rejected) and send them again"
            )
        whole = pa.concat_tables([each.rows for each in held])
        if drop.kind.name == "WellDetails":
            spellings.take_from_details(whole["NodeID cleaned"].to_pylist(), drop.stamp, marks)
            whole = _spelled(
                whole.drop_columns("NodeID").rename_columns({"NodeID cleaned": "NodeID"}), spellings
            )
        whole = whole.drop_columns("NodeID cleaned")
        unique = last_of_each(whole, drop.kind.table.key)
        if drop.kind.name == "Labels":
            unique, moved = to_cards(tx, unique)
            if moved:
                warnings.append(
                    f"{source_file}: {moved} label{'s' if moved > 1 else ''} without seconds or milliseconds went to the only card"
                    " of that minute or second"
                )
        done = _load_whole(tx, drop, unique, source_file, context, marks)
        counts.stored += done.stored
        counts.superseded += done.superseded + whole.num_rows - unique.num_rows
    if drop.kind.name == "CardData" and counts.first is not None and counts.last is not None:
        give_waiting_labels(tx, counts.first, counts.last, marks)
    if counts.kept < counts.rejected:
        warnings.append(_say_unkept(source_file, counts, rules.reasons))
    report.rows, report.stored, report.superseded, report.rejected = (
        counts.rows, counts.stored, counts.superseded, counts.rejected,
    )  # fmt: skip
    report.rejects_kept = counts.kept
    marks.write(tx)
    _write_file(tx, drop, report, counts, sha256, rules.reasons, context)
    report.changed_days = {
        asset: {date.fromisoformat(day): rows for day, rows in sorted(partitions.items()) if day}
        for asset, partitions in marks.changed.items()
    }
    return report, marks.changed, warnings


def _faulty(rows: pa.Table, prefix: str) -> pa.Table | None:
    """Rows whose card of one kind is there and can't be used, with the reason; None without any."""
    name = f"{prefix}_fault"
    if name not in rows.column_names:
        return None
    there = pc.and_(pc.is_valid(rows[name]), pc.not_equal(rows[name], NO_CARD))
    if not pc.any(there).as_py():
        return None
    kept = rows.filter(there).select(["NodeID", "Date", name])
    return kept.rename_columns(["NodeID", "Date", "reason"]).append_column(
        "card", pa.repeat(pa.scalar(name.removesuffix("_fault")), kept.num_rows)
    )


def _of_no_use(source_file: str, unusable: list[pa.Table]) -> list[str]:
    """Name the cards of a file that can't be used: how many of each kind of card, and the first."""
    if not unusable:
        return []
    said = []
    faulty = pa.concat_tables(unusable)
    for card in pc.unique(faulty["card"]).to_pylist():
        rows = faulty.filter(pc.equal(faulty["card"], card))
        first = rows.slice(0, 1).to_pylist()[0]
        said.append(
            f"{source_file}: {rows.num_rows:,} {card} can't be used, the first of {first['NodeID']} on "
            f"{first['Date']:%Y-%m-%d %H:%M}: {first['reason']} (all are stored, with the reason in {card}_fault)"
        )
    return said


def _shown(spellings: Spellings, names: set[str]) -> list[str]:
    shown: list[str] = spellings.show(pa.array(sorted(names), pa.string())).to_pylist()
    return shown


def _some(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _say_unkept(source_file: str, counts: _Counts, reasons: Counter[str]) -> str:
    shown = "; ".join(f"{reason} ({rows:,})" for reason, rows in reasons.most_common(3))
    return (
        f"{source_file}: of {counts.rejected:,} rejected rows {counts.kept:,} are in xspoc.rejected, the others are only counted"
        f" (oasis.file, rejected_reasons): {shown}; all of them are in the archived file"
    )


def _require_room(held: list[Held], kind: DropKind) -> None:
    size = sum(each.nbytes for each in held)
    if size > HELD_BYTES:
        raise UnreadableFileError(
            f"a {kind.name} file is loaded as a whole, and this one is too long for that"
            f" (over {sum(len(each.row_numbers) for each in held):,} rows): split it"
        )


def _note(checked: Checked, kind: DropKind, counts: _Counts) -> None:
    counts.rows += checked.rows.num_rows + checked.refused
    counts.rejected += checked.refused
    counts.kept += len(checked.rejected)
    when = time_column(kind)
    if when is not None and checked.rows.num_rows:
        span = pc.min_max(checked.rows[when]).as_py()
        counts.first = min(filter(None, (counts.first, span["min"].date())))
        counts.last = max(filter(None, (counts.last, span["max"].date())))


def _spelled(rows: pa.Table, spellings: Spellings) -> pa.Table:
    """Put the shown spelling in the place of the cleaned one, which is kept beside it."""
    at = rows.schema.get_field_index("NodeID")
    cleaned = rows["NodeID"] if at >= 0 else pa.chunked_array([], pa.string())
    return rows.set_column(at, "NodeID", spellings.show(cleaned)).append_column("NodeID cleaned", cleaned)


class _Series:
    """Rows of one file into a table that is kept by day, chunk by chunk.

    Keys that an earlier chunk of the file brought are apart, so that each is counted once. They are kept in a temporary table, for there
    may be any number of them.

    Parameters
    ----------
    tx : Transaction
    drop : DropName
    counts : _Counts
    marks : Marks
    """

    def __init__(self, tx: Transaction, drop: DropName, counts: _Counts, marks: Marks) -> None:
        self._tx = tx
        self._drop = drop
        self._counts = counts
        self._marks = marks
        self._first: pa.Table | None = None
        self._seen: str | None = None

    def add(self, rows: pa.Table) -> None:
        """Store the usable rows of one chunk."""
        table = self._drop.kind.table
        rows = rows.drop_columns("NodeID cleaned")
        if rows.num_rows == 0:
            return
        unique = last_of_each(rows, table.key)
        self._counts.superseded += rows.num_rows - unique.num_rows
        stamp = pa.scalar(self._drop.stamp, pa.timestamp("ms"))
        stamped = unique.append_column("file_stamp", pa.repeat(stamp, unique.num_rows))
        repeated = self._seen_before(unique.select(list(table.key)))
        again = stamped.filter(pa.array(repeated)) if repeated.any() else None
        fresh = stamped if again is None else stamped.filter(pa.array(~repeated))
        done = self._tx.upsert(table, fresh, newest_by="file_stamp")
        self._counts.stored += done.stored
        self._counts.superseded += done.superseded
        if again is not None:
            repeat = self._tx.upsert(table, again, newest_by="file_stamp")
            # Stored or not: of the two rows of the key one is superseded, and the other one counted already.
            self._counts.superseded += again.num_rows
            done = done + repeat
        self._marks.days(table, {day.isoformat(): count for day, count in done.changed_days.items()})

    def _seen_before(self, keys: pa.Table) -> NDArray[np.bool_]:
        """Tell which keys earlier chunks brought, and note these."""
        repeated = np.zeros(keys.num_rows, np.bool_)
        if self._first is None:
            self._first = keys  # most files have one chunk and need no table
            return repeated
        if self._seen is None:
            self._seen = self._make(self._first, "PRIMARY KEY")
            self._first = keys.slice(0, 0)
        stage = self._make(keys.append_column("row", pa.array(np.arange(keys.num_rows))))
        names = ", ".join(map(quote, self._drop.kind.table.key))
        found = self._tx.query(
            f"SELECT s.row FROM pg_temp.{stage} AS s JOIN pg_temp.{self._seen} AS o USING ({names})"
        )
        repeated[found["row"].to_numpy()] = True
        self._tx.execute(
            f"INSERT INTO pg_temp.{self._seen} ({names}) SELECT {names} FROM pg_temp.{stage} ON CONFLICT DO NOTHING"
        )
        self._tx.execute(f"DROP TABLE pg_temp.{stage}")
        return repeated

    def _make(self, rows: pa.Table, constraint: str = "") -> str:
        table = self._drop.kind.table
        name = self._tx.stage_name()
        columns = [
            f"{quote(each)} {table.by_name[each].type.sql if each in table.by_name else 'bigint'}"
            for each in rows.column_names
        ]
        if constraint:
            columns.append(f"{constraint} ({', '.join(map(quote, table.key))})")
        self._tx.execute(f"CREATE TEMPORARY TABLE {name} ({', '.join(columns)}) ON COMMIT DROP")
        if rows.num_rows:
            self._tx.ingest(name, rows)
        return name


def _load_whole(
    tx: Transaction, drop: DropName, rows: pa.Table, source_file: str, context: Context, marks: Marks
) -> Upserted:
    if drop.kind.name == "Labels":
        return load_labels(tx, rows, source_file, drop.stamp, marks)
    if drop.kind.name == "Failures":
        return load_failures(tx, rows, context.failure_rules, drop.stamp, marks)
    if drop.kind.name == "Groups":
        return load_groups(tx, rows, drop.stamp, marks)
    return load_equipment(tx, drop.kind, rows, drop.stamp, marks)


def _write_rejected(
    tx: Transaction, rejected: Rejected, kind: DropKind, source_file: str, spellings: Spellings
) -> None:
    if not len(rejected):
        return
    count = len(rejected)
    tx.upsert(
        REJECTED,
        pa.table(
            {
                "Kind": pa.repeat(kind.name, count),
                "SourceFile": pa.repeat(source_file, count),
                "RowNumber": pa.array(rejected.row_number, pa.int64()),
                "NodeID": spellings.show(pa.array(rejected.node, pa.string())),
                "Date": pa.array(rejected.time, pa.timestamp("ms")),
                "Reason": pa.array(rejected.reason, pa.string()),
                "Raw": pa.array(rejected.raw, pa.string()),
                "RejectedAt": pa.repeat(pa.scalar(datetime.now(UTC), pa.timestamp("us", tz="UTC")), count),
            }
        ),
    )


def _write_file(
    tx: Transaction,
    drop: DropName,
    report: FileReport,
    counts: _Counts,
    sha256: str,
    reasons: Counter[str],
    context: Context,
) -> None:
    arrival = tx.query(f"SELECT coalesce(max(arrival), 0) + 1 AS n FROM {FILE.full_name}")["n"][0].as_py()
    row = {
        "source_file": report.source_file,
        "kind": report.kind,
        "stamp": drop.stamp,
        "sha256": sha256,
        "arrival": arrival,
        "rows": counts.rows,
        "stored": counts.stored,
        "superseded": counts.superseded,
        "rejected": counts.rejected,
        "rejects_kept": counts.kept,
        "rejected_reasons": dict(reasons.most_common(100)),
        "earliest_day": context.earliest_day,
        "first_day": counts.first,
        "last_day": counts.last,
        "ignored_columns": ", ".join(report.ignored_columns) or None,
        "loaded_at": datetime.now(UTC),
        "archived": False,
    }
    tx.put_row(FILE, row)
