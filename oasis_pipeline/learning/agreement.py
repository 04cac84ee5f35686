"""How far two people see the same on cards.

Belongs here: agreement beside what chance would give. Does not belong here: who said what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Agreement:
    """Agreement of pairs of opinions.

    Attributes
    ----------
    cards : int
        Pairs of opinions.
    share : float
        Share of them that are the same, 0 to 1.
    beyond_chance : float or None
        Scott's pi: 1 where all agree, 0 where they agree as often as chance makes them; None where everybody says the same of every card.
    """

    cards: int
    share: float
    beyond_chance: float | None


def agreement(pairs: Iterable[tuple[frozenset[str], frozenset[str], int]]) -> Agreement | None:
    """Measure how often two opinions on the same card are the same.

    Parameters
    ----------
    pairs : iterable of (frozenset of str, frozenset of str, int)
        Labels by one, labels by another, and of how many cards; labels have no order.

    Returns
    -------
    Agreement or None
        None without any pair.

    Notes
    -----
    W. A. Scott, Reliability of content analysis: the case of nominal scale coding, Public Opinion Quarterly 19 (1955) 321. The chance that
    two opinions are the same is the sum of squares of the shares of each set of labels among all opinions.
    """
    said: Counter[frozenset[str]] = Counter()
    cards = same = 0
    for one, other, count in pairs:
        said[one] += count
        said[other] += count
        cards += count
        same += count * (one == other)
    if not cards:
        return None
    share = same / cards
    chance = sum(
        (count / (2 * cards)) ** 2 for count in sorted(said.values())
    )  # in one order, so that who comes first does not matter
    return Agreement(cards, share, (share - chance) / (1.0 - chance) if chance < 1.0 else None)
