"""The report of the field's data on a real PostgreSQL: what is counted, the period, and the asset that keeps it."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.assets.analysis import FIELD_REPORT
from oasis_pipeline.assets.common import day_partitions
from oasis_pipeline.assets.graph import build_graph
from oasis_pipeline.assets.resources import build_resources
from oasis_pipeline.automation.staleness import current_plan
from oasis_pipeline.learning.weak_labels import read_vendor_rules
from oasis_pipeline.operations import analysis_facts
from oasis_pipeline.operations.analysis_facts import Scope, find_well, held_days, report_facts, scope_of
from oasis_pipeline.operations.analysis_report import FIELD_FILE, kept_field_report, make_report
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.objects import open_store
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.operations.test_decisions import put

FIRST = date(2025, 3, 1)
DAYS = 20
STEADY, GAPS, SILENT = "Steady 1", "Gaps <s>2</s>", "Silent 3"
RULES = read_vendor_rules()

days = st.dates(date(1, 1, 1), date(9999, 12, 31))


@given(days, days, st.none() | days, st.none() | days)
def test_a_period_lies_within_the_days_that_there_are_or_is_told_to_be_none(one, other, first, last):
    held = min(one, other), max(one, other)
    try:
        scope = scope_of(held, first, last)
    except ValueError:
        assert (first is not None and last is not None and first > last) or (
            (first is not None and first > held[1]) or (last is not None and last < held[0])
        )
        return
    assert held[0] <= scope.first <= scope.last <= held[1]
    assert first is None or scope.first == max(first, held[0])
    assert last is None or scope.last == min(last, held[1])
    assert first is not None or scope.days <= analysis_facts.USUAL_DAYS


@pytest.fixture
def field(warehouse: Warehouse) -> Warehouse:
    """One well that sends every eight hours, one that sends nothing for five days and has an outlier, one that is known only."""
    cards: list[dict[str, Any]] = []
    for well in (STEADY, GAPS):
        for number in range(3 * DAYS):
            moment = datetime(2025, 3, 1, 2) + timedelta(hours=8 * number)
            if well == STEADY or not 5 <= number // 3 < 10:
                cards.append(
                    {"NodeID": well, "Date": moment, "SPM": 8.0 if well == STEADY else None, "Runtime": 24.0}
                )
    wave = [98.0, 97.0, 96.0]
    diagnosed = [
        {
            "NodeID": card["NodeID"],
            "Date": card["Date"],
            "fillage_pct": wave[place % 3],
            "pprl_lbf": 15_000.0 + 10.0 * (place % 7),
            "pump_card_source": "computed",
            "quality": "",
            "report": "",
        }
        for place, card in enumerate(cards)
    ]
    diagnosed[-1]["fillage_pct"] = 12.0
    results = [
        {
            "NodeID": row["NodeID"],
            "Date": row["Date"],
            "FillagePct": row["fillage_pct"] - 2.0,
            "PumpCond1": "Full pump" if row["NodeID"] == STEADY else "Fluid pound",
        }
        for row in diagnosed
    ]
    classes = [
        {
            "NodeID": row["NodeID"],
            "Date": row["Date"],
            "Label1": "Full Pump",
            "Prob1": 97.0,
            "ModelVersion": "m",
            "in_training": False,
        }
        for row in diagnosed
    ]
    failures = [
        {
            "NodeID": GAPS,
            "Failure Start Date": datetime(2025, 3, 6),
            "Failure End Date": datetime(2025, 3, 10),
            "Failures": "Pump",
            "failure_class": "Pump",
            "known_from": datetime(2025, 3, 7),
        }
    ]
    nodes = [{"node_key": n.lower(), "NodeID": n, "from_welldetails": True} for n in (STEADY, GAPS, SILENT)]
    rejected = [
        {
            "Kind": "CardData",
            "SourceFile": "a.csv",
            "RowNumber": 1,
            "Date": datetime(2025, 3, 3),
            "NodeID": STEADY,
            "Reason": "SPM: '<i>' is not a number",
        },
        {
            "Kind": "CardData",
            "SourceFile": "a.csv",
            "RowNumber": 2,
            "Date": datetime(2025, 3, 9),
            "NodeID": GAPS,
            "Reason": "SPM: '##' is not a number",
        },
        {"Kind": "CardData", "SourceFile": "b.csv", "RowNumber": 3, "Reason": "Date: is empty"},
    ]
    for row in rejected:
        row["RejectedAt"] = datetime.fromisoformat("2025-04-01T00:00:00+00:00")
    for schema, name, rows in (
        ("xspoc", "node", nodes),
        ("xspoc", "card", cards),
        ("clean", "carddiag", diagnosed),
        ("xspoc", "xdiagresults", results),
        ("clean", "dynapred", classes),
        ("analysis", "failure_info", failures),
        ("xspoc", "rejected", rejected),
    ):
        put(warehouse, schema, name, rows)
    return warehouse


@pytest.mark.server
def test_what_is_counted_of_the_field(field: Warehouse) -> None:
    held = held_days(field)
    assert held == (FIRST, FIRST + timedelta(days=DAYS - 1))
    facts = report_facts(field, scope_of(held), RULES)
    gaps, steady = facts["wells"]
    assert (gaps["NodeID"], gaps["cards"], gaps["days"], gaps["share"]) == (GAPS, 45, 15, 0.75)
    assert (gaps["longest_h"], gaps["longest_until"]) == (128.0, datetime(2025, 3, 11, 2))
    assert (steady["days"], steady["usual_h"], steady["longest_h"]) == (20, 8.0, 8.0)
    assert facts["silent"] == [SILENT]
    assert sum(facts["cadence"]) == 45 + 60 - 2
    assert facts["cadence"][analysis_facts.GAP_HOURS.index(8.0) + 1] == 102, "eight hours is not under eight"
    assert facts["grid"]["counts"].sum() == 105
    assert facts["grid"]["counts"][0].tolist() == [3] * 5 + [0] * 5 + [3] * 10
    of_cards, of_vendor = facts["missing"][:2]
    assert of_cards["rows"] == 105
    assert dict(of_cards["some"]) == {"SPM": pytest.approx(45 / 105)}
    assert {"surfcard", "Fillage"} <= set(of_cards["never"])
    assert of_cards["always"] == ["Runtime"]
    assert {"FillagePct", "PumpCond1"} == set(of_vendor["always"])
    assert facts["quantities"]["fillage_pct"].count == 105
    assert facts["quantities"]["SPM"].count == 60
    (outlier,) = facts["outliers"]["shown"]
    assert (outlier["NodeID"], outlier["Date"]) == (GAPS, datetime(2025, 3, 20, 18))
    assert [(each["name"], each["value"], each["median"]) for each in outlier["quantities"]] == [
        ("fillage_pct", 12.0, 97.0)
    ]
    labels = facts["vendor"]["labels"]
    assert (labels["cards"], labels["compared"], labels["same"]) == (105, 105, 60)
    assert labels["texts"] == ["Full pump", "Fluid pound"]
    assert labels["table"] == [[60], [45]]
    (fillage,) = facts["vendor"]["quantities"]
    assert (fillage["ours"], fillage["cards"], fillage["bias"], fillage["far"]) == (
        "fillage_pct",
        105,
        2.0,
        False,
    )
    (pump,) = facts["failures"]
    assert (pump["component"], pump["failures"], pump["open"], pump["down_days"]) == ("Pump", 1, 0, 4.0)
    assert (pump["life"].ended, pump["life"].censored) == (1, 2)
    assert [(row["rows"], row["files"]) for row in facts["rejects"]["reasons"]] == [(2, 1), (1, 1)]


@pytest.mark.server
def test_a_period_and_a_well_count_their_own_rows_only(field: Warehouse) -> None:
    facts = report_facts(field, Scope(date(2025, 3, 4), date(2025, 3, 5), GAPS), RULES)
    assert [(row["NodeID"], row["cards"]) for row in facts["wells"]] == [(GAPS, 6)]
    assert facts["silent"] == []
    assert facts["sample"]["cards"] == 6
    assert facts["missing"][0]["rows"] == 6
    assert facts["failures"] == [], "not known yet at the end of this period"
    assert facts["rejects"]["reasons"] == []
    assert facts["vendor"]["labels"]["cards"] == 6
    empty = report_facts(field, Scope(date(2025, 3, 7), date(2025, 3, 8), GAPS), RULES)
    assert empty["wells"] == []
    assert empty["silent"] == [GAPS]
    assert [(row["failures"], row["known"]) for row in empty["failures"]] == [(0, 1)]
    html = make_report(field, Scope(date(2025, 3, 7), date(2025, 3, 8), GAPS), RULES).document
    assert "No card in this period" in html


@pytest.mark.server
def test_of_too_many_cards_a_part_is_read_and_the_report_says_so(
    field: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analysis_facts, "SAMPLE_CARDS", 40)
    scope = Scope(FIRST, FIRST + timedelta(days=DAYS - 1))
    facts = report_facts(field, scope, RULES)
    assert facts["sample"]["every"] == 3
    assert 10 < facts["sample"]["cards"] < 70
    assert facts["wells"][0]["cards"] == 45, "what is counted is counted in full"
    assert report_facts(field, scope, RULES)["sample"] == facts["sample"], "the same cards again"
    assert "one card in 3" in make_report(field, scope, RULES).document


@pytest.mark.server
def test_the_file_needs_nothing_else_and_holds_no_mark_up_of_the_data(field: Warehouse) -> None:
    report = make_report(field, Scope(FIRST, FIRST + timedelta(days=DAYS - 1)), RULES)
    for text in (report.document, report.body):
        assert "<s>" not in text
        assert "<i>" not in text
        assert "Gaps &lt;s&gt;2&lt;/s&gt;" in text
    assert not re.findall(r'(?:src|href)="', report.document)
    assert "/well/Gaps%20%3Cs%3E2%3C%2Fs%3E" in report.body
    assert "105 cards of 2 wells in 20 days" in report.summary
    assert "agree on 57 % of 105 cards" in report.summary


@pytest.mark.server
def test_a_well_is_found_in_any_spelling(field: Warehouse) -> None:
    assert find_well(field, "  steady   1 ") == STEADY
    assert find_well(field, "Stead") is None
    assert find_well(field, "\x00") is None
    assert find_well(field, "') or true --") is None


@pytest.fixture
def house(field: Warehouse, settings: Settings) -> Settings:
    with field.transaction() as tx:
        for asset in ("xspoc/card", "clean/xspoc", "clean/carddiag"):
            ledger.mark_changed(tx, asset, {FIRST.isoformat(): 6})
    return settings


def materialize(settings: Settings, **config: str) -> dict[str, Any]:
    graph = build_graph(day_partitions(FIRST))
    mine = [
        each
        for each in graph
        if isinstance(each, dg.AssetsDefinition) and dg.AssetKey(FIELD_REPORT.split("/")) in each.keys
    ]
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            mine,
            instance=instance,
            resources=build_resources(settings),
            run_config={"ops": {"analysis__field_report": {"config": config}}} if config else None,
        )
        assert done.success
        (event,) = done.asset_materializations_for_node("analysis__field_report")
        return {name: each.value for name, each in event.metadata.items()}


@pytest.mark.server
def test_the_asset_keeps_the_newest_days_and_is_made_when_its_inputs_change(
    house: Settings, field: Warehouse
) -> None:
    store = open_store(house)
    assert FIELD_REPORT in current_plan(field).whole
    assert kept_field_report(store) is None
    shown = materialize(house)
    assert shown["period"] == "2025-03-01 to 2025-03-20"
    assert shown["page"] == "/analysis?from=2025-03-01&to=2025-03-20"
    assert "105 cards of 2 wells" in shown["summary"]
    assert shown["report"].endswith(FIELD_FILE)
    assert store.get_bytes(FIELD_FILE).decode().startswith("<!doctype html>")
    kept = kept_field_report(store)
    assert kept is not None
    assert kept.scope == Scope(FIRST, date(2025, 3, 20))
    assert "Coverage and gaps" in kept.body
    assert FIELD_REPORT not in current_plan(field).whole
    with field.transaction() as tx:
        ledger.mark_changed(tx, "analysis/failure_info", {"": 1})
    assert FIELD_REPORT in current_plan(field).whole


@pytest.mark.server
def test_a_run_may_ask_for_another_period_and_a_well(house: Settings) -> None:
    store = open_store(house)
    shown = materialize(house, first="2025-03-02", last="2025-03-04", well="steady 1")
    assert shown["period"] == "2025-03-02 to 2025-03-04"
    assert "9 cards of 1 well in 3 days" in shown["summary"]
    assert kept_field_report(store) is None, "the report of the newest days is another one"
    (path,) = store.list("analysis/")
    assert "Data of Steady 1, 2 Mar 2025 to 4 Mar 2025" in store.get_bytes(path).decode()
    with pytest.raises(ValueError, match="no well 'nobody'"):
        materialize(house, well="nobody")
    with pytest.raises(ValueError, match="days such as 2025-03-31"):
        materialize(house, first="yesterday")
