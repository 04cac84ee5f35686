"""What packed files may unfold to: bounds that hold before the memory is taken.

Here: the text of csv and ndjson files block by block (``TextStream``), pages of Parquet files, sheets of Excel files. Not here: what is
in them (``files``).

A few kilobytes of gzip, Parquet or xlsx can unfold to any size. Text is handed on block by block, so its size costs no memory, and only a
ratio that no real data has is refused. A Parquet page and an Excel sheet are unfolded whole, so their size is asked for first.
"""

from __future__ import annotations

import codecs
import io
import zipfile
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

RATIO = 200
"""A file that unfolds to more than this times its own size, and to more than `FREE_BYTES`, is made to harm; hex and numbers reach 20."""
FREE_BYTES = 256 << 20
PAGE_BYTES = 64 << 20
"""Largest page of a Parquet file; writers make them of about a megabyte."""
PAGES_BYTES = 384 << 20
FOOTER_BYTES = 32 << 20
SHEET_BYTES = 64 << 20
HEAD_BYTES = 1 << 20

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)


class UnreadableFileError(Exception):
    """A file can't be read at all; the message says why, for people."""


def open_source(source: Path | bytes, *, compressed: bool) -> pa.NativeFile:
    """Open the bytes of a file.

    Parameters
    ----------
    source : Path or bytes
        The file, or all its bytes.
    compressed : bool
        Whether they are gzip.

    Returns
    -------
    pyarrow.NativeFile
    """
    stream: pa.NativeFile = pa.BufferReader(source) if isinstance(source, bytes) else pa.OSFile(str(source))
    return pa.CompressedInputStream(stream, "gzip") if compressed else stream


class TextStream(io.BufferedIOBase):
    """The bytes of a text file as UTF-8 without a mark, its last line ended.

    Parameters
    ----------
    stream : pyarrow.NativeFile
    packed_bytes : int, optional
        Size of the file where `stream` unpacks it.

    Attributes
    ----------
    head : bytes
        The first megabyte, or all of it.
    quotes : int
        Quotation marks read so far.
    fault : UnreadableFileError or None
        What a read has raised: whoever reads in another thread may get it as another error.

    Raises
    ------
    UnreadableFileError
        By any read: if the text is neither UTF-8 nor UTF-16 with a mark, or unfolds beyond all measure.
    """

    def __init__(self, stream: pa.NativeFile, packed_bytes: int | None = None) -> None:
        self._stream = stream
        self._packed_bytes = packed_bytes
        self._unpacked = 0
        self._position = 0
        self._last = b""
        self._rest = b""
        self._ended = False
        self.quotes = 0
        self.fault: UnreadableFileError | None = None
        first = block = self._take(HEAD_BYTES)
        while block and len(first) < HEAD_BYTES:
            block = self._take(HEAD_BYTES - len(first))
            first += block
        self._encoding = next((name for mark, name in _MARKS if first.startswith(mark)), "utf-8")
        if self._encoding == "utf-32":
            raise UnreadableFileError("the text is UTF-32; write it as UTF-8")
        self._decoder = codecs.getincrementaldecoder(self._encoding)()
        mark_bytes = next((len(mark) for mark, _ in _MARKS if first.startswith(mark)), 0)
        self._position = mark_bytes
        self._rest = self._convert(first[mark_bytes:])
        if len(first) < HEAD_BYTES:
            self._rest += self._finish()
        self.head = self._rest

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes, which has to be given; none at the end."""
        if self.closed or self.fault is not None or size is None or size <= 0:
            return b""
        try:
            while not self._rest and not self._ended:
                # UTF-16 grows by half where it grows
                block = self._take(max(2, size // 2) if self._encoding.startswith("utf-16") else size)
                self._rest = self._convert(block) if block else self._finish()
        except UnreadableFileError as fault:
            self.fault = fault
            raise
        if len(self._rest) <= size:
            result, self._rest = self._rest, b""
        else:
            result, self._rest = self._rest[:size], self._rest[size:]
        self.quotes += result.count(b'"')
        return result

    def _take(self, size: int) -> bytes:
        block: bytes = self._stream.read(size)
        self._unpacked += len(block)
        if (
            self._packed_bytes is not None
            and self._unpacked > FREE_BYTES
            and self._unpacked > RATIO * self._packed_bytes
        ):
            raise UnreadableFileError(
                f"unpacks to more than {RATIO} times its size; no measured data does, it is left unread"
            )
        return block

    def _convert(self, block: bytes) -> bytes:
        # Most text is ASCII, which needs no look at single characters.
        plain = self._encoding == "utf-8" and block.isascii() and not self._decoder.getstate()[0]
        if not plain:
            try:
                text = self._decoder.decode(block)
            except UnicodeDecodeError as error:
                raise UnreadableFileError(
                    f"not {self._encoding.upper()}: {error.reason} near byte {self._position + error.start}"
                ) from error
            if self._encoding != "utf-8":
                block = text.encode("utf-8")
        self._position += len(block)
        self._last = block[-1:] or self._last
        return block

    def _finish(self) -> bytes:
        self._ended = True
        if self._decoder.getstate()[0]:
            raise UnreadableFileError(f"not {self._encoding.upper()}: the file ends within a character")
        return b"" if self._last in (b"", b"\n", b"\r") else b"\n"


def check_parquet(source: Path | bytes) -> None:
    """Refuse a Parquet file of which a page would unfold beyond bounds.

    Parameters
    ----------
    source : Path or bytes
        A file that `check_footer` has let through.

    Raises
    ------
    UnreadableFileError
        If it has such a page, or pages that can't be told.
    """
    with open_source(source, compressed=False) as stream:
        size = stream.size()
        for columns in _column_chunks(stream, size):
            together = 0  # a page of each column is unfolded at the same time
            for start, length in columns:
                together += _largest_page(stream, start, min(start + length, size))
                if together > PAGES_BYTES:
                    raise UnreadableFileError(
                        f"a page of each column unfolds to {together >> 20} MB together; write it with smaller pages"
                    )


# RowGroups (4), their columns (1), meta_data (3): total_compressed_size, data_page_offset, dictionary_page_offset
_LENGTH, _DATA, _DICTIONARY = 7, 9, 11
_FOOTER: dict[int, Any] = {4: {1: {3: {_LENGTH: {}, _DATA: {}, _DICTIONARY: {}}}}}


def _column_chunks(stream: pa.NativeFile, size: int) -> list[list[tuple[int, int]]]:
    """Start and length of each column of each row group.

    Read here because pyarrow ends the process, without an exception, at some damaged descriptions of a column.
    """
    stream.seek(max(0, size - 8))
    length = int.from_bytes(stream.read(4), "little")
    stream.seek(max(0, size - 8 - length))
    try:
        footer: Any = _Thrift(stream.read(length)).struct(_FOOTER)
        found = []
        for group in footer[4]:
            metas = [column[3] for column in group[1]]
            places = [
                (min(meta[_DATA], meta.get(_DICTIONARY) or meta[_DATA]), meta[_LENGTH]) for meta in metas
            ]
            found.append(places)
    except (IndexError, KeyError, TypeError, RecursionError):
        raise UnreadableFileError("can't be read: the description of its columns is damaged") from None
    return found


def _largest_page(stream: pa.NativeFile, start: int, end: int) -> int:
    largest = 0
    while 0 <= start < end:
        header = None
        for length in (4096, HEAD_BYTES):  # one with long statistics is seldom
            stream.seek(start)
            reader = _Thrift(stream.read(min(end - start, length)))
            try:
                sizes = reader.numbers(most=3)
                header = sizes[2], sizes[3]
                break
            except (IndexError, KeyError, RecursionError):
                continue
        if header is None or header[1] < 0:
            raise UnreadableFileError("can't be read: the header of a page is damaged")
        if not 0 <= header[0] <= PAGE_BYTES:
            raise UnreadableFileError(
                f"a page of the Parquet file unfolds to {header[0] >> 20} MB; write it with pages of at most {PAGE_BYTES >> 20} MB"
            )
        largest = max(largest, header[0])
        start += reader.at + header[1]
    return largest


class _Thrift:
    """Just enough of Thrift's compact protocol to read the numbers of a page's header and to find its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def struct(self, wanted: dict[int, Any]) -> dict[int, Any]:
        """Read a struct to its end; answer with the wanted fields: numbers, structs and lists of structs, whose wanted fields stand inside."""
        found: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != 0:
            kind, step = head & 0x0F, head >> 4
            number = number + step if step else self._zigzag()
            inner = wanted.get(number)
            if inner is None:
                self._skip(kind)
            elif kind in (4, 5, 6):
                found[number] = self._zigzag()
            elif kind == 12:
                found[number] = self.struct(inner)
            elif kind == 9:
                start, head = self.at, self._byte()
                count = head >> 4 if head >> 4 < 15 else self._varint()
                if head & 0x0F == 12:
                    found[number] = [self.struct(inner) for _ in range(count)]
                else:
                    self.at = start
                    self._skip(kind)
            else:
                self._skip(kind)
        return found

    def numbers(self, most: int) -> dict[int, int]:
        """Read a struct to its end; answer with its numbers up to that field."""
        found: dict[int, int] = {}
        number = 0
        while (head := self._byte()) != 0:
            kind, step = head & 0x0F, head >> 4
            number = number + step if step else self._zigzag()
            if kind in (4, 5, 6):
                value = self._zigzag()
                if number <= most:
                    found[number] = value
            else:
                self._skip(kind)
        return found

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _varint(self) -> int:
        result = shift = 0
        while True:
            byte = self._byte()
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _skip(self, kind: int) -> None:
        if kind == 3:
            self.at += 1
        elif kind in (4, 5, 6):
            self._varint()
        elif kind == 7:
            self.at += 8
        elif kind == 8:
            length = self._varint()
            self.at += length
        elif kind in (9, 10):
            head = self._byte()
            count = head >> 4
            for _ in range(self._varint() if count == 15 else count):
                self._skip(3 if head & 0x0F in (1, 2) else head & 0x0F)
        elif kind == 12:
            self.numbers(most=0)
        elif kind not in (1, 2):
            raise IndexError(kind)


def check_footer(source: Path | bytes) -> None:
    """Refuse a Parquet file whose description alone would fill the memory.

    Parameters
    ----------
    source : Path or bytes

    Raises
    ------
    UnreadableFileError
    """
    with open_source(source, compressed=False) as stream:
        size = stream.size()
        stream.seek(max(0, size - 8))
        tail = stream.read(8)
    if tail[4:] == b"PAR1" and int.from_bytes(tail[:4], "little") > FOOTER_BYTES:
        raise UnreadableFileError(
            f"the description of its row groups takes {int.from_bytes(tail[:4], 'little') >> 20} MB; write it with fewer, larger ones"
        )


def check_sheets(source: IO[bytes]) -> None:
    """Refuse an Excel file that unfolds beyond bounds.

    Parameters
    ----------
    source : file
        Open for reading.

    Raises
    ------
    UnreadableFileError
    zipfile.BadZipFile
        If it is no Excel file.
    """
    with zipfile.ZipFile(source) as book:
        size = sum(part.file_size for part in book.infolist())
    if size > SHEET_BYTES:
        raise UnreadableFileError(
            f"the Excel file unpacks to {size >> 20} MB, more than {SHEET_BYTES >> 20}; save it as csv"
        )
