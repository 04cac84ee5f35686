"""``oasis up`` as a person or a service manager runs it: a process of its own on a fresh home, stopped by a signal."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from oasis_pipeline.storage import embedded
from oasis_pipeline_tests.fixtures.platform import SECONDS, Up, command, environment, free_port

pytestmark = pytest.mark.server


@pytest.fixture
def port() -> int:
    return free_port()


def runs(process: psutil.Process, program: str) -> bool:
    """Whether a process is that program, started by its script."""
    try:
        return any(Path(word).name == program for word in process.cmdline()[:2])
    except psutil.Error:
        return False


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
    assert len(everything) >= 5, "web server, daemon, data service and database below the command"
    up.process.send_signal(by)
    assert up.process.wait(60) == 0, up.said()
    _, left = psutil.wait_procs(everything, timeout=5)
    assert [process.cmdline() for process in left] == []
    assert embedded.running(up.home / "postgres") is None
    assert up.said().endswith("stopping ...\nstopped\n")


def test_pages_answer_a_second_one_is_refused_and_ctrl_c_stops_all(
    started: Callable[[int], Up], port: int
) -> None:
    up = started(port)
    up.wait_for("Ctrl-C stops all of it.")

    query = {
        "query": "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } assetGroups { groupName } } } } }"
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", json.dumps(query).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        (node,) = json.load(answer)["data"]["repositoriesOrError"]["nodes"]
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
    logs = b"".join((up.home / "logs" / f"{name}.log").read_bytes() for name in ("daemon", "web_server"))
    assert b"SensorDaemon" in logs
    assert b"\x1b[" not in logs, "no colours in a file"

    # the same port, and another port on the same home: two daemons would start every run twice
    assert f"127.0.0.1:{port}" in refused(
        "up", "--home", str(up.home.with_name("other")), "--port", str(port)
    )
    assert "runs already" in refused("up", "--home", str(up.home), "--port", "65000")
    assert up.process.poll() is None

    assert_stopped(up, signal.SIGINT)


def test_sigterm_during_the_start_stops_all_and_a_part_that_dies_ends_the_next_one(
    started: Callable[[int], Up], port: int
) -> None:
    up = started(port)
    # while the parts are coming up, when a service manager changes its mind
    end = time.monotonic() + SECONDS
    while len(up.tree()) < 4 or not any(runs(process, "dagster-daemon") for process in up.tree()):
        assert time.monotonic() < end, up.said()
        assert up.process.poll() is None, up.said()
        time.sleep(0.1)
    assert_stopped(up, signal.SIGTERM)

    up = started(port)
    up.wait_for("Ctrl-C stops all of it.")
    everything = up.everything()
    (daemon,) = [process for process in everything if runs(process, "dagster-daemon")]
    daemon.kill()
    assert up.process.wait(60) == 1
    last = up.said().splitlines()[-1]
    assert last.startswith("oasis: the daemon ended with status -9; its log is ")
    assert Path(last.rsplit(" ", 1)[1]).exists()
    _, left = psutil.wait_procs(everything, timeout=5)
    assert left == []
