"""What all commands share: the ``--home`` and ``--json`` options, progress, and plain words for errors."""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from oasis_pipeline.settings import Settings, SettingsError, load_settings

home_option = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Home folder of the installation; stronger than $OASIS_HOME.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def settings_of(home: Path | None, **overrides: Any) -> Settings:
    """Read the configuration and make its home known to everything that is started from here."""
    settings = load_settings(home, **overrides)
    os.environ["OASIS_HOME"] = str(settings.home)
    return settings


def print_json(value: Any) -> None:
    """Print JSON for a program; dates and paths become texts."""
    click.echo(json.dumps(value, default=str, indent=2))


def explain(error: Exception) -> str:
    """Say what went wrong in one line.

    Parameters
    ----------
    error : Exception
        Whatever came up.

    Returns
    -------
    str
        The message of an error that says what to do; for a fault of the program its kind and place too, with how
        to get the whole trace. ``OASIS_TRACE=1`` prints the trace.
    """
    if os.environ.get("OASIS_TRACE"):
        traceback.print_exception(error)
    text = " ".join(str(error).split()) or type(error).__name__
    expected = isinstance(error, (SettingsError, OSError)) or type(error).__module__.startswith(
        "oasis_pipeline."
    )
    if expected:
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = next(
        (f for f in reversed(frames) if "oasis_pipeline" in f.filename), frames[-1] if frames else None
    )
    where = f" at {Path(place.filename).name}:{place.lineno}" if place else ""
    return f"unexpected {type(error).__name__}{where}: {text} (a fault of the program; OASIS_TRACE=1 shows where it arose)"


class PortError(RuntimeError):
    """An address can't be listened on."""


def require_free_port(host: str, port: int, option: str = "--port") -> None:
    """Refuse to start on a port that something else listens on; the error names the option that changes it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortError(
                f"can't listen on {host}:{port} ({error.strerror}): say {option} with another number"
            ) from None


def reachable(host: str) -> str:
    """Address at which this machine reaches what listens on a host."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104


def answers(url: str) -> bool:
    """Whether an http server answers at an address, whatever it says; its certificate may be anybody's."""
    try:
        urllib.request.urlopen(url, timeout=5, context=ssl._create_unverified_context()).close()  # noqa: S310, S323
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


Advance = Callable[[str, int, int], None]
"""Called with what is being done, steps done, and steps in all."""


@contextmanager
def progress(enabled: bool = True) -> Iterator[Advance]:
    """Show a progress bar on a terminal, nothing elsewhere.

    Parameters
    ----------
    enabled : bool
        False for commands that print JSON.

    Yields
    ------
    callable
        ``advance(what, done, total)``.
    """
    if not (enabled and sys.stderr.isatty()):
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield advance


def print_table(title: str, headers: list[str], rows: list[list[str]], right: tuple[int, ...] = ()) -> None:
    """Print a table to stdout.

    Parameters
    ----------
    title : str
        Line above it.
    headers : list of str
        Names of the columns.
    rows : list of list of str
        Cells.
    right : tuple of int
        Columns to set to the right.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for i, header in enumerate(headers):
        table.add_column(header, justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 120
    Console(width=width, highlight=False, markup=False).print(table)
