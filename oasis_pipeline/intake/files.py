"""Drop files: what their names say, and their bytes to columns of text.

Here: names and stamps, and which reader reads which file. Not here: the readers (``readers``) and the chunks that they end in (``chunks``).

Every reader ends in the same form: one text column for each column of the file (raw bytes for a blob column of a Parquet
file), rows numbered from 1 after the header, blank lines not counted. A file that can't be brought into this form
raises :class:`UnreadableFileError`; a single line that can't becomes a :class:`Malformed`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from oasis_pipeline.intake.chunks import Chunk, error_text, join_chunks
from oasis_pipeline.intake.readers.csv import read_csv
from oasis_pipeline.intake.readers.ndjson import read_ndjson
from oasis_pipeline.intake.readers.parquet import read_parquet
from oasis_pipeline.intake.readers.xlsx import read_xlsx
from oasis_pipeline.intake.unpacking import UnreadableFileError
from oasis_pipeline.schema import DropKind, drop_kind

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
            yield from join_chunks(read_parquet(source, kind), kind)
        elif suffix == ".xlsx":
            yield from read_xlsx(source, kind)
        elif suffix == ".ndjson":
            yield from read_ndjson(source, kind)
        else:
            yield from join_chunks(read_csv(source, kind, compressed=suffix.endswith(".gz")), kind)
    except (
        pa.ArrowException,
        UnicodeDecodeError,
    ) as error:  # Arrow decodes the names of Parquet columns by itself
        raise UnreadableFileError(error_text(error)) from error
    except OSError as error:
        # Arrow reports damage inside a file (bad gzip, bad Parquet) as an OSError without a number.
        if error.errno is not None:
            raise
        raise UnreadableFileError(error_text(error)) from error
