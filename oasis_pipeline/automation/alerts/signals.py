"""What there is to tell, as it is now.

Here: a look for each kind of alert, each one statement or two; none changes anything. Not here: what was told before (``book``).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from oasis_pipeline.automation.alerts.rules import Limits
from oasis_pipeline.automation.plan import Plan
from oasis_pipeline.intake.sources import SourceError, watched_sources
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.errors import one_line
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline.storage.runs import newest_runs

_GIB = 1 << 30
_INTAKE_JOBS = ("intake", "source")


@dataclass(frozen=True)
class Signal:
    """Something that is so now.

    Attributes
    ----------
    kind : str
        Of `rules.KINDS`.
    subject : str
        What it is of; with the kind it tells an alert from others.
    facts : dict
        For the template of the kind.
    well : str or None
    fresh : bool
        Whether it opens an alert; if not, it only keeps one open.
    hold : timedelta
        How long it has to last before it opens one.
    """

    kind: str
    subject: str
    facts: dict[str, Any] = field(default_factory=dict)
    well: str | None = None
    fresh: bool = True
    hold: timedelta = timedelta(0)


@dataclass(frozen=True)
class Sight:
    """What the looks need."""

    settings: Settings
    warehouse: Warehouse
    limits: Limits
    plan: Plan
    now: datetime


@dataclass
class Looked:
    """What the looks found.

    Attributes
    ----------
    signals : list of Signal
    kinds : set of str
        Kinds that could be looked at.
    faults : list of str
        Why others could not.
    """

    signals: list[Signal] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


def look(sight: Sight) -> Looked:
    """Look at everything; a look that fails is a fault, and its alerts stay as they are."""
    looked = Looked()
    for kind, find in LOOKS.items():
        try:
            found = list(find(sight))
        except Exception as error:  # the other looks go on
            looked.faults.append(f"{kind} could not be looked at: {one_line(error)}")
            continue
        looked.signals += found
        looked.kinds.add(kind)
    return looked


def failed_runs(sight: Sight) -> Iterator[Signal]:
    """Assets whose last materialization failed, and jobs whose newest run did and that no asset explains."""
    rows = sight.warehouse.query(
        "SELECT asset, count(*) AS partitions, min(partition) AS first, max(partition) AS last,"
        " (array_agg(error ORDER BY failed_at DESC NULLS LAST))[1] AS error"
        " FROM oasis.asset_state WHERE error IS NOT NULL GROUP BY asset ORDER BY asset"
    ).to_pylist()
    for row in rows:
        yield Signal("run_failed", row["asset"], row)
    for job in newest_runs(sight.warehouse):
        own = job["job"] in _INTAKE_JOBS
        if job["status"] == "FAILURE" and (own or not rows):
            yield Signal("run_failed", f"job {job['job']}", {"run_id": job["run_id"], "ended_at": job["at"]})


def stale_assets(sight: Sight) -> Iterator[Signal]:
    """Assets that are stale and of which nothing was made for long."""
    hold = timedelta(hours=sight.limits.stale_hours)
    counts = stale_counts(sight.plan)
    made = {
        row["asset"]: row["at"]
        for row in sight.warehouse.query(
            "SELECT asset, max(made_at) AS at FROM oasis.asset_state GROUP BY 1"
        ).to_pylist()
    }
    why = {asset: reason for (asset, _), reason in sight.plan.waiting.items()}
    for asset, count in sorted(counts.items()):
        at = made.get(asset)
        if at is None or sight.now - at > hold:
            facts = {"partitions": count, "made_at": at, "why": why.get(asset)}
            yield Signal("stale", asset, facts, hold=hold)


def stale_counts(plan: Plan) -> dict[str, int]:
    """Asset -> stale partitions, those that wait included."""
    counts = {asset: len(days) for asset, days in plan.days.items() if days}
    counts |= dict.fromkeys(plan.whole, 1)
    for asset, _ in plan.waiting:
        counts[asset] = counts.get(asset, 0) + 1
    return counts


def silent_sources(sight: Sight) -> Iterator[Signal]:
    """Nothing has come for long, or a live source was not read."""
    limit = timedelta(hours=sight.limits.silent_hours)
    at = sight.warehouse.query("SELECT max(loaded_at) AS at FROM oasis.file")["at"][0].as_py()
    if at is not None and sight.now - at > limit:
        yield Signal("source_silent", "intake", {"since": at, "why": None})
    try:
        watched = watched_sources(sight.settings)
    except SourceError as error:
        yield Signal("source_silent", "source", {"since": None, "why": str(error)})
        return
    rows = sight.warehouse.query(
        "SELECT source, max(at) AS at FROM oasis.source_task WHERE task = 'sweep' GROUP BY 1"
    ).to_pylist()
    seen = {row["source"]: row["at"] for row in rows}
    for name, minutes in watched.items():
        last = seen.get(name)
        # one that was never read is a new one, and `oasis doctor` names it
        if last is not None and sight.now - last > timedelta(minutes=minutes):
            yield Signal("source_silent", f"source {name}", {"since": last, "why": None})


def rejected_shares(sight: Sight) -> Iterator[Signal]:
    """Kinds of files of which many rows were rejected within a day."""
    rows = sight.warehouse.query(
        "SELECT kind, sum(rows)::bigint AS rows, sum(rejected)::bigint AS rejected FROM oasis.file"
        " WHERE loaded_at > $1::timestamptz GROUP BY kind ORDER BY kind",
        (sight.now - timedelta(days=1),),
    ).to_pylist()
    for row in rows:
        share = 100.0 * row["rejected"] / max(row["rows"], 1)
        if row["rejected"] >= sight.limits.rejected_rows and share > sight.limits.rejected_percent:
            yield Signal("rejected_share", row["kind"], {**row, "percent": round(share, 1)})


def unpromoted_models(sight: Sight) -> Iterator[Signal]:
    """Models whose newest version did not come into use."""
    rows = sight.warehouse.query(
        "SELECT DISTINCT ON (name) name, version, in_use, manifest -> 'promotion' ->> 'reason' AS reason FROM oasis.model"
        " WHERE manifest -> 'promotion' IS NOT NULL AND jsonb_typeof(manifest -> 'promotion') = 'object'"
        " ORDER BY name, created_at DESC"
    ).to_pylist()
    for row in rows:
        if not row["in_use"]:
            yield Signal("model_not_promoted", f"{row['name']} {row['version']}", row)


def full_disks(sight: Sight) -> Iterator[Signal]:
    """Disks with little space, and a database over its limit."""
    for place in written_disks(sight.settings):
        used = shutil.disk_usage(place)
        if used.free < sight.limits.free_gib * _GIB:
            free = {"free_gib": round(used.free / _GIB, 1), "total_gib": round(used.total / _GIB)}
            yield Signal("disk", f"disk of {place}", free)
    if sight.limits.database_gib is not None:
        size = sight.warehouse.query("SELECT pg_database_size(current_database()) AS n")["n"][0].as_py()
        if size > sight.limits.database_gib * _GIB:
            facts = {"size_gib": round(size / _GIB, 1), "limit_gib": sight.limits.database_gib}
            yield Signal("disk", "database", facts)


def written_disks(settings: Settings) -> list[Path]:
    """A folder of each disk that the platform writes to."""
    places: dict[int, Path] = {}
    data = settings.postgres_data if settings.embedded else settings.home
    for folder in (settings.home, data, settings.drop, settings.store):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        places.setdefault(there.stat().st_dev, there)
    return list(places.values())


def wells_down(sight: Sight) -> Iterator[Signal]:
    """Wells that are down on the newest day; those that went down lately are fresh."""
    rows = sight.warehouse.query(
        'SELECT "NodeID" AS well, "Date" AS day, state_since AS since, failure, failure_class, lost_oil_bpd FROM clean.wellstatus'
        ' WHERE "Date" = (SELECT max("Date") FROM clean.wellstatus) AND state = \'down\' ORDER BY 1'
    ).to_pylist()
    for row in rows:
        begin = datetime.combine(row["day"], datetime.min.time()) - timedelta(days=sight.limits.new_days)
        fresh = row["since"] is not None and row["since"] >= begin
        yield Signal("well_down", row["well"], row, row["well"], fresh)


def first_wells(sight: Sight) -> Iterator[Signal]:
    """Wells in the first places of the newest worklist."""
    rows = sight.warehouse.query(
        'SELECT "NodeID" AS well, "Date" AS day, rank, score, action, reason,'
        " settings ->> 'currency' AS currency, (settings ->> 'horizon_days')::float8 AS horizon_days"
        " FROM clean.worklist LEFT JOIN analysis.economics ON true"
        ' WHERE "Date" = (SELECT max("Date") FROM clean.worklist) AND rank <= $1::bigint ORDER BY rank',
        (sight.limits.worklist_places,),
    ).to_pylist()
    for row in rows:
        yield Signal("worklist_first", row["well"], row, row["well"])


def open_alarms(sight: Sight) -> Iterator[Signal]:
    """Alarms of failures that nobody has answered; those raised lately are fresh."""
    rows = sight.warehouse.query(
        'SELECT "AlarmID" AS alarm, "NodeID" AS well, "RaisedAt" AS raised_at, "Class" AS failure, "Prob" AS percent, "Reason" AS reason,'
        ' (SELECT max("Date") FROM clean.wellstatus) AS day FROM clean.alarm WHERE "State" = \'open\' ORDER BY 1'
    ).to_pylist()
    for row in rows:
        day = row["day"] or row["raised_at"].date()
        begin = datetime.combine(day, datetime.min.time()) - timedelta(days=sight.limits.new_days)
        yield Signal("failure_alarm", row["alarm"], row, row["well"], row["raised_at"] >= begin)


LOOKS: dict[str, Callable[[Sight], Iterator[Signal]]] = {
    "run_failed": failed_runs,
    "source_silent": silent_sources,
    "disk": full_disks,
    "stale": stale_assets,
    "rejected_share": rejected_shares,
    "model_not_promoted": unpromoted_models,
    "well_down": wells_down,
    "failure_alarm": open_alarms,
    "worklist_first": first_wells,
}


def utc(at: datetime | None) -> str:
    """A moment as people read it."""
    return "never" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts as they can be stored and shown: times as texts."""
    return {
        name: utc(value)
        if isinstance(value, datetime) and value.tzinfo
        else f"{value:%Y-%m-%d %H:%M}"
        if isinstance(value, datetime)
        else str(value)
        if not isinstance(value, (str, int, float, bool, type(None)))
        else value
        for name, value in facts.items()
    }


__all__: Sequence[str] = (
    "LOOKS", "Looked", "Sight", "Signal", "look", "plain", "stale_counts", "utc", "written_disks",
)  # fmt: skip
