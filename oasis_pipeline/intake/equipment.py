"""Equipment: the newest state of each well, and every state it ever had.

Here: how a file of WellDetails, Rods, Deviations or PumpingUnits enters the current table and its history. Not here:
which state a computation uses.

A state is all rows of one well in one file. A rod string or a survey of which a row can't be used is no state: the well keeps the one
before. The history keeps each file's state, also one that only repeats the state before it,
so that what it says does not depend on the order in which files arrive: were A (of day 1), A (day 3, left out as a repeat)
and then, late, B (day 2) to come, the history would say B from day 2 on. Repeats are no change: the ledger is marked only if
the state in force at the file's stamp became another one, and only from the day of that stamp on. A well's first state holds for
all time before it too: then from the day of the well's first card on, so that a new well leaves the past of the others alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oasis_pipeline.intake.chunks import Chunk
from oasis_pipeline.intake.marks import Marks
from oasis_pipeline.intake.rules import Rejected, reject_whole
from oasis_pipeline.schema import DropKind, Table, history_of, quote
from oasis_pipeline.schema import table as table_of
from oasis_pipeline.storage.postgres import Transaction
from oasis_pipeline.storage.upsert import Upserted

CARD = table_of("xspoc", "card")
NOT_WHOLE = "another row of this well can't be used, and a string or survey is replaced whole or not at all"
"""Why a sound row of a rod string or a survey is refused."""


@dataclass(frozen=True)
class Held:
    """Usable rows of one chunk, until all of the file is known.

    Attributes
    ----------
    rows : pyarrow.Table
        With NodeID in the shown spelling.
    row_numbers : ndarray of int64, shape (n,)
    chunk : Chunk
        Where they come from.
    """

    rows: pa.Table
    row_numbers: NDArray[np.int64]
    chunk: Chunk

    @property
    def nbytes(self) -> int:
        """Bytes of the values and of the texts."""
        return int(self.rows.nbytes) + sum(int(column.nbytes) for column in self.chunk.columns)


def refuse_broken(held: list[Held], broken: set[str]) -> tuple[Rejected, list[str]]:
    """Take the rows of wells out whose string or survey did not come whole: half a string would be a wrong one.

    Parameters
    ----------
    held : list of Held
        Of one file; changed in place.
    broken : set of str
        Wells, in the shown spelling, of which a row can't be used.

    Returns
    -------
    rejected : Rejected
        The rows taken out.
    wells : list of str
        Theirs, sorted; also those of which nothing usable came.
    """
    rejected = Rejected()
    if not broken:
        return rejected, []
    names = pa.array(sorted(broken), pa.string())
    for place, each in enumerate(held):
        out = np.asarray(
            pc.is_in(each.rows["NodeID"], value_set=names).to_numpy(zero_copy_only=False), np.bool_
        )
        if out.any():
            nodes = each.rows["NodeID"].filter(pa.array(out)).to_pylist()
            reject_whole(rejected, each.chunk, each.row_numbers[out], nodes, NOT_WHOLE)
            held[place] = replace(
                each, rows=each.rows.filter(pa.array(~out)), row_numbers=each.row_numbers[~out]
            )
    return rejected, sorted(broken)


def load_equipment(
    tx: Transaction, kind: DropKind, rows: pa.Table, stamp: datetime, marks: Marks
) -> Upserted:
    """Load the equipment rows of one file.

    Parameters
    ----------
    tx : Transaction
    kind : DropKind
        With a history.
    rows : pyarrow.Table
        One row a key, NodeID in the shown spelling.
    stamp : datetime
        The file's.
    marks : Marks
        Gets the table, if a state changed.

    Returns
    -------
    Upserted
        Rows that stand in the current table now are stored; those of wells that have a newer state are superseded.
    """
    if rows.num_rows == 0:
        return Upserted()
    table, history = kind.table, history_of(kind.table)
    wells: list[str] = pc.unique(rows["NodeID"]).to_pylist()
    before = _in_force(tx, history, wells, stamp)
    of_file = 'WHERE "NodeID" = ANY($1::text[]) AND'
    tx.execute(f'DELETE FROM {history.full_name} {of_file} "ValidFrom" = $2::timestamp', (wells, stamp))
    stamps = pa.repeat(pa.scalar(stamp, pa.timestamp("ms")), rows.num_rows)
    tx.upsert(history, rows.append_column("ValidFrom", stamps))
    newer = tx.query(
        f'SELECT DISTINCT "NodeID" FROM {table.full_name} {of_file} file_stamp > $2::timestamp',
        (wells, stamp),
    )
    lost = pc.is_in(rows["NodeID"], value_set=newer["NodeID"].combine_chunks().cast(pa.string()))
    current = rows.append_column("file_stamp", stamps).filter(pc.invert(lost))
    # The whole string or survey goes, so that a part that the new one lacks does not stay.
    tx.execute(f"DELETE FROM {table.full_name} {of_file} file_stamp <= $2::timestamp", (wells, stamp))
    tx.upsert(table, current)
    after = _in_force(tx, history, wells, stamp)
    changed = [well for well, state in after.items() if before.get(well) != state]
    if changed:
        marks.whole(table, current.num_rows)
        marks.since(table, _since(tx, history, changed, stamp))
    return Upserted(stored=current.num_rows, superseded=rows.num_rows - current.num_rows)


def _since(tx: Transaction, history: Table, wells: list[str], stamp: datetime) -> date:
    """First day for which the state of a stamp counts in any of the wells.

    Cards of earlier days that come later mark their days themselves.
    """
    first_card = tx.query(
        f'SELECT min(c."Date")::date AS day FROM unnest($1::text[]) AS w(well) JOIN {CARD.full_name} AS c ON c."NodeID" = w.well '
        f'WHERE c."Date" < $2::timestamp AND NOT EXISTS (SELECT 1 FROM {history.full_name} AS h '
        'WHERE h."NodeID" = w.well AND h."ValidFrom" < $2::timestamp)',
        (wells, stamp),
    )["day"][0].as_py()
    return stamp.date() if first_card is None else min(first_card, stamp.date())


def _in_force(tx: Transaction, history: Table, wells: list[str], at: datetime) -> dict[str, str]:
    """Digest of the state of each well in force at a time; the first state holds for all time before it."""
    parts = [quote(name) for name in history.column_names if name not in ("NodeID", "ValidFrom")]
    order = ", ".join(quote(name) for name in history.key if name not in ("NodeID", "ValidFrom")) or "1"
    found = tx.query(
        "WITH force AS (SELECT w.well, coalesce("
        f'(SELECT max("ValidFrom") FROM {history.full_name} WHERE "NodeID" = w.well AND "ValidFrom" <= $2::timestamp),'
        f'(SELECT min("ValidFrom") FROM {history.full_name} WHERE "NodeID" = w.well)) AS since FROM unnest($1::text[]) AS w(well)) '
        f"SELECT f.well, md5(string_agg(ROW({', '.join('h.' + part for part in parts)})::text, chr(10) ORDER BY {order})) AS state "
        f'FROM force AS f JOIN {history.full_name} AS h ON h."NodeID" = f.well AND h."ValidFrom" = f.since GROUP BY f.well',
        (wells, at),
    )
    return dict(zip(found["well"].to_pylist(), found["state"].to_pylist(), strict=True))
