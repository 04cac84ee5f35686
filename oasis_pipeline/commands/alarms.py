"""``oasis alarms``: list alarms of failures to come, and say what a person made of one."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from oasis_pipeline.commands.common import home_option, json_option, print_json, print_table, settings_of
from oasis_pipeline.storage.installation import existing_warehouse

STATES = ("open", "acknowledged", "dismissed", "closed")


@click.group(invoke_without_command=True)
@home_option
@click.option(
    "--state",
    "states",
    type=click.Choice(STATES),
    multiple=True,
    default=("open", "acknowledged"),
    show_default=True,
    help="Alarms in this state; may be given several times.",
)
@json_option
@click.pass_context
def alarms(context: click.Context, home: Path | None, states: tuple[str, ...], as_json: bool) -> None:
    """List alarms, the newest first; acknowledge or dismiss one by its id."""
    if context.invoked_subcommand is not None:
        return
    from oasis_pipeline.operations.alarm_decisions import list_alarms

    with existing_warehouse(settings_of(home)) as warehouse:
        rows = list_alarms(warehouse, states)
    if as_json:
        print_json({"alarms": rows})
        return
    print_table(
        "Alarms",
        ["id", "class", "% in 15 d", "state", "reason"],
        [[row["AlarmID"], row["Class"], f"{row['Prob']:.0f}", row["State"], row["Reason"]] for row in rows],
        right=(2,),
    )
    if not rows:
        click.echo(f"no alarm is {' or '.join(states)}")


def _decide(home: Path | None, alarm_id: str, decision: str, note: str | None, as_json: bool) -> None:
    from oasis_pipeline.operations.alarm_decisions import AlarmError, decide

    with existing_warehouse(settings_of(home)) as warehouse:
        try:
            with warehouse.transaction() as tx:
                row = decide(tx, alarm_id, decision, getpass.getuser(), note)
        except AlarmError as error:
            raise click.ClickException(str(error)) from None
    if as_json:
        print_json(row)
    else:
        click.echo(f"{row['AlarmID']}: {row['State']} by {row['decided_by']}")


@alarms.command()
@click.argument("alarm_id")
@click.option("--note", help="Reason, or what is being done about it.")
@home_option
@json_option
def acknowledge(alarm_id: str, note: str | None, home: Path | None, as_json: bool) -> None:
    """Say that somebody takes care of an alarm."""
    _decide(home, alarm_id, "acknowledged", note, as_json)


@alarms.command()
@click.argument("alarm_id")
@click.option("--note", required=True, help="Reason for dismissing it.")
@home_option
@json_option
def dismiss(alarm_id: str, note: str, home: Path | None, as_json: bool) -> None:
    """Say that an alarm is none; it is not raised again while the same signal lasts."""
    _decide(home, alarm_id, "dismissed", note, as_json)
