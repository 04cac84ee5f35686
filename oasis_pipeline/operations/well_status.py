"""Rows of the wells' status: the warehouse's tables read into grids of wells and days, and what is decided on them.

Here: which rows are read, and how they become `clean.wellsummary` and `clean.wellstatus`. Not here: any judgement (``decisions``), the
ranked list (``worklist``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oasis_pipeline.decisions import losses
from oasis_pipeline.decisions.production import (
    VALID,
    Evidence,
    Production,
    disagreement_codes,
    reconcile_production,
)
from oasis_pipeline.decisions.states import (
    DAY_MS,
    HOUR_MS,
    NEVER,
    KnownFailure,
    States,
    WellState,
    carry_forward,
    days_in_a_row,
    find_states,
    ordinary_gaps_h,
    silence_outcomes,
)
from oasis_pipeline.operations.days import Days
from oasis_pipeline.schema import table
from oasis_pipeline.schema.model import arrow_schema
from oasis_pipeline.storage.postgres import Warehouse

REACH_DAYS = 120
"""How far back a status looks; a well without a card for longer has left the list, unless a failure of it is open."""

RISK_HOLDS_DAYS = 3
"""So many days without a card the newest probability of a failure holds."""

RISK_REACH_DAYS = 14 + RISK_HOLDS_DAYS
"""How far back probabilities of failure are read: a fortnight's change, from one that held then."""

HORIZONS = (3, 7, 15, 30)

TELLS_CUT = 0.02
"""A test of less than this share of the pump's displacement says nothing of the water cut: next to nothing came up."""

LIFTS = 0.05
"""A well lifts if it makes more than this share of its attainable rate."""

_SUMMARY = """
with cards as (
    select c."NodeID", c."Date"::date as day, c."Date" as moment, c."SPM", c."Runtime", d.fillage_pct,
        d.pump_intake_pressure_psi, d.fluid_level_ft, d.gross_displacement_bpd, d.inferred_production_bpd, d.tv_leak_bpd,
        d.sv_leak_bpd, d.barrel_leak_bpd, d.gearbox_load_pct, d.structural_load_pct, d.max_rod_load_pct, d.quality,
        d.quality ~ '(^|; )(parted_rod|no_fluid_load)(;|$)' as no_load
    from xspoc.card as c
    left join clean.carddiag as d on d."NodeID" = c."NodeID" and d."Date" = c."Date"
    where c."Date" >= $1 and c."Date" < $2
),
days as (
    select "NodeID", day, min(moment) as first_card_at, max(moment) as last_card_at, count(*) as n_cards,
        (array_agg("Runtime" order by moment desc) filter (where "Runtime" is not null))[1] as runtime_h,
        (array_agg(quality order by moment desc) filter (where quality is not null))[1] as quality,
        2 * count(*) filter (where no_load) >= greatest(count(quality), 1) as no_fluid_load,
        percentile_cont(0.5) within group (order by "SPM") as spm,
        percentile_cont(0.5) within group (order by fillage_pct) as fillage_pct,
        percentile_cont(0.5) within group (order by pump_intake_pressure_psi) as pump_intake_pressure_psi,
        percentile_cont(0.5) within group (order by fluid_level_ft) as fluid_level_ft,
        percentile_cont(0.5) within group (order by gross_displacement_bpd) as gross_displacement_bpd,
        percentile_cont(0.5) within group (order by inferred_production_bpd) as inferred_production_bpd,
        percentile_cont(0.5) within group (order by tv_leak_bpd) as tv_leak_bpd,
        percentile_cont(0.5) within group (order by sv_leak_bpd) as sv_leak_bpd,
        percentile_cont(0.5) within group (order by barrel_leak_bpd) as barrel_leak_bpd,
        percentile_cont(0.5) within group (order by gearbox_load_pct) as gearbox_load_pct,
        percentile_cont(0.5) within group (order by structural_load_pct) as structural_load_pct,
        percentile_cont(0.5) within group (order by max_rod_load_pct) as max_rod_load_pct
    from cards group by 1, 2
),
classes as (
    select distinct on ("NodeID", day) "NodeID", day, "Label1", prob as "Prob1", seconds as "Label2"
    from (
        select "NodeID", "Date"::date as day, "Label1", count(*) as n, avg("Prob1" order by "Date") as prob, max("Date") as latest,
            case when 2 * count("Label2") >= count(*) then mode() within group (order by "Label2") end as seconds
        from clean.dynapred where "Date" >= $1 and "Date" < $2 group by 1, 2, 3
    ) as shown
    order by "NodeID", day, n desc, latest desc
),
vendor as (
    select "NodeID", "Date"::date as day, percentile_cont(0.5) within group (order by "GrossProd") as vendor_production_bpd
    from xspoc.xdiagresults where "Date" >= $1 and "Date" < $2 group by 1, 2
),
departures as (
    select "NodeID", "Date"::date as day, max(departure) as card_departure
    from clean.cardanomaly where "Date" >= $1 and "Date" < $2 group by 1, 2
)
select d."NodeID", d.day as "Date", d.first_card_at, d.last_card_at, d.n_cards, d.runtime_h, d.spm, c."Label1", c."Prob1",
    c."Label2", d.fillage_pct, d.pump_intake_pressure_psi, d.fluid_level_ft, d.gross_displacement_bpd, d.inferred_production_bpd,
    d.tv_leak_bpd, d.sv_leak_bpd, d.barrel_leak_bpd, d.gearbox_load_pct, d.structural_load_pct, d.max_rod_load_pct,
    d.no_fluid_load, d.runtime_h is null as runtime_unknown,
    array(select code from unnest(string_to_array(d.quality, '; ')) as code where code like 'no\\_%' and code <> 'no_fluid_load'
        order by code) as missing,
    v.vendor_production_bpd, a.card_departure
from days as d
left join classes as c using ("NodeID", day)
left join vendor as v using ("NodeID", day)
left join departures as a using ("NodeID", day)
order by 1, 2
"""

_TESTS = """
select "NodeID", "TestDate" as moment, "OilRate" as oil, "WaterRate" as water
from xspoc.welltest
where "Approved" and "TestDate" >= $1 and "TestDate" < $2 and ("OilRate" is not null or "WaterRate" is not null)
    and coalesce("OilRate", 0) >= 0 and coalesce("WaterRate", 0) >= 0
order by 1, 2
"""

_FAILURES = """
select "NodeID", "Failure Start Date" as start, "Failure End Date" as stop, known_from, "Failures" as text, failure_class
from analysis.failure_info where "Failure Start Date" < $1 order by 1, 2
"""

_CUTS = """
select "NodeID", "ValidFrom", "WaterCut" from xspoc.welldetails_history
where "ValidFrom" < $1 and ("WaterCut" is null or "WaterCut" between 0 and 100) order by 1, 2
"""

_AS_OF = """
select day::date as "Date", max(moment) as moment from (
    select date_trunc('day', "Date") as day, max("Date") as moment from xspoc.card where "Date" >= $1 and "Date" < $2 group by 1
    union all
    select date_trunc('day', "Date"), max("Date") from xspoc.xdiagresults where "Date" >= $1 and "Date" < $2 group by 1
) as rows group by 1
"""


def summary_rows(warehouse: Warehouse, days: Days) -> pa.Table:
    """Sum up the cards of each well's day.

    Parameters
    ----------
    warehouse : Warehouse
    days : Days

    Returns
    -------
    pyarrow.Table
        Rows of ``clean.wellsummary``, one a well and day with cards.
    """
    return warehouse.query(_SUMMARY, (days.begin, days.end)).cast(arrow_schema(table("clean", "wellsummary")))


@dataclass
class _Grids:
    """Grids of wells and days, and how to fill them from rows."""

    nodes: list[str]
    first: date
    days: int

    def __post_init__(self) -> None:
        self.row = {node: place for place, node in enumerate(self.nodes)}
        self.shape = (len(self.nodes), self.days)

    def places(self, rows: pa.Table, column: str = "Date") -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Well and day number of each row."""
        well = np.array([self.row[node] for node in rows["NodeID"].to_pylist()], dtype=np.intp)
        days = rows[column].cast(pa.date32()).to_numpy().astype("datetime64[D]")
        return well, (days - np.datetime64(self.first, "D")).astype(np.intp)

    def numbers(self, rows: pa.Table, at: tuple[NDArray[np.intp], NDArray[np.intp]], name: str) -> Any:
        """Column of numbers or flags as a grid, NaN where there is no row."""
        grid = np.full(self.shape, np.nan)
        grid[at] = rows[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
        return grid

    def times(self, rows: pa.Table, at: tuple[NDArray[np.intp], NDArray[np.intp]], name: str) -> Any:
        """Column of times as a grid of milliseconds, `NEVER` where there is no row."""
        grid = np.full(self.shape, NEVER, dtype=np.int64)
        values = rows[name].cast(pa.timestamp("ms")).to_numpy(zero_copy_only=False).astype("datetime64[ms]")
        grid[at] = np.where(np.isnat(values), NEVER, values.astype(np.int64))
        return grid

    def objects(self, rows: pa.Table, at: tuple[NDArray[np.intp], NDArray[np.intp]], name: str) -> Any:
        """Column of anything as a grid of objects, None where there is no row."""
        grid = np.full(self.shape, None, dtype=object)
        values = np.empty(rows.num_rows, dtype=object)
        values[:] = rows[name].to_pylist()
        grid[at] = values
        return grid


def _ms(moment: datetime | date) -> int:
    return int(np.datetime64(moment, "ms").astype(np.int64))


def _moment(ms: int) -> datetime | None:
    return None if ms == NEVER else datetime(1970, 1, 1) + timedelta(milliseconds=ms)


def _or_median(cut: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the field's median of a day where the water cut of a well is not known, and 0 where none is."""
    filled = cut.copy()
    for day in range(cut.shape[1]):
        known = cut[np.isfinite(cut[:, day]), day]
        filled[np.isnan(cut[:, day]), day] = np.median(known) if len(known) else 0.0
    return filled


def status_rows(warehouse: Warehouse, days: Days) -> pa.Table:
    """Say what is known of each well at the end of each of some days.

    Parameters
    ----------
    warehouse : Warehouse
        ``clean.wellsummary`` of these days and `REACH_DAYS` before, tests, failures, probabilities, well files.
    days : Days

    Returns
    -------
    pyarrow.Table
        Rows of ``clean.wellstatus``.
    """
    known = _read_known(warehouse, days)
    if known is None:
        return arrow_schema(table("clean", "wellstatus")).empty_table()
    states = find_states(
        as_of_ms=known.as_of,
        first_card_ms=known.first_card,
        last_card_ms=known.newest_card,
        gap_h=known.gap_h,
        run_h=losses.carry_known(known.columns["runtime_h"]),
        failure_start_ms=known.open_start,
    )
    made = _find_losses(known, states, _reconcile(known))
    risks, likely = _carry_risks(known, states, *_risk_grids(known.grids, warehouse, days))
    return _status_table(known, states, made, risks, likely, days)


@dataclass(frozen=True)
class _Known:
    """What the tables tell of a field at the end of each day, as grids of wells and days."""

    grids: _Grids
    as_of: NDArray[np.int64]
    """When each day is looked at; the last millisecond of a day without any row."""
    columns: Mapping[str, NDArray[np.float64]]
    """Of ``clean.wellsummary``."""
    label: NDArray[np.object_]
    second: NDArray[np.object_]
    label_pct: NDArray[np.float64]
    missing: NDArray[np.object_]
    first_card: NDArray[np.int64]
    newest_card: NDArray[np.int64]
    """Up to the end of the day."""
    gap_h: NDArray[np.float64]
    failures: list[dict[str, Any]]
    known_failures: list[KnownFailure]
    run: NDArray[np.int64]
    open_start: NDArray[np.int64]
    open_row: NDArray[np.intp]
    test_bpd: NDArray[np.float64]
    test_void_day: NDArray[np.int64]
    water_cut_pct: NDArray[np.float64]


_SUMMARY_COLUMNS = (
    "runtime_h", "fillage_pct", "pump_intake_pressure_psi", "fluid_level_ft", "gross_displacement_bpd",
    "inferred_production_bpd", "tv_leak_bpd", "sv_leak_bpd", "barrel_leak_bpd", "gearbox_load_pct",
    "structural_load_pct", "max_rod_load_pct", "vendor_production_bpd", "card_departure", "no_fluid_load",
    "runtime_unknown",
)  # fmt: skip


def _read_known(warehouse: Warehouse, days: Days) -> _Known | None:
    """Read the grids of some days and of `REACH_DAYS` before; None where there is no well or no row."""
    first = days.first - timedelta(days=REACH_DAYS)
    count = (days.last - first).days + 1
    begin = datetime.combine(first, time())
    summary = warehouse.query(
        'select * from clean.wellsummary where "Date" >= $1 and "Date" <= $2 order by 1, 2',
        (first, days.last),
    )
    as_of_rows = warehouse.query(_AS_OF, (begin, days.end)).to_pylist()
    failures = warehouse.query(_FAILURES, (days.end,)).to_pylist()
    open_now = {
        row["NodeID"]
        for row in failures
        if row["known_from"] < days.end and (row["stop"] is None or row["stop"] >= days.begin)
    }
    nodes = sorted({*summary["NodeID"].to_pylist(), *open_now})
    if not nodes or not as_of_rows:
        return None
    grids = _Grids(nodes, first, count)
    at = grids.places(summary)
    as_of = np.array([_ms(begin + timedelta(days=day + 1)) - 1 for day in range(count)], dtype=np.int64)
    for row in as_of_rows:
        as_of[(row["Date"] - first).days] = _ms(row["moment"])
    columns = {name: grids.numbers(summary, at, name) for name in _SUMMARY_COLUMNS}
    run, open_start, open_row, known_failures = _failure_grids(grids, failures, as_of)
    file_cut = _file_cut(grids, warehouse, days, as_of)
    test_bpd, test_cut, void_day = _test_grids(grids, warehouse, days, first, known_failures, file_cut)
    displaced = losses.carry_known(columns["gross_displacement_bpd"])
    with np.errstate(invalid="ignore"):
        test_cut[test_bpd < TELLS_CUT * displaced] = np.nan
    first_card = grids.times(summary, at, "first_card_at")
    last_card = grids.times(summary, at, "last_card_at")
    return _Known(
        grids=grids,
        as_of=as_of,
        columns=columns,
        label=grids.objects(summary, at, "Label1"),
        second=grids.objects(summary, at, "Label2"),
        label_pct=grids.numbers(summary, at, "Prob1"),
        missing=grids.objects(summary, at, "missing"),
        first_card=first_card,
        newest_card=carry_forward(last_card),
        gap_h=ordinary_gaps_h(first_card, last_card),
        failures=failures,
        known_failures=known_failures,
        run=run,
        open_start=open_start,
        open_row=open_row,
        test_bpd=test_bpd,
        test_void_day=void_day,
        water_cut_pct=_water_cut(file_cut, test_cut, void_day),
    )


def _reconcile(known: _Known) -> Production:
    """Make one rate out of card, tests and vendor."""
    columns = known.columns
    leaks = [columns["tv_leak_bpd"], columns["sv_leak_bpd"], columns["barrel_leak_bpd"]]
    return reconcile_production(
        Evidence(
            inferred_bpd=columns["inferred_production_bpd"],
            leak_seen_bpd=np.fmax.reduce(leaks),
            displacement_bpd=columns["gross_displacement_bpd"],
            fillage_pct=columns["fillage_pct"],
            runtime_assumed=columns["runtime_unknown"] == 1.0,
            no_fluid_load=columns["no_fluid_load"] == 1.0,
            label=known.label,
            label_pct=known.label_pct,
            test_bpd=known.test_bpd,
            test_void_day=known.test_void_day,
            vendor_bpd=columns["vendor_production_bpd"],
            run=known.run,
        )
    )


@dataclass(frozen=True)
class _Losses:
    """Rates of liquid, and what of the oil is lost."""

    liquid: Production
    stopped: NDArray[np.bool_]
    attainable_oil_bpd: NDArray[np.float64]
    attainable_basis: NDArray[np.str_]
    oil_bpd: NDArray[np.float64]
    lost_bpd: tuple[NDArray[np.float64], ...]
    """Lost oil, and its interval."""


def _find_losses(known: _Known, states: States, found: Production) -> _Losses:
    """Hold what each well makes against what it could make."""
    columns = known.columns
    share = 1.0 - np.clip(_or_median(known.water_cut_pct), 0.0, 100.0) / 100.0
    pumping = states.state == WellState.PUMPING
    stopped = (states.state == WellState.DOWN) | (states.state == WellState.IDLE)
    today = np.isfinite(found.bpd) & (known.first_card != NEVER)
    trusted = np.where(pumping & today, found.bpd, np.nan)
    with np.errstate(invalid="ignore"):
        sound = pumping & (known.label == "Full Pump") & (columns["fillage_pct"] > 90.0)
    attainable = losses.attainable_rate(
        trusted, known.run, columns["gross_displacement_bpd"], sound, found.adjustment
    )
    smooth = losses.smooth_recent(trusted)
    with np.errstate(invalid="ignore"):
        lifting, back = (rate > LIFTS * attainable.bpd for rate in (trusted, losses.carry_known(trusted)))
    # a well that is back, by its newest rate, has not lost what it lacked while nothing came up
    smooth = np.where(back, losses.smooth_recent(np.where(lifting, trusted, np.nan)), smooth)
    with np.errstate(invalid="ignore", divide="ignore"):
        below, above = smooth * (found.lower_bpd / found.bpd), smooth * (found.upper_bpd / found.bpd)
    none = today & (found.bpd == 0.0)
    made = np.where(none, 0.0, smooth)
    low, high = np.where(none, 0.0, below), np.where(none, found.upper_bpd, above)
    return _Losses(
        found,
        stopped,
        attainable.bpd * share,
        attainable.basis,
        np.where(stopped, 0.0, made * share),
        tuple(liquid * share for liquid in losses.lost_rate(attainable, made, low, high, stopped)),
    )


def _status_table(
    known: _Known,
    states: States,
    made: _Losses,
    probabilities: list[NDArray[np.float64]],
    likely: NDArray[np.object_],
    days: Days,
) -> pa.Table:
    """Put the grids of some days into rows, day by day, for wells that are on the list."""
    schema = arrow_schema(table("clean", "wellstatus"))
    age_h = np.where(known.newest_card != NEVER, (known.as_of - known.newest_card) / HOUR_MS, np.nan)
    listed = (states.state != "") & ~((known.open_start == NEVER) & (age_h > 24.0 * REACH_DAYS))
    # a day without a row of any well is no day of this field
    listed[:, known.as_of % DAY_MS == DAY_MS - 1] = False
    listed[:, : (days.first - known.grids.first).days] = False
    day, well = np.nonzero(listed.T)
    stopped = made.stopped[well, day]
    state = states.state[well, day]

    def numbers(grid: NDArray[np.float64], carry: bool = False) -> pa.Array:
        values = (losses.carry_known(grid) if carry else grid)[well, day].astype(np.float64)
        return pa.array(np.where(np.isfinite(values), values, np.nan), from_pandas=True)

    def texts(values: NDArray[Any]) -> pa.Array:
        return pa.array([str(value) or None for value in values], pa.string())

    def times(grid: NDArray[np.int64]) -> pa.Array:
        values = grid[well, day]
        return pa.array(values, mask=values == NEVER).cast(pa.timestamp("ms"))

    def liquid(grid: NDArray[np.float64]) -> pa.Array:
        return numbers(np.where(made.stopped, 0.0, grid))

    here = known.first_card != NEVER
    failures = [
        known.failures[row] if yes else {}
        for row, yes in zip(known.open_row[well, day], state == WellState.DOWN, strict=True)
    ]
    missing = [
        [*(codes or ()), *(["no_test"] if untested else ()), *(["no_water_cut"] if uncut else ())]
        for codes, untested, uncut in zip(
            _carry_objects(known.missing, where=here)[well, day],
            ~np.isfinite(made.liquid.test_age_d[well, day]),
            ~np.isfinite(known.water_cut_pct[well, day]),
            strict=True,
        )
    ]
    risks = dict(zip(HORIZONS, probabilities, strict=True))
    label_days = days_in_a_row(known.label)[well, day]
    columns: dict[str, Any] = {
        "NodeID": [known.grids.nodes[place] for place in well],
        "Date": np.datetime64(known.grids.first, "D") + day,
        "state": texts(state),
        "state_since": times(states.since_ms),
        "failure": [row.get("text") for row in failures],
        "failure_class": [row.get("failure_class") for row in failures],
        "last_card_at": times(known.newest_card),
        "data_age_h": numbers(age_h),
        "ordinary_gap_h": numbers(known.gap_h),
        "Label1": _carry_objects(known.label)[well, day],
        "Prob1": numbers(known.label_pct, carry=True),
        "Label2": _carry_objects(known.second, where=here)[well, day],
        "label_days": pa.array(label_days, mask=label_days == 0),
        **{name: numbers(known.columns[name], carry=True) for name in _CARRIED},
        "production_bpd": liquid(made.liquid.bpd),
        "production_lower_bpd": liquid(made.liquid.lower_bpd),
        "production_upper_bpd": liquid(made.liquid.upper_bpd),
        "production_source": texts(np.where(stopped, state, made.liquid.source[well, day])),
        **{name: numbers(known.columns[name]) for name in _OF_THE_DAY},
        "test_production_bpd": numbers(made.liquid.test_bpd),
        "test_age_d": numbers(made.liquid.test_age_d),
        "water_cut_pct": numbers(known.water_cut_pct),
        "oil_bpd": numbers(made.oil_bpd),
        "attainable_oil_bpd": numbers(made.attainable_oil_bpd),
        "attainable_basis": texts(made.attainable_basis[well, day]),
        **{
            name: numbers(grid)
            for name, grid in zip(
                ("lost_oil_bpd", "lost_oil_lower_bpd", "lost_oil_upper_bpd"), made.lost_bpd, strict=True
            )
        },
        **{f"failure_prob_{horizon}d": numbers(grid) for horizon, grid in risks.items()},
        **{f"failure_prob_change_{back}d": numbers(_change(risks[15], back)) for back in (7, 14)},
        "likely_failure": likely[well, day],
        "silent_down_share_pct": 100.0
        * silence_outcomes(states.state, known.as_of, known.known_failures)[day],
        "disagreements": [disagreement_codes(int(flags)) for flags in made.liquid.disagreements[well, day]],
        "missing": missing,
    }
    arrays = [
        value.cast(field.type)
        if isinstance(value := columns[field.name], pa.Array)
        else pa.array(value, field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


_CARRIED = (
    "runtime_h", "fillage_pct", "pump_intake_pressure_psi", "fluid_level_ft", "gearbox_load_pct", "structural_load_pct",
    "max_rod_load_pct",
)  # fmt: skip
"""Columns of the newest card, which hold on days without one."""

_OF_THE_DAY = ("inferred_production_bpd", "vendor_production_bpd", "card_departure")


def _change(grid: NDArray[np.float64], back: int) -> NDArray[np.float64]:
    """Subtract the value of some days before; NaN where either is not known."""
    before = np.full(grid.shape, np.nan)
    before[:, back:] = grid[:, :-back]
    return np.asarray(grid - before)


def _carry_objects(grid: NDArray[np.object_], where: NDArray[np.bool_] | None = None) -> NDArray[np.object_]:
    """Carry the newest object of each row forward; by default those that are not None."""
    if where is None:
        where = np.array([[value is not None for value in row] for row in grid], dtype=bool).reshape(
            grid.shape
        )
    place = np.maximum.accumulate(np.where(where, np.arange(grid.shape[1]), -1), axis=1)
    taken = np.take_along_axis(grid, np.maximum(place, 0), axis=1)
    taken[place < 0] = None
    return taken


def _failure_grids(
    grids: _Grids, failures: list[dict[str, Any]], as_of: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.intp], list[KnownFailure]]:
    """Workovers before each day, start of the open failure, its place, and every failure."""
    run = np.zeros(grids.shape, dtype=np.int64)
    start_ms = np.full(grids.shape, NEVER, dtype=np.int64)
    place = np.full(grids.shape, -1, dtype=np.intp)
    every: list[KnownFailure] = []
    for number, row in enumerate(failures):
        if row["NodeID"] not in grids.row:
            continue
        well = grids.row[row["NodeID"]]
        start, known = _ms(row["start"]), _ms(row["known_from"])
        stop = _ms(row["stop"]) if row["stop"] is not None else np.iinfo(np.int64).max
        every.append(KnownFailure(well, start, stop, known))
        run[well] += (as_of >= stop) & (as_of >= known)
        is_open = (as_of >= start) & (as_of < stop) & (as_of >= known)
        start_ms[well, is_open], place[well, is_open] = start, number
    return run, start_ms, place, every


def _test_grids(
    grids: _Grids,
    warehouse: Warehouse,
    days: Days,
    first: date,
    failures: list[KnownFailure],
    file_cut: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Approved tests by day (the last one of a day), their water cut, and from which day on a test is void.

    A test of oil or water alone tells no water cut; its liquid follows from the cut that was known, of the test before or the well file.
    """
    liquid, cut = np.full(grids.shape, np.nan), np.full(grids.shape, np.nan)
    void_day = np.full(grids.shape, VALID, dtype=np.int64)
    by_well: dict[int, list[KnownFailure]] = {}
    for failure in failures:
        by_well.setdefault(failure.well, []).append(failure)
    last_cut: dict[int, float] = {}
    for row in warehouse.query(_TESTS, (datetime.combine(first, time()), days.end)).to_pylist():
        if row["NodeID"] not in grids.row:
            continue
        well, day = grids.row[row["NodeID"]], (row["moment"].date() - first).days
        oil, water = row["oil"], row["water"]
        if oil is None or water is None:
            known = last_cut.get(well, file_cut[well, day])
            share = (100.0 - known if water is None else known) / 100.0
            rate = oil if water is None else water
            liquid[well, day], cut[well, day] = rate / share if share > 0.0 else rate, np.nan
        else:
            liquid[well, day] = oil + water
            cut[well, day] = 100.0 * water / (oil + water) if oil + water > 0.0 else np.nan
            last_cut[well] = cut[well, day]
        void_day[well, day] = VALID
        moment = _ms(row["moment"])
        for failure in by_well.get(well, []):
            if failure.start_ms <= moment < failure.stop_ms:
                void_day[well, day] = max((failure.known_ms - _ms(first)) // DAY_MS, 0)
    return liquid, cut, void_day


def _file_cut(
    grids: _Grids, warehouse: Warehouse, days: Days, as_of: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Water cut by the well file as it was."""
    cut = np.full(grids.shape, np.nan)
    seen: set[int] = set()
    for row in warehouse.query(_CUTS, (days.end,)).to_pylist():
        if row["NodeID"] not in grids.row or row["WaterCut"] is None:
            continue
        well = grids.row[row["NodeID"]]
        # the first state of a well holds for all earlier times
        cut[well, (as_of >= _ms(row["ValidFrom"])) if well in seen else slice(None)] = row["WaterCut"]
        seen.add(well)
    return cut


def _water_cut(
    file_cut: NDArray[np.float64], test_cut: NDArray[np.float64], void_day: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Water cut by the newest test before the day that is not known to be void, else by the well file as it was."""
    cut = file_cut.copy()
    for well, day in np.argwhere(np.isfinite(test_cut)):
        cut[well, day + 1 : max(void_day[well, day], day + 1)] = test_cut[well, day]
    return cut


def _risk_grids(
    grids: _Grids, warehouse: Warehouse, days: Days
) -> tuple[list[NDArray[np.float64]], NDArray[np.object_]]:
    """Probability of a failure of each horizon by day, and the likeliest class of the one of 15 days."""
    begin = datetime.combine(max(days.first - timedelta(days=RISK_REACH_DAYS), grids.first), time())
    rows = warehouse.query(
        'select * from clean.xpred where "Date" >= $1 and "Date" < $2 order by "NodeID", "Date"',
        (begin, days.end),
    )
    likely = np.full(grids.shape, None, dtype=object)
    found = []
    keep = np.isin(rows["NodeID"].to_numpy(zero_copy_only=False), grids.nodes)
    rows = rows.filter(pa.array(keep))
    horizon = rows["HorizonDays"].to_numpy()
    for days_ahead in HORIZONS:
        part = rows.filter(pa.array(horizon == days_ahead))
        grid = np.full(grids.shape, np.nan)
        at = grids.places(part)
        grid[at] = part["FailureProb"].to_numpy(zero_copy_only=False)
        if days_ahead == 15 and part.num_rows:
            names = [name for name in part.column_names if name.startswith("Prob ") and name != "Prob Normal"]
            shares = np.stack([np.nan_to_num(part[name].to_numpy(zero_copy_only=False)) for name in names])
            likely[at] = np.array([name.removeprefix("Prob ") for name in names], dtype=object)[
                shares.argmax(axis=0)
            ]
        found.append(grid)
    return found, likely


def _carry_risks(
    known: _Known, states: States, risks: list[NDArray[np.float64]], likely: NDArray[np.object_]
) -> tuple[list[NDArray[np.float64]], NDArray[np.object_]]:
    """Let the newest probabilities hold on days without a card (`RISK_HOLDS_DAYS`) while the well pumps or is idle, until a workover.

    Of a silent well they are not carried, its silence says more; a well that is down has failed already.
    """
    days = np.arange(known.run.shape[1])
    place = np.maximum.accumulate(np.where(np.isfinite(risks[HORIZONS.index(15)]), days, -1), axis=1)
    source = np.maximum(place, 0)
    same_run = np.take_along_axis(known.run, source, axis=1) == known.run
    holds = (
        (place >= 0)
        & (days - place <= RISK_HOLDS_DAYS)
        & same_run
        & np.isin(states.state, [WellState.PUMPING, WellState.IDLE])
    )
    holds |= (place == days) & (states.state != WellState.DOWN)
    carried = [np.where(holds, np.take_along_axis(grid, source, axis=1), np.nan) for grid in risks]
    named = np.take_along_axis(likely, source, axis=1)
    named[~holds] = None
    return carried, named
