from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.assets.graph import BY_KEY
from oasis_pipeline.automation.plan import DayRange, Plan
from oasis_pipeline.automation.sensors import DaysCursor
from oasis_pipeline.automation.staleness import (
    LONGEST_RETRY,
    days_with_rows,
    next_runs,
    ranges,
    retry_at,
    stale,
)
from oasis_pipeline.storage.ledger import State

DAYS = ["2025-03-01", "2025-03-02", "2025-03-03"]
MONDAYS = ["2025-02-24", "2025-03-03"]
"""On or before each of the days."""

FORECASTER = "models/card_forecaster"


class Ledger:
    """A ledger in memory, with the marks that the real one has."""

    def __init__(self) -> None:
        self.tick = 0
        self.states: dict[tuple[str, str], State] = {}

    def _put(self, asset: str, partition: str, **new: object) -> None:
        old = self.states.get((asset, partition), State(asset, partition, 0, 0, None, None, None, None))
        self.states[asset, partition] = State(**{**old.__dict__, **new})

    def changed(self, asset: str, *partitions: str, rows: int = 5) -> None:
        self.tick += 1
        for partition in partitions or ("",):
            self._put(asset, partition, changed_tick=self.tick, rows=rows)

    def made(self, asset: str, *partitions: str, changes: bool = True, rows: int = 5) -> None:
        self.tick += 1
        began = self.tick
        if changes:
            self.changed(asset, *partitions, rows=rows)
        for partition in partitions or ("",):
            self._put(asset, partition, made_tick=began, error=None, code_version=BY_KEY[asset].code_version)

    def failed(self, asset: str, partition: str) -> None:
        self._put(asset, partition, error="no space")

    def run(self, assets: tuple[str, ...], span: DayRange | None) -> None:
        for asset in assets:
            self.made(asset, *(span.keys() if span else MONDAYS if asset == FORECASTER else ()))

    def make_all(self) -> None:
        for _ in range(20):
            plan = stale(self.states)
            if not plan:
                return
            for assets, span in next_runs(plan):
                self.run(assets, span)
        raise AssertionError("does not settle")


def test_nothing_is_stale_in_an_empty_warehouse() -> None:
    assert not stale({})


def test_new_days_are_made_before_the_model_and_predictions_come_last() -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", *DAYS)
    ledger.changed("clean/dynalabel")
    first = next_runs(stale(ledger.states))
    assert first == [
        (
            (
                "clean/xspoc",
                "clean/dynabounds",
                "clean/carddiag",
                "clean/roddiag",
                "clean/card_features",
                "clean/well_days",
                "clean/card_days",
                "clean/trend",
            ),
            DayRange(date(2025, 3, 1), date(2025, 3, 3)),
        )
    ]
    whole = DayRange(date(2025, 3, 1), date(2025, 3, 3))
    for asset in first[0][0]:
        ledger.made(asset, *DAYS)
    models = ("models/failure_forecaster", "models/run_life", "models/dyna_classifier", FORECASTER)
    assert next_runs(stale(ledger.states)) == [(models, None)], "they need nothing of each other"
    ledger.made(FORECASTER, *MONDAYS)
    for model in models[:-1]:
        ledger.made(model)
    predictions = ("clean/dynapred", "clean/xpred", "clean/runlife", "clean/cardpred", "clean/cardanomaly")
    decisions = ("clean/wellsummary", "clean/wellstatus", "clean/setpoint", "clean/worklist")
    assert next_runs(stale(ledger.states)) == [((*predictions, *decisions), whole)]
    for asset in (*predictions, *decisions):
        ledger.made(asset, *DAYS)
    for assets in (("analysis/field_report", "clean/alarm", "clean/label_queue"), ("clean/alarm_backtest",)):
        assert next_runs(stale(ledger.states)) == [(assets, None)], "the backtest needs the alarms"
        for asset in assets:
            ledger.made(asset)
    assert not stale(ledger.states)


def test_predictions_do_not_wait_for_a_training_while_a_model_serves() -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", *DAYS)
    ledger.changed("clean/dynalabel")
    ledger.make_all()
    ledger.changed("xspoc/card", "2025-03-04")
    ledger.changed("clean/dynalabel")
    made: list[str] = []
    while plan := stale(ledger.states):
        for assets, span in next_runs(plan):
            ledger.run(assets, span)
            made += assets
    for asset in ("clean/dynapred", "clean/worklist", "clean/alarm"):
        assert made.index(asset) < made.index("models/dyna_classifier")
    ledger.changed("clean/dynalabel")
    ledger.states["models/dyna_classifier", ""] = replace(
        ledger.states["models/dyna_classifier", ""], code_version="another release"
    )
    ledger.changed("xspoc/card", "2025-03-05")
    made.clear()
    while plan := stale(ledger.states):
        for assets, span in next_runs(plan):
            ledger.run(assets, span)
            made += assets
    assert made.index("models/dyna_classifier") < made.index("clean/dynapred"), "of another release: no use"


def test_a_forecaster_is_due_for_each_monday_and_leaves_what_was_forecast_alone() -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", *DAYS)
    ledger.make_all()
    ledger.changed("clean/card_days", DAYS[0])
    assert not stale(ledger.states).whole, "another day of a week that has its forecaster"
    ledger.make_all()
    ledger.changed("clean/card_days", "2025-03-10")
    assert stale(ledger.states).whole == {FORECASTER}
    ledger.made(FORECASTER, "2025-03-10")
    assert set(stale(ledger.states).days) <= {"clean/cardpred", "clean/cardanomaly"}
    assert not {day for days in stale(ledger.states).days.values() for day in days} & set(DAYS)


def test_predictions_that_change_make_the_queue_of_cards_to_label_again() -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", *DAYS)
    ledger.make_all()
    ledger.made("clean/dynapred", DAYS[1], changes=False)
    assert not stale(ledger.states)
    ledger.made("clean/dynapred", DAYS[1], changes=True)
    assert stale(ledger.states).whole == {"clean/label_queue", "analysis/field_report"}


def test_a_late_row_makes_its_day_again_and_the_bounds_of_later_days() -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", *DAYS)
    ledger.make_all()
    ledger.changed("xspoc/card", DAYS[1])
    plan = stale(ledger.states)
    assert plan.days == {
        "clean/xspoc": {DAYS[1]},
        "clean/dynabounds": {DAYS[1], DAYS[2]},
        "clean/carddiag": {DAYS[1]},
        "clean/roddiag": {DAYS[1]},
        "clean/card_features": {DAYS[1], DAYS[2]},
        "clean/well_days": {DAYS[1]},
        "clean/card_days": {DAYS[1]},
        "clean/wellsummary": {DAYS[1]},
        "clean/setpoint": {DAYS[1], DAYS[2]},
    }
    assert not plan.whole
    # bounds of the last day come out the same, so nothing behind them is made again
    ledger.made("clean/xspoc", DAYS[1])
    ledger.made("clean/dynabounds", DAYS[1], changes=True)
    ledger.made("clean/dynabounds", DAYS[2], changes=False)
    for asset in ("clean/carddiag", "clean/roddiag", "clean/card_features"):
        ledger.made(asset, DAYS[1])
    ledger.made("clean/card_days", DAYS[1], changes=False)
    ledger.made("clean/well_days", DAYS[1], changes=False)
    # the diagnosis of the late card is part of what the next day's cards are compared with
    assert stale(ledger.states).days == {
        "clean/card_features": {DAYS[2]},
        "clean/dynapred": {DAYS[1]},
        "clean/trend": {DAYS[1], DAYS[2]},
        "clean/wellsummary": {DAYS[1]},
        "clean/setpoint": {DAYS[1], DAYS[2]},
        "clean/worklist": {DAYS[1], DAYS[2]},
    }


def test_other_cards_of_a_day_make_the_forecasts_of_later_days_again() -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", *DAYS)
    ledger.make_all()
    ledger.changed("clean/card_days", DAYS[1])
    assert stale(ledger.states).days["clean/cardpred"] == {DAYS[1], DAYS[2]}
    ledger.make_all()
    assert not stale(ledger.states)


@pytest.mark.parametrize("table", ["welldetails", "deviations", "pumpingunits"])
def test_other_equipment_makes_the_diagnosis_and_what_is_seen_of_it_again_and_nothing_else(
    table: str,
) -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", *DAYS)
    ledger.make_all()
    ledger.changed(f"xspoc/{table}")
    assert not stale(ledger.states), "the newest state says nothing of the days on which it held"
    ledger.changed(f"xspoc/{table}_history", "")
    status = ["clean/wellstatus"] if table == "welldetails" else []  # the water cut
    assert stale(ledger.states).days == {
        name: set(DAYS)
        for name in ("clean/carddiag", "clean/roddiag", "clean/card_features", "clean/setpoint", *status)
    }
    ledger.make_all()
    assert not stale(ledger.states)


@pytest.mark.parametrize("table", ["welldetails", "rods", "deviations", "pumpingunits"])
def test_days_before_another_state_stay_as_they_are(table: str) -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", *DAYS)
    ledger.make_all()
    ledger.changed(f"xspoc/{table}_history", DAYS[1])
    assert stale(ledger.states).days["clean/carddiag"] == {DAYS[1], DAYS[2]}
    # a state on a day without cards counts for the days after it
    ledger.make_all()
    ledger.changed(f"xspoc/{table}_history", "2025-02-27")
    assert stale(ledger.states).days["clean/carddiag"] == set(DAYS)
    ledger.make_all()
    ledger.changed(f"xspoc/{table}_history", "2025-04-01")
    assert not stale(ledger.states)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=12))
def test_a_day_is_stale_exactly_when_a_state_from_before_it_is_newer(events: list[tuple[bool, int]]) -> None:
    days = [f"2025-03-0{n}" for n in range(1, 5)]
    ledger = Ledger()
    ledger.changed("xspoc/card", *days)
    ledger.make_all()
    fresh = set(days)
    for made, place in events:
        if made:
            ledger.made("clean/carddiag", *days[:place], changes=False)
            fresh |= set(days[:place])
        else:
            ledger.changed("xspoc/rods_history", ["", *days][place])
            fresh -= set(days[max(place - 1, 0) :])
        assert stale(ledger.states).days.get("clean/carddiag", set()) == set(days) - fresh


def test_another_rod_string_makes_bounds_and_diagnosis_again() -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", *DAYS)
    ledger.make_all()
    ledger.changed("xspoc/rods_history", "")
    assert set(stale(ledger.states).days) == {
        "clean/dynabounds",
        "clean/carddiag",
        "clean/roddiag",
        "clean/card_features",
        "clean/xpred",
        "clean/cardpred",
        "clean/setpoint",
    }


def test_new_labels_teach_the_model_but_leave_predictions_alone() -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", *DAYS)
    ledger.make_all()
    ledger.changed("clean/dynalabel")
    plan = stale(ledger.states)
    assert plan.whole == {"models/dyna_classifier", "clean/label_queue"}
    assert plan.days == {}


def test_days_of_a_base_model_are_predicted_again() -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", *DAYS)
    ledger.make_all()
    assert stale(ledger.states, other_days=[DAYS[0]]).days == {"clean/dynapred": {DAYS[0]}}


def test_a_row_that_arrives_while_a_day_is_made_leaves_it_stale() -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", DAYS[0])
    ledger.make_all()
    ledger.tick += 1
    began = ledger.tick
    ledger.changed("xspoc/card", DAYS[0])
    ledger._put("clean/xspoc", DAYS[0], made_tick=began)
    assert DAYS[0] in stale(ledger.states).days["clean/xspoc"]


def test_what_failed_is_due_again() -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", DAYS[0])
    ledger.make_all()
    ledger.failed("clean/dynabounds", DAYS[0])
    assert stale(ledger.states).days == {"clean/dynabounds": {DAYS[0]}}


def test_a_day_that_lost_its_rows_is_made_again_and_then_no_more() -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", *DAYS)
    ledger.make_all()
    ledger.changed("xspoc/card", DAYS[2], rows=0)
    assert days_with_rows(ledger.states) == DAYS[:2]
    assert stale(ledger.states).days["clean/xspoc"] == {DAYS[2]}
    ledger.make_all()
    assert not stale(ledger.states)


def test_days_that_need_the_same_are_one_run_and_gaps_end_it() -> None:
    plan = Plan(
        {"clean/xspoc": {"2025-01-01", "2025-01-02", "2025-02-01"}, "clean/dynabounds": {"2025-01-02"}}
    )
    assert next_runs(plan) == [
        (("clean/xspoc",), DayRange(date(2025, 1, 1), date(2025, 1, 1))),
        (("clean/xspoc",), DayRange(date(2025, 2, 1), date(2025, 2, 1))),
        (("clean/xspoc", "clean/dynabounds"), DayRange(date(2025, 1, 2), date(2025, 1, 2))),
    ]


def test_decisions_that_change_on_some_days_are_one_run_and_nothing_failed_or_dear_is_made_along() -> None:
    days = [(date(2025, 2, 24) + timedelta(days=n)).isoformat() for n in range(12)]
    ledger = Ledger()
    ledger.changed("xspoc/card", *days)
    ledger.make_all()
    ledger.changed("clean/wellstatus", days[0], days[2], days[3], days[9])
    whole = DayRange(date(2025, 2, 24), date(2025, 3, 7))
    plan = stale(ledger.states)
    assert plan.days["clean/worklist"] == {days[n] for n in (0, 2, 3, 9)}
    assert next_runs(plan) == [(("clean/setpoint", "clean/worklist"), whole)]
    ledger.failed("clean/worklist", days[5])
    spans = [span for assets, span in next_runs(stale(ledger.states, now=None)) if "clean/worklist" in assets]
    assert sorted(itertools.chain(*(span.keys() for span in spans))) == sorted(set(days)), (
        "due again without a clock"
    )
    ledger.make_all()
    ledger.changed("xspoc/card", days[1], days[3])
    runs = next_runs(stale(ledger.states))
    assert {span for assets, span in runs if "clean/carddiag" in assets} == {
        DayRange(date(2025, 2, 25), whole.last)
    }
    ledger.made("clean/carddiag", days[2], rows=5_000)
    runs = next_runs(stale(ledger.states))
    assert [span.first for assets, span in runs if "clean/carddiag" in assets] == [
        date(2025, 2, n) for n in (25, 27)
    ], "so many diagnoses between them stay as they are"
    ledger.make_all()
    assert not stale(ledger.states)


@given(st.sets(st.integers(0, 400)))
def test_ranges_hold_exactly_the_days_and_never_touch(numbers: set[int]) -> None:
    days = {(date(2024, 1, 1) + timedelta(days=n)).isoformat() for n in numbers}
    found = ranges(days)
    assert sorted(key for span in found for key in DayRange.keys(span)) == sorted(days)
    assert all((b.first - a.last).days > 1 for a, b in itertools.pairwise(found))


READINGS = ("iot/readings", "iot/databatch", "iot/profile", "iot/regular")


def test_a_field_without_readings_sees_no_run_of_them() -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", *DAYS)
    assert not set(stale(ledger.states).days) & set(READINGS)
    ledger.make_all()
    assert not {asset for asset, _ in ledger.states} & set(READINGS)


def test_days_of_readings_are_days_of_their_own_and_go_in_runs_of_their_own() -> None:
    ledger = Ledger()
    ledger.changed("iot/rawdata", "2025-03-02", "2025-03-09")
    plan = stale(ledger.states)
    assert plan.days == {asset: {"2025-03-02", "2025-03-09"} for asset in READINGS}
    assert plan.whole == set()
    ledger.changed("xspoc/card", *DAYS)
    assert "2025-03-09" not in stale(ledger.states).days["clean/carddiag"]
    for _ in range(20):
        plan = stale(ledger.states)
        if not plan:
            break
        for assets, span in next_runs(plan):
            assert set(assets) <= set(READINGS) or not set(assets) & set(READINGS)
            ledger.run(assets, span)
    assert not plan


def test_late_readings_make_their_day_with_all_that_depends_on_it() -> None:
    ledger = Ledger()
    ledger.changed("iot/rawdata", *DAYS)
    ledger.make_all()
    assert not stale(ledger.states)
    ledger.changed("iot/rawdata", DAYS[1])
    assert stale(ledger.states).days == {asset: {DAYS[1]} for asset in READINGS}
    # readings that came out otherwise, by a run of theirs alone
    ledger.made("iot/readings", DAYS[1])
    assert stale(ledger.states).days == {asset: {DAYS[1]} for asset in READINGS[1:]}


def test_what_another_code_version_made_is_stale_and_what_rests_on_it_only_if_it_changes() -> None:
    ledger = Ledger()
    ledger.changed("xspoc/card", *DAYS)
    ledger.make_all()
    ledger._put("clean/carddiag", DAYS[0], code_version="0")
    assert stale(ledger.states).days == {"clean/carddiag": {DAYS[0]}}
    ledger.made("clean/carddiag", DAYS[0], changes=False)
    assert not stale(ledger.states)
    ledger._put("models/run_life", "", code_version=None)
    plan = stale(ledger.states)
    assert (plan.whole, plan.upgraded) == ({"models/run_life"}, {"models/run_life"})


def test_what_failed_waits_and_so_does_the_same_day_of_what_is_made_from_it() -> None:
    ledger, now = Ledger(), datetime(2025, 4, 1, tzinfo=UTC)
    ledger.changed("xspoc/card", *DAYS)
    ledger.make_all()
    ledger.changed("xspoc/card", DAYS[0])
    ledger._put(
        "clean/dynabounds", DAYS[0], error="no space", failed_at=now, failed_tick=ledger.tick, failures=2
    )
    plan = stale(ledger.states, now=now + timedelta(seconds=59))
    assert DAYS[0] not in plan.days["clean/dynabounds"]
    assert plan.waiting.keys() == {
        (asset, DAYS[0])
        for asset in ("clean/dynabounds", "clean/card_features", "clean/card_days", "clean/well_days")
    }
    assert DAYS[1] in plan.days["clean/dynabounds"], "what looks back on it goes on with what there is"
    assert DAYS[0] in plan.days["clean/carddiag"]
    assert DAYS[0] in stale(ledger.states, now=now + timedelta(seconds=61)).days["clean/dynabounds"]
    ledger.changed("xspoc/rods_history", DAYS[0])
    assert DAYS[0] in stale(ledger.states, now=now).days["clean/dynabounds"], "something has changed"
    first = replace(ledger.states["clean/dynabounds", DAYS[0]], failures=1)
    assert retry_at(first) == now, "the next pass tries once more"
    assert retry_at(replace(first, failures=4)) == now + timedelta(minutes=16)
    assert retry_at(replace(first, failures=40)) == now + timedelta(hours=6)


def test_the_sensor_of_days_asks_again_when_the_ledger_has_changed_or_long_after() -> None:
    cursor = DaysCursor.parse("12:left,by,an,earlier,release").at(5, 100.0)
    cursor.asked |= {"a"}
    again = DaysCursor.parse(str(cursor))
    assert again == cursor
    assert again.at(5, 200.0).asked == {"a"}
    assert again.at(6, 200.0).asked == set()
    late = again.at(5, 100.0 + LONGEST_RETRY.total_seconds())
    assert (late.asked, late.key) != (set(), again.key), "Dagster starts each key once"
    assert late.asked == set()
