"""Rows to the form that the client wants: JSON, csv, Parquet, Arrow; whole or as a stream.

Here: forms, and what a column looks like in each. Not here: which rows (``query``, ``rows``).

========= ===================================== =============================
form      ``Accept``                            measures
========= ===================================== =============================
json      application/json                      list of ``{name, value}``
csv       text/csv                              JSON text
parquet   application/vnd.apache.parquet        map of name to number
arrow     application/vnd.apache.arrow.stream   map of name to number
========= ===================================== =============================
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from oasis_pipeline.schema import Type
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.query import Field

MEDIA = {
    "json": "application/json",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
"""Media type of each form."""

_BY_MEDIA = {
    **{media: form for form, media in MEDIA.items()},
    "application/parquet": "parquet",
    "application/x-parquet": "parquet",
    "application/vnd.apache.arrow": "arrow",
    "application/vnd.apache.arrow.file": "arrow",
    "*/*": "json",
    "application/*": "json",
    "text/*": "csv",
    # a browser
    "text/html": "json",
}
_MAP = pa.map_(pa.string(), pa.float64())
_measures = msgspec.json.Decoder(list[dict[str, float]])
_encode = msgspec.json.Encoder().encode


def form_of(parameter: str | None, accept: str) -> str:
    """Choose the form of an answer.

    Parameters
    ----------
    parameter : str or None
        ``format``; stronger than the header.
    accept : str
        ``Accept`` header; empty = anything.

    Returns
    -------
    str
        Key of `MEDIA`.

    Raises
    ------
    ApiError
        400 or 406.
    """
    if parameter is not None:
        if parameter.lower() not in MEDIA:
            raise ApiError(400, f"format is one of {', '.join(MEDIA)}")
        return parameter.lower()
    wishes: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept.split(",") if accept.strip() else ["*/*"]):
        media, *options = (piece.strip().lower() for piece in part.split(";"))
        if media in _BY_MEDIA:
            wishes.append((-_quality(options), place, _BY_MEDIA[media]))
    wishes = [wish for wish in sorted(wishes) if wish[0] < 0]
    if not wishes:
        raise ApiError(406, f"answers come as {', '.join(MEDIA.values())}")
    return wishes[0][2]


def _quality(options: Iterable[str]) -> float:
    for option in options:
        if option.startswith("q="):
            try:
                given = float(option[2:])
            except ValueError:
                return 1.0
            return given if math.isfinite(given) else 1.0
    return 1.0


def rows_of(batch: pa.RecordBatch, fields: Mapping[str, Field]) -> list[dict[str, Any]]:
    """Rows of a batch as they stand in JSON.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Columns as the database gave them.
    fields : mapping of str to Field
        What they are.

    Returns
    -------
    list of dict
    """
    names = batch.schema.names
    columns = [_for_json(batch.column(i), fields[name].type) for i, name in enumerate(names)]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _for_json(column: pa.Array, kind: Type) -> list[Any]:
    if kind is Type.JSON:
        return [
            None if row is None else [{"name": name, "value": value} for name, value in row.items()]
            for row in measures_of(column)
        ]
    if kind is Type.DOCUMENT:
        return [None if text is None else msgspec.Raw(text.encode()) for text in column.to_pylist()]
    if kind is Type.UTC:
        return _stamps(column)
    values: list[Any] = column.to_pylist()
    return values


def _stamps(column: pa.Array) -> list[str | None]:
    """Times with Z; fractions of a second only where there are any."""
    return [None if moment is None else stamp(moment) for moment in column.to_pylist()]


def stamp(moment: datetime) -> str:
    """Spell a moment of UTC."""
    return moment.replace(tzinfo=None).isoformat() + "Z"


def measures_of(column: pa.Array) -> list[dict[str, float] | None]:
    """Decode a column of JSON objects of numbers.

    Parameters
    ----------
    column : pyarrow.StringArray

    Returns
    -------
    list of dict or None
    """
    texts = column.to_pylist()
    known = [text for text in texts if text is not None]
    decoded = iter(_measures.decode("[" + ",".join(known) + "]"))
    return [None if text is None else next(decoded) for text in texts]


def _as_map(column: pa.Array) -> pa.Array:
    """JSON objects of numbers to Arrow maps."""
    rows = measures_of(column)
    lengths = np.fromiter((0 if row is None else len(row) for row in rows), np.int32, len(rows))
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int32)]).astype(np.int32)
    names = pa.array([name for row in rows if row for name in row], pa.string())
    values = pa.array([value for row in rows if row for value in row.values()], pa.float64())
    gaps = [row is None for row in rows]
    marks: list[int | None] = [None if gap else int(at) for gap, at in zip(gaps, offsets[:-1], strict=True)]
    return pa.MapArray.from_arrays(pa.array([*marks, int(offsets[-1])], pa.int32()), names, values)


def _for_columns(batch: pa.RecordBatch, fields: Mapping[str, Field]) -> pa.RecordBatch:
    """Columns as they stand in Parquet and Arrow."""
    columns = []
    for i, name in enumerate(batch.schema.names):
        column, kind = batch.column(i), fields[name].type
        if kind is Type.JSON:
            column = _as_map(column)
        elif kind is Type.UTC:
            column = column.cast(pa.timestamp("us", tz="UTC"))
        columns.append(column)
    described = [
        pa.field(
            name,
            _MAP if fields[name].type is Type.JSON else column.type,
            metadata={"unit": fields[name].unit, "description": fields[name].description},
        )
        for name, column in zip(batch.schema.names, columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(
        [c.cast(f.type) if c.type != f.type else c for c, f in zip(columns, described, strict=True)],
        schema=pa.schema(described),
    )


def _for_csv(batch: pa.RecordBatch, fields: Mapping[str, Field]) -> pa.RecordBatch:
    """Columns of texts and numbers; lists become JSON."""
    columns = []
    for i, name in enumerate(batch.schema.names):
        column, kind = batch.column(i), fields[name].type
        if kind is Type.UTC:
            column = pa.array(_stamps(column), pa.string())
        elif kind in (Type.TIME, Type.DAY):
            texts = [None if value is None else value.isoformat() for value in column.to_pylist()]
            column = pa.array(texts, pa.string())
        elif pa.types.is_list(column.type):
            texts = [None if value is None else _encode(value).decode() for value in column.to_pylist()]
            column = pa.array(texts, pa.string())
        elif pa.types.is_string(column.type):
            column = pc.replace_substring_regex(column, *_FORMULA)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=[defused(name) for name in batch.schema.names])


_STARTS = r"'*[\t\r\n=+\-@＝＋－＠]"
_FORMULA = (f"^({_STARTS})", r"'\1")


def defused(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula: it shows the text, and runs nothing.

    Parameters
    ----------
    text : str
        Of a cell of csv that holds text; numbers are written as numbers.

    Returns
    -------
    str
        `fused` undoes it, for a csv that comes back.
    """
    return re.sub(*_FORMULA, text, count=1)


def fused(text: str) -> str:
    """Undo `defused`."""
    return text[1:] if re.match(f"'{_STARTS}", text) else text


class _Sink:
    """What a writer has written and nobody has taken yet."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def encoded(form: str, batches: Iterable[pa.RecordBatch], fields: Mapping[str, Field]) -> Iterator[bytes]:
    """Encode batches one after the other.

    Parameters
    ----------
    form : str
        Key of `MEDIA`.
    batches : iterable of pyarrow.RecordBatch
        The first one may be empty, and tells the columns.
    fields : mapping of str to Field
        What the columns are.

    Yields
    ------
    bytes
        A piece for each batch, empty ones left out.
    """
    pieces = _json(batches, fields) if form == "json" else _written(form, batches, fields)
    return (piece for piece in pieces if piece)


def _json(batches: Iterable[pa.RecordBatch], fields: Mapping[str, Field]) -> Iterator[bytes]:
    yield b"["
    between = b""
    for batch in batches:
        if batch.num_rows:
            yield between + _encode(rows_of(batch, fields))[1:-1]
            between = b","
    yield b"]"


def _written(form: str, batches: Iterable[pa.RecordBatch], fields: Mapping[str, Field]) -> Iterator[bytes]:
    sink = _Sink()
    writer: Any = None
    prepare = _for_csv if form == "csv" else _for_columns
    with pa.PythonFile(sink, mode="w") as file:
        for batch in batches:
            ready = prepare(batch, fields)
            if writer is None:
                writer = _WRITERS[form](file, ready.schema)
            if ready.num_rows:
                writer.write_batch(ready)
            yield sink.take()
        if writer is not None:
            writer.close()
        yield sink.take()


_WRITERS: dict[str, Callable[[Any, pa.Schema], Any]] = {
    "csv": lambda file, schema: pcsv.CSVWriter(file, schema),
    "parquet": lambda file, schema: pq.ParquetWriter(file, schema, compression="zstd"),
    "arrow": lambda file, schema: pa.ipc.new_stream(file, schema),
}
