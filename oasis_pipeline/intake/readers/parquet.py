"""Parquet: typed columns as the text that a csv file would hold, cards as their bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oasis_pipeline.intake import chunks
from oasis_pipeline.intake.chunks import Chunk, match_header, row_bytes
from oasis_pipeline.intake.unpacking import HEAD_BYTES, UnreadableFileError, check_footer, check_parquet
from oasis_pipeline.schema import CARD_BLOBS, DropKind


def read_parquet(source: Path | bytes, kind: DropKind) -> Iterator[Chunk]:
    """Read a Parquet file, see `read_chunks`."""
    check_footer(source)
    place = pa.BufferReader(source) if isinstance(source, bytes) else str(source)
    with pq.ParquetFile(place, buffer_size=HEAD_BYTES) as file:
        schema = file.schema_arrow
        if len(schema) > chunks.MAX_COLUMNS:
            raise UnreadableFileError(f"has more than {chunks.MAX_COLUMNS} columns, the maximum")
        header = match_header(kind, schema.names)
        for name, position in header.index.items():
            if pa.types.is_nested(schema.field(position).type):
                raise UnreadableFileError(
                    f"column {name} of type {schema.field(position).type} can't be read as a value"
                )
        check_parquet(source)
        rows = file.metadata.num_rows
        size = sum(
            file.metadata.row_group(group).total_byte_size for group in range(file.metadata.num_row_groups)
        )
    # a list may hold anything and is no value of a row; of two columns of one name neither can be asked for
    given = Counter(schema.names)
    wanted = [each for each in schema if not pa.types.is_nested(each.type) and given[each.name] == 1]
    # what is of any length comes as a dictionary, so that a value repeated a million times is there once
    texts = [each.name for each in wanted if _is_of_any_length(each.type)]
    fixed = sum(each.type.byte_width for each in wanted if pa.types.is_fixed_size_binary(each.type))
    # Compressed pages may unfold several times; an eighth of a chunk's size keeps one of them bounded too.
    batch_rows = max(
        1,
        min(
            rows * chunks.CHUNK_BYTES // max(size * 8, 1),
            chunks.CHUNK_BYTES // (row_bytes(header, kind) + fixed),
        ),
    )
    blobs = {header.index[name] for name in CARD_BLOBS if name in header.index and name in kind.columns}
    used = set(header.index.values())
    place = pa.BufferReader(source) if isinstance(source, bytes) else str(source)
    first = 1
    with pq.ParquetFile(place, buffer_size=HEAD_BYTES, read_dictionary=texts) as file:
        for batch in file.iter_batches(batch_size=batch_rows, columns=[each.name for each in wanted]):
            for part in _cut_by_bytes(batch):
                there = dict(zip(part.schema.names, part.columns, strict=True))
                columns = [
                    _to_text(there[name], name, position in blobs, position in used)
                    if name in there
                    else pa.nulls(part.num_rows, pa.string())
                    for position, name in enumerate(schema.names)
                ]
                yield Chunk(header, columns, np.arange(first, first + part.num_rows, dtype=np.int64))
                first += part.num_rows
    if first == 1:
        columns = [pa.nulls(0, pa.string()) for _ in header.names]
        for position in blobs:
            columns[position] = pa.nulls(0, pa.binary())
        yield Chunk(header, columns, np.zeros(0, np.int64))


def _is_of_any_length(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
    )
    return any(test(kind) for test in tests)


def _cut_by_bytes(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut a batch up so that no part has more than a chunk's bytes when its dictionaries are undone."""
    sizes = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and _is_of_any_length(column.type.value_type):
            lengths = pc.fill_null(pc.binary_length(column.dictionary), 0).take(pc.fill_null(column.indices, 0)) if len(column.dictionary) else None  # fmt: skip
            if lengths is not None:
                sizes += lengths.to_numpy()
    ends = np.cumsum(sizes)
    start = 0
    while start < batch.num_rows:
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + chunks.CHUNK_BYTES, side="right")))
        yield batch.slice(start, stop - start)
        start = stop


def _to_text(array: pa.Array, name: str, blob: bool, used: bool) -> pa.Array:
    """Turn a typed column into text, as a csv file would hold it."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        array = array.cast(pa.timestamp(kind.unit, "UTC"))  # so that its text ends with Z
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        if blob:
            return pc.cast(array, pa.binary())
        if not used:
            return pa.array(
                [None if value is None else value.hex() for value in array.to_pylist()], pa.string()
            )
    try:
        return pc.cast(array, pa.string())
    except pa.ArrowException as error:
        if not used:
            return pa.array(
                [None if value is None else str(value) for value in array.to_pylist()], pa.string()
            )
        raise UnreadableFileError(f"column {name} of type {kind} can't be read as a value") from error
