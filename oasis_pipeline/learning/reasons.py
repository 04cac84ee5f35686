"""Why a card got its label: which knowledge spoke for it, in words.

Belongs here: what the classifier would say if it did not know something, and the names of that something. Does not belong here: reading
stored features (``assets``), pictures (``plotting``).

Features that tell of one thing are taken away together: each is replaced by what stands in for it where it is missing (the median of the
training cards), in the trees and in the comparison of whole cards, and the network of simulated cards is asked again without it. By how much the label's probability falls is what the thing spoke for
it; negative means that it spoke against. Taken away one by one, related features would stand in for each other and none would seem to count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.classifier import ClassifierModel, View
from oasis_pipeline.learning.features import (
    VIEWS,
    answer_columns,
    answered_again,
    change_columns,
    feature_names,
    rows_with,
)

_WORDS = (
    (r"(fillage_pct|physics_fillage.*|physics_net_stroke.*)", "fillage of the pump"),
    (r"spm", "pumping speed"),
    (r"history_.*", "change since the days before"),
    (r"(surface|pump)_to_bounds_.*", "place of the {} card within the well's bounds"),
    (r"(surface|pump)_(time|shape|ordered)_.*", "course of the whole {} card"),
    (r"(surface|pump)_efd_.*", "outline of the {} card"),
    (r"(surface|pump)_(load|slope)_up_.*", "loads of the {} card's upstroke"),
    (r"(surface|pump)_(load|slope)_down_.*", "loads of the {} card's downstroke"),
    (r"(surface|pump)_(spread_.*|.*_bend_lbf|.*_path_share)", "roughness of the {} card"),
    (r"(surface|pump)_.*", "size and load range of the {} card"),
    (r"controller_efd_.*", "outline of the controller's pump card"),
    (r"controller_(load|slope|area)_.*", "loads of the controller's pump card"),
    (r"controller_.*", "roughness of the controller's pump card"),
    (r"physics_(pickup|upstroke_first).*", "load pick-up at the start of the upstroke"),
    (r"physics_(unload|downstroke_first).*", "unloading at the start of the downstroke"),
    (r"physics_(least_travel|least_give|tubing).*", "travel of plunger and tubing while the load changes"),
    (r"physics_top.*", "plunger at the top of its stroke"),
    (r"physics_bottom.*", "plunger at the bottom of its stroke"),
    (r"physics_(upstroke|wear).*", "load along the plunger's upstroke"),
    (r"physics_downstroke.*", "load along the plunger's downstroke"),
    (r"physics_shaking.*", "fast shaking of the polished rod"),
    (r"physics_(tv|sv|slippage|passing_fluid).*", "leaks and slippage"),
    (r"physics_(friction|damping|shelf|.*slope|pump_power|plunger_travel).*", "friction and damping"),
    (r"physics_(position_phase|load_offset).*", "errors of the instruments"),
    (r"physics_.*", "loads against rod weight and fluid load lines"),
)
"""The first pattern that fits a feature's name tells what it is about; {} is the card."""


@dataclass(frozen=True)
class Reason:
    """One thing that spoke for a label, or against it.

    Attributes
    ----------
    what : str
        In words.
    points : float
        By how many percent points the label's probability falls without it.
    """

    what: str
    points: float


@lru_cache(maxsize=1)
def feature_groups() -> dict[str, NDArray[np.intp]]:
    """Return which features tell of the same thing, by what that is; every feature but those made of others is in one group."""
    found: dict[str, list[int]] = {}
    made_of_others = {column for view in VIEWS for column in answer_columns(view).tolist()}
    for column, name in enumerate(feature_names()):
        if column in made_of_others:
            continue
        for pattern, words in _WORDS:
            fit = re.fullmatch(pattern, name)
            if fit:
                card = fit.group(1) if "{}" in words else ""
                found.setdefault(words.format(card), []).append(column)
                break
        else:
            raise AssertionError(f"no words for the feature {name!r}")
    return {what: np.array(columns, np.intp) for what, columns in found.items()}


def reasons(
    model: ClassifierModel, features: NDArray[np.float32], label: str | None = None, count: int = 4
) -> list[list[Reason]]:
    """Say what spoke most for the label of each card.

    Parameters
    ----------
    model : ClassifierModel
    features : ndarray of float32, shape (n, features)
    label : str, optional
        A class of the model; each card's most probable one by default.
    count : int
        Reasons a card.

    Returns
    -------
    list of list of Reason
        For each card the strongest first; fewer where fewer things speak for the label. Empty for a row without a card that the model knows.

    Raises
    ------
    ValueError
        If the model does not know the label.
    """
    if label is not None and label not in model.classes:
        raise ValueError(f"the model does not know {label!r}; it knows {', '.join(model.classes)}")
    whole = model.predict_proba(features)
    chosen = np.full(len(whole), model.classes.index(label)) if label is not None else whole.argmax(axis=1)
    groups = feature_groups()
    # what a network makes of a card beside what is usual can't be asked again without something, so it is one reason, and not in the others
    compared = np.concatenate([change_columns(name) for name in VIEWS])
    alone = features.copy()
    alone[:, compared] = np.nan
    apart = model.predict_proba(alone)
    fall = np.zeros((len(features), len(groups)))
    answered = np.zeros(len(features), bool)
    for name in VIEWS:
        if name not in model.views:
            continue
        rows = np.flatnonzero(~answered & rows_with(features, name))
        answered[rows] = True
        if rows.size == 0:
            continue
        view = model.views[name]
        for place, columns in enumerate(groups.values()):
            before = (whole if compared[0] in columns else apart)[rows, chosen[rows]]
            without = _without(view, features[rows], columns)
            fall[rows, place] = before - without[np.arange(rows.size), chosen[rows]]
    result = []
    texts = list(groups)
    for row in range(len(features)):
        best = np.argsort(-fall[row], kind="stable")[:count]
        result.append(
            [Reason(texts[k], round(100.0 * float(fall[row, k]), 1)) for k in best if fall[row, k] > 5e-4]
        )
    return result


def _without(view: View, features: NDArray[np.float32], columns: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return a view's probabilities as if some features were not known."""
    hidden = features.copy()
    hidden[:, columns] = np.nan
    return view.predict_proba(answered_again(hidden))
