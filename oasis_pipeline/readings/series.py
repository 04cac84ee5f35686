"""Readings of one module as columns.

Here: the one form in which the functions of this room take readings, and the way from JSON objects of measures to it. Not here:
anything that is computed from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
from numpy.typing import NDArray

MICROSECONDS = 1_000_000
"""In a second; times are whole microseconds since 1970, UTC, as PostgreSQL keeps them."""


@dataclass(frozen=True)
class Readings:
    """Readings of one module.

    Attributes
    ----------
    times_us : ndarray of int64, shape (n,)
        Microseconds since 1970, UTC.
    measures : dict of str to ndarray of float64, shape (n,)
        Values by name; NaN where a reading lacks the measure.
    """

    times_us: NDArray[np.int64]
    measures: dict[str, NDArray[np.float64]]

    def __post_init__(self) -> None:
        if any(values.shape != self.times_us.shape for values in self.measures.values()):
            raise ValueError("each measure needs one value for each time")

    def __len__(self) -> int:
        """Return the number of readings."""
        return int(self.times_us.size)

    def slice(self, start: int, stop: int) -> Readings:
        """Readings of some places; no copy."""
        return Readings(
            self.times_us[start:stop], {name: values[start:stop] for name, values in self.measures.items()}
        )

    def take(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> Readings:
        """Readings of some places, or those where a mask is true; a copy."""
        return Readings(
            self.times_us[places], {name: values[places] for name, values in self.measures.items()}
        )


def concatenate(parts: Sequence[Readings]) -> Readings:
    """Put readings one after the other; a measure that a part lacks is NaN there.

    Parameters
    ----------
    parts : sequence of Readings

    Returns
    -------
    Readings
    """
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(name for part in parts for name in part.measures)
    return Readings(
        np.concatenate([np.zeros(0, np.int64), *(part.times_us for part in parts)]),
        {
            name: np.concatenate([part.measures.get(name, np.full(len(part), np.nan)) for part in parts])
            for name in names
        },
    )


def from_table(rows: pa.Table) -> Readings:
    """Take readings from rows with ``timestamp`` and ``measures``.

    Parameters
    ----------
    rows : pyarrow.Table
        ``timestamp`` of any resolution, without nulls; ``measures`` as JSON texts.

    Returns
    -------
    Readings
        In the order of the rows.
    """
    times = rows["timestamp"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return Readings(np.asarray(times.to_numpy(), np.int64), measure_columns(rows["measures"]))


def measure_columns(objects: pa.Array | pa.ChunkedArray) -> dict[str, NDArray[np.float64]]:
    """Turn JSON objects of name to number into one column a name.

    Parameters
    ----------
    objects : pyarrow.Array of string, shape (n,)
        JSON objects; null is an empty one.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        In order of the names; NaN where an object lacks the name or has null there.

    Raises
    ------
    ValueError
        If a text is not valid JSON object of numbers.
    """
    filled = pc.fill_null(objects.cast(pa.string()), "{}")
    if len(filled) == 0:
        return {}
    whole = filled.combine_chunks() if isinstance(filled, pa.ChunkedArray) else filled
    columns = _parsed_by_arrow(whole)
    if columns is None:
        columns = _parsed_one_by_one(whole.to_pylist())
    return dict(sorted(columns.items()))


def _parsed_by_arrow(objects: pa.Array) -> dict[str, NDArray[np.float64]] | None:
    """Parse all texts at once; None where Arrow can't, as of whole numbers beyond 64 bits or an object over several lines."""
    lines = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(objects)], pa.int32()), objects), "\n")
    data = lines[0].as_buffer()
    try:
        # one block, so that a name's type is found from all its values
        rows = pj.read_json(
            pa.BufferReader(data),
            read_options=pj.ReadOptions(use_threads=True, block_size=max(len(data), 1) + 1),
        )
    except pa.ArrowException:
        return None
    if rows.num_rows != len(objects):
        return {} if not rows.column_names and not pc.any(pc.match_substring(objects, '"')).as_py() else None
    columns = {}
    for name in rows.column_names:
        column = rows[name]
        if not (
            pa.types.is_floating(column.type)
            or pa.types.is_integer(column.type)
            or pa.types.is_null(column.type)
        ):
            return None
        columns[name] = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), np.float64)
    return columns


def _parsed_one_by_one(objects: Iterable[str]) -> dict[str, NDArray[np.float64]]:
    parsed = [json.loads(text) for text in objects]
    columns: dict[str, NDArray[np.float64]] = {}
    for row, values in enumerate(parsed):
        if not isinstance(values, dict):
            raise ValueError(f"measures of reading {row} must be an object of names and numbers")
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
                raise ValueError(f"measure {name!r} of reading {row} is not a valid number")
            columns.setdefault(name, np.full(len(parsed), np.nan))[row] = np.nan if value is None else value
    return columns
