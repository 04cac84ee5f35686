"""Whole passes over a simulated field: real PostgreSQL, real S3 protocol server, Dagster's own storage."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import psycopg2
import pyarrow as pa
import pytest

from oasis_pipeline.assets import clean, declaration, outlook
from oasis_pipeline.assets.resources import build_resources
from oasis_pipeline.automation import jobs, materialize
from oasis_pipeline.automation.instance import PASS_TAG, URL_VARIABLE, open_instance
from oasis_pipeline.automation.materialize import predict_again
from oasis_pipeline.automation.passes import one_pass_at_a_time, run_pass
from oasis_pipeline.automation.staleness import current_plan
from oasis_pipeline.automation.summary import PassError, PassSummary
from oasis_pipeline.definitions import build_definitions
from oasis_pipeline.engine import LocalEngine
from oasis_pipeline.learning import base, seed_method
from oasis_pipeline.learning.evaluation import train_and_evaluate
from oasis_pipeline.operations import registry, training
from oasis_pipeline.operations.days import Days
from oasis_pipeline.operations.features import feature_tables
from oasis_pipeline.operations.trends import TrendSummary, trend_days
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.simulation.field import simulate_field
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.day_files import day_path, stamped
from oasis_pipeline.storage.objects import S3Store, open_store
from oasis_pipeline.storage.postgres import Warehouse

pytestmark = pytest.mark.server

FIRST, DAYS = date(2025, 1, 1), 4


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drop folder of a small simulated field."""
    out = tmp_path_factory.mktemp("field")
    simulate_field(out, wells=6, days=DAYS, seed=11, start=FIRST)
    return out / "drop"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    own_environment(monkeypatch)


def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass tells its children where they are by the environment; a test leaves it as it found it."""
    for name in ("DAGSTER_HOME", URL_VARIABLE, "OASIS_HOME"):
        monkeypatch.setenv(name, "")


def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models: how good they are is not the question here."""
    monkeypatch.setattr(base, "fit_base_model", partial(base.fit_base_model, cards=240))
    monkeypatch.setattr(base, "background_cards", lambda labelled: 120)
    monkeypatch.setattr(training, "train_and_evaluate", partial(train_and_evaluate, trees=16, count=2))
    monkeypatch.setattr(seed_method, "TREES_PER_CLASS", 4)


class _Noting(LocalEngine):
    """Notes what bodies hand to the engine that the settings choose."""

    handed: ClassVar[set[str]] = set()

    def run(self, compute: Callable[[Any, Any], Any], shared: Any, inputs: Any) -> Any:
        self.handed.add(compute.__module__.rpartition(".")[2])
        return super().run(compute, shared, inputs)


@pytest.fixture(scope="module")
def first_pass(
    new_warehouse: Callable[[], Warehouse], field: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Settings, PassSummary]:
    """An installation that has made the field once, and what its pass said; tests get copies of it."""
    address = new_warehouse().address
    home = tmp_path_factory.mktemp("made") / "home"
    settings = load_settings(home, host=address.host, port=address.port, user=address.user, db=address.db)
    shutil.copytree(field, settings.drop)
    with pytest.MonkeyPatch.context() as monkeypatch:
        own_environment(monkeypatch)
        small_models(monkeypatch)
        monkeypatch.setattr(declaration, "open_engine", lambda chosen: _Noting())
        summary = run_pass(settings)
    assert list(settings.drop.glob("*")) == []
    return settings, summary


@pytest.fixture
def finished(
    first_pass: tuple[Settings, PassSummary],
    embedded_server: Address,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """A copy of the installation after its first pass: database and home folder."""
    made, _ = first_pass
    small_models(monkeypatch)
    name = f"copy_{tmp_path.name}"[:60].lower()
    with closing(psycopg2.connect(embedded_server.uri())) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        # connections that the making kept for its next step
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (made.db,)
        )
        cursor.execute(f'create database "{name}" template "{made.db}" strategy file_copy')
    shutil.copytree(made.home, tmp_path / "home")
    return load_settings(tmp_path / "home", host=made.host, port=made.port, user=made.user, db=name)


@pytest.fixture
def copied(finished: Settings) -> Iterator[Warehouse]:
    """Warehouse of `finished`."""
    address = Address(str(finished.host), finished.port, str(finished.user), finished.db)
    with closing(Warehouse(address)) as warehouse:
        yield warehouse


@pytest.fixture
def installation(settings: Settings, field: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation whose drop folder holds the field, and that has made nothing yet."""
    shutil.copytree(field, settings.drop)
    small_models(monkeypatch)
    return settings


def rows_of(warehouse: Warehouse) -> dict[str, str]:
    """Every row of every table with the transaction that wrote it: a write of any kind changes it."""
    names = warehouse.query(
        "select schemaname || '.' || tablename as name from pg_tables where schemaname in ('xspoc', 'clean', 'analysis', 'oasis')"
    )["name"].to_pylist()
    return {
        name: warehouse.query(
            f"select md5(coalesce(string_agg(t.xmin || t.ctid::text, ',' order by t.ctid), '')) as h from {name} t"
        )["h"][0].as_py()
        for name in names
    }


def one(warehouse: Warehouse, sql: str, *params: Any) -> Any:
    return warehouse.query(sql, params).columns[0][0].as_py()


def test_a_pass_makes_everything_and_a_second_one_changes_no_row(
    first_pass: tuple[Settings, PassSummary], finished: Settings, copied: Warehouse
) -> None:
    first, warehouse, store = first_pass[1], copied, open_store(finished)
    for file in first.intake.files:
        assert file.stored + file.superseded + file.rejected == file.rows, file.source_file
    assert first.intake.rejected_files == []
    assert not current_plan(warehouse)

    usable = one(
        warehouse, "select count(*) from xspoc.card where surfcard_fault is null or pocdowncard_fault is null"
    )
    assert usable > 40
    assert one(warehouse, "select count(*) from clean.dynapred") == usable
    assert one(warehouse, "select count(*) from clean.carddiag") == usable
    assert one(warehouse, "select count(*) from clean.xspoc") == one(
        warehouse,
        'select count(*) from (select "NodeID", "Date" from xspoc.card union select "NodeID", "Date" from xspoc.xdiagresults) k',
    )
    features = [store.read_table(path) for path in store.list("clean/card_features/")]
    assert len(features) == one(warehouse, 'select count(distinct "Date"::date) from xspoc.card')
    assert sum(table.num_rows for table in features) == usable
    models = warehouse.query("select * from oasis.model where in_use").to_pylist()
    assert sorted(model["name"] for model in models) == ["card_forecaster", "dyna_classifier"]
    for model in models:
        assert store.sha256(model["path"]) == model["sha256"]
    forecast = 'select count(distinct ("NodeID", "IssuedAt"::date)) from clean.cardpred'
    assert one(warehouse, forecast) == one(warehouse, "select count(*) from clean.dynabounds")
    assert one(warehouse, "select count(*) from clean.cardanomaly") > 20
    assert one(warehouse, """select count(distinct "Quantity") from clean.trend""") == 3

    # the manifest from which others load the graph meanwhile is left alone
    assert [file.name for file in finished.home.glob("dbt/*/run_results.json")] == []

    before = rows_of(warehouse)
    second = run_pass(finished)
    assert second.runs == []
    assert rows_of(warehouse) == before


def test_dagster_knows_what_was_made_with_counts_pictures_and_checks(
    finished: Settings, copied: Warehouse
) -> None:
    instance = open_instance(finished, copied.address)
    days = [(FIRST + timedelta(days=i)).isoformat() for i in range(DAYS)]
    for asset in (
        "xspoc/card",
        "clean/xspoc",
        "clean/dynabounds",
        "clean/carddiag",
        "clean/roddiag",
        "clean/card_features",
        "clean/dynapred",
        "clean/card_days",
        "clean/cardpred",
        "clean/cardanomaly",
        "clean/trend",
    ):
        made = instance.get_materialized_partitions(dg.AssetKey(asset.split("/")))
        assert set(days) <= made, asset
    day = days[1]
    for asset in ("clean/dynapred", "clean/xspoc", "clean/card_features", "xspoc/card"):
        records = dg.AssetRecordsFilter(dg.AssetKey(asset.split("/")), asset_partitions=[day])
        (newest,) = instance.fetch_materializations(records, limit=1).records
        counted = newest.asset_materialization.metadata["dagster/partition_row_count"].value
        of = "clean.dynapred" if asset == "clean/card_features" else asset.replace("/", ".")
        held = f"""select count(*) from {of} where "Date"::date = '{day}'"""
        assert counted == one(copied, held), asset
    # a run over days gives each the metadata of its own
    for asset, column, prefix in (("wellstatus", "state", "wells_"), ("dynapred", "Label1", "")):
        for day in days:
            records = dg.AssetRecordsFilter(dg.AssetKey(["clean", asset]), asset_partitions=[day])
            shown = (
                instance.fetch_materializations(records, limit=1).records[0].asset_materialization.metadata
            )
            held = copied.query(
                f"""select "{column}" as name, count(*) as n from clean.{asset} where "Date"::date = '{day}' group by 1"""
            )
            told = (
                shown["counts"].value
                if asset == "dynapred"
                else {name: each.value for name, each in shown.items()}
            )
            assert held.num_rows
            assert {prefix + row["name"]: row["n"] for row in held.to_pylist()}.items() <= told.items()
    event = instance.get_latest_materialization_event(dg.AssetKey(["clean", "dynapred"]))
    assert event is not None
    metadata = event.asset_materialization.metadata
    for picture in ("class_shares", "example_cards"):
        assert metadata[picture].value.startswith("![")
    checks = [
        dg.AssetCheckKey(dg.AssetKey(["xspoc", "card"]), "columns"),
        dg.AssetCheckKey(dg.AssetKey(["clean", "dynapred"]), "every_usable_card"),
        dg.AssetCheckKey(dg.AssetKey(["clean", "xspoc"]), "complete_days_xspoc_"),
    ]
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
    assert all(records[check].event.asset_check_evaluation.passed for check in checks)
    instance.dispose()


def _ticks(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, settings: Settings
) -> Callable[[], int]:
    """Evaluate a sensor, with the cursor of the time before; gives how many runs it asks for."""
    cursor: list[str | None] = [None]
    resources = {name: build_resources(settings)[name] for name in ("warehouse", "store")}

    def tick() -> int:
        with dg.build_sensor_context(instance, cursor=cursor[0], resources=resources) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        cursor[0] = result.cursor
        return len(result.run_requests or [])

    return tick


def test_a_late_row_makes_its_day_again_with_all_that_depends_on_it(
    finished: Settings, copied: Warehouse, field: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {
        (row["NodeID"], row["Date"]): row["x"]
        for row in copied.query('select "NodeID", "Date", xmin::text as x from clean.dynapred').to_pylist()
    }
    day = FIRST + timedelta(days=1)
    source = field / f"CardData.E2E.{day + timedelta(days=1):%Y%m%d}.0007.csv"
    header, *lines = source.read_text().splitlines()
    columns = header.split(",")
    old = next(line for line in lines if line.split(",")[columns.index("SurfaceCardB")]).split(",")
    old[columns.index("Date")] = f"{day} 13:31:07"
    late = finished.drop / "CardData.E2E.20250301.1200.csv.gz"
    late.write_bytes(gzip.compress("\n".join([header, ",".join(old)]).encode()))

    # by the jobs that sensors start: intake leaves the rest to a pass that is at work, or to the sensor
    with open_instance(finished, copied.address) as instance:
        definitions = build_definitions(finished, last_day=FIRST + timedelta(days=DAYS))

        def run(job: str) -> bool:
            return definitions.resolve_job_def(job).execute_in_process(instance=instance).success

        def stale() -> bool:
            return str(day) in current_plan(copied).days.get("clean/xspoc", ())

        tick = _ticks(definitions.resolve_sensor_def("stale_days"), instance, finished)
        assert (tick(), stale()) == (0, False)
        with one_pass_at_a_time(copied.address):
            assert run("intake")
        assert stale()
        with monkeypatch.context() as patched:
            patched.setattr(jobs, "AFTER_INTAKE_S", -1.0)
            assert run("intake")
        assert stale(), "no time was left"
        assert [tick(), tick()] == [1, 0]
        assert run("stale")
        assert (tick(), stale()) == (0, False)
        made = instance.get_runs(dg.RunsFilter(tags=PASS_TAG), limit=100)
    start = "dagster/asset_partition_range_start"
    assert str(day) in {each.tags.get("dagster/partition", each.tags.get(start)) for each in made}
    after = copied.query('select "NodeID", "Date", xmin::text as x from clean.dynapred').to_pylist()
    new = [row for row in after if (row["NodeID"], row["Date"]) not in before]
    assert [row["Date"] for row in new] == [datetime.fromisoformat(f"{day} 13:31:07")]
    earlier = [row for row in after if row["Date"].date() < day]
    assert earlier
    assert all(before[row["NodeID"], row["Date"]] == row["x"] for row in earlier)
    assert not current_plan(copied)


@pytest.mark.slow
def test_without_labels_a_base_model_predicts_and_labels_replace_it(
    installation: Settings, warehouse: Warehouse, tmp_path: Path
) -> None:
    labels = sorted(installation.drop.glob("Labels*"))
    assert labels
    for path in labels:
        path.rename(tmp_path / path.name)
    run_pass(installation)
    versions = warehouse.query(
        'select distinct "ModelVersion" as v, in_training from clean.dynapred'
    ).to_pylist()
    assert versions
    assert all(row["v"].startswith("base-") and not row["in_training"] for row in versions)

    for path in labels:
        shutil.move(tmp_path / path.name, path)
    run_pass(installation)
    versions = warehouse.query('select distinct "ModelVersion" as v from clean.dynapred')["v"].to_pylist()
    assert not any(version.startswith("base-") for version in versions)
    labelled = one(
        warehouse, 'select count(*) from clean.dynalabel l join clean.dynapred p using ("NodeID", "Date")'
    )
    assert one(warehouse, "select count(*) from clean.dynapred where in_training") == labelled > 0
    assert not current_plan(warehouse)


@pytest.mark.slow
def test_days_can_be_predicted_again_with_a_chosen_version_and_an_unknown_one_says_what_there_is(
    finished: Settings, copied: Warehouse
) -> None:
    version = one(copied, "select version from oasis.model where in_use and name = 'dyna_classifier'")
    instance = open_instance(finished, copied.address)
    job = build_definitions(
        finished, last_day=FIRST + timedelta(days=DAYS)
    ).resolve_implicit_global_asset_job_def()

    def predict(wanted: str) -> dg.ExecuteInProcessResult:
        return job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["clean", "dynapred"])],
            tags=_range_tags(),
            run_config={"ops": {"clean__dynapred": {"config": {"model_version": wanted}}}},
            raise_on_error=False,
        )

    assert predict(version).success
    failed = predict("card-0-none")
    assert not failed.success
    assert version in _failure(failed)
    instance.dispose()


def test_days_predicted_again_on_request_keep_their_model_in_later_passes(
    finished: Settings, copied: Warehouse
) -> None:
    """Also a base model, whose days are otherwise made again by the model that has learned from labels."""
    with copied.transaction() as tx:
        tx.execute(
            "insert into oasis.model select name, 'base-chosen', sha256, path, manifest, true, false, now() from oasis.model where in_use"
        )
    summary = predict_again(finished, "base-chosen", FIRST, FIRST)
    assert [run["days"] for run in summary.runs] == [[FIRST.isoformat(), FIRST.isoformat()]]
    run_pass(finished)
    assert not current_plan(copied)
    of_day = (
        'select count(*) from clean.dynapred where ("ModelVersion" = \'base-chosen\') = ("Date"::date = $1)'
    )
    assert one(copied, of_day, FIRST) == one(copied, "select count(*) from clean.dynapred")
    predict_again(finished, "in-use")
    assert one(copied, "select count(*) from clean.dynapred where \"ModelVersion\" = 'base-chosen'") == 0
    assert one(copied, "select count(*) from clean.label_queue") > 0
    with pytest.raises(ValueError, match="the registry has"):
        predict_again(finished, "card-0-none")


@pytest.mark.slow
def test_a_backfill_of_a_range_is_one_run_and_makes_the_same_rows(
    finished: Settings, copied: Warehouse
) -> None:
    before = rows_of(copied)
    instance = open_instance(finished, copied.address)
    definitions = build_definitions(finished, last_day=FIRST + timedelta(days=DAYS))
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        asset_selection=[
            dg.AssetKey(key)
            for key in (["xspoc", "card"], ["clean", "dynabounds"], ["clean", "card_features"])
        ],
        tags=_range_tags(),
    )
    assert result.success
    made = [
        event for event in result.all_events if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION
    ]
    assert {event.partition for event in made} == {
        (FIRST + timedelta(days=i)).isoformat() for i in range(DAYS)
    }
    after = rows_of(copied)
    assert {name for name in after if after[name] != before[name]} <= {"oasis.asset_state"}
    instance.dispose()


def test_a_tampered_model_is_refused_with_one_clear_error(finished: Settings, copied: Warehouse) -> None:
    store = open_store(finished)
    path = one(copied, "select path from oasis.model where in_use and name = 'dyna_classifier'")
    data = bytearray(store.get_bytes(path))
    data[len(data) // 2] ^= 1
    store.put_bytes(path, bytes(data))
    with copied.transaction() as tx:
        ledger.mark_changed(tx, "clean/card_features", {FIRST.isoformat(): None})
    summary = run_pass(finished)
    (failure,) = summary.failures
    assert failure.asset == "clean/dynapred"
    assert re.search(r"SHA-256|sha256|hash", failure.reason)
    with pytest.raises(PassError, match="could not materialize clean/dynapred of 2025-01-01: "):
        summary.raise_failures()
    states = ledger.states(copied, ["clean/dynapred"])
    assert states["clean/dynapred", FIRST.isoformat()].error


@pytest.mark.slow
def test_a_pass_with_everything_in_s3(
    settings: Settings,
    field: Path,
    s3_store: S3Store,
    aws_environment: str,
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_models(monkeypatch)
    address = warehouse.address
    installation = load_settings(
        settings.home,
        host=address.host,
        user=address.user,
        db=address.db,
        s3_bucket="oasis-test",
        s3_prefix="field/one",
        s3_endpoint=aws_environment,
    )
    shutil.copytree(field, installation.drop)
    files = {path.name for path in installation.drop.iterdir()}
    run_pass(installation)
    kept = s3_store.list()
    assert {path.rsplit("/", 1)[1] for path in kept if path.startswith("backup/")} == files
    assert any(path.startswith("clean/card_features/") for path in kept)
    assert any(path.startswith("models/dyna_classifier/") for path in kept)
    assert not (installation.home / "store").exists()
    assert run_pass(installation).runs == []


def test_an_empty_installation_is_up_to_date(settings: Settings, warehouse: Warehouse) -> None:
    settings.drop.mkdir(parents=True)
    summary = run_pass(settings)
    assert summary.intake.files == []
    assert [run["assets"] for run in summary.runs] == [["xspoc/merged", "xspoc/card_xdiag", "clean/winpred"]]
    assert run_pass(settings).runs == []


def _range_tags() -> dict[str, str]:
    return {
        "dagster/asset_partition_range_start": FIRST.isoformat(),
        "dagster/asset_partition_range_end": (FIRST + timedelta(days=DAYS - 1)).isoformat(),
    }


def _failure(result: dg.ExecuteInProcessResult) -> str:
    return json.dumps(
        [str(event.event_specific_data) for event in result.all_events if event.is_step_failure]
    )


def test_days_are_computed_by_the_engine_of_the_settings(first_pass: tuple[Settings, PassSummary]) -> None:
    assert _Noting.handed == {"diagnosis", "features", "predictions", "card_days", "well_days"}


def test_one_failure_stops_nothing_but_what_is_made_from_it(
    finished: Settings, copied: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features are handed on before they are computed: what goes wrong then is known to the ledger all the same."""
    second = (FIRST + timedelta(days=1)).isoformat()

    def broken(house: Warehouse, span: Days, *engine: Any) -> Iterator[tuple[str, pa.Table]]:
        for day, rows in feature_tables(house, span, *engine):
            if day == second:
                raise OSError("no space left")
            yield day, rows

    with copied.transaction() as tx:
        ledger.mark_changed(tx, "xspoc/card", {second: None})
    with monkeypatch.context() as patched:
        patched.setattr(clean, "feature_tables", broken)
        summary = run_pass(finished)
    assert [failure.asset for failure in summary.failures] == ["clean/card_features"]
    assert "no space left" in summary.failures[0].reason
    states = ledger.states(copied)
    failed = {key: state.error for key, state in states.items() if state.error}
    assert failed == {("clean/card_features", second): "OSError: no space left"}
    assert summary.waiting.keys() == {"clean/card_features", "clean/well_days"}
    assert summary.waiting["clean/well_days"] == "waits for clean/card_features"
    made = {asset for run in summary.runs for asset in run["assets"]}
    assert {"clean/xspoc", "clean/carddiag", "clean/card_days"} <= made
    assert current_plan(copied).days == {"clean/card_features": {second}, "clean/well_days": {second}}
    # the next pass tries once more, and then nothing before its time
    with monkeypatch.context() as patched:
        patched.setattr(clean, "feature_tables", broken)
        assert [failure.asset for failure in run_pass(finished).failures] == ["clean/card_features"]
        assert run_pass(finished).runs == []
    plan = current_plan(copied)
    assert not plan
    assert ("clean/well_days", second) in plan.waiting

    # something it is made from changes: both drivers try again
    with copied.transaction() as tx:
        ledger.mark_changed(tx, "clean/carddiag", {second: None})
    assert second in current_plan(copied).days["clean/card_features"]
    healed = run_pass(finished)
    assert (healed.failures, healed.waiting) == ([], {})
    assert not current_plan(copied)


def test_of_days_that_fail_together_only_the_one_at_fault_fails(
    finished: Settings, copied: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two assets that are written in different ways: one hands on files day by day, the other stores what it has at once."""
    days = [(FIRST + timedelta(days=i)).isoformat() for i in range(DAYS)]
    bad, good = days[2], {*days} - {days[2]}

    def broken(house: Warehouse, span: Days, *engine: Any) -> Iterator[tuple[str, pa.Table]]:
        for day, rows in feature_tables(house, span, *engine):
            if day == bad:
                raise OSError("no space left")
            yield day, rows

    def no_trend(house: Warehouse, span: Days, *choice: Any) -> TrendSummary:
        if bad in span.keys:
            raise ValueError("an impossible slope")
        return trend_days(house, span, *choice)

    with copied.transaction() as tx:
        # another release: every day is made again, and what comes out is the same
        tx.execute(
            "update oasis.asset_state set code_version = 'old' where asset in ('clean/card_features', 'clean/trend')"
        )
    with monkeypatch.context() as patched:
        patched.setattr(clean, "feature_tables", broken)
        patched.setattr(outlook, "trend_days", no_trend)
        summary = run_pass(finished)
        assert {(failure.asset, failure.days) for failure in summary.failures} == {
            ("clean/card_features", (bad, bad)),
            ("clean/trend", (bad, bad)),
        }
        states = ledger.states(copied, ["clean/card_features", "clean/trend"])
        failed = {key: (state.error, state.failures) for key, state in states.items() if state.error}
        assert failed == {
            ("clean/card_features", bad): ("OSError: no space left", 1),
            ("clean/trend", bad): ("ValueError: an impossible slope", 1),
        }
        again = {key for key, state in states.items() if state.code_version != "old"}
        assert again == {(asset, day) for asset in ("clean/card_features", "clean/trend") for day in good}
        # the next pass tries no more than the day at fault
        runs = run_pass(finished).runs
        assert {(tuple(run["days"])) for run in runs} == {(bad, bad)}
        states = ledger.states(copied, ["clean/card_features", "clean/trend"])
        assert [state.failures for state in states.values() if state.error] == [2, 2]

        # a fault of every day isn't looked for without end
        patched.setattr(materialize, "MOST_HALVES", 2)
        with copied.transaction() as tx:
            tx.execute("update oasis.asset_state set code_version = 'old' where asset = 'clean/trend'")
            ledger.mark_changed(tx, "clean/xspoc", dict.fromkeys(days))
        left = {failure.days for failure in run_pass(finished).failures if failure.asset == "clean/trend"}
        assert left == {(days[2], days[3])}
    with copied.transaction() as tx:
        ledger.mark_changed(tx, "clean/carddiag", {bad: None})
    healed = run_pass(finished)
    assert (healed.failures, healed.waiting) == ([], {})
    assert not current_plan(copied)


def test_files_of_another_version_are_refused_with_the_cure_and_made_again_by_an_upgrade(
    finished: Settings, copied: Warehouse
) -> None:
    store, second = open_store(finished), FIRST + timedelta(days=1)
    path = day_path("clean/card_features", second)
    rows = store.read_table(path)
    names = ["an_earlier_name" if name == rows.column_names[-1] else name for name in rows.column_names]
    store.write_table(path, stamped(rows.rename_columns(names), "card-0"))
    # an object store that was swapped: the ledger doesn't know
    with copied.transaction() as tx:
        ledger.mark_changed(tx, "clean/card_features", {second.isoformat(): None})
    summary = run_pass(finished)
    assert {failure.asset for failure in summary.failures} == {"clean/well_days", "clean/dynapred"}
    for failure in summary.failures:
        assert re.search(
            "made by code version card-0, this release makes .*: `oasis run` makes it", failure.reason
        )
    # an upgrade: the ledger knows
    with copied.transaction() as tx:
        tx.execute("update oasis.asset_state set code_version = 'card-0' where asset = 'clean/card_features'")
    healed = run_pass(finished)
    assert (healed.failures, healed.waiting) == ([], {})
    assert store.read_table(path).equals(rows, check_metadata=True)
    assert not current_plan(copied)


def test_a_damaged_model_names_its_file_and_another_version_takes_over(
    finished: Settings, copied: Warehouse
) -> None:
    store, day = open_store(finished), FIRST.isoformat()
    used = one(copied, "select version from oasis.model where in_use and name = 'dyna_classifier'")
    other, place = "another", "models/dyna_classifier/another.model"
    store.put_bytes(place, store.get_bytes(f"models/dyna_classifier/{used}.model"))
    with copied.transaction() as tx:
        tx.execute(
            "insert into oasis.model select name, $1, sha256, $2, manifest, is_base, false, now() from oasis.model where version = $3",
            (other, place, used),
        )
    store.delete(f"models/dyna_classifier/{used}.model")
    registry._unpacked.cache_clear()
    with copied.transaction() as tx:
        ledger.mark_changed(tx, "clean/card_features", {day: None})
        ledger.mark_changed(tx, "clean/carddiag", {day: None})
    summary = run_pass(finished)
    assert {failure.asset for failure in summary.failures} == {"clean/dynapred"}
    assert f"models/dyna_classifier/{used}.model" in summary.failures[0].reason
    assert "`oasis models use VERSION`" in summary.failures[0].reason
    assert {"clean/trend"} <= {asset for run in summary.runs for asset in run["assets"]}
    registry.use_model(copied, "dyna_classifier", other)
    healed = run_pass(finished)
    assert "clean/dynapred" not in {failure.asset for failure in healed.failures}
    of_day = 'select distinct "ModelVersion" as v from clean.dynapred where "Date"::date = $1'
    assert copied.query(of_day, (FIRST,))["v"].to_pylist() == [other]
