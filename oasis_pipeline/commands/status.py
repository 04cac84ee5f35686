"""``oasis status``: what is made, what is missing, what failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oasis_pipeline.commands.common import home_option, json_option, print_json, print_table, settings_of
from oasis_pipeline.storage.installation import existing_warehouse, require_installation

if TYPE_CHECKING:
    from oasis_pipeline.intake.labels import WaitingLabel

_FEW_LABELS = 5
_MOST_LABELS = 1000


@click.command()
@home_option
@json_option
def status(home: Path | None, as_json: bool) -> None:
    """Show each asset: partitions done, missing and failed, rows, newest data, and age.

    Days without rows are not counted.
    """
    settings = settings_of(home)
    require_installation(settings)
    from oasis_pipeline.automation.alerts.book import count_alerts, list_unsent
    from oasis_pipeline.automation.staleness import current_plan
    from oasis_pipeline.commands.supervision import running_lines
    from oasis_pipeline.home import read_record
    from oasis_pipeline.intake import left_files
    from oasis_pipeline.intake.labels import waiting_labels
    from oasis_pipeline.storage import ledger
    from oasis_pipeline.storage.first_days import first_days

    with existing_warehouse(settings) as warehouse:
        rows = asset_rows(ledger.states(warehouse), current_plan(warehouse))
        first = first_days(warehouse, settings)
        left = left_files(warehouse, settings.drop)
        rejected = warehouse.query("select count(*) as n from xspoc.rejected")["n"][0].as_py()
        waiting = waiting_labels(warehouse)
        alerts = count_alerts(warehouse)
        unsent = [row for row in list_unsent(warehouse) if row["error"]]
    if as_json:
        processes = [{**vars(one), "alive": one.alive()} for one in read_record(settings.home)]
        labels = [
            {"NodeID": each.node, "Date": each.time, "cards": each.cards} for each in waiting[:_MOST_LABELS]
        ]
        print_json(
            {
                "home": settings.home,
                "assets": rows,
                "rejected_rows": rejected,
                "waiting_labels": len(waiting),
                "first_waiting_labels": labels,
                "processes": processes,
                "first_days": [vars(each) for each in first],
                "left_files": left,
                "open_alerts": alerts,
                "failed_messages": unsent,
            }
        )
        return
    cells = [
        [
            row["asset"],
            f"{row['done']:,}",
            f"{row['missing']:,}",
            f"{row['failed']:,}",
            "" if row["rows"] is None else f"{row['rows']:,}",
            row["newest"] or "",
            _age(row["made_at"]),
        ]
        for row in rows
    ]
    print_table(
        f"Assets of {settings.home}",
        ["asset", "done", "missing", "failed", "rows", "newest data", "age"],
        cells,
        right=(1, 2, 3, 4),
    )
    for line in running_lines(settings.home):
        click.echo(line)
    for row in rows:
        if row["error"]:
            click.echo(f"{row['asset']}: {row['error']}")
        if row["waiting"]:
            click.echo(f"{row['asset']}: {row['waiting']}")
    if not rows:
        click.echo(
            "no data has been loaded yet: put files into the drop folder and run `oasis run`, or try `oasis demo`"
        )
    for each in first:
        if each.day is not None:
            click.echo(f"the calendar of {each.calendar} begins on {each.day}: {each.why}")
    for row in left:
        click.echo(f"left in the drop folder: {row['name']} {row['reason']}")
    if rejected:
        click.echo(f"{rejected:,} rejected rows are in xspoc.rejected with their reasons")
    if waiting:
        click.echo(_say_waiting(waiting))
    if alerts:
        click.echo(f"{alerts} {'alert is' if alerts == 1 else 'alerts are'} open; `oasis alerts` lists them")
    for name in dict.fromkeys(row["receiver"] for row in unsent):
        own = [row for row in unsent if row["receiver"] == name]
        click.echo(
            f"{len(own)} message{'s' * (len(own) != 1)} to {name} could not be sent, tried again by itself: {own[0]['error']}"
        )


def _say_waiting(waiting: list[WaitingLabel]) -> str:
    """Name the labels that wait for their card, the first ones one by one."""
    shown = [
        f"{each.node} {each.time:%Y-%m-%d %H:%M:%S} ({f'{each.cards} cards at that time' if each.cards else 'no card'})"
        for each in waiting[:_FEW_LABELS]
    ]
    more = (
        f", and {len(waiting) - _FEW_LABELS} more (--json lists them)" if len(waiting) > _FEW_LABELS else ""
    )
    count = "1 label waits" if len(waiting) == 1 else f"{len(waiting):,} labels wait"
    return f"{count} for the card: {', '.join(shown)}{more}"


def asset_rows(states: Any, plan: Any) -> list[dict[str, Any]]:
    """Sum up the ledger, one entry an asset.

    Parameters
    ----------
    states : mapping
        The ledger's states.
    plan : Plan
        What is stale.

    Returns
    -------
    list of dict
        ``asset``, ``done``, ``missing`` (never made, or stale), ``failed``, ``rows``, ``newest`` partition, ``made_at``, ``error``, and
        ``waiting``: why what is stale is not made yet.
    """
    from oasis_pipeline.automation.staleness import WHOLE_ASSETS

    by_asset: dict[str, list[Any]] = {}
    for state in states.values():
        if state.asset.endswith("_history"):
            continue  # marks from when on a state of the equipment changed, no asset of its own
        by_asset.setdefault(state.asset, []).append(state)
    waiting: dict[str, dict[str, str]] = {}
    for (asset, partition), reason in plan.waiting.items():
        waiting.setdefault(asset, {})[partition] = reason
    for asset in (*plan.days, *plan.whole, *waiting):
        by_asset.setdefault(asset, [])
    rows = []
    for asset, entries in sorted(by_asset.items()):
        held = waiting.get(asset, {})
        stale = set(plan.days.get(asset, ())) | ({""} if asset in plan.whole else set()) | held.keys()
        failed = {entry.partition for entry in entries if entry.error}
        kept = [entry for entry in entries if entry.partition not in stale and entry.partition not in failed]
        kept = [entry for entry in kept if entry.rows != 0 or not entry.partition]
        if asset in WHOLE_ASSETS or any(not entry.partition for entry in entries):
            # one thing: the days of its entries only tell from when on something changed
            kept, failed = kept[: not (stale or failed)], set(list(failed)[:1])
            entries = [entry for entry in entries if not entry.partition] or entries
        counts = [entry.rows for entry in entries if entry.rows is not None]
        times = [t for entry in entries for t in (entry.made_at, entry.changed_at) if t is not None]
        rows.append(
            {
                "asset": asset,
                "done": len(kept),
                "missing": len(stale - failed),
                "failed": len(failed),
                "rows": sum(counts) if counts else None,
                "newest": max(
                    (entry.partition for entry in entries if entry.partition and entry.rows), default=None
                ),
                "made_at": max(times, default=None),
                "error": next((entry.error for entry in entries if entry.error), None),
                "waiting": next(iter(held.values()), None),
            }
        )
    return rows


def _age(made_at: datetime | None) -> str:
    if made_at is None:
        return ""
    age = datetime.now(UTC) - made_at
    if age < timedelta(minutes=1):
        return f"{max(int(age.total_seconds()), 0)} s"
    if age < timedelta(hours=1):
        return f"{int(age.total_seconds() // 60)} min"
    return f"{age.total_seconds() / 3600:.1f} h" if age < timedelta(days=2) else f"{age.days} d"
