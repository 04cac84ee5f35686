"""Assets of the group ``iot``: sensor readings by UTC day, and what is made of them.

Here: declarations. What they compute stands in ``operations.reading_days`` and in the room ``oasis_pipeline.readings``.
"""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, field_validator

from oasis_pipeline.assets.checks import COLUMNS, Check
from oasis_pipeline.assets.common import OWNER
from oasis_pipeline.assets.declaration import Calendar, Run, day_asset, kept, same_day, source
from oasis_pipeline.operations import reading_days as days_of_readings
from oasis_pipeline.readings.windows import DAY_US, Window, windows_schema
from oasis_pipeline.schema import table
from oasis_pipeline.storage.day_files import group_name, read_day
from oasis_pipeline.storage.objects import ObjectStore

RAWDATA = table("iot", "rawdata")
MODULE = table("iot", "module")
READINGS, DATABATCH, PROFILE, REGULAR = (
    f"iot/{name}" for name in ("readings", "databatch", "profile", "regular")
)

READINGS_VERSION, BATCHES_VERSION = "1", "1"
"""Raise them when the same readings come out otherwise, or their windows."""

PICTURED_SERIES = 4


class BatchConfig(dg.Config):
    """How readings are cut.

    Attributes
    ----------
    windows : list of str
        Counts of readings, or lengths (``15min``, ``1h``).
    """

    windows: list[str] = Field(default=["64", "1h"])

    @field_validator("windows")
    @classmethod
    def _are_windows(cls, given: list[str]) -> list[str]:
        return [str(Window.parse(text)) for text in given]


class RegularConfig(dg.Config):
    """The grid of the regular series.

    Attributes
    ----------
    step : str
        Length of an interval; it has to divide the day.
    longest_fill : int
        A gap of up to so many intervals is filled by a straight line.
    """

    step: str = "15min"
    longest_fill: int = Field(default=3, ge=0)

    @field_validator("step")
    @classmethod
    def _divides_the_day(cls, given: str) -> str:
        length = Window.parse(given).length_us
        if length is None or DAY_US % length:
            raise ValueError(f"the step must divide the day evenly, not {given!r}")
        return given


MODULE_ASSET = source(
    MODULE.asset,
    partitioned=False,
    table=MODULE,
    description="Sensor modules. The data service writes it, and intake where a file names an unregistered module.",
)
RAWDATA_ASSET = source(
    RAWDATA.asset,
    partitioned=True,
    table=RAWDATA,
    calendar=Calendar.READINGS,
    description="Readings as they arrived. The data service writes it, and intake from Readings files; "
    "PostgreSQL keeps it in one partition a UTC day.",
    metadata={"drop_files": "Readings.E2E.<YYYYMMDD>.<HHMM>.csv"},
)

Days = Iterator[tuple[str, pa.Table]]


@day_asset(
    READINGS,
    inputs=[same_day(RAWDATA.asset), kept(MODULE.asset)],
    code_version=READINGS_VERSION,
    description="Readings of a UTC day, one row a value: without repeats, in order, with flags of values that are stuck, "
    "interpolated or spikes, of gaps, and of clock faults; nothing is deleted. One Parquet file a day and type of module.",
    columns=days_of_readings.readings_schema,
    partition_column="timestamp",
    group_column="module_type",
    calendar=Calendar.READINGS,
    owner=OWNER,
    checks=(
        Check(
            COLUMNS,
            "columns have their types, keys are there, in order and without repeats, and values are finite",
            blocking=True,
        ),
        Check(
            "plausible",
            "temperatures lie between -90 and 200 and supply voltages between 0 and 1000, whatever their unit",
        ),
    ),
)
def readings(run: Run) -> Days:
    """Make ``iot/readings``."""
    faults: dict[str, list[str]] = {}
    odd: dict[str, list[str]] = {}
    for day in run.partitions:
        rows = days_of_readings.day_of_readings(run.warehouse, date.fromisoformat(day))
        faults[day], odd[day] = reading_faults(rows), implausible(rows)
        yield day, rows
    run.check(COLUMNS, faults, blocking=True)
    run.check("plausible", odd, blocking=False)


@day_asset(
    DATABATCH,
    inputs=[same_day(READINGS)],
    code_version=BATCHES_VERSION,
    description="Readings of a UTC day cut into windows by count and by time, with the features of each window in time and in "
    "frequency: the computation behind /api/databatch/. Count windows begin anew each day.",
    columns=windows_schema,
    partition_column="starting_timestamp",
    calendar=Calendar.READINGS,
    together=True,
    config=BatchConfig,
)
def databatch(run: Run) -> Days:
    """Make ``iot/databatch``."""
    run.metadata[DATABATCH]["windows"] = run.config.windows
    windows = [Window.parse(text) for text in run.config.windows]
    for day in run.partitions:
        yield day, days_of_readings.day_of_batches(_day_of(run.store, date.fromisoformat(day)), windows)


@day_asset(
    PROFILE,
    inputs=[same_day(READINGS)],
    code_version=READINGS_VERSION,
    description="Data quality of each module and measure by UTC day: readings, steps, gaps, coverage, lag, ranges, and the share "
    "of each flag.",
    columns=days_of_readings.profile_schema,
    calendar=Calendar.READINGS,
    together=True,
)
def profile(run: Run) -> Days:
    """Make ``iot/profile``."""
    tables = []
    for day in run.partitions:
        when = date.fromisoformat(day)
        tables.append(days_of_readings.day_of_profiles(_day_of(run.store, when), when))
        yield day, tables[-1]
    newest = next((each for each in reversed(tables) if each.num_rows), None)
    for day, profiles in zip(run.partitions, tables, strict=True):
        run.note(day, profile_metadata(run.store, profiles, pictured=profiles is newest), PROFILE)


@day_asset(
    REGULAR,
    inputs=[same_day(READINGS)],
    code_version=READINGS_VERSION,
    description="Readings of a UTC day as means of equal intervals, for models that need a grid. Each value says how it came to be: "
    "measured, linear (a short gap, a straight line between its neighbours), or missing.",
    columns=days_of_readings.regular_schema,
    partition_column="timestamp",
    calendar=Calendar.READINGS,
    together=True,
    config=RegularConfig,
)
def regular(run: Run) -> Days:
    """Make ``iot/regular``."""
    longest = run.config.longest_fill
    step = Window.parse(run.config.step)
    run.metadata[REGULAR].update(
        step=run.config.step,
        fill_method=f"gaps of up to {longest} intervals: linear; longer ones and the ends of the day: missing",
        left_out=f"values flagged {', '.join(days_of_readings.NOT_MEASURED)}",
    )
    for day in run.partitions:
        when = date.fromisoformat(day)
        yield day, days_of_readings.day_of_regular(_day_of(run.store, when), when, step, longest)


def _day_of(store: ObjectStore, day: date) -> pa.Table:
    rows = read_day(store, READINGS, day, version=READINGS_VERSION)
    return days_of_readings.readings_schema().empty_table() if rows is None else rows


def profile_metadata(store: ObjectStore, profiles: pa.Table, *, pictured: bool) -> dict[str, Any]:
    """Shares of flags of a day, and a picture of the series with most flags.

    Parameters
    ----------
    store : ObjectStore
        Where the readings lie.
    profiles : pyarrow.Table
        Of the day.
    pictured : bool
        Whether to draw.

    Returns
    -------
    dict
        For the materialization.
    """
    if profiles.num_rows == 0:
        return {"readings": 0}
    counts = profiles["readings"].to_numpy()
    shares = {
        f"{name}_pct": round(float(np.average(profiles[f"{name}_pct"].to_numpy(), weights=counts)), 3)
        for name in days_of_readings.FLAGS
    }
    facts: dict[str, Any] = {
        "readings": int(counts.sum()),
        "modules": len(pc.unique(profiles["module_num"])),
        **shares,
    }
    day = profiles["Date"][0].as_py()
    chosen = (
        days_of_readings.examples(_day_of(store, day), profiles, day, PICTURED_SERIES) if pictured else []
    )
    if not chosen:
        return facts
    from oasis_pipeline.plotting.readings import flagged_series
    from oasis_pipeline.plotting.style import markdown

    figure = flagged_series([(each.title, each.hours, each.values, each.flags) for each in chosen])
    return {"most_flagged": dg.MetadataValue.md(markdown(figure, f"flagged readings of {day}")), **facts}


def reading_faults(rows: pa.Table) -> list[str]:
    """Say what is wrong with the columns of a day of readings; nothing as a rule."""
    faults = []
    if not rows.schema.equals(days_of_readings.readings_schema()):
        return [f"columns are {', '.join(f'{field.name} {field.type}' for field in rows.schema)}"]
    required = [field.name for field in days_of_readings.readings_schema() if not field.nullable]
    faults += [
        f"{name} is missing in {rows[name].null_count} rows" for name in required if rows[name].null_count
    ]
    if (
        not pc.all(pc.is_finite(rows["value"].drop_null())).as_py()
        and rows["value"].null_count < rows.num_rows
    ):
        faults.append("values that are not finite")
    keys = np.stack(
        [
            _ranks(rows["module_type"], group_name),
            _ranks(rows["module_num"]),
            rows["timestamp"].cast(pa.int64()).to_numpy(),
            _ranks(rows["measure"]),
        ]
    )
    steps = np.sign(np.diff(keys, axis=1)).astype(np.int64)
    if np.any(np.array([8, 4, 2, 1]) @ steps <= 0):  # the first that differs decides
        faults.append("rows are repeated or not in order")
    return faults


def _ranks(column: pa.ChunkedArray, name: Callable[[str], str] = str) -> NDArray[np.int64]:
    """Places of texts in their order; -1 for null."""
    coded = column.combine_chunks().dictionary_encode()
    names = [name(text) for text in coded.dictionary.to_pylist()]
    place = {text: number for number, text in enumerate(sorted(set(names)))}
    ranks = np.array([*(place[text] for text in names), -1], np.int64)
    found: NDArray[np.int64] = ranks[pc.fill_null(coded.indices, len(names)).to_numpy()]
    return found


def implausible(rows: pa.Table) -> list[str]:
    """Name the modules whose temperature or supply voltage can't be what it is called."""
    found = []
    for name, low, high in (("temperature", -90.0, 200.0), ("voltage", 0.0, 1000.0)):
        outside = pc.or_(pc.less(rows[name], low), pc.greater(rows[name], high))
        modules = pc.unique(rows.filter(pc.fill_null(outside, False))["module_num"]).to_pylist()
        found += [f"{name} of {module}" for module in sorted(modules)]
    return found
