"""Drop files: what their names say, and their bytes to columns of text.

Here: names and stamps, headers, reading csv, csv.gz, parquet, ndjson and xlsx into chunks of text columns with row numbers.
Not here: what a text means (``values``) and whether a row can be used (``rules``).

Every reader ends in the same form: one text column for each column of the file (raw bytes for a blob column of a Parquet
file), rows numbered from 1 after the header, blank lines not counted. A file that can't be brought into this form
raises :class:`UnreadableFileError`; a single line that can't becomes a :class:`Malformed`.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oasis_pipeline.schema import CARD_BLOBS, DropKind, drop_kind

BLOCK_BYTES = 8 << 20
"""Bytes of csv parsed at once, so also the longest line. Arrow reads up to 32 blocks ahead of a slower consumer."""
CHUNK_BYTES = 32 << 20
"""Bytes of text handed on at once: enough that each upsert is worth its while."""
MAX_COLUMNS = 4096
MAX_NAME = 100
"""Characters of a module's number or a measure's name; a longer name in a header is no measure's."""
_ALL_TEXT = {f"f{column}": pa.string() for column in range(MAX_COLUMNS)}
_NAME = re.compile(r"([A-Za-z]+)\.E2E\.(\d{8})\.(\d{4})((?:\.[a-z]+){1,2})")


class UnreadableFileError(Exception):
    """A file can't be read at all; the message says why, for people."""


@dataclass(frozen=True)
class DropName:
    """What the name of a drop file says.

    Attributes
    ----------
    name : str
        The name itself.
    kind : DropKind
    stamp : datetime
        When the file was written, field's local time, to the minute.
    suffix : str
        ``.csv``, ``.csv.gz``, ``.parquet``, ``.ndjson`` or ``.xlsx``.
    """

    name: str
    kind: DropKind
    stamp: datetime
    suffix: str


def parse_name(name: str) -> DropName | None:
    """Read a file name ``<Kind>.E2E.<YYYYMMDD>.<HHMM><suffix>``.

    Parameters
    ----------
    name : str
        Name without folder.

    Returns
    -------
    DropName or None
        None if the name fits no kind or its stamp is no real time.
    """
    match = _NAME.fullmatch(name)
    kind = drop_kind(match[1]) if match else None
    if match is None or kind is None or match[4] not in kind.suffixes:
        return None
    try:
        stamp = datetime.strptime(match[2] + match[3], "%Y%m%d%H%M")
    except ValueError:
        return None
    return DropName(name, kind, stamp, match[4])


def archive_path(kind: DropKind, source_file: str) -> str:
    """Where the object store keeps a file."""
    return f"backup/{kind.name}/{source_file}"


@dataclass(frozen=True)
class Malformed:
    """A line whose number of fields is not the header's.

    Attributes
    ----------
    row_number : int
        1 = first row after the header.
    text : str
        The line as it came.
    reason : str
    """

    row_number: int
    text: str
    reason: str


@dataclass(frozen=True)
class Header:
    """How the columns of a file map to those of its kind.

    Attributes
    ----------
    names : tuple of str
        As they stand in the file, made unique.
    index : dict of str to int
        Column of the kind -> position in the file.
    ignored, missing : tuple of str
        Columns of the file that the kind does not know, and columns of the kind that the file lacks.
    measures : tuple of (int, str)
        Position and name of each column that is a measure, for a kind with open columns.
    """

    names: tuple[str, ...]
    index: dict[str, int]
    ignored: tuple[str, ...]
    missing: tuple[str, ...]
    measures: tuple[tuple[int, str], ...] = ()


def match_header(kind: DropKind, names: Sequence[str]) -> Header:
    """Match a file's column names to those of its kind, exactly first, then without regard to case and outer blanks.

    Parameters
    ----------
    kind : DropKind
    names : sequence of str
        As they stand in the file.

    Returns
    -------
    Header

    Raises
    ------
    UnreadableFileError
        If a column of the kind stands there twice, or a key column is missing.
    """
    cleaned = [name.replace("\x00", "\ufffd") for name in names]
    index: dict[str, int] = {}
    folded: dict[str, list[int]] = {}
    for position, name in enumerate(cleaned):
        folded.setdefault(name.strip().casefold(), []).append(position)
    for wanted in kind.columns:
        places = [position for position, name in enumerate(cleaned) if name == wanted]
        places = places or folded.get(wanted.casefold(), [])
        if len(places) > 1:
            raise UnreadableFileError(f"column {wanted} stands in the header {len(places)} times")
        if places:
            index[wanted] = places[0]
    missing = tuple(name for name in kind.columns if name not in index)
    lacking = [name for name in kind.table.key if name in missing]
    if lacking:
        seen = ", ".join(cleaned)[:200]
        raise UnreadableFileError(
            f"no column {', '.join(lacking)} in the first row, which has to hold the column names: {seen}"
        )
    used = set(index.values())
    unique: list[str] = []
    taken: set[str] = set()
    for position, name in enumerate(cleaned):
        shown = name if name not in taken else f"{name} ({position + 1})"
        taken.add(shown)
        unique.append(shown)
    others = [position for position in range(len(cleaned)) if position not in used]
    measures: list[tuple[int, str]] = []
    if kind.open_columns:
        measures = [(at, cleaned[at].strip()) for at in others if 0 < len(cleaned[at].strip()) <= MAX_NAME]
        repeated = {name for _, name in measures if [each for _, each in measures].count(name) > 1}
        if repeated:
            raise UnreadableFileError(
                f"measure {', '.join(sorted(repeated))} stands in the header more than once"
            )
    named = {at for at, _ in measures}
    ignored = tuple(unique[at] for at in others if at not in named)
    return Header(tuple(unique), index, ignored, missing, tuple(measures))


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file, as text.

    Attributes
    ----------
    header : Header
    columns : list of pyarrow.Array
        One a column of the file; string, or binary for a blob column of a Parquet file.
    row_numbers : ndarray of int64, shape (n,)
    malformed : list of Malformed
        Lines among these rows that are no rows.
    """

    header: Header
    columns: list[pa.Array]
    row_numbers: NDArray[np.int64]
    malformed: list[Malformed] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of rows, malformed lines left out."""
        return int(self.row_numbers.size)

    def column(self, name: str) -> pa.Array:
        """Return a column of the kind; nulls if the file lacks it."""
        at = self.header.index.get(name)
        return pa.nulls(len(self), pa.string()) if at is None else self.columns[at]

    def raw_row(self, row: int) -> dict[str, str | None]:
        """Return a row as it came, column by column; bytes as hex."""
        values = [column[row].as_py() for column in self.columns]
        texts = [value.hex() if isinstance(value, bytes) else value for value in values]
        return dict(zip(self.header.names, texts, strict=True))


def read_chunks(source: Path | bytes, suffix: str, kind: DropKind) -> Iterator[Chunk]:
    """Read a drop file in chunks.

    Parameters
    ----------
    source : Path or bytes
        The file, or all its bytes.
    suffix : str
        As in :class:`DropName`.
    kind : DropKind

    Yields
    ------
    Chunk
        At least one, perhaps without rows.

    Raises
    ------
    UnreadableFileError
        If the file can't be read; chunks before the fault may have been handed out already.
    OSError
        If the operating system refuses the file.
    """
    try:
        if suffix == ".parquet":
            yield from _read_parquet(source, kind)
        elif suffix == ".xlsx":
            yield from _read_xlsx(source, kind)
        elif suffix == ".ndjson":
            yield from _read_ndjson(source, kind)
        else:
            yield from _joined(_read_csv(source, kind, compressed=suffix.endswith(".gz")))
    except pa.ArrowException as error:
        raise UnreadableFileError(_said(error)) from error
    except OSError as error:
        # Arrow reports damage inside a file (bad gzip, bad Parquet) as an OSError without a number.
        if error.errno is not None:
            raise
        raise UnreadableFileError(_said(error)) from error


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "straddling" in text:
        return f"a row is longer than {BLOCK_BYTES >> 20} MB; is a quotation mark never closed?"
    return f"can't be read: {text[:300]}"


def _read_csv(source: Path | bytes, kind: DropKind, *, compressed: bool) -> Iterator[Chunk]:
    text = _look_through(source, compressed)
    faulty: list[Malformed] = []

    def note(row: Any) -> str:
        reason = f"{row.actual_columns} fields where the header has {row.expected_columns}"
        faulty.append(Malformed(int(row.number) - 1, row.text, reason))
        return "skip"

    with pa.BufferReader(text.only_line) if text.only_line else _open(source, compressed) as stream:
        try:
            # The header is read as a row, so that its names can't collide; every column is text.
            reader = pcsv.open_csv(
                stream,
                # Without threads, since only then Arrow tells the number of a faulty row.
                read_options=pcsv.ReadOptions(
                    autogenerate_column_names=True, use_threads=False, block_size=BLOCK_BYTES
                ),
                parse_options=pcsv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
                convert_options=pcsv.ConvertOptions(column_types=_ALL_TEXT, strings_can_be_null=False),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                raise UnreadableFileError("the file is empty") from error
            raise
        if len(reader.schema) > MAX_COLUMNS:
            raise UnreadableFileError(f"{len(reader.schema)} columns; more than {MAX_COLUMNS} are not read")
        held: Chunk | None = None
        next_row = 0
        for batch in reader:
            rows = batch
            if held is None:
                if batch.num_rows == 0:
                    continue
                header = match_header(kind, [str(column[0].as_py()) for column in batch.columns])
                rows, next_row = batch.slice(1), 1
            else:
                header = held.header
                yield held
            row_numbers, next_row = _number_rows(next_row, rows.num_rows, faulty)
            here = [line for line in faulty if line.row_number < next_row]
            faulty[:] = faulty[len(here) :]
            held = Chunk(header, rows.columns, row_numbers, here)
        if held is None:
            raise UnreadableFileError("the file is empty")
        if text.odd_quotes and not faulty:
            held = _without_open_quote(held)
        yield Chunk(held.header, held.columns, held.row_numbers, [*held.malformed, *faulty])


def _joined(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Join chunks to larger ones."""
    waiting: list[Chunk] = []
    size = 0
    for chunk in chunks:
        own = sum(column.nbytes for column in chunk.columns)
        if waiting and size + own > CHUNK_BYTES:
            yield _join(waiting)
            waiting, size = [], 0
        waiting.append(chunk)
        size += own
    yield _join(waiting)


def _join(chunks: list[Chunk]) -> Chunk:
    if len(chunks) == 1:
        return chunks[0]
    columns = [pa.concat_arrays(parts) for parts in zip(*(chunk.columns for chunk in chunks), strict=True)]
    numbers = np.concatenate([chunk.row_numbers for chunk in chunks])
    return Chunk(chunks[0].header, columns, numbers, [line for chunk in chunks for line in chunk.malformed])


def _without_open_quote(chunk: Chunk) -> Chunk:
    """Refuse a last row whose quotation mark is never closed: it has swallowed all lines after it."""
    last = len(chunk) - 1
    values = [str(column[last].as_py()) for column in chunk.columns] if len(chunk) else []
    if not any("\n" in value or "\r" in value for value in values):
        return chunk
    lost = Malformed(int(chunk.row_numbers[last]), ",".join(values), "a quotation mark is never closed")
    rest = [column.slice(0, last) for column in chunk.columns]
    return Chunk(chunk.header, rest, chunk.row_numbers[:last], [*chunk.malformed, lost])


def _open(source: Path | bytes, compressed: bool) -> pa.NativeFile:
    stream: pa.NativeFile = pa.BufferReader(source) if isinstance(source, bytes) else pa.OSFile(str(source))
    return pa.CompressedInputStream(stream, "gzip") if compressed else stream


@dataclass(frozen=True)
class _Text:
    """What is known of a text before it is parsed."""

    only_line: bytes | None
    """The text, its line ended, if it is a single line without an end: to Arrow that is an empty file."""
    odd_quotes: bool


def _look_through(source: Path | bytes, compressed: bool) -> _Text:
    """Refuse bytes that are no UTF-8 before any is parsed; Arrow can't hand on a faulty row with such bytes."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    blocks, lines, read, quotes = 0, False, 0, 0
    block = text = b""
    with _open(source, compressed) as stream:
        while block := stream.read(BLOCK_BYTES):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                raise UnreadableFileError(
                    f"not UTF-8: {error.reason} near byte {read + error.start}"
                ) from error
            blocks, read, quotes = blocks + 1, read + len(block), quotes + block.count(b'"')
            lines = lines or b"\n" in block.strip() or b"\r" in block.strip() or block[-1:] in b"\r\n"
            text = block
        if decoder.getstate()[0]:
            raise UnreadableFileError("not UTF-8: the file ends within a character")
    return _Text(text + b"\n" if blocks == 1 and not lines else None, quotes % 2 == 1)


def _number_rows(first: int, count: int, faulty: Sequence[Malformed]) -> tuple[NDArray[np.int64], int]:
    """Give `count` good rows their numbers from `first` on, leaving out those of faulty lines."""
    numbers = np.arange(first, first + count + len(faulty), dtype=np.int64)
    if faulty:
        numbers = numbers[~np.isin(numbers, [line.row_number for line in faulty])]
    numbers = numbers[:count]
    return numbers, int(numbers[-1]) + 1 if count else first


def _read_parquet(source: Path | bytes, kind: DropKind) -> Iterator[Chunk]:
    with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else str(source)) as file:
        header = match_header(kind, file.schema_arrow.names)
        rows = file.metadata.num_rows
        size = sum(
            file.metadata.row_group(group).total_byte_size for group in range(file.metadata.num_row_groups)
        )
        # Compressed pages may unfold several times; an eighth of a chunk's size keeps one of them bounded too.
        batch_rows = max(1, min(100_000, rows * CHUNK_BYTES // max(size * 8, 1)))
        first = 1
        for batch in file.iter_batches(batch_size=batch_rows):
            numbers = np.arange(first, first + batch.num_rows, dtype=np.int64)
            first += batch.num_rows
            blobs = {
                header.index[name] for name in CARD_BLOBS if name in header.index and name in kind.columns
            }
            columns = [_to_text(array, name, position in blobs, position in header.index.values())
                       for position, (name, array) in enumerate(zip(header.names, batch.columns, strict=True))]  # fmt: skip
            yield Chunk(header, columns, numbers)
        if first == 1:
            yield Chunk(header, [pa.nulls(0, pa.string()) for _ in header.names], np.zeros(0, np.int64))


def _to_text(array: pa.Array, name: str, blob: bool, used: bool) -> pa.Array:
    """Turn a typed column into text, as a csv file would hold it."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
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


def _read_ndjson(source: Path | bytes, kind: DropKind) -> Iterator[Chunk]:
    """Read one JSON object a line: its keys are the columns; measures may also stand together under ``measures``."""
    number, rows, size, any_key = 0, [], 0, False
    faulty: list[Malformed] = []
    for text in _lines(source):
        if not text.strip():
            continue
        number += 1
        size += len(text)
        row, reason = _json_row(text)
        if row is None:
            faulty.append(Malformed(number, text.strip(), reason))
        else:
            rows.append((number, row))
        if size > CHUNK_BYTES:
            yield _json_chunk(kind, rows, faulty, any_key)
            any_key = True
            rows, faulty, size = [], [], 0
    if not number:
        raise UnreadableFileError("the file is empty")
    yield _json_chunk(kind, rows, faulty, any_key)


def _lines(source: Path | bytes) -> Iterator[str]:
    import io

    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
        while line := stream.readline(BLOCK_BYTES):
            if len(line) == BLOCK_BYTES:
                raise UnreadableFileError(f"a line is longer than {BLOCK_BYTES >> 20} MB")
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise UnreadableFileError(f"not UTF-8: {error.reason}") from error


def _json_row(text: str) -> tuple[dict[str, str] | None, str]:
    """Flatten a line to texts by column; None and the reason if it is no row."""
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        return None, f"is no JSON: {error}"
    if not isinstance(found, dict):
        return None, "is no JSON object"
    nested = found.pop("measures", None)
    if isinstance(nested, list) and all(
        isinstance(each, dict) and {"name", "value"} <= set(each) for each in nested
    ):
        pairs = [(str(each["name"]), each["value"]) for each in nested]
    elif nested is None or isinstance(nested, dict):
        pairs = list((nested or {}).items())
    else:
        return None, "measures are neither an object nor a list of name and value"
    row = {name: _json_text(value) for name, value in found.items()}
    for name, value in pairs:
        if name in row:
            return None, f"measure {name} is given twice"
        row[name] = _json_text(value)
    return row, ""


def _json_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _json_chunk(
    kind: DropKind, rows: list[tuple[int, dict[str, str]]], faulty: list[Malformed], keys: bool
) -> Chunk:
    # a later part of a file whose first part had the key columns may lack them: its rows are refused one by one then
    names = dict.fromkeys(kind.table.key if keys or not rows else ())
    names |= dict.fromkeys(name for _, row in rows for name in row)
    if len(names) > MAX_COLUMNS:
        raise UnreadableFileError(f"{len(names)} columns; more than {MAX_COLUMNS} are not read")
    columns = [pa.array([row.get(name, "") for _, row in rows], pa.string()) for name in names]
    return Chunk(
        match_header(kind, list(names)), columns, np.array([number for number, _ in rows], np.int64), faulty
    )


def _read_xlsx(source: Path | bytes, kind: DropKind) -> Iterator[Chunk]:
    import io

    import openpyxl  # 0.2 s to import and seldom needed

    data = io.BytesIO(source if isinstance(source, bytes) else source.read_bytes())
    try:
        book = openpyxl.load_workbook(data, read_only=True, data_only=True)
        try:
            cells = [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]
        finally:
            book.close()
    except Exception as error:  # openpyxl raises whatever its zip and XML readers come upon
        raise UnreadableFileError(f"not a readable Excel file: {_said(error)}") from error
    rows = [[_cell_text(value) for value in row] for row in cells]
    rows = [row for row in rows if any(row)]
    if not rows:
        raise UnreadableFileError("the file is empty")
    width = max(len(row) for row in rows)
    padded = [row + [""] * (width - len(row)) for row in rows]
    header = match_header(kind, padded[0])
    columns = [pa.array([row[position] for row in padded[1:]], pa.string()) for position in range(width)]
    yield Chunk(header, columns, np.arange(1, len(padded), dtype=np.int64))


def _cell_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)
