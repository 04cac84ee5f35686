"""Rows of decisions on a real PostgreSQL: what is read, what is known when, and prices that change."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from oasis_pipeline.decisions import Economics
from oasis_pipeline.operations.days import Days, store_days
from oasis_pipeline.operations.home_files import stored_economics, take_home_files
from oasis_pipeline.operations.well_status import status_rows, summary_rows
from oasis_pipeline.operations.worklist import worklist_rows
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Warehouse

pytestmark = pytest.mark.server

FIRST = date(2025, 3, 1)
DAYS = 20
DIAGNOSED = {
    "fillage_pct": 98.0,
    "gross_displacement_bpd": 110.0,
    "inferred_production_bpd": 100.0,
    "tv_leak_bpd": 0.0,
    "sv_leak_bpd": 0.0,
    "barrel_leak_bpd": 0.0,
    "gearbox_load_pct": 80.0,
    "structural_load_pct": 70.0,
    "max_rod_load_pct": 60.0,
    "pump_card_source": "computed",
    "quality": "no_survey",
    "report": "",
}


def put(warehouse: Warehouse, schema: str, name: str, rows: list[dict]) -> None:
    """Write rows, columns that are not given null."""
    target = table(schema, name)
    columns = arrow_schema(target)
    fill = {"text": "", "bigint": 0, "timestamp(3)": datetime(2025, 4, 1)}
    required = {c.name: fill[c.type.sql] for c in target.columns if c.required and c.type.sql in fill}
    full = [{**required, **row} for row in rows]
    given = [n for n in columns.names if any(n in row for row in full)]
    data = pa.table(
        [pa.array([row.get(n) for row in full], columns.field(n).type) for n in given], names=given
    )
    with warehouse.transaction() as tx:
        tx.upsert(target, data)


@pytest.fixture
def field(warehouse: Warehouse) -> Warehouse:
    """Three wells that lift 100 bbl/d: one leaks by its tests from day 10 on, one stops sending on day 15, one is sound."""
    cards, diagnosed, classes = [], [], []
    for well in ("LEAKS 1", "SILENT 1", "SOUND 1"):
        for day in range(DAYS):
            if well == "SILENT 1" and day >= 15:
                continue
            for hour in (3, 11, 19):
                key = {"NodeID": well, "Date": datetime(2025, 3, 1, hour) + timedelta(days=day)}
                leaks = well == "LEAKS 1" and day >= 10
                cards.append({**key, "SPM": 8.0, "Runtime": 24.0})
                diagnosed.append({**key, **DIAGNOSED})
                label = "Leak in Standing Valve" if leaks else "Full Pump"
                classes.append(
                    {**key, "Label1": label, "Prob1": 97.0, "ModelVersion": "m", "in_training": False}
                )
    put(warehouse, "xspoc", "card", cards)
    put(warehouse, "clean", "carddiag", diagnosed)
    put(warehouse, "clean", "dynapred", classes)
    tests = [("LEAKS 1", 4, 30.0, 70.0), ("LEAKS 1", 12, 3.0, 7.0), ("SOUND 1", 6, 30.0, 70.0)]
    put(
        warehouse,
        "xspoc",
        "welltest",
        [
            {
                "NodeID": w,
                "TestDate": datetime(2025, 3, 1, 6) + timedelta(days=d),
                "Approved": True,
                "OilRate": oil,
                "WaterRate": water,
            }
            for w, d, oil, water in tests
        ],
    )
    return warehouse


def made(warehouse: Warehouse, first: date, last: date) -> dict[tuple[str, date], dict]:
    """Make the three tables of some days; gives status and line of each well and day."""
    days = Days(first, last)
    store_days(warehouse, table("clean", "wellsummary"), summary_rows(warehouse, days), days)
    store_days(warehouse, table("clean", "wellstatus"), status_rows(warehouse, days), days)
    store_days(warehouse, table("clean", "worklist"), worklist_rows(warehouse, days, Economics()), days)
    rows = warehouse.query(
        'select s.*, w.rank, w.action, w.reason from clean.wellstatus s join clean.worklist w using ("NodeID", "Date")'
    ).to_pylist()
    return {(row["NodeID"], row["Date"]): row for row in rows}


def test_from_cards_and_tests_to_the_list(field: Warehouse) -> None:
    last = FIRST + timedelta(days=DAYS - 1)
    found = made(field, FIRST, last)
    leaks, silent, sound = (found[well, last] for well in ("LEAKS 1", "SILENT 1", "SOUND 1"))
    # 27 bbl/d for certain, half of 30 by the chance that a silent well is down, none
    assert [leaks["rank"], silent["rank"], sound["rank"]] == [1, 2, 3]
    assert leaks["action"] == "pull_pump"
    assert leaks["production_source"] == "inferred_calibrated"
    assert leaks["production_bpd"] < 30.0
    assert leaks["water_cut_pct"] == pytest.approx(70.0)
    assert leaks["lost_oil_bpd"] == pytest.approx(30.0 - leaks["oil_bpd"], abs=3.0)
    assert "test_below_inferred" in leaks["disagreements"]
    assert leaks["label_days"] == 10
    assert silent["state"] == "silent"
    assert silent["state_since"] == datetime(2025, 3, 15, 19)
    assert silent["action"] == "check_power_or_communication"
    assert sound["action"] == "none"
    assert sound["lost_oil_bpd"] < 1.0
    assert sound["missing"] == ["no_survey"]
    assert silent["missing"] == ["no_survey", "no_test", "no_water_cut"]


def test_a_day_says_what_was_known_at_its_end(field: Warehouse) -> None:
    last = FIRST + timedelta(days=DAYS - 1)
    whole = made(field, FIRST, last)
    before = whole["LEAKS 1", FIRST + timedelta(days=12)]
    assert before["test_production_bpd"] == pytest.approx(100.0), (
        "the test of that day counts from the next one on"
    )
    failure = {
        "NodeID": "SOUND 1",
        "Failure Start Date": datetime(2025, 3, 9),
        "Failure End Date": datetime(2025, 3, 12),
        "Failures": "Pump - Plunger",
        "failure_class": "Pump",
        "known_from": datetime(2025, 3, 11),
    }
    put(field, "analysis", "failure_info", [failure])
    with_failure = made(field, FIRST, last)
    states = [with_failure["SOUND 1", FIRST + timedelta(days=n)]["state"] for n in range(7, 13)]
    assert states == ["pumping", "pumping", "pumping", "down", "pumping", "pumping"]
    assert with_failure["SOUND 1", date(2025, 3, 11)]["rank"] == 1
    unchanged = [key for key in whole if key[1] < date(2025, 3, 10)]
    assert all(whole[key] == with_failure[key] for key in unchanged)


def well_test(day: int, oil: float | None, water: float | None) -> dict:
    moment = datetime(2025, 3, 1, 6) + timedelta(days=day)
    return {"NodeID": "SOUND 1", "TestDate": moment, "Approved": True, "OilRate": oil, "WaterRate": water}


def test_a_test_of_next_to_nothing_or_of_a_down_well_tells_no_water_cut(field: Warehouse) -> None:
    failure = {
        "NodeID": "SOUND 1",
        "Failure Start Date": datetime(2025, 3, 10),
        "Failure End Date": datetime(2025, 3, 13),
        "Failures": "Pump - Plunger",
        "failure_class": "Pump",
        "known_from": datetime(2025, 3, 16),
    }
    put(field, "analysis", "failure_info", [failure])
    put(field, "xspoc", "welltest", [well_test(8, 0.4, 0.3), well_test(11, 40.0, 10.0)])
    found = made(field, FIRST, FIRST + timedelta(days=DAYS - 1))
    cuts = {day: found["SOUND 1", date(2025, 3, day)]["water_cut_pct"] for day in (8, 10, 13, 15, 16, 20)}
    # the second one is believed until the failure is known
    assert cuts == pytest.approx({8: 70.0, 10: 70.0, 13: 20.0, 15: 20.0, 16: 70.0, 20: 70.0})


@pytest.mark.parametrize(("oil", "water"), [(12.0, None), (None, 28.0)])
def test_a_test_of_oil_or_water_alone_keeps_the_water_cut_that_was_known(
    field: Warehouse, oil: float | None, water: float | None
) -> None:
    put(field, "xspoc", "welltest", [well_test(9, oil, water)])
    found = made(field, FIRST, FIRST + timedelta(days=DAYS - 1))["SOUND 1", date(2025, 3, 12)]
    assert found["test_production_bpd"] == pytest.approx(40.0)
    assert found["water_cut_pct"] == pytest.approx(70.0)


def test_a_rate_or_water_cut_that_can_not_be_tells_nothing(field: Warehouse) -> None:
    put(field, "xspoc", "welltest", [well_test(9, -5.0, 30.0)])
    put(
        field,
        "xspoc",
        "welldetails_history",
        [
            {"NodeID": "SILENT 1", "ValidFrom": datetime(2025, 3, 1), "WaterCut": 60.0},
            {"NodeID": "SILENT 1", "ValidFrom": datetime(2025, 3, 5), "WaterCut": 160.0},
        ],
    )
    found = made(field, FIRST, FIRST + timedelta(days=DAYS - 1))
    assert found["SOUND 1", date(2025, 3, 12)]["water_cut_pct"] == pytest.approx(70.0)
    assert found["SOUND 1", date(2025, 3, 12)]["test_production_bpd"] == pytest.approx(100.0)
    assert found["SILENT 1", date(2025, 3, 12)]["water_cut_pct"] == pytest.approx(60.0)


def test_a_probability_of_failure_holds_on_a_day_without_a_card(field: Warehouse) -> None:
    rows = [
        {
            "NodeID": well,
            "Date": moment,
            "HorizonDays": horizon,
            "FailureProb": 40.0,
            "Prob Normal": 60.0,
            "Prob Rod": 40.0,
        }
        for well in ("SOUND 1", "SILENT 1")
        for horizon in (3, 7, 15, 30)
        for moment in [datetime(2025, 3, day, 19) for day in range(10, 20)]
        if well == "SOUND 1" or moment < datetime(2025, 3, 16)
    ]
    put(field, "clean", "xpred", rows)
    with field.transaction() as tx:
        tx.execute('alter table clean.xpred add column if not exists "Prob Rod" double precision')
        tx.execute('update clean.xpred set "Prob Rod" = 40')
    with field.transaction() as tx:
        # its cards of the newest day are still to come
        tx.execute(
            'delete from xspoc.card where "NodeID" = $1 and "Date" >= $2', ("SOUND 1", datetime(2025, 3, 20))
        )
    found = made(field, FIRST, date(2025, 3, 20))
    # a day made alone is the same as in a range
    alone = status_rows(field, Days(date(2025, 3, 20), date(2025, 3, 20))).to_pylist()
    assert {row["NodeID"]: row["failure_prob_15d"] for row in alone}["SOUND 1"] == 40.0
    waits = found["SOUND 1", date(2025, 3, 20)]
    assert (waits["state"], waits["failure_prob_15d"], waits["likely_failure"]) == ("pumping", 40.0, "Rod")
    assert found["SOUND 1", date(2025, 3, 9)]["failure_prob_15d"] is None
    failure = {
        "NodeID": "SOUND 1",
        "Failure Start Date": datetime(2025, 3, 18),
        "Failures": "Rod",
        "failure_class": "Rod",
        "known_from": datetime(2025, 3, 18),
    }
    put(field, "analysis", "failure_info", [failure])
    down = made(field, FIRST, date(2025, 3, 20))["SOUND 1", date(2025, 3, 19)]
    assert (down["state"], down["failure_prob_15d"]) == ("down", None)
    silent = found["SILENT 1", date(2025, 3, 20)]
    assert (silent["state"], silent["failure_prob_15d"]) == ("silent", None)


def test_a_well_of_which_no_card_can_be_used_is_told_so(field: Warehouse) -> None:
    dead = {"surfcard_fault": "all values are zero", "pocdowncard_fault": "no card", "SPM": 8.0}
    moments = [datetime(2025, 3, 20, hour) for hour in (3, 11, 19)]
    with field.transaction() as tx:
        for name in ("clean.carddiag", "clean.dynapred"):
            tx.execute(f'delete from {name} where "NodeID" = $1 and "Date" >= $2', ("SOUND 1", moments[0]))
    put(field, "xspoc", "card", [{"NodeID": "SOUND 1", "Date": moment, **dead} for moment in moments])
    found = made(field, FIRST, date(2025, 3, 20))["SOUND 1", date(2025, 3, 20)]
    assert found["action"] == "check_sensor"
    assert "can be used: all values are zero" in found["reason"]


def test_a_well_that_is_back_has_lost_nothing(field: Warehouse) -> None:
    parted = [
        {"NodeID": "SOUND 1", "Date": datetime(2025, 3, day, hour), **DIAGNOSED, "quality": "parted_rod"}
        for day in (10, 11, 12)
        for hour in (3, 11, 19)
    ]
    put(field, "clean", "carddiag", parted)
    with field.transaction() as tx:
        # a day without a card goes by the newest rate
        tx.execute(
            'delete from xspoc.card where "NodeID" = $1 and "Date"::date = $2::date',
            ("SOUND 1", date(2025, 3, 14)),
        )
    found = made(field, FIRST, FIRST + timedelta(days=DAYS - 1))
    while_parted, *back = (found["SOUND 1", date(2025, 3, day)] for day in (12, 13, 14, 15))
    assert while_parted["production_bpd"] == 0.0
    assert while_parted["lost_oil_bpd"] == pytest.approx(30.0, abs=2.0)
    assert [row["state"] for row in back] == ["pumping"] * 3
    assert max(row["lost_oil_bpd"] for row in back) < 1.0
    assert {row["action"] for row in back} == {"none"}


def test_prices_that_change_are_stored_once_and_mark_the_list(warehouse: Warehouse, tmp_path: Path) -> None:
    def tick() -> int:
        state = ledger.states(warehouse, ["analysis/economics"]).get(("analysis/economics", ""))
        return state.changed_tick if state else 0

    assert take_home_files(warehouse, tmp_path) == []
    first = tick()
    assert first > 0
    assert take_home_files(warehouse, tmp_path) == []
    assert tick() == first
    file = tmp_path / "economics.toml"
    file.write_text("oil_price_per_bbl = 45\n")
    assert take_home_files(warehouse, tmp_path) == []
    assert tick() > first
    assert stored_economics(warehouse).oil_price_per_bbl == 45.0
    file.write_text("\ufeffoil_price_per_bbl = 46\n", encoding="utf-8")
    assert take_home_files(warehouse, tmp_path) == []
    assert stored_economics(warehouse).oil_price_per_bbl == 46.0
    file.write_text("oil_price = 45\n")
    (wrong,) = take_home_files(warehouse, tmp_path)
    assert "oil_price" in wrong
    assert stored_economics(warehouse).oil_price_per_bbl == 46.0
