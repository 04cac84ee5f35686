"""Card forecasts, anomalies and trends on a real PostgreSQL: rows, walk-forward, late rows, wells with a surface card only."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pytest

from oasis_pipeline.assets.outlook import forecaster_metadata
from oasis_pipeline.learning.card_forecast import learn as learning
from oasis_pipeline.learning.card_forecast.model import STATE_VERSION
from oasis_pipeline.learning.site_models import MODELS_FILE, TrendChoice
from oasis_pipeline.operations.bounds import bounds_rows
from oasis_pipeline.operations.card_days import CARD_DAYS, card_day_tables, load_card_days
from oasis_pipeline.operations.card_forecasts import (
    MODEL_ASSET,
    forecast_days,
    learn_forecasters,
    missing_cutoffs,
    score_days,
)
from oasis_pipeline.operations.days import Days, store_days
from oasis_pipeline.operations.home_files import FORECASTER, stored_forecaster, take_home_files
from oasis_pipeline.operations.materializations import record_materialization
from oasis_pipeline.operations.pictures import cards_against_forecast
from oasis_pipeline.operations.trends import trend_days
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.day_files import stamped, write_days
from oasis_pipeline.storage.objects import LocalStore
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.fixtures.forecasts import box_cards

pytestmark = pytest.mark.server

FIRST, DAYS = date(2025, 1, 6), 40
SPAN = Days(FIRST, FIRST + timedelta(days=DAYS - 1))
PUMP_WELLS, SURFACE_WELL = [f"P {i}" for i in range(7)], "S 1"


def field_rows(seed: int = 1) -> list[dict[str, object]]:
    """A card a day, sometimes two; the last well has surface cards only; P 0 collapses on the 36th day."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, well in enumerate([*PUMP_WELLS, SURFACE_WELL]):
        kind = "surfcard" if well == SURFACE_WELL else "pocdowncard"
        for day in range(DAYS):
            if rng.random() < 0.05 and day < 35:
                continue
            hours = [6.0 + 0.1 * number] + ([15.0] if rng.random() < 0.3 else [])
            for hour in hours:
                height = 5000.0 + 400.0 * number + rng.normal(0.0, 120.0)
                if well == "P 0" and day == 35:
                    height = 150.0
                x, y = (v[0] for v in box_cards(np.array([height]), rng))
                rows.append(
                    {
                        "NodeID": well,
                        "Date": datetime.combine(FIRST, datetime.min.time())
                        + timedelta(days=day, hours=hour),
                        "SPM": 8.0,
                        "Fillage": 80.0 + rng.normal(0.0, 3.0),
                        f"{kind}_position": x.tolist(),
                        f"{kind}_load": y.tolist(),
                        f"{kind}_pos_min_in": x.min(),
                        f"{kind}_pos_max_in": x.max(),
                        f"{kind}_load_min_lbf": y.min(),
                        f"{kind}_load_max_lbf": y.max(),
                        ("pocdowncard" if kind == "surfcard" else "surfcard") + "_fault": "no card",
                        "file_stamp": datetime(2025, 6, 1),
                    }
                )
    return rows


def take_in(warehouse: Warehouse, rows: list[dict[str, object]]) -> None:
    """Cards, and what dbt and the bounds make of them."""
    card, xspoc = table("xspoc", "card"), table("clean", "xspoc")
    clean = [
        {
            **{name: row[name] for name in ("NodeID", "Date", "SPM", "Fillage")},
            "FailureBin": 0,
            "FailureLabel": "Normal",
        }
        for row in rows
    ]
    with warehouse.transaction() as tx:
        tx.upsert(card, pa.Table.from_pylist(rows, schema=arrow_schema(card)))
        tx.upsert(xspoc, pa.Table.from_pylist(clean, schema=arrow_schema(xspoc)))


def make_days(warehouse: Warehouse, store: LocalStore, span: Days = SPAN) -> None:
    bounds = table("clean", "dynabounds")
    store_days(warehouse, bounds, bounds_rows(warehouse, span), span)
    with record_materialization(warehouse, CARD_DAYS, span.keys, STATE_VERSION):
        days = [date.fromisoformat(key) for key in span.keys]
        made = (stamped(rows, STATE_VERSION) for _, rows in card_day_tables(warehouse, span))
        write_days(store, CARD_DAYS, made, days, "IssuedAt")


def make_all(warehouse: Warehouse, store: LocalStore, span: Days = SPAN) -> None:
    make_days(warehouse, store, span)
    cutoffs = missing_cutoffs(warehouse)
    with record_materialization(
        warehouse, MODEL_ASSET, [cutoff.isoformat() for cutoff in cutoffs], STATE_VERSION
    ):
        learn_forecasters(warehouse, store, cutoffs)
    forecast_days(warehouse, store, span)
    score_days(warehouse, store, span)
    trend_days(warehouse, span)


@pytest.fixture
def few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field this small has forecasters of its own after two weeks."""
    monkeypatch.setattr(learning, "ENOUGH_PAIRS", 60)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def rows_of(warehouse: Warehouse, name: str, time: str, before: date) -> list[dict[str, object]]:
    moment = datetime.combine(before, datetime.min.time())
    found = warehouse.query(f'select * from clean.{name} where "{time}" < $1', (moment,)).to_pylist()
    return sorted(found, key=lambda row: tuple(str(value) for value in row.values()))


@pytest.mark.usefixtures("few_pairs")
def test_one_row_a_well_day_and_horizon_and_nothing_later_gets_into_it(
    warehouse: Warehouse, store: LocalStore, tmp_path: Path
) -> None:
    rows = field_rows()
    take_in(warehouse, rows)
    make_all(warehouse, store)
    newest: dict[tuple[object, date], datetime] = {}
    for row in rows:
        key = (row["NodeID"], row["Date"].date())  # type: ignore[attr-defined]
        newest[key] = max(newest.get(key, datetime.min), row["Date"])  # type: ignore[type-var, assignment]
    found = warehouse.query(
        'select "NodeID", "IssuedAt", "HorizonHours", card, "ModelVersion", cardinality(position_in) as points '
        "from clean.cardpred"
    ).to_pylist()
    assert {(r["NodeID"], r["IssuedAt"], r["HorizonHours"]) for r in found} == {
        (well, moment, hours) for (well, _), moment in newest.items() for hours in (24, 72, 168)
    }
    assert {r["points"] for r in found} == {100}
    assert {r["card"] for r in found if r["NodeID"] == SURFACE_WELL} == {"surfcard"}
    assert {r["card"] for r in found if r["NodeID"] != SURFACE_WELL} == {"pocdowncard"}
    versions = {r["ModelVersion"] for r in found}
    assert learning.BASE_VERSION in versions
    own = versions - {learning.BASE_VERSION}
    assert own, "a field of six weeks has forecasters of its own"
    for row in found:
        if row["ModelVersion"] in own:
            cutoff = date.fromisoformat(row["ModelVersion"].removeprefix("cards-1-"))
            assert datetime.combine(cutoff, datetime.min.time()) <= row["IssuedAt"]
    registered = warehouse.query(
        "select version, in_use, is_base from oasis.model where name = 'card_forecaster'"
    )
    assert set(registered["version"].to_pylist()) == versions
    assert sum(registered["in_use"].to_pylist()) == 1

    # the same again without anything after a day: every row up to then is the same
    cut = FIRST + timedelta(days=30)
    before = {
        name: rows_of(warehouse, name, time, cut)
        for name, time in (("cardpred", "IssuedAt"), ("cardanomaly", "Date"), ("trend", "IssuedAt"))
    }
    assert all(before.values())
    with warehouse.transaction() as tx:
        for name in ("xspoc.card", "clean.xspoc", "clean.dynabounds"):
            tx.execute(f"""delete from {name} where "Date" >= '{cut}'""")
        for name in (
            "clean.cardpred",
            "clean.cardanomaly",
            "clean.trend",
            "oasis.model",
            "oasis.asset_state",
        ):
            tx.execute(f"delete from {name}")
    shorter = Days(FIRST, cut - timedelta(days=1))
    make_all(warehouse, LocalStore(tmp_path / "other"), shorter)
    for name, time in (("cardpred", "IssuedAt"), ("cardanomaly", "Date"), ("trend", "IssuedAt")):
        assert rows_of(warehouse, name, time, cut) == before[name], name


@pytest.mark.usefixtures("few_pairs")
def test_a_new_day_comes_out_the_same_alone_as_with_its_history(
    warehouse: Warehouse, store: LocalStore
) -> None:
    take_in(warehouse, field_rows())
    make_all(warehouse, store)
    last = SPAN.last
    whole = {
        name: rows_of(warehouse, name, time, last + timedelta(days=1))
        for name, time in (("cardpred", "IssuedAt"), ("cardanomaly", "Date"), ("trend", "IssuedAt"))
    }
    day = Days(last, last)
    assert forecast_days(warehouse, store, day).rows == 3 * 8
    score_days(warehouse, store, day)
    trend_days(warehouse, day)
    for name, time in (("cardpred", "IssuedAt"), ("cardanomaly", "Date"), ("trend", "IssuedAt")):
        assert rows_of(warehouse, name, time, last + timedelta(days=1)) == whole[name], name


def test_a_forecaster_that_the_site_names_makes_the_trends(warehouse: Warehouse, tmp_path: Path) -> None:
    take_in(warehouse, field_rows())
    assert take_home_files(warehouse, tmp_path) == []
    own = ledger.states(warehouse, [FORECASTER.asset])
    assert own == {}, "without the file nothing is stale"

    (tmp_path / MODELS_FILE).write_text('[trend]\nforecaster = "sktime.forecasting.naive.NaiveForecaster"\n')
    assert take_home_files(warehouse, tmp_path) == []
    first = ledger.states(warehouse, [FORECASTER.asset])[FORECASTER.asset, ""].changed_tick
    take_home_files(warehouse, tmp_path)
    assert ledger.states(warehouse, [FORECASTER.asset])[FORECASTER.asset, ""].changed_tick == first

    last = Days(SPAN.last, SPAN.last)
    summary = trend_days(warehouse, last, stored_forecaster(warehouse))
    assert not summary.faults
    assert {name for methods in summary.methods.values() for name in methods.values()} == {
        "sktime.forecasting.naive.NaiveForecaster"
    }
    rows = warehouse.query('select "NodeID", value from clean.trend where "Quantity" = \'SPM\'').to_pylist()
    newest = warehouse.query('select "NodeID", "SPM" from clean.xspoc where "Date"::date = $1', (SPAN.last,))
    of_well: dict[str, list[float]] = {}
    for row in newest.to_pylist():
        of_well.setdefault(row["NodeID"], []).append(row["SPM"])
    assert rows
    assert all(row["value"] == pytest.approx(median(of_well[row["NodeID"]]), rel=1e-6) for row in rows)

    (tmp_path / MODELS_FILE).write_text("[trend]\nforecaster = 'nobody.Knows'\n")
    (wrong,) = take_home_files(warehouse, tmp_path)
    assert "nobody.Knows" in wrong
    assert stored_forecaster(warehouse).forecaster.endswith("NaiveForecaster"), "what was in force stays so"
    (tmp_path / MODELS_FILE).unlink()
    take_home_files(warehouse, tmp_path)
    assert stored_forecaster(warehouse) == TrendChoice()
    assert ledger.states(warehouse, [FORECASTER.asset])[FORECASTER.asset, ""].changed_tick > first


def test_a_collapsed_card_is_listed_as_an_anomaly(warehouse: Warehouse, store: LocalStore) -> None:
    take_in(warehouse, field_rows())
    make_days(warehouse, store)
    span = Days(FIRST + timedelta(days=25), SPAN.last)
    forecast_days(warehouse, store, span)
    summary = score_days(warehouse, store, span)
    assert summary.cards > 100
    listed = warehouse.query('select * from clean.cardanomaly where is_anomaly order by "Date"').to_pylist()
    fallen = [row for row in listed if row["Date"].date() == FIRST + timedelta(days=35)]
    assert {row["NodeID"] for row in fallen} == {"P 0"}
    assert all("below the forecast" in row["reason"] for row in fallen)
    assert len(listed) < 0.1 * summary.cards
    assert cards_against_forecast(warehouse, span).startswith("![")


def test_a_field_too_short_says_so_and_uses_the_base_model(warehouse: Warehouse, store: LocalStore) -> None:
    rows = [row for row in field_rows() if row["Date"].date() < FIRST + timedelta(days=2)]  # type: ignore[attr-defined]
    take_in(warehouse, rows)
    short = Days(FIRST, FIRST + timedelta(days=1))
    make_days(warehouse, store, short)
    learned = learn_forecasters(warehouse, store, missing_cutoffs(warehouse))
    assert learned.versions == []
    assert "too few days" in forecaster_metadata(learned)["learned_on"]
    assert forecast_days(warehouse, store, short).versions == {learning.BASE_VERSION}
    assert trend_days(warehouse, short).rows > 0
    assert score_days(warehouse, store, Days(FIRST, FIRST)).cards == 0
    assert cards_against_forecast(warehouse, Days(FIRST, FIRST)) == "no card had a forecast"


def test_days_without_any_card_make_no_rows(warehouse: Warehouse, store: LocalStore) -> None:
    make_days(warehouse, store)
    assert missing_cutoffs(warehouse) != []
    assert learn_forecasters(warehouse, store, missing_cutoffs(warehouse)).versions == []
    assert forecast_days(warehouse, store, SPAN).rows == 0
    assert score_days(warehouse, store, SPAN).cards == 0
    assert trend_days(warehouse, SPAN).rows == 0
    days, names = load_card_days(store, SPAN.first, SPAN.last)
    assert (len(days), len(names)) == (0, 0)


def test_trends_take_the_best_source_of_each_well(warehouse: Warehouse) -> None:
    rows = field_rows()
    for row in rows:
        if row["NodeID"] == "P 1":
            row["Fillage"] = None
    take_in(warehouse, rows)
    carddiag = table("clean", "carddiag")
    diagnosed = [
        {
            "NodeID": row["NodeID"],
            "Date": row["Date"],
            "fillage_pct": 70.0,
            "inferred_production_bpd": 200.0,
            "pump_card_source": "poc",
            "quality": "",
            "report": "",
        }
        for row in rows
        if row["NodeID"] in ("P 1", "P 2")
    ]
    with warehouse.transaction() as tx:
        tx.upsert(carddiag, pa.Table.from_pylist(diagnosed, schema=arrow_schema(carddiag)))
    trend_days(warehouse, SPAN)
    found = warehouse.query('select distinct "NodeID", "Quantity" from clean.trend').to_pylist()
    by_well: dict[str, set[str]] = {}
    for row in found:
        by_well.setdefault(row["NodeID"], set()).add(row["Quantity"])
    assert by_well["P 0"] == {"Fillage", "SPM"}
    assert by_well["P 1"] == {"fillage_pct", "SPM", "inferred_production_bpd"}
    assert by_well["P 2"] == {"Fillage", "SPM", "inferred_production_bpd"}
    value = warehouse.query(
        "select value, lower, upper from clean.trend where \"Quantity\" = 'inferred_production_bpd' limit 1"
    ).to_pylist()[0]
    assert value["value"] == pytest.approx(200.0)
    assert value["lower"] <= 200.0 <= value["upper"]
