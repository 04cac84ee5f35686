"""A chunk of a drop file to rows that can be stored and rows that can't.

Here: the rules a row has to keep (key, time, order of times, card blobs), with every reason named by column, and which
of several rows of one key counts. Not here: what one text means (``values``), spelling of wells and anything that
needs the warehouse (``nodes``, ``load``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oasis_pipeline.cards.column import CardColumn
from oasis_pipeline.intake import blobs, values
from oasis_pipeline.intake.files import MAX_NAME, Chunk, DropName
from oasis_pipeline.schema import CARD_BLOBS, DropKind, Type, arrow_schema
from oasis_pipeline.schema.xspoc_tables import CARDS_WITH_BOUNDS, CARDS_WITH_FAULT, card_bound_columns

_PARSERS: dict[Type, Callable[[pa.Array, str, values.Faults], pa.Array]] = {
    Type.TEXT: values.parse_text,
    Type.FLOAT: values.parse_numbers,
    Type.INT: values.parse_integers,
    Type.BOOL: values.parse_flags,
    Type.TIME: values.parse_times,
    Type.UTC: values.parse_utc_times,
}
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_LAST = datetime(9999, 12, 30)
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Rejected:
    """Rows that can't be used, as columns.

    Attributes
    ----------
    row_number : list of int
    node : list of str or None
        Cleaned, as far as it could be read.
    time : list of datetime or None
    reason, raw : list of str
        What is wrong; the row as it came, as JSON.
    """

    row_number: list[int] = field(default_factory=list)
    node: list[str | None] = field(default_factory=list)
    time: list[datetime | None] = field(default_factory=list)
    reason: list[str] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.row_number)


@dataclass(frozen=True)
class Checked:
    """A chunk after the rules.

    Attributes
    ----------
    rows : pyarrow.Table
        Rows that can be used, in file order: all columns of the kind's table that a file brings or that
        follow from them; NodeID cleaned, not yet in the shown spelling.
    row_numbers : ndarray of int64
        Of `rows`; 1 = first row after the header.
    rejected : Rejected
    """

    rows: pa.Table
    row_numbers: NDArray[np.int64]
    rejected: Rejected


def time_column(kind: DropKind) -> str | None:
    """Column with the time of a row of this kind; None for equipment."""
    if kind.has_history:
        return None
    return kind.time_column or next(
        name for name in kind.table.key if kind.table.by_name[name].type is Type.TIME
    )


def check(chunk: Chunk, drop: DropName, earliest_day: date) -> Checked:
    """Apply every rule that needs no warehouse to a chunk.

    Parameters
    ----------
    chunk : Chunk
    drop : DropName
        Kind and stamp of the file.
    earliest_day : date
        Rows before it are refused.

    Returns
    -------
    Checked
    """
    kind = drop.kind
    faults = values.Faults(len(chunk))
    columns: dict[str, pa.Array] = {}
    for name in kind.columns:
        text = chunk.column(name)
        if name in CARD_BLOBS:
            columns |= _card(CARD_BLOBS[name], blobs.parse_cards(text, name, faults))
        elif name == "NodeID":
            columns[name] = values.parse_nodes(text, name, faults)
        else:
            columns[name] = _PARSERS[kind.table.by_name[name].type](text, name, faults)
    if kind.open_columns:
        columns["module_num"] = values.tidy(columns["module_num"])
        columns["measures"] = _measures(chunk, faults)
        long = values.as_mask(pc.greater(pc.utf8_length(columns["module_num"]), MAX_NAME))
        faults.add(long, "module_num", f"is longer than {MAX_NAME} characters", chunk.column("module_num"))
    for name in kind.table.key:
        # A key that has a fault already is null too, and needs no second reason.
        empty = values.null_texts(chunk.column(name)) if name != "NodeID" else _no_node(chunk.column(name))
        faults.add(empty, name, "is empty, and is part of the key")
    when = time_column(kind)
    if when is not None and kind.table.by_name[when].type is Type.UTC:
        _check_utc_times(columns[when], when, drop.stamp, earliest_day, faults)
    elif when is not None:
        _check_times(columns[when], when, drop.stamp, earliest_day, faults)
    if kind.name == "Failures":
        _check_end(columns["Failure Start Date"], columns["Failure End Date"], faults)
    if kind.name == "Labels":
        _settle_labels(columns, faults)
    fields = [arrow_schema(kind.table).field(name) for name in columns]
    table = pa.table(list(columns.values()), schema=pa.schema(item.with_nullable(True) for item in fields))
    nodes = columns.get("NodeID", pa.nulls(len(chunk), pa.string()))
    rejected = _reject(chunk, faults, nodes, columns[when] if when else None)
    if faults.bad.any():
        table = table.filter(pa.array(~faults.bad))
    return Checked(table, chunk.row_numbers[~faults.bad], rejected)


def _no_node(text: pa.Array) -> NDArray[np.bool_]:
    coded = pc.dictionary_encode(pc.fill_null(text, ""))
    empty = np.array([not values.clean_node(value) for value in coded.dictionary.to_pylist()], np.bool_)
    return empty[np.asarray(coded.indices.to_numpy(), np.int64)] if len(text) else np.zeros(0, np.bool_)


def _card(prefix: str, cards: CardColumn) -> dict[str, pa.Array]:
    position, load = blobs.card_lists(cards)
    columns: dict[str, pa.Array] = {f"{prefix}_position": position, f"{prefix}_load": load}
    if prefix in CARDS_WITH_FAULT:
        columns[f"{prefix}_fault"] = blobs.fault_texts(cards)
    if prefix in CARDS_WITH_BOUNDS:
        names = (column.name for column in card_bound_columns(prefix))
        columns |= dict(zip(names, blobs.extremes(cards), strict=True))
    return columns


def _check_times(
    times: pa.Array, column: str, stamp: datetime, earliest_day: date, faults: values.Faults
) -> None:
    after = values.as_mask(pc.greater_equal(times, pa.scalar(stamp + _MINUTE, pa.timestamp("ms"))))
    faults.add(after, column, f"lies after the file's own stamp {stamp:%Y-%m-%d %H:%M}", times)
    first = datetime.combine(earliest_day, datetime.min.time())
    before = values.as_mask(pc.less(times, pa.scalar(first, pa.timestamp("ms"))))
    faults.add(before, column, f"lies before {earliest_day.isoformat()}, the first day accepted", times)


def _check_utc_times(
    times: pa.Array, column: str, stamp: datetime, earliest_day: date, faults: values.Faults
) -> None:
    # the stamp is in the field's local time, whose distance from UTC is not known but less than a day
    kind = pa.timestamp("us", tz="UTC")
    latest = min(stamp, _LAST - _DAY) + _DAY
    after = values.as_mask(pc.greater(times, pa.scalar(latest.replace(tzinfo=UTC), kind)))
    faults.add(
        after, column, f"lies more than a day after the file's own stamp {stamp:%Y-%m-%d %H:%M}", times
    )
    first = datetime.combine(earliest_day, datetime.min.time(), UTC)
    before = values.as_mask(pc.less(times, pa.scalar(first, kind)))
    faults.add(before, column, f"lies before {earliest_day.isoformat()}, the first day accepted", times)


def _measures(chunk: Chunk, faults: values.Faults) -> pa.Array:
    """Put the columns of measures together to JSON objects; a measure without a value is left out."""
    pieces = []
    for position, name in chunk.header.measures:
        numbers = values.parse_numbers(chunk.columns[position], name, faults)
        label = f", {json.dumps(name, ensure_ascii=False)}: "
        pieces.append(pc.fill_null(pc.binary_join_element_wise(label, pc.cast(numbers, pa.string()), ""), ""))
    if not pieces:
        return pa.repeat(pa.scalar("{}"), len(chunk))
    # Arrow's own skipping of nulls (26.0) loses rows that begin with one
    inner = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*pieces, ""), 2)
    return pc.binary_join_element_wise("{", inner, "}", "")


def _check_end(start: pa.Array, end: pa.Array, faults: values.Faults) -> None:
    """Refuse an end before its start; an end without a time covers its whole day."""
    ends = pc.cast(end, pa.int64())
    whole_day = values.as_mask(pc.equal(ends, pc.multiply(pc.divide(ends, _DAY_MS), _DAY_MS)))
    last = pc.add(ends, pa.array(np.where(whole_day, _DAY_MS - 1, 0)))
    before = values.as_mask(pc.less(last, pc.cast(start, pa.int64())))
    faults.add(before, "Failure End Date", "lies before Failure Start Date", end)


def _settle_labels(columns: dict[str, pa.Array], faults: values.Faults) -> None:
    """Trim; a lone second label becomes the first; the same label twice is one label."""
    first, second = (values.tidy(columns[name]) for name in ("TrueLabel1", "TrueLabel2"))
    moved = pc.is_null(first)
    first, second = pc.coalesce(first, second), pc.if_else(moved, pa.scalar(None, pa.string()), second)
    faults.add(values.as_mask(pc.is_null(first)), "TrueLabel1, TrueLabel2", "are both empty")
    same = pc.fill_null(pc.equal(pc.utf8_lower(first), pc.utf8_lower(second)), False)
    columns["TrueLabel1"], columns["TrueLabel2"] = (
        first,
        pc.if_else(same, pa.scalar(None, pa.string()), second),
    )


def _reject(chunk: Chunk, faults: values.Faults, nodes: pa.Array, times: pa.Array | None) -> Rejected:
    rejected = Rejected()
    for row in np.flatnonzero(faults.bad).tolist():
        rejected.row_number.append(int(chunk.row_numbers[row]))
        rejected.node.append(nodes[row].as_py())
        time = None if times is None else times[row].as_py()
        rejected.time.append(None if time is None else time.replace(tzinfo=None))
        rejected.reason.append(faults.reason(row))
        rejected.raw.append(_json(chunk.raw_row(row)))
    for line in chunk.malformed:
        rejected.row_number.append(line.row_number)
        rejected.node.append(None)
        rejected.time.append(None)
        rejected.reason.append(line.reason)
        rejected.raw.append(_json({"line": line.text}))
    return rejected


def _json(row: dict[str, str | None]) -> str:
    # PostgreSQL refuses NUL in jsonb; the names and texts of a row may hold one.
    return json.dumps(row, ensure_ascii=False).replace("\\u0000", "\ufffd")


def last_of_each(rows: pa.Table, key: tuple[str, ...]) -> pa.Table:
    """Keep the last row of each key.

    Parameters
    ----------
    rows : pyarrow.Table
        In order of arrival.
    key : tuple of str
        Columns of the key.

    Returns
    -------
    pyarrow.Table
        In the same order.
    """
    numbered = rows.select(key).append_column("#row", pa.array(np.arange(rows.num_rows)))
    last = numbered.group_by(list(key)).aggregate([("#row", "max")])["#row_max"]
    if len(last) == rows.num_rows:
        return rows
    return rows.take(pa.array(np.sort(last.to_numpy())))
