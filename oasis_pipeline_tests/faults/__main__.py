"""``make faults``: trials until the time is up, a line each, and a table.

``python -m oasis_pipeline_tests.faults --help`` says what can be chosen.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from oasis_pipeline_tests.faults import (  # noqa: F401 - they register their kinds
    kinds_files,
    kinds_machine,
    kinds_passes,
    kinds_platform,
    kinds_service,
)
from oasis_pipeline_tests.faults.bench import Bench, Outcome, Workshop, prepare_base
from oasis_pipeline_tests.faults.kinds import KINDS, Kind
from oasis_pipeline_tests.faults.report import Line, table


def main() -> int:
    """Run trials; 0 if nothing was lost, doubled or stuck."""
    arguments = _arguments()
    chosen, skipped = _kinds(arguments.kinds)
    for name, tools in skipped.items():
        print(f"skipped: {name}: this machine lacks {', '.join(tools)}", flush=True)
    if not chosen:
        sys.exit("no kind of trial is left")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    folder.chmod(0o755)
    workshop = Workshop(folder, arguments.base or folder / "base", _say)
    run = Run(arguments, chosen, workshop)
    try:
        prepare_base(workshop.base, _say)
        lines = run.run()
    except KeyboardInterrupt:
        # threads in the middle of a trial would go on for minutes
        print(table(run.lines, skipped, arguments.seed), flush=True)
        workshop.close()
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(130)
    finally:
        workshop.close()
        shutil.rmtree(folder, ignore_errors=True)
    text = table(lines, skipped, arguments.seed)
    print(text)
    if arguments.table:
        arguments.table.write_text(text)
    return 0 if all(line.outcome.good for line in lines) else 1


class Run:
    """All trials of one call."""

    def __init__(self, arguments: argparse.Namespace, chosen: list[Kind], workshop: Workshop) -> None:
        self.arguments = arguments
        self.chosen = chosen
        self.workshop = workshop
        self.guard = threading.Lock()
        self.number = 0
        self.lines: list[Line] = []
        self.end = 0.0
        self.stop = threading.Event()
        # a pack of cards and not dice: each kind comes as often as its share says
        self.pack = [kind for kind in chosen for _ in range(1 if arguments.each else kind.share)]
        random.Random(arguments.seed).shuffle(self.pack)

    def run(self) -> list[Line]:
        self.end = time.monotonic() + self.arguments.minutes * 60
        workers = 1 if self.arguments.trial is not None else self.arguments.workers
        pool = ThreadPoolExecutor(workers)
        futures = [pool.submit(self._work, number) for number in range(workers)]
        try:
            for future in futures:
                future.result()
        except BaseException:
            self.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return self.lines

    def _next(self) -> tuple[int, int, Kind] | None:
        with self.guard:
            if self.arguments.trial is not None:
                seed, self.number = self.arguments.trial, self.number + 1
                return (1, seed, self.chosen[0]) if self.number == 1 else None
            most = self.arguments.trials or self.arguments.each * len(self.chosen)
            if self.stop.is_set() or time.monotonic() > self.end or (most and self.number >= most):
                return None
            self.number += 1
            kind = self.pack[(self.number - 1) % len(self.pack)]
            return self.number, self.arguments.seed * 1_000_000 + self.number, kind

    def _work(self, worker: int) -> None:
        bench = self._bench(worker, 0)
        renewed = 0
        try:
            while (drawn := self._next()) is not None:
                number, seed, kind = drawn
                rng = random.Random(seed)
                began = time.monotonic()
                try:
                    outcome = kind.trial(bench, rng)
                    renew = False
                except Exception as error:
                    outcome = Outcome(stuck=1, note=f"{type(error).__name__}: {error}")
                    _say(traceback.format_exc())
                    # whatever it left behind must not meet the next trial
                    renew = True
                line = Line(number, seed, kind.name, outcome, time.monotonic() - began)
                with self.guard:
                    self.lines.append(line)
                _say(str(line))
                if not outcome.good:
                    _say(
                        f"      again: python -m oasis_pipeline_tests.faults --trial {seed} --kinds '{kind.name}'"
                    )
                if renew:
                    bench.close()
                    renewed += 1
                    bench = self._bench(worker, renewed)
        finally:
            bench.close()

    def _bench(self, worker: int, renewed: int) -> Bench:
        return Bench(self.workshop, f"{worker}-{renewed}")


_printing = threading.Lock()


def _say(text: str) -> None:
    with _printing:
        print(text, flush=True)


def _kinds(wanted: str) -> tuple[list[Kind], dict[str, list[str]]]:
    words = [word.strip() for word in wanted.split(",") if word.strip()]
    chosen = [kind for kind in KINDS.values() if not words or any(word in kind.name for word in words)]
    skipped = {kind.name: kind.lacking() for kind in chosen if kind.lacking()}
    return [kind for kind in chosen if kind.name not in skipped], skipped


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m oasis_pipeline_tests.faults", description=__doc__)
    minutes = float(os.environ.get("FAULTS_MINUTES") or 25)
    parser.add_argument(
        "--minutes", type=float, default=minutes, help="how long new trials are begun (FAULTS_MINUTES)"
    )
    parser.add_argument("--trials", type=int, default=0, help="at most so many")
    parser.add_argument("--seed", type=int, default=1, help="seed of the run")
    parser.add_argument(
        "--each", type=int, default=0, help="so many trials of each kind, instead of their shares"
    )
    parser.add_argument(
        "--trial", type=int, help="the seed of one trial as its line has it; --kinds with its kind"
    )
    parser.add_argument(
        "--kinds", default="", help="only kinds with one of these words in their names, by commas"
    )
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 4), help="trials at once")
    parser.add_argument("--table", type=Path, help="file for the table")
    parser.add_argument(
        "--base", type=Path, help="folder that keeps what all trials start from, for the next run"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
