"""A chunk of a drop file to rows that can be stored and rows that can't.

Here: the rules a row has to keep (key, time, order of times, card blobs), with every reason named by column, and which
of several rows of one key counts. Not here: what one text means (``values``), spelling of wells and anything that
needs the warehouse (``nodes``, ``load``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oasis_pipeline.cards.column import CardColumn
from oasis_pipeline.intake import blobs, values
from oasis_pipeline.intake.chunks import MAX_NAME, Chunk, Room
from oasis_pipeline.intake.files import DropName
from oasis_pipeline.schema import CARD_BLOBS, DropKind, Type, arrow_schema
from oasis_pipeline.schema.xspoc_tables import CARDS_WITH_BOUNDS, CARDS_WITH_FAULT, card_bound_columns

_Parser = Callable[[pa.Array, str, values.Faults], pa.Array]
_PARSERS: dict[Type, _Parser] = {
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
        Rows that can't be used, as far as there was room to keep them.
    refused : int
        Rows that can't be used, all of them.
    broken : set of str
        For a kind that is replaced whole: wells of which a row can't be used.
    """

    rows: pa.Table
    row_numbers: NDArray[np.int64]
    rejected: Rejected
    refused: int
    broken: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class CheckedFile:
    """A drop file as its rules leave it.

    Attributes
    ----------
    drop : DropName
    rules : Rules
        Which were applied, with what they counted so far.
    chunks : iterator of (Chunk, Checked)
        At least one; getting one reads it from the file.
    """

    drop: DropName
    rules: Rules
    chunks: Iterator[tuple[Chunk, Checked]]


def time_column(kind: DropKind) -> str | None:
    """Column with the time of a row of this kind; None for equipment and groups."""
    if kind.has_history:
        return None
    return kind.time_column or next(
        (name for name in kind.table.key if kind.table.by_name[name].type is Type.TIME), None
    )


class Rules:
    """Every rule that needs no warehouse, for the chunks of one file in their order.

    Parameters
    ----------
    drop : DropName
        Kind and stamp of the file.
    earliest_day : date
        Rows before it are refused.
    zone : tzinfo
        Local time of the field, into which times with an offset are converted.

    Attributes
    ----------
    reasons : Counter of str
        Rows refused so far for each reason, without the texts that were wrong; a row may have several.
    text_columns : list of str
        Further columns of readings that hold texts and are no measures. A column is one of these if the first chunk in which it has
        any value has no number in it; what numbers it has later are stored.
    """

    def __init__(self, drop: DropName, earliest_day: date, zone: tzinfo = UTC) -> None:
        self._drop = drop
        self._earliest_day = earliest_day
        self._parsers: dict[Type, _Parser] = {**_PARSERS, Type.TIME: partial(values.parse_times, zone=zone)}
        self._room = Room()
        self._measures: set[str] = set()
        self.reasons: Counter[str] = Counter()
        self.text_columns: list[str] = []

    def check(self, chunk: Chunk) -> Checked:
        """Apply the rules to the next chunk.

        Parameters
        ----------
        chunk : Chunk

        Returns
        -------
        Checked
        """
        kind, stamp = self._drop.kind, self._drop.stamp
        faults = values.Faults(len(chunk))
        columns: dict[str, pa.Array] = {}
        for name in kind.columns:
            text = chunk.column(name)
            if name in CARD_BLOBS:
                cards = blobs.parse_cards(text, name, faults)
                # StrokeLength stands before the cards in the kind's columns
                columns |= _card(CARD_BLOBS[name], cards, columns["StrokeLength"])
            elif name == "NodeID":
                columns[name] = values.parse_nodes(text, name, faults)
            else:
                columns[name] = self._parsers[kind.table.by_name[name].type](text, name, faults)
        if kind.open_columns:
            columns["module_num"] = values.tidy(columns["module_num"])
            columns["measures"] = self._join_measures(chunk, faults)
            long = values.as_mask(pc.greater(pc.utf8_length(columns["module_num"]), MAX_NAME))
            faults.add(
                long, "module_num", f"is longer than {MAX_NAME} characters", chunk.column("module_num")
            )
        for name in kind.table.key:
            # A key that has a fault already is null too, and needs no second reason.
            empty = (
                values.null_texts(chunk.column(name)) if name != "NodeID" else _no_node(chunk.column(name))
            )
            faults.add(empty, name, "is empty, and is part of the key")
        when = time_column(kind)
        if when is not None and kind.table.by_name[when].type is Type.UTC:
            _check_utc_times(columns[when], when, stamp, self._earliest_day, faults)
        elif when is not None:
            _check_times(columns[when], when, stamp, self._earliest_day, faults)
        if kind.name == "Failures":
            _check_end(columns["Failure Start Date"], columns["Failure End Date"], faults)
        if kind.name == "Groups":
            _settle_groups(columns, faults)
        if kind.name == "Labels":
            _settle_labels(columns, faults)
        fields = [arrow_schema(kind.table).field(name) for name in columns]
        table = pa.table(
            list(columns.values()), schema=pa.schema(item.with_nullable(True) for item in fields)
        )
        nodes = columns.get("NodeID", pa.nulls(len(chunk), pa.string()))
        rejected = self._reject(chunk, faults, nodes, columns[when] if when else None)
        refused = int(np.count_nonzero(faults.bad)) + chunk.malformed_rows
        broken = _broken(chunk, faults, nodes) if kind.whole_state and refused else set()
        if faults.bad.any():
            table = table.filter(pa.array(~faults.bad))
        return Checked(table, chunk.row_numbers[~faults.bad], rejected, refused, broken)

    def _join_measures(self, chunk: Chunk, faults: values.Faults) -> pa.Array:
        """Put the columns of measures together to JSON objects; a measure without a value is left out."""
        pieces = []
        for position, name in chunk.header.measures:
            own = values.Faults(len(chunk))
            numbers = values.parse_numbers(chunk.columns[position], name, own)
            if name not in self._measures and name not in self.text_columns:
                if numbers.null_count < len(numbers):
                    self._measures.add(name)
                elif own.bad.any():
                    only_texts = all(reason == f"{name}: {values.NO_NUMBER}" for reason, _ in own.kinds())
                    (self.text_columns.append if only_texts else self._measures.add)(name)
            if name not in self.text_columns:
                faults.take(own)
            label = f", {json.dumps(name, ensure_ascii=False)}: "
            pieces.append(
                pc.fill_null(pc.binary_join_element_wise(label, pc.cast(numbers, pa.string()), ""), "")
            )
        if not pieces:
            return pa.repeat(pa.scalar("{}"), len(chunk))
        # Arrow's own skipping of nulls (26.0) loses rows that begin with one
        inner = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*pieces, ""), 2)
        return pc.binary_join_element_wise("{", inner, "}", "")

    def _reject(
        self, chunk: Chunk, faults: values.Faults, nodes: pa.Array, times: pa.Array | None
    ) -> Rejected:
        """Keep what can't be used, as far as there is room; count all of it."""
        keep = np.zeros(len(chunk), np.bool_)
        for reason, where in faults.kinds():
            self.reasons[reason] += int(np.count_nonzero(where))
            keep[np.flatnonzero(where)[: self._room.rows(reason)]] = True
        rejected = Rejected()
        for row in np.flatnonzero(keep).tolist():
            reason, raw = faults.reason(row), _json(chunk.raw_row(row))
            kinds = [kind for kind, where in faults.kinds() if where[row]]
            if not self._room.take(kinds, len(reason) + len(raw)):
                break
            time = None if times is None else times[row].as_py()
            rejected.row_number.append(int(chunk.row_numbers[row]))
            rejected.node.append(nodes[row].as_py())
            rejected.time.append(None if time is None else time.replace(tzinfo=None))
            rejected.reason.append(reason)
            rejected.raw.append(raw)
        self.reasons.update(chunk.malformed_reasons)
        for line in chunk.malformed:
            rejected.row_number.append(line.row_number)
            rejected.node.append(None)
            rejected.time.append(None)
            rejected.reason.append(line.reason)
            rejected.raw.append(_json({"line": line.text}))
        return rejected


def _broken(chunk: Chunk, faults: values.Faults, nodes: pa.Array) -> set[str]:
    """Tell the wells of rows that can't be used; a row that names none belongs to the well of the row before it or after it."""
    names: list[str | None] = nodes.to_pylist()
    found: set[str | None] = set()
    for row in np.flatnonzero(faults.bad).tolist():
        found |= {names[row]} if names[row] else {*names[max(row - 1, 0) : row], *names[row + 1 : row + 2]}
    known = {values.node_key(name) for name in names if name}
    for line in chunk.malformed:
        own = values.clean_node(line.node or "")
        if own and values.node_key(own) in known:
            found.add(own)
        else:
            at = int(np.searchsorted(chunk.row_numbers, line.row_number))
            found |= {*names[max(at - 1, 0) : at], *names[at : at + 1]}
    return {name for name in found if name}


def _no_node(text: pa.Array) -> NDArray[np.bool_]:
    coded = pc.dictionary_encode(pc.fill_null(text, ""))
    empty = np.array([not values.clean_node(value) for value in coded.dictionary.to_pylist()], np.bool_)
    return empty[np.asarray(coded.indices.to_numpy(), np.int64)] if len(text) else np.zeros(0, np.bool_)


def _card(prefix: str, cards: CardColumn, stroke_length: pa.Array) -> dict[str, pa.Array]:
    position, load = blobs.card_lists(cards)
    columns: dict[str, pa.Array] = {f"{prefix}_position": position, f"{prefix}_load": load}
    if prefix not in CARDS_WITH_FAULT:
        return columns
    stroke = stroke_length.to_numpy(zero_copy_only=False).astype(np.float64)
    codes, texts = blobs.judge(cards, pump=prefix != "surfcard", stroke_length_in=stroke)
    columns[f"{prefix}_fault"] = texts
    if prefix in CARDS_WITH_BOUNDS:
        names = (column.name for column in card_bound_columns(prefix))
        columns |= dict(zip(names, blobs.extremes(cards, codes), strict=True))
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


def _check_end(start: pa.Array, end: pa.Array, faults: values.Faults) -> None:
    """Refuse an end before its start; an end without a time covers its whole day."""
    ends = pc.cast(end, pa.int64())
    whole_day = values.as_mask(pc.equal(ends, pc.multiply(pc.divide(ends, _DAY_MS), _DAY_MS)))
    last = pc.add(ends, pa.array(np.where(whole_day, _DAY_MS - 1, 0)))
    before = values.as_mask(pc.less(last, pc.cast(start, pa.int64())))
    faults.add(before, "Failure End Date", "lies before Failure Start Date", end)


def _settle_groups(columns: dict[str, pa.Array], faults: values.Faults) -> None:
    """Trim the names of groups, and make runs of blanks one; a name that is too long can't be chosen on a page."""
    single = pc.replace_substring_regex(values.plain_spaces(columns["GroupName"]), r"\s+", " ")
    columns["GroupName"] = names = values.tidy(single)
    long = values.as_mask(pc.greater(pc.utf8_length(names), MAX_NAME))
    faults.add(long, "GroupName", f"is longer than {MAX_NAME} characters", names)


def _settle_labels(columns: dict[str, pa.Array], faults: values.Faults) -> None:
    """Trim; a lone second label becomes the first; the same label twice is one label."""
    first, second = (values.tidy(values.plain_spaces(columns[name])) for name in ("TrueLabel1", "TrueLabel2"))
    moved = pc.is_null(first)
    first, second = pc.coalesce(first, second), pc.if_else(moved, pa.scalar(None, pa.string()), second)
    faults.add(values.as_mask(pc.is_null(first)), "TrueLabel1, TrueLabel2", "are both empty")
    same = pc.fill_null(pc.equal(pc.utf8_lower(first), pc.utf8_lower(second)), False)
    columns["TrueLabel1"], columns["TrueLabel2"] = (
        first,
        pc.if_else(same, pa.scalar(None, pa.string()), second),
    )


def reject_whole(
    rejected: Rejected, chunk: Chunk, row_numbers: NDArray[np.int64], nodes: list[str], reason: str
) -> None:
    """Add sound rows to the rejected ones, for a reason that lies outside of them.

    Parameters
    ----------
    rejected : Rejected
        Gets them.
    chunk : Chunk
        Where they come from.
    row_numbers : ndarray of int64, shape (n,)
    nodes : list of str
        Their wells.
    reason : str
    """
    places = np.searchsorted(chunk.row_numbers, row_numbers)
    for number, place, node in zip(row_numbers.tolist(), places.tolist(), nodes, strict=True):
        rejected.row_number.append(number)
        rejected.node.append(node)
        rejected.time.append(None)
        rejected.reason.append(reason)
        rejected.raw.append(_json(chunk.raw_row(place)))


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
