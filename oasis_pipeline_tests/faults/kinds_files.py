"""Drop files that change while a pass looks at them: growing, swapped, vanishing, very many, very large.

Here: other writers in the drop folder. Not here: what is in a file, which the tests of intake and its fuzzing try.
"""

from __future__ import annotations

import os
import random
import threading
import time
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2

from oasis_pipeline_tests.faults.bench import Bench, FailedError, Outcome, Place, StuckError
from oasis_pipeline_tests.faults.kinds import kind

HEADER = "NodeID,TestDate,OilRate\n"
NAME = "WellTests.E2E.20250120.0000.csv"
SETTLE_S = 1.0


def _place(bench: Bench) -> Place:
    place = bench.place("intake", "nothing")
    place.environment["OASIS_SETTLE_SECONDS"] = str(SETTLE_S)
    return place


def _row(number: int) -> str:
    return f"W{number:06d},2025-01-{1 + number % 19:02d},{number}\n"


def _stored(place: Place) -> list[int]:
    with closing(psycopg2.connect(place.address.uri())) as connection, connection.cursor() as cursor:
        cursor.execute('SELECT "OilRate"::bigint FROM xspoc.welltest ORDER BY 1')
        return [number for (number,) in cursor.fetchall()]


def _pass(bench: Bench, place: Place, kill_at: int = -1) -> dict[str, Any] | None:
    answer = bench.finish(bench.warm.start("intake", environment=place.environment, kill_at=kill_at))
    if answer is not None and "error" in answer:
        raise FailedError(answer["error"])
    return answer


def _settle(bench: Bench, place: Place, outcome: Outcome) -> None:
    """Passes until the drop folder is empty; then one that has to be idle."""
    try:
        end = time.monotonic() + 60
        while any(place.drop.iterdir()) and time.monotonic() < end:
            _pass(bench, place)
            time.sleep(0.3)
        left = sorted(path.name for path in place.drop.iterdir())
        if left:
            raise FailedError(f"files stay in the drop folder: {left}")
        bench.second_pass(place)
    except (FailedError, StuckError) as error:
        outcome.stuck += 1
        outcome.say(str(error))


def _count(outcome: Outcome, wanted: set[int], stored: list[int]) -> None:
    outcome.lost += len(wanted - set(stored))
    outcome.doubled += len(stored) - len(set(stored)) + len(set(stored) - wanted)


@kind("intake: a growing file", 8)
def growing(bench: Bench, rng: random.Random) -> Outcome:
    """A writer that keeps its file open and stalls, or opens it again for each piece, while passes run."""
    place, outcome = _place(bench), Outcome()
    path = place.drop / NAME
    pieces = [rng.randrange(1, 60) for _ in range(rng.randrange(2, 5))]
    stalls = [rng.choice((0.0, 0.3, SETTLE_S * 1.5, SETTLE_S * 4)) for _ in pieces]
    torn, reopens = rng.random() < 0.5, rng.random() < 0.4
    total, done = sum(pieces), threading.Event()

    def write() -> None:
        number = 0
        file = path.open("w")
        file.write(HEADER)
        for piece, stall in zip(pieces, stalls, strict=True):
            text = "".join(_row(number + i) for i in range(piece))
            number += piece
            half = len(text) - 5 if torn else len(text)
            file.write(text[:half])
            file.flush()
            if reopens:
                file.close()
            time.sleep(stall)
            if reopens:
                # a writer that opens by name goes on in what now has the name
                file = path.open("a")
                if file.tell() == 0:
                    file.write(HEADER)
            file.write(text[half:])
            file.flush()
        file.close()
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not done.is_set():
            _pass(bench, place)
            time.sleep(0.1)
    except (FailedError, StuckError) as error:
        outcome.stuck += 1
        outcome.say(str(error))
    writer.join()
    _settle(bench, place, outcome)
    outcome.hit = True
    how = "opened again" if reopens else "held open"
    outcome.where = (
        f"{total} rows in {len(pieces)} pieces, stalls {stalls}, {how}{', torn lines' if torn else ''}"
    )
    if reopens and torn:
        # the second half of a line at the head of a new file is no fault of who reads it; nothing of the whole lines may be lost
        torn_rows = {sum(pieces[: i + 1]) - 1 for i in range(len(pieces))}
        stored = set(_stored(place))
        outcome.lost += len(set(range(total)) - torn_rows - stored)
        return outcome
    _count(outcome, set(range(total)), _stored(place))
    return outcome


@kind("intake: a swapped file", 6)
def swapped(bench: Bench, rng: random.Random) -> Outcome:
    """Another file is moved over the name while a pass is at work, with the same or another size."""
    place, outcome = _place(bench), Outcome()
    path = place.drop / NAME
    first = range(rng.randrange(1, 3000))
    second = range(10_000, 10_000 + (len(first) if rng.random() < 0.5 else rng.randrange(1, 3000)))
    path.write_text(HEADER + "".join(map(_row, first)))
    old = time.time() - 60
    os.utime(path, (old, old))
    other = place.drop / f".{NAME}.new"
    other.write_text(HEADER + "".join(map(_row, second)))
    os.utime(other, (old, old))
    job = bench.warm.start("intake", environment=place.environment)
    at = rng.uniform(0, 0.8)
    time.sleep(at)
    taken = not path.exists()
    other.rename(path)
    try:
        bench.finish(job)
    except StuckError as error:
        outcome.stuck += 1
        outcome.say(str(error))
    _settle(bench, place, outcome)
    stored = _stored(place)
    wanted = set(second)
    # whoever moves a file over another takes that one back; all of it may be there, or none
    if taken or set(first) & set(stored):
        wanted |= set(first)
    _count(outcome, wanted, stored)
    outcome.hit = True
    outcome.where = f"{len(first)} rows by {len(second)} after {at:.2f} s{', taken already' if taken else ''}"
    return outcome


@kind("intake: a vanishing file", 6)
def vanishing(bench: Bench, rng: random.Random) -> Outcome:
    """A file goes while a pass is at work; the other files are taken all the same."""
    place, outcome = _place(bench), Outcome()
    old = time.time() - 60
    rows = range(rng.randrange(1, 3000))
    other_rows = range(20_000, 20_100)
    for name, numbers in ((NAME, rows), ("WellTests.E2E.20250121.0000.csv", other_rows)):
        (place.drop / name).write_text(HEADER + "".join(map(_row, numbers)))
        os.utime(place.drop / name, (old, old))
    job = bench.warm.start("intake", environment=place.environment)
    at = rng.uniform(0, 0.8)
    time.sleep(at)
    gone = False
    with suppress(FileNotFoundError):
        (place.drop / NAME).unlink()
        gone = True
    try:
        answer = bench.finish(job)
        if answer is not None and "error" in answer:
            outcome.stuck += 1
            outcome.say(answer["error"])
    except StuckError as error:
        outcome.stuck += 1
        outcome.say(str(error))
    _settle(bench, place, outcome)
    stored = _stored(place)
    wanted = set(other_rows)
    if not gone or set(rows) & set(stored):
        wanted |= set(rows)
    _count(outcome, wanted, stored)
    outcome.hit = gone
    outcome.where = f"{len(rows)} rows after {at:.2f} s"
    return outcome


@kind("intake: killed beside a growing file", 4)
def killed_while_growing(bench: Bench, rng: random.Random) -> Outcome:
    """A file that gets more rows between passes of which each is killed at a point."""
    place, outcome = _place(bench), Outcome()
    path = place.drop / NAME
    total = 0
    for _ in range(3):
        more = rng.randrange(1, 50)
        with path.open("a") as file:
            if file.tell() == 0:
                file.write(HEADER)
            file.write("".join(_row(total + i) for i in range(more)))
        total += more
        old = time.time() - 60
        with suppress(FileNotFoundError):
            os.utime(path, (old, old))
        answer = _pass(bench, place, kill_at=rng.randrange(60))
        outcome.hit |= answer is None
    _settle(bench, place, outcome)
    _count(outcome, set(range(total)), _stored(place))
    outcome.where = f"{total} rows"
    return outcome


@kind("intake: 100,000 tiny files", 1, "hours")
def tiny_files(bench: Bench, rng: random.Random) -> Outcome:
    """One row a file, and a kill on the way."""
    place, outcome = _place(bench), Outcome()
    count = 100_000
    old = time.time() - 60
    for number in range(count):
        day, minute = divmod(number, 1440)
        path = (
            place.drop
            / f"WellTests.E2E.{20240101 + day % 28 + 100 * (day // 28 % 12)}.{minute // 60:02d}{minute % 60:02d}.csv"
        )
        path.write_text(HEADER + f"W{number:06d},2024-01-01,{number}\n")
        os.utime(path, (old, old))
    wanted = set(range(count))
    job = bench.warm.start("intake", environment=place.environment)
    time.sleep(rng.uniform(5, 60))
    job.kill()
    outcome.hit = True
    answer = bench.finish(bench.warm.start("intake", environment=place.environment), 4 * 3600)
    if answer is None or "error" in answer:
        outcome.stuck += 1
        outcome.say(str(answer))
    _settle(bench, place, outcome)
    _count(outcome, wanted, _stored(place))
    outcome.where = f"{count} files"
    return outcome


LARGEST_MB = 1000
"""Of memory, for a pass of intake over any file."""


@kind("intake: a file of 5 GB", 1, "hours")
def large_file(bench: Bench, rng: random.Random) -> Outcome:
    """5 GB of readings, each of its own time, and a kill on the way; all are there, and memory of the pass is bounded."""
    place, outcome = _place(bench), Outcome()
    rows = write_large(place.drop / "Readings.E2E.20250120.0000.csv", 5 << 30)
    job = bench.warm.start("intake", environment=place.environment)
    time.sleep(rng.uniform(10, 120))
    job.kill()
    outcome.hit = True
    answer = bench.finish(bench.warm.start("intake", environment=place.environment), 4 * 3600)
    if answer is None or "error" in answer:
        outcome.stuck += 1
        outcome.say(str(answer))
        return outcome
    memory_mb = answer["done"]["memory_mb"]
    outcome.where = f"{rows} rows, {memory_mb:.0f} MB of memory"
    if memory_mb > LARGEST_MB:
        outcome.stuck += 1
        outcome.say(f"the pass took more than {LARGEST_MB} MB of memory")
    with closing(psycopg2.connect(place.address.uri())) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM iot.rawdata")
        ((stored,),) = cursor.fetchall()
    outcome.lost += max(0, rows - stored)
    outcome.doubled += max(0, stored - rows)
    return outcome


def write_large(path: Path, size: int) -> int:
    """Write readings of one module, a reading each 50 ms, until the file has a size; how many there are."""
    begin, rows = datetime(2025, 1, 1), 0
    padding = "1" * 200
    with path.open("w", buffering=1 << 24) as file:
        written = file.write("module_num,timestamp,V\n")
        while written < size:
            times = (begin + timedelta(milliseconds=50 * (rows + i)) for i in range(10_000))
            written += file.write(
                "".join(f"M,{moment.isoformat(timespec='milliseconds')}Z,0.{padding}\n" for moment in times)
            )
            rows += 10_000
    old = time.time() - 60
    os.utime(path, (old, old))
    return rows
