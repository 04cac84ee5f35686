"""Card blobs to columns of cards and back, many at once.

A blob is IEEE-754 float32 little-endian, not interleaved: first half loads, second half positions, no header. In
text it is hex. Any bytes and any text may come in: a blob that cannot be read gives a reason, never an exception.

Belongs here: bytes and hex. Does not belong here: whether a card that could be read is of use (``quality``,
re-exported for convenience), and anything that changes points (``canonical``).
"""

from __future__ import annotations

from binascii import Error as BinasciiError
from binascii import unhexlify
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .column import CardColumn, FloatArray, IntArray, point_indices
from .quality import Unusable, usable

__all__ = [
    "BlobFault",
    "CardColumn",
    "Unusable",
    "decode_blobs",
    "decode_hex",
    "encode_blobs",
    "encode_hex",
    "pack_bytes",
    "usable",
]

_BYTES_A_POINT = 8  # one load and one position
_CHUNK_BYTES = 1 << 15  # working arrays of this order stay in a core's own cache


class BlobFault(IntEnum):
    """Why a blob was rejected; the value is the reason code, ``text`` is for people."""

    OK = 0
    NOT_HEX = 1
    ODD_DIGITS = 2
    ODD_FLOATS = 3
    INFINITE = 4

    @property
    def text(self) -> str:
        """One clause that says what is wrong, to be put after the column's name."""
        return _FAULT_TEXT[self]


_FAULT_TEXT = {
    BlobFault.OK: "is fine",
    BlobFault.NOT_HEX: "is not hexadecimal",
    BlobFault.ODD_DIGITS: "has an odd number of hexadecimal digits",
    BlobFault.ODD_FLOATS: "is not an even number of whole 4-byte floats",
    BlobFault.INFINITE: "contains an infinite value",
}

_NOT_A_DIGIT = 0xFF
_DIGIT = np.full(256, _NOT_A_DIGIT, np.uint8)
for _value, _characters in enumerate(zip("0123456789abcdef", "0123456789ABCDEF", strict=True)):
    for _character in _characters:
        _DIGIT[ord(_character)] = _value

# Two characters at once, as a little-endian 16-bit number: the value of their byte, or 256 if they are not hex.
_high_digit = _DIGIT[np.arange(1 << 16) & 0xFF].astype(np.uint16)
_low_digit = _DIGIT[np.arange(1 << 16) >> 8].astype(np.uint16)
_PAIR_VALUE = np.where(
    np.maximum(_high_digit, _low_digit) < 16, _high_digit << 4 | _low_digit, np.uint16(256)
)


def decode_hex(text: ArrayLike, offsets: ArrayLike) -> tuple[CardColumn, NDArray[np.int8]]:
    """Decode hex blobs laid end to end (the layout of an Arrow string column).

    Parameters
    ----------
    text : array_like of uint8, shape (total_characters,)
        ASCII (or UTF-8) characters, lower or upper case, without ``0x``.
    offsets : array_like of int, shape (n + 1,)
        The text of card ``i`` is ``text[offsets[i]:offsets[i + 1]]``; empty means no card.

    Returns
    -------
    column : CardColumn
        n cards, float32; cards without text or with a fault have no points.
    faults : ndarray of int8, shape (n,)
        A :class:`BlobFault` a card.

    Raises
    ------
    ValueError
        If the offsets do not fit the buffer: that is the caller's error, not the data's.
    """
    characters, ends = _buffer(text, offsets)
    lengths = np.diff(ends)
    faults = np.zeros(lengths.size, np.int8)
    odd = lengths % 2 == 1
    if odd.any():
        # A text that is no hex at all is called so, whatever its length.
        bad = np.zeros(characters.size + 1, np.int64)
        np.cumsum(_DIGIT[characters] == _NOT_A_DIGIT, out=bad[1:])
        faults[odd] = np.where(bad[ends[1:]] > bad[ends[:-1]], BlobFault.NOT_HEX, BlobFault.ODD_DIGITS)[odd]
        characters, ends = _keep(characters, ends, ~odd)
    else:
        characters = characters[ends[0] : ends[-1]]
        ends = ends - ends[0]
    characters = np.ascontiguousarray(characters)
    # All lengths are even now, so pairs of digits never straddle two cards.
    byte_offsets = ends // 2
    try:
        data = np.frombuffer(unhexlify(characters.data), np.uint8)
    except BinasciiError:
        data, bad = _unhexlify_what_can_be(characters)
        faults[np.searchsorted(byte_offsets, bad, side="right") - 1] = BlobFault.NOT_HEX
    return _decode(data, byte_offsets, faults)


def decode_blobs(data: ArrayLike, offsets: ArrayLike) -> tuple[CardColumn, NDArray[np.int8]]:
    """Decode raw blobs laid end to end (the layout of an Arrow binary column).

    Parameters
    ----------
    data : array_like of uint8, shape (total_bytes,)
        The blobs.
    offsets : array_like of int, shape (n + 1,)
        Blob ``i`` is ``data[offsets[i]:offsets[i + 1]]``; empty means no card.

    Returns
    -------
    column : CardColumn
        n cards, float32; cards that are empty or have a fault have no points.
    faults : ndarray of int8, shape (n,)
        A :class:`BlobFault` a card.

    Raises
    ------
    ValueError
        If the offsets do not fit the buffer.
    """
    blob_bytes, ends = _buffer(data, offsets)
    return _decode(blob_bytes, ends, np.zeros(ends.size - 1, np.int8))


def encode_blobs(column: CardColumn) -> tuple[NDArray[np.uint8], IntArray]:
    """Encode cards as raw blobs laid end to end; the inverse of :func:`decode_blobs`, bit for bit.

    Returns
    -------
    data : ndarray of uint8, shape (8 * total_points,)
    offsets : ndarray of int64, shape (n + 1,)
    """
    counts = column.counts
    words = np.empty(2 * column.position.size, np.dtype("<f4"))
    if counts.size and (counts == counts[0]).all():
        halves = words.reshape(counts.size, 2, counts[0])
        halves[:, 0] = column.load.reshape(counts.size, counts[0])
        halves[:, 1] = column.position.reshape(counts.size, counts[0])
    else:
        load_at = point_indices(2 * column.offsets[:-1], counts)
        words[load_at] = column.load
        words[load_at + np.repeat(counts, counts)] = column.position
    return words.view(np.uint8), column.offsets * _BYTES_A_POINT


def encode_hex(column: CardColumn) -> list[str]:
    """Encode cards as lower-case hex, one text a card; a card without points is the empty text."""
    data, offsets = encode_blobs(column)
    view = data.data
    return [view[start:end].hex() for start, end in pairwise(offsets.tolist())]


def pack_bytes(items: list[bytes] | list[str]) -> tuple[NDArray[np.uint8], IntArray]:
    """Lay a list of blobs or hex texts end to end, as :func:`decode_blobs` and :func:`decode_hex` take them.

    Returns
    -------
    data : ndarray of uint8, shape (total,)
        Texts as UTF-8, lone surrogates included (they are not hex, and are told so later).
    offsets : ndarray of int64, shape (n + 1,)
    """
    chunks = [item.encode("utf-8", "surrogatepass") if isinstance(item, str) else item for item in items]
    offsets = np.zeros(len(chunks) + 1, np.int64)
    np.cumsum([len(chunk) for chunk in chunks], out=offsets[1:])
    return np.frombuffer(b"".join(chunks), np.uint8), offsets


def _buffer(data: ArrayLike, offsets: ArrayLike) -> tuple[NDArray[np.uint8], IntArray]:
    buffer = np.ascontiguousarray(np.asarray(data, np.uint8))
    ends = np.asarray(offsets, np.int64)
    if buffer.ndim != 1 or ends.ndim != 1 or ends.size == 0:
        raise ValueError("data and offsets must be one-dimensional, with at least one offset")
    if ends[0] < 0 or ends[-1] > buffer.size or np.any(ends[1:] < ends[:-1]):
        raise ValueError("offsets must never decrease and lie inside the data")
    return buffer, ends


def _unhexlify_what_can_be(characters: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], IntArray]:
    """Return the bytes of the pairs of digits, and which of them are none."""
    pairs = characters.view(np.dtype("<u2"))
    data = np.empty(pairs.size, np.uint8)
    bad: list[IntArray] = []
    for start in range(0, pairs.size, _CHUNK_BYTES):
        # Every 16-bit number is in the table: "clip" only spares NumPy the check.
        values = np.take(_PAIR_VALUE, pairs[start : start + _CHUNK_BYTES], mode="clip")
        data[start : start + _CHUNK_BYTES] = values.astype(np.uint8)
        bad.append(np.flatnonzero(values > 0xFF) + start)
    return data, np.concatenate(bad)


def _keep(
    data: NDArray[np.uint8], offsets: IntArray, keep: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], IntArray]:
    """Drop the bytes of some items; they stay as empty items."""
    ends = np.zeros(offsets.size, np.int64)
    np.cumsum(np.where(keep, np.diff(offsets), 0), out=ends[1:])
    # runs of items that stay are copied whole: an index for each byte would take eight times the memory
    edges = np.flatnonzero(np.diff(np.concatenate([[0], keep.astype(np.int8), [0]]))).reshape(-1, 2)
    runs = [data[offsets[first] : offsets[last]] for first, last in edges.tolist()]
    return np.concatenate([data[:0], *runs]), ends


def _decode(
    data: NDArray[np.uint8], offsets: IntArray, faults: NDArray[np.int8]
) -> tuple[CardColumn, NDArray[np.int8]]:
    lengths = np.diff(offsets)
    faults[(lengths % _BYTES_A_POINT != 0) & (faults == BlobFault.OK)] = BlobFault.ODD_FLOATS
    if (faults != BlobFault.OK).any():
        data, offsets = _keep(data, offsets, faults == BlobFault.OK)
    first, last = int(offsets[0]), int(offsets[-1])
    words = data[first:last].view(np.dtype("<f4"))
    point_offsets = (offsets - first) // _BYTES_A_POINT
    column = _split(words, point_offsets)
    infinite = _infinite_cards(words, point_offsets)
    if infinite.any():
        faults[infinite] = BlobFault.INFINITE
        kept = np.where(infinite, 0, column.counts)
        ends = np.zeros(kept.size + 1, np.int64)
        np.cumsum(kept, out=ends[1:])
        points = point_indices(column.offsets[:-1], kept)
        column = CardColumn(column.position[points], column.load[points], ends)
    return column, faults


def _split(words: FloatArray, offsets: IntArray) -> CardColumn:
    """Separate the halves: loads first, then positions."""
    counts = np.diff(offsets)
    present = counts[counts > 0]
    if present.size == 0 or (present == present[0]).all():
        shape = (present.size, 2, int(present[0]) if present.size else 0)
        halves = words.reshape(shape)
        load = halves[:, 0].astype(np.float32).reshape(-1)
        position = halves[:, 1].astype(np.float32).reshape(-1)
    else:
        load_at = point_indices(2 * offsets[:-1], counts)
        load = words[load_at].astype(np.float32, copy=False)
        position = words[load_at + np.repeat(counts, counts)].astype(np.float32, copy=False)
    return CardColumn(position, load, offsets)


def _infinite_cards(words: FloatArray, offsets: IntArray) -> NDArray[np.bool_]:
    found: list[IntArray] = []
    step = _CHUNK_BYTES
    for start in range(0, words.size, step):
        infinite = np.isinf(words[start : start + step])
        if infinite.any():
            found.append(np.flatnonzero(infinite) + start)
    result = np.zeros(offsets.size - 1, np.bool_)
    if found:
        result[np.searchsorted(2 * offsets, np.concatenate(found), side="right") - 1] = True
    return result
