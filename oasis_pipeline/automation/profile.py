"""What a pass spends its time on, asset by asset.

Here: `Profile`, which ``oasis run --profile`` hands to the pass, and its table. Not here: the pass (``passes``).

Each step of a Dagster run has a begin and an end. What lies between them is divided by what the process was seen to wait for:
calls of the database, and Numba's compiler. The rest is the asset's own code, and what a run takes besides its steps is Dagster's. Beside it
stands how many cores the process kept busy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_pipeline.storage.postgres import watching_calls

if TYPE_CHECKING:
    import dagster as dg

Span = tuple[float, float]


@dataclass
class Part:
    """One step of a run, or intake.

    Attributes
    ----------
    name : str
        Assets of the step.
    span : tuple of float
        Begin and end, seconds since 1970.
    rows : int or None
        Rows of its partitions afterwards, or rows of the files taken in; None where the number is unknown.
    """

    name: str
    span: Span
    rows: int | None


@dataclass
class Profile:
    """Time of a pass by asset; use it as a context around the pass.

    Attributes
    ----------
    parts : list of Part
    run_s : float
        Time of all Dagster runs.
    load_s : float
        Time in which the graph was loaded, beside intake or in its turn.
    """

    parts: list[Part] = field(default_factory=list)
    run_s: float = 0.0
    load_s: float = 0.0
    _database: list[Span] = field(default_factory=list)
    _compiler: list[Span] = field(default_factory=list)
    _processor: list[Span] = field(default_factory=list)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Profile:
        """Begin to watch."""
        self._database = self._open.enter_context(watching_calls())
        self._compiler = self._open.enter_context(_watching_compiler())
        self._processor = self._open.enter_context(_watching_processor())
        return self

    def __exit__(self, *error: object) -> None:
        """Stop watching."""
        self._open.close()

    def note_run(
        self, instance: dg.DagsterInstance, run_id: str, seconds: float, rows: dict[str, int]
    ) -> None:
        """Keep the steps of a run that has ended.

        Parameters
        ----------
        instance : DagsterInstance
        run_id : str
        seconds : float
            Length of the whole run.
        rows : dict of str to int
            Step -> rows of its assets in the partitions of the run.
        """
        import dagster as dg

        self.run_s += seconds
        begun: dict[str, float] = {}
        for entry in instance.all_logs(run_id):
            event = entry.dagster_event
            if event is None or event.step_key is None:
                continue
            if event.event_type == dg.DagsterEventType.STEP_START:
                begun[event.step_key] = entry.timestamp
            elif event.is_step_success or event.is_step_failure:
                span = (begun.get(event.step_key, entry.timestamp), entry.timestamp)
                self.parts.append(Part(event.step_key, span, rows.get(event.step_key)))

    def rows(self) -> list[dict[str, Any]]:
        """Tell the parts, the longest first, those of one name together.

        Returns
        -------
        list of dict
            ``part``, ``seconds``, ``rows``, ``rows_per_s``, ``database_s``, ``compiling_s``, ``own_code_s``, ``cores``; then Dagster's share
            and loading.
        """
        parts: dict[str, list[Part]] = {}
        for part in self.parts:
            parts.setdefault(part.name, []).append(part)
        told: list[dict[str, Any]] = []
        for name, mine in parts.items():
            spans = [part.span for part in mine]
            seconds = sum(end - begin for begin, end in spans)
            database, compiling = (
                sum(_overlap(union, span) for span in spans)
                for union in (_union(self._database), _union(self._compiler))
            )
            counts = [part.rows for part in mine if part.rows is not None]
            told.append(
                {
                    "part": name,
                    "seconds": round(seconds, 2),
                    "rows": sum(counts) if counts else None,
                    "rows_per_s": round(sum(counts) / seconds) if counts and seconds > 0.0 else None,
                    "database_s": round(database, 2),
                    "compiling_s": round(compiling, 2),
                    "own_code_s": round(max(seconds - database - compiling, 0.0), 2),
                    "cores": self._cores(spans),
                }
            )
        told.sort(key=lambda row: -row["seconds"])
        steps = sum(
            end - begin
            for name, mine in parts.items()
            if name != INTAKE
            for begin, end in (p.span for p in mine)
        )
        for name, seconds in ((DAGSTER, self.run_s - steps), (LOADING, self.load_s)):
            told.append(
                {"part": name, "seconds": round(max(seconds, 0.0), 2)}
                | dict.fromkeys(("rows", "rows_per_s", "database_s", "compiling_s", "own_code_s", "cores"))
            )
        return told

    def _cores(self, spans: Sequence[Span]) -> float | None:
        """Cores that the process kept busy over some spans; None where they are too short to tell."""
        seconds = sum(end - begin for begin, end in spans)
        if seconds < 10 * _SAMPLE_S or not self._processor:
            return None
        moments, used = np.array(self._processor).T
        begins, ends = np.array(spans).T
        busy = np.interp(ends, moments, used) - np.interp(begins, moments, used)
        return round(float(busy.sum()) / seconds, 2)


_SAMPLE_S = 0.1

INTAKE = "intake"
DAGSTER = "Dagster, around the steps"
LOADING = "loading the graph (imports, dbt)"


def _union(spans: Iterable[Span]) -> list[Span]:
    """Spans that do not overlap: calls of several threads at once are one wait."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def _overlap(spans: Sequence[Span], within: Span) -> float:
    return sum(max(min(end, within[1]) - max(begin, within[0]), 0.0) for begin, end in spans)


@contextmanager
def _watching_processor() -> Iterator[list[Span]]:
    """Collect moments with the processor time that the process had used by then."""
    found: list[Span] = []
    done = threading.Event()

    def watch() -> None:
        while True:
            found.append((time.time(), time.process_time()))
            if done.wait(_SAMPLE_S):
                return

    thread = threading.Thread(target=watch, name="profile", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


@contextmanager
def _watching_compiler() -> Iterator[list[Span]]:
    """Collect when Numba compiled; code that it finds in its cache is not compiled."""
    from numba.core import event

    found: list[Span] = []

    class Listener(event.Listener):
        def __init__(self) -> None:
            self.begun = threading.local()

        def on_start(self, _: Any) -> None:
            stack = self.begun.__dict__.setdefault("stack", [])
            stack.append(time.time())

        def on_end(self, _: Any) -> None:
            found.append((self.begun.stack.pop(), time.time()))

    with event.install_listener("numba:compile", Listener()):
        yield found
