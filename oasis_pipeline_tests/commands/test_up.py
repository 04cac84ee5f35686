"""``oasis up`` as a person or a service manager runs it: a process of its own on a fresh home, stopped by a signal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from oasis_pipeline.home import is_over
from oasis_pipeline.storage import embedded
from oasis_pipeline_tests.fixtures.platform import SECONDS, Up, command, command_line, environment, free_port

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]


@pytest.fixture
def port() -> int:
    return free_port()


def runs(process: psutil.Process, program: str) -> bool:
    """Whether a process is that program, started by its script."""
    return any(Path(word).name == program for word in command_line(process)[:2])


def refused(*arguments: str) -> str:
    """Run a command that has to fail, and give the one line that it says."""
    done = subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture
def started(server_folder: Path) -> Iterator[Callable[[int], Up]]:
    """Function that starts the platform on the test's home; whatever is left at the end is killed."""
    running: list[Up] = []

    def start(port: int) -> Up:
        running.append(Up(server_folder / "home", port))
        return running[-1]

    yield start
    for up in running:
        up.kill()


def assert_stopped(up: Up, by: signal.Signals) -> None:
    everything = up.everything()
    assert len(everything) >= 5, (
        "code server, web server, daemon, data service and database below the command"
    )
    up.process.send_signal(by)
    assert up.process.wait(90) == 0, up.said()
    assert_ended(up, everything)
    assert up.said().endswith("stopping ...\nstopped\n")


def assert_ended(up: Up, everything: list[psutil.Process]) -> None:
    _, left = psutil.wait_procs(everything, timeout=60)
    assert [command_line(process) for process in left if not is_over(process)] == []
    assert embedded.running(up.home / "postgres") is None


def down(up: Up) -> str:
    done = subprocess.run(
        command("down", "--home", str(up.home)),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    return done.stdout


def wait(up: Up, what: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < end, up.said()
        assert up.process.poll() is None, up.said()
        time.sleep(0.1)


def noted(up: Up) -> bool:
    """Note a first day in the home folder, as intake does."""
    (up.home / "first_day").write_text("2026-01-05")
    return True


def is_ready(up: Up) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{up.service_port}/ready", timeout=10).close()
    except OSError:
        return False
    return True


def ask(port: int, query: str) -> Any:
    """What Dagster's pages answer to a query."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": query}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


def test_pages_answer_a_second_one_is_refused_and_down_ends_all(
    started: Callable[[int], Up], port: int
) -> None:
    up = started(port)
    up.wait_for("Ctrl-C stops all of it.")

    query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } assetGroups { groupName } } } } }"
    (node,) = ask(port, query)["repositoriesOrError"]["nodes"]
    assert {"xspoc", "clean", "models"} <= {group["groupName"] for group in node["assetGroups"]}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:
        assert ">Dagster</title>" in page.read().decode()
    assert re.search(rf"^web pages +http://127\.0\.0\.1:{port}$", up.said(), re.MULTILINE)
    assert (up.home / "drop").is_dir()
    service = f"http://127.0.0.1:{up.service_port}"
    assert re.search(rf"^data service +{service}$", up.said(), re.MULTILINE)
    with urllib.request.urlopen(f"{service}/ready", timeout=60) as page:
        assert json.load(page) == {"status": "ready"}
    assert (up.home / "secret_key").stat().st_mode & 0o777 == 0o600

    # through the door: not under another name, not for another page, and web sockets as they are
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=60)
    assert refusal.value.code == 400
    socket = f"ws://127.0.0.1:{port}/graphql"
    with connect(socket, origin=f"http://127.0.0.1:{port}", subprotocols=["graphql-ws"]) as line:  # type: ignore[list-item, arg-type]
        line.send('{"type": "connection_init"}')
        assert json.loads(line.recv(timeout=60)) == {"type": "connection_ack"}
    with pytest.raises(InvalidStatus):
        connect(socket, origin="http://evil.example", subprotocols=["graphql-ws"])  # type: ignore[list-item, arg-type]
    # the same port, and another port on the same home: two daemons would start every run twice
    assert f"127.0.0.1:{port}" in refused(
        "up", "--home", str(up.home.with_name("other")), "--port", str(port)
    )
    assert "is already running" in refused("up", "--home", str(up.home), "--port", "65000")
    assert up.process.poll() is None

    everything = up.everything()
    assert down(up) == f"ended the oasis up (process {up.process.pid})\n"
    assert up.process.wait(60) == 0, up.said()
    assert_ended(up, everything)
    assert down(up) == f"nothing is running for {up.home}\n"


@pytest.mark.slow
def test_what_dies_is_started_again_and_a_graph_that_cannot_be_loaded_is_loaded_again(
    started: Callable[[int], Up], port: int
) -> None:
    up = started(port)
    up.wait_for("Ctrl-C stops all of it.")

    # what dies is started again, the database too
    (daemon,) = [process for process in up.everything() if runs(process, "dagster-daemon")]
    daemon.kill()
    up.wait_for("the daemon ended with status -9 and is started again")
    os.kill(int((up.home / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    up.wait_for("the database had died and was started again")
    wait(up, lambda: is_ready(up))
    wait(up, lambda: any(runs(process, "dagster-daemon") for process in up.tree()))
    log = up.home / "logs" / "daemon.log"
    wait(up, lambda: b"SensorDaemon" in log.read_bytes())
    logs = log.read_bytes() + (up.home / "logs" / "web_server.log").read_bytes()
    assert b"\x1b[" not in logs, "no colours in a file"
    told = subprocess.run(
        command("status", "--home", str(up.home)),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    ).stdout
    assert re.search(r"daemon: process \d+, restarts 1, started again at ", told), told
    assert re.search(r"database: process \d+, restarts 1", told), told

    # a graph that can't be loaded has no sensors: it is loaded again, not left so
    (manifest,) = (up.home / "dbt").glob("*/manifest.json")
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[: len(whole) // 2])
    # a sensor takes the note away again, for there are no cards
    wait(up, lambda: noted(up) and "the graph could not be loaded" in up.said())
    manifest.write_bytes(whole)
    days = '{ assetNodeOrError(assetKey: {path: ["clean", "dynabounds"]}) { ... on AssetNode { partitionKeys } } }'
    wait(up, lambda: ask(port, days)["assetNodeOrError"].get("partitionKeys"))


@pytest.mark.slow
def test_sigterm_during_the_start_stops_all_and_so_does_ctrl_c_later(
    started: Callable[[int], Up], port: int
) -> None:
    up = started(port)
    # while the parts are coming up, when a service manager changes its mind
    wait(up, lambda: any(runs(process, "dagster-daemon") for process in up.tree()))
    assert_stopped(up, signal.SIGTERM)
    up = started(port)
    up.wait_for("Ctrl-C stops all of it.")
    assert_stopped(up, signal.SIGINT)


@pytest.mark.slow
def test_nothing_outlives_a_killed_one_and_the_next_one_ends_what_does(
    started: Callable[[int], Up], port: int
) -> None:
    up = started(port)
    wait(up, lambda: any(runs(process, "dagster-daemon") for process in up.tree()))
    everything = up.everything()
    (guard,) = [process for process in everything if "--left-behind" in command_line(process)]
    # killed with what would clear away after it: then its parts do live on
    guard.kill()
    up.process.kill()
    up.process.wait()
    parts = [process for process in everything if process.is_running() and runs(process, "dagster-daemon")]
    assert parts

    again = started(port)
    again.wait_for("ended the daemon (process ")
    _, left = psutil.wait_procs(parts, timeout=30)
    assert left == []
    wait(again, lambda: any(runs(process, "dagster-daemon") for process in again.tree()))
    everything = again.everything()
    again.process.kill()
    again.process.wait()
    assert_ended(again, everything)
