"""Rows of ``clean.carddiag`` and ``clean.roddiag`` on a real PostgreSQL: cards and equipment that a test puts there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from oasis_pipeline.assets import clean
from oasis_pipeline.assets.common import day_partitions
from oasis_pipeline.assets.graph import build_graph, evaluate
from oasis_pipeline.assets.resources import build_resources
from oasis_pipeline.assets.vendor_check import PAIRS, compare_with_vendor
from oasis_pipeline.operations import diagnosis
from oasis_pipeline.operations.days import Days, store_days
from oasis_pipeline.operations.diagnosis import (
    CARDDIAG,
    RODDIAG,
    DiagnosedDay,
    diagnosed_days,
    summaries_by_day,
)
from oasis_pipeline.operations.features import STORED_FEATURES, feature_rows, features_of
from oasis_pipeline.operations.wells import EquipmentStates, equipment_of
from oasis_pipeline.physics.diagnosis.quantities import PUMP_COLUMNS, SENSOR_COLUMNS, SURFACE_COLUMNS
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.simulator import SimulatedCards, parameters, simulate
from oasis_pipeline.physics.unit import PumpingUnit
from oasis_pipeline.schema import Table, arrow_schema, history_of, table
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Warehouse

pytestmark = pytest.mark.server

DAY = date(2025, 3, 2)


def diagnose_day(warehouse: Warehouse, day: date, card_damping: float = math.nan) -> DiagnosedDay:
    """Diagnose one day."""
    ((_, found),) = diagnosed_days(warehouse, Days(day, day), card_damping)
    return found


NOON = datetime(2025, 3, 2, 12)
LENGTHS, SIZES = [1690.0, 3310.0], [0.875, 0.75]
DETAILS = {
    "PumpDepth": 5000.0,
    "TubingPressure": 100.0,
    "CasingPressure": 50.0,
    "FluidSpecificGravity": 1.0,
    "SPM": 8.0,
    "TubingAnchored": True,
    "PlungerDiam": 1.75,
    "Clearance": 0.005,
    "Viscosity": 2.0,
}
UNIT = {
    "UnitType": "Conventional",
    "Rotation": "CW",
    "A": 129.0, "C": 111.09, "I": 111.0, "K": 151.34, "P": 114.0, "R": 42.0,
    "GearboxRating": 456_000.0,
    "StructuralRating": 30_500.0,
    "CounterbalanceMoment": 420_000.0,
    "CrankOffset": 0.0,
}  # fmt: skip
RODS = [{"RodNum": i + 1, "Grade": "D", "Length": LENGTHS[i], "Diameter": SIZES[i]} for i in range(2)]


@pytest.fixture(scope="module")
def simulated() -> SimulatedCards:
    """A full pump and one that is half filled, of the well described above."""
    rods = RodString.from_sections(LENGTHS, SIZES, ["D", "D"])
    unit = PumpingUnit.simple_harmonic(100.0)
    state = parameters(
        2,
        spm=8.0,
        discharge_psi=100.0 + 62.4 / 144.0 * 5000.0,
        intake_psi=[200.0, 50.0],
        gas_fraction=[0.0, 0.5],
    )
    return simulate(rods, unit, state)


def put(warehouse: Warehouse, target: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    names = [name for name in target.column_names if any(name in row for row in rows)]
    schema = pa.schema([arrow_schema(target).field(name).with_nullable(True) for name in names])
    with warehouse.transaction() as tx:
        tx.upsert(
            target, pa.Table.from_pylist([{n: row.get(n) for n in names} for row in rows], schema=schema)
        )


def equipment(warehouse: Warehouse, node: str, since: datetime = datetime(2025, 1, 1), **parts: Any) -> None:
    """Put a state of a well's equipment: details, rods, unit and survey as given."""
    if "details" in parts:
        put(
            warehouse,
            history_of(table("xspoc", "welldetails")),
            [{"NodeID": node, "ValidFrom": since, **parts["details"]}],
        )
    if "rods" in parts:
        put(
            warehouse,
            history_of(table("xspoc", "rods")),
            [{"NodeID": node, "ValidFrom": since, **row} for row in parts["rods"]],
        )
    if "unit" in parts:
        put(
            warehouse,
            history_of(table("xspoc", "pumpingunits")),
            [{"NodeID": node, "ValidFrom": since, **parts["unit"]}],
        )
    if "survey" in parts:
        put(
            warehouse,
            history_of(table("xspoc", "deviations")),
            [{"NodeID": node, "ValidFrom": since, **row} for row in parts["survey"]],
        )


def card(node: str, when: datetime, surface: Any = None, pump: Any = None, **values: Any) -> dict[str, Any]:
    row = {
        "NodeID": node,
        "Date": when,
        "file_stamp": datetime(2025, 4, 1),
        "SPM": 8.0,
        "Runtime": 24.0,
        **values,
    }
    for prefix, points in (("surfcard", surface), ("pocdowncard", pump)):
        row[f"{prefix}_fault"] = None if points is not None else "no card"
        if points is not None:
            row[f"{prefix}_position"], row[f"{prefix}_load"] = (
                np.asarray(v, np.float32).tolist() for v in points
            )
    return row


def surface_of(simulated: SimulatedCards, i: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return simulated.surface_position_in[i], simulated.surface_load_lbf[i]


def pump_of(simulated: SimulatedCards, i: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return simulated.pump_position_in[i], simulated.pump_load_lbf[i]


def put_cards(warehouse: Warehouse, *rows: dict[str, Any]) -> None:
    put(warehouse, table("xspoc", "card"), rows)


def rows_of(found: DiagnosedDay) -> dict[tuple[str, datetime], dict[str, Any]]:
    return {(row["NodeID"], row["Date"]): row for row in found.cards.to_pylist()}


def test_the_table_has_the_columns_of_the_diagnosis() -> None:
    computed = {*PUMP_COLUMNS, *SURFACE_COLUMNS, *SENSOR_COLUMNS, "pump_card_source", "quality", "report"}
    assert set(CARDDIAG.value_columns) == computed


def test_a_known_well_is_diagnosed_as_the_simulator_made_it(
    warehouse: Warehouse, simulated: SimulatedCards
) -> None:
    equipment(warehouse, "A 1", details=DETAILS, rods=RODS, unit=UNIT)
    put_cards(
        warehouse,
        card("A 1", NOON, surface_of(simulated)),
        card("A 1", NOON + timedelta(hours=1), surface_of(simulated, 1)),
        card("A 1", NOON + timedelta(days=1), surface_of(simulated, 1)),
    )
    found = diagnose_day(warehouse, DAY)
    assert found.cards.num_rows == 2
    assert found.cards.schema.equals(arrow_schema(CARDDIAG))
    for i, row in enumerate(found.cards.to_pylist()):
        for name, within in (
            ("fillage_pct", 2.5),
            ("pump_intake_pressure_psi", 60.0),
            ("net_stroke_in", 2.5),
        ):
            assert row[name] == pytest.approx(simulated.truth[name][i], abs=within), name
        assert row["pump_card_source"] == "computed"
        assert "no_rods" not in row["quality"]
        assert "fillage" in row["report"]
        assert row["gearbox_load_pct"] > 0.0
    rods = found.rods.to_pylist()
    assert found.rods.schema.equals(arrow_schema(RODDIAG))
    assert [(row["RodNum"], row["length_ft"], row["diameter_in"], row["grade"]) for row in rods] == [
        (1, 1690.0, 0.875, "D"),
        (2, 3310.0, 0.75, "D"),
    ] * 2
    worst = max(row["loading_pct"] for row in rods[:2])
    assert worst == pytest.approx(found.cards["max_rod_load_pct"][0].as_py())
    assert rods[0]["top_max_stress_psi"] == pytest.approx(
        found.cards["pprl_lbf"][0].as_py() / (np.pi / 4 * 0.875**2)
    )


def test_pump_cards_are_given_with_the_damping_that_is_set(
    warehouse: Warehouse, simulated: SimulatedCards
) -> None:
    equipment(warehouse, "A 1", details=DETAILS, rods=RODS, unit=UNIT)
    put_cards(warehouse, card("A 1", NOON, surface_of(simulated)))
    (usual,), (asked,) = (diagnose_day(warehouse, DAY, *set_).cards.to_pylist() for set_ in ((), (0.2,)))
    assert (usual["damping"], asked["damping"]) == (0.01, 0.2)
    assert asked["balance_damping"] == usual["balance_damping"] > 0.02
    assert asked["fluid_load_lbf"] == usual["fluid_load_lbf"]


def test_a_card_is_diagnosed_with_the_equipment_of_its_time(
    warehouse: Warehouse, simulated: SimulatedCards
) -> None:
    equipment(warehouse, "A 1", datetime(2025, 3, 2, 6), details={**DETAILS, "PlungerDiam": 1.5}, rods=RODS)
    equipment(warehouse, "A 1", datetime(2025, 3, 2, 14), details={**DETAILS, "PlungerDiam": 2.0})
    equipment(
        warehouse, "A 1", datetime(2025, 3, 9), details={**DETAILS, "PlungerDiam": 9.0}, rods=[{**RODS[0]}]
    )
    hours = {3: 1.5, 6: 1.5, 13: 1.5, 14: 2.0, 23: 2.0}
    put_cards(warehouse, *(card("A 1", datetime(2025, 3, 2, hour), surface_of(simulated)) for hour in hours))
    rows = rows_of(diagnose_day(warehouse, DAY))
    swept = {when.hour: row["gross_displacement_bpd"] for (_, when), row in rows.items()}
    for hour, diameter in hours.items():
        assert swept[hour] / swept[3] == pytest.approx((diameter / 1.5) ** 2, rel=1e-9), hour
        # the rods of the first state hold on beside the new details
        assert rows["A 1", datetime(2025, 3, 2, hour)]["pump_card_source"] == "computed"


def test_the_first_state_holds_for_all_time_before(warehouse: Warehouse) -> None:
    equipment(warehouse, "A 1", datetime(2026, 1, 1), details=DETAILS)
    span = Days(DAY, DAY)
    states = EquipmentStates.read(warehouse, ["A 1", "nobody"], span.begin, span.end)
    assert states.found[states.index("A 1", NOON)].well.plunger_diameter_in == 1.75
    assert np.isnan(states.found[states.index("nobody", NOON)].well.plunger_diameter_in)


def test_wells_without_equipment_get_what_the_card_alone_gives(
    warehouse: Warehouse, simulated: SimulatedCards
) -> None:
    put_cards(
        warehouse,
        card("bare", NOON, surface_of(simulated)),
        card("with pump card", NOON, surface_of(simulated), pump_of(simulated)),
        card("pump card only", NOON, None, pump_of(simulated, 1)),
        card("nothing", NOON),
    )
    found = diagnose_day(warehouse, DAY)
    rows = {node: row for (node, _), row in rows_of(found).items()}
    assert set(rows) == {"bare", "with pump card", "pump card only"}
    assert found.rods.num_rows == 0
    assert rows["bare"]["pprl_lbf"] == pytest.approx(simulated.surface_load_lbf[0].max(), rel=1e-6)
    assert rows["bare"]["polished_rod_power_hp"] > 0.0
    assert rows["bare"]["fillage_pct"] is None
    assert rows["bare"]["pump_card_source"] == "none"
    assert rows["with pump card"]["pump_card_source"] == "poc"
    assert rows["pump card only"]["pprl_lbf"] is None
    assert rows["pump card only"]["fillage_pct"] == pytest.approx(simulated.truth["fillage_pct"][1], abs=4.0)
    for row in rows.values():
        assert {"no_rods", "no_unit", "no_plunger"} <= set(row["quality"].split("; "))
        assert row["pump_intake_pressure_psi"] is None


def test_equipment_that_nothing_can_have_counts_as_unknown(
    warehouse: Warehouse, simulated: SimulatedCards
) -> None:
    nonsense: dict[str, dict[str, Any]] = {
        "zero plunger": {"details": {**DETAILS, "PlungerDiam": 0.0}, "rods": RODS},
        "rod without length": {"details": DETAILS, "rods": [RODS[0], {**RODS[1], "Length": None}]},
        "negative rod": {"details": DETAILS, "rods": [{**RODS[0], "Diameter": -1.0}]},
        "stuck crank": {"details": DETAILS, "rods": RODS, "unit": {**UNIT, "R": 500.0}},
        "odd unit": {"details": DETAILS, "rods": RODS, "unit": {**UNIT, "UnitType": "Rotaflex"}},
        "no rating": {"details": DETAILS, "rods": RODS, "unit": {**UNIT, "GearboxRating": 0.0}},
        "one station": {
            "details": DETAILS,
            "rods": RODS,
            "survey": [{"MD": 100.0, "Inclination": 3.0, "Azimuth": 0.0}],
        },
    }
    for node, parts in nonsense.items():
        equipment(warehouse, node, **parts)
    put_cards(warehouse, *(card(node, NOON, surface_of(simulated)) for node in nonsense))
    rows = {node: row for (node, _), row in rows_of(diagnose_day(warehouse, DAY)).items()}
    codes = {node: set(row["quality"].split("; ")) for node, row in rows.items()}
    assert "no_plunger" in codes["zero plunger"]
    assert "no_rods" in codes["rod without length"] & codes["negative rod"]
    assert "no_unit" in codes["stuck crank"] & codes["odd unit"]
    assert "no_gearbox_rating" in codes["no rating"]
    assert "no_survey" in codes["one station"]
    assert rows["stuck crank"]["peak_gearbox_torque_in_lbf"] is None
    assert rows["no rating"]["gearbox_load_pct"] is None
    assert rows["no rating"]["peak_gearbox_torque_in_lbf"] > 0.0


def test_a_deviated_well_is_less_deep_than_long() -> None:
    survey = [
        {"MD": md, "Inclination": angle, "Azimuth": None}
        for md, angle in ((0.0, 0.0), (2500.0, 0.0), (2600.0, 60.0), (5000.0, 60.0))
    ]
    bent, straight = equipment_of([DETAILS], RODS, survey, []), equipment_of([DETAILS], RODS, [], [])
    assert straight.well.survey is None
    assert bent.well.survey is not None
    assert float(bent.well.survey.true_vertical_depth_ft(5000.0)) < 4000.0


def test_cards_of_all_point_counts_of_a_day_are_diagnosed_as_if_alone(
    warehouse: Warehouse, simulated: SimulatedCards
) -> None:
    equipment(warehouse, "A 1", details=DETAILS, rods=RODS, unit=UNIT)
    x, f = surface_of(simulated)
    shapes = {
        0: (x, f),
        1: (x[::2], f[::2]),
        2: (np.r_[x, x[:1]], np.r_[f, f[:1]]),
        3: (np.roll(x[::-1], 40), np.roll(f[::-1], 40)),
    }
    put_cards(warehouse, *(card("A 1", NOON + timedelta(hours=i), shape) for i, shape in shapes.items()))
    rows = {when.hour - 12: row for (_, when), row in rows_of(diagnose_day(warehouse, DAY)).items()}
    same = [{k: v for k, v in rows[i].items() if k != "Date"} for i in (0, 2, 3)]
    assert same[0] == same[1] == same[2]
    assert rows[1]["fillage_pct"] == pytest.approx(rows[0]["fillage_pct"], abs=2.0)


def test_an_open_card_and_a_wild_one_do_no_harm(warehouse: Warehouse, simulated: SimulatedCards) -> None:
    equipment(warehouse, "A 1", details=DETAILS, rods=RODS, unit=UNIT)
    x, f = surface_of(simulated)
    put_cards(
        warehouse,
        card("A 1", NOON, (x[:100], f[:100])),
        card("A 1", NOON + timedelta(hours=1), (x, f * 1e30)),
        card("A 1", NOON + timedelta(hours=2), (x, np.full_like(f, 5000.0))),
        card("A 1", NOON + timedelta(hours=3), (x, f), SPM=0.0),
        card("A 1", NOON + timedelta(hours=4), (x, f), SPM=None, Runtime=None),
    )
    rows = [row for _, row in sorted(rows_of(diagnose_day(warehouse, DAY)).items())]
    assert "open_card" in rows[0]["quality"]
    assert rows[0]["fillage_pct"] is None
    assert len(rows) == 5
    assert rows[2]["pprl_lbf"] == rows[2]["mprl_lbf"] == 5000.0
    # the well's own speed stands in
    assert rows[4]["pump_card_source"] == "computed"
    assert "runtime_unknown" in rows[4]["quality"]
    for row in rows:
        assert all(np.isfinite(value) for value in row.values() if isinstance(value, float))


def test_a_day_without_cards_is_an_empty_day(warehouse: Warehouse) -> None:
    found = diagnose_day(warehouse, DAY)
    assert (found.cards.num_rows, found.rods.num_rows, found.examples) == (0, 0, [])
    assert summaries_by_day(found.cards) == {}


def test_days_come_together_as_far_as_their_rows_fit(
    warehouse: Warehouse, simulated: SimulatedCards, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_cards(
        warehouse, *(card("A 1", NOON + timedelta(days=i), surface_of(simulated)) for i in (0, 1, 1, 3, 4))
    )
    span = Days(DAY, DAY + timedelta(days=5))
    whole = list(diagnosed_days(warehouse, span))
    assert [days for days, _ in whole] == [span]
    monkeypatch.setattr(diagnosis, "ROWS_AT_ONCE", 2)
    parts = list(diagnosed_days(warehouse, span))
    assert [(days.first.day, days.last.day) for days, _ in parts] == [(2, 3), (4, 6), (7, 7)]
    assert pa.concat_tables(found.cards for _, found in parts).equals(whole[0][1].cards)
    assert whole[0][1].examples[0].note == "2025-03-06 12:00"


def test_the_asset_stores_both_tables_tells_the_ledger_and_passes_its_checks(
    settings: Settings, warehouse: Warehouse, simulated: SimulatedCards
) -> None:
    equipment(warehouse, "A 1", details=DETAILS, rods=RODS, unit=UNIT)
    days = [DAY + timedelta(days=i) for i in range(3)]
    put_cards(
        warehouse,
        *(
            card("A 1", datetime(d.year, d.month, d.day, 5), surface_of(simulated, i % 2))
            for i, d in enumerate(days)
        ),
        card("B 2", NOON, None, pump_of(simulated)),
        card("C 3", NOON),
    )
    assets = [a for a in build_graph(day_partitions(DAY, days[-1])) if isinstance(a, dg.AssetsDefinition)]
    chosen = [a for a in assets if dg.AssetKey(["clean", "carddiag"]) in a.keys]
    tags = {
        "dagster/asset_partition_range_start": days[0].isoformat(),
        "dagster/asset_partition_range_end": days[-1].isoformat(),
    }
    resources = build_resources(settings)
    result = dg.materialize(chosen, resources=resources, tags=tags)
    assert result.success
    made = {
        event.partition: event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key.path[-1] == "carddiag"
    }
    # metadata are those of the day, not of the run
    counts = [
        (
            event.asset_key.path[-1],
            event.partition,
            event.materialization.metadata["dagster/partition_row_count"].value,
        )
        for event in result.get_asset_materialization_events()
    ]
    assert sorted(counts) == [
        (table, day.isoformat(), rows)
        for table, each in (("carddiag", (2, 1, 1)), ("roddiag", (2, 2, 2)))
        for day, rows in zip(days, each, strict=True)
    ]
    of_days = [made[day.isoformat()] for day in days]
    assert ["no_rods" in each["cards_by_quality"].value for each in of_days] == [True, False, False]
    assert ["example_cards" in each for each in of_days] == [False, False, True], "of the newest day alone"
    assert next(iter(of_days[-1])) == "example_cards", "the picture comes first"
    assert of_days[-1]["median_fillage_pct"].value > 50.0
    assert of_days[-1]["example_cards"].value.startswith("![diagnosed cards](data:image/png")
    states = ledger.states(warehouse)
    assert [states["clean/carddiag", day.isoformat()].rows for day in days] == [2, 1, 1]
    assert [states["clean/roddiag", day.isoformat()].rows for day in days] == [2, 2, 2]
    span = Days(days[0], days[-1])
    checks = {e.check_name: e for e in evaluate(warehouse, "clean/carddiag", span)}
    assert set(checks) == {"columns", "every_usable_card", "possible"}
    assert all(check.passed for check in checks.values())
    changed = {day: states["clean/carddiag", day.isoformat()].changed_tick for day in days}

    # again: made anew, no row changes
    assert dg.materialize(
        chosen, resources=resources, tags=tags, selection=[dg.AssetKey(["clean", "carddiag"])]
    ).success
    again = ledger.states(warehouse)
    for day in days:
        key = ("clean/carddiag", day.isoformat())
        assert again[key].changed_tick == changed[day]
        assert again[key].made_tick > states[key].made_tick
        assert (
            again["clean/roddiag", day.isoformat()].made_tick
            == states["clean/roddiag", day.isoformat()].made_tick
        )

    with warehouse.transaction() as tx:
        tx.execute("delete from clean.carddiag where \"NodeID\" = 'B 2'")
        tx.execute("update clean.carddiag set fillage_pct = 130")
    checks = {e.check_name: e for e in evaluate(warehouse, "clean/carddiag", span)}
    assert not checks["every_usable_card"].passed
    assert not checks["possible"].passed
    assert not checks["possible"].blocking


def test_differences_from_the_vendor_are_shown_and_only_warn(
    warehouse: Warehouse, simulated: SimulatedCards
) -> None:
    equipment(warehouse, "A 1", details=DETAILS, rods=RODS, unit=UNIT)
    put_cards(
        warehouse,
        card("A 1", NOON, surface_of(simulated)),
        card("A 1", NOON + timedelta(hours=1), surface_of(simulated)),
    )
    span = Days(DAY, DAY)
    nothing = compare_with_vendor(warehouse, span)
    assert nothing.passed
    assert "no result" in nothing.metadata["differences"].value
    found = diagnose_day(warehouse, DAY)
    store_days(warehouse, CARDDIAG, found.cards, span)
    ours = found.cards.to_pylist()[0]
    vendor = {pair.theirs: ours[pair.ours] for pair in PAIRS if ours[pair.ours] is not None}
    put(
        warehouse,
        table("xspoc", "xdiagresults"),
        [{"NodeID": "A 1", "Date": NOON, "file_stamp": NOON, **vendor}],
    )
    near = compare_with_vendor(warehouse, span)
    assert near.passed
    assert near.metadata["differences"].value.count("\n") == 1 + len(vendor)
    vendor |= {"FillagePct": vendor["FillagePct"] - 30.0, "PPRL": None}
    put(
        warehouse,
        table("xspoc", "xdiagresults"),
        [{"NodeID": "A 1", "Date": NOON, "file_stamp": NOON, **vendor}],
    )
    far = compare_with_vendor(warehouse, span)
    assert not far.passed
    assert far.severity == dg.AssetCheckSeverity.WARN
    assert "fillage_pct by 30.0 %" in (far.description or "")
    assert "pprl_lbf" not in far.metadata["differences"].value


def test_bodies_have_one_thread_of_linear_algebra(
    settings: Settings, warehouse: Warehouse, simulated: SimulatedCards, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watched(*given: Any) -> Iterator[tuple[Days, DiagnosedDay]]:
        seen.append({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})
        yield from diagnosed_days(*given)

    monkeypatch.setattr(clean, "diagnosed_days", watched)
    put_cards(warehouse, card("A 1", NOON, surface_of(simulated)))
    assets = [a for a in build_graph(day_partitions(DAY, DAY)) if isinstance(a, dg.AssetsDefinition)]
    chosen = [a for a in assets if dg.AssetKey(["clean", "carddiag"]) in a.keys]
    with threadpool_limits(2, user_api="blas"):
        assert dg.materialize(
            chosen, resources=build_resources(settings), partition_key=DAY.isoformat()
        ).success
    assert seen == [{1}]


def test_rods_with_a_number_left_out_are_no_string() -> None:
    details = {"PumpDepth": None}
    assert equipment_of([details], RODS, [], []).well.rods is not None
    for rows in (RODS[1:], [RODS[0], {**RODS[1], "RodNum": 3}]):
        assert equipment_of([details], rows, [], []).well.rods is None
        # the depth of the pump tells it better
        assert equipment_of([{"PumpDepth": 5000.0}], rows, [], []).well.rods is not None


def test_a_feature_that_is_no_number_is_null() -> None:
    given = np.zeros((2, len(STORED_FEATURES)))
    given[1, :6] = [1.0, np.inf, -np.inf, np.nan, 1e39, -2.5]
    rows = feature_rows(
        pa.array(["W1", "W2"]), pa.array([datetime(2025, 3, 1)] * 2, pa.timestamp("ms")), given
    )
    assert rows["features"].to_pylist()[1][:6] == [1.0, None, None, None, None, -2.5]
    np.testing.assert_array_equal(features_of(rows)[1, :6], [1.0, np.nan, np.nan, np.nan, np.nan, -2.5])
    # a part of a table tells its own rows
    np.testing.assert_array_equal(features_of(rows.slice(1)), features_of(rows)[1:])
