"""csv, plain and packed: separators, lines of another width than the header, open quotation marks."""

from __future__ import annotations

import csv
import io
from array import array
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
from numpy.typing import NDArray

from oasis_pipeline.intake import chunks
from oasis_pipeline.intake.chunks import Chunk, Malformed, Room, cut_text, match_header, plain_name
from oasis_pipeline.intake.unpacking import TextStream, UnreadableFileError, open_source
from oasis_pipeline.schema import DropKind

NEARLY_ALL = 0.95
"""A file with more than this share of its rows of another width than the header is refused whole."""
FEW_LINES = 100
HOPELESS_LINES = 1_000_000
"""So many lines of another width are reason enough not to read on."""
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}


def read_csv(source: Path | bytes, kind: DropKind, *, compressed: bool) -> Iterator[Chunk]:
    """Read a csv file: every column as text, see `read_chunks`."""
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
        (each for each, names in found.items() if keys <= {plain_name(name).casefold() for name in names}),
        ",",
    )
    if len(found[chosen]) > chunks.MAX_COLUMNS:
        raise UnreadableFileError(f"has more than {chunks.MAX_COLUMNS} columns, the maximum")
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
        folded = [plain_name(name).casefold() for name in names]
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
            self._kept.append(Malformed(number, cut_text(row.text) or "", reason, self._node(row.text)))
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
                autogenerate_column_names=True, use_threads=False, block_size=chunks.BLOCK_BYTES
            ),
            parse_options=pcsv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=faulty.note
            ),
            convert_options=pcsv.ConvertOptions(column_types=_all_text(), strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            raise _no_rows(text) from error
        raise
    if len(reader.schema) > chunks.MAX_COLUMNS:
        raise UnreadableFileError(f"has more than {chunks.MAX_COLUMNS} columns, the maximum")
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
        raise _no_rows(text)
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


def _no_rows(text: TextStream) -> UnreadableFileError:
    """Say why a file has not even a header."""
    open_quote = "a quotation mark in the first row is never closed"
    return UnreadableFileError(open_quote if text.quotes % 2 == 1 else "the file is empty")


@cache
def _all_text() -> dict[str, pa.DataType]:
    return {f"f{column}": pa.string() for column in range(chunks.MAX_COLUMNS)}


def _without_open_quote(chunk: Chunk) -> Chunk:
    """Refuse a last row whose quotation mark is never closed: it has swallowed all lines after it."""
    last = len(chunk) - 1
    values = [str(column[last].as_py()) for column in chunk.columns] if len(chunk) else []
    if not any("\n" in value or "\r" in value for value in values):
        return chunk
    node_at = chunk.header.index.get("NodeID")
    reason = "a quotation mark is never closed"
    node = None if node_at is None else values[node_at]
    lost = Malformed(int(chunk.row_numbers[last]), cut_text(",".join(values)) or "", reason, node)
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
