"""Rows of ``clean.setpoint`` on a real PostgreSQL: which cards, rates and earlier set points they rest on, and when."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from oasis_pipeline.decisions import ACTIONS, Economics, well_response
from oasis_pipeline.operations import setpoints
from oasis_pipeline.operations.days import Days, store_days
from oasis_pipeline.operations.setpoints import (
    RESPONSES_PATH,
    read_responses,
    setpoint_rows,
    write_responses,
)
from oasis_pipeline.operations.worklist import worklist_rows
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage.objects import LocalStore
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.operations.test_decisions import put

pytestmark = pytest.mark.server

FIRST, DAYS = date(2025, 3, 1), 6
LAST = FIRST + timedelta(days=DAYS - 1)
WELLS = ("EMPTIED 1", "FULL 1", "NO RODS 1", "LEAKS 1", "DOWN 1", "OFFSET 1")
CARD = {
    "fillage_pct": 99.0,
    "fillage_spread_pct": 2.0,
    "pump_intake_pressure_psi": 700.0,
    "pump_intake_pressure_lower_psi": 640.0,
    "pump_intake_pressure_upper_psi": 760.0,
    "pprl_lbf": 14_000.0,
    "mprl_lbf": 4_600.0,
    "polished_rod_power_hp": 7.0,
    "peak_gearbox_torque_in_lbf": 200_000.0,
    "gearbox_load_pct": 50.0,
    "structural_load_pct": 56.0,
    "max_rod_load_pct": 60.0,
    "balance_damping": 0.12,
    "pump_card_source": "computed",
    "quality": "no_survey",
    "report": "",
}
EMPTIED = {
    "fillage_pct": 50.0,
    "pump_intake_pressure_psi": 55.0,
    "pump_intake_pressure_lower_psi": 20.0,
    "pump_intake_pressure_upper_psi": 110.0,
}


@pytest.fixture
def field(warehouse: Warehouse) -> Warehouse:
    """Six wells with the same equipment, one without rods."""
    start = datetime(2025, 2, 1)
    put(
        warehouse,
        "xspoc",
        "welldetails_history",
        [
            {
                "NodeID": well, "ValidFrom": start, "SPM": 8.0, "PlungerDiam": 1.75, "PumpDepth": 5000.0,
                "FluidSpecificGravity": 0.95, "TubingPressure": 100.0, "CasingPressure": 30.0, "TubingAnchored": True,
            }
            for well in WELLS
        ],
    )  # fmt: skip
    put(
        warehouse,
        "xspoc",
        "rods_history",
        [
            {"NodeID": well, "ValidFrom": start, "RodNum": number, "Length": length, "Diameter": size, "Grade": "D"}
            for well in WELLS if well != "NO RODS 1"
            for number, length, size in ((1, 1900.0, 0.875), (2, 3100.0, 0.75))
        ],
    )  # fmt: skip
    cards, diagnosed, status, summary = [], [], [], []
    for well in WELLS:
        for day in range(DAYS):
            when = FIRST + timedelta(days=day)
            found = {**CARD, **(EMPTIED if well == "EMPTIED 1" else {})}
            rate = 115.0 if well == "EMPTIED 1" else 230.0
            for hour in (3, 11):
                key = {
                    "NodeID": well,
                    "Date": datetime.combine(when, datetime.min.time()) + timedelta(hours=hour),
                }
                cards.append({**key, "SPM": 8.0, "StrokeLength": 100.0, "Runtime": 24.0})
                quality = "no_survey; load_offset" if well == "OFFSET 1" else found["quality"]
                diagnosed.append({**key, **found, "quality": quality})
            label = {"EMPTIED 1": "Fluid Pound", "LEAKS 1": "Leak in Standing Valve"}.get(well, "Full Pump")
            status.append(
                {
                    "NodeID": well, "Date": when, "state": "down" if well == "DOWN 1" else "pumping",
                    "last_card_at": datetime.combine(when, datetime.min.time()) + timedelta(hours=11), "runtime_h": 24.0,
                    "Label1": label, "Prob1": 95.0, "production_bpd": rate, "production_lower_bpd": 0.9 * rate,
                    "production_upper_bpd": 1.1 * rate, "production_source": "inferred_calibrated",
                    "inferred_production_bpd": rate, "water_cut_pct": 60.0, "data_age_h": 1.0, "disagreements": [], "missing": [],
                }
            )  # fmt: skip
            summary.append(
                {"NodeID": well, "Date": when, "n_cards": 2, "spm": 8.0, "runtime_h": 24.0, "missing": [],
                 "fillage_pct": found["fillage_pct"], "inferred_production_bpd": rate}
            )  # fmt: skip
    put(warehouse, "xspoc", "card", cards)
    put(warehouse, "clean", "carddiag", diagnosed)
    put(warehouse, "clean", "wellstatus", status)
    put(warehouse, "clean", "wellsummary", summary)
    return warehouse


def advised(warehouse: Warehouse, first: date = LAST, last: date = LAST) -> dict[tuple[str, date], dict]:
    """Make the rows of some days; gives them by well and day."""
    rows = setpoint_rows(warehouse, Days(first, last), Economics())
    assert rows.schema == arrow_schema(table("clean", "setpoint"))
    return {(row["NodeID"], row["Date"]): row for row in rows.to_pylist()}


def test_each_pumping_well_gets_a_row_with_an_advice_or_the_reason_why_not(field: Warehouse) -> None:
    found = {well: row for (well, _), row in advised(field).items()}
    assert set(found) == {*WELLS} - {"DOWN 1"}
    emptied = found["EMPTIED 1"]
    assert emptied["action"] in ("slow_down", "lengthen_idle_time")
    assert emptied["oil_change_bpd_lower"] <= emptied["oil_change_bpd"] <= emptied["oil_change_bpd_upper"]
    assert emptied["energy_change_kwh_d"] < 0.0
    assert emptied["confidence"] > 90.0
    assert emptied["emptied_pct"] > 90.0
    assert emptied["strokes_say"] == "undecided"
    assert emptied["advised_stroke_in"] == emptied["stroke_in"] == pytest.approx(100.0)
    assert emptied["idle_min"] == 0.0
    speeds = json.loads(emptied["curve"])["speed"]
    assert speeds["spm"] == sorted(set(speeds["spm"]))
    assert speeds["oil_change_bpd"][speeds["spm"].index(8.0)] == 0.0
    assert all(len(values) == len(speeds["spm"]) > 5 for values in speeds.values())
    at = json.loads(found["FULL 1"]["curve"])["speed"]
    place = at["spm"].index(found["FULL 1"]["advised_spm"])
    assert at["oil_change_bpd"][place] == pytest.approx(found["FULL 1"]["oil_change_bpd"], rel=1e-4)
    assert at["allowed"][place]
    assert found["NO RODS 1"]["curve"] is None
    assert found["FULL 1"]["action"] == "speed_up"
    assert found["FULL 1"]["advised_spm"] > 8.0
    for well, code, words in (
        ("NO RODS 1", ["no_rods"], "No advice without rods."),
        (
            "OFFSET 1",
            ["no_good_card"],
            "No advice without a good card of the last days: the zero of its load cell looks off.",
        ),
        ("LEAKS 1", [], "mend the well first"),
    ):
        row = found[well]
        assert (row["action"], row["missing"]) == ("none", code)
        assert words in row["reason"]
        assert row["oil_change_bpd"] is None


def test_a_range_of_days_is_the_days_one_by_one(field: Warehouse) -> None:
    whole = advised(field, FIRST, LAST)
    single = {}
    for day in range(DAYS):
        when = FIRST + timedelta(days=day)
        single |= advised(field, when, when)
    assert whole == single


def test_a_day_knows_nothing_of_later_ones(field: Warehouse) -> None:
    before = advised(field, FIRST, LAST - timedelta(days=1))
    put(
        field,
        "clean",
        "carddiag",
        [
            {
                "NodeID": "FULL 1",
                "Date": datetime.combine(LAST, datetime.min.time()) + timedelta(hours=hour),
                **CARD,
                **EMPTIED,
            }
            for hour in (3, 11)
        ],
    )
    assert advised(field, FIRST, LAST - timedelta(days=1)) == before


@pytest.mark.parametrize(
    ("fillages", "says"),
    [((90.0, 84.0, 78.0, 71.0, 66.0, 60.0), "pumped_off"), ((55.0, 82.0, 60.0, 90.0, 52.0, 80.0), "gassy")],
)
def test_a_burst_of_cards_tells_gas_from_pumped_off(
    field: Warehouse, fillages: tuple[float, ...], says: str
) -> None:
    keys = [{"NodeID": "EMPTIED 1", "Date": datetime(2025, 3, 6, 12, 0, 8 * n)} for n in range(len(fillages))]
    put(
        field,
        "clean",
        "carddiag",
        [
            {**key, **CARD, **EMPTIED, "fillage_pct": fillage}
            for key, fillage in zip(keys, fillages, strict=True)
        ],
    )
    row = advised(field)["EMPTIED 1", LAST]
    assert row["strokes_say"] == says


def test_the_list_names_the_advice(field: Warehouse) -> None:
    days = Days(LAST, LAST)
    store_days(field, table("clean", "setpoint"), setpoint_rows(field, days, Economics()), days)
    lines = {row["NodeID"]: row for row in worklist_rows(field, days, Economics()).to_pylist()}
    stored: pa.Table = field.query('select * from clean.setpoint where "NodeID" = $1', ("FULL 1",))
    assert lines["FULL 1"]["action"] == "speed_up" == stored["action"].to_pylist()[0]
    assert stored["reason"].to_pylist()[0].split(";")[0] in lines["FULL 1"]["reason"]
    assert all(row["action"] in ACTIONS for row in lines.values())


def test_tables_of_wells_are_kept_and_a_damaged_file_of_them_is_made_again(
    field: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)
    days = Days(LAST, LAST)
    made = read_responses(store)
    rows = setpoint_rows(field, days, Economics(), made)
    assert made.made
    write_responses(store, made)
    kept = read_responses(store)
    assert kept.kept.keys() == made.kept.keys()
    with monkeypatch.context() as patch:
        patch.setattr(well_response, "_tabulate", lambda *_: pytest.fail("a table was made again"))
        assert setpoint_rows(field, days, Economics(), kept).equals(rows)
    assert not kept.made
    for damaged in (b"", b"PAR1 no more"):
        store.put_bytes(RESPONSES_PATH, damaged)
        assert not read_responses(store).kept
    monkeypatch.setattr(setpoints, "SETPOINT_VERSION", "another")
    write_responses(store, made)
    monkeypatch.undo()
    assert not read_responses(store).kept, "tables of another version are not used"
