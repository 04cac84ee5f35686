"""Random histories of a field against a plain model: plans, the sensor of readings, and the ledger in its database.

``FAULTS_HISTORIES`` says how many of each; a seed is one history.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace

import pytest

from oasis_pipeline.assets.graph import READING_ASSETS
from oasis_pipeline.automation.plan import DayRange
from oasis_pipeline.automation.sensors import (
    DAYS_A_TICK,
    QUIET_S,
    ReadingsCursor,
    changed_readings,
    due_readings,
)
from oasis_pipeline.automation.staleness import ranges, stale
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.ledger import State
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.automation.histories import DAYS, World

HISTORIES = int(os.environ.get("FAULTS_HISTORIES") or 0)


@pytest.mark.parametrize("block", range(4))
def test_whatever_happens_on_the_way_the_end_is_what_the_sources_come_to(block: int) -> None:
    for seed in range(block, HISTORIES or 80, 4):
        world = World(seed)
        world.disturbed(steps=world.rng.randrange(1, 12))
        world.settle()
        assert world.wrong() == [], f"seed {seed}"
        made = world.made
        assert world.settle() == 0, f"seed {seed}: a second pass is not idle"
        assert world.made == made


def test_the_model_itself_sees_a_plan_that_forgets() -> None:
    """A check that can't fail says nothing: days of which the ledger lost the mark have to be found wrong."""
    caught = 0
    for seed in range(20):
        world = World(seed)
        world.disturbed(steps=6)
        world.settle()
        key = (
            next(key for key in world.values if key[0] == "xspoc/card")
            if any(asset == "xspoc/card" for asset, _ in world.values)
            else None
        )
        if key is None:
            continue
        world.values[key] = 1  # rows that changed without a mark
        world.settle()
        caught += bool(world.wrong())
    assert caught > 5


def test_the_sensor_of_readings_forgets_no_day_and_asks_for_none_too_often() -> None:
    for seed in range(HISTORIES or 24):
        rng, world, now = random.Random(seed), World(seed), 1_000_000.0
        text: str | None = None
        recorded: Counter[tuple[str, int]] = Counter()
        changes: set[tuple[str, int]] = set()
        asked_at: dict[str, float] = {}
        failing = rng.random() < 0.3
        for step in range(80):
            now += rng.choice((1.0, 30.0, 30.0, QUIET_S / 2))
            # the world is quiet towards the end, so that everything can come to rest
            if step < 30:
                for _ in range(rng.randrange(4)):
                    day = rng.choice(DAYS)
                    world.change(("iot/rawdata", day), rng.randrange(1 << 30))
                    changes.add((day, world.tick))
            if rng.random() < 0.1:
                continue  # a tick that the daemon missed
            cursor = ReadingsCursor.parse(text)
            for event in changed_readings(world.states, cursor):
                assert event.partition is not None
                recorded[event.partition, world.states["iot/rawdata", event.partition].changed_tick] += 1
            due = [] if rng.random() < 0.2 else due_readings(world.states, cursor, now)
            assert len(due) <= DAYS_A_TICK
            for day in due:
                assert now - asked_at.get(day, -QUIET_S) >= QUIET_S, f"seed {seed}: {day} asked for too often"
                asked_at[day] = now
            for span in ranges(due):
                world.run(READING_ASSETS, span, calm=not failing or step >= 60)
            # a daemon killed before it kept the cursor asks and records again: never too little
            if rng.random() < 0.95:
                text = str(cursor)
            else:
                asked_at.clear()
                recorded.clear()
                changes = {(day, tick) for day, tick in changes if tick > ReadingsCursor.parse(text).seen}
        newest = {day: max(tick for other, tick in changes if other == day) for day, _ in changes}
        assert all(recorded[day, tick] >= 1 for day, tick in newest.items()), (
            f"seed {seed}: a change without an event"
        )
        assert all(count == 1 for count in recorded.values()), f"seed {seed}: an event twice"
        if not failing:
            left = stale(world.states)
            assert not [day for asset in READING_ASSETS for day in left.days.get(asset, ())], f"seed {seed}"


@pytest.mark.server
def test_the_ledger_in_its_database_says_what_a_plain_one_says(warehouse: Warehouse) -> None:
    """Transactions that end, that are rolled back, makings that overlap: against a dictionary."""
    for seed in range(max(1, HISTORIES // 20) if HISTORIES else 2):
        rng = random.Random(seed)
        with warehouse.transaction() as tx:
            tx.execute("TRUNCATE oasis.asset_state")
        plain: dict[tuple[str, str], State] = {}
        began: list[tuple[str, list[str], int]] = []

        def put(asset: str, day: str, **new: object) -> None:
            old = plain.get((asset, day)) or State(asset, day, 0, 0, None, None, None, None)  # noqa: B023
            plain[asset, day] = replace(old, **new)  # type: ignore[arg-type]  # noqa: B023

        last = 0
        for _ in range(40):
            asset = rng.choice(("xspoc/card", "clean/xspoc", "iot/rawdata"))
            days = rng.sample(DAYS, rng.randrange(1, 4))
            what = rng.random()
            kept = rng.random() < 0.8
            try:
                with warehouse.transaction() as tx:
                    if what < 0.3:
                        rows = {day: rng.choice((None, rng.randrange(9))) for day in days}
                        tick = ledger.mark_changed(tx, asset, rows)
                    elif what < 0.5:
                        more = {day: rng.randrange(-3, 9) for day in days}
                        tick = ledger.mark_changed_by(tx, asset, more)
                    elif what < 0.7:
                        tick = ledger.begin_making(tx)
                    elif what < 0.9 and began:
                        asset, days, tick = began.pop(rng.randrange(len(began)))
                        ledger.mark_made(tx, asset, days, tick, 7, "1")
                    else:
                        tick = 0
                        ledger.mark_failed(tx, asset, days, "no  space")
                    if not kept:
                        raise KeyboardInterrupt
            except KeyboardInterrupt:
                continue
            if what < 0.5:
                assert tick > last
                last = tick
            for day in days:
                stood = plain.get((asset, day))
                if what < 0.3:
                    put(
                        asset,
                        day,
                        changed_tick=tick,
                        rows=(stood.rows if stood else None) if rows[day] is None else rows[day],
                    )
                elif what < 0.5:
                    held = (stood.rows or 0) + more[day] if stood else None
                    put(asset, day, changed_tick=tick, rows=more[day] if held is None else max(held, 0))
                elif what < 0.7:
                    pass
                elif tick:
                    put(
                        asset,
                        day,
                        made_tick=max(tick, stood.made_tick if stood else 0),
                        rows=7,
                        error=None,
                        code_version="1",
                    )
                else:
                    put(asset, day, error="no space")
            if 0.5 <= what < 0.7:
                began.append((asset, days, tick))
        found = {
            key: replace(
                state,
                changed_at=None,
                made_at=None,
                data_version=None,
                failed_tick=None,
                failed_at=None,
                failures=None,
            )
            for key, state in ledger.states(warehouse).items()
        }
        assert found == plain, f"seed {seed}"


def test_a_history_is_told_by_its_seed() -> None:
    first, second = World(3), World(3)
    for world in (first, second):
        world.disturbed(5)
    assert first.states == second.states
    assert isinstance(ranges(DAYS)[0], DayRange)
