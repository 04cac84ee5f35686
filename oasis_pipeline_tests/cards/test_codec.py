from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oasis_pipeline.cards.codec import (
    BlobFault,
    CardColumn,
    decode_blobs,
    decode_hex,
    encode_blobs,
    encode_hex,
    pack_bytes,
)

from .strategies import any_columns


def blob(load, position):
    return struct.pack(f"<{2 * len(load)}f", *load, *position)


def read_blob_plainly(data: bytes):
    """One blob, by the letter of the format: a reason, or (position, load)."""
    if len(data) % 8:
        return BlobFault.ODD_FLOATS
    words = struct.unpack(f"<{len(data) // 4}f", data)
    if any(word in (float("inf"), -float("inf")) for word in words):
        return BlobFault.INFINITE
    half = len(words) // 2
    return words[half:], words[:half]


def read_hex_plainly(text: str):
    if any(character not in "0123456789abcdefABCDEF" for character in text):
        return BlobFault.NOT_HEX
    if len(text) % 2:
        return BlobFault.ODD_DIGITS
    return read_blob_plainly(bytes(int(text[at : at + 2], 16) for at in range(0, len(text), 2)))


def assert_read_as(column, faults, expected):
    assert len(column) == len(faults) == len(expected)
    for index, answer in enumerate(expected):
        if isinstance(answer, BlobFault):
            assert faults[index] == answer
            assert column.counts[index] == 0
        else:
            assert faults[index] == BlobFault.OK
            np.testing.assert_array_equal(column.row(index), np.array(answer, np.float32))


def test_loads_come_first_then_positions():
    column, faults = decode_hex(*pack_bytes(["0000803f00000040" + "0000404000008040"]))
    assert faults.tolist() == [BlobFault.OK]
    assert column.load.tolist() == [1, 2]
    assert column.position.tolist() == [3, 4]
    assert column.position.dtype == np.float32


def test_each_fault_has_its_reason_and_harms_no_neighbour():
    good = blob([1, 2], [3, 4]).hex()
    texts = [
        good,
        "",
        good.upper(),
        "0x" + good[2:],
        good[:-1],
        good[:-2],
        good[:-8],
        "not a card",
        good + "\n",
        good,
    ]
    texts += [
        blob([float("inf")], [1]).hex(),
        blob([1], [-float("inf")]).hex(),
        blob([float("nan")], [1]).hex(),
    ]
    column, faults = decode_hex(*pack_bytes(texts))
    names = [BlobFault(code).name for code in faults]
    assert names == [
        *("OK", "OK", "OK", "NOT_HEX", "ODD_DIGITS", "ODD_FLOATS", "ODD_FLOATS", "NOT_HEX", "NOT_HEX", "OK"),
        *("INFINITE", "INFINITE", "OK"),
    ]
    assert column.counts.tolist() == [2, 0, 2, 0, 0, 0, 0, 0, 0, 2, 0, 0, 1]
    for index in (0, 2, 9):
        assert [values.tolist() for values in column.row(index)] == [[3, 4], [1, 2]]


def test_every_reason_has_a_text():
    assert len({fault.text for fault in BlobFault}) == len(BlobFault)


def test_every_pair_of_characters():
    texts = [chr(high) + chr(low) for high in range(128) for low in range(128)]
    column, faults = decode_hex(*pack_bytes(texts))
    assert_read_as(column, faults, [read_hex_plainly(text) for text in texts])


def test_every_byte_survives_hex():
    data = np.arange(256, dtype=np.uint8)
    column, faults = decode_hex(*pack_bytes([data.tobytes().hex()]))
    assert faults.tolist() == [BlobFault.OK]
    assert encode_blobs(column)[0].tobytes() == data.tobytes()


@given(st.lists(st.text("0123456789abcdefABCDEF", max_size=40) | st.text(max_size=40), max_size=8))
@example(["é" * 4, "00" * 8])
@example(["\ud800" * 8])
def test_any_text_gives_a_card_or_a_reason(texts):
    column, faults = decode_hex(*pack_bytes(texts))
    expected = [read_hex_plainly(text) if text.isascii() else BlobFault.NOT_HEX for text in texts]
    assert_read_as(column, faults, expected)


@given(st.lists(st.binary(max_size=48), max_size=8))
@example([b"", b"\x00" * 8, b"\x01" * 12, struct.pack("<2f", float("inf"), 0)])
def test_any_bytes_give_a_card_or_a_reason(blobs):
    column, faults = decode_blobs(*pack_bytes(blobs))
    assert_read_as(column, faults, [read_blob_plainly(data) for data in blobs])
    text_column, text_faults = decode_hex(*pack_bytes([data.hex() for data in blobs]))
    np.testing.assert_array_equal(text_faults, faults)
    np.testing.assert_array_equal(text_column.load, column.load)


@given(any_columns())
def test_encode_then_decode_keeps_every_bit(column):
    data, offsets = encode_blobs(column)
    texts = encode_hex(column)
    for decoded, faults in (decode_blobs(data, offsets), decode_hex(*pack_bytes(texts))):
        assert not faults.any()
        np.testing.assert_array_equal(decoded.offsets, column.offsets)
        assert decoded.position.tobytes() == column.position.tobytes()
        assert decoded.load.tobytes() == column.load.tobytes()
    assert texts == [data[a:b].tobytes().hex() for a, b in pairwise(offsets)]


@given(any_columns())
def test_a_batch_is_encoded_as_its_cards_one_at_a_time(column):
    assert encode_hex(column) == [encode_hex(column.take([index]))[0] for index in range(len(column))]


def test_a_slice_of_a_larger_buffer_is_read_in_place():
    good = blob([1, 2], [3, 4])
    data = np.frombuffer(b"xyz" + good + good + b"tail", np.uint8)
    column, faults = decode_blobs(data, [3, 3 + len(good), 3 + 2 * len(good)])
    assert faults.tolist() == [0, 0]
    assert column.load.tolist() == [1, 2, 1, 2]
    text = np.frombuffer(("g" + good.hex() + "00" + "g").encode(), np.uint8)
    column, faults = decode_hex(text, [1, 33])
    assert faults.tolist() == [0]
    assert column.position.tolist() == [3, 4]


def test_float64_is_encoded_as_float32():
    column = CardColumn.from_rows([(np.array([0.1]), np.array([0.2]))])
    assert encode_hex(column) == [struct.pack("<2f", 0.2, 0.1).hex()]


@pytest.mark.parametrize("offsets", [[0, 9], [-1, 8], [0, 8, 4], [], [[0, 8]]])
def test_offsets_outside_the_buffer_are_the_callers_error(offsets):
    for decode in (decode_hex, decode_blobs):
        with pytest.raises(ValueError, match="offset"):
            decode(np.zeros(8, np.uint8), np.array(offsets, np.int64))
