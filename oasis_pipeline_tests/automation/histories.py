"""A field in memory with random histories, to hold plans, sensors and ledger against a plain model.

Here: the world and what may happen in it, drawn from one seed. Not here: what is asked of it (``test_histories``).

The plain model knows no ticks. A source's partition holds a number; everything made holds a hash of all that it is made from.
Whatever happened on the way, once nothing is stale every number has to be what making all of it from the present sources, in
order, comes to.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from oasis_pipeline.assets.declaration import Asset, Due, Reach
from oasis_pipeline.assets.graph import BY_KEY, GRAPH
from oasis_pipeline.automation.plan import WHOLE, DayRange
from oasis_pipeline.automation.staleness import WHOLE_ASSETS, next_runs, stale
from oasis_pipeline.learning.card_forecast.learn import cutoff_date
from oasis_pipeline.learning.failures.walk_forward import cutoffs
from oasis_pipeline.storage.ledger import State

FIRST = date(2025, 3, 1)
DAYS = [(FIRST + timedelta(days=i)).isoformat() for i in range(24)]
MAX_ROUNDS = 40

DAY_SOURCES = ("xspoc/card", "xspoc/xdiagresults", "iot/rawdata")
HISTORIES = tuple(
    sorted(
        {
            each.asset
            for rule in GRAPH
            for each in rule.inputs
            if each.reach is Reach.SINCE and each.for_all_time
        }
    )
)
FAILURES, LABELS = "analysis/failure_info", "clean/dynalabel"
Key = tuple[str, str]


class World:
    """Sources, what is made from them, and the ledger with the marks that the real one has.

    Parameters
    ----------
    seed : int
        Of everything that happens.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.tick = 0
        self.states: dict[Key, State] = {}
        self.values: dict[Key, int] = {}
        self.made = 0

    # ---- the ledger

    def _put(self, key: Key, **new: Any) -> None:
        old = self.states.get(key) or State(*key, 0, 0, None, None, None, None)
        self.states[key] = replace(old, **new)

    def next_tick(self) -> int:
        self.tick += 1
        return self.tick

    def change(self, key: Key, value: int | None) -> None:
        """Give a partition other rows; None: it has none any more."""
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value
        self._put(key, changed_tick=self.next_tick(), rows=0 if value is None else 1)

    # ---- what happens outside

    def happen(self) -> None:
        """Let something arrive, late or not, or go."""
        rng, what = self.rng, self.rng.random()
        number = rng.randrange(1 << 30)
        if what < 0.55:
            asset, day = rng.choice(DAY_SOURCES), rng.choice(DAYS)
            gone = rng.random() < 0.1 and (asset, day) in self.values
            self.change((asset, day), None if gone else number)
        elif what < 0.7:
            self.change((rng.choice(HISTORIES), rng.choice([WHOLE, *DAYS])), number)
        elif what < 0.85:
            self.change((FAILURES, rng.choice(DAYS)), number)
            self.change((FAILURES, WHOLE), number)
        else:
            self.change((LABELS, WHOLE), number)

    # ---- making

    def inputs(self, rule: Asset, day: str) -> list[Key]:
        """Everything that one day of an asset (or all of it) is made from, told plainly."""
        found = [(asset, WHOLE) for asset in rule.named(Reach.WHOLE)]
        if not rule.partitioned:
            newest = self.newest_cutoff(rule)
            return found + [
                (asset, other)
                for asset, other in self.values
                if asset in rule.named(Reach.ALL_DAYS)
                and other
                and (rule.due is not Due.CUTOFFS or other < newest)
            ]
        found += [(asset, day) for asset in rule.named(Reach.DAY)]
        for each in rule.inputs:
            begin = (date.fromisoformat(day) - timedelta(days=each.days - 1)).isoformat()
            if each.reach is Reach.BACK:
                found += [(a, d) for a, d in self.values if a == each.asset and d and begin <= d <= day]
            elif each.reach is Reach.SINCE:
                found += [
                    (a, d)
                    for a, d in self.values
                    if a == each.asset and (d or each.for_all_time) and d <= day
                ]
        return sorted(set(found))

    def newest_cutoff(self, rule: Asset) -> str:
        """Newest cut-off that is due; empty if there is none."""
        due = self.due(rule)
        return due[-1] if due else ""

    def due(self, rule: Asset) -> list[str]:
        """Cut-offs at which a settled model has to be there."""
        held = [
            date.fromisoformat(day)
            for asset, day in self.values
            if asset in rule.named(Reach.ALL_DAYS) and day
        ]
        return [day.isoformat() for day in cutoffs(min(held), max(held))] if held else []

    def calendar(self, rule: Asset) -> list[str]:
        """Days that an asset has."""
        return sorted({day for asset, day in self.values if asset in rule.calendar.value and day})

    def worth(self, rule: Asset, day: str) -> int | None:
        """What a making comes to now; None: no rows."""
        if rule.due is Due.MONDAYS:
            return hash(day)
        if rule.partitioned and day not in self.calendar(rule):
            return None
        content = tuple((key, self.values[key]) for key in self.inputs(rule, day) if key in self.values)
        # some changes make no difference to what is made of them
        return hash((rule.key, content)) if content else None

    def targets(self, rule: Asset, span: DayRange | None) -> list[str]:
        """Partitions that one making of an asset writes."""
        if span is not None:
            return span.keys()
        if rule.due is Due.MONDAYS:
            days = {d for a, d in self.values if a in rule.named(Reach.ALL_DAYS) and d}
            return sorted({cutoff_date(date.fromisoformat(day)).isoformat() for day in days})
        return [*self.due(rule), WHOLE] if rule.due is Due.CUTOFFS else [WHOLE]

    def make(self, asset: str, span: DayRange | None, *, calm: bool) -> bool:
        """Make an asset; without calm something may arrive in the middle of it, and it may fail or be killed."""
        rule, rng = BY_KEY[asset], self.rng
        began = self.next_tick()
        fate = 1.0 if calm else rng.random()
        targets = self.targets(rule, span)
        if not calm and rng.random() < 0.2:
            self.happen()
        if fate < 0.05:
            return False  # killed before anything was written
        if fate < 0.1:
            for day in targets:
                self._put((asset, day), error="no space")
            return False
        self.made += 1
        for day in targets:
            # the partition for all time of a settled model says only that it was looked at
            worth = self.worth(rule, day)
            if worth != self.values.get((asset, day)):
                self.change((asset, day), worth)
        if not calm and rng.random() < 0.2:
            self.happen()
        if fate < 0.15:
            return False  # killed between the rows and the mark that they are made
        for day in targets:
            old = self.states.get((asset, day))
            self._put(
                (asset, day),
                made_tick=max(began, old.made_tick if old else 0),
                error=None,
                code_version=rule.code_version,
            )
        return True

    def run(self, assets: tuple[str, ...], span: DayRange | None, *, calm: bool) -> None:
        """Make assets in order; what fails ends the run."""
        for asset in assets:
            if not self.make(asset, span, calm=calm):
                return

    def disturbed(self, steps: int) -> None:
        """Let things arrive and be made, with faults."""
        for _ in range(steps):
            self.happen()
            plan = stale(self.states)
            if plan and self.rng.random() < 0.6:
                for assets, span in next_runs(plan):
                    self.run(assets, span, calm=False)

    def settle(self) -> int:
        """Make until nothing is stale; how many rounds that took."""
        for rounds in range(MAX_ROUNDS):
            plan = stale(self.states)
            if not plan:
                return rounds
            for assets, span in next_runs(plan):
                self.run(assets, span, calm=True)
        raise AssertionError(f"still stale after {MAX_ROUNDS} rounds: {plan}")

    def wrong(self) -> list[Key]:
        """Partitions that are not what their inputs come to."""
        found = []
        for rule in GRAPH:
            if rule.due is Due.MONDAYS:
                continue
            days = self.calendar(rule) if rule.key not in WHOLE_ASSETS else [WHOLE]
            if rule.key in WHOLE_ASSETS and not self.calendar(rule):
                continue
            found += [
                (rule.key, day) for day in days if self.values.get((rule.key, day)) != self.worth(rule, day)
            ]
        return found
