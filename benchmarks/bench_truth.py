"""What the platform is worth on fields that no packaged simulator has made, beside its own judged set and real cards.

Runs for an hour or more, and only when it is named: ``python -m benchmarks truth --cache DIR [--judged] [--ablation]``. Without
``--judged`` the foreign fields are those of the development seeds; judged seeds are for figures that are told. With ``--ablation`` the
foreign fields are learned again and again instead, each time with one part of the platform taken away, and of real cards the part is told
that they use.

Foreign: the classifier is learned from the labels of twelve wells exactly as ``oasis run`` learns it, and asked about the others
(`benchmarks.foreign_truth`). Own judged set and real cards: held-out wells, as `benchmarks.compare_classifiers` has it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.compare_classifiers import candidates, read_drop
from benchmarks.diagnosis_accuracy import CONDITIONS, SEED, WELLS, diagnose_field, make_field
from benchmarks.foreign import DEVELOPMENT_SEEDS, JUDGED_SEEDS
from benchmarks.foreign.files import DAYS as DAYS_OF_FIELD
from benchmarks.foreign.files import WELLS as WELLS_OF_FIELD
from benchmarks.foreign_truth import (
    ONE_OF_TWO,
    WITHOUT,
    Answers,
    Score,
    TakenIn,
    ask,
    judge,
    learn,
    platform_answers,
    quantity_errors,
    simulated_once,
    taken_in,
    without,
)
from oasis_pipeline.learning.artifact import load_model
from oasis_pipeline.learning.base import TrainingSet, read_base_model, simulated_training_set
from oasis_pipeline.learning.classifier import ClassifierModel
from oasis_pipeline.learning.evaluation import OURS, compare
from oasis_pipeline.learning.features import VIEWS, rows_with
from oasis_pipeline.learning.labels import UNKNOWN, Labels, encode_labels
from oasis_pipeline.simulation.cards import JUDGED, JUDGED_CARDS, JUDGED_SEED, simulate_cards

ON_REQUEST = True
"""Not run where no room is named."""

_SURE_PCT = 70.0

QUANTITIES = (
    ("intake pressure", "pump_intake_pressure_psi", "pump_intake_pressure_psi", "psi"),
    ("production", "inferred_production_bpd", "production_bpd", "bbl/d"),
    ("fillage", "fillage_pct", "fillage_pct", "%"),
)


def rows(
    cache: Path | None = None,
    judged: bool = False,
    seeds: Sequence[int] = (),
    ablation: bool = False,
    size: tuple[int, int] = (WELLS_OF_FIELD, DAYS_OF_FIELD),
) -> Iterator[dict[str, Any]]:
    """Measure; one row a figure, as soon as it is there: name, figure, unit, note.

    Parameters
    ----------
    cache : Path, optional
        Where fields are kept; without it they are made anew and thrown away.
    judged : bool
        Judged seeds instead of those for development.
    seeds : sequence of int
        These seeds instead.
    ablation : bool
        What each part of the learner gave on foreign fields and real cards, and nothing else.
    size : tuple of int
        Wells and days of a foreign field.
    """
    if cache is None:
        with tempfile.TemporaryDirectory(prefix="oasis-truth-", ignore_cleanup_errors=True) as folder:
            yield from rows(Path(folder), judged, seeds, ablation, size)
        return
    cache.mkdir(parents=True, exist_ok=True)
    for seed in seeds or (JUDGED_SEEDS if judged else DEVELOPMENT_SEEDS):
        if ablation:
            yield from _ablation(f"foreign {seed}", seed, cache, size)
        else:
            yield from _foreign(f"foreign {seed}", taken_in(seed, cache, *size))
    if not ablation:
        yield from _own()
    if data := os.environ.get("OASIS_SHARED_DATA"):
        yield from _real(Path(data))
        if ablation:
            # the other parts are for labels of few wells
            with without(ONE_OF_TWO):
                yield from _real(Path(data), "real: without pound or gas")[:2]


def _ablation(world: str, seed: int, cache: Path, size: tuple[int, int]) -> Iterator[dict[str, Any]]:
    field = taken_in(seed, cache, *size)
    hidden = field.hidden()
    cards = field.cards.take(hidden)

    def told(name: str, answers: Answers) -> list[dict[str, Any]]:
        table = _score_rows(f"{world}: {name}", judge(cards, answers))[:2]
        return [*table, _row(f"{world}: {name}: training", answers.seconds, "s", "processor time")]

    with simulated_once():
        model, seconds = learn(field)
        yield from told("all", ask(model, field.features[hidden], seconds))
        with without(ONE_OF_TWO):
            yield from told("without pound or gas", ask(model, field.features[hidden], seconds))
        for part in WITHOUT:
            if part != "worlds of their own":
                with without(WITHOUT[part]):
                    yield from told(f"without {part}", platform_answers(field, hidden))
    # these need other simulated cards
    with without(WITHOUT["worlds of their own"]):
        yield from told("without worlds of their own", platform_answers(field, hidden))


def _foreign(world: str, field: TakenIn) -> list[dict[str, Any]]:
    hidden = field.hidden()
    cards = field.cards.take(hidden)
    answers = platform_answers(field, hidden)
    table = _score_rows(world, judge(cards, answers))
    table.append(_row(f"{world}: training", answers.seconds, "s", "processor time"))
    first, second = (cards[name].to_pylist() for name in ("condition1", "condition2"))
    optional = cards["full_pump_optional"].to_numpy(zero_copy_only=False)
    labels = encode_labels(first, second, also=("Full Pump",))
    labels.multi_hot[:, labels.classes.index("Full Pump")] |= optional
    table += _score_rows(f"{world}: base model", judge(cards, ask(_base(), field.features[hidden], 0.0)))[:2]
    table += _base_rows(world, field.features[hidden], labels)
    return table + _quantity_rows(world, cards)


def _base() -> ClassifierModel:
    found = read_base_model()
    if found is None:
        raise RuntimeError("the base model is of another version: make models MODELS=classifier")
    model, _ = load_model(*found)
    if not isinstance(model, ClassifierModel):
        raise RuntimeError("the base model is not a classifier of the default kind")
    return model


def _base_rows(world: str, features: NDArray[np.float32], labels: Labels) -> list[dict[str, Any]]:
    """How often the model of a field without labels is right, and how often where it is sure."""
    said = _base().predict(features)
    place = {name: column for column, name in enumerate(labels.classes)}
    column = np.array([place.get(str(name), -1) for name in said["Label1"]])
    right = (column >= 0) & labels.multi_hot[np.arange(len(column)), column]
    sure = np.asarray(said["Prob1"], np.float64) > _SURE_PCT
    answered = said["Label1"] != UNKNOWN
    return [
        _row(
            f"{world}: base model, Label1 right",
            float(right.mean()),
            "",
            f"Unknown {1 - answered.mean():.2f} of {len(right)} cards",
        ),
        _row(
            f"{world}: base model, right where Prob1 > {_SURE_PCT:.0f}",
            float(right[sure].mean()) if sure.any() else np.nan,
            "",
            f"{sure.mean():.2f} of the cards",
        ),
    ]


def _quantity_rows(world: str, cards: pa.Table) -> list[dict[str, Any]]:
    table = []
    for name, said, truth, unit in QUANTITIES:
        errors, true, null = quantity_errors(cards, said, truth)
        note = f"bias {np.median(errors):.1f}, null {null:.1%}, truth {np.median(true):.0f}"
        table.append(_row(f"{world}: {name}, median error", float(np.median(np.abs(errors))), unit, note))
        table.append(_row(f"{world}: {name}, p90", float(np.quantile(np.abs(errors), 0.9)), unit, ""))
    return table


def _score_rows(world: str, score: Score) -> list[dict[str, Any]]:
    table = [
        _row(
            f"{world}: macro F1, hidden wells",
            score.macro_f1,
            "",
            f"95 % over wells {score.low:.3f} to {score.high:.3f}",
        ),
        _row(f"{world}: calibration error", score.calibration_error, "", f"coverage {score.coverage:.2f}"),
    ]
    for each in score.classes:
        note = (
            f"95 % {each.low:.2f} to {each.high:.2f}; recall {each.recall:.2f}, precision {each.precision:.2f}; "
            f"{each.cards} cards of {each.wells} wells"
        )
        table.append(_row(f"{world}: F1, {each.name}", each.f1, "", note))
    return table


def _own() -> list[dict[str, Any]]:
    learned = simulated_training_set(simulate_cards(JUDGED_CARDS, JUDGED_SEED, circumstances=JUDGED))
    table = _held_out("own judged", learned)
    errors = []
    for name in CONDITIONS:
        field = make_field(name, WELLS, SEED)
        found = diagnose_field(field, SEED, gain=0.012, gravity=0.02).columns["pump_intake_pressure_psi"]
        steady = field.cards.results["steady"] > 0
        errors.append((found - field.cards.truth["pump_intake_pressure_psi"])[steady])
    wrong = np.concatenate(errors)
    null = float(np.mean(~np.isfinite(wrong)))
    wrong = np.abs(wrong[np.isfinite(wrong)])
    table += [
        _row(
            "own judged: intake pressure, median error",
            float(np.median(wrong)),
            "psi",
            f"null {null:.1%}; gain, gravity wrong",
        ),
        _row("own judged: intake pressure, p90", float(np.quantile(wrong, 0.9)), "psi", ""),
    ]
    return table


def _real(data: Path, world: str = "real") -> list[dict[str, Any]]:
    learned = read_drop(data / "real-cards", data / "real-cards.groups.csv")
    return _held_out(world, learned) + _base_rows(world, learned.features, learned.labels)


def _held_out(world: str, learned: TrainingSet) -> list[dict[str, Any]]:
    view = next(view for view in VIEWS if rows_with(learned.features, view).all())
    chosen = [each for each in candidates(learned, view) if each.name == OURS]
    found = compare(chosen, learned.labels, learned.wells, signatures=learned.signatures)
    ours = found.models[0]
    table = [
        _row(
            f"{world}: macro F1, held-out wells",
            ours.macro_f1,
            "",
            f"95 % over wells {ours.macro_f1_low:.3f} to {ours.macro_f1_high:.3f}; {found.cards} cards",
        ),
        _row(f"{world}: calibration error", ours.calibration_error, "", f"coverage {ours.coverage:.2f}"),
    ]
    for name, row in ours.per_class.items():
        table.append(
            _row(
                f"{world}: F1, {name}",
                row["f1"],
                "",
                f"recall {row['recall']:.2f}, precision {row['precision']:.2f}",
            )
        )
    return table


def _row(name: str, figure: float, unit: str, note: str) -> dict[str, Any]:
    return {"name": name, "figure": figure, "unit": unit, "note": note}
