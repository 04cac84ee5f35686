"""Columns of card blobs to the card columns of the warehouse.

Here: the bridge between Arrow columns and ``cards``: decoding, list columns, why a card can't be used, extent.
Not here: the blob format itself and the rules by which points are judged (``cards``).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oasis_pipeline.cards.codec import BlobFault, decode_blobs, decode_hex
from oasis_pipeline.cards.column import CardColumn, group_by_count
from oasis_pipeline.cards.misfit import judge_cards, misfit_text
from oasis_pipeline.cards.quality import Unusable, marred_cards, unusable_points, without_padding
from oasis_pipeline.intake.values import Faults, tidy

NO_CARD = "no card"
"""What stands in ``<card>_fault`` where none came."""

_PREFIXES = pa.array(["0x", "0X", "\\x", "\\X"])


def parse_cards(array: pa.Array, column: str, faults: Faults) -> CardColumn:
    """Decode a column of blobs.

    Parameters
    ----------
    array : pyarrow.StringArray (hex) or pyarrow.BinaryArray, shape (n,)
        Empty or null means no card.
    column : str
        For the reasons.
    faults : Faults
        Gets a reason for every blob that can't be read.

    Returns
    -------
    CardColumn
        n cards; no points where there is no card or a fault.
    """
    if array.null_count == len(array):
        return CardColumn(
            np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(len(array) + 1, np.int64)
        )
    if pa.types.is_binary(array.type):
        cards, codes = decode_blobs(*_buffers(array))
    else:
        cards, codes = decode_hex(*_buffers(array))
        if codes.any():
            # Perhaps only blanks around it, a prefix, or a NULL: all null texts hold an n, so none of them passes for hex.
            array = _without_prefix(tidy(array))
            cards, codes = decode_hex(*_buffers(array))
    for fault in BlobFault:
        if fault is not BlobFault.OK:
            faults.add(codes == fault, column, fault.text)
    return cards


def _without_prefix(text: pa.StringArray) -> pa.StringArray:
    """Cut off the prefix of SQL Server (``0x``) or PostgreSQL (a backslash and x); no hex begins so."""
    start = pc.utf8_slice_codeunits(text, 0, 2)
    prefixed = pc.is_in(start, value_set=_PREFIXES)
    if not pc.any(prefixed).as_py():
        return text
    return pc.if_else(prefixed, pc.utf8_slice_codeunits(text, 2), text)


def _buffers(array: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    if array.null_count:
        # A null slot may have bytes behind it.
        array = pc.fill_null(array, b"" if pa.types.is_binary(array.type) else "")
    _, ends, data = array.buffers()
    offsets = (
        np.frombuffer(ends, np.int32, count=len(array) + 1, offset=4 * array.offset)
        if ends
        else np.zeros(1, np.int32)
    )
    characters = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    return characters, offsets.astype(np.int64)


def card_lists(cards: CardColumn) -> tuple[pa.ListArray, pa.ListArray]:
    """Turn cards into the position and load columns of the warehouse; null where there is no card.

    Parameters
    ----------
    cards : CardColumn

    Returns
    -------
    position, load : pyarrow.ListArray of float32, shape (n,)
    """
    if cards.position.size == 0:
        empty = pa.nulls(len(cards), pa.list_(pa.float32()))
        return empty, empty
    offsets = pa.array(cards.offsets.astype(np.int32))
    none = pa.array(cards.counts == 0)
    return (
        pa.ListArray.from_arrays(offsets, pa.array(cards.position, pa.float32()), mask=none),
        pa.ListArray.from_arrays(offsets, pa.array(cards.load, pa.float32()), mask=none),
    )


def judge(
    cards: CardColumn, *, pump: bool, stroke_length_in: NDArray[np.float64]
) -> tuple[NDArray[np.int8], pa.StringArray]:
    """Tell whether each card can be used, and why not.

    Parameters
    ----------
    cards : CardColumn
        n cards of one column.
    pump : bool
        Whether they are pump cards.
    stroke_length_in : ndarray, shape (n,)
        ``StrokeLength`` of their rows, NaN where there is none.

    Returns
    -------
    codes : ndarray of int8, shape (n,)
        :class:`~oasis_pipeline.cards.quality.Unusable`.
    texts : pyarrow.StringArray, shape (n,)
        What stands in ``<card>_fault``; null for a usable card.
    """
    codes = judge_cards(cards, pump=pump, stroke_length_in=stroke_length_in)
    texts = np.full(len(cards), None, object)
    for index in np.flatnonzero(codes != Unusable.USABLE).tolist():
        if codes[index] == Unusable.NO_CARD:
            texts[index] = NO_CARD
            continue
        stroke = float(stroke_length_in[index])
        texts[index] = misfit_text(*cards.row(index), int(codes[index]), pump=pump, stroke_length_in=stroke)
    return codes, pa.array(texts, pa.string())


def extremes(
    cards: CardColumn, codes: NDArray[np.int8]
) -> tuple[pa.DoubleArray, pa.DoubleArray, pa.DoubleArray, pa.DoubleArray]:
    """Find the extent of the usable points of each card.

    Parameters
    ----------
    cards : CardColumn
    codes : ndarray of int8, shape (n,)
        As of :func:`judge`.

    Returns
    -------
    least_position_in, greatest_position_in, least_load_lbf, greatest_load_lbf : pyarrow.DoubleArray, shape (n,)
        Null for a card that can't be used.
    """
    found = np.full((4, len(cards)), np.nan)
    cards = without_padding(cards)
    good = codes == Unusable.USABLE
    some_lost = marred_cards(cards) & good
    for indices, position, load in group_by_count(cards):
        found[:, indices] = position.min(axis=1), position.max(axis=1), load.min(axis=1), load.max(axis=1)
        marred = np.flatnonzero(some_lost[indices])
        if marred.size:
            x, y = position[marred], load[marred]
            lost = unusable_points(x, y)
            x, y = np.where(lost, np.nan, x), np.where(lost, np.nan, y)
            at = indices[marred]
            found[:, at] = (
                np.nanmin(x, axis=1),
                np.nanmax(x, axis=1),
                np.nanmin(y, axis=1),
                np.nanmax(y, axis=1),
            )
    least_x, greatest_x, least_y, greatest_y = (pa.array(values, mask=~good) for values in found)
    return least_x, greatest_x, least_y, greatest_y
