"""Rows of ``clean.setpoint``: status, newest good cards and earlier set points of wells as the advice takes them.

Here: which rows are read, and how they become `Points` and `Past`. Not here: any judgement (``decisions``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oasis_pipeline.decisions.economics import Economics
from oasis_pipeline.decisions.inflow import Course, strokes_course
from oasis_pipeline.decisions.possible_wells import Past, Points
from oasis_pipeline.decisions.setpoint_reasons import (
    MEND_FIRST,
    NO_FASTER,
    REFUSED_TEXTS,
    STROKES_SAY,
    say_missing,
    say_setpoint,
)
from oasis_pipeline.decisions.setpoints import Curve, Interval, Setpoints, advise_setpoints, lacks
from oasis_pipeline.decisions.well_response import QUANTITIES, STATES, Responses, can_respond
from oasis_pipeline.operations.days import Days
from oasis_pipeline.operations.wells import EquipmentStates
from oasis_pipeline.schema import table
from oasis_pipeline.schema.model import arrow_schema
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

SETPOINT_VERSION = "5"
"""Raise it when the same inputs come out otherwise, also when the predictive model changes."""

CARD_DAYS, NEWEST_DAYS = 8, 5
"""Days back that good cards, and a production, are looked for, and how many of these days are used, the newest: one odd day advises nothing."""

PAST_DAYS = 120
"""How far back earlier set points count."""

PAST_POINTS, DAYS_OF_A_POINT = 6, 14
"""Earlier set points that are used, and the newest days of each."""

OTHER_SPEED, OTHER_RUN_TIME = 0.04, 0.10
"""A speed or run time that differs by more (of the logarithm) is another set point."""

LIKELY_PCT = 50.0

RESPONSES_PATH = "cache/well_response.parquet"
RESPONSES_KEPT = 200_000
"""Where the tables of wells are kept, and how many at most, one of each speed: they take longer than all the rest and hang on nothing but the
equipment."""

_RATES = ("production_bpd", "production_lower_bpd", "production_upper_bpd", "inferred_production_bpd")
ROWS_AT_ONCE = 2_000

_STATUS = """
select "NodeID", "Date", state, last_card_at, runtime_h, "Label1", "Prob1", "Label2", production_bpd, production_lower_bpd,
    production_upper_bpd, inferred_production_bpd, water_cut_pct
from clean.wellstatus where "Date" >= $1 and "Date" <= $2 order by "NodeID", "Date"
"""

_MEDIANS = (
    "fillage_pct", "fillage_spread_pct", "pump_intake_pressure_psi", "pump_intake_pressure_lower_psi",
    "pump_intake_pressure_upper_psi", "pprl_lbf", "mprl_lbf", "polished_rod_power_hp", "peak_gearbox_torque_in_lbf",
    "gearbox_load_pct", "structural_load_pct", "max_rod_load_pct", "balance_damping",
)  # fmt: skip

_BAD = tuple(REFUSED_TEXTS)
"""Codes of cards whose loads or shape say nothing of the well."""

_CARDS = f"""
with cards as (
    select c."NodeID", c."Date"::date as day, c."SPM", c."StrokeLength", {", ".join(f"d.{name}" for name in _MEDIANS)},
        first_value(c."SPM") over (partition by c."NodeID", c."Date"::date order by c."Date" desc) as newest
    from clean.carddiag as d join xspoc.card as c on c."NodeID" = d."NodeID" and c."Date" = d."Date"
    where d."Date" >= $1 and d."Date" < $2 and d.pump_card_source = 'computed' and c."SPM" > 0
        and d.quality !~ '(^|; )({"|".join(_BAD)})(;|$)'
)
select "NodeID", day, percentile_cont(0.5) within group (order by "SPM") as spm,
    percentile_cont(0.5) within group (order by "StrokeLength") as stroke_in,
    {", ".join(f"percentile_cont(0.5) within group (order by {name}) as {name}" for name in _MEDIANS)}
from cards where abs("SPM" / newest - 1) <= {OTHER_SPEED} group by 1, 2 order by 1, 2
"""

_REFUSED = f"""
select distinct on ("NodeID", day) "NodeID", "Date"::date as day, quality from clean.carddiag
where "Date" >= $1 and "Date" < $2 and quality ~ '(^|; )({"|".join(_BAD)})(;|$)' order by "NodeID", day, "Date" desc
"""

_BURSTS = """
select "NodeID", day, moment, fillage_pct from (
    select "NodeID", "Date"::date as day, extract(epoch from "Date") as moment, fillage_pct,
        "Date" - lag("Date") over cards as before, lead("Date") over cards - "Date" as after
    from clean.carddiag where "Date" >= $1 and "Date" < $2 and fillage_pct is not null
    window cards as (partition by "NodeID" order by "Date")
) as spaced where before <= interval '2 minutes' or after <= interval '2 minutes' order by 1, 3
"""

_PAST = """
select "NodeID", "Date", spm, runtime_h, fillage_pct, pump_intake_pressure_psi, inferred_production_bpd
from clean.wellsummary where "Date" >= $1 and "Date" <= $2 order by "NodeID", "Date"
"""

_WORKOVERS = """
select "NodeID", "Failure End Date" as stop, known_from from analysis.failure_info
where "Failure End Date" is not null and "Failure End Date" < $1 order by 1, 2
"""


def read_responses(store: ObjectStore) -> Responses:
    """Read the tables of wells that earlier runs made; without any where there are none that can be used."""
    try:
        rows = store.read_table(RESPONSES_PATH) if store.exists(RESPONSES_PATH) else None
    except (StorageError, pa.ArrowException, OSError):
        rows = None
    if rows is None or (rows.schema.metadata or {}).get(b"version") != SETPOINT_VERSION.encode():
        return Responses()
    values = rows["values"].combine_chunks().flatten().to_numpy().reshape(-1, len(STATES), len(QUANTITIES))
    names = zip(rows["equipment"].to_pylist(), rows["stroke_in"].to_pylist(), strict=True)
    return Responses(dict(zip(zip(names, rows["node"].to_pylist(), strict=True), values, strict=True)))


def write_responses(store: ObjectStore, responses: Responses) -> None:
    """Keep the tables of wells for later runs, those that were asked for last; nothing where no table is new."""
    if not responses.made:
        return
    kept = list(responses.kept.items())[-RESPONSES_KEPT:]
    table = pa.table(
        {
            "equipment": pa.array([name[0] for (name, _), _ in kept], pa.string()),
            "stroke_in": pa.array([name[1] for (name, _), _ in kept], pa.float64()),
            "node": pa.array([node for (_, node), _ in kept], pa.int32()),
            "values": pa.FixedSizeListArray.from_arrays(
                pa.array(np.concatenate([values.ravel() for _, values in kept])),
                len(STATES) * len(QUANTITIES),
            ),
        }
    )
    store.write_table(RESPONSES_PATH, table.replace_schema_metadata({"version": SETPOINT_VERSION}))


def _equipment_key(part: Any) -> str:
    """Digest of everything that a well, or a part of it, is made of."""
    digest = hashlib.sha256()
    for own in fields(part):
        value = getattr(part, own.name)
        if is_dataclass(value):
            digest.update(_equipment_key(value).encode())
        elif isinstance(value, np.ndarray):
            digest.update(value.tobytes())
        else:
            digest.update(repr(value).encode())
        digest.update(b";")
    return digest.hexdigest()


def setpoint_rows(
    warehouse: Warehouse, days: Days, economics: Economics, responses: Responses | None = None
) -> pa.Table:
    """Advise set points to the wells that pumped on some days.

    Parameters
    ----------
    warehouse : Warehouse
        ``clean.wellstatus``, the diagnosis of cards, ``clean.wellsummary``, equipment and workovers.
    days : Days
    economics : Economics
        Prices.
    responses : Responses, optional
        Tables that are at hand; what is made is added.

    Returns
    -------
    pyarrow.Table
        Rows of ``clean.setpoint``, one a well and day on which it pumps.
    """
    schema = arrow_schema(table("clean", "setpoint"))
    begin = days.first - timedelta(days=CARD_DAYS - 1)
    status = warehouse.query(_STATUS, (begin, days.last)).to_pylist()
    wanted = [row for row in status if row["state"] == "pumping" and row["Date"] >= days.first]
    if not wanted:
        return schema.empty_table()
    cards = _by_well(warehouse.query(_CARDS, (datetime.combine(begin, time()), days.end)).to_pylist(), "day")
    refused = _by_well(
        warehouse.query(_REFUSED, (datetime.combine(begin, time()), days.end)).to_pylist(), "day"
    )
    bursts: dict[tuple[str, date], list[tuple[float, float]]] = {}
    for row in warehouse.query(_BURSTS, (days.begin, days.end)).to_pylist():
        bursts.setdefault((row["NodeID"], row["day"]), []).append((float(row["moment"]), row["fillage_pct"]))
    past = _by_well(
        warehouse.query(_PAST, (days.first - timedelta(days=PAST_DAYS), days.last)).to_pylist(), "Date"
    )
    workovers = _by_well(warehouse.query(_WORKOVERS, (days.end,)).to_pylist(), "stop")
    by_well = _by_well(status, "Date")
    equipment = EquipmentStates.read(
        warehouse, sorted({row["NodeID"] for row in wanted}), datetime.combine(begin, time()), days.end
    )
    responses = Responses() if responses is None else responses
    keys: dict[int, str] = {}
    tables = []
    for start in range(0, len(wanted), ROWS_AT_ONCE):
        part = wanted[start : start + ROWS_AT_ONCE]
        known = []
        for row in part:
            node, day = row["NodeID"], row["Date"]
            run = _run_begin(workovers.get(node, []), day)
            card = _newest(cards.get(node, []), "day", day, run, ("spm", "stroke_in", *_MEDIANS))
            rate = _newest(by_well[node], "Date", day, run, _RATES)
            found = _earlier(past.get(node, []), card, row, day, run)
            course = strokes_course(*np.array(bursts.get((node, day), []), dtype=np.float64).reshape(-1, 2).T)
            doubts = "" if card else _newest_doubts(refused.get(node, []), day)
            known.append((row, card, rate, found, course, doubts))
        tables.append(_advised(known, equipment, responses, keys, economics, schema))
    return pa.concat_tables(tables)


def _by_well(rows: list[dict[str, Any]], order: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row[order]):
        found.setdefault(row["NodeID"], []).append(row)
    return found


def _newest(
    rows: Sequence[dict[str, Any]], column: str, day: date, begin: date, wanted: Sequence[str]
) -> dict[str, float] | None:
    """Medians of the newest days of this run that are known by the end of a day; None without any.

    The first of `wanted` has to be there, and of speeds only those like the newest count.
    """
    chosen: list[dict[str, Any]] = []
    for row in reversed(rows):
        if row[column] > day or row[wanted[0]] is None:
            continue
        if (day - row[column]).days >= CARD_DAYS or row[column] <= begin or len(chosen) == NEWEST_DAYS:
            break
        if chosen and "spm" in wanted and abs(row["spm"] / chosen[0]["spm"] - 1.0) > OTHER_SPEED:
            break
        chosen.append(row)
    if not chosen:
        return None
    return {name: _median([_number(row[name]) for row in chosen]) for name in wanted}


def _newest_doubts(rows: Sequence[dict[str, Any]], day: date) -> str:
    """Quality codes of the newest card that could not be used."""
    return next((row["quality"] for row in reversed(rows) if 0 <= (day - row["day"]).days < CARD_DAYS), "")


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return median(known) if known else float("nan")


def _run_begin(workovers: Sequence[dict[str, Any]], day: date) -> date:
    """Day of the last workover that was known by the end of a day."""
    ends = [row["stop"].date() for row in workovers if row["known_from"].date() <= day]
    return max((end for end in ends if end <= day), default=date.min)


def _earlier(
    rows: Sequence[dict[str, Any]],
    card: dict[str, float] | None,
    status: dict[str, Any],
    day: date,
    begin: date,
) -> list[tuple[float, ...]]:
    """Earlier set points of a well in this run: medians of speed, run time, fillage, intake pressure and inferred rate."""
    if card is None:
        return []
    spm, run_h = card["spm"], status["runtime_h"] or 24.0
    groups: dict[tuple[int, int], list[tuple[float, ...]]] = {}
    for row in reversed(rows):
        if not begin < row["Date"] < day or (day - row["Date"]).days > PAST_DAYS:
            continue
        if not row["spm"] or row["runtime_h"] == 0.0:
            continue
        speed, time_share = np.log(row["spm"] / spm), np.log((row["runtime_h"] or 24.0) / run_h)
        if abs(speed) <= OTHER_SPEED and abs(time_share) <= OTHER_RUN_TIME:
            continue
        key = (round(speed / (2.0 * OTHER_SPEED)), round(time_share / (2.0 * OTHER_RUN_TIME)))
        group = groups.setdefault(key, [])
        if len(group) < DAYS_OF_A_POINT:
            group.append(
                (
                    row["spm"],
                    row["runtime_h"] or 24.0,
                    _number(row["fillage_pct"]),
                    _number(row["pump_intake_pressure_psi"]),
                    _number(row["inferred_production_bpd"]),
                )
            )
    return [
        tuple(_median(values) for values in zip(*group, strict=True))
        for group in list(groups.values())[:PAST_POINTS]
    ]


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _advised(
    known: list[
        tuple[dict[str, Any], dict[str, float] | None, dict[str, float] | None, list[Any], Course, str]
    ],
    equipment: EquipmentStates,
    responses: Responses,
    keys: dict[int, str],
    economics: Economics,
    schema: pa.Schema,
) -> pa.Table:
    """Advise some well days and make their rows."""
    places = [equipment.index(row["NodeID"], row["last_card_at"] or datetime.max) for row, *_ in known]
    of_equipment = can_respond(equipment.columns())
    lacking = [
        [*of_equipment[place], *([] if card else ["no_good_card"])]
        for place, (_, card, *_) in zip(places, known, strict=True)
    ]
    points = _points(known, [equipment.found[place].well.casing_pressure_psi for place in places])
    for row, codes in enumerate(lacks(points)):
        if not lacking[row]:
            lacking[row] = codes
    mended = [
        row["Label1"] if row["Label1"] in MEND_FIRST and _number(row["Prob1"]) >= LIKELY_PCT else None
        for row, *_ in known
    ]
    able = np.array([not codes and not label for codes, label in zip(lacking, mended, strict=True)])
    rows = np.flatnonzero(able)
    found: Setpoints | None = None
    if len(rows):
        for place in {places[able_row] for able_row in rows} - keys.keys():
            keys[place] = _equipment_key(equipment.found[place].well)
        response = responses.of(
            [keys[places[row]] for row in rows],
            [equipment.found[places[row]].well for row in rows],
            points.stroke_in[rows],
            points.spm[rows],
        )
        past = Past(*(values[rows] for values in _past([entry[3] for entry in known])))
        found = advise_setpoints(points.take(rows), response, past, economics)
    of_row = {int(row): place for place, row in enumerate(rows)}
    chosen = points.take(rows)
    out: dict[str, list[Any]] = {name: [] for name in schema.names}
    for i, (status, *_, course, doubts) in enumerate(known):
        entry: dict[str, Any] = {
            "NodeID": status["NodeID"],
            "Date": status["Date"],
            "action": "none",
            "spm": _finite(points.spm[i]),
            "stroke_in": _finite(points.stroke_in[i]),
            "idle_min": _idle(points.run_h[i]),
            "strokes_say": STROKES_SAY[course],
            "missing": lacking[i],
            "reason": say_missing(lacking[i], doubts.split("; "))
            if lacking[i]
            else f"No advice: mend the well first (classified as {mended[i]}).",
        }
        entry |= {f"advised_{name}": entry[name] for name in ("spm", "stroke_in", "idle_min")}
        if found is not None and i in of_row:
            entry |= _found(found, chosen, of_row[i], economics.currency)
            if status["runtime_h"] is None:
                entry["missing"] = [*entry["missing"], "no_runtime"]
        for name in schema.names:
            out[name].append(entry.get(name))
    return pa.table([pa.array(out[name], schema.field(name).type) for name in schema.names], schema=schema)


def _finite(value: float) -> float | None:
    """Nine digits: the last ones of a sum hang on which wells were computed together, and a day made again must come out the same."""
    return float(f"{value:.9g}") if np.isfinite(value) else None


def _idle(run_h: float) -> float | None:
    return _finite(round(60.0 * (24.0 - min(run_h, 24.0)), 1)) if np.isfinite(run_h) else None


def _found(found: Setpoints, points: Points, row: int, currency: str) -> dict[str, Any]:
    """Columns of what was found for a well."""
    entry: dict[str, Any] = {
        "action": str(found.action[row]),
        "advised_spm": _finite(found.spm[row]),
        "advised_idle_min": _idle(found.run_h[row]),
        "energy_kwh_per_bbl": _finite(found.energy_kwh_per_bbl[row]),
        "emptied_pct": _finite(found.off_pct[row]),
        "binding_limit": str(found.binding[row]) or None,
        "missing": [f"no_{name}_rating" for name in found.not_judged[row]],
        "reason": say_setpoint(found, points, row, currency),
        "curve": json.dumps(_curve(found.curve, row)),
    }
    if entry["action"] == "none":
        return entry
    changes: dict[str, Interval] = {
        "oil_change_bpd": found.oil_bpd,
        "gearbox_load_change_pct": found.gearbox_pct,
        "structural_load_change_pct": found.structure_pct,
        "max_rod_load_change_pct": found.rods_pct,
        "energy_change_kwh_d": found.energy_kwh_d,
        "gain_per_day": found.gain_per_day,
    }
    for name, interval in changes.items():
        entry[name] = _finite(interval.mean[row])
        entry[f"{name}_lower"], entry[f"{name}_upper"] = (
            _finite(interval.lower[row]),
            _finite(interval.upper[row]),
        )
    return entry | {
        "advised_energy_kwh_per_bbl": _finite(found.advised_energy_kwh_per_bbl[row]),
        "advised_fillage_pct": _finite(found.fillage_pct[row]),
        "advised_intake_pressure_psi": _finite(found.intake_psi[row]),
        "confidence": _finite(found.confidence_pct[row]),
    }


def _curve(curve: Curve, row: int) -> dict[str, dict[str, list[Any]]]:
    """What was tried for a well: speeds at the present run time, and idle times at the present speed."""
    spm, run_h = curve.spm[row], curve.run_h[row]
    values = {
        "spm": spm,
        "idle_min": 60.0 * (24.0 - run_h),
        "oil_change_bpd": curve.oil_change_bpd.mean[row],
        "oil_change_bpd_lower": curve.oil_change_bpd.lower[row],
        "oil_change_bpd_upper": curve.oil_change_bpd.upper[row],
    } | {f"{name}_pct": load[row] for name, load in curve.load_pct.items()}
    found = {}
    for name, axis, other in (("speed", spm, run_h), ("idle_time", run_h, spm)):
        places = np.flatnonzero(other == other[0])
        places = places[np.unique(axis[places], return_index=True)[1]]
        found[name] = {
            key: [float(f"{value:.5g}") if np.isfinite(value) else None for value in column[places]]
            for key, column in values.items()
        } | {"allowed": curve.allowed[row, places].tolist()}
    return found


def _points(known: list[tuple[Any, ...]], casing: list[float]) -> Points:
    def status(name: str) -> NDArray[np.float64]:
        return np.array([_number(row[name]) for row, *_ in known])

    def card(name: str) -> NDArray[np.float64]:
        return np.array([_number(found[name]) if found else np.nan for _, found, *_ in known])

    def rate(name: str) -> NDArray[np.float64]:
        return np.array([_number(found[name]) if found else np.nan for _, _, found, *_ in known])

    def of_class(name: str) -> NDArray[np.float64]:
        share = {"Label1": 1.0, "Label2": 0.5}
        return np.array(
            [
                max(
                    (_number(row["Prob1"]) * part for column, part in share.items() if row[column] == name),
                    default=0.0,
                )
                for row, *_ in known
            ]
        )

    run_h = status("runtime_h")
    return Points(
        spm=card("spm"),
        stroke_in=card("stroke_in"),
        run_h=np.where(np.isfinite(run_h), run_h, 24.0),
        fillage_pct=card("fillage_pct"),
        fillage_spread_pct=card("fillage_spread_pct"),
        intake_psi=card("pump_intake_pressure_psi"),
        intake_lower_psi=card("pump_intake_pressure_lower_psi"),
        intake_upper_psi=card("pump_intake_pressure_upper_psi"),
        production_bpd=rate("production_bpd"),
        production_lower_bpd=rate("production_lower_bpd"),
        production_upper_bpd=rate("production_upper_bpd"),
        inferred_bpd=rate("inferred_production_bpd"),
        water_cut_pct=status("water_cut_pct"),
        casing_psi=np.array(casing),
        pprl_lbf=card("pprl_lbf"),
        mprl_lbf=card("mprl_lbf"),
        power_hp=card("polished_rod_power_hp"),
        torque_in_lbf=card("peak_gearbox_torque_in_lbf"),
        gearbox_pct=card("gearbox_load_pct"),
        structure_pct=card("structural_load_pct"),
        rods_pct=card("max_rod_load_pct"),
        damping=card("balance_damping"),
        gas_exponent=np.full(len(known), 1.18),
        pound_pct=of_class("Fluid Pound"),
        gas_pct=of_class("Gas Interference"),
        course=np.array([str(course) for *_, course, _ in known]),
        may_rise=np.array(
            [
                row["Label1"] not in NO_FASTER and row["Label2"] not in (*NO_FASTER, *MEND_FIRST)
                for row, *_ in known
            ]
        ),
    )


def _past(found: list[list[Any]]) -> tuple[NDArray[np.float64], ...]:
    most = max((len(rows) for rows in found), default=0)
    grid = np.full((5, len(found), most), np.nan)
    for well, rows in enumerate(found):
        for place, row in enumerate(rows):
            grid[:, well, place] = row
    return tuple(grid)
