"""Drop files: what their names say, and their bytes to columns of text.

Here: names and stamps, headers, reading csv, csv.gz, parquet, ndjson and xlsx into chunks of text columns with row numbers.
Not here: what a text means (``values``) and whether a row can be used (``rules``).

Every reader ends in the same form: one text column for each column of the file (raw bytes for a blob column of a Parquet
file), rows numbered from 1 after the header, blank lines not counted. A file that can't be brought into this form
raises :class:`UnreadableFileError`; a single line that can't becomes a :class:`Malformed`.

However long and odd a file is, what of it is in memory at once is bounded: by the bytes of a chunk, by what its rows will become, and by
what is kept of rows that can't be used (:class:`Room`).
"""

from __future__ import annotations

import csv
import io
import json
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oasis_pipeline.intake.unpacking import (
    HEAD_BYTES,
    TextStream,
    UnreadableFileError,
    check_footer,
    check_parquet,
    check_sheets,
    open_source,
)
from oasis_pipeline.schema import CARD_BLOBS, DropKind, drop_kind

BLOCK_BYTES = 4 << 20
"""Bytes of csv parsed at once, so also the longest line. Arrow reads up to 32 blocks ahead of a slower consumer."""
CHUNK_BYTES = 32 << 20
"""Bytes of text handed on at once, and about those of the values they become: enough that each upsert is worth its while."""
MAX_COLUMNS = 4096
MAX_CELLS = 4_000_000
"""Cells of an Excel sheet, empty ones between others included."""
KEPT_ROWS = 1000
"""Rejected rows of a file that are kept for each reason; the rest is counted."""
KEPT_BYTES = 64 << 20
LONGEST_RAW = 100_000
"""Characters of a text that are kept of a row that can't be used."""
NEARLY_ALL = 0.95
"""A file with more than this share of its rows of another width than the header is refused whole."""
FEW_LINES = 100
HOPELESS_LINES = 1_000_000
"""So many lines of another width are reason enough not to read on."""
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
MAX_NAME = 100
"""Characters of a module's number or a measure's name; a longer name in a header is no measure's."""
_NAME = re.compile(r"([A-Za-z]+)\.E2E\.(\d{8})\.(\d{4})((?:\.[a-z]+){1,2})")


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
        The line as it came, as far as it is kept.
    reason : str
    node : str or None
        What stands where the well should stand.
    """

    row_number: int
    text: str
    reason: str
    node: str | None = None


class Room:
    """Room for the rejected rows of one file: so many for each reason, and so many bytes in all."""

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()
        self._bytes = 0

    def rows(self, reason: str) -> int:
        """Return how many more rows with this reason are to be kept."""
        return max(0, KEPT_ROWS - self._rows[reason])

    def take(self, reasons: Iterable[str], size: int) -> bool:
        """Take room for one row; False if there is none left."""
        if self._bytes + size > KEPT_BYTES:
            return False
        self._bytes += size
        self._rows.update(reasons)
        return True


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
    """Match a file's column names to those of its kind, exactly first, then without regard to case, outer blanks and brackets.

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
        folded.setdefault(_plain_name(name).casefold(), []).append(position)
    for wanted in kind.columns:
        places = [position for position, name in enumerate(cleaned) if name == wanted]
        places = places or folded.get(wanted.casefold(), [])
        if len(places) > 1:
            raise UnreadableFileError(f"column {wanted} appears in the header {len(places)} times")
        if places:
            index[wanted] = places[0]
    missing = tuple(name for name in kind.columns if name not in index)
    lacking = [name for name in kind.table.key if name in missing]
    if lacking:
        seen = ", ".join(cleaned)[:200]
        raise UnreadableFileError(
            f"no column {', '.join(lacking)} in the first row, which has to hold the column names: {seen}"
            + ("; this looks like UTF-16 without a mark" if any("\x00" in name for name in names) else "")
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
        plain = {at: _plain_name(cleaned[at]) for at in others}
        measures = [(at, name) for at, name in plain.items() if 0 < len(name) <= MAX_NAME]
        repeated = {name for name, count in Counter(name for _, name in measures).items() if count > 1}
        if repeated:
            raise UnreadableFileError(
                f"measure {', '.join(sorted(repeated))} appears in the header more than once"
            )
    named = {at for at, _ in measures}
    ignored = tuple(unique[at] for at in others if at not in named)
    return Header(tuple(unique), index, ignored, missing, tuple(measures))


def _plain_name(name: str) -> str:
    """A column's name without outer blanks, and without the brackets that SQL Server writes around it."""
    plain = name.strip()
    return plain[1:-1].strip() if plain.startswith("[") and plain.endswith("]") else plain


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
        Lines among these rows that are no rows, as far as there was room to keep them.
    malformed_reasons : Counter of str
        All such lines, by reason.
    """

    header: Header
    columns: list[pa.Array]
    row_numbers: NDArray[np.int64]
    malformed: list[Malformed] = field(default_factory=list)
    malformed_reasons: Counter[str] = field(default_factory=Counter)

    @property
    def malformed_rows(self) -> int:
        """Number of lines that are no rows, kept or not."""
        return self.malformed_reasons.total()

    def __len__(self) -> int:
        """Return the number of rows, malformed lines left out."""
        return int(self.row_numbers.size)

    def column(self, name: str) -> pa.Array:
        """Return a column of the kind; nulls if the file lacks it."""
        at = self.header.index.get(name)
        return pa.nulls(len(self), pa.string()) if at is None else self.columns[at]

    def raw_row(self, row: int) -> dict[str, str | None]:
        """Return a row as it came, column by column; bytes as hex, texts without end cut."""
        values = [column[row].as_py() for column in self.columns]
        texts = [value.hex() if isinstance(value, bytes) else value for value in values]
        return dict(zip(self.header.names, map(_cut, texts), strict=True))


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= LONGEST_RAW:
        return text
    return f"{text[:LONGEST_RAW]} ... ({len(text):,} characters in all)"


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
            yield from _sized(_read_parquet(source, kind), kind)
        elif suffix == ".xlsx":
            yield from _read_xlsx(source, kind)
        elif suffix == ".ndjson":
            yield from _read_ndjson(source, kind)
        else:
            yield from _sized(_read_csv(source, kind, compressed=suffix.endswith(".gz")), kind)
    except (
        pa.ArrowException,
        UnicodeDecodeError,
    ) as error:  # Arrow decodes the names of Parquet columns by itself
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
    packed = (len(source) if isinstance(source, bytes) else source.stat().st_size) if compressed else None
    with open_source(source, compressed=compressed) as stream, TextStream(stream, packed) as text:
        separator, names = _look_at_header(text.head, kind)
        faulty = _FaultyLines(names, separator)
        try:
            yield from _parse_csv(text, kind, separator, faulty)
        except Exception:
            if text.fault is not None:  # what Arrow makes of it says less
                raise text.fault from None
            faulty.require_some_rows()
            raise


def _look_at_header(head: bytes, kind: DropKind) -> tuple[str, list[str]]:
    """Tell how a file separates its columns, which its header shows, and the names of them; a comma if that does not help."""
    found: dict[str, list[str]] = {}
    for separator in SEPARATORS:
        lines = io.StringIO(head.decode("utf-8", "ignore"), newline="")
        try:
            found[separator] = next((row for row in csv.reader(lines, delimiter=separator) if row), [])
        except csv.Error:
            found[separator] = []
    keys = {name.casefold() for name in kind.table.key}
    chosen = next(
        (each for each, names in found.items() if keys <= {_plain_name(name).casefold() for name in names}),
        ",",
    )
    if len(found[chosen]) > MAX_COLUMNS:
        raise UnreadableFileError(f"has more than {MAX_COLUMNS} columns, the maximum")
    return chosen, found[chosen]


class _FaultyLines:
    """Lines of a csv file whose number of fields is not the header's, as Arrow comes upon them.

    Parameters
    ----------
    names : list of str
        The header.
    separator : str
    """

    def __init__(self, names: list[str], separator: str) -> None:
        folded = [_plain_name(name).casefold() for name in names]
        self._node_at = folded.index("nodeid") if "nodeid" in folded else None
        self._separator = separator
        self._room = Room()
        self._kept: list[Malformed] = []
        self._numbers = array("q")
        self._reasons: list[str] = []
        self._known: dict[str, str] = {}
        self._widths: Counter[int] = Counter()
        self._expected = 0
        self._rows = 0
        self.total = 0

    def note(self, row: Any) -> str:
        """Note a line, for Arrow, and tell it to go on, or not."""
        number = int(row.number) - 1
        self.total += 1
        self._rows = max(self._rows, number)
        self._expected = row.expected_columns
        self._widths[row.actual_columns] += 1
        reason = f"{row.actual_columns} fields where the header has {row.expected_columns}"
        reason = self._known.setdefault(reason, reason)
        self._numbers.append(number)
        self._reasons.append(reason)
        if self._room.rows(reason) and self._room.take((reason,), len(row.text) + 300):
            self._kept.append(Malformed(number, _cut(row.text) or "", reason, self._node(row.text)))
        return "error" if self.total >= HOPELESS_LINES and self._hopeless() else "skip"

    def numbers(self) -> NDArray[np.int64]:
        """Numbers of the lines that `take` has not handed out yet."""
        return np.array(self._numbers, np.int64)

    def take(self, before: int | None = None) -> tuple[list[Malformed], Counter[str]]:
        """Hand out the lines before a row number, or all."""
        end = len(self._numbers)
        if before is not None:
            end = int(np.searchsorted(self.numbers(), before))
        reasons = Counter(self._reasons[:end])
        del self._numbers[:end], self._reasons[:end]
        here = [line for line in self._kept if before is None or line.row_number < before]
        del self._kept[: len(here)]
        return here, reasons

    def count_rows(self, rows: int) -> None:
        """Note how many rows there are so far, faulty ones included."""
        self._rows = max(self._rows, rows)

    def require_some_rows(self) -> None:
        """Refuse the file if nearly all its rows are faulty."""
        if self.total >= FEW_LINES and self._hopeless():
            common = max(self._widths, key=lambda width: self._widths[width])
            raise UnreadableFileError(
                f"{self.total:,} of the {'first ' if self.total >= HOPELESS_LINES else ''}{self._rows:,} rows have another number of fields"
                f" than the first row, which has {self._expected}; most have {common}. Is the first row the header of these columns,"
                f" and are they separated by a {SEPARATORS[self._separator]}?"
            )

    def _hopeless(self) -> bool:
        return self.total > NEARLY_ALL * self._rows

    def _node(self, text: str) -> str | None:
        if self._node_at is None:
            return None
        try:
            fields = next(csv.reader([text], delimiter=self._separator), [])
        except csv.Error:
            return None
        return fields[self._node_at] if self._node_at < len(fields) else None


def _parse_csv(text: TextStream, kind: DropKind, separator: str, faulty: _FaultyLines) -> Iterator[Chunk]:
    try:
        # The header is read as a row, so that its names can't collide; every column is text.
        reader = pcsv.open_csv(
            pa.PythonFile(text, "r"),
            # Without threads, since only then Arrow tells the number of a faulty row.
            read_options=pcsv.ReadOptions(
                autogenerate_column_names=True, use_threads=False, block_size=BLOCK_BYTES
            ),
            parse_options=pcsv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=faulty.note
            ),
            convert_options=pcsv.ConvertOptions(column_types=_all_text(), strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            raise UnreadableFileError("the file is empty") from error
        raise
    if len(reader.schema) > MAX_COLUMNS:
        raise UnreadableFileError(f"has more than {MAX_COLUMNS} columns, the maximum")
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
        row_numbers, next_row = _number_rows(next_row, rows.num_rows, faulty.numbers())
        faulty.count_rows(next_row - 1)
        held = Chunk(header, rows.columns, row_numbers, *faulty.take(next_row))
    if text.fault is not None:
        raise text.fault
    if held is None:
        raise UnreadableFileError("the file is empty")
    faulty.require_some_rows()
    if text.quotes % 2 == 1 and not len(faulty.numbers()):
        held = _without_open_quote(held)
    lines, reasons = faulty.take()
    yield Chunk(
        held.header,
        held.columns,
        held.row_numbers,
        [*held.malformed, *lines],
        held.malformed_reasons + reasons,
    )


@cache
def _all_text() -> dict[str, pa.DataType]:
    return {f"f{column}": pa.string() for column in range(MAX_COLUMNS)}


def _sized(chunks: Iterator[Chunk], kind: DropKind) -> Iterator[Chunk]:
    """Join chunks to larger ones, and cut those up whose rows would become too much."""
    waiting: list[Chunk] = []
    size = 0
    for whole in chunks:
        for chunk in _cut_up(whole, kind):
            own = _weight(chunk, kind)
            if waiting and size + own > CHUNK_BYTES:
                yield _join(waiting)
                waiting, size = [], 0
            waiting.append(chunk)
            size += own
    yield _join(waiting)


def _weight(chunk: Chunk, kind: DropKind) -> int:
    """Bytes of a chunk's text, or about those of the values that come of it if these are more."""
    text = sum(int(column.nbytes) for column in chunk.columns)
    return max(text, len(chunk) * _row_bytes(chunk.header, kind))


def _row_bytes(header: Header, kind: DropKind) -> int:
    # a row of few characters still has a value in each column of its kind, and the name of each of its measures
    return 16 * len(kind.columns) + sum(24 + len(name) for _, name in header.measures)


def _cut_up(chunk: Chunk, kind: DropKind) -> Iterator[Chunk]:
    rows = max(1, CHUNK_BYTES // _row_bytes(chunk.header, kind))
    if len(chunk) <= rows:
        yield chunk
        return
    for start in range(0, len(chunk), rows):
        columns = [column.slice(start, rows) for column in chunk.columns]
        numbers = chunk.row_numbers[start : start + rows]
        if start + rows < len(chunk):
            yield Chunk(chunk.header, columns, numbers)
        else:
            yield Chunk(chunk.header, columns, numbers, chunk.malformed, chunk.malformed_reasons)


def _join(chunks: list[Chunk]) -> Chunk:
    if len(chunks) == 1:
        return chunks[0]
    columns = [pa.concat_arrays(parts) for parts in zip(*(chunk.columns for chunk in chunks), strict=True)]
    numbers = np.concatenate([chunk.row_numbers for chunk in chunks])
    lines = [line for chunk in chunks for line in chunk.malformed]
    reasons = sum((chunk.malformed_reasons for chunk in chunks), Counter[str]())
    return Chunk(chunks[0].header, columns, numbers, lines, reasons)


def _without_open_quote(chunk: Chunk) -> Chunk:
    """Refuse a last row whose quotation mark is never closed: it has swallowed all lines after it."""
    last = len(chunk) - 1
    values = [str(column[last].as_py()) for column in chunk.columns] if len(chunk) else []
    if not any("\n" in value or "\r" in value for value in values):
        return chunk
    node_at = chunk.header.index.get("NodeID")
    reason = "a quotation mark is never closed"
    node = None if node_at is None else values[node_at]
    lost = Malformed(int(chunk.row_numbers[last]), _cut(",".join(values)) or "", reason, node)
    rest = [column.slice(0, last) for column in chunk.columns]
    reasons = chunk.malformed_reasons + Counter({reason: 1})
    return Chunk(chunk.header, rest, chunk.row_numbers[:last], [*chunk.malformed, lost], reasons)


def _number_rows(first: int, count: int, faulty: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Give `count` good rows their numbers from `first` on, leaving out those of faulty lines, in ascending order."""
    good = np.ones(count + faulty.size, np.bool_)
    within = faulty - first
    good[within[(within >= 0) & (within < good.size)]] = False
    numbers = np.flatnonzero(good)[:count] + first
    return numbers, int(numbers[-1]) + 1 if count else first


def _read_parquet(source: Path | bytes, kind: DropKind) -> Iterator[Chunk]:
    check_footer(source)
    place = pa.BufferReader(source) if isinstance(source, bytes) else str(source)
    with pq.ParquetFile(place, buffer_size=HEAD_BYTES) as file:
        schema = file.schema_arrow
        if len(schema) > MAX_COLUMNS:
            raise UnreadableFileError(f"has more than {MAX_COLUMNS} columns, the maximum")
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
        min(rows * CHUNK_BYTES // max(size * 8, 1), CHUNK_BYTES // (_row_bytes(header, kind) + fixed)),
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
        stop = max(start + 1, int(np.searchsorted(ends, before + CHUNK_BYTES, side="right")))
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


def _read_ndjson(source: Path | bytes, kind: DropKind) -> Iterator[Chunk]:
    """Read one JSON object a line: its keys are the columns; measures may also stand together under ``measures``."""
    with open_source(source, compressed=False) as stream, TextStream(stream) as text:
        for chunk in _parse_ndjson(text, kind):
            yield from _cut_up(chunk, kind)


def _parse_ndjson(text: TextStream, kind: DropKind) -> Iterator[Chunk]:
    number, size, any_key = 0, 0, False
    rows: list[tuple[int, dict[str, str]]] = []
    names: set[str] = set()
    faulty: list[Malformed] = []
    reasons: Counter[str] = Counter()
    room = Room()
    for line in _lines(text):
        if not line.strip():
            continue
        number += 1
        size += len(line)
        row, fault, reason = _json_row(line)
        if row is None:
            reasons[fault] += 1
            if room.rows(fault) and room.take((fault,), len(line) + 300):
                faulty.append(Malformed(number, _cut(line.strip()) or "", reason))
        else:
            rows.append((number, row))
            names |= row.keys()
        # objects take many times the bytes of their text, and a column of one row is one of all
        if size > CHUNK_BYTES // 8 or len(rows) * (len(names) + 4) > CHUNK_BYTES // 32:
            yield _json_chunk(kind, rows, faulty, reasons, any_key)
            any_key = True
            rows, names, faulty, reasons, size = [], set(), [], Counter(), 0
    if not number:
        raise UnreadableFileError("the file is empty")
    yield _json_chunk(kind, rows, faulty, reasons, any_key)


def _lines(text: TextStream) -> Iterator[str]:
    rest = b""
    while block := text.read(min(BLOCK_BYTES, HEAD_BYTES)):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line.decode("utf-8")
        if len(rest) > BLOCK_BYTES:
            raise UnreadableFileError(f"a line is longer than {BLOCK_BYTES >> 20} MB")
    if rest:
        yield rest.decode("utf-8")


def _json_row(text: str) -> tuple[dict[str, str] | None, str, str]:
    """Flatten a line to texts by column; None, the kind of fault and the reason if it is no row."""
    try:
        found = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        return None, "is not valid JSON", f"is not valid JSON: {str(error)[:200]}"
    if not isinstance(found, dict):
        return None, *("is not a JSON object",) * 2
    nested = found.pop("measures", None)
    if isinstance(nested, list) and all(
        isinstance(each, dict) and {"name", "value"} <= set(each) for each in nested
    ):
        pairs = [(str(each["name"]), each["value"]) for each in nested]
    elif nested is None or isinstance(nested, dict):
        pairs = list((nested or {}).items())
    else:
        return None, *("measures are neither an object nor a list of name and value",) * 2
    row = {name: _json_text(value) for name, value in found.items()}
    for name, value in pairs:
        if name in row:
            return None, "a measure is given twice", f"measure {name[:MAX_NAME]} is given twice"
        row[name] = _json_text(value)
    return row, "", ""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{twice[:MAX_NAME]!r} is given twice")
    return found


def _json_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _json_chunk(
    kind: DropKind,
    rows: list[tuple[int, dict[str, str]]],
    faulty: list[Malformed],
    reasons: Counter[str],
    keys: bool,
) -> Chunk:
    # a later part of a file whose first part had the key columns may lack them: its rows are refused one by one then
    names = dict.fromkeys(kind.table.key if keys or not rows else ())
    names |= dict.fromkeys(name for _, row in rows for name in row)
    if len(names) > MAX_COLUMNS:
        raise UnreadableFileError(f"has more than {MAX_COLUMNS} columns, the maximum")
    columns = [pa.array([row.get(name, "") for _, row in rows], pa.string()) for name in names]
    numbers = np.array([number for number, _ in rows], np.int64)
    return Chunk(match_header(kind, list(names)), columns, numbers, faulty, reasons)


def _read_xlsx(source: Path | bytes, kind: DropKind) -> Iterator[Chunk]:
    import openpyxl  # 0.2 s to import and seldom needed

    try:
        # never by its path: openpyxl judges a file by the end of its name, and that of a claimed file is another
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
            check_sheets(stream)
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            try:
                rows = _rows_of_sheet(book.worksheets[0].iter_rows(values_only=True))
            finally:
                book.close()
    except UnreadableFileError:
        raise
    except Exception as error:  # openpyxl raises whatever its zip and XML readers come upon
        raise UnreadableFileError(f"not a readable Excel file: {_said(error)}") from error
    if not rows:
        raise UnreadableFileError("the file is empty")
    width = max(len(row) for row in rows)
    if width > MAX_COLUMNS or width * len(rows) > MAX_CELLS:
        raise UnreadableFileError(_TOO_MANY_CELLS)
    padded = [row + [""] * (width - len(row)) for row in rows]
    header = match_header(kind, padded[0])
    columns = [pa.array([row[position] for row in padded[1:]], pa.string()) for position in range(width)]
    yield Chunk(header, columns, np.arange(1, len(padded), dtype=np.int64))


_TOO_MANY_CELLS = f"the first sheet has more than {MAX_COLUMNS} columns or {MAX_CELLS:,} cells. Is there a single cell far off the others?"


def _rows_of_sheet(found: Iterator[tuple[object, ...]]) -> list[list[str]]:
    """Rows that have anything in them, without the empty cells at their ends."""
    rows: list[list[str]] = []
    cells = 0
    for values in found:
        cells += len(values) + 1
        if cells > 4 * MAX_CELLS:
            raise UnreadableFileError(_TOO_MANY_CELLS)
        row = [_cell_text(value) for value in values]
        while row and not row[-1]:
            row.pop()
        if row:
            rows.append(row)
    return rows


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
