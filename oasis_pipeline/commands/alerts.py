"""``oasis alerts``: what is wrong, who was told, what could not be sent; and a test message."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from oasis_pipeline.commands.common import home_option, json_option, print_json, print_table, settings_of
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.installation import existing_warehouse


@click.command()
@home_option
@click.option("--test", is_flag=True, help="Send a test message to each RECEIVER, or to all of alerts.toml.")
@json_option
@click.argument("receivers", metavar="[RECEIVER]...", nargs=-1)
def alerts(home: Path | None, test: bool, as_json: bool, receivers: tuple[str, ...]) -> None:
    """List alerts, open ones first, and messages that are still to be sent.

    Looks anew and sends what is due, as the sensor of `oasis up` does each minute. Who is told what is said by alerts.toml of the home folder.
    With --test ends with 1 if a message was not taken.
    """
    from oasis_pipeline.automation.alerts import attend
    from oasis_pipeline.automation.alerts.book import list_alerts, list_unsent

    settings = settings_of(home)
    if test:
        _test(settings, receivers, as_json)
        return
    if receivers:
        raise click.UsageError("a RECEIVER is for --test")
    with existing_warehouse(settings) as warehouse:
        report = attend(warehouse, settings)
        rows, unsent = list_alerts(warehouse), list_unsent(warehouse)
    if as_json:
        print_json({"alerts": rows, "unsent": unsent, "faults": report.faults})
        return
    if rows:
        cells = [
            [row["state"], row["level"], _at(row["opened_at"]), row["title"], row["told"] or ""]
            for row in rows
        ]
        print_table("Alerts", ["state", "level", "since (UTC)", "what", "told"], cells)
    else:
        click.echo("no alert is open, and none was")
    for row in unsent:
        why = f"failed {row['tries']} times, {row['error']}; again" if row["error"] else "to be sent"
        click.echo(f"{row['event']} to {row['receiver']}: {why} at {_at(row['due_at'])} UTC: {row['title']}")
    for fault in report.faults:
        click.echo(f"to do: {fault}", err=True)


def _test(settings: Settings, names: tuple[str, ...], as_json: bool) -> None:
    from oasis_pipeline.automation.alerts import AlertError, load_rules
    from oasis_pipeline.automation.alerts.sending import deliver

    rules = load_rules(settings.home)
    if unknown := [name for name in names if name not in rules.to]:
        raise click.BadParameter(f"alerts.toml has no receiver {unknown[0]}", param_hint="RECEIVER")
    if not rules.to:
        raise AlertError(f"{settings.home / 'alerts.toml'} names no receiver: docs/alerts.md shows one")
    failed: dict[str, str] = {}
    for name in names or rules.to:
        try:
            deliver(
                rules.to[name],
                title="Test of alerts",
                body=f"A test message for {name}; nothing is wrong.",
                level="info",
            )
        except AlertError as error:
            failed[name] = str(error)
        if not as_json:
            click.echo(f"{name}: {failed.get(name, 'the message was taken')}")
    if as_json:
        print_json({name: failed.get(name) for name in names or rules.to})
    if failed:
        raise click.exceptions.Exit(1)


def _at(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"
