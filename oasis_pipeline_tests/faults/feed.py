"""A live source for twenty minutes under ``oasis up``, disturbed: does everything arrive, once, and does the platform settle?

    python -m oasis_pipeline_tests.faults.feed [--minutes 20] [--seed 1]

A simulated XSPOC gets cards and vendor results every few seconds: late ones, corrected ones; some are deleted later. Its clock jumps back an
hour, it can't be reached for a while, and then our own database is killed. In the end the tables are compared with what was fed, and with an
installation that reads all of it in one pass.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from oasis_pipeline.automation.passes import run_pass
from oasis_pipeline.automation.staleness import plan_unattended
from oasis_pipeline.intake.sources import open_sources
from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.installation import using_warehouse
from oasis_pipeline.storage.objects import open_store
from oasis_pipeline_tests.fixtures.platform import Up, free_port
from oasis_pipeline_tests.fixtures.xspoc import Xspoc

WELLS = [f"Well {number}" for number in range(8)]
PAUSE_S = 3.0
SETTLES_S = 900.0

TABLES = {
    "xspoc.card": '"NodeID", "Date", "SPM", "Fillage", surfcard_position, surfcard_load',
    "xspoc.xdiagresults": '"NodeID", "Date", "FillagePct", "PPRL"',
    "xspoc.xdiagrodresults": '"NodeID", "Date", "RodNum", "Loading"',
    "clean.xspoc": '"NodeID", "Date", "SPM", "Fillage", "FillagePct"',
    "clean.dynabounds": '"NodeID", "Date", card, load_min, load_max, n_cards',
    "clean.carddiag": '"NodeID", "Date", fillage_pct, fluid_load_lbf',
    "clean.dynapred": '"NodeID", "Date", "Label1", "Prob1"',
}
"""Columns that are compared: all but times of loads and what a file is called."""

Fed = dict[tuple[str, datetime], tuple[float, float]]


class Feed:
    """What the simulated XSPOC gets, and what must be there in the end: the speed and fillage of each card."""

    def __init__(self, xspoc: Xspoc, rng: random.Random) -> None:
        self.xspoc = xspoc
        self.rng = rng
        self.fed: Fed = {}
        self.corrected = 0
        self.late = 0
        self.gone: set[tuple[str, datetime]] = set()
        xspoc.execute('CREATE TABLE deleted (LIKE xspoc_dbo."tblCardData")')

    def step(self, behind: timedelta) -> None:
        """Write what comes within a few seconds, by a clock that is so far behind."""
        now = datetime.now(UTC).replace(tzinfo=None, microsecond=0) - behind
        for node in self.rng.sample(WELLS, self.rng.randint(1, 3)):
            late = self.rng.random() < 0.1
            self.late += late
            self._put(node, now - timedelta(minutes=self.rng.randint(5, 100)) if late else now)
        recent = [key for key in self.fed if key not in self.gone and now - key[1] < timedelta(hours=1)]
        if recent and self.rng.random() < 0.2:
            self._put(*self.rng.choice(recent))
            self.corrected += 1
        old = [key for key in self.fed if key not in self.gone and now - key[1] > timedelta(hours=3)]
        if old and self.rng.random() < 0.1:
            key = self.rng.choice(old)
            self.xspoc.execute(
                'WITH gone AS (DELETE FROM xspoc_dbo."tblCardData" WHERE "NodeID" = %s AND "Date" = %s RETURNING *)'
                " INSERT INTO deleted SELECT * FROM gone",
                key,
            )
            self.gone.add(key)

    def _put(self, node: str, at: datetime) -> None:
        spm, fillage = round(self.rng.uniform(4, 9), 2), float(self.rng.randint(40, 100))
        self.xspoc.card(node, at, spm=spm, peak=self.rng.uniform(8000, 11000), fillage=fillage)
        self.xspoc.diag(node, at, fillage=int(fillage))
        self.fed[node, at] = (spm, fillage)

    def history(self, days: int) -> None:
        """Write cards of some days before, four a day and well."""
        now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        for node in WELLS:
            self.xspoc.well(node, 6000)
            for hours in range(4, 24 * days, 6):
                self._put(node, now - timedelta(hours=hours, seconds=WELLS.index(node)))


def main() -> int:
    """Feed and compare; 0 if nothing is lost, doubled or left stale."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="feed-"))
    try:
        with embedded.lease(folder / "source" / "postgres") as server:
            return _run(folder, _database(server, "xspoc"), asked.minutes, random.Random(asked.seed))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, source: Address, minutes: float, rng: random.Random) -> int:
    home = folder / "home"
    home.mkdir(mode=0o700)
    # a sweep each minute: corrected rows are found by it
    (home / "source.toml").write_text("every_seconds = 5\nsweep_minutes = 1\n")
    os.environ["OASIS_SOURCE_URL"] = source.uri()
    with closing(Xspoc(source)) as xspoc:
        feed = Feed(xspoc, rng)
        feed.history(days=4)
        up = Up(home, free_port(), {"OASIS_SOURCE_URL": source.uri()})
        try:
            up.wait_for("Ctrl-C")
            settings = load_settings(home)
            _until(lambda: _same(settings, feed.fed), SETTLES_S, "the history did not arrive")
            first_mb = _memory_mb(up)
            _disturb(up, feed, source, minutes * 60)
            _until(lambda: _same(settings, feed.fed), SETTLES_S, "not every row arrived")
            _until(lambda: _settled(settings), SETTLES_S, "something stays stale")
            last_mb = _memory_mb(up)
            found = _contents(settings)
            told = _ticks_and_runs(settings)
            rows = _count(settings)
        finally:
            up.process.send_signal(signal.SIGINT)
            with suppress(Exception):
                up.process.wait(180)
            up.kill()
        # history stays here when the source deletes it: one pass over all has to see it too
        xspoc.execute('INSERT INTO xspoc_dbo."tblCardData" SELECT * FROM deleted')
        once = folder / "once"
        once.mkdir(mode=0o700)
        shutil.copy(home / "source.toml", once)
        expected = _in_one_pass(load_settings(once))
    different = {name for name in TABLES if found[name] != expected[name]}
    for name in sorted(different):
        print(
            f"{name}: {len(found[name] - expected[name])} rows only here, {len(expected[name] - found[name])} only in one pass"
        )
    print(
        f"{len(feed.fed)} cards fed, {rows} stored; {feed.late} late, {feed.corrected} corrected, {len(feed.gone)} deleted; "
        f"{len(different)} of {len(TABLES)} tables differ; memory {first_mb:.0f} MB, {last_mb:.0f} MB in the end"
    )
    print(told)
    return 1 if different or rows != len(feed.fed) else 0


def _disturb(up: Up, feed: Feed, source: Address, seconds: float) -> None:
    """Feed for so long, with a clock that jumps back, an outage of the source and a death of our database."""
    began = time.monotonic()
    cut = killed = False
    while (share := (time.monotonic() - began) / seconds) < 1:
        behind = timedelta(hours=1) if 0.2 < share < 0.35 else timedelta(0)
        feed.step(behind)
        if share > 0.4 and not cut:
            cut = True
            _say("the source can't be reached")
            _admit(source, False)
            time.sleep(0.08 * seconds)
            _admit(source, True)
            feed.xspoc.reconnect()
            _say("the source is there again")
        if share > 0.6 and not killed:
            killed = True
            _say("our database is killed")
            up.everything()[-1].kill()
        time.sleep(PAUSE_S)


def _database(server: Address, name: str) -> Address:
    with closing(psycopg2.connect(server.uri())) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f'create database "{name}"')
    return Address(server.host, server.port, server.user, name, server.password)


def _admit(source: Address, allowed: bool) -> None:
    """Let connections to the source in, or cut and refuse them."""
    other = Address(source.host, source.port, source.user, "postgres", source.password)
    with closing(psycopg2.connect(other.uri())) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f'alter database "{source.db}" with allow_connections {str(allowed).lower()}')
        if not allowed:
            cursor.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (source.db,)
            )


def _same(settings: Settings, fed: Fed) -> bool:
    with suppress(Exception), using_warehouse(settings) as warehouse:
        rows = warehouse.query('select "NodeID", "Date", "SPM", "Fillage" from xspoc.card').to_pylist()
        there = {(row["NodeID"], row["Date"]): (round(row["SPM"], 2), row["Fillage"]) for row in rows}
        return there == fed
    return False


def _settled(settings: Settings) -> bool:
    with suppress(Exception), using_warehouse(settings) as warehouse:
        plan = plan_unattended(warehouse, open_store(settings))
        return not plan and not plan.waiting
    return False


def _until(true: Callable[[], bool], seconds: float, otherwise: str) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"{otherwise} within {seconds:.0f} s")
        time.sleep(2)


def _in_one_pass(settings: Settings) -> dict[str, set[tuple[Any, ...]]]:
    """Contents of an installation that reads the whole source at once."""
    with using_warehouse(settings) as warehouse:
        for each in open_sources(settings, warehouse, open_store(settings)):
            with closing(each):
                each.run()
    run_pass(settings)
    return _contents(settings)


def _contents(settings: Settings) -> dict[str, set[tuple[Any, ...]]]:
    with using_warehouse(settings) as warehouse:
        return {
            name: {
                tuple(tuple(value) if isinstance(value, list) else value for value in row.values())
                for row in warehouse.query(f"select {columns} from {name}").to_pylist()
            }
            for name, columns in TABLES.items()
        }


def _count(settings: Settings) -> int:
    with using_warehouse(settings) as warehouse:
        return int(warehouse.query("select count(*) as n from xspoc.card")["n"][0].as_py())


def _ticks_and_runs(settings: Settings) -> str:
    with using_warehouse(settings) as warehouse:
        ticks = warehouse.query(
            "select status, count(*) as n from dagster.job_ticks group by 1 order by 1"
        ).to_pylist()
        runs = warehouse.query(
            "select status, count(*) as n from dagster.runs group by 1 order by 1"
        ).to_pylist()
        size = warehouse.query("select pg_total_relation_size('dagster.event_logs') as n")["n"][0].as_py()
    counts = [", ".join(f"{row['n']} {row['status'].lower()}" for row in rows) for rows in (ticks, runs)]
    return f"ticks: {counts[0]}; runs: {counts[1]}; event log {size / 1e6:.1f} MB"


def _memory_mb(up: Up) -> float:
    total = 0
    for process in up.everything():
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total / 1e6


def _say(text: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
