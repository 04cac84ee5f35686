"""The foreign field as files: a drop folder for the platform, and the truth beside it."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from oasis_pipeline.cards.codec import CardColumn, encode_blobs

from . import conditions as c
from .conditions import CLASSES, Labeller, label, make_labellers, true_sets
from .field import WellHistory, histories
from .recorders import Recorded, pressure_psi, record
from .strokes import COLUMN, RESULT
from .units import LONG_STROKE, MARK_II
from .wells import ELEMENT_FT, FT, IN, LBF, Well, make_wells

FIRST_DAY = datetime(2023, 3, 6)
WELLS, DAYS = 40, 120
LIFELIKE_DAYS = 360
"""Length of a field whose failures are as rare as real ones: what goes wrong in a well is dealt out a field, not a day."""
LIFELIKE_CARDS_PER_DAY = 1
LIFELIKE_SUDDEN_SHARE = 0.2
HISTORY_DAYS = 730
"""How far back the workovers of a lifelike field are known when its data begin."""
HISTORY_A_YEAR = 0.7
_HISTORY_TEXTS = (("Pump - Valve", 0.2), ("Pump - Barrel", 0.19), ("Rod - Body", 0.18), ("Rod - Pin", 0.15), ("Tubing - Split", 0.28))  # fmt: skip
"""What they were, with shares: pumps 39 %, rods 33 %, tubing 28 % (20,500 wells of the Permian Basin, 1990 to 1998, ALEOC)."""
FILE_DAYS = 7
"""Days in a file of cards."""
NOT_LABELLED = 0.1
"""Share of a labelled well's cards that nobody looked at."""


def write_field(
    folder: Path, seed: int, wells: int = WELLS, days: int = DAYS, lifelike: bool = False
) -> None:
    """Simulate a field and write ``drop`` and ``truth`` into a folder.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    seed : int
    wells, days : int
    lifelike : bool
        For failures: more of them sudden, one card a day, and workovers of the two years before.

    Raises
    ------
    FileExistsError
        If the folder already holds a drop folder: files of two fields must not mix.
    """
    drop, truth = folder / "drop", folder / "truth"
    if drop.exists():
        raise FileExistsError(f"{drop} exists already; give a folder without one")
    begun = np.random.default_rng([seed, 0])
    built = make_wells(wells, days, begun, *((LIFELIKE_SUDDEN_SHARE,) if lifelike else ()))
    rng = np.random.default_rng([seed, 2])
    people = make_labellers(rng)
    cards: list[pa.Table] = []
    analyses: list[pa.Table] = []
    labels: list[pa.Table] = []
    truths: list[pa.Table] = []
    tests: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    for history in histories(built, days, seed, *((LIFELIKE_CARDS_PER_DAY,) if lifelike else ())):
        recorded = record(history, rng)
        cards.append(_cards(history, recorded))
        analyses.append(_analyses(history, recorded, rng))
        labels.append(_labels(history, people[history.well.labeller], rng))
        truths.append(_truths(history))
        tests += _tests(history, days, rng)
        failures += [_failure(history.well, failure) for failure in history.failures]
    drop.mkdir(parents=True)
    truth.mkdir(exist_ok=True)
    begin = FIRST_DAY + timedelta(hours=1)
    _csv(drop, "WellDetails", begin, pa.Table.from_pylist([_details(well) for well in built]))
    _csv(drop, "Rods", begin, pa.Table.from_pylist([row for well in built for row in _rods(well)]))
    _csv(drop, "PumpingUnits", begin, pa.Table.from_pylist([_unit(well) for well in built]))
    surveys = [row for well in built if well.surveyed for row in _survey(well)]
    if surveys:
        _csv(drop, "Deviations", begin, pa.Table.from_pylist(surveys))
    all_cards, all_analyses = pa.concat_tables(cards), pa.concat_tables(analyses)
    for first in range(0, days, FILE_DAYS):
        last = min(first + FILE_DAYS, days)
        stamp = FIRST_DAY + timedelta(days=last, minutes=20)
        for kind, table in (("CardData", all_cards), ("XDiagResults", all_analyses)):
            part = _between(table, first, last)
            if part.num_rows:
                pq.write_table(part, drop / _name(kind, stamp, "parquet"), compression="zstd")
    if lifelike:
        _csv(drop, "Failures", begin, pa.Table.from_pylist(_history(built, np.random.default_rng([seed, 3]))))
    end = FIRST_DAY + timedelta(days=days, hours=6)
    if tests:
        _csv(drop, "WellTests", end, pa.Table.from_pylist(tests))
    _csv(drop, "Labels", end, pa.concat_tables(labels).drop_columns(["slip"]))
    for k, row in enumerate(sorted(failures, key=lambda f: f["Failure End Date"])):
        known = row["Failure End Date"] + timedelta(days=1, minutes=k % 60)
        if known < end:
            told = {
                name: row[name] for name in ("NodeID", "Failure Start Date", "Failure End Date", "Failures")
            }
            _csv(drop, "Failures", known, pa.Table.from_pylist([told]))
    pq.write_table(pa.concat_tables(truths), truth / "cards.parquet")
    pq.write_table(pa.concat_tables(labels), truth / "labels.parquet")
    pq.write_table(pa.Table.from_pylist([_well(well) for well in built]), truth / "wells.parquet")
    if failures:
        pq.write_table(pa.Table.from_pylist(failures), truth / "failures.parquet")


def _name(kind: str, stamp: datetime, ending: str) -> str:
    return f"{kind}.E2E.{stamp:%Y%m%d}.{stamp:%H%M}.{ending}"


def _csv(folder: Path, kind: str, stamp: datetime, table: pa.Table) -> None:
    path = folder / _name(kind, stamp, "csv")
    while path.exists():  # two failures told in one minute
        stamp += timedelta(minutes=1)
        path = folder / _name(kind, stamp, "csv")
    csv.write_csv(table, path)


def _between(table: pa.Table, first: int, last: int) -> pa.Table:
    when = table["Date"].cast(pa.int64()).to_numpy()
    low = np.datetime64(FIRST_DAY + timedelta(days=first), "ms").astype(np.int64)
    high = np.datetime64(FIRST_DAY + timedelta(days=last), "ms").astype(np.int64)
    return table.filter(pa.array((when >= low) & (when < high))).sort_by(
        [("Date", "ascending"), ("NodeID", "ascending")]
    )


def _keys(history: WellHistory) -> dict[str, pa.Array]:
    seconds = np.round(history.day * 86400).astype(np.int64)
    when = np.datetime64(FIRST_DAY, "ms") + seconds.astype("timedelta64[s]").astype("timedelta64[ms]")
    return {
        "NodeID": pa.array([history.well.name] * len(seconds)),
        "Date": pa.array(when, pa.timestamp("ms")),
    }


def _blobs(rows: list[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> pa.Array:
    data, offsets = encode_blobs(CardColumn.from_rows(rows))
    view = data.data
    return pa.array([view[a:b].tobytes() for a, b in itertools.pairwise(offsets)], pa.binary())


def _cards(history: WellHistory, recorded: Recorded) -> pa.Table:
    n = len(history.day)
    return pa.table(
        {
            **_keys(history),
            "CardType": pa.array(["Normal"] * n),
            "SPM": recorded.spm,
            "StrokeLength": np.full(n, round(history.well.unit.stroke)),
            "Runtime": np.round(history.runtime_h, 1),
            "Fillage": recorded.fillage,
            "FillBasePct": np.full(n, 45),
            "SurfaceCardB": _blobs(recorded.surface),
            "POCDownholeCardB": _blobs(recorded.pump),
        }
    )


def _analyses(history: WellHistory, recorded: Recorded, rng: np.random.Generator) -> pa.Table:
    """The vendor's program runs on some of the cards."""
    columns = {
        name: pa.array(values, pa.string() if values.dtype == object else pa.float64(), from_pandas=True)
        for name, values in recorded.analysis.items()
    }
    table = pa.table({**_keys(history), **columns})
    return table.filter(pa.array(rng.random(table.num_rows) < 0.6))


def _labels(history: WellHistory, who: Labeller, rng: np.random.Generator) -> pa.Table:
    named, slip = label(history.severities, who, rng)
    looked = (rng.random(len(named)) > NOT_LABELLED) & history.well.labelled
    pairs = [[CLASSES[k] for k in np.flatnonzero(row)] for row in named]
    for pair in pairs:
        rng.shuffle(pair)
    table = pa.table(
        {
            **_keys(history),
            "TrueLabel1": pa.array([pair[0] for pair in pairs], pa.string()),
            "TrueLabel2": pa.array([pair[1] if len(pair) > 1 else None for pair in pairs], pa.string()),
            "slip": slip,
        }
    )
    return table.filter(pa.array(looked))


def _truths(history: WellHistory) -> pa.Table:
    """What is so: conditions, severities and quantities; the platform never sees it."""
    conditions, optional = true_sets(history.severities)
    pairs = [[CLASSES[k] for k in np.flatnonzero(row)] for row in conditions]
    p, r = history.parameters, history.results
    area = p[:, COLUMN["plunger_area"]]
    columns: dict[str, Any] = {
        **_keys(history),
        "labelled_well": np.full(len(p), history.well.labelled),
        "condition1": pa.array([pair[0] for pair in pairs], pa.string()),
        "condition2": pa.array([pair[1] if len(pair) > 1 else None for pair in pairs], pa.string()),
        "full_pump_optional": optional,
        "pump_intake_pressure_psi": pressure_psi(history, "intake"),
        "discharge_pressure_psi": pressure_psi(history, "discharge"),
        "production_bpd": history.production_bpd(),
        "fillage_pct": 100 * np.clip(1 - r[:, RESULT["gas_fill"]], 0, 1),
        "opened_at_pct": pa.array(100 * r[:, RESULT["opened_at"]], from_pandas=True),
        "gross_stroke_in": r[:, RESULT["travel"]] / IN,
        "fluid_load_lbf": area * (p[:, COLUMN["discharge"]] - p[:, COLUMN["intake"]]) / LBF,
        "rod_friction_lbf": np.abs(r[:, RESULT["friction_force"]]) / LBF,
        "plunger_friction_lbf": p[:, COLUMN["plunger_friction"]] / LBF,
        "slipped_share": r[:, RESULT["slipped"]] / np.maximum(area * r[:, RESULT["net_travel"]], 1e-6),
        "runtime_h": history.runtime_h,
        "gas_share": p[:, COLUMN["gas_share"]],
        "mismatch": r[:, RESULT["mismatch"]],
    }
    for k in c.FAULTS:
        columns[f"severity {CLASSES[k]}"] = history.severities[:, k]
    table = pa.table(columns)
    parted = history.severities[:, c.PARTED] > 0
    for name in (
        "pump_intake_pressure_psi",
        "fillage_pct",
        "fluid_load_lbf",
    ):  # a pump that doesn't move has none to be found
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(table[name].to_numpy(), mask=parted))
    return table


def _tests(history: WellHistory, days: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    out = []
    production = history.production_bpd()
    well = history.well
    for day in np.arange(rng.uniform(2, 12), days, 14):
        near = np.abs(history.day - day) < 1
        if near.sum() < 3:
            continue
        rate = float(np.mean(production[near])) * float(np.exp(rng.normal(0, 0.07)))
        intake = float(np.median(pressure_psi(history, "intake")[near]))
        above = max(intake - well.casing_psi, 0) / (0.433 * well.density / 1000)
        out.append(
            {
                "NodeID": well.name,
                "TestDate": FIRST_DAY + timedelta(seconds=round(day * 86400)),
                "Approved": True,
                "Duration": 24.0,
                "OilRate": round(max(rate, 0) * (1 - well.water_cut), 1),
                "WaterRate": round(max(rate, 0) * well.water_cut, 1),
                "GasRate": round(float(np.median(history.gas_mscf[near])), 1),
                "FluidAbovePump": round(above * float(np.exp(rng.normal(0, 0.1)))),
            }
        )
    return out


def _history(wells: list[Well], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return failures of the years before the first day, at a constant rate, none within a week of the next."""
    texts, shares = [text for text, _ in _HISTORY_TEXTS], [share for _, share in _HISTORY_TEXTS]
    rows: list[dict[str, Any]] = []
    for well in wells:
        ago = np.sort(rng.uniform(3, HISTORY_DAYS, int(rng.poisson(HISTORY_A_YEAR * HISTORY_DAYS / 365.25))))
        for days in ago[np.diff(ago, prepend=0.0) > 7.0]:
            start = FIRST_DAY - timedelta(minutes=round(float(days) * 1440))
            rows.append(
                {
                    "NodeID": well.name,
                    "Failure Start Date": start,
                    "Failure End Date": start + timedelta(minutes=round(float(rng.uniform(1.5, 7)) * 1440)),
                    "Failures": str(rng.choice(texts, p=shares)),
                }
            )
    return [row for row in rows if row["Failure End Date"] < FIRST_DAY]


def _failure(well: Well, failure: Any) -> dict[str, Any]:
    def at(day: float) -> datetime:
        return FIRST_DAY + timedelta(minutes=round(day * 1440))

    return {
        "NodeID": well.name,
        "Failure Start Date": at(failure.start),
        "Failure End Date": at(failure.end),
        "Failures": failure.text,
        "condition": failure.condition,
        "growing_from": at(failure.growing_from) if np.isfinite(failure.growing_from) else None,
    }


def _details(well: Well) -> dict[str, Any]:
    api = 141.5 / well.oil_sg - 131.5
    return {
        "NodeID": well.name,
        "POCType": {"angle": 8, "switch": 16, "encoder": 405}[well.controller],
        "PumpDepth": round(well.depth_ft),
        "TubingPressure": round(well.tubing_psi),
        "CasingPressure": round(well.casing_psi),
        "WaterCut": round(100 * well.water_cut),
        "WaterSG": round(well.water_sg, 2),
        "OilAPIGravity": round(api, 1),
        "FluidSpecificGravity": round(well.density / 1000, 2),
        "SPM": well.spm,
        "StrokeLength": round(well.unit.stroke),
        "TubingOD": well.tubing_od_in,
        "TubingID": well.tubing_id_in,
        "TubingAnchorDepth": round(well.anchor_ft),
        "TubingAnchored": well.anchored,
        "PlungerDiam": well.plunger_in,
        "Clearance": round(well.clearance_in, 4),
        "Viscosity": round(well.viscosity_cp, 1),
        "MotorHP": 40,
    }


def _rods(well: Well) -> list[dict[str, Any]]:
    return [
        {"NodeID": well.name, "RodNum": k + 1, "Grade": "D", "Length": count * ELEMENT_FT, "Diameter": d}
        for k, (d, count) in enumerate(well.tapers)
    ]


def _unit(well: Well) -> dict[str, Any]:
    unit = well.unit
    linked = unit.kind != LONG_STROKE
    sizes = {"A": unit.a, "C": unit.c, "I": unit.i, "K": unit.k, "P": unit.p, "R": unit.r}
    return {
        "NodeID": well.name,
        "UnitType": unit.kind,
        "Rotation": "CW" if unit.clockwise else "CCW",
        **{name: round(float(size), 2) if linked else None for name, size in sizes.items()},
        "GearboxRating": 456000.0 if unit.stroke > 110 else 228000.0,
        "StructuralRating": 30500.0 if unit.stroke > 110 else 21300.0,
        "CrankOffset": 24.0 if unit.kind == MARK_II else 0.0,
    }


def _survey(well: Well) -> list[dict[str, Any]]:
    stations = np.arange(0, well.elements + 1, 2)
    return [
        {
            "NodeID": well.name,
            "MD": float(k * ELEMENT_FT),
            "Inclination": round(float(np.degrees(well.inclination[k])), 2),
            "Azimuth": round(float(np.degrees(well.azimuth[k])) % 360, 2),
        }
        for k in stations
    ]


def _well(well: Well) -> dict[str, Any]:
    return {
        "NodeID": well.name,
        "labelled": well.labelled,
        "labeller": well.labeller,
        "unit": well.unit.kind,
        "controller": well.controller,
        "damping_ratio": well.damping_ratio,
        "path_friction": well.path_friction,
        "depth_m": well.depth_ft * FT,
        "episodes": [
            f"{CLASSES[e.condition]} {e.law} {e.start:.1f} {e.peak:.1f} {e.end:.1f} {e.worst:.2f} {'fails' if e.fails else ''}"
            for e in well.episodes
        ],
    }
