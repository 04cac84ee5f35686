"""Data batches: readings cut into windows, and the features of each window in time.

Here: windows by count and by time, over a stream of readings that need not fit into memory, and moments and extremes of each window.
Not here: the features in frequency (``spectrum``), and how readings are read.

One compiled pass over the values computes all features of a window, because each is read from memory twice and not ten times: the table in
``docs/sensor-readings.md`` has the figures beside NumPy, DuckDB and Polars.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oasis_pipeline.readings.series import MICROSECONDS, Readings, concatenate
from oasis_pipeline.readings.spectrum import SPECTRUM_FEATURES, spectrum_features

DAY_US = 86_400 * MICROSECONDS

TIME_FEATURES = (
    "batch_mean",
    "batch_std",
    "batch_rms",
    "batch_kurtosis",
    "batch_skewness",
    "batch_min",
    "batch_max",
)
"""Names of the features in time, in the order of the first axis of `window_features`."""

MAX_COUNT = 10_000_000
_PARALLEL_FROM = 200_000
_UNITS = {
    "us": 1, "ms": 1000, "s": MICROSECONDS, "sec": MICROSECONDS, "min": 60 * MICROSECONDS, "m": 60 * MICROSECONDS,
    "h": 3600 * MICROSECONDS, "d": DAY_US,
}  # fmt: skip
_WINDOW = re.compile(r"(\d{1,9})\s*([a-z]+)")


@dataclass(frozen=True)
class Window:
    """How readings are cut: so many in a row, or so long.

    Attributes
    ----------
    count : int or None
        Readings of a window.
    length_us : int or None
        Length of a window in microseconds.
    """

    count: int | None = None
    length_us: int | None = None

    def __post_init__(self) -> None:
        if (self.count is None) == (self.length_us is None):
            raise ValueError("a window is either a count of readings or a length of time")
        if self.count is not None and not 1 <= self.count <= MAX_COUNT:
            raise ValueError(f"a window holds 1 to {MAX_COUNT:,} readings, not {self.count}")
        if self.length_us is not None and not 1 <= self.length_us <= 366 * DAY_US:
            raise ValueError("a window is longer than nothing and no longer than 366 days")

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read a count (``256``) or a length (``15min``; units us, ms, s, min, h, d).

        Raises
        ------
        ValueError
            If it is neither.
        """
        plain = text.strip().lower()
        if re.fullmatch(r"\d{1,9}", plain):
            return cls(count=int(plain))
        match = _WINDOW.fullmatch(plain)
        if match is None or match[2] not in _UNITS:
            raise ValueError(
                f"{text!r} is not a valid window: a count of readings (256) or a length (30s, 15min, 1h, 1d)"
            )
        return cls(length_us=int(match[1]) * _UNITS[match[2]])

    def __str__(self) -> str:
        """As `parse` reads it, in the largest unit that is whole."""
        if self.count is not None:
            return str(self.count)
        length = self.length_us or 0
        unit = next(name for name in ("d", "h", "min", "s", "ms", "us") if length % _UNITS[name] == 0)
        return f"{length // _UNITS[unit]}{unit}"

    def number(self, times_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number the windows of a length that times fall into.

        Windows of up to a day begin at multiples of their length since 00:00 UTC of each day, so that one whose length does
        not divide the day is cut off by midnight; longer ones begin at multiples since 1970-01-01 00:00 UTC.
        """
        length = self.length_us or 1
        day, inside = np.divmod(times_us, DAY_US)
        numbers: NDArray[np.int64] = (
            times_us // length if length > DAY_US else day * -(-DAY_US // length) + inside // length
        )
        return numbers


@dataclass(frozen=True)
class Windows:
    """Features of windows in a row.

    Attributes
    ----------
    window : Window
    starting_us, ending_us : ndarray of int64, shape (w,)
        Times of the first and the last reading of each window.
    readings : ndarray of int64, shape (w,)
        Readings in each window.
    names : tuple of str
        Measures.
    counts : ndarray of int64, shape (m, w)
        Values of each measure in each window; where it is 0 the window lacks the measure.
    features : dict of str to ndarray of float64, shape (m, w)
        By name (`TIME_FEATURES`); NaN where a feature does not exist.
    frequency : dict of str to ndarray of float64, shape (m, w)
        By name (`SPECTRUM_FEATURES`); empty if they were not asked for.
    """

    window: Window
    starting_us: NDArray[np.int64]
    ending_us: NDArray[np.int64]
    readings: NDArray[np.int64]
    names: tuple[str, ...]
    counts: NDArray[np.int64]
    features: dict[str, NDArray[np.float64]]
    frequency: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of windows."""
        return int(self.starting_us.size)

    def records(self, module_num: str, window_size: str | None = None) -> Iterator[dict[str, Any]]:
        """Give the windows as the data service answers them.

        Parameters
        ----------
        module_num : str
            Echoed in each.
        window_size : str, optional
            Echoed in each; the window's own text by default.

        Yields
        ------
        dict
            ``module_num``, ``window_size``, ``starting_timestamp``, ``ending_timestamp`` (ISO with Z), ``time_features`` and, if they
            were computed, ``frequency_features``; each feature a list of name and value, null where it does not exist.
        """
        size = window_size if window_size is not None else str(self.window)
        groups = {"time_features": _lists(self.features)}
        if self.frequency:
            groups["frequency_features"] = _lists(self.frequency)
        for at in range(len(self)):
            present = np.flatnonzero(self.counts[:, at]).tolist()
            yield {
                "module_num": module_num,
                "window_size": size,
                "starting_timestamp": iso(int(self.starting_us[at])),
                "ending_timestamp": iso(int(self.ending_us[at])),
                **{
                    group: {
                        feature: [{"name": self.names[k], "value": values[k][at]} for k in present]
                        for feature, values in features.items()
                    }
                    for group, features in groups.items()
                },
            }

    def to_arrow(self, module_num: str) -> pa.Table:
        """Give the windows as a table, one row a window and measure.

        Parameters
        ----------
        module_num : str

        Returns
        -------
        pyarrow.Table
            Columns of `windows_schema`, in order of time, then measure.
        """
        order = np.flatnonzero(self.counts.T.ravel())
        at, measure = np.divmod(order, max(len(self.names), 1))
        utc = pa.timestamp("us", tz="UTC")
        columns: dict[str, Any] = {
            "module_num": pa.repeat(pa.scalar(module_num, pa.string()), order.size),
            "window": pa.repeat(pa.scalar(str(self.window), pa.string()), order.size),
            "starting_timestamp": pa.array(self.starting_us[at], pa.int64()).cast(utc),
            "ending_timestamp": pa.array(self.ending_us[at], pa.int64()).cast(utc),
            "measure": pa.array(np.array(self.names, object)[measure], pa.string()),
            "readings": pa.array(self.counts[measure, at], pa.int64()),
        }
        for name in TIME_FEATURES:
            columns[name] = pa.array(self.features[name][measure, at], pa.float64(), from_pandas=True)
        schema = windows_schema(frequency=bool(self.frequency))
        for name in SPECTRUM_FEATURES if self.frequency else ():
            columns[name] = pa.array(self.frequency[name][measure, at], pa.float64(), from_pandas=True)
        return pa.table(columns, schema=schema)


def windows_schema(*, frequency: bool = True) -> pa.Schema:
    """Arrow schema of `Windows.to_arrow`.

    Parameters
    ----------
    frequency : bool
        Whether the features in frequency are among the columns.

    Returns
    -------
    pyarrow.Schema
    """
    utc = pa.timestamp("us", tz="UTC")
    keys = [
        ("module_num", pa.string()), ("window", pa.string()), ("starting_timestamp", utc), ("ending_timestamp", utc),
        ("measure", pa.string()), ("readings", pa.int64()),
    ]  # fmt: skip
    names = (*TIME_FEATURES, *(SPECTRUM_FEATURES if frequency else ()))
    return pa.schema(
        [
            *(pa.field(name, kind, nullable=False) for name, kind in keys),
            *(pa.field(n, pa.float64()) for n in names),
        ]
    )


def data_batches(parts: Iterable[Readings], window: Window, *, frequency: bool = False) -> Iterator[Windows]:
    """Cut a stream of readings into windows and compute the features of each.

    Parameters
    ----------
    parts : iterable of Readings
        Of one module, in order of time within a part and from part to part. What is held in memory is one part and the window that is
        open at its end.
    window : Window
        Of count windows an incomplete last one is dropped; time windows without readings are left out.
    frequency : bool
        Whether to compute the features in frequency too.

    Yields
    ------
    Windows
        At most one for each part, and one for the last window; none is empty.

    Raises
    ------
    ValueError
        If times go backwards.
    """
    open_window: Readings | None = None
    newest: int | None = None
    for part in parts:
        if len(part) == 0:
            continue
        if np.any(np.diff(part.times_us) < 0) or (newest is not None and part.times_us[0] < newest):
            raise ValueError("readings have to come in order of time")
        newest = int(part.times_us[-1])
        whole = part if open_window is None else concatenate([open_window, part])
        edges = _edges(whole.times_us, window)
        if edges.size > 1:
            yield _features_of(whole, edges, window, frequency)
        open_window = whole.slice(int(edges[-1]), len(whole))
    if window.count is None and open_window is not None and len(open_window):
        yield _features_of(open_window, np.array([0, len(open_window)]), window, frequency)


def window_features(
    values: NDArray[np.float64], edges: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Compute the features of windows of one measure.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        NaN is no value.
    edges : ndarray of int64, shape (w + 1,)
        Window k holds the places ``edges[k]`` to ``edges[k + 1]``, the latter excluded.

    Returns
    -------
    counts : ndarray of int64, shape (w,)
        Values of each window.
    features : ndarray of float64, shape (7, w)
        In the order of `TIME_FEATURES`. Standard deviation with ddof 1 (NaN for one value), skewness m3/m2^1.5 and kurtosis m4/m2^2 - 3
        with population moments (NaN where all values are the same); all NaN where there is no value.

    Notes
    -----
    Everything is reckoned from the first value of the window, and moments about the mean in a second pass, so that a large offset
    with small deviations loses no digits, and a window of equal values has exactly no deviation.
    """
    values = np.ascontiguousarray(values, np.float64)
    edges = np.ascontiguousarray(edges, np.int64)
    w = edges.size - 1
    counts, features = np.zeros(w, np.int64), np.full((len(TIME_FEATURES), w), np.nan)
    pieces = min(os.cpu_count() or 1, w) if values.size >= _PARALLEL_FROM else 1
    if pieces <= 1:
        _moments(values, edges, 0, w, counts, features)
        return counts, features
    cuts = np.linspace(0, w, pieces + 1).astype(int)
    with ThreadPoolExecutor(pieces) as pool:  # the kernel releases the interpreter's lock
        jobs = [
            pool.submit(_moments, values, edges, low, high, counts, features)
            for low, high in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)
        ]
    for job in jobs:
        job.result()
    return counts, features


@numba.njit(cache=True, nogil=True)
def _moments(values, edges, first, last, counts, features):  # type: ignore[no-untyped-def]  # pragma: no cover
    for w in range(first, last):
        low, high = edges[w], edges[w + 1]
        count, origin, total, least, most = 0, 0.0, 0.0, np.inf, -np.inf
        for k in range(low, high):
            x = values[k]
            if x == x:
                if count == 0:
                    origin = x
                count += 1
                total += x - origin
                least = min(least, x)
                most = max(most, x)
        counts[w] = count
        if count == 0:
            continue
        shift = total / count
        m1 = m2 = m3 = m4 = squares = 0.0
        for k in range(low, high):
            x = values[k]
            if x == x:
                d = (x - origin) - shift
                q = d * d
                m1 += d
                m2 += q
                m3 += q * d
                m4 += q * q
                squares += x * x
        # what rounding has left of the first moment is taken out of the second
        m2 -= m1 * m1 / count
        features[0, w] = origin + shift
        if count > 1:
            features[1, w] = np.sqrt(max(m2, 0.0) / (count - 1))
        features[2, w] = np.sqrt(squares / count)
        variance = m2 / count
        if variance > 0.0 and least < most:
            scale = variance * variance
            if scale > 0.0:
                features[3, w] = m4 / count / scale - 3.0
                features[4, w] = m3 / count / (variance * np.sqrt(variance))
        features[5, w] = least
        features[6, w] = most


def _edges(times_us: NDArray[np.int64], window: Window) -> NDArray[np.int64]:
    """Edges of the windows that are closed; the readings after the last one are of a window that is still open."""
    if window.count is not None:
        return np.arange(0, times_us.size // window.count + 1, dtype=np.int64) * window.count
    numbers = window.number(times_us)
    return np.concatenate([np.zeros(1, np.int64), np.flatnonzero(np.diff(numbers)) + 1])


def _features_of(readings: Readings, edges: NDArray[np.int64], window: Window, frequency: bool) -> Windows:
    names = tuple(readings.measures)
    w = edges.size - 1
    counts = np.zeros((len(names), w), np.int64)
    features = np.full((len(TIME_FEATURES), len(names), w), np.nan)
    spectra = np.full((len(SPECTRUM_FEATURES), len(names), w), np.nan) if frequency else None
    for k, values in enumerate(readings.measures.values()):
        counts[k], features[:, k] = window_features(values, edges)
        if spectra is not None:
            spectra[:, k] = spectrum_features(readings.times_us, values, edges)
    return Windows(
        window,
        readings.times_us[edges[:-1]],
        readings.times_us[edges[1:] - 1],
        np.diff(edges),
        names,
        counts,
        dict(zip(TIME_FEATURES, features, strict=True)),
        dict(zip(SPECTRUM_FEATURES, spectra, strict=True)) if spectra is not None else {},
    )


def _lists(features: dict[str, NDArray[np.float64]]) -> dict[str, list[list[float | None]]]:
    """Values as Python numbers, None where there is none: JSON knows neither NaN nor infinity."""
    lists = {}
    for name, values in features.items():
        plain = values.astype(object)
        plain[~np.isfinite(values)] = None
        lists[name] = plain.tolist()
    return lists


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso(time_us: int) -> str:
    """Write a time as ISO 8601 with Z, the microseconds only where there are any."""
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")
