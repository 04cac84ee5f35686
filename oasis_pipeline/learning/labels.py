"""Label texts to classes and probabilities to labels: the rules of the tables ``dynalabel`` and ``dynapred``.

Belongs here: spelling, which classes can be learned, the two labels that are shown. Does not belong here: any class
name. Class lists are data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNKNOWN = "Unknown"
"""Label1 where the model abstains. As a label from a person it says nothing, and teaches nothing."""

MIN_CARDS = 5
"""Classes with fewer labelled cards are listed, not learned."""

SECOND_LABEL_PCT = 35.0
"""Label2 is shown above this probability only."""


@dataclass(frozen=True)
class Labels:
    """The labels of n cards as classes.

    Attributes
    ----------
    classes : tuple of str
        Learnable classes, in alphabetical order.
    multi_hot : ndarray of bool, shape (n, len(classes))
        Which of them each card has; one, two, or none (only classes that cannot be learned).
    labelled : ndarray of bool, shape (n,)
        Whether the card has any label.
    unlearned : dict of str to int
        Classes with fewer than `MIN_CARDS` cards, and how many they have.
    """

    classes: tuple[str, ...]
    multi_hot: NDArray[np.bool_]
    labelled: NDArray[np.bool_]
    unlearned: dict[str, int]

    def __len__(self) -> int:
        """Return the number of cards."""
        return len(self.multi_hot)

    @property
    def enough(self) -> bool:
        """Whether there is something to learn: at least two classes."""
        return len(self.classes) >= 2

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Labels:
        """Return the labels of some cards; the classes stay."""
        return Labels(self.classes, self.multi_hot[rows], self.labelled[rows], self.unlearned)


def encode_labels(
    label1: Sequence[str | None],
    label2: Sequence[str | None] | None = None,
    spellings: Iterable[str] = (),
    min_cards: int = MIN_CARDS,
    also: Sequence[str] = (),
) -> Labels:
    """Turn label texts into classes.

    Parameters
    ----------
    label1, label2 : sequence of str or None, length n
        The one or two labels of each card, in either order.
    spellings : iterable of str, optional
        Spellings that go before those of the cards, for example those of the labels that came first.
    min_cards : int
        Classes with fewer cards are not learned.
    also : sequence of str
        Classes that are learned however few cards have them, because others teach them.

    Returns
    -------
    Labels

    Notes
    -----
    Texts are trimmed, runs of white space count as one, and they are matched without regard to case to the first spelling.
    The same text twice on a card is one label. Empty texts and ``Unknown`` are no label.
    """
    second: Sequence[str | None] = [None] * len(label1) if label2 is None else label2
    if len(second) != len(label1):
        raise ValueError(f"{len(label1)} first labels but {len(second)} second ones")
    shown: dict[str, str] = {}
    for text in spellings:
        trimmed = _trim(text)
        shown.setdefault(trimmed.casefold(), trimmed)
    keys: list[set[str]] = []
    for pair in zip(label1, second, strict=True):
        row: set[str] = set()
        for raw in pair:
            trimmed = _trim(raw)
            key = trimmed.casefold()
            if key and key != UNKNOWN.casefold():
                shown.setdefault(key, trimmed)
                row.add(key)
        keys.append(row)
    others = {_trim(text).casefold(): _trim(text) for text in also}
    for key, text in others.items():
        shown.setdefault(key, text)
    counts: dict[str, int] = dict.fromkeys(others, 0)
    for row in keys:
        for key in row:
            counts[key] = counts.get(key, 0) + 1
    learned = sorted(
        (key for key, count in counts.items() if count >= min_cards or key in others),
        key=lambda key: shown[key],
    )
    index = {key: column for column, key in enumerate(learned)}
    multi_hot = np.zeros((len(keys), len(learned)), dtype=bool)
    for number, row in enumerate(keys):
        for key in row & index.keys():
            multi_hot[number, index[key]] = True
    return Labels(
        tuple(shown[key] for key in learned),
        multi_hot,
        np.array([bool(row) for row in keys], dtype=bool),
        {shown[key]: counts[key] for key in sorted(counts, key=lambda key: shown[key]) if key not in index},
    )


def top_two(
    proba: NDArray[np.floating], classes: Sequence[str], abstain_threshold: float | NDArray[np.floating] = 0.0
) -> dict[str, NDArray[np.generic]]:
    """Choose the labels that are shown, with the columns of ``clean.dynapred``.

    Parameters
    ----------
    proba : ndarray, shape (n, classes)
        Probability of each class to be among the card's labels, 0 to 1.
    classes : sequence of str
    abstain_threshold : float or ndarray of shape (n,)
        Where the best probability lies below it, the model abstains.

    Returns
    -------
    dict
        ``Label1`` (str; ``Unknown`` where the model abstains), ``Prob1`` (percent, two decimals; the best class's also
        where it abstains), ``Label2`` (str; None where Prob2 <= 35 and where it abstains), ``Prob2`` (NaN if there
        is only one class). Of equal probabilities the class that comes first wins.
    """
    first, second = _best(proba)
    rows = np.arange(len(proba))
    names = np.array([*classes, None], dtype=object)
    best = np.asarray(proba, np.float64)[rows, first]
    prob1 = np.round(100.0 * best, 2)
    prob2 = np.full(len(proba), np.nan)
    if len(classes) > 1:
        prob2 = np.round(100.0 * np.asarray(proba, np.float64)[rows, second], 2)
    abstains = best < abstain_threshold
    label1 = names[first]
    label1[abstains] = UNKNOWN
    label2 = names[np.where(abstains | ~(prob2 > SECOND_LABEL_PCT), len(classes), second)]
    return {"Label1": label1, "Prob1": prob1, "Label2": label2, "Prob2": prob2}


def shown_classes(
    proba: NDArray[np.floating], abstain_threshold: float | NDArray[np.floating] = 0.0
) -> NDArray[np.bool_]:
    """Return which classes `top_two` would show, multi-hot, shape (n, classes); no class where it abstains."""
    first, second = _best(proba)
    rows = np.arange(len(proba))
    values = np.asarray(proba, np.float64)
    shown = np.zeros(values.shape, dtype=bool)
    shown[rows, second] = np.round(100.0 * values[rows, second], 2) > SECOND_LABEL_PCT
    shown[rows, first] = True
    shown[values[rows, first] < abstain_threshold] = False
    return shown


def _best(proba: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    values = np.array(proba, np.float64)
    first = values.argmax(axis=1)
    if values.shape[1] == 1:
        return first, first
    values[np.arange(len(values)), first] = -1.0
    return first, values.argmax(axis=1)


def _trim(text: str | None) -> str:
    return " ".join(text.split()) if isinstance(text, str) else ""
