"""Models side by side on the same held-out wells.

Belongs here: running several models over the same folds and putting their figures into one result. Does not belong here:
single figures (``scores``), folds (``splits``), pictures (``plotting``).

Every F1 counts an abstention (``Unknown``) as a miss; coverage, the share of cards that got an answer, stands beside it.
Calibration maps and abstention thresholds of a fold are fitted on the other folds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.learning import scores
from oasis_pipeline.learning.classifier import ClassifierModel
from oasis_pipeline.learning.evidence import exclude_rivals
from oasis_pipeline.learning.fitting import OutOfFold, calibrate, default_folds, fit_out_of_fold, usable_rows
from oasis_pipeline.learning.labels import Labels, shown_classes
from oasis_pipeline.learning.seed_method import train_seed_method
from oasis_pipeline.learning.splits import Folds, Scorer, Train, folds_by_well, number_wells, out_of_fold
from oasis_pipeline.learning.trainer import TREES, Background

OURS_BESIDE_SIMULATED = "trees and whole cards, simulated cards beside the labelled"
OURS, SEED, TRIVIAL = "trees and whole cards", "elliptic Fourier + random forest", "most frequent label"


HeldOut = Callable[
    [NDArray[np.bool_], Folds, NDArray[np.float32] | None, int],
    NDArray[np.float32],
]


@dataclass(frozen=True)
class Candidate:
    """A model that takes part in a comparison.

    Attributes
    ----------
    name : str
    features : ndarray of float32, shape (n, features)
        Its own features of the cards.
    train : Train
        See `splits.Train`.
    calibrated : bool
        Whether its scores are calibrated and it may abstain; else they are taken as they are.
    held_out : callable, optional
        (multi_hot, folds, signatures, seed) -> scores of held-out cards, for a model that needs to know the folds; ``train`` is not asked
        then.
    """

    name: str
    features: NDArray[np.float32]
    train: Train
    calibrated: bool = True
    held_out: HeldOut | None = None


@dataclass(frozen=True)
class ModelScore:
    """Figures of one model on held-out cards.

    Attributes
    ----------
    name : str
    macro_f1, macro_f1_low, macro_f1_high : float
        Mean over the classes, and its 95 % interval under resampling of wells.
    mean_average_precision : float
    calibration_error : float
        10 bins of the best probability against "that class is among the card's labels".
    first_label_right : float
        Share of all cards whose Label1 is among their labels.
    coverage : float
        Share of cards with an answer.
    per_class : dict of str to dict
        ``cards``, ``precision``, ``recall``, ``f1``, ``average_precision`` of each class, and why it was missed, as shares of its cards:
        ``missed_unknown`` (no answer), ``missed_blanked`` (second, but not likely enough to be shown), ``missed_outranked`` (two others were likelier).
    risk_coverage : list of [coverage, risk]
    seconds : float
        Training and prediction of all folds of one repeat.
    labels_right : float
        Share of all cards whose shown labels are exactly theirs.
    risk_area : float
        Area under the risk-coverage curve: the mean risk over all coverages.
    reliability : list of [stated, reached, cards]
        Mean probability of the best class, share of cards where it is right, and cards, for each bin of that probability that has cards.
    """

    name: str
    macro_f1: float
    macro_f1_low: float
    macro_f1_high: float
    mean_average_precision: float
    calibration_error: float
    first_label_right: float
    coverage: float
    per_class: dict[str, dict[str, float]]
    risk_coverage: list[list[float]]
    seconds: float
    labels_right: float = float("nan")
    risk_area: float = float("nan")
    reliability: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True)
class Evaluation:
    """A comparison and what it rests on.

    Attributes
    ----------
    scheme : str
        What was held out, in words.
    cards, wells, folds, repeats : int
    classes : list of str
    unlearned : dict of str to int
        Classes with too few cards.
    models : list of ModelScore
    """

    scheme: str
    cards: int
    wells: int
    folds: int
    repeats: int
    classes: list[str]
    unlearned: dict[str, int]
    models: list[ModelScore] = field(default_factory=list)

    def model(self, name: str) -> ModelScore:
        """Return the figures of one model by its name."""
        return next(score for score in self.models if score.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold (what cannot be computed is None)."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    def to_markdown(self) -> str:
        """Return one row a model."""
        head = [
            "model",
            "macro F1",
            "95 % interval",
            "mAP",
            "calibration error",
            "Label1 right",
            "labels right",
            "coverage",
            "mean risk",
            "seconds",
        ]
        rows = [
            [
                score.name,
                f"{score.macro_f1:.3f}",
                f"{score.macro_f1_low:.3f} - {score.macro_f1_high:.3f}",
                f"{score.mean_average_precision:.3f}",
                f"{score.calibration_error:.3f}",
                f"{score.first_label_right:.3f}",
                f"{score.labels_right:.3f}",
                f"{score.coverage:.3f}",
                f"{score.risk_area:.3f}",
                f"{score.seconds:.1f}",
            ]
            for score in self.models
        ]
        return _table(head, rows)

    def classes_to_markdown(self) -> str:
        """Return one row a class with the F1 of each model."""
        rows = [
            [
                name,
                str(int(self.models[0].per_class[name]["cards"])),
                *(f"{score.per_class[name]['f1']:.2f}" for score in self.models),
            ]
            for name in self.classes
        ]
        return _table(["class", "cards", *(f"F1, {score.name}" for score in self.models)], rows)


@dataclass(frozen=True)
class Training:
    """A trained model together with how it did on wells it had not seen.

    Attributes
    ----------
    model : ClassifierModel
        Trained on all labelled cards.
    evaluation : Evaluation
    rows : ndarray of int, shape (n,)
        The labelled cards, as rows of the arrays that were given.
    truth : ndarray of bool, shape (n, classes)
    proba : ndarray of float32, shape (n, classes)
        Probabilities of these cards from models that had not seen their wells.
    shown : ndarray of bool, shape (n, classes)
        What would have been shown for them.
    """

    model: ClassifierModel
    evaluation: Evaluation
    rows: NDArray[np.intp]
    truth: NDArray[np.bool_]
    proba: NDArray[np.float32]
    shown: NDArray[np.bool_]


def train_and_evaluate(
    features: NDArray[np.float32],
    labels: Labels,
    wells: ArrayLike,
    *,
    days: ArrayLike | None = None,
    signatures: NDArray[np.float32] | None = None,
    seed_features: NDArray[np.float32] | None = None,
    seed: int = 0,
    trees: int = TREES,
    count: int | None = None,
    allowed: NDArray[np.bool_] | None = None,
    background: Background | None = None,
    beside: Sequence[Candidate] = (),
) -> Training:
    """Train the default classifier and judge it beside the earlier platform's method and the most frequent label.

    The folds that calibrate the model are also those of the evaluation, so nothing is trained twice.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
    labels : Labels
    wells : array_like, shape (n,)
    days, signatures : array_like, optional
        See `fitting.fit`.
    seed_features : ndarray of float32, optional, shape (n, 23)
        From `seed_method.seed_features`; without them the earlier platform's method is left out. It takes longer to train than all the rest:
        about 10 s of one core a fold for 1,600 cards of twelve classes.
    seed, trees : int
    count : int, optional
        Folds; `classifier.default_folds` by default.
    allowed : ndarray of bool, optional, shape (features,)
        Features that may be used; all by default.
    background : Background, optional
        Simulated cards that are learned from beside the labelled ones and never judged.
    beside : sequence of Candidate
        Further models that are judged on the same folds, features of n rows each.

    Returns
    -------
    Training

    Raises
    ------
    NotEnoughLabelsError
        If there are not two classes to learn.
    """
    rows = usable_rows(features, labels)
    mine = labels.take(rows)
    own_wells = np.asarray(wells)[rows]
    own_days = None if days is None else np.asarray(days)[rows]
    curves = None if signatures is None else signatures[rows]
    # a year of labels is hundreds of megabytes: no copy where all rows teach
    taught = features if len(rows) == len(features) else features[rows]
    began = time.perf_counter()
    model, held_out = fit_out_of_fold(
        taught,
        mine,
        own_wells,
        days=own_days,
        signatures=curves,
        seed=seed,
        trees=trees,
        count=count,
        allowed=allowed,
        background=background,
    )
    seconds = time.perf_counter() - began
    proba, shown = judged(held_out)(mine.multi_hot)
    result = _evaluation(mine, own_wells, held_out.folds, 1)
    result.models.append(
        _score(
            OURS if background is None else OURS_BESIDE_SIMULATED,
            mine,
            own_wells,
            [(proba, shown)],
            seconds,
            seed,
        )
    )
    others = [*(replace(each, features=each.features[rows]) for each in beside), trivial_candidate(mine)]
    if seed_features is not None:
        others.insert(0, Candidate(SEED, seed_features[rows], train_seed_method, calibrated=False))
    for candidate in others:
        result.models.append(_run(candidate, mine, own_wells, [held_out.folds], curves, seed))
    return Training(model, result, rows, mine.multi_hot, proba, shown)


def compare(
    candidates: Sequence[Candidate],
    labels: Labels,
    wells: ArrayLike,
    *,
    days: ArrayLike | None = None,
    signatures: NDArray[np.float32] | None = None,
    seed: int = 0,
    count: int | None = None,
    repeats: int = 1,
) -> Evaluation:
    """Judge several models on the same folds.

    Parameters
    ----------
    candidates : sequence of Candidate
    labels : Labels
        Every card labelled.
    wells : array_like, shape (n,)
    days, signatures : array_like, optional
        See `fitting.fit`.
    seed, count, repeats : int
        Repeat r divides the wells, and trains, with seed + r.

    Returns
    -------
    Evaluation
    """
    if not labels.labelled.all():
        raise ValueError("a comparison needs a label on every card")
    folds = [
        folds_by_well(wells, labels.multi_hot, count or default_folds(len(labels)), seed + repeat, days)
        for repeat in range(repeats)
    ]
    result = _evaluation(labels, np.asarray(wells), folds[0], repeats)
    for candidate in candidates:
        result.models.append(_run(candidate, labels, np.asarray(wells), folds, signatures, seed))
    return result


def trivial_candidate(labels: Labels) -> Candidate:
    """Return the baseline that always gives the most frequent labels of the training cards, with their shares."""

    def train(_: NDArray[np.float32], multi_hot: NDArray[np.bool_], seed: int) -> Scorer:
        share = multi_hot.mean(axis=0)
        return lambda table: np.repeat(share[None], len(table), axis=0)

    return Candidate(TRIVIAL, np.zeros((len(labels), 1), np.float32), train, calibrated=False)


def judged(
    held_out: OutOfFold,
) -> Callable[[NDArray[np.bool_]], tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Return a function from the truth to (probabilities, shown classes), each fold calibrated on the other folds."""

    def judge(truth: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        proba = np.zeros(truth.shape, np.float32)
        shown = np.zeros(truth.shape, bool)
        for fold in range(held_out.folds.count):
            here = held_out.folds.of_card == fold
            others = np.flatnonzero(~here)
            repeats = None if held_out.repeats is None else held_out.repeats.take(others)
            calibration, threshold = calibrate(
                held_out.score[others], truth[others], repeats, held_out.simulated
            )
            proba[here] = calibration(held_out.score[here])
            if held_out.rival is not None:
                proba[here] = exclude_rivals(proba[here], held_out.rival)
            shown[here] = shown_classes(proba[here], threshold)
        return proba, shown

    return judge


def _run(
    candidate: Candidate,
    labels: Labels,
    wells: NDArray[Any],
    folds: Sequence[Folds],
    signatures: NDArray[np.float32] | None,
    seed: int,
) -> ModelScore:
    answers = []
    began = time.perf_counter()
    for repeat, division in enumerate(folds):
        if candidate.held_out is not None:
            score = candidate.held_out(labels.multi_hot, division, signatures, seed + repeat)
        else:
            score = out_of_fold(
                candidate.train, candidate.features, labels.multi_hot, division, signatures, seed + repeat
            )
        score = np.where(np.isnan(score), labels.multi_hot.mean(axis=0, dtype=np.float32), score)
        if candidate.calibrated:
            answers.append(judged(OutOfFold(score, division))(labels.multi_hot))
        else:
            answers.append((score, shown_classes(score)))
    seconds = (time.perf_counter() - began) / len(folds)
    return _score(candidate.name, labels, wells, answers, seconds, seed)


def _share(part: float, whole: float) -> float:
    """A share; NaN of nothing."""
    return float(part / whole) if whole else float("nan")


def _score(
    name: str,
    labels: Labels,
    wells: NDArray[Any],
    answers: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]],
    seconds: float,
    seed: int,
) -> ModelScore:
    """Average the repeats; the interval resamples wells with all repeats of their cards."""
    truth = labels.multi_hot
    all_truth = np.concatenate([truth] * len(answers))
    all_shown = np.concatenate([shown for _, shown in answers])
    best = [scores.best_class(truth, proba) for proba, _ in answers]
    confidence = np.concatenate([pair[0] for pair in best])
    correct = np.concatenate([pair[1] for pair in best])
    low, high = scores.bootstrap_macro_f1(
        all_truth, all_shown, np.tile(number_wells(wells), len(answers)), seed
    )
    f1 = np.mean([scores.f1_per_class(truth, shown) for _, shown in answers], axis=0)
    ap = np.mean([scores.average_precision(truth, proba) for proba, _ in answers], axis=0)
    tp, fp, fn = scores.counts(all_truth, all_shown)
    reasons = scores.why_missed(all_truth, np.concatenate([proba for proba, _ in answers]), all_shown)
    answered = all_shown.any(axis=1)
    coverage, risk = scores.risk_coverage(confidence, correct)
    return ModelScore(
        name=name,
        macro_f1=float(np.mean([scores.macro_f1(truth, shown) for _, shown in answers])),
        macro_f1_low=low,
        macro_f1_high=high,
        mean_average_precision=float(np.nanmean(ap)) if np.isfinite(ap).any() else float("nan"),
        calibration_error=float(np.mean([scores.calibration_error(*pair) for pair in best])),
        first_label_right=float((correct & answered).mean()),
        coverage=float(answered.mean()),
        per_class={
            text: {
                "cards": float(truth[:, k].sum()),
                "precision": _share(tp[k], tp[k] + fp[k]),
                "recall": _share(tp[k], tp[k] + fn[k]),
                "f1": float(f1[k]),
                "average_precision": float(ap[k]),
                **{
                    f"missed_{why}": float(count[k] / max(tp[k] + fn[k], 1)) for why, count in reasons.items()
                },
            }
            for k, text in enumerate(labels.classes)
        },
        risk_coverage=[[float(c), float(r)] for c, r in zip(coverage, risk, strict=True)],
        seconds=seconds,
        labels_right=float((all_truth == all_shown).all(axis=1).mean()),
        risk_area=scores.risk_area(confidence, correct),
        reliability=[
            [float(value) for value in row]
            for row in zip(*scores.reliability(confidence, correct), strict=True)
            if row[2] > 0
        ],
    )


def _evaluation(labels: Labels, wells: NDArray[Any], folds: Folds, repeats: int) -> Evaluation:
    return Evaluation(
        scheme=folds.scheme,
        cards=len(labels),
        wells=int(number_wells(wells).max(initial=-1)) + 1,
        folds=folds.count,
        repeats=repeats,
        classes=list(labels.classes),
        unlearned=dict(labels.unlearned),
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return round(value, 6) if np.isfinite(value) else None
    return value
