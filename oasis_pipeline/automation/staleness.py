"""Which asset partitions must be made again, told from the ledger alone.

Here: the rules of dependence, a pure function from ledger states to stale partitions, and how these are cut into runs.
Not here: running anything.

The ledger keeps two ticks of one clock for each partition: when its rows last changed, and when its last making
began. A partition is stale when something that it is made from changed after that making began. Ticks, unlike
times, order what happened in one database without doubt.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import accumulate

from oasis_pipeline.assets.bounds import BOUNDS_WINDOW_DAYS
from oasis_pipeline.assets.card_forecasts import OLDEST_FORECAST_DAYS
from oasis_pipeline.assets.features import HISTORY_DAYS
from oasis_pipeline.assets.training import new_labels
from oasis_pipeline.learning.card_forecast.candidates import REACH_DAYS as FORECAST_REACH_DAYS
from oasis_pipeline.learning.card_forecast.learn import cutoff_date
from oasis_pipeline.learning.failures.walk_forward import cutoffs
from oasis_pipeline.learning.failures.windows import REACH_DAYS
from oasis_pipeline.learning.trends import REACH_DAYS as TREND_REACH_DAYS
from oasis_pipeline.storage import first_days, ledger
from oasis_pipeline.storage.ledger import State
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

WHOLE = ""
"""Partition of an asset without partitions."""

States = Mapping[tuple[str, str], State]


SOURCES = first_days.SOURCES[first_days.CARDS]
"""A day exists when one of these has rows on it."""


@dataclass(frozen=True)
class Rule:
    """What one asset is made from.

    Attributes
    ----------
    asset : str
        ``schema/name``.
    days : tuple of str
        The asset's day is made from the same day of these.
    earlier_days : tuple of str
        The asset's day is made from that day and the ones before it (as far as `reach_days`) of these.
    whole : tuple of str
        Assets without partitions that it is made from.
    since : tuple of str
        Histories of equipment that it is made from: a change of theirs holds from its day on, or for all time.
    partitioned : bool
        False for an asset made as a whole, from all partitions of `days`.
    reach_days : int
        How far back `earlier_days` goes.
    refits : bool
        For a model that is learned anew each week from what came before: it is stale when a Monday on or before one of
        its `days` has no entry in the ledger. Its partitions there are these Mondays.
    waits_for_labels : int
        New labels that the sensor waits for before it makes the asset; a pass of `oasis run` and the weekly schedule don't wait.
    since_days : tuple of str
        Like `since`, of assets whose mark without a day says nothing: a change of a day holds from that day on.
    settled : bool
        For a model that is fitted at the cut-offs of failure forecasts: it is stale when one that is due is missing, when a day of
        `days` before the newest cut-off changed, or something of `whole`. Its partitions in the ledger are the cut-offs.
    sources : tuple of str
        A day exists for it when one of these has rows on it.
    together : bool
        True if it is made in the same run as its inputs, without waiting whether these come out otherwise than before: for what costs less to
        make than a run.
    """

    asset: str
    days: tuple[str, ...] = ()
    earlier_days: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    since: tuple[str, ...] = ()
    partitioned: bool = True
    reach_days: int = BOUNDS_WINDOW_DAYS
    refits: bool = False
    waits_for_labels: int = 1
    since_days: tuple[str, ...] = ()
    settled: bool = False
    sources: tuple[str, ...] = SOURCES
    together: bool = False


READING_SOURCES = first_days.SOURCES[first_days.READINGS]
"""A day of sensor readings exists when this has rows on it: a calendar of its own, by UTC days."""

EQUIPMENT = tuple(f"xspoc/{name}_history" for name in ("welldetails", "rods", "deviations", "pumpingunits"))
"""What a card is diagnosed with: the states that held at its time."""

RULES: tuple[Rule, ...] = (
    Rule("clean/xspoc", days=("xspoc/card", "xspoc/xdiagresults", "analysis/failure_info")),
    Rule(
        "clean/dynabounds",
        days=("xspoc/card",),
        earlier_days=("xspoc/card", "analysis/failure_info"),
        since=("xspoc/rods_history",),
    ),
    Rule("clean/carddiag", days=("xspoc/card",), since=EQUIPMENT),
    Rule("clean/roddiag", days=("xspoc/card",), since=EQUIPMENT),
    Rule(
        "clean/card_features",
        days=("xspoc/card", "clean/dynabounds", "clean/carddiag"),
        earlier_days=("clean/carddiag",),
        since=EQUIPMENT,
        reach_days=HISTORY_DAYS + 1,
    ),
    Rule(
        "clean/well_days",
        days=("xspoc/card", "xspoc/xdiagresults", "clean/carddiag", "clean/card_features"),
    ),
    Rule("clean/card_days", days=("xspoc/card", "clean/dynabounds")),
    Rule("clean/trend", earlier_days=("clean/xspoc", "clean/carddiag"), reach_days=TREND_REACH_DAYS),
    # before any model: what keeps a model from being made must not keep readings from it
    Rule("iot/readings", days=("iot/rawdata",), sources=READING_SOURCES),
    *(
        Rule(asset, days=("iot/readings",), sources=READING_SOURCES, together=True)
        for asset in ("iot/databatch", "iot/profile", "iot/regular")
    ),
    # a training takes minutes on a large field, and people label card by card
    Rule("models/dyna_classifier", whole=("clean/dynalabel",), partitioned=False, waits_for_labels=20),
    Rule("models/card_forecaster", days=("clean/card_days",), partitioned=False, refits=True),
    Rule(
        "models/failure_forecaster",
        days=("clean/well_days",),
        whole=("analysis/failure_info",),
        partitioned=False,
        settled=True,
    ),
    Rule(
        "models/run_life",
        days=("clean/well_days",),
        whole=("analysis/failure_info",),
        partitioned=False,
        settled=True,
    ),
    Rule("clean/dynapred", days=("clean/card_features",)),
    Rule(
        "clean/xpred",
        earlier_days=("clean/well_days",),
        since=("xspoc/rods_history",),
        since_days=("analysis/failure_info", "models/failure_forecaster"),
        reach_days=REACH_DAYS + 1,
    ),
    Rule(
        "clean/runlife",
        days=("clean/well_days",),
        since_days=("analysis/failure_info", "models/run_life"),
    ),
    Rule(
        "clean/cardpred",
        earlier_days=("clean/card_days", "analysis/failure_info"),
        since=("xspoc/rods_history",),
        reach_days=FORECAST_REACH_DAYS,
    ),
    Rule(
        "clean/cardanomaly",
        days=("clean/card_days",),
        earlier_days=("clean/cardpred",),
        reach_days=OLDEST_FORECAST_DAYS + 1,
    ),
    Rule("clean/label_queue", days=("clean/dynapred",), whole=("clean/dynalabel",), partitioned=False),
    Rule("clean/alarm", days=("clean/xpred",), partitioned=False),
    Rule(
        "clean/alarm_backtest",
        days=("clean/xpred",),
        whole=("clean/alarm", "analysis/failure_info"),
        partitioned=False,
    ),
)
"""In the order in which they are made."""

READING_ASSETS = tuple(rule.asset for rule in RULES if rule.sources == READING_SOURCES)
"""What a day of sensor readings is made into."""

WHOLE_ASSETS = frozenset(rule.asset for rule in RULES if not rule.partitioned)


@dataclass(frozen=True)
class DayRange:
    """Days from first to last, both included."""

    first: date
    last: date

    def keys(self) -> list[str]:
        """Partition keys of the range."""
        count = (self.last - self.first).days + 1
        return [(self.first + timedelta(days=i)).isoformat() for i in range(count)]


@dataclass
class Plan:
    """What is stale.

    Attributes
    ----------
    days : dict of str to set of str
        Stale partitions of each partitioned asset.
    whole : set of str
        Stale assets without partitions.
    """

    days: dict[str, set[str]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.whole) or any(self.days.values())


def days_with_rows(states: States, sources: Collection[str] = SOURCES) -> list[str]:
    """Days on which rows of a source exist, ascending; by default of cards or vendor results."""
    return sorted(
        {
            partition
            for (asset, partition), state in states.items()
            if asset in sources and partition and state.rows != 0 and not state.stray
        }
    )


def stale(states: States, *, base_days: Iterable[str] = ()) -> Plan:
    """Find what has to be made.

    Parameters
    ----------
    states : mapping of (asset, partition) to State
        The whole ledger.
    base_days : iterable of str
        Days predicted by a base model although a trained model is in use now.

    Returns
    -------
    Plan
        Assets whose inputs are stale themselves are not in it yet: a plan is asked for anew after each step, when
        it is known which rows that step really changed.
    """
    plan = Plan()
    states = without_strays(states)
    calendars = {sources: days_with_rows(states, sources) for sources in {rule.sources for rule in RULES}}
    for rule in RULES:
        existing = calendars[rule.sources]
        if rule.partitioned:
            # a day that lost all its rows is still stale for what was made from them
            gone = {p for (asset, p) in states if asset == rule.asset and p} - set(existing)
            days = _stale_days(rule, states, sorted({*existing, *gone}), gone)
            if rule.asset == "clean/dynapred":
                days |= set(base_days)
            if rule.together:
                days |= set().union(*(plan.days.get(asset, set()) for asset in rule.days))
            if days:
                plan.days[rule.asset] = days
        elif existing and _whole_is_stale(rule, states):
            plan.whole.add(rule.asset)
    return plan


def without_strays(states: States) -> States:
    """Leave out days that stay out of their calendar, with what was once made of them."""
    out = {
        rule.asset: {p for (asset, p), state in states.items() if asset in rule.sources and state.stray}
        for rule in RULES
        if rule.partitioned
    }
    for sources in {rule.sources for rule in RULES}:
        strays = {p for (asset, p), state in states.items() if asset in sources and state.stray}
        out |= dict.fromkeys(sources, strays)
    if not any(out.values()):
        return states
    return {
        (asset, partition): state
        for (asset, partition), state in states.items()
        if partition not in out.get(asset, ())
    }


def _changed(states: States, asset: str, partition: str) -> int:
    state = states.get((asset, partition))
    return state.changed_tick if state else 0


def _stale_days(rule: Rule, states: States, days: list[str], gone: set[str]) -> set[str]:
    found: set[str] = set()
    history = sorted(
        (partition, state.changed_tick)
        for (asset, partition), state in states.items()
        if asset in rule.earlier_days and partition
    )
    history_days = [day for day, _ in history]
    # the partition for all time is the empty text, which stands before every day
    changes = sorted(
        (partition, state.changed_tick)
        for (asset, partition), state in states.items()
        if asset in rule.since or (partition and asset in rule.since_days)
    )
    change_days = [day for day, _ in changes]
    newest_until = list(accumulate((tick for _, tick in changes), max))
    for day in days:
        inputs = max(
            (
                *(_changed(states, asset, day) for asset in rule.days),
                *(_changed(states, asset, WHOLE) for asset in rule.whole),
            ),
            default=0,
        )
        if rule.earlier_days:
            begin = (date.fromisoformat(day) - timedelta(days=rule.reach_days - 1)).isoformat()
            start, stop = bisect_left(history_days, begin), bisect_left(history_days, day + "~")
            inputs = max((inputs, *(tick for _, tick in history[start:stop])))
        if before := bisect_right(change_days, day):
            inputs = max(inputs, newest_until[before - 1])
        own = states.get((rule.asset, day))
        if inputs == 0 and day not in gone:
            continue  # nothing to make this day from
        if own is None or own.made_tick < inputs or own.error:
            found.add(day)
    return found


def _whole_is_stale(rule: Rule, states: States) -> bool:
    if rule.refits:
        mondays = {
            cutoff_date(date.fromisoformat(partition))
            for asset, partition in states
            if asset in rule.days and partition
        }
        made = {
            partition
            for (asset, partition), state in states.items()
            if asset == rule.asset and state.made_tick and not state.error
        }
        return any(monday.isoformat() not in made for monday in mondays)
    own = states.get((rule.asset, WHOLE))
    if own is None or own.error:
        return True
    inputs = [_changed(states, asset, WHOLE) for asset in rule.whole]
    days = [
        (partition, state) for (asset, partition), state in states.items() if asset in rule.days and partition
    ]
    if rule.settled:
        held = [date.fromisoformat(partition) for partition, state in days if state.rows]
        due = [cutoff.isoformat() for cutoff in cutoffs(min(held), max(held))] if held else []
        if any((rule.asset, cutoff) not in states for cutoff in due):
            return True
        days = [(partition, state) for partition, state in days if due and partition < due[-1]]
    inputs += [state.changed_tick for _, state in days]
    return own.made_tick < max(inputs, default=0)


def ranges(days: Iterable[str]) -> list[DayRange]:
    """Join days to ranges.

    Parameters
    ----------
    days : iterable of str
        Partition keys.

    Returns
    -------
    list of DayRange
        Ascending, each as long as possible; a calendar day that is not among them ends a range.
    """
    found: list[DayRange] = []
    for day in sorted(date.fromisoformat(day) for day in set(days)):
        if found and day - found[-1].last == timedelta(days=1):
            found[-1] = DayRange(found[-1].first, day)
        else:
            found.append(DayRange(day, day))
    return found


def _first_wave(plan: Plan) -> list[str]:
    """Assets to make in the next round: everything stale before the first stale asset without days, or such assets that need nothing of each other.

    A model is learned from the features of all days, so those come first; predictions wait for the models, and the queue of cards to
    label waits for them.
    """
    wave: list[str] = []
    for rule in RULES:
        whole = wave and wave[0] in WHOLE_ASSETS
        if rule.asset in plan.whole:
            if (wave and not whole) or {*rule.days, *rule.whole} & set(wave):
                return wave
            wave.append(rule.asset)
        elif rule.partitioned and whole:
            return wave
        elif rule.asset in plan.days:
            wave.append(rule.asset)
    return wave


def next_runs(plan: Plan) -> list[tuple[tuple[str, ...], DayRange | None]]:
    """Cut the next wave of a plan into runs: days in a row that need the same assets are one run.

    Parameters
    ----------
    plan : Plan
        Not empty.

    Returns
    -------
    list of (assets, range)
        Assets in the order of making; None for an asset without days. After these runs a new plan is due.
    """
    wave = _first_wave(plan)
    if wave[0] in WHOLE_ASSETS:
        return [(tuple(wave), None)]
    runs: list[tuple[tuple[str, ...], DayRange | None]] = []
    # days of cards and days of readings are different days: one run of both would cut the ranges of each
    for sources in dict.fromkeys(rule.sources for rule in RULES):
        family = [rule.asset for rule in RULES if rule.sources == sources and rule.asset in wave]
        needs: dict[tuple[str, ...], set[str]] = {}
        for day in set().union(*(plan.days[asset] for asset in family)):
            assets = tuple(asset for asset in family if day in plan.days[asset])
            needs.setdefault(assets, set()).add(day)
        runs += [(assets, span) for assets, days in sorted(needs.items()) for span in ranges(days)]
    return runs


def base_model_days(warehouse: Warehouse) -> list[str]:
    """Days with predictions of a base model, once a model trained on labels is in use; those that keep a model on request left out."""
    rows = warehouse.query(
        'select distinct "Date"::date::text as day from clean.dynapred p where p."ModelVersion" like \'base-%\' '
        "and exists (select 1 from oasis.model m where m.name = 'dyna_classifier' and m.in_use and not m.is_base) "
        'and not exists (select 1 from oasis.prediction_request r where r.day = p."Date"::date)'
    )
    days: list[str] = rows["day"].to_pylist()
    return days


def current_plan(warehouse: Warehouse) -> Plan:
    """Find what has to be made in a warehouse as it is now."""
    return stale(ledger.states(warehouse), base_days=base_model_days(warehouse))


def wait_for_labels(plan: Plan, warehouse: Warehouse, store: ObjectStore) -> list[str]:
    """Take out of a plan what may wait for more labels.

    Parameters
    ----------
    plan : Plan
        Changed in place.
    warehouse : Warehouse
    store : ObjectStore
        Holds what the newest model has learned from.

    Returns
    -------
    list of str
        What was taken out: assets with fewer new labels than their rule waits for. The first training from labels never waits.
    """
    waiting = []
    for rule in RULES:
        if rule.asset in plan.whole and rule.waits_for_labels > 1:
            new = new_labels(warehouse, store)
            if new is not None and new < rule.waits_for_labels:
                plan.whole.discard(rule.asset)
                waiting.append(rule.asset)
    return waiting
