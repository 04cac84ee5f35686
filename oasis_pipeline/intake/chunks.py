"""Rows of a drop file as text, in chunks: what every reader of files ends in.

Here: headers, chunks, lines that are no rows, and how much of a file is in memory at once. Not here: the readers (``readers``), what a
text means (``values``), and whether a row can be used (``rules``).

However long and odd a file is, what of it is in memory at once is bounded: by the bytes of a chunk, by what its rows will become, and by
what is kept of rows that can't be used (:class:`Room`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oasis_pipeline.intake.unpacking import UnreadableFileError
from oasis_pipeline.schema import DropKind

BLOCK_BYTES = 4 << 20
"""Bytes of csv parsed at once, so also the longest line. Arrow reads up to 32 blocks ahead of a slower consumer."""
CHUNK_BYTES = 32 << 20
"""Bytes of text handed on at once, and about those of the values they become: enough that each upsert is worth its while."""
MAX_COLUMNS = 4096
KEPT_ROWS = 1000
"""Rejected rows of a file that are kept for each reason; the rest is counted."""
KEPT_BYTES = 64 << 20
LONGEST_RAW = 100_000
"""Characters of a text that are kept of a row that can't be used."""
MAX_NAME = 100
"""Characters of a module's number or a measure's name; a longer name in a header is no measure's."""


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
        folded.setdefault(plain_name(name).casefold(), []).append(position)
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
        plain = {at: plain_name(cleaned[at]) for at in others}
        measures = [(at, name) for at, name in plain.items() if 0 < len(name) <= MAX_NAME]
        repeated = {name for name, count in Counter(name for _, name in measures).items() if count > 1}
        if repeated:
            raise UnreadableFileError(
                f"measure {', '.join(sorted(repeated))} appears in the header more than once"
            )
    named = {at for at, _ in measures}
    ignored = tuple(unique[at] for at in others if at not in named)
    return Header(tuple(unique), index, ignored, missing, tuple(measures))


def plain_name(name: str) -> str:
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
        return dict(zip(self.header.names, map(cut_text, texts), strict=True))


def cut_text(text: str | None) -> str | None:
    """Cut a text to what is kept of a row that can't be used."""
    if text is None or len(text) <= LONGEST_RAW:
        return text
    return f"{text[:LONGEST_RAW]} ... ({len(text):,} characters in all)"


def join_chunks(chunks: Iterator[Chunk], kind: DropKind) -> Iterator[Chunk]:
    """Join chunks to larger ones, and cut those up whose rows would become too much."""
    waiting: list[Chunk] = []
    size = 0
    for whole in chunks:
        for chunk in cut_up(whole, kind):
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
    return max(text, len(chunk) * row_bytes(chunk.header, kind))


def row_bytes(header: Header, kind: DropKind) -> int:
    """Return about how many bytes the values of a row become."""
    # a row of few characters still has a value in each column of its kind, and the name of each of its measures
    return 16 * len(kind.columns) + sum(24 + len(name) for _, name in header.measures)


def cut_up(chunk: Chunk, kind: DropKind) -> Iterator[Chunk]:
    """Cut a chunk up whose rows would become too much."""
    rows = max(1, CHUNK_BYTES // row_bytes(chunk.header, kind))
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


def error_text(error: Exception) -> str:
    """Return what went wrong with a file, on one line, for people."""
    text = " ".join(str(error).split())
    if "straddling" in text:
        return f"a row is longer than {BLOCK_BYTES >> 20} MB; is a quotation mark never closed?"
    return f"can't be read: {text[:300]}"
