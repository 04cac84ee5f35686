from dataclasses import replace

import numpy as np
import pytest

from oasis_pipeline.learning.artifact import load_model, make_manifest, save_model
from oasis_pipeline.learning.calibration import Calibration, choose_threshold, fit_calibration
from oasis_pipeline.learning.evaluation import OURS, SEED, TRIVIAL, Candidate, compare, train_and_evaluate
from oasis_pipeline.learning.features import (
    CARDS,
    VIEWS,
    CardContext,
    answer_columns,
    block_names,
    card_features,
    change_columns,
    controller_columns,
    controller_names,
    curve_columns,
    curve_names,
    feature_matrix,
    feature_names,
    history_names,
    view_columns,
)
from oasis_pipeline.learning.fitting import NotEnoughLabelsError, Simulated, calibrate, fit
from oasis_pipeline.learning.labels import UNKNOWN, encode_labels, shown_classes
from oasis_pipeline.learning.pump_features import physics_names
from oasis_pipeline.learning.repeats import weigh_repeats
from oasis_pipeline.learning.seed_method import fit_seed_method, seed_features
from oasis_pipeline.learning.splits import folds_by_well
from oasis_pipeline.learning.trainer import FEW_WELLS, grow_forest, trainer

from .conftest import NAMES, make_shapes


@pytest.fixture(scope="module")
def training(field):
    return train_and_evaluate(
        field.features,
        field.labels,
        field.wells,
        days=None,
        signatures=field.signatures,
        seed_features=field.seed_features,
        trees=40,
        count=3,
    )


def test_it_learns_wells_that_it_has_not_seen(training):
    result = training.evaluation
    ours, trivial = result.model(OURS), result.model(TRIVIAL)
    assert [score.name for score in result.models] == [OURS, SEED, TRIVIAL]
    assert ours.macro_f1 > 0.9 > trivial.macro_f1
    assert ours.macro_f1_low <= ours.macro_f1 <= ours.macro_f1_high
    assert ours.calibration_error < 0.1
    assert result.wells == 24


def test_the_result_can_be_stored_and_read(training):
    import json

    table = json.loads(json.dumps(training.evaluation.to_dict(), allow_nan=False))
    assert table["models"][0]["name"] == OURS
    assert training.evaluation.to_markdown().count("\n") == 5
    assert "| Fluid Pound |" in training.evaluation.classes_to_markdown()


def test_fit_gives_the_same_model_and_the_same_answers(field, training):
    again = train_and_evaluate(
        field.features, field.labels, field.wells, days=None, signatures=field.signatures, trees=40, count=3
    )
    np.testing.assert_array_equal(
        again.model.predict_proba(field.features), training.model.predict_proba(field.features)
    )
    for name, view in training.model.views.items():
        assert again.model.views[name].abstain_threshold == view.abstain_threshold


@pytest.mark.parametrize("only", CARDS)
def test_one_card_is_enough(field, training, only):
    cards = {"surface": None, "pump": None} | {only: getattr(field, only)}
    table = training.model.predict(feature_matrix(card_features(**cards)))
    column = {name: k for k, name in enumerate(field.labels.classes)}
    right = [
        field.labels.multi_hot[row, column[text]]
        for row, text in enumerate(table["Label1"])
        if text != UNKNOWN
    ]
    assert len(right) > 200
    assert np.mean(right) > 0.9


def test_any_missing_value_gives_a_probability(field, training):
    rng = np.random.default_rng(0)
    holed = np.where(rng.random(field.features.shape) < 0.5, np.nan, field.features).astype(np.float32)
    holed[0] = np.nan
    proba = training.model.predict_proba(holed)
    assert np.isfinite(proba).all()
    assert (proba >= 0).all()
    assert (proba <= 1).all()


def test_the_arrays_answer_as_scikit_learn_does(field):
    from sklearn.ensemble import ExtraTreesClassifier

    from oasis_pipeline.learning.forest import forest_from_trees

    rng = np.random.default_rng(0)
    table = rng.normal(size=field.features.shape).astype(np.float32)
    kind = field.labels.multi_hot[:, 0].astype(int)
    grower = ExtraTreesClassifier(20, random_state=0).fit(table, kind)
    forest = forest_from_trees(
        [t.tree_ for t in grower.estimators_],
        [t.tree_.value[:, 0, :] for t in grower.estimators_],
        table.shape[1],
    )
    np.testing.assert_allclose(forest.mean_leaf(table), grower.predict_proba(table), atol=0.005)
    # What a card gets depends neither on how many are asked at once nor on who fills its gaps.
    fill = np.linspace(-1.0, 1.0, table.shape[1]).astype(np.float32)
    gaps = np.tile(table, (2, 1))[:261].copy()
    gaps[::3, 1] = np.nan
    filled = np.where(np.isnan(gaps), fill, gaps)
    for cards in (1, 2, 3, 5, 256, len(gaps)):
        np.testing.assert_array_equal(
            forest.mean_leaf(gaps[-cards:], fill=fill), forest.mean_leaf(filled)[-cards:]
        )


def test_unlabelled_cards_are_left_out(field):
    some = np.arange(len(field.wells)) % 3 > 0
    text = np.where(field.labels.multi_hot[:, 0], "A", "B")
    labels = encode_labels(np.where(some, text, None))
    model = fit(field.features, labels, field.wells, trees=10)
    alone = fit(field.features[some], encode_labels(text[some]), field.wells[some], trees=10)
    np.testing.assert_array_equal(model.predict_proba(field.features), alone.predict_proba(field.features))


def test_views_are_learned_from_the_rows_that_have_their_cards(field):
    pump_columns = [name.startswith("pump") for name in feature_names()]
    features = field.features.copy()
    features[:, pump_columns] = np.nan
    features[3] = np.nan
    model = fit(features, field.labels, field.wells, trees=10)
    assert list(model.views) == ["surface"]
    table = model.predict(features)
    assert table["Label1"][3] == UNKNOWN
    np.testing.assert_allclose(model.predict_proba(features)[3], model.prior)
    only_pump = feature_matrix(card_features(None, field.pump))
    assert set(model.predict(only_pump)["Label1"]) == {UNKNOWN}
    both = model.predict(field.features)["Label1"]
    np.testing.assert_array_equal(np.delete(both, 3), np.delete(table["Label1"], 3))


def test_a_forest_asks_the_controllers_card_alone():
    rng = np.random.default_rng(11)
    kind = rng.integers(0, 3, 120)
    same = [make_shapes(np.zeros(120, int), rng) for _ in range(2)]
    labels = encode_labels([NAMES[k][0] for k in kind])
    features = feature_matrix(card_features(*same, CardContext(controller=make_shapes(kind, rng))))
    model = fit(features, labels, np.arange(120) // 5, trees=10)
    grown = trainer("both", 40).grow_of_controller(features[:90], labels.multi_hot[:90], 0)
    assert set(grown.feature.tolist()) <= {-1, *controller_columns("both").tolist()}
    view = replace(model.views["both"], controller=grown, controller_share=1.0)
    asked = replace(model, views={**model.views, "both": view})
    right = view.score(features[90:]).argmax(axis=1) == labels.multi_hot[90:].argmax(axis=1)
    assert right.mean() > 0.9
    data = save_model(
        asked, make_manifest(wells=24, cards=120, first_day=None, last_day=None, simulated=False)
    )
    loaded = load_model(*data)[0]
    np.testing.assert_array_equal(loaded.predict_proba(features), asked.predict_proba(features))
    # a row without the controller's card is answered by the rest
    features[:, controller_columns("both")] = np.nan
    np.testing.assert_array_equal(asked.predict_proba(features), model.predict_proba(features))


def test_too_few_labels_are_told(field):
    labels = encode_labels(["A"] * 236 + ["B"] * 4)
    with pytest.raises(NotEnoughLabelsError, match=r"B \(4\)"):
        fit(field.features, labels, field.wells)


def test_a_handful_of_cards_of_either_kind_can_teach(field):
    two = np.flatnonzero(field.labels.multi_hot.sum(axis=1) == 1)[:60]
    text = np.array(field.labels.classes)[field.labels.multi_hot[two].argmax(axis=1)]
    rows = np.concatenate([two[text == name][:5] for name in sorted(set(text))])
    features = field.features[rows]
    for row, card in enumerate(CARDS * (len(rows) // 2)):
        features[row, [name.startswith(card) for name in feature_names()]] = np.nan
    labels = encode_labels([text[two.tolist().index(row)] for row in rows])
    model = fit(features, labels, rows, trees=5)
    assert model.views
    assert model.predict(field.features)["Label1"].shape == (240,)
    nothing = np.full_like(features, np.nan)
    with pytest.raises(NotEnoughLabelsError):
        fit(nothing, labels, rows)


def test_one_well_can_teach(field):
    model = fit(field.features, field.labels, ["ONLY"] * len(field.wells), trees=10)
    assert model.predict(field.features)["Label1"].shape == (240,)


def test_a_forest_of_constant_features_is_still_a_forest():
    features = np.full((12, len(feature_names())), 2.0, np.float32)
    forest, fill = grow_forest(features, np.eye(2, dtype=bool)[np.arange(12) % 2], "both", trees=3)
    np.testing.assert_allclose(forest.mean_leaf(features), 0.5, atol=0.003)
    assert set(fill[view_columns("both")]) == {2.0}


def test_wrong_number_of_features_is_refused(training):
    with pytest.raises(ValueError, match="columns"):
        training.model.predict_proba(np.zeros((3, 5), np.float32))


def test_calibration_mends_scores_that_are_too_timid():
    rng = np.random.default_rng(0)
    truth_probability = rng.random((4000, 2))
    truth = rng.random((4000, 2)) < truth_probability
    timid = 1 / (1 + np.exp(-0.4 * np.log(truth_probability / (1 - truth_probability)) + 0.3))
    found = fit_calibration(timid, truth)
    np.testing.assert_allclose(found(timid), truth_probability, atol=0.06)
    np.testing.assert_allclose(found.slope, 2.5, rtol=0.1)


def test_labels_of_few_wells_follow_simulated_wells_and_those_of_many_speak_for_themselves():
    rng = np.random.default_rng(1)

    def timid(cards, by):
        truth = np.eye(2, dtype=bool)[rng.integers(0, 2, cards)]
        return np.where(truth, 0.5 + by, 0.5 - by).astype(np.float32), truth

    score, truth = timid(600, 0.1)
    wrong = rng.random(600) < 0.4
    truth[wrong] = ~truth[wrong]
    simulated = Simulated(*timid(2000, 0.1), np.arange(2000) // 10)
    for wells, stated in ((6, 0.995), (FEW_WELLS, 0.6)):
        repeats = weigh_repeats(np.arange(600) % wells, truth)
        calibration, _ = calibrate(score, truth, repeats, simulated)
        assert calibration(score).max() == pytest.approx(stated, abs=0.03)
    alone, _ = calibrate(score, truth, weigh_repeats(np.arange(600) % 6, truth))
    assert alone(score).max() == pytest.approx(0.6, abs=0.03)
    assert len(set(alone.slope.tolist())) == 1


def test_calibration_keeps_the_order_and_survives_one_sided_truth():
    score = np.linspace(0, 1, 50)[:, None].repeat(2, axis=1)
    truth = np.stack([np.zeros(50, bool), np.ones(50, bool)], axis=1)
    proba = fit_calibration(score, truth)(score)
    assert (np.diff(proba, axis=0) >= 0).all()
    assert np.isfinite(proba).all()
    unchanged = Calibration.none(2)(score)
    np.testing.assert_allclose(unchanged, np.clip(score, 1e-3, 1 - 1e-3), atol=1e-6)


def test_the_threshold_drops_worthless_answers_only():
    truth = np.eye(2, dtype=bool)[np.arange(100) % 2]
    sure = np.where(truth, 0.9, 0.1)
    threshold = choose_threshold(sure, truth)
    assert shown_classes(sure, threshold).any(axis=1).all()
    wrong = np.where(truth, 0.2, 0.25)
    mixed = np.concatenate([sure, wrong])
    threshold = choose_threshold(mixed, np.concatenate([truth, truth]))
    assert 0.25 < threshold < 0.9


def test_seed_features_are_the_23_and_follow_the_bounds(field):
    from oasis_pipeline.learning.features import WellBounds

    own = seed_features(field.surface, field.pump)
    assert own.shape == (240, 23)
    np.testing.assert_array_equal(own, seed_features(None, field.pump))
    n = len(own)
    wide = WellBounds(np.arange(n) % 2 == 0, *(np.full(n, v) for v in (0.0, 1000.0, 0.0, 100000.0)))
    bounded = seed_features(field.surface, field.pump, wide)
    np.testing.assert_array_equal(bounded[1::2], own[1::2])
    assert (bounded[::2, 22] < own[::2, 22]).all()
    area = np.abs(field.features[0, feature_names().index("pump_area_in_lbf")])
    assert bounded[0, 22] == pytest.approx(area / (1000 * 100000), rel=1e-3)


def test_seed_method_answers_for_every_class(field):
    model = fit_seed_method(field.seed_features, field.labels)
    proba = model.predict_proba(field.seed_features)
    assert proba.shape == (240, 3)
    np.testing.assert_array_equal(proba > 0.5, field.labels.multi_hot)
    assert UNKNOWN not in model.predict(field.seed_features)["Label1"]


def test_compare_uses_the_same_folds_for_all(field):
    seen: dict[str, list[int]] = {"one": [], "two": []}

    def spy(name):
        def train(features, multi_hot, seed):
            seen[name].append(len(features))
            return lambda table: np.full((len(table), multi_hot.shape[1]), 0.5)

        return train

    result = compare(
        [Candidate(name, field.features, spy(name)) for name in seen],
        field.labels,
        field.wells,
        count=3,
        repeats=2,
    )
    assert seen["one"] == seen["two"]
    assert len(seen["one"]) == 6
    assert result.repeats == 2
    assert folds_by_well(field.wells, field.labels.multi_hot, 3, 0).count == result.folds
    with pytest.raises(ValueError, match="label on every card"):
        compare([], encode_labels(["A", None], min_cards=1), ["w", "v"])


def test_every_column_has_one_place():
    names = feature_names()
    assert len(set(names)) == len(names)
    blocks = [name for card in CARDS for name in (*block_names(card), *curve_names(card))]
    answers = [columns(view) for columns in (answer_columns, change_columns) for view in VIEWS]
    own = len(controller_names()) + len(physics_names()) + len(history_names()) + sum(map(len, answers))
    assert len(names) == 2 + len(blocks) + own
    asked = np.concatenate([view_columns("both"), curve_columns("both"), *answers[1:]])
    assert sorted(asked.tolist()) == list(range(len(names)))
