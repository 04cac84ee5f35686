"""Tables made again from the archive.

Here: `reload_days`, which reads archived drop files as they were taken in and makes the table what they say. Not here:
how files come into the archive (``archive``).

A row that was rejected when its file was loaded stays rejected, whatever the first day is now; spellings of wells are today's, and so is the
time zone into which times with an offset are converted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.intake.archive import ArchiveError, archived_name
from oasis_pipeline.intake.equipment import Held, load_equipment, refuse_broken
from oasis_pipeline.intake.failures import load_failures, mark_spans, package_rules, stored_failures
from oasis_pipeline.intake.files import archive_path, read_chunks
from oasis_pipeline.intake.groups import load_groups
from oasis_pipeline.intake.labels import DYNALABEL, DYNALABEL_HISTORY, IN_FORCE, load_labels, to_cards
from oasis_pipeline.intake.marks import Marks
from oasis_pipeline.intake.nodes import Spellings
from oasis_pipeline.intake.rules import Rules, last_of_each
from oasis_pipeline.schema import DROP_KINDS, DropKind, Kind, Table, history_of, quote
from oasis_pipeline.schema.system_tables import FILE
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Transaction, Warehouse
from oasis_pipeline.storage.upsert import Upserted


def reload_days(
    warehouse: Warehouse,
    store: ObjectStore,
    table: Table,
    first_day: date | None,
    last_day: date | None,
    zone: tzinfo = UTC,
) -> Upserted:
    """Make days of a table, or all of it, again from the archive.

    Parameters
    ----------
    warehouse : Warehouse
    store : ObjectStore
    table : Table
        One that is fed by drop files.
    first_day, last_day : date or None
        Range, both included; None is open. Both None for a table that is not kept by day.
    zone : tzinfo
        The field's time zone.

    Returns
    -------
    Upserted
        Rows that are the same as stored are no change; rows that no file brings go away (labels and groups that people
        gave otherwise than by file stay). What changed is marked in the ledger.

    Raises
    ------
    ArchiveError
        If a file that counts is not in the archive (yet), or not as it was loaded. Nothing is changed then.
    ValueError
        If the table is not fed by drop files alone, or is not kept by day though days are given.
    """
    kind = next((each for each in DROP_KINDS.values() if each.table.asset == table.asset), None)
    if kind is None or kind.open_columns:
        # of readings the archive holds only what came by file; what the data service took in would be lost
        raise ValueError(f"{table.asset} is not loaded from drop files alone")
    if kind.table.kind is not Kind.SERIES and (first_day, last_day) != (None, None):
        raise ValueError(f"{table.asset} is not kept by day")
    with warehouse.transaction() as tx:
        tx.lock("intake")
        files = _files(tx, kind, first_day, last_day, zone)
        marks = Marks()
        if kind.table.kind is Kind.SERIES:
            done = _reload_series(tx, store, kind, files, first_day, last_day)
            marks.days(table, {day.isoformat(): rows for day, rows in done.changed_days.items()})
        else:
            done = _reload_state(tx, store, kind, files, marks)
        marks.write(tx)
        return done


@dataclass(frozen=True)
class _File:
    source_file: str
    stamp: datetime
    sha256: str
    earliest_day: date
    """First day that was accepted when it was loaded."""
    zone: tzinfo


def _files(
    tx: Transaction, kind: DropKind, first_day: date | None, last_day: date | None, zone: tzinfo
) -> list[_File]:
    """Find the files that count, by stamp, then arrival."""
    rows = tx.query(
        f"SELECT source_file, stamp, sha256, archived, earliest_day FROM {FILE.full_name} WHERE kind = $1 "
        "AND ($2::date IS NULL OR last_day >= $2::date) AND ($3::date IS NULL OR first_day <= $3::date) ORDER BY stamp, arrival",
        (kind.name, first_day, last_day),
    ).to_pylist()
    waiting = [row["source_file"] for row in rows if not row["archived"]]
    if waiting:
        raise ArchiveError(f"not archived yet: {', '.join(waiting)}; run the intake first")
    return [
        _File(row["source_file"], row["stamp"], row["sha256"], row["earliest_day"] or date.min, zone)
        for row in rows
    ]


def _rows_of(tx: Transaction, store: ObjectStore, kind: DropKind, file: _File) -> Iterator[pa.Table]:
    """Rows of an archived file that were usable when it was loaded, in chunks, spelled as today."""
    drop = archived_name(file.source_file, kind)
    path = archive_path(kind, file.source_file)
    rejected = tx.query(
        'SELECT "RowNumber" AS n FROM xspoc.rejected WHERE "SourceFile" = $1', (file.source_file,)
    )
    refused = rejected["n"].to_numpy()
    spellings = Spellings(tx)
    with tempfile.NamedTemporaryFile(suffix=drop.suffix) as local:
        try:
            if store.copy_to(path, local.write) != file.sha256:
                raise ArchiveError(
                    f"{store.where(path)} is not the file that was loaded; nothing was changed"
                )
        except StorageError as error:
            raise ArchiveError(f"{error}; nothing was changed") from error
        local.flush()
        rules = Rules(drop, file.earliest_day, file.zone)
        held: list[Held] = []
        broken: set[str] = set()
        for chunk in read_chunks(Path(local.name), drop.suffix, kind):
            checked = rules.check(chunk)
            kept = ~np.isin(checked.row_numbers, refused)
            rows = checked.rows.filter(pa.array(kept))
            at = rows.schema.get_field_index("NodeID")
            rows = rows.set_column(at, "NodeID", spellings.show(rows["NodeID"]))
            if kind.whole_state:
                held.append(Held(rows, checked.row_numbers[kept], chunk))
                broken |= checked.broken
            else:
                yield rows
        if held:
            # of refused strings only the first rows may stand among the rejected ones
            refuse_broken(held, set(spellings.show(pa.array(sorted(broken), pa.string())).to_pylist()))
            yield from (each.rows for each in held)


def _reload_series(
    tx: Transaction,
    store: ObjectStore,
    kind: DropKind,
    files: list[_File],
    first_day: date | None,
    last_day: date | None,
) -> Upserted:
    table = kind.table
    found: pa.Table | None = None
    for file in files:
        for chunk in _rows_of(tx, store, kind, file):
            days = pc.cast(chunk[table.time_column], pa.date32(), safe=False)
            inside = pc.and_(
                pc.greater_equal(days, pa.scalar(first_day or date.min)),
                pc.less_equal(days, pa.scalar(last_day or date.max)),
            )
            rows = chunk.filter(inside)
            rows = rows.append_column(
                "file_stamp", pa.repeat(pa.scalar(file.stamp, pa.timestamp("ms")), rows.num_rows)
            )
            # Ascending by stamp, then arrival, then row: of each key the last one is in force.
            found = last_of_each(rows if found is None else pa.concat_tables([found, rows]), table.key)
    if found is None:
        found = pa.table({column.name: pa.array([], column.type.arrow) for column in table.columns})
    return tx.replace_days(table, found, first_day, last_day)


def _reload_state(
    tx: Transaction, store: ObjectStore, kind: DropKind, files: list[_File], marks: Marks
) -> Upserted:
    """Empty the table (and its history) and let every file come again."""
    table = kind.table
    before = tx.stage_name()
    tx.execute(f"CREATE TEMPORARY TABLE {before} ON COMMIT DROP AS SELECT * FROM {table.full_name}")
    old_states = tx.stage_name()
    if kind.has_history:
        tx.execute(
            f"CREATE TEMPORARY TABLE {old_states} ON COMMIT DROP AS SELECT * FROM {history_of(table).full_name}"
        )
    failures = stored_failures(tx) if kind.name == "Failures" else {}
    names = [file.source_file for file in files]
    if kind.name == "Labels":
        _forget_labels(tx, names)
    elif kind.name == "Groups":
        # what people chose by hand is in no file
        tx.execute(f"DELETE FROM {table.full_name} WHERE given_by IS NULL")
    else:
        for each in (table, *([history_of(table)] if kind.has_history else [])):
            tx.execute(f"DELETE FROM {each.full_name}")
    for file in files:
        chunks = list(_rows_of(tx, store, kind, file))
        rows = last_of_each(pa.concat_tables(chunks), table.key)
        if kind.name == "Labels":
            rows, _ = to_cards(tx, rows)
            load_labels(tx, rows, file.source_file, file.stamp, Marks())
        elif kind.name == "Failures":
            load_failures(tx, rows, package_rules(), file.stamp, Marks())
        elif kind.name == "Groups":
            load_groups(tx, rows, file.stamp, Marks())
        else:
            load_equipment(tx, kind, rows, file.stamp, Marks())
    if kind.name == "Failures":
        # The classes stay as the installation's own rule file made them.
        tx.execute(
            f"UPDATE {table.full_name} AS f SET failure_class = b.failure_class FROM pg_temp.{before} AS b "
            'WHERE f."NodeID" = b."NodeID" AND f."Failure Start Date" = b."Failure Start Date" '
            'AND f."Failures" IS NOT DISTINCT FROM b."Failures"'
        )
        mark_spans(tx, failures, stored_failures(tx), marks)
    key = ", ".join(quote(name) for name in table.key)
    counts = tx.query(
        f"SELECT (SELECT count(*) FROM {table.full_name}) AS stored, "
        f"(SELECT count(*) FROM (SELECT * FROM {table.full_name} EXCEPT SELECT * FROM pg_temp.{before}) AS new) AS changed, "
        f"(SELECT count(*) FROM (SELECT {key} FROM {table.full_name} EXCEPT SELECT {key} FROM pg_temp.{before}) AS new) AS inserted, "
        f"(SELECT count(*) FROM (SELECT {key} FROM pg_temp.{before} EXCEPT SELECT {key} FROM {table.full_name}) AS old) AS removed"
    ).to_pylist()[0]
    if counts["changed"] or counts["removed"]:
        marks.whole(table, counts["changed"] + counts["removed"])
    if kind.has_history:
        _mark_states(tx, table, old_states, marks)
    return Upserted(
        stored=counts["stored"],
        inserted=counts["inserted"],
        changed=counts["changed"] + counts["removed"],
        removed=counts["removed"],
    )


def _mark_states(tx: Transaction, table: Table, before: str, marks: Marks) -> None:
    """Mark the first state that came out another than before; a first state of a well holds for all time."""
    history = history_of(table)
    old, new = f"SELECT * FROM pg_temp.{before}", f"SELECT * FROM {history.full_name}"
    both = f'SELECT "NodeID", "ValidFrom" FROM pg_temp.{before} UNION SELECT "NodeID", "ValidFrom" FROM {history.full_name}'
    found = tx.query(
        f"WITH other AS (({old} EXCEPT {new}) UNION ALL ({new} EXCEPT {old})), "
        f'first AS (SELECT "NodeID", min("ValidFrom") AS first FROM ({both}) AS b GROUP BY 1) '
        'SELECT min(o."ValidFrom")::date AS since, bool_or(o."ValidFrom" = f.first) AS from_the_first '
        'FROM other AS o JOIN first AS f USING ("NodeID")'
    ).to_pylist()[0]
    if found["since"] is not None:
        marks.since(table, None if found["from_the_first"] else found["since"])


def _forget_labels(tx: Transaction, names: list[str]) -> None:
    """Remove what files said of labels; what people said otherwise stays, and comes into force again."""
    for each in (DYNALABEL, DYNALABEL_HISTORY):
        tx.execute(f'DELETE FROM {each.full_name} WHERE "LabeledBy" = ANY($1::text[])', (names,))
    columns = ", ".join(quote(name) for name in DYNALABEL.column_names)
    tx.execute(
        f"INSERT INTO {DYNALABEL.full_name} ({columns}) SELECT * FROM ({IN_FORCE}) AS f ON CONFLICT DO NOTHING",
        (None, None),
    )
