from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.learning.agreement import agreement

A, B, AB = frozenset("a"), frozenset("b"), frozenset("ab")


def test_agreement_is_none_without_pairs_and_one_where_all_say_the_same() -> None:
    assert agreement([]) is None
    found = agreement([(A, A, 3), (B, B, 1)])
    assert found is not None
    assert (found.cards, found.share, found.beyond_chance) == (4, 1.0, 1.0)
    alike = agreement([(A, A, 5)])
    assert alike is not None
    assert alike.beyond_chance is None, "nothing is known where nothing but one class came"


def test_scotts_pi_by_hand() -> None:
    # 10 cards, 8 agreed; opinions: a 12 of 20, b 8 of 20
    found = agreement([(A, A, 5), (B, B, 3), (A, B, 1), (B, A, 0), (A, B, 1)])
    assert found is not None
    chance = (12 / 20) ** 2 + (8 / 20) ** 2
    assert found.share == pytest.approx(0.8)
    assert found.beyond_chance == pytest.approx((0.8 - chance) / (1 - chance))
    two = agreement([(AB, A, 1), (AB, AB, 1)])
    assert two is not None
    assert two.share == 0.5


SETS = st.frozensets(st.sampled_from("abc"), min_size=1, max_size=2)


@given(st.lists(st.tuples(SETS, SETS, st.integers(1, 9)), min_size=1, max_size=9))
def test_who_comes_first_does_not_matter(pairs: list[tuple[frozenset[str], frozenset[str], int]]) -> None:
    turned = agreement([(other, one, count) for one, other, count in pairs])
    found = agreement(pairs)
    assert turned == found
    assert found is not None
    assert found.beyond_chance is None or found.beyond_chance <= found.share + 1e-12
