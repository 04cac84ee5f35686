"""How a card classifier comes about: from the labels of the warehouse to a model in the registry.

Here: training sets read, trials of what may be learned from beside them, promotion, suspected labels. Not here: learning itself
(``oasis_pipeline.learning``), and predicting with a model (``predictions``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oasis_pipeline.learning.artifact import load_model, make_manifest, save_model
from oasis_pipeline.learning.background import Trial, background_of, try_background
from oasis_pipeline.learning.evaluation import SEED, Candidate, Training, train_and_evaluate
from oasis_pipeline.learning.features import FEATURE_VERSION, feature_matrix
from oasis_pipeline.learning.labels import Labels, encode_labels
from oasis_pipeline.learning.promotion import Comparison, compare_models
from oasis_pipeline.learning.seed_method import SEED_FEATURE_VERSION, fit_seed_method
from oasis_pipeline.learning.site_models import SiteModelError, SiteModels, read_site_models, train_of
from oasis_pipeline.learning.suspects import suspected_labels
from oasis_pipeline.learning.trainer import FEW_WELLS, Background
from oasis_pipeline.learning.weak_labels import (
    CARDS_A_WELL,
    RuleFileError,
    joined,
    read_vendor_rules,
    translate,
    try_weak,
    weak_background,
)
from oasis_pipeline.operations.drift import CLASSIFIER, days_of_cards, keep_reference, reference_path
from oasis_pipeline.operations.features import CARD_INPUT_COLUMNS, CARD_INPUT_JOINS, card_inputs, usual_rows
from oasis_pipeline.operations.predictions import load_classifier, taught_path
from oasis_pipeline.operations.registry import ModelFileError, model_row, models_of, register_model
from oasis_pipeline.operations.wells import EquipmentStates
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

LABEL_SUSPECT = table("clean", "label_suspect")

# Spellings of labels in the order in which they first came: the first one is shown.
_LABELLED = """
select c."NodeID", c."Date", l."TrueLabel1", l."TrueLabel2", l."LabeledBy", l."LabeledAt"
from clean.dynalabel as l
join xspoc.card as c on c."NodeID" = l."NodeID" and c."Date" = l."Date"
where c.surfcard_fault is null or c.pocdowncard_fault is null
order by c."NodeID", c."Date"
"""
_CARDS = f"""
select {CARD_INPUT_COLUMNS}
from unnest($1::text[], $2::timestamp[]) as l ("NodeID", "Date")
join xspoc.card as c on c."NodeID" = l."NodeID" and c."Date" = l."Date"
{CARD_INPUT_JOINS}
where c.surfcard_fault is null or c.pocdowncard_fault is null
order by c."NodeID", c."Date"
"""
_DAYS_OF_ROWS = 'select distinct "NodeID", day from unnest($1::text[], $2::date[]) as rows ("NodeID", day)'

AT_ONCE = 4_000
"""Labelled cards whose features are computed together."""

# The newest days only: a year of a large field is millions of rows, and few of them are taken.
_WEAK_DAYS = 90
_WEAK = f"""
with newest as (select max("Date") - make_interval(days => $1::int) as first from xspoc.xdiagresults),
offered as (
    select x."NodeID", x."Date", x."PumpCond1", x."PumpCond2",
        row_number() over (partition by x."NodeID" order by md5(x."NodeID" || x."Date"::text)) as place
    from xspoc.xdiagresults as x
    join xspoc.card as c on c."NodeID" = x."NodeID" and c."Date" = x."Date"
    where x."Date" > (select first from newest)
        and (c.surfcard_fault is null or c.pocdowncard_fault is null)
        and exists (
            select from unnest(array[x."PumpCond1", x."PumpCond2"]) as t(text)
            where lower(regexp_replace(trim(t.text), '\\s+', ' ', 'g')) = any($2::text[])
        )
        and not exists (select from clean.dynalabel as l where l."NodeID" = x."NodeID")
)
select {CARD_INPUT_COLUMNS}, o."PumpCond1", o."PumpCond2"
from offered as o
join xspoc.card as c on c."NodeID" = o."NodeID" and c."Date" = o."Date"
{CARD_INPUT_JOINS}
where o.place <= $3::int
order by c."NodeID", c."Date"
"""


@dataclass(frozen=True)
class TrainedClassifier:
    """What a making of the classifier came to.

    Attributes
    ----------
    version : str
        As in ModelVersion.
    is_base : bool
        Whether it was learned on simulated cards only.
    labelled : int
        Labelled, usable cards at hand.
    unlearned : dict of str to int
        Classes with too few cards.
    training : Training or None
        The model with its evaluation; None for a base model.
    promotion : Promotion or None
        Whether it predicts from now on; None for a base model.
    weak : WeakTrial or None
        What became of the vendor's texts; None where they were not asked.
    suspects : int
        Labels that are probably wrong; they stand in ``clean.label_suspect``.
    notes : list of str
        What a person should know.
    """

    version: str
    is_base: bool
    labelled: int
    unlearned: dict[str, int]
    training: Training | None = None
    promotion: Promotion | None = None
    weak: WeakTrial | None = None
    suspects: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Promotion:
    """Whether a newly trained model takes the place of the one in use.

    Attributes
    ----------
    promoted : bool
    against : str or None
        The version that was in use.
    reason : str
        In words.
    comparison : Comparison or None
        The two on the same held-out wells; None where there was nothing to compare with.
    """

    promoted: bool
    against: str | None
    reason: str
    comparison: Comparison | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values that JSON can hold."""
        comparison = None if self.comparison is None else self.comparison.to_dict()
        return {
            "promoted": self.promoted,
            "against": self.against,
            "reason": self.reason,
            "comparison": comparison,
        }


@dataclass(frozen=True)
class WeakTrial:
    """Cards with the vendor's texts beside the labelled ones: how many there were, and whether they were learned from."""

    cards: int
    wells: int
    trial: Trial

    @property
    def used(self) -> bool:
        """Whether the model has learned from them."""
        return self.trial.helps


def train_classifier(
    warehouse: Warehouse,
    store: ObjectStore,
    *,
    home: Path | None = None,
    compare_earlier_method: bool = False,
    seed: int = 0,
) -> TrainedClassifier:
    """Learn from all labelled cards, or, while there are too few labels, see to a base model.

    Parameters
    ----------
    warehouse : Warehouse
        Labels, cards, bounds; the registry.
    store : ObjectStore
        Where the artifact goes.
    home : Path, optional
        Where a rule file of the vendor's texts and ``models.toml`` may lie.
    compare_earlier_method : bool
        Train, judge and register the earlier platform's method too, which takes longer than all the rest. It is done in any case while that
        method is in use. A classifier that ``models.toml`` names is judged beside too.
    seed : int
        Of the training.

    Returns
    -------
    TrainedClassifier
        Registered; in use too, unless it is worse than the model that was in use.
    """
    rows = warehouse.query(_LABELLED)
    labels = encode_labels(rows["TrueLabel1"].to_pylist(), rows["TrueLabel2"].to_pylist())
    if not labels.enough:
        return _base_classifier(warehouse, store, labels)
    notes: list[str] = []
    cards = _read_cards(warehouse, rows, labels, compare_earlier_method)
    cards, beside = _choose_beside(warehouse, cards, home, seed, notes)
    labels = cards.labels
    training = train_and_evaluate(
        cards.features,
        labels,
        wells=cards.wells,
        days=cards.days,
        signatures=cards.signatures,
        background=beside.background,
        seed_features=cards.seed_features,
        seed=seed,
        beside=_named_by_site(cards, home, notes) if compare_earlier_method else (),
    )
    promotion = _promotion(warehouse, store, cards, training, seed)
    if promotion.promoted and promotion.comparison is not None and promotion.comparison.worse:
        notes.append(
            f"the new model predicts although {promotion.against} was better on held-out wells ({promotion.reason}); label cards of "
            f"more wells (`oasis labels queue`), or take the other one back by `oasis models use {promotion.against}`"
        )
    cards = _without_inputs(cards)
    version = _register_training(warehouse, store, cards, beside, training, promotion, seed)
    return TrainedClassifier(
        version,
        False,
        int(labels.labelled.sum()),
        labels.unlearned,
        training,
        promotion,
        beside.weak,
        _store_suspects(warehouse, cards, training, version),
        notes,
    )


def _named_by_site(cards: _LabelledCards, home: Path | None, notes: list[str]) -> list[Candidate]:
    """Classifier of ``models.toml`` to be judged beside ours."""
    try:
        choice = SiteModels() if home is None else read_site_models(home)
    except SiteModelError as error:
        notes.append(f"{error}; nothing was compared with it")
        return []
    if not choice.comparison.classifier:
        return []
    count, channels, _ = cards.curves.shape
    train = train_of(
        choice.comparison, channels, lambda fault: None if fault in notes else notes.append(fault)
    )
    return [Candidate(choice.comparison.classifier, cards.curves.reshape(count, -1), train)]


def _only(metrics: dict[str, Any], name: str) -> dict[str, Any]:
    """Keep the figures of one model."""
    return {**metrics, "models": [model for model in metrics["models"] if model["name"] == name]}


@dataclass(frozen=True)
class _LabelledCards:
    """What a training takes, n rows."""

    features: NDArray[np.float32]
    labels: Labels
    wells: NDArray[Any]
    days: NDArray[np.int64]
    signatures: NDArray[np.float32]
    keys: pa.Table
    seed_features: NDArray[np.float32] | None
    """Features of the earlier platform's method, where it is trained too."""
    curves: NDArray[np.float32]
    """Loads of both cards, shape (n, 2, points), which a classifier that the site has named gets."""


def _without_inputs(cards: _LabelledCards) -> _LabelledCards:
    """Let go of what was learned from: a year of labels is hundreds of megabytes, and the reference of its field comes beside it."""
    nothing = np.empty((0, 0), np.float32)
    return replace(cards, features=nothing, signatures=nothing, curves=nothing)


@dataclass(frozen=True)
class _Beside:
    """What is learned from beside the labelled cards, and the trials that chose it."""

    background: Background | None
    trial: Trial | None
    weak: WeakTrial | None

    @property
    def weak_cards(self) -> int:
        """Cards with the vendor's texts among them."""
        return self.weak.cards if self.weak is not None and self.weak.used else 0

    @property
    def simulated_cards(self) -> int:
        """Simulated cards among them."""
        return 0 if self.background is None else len(self.background) - self.weak_cards


def _read_cards(
    warehouse: Warehouse, rows: pa.Table, labels: Labels, compare_earlier_method: bool
) -> _LabelledCards:
    """Compute what a training takes from labelled rows, some at a time: features of a year of labels take gigabytes on their way."""
    # labels of many wells are learned without what is usual in them
    few = len(set(rows["NodeID"].to_pylist())) < FEW_WELLS
    used = model_row(warehouse, CLASSIFIER)
    if used is not None and json.loads(used["manifest"])["feature_version"] == SEED_FEATURE_VERSION:
        compare_earlier_method = True
    whole: list[NDArray[Any]] = []
    for places in np.array_split(np.arange(rows.num_rows), -(-rows.num_rows // AT_ONCE)):
        keys = rows.slice(places[0], len(places))
        wells = keys["NodeID"].to_pylist()
        part = warehouse.query(_CARDS, (wells, keys["Date"].to_pylist()))
        if part.num_rows != len(places):
            raise StorageError("labelled cards changed while they were read: train again")
        asked = (wells, keys["Date"].cast(pa.date32()).to_pylist())
        earlier = [usual_rows(warehouse, _DAYS_OF_ROWS, asked)] if few else []
        inputs = card_inputs(part, EquipmentStates.of_rows(warehouse, part, *earlier), *earlier)
        taken = [feature_matrix(inputs.features()), inputs.signatures(), inputs.load_curves()]
        if compare_earlier_method:
            taken.append(inputs.seed_features())
        # put in their place at once: a list of parts and the whole of them would be there together
        whole = whole or [np.empty((rows.num_rows, *each.shape[1:]), each.dtype) for each in taken]
        for each, values in zip(whole, taken, strict=True):
            each[places] = values
    features, signatures, curves, *of_seed = whole
    return _LabelledCards(
        features,
        labels,
        rows["NodeID"].to_numpy(zero_copy_only=False),
        rows["Date"].to_numpy().astype("datetime64[D]").astype(np.int64),
        signatures,
        rows,
        of_seed[0] if of_seed else None,
        curves,
    )


def _choose_beside(
    warehouse: Warehouse, cards: _LabelledCards, home: Path | None, seed: int, notes: list[str]
) -> tuple[_LabelledCards, _Beside]:
    """Choose by trials on the labelled wells what is learned from beside them: simulated cards, then the vendor's texts.

    The cards come back with the classes that are learned too because of it.
    """
    cards, background, trial = _simulated_beside(cards, seed)
    without = None if trial is None else trial.reached
    background, weak = _weak_beside(warehouse, cards, background, without, home, seed, notes)
    return cards, _Beside(background, trial, weak)


def _register_training(
    warehouse: Warehouse,
    store: ObjectStore,
    cards: _LabelledCards,
    beside: _Beside,
    training: Training,
    promotion: Promotion,
    seed: int,
) -> str:
    """Keep the model, what it has learned from and the reference of its field; return its version."""
    when = datetime.now(UTC)
    version = _free_version(warehouse, when)
    manifest = make_manifest(
        wells=training.evaluation.wells,
        cards=training.evaluation.cards,
        first_day=str(pc.min(cards.keys["Date"]).as_py().date()),
        last_day=str(pc.max(cards.keys["Date"]).as_py().date()),
        simulated=False,
        metrics=training.evaluation.to_dict(),
        created=when.isoformat(timespec="seconds"),
        seed=seed,
        version=version,
        unlearned_classes=cards.labels.unlearned,
        simulated_cards_beside=beside.simulated_cards,
        trial_of_simulated_cards=None if beside.trial is None else asdict(beside.trial),
        weak_cards_beside=beside.weak_cards,
        trial_of_weak_labels=None if beside.weak is None else asdict(beside.weak),
        promotion=promotion.to_dict(),
    )
    classes = cards.labels.classes
    shown = [[name for name, yes in zip(classes, row, strict=True) if yes] for row in training.shown]
    taught = cards.keys.take(pa.array(training.rows)).append_column(
        "shown", pa.array(shown, pa.list_(pa.string()))
    )
    kept = {version: taught}
    if cards.seed_features is not None:
        earlier = f"{SEED_FEATURE_VERSION}-{version.rsplit('-', 1)[-1]}"
        kept[earlier] = taught.drop_columns(["shown"])
        # before the classifier, which is the newest of the registry then
        method = fit_seed_method(cards.seed_features[training.rows], cards.labels.take(training.rows), seed)
        told = {**manifest, "version": earlier, "metrics": _only(manifest["metrics"], SEED)}
        _register(warehouse, store, *save_model(method, told), is_base=False, in_use=False)
    for name, rows in kept.items():
        store.write_table(taught_path(name), rows)
    keep_reference(store, tuple(kept), days_of_cards(taught))
    _register(
        warehouse, store, *save_model(training.model, manifest), is_base=False, in_use=promotion.promoted
    )
    return version


def _store_suspects(warehouse: Warehouse, cards: _LabelledCards, training: Training, version: str) -> int:
    """Store the labels that are probably wrong instead of those of the training before; return how many."""
    suspects = _suspect_rows(cards, training, version)
    with warehouse.transaction() as tx:
        tx.replace_days(LABEL_SUSPECT, suspects, None, None)
    return int(suspects.num_rows)


def _free_version(warehouse: Warehouse, when: datetime) -> str:
    """Name a version by its time; two trainings within a second must not share one."""
    taken = {row["version"] for row in models_of(warehouse, CLASSIFIER)}
    while (version := f"{FEATURE_VERSION}-{when:%Y%m%dT%H%M%S}") in taken:
        when += timedelta(seconds=1)
    return version


def _promotion(
    warehouse: Warehouse, store: ObjectStore, cards: _LabelledCards, training: Training, seed: int
) -> Promotion:
    """Compare a newly trained model with the one in use, on cards of wells that neither had seen."""
    used = model_row(warehouse, CLASSIFIER)
    if used is None:
        return Promotion(True, None, "no model was in use")
    version = used["version"]
    if json.loads(used["manifest"])["feature_version"] == SEED_FEATURE_VERSION:
        # its own held-out answers are not kept; the evaluation has learned it anew on the same folds
        new, old = training.evaluation.models[0].macro_f1, training.evaluation.model(SEED).macro_f1
        words = f"macro F1 {new:.3f} against {old:.3f} of the earlier platform's method, learned from the same labels, on the same held-out wells"
        return Promotion(
            new >= old, version, f"{'not ' if new >= old else ''}worse than the model in use: {words}"
        )
    rows = training.rows
    try:
        asked, old_shown = _honest_answers(store, used, cards, rows)
    except ModelFileError as error:
        return Promotion(True, version, f"the model that was in use can't be asked: {error}")
    comparison = compare_models(
        training.truth[asked], training.shown[asked], old_shown[asked], cards.wells[rows][asked], seed
    )
    words = comparison.in_words(version)
    if json.loads(used["manifest"])["feature_version"] != FEATURE_VERSION:
        return Promotion(True, version, f"{version} needs features of another version; {words}", comparison)
    if used["is_base"] and all(row["is_base"] for row in models_of(warehouse, CLASSIFIER)):
        # the field's own classes and its own wells; who prefers the base model says `oasis models use`
        return Promotion(
            True, version, f"the first model learned from the field's labels; {words}", comparison
        )
    if comparison.worse:
        return Promotion(False, version, f"worse than the model in use: {words}", comparison)
    return Promotion(True, version, f"not worse than the model that was in use: {words}", comparison)


def _honest_answers(
    store: ObjectStore, used: dict[str, Any], cards: _LabelledCards, rows: NDArray[np.intp]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What the model in use says of labelled cards whose wells are new to it: which cards, and the classes shown.

    Cards that taught it are answered by the held-out folds of its training, kept beside its artifact. Cards of wells that did not teach it
    are answered by itself. Other cards of wells that taught it are left out.
    """
    classes = cards.labels.classes
    wells = cards.wells[rows]
    asked, shown = np.zeros(len(rows), bool), np.zeros((len(rows), len(classes)), bool)
    seen_wells: set[str] = set()
    if store.exists(taught_path(used["version"])):
        taught = store.read_table(taught_path(used["version"]))
        seen_wells = set(pc.unique(taught["NodeID"]).to_pylist())
        if "shown" in taught.column_names:
            keys = zip(taught["NodeID"].to_pylist(), taught["Date"].to_pylist(), strict=True)
            answers = dict(zip(keys, taught["shown"].to_pylist(), strict=True))
            own = cards.keys.take(pa.array(rows))
            for row, key in enumerate(zip(own["NodeID"].to_pylist(), own["Date"].to_pylist(), strict=True)):
                if key in answers:
                    asked[row] = True
                    shown[row] = _multi_hot([answers[key]], classes)[0]
    if json.loads(used["manifest"])["feature_version"] == FEATURE_VERSION:
        new = ~np.isin(wells, list(seen_wells)) if seen_wells else np.ones(len(rows), bool)
        if new.any():
            answer = load_classifier(store, used).predict(cards.features[rows[new]])
            pairs = zip(answer["Label1"].tolist(), answer["Label2"].tolist(), strict=True)
            shown[new] = _multi_hot([list(pair) for pair in pairs], classes)
            asked |= new
    return asked, shown


def _multi_hot(texts: Sequence[Sequence[str | None]], classes: Sequence[str]) -> NDArray[np.bool_]:
    """Lay texts out as columns of classes, without regard to case; other texts are dropped."""
    place = {name.casefold(): column for column, name in enumerate(classes)}
    result = np.zeros((len(texts), len(classes)), bool)
    for row, own in enumerate(texts):
        for text in own:
            if text is not None and text.casefold() in place:
                result[row, place[text.casefold()]] = True
    return result


def _suspect_rows(cards: _LabelledCards, training: Training, version: str) -> pa.Table:
    found = suspected_labels(training.truth, training.proba, cards.wells[training.rows])
    names = np.array(cards.labels.classes, object)
    rows = cards.keys.take(pa.array(training.rows[found.rows]))
    return (
        rows.append_column("doubted", pa.array(names[found.doubted], pa.string()))
        .append_column("suggested", pa.array(names[found.suggested], pa.string()))
        .append_column("doubt_pct", pa.array(np.round(100 * found.doubt, 2)))
        .append_column("ModelVersion", pa.repeat(pa.scalar(version), rows.num_rows))
        .select(list(LABEL_SUSPECT.column_names))
    )


def new_labels(warehouse: Warehouse, store: ObjectStore) -> int | None:
    """Count the labels of usable cards that the newest training has not seen, or has seen otherwise.

    Parameters
    ----------
    warehouse : Warehouse
    store : ObjectStore

    Returns
    -------
    int or None
        None where no model has learned from labels yet, or it is not known what the newest has learned.
    """
    newest = next((row for row in models_of(warehouse, CLASSIFIER) if not row["is_base"]), None)
    if newest is None or not store.exists(taught_path(newest["version"])):
        return None
    taught = store.read_table(taught_path(newest["version"]))
    if not {"NodeID", "Date", "TrueLabel1", "TrueLabel2", "LabeledBy", "LabeledAt"} <= set(
        taught.column_names
    ):
        return None
    now = warehouse.query(
        'select l."NodeID", l."Date", l."TrueLabel1", l."TrueLabel2" from clean.dynalabel l '
        'join xspoc.card c on c."NodeID" = l."NodeID" and c."Date" = l."Date" '
        "where c.surfcard_fault is null or c.pocdowncard_fault is null"
    )
    before, after = (
        {tuple(row.values()) for row in t.select(now.column_names).to_pylist()} for t in (taught, now)
    )
    return len({row[:2] for row in before ^ after})


def _simulated_beside(
    cards: _LabelledCards, seed: int
) -> tuple[_LabelledCards, Background | None, Trial | None]:
    """Simulated cards to learn from beside the labelled ones, if labels are few and the field's held-out wells say they help.

    Then classes of which nobody has labelled a card yet are learned too: the cards come back with them.
    """
    if len(np.unique(cards.wells)) >= FEW_WELLS:
        return cards, None, None
    from oasis_pipeline.learning import base

    simulated = base.simulated_background_set(base.background_cards(len(cards.wells)))
    known = {name.casefold() for name in simulated.labels.classes}
    if not known & {name.casefold() for name in cards.labels.classes}:
        return cards, None, None
    first, second = (cards.keys[name].to_pylist() for name in ("TrueLabel1", "TrueLabel2"))
    more = replace(cards, labels=encode_labels(first, second, also=simulated.labels.classes))
    background = background_of(simulated.features, simulated.labels, more.labels.classes, simulated.wells)
    trial = try_background(
        more.features,
        more.labels,
        more.wells,
        background,
        days=more.days,
        signatures=more.signatures,
        seed=seed,
    )
    return (more, background, trial) if trial.helps else (cards, None, trial)


def _weak_beside(
    warehouse: Warehouse,
    cards: _LabelledCards,
    background: Background | None,
    without: float | None,
    home: Path | None,
    seed: int,
    notes: list[str],
) -> tuple[Background | None, WeakTrial | None]:
    """Cards with the vendor's texts beside what is learned from anyway, if the wells that people have labelled gain by it."""
    if len(np.unique(cards.wells)) >= FEW_WELLS:
        return background, None
    try:
        rules = read_vendor_rules(home)
    except RuleFileError as error:
        notes.append(f"{error}; the vendor's texts were not used")
        return background, None
    rows = warehouse.query(
        _WEAK, (_WEAK_DAYS, [text for text, label in rules.items() if label], CARDS_A_WELL)
    )
    if rows.num_rows == 0:
        return background, None
    features = feature_matrix(card_inputs(rows, EquipmentStates.of_rows(warehouse, rows)).features())
    texts = translate(rows["PumpCond1"].to_pylist(), rows["PumpCond2"].to_pylist(), rules)
    weak = weak_background(features, *texts, rows["NodeID"].to_pylist(), cards.labels, cards.wells, seed)
    if len(weak.background) == 0:
        return background, None
    trial = try_weak(
        cards.features,
        cards.labels,
        cards.wells,
        weak.background,
        beside=background,
        days=cards.days,
        signatures=cards.signatures,
        seed=seed,
        without=without,
    )
    tried = WeakTrial(len(weak.background), weak.wells, trial)
    return (joined(background, weak.background) if trial.helps else background), tried


def _base_classifier(warehouse: Warehouse, store: ObjectStore, labels: Labels) -> TrainedClassifier:
    labelled = int(labels.labelled.sum())
    used = model_row(warehouse, CLASSIFIER)
    if used is None or (
        used["is_base"] and json.loads(used["manifest"])["feature_version"] != FEATURE_VERSION
    ):
        # the simulator's compiled code is not for every process that loads the graph
        from oasis_pipeline.learning import base

        created = datetime.now(UTC).isoformat(timespec="seconds")
        _register(
            warehouse,
            store,
            *(base.read_base_model() or base.pack_base_model(created)),
            is_base=True,
            in_use=True,
        )
        used = model_row(warehouse, CLASSIFIER)
    assert used is not None
    if used["is_base"] and not store.exists(reference_path(used["version"])):
        keep_reference(store, (used["version"],), [])
    with warehouse.transaction() as tx:
        tx.replace_days(LABEL_SUSPECT, arrow_schema(LABEL_SUSPECT).empty_table(), None, None)
    return TrainedClassifier(used["version"], used["is_base"], labelled, labels.unlearned)


def _register(
    warehouse: Warehouse,
    store: ObjectStore,
    data: bytes,
    sha256: str,
    *,
    is_base: bool,
    in_use: bool,
) -> None:
    packed = load_model(data, sha256)[1]
    register_model(warehouse, store, CLASSIFIER, data, sha256, packed, is_base=is_base, in_use=in_use)
