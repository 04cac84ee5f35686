"""Days on the nodes of a Ray cluster, beside one process: the same rows, what it costs, and what a lost node does.

Four nodes of one processor each are processes of this machine, at 127.0.0.3 and up, with a head that computes nothing. Two cores give
each of them half a core, so a ratio of 1 would mean that shipping costs nothing. This process stores everything in a real PostgreSQL.
Ray's ports listen on every interface: run by root, all of it is in a network of its own, and the cluster always wants its token.

``python -m benchmarks engine``; ``python -m benchmarks.bench_engine WELLS DAYS`` prints what was measured as JSON, for the suite.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import date
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import psutil
import pyarrow as pa

from oasis_pipeline.engine import LOCAL, Engine, open_engine
from oasis_pipeline.intake import take_in
from oasis_pipeline.learning.artifact import load_model
from oasis_pipeline.learning.base import read_base_model
from oasis_pipeline.learning.card_forecast.model import STATE_VERSION
from oasis_pipeline.operations.bounds import bounds_rows
from oasis_pipeline.operations.card_days import CARD_DAYS, card_day_tables
from oasis_pipeline.operations.days import Days, store_days
from oasis_pipeline.operations.diagnosis import CARDDIAG, RODDIAG, diagnosed_days
from oasis_pipeline.operations.features import FEATURES_VERSION, feature_tables
from oasis_pipeline.operations.predictions import DYNAPRED, FEATURES, predict_days
from oasis_pipeline.operations.registry import register_model
from oasis_pipeline.operations.well_days import WELL_DAYS, WELL_DAYS_VERSION, well_day_tables
from oasis_pipeline.schema import quote, table
from oasis_pipeline.settings import load_settings
from oasis_pipeline.simulation.field import simulate_field
from oasis_pipeline.storage.day_files import read_days, stamped, write_days
from oasis_pipeline.storage.installation import using_warehouse
from oasis_pipeline.storage.objects import ObjectStore, open_store
from oasis_pipeline.storage.postgres import Warehouse

ON_REQUEST = True
SIZE = (60, 24)
NODES = 4
PORT = 6399
FIRST = date(2025, 1, 1)
MEMORY = 256 << 20
"""Bytes of each node for batches on their way."""

TABLES = (CARDDIAG, RODDIAG, DYNAPRED)
FILES = {FEATURES: FEATURES_VERSION, CARD_DAYS: STATE_VERSION, WELL_DAYS: WELL_DAYS_VERSION}


def rows(size: tuple[int, int] = SIZE) -> list[dict[str, Any]]:
    """Measure; one row a figure: name, figure, unit, note."""
    done = json.loads(
        subprocess.run(
            [*command(*size), "warm"], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.splitlines()[-1]
    )
    local, ray, hurt = done["local"], done["ray"], done["hurt"]
    cards = done["cards"]
    steps = {name: (seconds, ray["seconds"][name]) for name, seconds in local["seconds"].items()}
    steps["all of it"] = (sum(local["seconds"].values()), sum(ray["seconds"].values()))
    table = [
        {
            "name": f"{name}: {NODES} nodes against one process",
            "figure": there / here,
            "unit": "times as long",
            "note": f"{here:.1f} and {there:.1f} s, {cards:,} cards",
        }
        for name, (here, there) in steps.items()
    ]
    table += [
        {
            "name": f"{name}: shipped to the nodes",
            "figure": sent / cards / 1e3,
            "unit": "kB a card",
            "note": f"{ray['bytes_back'][name] / cards / 1e3:.2f} kB back",
        }
        for name, sent in ray["bytes_out"].items()
    ]
    table += [
        {"name": f"rows by node, {what}", "figure": sum(each["rows_by_node"].values()), "unit": "rows",
         "note": ", ".join(f"{node} {count:,}" for node, count in each["rows_by_node"].items())}
        for what, each in (("four nodes", ray), ("one killed, one added", hurt))
    ]  # fmt: skip
    same = [each["hashes"] == local["hashes"] for each in (ray, hurt)]
    table.append(
        {
            "name": "tables and files with the rows of one process",
            "figure": len(local["hashes"]) if all(same) else 0,
            "unit": f"of {len(local['hashes'])}",
            "note": f"by hash, with four nodes and with one killed: {hurt['begun']} executions of {hurt['batches']} batches were begun",
        }
    )
    return table


def command(wells: int, days: int) -> list[str]:
    """Command that measures in a process of its own, and in a network of its own where this user may make one."""
    measure = [sys.executable, "-m", "benchmarks.bench_engine", str(wells), str(days)]
    alone = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    may = shutil.which("unshare") and shutil.which("ip") and os.geteuid() == 0
    if may and subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0:
        return [*alone, *measure]
    return measure


def missing() -> str | None:
    """Say what is not installed, if anything."""
    return None if find_spec("ray") else "Ray is not installed: pip install 'oasis-pipeline[ray]'"


class Nodes:
    """Processes of this machine as a cluster.

    Parameters
    ----------
    folder : Path
        Where their logs go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        # taken by the nodes and by this process
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.address = f"127.0.0.2:{PORT}"

    def start(self) -> None:
        """Start the head and its nodes."""
        self._start(
            "127.0.0.2",
            "--head",
            f"--port={PORT}",
            "--num-cpus=0",
            "--include-dashboard=false",
            "--disable-usage-stats",
        )
        for _ in range(NODES):
            self.add()

    def add(self) -> None:
        """Start one more node."""
        self._start(f"127.0.0.{len(self._started) + 2}", f"--address={self.address}", "--num-cpus=1")

    def _start(self, host: str, *more: str, tries: int = 3) -> None:
        log = self._folder / f"node-{host}.log"
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", f"--node-ip-address={host}",
                   f"--object-store-memory={MEMORY}", *more]  # fmt: skip
        with log.open("wb") as file:
            started = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
        # one after the other: a busy machine starts five at once in no useful time, and Ray gives each 30 s
        while "block forever" not in log.read_text(errors="replace"):
            if started.poll() is not None:
                if tries > 1:
                    return self._start(host, *more, tries=tries - 1)
                raise RuntimeError(
                    f"the node {host} did not start: {log.read_text(errors='replace')[-2000:]}"
                )
            time.sleep(0.2)
        self._started.append(started)

    def kill(self, number: int) -> str:
        """End all processes of a node at once, as a power cut does; 0 is the head. Returns its address."""
        started = self._started[number]
        below = self._below(started)
        for process in [*below, psutil.Process(started.pid)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        started.wait()
        return f"127.0.0.{number + 2}"

    def _below(self, started: subprocess.Popen[bytes]) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(started.pid).children(recursive=True)
        return []

    def close(self) -> list[int]:
        """End the cluster; returns processes of it that are still there."""
        running = [each for each in self._started if each.poll() is None]
        below = [process for each in running for process in self._below(each)]
        for each in reversed(running):
            each.terminate()
        for each in running:
            each.wait(timeout=60)
        _, left = psutil.wait_procs(below, timeout=20)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return [each.pid for each in left]


class Watched(Engine):
    """An engine that counts what it ships, and notes on the nodes' own disk what is begun and ended.

    Parameters
    ----------
    engine : Engine
    notes : Path
        File that every execution appends to.
    after : dict of int to callable
        What is done once so many batches are there.
    """

    def __init__(
        self, engine: Engine, notes: Path, after: dict[int, Callable[[], Any]] | None = None
    ) -> None:
        self._engine, self._notes, self._after = engine, notes, after or {}
        self.threads = engine.threads
        self.batches = 0
        self.bytes_out: Counter[str] = Counter()
        self.bytes_back: Counter[str] = Counter()
        self._guard = Lock()

    def width(self) -> int:
        """As the engine."""
        return self._engine.width()

    def share(self, value: Any) -> Any:
        """As the engine."""
        return self._engine.share(value)

    def run(self, compute: Callable[[Any, Any], Any], shared: Any, inputs: Any) -> Any:
        """As the engine, with a note of it."""
        found = self._engine.run(partial(noted, compute, str(self._notes)), shared, inputs)
        with self._guard:
            name = compute.__module__.rpartition(".")[2]
            self.bytes_out[name] += _size(inputs)
            self.bytes_back[name] += _size(found)
            self.batches += 1
            act = self._after.pop(self.batches, None)
        if act:
            act()
        return found


def noted(compute: Callable[[Any, Any], Any], notes: str, shared: Any, inputs: Any) -> Any:
    """Compute a batch, with a line in a file before and after it."""
    for line in ("begun", "ended"):
        if line == "ended":
            found = compute(shared, inputs)
        with Path(notes).open("a") as file:
            file.write(f"{line}\n")
    return found


def _size(value: Any) -> int:
    if isinstance(value, pa.Table):
        return int(value.nbytes)
    parts = value if isinstance(value, tuple) else vars(value).values() if hasattr(value, "cards") else ()
    return sum(_size(each) for each in parts)


def make_all(warehouse: Warehouse, store: ObjectStore, days: Days, engine: Engine) -> dict[str, float]:
    """Compute and store everything that engines execute; seconds of each step."""
    seconds = {}

    def files(asset: str, tables: Iterator[tuple[str, pa.Table]], column: str = "Date") -> None:
        write_days(store, asset, (stamped(rows, FILES[asset]) for _, rows in tables), days.dates, column)

    def diagnosis() -> None:
        for part, found in diagnosed_days(warehouse, days, engine=engine):
            store_days(warehouse, CARDDIAG, found.cards, part)
            store_days(warehouse, RODDIAG, found.rods, part)

    steps: dict[str, Callable[[], object]] = {
        "diagnosis": diagnosis,
        "features": lambda: files(FEATURES, feature_tables(warehouse, days, engine)),
        "predictions": lambda: predict_days(warehouse, store, days, engine=engine),
        "card days": lambda: files(CARD_DAYS, card_day_tables(warehouse, days, engine), "IssuedAt"),
        "well days": lambda: files(WELL_DAYS, well_day_tables(warehouse, store, days, engine)),
    }
    for name, step in steps.items():
        begin = time.perf_counter()
        step()
        seconds[name] = time.perf_counter() - begin
    return seconds


def hashes(warehouse: Warehouse, store: ObjectStore) -> dict[str, str]:
    """Name the rows of every table and file of days by their contents, and say how many there are."""
    found = {}
    for each in TABLES:
        order = ", ".join(quote(name) for name in each.key)
        rows = warehouse.query(
            f"select count(*) as n, md5(string_agg(md5(t::text), '' order by {order})) as hash from {each.full_name} as t"
        ).to_pylist()[0]
        found[each.asset] = f"{rows['n']} {rows['hash']}"
    for asset, version in FILES.items():
        rows = read_days(store, asset, version=version)
        digest = hashlib.sha256()
        for column in rows.replace_schema_metadata(None).combine_chunks().itercolumns():
            digest.update(json.dumps(column.to_pylist(), default=str).encode())
        found[asset] = f"{rows.num_rows} {digest.hexdigest()[:32]}"
    return found


def forget(warehouse: Warehouse, store: ObjectStore) -> None:
    """Remove every row that is made again."""
    with warehouse.transaction() as tx:
        for each in TABLES:
            tx.execute(f"truncate {each.full_name}")
    for asset in FILES:
        for path in store.list(f"{asset}/"):
            store.delete(path)


def measure(wells: int, days: int, *, warm: bool = False) -> dict[str, Any]:
    """Make a field's days in one process, on four nodes, and on four of which one is lost while a fifth joins; for speed, each warm."""
    span = Days(FIRST, date.fromordinal(FIRST.toordinal() + days - 1))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oasis-bench-")))
        settings = load_settings(folder / "home", settle_seconds=0)
        simulate_field(folder / "field", wells=wells, days=days, seed=11, start=FIRST)
        shutil.copytree(folder / "field" / "drop", settings.drop)
        warehouse, store = stack.enter_context(using_warehouse(settings)), open_store(settings)
        take_in(warehouse, store, settings)
        store_days(warehouse, table("clean", "dynabounds"), bounds_rows(warehouse, span), span)
        packed = read_base_model()
        assert packed is not None
        register_model(warehouse, store, "dyna_classifier", *packed, load_model(*packed)[1], is_base=True)

        def made(
            engine: Engine, name: str, after: dict[int, Callable[[], Any]] | None = None
        ) -> dict[str, Any]:
            print(f"{time.strftime('%X')} {name}", file=sys.stderr, flush=True)
            forget(warehouse, store)
            notes = folder / f"{name}.notes"
            watched = Watched(engine, notes, after)
            seconds = make_all(warehouse, store, span, watched)
            lines = Counter(notes.read_text().split())
            return {
                "seconds": seconds,
                "hashes": hashes(warehouse, store),
                "batches": watched.batches,
                "begun": lines["begun"],
                "ended": lines["ended"],
                "bytes_out": watched.bytes_out,
                "bytes_back": watched.bytes_back,
                "rows_by_node": engine.report(),
            }

        done: dict[str, Any] = {"nodes": NODES}
        done["cards"] = warehouse.query("select count(*) as n from xspoc.card")["n"][0].as_py()
        if warm:
            made(LOCAL, "first")
        done["local"] = made(LOCAL, "local")
        nodes = Nodes(folder)
        stack.callback(nodes.close)
        nodes.start()
        engine = _joined(nodes, settings.home)
        if warm:
            made(engine, "first_on_nodes")
        done["ray"] = made(engine, "ray")
        killed: list[str] = []
        done["hurt"] = made(
            engine, "hurt", {days // 4: lambda: killed.append(nodes.kill(1)), days // 3: nodes.add}
        )
        done["killed"] = killed
        done["left"] = nodes.close()
    return done


def _joined(nodes: Nodes, home: Path) -> Engine:
    """Join the cluster when all its nodes are there."""
    begin = time.monotonic()
    while True:
        try:
            engine = open_engine(load_settings(home, engine="ray", ray_address=nodes.address))
            if engine.width() == 2 * NODES:
                return engine
        except Exception:
            if time.monotonic() - begin > 120:
                raise
        time.sleep(1)


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:3]), warm="warm" in sys.argv)))
