"""``oasis down``: the end of what other commands left running."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path

import click
import psutil

from oasis_pipeline.commands.common import home_option, json_option, print_json, settings_of
from oasis_pipeline.commands.supervision import UpError, end_left_behind, locked, supervisor_of
from oasis_pipeline.home import Recorded, until
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import embedded

_PATIENCE_S = 120.0


@click.command()
@home_option
@json_option
@click.option(
    "--left-behind",
    is_flag=True,
    help="Stop only what a killed `oasis up` left behind; do nothing while one is running.",
)
def down(home: Path | None, as_json: bool, left_behind: bool) -> None:
    """Stop what `oasis up` or `oasis dsn` left running for this home: exactly those processes, identified by pid and start time.

    A command that uses the database at the moment keeps it until it ends.
    """
    settings = settings_of(home)
    ended, database = end_everything(settings, left_behind=left_behind)
    if as_json:
        print_json({"home": settings.home, "ended": [vars(one) for one in ended], "database": database})
        return
    for one in ended:
        click.echo(f"ended the {one.name} (process {one.pid})")
    if database == "stopped":
        click.echo("stopped the database")
    elif database == "in use":
        click.echo("the database is in use by another command and stops with it")
    elif not ended:
        click.echo(f"nothing is running for {settings.home}")


def end_everything(settings: Settings, *, left_behind: bool = False) -> tuple[list[Recorded], str]:
    """End the platform of a home, what a killed one left, and the embedded server.

    Parameters
    ----------
    settings : Settings
        The installation; none is made.
    left_behind : bool
        True leaves a platform alone that runs.

    Returns
    -------
    ended : list of Recorded
    database : str
        ``stopped``, ``in use``, or empty if there was none.

    Raises
    ------
    UpError
        If something does not end.
    """
    ended: list[Recorded] = []
    if not settings.home.is_dir():
        if settings.home.exists():
            raise UpError(f"{settings.home} is not a folder; use --home with the folder of an installation")
        return ended, ""
    if (supervisor := supervisor_of(settings.home)) is not None:
        if left_behind:
            return ended, ""
        _end_supervisor(supervisor)
        ended.append(supervisor)
    with locked(settings.home) as mine:
        if not mine:
            if left_behind:
                return ended, ""
            raise UpError(
                f"another `oasis up` has started in {settings.home} meanwhile: run `oasis down` again"
            )
        ended += end_left_behind(settings.home)
        if not settings.embedded or not embedded.left_running(settings.postgres_data):
            # the supervisor that was ended took it along
            return ended, ""
        return ended, "stopped" if embedded.stop_when_unused(settings.postgres_data) else "in use"


def _end_supervisor(supervisor: Recorded) -> None:
    """Ask it to stop, which it does in a bounded time; a kill is for one that can't."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(psutil.Error):
            process = psutil.Process(supervisor.pid)
            if supervisor.alive():
                process.send_signal(number)
        if until(lambda: not supervisor.alive(), _PATIENCE_S, 0.1):
            return
    raise UpError(f"oasis up (process {supervisor.pid}) is still running after it was killed")
