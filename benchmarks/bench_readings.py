"""Speed of data batches beside a process pool over Python lists, of storing readings, and memory of both ways.

The pool is the earlier platform's way: readings as Python objects, cut into lists, each list sent to a process that computes its
features with the statistics of plain Python. It gets the same readings in memory, and its results are compared with ours.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oasis_pipeline.readings.series import Readings
from oasis_pipeline.readings.spectrum import spectrum_features
from oasis_pipeline.readings.windows import TIME_FEATURES, Window, data_batches, window_features
from oasis_pipeline.settings import load_settings
from oasis_pipeline.storage.installation import using_warehouse
from oasis_pipeline.storage.readings import register_modules, store_readings

N_READINGS = 10_000_000
WINDOW = 100
PART = 1_000_000
"""Readings handed on at once, as the data service reads them."""
N_STORED = 200_000
REQUEST = 1_000
START_US = 1_772_323_200_000_000
MEASURE = "VMPPT"


def values_of(n: int, seed: int = 0) -> NDArray[np.float64]:
    """A panel's voltage."""
    rng = np.random.default_rng(seed)
    return 3.3 + 0.2 * np.sin(np.arange(n) / 5000) + rng.normal(0, 0.05, n)


def parts_of(n: int) -> Iterator[Readings]:
    """The readings in parts, each made when it is asked for."""
    for first in range(0, n, PART):
        count = min(PART, n - first)
        times = START_US + (first + np.arange(count, dtype=np.int64)) * 1_000_000
        yield Readings(times, {MEASURE: values_of(count, first)})


def one_list(values: list[float]) -> tuple[float, ...]:
    """Features of one window by loops over a list."""
    n = len(values)
    mean = sum(values) / n
    deviations = [value - mean for value in values]
    m2 = sum(d * d for d in deviations) / n
    m3 = sum(d**3 for d in deviations) / n
    m4 = sum(d**4 for d in deviations) / n
    return (
        mean,
        math.sqrt(m2 * n / (n - 1)),
        math.sqrt(sum(value * value for value in values) / n),
        m4 / m2**2 - 3,
        m3 / m2**1.5,
        min(values),
        max(values),
    )


def by_pool(n: int) -> tuple[float, NDArray[np.float64]]:
    """Seconds and features, shape (windows, 7), of a process pool over Python lists; the making of the objects is not timed."""
    objects = [
        {"timestamp": time_us, "measures": [{"name": MEASURE, "value": value}]}
        for part in parts_of(n)
        for time_us, value in zip(part.times_us.tolist(), part.measures[MEASURE].tolist(), strict=True)
    ]
    with multiprocessing.Pool() as pool:
        pool.map(one_list, [[1.0, 2.0]] * 4)  # the processes have started
        began = time.perf_counter()
        lists = [
            [each["measures"][0]["value"] for each in objects[first : first + WINDOW]]
            for first in range(0, n - WINDOW + 1, WINDOW)
        ]
        found = pool.map(one_list, lists)
        seconds = time.perf_counter() - began
    return seconds, np.array(found)


def by_batches(n: int, *, frequency: bool = False) -> tuple[float, NDArray[np.float64]]:
    """Seconds and features, shape (windows, 7), of our way; the making of the parts is not timed."""
    seconds = 0.0

    def timed() -> Iterator[Readings]:
        nonlocal began, seconds
        for part in parts_of(n):
            began = time.perf_counter()
            yield part
            seconds += time.perf_counter() - began

    began = time.perf_counter()
    found = [
        np.stack([windows.features[name][0] for name in TIME_FEATURES], axis=1)
        for windows in data_batches(timed(), Window(count=WINDOW), frequency=frequency)
    ]
    return seconds, np.concatenate(found)


def peak_mb() -> float:
    """Greatest memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def measured_alone(way: str, n: int) -> dict[str, Any]:
    """Run one way in a process of its own, for its memory."""
    code = f"from benchmarks.bench_readings import alone; alone({way!r}, {n})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def alone(way: str, n: int) -> None:
    """Print seconds and memory before and at the peak."""
    by_batches(WINDOW * 10)  # compiled
    before = peak_mb()
    seconds, found = by_batches(n) if way == "batches" else by_pool(n)
    print(json.dumps({"seconds": seconds, "windows": len(found), "before_mb": before, "peak_mb": peak_mb()}))


def stored() -> list[tuple[str, float, str, str]]:
    """Rates of storing: our writer in requests, plain COPY of the same rows, one INSERT a reading."""
    i = np.arange(N_STORED)
    values = values_of(N_STORED)
    rows = pa.table(
        {
            "module_num": pa.array([f"0a.1b.2c.{k:02x}" for k in (i % 200).tolist()]),
            "timestamp": pa.array(START_US + i // 200 * 1_000_000).cast(pa.timestamp("us", tz="UTC")),
            "measures": pa.array(
                [f'{{"{MEASURE}": {value:.4f}, "current_a": {value / 2:.4f}}}' for value in values]
            ),
            "temperature": pa.array(values * 8),
            "voltage": pa.array(values),
        }
    )
    figures = []
    with (
        tempfile.TemporaryDirectory(prefix="oasis-bench-") as home,
        using_warehouse(load_settings(Path(home))) as warehouse,
    ):
        with warehouse.transaction() as tx:
            register_modules(tx, rows["module_num"].to_pylist())
        for label, size in (
            (f"readings stored, {REQUEST:,} a transaction", REQUEST),
            ("readings stored, one transaction", N_STORED),
        ):
            with warehouse.transaction() as tx:
                tx.execute("truncate iot.rawdata")
                tx.execute("delete from oasis.asset_state")
            began = time.perf_counter()
            for first in range(0, N_STORED, size):
                with warehouse.transaction() as tx:
                    store_readings(tx, rows.slice(first, size))
            figures.append(
                (
                    label,
                    N_STORED / (time.perf_counter() - began),
                    "readings/s",
                    "durable, checked, days marked",
                )
            )
        with warehouse.transaction() as tx:
            tx.execute(
                'create table iot.plain (module_num text, "timestamp" timestamptz, measures text, temperature double precision,'
                ' voltage double precision, primary key (module_num, "timestamp"))'
            )
        began = time.perf_counter()
        with warehouse.transaction() as tx:
            tx.execute("create temporary table plain (like iot.plain) on commit drop")
            tx.ingest("plain", rows)
            tx.execute("insert into iot.plain select * from pg_temp.plain")
        figures.append(
            (
                "plain COPY and insert of the same rows",
                N_STORED / (time.perf_counter() - began),
                "readings/s",
                "nothing checked",
            )
        )
        few = rows.slice(0, 500).to_pylist()
        began = time.perf_counter()
        for row in few:
            with warehouse.transaction() as tx:
                tx.execute(
                    "insert into iot.plain values ($1, $2 + interval '1 year', $3, $4, $5)",
                    (
                        row["module_num"],
                        row["timestamp"],
                        row["measures"],
                        row["temperature"],
                        row["voltage"],
                    ),
                )
        figures.append(
            ("one INSERT and commit a reading", len(few) / (time.perf_counter() - began), "readings/s", "")
        )
    return figures


def engines(values: NDArray[np.float64], edges: NDArray[np.int64]) -> list[tuple[str, float, str, str]]:
    """The same seven features by NumPy, and by DuckDB and Polars where they are installed."""

    def best(work: Any) -> float:
        times = []
        for _ in range(3):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        return min(times)

    ours = best(lambda: window_features(values, edges))
    figures = [("windows by the compiled pass", ours, "s", "used")]

    def by_numpy() -> None:
        counts, low = np.diff(edges), edges[:-1]
        mean = np.add.reduceat(values, low) / counts
        d = values - np.repeat(mean, counts)
        for power in (d * d, d**3, d**4, values * values):
            np.add.reduceat(power, low)
        np.minimum.reduceat(values, low)
        np.maximum.reduceat(values, low)

    figures.append(("windows by NumPy reduceat", best(by_numpy), "s", ""))
    rows = pa.table({"w": np.repeat(np.arange(edges.size - 1), np.diff(edges)), "v": values})
    try:
        import duckdb
    except ImportError:
        pass
    else:
        connection = duckdb.connect()
        connection.register("rows", rows)
        sql = (
            "select w, avg(v), stddev_samp(v), sqrt(avg(v * v)), kurtosis_pop(v), skewness(v), min(v), max(v) from rows"
            " group by w order by w"
        )
        figures.append(
            ("windows by DuckDB", best(lambda: connection.sql(sql).fetchnumpy()), "s", "not a dependency")
        )
    try:
        import polars
    except ImportError:
        return figures
    frame, v = polars.from_arrow(rows), polars.col("v")
    asked = [v.mean().alias("a"), v.std().alias("b"), (v**2).mean().sqrt().alias("c"), v.kurtosis().alias("d"), v.skew().alias("e"),
             v.min().alias("f"), v.max().alias("g")]  # fmt: skip
    figures.append(
        (
            "windows by Polars",
            best(lambda: frame.group_by("w", maintain_order=True).agg(asked)),
            "s",
            "not a dependency",
        )
    )
    return figures


def rows(n: int = N_READINGS) -> list[dict[str, Any]]:
    """Measure; one row a figure: name, figure, unit, note."""
    by_batches(WINDOW * 10)
    pool, ours = measured_alone("pool", n), measured_alone("batches", n)
    few = min(n, 200_000)
    np.testing.assert_allclose(by_batches(few)[1], by_pool(few)[1], rtol=1e-9, atol=1e-9)
    note = f"{n:,} readings, windows of {WINDOW}"
    figures: list[tuple[str, float, str, str]] = [
        ("databatch", ours["seconds"], "s", note),
        ("process pool over Python lists", pool["seconds"], "s", f"{note}, {os.cpu_count()} processes"),
        ("how many times faster", pool["seconds"] / ours["seconds"], "", "same features to 9 digits"),
        (
            "memory that databatch took",
            ours["peak_mb"] - ours["before_mb"],
            "MB",
            f"parts of {PART:,} readings and all results",
        ),
        ("memory of the pool's parent", pool["peak_mb"] - pool["before_mb"], "MB", ""),
    ]
    spectra = min(n, 1_000_000)
    part = next(parts_of(spectra))
    edges = np.arange(0, len(part) + 1, WINDOW)
    regular, times = part.measures[MEASURE], part.times_us
    jittered = times + np.random.default_rng(1).integers(-300_000, 300_000, times.size)
    spectrum_features(jittered[:1000], regular[:1000], edges[:11])
    for label, stamps in (
        ("frequency features, equal steps (FFT)", times),
        ("frequency features, unequal steps (Lomb-Scargle)", jittered),
    ):
        began = time.perf_counter()
        spectrum_features(stamps, regular, edges)
        figures.append(
            (
                label,
                (edges.size - 1) / (time.perf_counter() - began),
                "windows/s",
                f"windows of {WINDOW}, one core",
            )
        )
    figures += engines(values_of(n), np.arange(0, n + 1, WINDOW))
    figures += stored()
    return [dict(zip(("name", "figure", "unit", "note"), each, strict=True)) for each in figures]


def main() -> None:
    """Print the table."""
    for row in rows():
        print(f"{row['name']:50} {row['figure']:>14,.2f} {row['unit']:12} {row['note']}")


if __name__ == "__main__":
    main()
