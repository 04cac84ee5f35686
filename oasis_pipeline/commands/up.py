"""``oasis up``: the long-running platform on one machine.

Here: which parts it has, and what it says. Not here: how they are kept running (``supervision``), and what they do.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from oasis_pipeline.commands.common import home_option, reachable, require_free_port, settings_of
from oasis_pipeline.commands.supervision import (
    Part,
    Supervisor,
    UpError,
    catch_signals,
    guarded,
    only_one,
)
from oasis_pipeline.service.dagster_pages import PAGES_TOKEN_VARIABLE
from oasis_pipeline.settings import Settings

_LOGS = ("--log-format", "json")
"""The only form without colours."""

_LOOK_S, _LONGEST_LOOK_S = 15.0, 600.0
"""Between two looks at the graph; longer each time while it can't be loaded."""

_ENTRIES = (
    "{ ... on Workspace { locationEntries { locationOrLoadError { ... on PythonError { message } } } } }"
)
_ERRORS = f"{{ workspaceOrError {_ENTRIES} }}"
_RELOAD = f"mutation {{ reloadWorkspace {_ENTRIES} }}"


@click.command()
@home_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port of the web pages."
)
@click.option(
    "--service-port",
    type=click.IntRange(1, 65535),
    default=8000,
    show_default=True,
    help="Port of the data service.",
)
def up(home: Path | None, host: str, port: int, service_port: int) -> None:
    """Run the platform: database, Dagster's web pages, daemon with schedules and sensors, data service. Ctrl-C stops it."""
    settings = settings_of(home)
    require_web_server()
    catch_signals()
    with only_one(settings.home):
        require_free_port(host, port)
        require_free_port(host, service_port, "--service-port")
        run_platform(settings, host, port, service_port)
    click.echo("stopped")


def run_platform(settings: Settings, host: str, port: int, service_port: int) -> None:
    """Run database, code server, web server, daemon and data service until Ctrl-C.

    Parameters
    ----------
    settings : Settings
        The installation.
    host : str
        Address to listen on.
    port, service_port : int
        Ports of the web pages and of the data service.
    """
    from oasis_pipeline.automation.instance import end_runs_of_killed_passes, open_instance
    from oasis_pipeline.automation.passes import one_pass_at_a_time
    from oasis_pipeline.storage.installation import reader_address, using_warehouse

    os.environ[PAGES_TOKEN_VARIABLE] = secrets.token_urlsafe(32)
    os.environ.setdefault("OASIS_PAGES_URL", settings.pages_url or f"http://{reachable(host)}:{service_port}")
    # not below Dagster's own folder: it clears "logs" there, which belongs to its telemetry
    logs = settings.home / "logs"
    logs.mkdir(exist_ok=True)
    with (
        guarded(settings.home),
        using_warehouse(settings, even_if_used=True) as warehouse,
        _socket_folder() as sockets,
    ):
        settings.drop.mkdir(parents=True, exist_ok=True)
        with (
            open_instance(settings, warehouse.address) as instance,
            one_pass_at_a_time(warehouse.address, wait=False) as alone,
        ):
            if alone:
                end_runs_of_killed_passes(instance)
        parts = platform_parts(settings, host, port, service_port, sockets / "code")
        supervisor = Supervisor(settings, parts, {"PATH": _path()})
        try:
            supervisor.start()
            supervisor.wait_for("web server", f"http://{reachable(host)}:{port}/server_info")
            supervisor.wait_for("data service", f"http://{reachable(host)}:{service_port}/health")
            click.echo(f"web pages    http://{host}:{port}")
            click.echo(f"data service http://{host}:{service_port}")
            click.echo(f"database     {warehouse.address.public()}")
            if (reader := reader_address(settings)) is not None:
                click.echo(f"to read it   {reader.public()}, password in {settings.reader_password_file}")
            click.echo(f"drop folder  {settings.drop}")
            click.echo(f"logs         {logs}")
            click.echo("Ctrl-C stops all of it.")
            address = f"http://{reachable(host)}:{port}/graphql"
            supervisor.watch(LoadedGraph(settings.first_day_file, address, supervisor.say).look)
        except KeyboardInterrupt:
            click.echo("stopping ...")
        finally:
            supervisor.stop()


def platform_parts(settings: Settings, host: str, port: int, service_port: int, socket: Path) -> list[Part]:
    """The processes of the platform, in the order in which they are started.

    Parameters
    ----------
    settings : Settings
        The installation; logs go below its home folder.
    host : str
        Address to listen on.
    port, service_port : int
        Ports of the web pages and of the data service.
    socket : Path
        Where the code server listens, which the web server and the daemon share.

    Returns
    -------
    list of Part
    """
    from oasis_pipeline.automation.instance import served_workspace

    workspace = ["-w", str(served_workspace(settings.dagster_home, socket))]
    commands = {
        "data service": [
            *(sys.executable, "-m", "oasis_pipeline.commands.main", "serve", "--home", str(settings.home)),
            *("--host", host, "--port", str(service_port)),
        ],
        "code server": [
            *("dagster", "code-server", "start", "--socket", str(socket), *_LOGS),
            *("--module-name", "oasis_pipeline.definitions", "--location-name", "oasis_pipeline"),
        ],
        "web server": [
            *(sys.executable, "-m", "oasis_pipeline.service.dagster_pages"),
            *("-h", host, "-p", str(port), *_LOGS, *workspace),
        ],
        "daemon": ["dagster-daemon", "run", *_LOGS, *workspace],
    }
    logs = settings.home / "logs"
    parts = {
        name: Part(name, command, logs / f"{name.replace(' ', '_')}.log")
        for name, command in commands.items()
    }
    parts["code server"].has_child = True
    parts["code server"].socket = socket
    return list(parts.values())


@contextmanager
def _socket_folder() -> Iterator[Path]:
    """A folder of this process for sockets, whose paths have to be short."""
    short = None if len(tempfile.gettempdir()) < 60 else "/tmp"  # noqa: S108 - the folder in it is private
    with tempfile.TemporaryDirectory(prefix="oasis-", dir=short, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def require_web_server() -> None:
    """Refuse to start without Dagster's web server, which is an extra."""
    if shutil.which("dagster-webserver", path=_path()) is None:
        raise UpError("the web server is not installed: pip install 'oasis-pipeline[serve]'")


class LoadedGraph:
    """Keeps the graph that the code server holds in step with the home folder.

    The calendar of days is made when the graph is loaded, and on a fresh installation that is before any data has come. A graph that could
    not be loaded has no sensors, and nothing would ever run again: it is loaded again until it can be.

    Parameters
    ----------
    first_day_file : Path
        Where intake notes the first day.
    graphql : str
        Address of the web server, which has the code server load the graph; the daemon sees that by itself.
    say : callable
        Takes what a person should know.
    """

    def __init__(self, first_day_file: Path, graphql: str, say: Callable[[str], None]) -> None:
        self._first_day_file = first_day_file
        self._graphql = graphql
        self._say = say
        self._seen = _content(first_day_file)
        self._due = False
        self._failures = 0
        self._next_s = time.monotonic() + _LOOK_S

    def look(self) -> None:
        """Load the graph again if the first day has moved, or if it could not be loaded."""
        days = _content(self._first_day_file)
        if days == self._seen and time.monotonic() < self._next_s:
            return
        self._due |= days != self._seen
        self._seen = days
        with suppress(OSError, ValueError, KeyError, TypeError):  # no answer now: asked again
            wrong = self._ask(_RELOAD if self._due else _ERRORS)
            self._due = bool(wrong)
            self._failures = self._failures + 1 if wrong else 0
            if wrong:
                self._say(f"the graph could not be loaded and will be loaded again: {wrong}")
        self._next_s = time.monotonic() + min(_LOOK_S * 2**self._failures, _LONGEST_LOOK_S)

    def _ask(self, query: str) -> str:
        """Why the graph could not be loaded; empty if it was."""
        own = {"Authorization": f"Bearer {os.environ.get(PAGES_TOKEN_VARIABLE, '')}"}
        headers = {"Content-Type": "application/json", **own}
        request = urllib.request.Request(self._graphql, json.dumps({"query": query}).encode(), headers)  # noqa: S310 - our own address
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - as above
            (found,) = json.load(answer)["data"].values()
        errors = [entry["locationOrLoadError"].get("message") for entry in found["locationEntries"]]
        return " ".join(str(next(filter(None, errors), "")).split())


def _content(first_day_file: Path) -> str:
    """Both first days, as they are noted."""
    found = []
    for note in (first_day_file, first_day_file.with_name("first_reading_day")):
        with suppress(OSError):
            found.append(note.read_text())
    return " ".join(found)


def _path() -> str:
    """Search path with the programs of this Python first, whether or not its environment is activated."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
