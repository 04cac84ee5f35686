"""Fields with and without decoys: what ends in a failure, what does not, and what the truth says of it."""

import csv
import json

import numpy as np
import pytest

from oasis_pipeline.commands.simulate import KINDS
from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation.episodes import FieldKind, episode_card_times, plan_episodes
from oasis_pipeline.simulation.field import simulate_field

WELLS, DAYS = 40, 120


def plan(kind, seed=3):
    return plan_episodes(WELLS, DAYS, kind, np.random.default_rng(seed))


def test_without_decoys_every_course_ends_in_a_failure_and_with_them_one_in_four():
    for kind, low, high in ((FieldKind.GROWING, 0.75, 1.0), (FieldKind.DECOYS, 0.1, 0.4)):
        episodes, failures = plan(kind)
        over = [episode for episode in episodes if episode.end_day < DAYS]
        share = np.mean([episode.fails for episode in over])
        # some courses are cut short by a sudden failure of the same well
        assert low <= share <= high
        assert {True, False} == {failure.warned for failure in failures}


def test_decoys_grow_as_fast_as_what_fails():
    episodes, _ = plan(FieldKind.DECOYS)
    days = {
        fails: np.median([e.peak_day - e.begin_day for e in episodes if e.fails is fails])
        for fails in (True, False)
    }
    assert days[True] == pytest.approx(days[False], abs=8.0)


def test_severity_leads_up_to_a_failure_and_is_gone_after_it():
    episodes, failures = plan(FieldKind.GROWING)
    times = episode_card_times(WELLS, DAYS, 2, episodes, failures, np.random.default_rng(5))
    rises = []
    for failure in failures:
        if not failure.warned or failure.start_day < 8.0 or failure.end_day > DAYS - 2:
            continue
        fault = next(e.fault for e in episodes if e.well == failure.well and e.end_day == failure.start_day)
        mine = times.well == failure.well
        last = mine & (times.day < failure.start_day) & (times.day > failure.start_day - 2.0)
        after = mine & (times.day > failure.end_day) & (times.day < failure.end_day + 2.0)
        if fault in (c.TV, c.SV, c.WORN, c.VIBRATION, c.DOWN) and last.any() and after.any():
            rises.append(times.severity[last, fault].mean() - times.severity[after, fault].mean())
    assert len(rises) > 10
    assert np.median(rises) > 0.3


def test_wells_that_are_down_send_no_cards_but_for_parted_rods():
    episodes, failures = plan(FieldKind.DECOYS)
    times = episode_card_times(WELLS, DAYS, 3, episodes, failures, np.random.default_rng(5))
    for failure in failures:
        down = (times.well == failure.well) & (times.day >= failure.start_day) & (times.day < failure.end_day)
        assert (times.severity[down, c.PARTED] > 0.0).all()
    assert (np.diff(times.day) >= 0.0).all()
    assert (times.severity >= 0.0).all()
    assert (times.severity <= 1.0).all()


def test_files_mark_sudden_failures_apart(tmp_path):
    summary = simulate_field(tmp_path, wells=12, days=40, seed=2, cards_per_day=1, kind=FieldKind.GROWING)
    with (tmp_path / "failures.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == summary["failures"] > 0
    assert sum(row["Sudden"] == "False" for row in rows) == summary["failures_with_warning"]
    assert all((row["GrowingFrom"] == "") == (row["Sudden"] == "True") for row in rows)
    assert json.loads((tmp_path / "truth.json").read_text())["kind"] == "growing"


def test_the_command_knows_the_kinds():
    assert tuple(KINDS) == tuple(FieldKind)
