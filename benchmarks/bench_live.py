"""From arrival to decision: how long ``oasis up`` takes from a row's arrival to its prediction, its well's place on the worklist and the alert.

A field is taken in but for its newest day; then ``oasis up`` runs, and the cards of that day arrive one at a time in the drop folder, each
with the failure of its well, so that each arrival changes the worklist and is told to a receiver on this machine.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bench_end_to_end import write_field
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage.installation import using_warehouse
from oasis_pipeline.storage.postgres import Warehouse

ON_REQUEST = True
SIZE = (80, 31)
ARRIVALS = 50
LONGEST_S = 300.0

_STEPS = ("stored", "predicted", "listed", "told")
_STORED = 'select count(*) as n from xspoc.card where "NodeID" = $1 and "Date" = $2::timestamp'
_PREDICTED = 'select count(*) as n from clean.dynapred where "NodeID" = $1 and "Date" = $2::timestamp'
_REJECTED = 'select count(*) as n from xspoc.rejected where "SourceFile" = $1'
_DOWN = "select distinct \"NodeID\" from clean.wellstatus where state = 'down'"
_LISTED = (
    'select count(*) as n from clean.worklist join clean.wellstatus using ("NodeID", "Date") '
    'where "NodeID" = $1 and state = \'down\' and "Date" = $2::timestamp::date'
)


def rows(
    size: tuple[int, int] = SIZE, cache: Path | None = None, arrivals: int = ARRIVALS
) -> list[dict[str, Any]]:
    """Measure; one row a figure: name, figure, unit, note."""
    with tempfile.TemporaryDirectory(prefix="oasis-live-") as scratch:
        source = write_field(cache or Path(scratch) / "cache", *size)
        home = Path(scratch) / "home"
        settings = load_settings(home)
        settings.drop.mkdir(parents=True)
        newest = max(path.name.split(".")[2] for path in source.glob("CardData.*"))
        for path in source.iterdir():
            if path.name.split(".")[2] < newest:
                shutil.copy(path, settings.drop)
        _oasis("run", home)
        (late,) = source.glob(f"CardData.*.{newest}.*")
        seconds, peaks = measure(settings, late, arrivals)
    note = f"{size[0]} wells x {size[1]} days, {len(seconds)} arrivals"
    found = [
        {"name": f"arrival to {step}, {name}", "figure": round(value, 1), "unit": "s", "note": note}
        for step in _STEPS
        for name, value in (
            ("median", statistics.median(each[step] for each in seconds)),
            ("worst", max(each[step] for each in seconds)),
        )
    ]
    grown = f"all processes of `oasis up`; {peaks[0]:.0f} MB after the first arrival"
    return [*found, {"name": "memory in the end", "figure": round(peaks[-1]), "unit": "MB", "note": grown}]


def measure(settings: Settings, late: Path, arrivals: int) -> tuple[list[dict[str, float]], list[float]]:
    """Let cards of a file arrive one by one under ``oasis up``; seconds of each step for each, and memory in MB after each."""
    with late.open(newline="") as file:
        cards = list(csv.DictReader(file))
    newest = max(card["Date"][:10] for card in cards)
    of_newest = {card["NodeID"]: card for card in cards if card["Date"][:10] == newest}
    with _receiver() as told, _up(settings, told.port), using_warehouse(settings) as warehouse:
        wells = set(warehouse.query('select "NodeID" from xspoc.welldetails')["NodeID"].to_pylist())
        # a well that is down already is told of already
        wells -= set(warehouse.query(_DOWN)["NodeID"].to_pylist())
        chosen = _one_a_minute([of_newest[node] for node in sorted(wells & set(of_newest))])[:arrivals]
        waits: list[dict[str, float]] = []
        memory: list[float] = []
        for number, card in enumerate(chosen):
            if card["NodeID"] in told.wells:
                continue
            at = datetime.fromisoformat(card["Date"])
            name = f"{at + timedelta(minutes=1):%Y%m%d.%H%M}"
            began = time.monotonic()
            _drop(settings.drop / f"CardData.E2E.{name}.csv", card)
            # a day is looked at as of its newest card: what became known after it does not count yet
            known = f"{at:%Y%m%d.%H%M}"
            failure = {"NodeID": card["NodeID"], "Failure Start Date": str(at - timedelta(hours=1))}
            _drop(
                settings.drop / f"Failures.E2E.{known}.csv",
                {**failure, "Failure End Date": "", "Failures": "Rod - Coupling"},
            )
            found = _wait(warehouse, told, card, began, f"CardData.E2E.{name}.csv")
            if found is None:
                continue
            waits.append(found)
            memory.append(_memory_mb())
            print(
                number,
                {step: round(value, 1) for step, value in waits[-1].items()},
                f"{memory[-1]:.0f} MB",
                file=sys.stderr,
            )
    return waits, memory


def _one_a_minute(cards: list[dict[str, str]]) -> list[dict[str, str]]:
    """Put cards into order, each later than the one before by a minute at least: files of a kind are told apart by theirs."""
    spread: list[dict[str, str]] = []
    for card in sorted(cards, key=lambda card: card["Date"]):
        at = datetime.fromisoformat(card["Date"])
        if spread and at < (soonest := datetime.fromisoformat(spread[-1]["Date"]) + timedelta(minutes=1)):
            card = {**card, "Date": str(soonest)}
        spread.append(card)
    return spread


def _wait(
    warehouse: Warehouse, told: _Told, card: dict[str, str], began: float, file: str
) -> dict[str, float] | None:
    """Seconds until each step is done for a card; None for one that is rejected, as some of a simulated field are."""
    found: dict[str, float] = {}
    node, at = card["NodeID"], card["Date"]
    while len(found) < len(_STEPS):
        for step, sql, params in (
            ("stored", _STORED, (node, at)),
            ("predicted", _PREDICTED, (node, at)),
            ("listed", _LISTED, (node, at)),
        ):
            if step not in found and warehouse.query(sql, params)["n"][0].as_py():
                found[step] = time.monotonic() - began
        if node in told.wells:
            found.setdefault("told", told.wells[node] - began)
        if not found and warehouse.query(_REJECTED, (file,))["n"][0].as_py():
            return None
        if time.monotonic() - began > LONGEST_S:
            raise RuntimeError(f"{node} of {at}: only {found} after {LONGEST_S:g} s")
        time.sleep(0.2)
    return found


def _drop(path: Path, row: dict[str, str]) -> None:
    part = path.with_suffix(".part")
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    part.rename(path)


class _Told:
    """Wells that alerts told of, with the time of the message."""

    def __init__(self) -> None:
        self.wells: dict[str, float] = {}
        self.port = 0


@contextmanager
def _receiver() -> Iterator[_Told]:
    """A receiver of alerts on this machine."""
    told = _Told()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for well in {message.get("well"), *_wells_in(message.get("message", ""))} - {None, ""}:
                told.wells.setdefault(well, time.monotonic())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()


def _wells_in(message: str) -> list[str]:
    """Wells of a message that joins several alerts."""
    return [line.split(" is down")[0].strip(" -*") for line in message.splitlines() if " is down" in line]


@contextmanager
def _up(settings: Settings, port: int) -> Iterator[None]:
    """Run the platform, with alerts to a port of this machine."""
    (settings.home / "alerts.toml").write_text(
        f'[to.here]\nurl = "json://127.0.0.1:{port}/"\n\n[[rule]]\nwhat = ["well_down"]\nto = ["here"]\n'
    )
    (settings.home / "alerts.toml").chmod(0o600)
    command = [_program(), "up", "--home", str(settings.home), "--port", "3131", "--service-port", "8131"]
    environment = os.environ | {"OASIS_SETTLE_SECONDS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("Ctrl-C"):
                    break
            else:
                raise RuntimeError("`oasis up` ended at once")
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(120)


def _memory_mb() -> float:
    total = 0
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            total += child.memory_full_info().pss
    return total / 1e6


def _program() -> str:
    return str(Path(sys.executable).with_name("oasis"))


def _oasis(command: str, home: Path) -> None:
    environment = os.environ | {"OASIS_SETTLE_SECONDS": "0"}
    subprocess.run([_program(), command, "--home", str(home)], check=True, env=environment, stdout=sys.stderr)
