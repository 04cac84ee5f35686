"""Rows of a source: what they are as a drop file, and how they are told apart.

Here: pure functions on rows as the source sends them, and the file that they become. Not here: what is read when (``database``).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Sequence
from datetime import date, datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oasis_pipeline.intake.drop_folder import rename_new, sync_folder
from oasis_pipeline.intake.sources.base import SourceError
from oasis_pipeline.intake.sources.mapping import convert_cards, convert_values, factor
from oasis_pipeline.intake.sources.statements import SourceTable
from oasis_pipeline.schema import CARD_BLOBS

Row = tuple[Any, ...]


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
            [None if value is None else naive_time(value, zone) for value in values], pa.timestamp("us")
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


def naive_time(value: Any, zone: tzinfo) -> datetime:
    """Bring a time to the zone of the source, without saying so; refuse what is no time."""
    if isinstance(value, datetime):
        return value if value.tzinfo is None else value.astimezone(zone).replace(tzinfo=None)
    if isinstance(value, date):
        return datetime.combine(value, datetime.min.time())
    raise SourceError(
        f"{value!r} stands in a column of times of the source, which holds no times: map a view that makes them"
    )


def cut_to_ms(at: datetime) -> datetime:
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


def well_of(table: SourceTable, row: Row) -> str:
    """Return the well of a row."""
    return str(row[list(table.columns).index("NodeID")])


def key_of(table: SourceTable, row: Row) -> list[Any]:
    """Return the values of the key of a row."""
    names = list(table.columns)
    return [row[names.index(name)] for name in table.key]


def key_text(table: SourceTable, row: Row) -> str:
    """Return the key of a row as text."""
    return json.dumps([str(each) for each in key_of(table, row)])


def digest_rows(version: str, rows: Iterable[Row]) -> str:
    """Return a digest of rows under a version of the mapping: other rows, or another mapping, give another one."""
    told = hashlib.blake2b(version.encode(), digest_size=16)
    for row in rows:
        for value in row:
            data = bytes(value) if isinstance(value, (bytes, memoryview, bytearray)) else repr(value).encode()
            told.update(f"{type(value).__name__} {len(data)} ".encode() + data)
    return told.hexdigest()


def count_bytes(rows: Sequence[Row]) -> int:
    """Bytes of rows, about, by the last of them."""
    return (
        len(rows)
        * sum(len(value) if isinstance(value, (bytes, memoryview, str)) else 8 for value in rows[-1])
        if rows
        else 0
    )
