"""What all commands share: the ``--home`` and ``--json`` options, progress, and plain words for errors."""

from __future__ import annotations

import errno
import getpass
import json
import os
import shutil
import socket
import ssl
import sys
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oasis_pipeline.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    pass

home_option = click.option(
    "--home",
    # whether it can be read shows later, with whose it is and what to do
    type=click.Path(path_type=Path, file_okay=False, readable=False),
    default=None,
    help="Home folder of the installation; overrides $OASIS_HOME.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def settings_of(home: Path | None, **overrides: Any) -> Settings:
    """Read the configuration and make its home known to everything that is started from here."""
    settings = load_settings(home, **overrides)
    os.environ["OASIS_HOME"] = str(settings.home)
    return settings


def require_writable(folder: Path) -> None:
    """Make a folder and try to write into it, so that work of minutes is not lost at its end.

    Raises
    ------
    OSError
        As the system says it; `explain` puts it into words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".oasis-{os.getpid()}"
    try:
        probe.write_bytes(b"\0" * 4096)
    finally:
        probe.unlink(missing_ok=True)


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
    if type(error).__module__.startswith("oasis_pipeline.") or isinstance(error, SettingsError):
        full = "No space left on device" in text and "free some space" not in text
        return f"{text}. A disk is full: free some space and try again, {_OTHER_FOLDER}" if full else text
    if isinstance(error, OSError):
        return _of_system(error)
    for kind in type(error).__mro__:
        beginning = _FROM_OUTSIDE.get(f"{kind.__module__}.{kind.__name__}")
        if beginning is not None:
            from oasis_pipeline.storage.errors import one_line

            return f"{beginning}: {one_line(text)}"
    frames = traceback.extract_tb(error.__traceback__)
    place = next(
        (f for f in reversed(frames) if "oasis_pipeline" in f.filename), frames[-1] if frames else None
    )
    where = f" at {Path(place.filename).name}:{place.lineno}" if place else ""
    return f"unexpected {type(error).__name__}{where}: {text} (an error in the program; set OASIS_TRACE=1 for the traceback)"


_FROM_OUTSIDE = {
    **dict.fromkeys(
        ("psycopg2.OperationalError", "psycopg2.InterfaceError", "sqlalchemy.exc.OperationalError", "sqlalchemy.exc.InterfaceError"),
        "PostgreSQL does not answer; check that it runs, then try again",
    ),
    **dict.fromkeys(
        ("botocore.exceptions.BotoCoreError", "botocore.exceptions.ClientError"),
        "the object store does not answer or refuses access; check OASIS_S3_BUCKET, OASIS_S3_ENDPOINT and the AWS credentials",
    ),
    "builtins.MemoryError": "out of memory; close other programs, or choose fewer days",
    "concurrent.futures.process.BrokenProcessPool": "a process was killed from outside, usually because memory ran out; close other programs",
}  # fmt: skip
"""What is no fault of the program, by the names of the errors' classes so that nothing has to be imported to know them."""

_LITTLE_BYTES = 16 << 20
_OTHER_FOLDER = "or choose another folder (--home, --out)"


def _of_system(error: OSError) -> str:
    """Say what the operating system refused, of what, and what to do."""
    number, path = error.errno, error.filename if error.filename is not None else error.filename2
    if number is None or isinstance(path, int):
        return " ".join(str(error).split()) or type(error).__name__
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk {f'of {path}' if path else _fullest()} is full: free some space and try again, {_OTHER_FOLDER}"
    if number == errno.EMFILE:
        return "too many files are open: raise the limit (ulimit -n 4096) and try again"
    if path is None:
        return f"{error.strerror or error}"
    where = os.fsdecode(path)
    if number == errno.EROFS:
        return f"can't write {where}: its disk is mounted read-only. Mount it for writing, {_OTHER_FOLDER}"
    if number in (errno.EACCES, errno.EPERM):
        return f"permission denied: {where}{_owner(where)}: run as its owner, change the owner (chown -R), {_OTHER_FOLDER}"
    if number in (errno.ENOTDIR, errno.EEXIST):
        return f"can't make a folder {where}: a file of that name exists. Move it away, {_OTHER_FOLDER}"
    if number == errno.ENAMETOOLONG:
        return f"the path {where[:60]}... is too long: choose a shorter one"
    return f"{where}: {error.strerror}"


def _fullest() -> str:
    """Of the folders that are written to one without space: a full disk does not say which one it is."""
    import tempfile

    folders = [Path(os.environ.get("OASIS_HOME") or ".oasis"), Path(tempfile.gettempdir()), Path.cwd()]
    full = [str(each) for each in folders if each.is_dir() and shutil.disk_usage(each).free < _LITTLE_BYTES]
    return f"of {full[0]}" if full else "that was written to"


def _owner(where: str) -> str:
    """Whose it is, for those who look at it as somebody else."""
    path = Path(where)
    for part in (path, *path.parents):
        try:
            owner = part.owner()
        except KeyError:
            owner = f"user {part.stat().st_uid}"
        except OSError:
            continue
        try:
            me = getpass.getuser()
        except (KeyError, OSError):
            me = f"user {os.geteuid()}"
        return f" as {me} ({part} belongs to {owner})"
    return ""


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
                f"can't listen on {host}:{port} ({error.strerror}); choose another port with {option}"
            ) from None


def reachable(host: str) -> str:
    """Address at which this machine reaches what listens on a host."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not listened on


def answers(url: str) -> bool:
    """Whether an http server answers at an address, whatever it says; its certificate may be anybody's."""
    try:
        urllib.request.urlopen(url, timeout=5, context=ssl._create_unverified_context()).close()  # noqa: S310, S323 - our own address; nothing is sent
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
