"""How few labels do: the platform's queue against a random order, on a simulated field or on a drop folder with labels.

    python -m studies.label_efficiency [--wells 120] [--cards 20]
    python -m studies.label_efficiency --drop FOLDER [--groups FILE]
    python -m studies.label_efficiency --vendor

Half of the wells is kept back and judged. Of the other half cards are labelled in rounds, in the order of the queue or by chance;
after each round the default classifier is trained on what has been labelled so far. The full score is that of all
labels of that half. Both orders begin without a label: the first round of the queue has nothing but the shapes of the cards.

``--vendor`` asks what the vendor's texts of the other wells are worth where people have labelled few wells: macro F1 on the wells kept
back without and with them, and what the trial on the labelled wells alone would have decided.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare_classifiers import read_drop
from oasis_pipeline.learning import scores
from oasis_pipeline.learning.base import TrainingSet, simulated_training_set
from oasis_pipeline.learning.fitting import NotEnoughLabelsError, fit, fit_out_of_fold
from oasis_pipeline.learning.label_queue import order_to_label, standardised
from oasis_pipeline.learning.labels import encode_labels
from oasis_pipeline.learning.splits import folds_by_well, number_wells
from oasis_pipeline.learning.weak_labels import read_vendor_rules, translate, try_weak, weak_background
from oasis_pipeline.simulation.cards import CardBatch, simulate_cards
from oasis_pipeline.simulation.controller import vendor_conditions

ORDERS = ("queue", "random")
FULL = 0.95


def rounds(cards: int) -> list[int]:
    """Labels after each round: small steps first, each a fifth more than is there."""
    found = [min(40, cards)]
    while found[-1] < cards:
        found.append(min(cards, max(found[-1] + 20, int(found[-1] * 1.3))))
    return found


def shown_by(model: Any, features: NDArray[np.float32], classes: tuple[str, ...]) -> NDArray[np.bool_]:
    """Classes that a model shows, as columns of `classes`."""
    answer = model.predict(features)
    place = {name: column for column, name in enumerate(classes)}
    result = np.zeros((len(features), len(classes)), bool)
    for name in ("Label1", "Label2"):
        for row, text in enumerate(answer[name]):
            if text in place:
                result[row, place[text]] = True
    return result


class Field:
    """Cards to be labelled and cards to be judged on."""

    def __init__(self, learned: TrainingSet, seed: int, trees: int) -> None:
        self.all = learned
        self.texts = label_texts(learned)
        self.wells = number_wells(learned.wells)
        half = folds_by_well(self.wells, learned.labels.multi_hot, 2, seed).of_card
        self.pool, self.test = np.flatnonzero(half == 0), np.flatnonzero(half == 1)
        self.seed, self.trees = seed, trees

    def train(self, rows: NDArray[np.intp]) -> Any:
        """Train on some cards; None where their labels are too few."""
        texts = self.texts[rows]
        labels = encode_labels(texts[:, 0].tolist(), texts[:, 1].tolist())
        try:
            return fit(
                self.all.features[rows],
                labels,
                self.wells[rows],
                signatures=self.all.signatures[rows],
                seed=self.seed,
                trees=self.trees,
            )
        except (NotEnoughLabelsError, ValueError):
            return None

    def score(self, model: Any) -> float:
        """Macro F1 on the wells kept back."""
        truth = self.all.labels.multi_hot[self.test]
        if model is None:
            return 0.0
        return scores.macro_f1(truth, shown_by(model, self.all.features[self.test], self.all.labels.classes))

    def next_cards(self, order: str, done: NDArray[np.intp], count: int, model: Any) -> NDArray[np.intp]:
        """Choose the cards of the next round."""
        left = np.setdiff1d(self.pool, done)
        if order == "random":
            return np.random.default_rng([self.seed, len(done)]).permutation(left)[:count]
        features = self.all.features
        space = standardised(features[self.pool], features[self.pool])
        place = {row: number for number, row in enumerate(self.pool.tolist())}
        own = space[[place[row] for row in left.tolist()]]
        taught = space[[place[row] for row in done.tolist()]] if done.size else own[:0]
        proba = np.full((len(left), 1), 0.5) if model is None else model.predict_proba(features[left])
        labels = np.bincount(self.wells[done], minlength=self.wells.max() + 1)
        return left[
            order_to_label(proba, own, self.wells[left], labels[self.wells[left]], taught, count).rows
        ]


def label_texts(learned: TrainingSet) -> NDArray[np.object_]:
    """Label texts of cards again, two columns, from their classes."""
    names = np.array([*learned.labels.classes, None], object)
    result = np.full((len(learned.labels), 2), None, object)
    for row, has in enumerate(learned.labels.multi_hot):
        columns = np.flatnonzero(has)[:2]
        result[row, : len(columns)] = names[columns]
    return result


def run(learned: TrainingSet, repeats: int, seed: int, trees: int) -> dict[str, Any]:
    """Run all rounds of both orders; figures are means over the repeats."""
    curves: dict[str, list[list[float]]] = {order: [] for order in ORDERS}
    full, steps, needed = [], [], {order: [] for order in ORDERS}
    for repeat in range(repeats):
        field = Field(learned, seed + repeat, trees)
        full.append(field.score(field.train(field.pool)))
        steps = rounds(len(field.pool))
        for order in ORDERS:
            done, model, curve = np.zeros(0, np.intp), None, []
            for step in steps:
                done = np.concatenate([done, field.next_cards(order, done, step - len(done), model)])
                model = field.train(done)
                curve.append(field.score(model))
            needed[order].append(labels_needed(steps, curve, FULL * full[-1]))
            curves[order].append(curve)
    return {
        "cards_to_label": len(field.pool),
        "cards_judged": len(field.test),
        "wells": int(field.wells.max()) + 1,
        "full_macro_f1": float(np.mean(full)),
        "labels": steps,
        "macro_f1": {order: np.mean(curves[order], axis=0).tolist() for order in ORDERS},
        "labels_for_95_percent": {order: [int(value) for value in needed[order]] for order in ORDERS},
    }


def vendor(batch: CardBatch, seed: int, trees: int) -> list[dict[str, Any]]:
    """Macro F1 without and with the vendor's texts of unlabelled wells, by the number of wells that people have labelled."""
    learned = simulated_training_set(batch)
    field = Field(learned, seed, trees)
    verdicts = vendor_conditions(batch.severity, np.random.default_rng(seed))
    weak_texts = translate(verdicts[:, 0].tolist(), verdicts[:, 1].tolist(), read_vendor_rules())
    found = []
    for wells in (6, 12, 24, 48):
        chosen = np.random.default_rng(seed).permutation(np.unique(field.wells[field.pool]))[:wells]
        people = field.pool[np.isin(field.wells[field.pool], chosen)]
        rest = np.setdiff1d(field.pool, people)
        texts = field.texts[people]
        labels = encode_labels(texts[:, 0].tolist(), texts[:, 1].tolist())
        own = (learned.features[people], labels, field.wells[people])
        weak = weak_background(
            learned.features[rest],
            [weak_texts[0][row] for row in rest],
            [weak_texts[1][row] for row in rest],
            field.wells[rest],
            labels,
            field.wells[people],
            seed,
        )
        curves = learned.signatures[people]
        trial = try_weak(*own, weak.background, signatures=curves, seed=seed)
        row = {
            "wells": wells,
            "labels": len(people),
            "weak cards": len(weak.background),
            "taken": trial.helps,
        }
        for name, background in (("without", None), ("with", weak.background)):
            model = fit_out_of_fold(*own, signatures=curves, seed=seed, trees=trees, background=background)[0]
            row[name] = field.score(model)
        found.append(row)
    return found


def labels_needed(steps: list[int], curve: list[float], goal: float) -> float:
    """Labels at which the curve first reaches the goal, linear between rounds; all where it never does."""
    for i, value in enumerate(curve):
        if value >= goal:
            if i == 0:
                return float(steps[0])
            share = (goal - curve[i - 1]) / max(value - curve[i - 1], 1e-12)
            return steps[i - 1] + share * (steps[i] - steps[i - 1])
    return float(steps[-1])


def main() -> None:
    """Print the curves of both orders, and how many labels each needs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--drop", type=Path, help="folder with CardData and Labels files")
    parser.add_argument("--groups", type=Path, help="csv with NodeID and Group")
    parser.add_argument("--wells", type=int, default=120, help="simulated wells")
    parser.add_argument("--cards", type=int, default=20, help="cards of each simulated well")
    parser.add_argument("--vendor", action="store_true", help="what the vendor's texts are worth")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", module=r"sklearn\.utils\.parallel")
    if asked.vendor:
        print("| wells labelled | labels | weak cards | macro F1 without | with them | trial takes them |")
        print("|---|---|---|---|---|---|")
        for repeat in range(asked.repeats):
            seed = asked.seed + repeat
            batch = simulate_cards(asked.wells * asked.cards, seed, cards_per_well=asked.cards)
            for row in vendor(batch, seed, asked.trees):
                print(
                    f"| {row['wells']} | {row['labels']} | {row['weak cards']} | {row['without']:.3f} | {row['with']:.3f} | "
                    f"{'yes' if row['taken'] else 'no'} |",
                    flush=True,
                )
        return
    if asked.drop is not None:
        learned = read_drop(asked.drop, asked.groups)
    else:
        batch = simulate_cards(asked.wells * asked.cards, asked.seed, cards_per_well=asked.cards)
        learned = simulated_training_set(batch)
    found = run(learned, asked.repeats, asked.seed, asked.trees)
    if asked.json:
        print(json.dumps(found, indent=1))
        return
    print(
        f"{found['wells']} wells, half of them kept back ({found['cards_judged']} cards), {found['cards_to_label']} cards to "
        f"label, {asked.repeats} repeats; macro F1 of all labels {found['full_macro_f1']:.3f}\n"
    )
    print(f"| labels | {' | '.join(ORDERS)} |\n|---|{'---|' * len(ORDERS)}")
    for row, labels in enumerate(found["labels"]):
        values = [f"{found['macro_f1'][order][row]:.3f}" for order in ORDERS]
        print(f"| {labels} | {' | '.join(values)} |")
    for order in ORDERS:
        needed = found["labels_for_95_percent"][order]
        print(
            f"\n{order}: {FULL:.0%} of the full score with {np.mean(needed):.0f} labels (repeats: {needed})"
        )


if __name__ == "__main__":
    main()
