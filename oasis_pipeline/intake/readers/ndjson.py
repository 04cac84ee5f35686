"""ndjson: one object a line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from oasis_pipeline.intake import chunks
from oasis_pipeline.intake.chunks import Chunk, Malformed, Room, cut_text, cut_up, match_header
from oasis_pipeline.intake.unpacking import HEAD_BYTES, TextStream, UnreadableFileError, open_source
from oasis_pipeline.schema import DropKind


def read_ndjson(source: Path | bytes, kind: DropKind) -> Iterator[Chunk]:
    """Read one JSON object a line: its keys are the columns; measures may also stand together under ``measures``."""
    with open_source(source, compressed=False) as stream, TextStream(stream) as text:
        for chunk in _parse_ndjson(text, kind):
            yield from cut_up(chunk, kind)


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
                faulty.append(Malformed(number, cut_text(line.strip()) or "", reason))
        else:
            rows.append((number, row))
            names |= row.keys()
        # objects take many times the bytes of their text, and a column of one row is one of all
        if size > chunks.CHUNK_BYTES // 8 or len(rows) * (len(names) + 4) > chunks.CHUNK_BYTES // 32:
            yield _json_chunk(kind, rows, faulty, reasons, any_key)
            any_key = True
            rows, names, faulty, reasons, size = [], set(), [], Counter(), 0
    if not number:
        raise UnreadableFileError("the file is empty")
    yield _json_chunk(kind, rows, faulty, reasons, any_key)


def _lines(text: TextStream) -> Iterator[str]:
    rest = b""
    while block := text.read(min(chunks.BLOCK_BYTES, HEAD_BYTES)):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield line.decode("utf-8")
        if len(rest) > chunks.BLOCK_BYTES:
            raise UnreadableFileError(f"a line is longer than {chunks.BLOCK_BYTES >> 20} MB")
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
            return None, "a measure is given twice", f"measure {name[: chunks.MAX_NAME]} is given twice"
        row[name] = _json_text(value)
    return row, "", ""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{twice[: chunks.MAX_NAME]!r} is given twice")
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
    if len(names) > chunks.MAX_COLUMNS:
        raise UnreadableFileError(f"has more than {chunks.MAX_COLUMNS} columns, the maximum")
    columns = [pa.array([row.get(name, "") for _, row in rows], pa.string()) for name in names]
    numbers = np.array([number for number, _ in rows], np.int64)
    return Chunk(match_header(kind, list(names)), columns, numbers, faulty, reasons)
