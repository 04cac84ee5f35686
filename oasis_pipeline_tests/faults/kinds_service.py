"""Faults that strike the data service while gateways post.

Here: kills of its processes and of its database, under clients that keep their history. Not here: overload, which is in the
service's own tests.
"""

from __future__ import annotations

import hashlib
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import psutil
import psycopg2

from oasis_pipeline.storage import embedded
from oasis_pipeline_tests.faults.bench import PATIENCE_S, Bench, Outcome
from oasis_pipeline_tests.faults.history import Gateway, check
from oasis_pipeline_tests.faults.kinds import kind
from oasis_pipeline_tests.fixtures.platform import command_line
from oasis_pipeline_tests.fixtures.service import Served

SERVICE_DATABASE = "oasis_service"
GATEWAYS = 3


class Service:
    """The service of a bench, with a database of its own that lasts."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        with closing(psycopg2.connect(replace(bench.server, db="template1").uri())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {SERVICE_DATABASE} TEMPLATE t_empty STRATEGY file_copy")
        self.address = replace(bench.server, db=SERVICE_DATABASE)
        home = bench.folder / "service"
        home.mkdir()
        self.served = Served(home, self.address)
        bench.closing.append(self.served.kill)
        self.served.wait()

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with closing(psycopg2.connect(self.address.uri())) as connection, connection.cursor() as cursor:
            cursor.execute(sql, values)
            found = cursor.fetchall() if cursor.description else []
            connection.commit()
            return found

    def gateway(self, rng: random.Random) -> Gateway:
        """A new module with a token, and the client of it."""
        module, key, secret = f"M.{secrets.token_hex(6)}", secrets.token_hex(8), secrets.token_hex(16)
        self.query("INSERT INTO iot.module (module_num) VALUES (%s)", module)
        self.query(
            "INSERT INTO django.service_token (name, module_num, requests_per_minute, revoked, key, digest, created_at, created_by)"
            " VALUES ('trial', %s, 1000000, false, %s, %s, now(), '')",
            module,
            key,
            hashlib.sha256(secret.encode()).hexdigest(),
        )
        return Gateway(self.served.port, module, f"oasis-{key}-{secret}", rng.randrange(1 << 30))

    def workers(self) -> list[psutil.Process]:
        """Processes that answer requests."""
        children = psutil.Process(self.served.process.pid).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(command_line(child))]


def service_of(bench: Bench) -> Service:
    """The service of a bench, started at the first question, and again if it is down."""
    if "service" not in bench.own:
        bench.own["service"] = Service(bench)
    found: Service = bench.own["service"]
    if found.served.process.poll() is not None:
        found.served.start()
    found.served.wait()
    return found


def _trial(
    bench: Bench, rng: random.Random, strike: Callable[[Bench, Service, random.Random], str]
) -> Outcome:
    service, outcome = service_of(bench), Outcome()
    gateways = [service.gateway(rng) for _ in range(GATEWAYS)]
    for gateway in gateways:
        gateway.start()
    # a busy machine needs a moment before the first answer; a fault on nothing would say nothing
    end = time.monotonic() + 20
    while time.monotonic() < end and not all(gateway.history.statuses for gateway in gateways):
        time.sleep(0.02)
    time.sleep(rng.uniform(0.0, 0.6))
    before = sum(gateway.history.statuses.total() for gateway in gateways)
    said = strike(bench, service, rng)
    time.sleep(rng.uniform(0.1, 0.5))
    bench.revive()
    if service.served.process.poll() is not None:
        service.served.start()
    try:
        service.served.wait()
    except AssertionError as error:
        outcome.stuck += 1
        outcome.say(f"the service does not come back: {str(error)[-300:]}")
    # it has to take readings again, and not only to say that it is ready
    waiting = {
        gateway: gateway.history.statuses["201"] + gateway.history.statuses["200"] for gateway in gateways
    }
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and any(
        gateway.history.statuses["201"] + gateway.history.statuses["200"] <= count
        for gateway, count in waiting.items()
    ):
        time.sleep(0.05)
    for gateway, count in waiting.items():
        if gateway.history.statuses["201"] + gateway.history.statuses["200"] <= count:
            outcome.stuck += 1
            outcome.say(
                f"no reading was taken within {PATIENCE_S:.0f} s after the fault: {dict(gateway.history.statuses)}"
            )
        gateway.stopping.set()
    for gateway in gateways:
        gateway.join(90)
        if gateway.is_alive():
            outcome.stuck += 1
            outcome.say("a request did not end")
    statuses: Counter[str] = Counter()
    acknowledged = unknown = 0
    for gateway in gateways:
        stored = {
            int(number): count
            for number, count in service.query(
                "SELECT (measures ->> 'n')::float8, count(*) FROM iot.rawdata WHERE module_num = %s GROUP BY 1",
                gateway.module,
            )
        }
        verdict = check(gateway.history, stored)
        outcome.lost += verdict.lost
        outcome.doubled += verdict.doubled
        acknowledged += verdict.acknowledged
        unknown += verdict.unknown
        statuses += gateway.history.statuses
    ((marked, rows),) = service.query(
        "SELECT (SELECT sum(rows) FROM oasis.asset_state WHERE asset = 'iot/rawdata'), (SELECT count(*) FROM iot.rawdata)"
    )
    if marked != rows:
        outcome.lost += max(0, rows - int(marked or 0))
        outcome.doubled += max(0, int(marked or 0) - rows)
        outcome.say(f"the ledger counts {marked} readings, there are {rows}")
    outcome.hit = before > 0 and bool(said)
    outcome.where = (
        f"{said}; {acknowledged} acknowledged, {unknown} unknown, answers {dict(sorted(statuses.items()))}"
    )
    return outcome


def _kill_worker(bench: Bench, service: Service, rng: random.Random) -> str:
    workers = service.workers()
    killed = rng.sample(workers, rng.randrange(1, len(workers) + 1)) if workers else []
    for worker in killed:
        with suppress(psutil.Error):
            worker.kill()
    return f"{len(killed)} of {len(workers)} workers" if killed else ""


def _kill_parent(bench: Bench, service: Service, rng: random.Random) -> str:
    os.kill(service.served.process.pid, signal.SIGKILL)
    service.served.process.wait()
    # what it left behind has to end by itself and let go of the port
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with suppress(OSError), closing(__import__("socket").socket()) as probe:
            probe.setsockopt(1, 2, 1)
            probe.bind(("127.0.0.1", service.served.port))
            return "parent"
        time.sleep(0.1)
    raise AssertionError("the workers hold the port of a parent that is dead")


def _kill_group(bench: Bench, service: Service, rng: random.Random) -> str:
    service.served.kill()
    return "all of its processes"


def _stop(bench: Bench, service: Service, rng: random.Random) -> str:
    service.served.process.send_signal(signal.SIGTERM)
    status = service.served.process.wait(PATIENCE_S)
    if status != 0:
        raise AssertionError(f"a stop under load ended with {status}")
    return "SIGTERM"


def _cut(bench: Bench, service: Service, rng: random.Random) -> str:
    count = 0
    for _ in range(rng.randrange(1, 6)):
        with suppress(psycopg2.Error):
            ((found,),) = service.query(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid()"
            )
            count += found
        time.sleep(rng.uniform(0, 0.1))
    return f"{count} connections" if count else ""


def _kill_backend(bench: Bench, service: Service, rng: random.Random) -> str:
    found = service.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    if not found:
        return ""
    with suppress(ProcessLookupError):
        os.kill(rng.choice(found)[0], signal.SIGKILL)
    return "one of the database's processes"


def _restart(bench: Bench, service: Service, rng: random.Random) -> str:
    embedded.stop(bench.data)
    time.sleep(rng.uniform(0, 0.5))
    bench.revive()
    return "database restarted"


def _kill_postmaster(bench: Bench, service: Service, rng: random.Random) -> str:
    os.kill(bench.postmaster(), signal.SIGKILL)
    time.sleep(0.1)
    bench.revive()
    return "postmaster"


for _name, _share, _strike in (
    ("workers killed", 8, _kill_worker),
    ("parent killed", 4, _kill_parent),
    ("group killed", 4, _kill_group),
    ("stopped under load", 4, _stop),
    ("connections cut", 8, _cut),
    ("backend killed", 6, _kill_backend),
    ("database restarted", 6, _restart),
    ("postmaster killed", 6, _kill_postmaster),
):
    kind(f"service: {_name}", _share)(lambda bench, rng, strike=_strike: _trial(bench, rng, strike))
