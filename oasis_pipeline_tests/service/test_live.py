"""The service as processes: the client, the commands of the documentation, and what is left after a kill."""

from __future__ import annotations

import base64
import http.client
import json
import random
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from oasis_pipeline.client import Client, ClientError, Posted
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.fixtures.platform import command_line
from oasis_pipeline_tests.fixtures.service import Served
from oasis_pipeline_tests.service.conftest import PASSWORD

pytestmark = pytest.mark.server

DOCS = Path(__file__).resolve().parents[2] / "docs" / "data-service.md"
MODULE = "34.B2.9F.A9"


@pytest.fixture(scope="module")
def served(
    new_warehouse: Callable[[], Warehouse], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, Warehouse]]:
    house = new_warehouse()
    home = tmp_path_factory.mktemp("live") / "home"
    server = Served(home, house.address)
    try:
        server.wait()
        server.superuser("boss", PASSWORD)
        yield server, house
    finally:
        server.kill()


def new_token(house: Warehouse, module: str, number: int = 7) -> str:
    """A token of a module, as the administration site makes it."""
    import hashlib

    key, secret = f"{number:016x}", f"secret-of-a-test-{number}"
    with house.transaction() as tx:
        tx.execute(
            "INSERT INTO django.service_token (name, module_num, requests_per_minute, revoked, key, digest, created_at, created_by)"
            " VALUES ('test', $1, 100000, false, $2, $3, now(), '')",
            (module, key, hashlib.sha256(secret.encode()).hexdigest()),
        )
    return f"oasis-{key}-{secret}"


def test_the_commands_of_the_documentation(served: tuple[Served, Warehouse]) -> None:
    server, house = served
    text = DOCS.read_text()
    variables = {"URL": server.url, "ADMIN": f"boss:{PASSWORD}"}
    shell = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(shell) >= 4
    commands = [command for block in shell for command in re.split(r"\n(?=curl )", block.strip())]
    labels = []
    for i, command in enumerate(commands):
        if i == 1:
            # the first one makes the module that the token is of
            variables["TOKEN"] = new_token(house, MODULE)
        done = subprocess.run(
            ["bash", "-euc", command],
            env={**server.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        if "/api/dynalabel/" in command:
            labels.append(json.loads(done.stdout))
    assert [label["LabeledBy"] for label in labels] == ["boss"]
    (python,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {
        "URL": server.url,
        "TOKEN": variables["TOKEN"],
        "USERNAME": "boss",
        "PASSWORD": PASSWORD,
    }
    exec(python, names)
    assert len(names["labels"]) == 1


def test_frames_go_in_and_come_out_as_they_were(served: tuple[Served, Warehouse]) -> None:
    server, _ = served
    times = pd.date_range("2024-02-28", periods=3000, freq="2min", tz="UTC")
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "module_num": "F.1",
            "timestamp": times,
            "temperature": np.where(np.arange(3000) % 7, 20.0, np.nan),
            "V": rng.normal(size=3000),
            "odd name": np.where(np.arange(3000) % 3, np.nan, 5.0),
        }
    )
    with Client(server.url, username="boss", password=PASSWORD) as client:
        assert "F.1" not in repr(client)
        client.post_modules(pd.DataFrame({"module_num": ["F.1"], "asset": [None]}))
        assert client.post_readings(frame, chunk=700) == Posted(3000, 3000, [])
        assert client.post_readings(frame, chunk=2000) == Posted(3000, 0, [])
        changed = frame.iloc[1500:1503].assign(V=0.0)
        assert client.post_readings(changed) == Posted(3, 0, [0, 1, 2])
        back = client.readings(module="F.1", order_by="timestamp")
        pd.testing.assert_frame_equal(
            back[list(frame.columns)],
            frame,
            check_dtype=False,
            check_index_type=False,
        )
        assert client.readings(module="F.1", wide=False, limit=2)["measures"][1] == {"V": frame["V"][1]}
        assert len(client.rows("rawdata", module="F.1", timestamp__range=(times[10], times[19]))) == 10
        assert [b.num_rows for b in client.batches("rawdata", module="nobody")] == [0]
        windows = client.databatch("F.1", window_size=1000)
        np.testing.assert_allclose(windows["V mean"], frame["V"].to_numpy().reshape(3, 1000).mean(axis=1))
        assert windows["starting_timestamp"][0] == times[0]
        with pytest.raises(ClientError, match="1 bad item") as refused:
            client.post_readings(
                [*({"module": "F.1"} for _ in range(5)), {"module": "F.1", "voltage": "x"}], chunk=3
            )
        assert refused.value.status == 400
        assert refused.value.errors == [{"index": 5, "field": "voltage", "reason": "is not a valid number"}]
        assert client.delete("rawdata", module="F.1") == 3003
        assert (
            client.label([{"NodeID": "W", "Date": "2024-01-01", "TrueLabel1": "Full Pump"}])[0]["LabeledBy"]
            == "boss"
        )
    with (
        Client(server.url, token="oasis-x", retries=0) as stranger,
        pytest.raises(ClientError, match="log in"),
    ):
        stranger.modules()
    with (
        Client("http://127.0.0.1:9", token="x", retries=1) as nobody,
        pytest.raises(ClientError, match="not answer"),
    ):
        nobody.modules()


@pytest.mark.parametrize(
    "body", [b"zz\r\n{}\r\n0\r\n\r\n", b"-1\r\n{}\r\n0\r\n\r\n", b"2\r\n{}abc\r\n0\r\n\r\n"]
)
def test_chunks_that_cannot_be_read_are_a_400(served: tuple[Served, Warehouse], body: bytes) -> None:
    server, _ = served
    auth = base64.b64encode(f"boss:{PASSWORD}".encode()).decode()
    head = (
        f"POST /api/module/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {auth}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    logged = server.log.read_text().count('"status":400')
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as line:
        line.sendall(head.encode() + body)
        got = b"".join(iter(lambda: line.recv(4096), b"")).decode()
    assert got.startswith("HTTP/1.1 400 ")
    assert "chunks" in json.loads(got.split("\r\n\r\n", 1)[1])["reason"]
    assert server.log.read_text().count('"status":400') == logged + 1


@pytest.mark.slow
def test_a_long_answer_is_a_stream_that_memory_does_not_feel(served: tuple[Served, Warehouse]) -> None:
    server, house = served
    rows = 1_000_000
    with house.transaction() as tx:
        tx.execute("INSERT INTO iot.module VALUES ('big') ON CONFLICT DO NOTHING")
        from oasis_pipeline.schema import table
        from oasis_pipeline.storage.partitions import ensure_days

        ensure_days(tx, table("iot", "rawdata"), [datetime(2023, 1, d).date() for d in range(1, 13)])
        tx.execute(
            "INSERT INTO iot.rawdata (module_num, timestamp, measures, received_at, received_row)"
            " SELECT 'big', '2023-01-01Z'::timestamptz + i * interval '1 s', jsonb_build_object('V', i, 'text', repeat('9', 100)::numeric), now(), i"
            f" FROM generate_series(0, {rows - 1}) AS i"
        )
    workers = psutil.Process(server.process.pid).children(recursive=True)

    def resident() -> float:
        return max(p.memory_info().rss for p in workers if p.is_running()) / 2**20

    auth = "Basic " + base64.b64encode(f"boss:{PASSWORD}".encode()).decode()
    before, peak, size = resident(), 0.0, 0
    import urllib.request

    request = urllib.request.Request(f"{server.url}/api/rawdata/?module=big", headers={"Authorization": auth})
    with urllib.request.urlopen(request, timeout=120) as answer:
        while piece := answer.read(1 << 20):
            size += len(piece)
            peak = max(peak, resident())
    assert size > 180 * 2**20
    assert peak - before < 90, "MB; the whole answer is longer"


def test_stopping_is_clean(served: tuple[Served, Warehouse]) -> None:
    """Stays last in this module: the server is gone afterwards."""
    server, _ = served
    everything = [
        psutil.Process(server.process.pid),
        *psutil.Process(server.process.pid).children(recursive=True),
    ]
    assert len(everything) >= 2
    assert server.stop() == 0
    assert psutil.wait_procs(everything, timeout=10)[1] == []
    log = server.log.read_text()
    assert "Traceback" not in log
    assert PASSWORD not in log
    assert "secret-of-a-test" not in log


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_and_nothing_doubled_when_the_server_is_killed(
    new_warehouse: Callable[[], Warehouse], tmp_path: Path
) -> None:
    house = new_warehouse()
    server = Served(tmp_path / "home", house.address)
    chunks, size, clients = 40, 250, 4
    posted: dict[str, Posted] = {}
    faults: list[BaseException] = []
    try:
        server.wait()
        tokens = {}
        for i in range(clients):
            name = f"K.{i}"
            with house.transaction() as tx:
                tx.execute("INSERT INTO iot.module VALUES ($1)", (name,))
            tokens[name] = new_token(house, name, 100 + i)
        start = datetime(2024, 1, 1, 23, 0, tzinfo=UTC)

        def gateway(name: str) -> None:
            items = [
                {
                    "module": name,
                    "timestamp": (start + timedelta(seconds=k)).isoformat(),
                    "measures": {"V": float(k)},
                }
                for k in range(chunks * size)
            ]
            try:
                with Client(server.url, token=tokens[name], retries=60) as client:
                    posted[name] = client.post_readings(items, chunk=size)
            except BaseException as error:
                faults.append(error)

        threads = [threading.Thread(target=gateway, args=(name,)) for name in tokens]
        for thread in threads:
            thread.start()
        for _ in range(3):
            count = int(house.query("SELECT count(*) AS n FROM iot.rawdata")["n"][0].as_py())
            target = min(count + 5 * size, chunks * size * clients - 2 * size)
            end = time.monotonic() + 120
            while house.query("SELECT count(*) AS n FROM iot.rawdata")["n"][0].as_py() < target:
                assert time.monotonic() < end
                time.sleep(0.02)
            server.kill()
            server.start()
            server.wait()
        for thread in threads:
            thread.join(300)
        assert not faults
        assert {p.received for p in posted.values()} == {chunks * size}
        assert all(p.conflicts == [] for p in posted.values())
        found = house.query(
            "SELECT module_num, count(*) AS n, count(DISTINCT timestamp) AS d, sum((measures ->> 'V')::float8) AS total"
            " FROM iot.rawdata GROUP BY module_num ORDER BY 1"
        ).to_pylist()
        total = float(np.arange(chunks * size).sum())
        assert found == [
            {"module_num": name, "n": chunks * size, "d": chunks * size, "total": total}
            for name in sorted(tokens)
        ]
        rows = house.query("SELECT sum(rows)::bigint AS n FROM oasis.asset_state WHERE asset = 'iot/rawdata'")
        assert rows["n"][0].as_py() == chunks * size * clients, "the marks went with their rows"
    finally:
        server.kill()


class Sender:
    """A gateway that sends each request once and notes what it was told: acknowledged, refused, or nothing."""

    def __init__(self, port: int, module: str, token: str, seed: int) -> None:
        self.port, self.module, self.rng = port, module, random.Random(seed)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.told: dict[str, list[list[int]]] = {"acknowledged": [], "refused": [], "unknown": []}
        self.conflicts = 0
        self.next = 0

    def send(self) -> None:
        count = self.rng.choice((1, 1, 1, 1, 5, 400))
        numbers = list(range(self.next, self.next + count))
        self.next += count
        bad = self.rng.random() < 0.1
        items = [
            {
                "module": "nobody" if bad and number == numbers[-1] else self.module,
                "timestamp": f"2024-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
                "measures": {"V": number},
            }
            for number in numbers
        ]
        outcome = "unknown"
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            try:
                connection.request("POST", "/api/rawdata/", json.dumps(items), self.headers)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                self.told[outcome].append(numbers)
                return
        if answer.status == 200:
            outcome = "acknowledged"
            self.conflicts += body.count(b"conflict")
        elif answer.status in (400, 403):
            outcome = "refused"
        else:
            assert answer.status == 503, (answer.status, body)
        self.told[outcome].append(numbers)


@pytest.mark.timeout(300)
def test_every_acknowledged_reading_is_there_once_and_no_refused_one_whatever_is_killed(
    new_warehouse: Callable[[], Warehouse], tmp_path: Path
) -> None:
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    house = new_warehouse()
    server = Served(tmp_path / "home", house.address)
    rng = random.Random(seed)
    try:
        server.wait()
        senders = []
        for i in range(6):
            with house.transaction() as tx:
                tx.execute("INSERT INTO iot.module VALUES ($1)", (f"H.{i}",))
            senders.append(Sender(server.port, f"H.{i}", new_token(house, f"H.{i}", 200 + i), seed + i))
        stop = threading.Event()
        faults: list[BaseException] = []

        def run(sender: Sender) -> None:
            try:
                while not stop.is_set():
                    sender.send()
                    time.sleep(0.005)
            except BaseException as fault:
                faults.append(fault)

        threads = [threading.Thread(target=run, args=(sender,)) for sender in senders]
        for thread in threads:
            thread.start()
        workers = psutil.Process(server.process.pid)

        def acknowledged() -> int:
            return sum(len(sender.told["acknowledged"]) for sender in senders)

        for kill in range(4):
            wanted, end = acknowledged() + 20, time.monotonic() + 120
            while acknowledged() < wanted and not faults:
                assert time.monotonic() < end, "nothing goes on"
                time.sleep(0.01)
            time.sleep(rng.uniform(0.0, 0.1))
            if kill == 3:
                break
            if kill % 2:
                house.query(
                    "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity"
                    " WHERE application_name LIKE 'oasis-%' AND pid <> pg_backend_pid() AND datname = current_database()"
                )
                continue
            # the process that watches over what processes share does no work
            working = [p for p in workers.children() if "resource_tracker" not in " ".join(command_line(p))]
            if working:
                with suppress(psutil.NoSuchProcess):
                    rng.choice(working).kill()
        stop.set()
        for thread in threads:
            thread.join(120)
        assert not faults
        for sender in senders:
            rows = house.query(
                "SELECT (measures ->> 'V')::float8::bigint AS n FROM iot.rawdata WHERE module_num = $1",
                (sender.module,),
            )["n"].to_pylist()
            stored = set(rows)
            assert len(rows) == len(stored)
            for numbers in sender.told["acknowledged"]:
                assert stored.issuperset(numbers)
            for numbers in sender.told["refused"]:
                assert stored.isdisjoint(numbers)
            for numbers in sender.told["unknown"]:
                assert stored.isdisjoint(numbers) or stored.issuperset(numbers), "all or nothing"
            assert stored <= {n for what in sender.told.values() for numbers in what for n in numbers}
            assert sender.conflicts == 0
        marks = house.query(
            "SELECT sum(rows)::bigint AS n FROM oasis.asset_state WHERE asset = 'iot/rawdata'"
        )
        total = house.query("SELECT count(*) AS n FROM iot.rawdata")
        assert marks["n"][0].as_py() == total["n"][0].as_py(), "the marks went with their rows"
    finally:
        server.kill()
