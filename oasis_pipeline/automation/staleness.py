"""Which asset partitions must be made again, told from the ledger and the declarations alone.

Here: a pure function from ledger states to stale partitions, what has to wait because something failed, and how the rest is cut into runs.
Not here: what an asset is made from (its declaration in ``assets``), and running anything.

The ledger keeps two ticks of one clock for each partition: when its rows last changed, and when its last materialization
began. A partition is stale when something that it is made from changed after that materialization began, or when another code version made it.
Ticks, unlike times, order what happened in one database without doubt.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, product

from oasis_pipeline.assets.declaration import Asset, Calendar, Due, Reach
from oasis_pipeline.assets.graph import BY_KEY, GRAPH, READING_ASSETS
from oasis_pipeline.automation.plan import WHOLE, DayRange, Plan
from oasis_pipeline.learning.card_forecast.learn import cutoff_date
from oasis_pipeline.learning.failures.walk_forward import cutoffs
from oasis_pipeline.operations.training import new_labels
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.ledger import State
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

States = Mapping[tuple[str, str], State]

FIRST_WAIT, LONGEST_RETRY = timedelta(minutes=1), timedelta(hours=6)
"""What failed once is tried again by the next pass or tick, then after a minute, each time after four times as long, up to six hours; at
once when an input changes."""

WHOLE_ASSETS = frozenset(asset.key for asset in GRAPH if not asset.partitioned)

PURE = frozenset(asset.key for asset in GRAPH if asset.partitioned and not asset.named(Reach.KEPT))
"""Assets whose days come out the same when they are made again: they keep nothing of the model that they were made with."""

MOST_ALONG = 3_000
"""So many rows at most are made again for one run less, which takes a second or two by itself."""

NEW_LABELS = {asset.key: asset.waits_for_labels for asset in GRAPH if asset.waits_for_labels > 1}


def days_with_rows(states: States, sources: Collection[str] = Calendar.CARDS.value) -> list[str]:
    """Days on which rows of a source exist, ascending; by default of cards or vendor results."""
    return sorted(
        {
            partition
            for (asset, partition), state in states.items()
            if asset in sources and partition and state.rows != 0 and not state.stray
        }
    )


def retry_at(state: State) -> datetime | None:
    """When a partition whose materialization failed is tried again although nothing has changed; None where it did not fail."""
    if state.error is None or state.failed_at is None:
        return None
    tries = min(state.failures or 1, 10)
    wait: timedelta = min(FIRST_WAIT * 4 ** (tries - 2), LONGEST_RETRY) if tries > 1 else timedelta(0)
    return state.failed_at + wait


def stale(
    states: States,
    *,
    other_days: Iterable[str] = (),
    now: datetime | None = None,
    since: datetime | None = None,
) -> Plan:
    """Find what has to be made.

    Parameters
    ----------
    states : mapping of (asset, partition) to State
        The whole ledger.
    other_days : iterable of str
        Days that the model in use has not predicted and is to predict; see `days_of_other_models`.
    now : datetime, optional
        Time that tells whether what failed is due again; without it, it is.
    since : datetime, optional
        Begin of the pass that asks: what failed in it is not tried again by it.

    Returns
    -------
    Plan
        Assets whose inputs are stale themselves are not in it yet: a plan is asked for anew after each step, when
        it is known which rows that step really changed.
    """
    plan = Plan()
    states = without_strays(states)
    ledger_of = _by_asset(states)
    calendars = {calendar: days_with_rows(states, calendar.value) for calendar in Calendar}
    for asset in GRAPH:
        existing = calendars[asset.calendar]
        if asset.partitioned:
            # a day that lost all its rows is still stale for what was made from them
            gone = ledger_of.get(asset.key, {}).keys() - set(existing) - {WHOLE}
            days = _stale_days(asset, ledger_of, sorted({*existing, *gone}), gone)
            if asset.key == "clean/dynapred":
                days |= dict.fromkeys(other_days, 0)
            if asset.together:
                for each in asset.named(Reach.DAY):
                    days |= dict.fromkeys(plan.days.get(each, set()), 0)
            if asset.key in PURE:
                # a day that was never made is made whatever comes of its inputs
                for each in asset.named(Reach.DAY, Reach.BACK):
                    for day in plan.days.get(each, ()):
                        if not _was_made(ledger_of, asset.key, day):
                            days.setdefault(day, 0)
            due = {
                day for day, tick in days.items() if not _waits(asset, day, tick, ledger_of, plan, now, since)
            }
            if due:
                plan.days[asset.key] = due
            if asset.key in PURE:
                made = ledger_of.get(asset.key, {})
                plan.current[asset.key] = {
                    day: made[day].rows or 0
                    for day in existing
                    if day not in days and _was_made(ledger_of, asset.key, day)
                }
        elif existing:
            tick = _whole_is_stale(asset, ledger_of)
            if tick is not None and not _waits(asset, WHOLE, tick, ledger_of, plan, now, since):
                plan.whole.add(asset.key)
                own = ledger_of.get(asset.key, {}).get(WHOLE)
                if own is not None and own.code_version != asset.code_version:
                    plan.upgraded.add(asset.key)
                elif own is not None and own.made_tick and asset.serves_meanwhile:
                    plan.last.add(asset.key)
    return plan


def without_strays(states: States) -> States:
    """Leave out days that stay out of their calendar, with what was once made of them."""
    strays = {
        calendar: {p for (asset, p), state in states.items() if asset in calendar.value and state.stray}
        for calendar in Calendar
    }
    if not any(strays.values()):
        return states
    out = {asset.key: strays[asset.calendar] for asset in GRAPH if asset.partitioned}
    out |= {name: strays[calendar] for calendar in Calendar for name in calendar.value}
    return {
        (asset, partition): state
        for (asset, partition), state in states.items()
        if partition not in out.get(asset, ())
    }


_Ledger = Mapping[str, Mapping[str, State]]


def _by_asset(states: States) -> _Ledger:
    found: dict[str, dict[str, State]] = {}
    for (asset, partition), state in states.items():
        found.setdefault(asset, {})[partition] = state
    return found


def _changed(ledger_of: _Ledger, asset: str, partition: str) -> int:
    state = ledger_of.get(asset, {}).get(partition)
    return state.changed_tick if state else 0


def _was_made(ledger_of: _Ledger, asset: str, partition: str) -> bool:
    state = ledger_of.get(asset, {}).get(partition)
    return state is not None and bool(state.made_tick)


def _waits(
    asset: Asset,
    partition: str,
    inputs: int,
    ledger_of: _Ledger,
    plan: Plan,
    now: datetime | None,
    since: datetime | None,
) -> bool:
    """Whether a stale partition has to wait, and note why: an input of it failed, or it failed itself and nothing has changed."""
    for each in asset.inputs:
        # of the days before, what there is serves; they make this day stale again once they are made
        same = partition if each.reach in (Reach.DAY, Reach.BACK) else WHOLE
        if each.reach is Reach.ALL_DAYS or (each.reach is Reach.KEPT and not asset.partitioned):
            continue
        if (each.asset, same) in plan.waiting and (
            each.reach not in (Reach.KEPT, Reach.SINCE)
            # a model that could not be learned anew leaves the one in use
            or not any(state.made_tick for state in ledger_of.get(each.asset, {}).values())
        ):
            plan.waiting[asset.key, partition] = f"waits for {each.asset}"
            return True
    own = _own(asset, partition, ledger_of)
    again = retry_at(own) if own is not None else None
    if own is None or again is None or now is None or own.failed_at is None:
        return False
    in_this_pass = since is not None and own.failed_at >= since
    if now >= again and not in_this_pass:
        return False
    # another model, or the same one learned again, may do what this one could not
    models = (state for name in asset.named(Reach.KEPT) for state in ledger_of.get(name, {}).values())
    read = max((max(state.changed_tick, state.made_tick) for state in models), default=0)
    if max(inputs, read) > (own.failed_tick or 0):
        return False
    later = "by the next pass" if again <= now else f"from {again.astimezone(UTC):%Y-%m-%d %H:%M} UTC on"
    plan.waiting[asset.key, partition] = f"failed, tried again {later} or when something changes: {own.error}"
    return True


def _own(asset: Asset, partition: str, ledger_of: _Ledger) -> State | None:
    """State of a partition; of a model that is learned at cut-offs, that of the one which failed last."""
    states = ledger_of.get(asset.key, {})
    if asset.due is Due.MONDAYS:
        failed = [state for state in states.values() if state.failed_at is not None]
        return max(failed, key=lambda state: state.failed_tick or 0, default=None)
    return states.get(partition)


def _is_current(asset: Asset, own: State | None, inputs: int) -> bool:
    """Whether a partition was made after its inputs changed, by this code, and without a failure since."""
    return (
        own is not None
        and own.made_tick >= inputs
        and not own.error
        and (not own.made_tick or own.code_version == asset.code_version)
    )


def _stale_days(asset: Asset, ledger_of: _Ledger, days: list[str], gone: Collection[str]) -> dict[str, int]:
    """Stale days with the newest tick of what they are made from."""
    found: dict[str, int] = {}
    same = [ledger_of.get(name, {}) for name in asset.named(Reach.DAY)]
    wholes = max((_changed(ledger_of, name, WHOLE) for name in asset.named(Reach.WHOLE)), default=0)
    histories = []
    for length in {each.days for each in asset.inputs if each.reach is Reach.BACK}:
        changed = sorted(
            (partition, state.changed_tick)
            for each in asset.inputs
            if each.reach is Reach.BACK and each.days == length
            for partition, state in ledger_of.get(each.asset, {}).items()
            if partition
        )
        histories.append(
            (timedelta(days=length - 1), [day for day, _ in changed], [tick for _, tick in changed])
        )
    # the partition for all time is the empty text, which stands before every day
    changes = sorted(
        (partition, state.changed_tick)
        for each in asset.inputs
        if each.reach is Reach.SINCE
        for partition, state in ledger_of.get(each.asset, {}).items()
        if partition or each.for_all_time
    )
    change_days = [day for day, _ in changes]
    newest_until = list(accumulate((tick for _, tick in changes), max))
    own = ledger_of.get(asset.key, {})
    for day in days:
        inputs = max((wholes, *(state.changed_tick for each in same if (state := each.get(day)))))
        for reach, history_days, ticks in histories:
            begin = (date.fromisoformat(day) - reach).isoformat()
            start, stop = bisect_left(history_days, begin), bisect_right(history_days, day)
            inputs = max((inputs, *ticks[start:stop]))
        if before := bisect_right(change_days, day):
            inputs = max(inputs, newest_until[before - 1])
        if inputs == 0 and day not in gone:
            continue  # nothing to make this day from
        if not _is_current(asset, own.get(day), inputs):
            found[day] = inputs
    return found


def _whole_is_stale(asset: Asset, ledger_of: _Ledger) -> int | None:
    """Newest tick of what an asset without days is made from, if it is stale; else None."""
    days = [
        (partition, state)
        for name in asset.named(Reach.ALL_DAYS)
        for partition, state in ledger_of.get(name, {}).items()
        if partition
    ]
    own = ledger_of.get(asset.key, {})
    wholes = [_changed(ledger_of, name, WHOLE) for name in asset.named(Reach.WHOLE)]
    if asset.due is Due.MONDAYS:
        mondays = {cutoff_date(date.fromisoformat(partition)).isoformat() for partition, _ in days}
        late = [
            monday
            for monday in mondays
            if (state := own.get(monday)) is None or not state.made_tick or not _is_current(asset, state, 0)
        ]
        return max((state.changed_tick for _, state in days), default=0) if late else None
    missing = False
    if asset.due is Due.CUTOFFS:
        held = [date.fromisoformat(partition) for partition, state in days if state.rows]
        due = [cutoff.isoformat() for cutoff in cutoffs(min(held), max(held))] if held else []
        missing = any(cutoff not in own for cutoff in due)
        days = [(partition, state) for partition, state in days if due and partition < due[-1]]
    inputs = max((*wholes, *(state.changed_tick for _, state in days)), default=0)
    return inputs if missing or not _is_current(asset, own.get(WHOLE), inputs) else None


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
    label waits for them. A model that serves while it is stale comes last.
    """
    wave: list[str] = []
    last = plan.last & plan.whole
    if last == plan.whole and not any(plan.days.values()):
        last = set()
    for asset in GRAPH:
        if asset.key in last:
            continue
        whole = wave and wave[0] in WHOLE_ASSETS
        if asset.key in plan.whole:
            if (wave and not whole) or {each.asset for each in asset.inputs} & set(wave):
                return wave
            wave.append(asset.key)
        elif asset.partitioned and whole:
            return wave
        elif asset.key in plan.days:
            wave.append(asset.key)
    return wave


_Run = tuple[tuple[str, ...], DayRange]


def _cut(plan: Plan, wave: Collection[str], calendar: Calendar) -> list[_Run]:
    """Cut the days of a wave into runs: days in a row that need the same assets."""
    family = [asset.key for asset in GRAPH if asset.calendar is calendar and asset.key in wave]
    needs: dict[tuple[str, ...], set[str]] = {}
    for day in set().union(*(plan.days[asset] for asset in family)):
        assets = tuple(asset for asset in family if day in plan.days[asset])
        needs.setdefault(assets, set()).add(day)
    return [(assets, span) for assets, days in needs.items() for span in ranges(days)]


def _before_ripples(plan: Plan, wave: list[str], runs: Mapping[Calendar, list[_Run]]) -> list[str]:
    """Cut a wave before the first asset that looks back on a day which another run of it makes: it would have to be made again after that."""
    run_of = {
        (calendar, day): (calendar, number)
        for calendar in Calendar
        for number, (_, span) in enumerate(runs[calendar])
        for day in tuple(span.keys())
    }
    for number, asset in enumerate(BY_KEY[key] for key in wave):
        for each in asset.inputs:
            if each.reach not in (Reach.BACK, Reach.SINCE) or each.asset not in wave[:number]:
                continue
            made = sorted(plan.days[each.asset])
            for day in plan.days[asset.key]:
                begin = ""
                if each.reach is Reach.BACK:
                    begin = (date.fromisoformat(day) - timedelta(days=each.days - 1)).isoformat()
                # between the first day and the own one all are of one run, if these two are
                first = made[bisect_left(made, begin)] if bisect_left(made, begin) < len(made) else day
                own = run_of[asset.calendar, day]
                if first < day and run_of[BY_KEY[each.asset].calendar, first] != own:
                    return wave[:number]
    return wave


def _join_runs(runs: Iterable[_Run], plan: Plan, family: Iterable[str]) -> list[_Run]:
    """Join runs that follow each other where few rows that are current have to be made along."""
    joined: list[_Run] = []
    for assets, span in sorted(runs, key=lambda run: run[1].first):
        if joined:
            before, earlier = joined[-1]
            both = tuple(asset for asset in family if asset in {*before, *assets})
            whole = DayRange(earlier.first, max(earlier.last, span.last))
            held = {*product(before, earlier.keys()), *product(assets, span.keys())}
            along = [pair for pair in product(both, whole.keys()) if pair not in held]
            if all(day in plan.current.get(asset, ()) for asset, day in along) and (
                sum(plan.current[asset][day] for asset, day in along) <= MOST_ALONG
            ):
                joined[-1] = both, whole
                continue
        joined.append((assets, span))
    return sorted(joined, key=lambda run: (run[0], run[1].first))


def next_runs(plan: Plan) -> list[tuple[tuple[str, ...], DayRange | None]]:
    """Cut the next wave of a plan into runs: days in a row that need the same assets are one run.

    Where few rows of `PURE` assets that are current lie between two runs, they may be made along, so that the two are one.

    Parameters
    ----------
    plan : Plan
        Not empty.

    Returns
    -------
    list of (assets, range)
        Assets in the order of materialization; None for an asset without days. After these runs a new plan is due.
    """
    wave = _first_wave(plan)
    if wave[0] in WHOLE_ASSETS:
        return [(tuple(wave), None)]
    while True:
        # days of cards and days of readings are different days: one run of both would cut the ranges of each
        runs = {calendar: _join_runs(_cut(plan, wave, calendar), plan, wave) for calendar in Calendar}
        before = _before_ripples(plan, wave, runs)
        if before == wave:
            return [run for calendar in Calendar for run in runs[calendar]]
        wave = before


def days_of_other_models(warehouse: Warehouse) -> list[str]:
    """Days that are predicted again by the model in use: the newest one, and those of a base model once one trained on labels is in use.

    Days that keep a model on request are left out.
    """
    rows = warehouse.query(
        "with used as (select version, is_base from oasis.model where name = 'dyna_classifier' and in_use) "
        'select distinct p."Date"::date::text as day from clean.dynapred p, used '
        'where ((p."ModelVersion" like \'base-%\' and not used.is_base) or (p."ModelVersion" <> used.version '
        'and p."Date" >= (select max("Date")::date from clean.dynapred))) '
        'and not exists (select 1 from oasis.prediction_request r where r.day = p."Date"::date)'
    )
    days: list[str] = rows["day"].to_pylist()
    return days


def current_plan(warehouse: Warehouse, *, retry: bool = False, since: datetime | None = None) -> Plan:
    """Find what has to be made in a warehouse as it is now.

    Parameters
    ----------
    warehouse : Warehouse
    retry : bool
        Whether what failed is due although it would be tried later.
    since : datetime, optional
        Begin of the pass that asks, by the database's clock; see `stale`.

    Returns
    -------
    Plan
    """
    now = None if retry else ledger.clock(warehouse)
    return stale(ledger.states(warehouse), other_days=days_of_other_models(warehouse), now=now, since=since)


def plan_unattended(warehouse: Warehouse, store: ObjectStore, *, since: datetime | None = None) -> Plan:
    """Find what sensors have made of cards: what is stale, but for days of readings, which another sensor sees to, and what waits for labels."""
    plan = current_plan(warehouse, since=since)
    days = {asset: days for asset, days in plan.days.items() if asset not in READING_ASSETS}
    plan = replace(plan, days=days)
    wait_for_labels(plan, warehouse, store)
    return plan


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
        What was taken out: assets with fewer new labels than their declaration waits for. The first training from labels never waits.
    """
    waiting = []
    for asset, wanted in NEW_LABELS.items():
        if asset in plan.whole and asset not in plan.upgraded:
            new = new_labels(warehouse, store)
            if new is not None and new < wanted:
                plan.whole.discard(asset)
                waiting.append(asset)
    return waiting
