"""Dagster's own stale marks against the ledger, partition by partition, on a graph that a pass has made."""

from __future__ import annotations

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from oasis_pipeline.assets.declaration import Calendar
from oasis_pipeline.assets.graph import BY_KEY, GRAPH
from oasis_pipeline.automation.instance import open_instance
from oasis_pipeline.automation.passes import run_pass
from oasis_pipeline.automation.recording import record_intake
from oasis_pipeline.automation.staleness import current_plan, days_with_rows
from oasis_pipeline.definitions import build_definitions
from oasis_pipeline.intake import take_in
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.objects import open_store
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.end_to_end.test_upgrade import _own_environment, address_of, earlier, upgraded

__all__ = ["_own_environment", "earlier", "upgraded"]
pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(2400)]


def marks(settings: Settings, warehouse: Warehouse, instance: dg.DagsterInstance) -> tuple[set, set]:
    """What the ledger and what Dagster call stale."""
    plan, states = current_plan(warehouse), ledger.states(warehouse)
    ours = {(a, day) for a, days in plan.days.items() for day in days} | {(a, "") for a in plan.whole}
    graph = build_definitions(settings).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    days = {calendar: days_with_rows(states, calendar.value) for calendar in Calendar}
    theirs = {
        (asset.key, day)
        for asset in GRAPH
        for day in (days[asset.calendar] if asset.partitioned else [""])
        if resolver.get_status(asset.asset_key, day or None) is not StaleStatus.FRESH
    }
    return ours, theirs


def test_dagster_marks_what_the_ledger_calls_stale(earlier: Settings, upgraded: Warehouse) -> None:
    run_pass(earlier)
    instance, store = open_instance(earlier, address_of(earlier)), open_store(earlier)

    def arrive(name: str, *lines: str) -> set[str]:
        (earlier.drop / name).write_text("\n".join(lines) + "\n")
        record_intake(instance, upgraded, take_in(upgraded, store, earlier))
        ours, theirs = marks(earlier, upgraded, instance)
        assert ours == theirs
        return {asset for asset, _ in ours}

    assert marks(earlier, upgraded, instance) == (set(), set())
    label = upgraded.query('select * from clean.dynalabel order by "NodeID", "Date" limit 1').to_pylist()[0]
    well = label["NodeID"]
    new = "Full Pump" if label["TrueLabel1"] == "Fluid Pound" else "Fluid Pound"
    stale = arrive("Labels.E2E.20250401.0900.csv", "NodeID,Date,TrueLabel1", f"{well},{label['Date']},{new}")
    assert stale == {"models/dyna_classifier", "clean/label_queue"}
    header, *rows = next((earlier.home / "later").glob("CardData*0109*")).read_text().splitlines()
    place = header.split(",").index("Date")
    card = max(rows, key=len).split(",")
    card[place] = "2025-01-05 13:31:07"
    assert "clean/dynabounds" in arrive("CardData.E2E.20250402.1200.csv", header, ",".join(card))
    rods = upgraded.query(
        'select * from xspoc.rods where "NodeID" = $1 order by "RodNum"', (well,)
    ).to_pylist()
    texts = [f"{well},{r['RodNum']},{r['Grade']},{r['Length'] + 25},{r['Diameter']}" for r in rods]
    stale = arrive("Rods.E2E.20250106.0600.csv", "NodeID,RodNum,Grade,Length,Diameter", *texts)
    assert {"clean/xpred", "clean/cardpred"} <= stale
    before = BY_KEY["clean/trend"].code_version
    object.__setattr__(BY_KEY["clean/trend"], "code_version", "another")
    try:
        ours, theirs = marks(earlier, upgraded, instance)
    finally:
        object.__setattr__(BY_KEY["clean/trend"], "code_version", before)
        instance.dispose()
    assert ours == theirs
    assert "clean/trend" in {asset for asset, _ in ours}
