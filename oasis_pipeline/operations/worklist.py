"""Rows of the worklist: statuses of a day with the diagnosis of each well's newest card, ranked.

Here: which rows are read, and how they become `clean.worklist`. Not here: any judgement (``decisions.worklist``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

import pyarrow as pa

from oasis_pipeline.decisions.economics import Economics
from oasis_pipeline.decisions.worklist import WellDay, rank_lines, write_line
from oasis_pipeline.operations.days import Days
from oasis_pipeline.schema import table
from oasis_pipeline.schema.model import arrow_schema
from oasis_pipeline.storage.postgres import Warehouse

_DETAILS = """
select s.*, d.best_gearbox_torque_in_lbf / nullif(d.peak_gearbox_torque_in_lbf, 0) as best_share, d.counterbalance_lbf,
    d.best_counterbalance_lbf, d.parted_depth_ft, d.tv_leak_bpd, d.sv_leak_bpd, d.barrel_leak_bpd, d.friction_lbf,
    d.tubing_movement_in, d.gross_displacement_bpd, d.quality, r."RodNum" as worst_taper, w."PumpDepth" as pump_depth_ft,
    p.action as advice, p.reason as advice_reason, p.gain_per_day as advice_gain,
    p.oil_change_bpd as advice_oil_bpd, u.unusable
from clean.wellstatus as s
left join clean.setpoint as p on p."NodeID" = s."NodeID" and p."Date" = s."Date"
left join clean.carddiag as d on d."NodeID" = s."NodeID" and d."Date" = s.last_card_at
left join lateral (
    select "RodNum" from clean.roddiag as r where r."NodeID" = s."NodeID" and r."Date" = s.last_card_at and r.loading_pct is not null
    order by loading_pct desc limit 1
) as r on true
left join lateral (
    select "PumpDepth" from xspoc.welldetails_history as h where h."NodeID" = s."NodeID"
    order by h."ValidFrom" >= s."Date" + interval '1 day', abs(extract(epoch from h."ValidFrom" - s."Date")) limit 1
) as w on true
left join lateral (
    select (array_agg(c.surfcard_fault order by c."Date" desc))[1] as unusable from xspoc.card as c
    where c."NodeID" = s."NodeID" and c."Date" >= date_trunc('day', s.last_card_at) and c."Date" <= s.last_card_at
    having bool_and(c.surfcard_fault is not null and c.pocdowncard_fault is not null)
) as u on true
where s."Date" >= $1::date and s."Date" <= $2::date
order by s."Date", s."NodeID"
"""


def worklist_rows(warehouse: Warehouse, days: Days, economics: Economics) -> pa.Table:
    """Rank the wells of some days.

    Parameters
    ----------
    warehouse : Warehouse
        ``clean.wellstatus`` of these days, and the diagnosis of each well's newest card.
    days : Days
    economics : Economics
        Prices and costs.

    Returns
    -------
    pyarrow.Table
        Rows of ``clean.worklist``.
    """
    schema = arrow_schema(table("clean", "worklist"))
    rows = warehouse.query(_DETAILS, (days.first, days.last)).to_pylist()
    out: dict[str, list[Any]] = {name: [] for name in schema.names}
    for day, of_day in _by_day(rows):
        for rank, line in enumerate(rank_lines([write_line(well_day(row), economics) for row in of_day]), 1):
            lost, overload, gain_oil, gain_value = (
                None if number != number else number
                for number in (line.lost_oil_bpd, line.overload_pct, line.gain_oil_bpd, line.gain_value)
            )
            values = (
                line.well, day, rank, line.score, lost, line.value_at_risk, overload, gain_oil,
                gain_value, line.action, line.reason, json.dumps(line.parts, ensure_ascii=False),
            )  # fmt: skip
            for name, value in zip(schema.names, values, strict=True):
                out[name].append(value)
    return pa.table([pa.array(out[name], schema.field(name).type) for name in schema.names], schema=schema)


def _by_day(rows: list[dict[str, Any]]) -> Iterator[tuple[date, list[dict[str, Any]]]]:
    found: dict[date, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["Date"], []).append(row)
    yield from found.items()


_NUMBERS = {
    "label_pct": "Prob1", "oil_bpd": "oil_bpd", "lost_bpd": "lost_oil_bpd", "lost_lower_bpd": "lost_oil_lower_bpd",
    "lost_upper_bpd": "lost_oil_upper_bpd", "attainable_bpd": "attainable_oil_bpd", "production_bpd": "production_bpd",
    "fillage_pct": "fillage_pct", "intake_psi": "pump_intake_pressure_psi", "run_h": "runtime_h",
    "gearbox_pct": "gearbox_load_pct", "structure_pct": "structural_load_pct", "rods_pct": "max_rod_load_pct",
    "counterbalance_lbf": "counterbalance_lbf", "best_counterbalance_lbf": "best_counterbalance_lbf",
    "parted_depth_ft": "parted_depth_ft", "pump_depth_ft": "pump_depth_ft", "tv_leak_bpd": "tv_leak_bpd",
    "sv_leak_bpd": "sv_leak_bpd", "barrel_leak_bpd": "barrel_leak_bpd", "friction_lbf": "friction_lbf",
    "tubing_movement_in": "tubing_movement_in", "displacement_bpd": "gross_displacement_bpd", "failure_prob_3d": "failure_prob_3d",
    "failure_prob_15d": "failure_prob_15d", "failure_prob_change_7d": "failure_prob_change_7d",
    "test_bpd": "test_production_bpd", "test_age_d": "test_age_d", "water_cut_pct": "water_cut_pct", "advice_oil_bpd": "advice_oil_bpd",
}  # fmt: skip
"""Field of `WellDay` -> column."""

_SENSOR_DOUBTS = {
    "clipped_load": "The card's load is cut off",
    "friction_or_zero": "The card lies lower than its rods put it: zero of the load cell, lighter rods, or more friction",
    "load_offset": "The card's loads are off: zero of the load cell, rod weight or gravity",
    "phase_shift": "The card's position lags its load",
}
"""What the worklist says of a card by a code of its quality; the first one that holds."""


def well_day(row: Mapping[str, Any]) -> WellDay:
    """Make a `WellDay` of a row of ``clean.wellstatus`` with the diagnosis of its newest card."""
    codes = set((row["quality"] or "").split("; "))
    numbers = {
        name: float("nan") if row[column] is None else float(row[column]) for name, column in _NUMBERS.items()
    }
    share = row["best_share"]
    last = row["last_card_at"]
    age = timedelta(hours=row["data_age_h"] or 0.0)
    return WellDay(
        well=row["NodeID"],
        state=row["state"],
        as_of=last + age if last else datetime.combine(row["Date"], time(23, 59)),
        since=row["state_since"],
        failure=row["failure"],
        failure_class=row["failure_class"],
        label=row["Label1"],
        second=row["Label2"],
        label_days=row["label_days"] or 0,
        basis=row["attainable_basis"] or "",
        source=row["production_source"] or "",
        best_gearbox_pct=numbers["gearbox_pct"] * share if share is not None else float("nan"),
        worst_taper=row["worst_taper"],
        no_fluid_load=row["production_source"] == "none_lifted"
        and bool(codes & {"parted_rod", "no_fluid_load"}),
        sensor_doubt=next((words for code, words in _SENSOR_DOUBTS.items() if code in codes), ""),
        half_stroke="open_card" in codes,
        unusable=row["unusable"] or "",
        likely_failure=row["likely_failure"],
        advice=row["advice"] or "none",
        advice_gain=row["advice_gain"] or 0.0,
        advice_reason=row["advice_reason"] or "",
        disagreements=tuple(row["disagreements"] or ()),
        silent_down_share=(row["silent_down_share_pct"] or 0.0) / 100.0,
        **numbers,
    )
