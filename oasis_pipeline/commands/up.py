"""``oasis up``: the long-running platform on one machine.

Here: starting the parts, watching them, stopping all of them. Not here: what they do.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click

from oasis_pipeline.commands.common import home_option, settings_of
from oasis_pipeline.settings import Settings

_STOP_SECONDS = 20


@click.command()
@home_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port of the web pages."
)
def up(home: Path | None, host: str, port: int) -> None:
    """Run the platform: database, Dagster's web pages, and the daemon with schedules and sensors. Ctrl-C stops it."""
    settings = settings_of(home)
    require_web_server()
    # a service manager says SIGTERM where a person says Ctrl-C; a shell that starts it in the background switches SIGINT off
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with only_one(settings.home):
        require_free_port(host, port)
        run_platform(settings, host, port)
    click.echo("stopped")


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def run_platform(settings: Settings, host: str, port: int) -> None:
    """Run database, web server and daemon until Ctrl-C.

    Parameters
    ----------
    settings : Settings
        The installation.
    host : str
        Address to listen on.
    port : int
        Port of the web pages.
    """
    from oasis_pipeline.automation.instance import open_instance
    from oasis_pipeline.storage.postgres import using_warehouse

    with using_warehouse(settings, even_if_used=True) as warehouse:
        settings.drop.mkdir(parents=True, exist_ok=True)
        open_instance(settings, warehouse.address).dispose()
        with running_parts(settings, host, port) as parts:
            try:
                wait_for(parts, host, port)
                click.echo(f"web pages   http://{host}:{port}")
                click.echo(f"database    {warehouse.address.public()}")
                click.echo(f"drop folder {settings.drop}")
                click.echo(f"logs        {parts[0].log.parent}")
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


def require_free_port(host: str, port: int) -> None:
    """Refuse to start on a port that something else listens on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UpError(
                f"can't listen on {host}:{port} ({error.strerror}): say --port with another number"
            ) from None


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
def running_parts(settings: Settings, host: str, port: int) -> Iterator[list[Part]]:
    """Run the web server and the daemon for the length of a block, each in a process group of its own.

    Parameters
    ----------
    settings : Settings
        The installation; logs go below its home folder.
    host : str
        Address to listen on.
    port : int
        Port of the web pages.

    Yields
    ------
    list of Part
        Stopped, with all that they started, at the end of the block.
    """
    module = ["-w", str(settings.dagster_home / "workspace.yaml")]
    commands = {
        "web server": ["dagster-webserver", "-h", host, "-p", str(port), *module],
        "daemon": ["dagster-daemon", "run", *module],
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


def wait_for(parts: list[Part], host: str, port: int, seconds: float = 120) -> None:
    """Wait until the web pages answer."""
    where = reachable(host)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _require_alive(parts)
        try:
            with socket.create_connection((where, port), timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    raise UpError(f"the web server did not answer within {seconds:.0f} s; its log is {parts[0].log}")


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
                request = urllib.request.Request(graphql, query, {"Content-Type": "application/json"})  # noqa: S310
                urllib.request.urlopen(request, timeout=120).close()  # noqa: S310


def _content(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def reachable(host: str) -> str:
    """Address at which this machine reaches what listens on a host."""
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104


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
