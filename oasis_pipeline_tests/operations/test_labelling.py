"""Labelling and the life of classifiers on a small simulated field, without Dagster's runs: these are of ``end_to_end``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psycopg2
import pyarrow as pa
import pytest

from oasis_pipeline.assets.drift_check import check_drift
from oasis_pipeline.assets.models import promotion_check
from oasis_pipeline.automation.plan import Plan
from oasis_pipeline.automation.staleness import wait_for_labels
from oasis_pipeline.intake import take_in
from oasis_pipeline.learning import seed_method
from oasis_pipeline.learning.evaluation import SEED, TRIVIAL, train_and_evaluate
from oasis_pipeline.learning.features import FEATURE_VERSION
from oasis_pipeline.learning.seed_method import SEED_FEATURE_VERSION
from oasis_pipeline.learning.site_models import MODELS_FILE
from oasis_pipeline.learning.weak_labels import RULE_FILE
from oasis_pipeline.operations import label_queue, labels, training
from oasis_pipeline.operations.bounds import bounds_rows
from oasis_pipeline.operations.days import Days, store_days
from oasis_pipeline.operations.drift import load_reference, reference_path
from oasis_pipeline.operations.features import (
    FEATURES_VERSION,
    STORED_FEATURES,
    feature_rows,
    feature_tables,
    features_of,
)
from oasis_pipeline.operations.predictions import IN_USE, predict_days
from oasis_pipeline.operations.registry import find_model, model_row, models_of, use_model
from oasis_pipeline.operations.training import new_labels, train_classifier
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.simulation.field import simulate_field
from oasis_pipeline.storage.day_files import day_path, stamped
from oasis_pipeline.storage.objects import LocalStore, open_store
from oasis_pipeline.storage.postgres import Warehouse

pytestmark = pytest.mark.server

SPAN = Days(date(2025, 1, 1), date(2025, 1, 3))
DYNALABEL, HISTORY = table("clean", "dynalabel"), table("clean", "dynalabel_history")


@dataclass
class House:
    """An installation with features and labels, and no model yet."""

    warehouse: Warehouse
    store: LocalStore
    settings: Settings

    def train(self, *, compare_earlier_method: bool = False) -> Any:
        return train_classifier(
            self.warehouse,
            self.store,
            home=self.settings.home,
            compare_earlier_method=compare_earlier_method,
        )

    def one(self, sql: str, *params: Any) -> Any:
        return self.warehouse.query(sql, params).columns[0][0].as_py()

    def label(self, texts: dict[tuple[str, datetime], tuple[str, str | None]], by: str, day: int) -> None:
        """Give labels as a file of some later day does."""
        at = datetime(2025, 2, day)
        rows = [
            {"NodeID": n, "Date": d, "TrueLabel1": a, "TrueLabel2": b, "LabeledBy": by, "LabeledAt": at}
            for (n, d), (a, b) in texts.items()
        ]
        with self.warehouse.transaction() as tx:
            tx.upsert(HISTORY, pa.Table.from_pylist(rows, schema=arrow_schema(HISTORY)))
            tx.upsert(
                DYNALABEL, pa.Table.from_pylist(rows, schema=arrow_schema(DYNALABEL)), newest_by="LabeledAt"
            )


@pytest.fixture(scope="module")
def made(new_warehouse: Callable[[], Warehouse], tmp_path_factory: pytest.TempPathFactory) -> House:
    warehouse = new_warehouse()
    folder = tmp_path_factory.mktemp("labelling")
    simulate_field(folder, wells=12, days=3, seed=3, start=SPAN.first)
    address = warehouse.address
    settings = load_settings(
        folder / "home", host=address.host, port=address.port, user=address.user, db=address.db
    )
    settings.drop.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder / "drop", settings.drop)
    store = open_store(settings)
    assert isinstance(store, LocalStore)
    take_in(warehouse, store, settings)
    store_days(warehouse, table("clean", "dynabounds"), bounds_rows(warehouse, SPAN), SPAN)
    for day, rows in feature_tables(warehouse, SPAN):
        path = day_path("clean/card_features", date.fromisoformat(day))
        store.write_table(path, stamped(rows, FEATURES_VERSION))
    warehouse.close()
    return House(warehouse, store, settings)


@pytest.fixture
def house(made: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A copy of `made`, with small models: how good they are is not the question here."""
    monkeypatch.setattr(training, "train_and_evaluate", partial(train_and_evaluate, trees=24, count=3))
    monkeypatch.setattr(training, "_simulated_beside", lambda cards, seed: (cards, None, None))
    monkeypatch.setattr(training, "_weak_beside", lambda *given: (given[2], None))
    monkeypatch.setattr(seed_method, "TREES_PER_CLASS", 2)
    name = f"copy_{tmp_path.name}"[:60].lower()
    source = made.warehouse.address
    with closing(psycopg2.connect(replace(source, db="postgres").uri())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f'create database "{name}" template "{source.db}" strategy file_copy')
    shutil.copytree(made.settings.home, tmp_path / "home")
    settings = load_settings(tmp_path / "home", host=source.host, port=source.port, user=source.user, db=name)
    store = open_store(settings)
    assert isinstance(store, LocalStore)
    with closing(Warehouse(replace(source, db=name))) as warehouse:
        yield House(warehouse, store, settings)


def labels_of(house: House, limit: int | None = None) -> dict[tuple[str, datetime], tuple[str, str | None]]:
    rows = house.warehouse.query(
        'select "NodeID", "Date", "TrueLabel1", "TrueLabel2" from clean.dynalabel order by 1, 2 limit $1',
        (limit,),
    ).to_pylist()
    return {(r["NodeID"], r["Date"]): (r["TrueLabel1"], r["TrueLabel2"]) for r in rows}


def easy_labels(house: House) -> list[tuple[str, datetime]]:
    """Label every card by its load, half of them Light and half Heavy; the lightest card first."""
    rows = house.warehouse.query(
        'select "NodeID", "Date", (select max(v) from unnest(surfcard_load) as v) as load '
        "from xspoc.card where surfcard_fault is null order by 3"
    ).to_pylist()
    keys = [(row["NodeID"], row["Date"]) for row in rows]
    texts = {key: ("Light" if number < len(keys) / 2 else "Heavy", None) for number, key in enumerate(keys)}
    house.label(texts, "easy.csv", 1)
    return keys


def test_the_first_model_is_taken_and_an_equal_one_takes_its_place(house: House) -> None:
    first, second = house.train(), house.train()
    assert first.promotion.promoted
    assert second.promotion.promoted
    assert second.promotion.against == first.version != second.version
    assert second.promotion.comparison.new == second.promotion.comparison.old, (
        "the same labels, the same folds"
    )
    assert second.promotion.comparison.cards == len(second.training.rows)
    assert model_row(house.warehouse, "dyna_classifier")["version"] == second.version
    ours = [row for row in models_of(house.warehouse) if row["version"].startswith(FEATURE_VERSION)]
    assert [row["in_use"] for row in ours] == [True, False]
    assert find_model(house.warehouse, second.version)["manifest"]["promotion"]["promoted"] is True


def test_a_worse_model_is_registered_but_not_taken_until_a_person_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    quality = {"roll": 0}

    def as_good_as(*given: Any, **more: Any) -> Any:
        training = train_and_evaluate(*given, **{**more, "trees": 8, "count": 2})
        return replace(training, shown=np.roll(training.truth, quality["roll"], axis=1))

    monkeypatch.setattr(training, "train_and_evaluate", as_good_as)
    easy_labels(house)
    good = house.train()
    assert good.promotion.promoted
    quality["roll"] = 1
    bad = house.train()
    assert (bad.promotion.comparison.new, bad.promotion.comparison.old) == (0.0, 1.0)
    assert not bad.promotion.promoted
    check = promotion_check(bad)
    assert not check.passed
    assert bad.version in check.description
    assert f"oasis models use {bad.version}" in check.description
    assert model_row(house.warehouse, "dyna_classifier")["version"] == good.version
    assert find_model(house.warehouse, bad.version)["in_use"] is False
    use_model(house.warehouse, "dyna_classifier", bad.version)
    assert model_row(house.warehouse, "dyna_classifier")["version"] == bad.version
    with pytest.raises(ValueError, match="the registry has"):
        find_model(house.warehouse, "nonsense")


def test_the_earlier_method_chosen_by_hand_stays_while_it_is_better(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    trivial = house.train().training.evaluation.models[-1]
    assert trivial.name == TRIVIAL
    unsaid = [row for row in trivial.per_class.values() if row["recall"] == 0.0]
    assert unsaid
    assert all(np.isnan(row["precision"]) for row in unsaid), "nothing is right of what was never said"
    assert not [row for row in models_of(house.warehouse) if row["version"].startswith(SEED_FEATURE_VERSION)]
    named = "sktime.classification.distance_based.KNeighborsTimeSeriesClassifier"
    (house.settings.home / MODELS_FILE).write_text(
        f'[comparison]\nclassifier = "{named}"\nparameters = {{ distance = "euclidean" }}\n'
    )
    compared = house.train(compare_earlier_method=True)
    assert {SEED, named} < {each.name for each in compared.training.evaluation.models}
    assert compared.notes == []
    earlier = next(
        row["version"]
        for row in models_of(house.warehouse)
        if row["version"].startswith(SEED_FEATURE_VERSION)
    )
    use_model(house.warehouse, "dyna_classifier", earlier)
    scores = {"ours": 0.2}

    def judged(*given: Any, **more: Any) -> Any:
        training = train_and_evaluate(*given, **{**more, "trees": 8, "count": 2})
        ours, *others = training.evaluation.models
        others = [replace(score, macro_f1=0.3) for score in others]
        ours = replace(ours, macro_f1=scores["ours"])
        return replace(training, evaluation=replace(training.evaluation, models=[ours, *others]))

    monkeypatch.setattr(training, "train_and_evaluate", judged)
    refused = house.train()
    assert not refused.promotion.promoted
    assert "0.200 against 0.300" in refused.promotion.reason
    assert model_row(house.warehouse, "dyna_classifier")["version"] == earlier
    scores["ours"] = 0.4
    assert house.train().promotion.promoted


def test_the_old_model_is_asked_about_no_well_that_it_has_seen(house: House) -> None:
    everything = labels_of(house)
    nodes = sorted({node for node, _ in everything})
    hidden = {
        key: value
        for number, (key, value) in enumerate(sorted(everything.items()))
        if key[0] == nodes[0] and number % 2
    }
    new_well = {key: value for key, value in everything.items() if key[0] == nodes[1]}
    with house.warehouse.transaction() as tx:
        for node, when in (*hidden, *new_well):
            tx.execute('delete from clean.dynalabel where "NodeID" = $1 and "Date" = $2', (node, when))
    house.train()
    house.label({**hidden, **new_well}, "later", 1)
    comparison = house.train().promotion.comparison
    assert hidden
    assert new_well
    usable = len(everything) - house.one(
        'select count(*) from clean.dynalabel l left join xspoc.card c using ("NodeID", "Date") '
        'where c.surfcard_fault is not null and c.pocdowncard_fault is not null or c."NodeID" is null'
    )
    assert comparison.cards == usable - len(hidden), (
        "later cards of a well that taught it have no honest answer"
    )


def test_new_labels_are_counted_and_the_sensor_waits_for_enough_of_them(house: House) -> None:
    assert new_labels(house.warehouse, house.store) is None, "the first training never waits"
    plan = Plan(whole={"models/dyna_classifier"})
    assert wait_for_labels(plan, house.warehouse, house.store) == []
    house.train()
    assert new_labels(house.warehouse, house.store) == 0
    few = dict(list(labels_of(house).items())[:3])
    house.label(dict.fromkeys(few, ("Another thing", None)), "later", 1)
    assert new_labels(house.warehouse, house.store) == 3
    assert wait_for_labels(plan, house.warehouse, house.store) == ["models/dyna_classifier"]
    assert not plan.whole
    many = dict.fromkeys(list(labels_of(house))[:25], ("Another thing", None))
    house.label(many, "later", 2)
    plan = Plan(whole={"models/dyna_classifier"})
    assert wait_for_labels(plan, house.warehouse, house.store) == []
    assert plan.whole


def test_days_keep_the_model_that_was_asked_for(house: House) -> None:
    old = house.train().version
    new = house.train().version
    predict_days(house.warehouse, house.store, SPAN)

    def versions() -> dict[str, str]:
        rows = house.warehouse.query(
            'select distinct "Date"::date::text as day, "ModelVersion" as v from clean.dynapred'
        ).to_pylist()
        assert len(rows) == 3, "one model a day"
        return {row["day"]: row["v"] for row in rows}

    assert set(versions().values()) == {new}
    second = Days(date(2025, 1, 2), date(2025, 1, 2))
    asked = predict_days(house.warehouse, house.store, second, old)
    assert asked.model_versions == [old]
    assert versions() == {"2025-01-01": new, "2025-01-02": old, "2025-01-03": new}
    again = predict_days(house.warehouse, house.store, SPAN)
    assert versions()["2025-01-02"] == old, "made again for another reason, the day keeps its model"
    assert again.notes
    predict_days(house.warehouse, house.store, SPAN, IN_USE)
    assert set(versions().values()) == {new}
    predict_days(house.warehouse, house.store, SPAN)
    assert set(versions().values()) == {new}
    with pytest.raises(ValueError, match="the registry has"):
        predict_days(house.warehouse, house.store, second, "nonsense")
    assert house.one("select count(*) from oasis.prediction_request") == 0


def test_a_version_of_other_features_is_refused_and_a_request_for_it_lapses(house: House) -> None:
    version = house.train().version
    predict_days(house.warehouse, house.store, SPAN, version)
    with house.warehouse.transaction() as tx:
        tx.execute(
            "insert into oasis.model select name, 'ancient', sha256, path, manifest || '{\"feature_version\": \"card-0\"}', "
            "false, false, created_at from oasis.model where version = $1",
            (version,),
        )
    with pytest.raises(ValueError, match="features card-0"):
        predict_days(house.warehouse, house.store, SPAN, "ancient")
    with house.warehouse.transaction() as tx:
        tx.execute("update oasis.prediction_request set version = 'ancient'")
    assert predict_days(house.warehouse, house.store, SPAN).model_versions == [version]


def test_the_queue_holds_unlabelled_cards_with_new_wells_ahead(house: House) -> None:
    assert label_queue.queue_rows(house.warehouse, house.store).num_rows == 0, "nothing is predicted yet"
    house.train()
    predict_days(house.warehouse, house.store, SPAN)
    rows = label_queue.queue_rows(house.warehouse, house.store, 30)
    assert rows["rank"].to_pylist() == list(range(1, 31))
    known = set(labels_of(house))
    keys = list(zip(rows["NodeID"].to_pylist(), rows["Date"].to_pylist(), strict=True))
    assert not known & set(keys)
    fresh = np.array(rows["well_labels"].to_pylist()) == 0
    assert fresh[:5].all(), "wells without labels come first"
    with house.warehouse.transaction() as tx:
        tx.replace_days(label_queue.LABEL_QUEUE, rows, None, None)
    assert [row["rank"] for row in labels.queue(house.warehouse, 4)] == [1, 2, 3, 4]
    house.label({keys[0]: ("Full Pump", None)}, "somebody", 1)
    assert [row["rank"] for row in labels.queue(house.warehouse, 4)] == [2, 3, 4, 5], "labelled since"


def test_people_who_disagree_are_shown_and_all_is_kept(house: House) -> None:
    (card, own), (other, same), *_ = labels_of(house).items()
    assert labels.disagreements(house.warehouse) == []
    house.label(
        {card: ("Something else", None), other: (same[1] or same[0], same[0] if same[1] else None)},
        "second.csv",
        1,
    )
    (found,) = labels.disagreements(house.warehouse)
    assert (found["NodeID"], found["Date"]) == card, (
        "the same two labels in the other order are no disagreement"
    )
    assert [said["labels"] for said in found["labels"]] == [sorted(t for t in own if t), ["Something else"]]
    assert [said["in_force"] for said in found["labels"]] == [False, True]
    first_file = found["labels"][0]["by"]
    labels.name_person(house.warehouse, "second.csv", "Crew A")
    labels.name_person(house.warehouse, first_file, "Crew A")
    assert labels.disagreements(house.warehouse) == [], "who changes their own mind disagrees with nobody"
    history = labels.labels_in_force(house.warehouse, history=True)
    assert history.num_rows > labels.labels_in_force(house.warehouse).num_rows
    assert "Crew A" in history["LabeledBy"].to_pylist()


def test_suspects_stand_in_their_table_until_somebody_labels_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = easy_labels(house)
    true = labels_of(house)

    def knows(*given: Any, **more: Any) -> Any:
        training = train_and_evaluate(*given, **{**more, "trees": 8, "count": 2})
        own = [true[key][0] for key in labels_of(house)]
        rows = np.array([[text == name for name in ("Heavy", "Light")] for text in own])[training.rows]
        return replace(training, proba=np.where(rows, 0.9, 0.05).astype(np.float32))

    monkeypatch.setattr(training, "train_and_evaluate", knows)
    wrong = set(keys[:4])
    house.label(dict.fromkeys(wrong, ("Heavy", None)), "wrong.csv", 2)
    trained = house.train()
    rows = labels.suspects(house.warehouse)
    assert {(row["NodeID"], row["Date"]) for row in rows} == wrong
    assert {row["suggested"] for row in rows} == {"Light"}
    assert {row["LabeledBy"] for row in rows} == {"wrong.csv"}
    assert trained.suspects == len(rows) == house.one("select count(*) from clean.label_suspect")
    for row in rows:
        assert row["doubted"] in (row["TrueLabel1"], row["TrueLabel2"])
        assert row["suggested"] not in (row["TrueLabel1"], row["TrueLabel2"])
        assert row["ModelVersion"] == trained.version
    house.label({(rows[0]["NodeID"], rows[0]["Date"]): ("Looked at again", None)}, "again.csv", 3)
    assert len(labels.suspects(house.warehouse)) == len(rows) - 1


def test_the_vendors_texts_are_asked_of_wells_without_labels_only(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(training, "train_and_evaluate", partial(train_and_evaluate, trees=24, count=3))
    monkeypatch.setattr(training, "_simulated_beside", lambda cards, seed: (cards, None, None))
    monkeypatch.setattr(seed_method, "TREES_PER_CLASS", 2)
    trained = house.train()
    weak = trained.weak
    assert weak.cards > 0
    assert weak.wells <= 12 - house.one('select count(distinct "NodeID") from clean.dynalabel')
    manifest = find_model(house.warehouse, trained.version)["manifest"]
    assert manifest["weak_cards_beside"] == (weak.cards if weak.trial.beside > weak.trial.without else 0)
    assert set(manifest["trial_of_weak_labels"]["trial"]) == {"without", "beside"}
    assert manifest["cards"] == len(trained.training.rows), "no weak card is judged"
    (house.settings.home / RULE_FILE).write_text("[[rule]]\nlabel = 1")
    spoilt = house.train()
    assert spoilt.weak is None
    assert "vendor_labels.toml" in spoilt.notes[0]


def test_drift_is_measured_against_the_field_at_the_time_of_the_labels(house: House) -> None:
    assert "not_measured" in check_drift(house.warehouse, house.store, SPAN).metadata
    version = house.train().version
    reference = load_reference(house.store, version)
    assert len(reference.well_names) == 12, "all wells of those days, labelled or not"
    result = check_drift(house.warehouse, house.store, SPAN)
    assert result.passed
    assert result.metadata["days_measured"].value == 3
    later = SPAN.last + timedelta(days=1)
    rows = house.store.read_table(day_path("clean/card_features", SPAN.last))
    features = features_of(rows).copy()
    for column, name in enumerate(STORED_FEATURES):
        if name.startswith("surface_") and name.endswith("_lbf"):
            features[:, column] *= 1.6
    shifted = feature_rows(rows["NodeID"].combine_chunks(), rows["Date"].combine_chunks(), features)
    house.store.write_table(day_path("clean/card_features", later), stamped(shifted, FEATURES_VERSION))
    result = check_drift(house.warehouse, house.store, Days(SPAN.first, later))
    assert not result.passed
    assert str(later) in result.description
    assert "surface card, size" in result.description
    house.store.delete(reference_path(version))
    assert check_drift(house.warehouse, house.store, SPAN).passed
