"""What the report of a field, or of one well, says about its data in a period.

Here: what is read and counted, as plain values. Statistics are in ``learning.describe``, pictures and the page in ``plotting.analysis``; the asset is in
``analysis``, the web page in ``service.pages.analysis``. Imports no Dagster.

What is counted is counted by the database; measured values are read of at most `SAMPLE_CARDS` cards, so that a long period takes no more memory
than a short one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oasis_pipeline.intake.values import clean_node, node_key
from oasis_pipeline.learning.describe import (
    Survival,
    deviations,
    rank_correlations,
    summarize,
    survival,
)
from oasis_pipeline.learning.failures.log import NEVER, FailureLog
from oasis_pipeline.learning.failures.run_life import lives_at
from oasis_pipeline.learning.weak_labels import Rules, translate
from oasis_pipeline.operations.vendor_pairs import PAIRS
from oasis_pipeline.schema import Table, Type, quote, table

SAMPLE_CARDS = 40_000
"""Cards whose measured values are read; of more, a part chosen by a hash of well and time."""

USUAL_DAYS = 30
"""Days of the report that is made when nobody asks for others."""

SHOWN_WELLS = 30
SHOWN_BINS = 90
SHOWN_OUTLIERS = 20
SHOWN_OF_WELL = 2
SHOWN_TEXTS = 8
OUTLIER = 6.0
"""Robust standard deviations from the median of its well at which a value is an outlier."""

GAP_HOURS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0, 48.0, 168.0)
"""Edges of the classes of the time between two cards."""

MEASURED = {
    "SPM": ("speed", "1/min"),
    "Runtime": ("run time", "h/d"),
    "fillage_pct": ("fillage", "%"),
    "pprl_lbf": ("peak load", "lbf"),
    "mprl_lbf": ("minimum load", "lbf"),
    "fluid_load_lbf": ("fluid load", "lbf"),
    "gross_stroke_in": ("plunger stroke", "in"),
    "pump_intake_pressure_psi": ("intake pressure", "psi"),
    "fluid_level_ft": ("fluid level", "ft"),
    "friction_lbf": ("pump friction", "lbf"),
    "inferred_production_bpd": ("production", "bbl/d"),
    "polished_rod_power_hp": ("rod power", "hp"),
    "gearbox_load_pct": ("gearbox load", "%"),
    "structural_load_pct": ("structural load", "%"),
    "max_rod_load_pct": ("rod load", "%"),
}
"""Quantities whose distributions, correlations and outliers are told: name and unit."""

LEAST_SPREAD = {
    "SPM": 0.1,
    "Runtime": 0.5,
    "fillage_pct": 2.0,
    "pprl_lbf": 100.0,
    "mprl_lbf": 100.0,
    "fluid_load_lbf": 100.0,
    "gross_stroke_in": 0.5,
    "pump_intake_pressure_psi": 20.0,
    "fluid_level_ft": 50.0,
    "friction_lbf": 50.0,
    "inferred_production_bpd": 3.0,
    "polished_rod_power_hp": 0.2,
    "gearbox_load_pct": 2.0,
    "structural_load_pct": 1.0,
    "max_rod_load_pct": 2.0,
}
"""Standard deviation of each quantity, in its unit, below which a well is not taken to be steady when its outliers are looked for."""

_OF_CARD = ("SPM", "Runtime")


class Readable(Protocol):
    """A warehouse, or a transaction of one."""

    def query(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """Run one query."""
        ...


@dataclass(frozen=True)
class Scope:
    """What a report is about.

    Attributes
    ----------
    first, last : date
        Both included.
    node : str or None
        One well; None: the field.
    """

    first: date
    last: date
    node: str | None = None

    @property
    def begin(self) -> datetime:
        """Begin of the first day."""
        return datetime.combine(self.first, time())

    @property
    def end(self) -> datetime:
        """End of the last day."""
        return datetime.combine(self.last, time()) + timedelta(days=1)

    @property
    def days(self) -> int:
        """How many days."""
        return (self.last - self.first).days + 1

    @property
    def params(self) -> tuple[Any, ...]:
        """Parameters of the condition that `within` gives."""
        return (self.begin, self.end) if self.node is None else (self.begin, self.end, self.node)

    @property
    def address(self) -> str:
        """Address of its page in the data service."""
        named = {"from": self.first.isoformat(), "to": self.last.isoformat()}
        return "/analysis?" + urlencode({**named, "well": self.node} if self.node is not None else named)

    def within(self, alias: str = "", moment: str = "Date", node: str = "NodeID") -> str:
        """Condition of SQL on the period and the well."""
        named = f"{alias}." if alias else ""
        period = f"{named}{quote(moment)} >= $1 and {named}{quote(moment)} < $2"
        return period if self.node is None else f"{period} and {named}{quote(node)} = $3"


def held_days(warehouse: Readable) -> tuple[date, date] | None:
    """First and last day of which there are cards; None without any."""
    row = warehouse.query(
        'select min("Date")::date as first, max("Date")::date as last from xspoc.card'
    ).to_pylist()[0]
    return (row["first"], row["last"]) if row["first"] is not None else None


def scope_of(
    held: tuple[date, date], first: date | None = None, last: date | None = None, node: str | None = None
) -> Scope:
    """Choose a period within the days that there are.

    Parameters
    ----------
    held : tuple of date
        Of `held_days`.
    first, last : date, optional
        By default the newest `USUAL_DAYS` days, up to `last` where that is given.
    node : str, optional
        One well.

    Returns
    -------
    Scope
        What lies before the first day and after the last one is cut off.

    Raises
    ------
    ValueError
        If `first` is after `last`, or no day of the period is among those that there are.
    """
    if first is not None and last is not None and first > last:
        raise ValueError(f"the period ends on {last}, before its first day {first}")
    end = min(last or held[1], held[1])
    few = (end - held[0]).days < USUAL_DAYS
    begin = max(first or (held[0] if few else end - timedelta(days=USUAL_DAYS - 1)), held[0])
    if begin > end:
        raise ValueError(f"there are no cards in this period: they are from {held[0]} to {held[1]}")
    return Scope(begin, end, node)


def find_well(warehouse: Readable, text: str) -> str | None:
    """Name of a well as it is spelled everywhere, by that name in any spelling; None where there is none."""
    key = node_key(clean_node(text))
    # no text of the database has one
    if "\x00" in key:
        return None
    found = warehouse.query('select "NodeID" as node from xspoc.node where node_key = $1', (key,)).to_pylist()
    return found[0]["node"] if found else None


def report_facts(warehouse: Readable, scope: Scope, rules: Rules) -> dict[str, Any]:
    """Read everything that the report of a scope tells.

    Parameters
    ----------
    warehouse : Warehouse or Transaction
        With a transaction all of it is as of one moment where that is wanted.
    scope : Scope
    rules : Rules
        What the vendor's texts say in the words of our classes.

    Returns
    -------
    dict
        ``scope``, ``wells`` (coverage, a row a well), ``grid``, ``silent``, ``cadence``, ``missing``, ``sample``, ``quantities``, ``correlations``,
        ``outliers``, ``vendor``, ``failures``, ``rejects``.
    """
    wells = _coverage(warehouse, scope)
    every = _every(warehouse, scope)
    sample = _sample(warehouse, scope, every)
    number = {node: place for place, node in enumerate(sorted(set(sample["NodeID"].to_pylist())))}
    owner = np.array([number[node] for node in sample["NodeID"].to_pylist()], np.int64)
    values = {name: _floats(sample[name]) for name in MEASURED}
    return {
        "scope": scope,
        "wells": wells,
        "silent": _silent(warehouse, scope),
        "grid": _grid(warehouse, scope, [row["NodeID"] for row in wells[:SHOWN_WELLS]]),
        "cadence": [sum(row["gaps"][place] for row in wells) for place in range(len(GAP_HOURS) + 1)],
        "missing": [_missing(warehouse, scope, each) for each in _SOURCES],
        "sample": {"cards": sample.num_rows, "every": every},
        "quantities": {name: summarize(each) for name, each in values.items()},
        "correlations": rank_correlations(
            np.stack(list(values.values()), axis=1) if values else np.zeros((0, 0))
        ),
        "outliers": _outliers(sample, owner, len(number), values),
        "vendor": {
            "labels": _vendor_labels(warehouse, scope, rules),
            "quantities": _vendor_quantities(sample),
        },
        "failures": _failures(warehouse, scope),
        "rejects": _rejects(warehouse, scope),
    }


# Coverage, gaps and cadence

_GAP_COUNTS = ", ".join(
    f"count(*) filter (where gap >= {low} and gap < {high}) as gaps_{place}"
    for place, (low, high) in enumerate(zip((0.0, *GAP_HOURS), (*GAP_HOURS, 1e12), strict=True))
)


def _coverage(warehouse: Readable, scope: Scope) -> list[dict[str, Any]]:
    """A row a well with cards: days, cards, usual time between them, its longest gap; those with the fewest days first."""
    rows: list[dict[str, Any]] = warehouse.query(
        f"""
with spaced as (
    select "NodeID", "Date", extract(epoch from "Date" - lag("Date") over (partition by "NodeID" order by "Date"))::float8 / 3600 as gap
    from xspoc.card where {scope.within()}
)
select "NodeID", count(*) as cards, count(distinct "Date"::date) as days, min("Date") as first, max("Date") as last,
    percentile_cont(0.5) within group (order by gap) as usual_h, max(gap) as longest_h,
    (array_agg("Date" order by gap desc nulls last))[1] as longest_until, {_GAP_COUNTS}
from spaced group by 1 order by 3, 2, 1""",
        scope.params,
    ).to_pylist()
    for row in rows:
        row["gaps"] = [row.pop(f"gaps_{place}") for place in range(len(GAP_HOURS) + 1)]
        row["share"] = row["days"] / scope.days
    return rows


def _silent(warehouse: Readable, scope: Scope) -> list[str]:
    """Wells that are known and have no card in the period."""
    where = "" if scope.node is None else 'n."NodeID" = $3 and '
    rows = warehouse.query(
        f'select n."NodeID" from xspoc.node as n where {where}not exists (select from xspoc.card as c '
        'where c."NodeID" = n."NodeID" and c."Date" >= $1 and c."Date" < $2) order by 1',
        scope.params,
    )
    found: list[str] = rows["NodeID"].to_pylist()
    return found


def _grid(warehouse: Readable, scope: Scope, nodes: list[str]) -> dict[str, Any]:
    """Cards of some wells by bins of whole days."""
    width = -(-scope.days // SHOWN_BINS)
    bins = -(-scope.days // width)
    counts = np.zeros((len(nodes), bins), np.int64)
    place = {node: row for row, node in enumerate(nodes)}
    rows = warehouse.query(
        'select "NodeID" as node, ("Date"::date - $1::timestamp::date) / $4::int as bin, count(*) as cards from xspoc.card '
        'where "Date" >= $1 and "Date" < $2 and "NodeID" = any($3::text[]) group by 1, 2',
        (scope.begin, scope.end, nodes, width),
    ).to_pylist()
    for row in rows:
        counts[place[row["node"]], row["bin"]] = row["cards"]
    first = [(scope.first + timedelta(days=width * n)).isoformat() for n in range(bins)]
    return {"nodes": nodes, "bins": first, "width": width, "counts": counts}


# What is missing

_SOURCES = (
    (table("xspoc", "card"), "Cards", "Date"),
    (table("xspoc", "xdiagresults"), "Vendor's results", "Date"),
    (table("clean", "carddiag"), "Our diagnosis", "Date"),
    (table("xspoc", "welltest"), "Well tests", "TestDate"),
)
_BOOKKEEPING = ("file_stamp", "quality", "report", "pump_card_source")


def _told_columns(source: Table) -> list[tuple[str, str]]:
    """Columns that may be missing, with the name that is shown: points once for each card, nothing that is derived from them."""
    told = []
    for column in source.columns:
        if column.name in source.key or column.name in _BOOKKEEPING or column.name.endswith("_fault"):
            continue
        if column.type is Type.POINTS:
            if column.name.endswith("_position"):
                told.append((column.name, column.name.removesuffix("_position")))
        elif not column.name.startswith(("surfcard_", "pocdowncard_")):
            told.append((column.name, column.name))
    return told


def _missing(warehouse: Readable, scope: Scope, source: tuple[Table, str, str]) -> dict[str, Any]:
    """How many rows of a table have no value, column by column; those that are always there or never apart."""
    target, title, moment = source
    told = _told_columns(target)
    counts = ", ".join(f"count({quote(name)}) as c{place}" for place, (name, _) in enumerate(told))
    row = warehouse.query(
        f"select count(*) as n, {counts} from {target.full_name} where {scope.within('', moment)}",
        scope.params,
    ).to_pylist()[0]
    rows = row["n"]
    empty = {shown: 1.0 - row[f"c{place}"] / rows for place, (_, shown) in enumerate(told)} if rows else {}
    return {
        "title": title,
        "rows": rows,
        "some": sorted(
            ((name, share) for name, share in empty.items() if 0.0 < share < 1.0),
            key=lambda pair: (-pair[1], pair[0]),
        ),
        "never": [name for name, share in empty.items() if share == 1.0],
        "always": [name for name, share in empty.items() if share == 0.0],
    }


# Measured values


def _every(warehouse: Readable, scope: Scope) -> int:
    """Which part of the cards is read: one in so many."""
    cards: int = warehouse.query(
        f"select count(*) as n from clean.carddiag where {scope.within()}", scope.params
    ).to_pylist()[0]["n"]
    return max(1, -(-cards // SAMPLE_CARDS))


def _sample(warehouse: Readable, scope: Scope, every: int) -> pa.Table:
    """Measured values of the cards of a scope, ours and the vendor's; of too many cards, those that a hash of well and time chooses."""
    ours = sorted({*(pair.ours for pair in PAIRS), *(name for name in MEASURED if name not in _OF_CARD)})
    columns = [
        *(f"c.{quote(name)}" for name in _OF_CARD),
        *(f"d.{quote(name)}" for name in ours),
        *(f"x.{quote(pair.theirs)} as {quote('vendor_' + pair.ours)}" for pair in PAIRS),
    ]
    chosen = (
        ""
        if every == 1
        else f' and hashtextextended(d."NodeID", extract(epoch from d."Date")::bigint) % {every} = 0'
    )
    return warehouse.query(
        f'select d."NodeID", d."Date", {", ".join(columns)} from clean.carddiag as d '
        'left join xspoc.card as c on c."NodeID" = d."NodeID" and c."Date" = d."Date" '
        'left join xspoc.xdiagresults as x on x."NodeID" = d."NodeID" and x."Date" = d."Date" '
        f"where {scope.within('d')}{chosen}",
        scope.params,
    )


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _outliers(
    sample: pa.Table, owner: NDArray[np.int64], wells: int, values: dict[str, NDArray[np.float64]]
) -> dict[str, Any]:
    """Values far from the median of their own well: how many of each quantity, and the cards that hold the farthest."""
    far = np.zeros((len(owner), len(values)))
    medians = np.zeros_like(far)
    for place, (name, given) in enumerate(values.items()):
        away, medians[:, place] = deviations(given, owner, wells, least_scale=LEAST_SPREAD[name])
        far[:, place] = np.where(np.abs(np.nan_to_num(away)) >= OUTLIER, away, 0.0)
    names = list(values)
    shown: list[dict[str, Any]] = []
    of_well: dict[int, int] = {}
    worst = np.abs(far).max(axis=1, initial=0.0)
    for row in np.argsort(-worst, kind="stable").tolist():
        if worst[row] == 0.0 or len(shown) == SHOWN_OUTLIERS:
            break
        # the neighbours of a card tell the same
        of_well[owner[row]] = of_well.get(owner[row], 0) + 1
        if of_well[owner[row]] > SHOWN_OF_WELL and wells > 1:
            continue
        places = [place for place in np.argsort(-np.abs(far[row])).tolist() if far[row, place]]
        shown.append(
            {
                "NodeID": sample["NodeID"][row].as_py(),
                "Date": sample["Date"][row].as_py(),
                "quantities": [
                    {
                        "name": names[place],
                        "value": float(values[names[place]][row]),
                        "median": float(medians[row, place]),
                        "deviation": float(far[row, place]),
                    }
                    for place in places[:3]
                ],
                "more": max(0, len(places) - 3),
            }
        )
    return {
        "counts": dict(zip(names, np.count_nonzero(far, axis=0).tolist(), strict=True)),
        "cards": int(np.count_nonzero(worst)),
        "shown": shown,
    }


# The vendor's labels and quantities against ours


def _vendor_labels(warehouse: Readable, scope: Scope, rules: Rules) -> dict[str, Any]:
    """Cards by the vendor's first text and our first class, the most frequent ones; and how often both say the same."""
    rows = warehouse.query(
        f"""
select nullif(trim(x."PumpCond1"), '') as vendor, nullif(trim(x."PumpCond2"), '') as second, p."Label1" as ours, count(*) as cards
from clean.dynapred as p join xspoc.xdiagresults as x on x."NodeID" = p."NodeID" and x."Date" = p."Date"
where {scope.within("p")} group by 1, 2, 3""",
        scope.params,
    ).to_pylist()
    said = [row for row in rows if row["vendor"] is not None or row["second"] is not None]
    first, second = translate([row["vendor"] for row in said], [row["second"] for row in said], rules)
    same = compared = 0
    for row, one, other in zip(said, first, second, strict=True):
        # what the vendor's text says nothing of, or ours does not know, is no disagreement
        if (one or other) and row["ours"] != "Unknown":
            compared += row["cards"]
            same += row["cards"] if row["ours"] in (one, other) else 0
    counts: dict[tuple[str, str], int] = {}
    for row in said:
        key = (row["vendor"] or row["second"]), row["ours"]
        counts[key] = counts.get(key, 0) + row["cards"]
    texts, labels = _most([key for key, _ in counts], counts, 0), _most([k for _, k in counts], counts, 1)
    return {
        "cards": sum(counts.values()),
        "compared": compared,
        "same": same,
        "texts": texts,
        "labels": labels,
        "table": [[counts.get((text, label), 0) for label in labels] for text in texts],
        "others": sum(
            cards for (text, label), cards in counts.items() if text not in texts or label not in labels
        ),
    }


def _most(names: list[str], counts: dict[tuple[str, str], int], side: int) -> list[str]:
    sums: dict[str, int] = dict.fromkeys(names, 0)
    for pair, cards in counts.items():
        sums[pair[side]] += cards
    return sorted(sums, key=lambda name: (-sums[name], name))[:SHOWN_TEXTS]


def _vendor_quantities(sample: pa.Table) -> list[dict[str, Any]]:
    """Ours less the vendor's of the same cards: median, median and 95th percentile of its size, and what the check allows."""
    found = []
    for pair in PAIRS:
        ours, theirs = _floats(sample[pair.ours]), _floats(sample[f"vendor_{pair.ours}"])
        both = np.isfinite(ours) & np.isfinite(theirs)
        if not both.any():
            continue
        difference = ours[both] - theirs[both]
        size = np.abs(difference)
        allowed = max(pair.least, pair.share * float(np.median(np.abs(theirs[both]))))
        found.append(
            {
                "ours": pair.ours,
                "theirs": pair.theirs,
                "unit": pair.unit,
                "cards": int(both.sum()),
                "bias": float(np.median(difference)),
                "median": float(np.median(size)),
                "p95": float(np.quantile(size, 0.95)),
                "allowed": allowed,
                "far": float(np.median(size)) > allowed,
                "differences": summarize(difference, 24),
            }
        )
    return found


# Failures and run life

_FAILURES = """
select "NodeID" as node, "Failure Start Date" as start, "Failure End Date" as stop, known_from, coalesce(failure_class, 'Other') as component
from analysis.failure_info where known_from < $1 order by 1, 2
"""


def _failures(warehouse: Readable, scope: Scope) -> list[dict[str, Any]]:
    """Failures by component in the period, and the run life of components by all that is known at its end."""
    rows = warehouse.query(_FAILURES, (scope.end,)).to_pylist()
    if scope.node is not None:
        rows = [row for row in rows if row["node"] == scope.node]
    seen = warehouse.query(
        'select "NodeID" as node, min("Date") as first, max("Date") as last from xspoc.card '
        f'where "Date" < $1{"" if scope.node is None else " and " + quote("NodeID") + " = $2"} group by 1 order by 1',
        (scope.end,) if scope.node is None else (scope.end, scope.node),
    )
    nodes = seen["node"].to_pylist()
    number = {node: place for place, node in enumerate(nodes)}
    logged = [row for row in rows if row["node"] in number]
    names = sorted({row["component"] for row in rows})
    lives: dict[str, Survival] = {}
    if logged:
        log = FailureLog.of(
            [number[row["node"]] for row in logged],
            [_ms(row["start"]) for row in logged],
            [NEVER if row["stop"] is None else _ms(row["stop"]) for row in logged],
            [_ms(row["known_from"]) for row in logged],
            [row["component"] for row in logged],
            names,
        )
        first, last = ([_ms(each) for each in seen[side].to_pylist()] for side in ("first", "last"))
        for name in names:
            found = lives_at(log, name, np.array(first), np.array(last), _ms(scope.end))
            lives[name] = survival(found.days, found.failed)
    told = []
    for name in names:
        mine = [row for row in rows if row["component"] == name]
        here = [row for row in mine if scope.begin <= row["start"] < scope.end]
        down = [
            (row["stop"] - row["start"]).total_seconds() / 86_400.0
            for row in here
            if row["stop"] is not None and row["stop"] < scope.end
        ]
        told.append(
            {
                "component": name,
                "failures": len(here),
                "open": sum(row["stop"] is None or row["stop"] >= scope.end for row in here),
                "known": len(mine),
                "down_days": float(np.median(down)) if down else None,
                "life": lives.get(name),
            }
        )
    return told


def _ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1)) // timedelta(milliseconds=1)


# What was not used

# Reasons name values; what is the same but for those is one kind of trouble.
_REASONS = """
select "Kind" as kind, min("Reason") as reason, count(*) as rows, count(distinct "SourceFile") as files, max("SourceFile") as example
from xspoc.rejected where {where} group by 1, regexp_replace("Reason", '[0-9''].*', '') order by 3 desc, 1, 2 limit 20
"""
_KINDS = """
select kind, count(*) as files, sum(rows)::bigint as rows, sum(stored)::bigint as stored, sum(superseded)::bigint as superseded,
    sum(rejected)::bigint as rejected
from oasis.file where first_day <= $2::timestamp::date and last_day >= $1::timestamp::date or first_day is null group by 1 order by 1
"""


def _rejects(warehouse: Readable, scope: Scope) -> dict[str, Any]:
    """Rows that were refused and why, files by kind, and cards that are stored and can't be used."""
    where = scope.within()
    if scope.node is None:
        # what has no time that could be read belongs to no period, so to every one
        where = f'({where} or "Date" is null)'
    faults = warehouse.query(
        f"select f.card, f.fault, count(*) as cards from xspoc.card as c, "
        "lateral (values ('surfcard', c.surfcard_fault, c.surfcard_position is not null), "
        "('downcard', c.downcard_fault, c.downcard_position is not null), "
        "('pocdowncard', c.pocdowncard_fault, c.pocdowncard_position is not null)) as f(card, fault, came) "
        f"where {scope.within('c')} and f.fault is not null and f.came group by 1, 2 order by 3 desc, 1, 2 limit 20",
        scope.params,
    ).to_pylist()
    return {
        "reasons": warehouse.query(_REASONS.format(where=where), scope.params).to_pylist(),
        "kinds": warehouse.query(_KINDS, (scope.begin, scope.end)).to_pylist() if scope.node is None else [],
        "faults": faults,
    }
