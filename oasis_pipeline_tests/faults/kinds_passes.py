"""Faults that strike a pass: its process, its connections, its server.

Here: kills, cuts and restarts, of intake and of making. Not here: disks and clocks (``kinds_machine``), files that change
(``kinds_files``).
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import closing, suppress
from typing import Any

import psycopg2

from oasis_pipeline_tests.faults.bench import Bench, Outcome, Place, StuckError
from oasis_pipeline_tests.faults.kinds import for_hours, kind
from oasis_pipeline_tests.faults.loads import INTAKE_LOADS
from oasis_pipeline_tests.faults.warm import Job


def choose(rng: random.Random, work: str) -> tuple[str, str]:
    """Draw what a pass has to do: (work, load)."""
    if work == "intake":
        return work, rng.choice(list(INTAKE_LOADS))
    drawn = rng.random()
    if drawn < 0.05 and for_hours():
        return work, "day with labels"
    return work, "day" if drawn < 0.12 else "readings"


def killed_at_a_point(bench: Bench, rng: random.Random, work: str) -> Outcome:
    """SIGKILL of the process at a statement or a file operation."""
    work, load = choose(rng, work)
    points = bench.undisturbed(work, load).points
    place, outcome = bench.place(work, load), Outcome()
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        point = rng.randrange(points)
        answer = bench.finish(bench.warm.start(work, environment=place.environment, kill_at=point))
        if answer is None:
            outcome.hit = True
            outcome.where += f" {load} point {point}/{points}"
    return bench.judge(place, outcome)


def struck_at_a_time(bench: Bench, rng: random.Random, work: str, strike: Any) -> Outcome:
    """Let something happen to a pass at some time; the fault may end it or not."""
    work, load = choose(rng, work)
    seconds = bench.undisturbed(work, load).seconds
    place, outcome = bench.place(work, load), Outcome()
    job = bench.warm.start(work, environment=place.environment)
    at = rng.uniform(0, seconds)
    time.sleep(at)
    struck = strike(bench, job, place)
    try:
        answer = bench.finish(job)
    except StuckError as error:
        outcome.stuck += 1
        outcome.say(str(error))
        answer = None
    # a pass that had ended, or went on without noticing, was not hit
    told = bench.told(place, answer)
    outcome.hit = bool(struck) and bool(told)
    outcome.where = f"{load} at {at:.2f} of {seconds:.1f} s: {told or 'went on'}"
    bench.revive()
    return bench.judge(place, outcome)


def kill_group(bench: Bench, job: Job, place: Place) -> bool:
    job.kill()
    return True


def terminate_connections(bench: Bench, job: Job, place: Place) -> bool:
    """End the connections of the pass, three times within a second, as a failing network would."""
    struck = 0
    for _ in range(3):
        with closing(psycopg2.connect(bench.server.uri())) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'oasis'"
                " AND backend_type = 'client backend'"
            )
            struck += cursor.fetchone()[0]  # type: ignore[index]
        time.sleep(0.2)
    return struck > 0


def kill_backend(bench: Bench, job: Job, place: Place) -> bool:
    """SIGKILL of one server process; the server ends all others and recovers."""
    found = bench.backends(job.pid)
    with suppress(ProcessLookupError, IndexError):
        os.kill(found[0], signal.SIGKILL)
        return True
    return False


def kill_postmaster(bench: Bench, job: Job, place: Place) -> bool:
    os.kill(bench.postmaster(), signal.SIGKILL)
    time.sleep(0.1)
    return True


def restart_server(bench: Bench, job: Job, place: Place) -> bool:
    """Restart of the server, with all transactions rolled back."""
    from oasis_pipeline.storage import embedded

    embedded.stop(bench.data)
    bench.revive()
    return True


_STRIKES = {
    "killed at some time": (kill_group, 10, 3),
    "connections cut": (terminate_connections, 10, 3),
    "backend killed": (kill_backend, 5, 1),
    "postmaster killed": (kill_postmaster, 5, 1),
    "server restarted": (restart_server, 5, 1),
}
"""What happens, and its shares among the trials of intake and of making; a trial of making costs five times as much."""


def _register() -> None:
    for place, (work, name, points, passes) in enumerate(
        (("intake", "intake", 24, 8), ("whole", "making", 6, 2))
    ):
        kind(f"{name}: killed at a point", points)(
            lambda bench, rng, work=work: killed_at_a_point(bench, rng, work)
        )
        for what, (strike, *shares) in _STRIKES.items():
            kind(f"{name}: {what}", shares[place])(
                lambda bench, rng, work=work, strike=strike: struck_at_a_time(bench, rng, work, strike)
            )
        kind(f"{name}: two passes at once", passes)(
            lambda bench, rng, work=work: two_passes(bench, rng, work)
        )


def two_passes(bench: Bench, rng: random.Random, work: str) -> Outcome:
    """Two passes of one installation, one of which may be killed."""
    work, load = choose(rng, work)
    seconds = bench.undisturbed(work, load).seconds
    place, outcome = bench.place(work, load), Outcome()
    jobs = [bench.warm.start(work, environment=place.environment)]
    time.sleep(rng.uniform(0, seconds / 2))
    jobs.append(bench.warm.start(work, environment=place.environment))
    victim = rng.choice((None, 0, 1))
    if victim is not None:
        time.sleep(rng.uniform(0, seconds))
        jobs[victim].kill()
    answers = []
    for number, job in enumerate(jobs):
        try:
            answers.append(bench.finish(job))
        except StuckError as error:
            outcome.stuck += 1
            outcome.say(f"pass {number}: {error}")
            answers.append(None)
    outcome.hit = True
    outcome.where = f"{load}, {'none' if victim is None else 'one'} killed"
    for number, answer in enumerate(answers):
        if answer is not None and "error" in answer:
            outcome.stuck += 1
            outcome.say(f"pass {number} failed beside the other: {answer['error']}")
    return bench.judge(place, outcome)


_register()
