"""``oasis up``: the long-running platform on one machine.

Here: starting the parts, watching them, stopping all of them. Not here: what they do.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click

from oasis_pipeline.commands.common import answers, home_option, reachable, require_free_port, settings_of
from oasis_pipeline.service.dagster_pages import PAGES_TOKEN_VARIABLE
from oasis_pipeline.settings import Settings

_STOP_SECONDS = 20
# the only form without colours; and code servers, which are started anew each minute, warn each time that nobody asks them any more
_LOGS = ("--log-format", "json", "--code-server-log-level", "error")


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
    # a service manager says SIGTERM where a person says Ctrl-C; a shell that starts it in the background switches SIGINT off
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with only_one(settings.home):
        require_free_port(host, port)
        require_free_port(host, service_port, "--service-port")
        run_platform(settings, host, port, service_port)
    click.echo("stopped")


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def run_platform(settings: Settings, host: str, port: int, service_port: int) -> None:
    """Run database, web server, daemon and data service until Ctrl-C.

    Parameters
    ----------
    settings : Settings
        The installation.
    host : str
        Address to listen on.
    port, service_port : int
        Ports of the web pages and of the data service.
    """
    from oasis_pipeline.automation.instance import open_instance
    from oasis_pipeline.storage.postgres import using_warehouse

    os.environ[PAGES_TOKEN_VARIABLE] = secrets.token_urlsafe(32)
    with using_warehouse(settings, even_if_used=True) as warehouse:
        settings.drop.mkdir(parents=True, exist_ok=True)
        open_instance(settings, warehouse.address).dispose()
        with running_parts(settings, host, port, service_port) as parts:
            try:
                wait_for(parts, parts[0], f"http://{reachable(host)}:{port}/server_info")
                wait_for(parts, parts[2], f"http://{reachable(host)}:{service_port}/health")
                click.echo(f"web pages    http://{host}:{port}")
                click.echo(f"data service http://{host}:{service_port}")
                click.echo(f"database     {warehouse.address.public()}")
                click.echo(f"drop folder  {settings.drop}")
                click.echo(f"logs         {parts[0].log.parent}")
                click.echo("Ctrl-C stops all of it.")
                watch(parts, settings.first_day_file, f"http://{reachable(host)}:{port}/graphql")
            except KeyboardInterrupt:
                click.echo("stopping ...")


class UpError(RuntimeError):
    """The platform could not be started, or a part of it died; the message says which and where its log is."""


@dataclass(frozen=True)
class Part:
    """A process of the platform."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


def require_web_server() -> None:
    """Refuse to start without Dagster's web server, which is an extra."""
    if shutil.which("dagster-webserver", path=_path()) is None:
        raise UpError("the web server is not installed: pip install 'oasis-pipeline[serve]'")


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Refuse to start where the platform runs already: two daemons would start every run twice."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "up.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UpError(
                f"the platform of {home} runs already: stop it, or say --home with another folder"
            ) from None
        yield


@contextmanager
def running_parts(settings: Settings, host: str, port: int, service_port: int) -> Iterator[list[Part]]:
    """Run web server, daemon and data service for the length of a block, each in a process group of its own.

    Parameters
    ----------
    settings : Settings
        The installation; logs go below its home folder.
    host : str
        Address to listen on.
    port, service_port : int
        Ports of the web pages and of the data service.

    Yields
    ------
    list of Part
        Stopped, with all that they started, at the end of the block.
    """
    module = ["-w", str(settings.dagster_home / "workspace.yaml")]
    commands = {
        "web server": [
            *(sys.executable, "-m", "oasis_pipeline.service.dagster_pages"),
            *("-h", host, "-p", str(port), *_LOGS, *module),
        ],
        "daemon": ["dagster-daemon", "run", *_LOGS, *module],
        "data service": [
            *(sys.executable, "-m", "oasis_pipeline.commands.main", "serve", "--home", str(settings.home)),
            *("--host", host, "--port", str(service_port)),
        ],
    }
    # not below Dagster's own folder: it clears "logs" there, which belongs to its telemetry
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PATH": _path()}
    parts: list[Part] = []
    try:
        for name, command in commands.items():
            log = logs / f"{name.replace(' ', '_')}.log"
            with log.open("ab") as out:
                process = subprocess.Popen(
                    command,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env=environment,
                    start_new_session=True,
                )
            parts.append(Part(name, process, log))
        yield parts
    finally:
        # Ctrl-C pressed again must not leave processes behind
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stop(parts)


def wait_for(parts: list[Part], part: Part, url: str, seconds: float = 120) -> None:
    """Wait until a part answers; an end of any part ends the wait."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _require_alive(parts)
        if answers(url):
            return
        time.sleep(0.2)
    raise UpError(f"the {part.name} did not answer within {seconds:.0f} s; its log is {part.log}")


def watch(parts: list[Part], first_day_file: Path, graphql: str) -> None:
    """Stay until a part ends, which is an error, or until Ctrl-C.

    When intake sees an earlier first day, the web server is asked to load the graph again: its calendar of days is made when
    it is loaded, and on a fresh installation that is before any data has come. (The daemon loads it again by itself.)
    """
    seen = _content(first_day_file)
    while True:
        _require_alive(parts)
        time.sleep(0.5)
        now = _content(first_day_file)
        if now != seen:
            seen = now
            with suppress(OSError):
                query = json.dumps({"query": "mutation { reloadWorkspace { __typename } }"}).encode()
                own = {"Authorization": f"Bearer {os.environ.get(PAGES_TOKEN_VARIABLE, '')}"}
                request = urllib.request.Request(graphql, query, {"Content-Type": "application/json", **own})  # noqa: S310
                urllib.request.urlopen(request, timeout=120).close()  # noqa: S310


def _content(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def stop(parts: list[Part]) -> None:
    """Stop every part and what it started: politely first, then without asking."""
    for part in parts:
        _signal(part, signal.SIGTERM)
    end = time.monotonic() + _STOP_SECONDS
    for part in parts:
        with suppress(subprocess.TimeoutExpired):
            part.process.wait(max(end - time.monotonic(), 0.1))
        _signal(part, signal.SIGKILL)
        part.process.wait()


def _signal(part: Part, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(part.process.pid, number)


def _require_alive(parts: list[Part]) -> None:
    for part in parts:
        if part.process.poll() is not None:
            raise UpError(
                f"the {part.name} ended with status {part.process.returncode}; its log is {part.log}"
            )


def _path() -> str:
    """Search path with the programs of this Python first, whether or not its environment is activated."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
