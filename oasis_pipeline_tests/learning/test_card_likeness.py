"""Elastic distances of the benchmark that compares measures of likeness."""

from __future__ import annotations

import numpy as np

from studies.card_likeness import move_split_merge, outlines, time_warping

RNG = np.random.default_rng(4)
CURVES = RNG.normal(size=(6, 20, 2))


def test_without_room_to_pair_with_others_each_step_pairs_with_its_own() -> None:
    plain = np.abs(CURVES[:, None] - CURVES[None]).sum(axis=3).mean(axis=2)
    assert np.allclose(time_warping(CURVES, 0, 0.0), plain)
    one = np.ascontiguousarray(CURVES[:, :, 0])
    assert np.allclose(move_split_merge(one, 0.5, 0), np.abs(one[:, None] - one[None]).mean(axis=2))


def test_room_only_brings_cards_nearer_and_a_penalty_takes_them_apart_again() -> None:
    narrow, wide, dear = (time_warping(CURVES, *how) for how in ((1, 0.0), (5, 0.0), (5, 0.3)))
    assert (wide <= narrow + 1e-12).all()
    assert (wide < narrow - 1e-9).any()
    assert (dear >= wide).all()
    assert (dear <= time_warping(CURVES, 0, 0.0) + 1e-12).all()


def test_a_shifted_copy_is_near_only_where_steps_may_pair() -> None:
    rise = np.concatenate([np.zeros(8), np.ones(12)])
    pair = np.stack([rise, np.roll(rise, 2)])
    pair[1, :2] = 0.0
    assert time_warping(pair[:, :, None], 3, 0.0)[0, 1] == 0.0
    assert time_warping(pair[:, :, None], 0, 0.0)[0, 1] == 2 / 20
    # one split and one merge for each of the two steps, against moving two values by 1
    assert np.isclose(move_split_merge(pair, 0.1, 20)[0, 1], 2 * (0.1 + 0.1) / 20)


def test_move_split_merge_is_a_metric() -> None:
    far = move_split_merge(np.ascontiguousarray(CURVES[:, :, 0]), 0.5, 20)
    assert np.allclose(far, far.T)
    assert (np.diag(far) == 0.0).all()
    assert (far[:, None, :] <= far[:, :, None] + far[None] + 1e-12).all()


def test_outlines_do_not_ask_for_the_order_of_points() -> None:
    mixed = CURVES.copy()
    mixed[0] = mixed[0, RNG.permutation(20)]
    assert np.allclose(outlines(mixed), outlines(CURVES))
    assert (np.diag(outlines(CURVES)) == 0.0).all()
