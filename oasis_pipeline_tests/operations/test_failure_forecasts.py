"""Failure forecasts, run life and alarms on a real PostgreSQL: rows of the vendor and failures that a test puts there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from oasis_pipeline.assets.common import day_partitions
from oasis_pipeline.assets.graph import BY_KEY, build_graph
from oasis_pipeline.assets.resources import build_resources
from oasis_pipeline.automation.staleness import current_plan
from oasis_pipeline.learning.failures.base import BASE_VERSION
from oasis_pipeline.learning.failures.forecaster import FORECAST_VERSION
from oasis_pipeline.operations import alarms
from oasis_pipeline.operations.alarm_decisions import (
    AlarmError,
    EndedAlarmError,
    NoAlarmError,
    decide,
)
from oasis_pipeline.operations.days import Days
from oasis_pipeline.operations.failure_forecasts import (
    FORECASTER_ASSET,
    forecast_failures,
    learn_failure_forecasters,
)
from oasis_pipeline.operations.materializations import record_materialization
from oasis_pipeline.operations.run_life import learn_run_life, run_life_days
from oasis_pipeline.operations.well_days import WELL_DAYS, WELL_DAYS_VERSION, well_day_tables
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.day_files import stamped, write_days
from oasis_pipeline.storage.objects import LocalStore
from oasis_pipeline.storage.postgres import Warehouse

pytestmark = pytest.mark.server

FIRST, DAYS, WELLS = date(2025, 1, 1), 66, 14
CUT = date(2025, 2, 20)
XDIAG = table("xspoc", "xdiagresults")
FAILURES = table("analysis", "failure_info")


def rows_of_field() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A row a day of each well; efficiency falls for eight days before each failure."""
    rng = np.random.default_rng(0)
    begin = datetime(2025, 1, 1, 9)
    failures = []
    for number in range(WELLS):
        for moment in (14 + number % 9, 38 + 2 * (number % 8), 60):
            if (number + moment) % 3:
                start = begin + timedelta(days=moment)
                # a class that comes late must move nothing before it
                name = "Polish" if moment == 60 else ("Pump", "Rod", "Tubing")[number % 3]
                failures.append(
                    {
                        "NodeID": f"Well {number}",
                        "Failure Start Date": start,
                        "Failure End Date": start + timedelta(days=2),
                        "Failures": name,
                        "failure_class": name,
                        "known_from": start + timedelta(days=3),
                        "file_stamp": start + timedelta(days=3),
                    }
                )
    rows = []
    for number in range(WELLS):
        own = [f for f in failures if f["NodeID"] == f"Well {number}"]
        for day in range(DAYS):
            when = begin + timedelta(days=day, minutes=number)
            if any(f["Failure Start Date"] <= when < f["Failure End Date"] for f in own):
                continue
            ahead = min(
                (
                    (f["Failure Start Date"] - when).total_seconds() / 86_400
                    for f in own
                    if f["Failure Start Date"] > when
                ),
                default=99.0,
            )
            rows.append(
                {
                    "NodeID": f"Well {number}",
                    "Date": when,
                    "PumpEffPct": 80.0 + rng.normal(0.0, 2.0) - 6.0 * max(8.0 - ahead, 0.0),
                    "PPRL": 20_000.0 + rng.normal(0.0, 200.0),
                }
            )
    return rows, failures


def put(warehouse: Warehouse, name: tuple[str, str], rows: list[dict[str, Any]]) -> None:
    target = table(*name)
    schema = arrow_schema(target)
    full = [{column: row.get(column) for column in schema.names} for row in rows]
    for row in full:
        for field in schema:
            if row[field.name] is None and not field.nullable and field.name == "file_stamp":
                row[field.name] = datetime(2025, 6, 1)
    with warehouse.transaction() as tx:
        tx.upsert(target, pa.Table.from_pylist(full, schema=schema))


def seen_leaking(rows: pa.Table) -> pa.Table:
    """Put a valve leak in the place of the efficiency lost: the cards that would show it are not made here."""
    lost = np.clip((80.0 - rows["PumpEffPct"].to_numpy()) / 50.0, 0.0, 1.0)
    place = rows.schema.get_field_index("severity_leak_in_traveling_valve")
    return rows.set_column(place, rows.schema.field(place), pa.array(lost, pa.float32()))


def make(warehouse: Warehouse, store: LocalStore, first: date, last: date) -> None:
    """Do as a pass does with the assets of this module."""
    span = Days(first, last)
    with record_materialization(warehouse, WELL_DAYS, span.keys, BY_KEY[WELL_DAYS].code_version) as done:
        for day, made_of in well_day_tables(warehouse, store, span):
            rows = seen_leaking(made_of)
            if rows.num_rows:
                done.rows[day] = rows.num_rows
                write_days(store, WELL_DAYS, [stamped(rows, WELL_DAYS_VERSION)], [date.fromisoformat(day)])
                with warehouse.transaction() as tx:
                    ledger.mark_changed(tx, WELL_DAYS, {day: rows.num_rows})
    with record_materialization(warehouse, FORECASTER_ASSET, [""], BY_KEY[FORECASTER_ASSET].code_version):
        learn_failure_forecasters(warehouse, store)
    with record_materialization(warehouse, "models/run_life", [""], BY_KEY["models/run_life"].code_version):
        learn_run_life(warehouse, store)
    with record_materialization(
        warehouse, "clean/xpred", span.keys, BY_KEY["clean/xpred"].code_version
    ) as done:
        done.rows.update(forecast_failures(warehouse, store, span).rows_by_day)
    run_life_days(warehouse, span)


def forecasts(warehouse: Warehouse, until: date) -> pa.Table:
    return warehouse.query(
        'select "NodeID", "Date", "HorizonDays", "PredClass", "FailureProb", "Prob Normal", "Prob Pump", "Prob Rod", '
        '"Prob Tubing", "Prob BHA", "ModelVersion" from clean.xpred where "Date" < $1 order by 1, 2, 3',
        (datetime.combine(until + timedelta(days=1), datetime.min.time()),),
    )


def lives(warehouse: Warehouse, until: date) -> pa.Table:
    return warehouse.query(
        'select * from clean.runlife where "Date" < $1 order by 1, 2, 3',
        (datetime.combine(until + timedelta(days=1), datetime.min.time()),),
    )


@pytest.fixture(scope="module")
def made(
    new_warehouse: Callable[[], Warehouse], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Warehouse, LocalStore]:
    warehouse, store = new_warehouse(), LocalStore(tmp_path_factory.mktemp("store"))
    rows, failures = rows_of_field()
    put(warehouse, ("xspoc", "xdiagresults"), rows)
    put(warehouse, ("analysis", "failure_info"), failures)
    make(warehouse, store, FIRST, FIRST + timedelta(days=DAYS - 1))
    return warehouse, store


def test_removing_everything_after_a_day_changes_no_row_up_to_it(
    made: tuple[Warehouse, LocalStore], new_warehouse: Callable[[], Warehouse], tmp_path: Any
) -> None:
    rows, failures = rows_of_field()
    end = datetime.combine(CUT + timedelta(days=1), datetime.min.time())
    warehouse, store = new_warehouse(), LocalStore(tmp_path / "store")
    put(warehouse, ("xspoc", "xdiagresults"), [row for row in rows if row["Date"] < end])
    put(warehouse, ("analysis", "failure_info"), [row for row in failures if row["known_from"] < end])
    make(warehouse, store, FIRST, CUT)
    whole, cut = forecasts(made[0], CUT), forecasts(warehouse, CUT)
    assert cut.num_rows > 2_000
    assert cut.equals(whole)
    assert lives(warehouse, CUT).equals(lives(made[0], CUT))


def test_rows_are_as_the_contract_has_them(made: tuple[Warehouse, LocalStore]) -> None:
    warehouse, _ = made
    rows = warehouse.query("select * from clean.xpred").to_pandas()
    classes = [name for name in rows.columns if name.startswith("Prob ")]
    assert {"Prob Normal", "Prob Pump", "Prob Rod", "Prob Tubing", "Prob BHA", "Prob Polish"} == set(classes)
    assert rows[classes].sum(axis=1).to_numpy() == pytest.approx(100.0, abs=1e-6)
    assert rows["FailureProb"].to_numpy() == pytest.approx(100.0 - rows["Prob Normal"].to_numpy(), abs=1e-6)
    assert set(rows["HorizonDays"]) == {3, 7, 15, 30}
    early = rows[rows["Date"] < "2025-02-01"]
    assert set(early["ModelVersion"]) == {BASE_VERSION}
    late = rows[(rows["Date"] > "2025-02-16") & (rows["Date"] < "2025-03-01")]
    assert len(set(late["ModelVersion"])) == 1
    assert next(iter(set(late["ModelVersion"]))).startswith(f"{FORECAST_VERSION}-20250216-")
    life = warehouse.query("select * from clean.runlife").to_pandas()
    assert (life["lower_days"] <= life["median_days"]).all()
    assert (life["median_days"] <= life["upper_days"]).all()
    assert set(life["Component"]) == {"Tubing", "Pump", "Rod"}


def test_a_new_day_makes_itself_and_nothing_before_it(made: tuple[Warehouse, LocalStore]) -> None:
    warehouse, _ = made
    with warehouse.transaction() as tx:
        ledger.mark_changed(tx, "xspoc/xdiagresults", {"2025-03-07": 1})
        ledger.mark_changed(tx, WELL_DAYS, {"2025-03-07": 1})
    plan = current_plan(warehouse)
    assert plan.days["clean/xpred"] == {"2025-03-07"}
    assert "models/failure_forecaster" not in plan.whole
    with warehouse.transaction() as tx:
        ledger.mark_changed(tx, "xspoc/xdiagresults", {"2025-03-16": 1})
        ledger.mark_changed(tx, WELL_DAYS, {"2025-03-16": 1})
    assert "models/failure_forecaster" in current_plan(warehouse).whole
    with warehouse.transaction() as tx:  # the tests after this one share the warehouse
        tx.execute("delete from oasis.asset_state where partition in ('2025-03-07', '2025-03-16')")


def test_what_was_learned_is_kept_and_a_late_failure_makes_it_anew(
    made: tuple[Warehouse, LocalStore],
) -> None:
    warehouse, store = made
    again = learn_failure_forecasters(warehouse, store)
    assert not again.fitted
    assert again.kept == len(again.cutoffs) > 2
    late = {
        "NodeID": "Well 0",
        "Failure Start Date": datetime(2025, 2, 5),
        "Failure End Date": datetime(2025, 2, 6),
        "Failures": "Pump",
        "failure_class": "Pump",
        "known_from": datetime(2025, 2, 7),
        "file_stamp": datetime(2025, 2, 7),
    }
    put(warehouse, ("analysis", "failure_info"), [late])
    changed = learn_failure_forecasters(warehouse, store)
    assert min(changed.fitted) == date(2025, 2, 16)
    assert changed.kept == sum(cutoff < date(2025, 2, 16) for cutoff in changed.cutoffs)


def test_what_a_person_said_of_an_alarm_stays(made: tuple[Warehouse, LocalStore]) -> None:
    warehouse, store = made
    first = alarms.make_alarms(warehouse, store)
    assert first.raised > 0
    assert alarms.make_alarms(warehouse, store).changed == 0
    row = warehouse.query('select * from clean.alarm order by "RaisedAt" limit 1').to_pylist()[0]
    assert "days since" in row["Reason"]
    with warehouse.transaction() as tx:
        tx.execute(
            'update clean.alarm set "State" = \'open\', "ClosedAt" = null where "AlarmID" = $1',
            (row["AlarmID"],),
        )

    def say(alarm: str, decision: str, by: str, note: str | None = None) -> dict[str, Any]:
        with warehouse.transaction() as tx:
            return decide(tx, alarm, decision, by, note)

    def kept() -> dict[str, Any]:
        found = warehouse.query('select * from clean.alarm where "AlarmID" = $1', (row["AlarmID"],))
        return dict(found.to_pylist()[0])

    with pytest.raises(AlarmError, match="reason"):
        say(row["AlarmID"], "dismissed", "somebody", "  ")
    say(row["AlarmID"], "acknowledged", "first")
    said = say(row["AlarmID"], "dismissed", "somebody", " sand ")
    assert say(row["AlarmID"], "dismissed", "another") == said, "said already: nothing changes"
    with pytest.raises(NoAlarmError, match="no alarm"):
        say("nothing", "dismissed", "somebody", "sand")
    alarms.make_alarms(warehouse, store)
    assert (kept()["State"], kept()["decided_by"], kept()["note"]) == ("dismissed", "somebody", "sand")
    history = warehouse.query("select decision, decided_by from analysis.alarm_decision order by decided_at")
    assert history.to_pylist() == [
        {"decision": "acknowledged", "decided_by": "first"},
        {"decision": "dismissed", "decided_by": "somebody"},
    ]
    before = kept()
    with warehouse.transaction() as tx:
        tx.execute("delete from clean.alarm")
    assert alarms.make_alarms(warehouse, store).raised == first.raised
    assert kept() == before, "an alarm that is made again from nothing finds what was said of it"
    ended = warehouse.query("""select "AlarmID" from clean.alarm where "State" = 'closed' limit 1""")
    with pytest.raises(EndedAlarmError, match="was closed"):
        say(ended["AlarmID"][0].as_py(), "acknowledged", "somebody")
    figures = alarms.backtest(warehouse, store)
    assert figures["failures"] > 0
    assert (
        figures["alarms_that_came_true"] + figures["false_alarms"] + figures["not_decided_yet"]
        == first.raised
    )


def test_merging_loses_no_alarm() -> None:
    moment = datetime(2025, 3, 1)

    def row(name: str, raised: datetime, state: str, decided: bool = False) -> dict[str, Any]:
        return {
            "AlarmID": name, "NodeID": "A", "RaisedAt": raised, "State": state, "Reason": "r", "ClosedAt": None,
            "decided_by": "p" if decided else None, "decided_at": moment if decided else None, "note": None,
        }  # fmt: skip

    stored = [
        row("one", moment, "dismissed", True),
        row("two", moment - timedelta(days=90), "acknowledged", True),
    ]
    stored[1]["ClosedAt"] = None
    fresh = [row("three", moment + timedelta(days=2), "open")]
    stored[1]["ClosedAt"] = moment - timedelta(days=80)
    found = {r["AlarmID"]: r for r in alarms.merged(stored, fresh, moment + timedelta(days=5))}
    assert set(found) == {"one", "two"}
    assert found["one"]["State"] == "dismissed"
    assert found["two"]["State"] == "closed"
    assert found["two"]["decided_by"] == "p"
    # one that did not come true ends with its decision kept, and the next is asked anew
    old = [row("one", moment, "acknowledged", True)]
    ended = dict(row("one", moment, "closed"), ClosedAt=moment + timedelta(days=31))
    anew = row("next", moment + timedelta(days=32), "open")
    found = {r["AlarmID"]: r for r in alarms.merged(old, [ended, anew], moment + timedelta(days=33))}
    assert [found[name]["State"] for name in ("one", "next")] == ["closed", "open"]
    assert found["one"]["decided_by"] == "p"
    assert found["one"]["ClosedAt"] == moment + timedelta(days=31)
    assert found["next"]["decided_by"] is None


def test_a_field_without_a_day_says_so(warehouse: Warehouse, local_store: LocalStore) -> None:
    assert learn_failure_forecasters(warehouse, local_store).cutoffs == []
    assert learn_run_life(warehouse, local_store).by_cutoff == {}
    assert alarms.make_alarms(warehouse, local_store).states == {}
    assert alarms.backtest(warehouse, local_store) == {}


def test_the_assets_of_the_graph_make_their_tables(settings: Settings, warehouse: Warehouse) -> None:
    rows, _ = rows_of_field()
    last = FIRST + timedelta(days=3)
    end = datetime.combine(last + timedelta(days=1), datetime.min.time())
    put(warehouse, ("xspoc", "xdiagresults"), [row for row in rows if row["Date"] < end])
    assets = [
        each
        for each in build_graph(day_partitions(FIRST))
        if isinstance(each, dg.AssetsDefinition) and len(each.keys) == 1
    ]
    span = {
        "dagster/asset_partition_range_start": FIRST.isoformat(),
        "dagster/asset_partition_range_end": last.isoformat(),
    }
    resources = build_resources(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        for name in (
            "well_days",
            "failure_forecaster",
            "xpred",
            "run_life",
            "runlife",
            "alarm",
            "alarm_backtest",
        ):
            mine = [a for a in assets if a.key.path[-1] == name]
            tags = span if mine[0].partitions_def else {}
            done = dg.materialize(
                mine,
                instance=instance,
                resources=resources,
                tags=tags,
            )
            assert done.success, name
    counts = {
        name: warehouse.query(f"select count(*) as n from clean.{name}")["n"][0].as_py()
        for name in ("xpred", "runlife", "alarm")
    }
    assert counts == {"xpred": 4 * 4 * WELLS, "runlife": 3 * 4 * WELLS, "alarm": 0}
    assert not {"clean/well_days", "clean/xpred", "clean/runlife"} & set(current_plan(warehouse).days)
