"""Days of sensor readings: from rows of ``iot.rawdata`` to flagged readings, batches, profiles and regular series.

Here: what is read, and how the answers of ``oasis_pipeline.readings`` become tables. Not here: the computation, and the definitions of the
assets (``iot``).

Readings are kept long, one row a value, because modules of different types measure different things: the columns are the same on every day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oasis_pipeline.readings.quality import CLOCK_FLAGS, VALUE_FLAGS, clock_flags, value_flags
from oasis_pipeline.readings.regular import regular_series
from oasis_pipeline.readings.series import MICROSECONDS, Readings, from_table
from oasis_pipeline.readings.windows import DAY_US, Window, data_batches, windows_schema
from oasis_pipeline.storage.day_files import group_name
from oasis_pipeline.storage.postgres import Warehouse

FLAGS = (*VALUE_FLAGS, *CLOCK_FLAGS)
NOT_MEASURED = ("stale", "interpolated", "spike", "future")
"""Values with one of these flags stay out of regular series: the sensor did not measure them, or not then."""

_UTC = pa.timestamp("us", tz="UTC")
_ROWS = """
select r.module_num, coalesce(m.module_type, 'unknown') as module_type, r."timestamp", r.measures, r.temperature, r.voltage,
    r.description, r.received_at, r.received_row, r.file_stamp is null as live
from iot.rawdata as r
left join iot.module as m using (module_num)
where r."timestamp" >= $1 and r."timestamp" < $2
order by r.module_num collate "C", r."timestamp"
"""


def readings_schema() -> pa.Schema:
    """Arrow schema of ``iot/readings``: one row a value, flags as columns.

    Returns
    -------
    pyarrow.Schema
    """
    return pa.schema(
        [
            pa.field("module_num", pa.string(), nullable=False),
            pa.field("module_type", pa.string(), nullable=False),
            pa.field("timestamp", _UTC, nullable=False),
            pa.field("measure", pa.string()),
            pa.field("value", pa.float64()),
            pa.field("temperature", pa.float64()),
            pa.field("voltage", pa.float64(), metadata={"unit": "V"}),
            pa.field("description", pa.string()),
            pa.field("received_at", _UTC, nullable=False),
            *(pa.field(name, pa.bool_(), nullable=False) for name in FLAGS),
        ]
    )


def day_of_readings(warehouse: Warehouse, day: date) -> pa.Table:
    """Read the readings of a UTC day and flag them.

    Parameters
    ----------
    warehouse : Warehouse
    day : date

    Returns
    -------
    pyarrow.Table
        Of `readings_schema`, in order of group of module types, module, time and measure. A reading without measures is one row without a
        measure: nothing that was received is left out.
    """
    begin = datetime.combine(day, time(), UTC)
    rows = warehouse.query(_ROWS, (begin, begin + timedelta(days=1)))
    return flagged(rows)


def flagged(rows: pa.Table) -> pa.Table:
    """Unfold and flag readings.

    Parameters
    ----------
    rows : pyarrow.Table
        Columns of ``iot.rawdata`` with ``module_type`` and ``live`` (false for what came by file), in order of module, then time.

    Returns
    -------
    pyarrow.Table
        See `day_of_readings`.
    """
    parts = [_flag_module(part) for part in _by(rows, "module_num")]
    parts.sort(
        key=lambda part: group_name(part["module_type"][0].as_py())
    )  # stable: modules keep their order
    return pa.concat_tables(parts) if parts else readings_schema().empty_table()


def _by(rows: pa.Table, column: str) -> Iterator[pa.Table]:
    """Rows of each value of a column by which they are in order."""
    if rows.num_rows == 0:
        return
    codes = rows[column].combine_chunks().dictionary_encode().indices.to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), rows.num_rows]
    for low, high in pairwise(edges):
        yield rows.slice(low, high - low)


def _flag_module(rows: pa.Table) -> pa.Table:
    readings = from_table(rows)
    n = len(readings)
    received = rows["received_at"].cast(pa.int64()).to_numpy()
    clock = clock_flags(
        readings.times_us,
        received,
        rows["received_row"].to_numpy(),
        rows["live"].to_numpy(zero_copy_only=False).astype(bool),
    )
    places: list[NDArray[np.int64]] = []
    measures: list[str | None] = []
    values: list[NDArray[np.float64]] = []
    flags: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in VALUE_FLAGS}
    bare = np.ones(n, np.bool_)
    for name, column in readings.measures.items():
        at = np.flatnonzero(np.isfinite(column))
        bare[at] = False
        places.append(at)
        measures += [name] * at.size
        values.append(column[at])
        for flag, mask in value_flags(readings.times_us[at], column[at]).items():
            flags[flag].append(mask)
    at = np.flatnonzero(bare)
    places.append(at)
    measures += [None] * at.size
    values.append(np.full(at.size, np.nan))
    for masks in flags.values():
        masks.append(np.zeros(at.size, np.bool_))
    place = np.concatenate(places)
    order = np.lexsort((np.arange(place.size), place))  # measures are in order of their names already
    chosen = pa.array(place[order])
    columns = {
        name: rows[name].take(chosen)
        for name in (
            "module_num",
            "module_type",
            "timestamp",
            "temperature",
            "voltage",
            "description",
            "received_at",
        )
    }
    columns["measure"] = pa.array(measures, pa.string()).take(pa.array(order))
    columns["value"] = pa.array(np.concatenate(values)[order], from_pandas=True)
    for name in VALUE_FLAGS:
        columns[name] = pa.array(np.concatenate(flags[name])[order])
    for name in CLOCK_FLAGS:
        columns[name] = pa.array(clock[name][place[order]])
    schema = readings_schema()
    return pa.table([columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema)


def modules_of(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Rows of ``iot/readings`` module by module.

    Parameters
    ----------
    rows : pyarrow.Table

    Yields
    ------
    tuple of (str, pyarrow.Table)
    """
    for part in _by(rows, "module_num"):
        yield part["module_num"][0].as_py(), part


def wide(rows: pa.Table) -> Readings:
    """Put the values of one module side by side again.

    Parameters
    ----------
    rows : pyarrow.Table
        Of one module, in order of time.

    Returns
    -------
    Readings
    """
    stamps = rows["timestamp"].cast(pa.int64()).to_numpy()
    times, place = np.unique(stamps, return_inverse=True)
    measures = rows["measure"].combine_chunks()
    values = rows["value"].to_numpy()
    columns: dict[str, NDArray[np.float64]] = {}
    for name in sorted(pc.unique(measures.drop_null()).to_pylist()):
        mine = pc.fill_null(pc.equal(measures, name), False).to_numpy(zero_copy_only=False)
        columns[name] = np.full(times.size, np.nan)
        columns[name][place[mine]] = values[mine]
    return Readings(np.asarray(times, np.int64), columns)


def day_of_batches(rows: pa.Table, windows: list[Window]) -> pa.Table:
    """Cut a day of readings into windows.

    Parameters
    ----------
    rows : pyarrow.Table
        A day of ``iot/readings``.
    windows : list of Window
        Count windows begin anew each day.

    Returns
    -------
    pyarrow.Table
        Of `readings.windows.windows_schema` with the features in frequency.
    """
    tables = [
        found.to_arrow(module)
        for module, mine in modules_of(rows)
        for window in windows
        for found in data_batches([wide(mine)], window, frequency=True)
    ]
    return pa.concat_tables(tables) if tables else windows_schema().empty_table()


def regular_schema() -> pa.Schema:
    """Arrow schema of ``iot/regular``.

    Returns
    -------
    pyarrow.Schema
    """
    return pa.schema(
        [
            pa.field("module_num", pa.string(), nullable=False),
            pa.field("timestamp", _UTC, nullable=False),
            pa.field("measure", pa.string(), nullable=False),
            pa.field("value", pa.float64()),
            pa.field("readings", pa.int64(), nullable=False),
            pa.field("fill", pa.string(), nullable=False),
            pa.field("step", pa.string(), nullable=False),
        ]
    )


def day_of_regular(rows: pa.Table, day: date, step: Window, longest_fill: int) -> pa.Table:
    """Bring a day of readings to equal intervals.

    Parameters
    ----------
    rows : pyarrow.Table
        A day of ``iot/readings``.
    day : date
    step : Window
        A length that divides the day.
    longest_fill : int
        Intervals of a gap that is still filled.

    Returns
    -------
    pyarrow.Table
        Of `regular_schema`. Values with a flag of `NOT_MEASURED` are left out of the means.
    """
    start = int(datetime.combine(day, time(), UTC).timestamp()) * MICROSECONDS
    length = step.length_us or 0
    tables = []
    for module, mine in modules_of(rows):
        good = np.ones(mine.num_rows, np.bool_)
        for name in NOT_MEASURED:
            good &= ~mine[name].to_numpy(zero_copy_only=False).astype(bool)
        kept = mine.filter(pa.array(good))
        named = sorted(pc.unique(mine["measure"].combine_chunks().drop_null()).to_pylist())
        readings = wide(kept)
        for name in named:
            values = readings.measures.get(name, np.full(len(readings), np.nan))
            found = regular_series(readings.times_us, values, start, start + DAY_US, length, longest_fill)
            count = found.starts_us.size
            tables.append(
                pa.table(
                    [
                        pa.repeat(pa.scalar(module), count),
                        pa.array(found.starts_us).cast(_UTC),
                        pa.repeat(pa.scalar(name), count),
                        pa.array(found.values, from_pandas=True),
                        pa.array(found.readings),
                        pa.array(found.fill.tolist(), pa.string()),
                        pa.repeat(pa.scalar(str(step)), count),
                    ],
                    schema=regular_schema(),
                )
            )
    return pa.concat_tables(tables) if tables else regular_schema().empty_table()


def profile_schema() -> pa.Schema:
    """Arrow schema of ``iot/profile``: one row a day, module and measure.

    Returns
    -------
    pyarrow.Schema
    """
    numbers = (
        "usual_step_s",
        "longest_gap_s",
        "coverage_pct",
        "median_lag_s",
        "minimum",
        "median",
        "mean",
        "maximum",
        "std",
    )
    return pa.schema(
        [
            pa.field("Date", pa.date32(), nullable=False),
            pa.field("module_num", pa.string(), nullable=False),
            pa.field("module_type", pa.string(), nullable=False),
            pa.field("measure", pa.string()),
            pa.field("readings", pa.int64(), nullable=False),
            pa.field("first", _UTC, nullable=False),
            pa.field("last", _UTC, nullable=False),
            *(pa.field(name, pa.float64()) for name in numbers),
            *(pa.field(f"{name}_pct", pa.float64(), nullable=False) for name in FLAGS),
            pa.field("flagged_pct", pa.float64(), nullable=False),
        ]
    )


def day_of_profiles(rows: pa.Table, day: date) -> pa.Table:
    """Sum up the data quality of each module and measure of a day.

    Parameters
    ----------
    rows : pyarrow.Table
        A day of ``iot/readings``.
    day : date

    Returns
    -------
    pyarrow.Table
        Of `profile_schema`. Coverage is the readings in percent of those that the usual step would give over the whole day; flagged are the
        values with any flag but ``gap_before``.
    """
    records = []
    for module, mine in modules_of(rows):
        for name in [*sorted(pc.unique(mine["measure"].combine_chunks().drop_null()).to_pylist()), None]:
            same = (
                pc.is_null(mine["measure"])
                if name is None
                else pc.fill_null(pc.equal(mine["measure"], name), False)
            )
            part = mine.filter(same)
            if part.num_rows:
                records.append({"Date": day, "module_num": module, "measure": name, **_profile(part)})
    return pa.Table.from_pylist(records, schema=profile_schema())


def _profile(part: pa.Table) -> dict[str, object]:
    stamps = part["timestamp"].cast(pa.int64()).to_numpy()
    lag = (part["received_at"].cast(pa.int64()).to_numpy() - stamps) / MICROSECONDS
    steps = np.diff(stamps) / MICROSECONDS
    usual = float(np.median(steps)) if steps.size else None
    values = part["value"].to_numpy()
    values = values[np.isfinite(values)]
    masks = {name: part[name].to_numpy(zero_copy_only=False).astype(bool) for name in FLAGS}
    flagged_any = np.any([mask for name, mask in masks.items() if name != "gap_before"], axis=0)
    return {
        "module_type": part["module_type"][0].as_py(),
        "readings": part.num_rows,
        "first": part["timestamp"][0].as_py(),
        "last": part["timestamp"][-1].as_py(),
        "usual_step_s": usual,
        "longest_gap_s": float(steps.max()) if steps.size else None,
        "coverage_pct": min(100.0, 100.0 * part.num_rows * usual / 86_400) if usual else None,
        "median_lag_s": float(np.median(lag)),
        "minimum": float(values.min()) if values.size else None,
        "median": float(np.median(values)) if values.size else None,
        "mean": float(values.mean()) if values.size else None,
        "maximum": float(values.max()) if values.size else None,
        "std": float(values.std(ddof=1)) if values.size > 1 else None,
        **{f"{name}_pct": 100.0 * float(mask.mean()) for name, mask in masks.items()},
        "flagged_pct": 100.0 * float(flagged_any.mean()),
    }


@dataclass(frozen=True)
class Example:
    """One series of a day for a picture."""

    title: str
    hours: NDArray[np.float64]
    values: NDArray[np.float64]
    flags: dict[str, NDArray[np.bool_]]


def examples(rows: pa.Table, profiles: pa.Table, day: date, count: int = 4) -> list[Example]:
    """Choose the series of a day that say most: those with the most flagged values.

    Parameters
    ----------
    rows, profiles : pyarrow.Table
        The day of ``iot/readings`` and of ``iot/profile``.
    day : date
    count : int

    Returns
    -------
    list of Example
    """
    start = int(datetime.combine(day, time(), UTC).timestamp()) * MICROSECONDS
    named = profiles.filter(pc.is_valid(profiles["measure"]))
    worst = named.sort_by(
        [("flagged_pct", "descending"), ("module_num", "ascending"), ("measure", "ascending")]
    )
    found = []
    for row in worst.slice(0, count).to_pylist():
        mine = rows.filter(
            pc.and_(
                pc.equal(rows["module_num"], row["module_num"]),
                pc.fill_null(pc.equal(rows["measure"], row["measure"]), False),
            )
        )
        found.append(
            Example(
                f"{row['module_num']}, {row['measure']}",
                (mine["timestamp"].cast(pa.int64()).to_numpy() - start) / (3600 * MICROSECONDS),
                mine["value"].to_numpy(),
                {name: mine[name].to_numpy(zero_copy_only=False).astype(bool) for name in FLAGS},
            )
        )
    return found
