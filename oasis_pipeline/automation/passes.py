"""One pass of the platform: take in the drop folder, then make everything that is stale, in order.

Here: the order of work of ``oasis run``, and the lock that keeps passes apart. Not here: what is stale (``staleness``), how it is made
(``materialize``), how a file is read (``intake``), and what is printed (``commands``). The graph is loaded when it is needed: a pass
that finds nothing to do ends before.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg2

from oasis_pipeline.automation.alerts import attend
from oasis_pipeline.automation.plan import Plan
from oasis_pipeline.automation.profile import INTAKE, Part, Profile
from oasis_pipeline.automation.settled import forget_settled, is_settled, note_settled
from oasis_pipeline.automation.summary import Advance, PassSummary
from oasis_pipeline.intake import take_in
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.installation import using_warehouse
from oasis_pipeline.storage.objects import open_store

if TYPE_CHECKING:
    import dagster as dg

_GRAPH = "oasis_pipeline.automation.materialize"


@contextmanager
def one_pass_at_a_time(address: Address, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of a pass; a second pass waits until the first has ended, or gets False without `wait`.

    The lock lives in the database, so that it holds across machines, and vanishes with the process that holds it.
    """
    connection = psycopg2.connect(address.uri())
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            function = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
            cursor.execute(f"select {function}(hashtextextended('oasis:pass', 0))")
            (held,) = cursor.fetchone() or (None,)
        yield held is not False
    finally:
        connection.close()


def run_pass(
    settings: Settings,
    *,
    advance: Advance = lambda what, done, total: None,
    profile: Profile | None = None,
) -> PassSummary:
    """Run one pass on an installation.

    Parameters
    ----------
    settings : Settings
        The installation.
    advance : callable
        Told what is being done, steps done and steps in all.
    profile : Profile, optional
        Gets the time of each part.

    Returns
    -------
    PassSummary
        With what could not be made: what is made from it waits, everything else is made.
    """
    with using_warehouse(settings) as warehouse, one_pass_at_a_time(warehouse.address):
        store = open_store(settings)
        warm = _WarmUp(settings, warehouse.address, profile)
        began, clock = time.monotonic(), time.time()
        report = take_in(
            warehouse,
            store,
            settings,
            progress=lambda done, total, _: advance("taking in files", done, total),
            on_wait=lambda names, seconds: advance(_waiting(names, seconds), 0, 1),
        )
        summary = PassSummary(report)
        instance = warm.wait()
        summary.seconds["intake"] = time.monotonic() - began
        if profile is not None and report.files:
            rows = sum(file.rows for file in report.files)
            profile.parts.append(Part(INTAKE, (clock, clock + summary.seconds["intake"]), rows))
        began = time.monotonic()
        plan: Plan | None = Plan()
        # once the graph is loaded, it is asked itself
        if report.changed or report.files or _GRAPH in sys.modules or not is_settled(warehouse, settings):
            from oasis_pipeline.automation.materialize import make_stale

            forget_settled(settings)
            try:
                make_stale(settings, warehouse, summary, advance=advance, profile=profile, instance=instance)
            finally:
                if instance is not None:
                    instance.dispose()
            plan = None
            if not (summary.failures or summary.waiting or summary.faulty_files):
                note_settled(warehouse, settings)
        summary.seconds["making"] = time.monotonic() - began
        summary.alerts = attend(warehouse, settings, plan=plan)
        summary.notes += summary.alerts.faults
        return summary


class _WarmUp:
    """The graph and Dagster's instance, loaded beside intake if there is something to take in: imports, dbt's parsing and tables take seconds."""

    def __init__(self, settings: Settings, address: Address, profile: Profile | None) -> None:
        self._settings, self._address, self._profile = settings, address, profile
        self._instance: dg.DagsterInstance | None = None
        waiting = settings.drop.is_dir() and any(settings.drop.iterdir())
        self._thread = threading.Thread(target=self._load, name="warm-up", daemon=True) if waiting else None
        if self._thread is not None:
            self._thread.start()

    def _load(self) -> None:
        began = time.monotonic()
        # what goes wrong here goes wrong again where it is needed, and is told there
        with suppress(Exception):
            from oasis_pipeline.assets.dbt import prepare
            from oasis_pipeline.automation import materialize  # noqa: F401 - the graph, whose imports take seconds
            from oasis_pipeline.automation.instance import open_instance

            self._instance = open_instance(self._settings, self._address)
            prepare(self._settings)
        if self._profile is not None:
            self._profile.load_s += time.monotonic() - began

    def wait(self) -> dg.DagsterInstance | None:
        """Wait for what is loaded; None where nothing was."""
        if self._thread is not None:
            self._thread.join()
        return self._instance


def _waiting(names: list[str], seconds: float) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"waiting up to {seconds:.0f} s for {names[0]}{more} to settle"
