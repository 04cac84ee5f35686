"""Excel: the first sheet of a workbook."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path

import numpy as np
import pyarrow as pa

from oasis_pipeline.intake import chunks
from oasis_pipeline.intake.chunks import Chunk, error_text, match_header
from oasis_pipeline.intake.unpacking import UnreadableFileError, check_sheets
from oasis_pipeline.schema import DropKind

MAX_CELLS = 4_000_000
"""Cells of an Excel sheet, empty ones between others included."""


def read_xlsx(source: Path | bytes, kind: DropKind) -> Iterator[Chunk]:
    """Read the first sheet of an Excel file, see `read_chunks`."""
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
        raise UnreadableFileError(f"not a readable Excel file: {error_text(error)}") from error
    if not rows:
        raise UnreadableFileError("the file is empty")
    width = max(len(row) for row in rows)
    if width > chunks.MAX_COLUMNS or width * len(rows) > MAX_CELLS:
        raise UnreadableFileError(_TOO_MANY_CELLS)
    padded = [row + [""] * (width - len(row)) for row in rows]
    header = match_header(kind, padded[0])
    columns = [pa.array([row[position] for row in padded[1:]], pa.string()) for position in range(width)]
    yield Chunk(header, columns, np.arange(1, len(padded), dtype=np.int64))


_TOO_MANY_CELLS = f"the first sheet has more than {chunks.MAX_COLUMNS} columns or {MAX_CELLS:,} cells. Is there a single cell far off the others?"


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
