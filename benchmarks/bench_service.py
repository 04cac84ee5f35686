"""Readings into the data service over http: eight gateways with tokens that post arrays, beside COPY and single INSERTs of the same rows.

Run alone: ``python -m benchmarks.bench_service [--requests N] [--clients N] [--readings N]``. The service runs as ``oasis serve`` on a home of its own, with
the embedded PostgreSQL and its disk writes on; clients, service and database share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import psutil
import psycopg2
import pyarrow as pa
import uvloop

from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.postgres import Warehouse

START = datetime(2026, 1, 1, tzinfo=UTC)
MEASURES = ("V_MPPT", "V_Panel", "VBat", "PT100(0)")
SINGLE = 500


@dataclass
class Load:
    """What the clients saw."""

    seconds: float = 0.0
    acknowledged: int = 0
    latencies_s: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)


def body(module: str, first: int, count: int, rng: random.Random) -> bytes:
    """An array of readings in the form of the first service's README, a reading a second."""
    return json.dumps(
        [
            {
                "module": module,
                "measures": [{"name": name, "value": round(rng.uniform(0, 40), 2)} for name in MEASURES],
                "temperature": round(rng.uniform(10, 60), 1),
                "voltage": round(rng.uniform(3.2, 3.4), 2),
                "timestamp": (START + timedelta(seconds=first + i)).isoformat(),
            }
            for i in range(count)
        ]
    ).encode()


def cpu_seconds(home: Path) -> dict[str, float]:
    """CPU time so far of service, database and clients."""
    postmaster = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
    tops = {"service": _served[-1], "database": postmaster}
    used = {"clients": time.process_time()}
    for name, pid in tops.items():
        top = psutil.Process(pid)
        times = [process.cpu_times() for process in (top, *top.children(recursive=True))]
        used[name] = sum(t.user + t.system for t in times) + times[0].children_user + times[0].children_system
    return used


_served: list[int] = []


@contextmanager
def served(home: Path, port: int, command: list[str] | None = None) -> Iterator[None]:
    """Run the service for the length of a block."""
    plain = [
        sys.executable,
        "-m",
        "oasis_pipeline.commands.main",
        "serve",
        "--home",
        str(home),
        "--port",
        str(port),
    ]
    log = (home / "serve.log").open("wb")
    process = subprocess.Popen(command or plain, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    _served.append(process.pid)
    try:
        end = time.monotonic() + 120
        while True:
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
                    connection.request("GET", "/ready")
                    if connection.getresponse().status == 200:
                        break
            except OSError:
                pass
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((home / "serve.log").read_text()[-2000:])
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(60)
        log.close()


def prepared(home: Path, clients: int) -> tuple[Address, list[tuple[str, str]]]:
    """Make the tables, a module for each client, and a token for each module."""
    from oasis_pipeline.settings import load_settings
    from oasis_pipeline.storage.installation import open_warehouse

    warehouse = open_warehouse(load_settings(home))
    tokens = []
    with closing(warehouse), warehouse.transaction() as tx:
        for i in range(clients):
            module, key, secret = f"B0.00.00.{i:02X}", f"{i:016x}", f"secret-of-the-benchmark-{i}"
            tx.execute("INSERT INTO iot.module (module_num) VALUES ($1)", (module,))
            tx.execute(
                "INSERT INTO django.service_token (name, module_num, requests_per_minute, revoked, key, digest, created_at, created_by)"
                " VALUES ('bench', $1, 1000000, false, $2, $3, now(), '')",
                (module, key, hashlib.sha256(secret.encode()).hexdigest()),
            )
            tokens.append((module, f"oasis-{key}-{secret}"))
    return warehouse.address, tokens


class Gateway(asyncio.Protocol):
    """A client that posts its bodies one after the other on one connection, each when the one before is answered.

    It does what any client has to and nothing more, for it shares the cores with what is measured.
    """

    def __init__(self, bodies: list[bytes], token: str, readings: int, load: Load) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._load, self._readings = load, readings
        head = (
            "POST /api/rawdata/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: "
        ).encode()
        self._requests = [b"%b%d\r\n\r\n%b" % (head, len(data), data) for data in reversed(bodies)]
        self._answer = bytearray()
        self._awaited = -1
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast(asyncio.Transport, transport)

    def post(self) -> None:
        """Post the next body, if there is one."""
        if not self._requests:
            self.done.set_result(None)
            return
        self._began = time.perf_counter()
        self._transport.write(self._requests.pop())

    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer; when it is whole, post the next body."""
        self._answer += data
        if self._awaited < 0:
            end = self._answer.find(b"\r\n\r\n")
            if end < 0:
                return
            length = self._answer.index(b"content-length: ") + 16
            self._awaited = end + 4 + int(self._answer[length : self._answer.index(b"\r\n", length)])
        if len(self._answer) < self._awaited:
            return
        load, status = self._load, int(self._answer[9:12])
        load.latencies_s.append(time.perf_counter() - self._began)
        load.statuses.append(status)
        load.acknowledged += self._readings if status == 200 else 0
        self._answer.clear()
        self._awaited = -1
        self.post()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell, unless all is done."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the service closed the connection"))


def post_all(port: int, bodies: list[list[bytes]], tokens: list[tuple[str, str]], readings: int) -> Load:
    """Let each client post its bodies, one after the other, all clients at once."""
    load = Load()

    async def post() -> None:
        loop = asyncio.get_running_loop()
        gateways = [
            Gateway(mine, token, readings, load) for mine, (_, token) in zip(bodies, tokens, strict=True)
        ]
        made = [
            (await loop.create_connection(partial(lambda one: one, one), "127.0.0.1", port))[0]
            for one in gateways
        ]
        began = time.perf_counter()
        for one in gateways:
            one.post()
        await asyncio.gather(*(one.done for one in gateways))
        load.seconds = time.perf_counter() - began
        for transport in made:
            transport.close()

    uvloop.run(post())
    return load


def plain_copy(address: Address, rows: pa.Table) -> float:
    """Rows a second of COPY of the same rows into a table of the same columns and key, in one transaction."""
    warehouse = Warehouse(address)
    with closing(warehouse):
        with warehouse.transaction() as tx:
            tx.execute("CREATE TABLE public.plain (LIKE iot.rawdata INCLUDING DEFAULTS)")
            tx.execute(
                "ALTER TABLE public.plain ALTER measures TYPE text, ADD PRIMARY KEY (module_num, timestamp)"
            )
        began = time.perf_counter()
        with warehouse.transaction() as tx, closing(tx._connection.cursor()) as cursor:
            cursor.adbc_ingest("plain", rows, mode="append", db_schema_name="public")
        return rows.num_rows / (time.perf_counter() - began)


def single_inserts(address: Address, rows: pa.Table) -> float:
    """Rows a second of one INSERT and one commit for each reading, on one connection."""
    items = [tuple(row.values()) for row in rows.slice(0, SINGLE).to_pylist()]
    with closing(psycopg2.connect(address.uri())) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE public.single (LIKE public.plain INCLUDING ALL)")
        connection.commit()
        marks = ", ".join(["%s"] * rows.num_columns)
        began = time.perf_counter()
        for item in items:
            cursor.execute(
                f"INSERT INTO public.single ({', '.join(rows.column_names)}) VALUES ({marks})", item
            )
            connection.commit()
        return len(items) / (time.perf_counter() - began)


def run(
    *,
    requests: int = 40,
    clients: int = 8,
    readings: int = 1000,
    singles: int = 500,
    command: list[str] | None = None,
    port: int = 8742,
) -> list[dict[str, object]]:
    """Measure; rows of the benchmark table."""
    os.environ.pop("OASIS_HOST", None)
    with tempfile.TemporaryDirectory(prefix="oasis-bench-") as name:
        home = Path(name) / "home"
        home.mkdir()
        try:
            with served(home, port, command):
                address, tokens = prepared(home, clients)
                rng = random.Random(1)
                bodies = [
                    [body(module, k * readings, readings, rng) for k in range(requests)]
                    for module, _ in tokens
                ]
                warm = [
                    [body(module, 10_000_000 + k * readings, readings, rng) for k in range(3)]
                    for module, _ in tokens
                ]
                post_all(port, warm, tokens, readings)
                before = cpu_seconds(home)
                load = post_all(port, bodies, tokens, readings)
                used = {
                    name: (value - before[name]) / load.acknowledged
                    for name, value in cpu_seconds(home).items()
                }
                again = post_all(port, [mine[: max(requests // 4, 1)] for mine in bodies], tokens, readings)
                ones = [
                    [body(module, 20_000_000 + k, 1, rng) for k in range(singles)] for module, _ in tokens
                ]
                before = cpu_seconds(home)
                alone = post_all(port, ones, tokens, 1)
                used_alone = {
                    name: (value - before[name]) / alone.acknowledged
                    for name, value in cpu_seconds(home).items()
                }
            address = embedded.start(home / "postgres")
            address = replace(address, db="oasis")
            with closing(Warehouse(address)) as warehouse:
                stored = warehouse.query(
                    "SELECT * FROM iot.rawdata WHERE timestamp < $1::text::timestamptz",
                    ((START + timedelta(seconds=10_000_000)).isoformat(),),
                )
            if (
                set(load.statuses + again.statuses + alone.statuses) != {200}
                or stored.num_rows != load.acknowledged
            ):
                raise AssertionError(
                    f"{stored.num_rows} stored, {load.acknowledged} acknowledged, {set(load.statuses)}"
                )
            copy = plain_copy(address, stored)
            inserts = single_inserts(address, stored)
        finally:
            embedded.stop(home / "postgres")
    p50, p99 = np.quantile(load.latencies_s, [0.5, 0.99]) * 1000
    rate = load.acknowledged / load.seconds
    size = f"{clients} clients, arrays of {readings:,}, {len(MEASURES)} measures each"
    return [
        {"name": "readings over http, durable", "figure": rate, "unit": "readings/s", "note": size},
        {"name": "a request, median", "figure": p50, "unit": "ms", "note": size},
        {"name": "a request, 99 of 100", "figure": p99, "unit": "ms", "note": size},
        *(
            {
                "name": f"CPU of the {name}",
                "figure": seconds * 1e6,
                "unit": "us/reading",
                "note": "arrays",
            }
            for name, seconds in used.items()
        ),
        {
            "name": "the same readings again",
            "figure": again.acknowledged / again.seconds,
            "unit": "readings/s",
            "note": "changes nothing",
        },
        {
            "name": "one reading a request",
            "figure": alone.acknowledged / alone.seconds,
            "unit": "readings/s",
            "note": f"{clients} clients, each durable when it is answered",
        },
        *(
            {
                "name": f"one reading a request, {which} of 100",
                "figure": float(np.quantile(alone.latencies_s, which / 100) * 1000),
                "unit": "ms",
                "note": f"{clients} clients",
            }
            for which in (50, 99)
        ),
        *(
            {
                "name": f"CPU of the {name}, one a request",
                "figure": seconds * 1e6,
                "unit": "us/reading",
                "note": "",
            }
            for name, seconds in used_alone.items()
        ),
        {
            "name": "plain COPY of the same rows",
            "figure": copy,
            "unit": "rows/s",
            "note": "one connection, one transaction",
        },
        {"name": "http : plain COPY", "figure": rate / copy, "unit": "", "note": "same run"},
        {
            "name": "one INSERT a reading",
            "figure": inserts,
            "unit": "rows/s",
            "note": "one connection, each committed",
        },
    ]


def rows() -> list[dict[str, object]]:
    return run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=40, help="of each client")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--readings", type=int, default=1000, help="in a request")
    parser.add_argument("--singles", type=int, default=500, help="requests of each client with one reading")
    chosen = parser.parse_args()
    for row in run(**vars(chosen)):
        print(f"{row['name']:32} {row['figure']:>12,.1f} {row['unit']:12} {row['note']}")


if __name__ == "__main__":
    main()
