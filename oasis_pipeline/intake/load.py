"""One file into the warehouse, within one transaction.

Here: the order of things inside the transaction and the counting of rows. Not here: what a row has to be (``rules``), what is
special to equipment, labels and failures (modules of these names), and the life of the file around the
transaction (``intake``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.intake.equipment import load_equipment
from oasis_pipeline.intake.failures import load_failures
from oasis_pipeline.intake.files import Chunk, DropName
from oasis_pipeline.intake.labels import load_labels
from oasis_pipeline.intake.marks import Marks
from oasis_pipeline.intake.nodes import Spellings
from oasis_pipeline.intake.readings import ReadingsOfFile
from oasis_pipeline.intake.rules import Checked, Rejected, check, last_of_each, time_column
from oasis_pipeline.schema import DropKind, Kind, table
from oasis_pipeline.schema.system_tables import FILE
from oasis_pipeline.storage.postgres import Transaction
from oasis_pipeline.storage.upsert import Upserted

REJECTED = table("xspoc", "rejected")


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


@dataclass(frozen=True)
class Context:
    """What loading needs to know besides the file.

    Attributes
    ----------
    earliest_day : date
        Rows before it are refused.
    failure_rules : list of (str, str)
        As `failures.read_rules` gives them.
    """

    earliest_day: date
    failure_rules: list[tuple[str, str]]


@dataclass
class _Counts:
    rows: int = 0
    stored: int = 0
    superseded: int = 0
    rejected: int = 0
    first: date | None = None
    last: date | None = None


def load_file(
    tx: Transaction, drop: DropName, chunks: Iterable[Chunk], source_file: str, sha256: str, context: Context
) -> tuple[FileReport, dict[str, dict[str, int]], list[str]]:
    """Load one file: rows, rejects, spellings, history, the file's own row, marks.

    Parameters
    ----------
    tx : Transaction
        Holding the intake lock.
    drop : DropName
    chunks : iterable of Chunk
        The file, as `files.read_chunks` gives it.
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
    """
    report = FileReport(source_file, drop.kind.name)
    counts, marks, spellings = _Counts(), Marks(), Spellings(tx)
    streamed = drop.kind.table.kind is Kind.SERIES
    readings = ReadingsOfFile(tx, drop.stamp, source_file, marks) if drop.kind.open_columns else None
    seen: pa.Table | None = None
    held: list[pa.Table] = []
    broken: set[str] = set()
    for chunk in chunks:
        report.ignored_columns = list(dict.fromkeys([*report.ignored_columns, *chunk.header.ignored]))
        report.missing_columns = list(chunk.header.missing)
        checked = check(chunk, drop, context.earliest_day)
        _note(checked, drop.kind, counts)
        if drop.kind.whole_state:
            broken |= {node for node in checked.rejected.node if node}
        _write_rejected(tx, checked.rejected, drop.kind, source_file, spellings)
        if readings is not None:
            readings.add(checked.rows)
            continue
        rows = _spelled(checked.rows, spellings)
        if streamed:
            seen = _load_series(tx, drop, rows, seen, counts, marks)
        else:
            held.append(rows)
    warnings: list[str] = []
    if readings is not None:
        counts.stored, counts.superseded = readings.stored, readings.superseded
        warnings += readings.warnings()
    if held:
        whole = pa.concat_tables(held)
        if drop.kind.name == "WellDetails":
            spellings.take_from_details(whole["NodeID cleaned"].to_pylist(), drop.stamp, marks)
            whole = _spelled(
                whole.drop_columns("NodeID").rename_columns({"NodeID cleaned": "NodeID"}), spellings
            )
        whole = whole.drop_columns("NodeID cleaned")
        unique = last_of_each(whole, drop.kind.table.key)
        done = _load_whole(tx, drop, unique, source_file, context, marks)
        counts.stored += done.stored
        counts.superseded += done.superseded + whole.num_rows - unique.num_rows
        partial = sorted(broken & set(spellings_of(whole)))
        if partial:
            warnings.append(
                f"{source_file}: rows of {', '.join(partial)} were rejected, what is stored of them is incomplete"
            )
    report.rows, report.stored, report.superseded, report.rejected = (
        counts.rows, counts.stored, counts.superseded, counts.rejected,
    )  # fmt: skip
    marks.write(tx)
    _write_file(tx, drop, report, counts, sha256)
    report.changed_days = {
        asset: {date.fromisoformat(day): rows for day, rows in sorted(partitions.items()) if day}
        for asset, partitions in marks.changed.items()
    }
    return report, marks.changed, warnings


def spellings_of(rows: pa.Table) -> list[str]:
    """Wells that rows name."""
    names: list[str] = pc.unique(rows["NodeID"]).to_pylist()
    return names


def _note(checked: Checked, kind: DropKind, counts: _Counts) -> None:
    counts.rows += checked.rows.num_rows + len(checked.rejected)
    counts.rejected += len(checked.rejected)
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


def _load_series(
    tx: Transaction, drop: DropName, rows: pa.Table, seen: pa.Table | None, counts: _Counts, marks: Marks
) -> pa.Table:
    """Upsert one chunk; keys that an earlier chunk of the file brought are apart, so that each is counted once."""
    key = list(drop.kind.table.key)
    rows = rows.drop_columns("NodeID cleaned")
    if rows.num_rows == 0:
        return rows.select(key) if seen is None else seen
    unique = last_of_each(rows, drop.kind.table.key)
    counts.superseded += rows.num_rows - unique.num_rows
    stamped = unique.append_column(
        "file_stamp", pa.repeat(pa.scalar(drop.stamp, pa.timestamp("ms")), unique.num_rows)
    )
    keys = unique.select(key)
    if seen is None:
        fresh, again = stamped, None
    else:
        numbered = keys.append_column("#row", pa.array(range(keys.num_rows)))
        places = numbered.join(seen, keys=key, join_type="left semi")["#row"].combine_chunks()
        repeated = pc.is_in(numbered["#row"], value_set=places)
        fresh, again = stamped.filter(pc.invert(repeated)), stamped.filter(repeated)
    done = tx.upsert(drop.kind.table, fresh, newest_by="file_stamp")
    counts.stored += done.stored
    counts.superseded += done.superseded
    if again is not None and again.num_rows:
        repeat = tx.upsert(drop.kind.table, again, newest_by="file_stamp")
        # Stored or not: of the two rows of the key one is superseded, and the other one counted already.
        counts.superseded += again.num_rows
        done = done + repeat
        keys = fresh.select(key)
    marks.days(drop.kind.table, {day.isoformat(): count for day, count in done.changed_days.items()})
    return keys if seen is None else pa.concat_tables([seen, keys])


def _load_whole(
    tx: Transaction, drop: DropName, rows: pa.Table, source_file: str, context: Context, marks: Marks
) -> Upserted:
    if drop.kind.name == "Labels":
        return load_labels(tx, rows, source_file, drop.stamp, marks)
    if drop.kind.name == "Failures":
        return load_failures(tx, rows, context.failure_rules, drop.stamp, marks)
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


def _write_file(tx: Transaction, drop: DropName, report: FileReport, counts: _Counts, sha256: str) -> None:
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
        "first_day": counts.first,
        "last_day": counts.last,
        "ignored_columns": ", ".join(report.ignored_columns) or None,
        "loaded_at": datetime.now(UTC),
        "archived": False,
    }
    schema = pa.schema(pa.field(column.name, column.type.arrow) for column in FILE.columns)
    tx.upsert(FILE, pa.Table.from_pylist([row], schema=schema))
