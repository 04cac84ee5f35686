"""The vendor's pump conditions as weak labels, for wells where no person has labelled.

Belongs here: the rules from the vendor's words to labels, which weak cards are taken, and whether they are learned from. Does not belong
here: simulated cards (``background``), whose way into a training they share.

A weak label is never truth: no figure counts it, no card of a well that a person has labelled gets one, and it is learned from only if
the wells that people have labelled, held out, gain by it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oasis_pipeline.learning.background import Trial, background_of, try_background
from oasis_pipeline.learning.labels import Labels, encode_labels
from oasis_pipeline.learning.splits import number_wells
from oasis_pipeline.learning.trainer import Background

RULE_FILE = "vendor_labels.toml"

WEIGHT = 0.5
"""Weak cards weigh together at most this share of the cards that people have labelled: so many are taken."""

CARDS_A_WELL = 10
"""Cards of one well at most."""


class RuleFileError(ValueError):
    """The rule file of the vendor's texts can't be used; the message says why."""


Rules = Mapping[str, str | None]
"""Text in folded case to label; empty where the text says nothing, None where its card is not to be used."""


def read_vendor_rules(home: Path | None = None) -> Rules:
    """Read what the vendor's texts say in the words of labels.

    Parameters
    ----------
    home : Path, optional
        A file ``vendor_labels.toml`` there takes the place of the package's own.

    Returns
    -------
    Rules

    Raises
    ------
    RuleFileError
        If the user's file can't be read or holds something else than rules.
    """
    own = None if home is None else home / RULE_FILE
    if own is None or not own.is_file():
        return _rules(resources.files(__package__).joinpath(RULE_FILE).read_text("utf-8"))
    try:
        return _rules(own.read_text("utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RuleFileError(f"{own} can't be used ({error!r}); correct it or remove it") from error


def _rules(text: str) -> Rules:
    rules: dict[str, str | None] = {}
    for rule in tomllib.loads(text).get("rule", []):
        label = " ".join(str(rule.get("label", "")).split())
        rules[_folded(str(rule["text"]))] = None if rule.get("use") is False else label
    return rules


def translate(
    texts1: Sequence[str | None], texts2: Sequence[str | None], rules: Rules
) -> tuple[list[str | None], list[str | None]]:
    """Turn the vendor's texts of n cards into labels.

    Parameters
    ----------
    texts1, texts2 : sequence of str or None, length n
        PumpCond1 and PumpCond2.
    rules : Rules

    Returns
    -------
    labels1, labels2 : list of str or None
        None where a text says nothing or is not known, and both None where one of the two is not to be used.
    """
    pairs: list[tuple[str | None, str | None]] = []
    for texts in zip(texts1, texts2, strict=True):
        first, second = (rules.get(_folded(text), "") if text else "" for text in texts)
        pairs.append((None, None) if first is None or second is None else (first or None, second or None))
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


@dataclass(frozen=True)
class WeakLabels:
    """Cards with a weak label that a model may learn from.

    Attributes
    ----------
    rows : ndarray of int, shape (k,)
        Rows of the candidates that are taken.
    background : Background
        The same k cards.
    wells : int
        How many wells they come from.
    """

    rows: NDArray[np.intp]
    background: Background
    wells: int


def choose_weak(
    labels: Labels, wells: ArrayLike, people_wells: ArrayLike, limit: int, seed: int = 0
) -> NDArray[np.intp]:
    """Choose cards with a weak label, evenly over wells.

    Parameters
    ----------
    labels : Labels
        Weak labels of n candidates.
    wells : array_like, shape (n,)
    people_wells : array_like
        Wells with a label by a person: none of their cards is taken, since a held-out well must not teach by way of the vendor.
    limit : int
        Cards at most.
    seed : int

    Returns
    -------
    ndarray of int
        Rows, ascending; at most ten of a well.
    """
    own = np.asarray(wells)
    rows = np.flatnonzero(
        labels.labelled & labels.multi_hot.any(axis=1) & ~np.isin(own, np.asarray(people_wells))
    )
    if rows.size == 0:
        return rows
    rows = np.random.default_rng(seed).permutation(rows)
    number = number_wells(own[rows])
    order = np.argsort(number, kind="stable")
    sizes = np.bincount(number)
    turn = np.empty(rows.size, np.int64)
    turn[order] = np.arange(rows.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # every well's first card before any well's second
    chosen = np.lexsort((np.arange(rows.size), turn))[: max(limit, 0)]
    chosen = chosen[turn[chosen] < CARDS_A_WELL]
    return np.sort(rows[chosen])


def weak_background(
    features: NDArray[np.float32],
    label1: Sequence[str | None],
    label2: Sequence[str | None],
    wells: ArrayLike,
    people: Labels,
    people_wells: ArrayLike,
    seed: int = 0,
) -> WeakLabels:
    """Gather the weakly labelled cards that may be learned from beside those that people have labelled.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
        Of candidates, cards of wells that no person has labelled; others are left out.
    label1, label2 : sequence of str or None, length n
        From `translate`.
    wells : array_like, shape (n,)
    people : Labels
        Labels by people, of m cards.
    people_wells : array_like, shape (m,)
    seed : int

    Returns
    -------
    WeakLabels
        Cards that show nothing but classes which people have used; at most `WEIGHT` times as many as people have labelled.
    """
    weak = encode_labels(label1, label2, spellings=people.classes, min_cards=1)
    kept = np.zeros(len(weak), bool)
    known = {name.casefold() for name in people.classes}
    foreign = np.array([name.casefold() not in known for name in weak.classes], bool)
    if len(weak.classes):
        kept = np.asarray(weak.multi_hot.any(axis=1) & ~weak.multi_hot[:, foreign].any(axis=1))
    offered = Labels(weak.classes, weak.multi_hot & kept[:, None], weak.labelled & kept, weak.unlearned)
    limit = int(WEIGHT * people.labelled.sum())
    rows = choose_weak(offered, wells, people_wells, limit, seed)
    background = background_of(features[rows], weak.take(rows), people.classes)
    return WeakLabels(rows, background, len(np.unique(np.asarray(wells)[rows])))


def joined(first: Background | None, second: Background) -> Background:
    """Lay two backgrounds together."""
    if first is None:
        return second
    wells = [
        np.full(len(part), -1, np.int64) if part.wells is None else part.wells for part in (first, second)
    ]
    return Background(
        np.concatenate([first.features, second.features]),
        np.concatenate([first.multi_hot, second.multi_hot]),
        np.concatenate(wells),
    )


def try_weak(
    features: NDArray[np.float32],
    labels: Labels,
    wells: ArrayLike,
    weak: Background,
    *,
    beside: Background | None = None,
    days: ArrayLike | None = None,
    signatures: NDArray[np.float32] | None = None,
    seed: int = 0,
    without: float | None = None,
) -> Trial:
    """Ask the wells that people have labelled, held out, whether weak labels help.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
    labels : Labels
        By people.
    wells : array_like, shape (n,)
    weak : Background
    beside : Background, optional
        What is learned from anyway, simulated cards.
    days, signatures : array_like, optional
        See `fitting.fit`.
    seed : int
    without : float, optional
        See `background.try_background`.

    Returns
    -------
    Trial
        ``without`` the weak labels and with them ``beside``, both with what is learned from anyway.
    """
    return try_background(
        features,
        labels,
        wells,
        joined(beside, weak),
        days=days,
        signatures=signatures,
        seed=seed,
        anyway=beside,
        without=without,
    )
