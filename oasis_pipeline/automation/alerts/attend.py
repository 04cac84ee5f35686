"""One look at everything, and one round of sending: what the sensor, ``oasis run`` and ``oasis alerts`` do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from oasis_pipeline.automation.alerts.rules import AlertError, Rules, load_rules
from oasis_pipeline.schema.system_tables import FIGURE
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.postgres import Transaction, Warehouse

if TYPE_CHECKING:
    from oasis_pipeline.automation.plan import Plan

STALE = "stale_partitions"
"""Name in ``oasis.figure`` of the stale partitions of each asset."""

FRESH = timedelta(minutes=5)
"""Figures that have not changed are written again after so long, so that their time says that they are still looked at."""


@dataclass
class AlertsReport:
    """What one round did.

    Attributes
    ----------
    opened, resolved : list of str
        Titles of alerts that began, and that are over.
    open : int
        Alerts that are open now.
    sent : int
        Messages that were taken.
    faults : list of str
        What could not be looked at, or sent, and why.
    """

    opened: list[str] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    open: int = 0
    sent: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{self.open} alert{' is' if self.open == 1 else 's are'} open"]
        parts += [f"{len(self.opened)} new"] * bool(self.opened)
        parts += [f"{len(self.resolved)} over"] * bool(self.resolved)
        parts += [f"{self.sent} message{'s' * (self.sent != 1)} sent"] * bool(self.sent)
        return "; ".join([", ".join(parts), *self.faults])


def attend(
    warehouse: Warehouse, settings: Settings, *, plan: Plan | None = None, now: datetime | None = None
) -> AlertsReport:
    """Look at everything, note what is new and what is over, and send what is due. Run twice it tells nothing twice.

    Parameters
    ----------
    warehouse : Warehouse
    settings : Settings
    plan : Plan, optional
        What is stale; looked up if absent.
    now : datetime, optional
        With a zone; the clock's by default.

    Returns
    -------
    AlertsReport
        A fault of the file is one of its faults: nothing is sent then, and the book is kept with the default limits.
    """
    from oasis_pipeline.automation.alerts.book import settle
    from oasis_pipeline.automation.alerts.sending import send_due
    from oasis_pipeline.automation.alerts.signals import Sight, look, stale_counts

    now = now or datetime.now(UTC)
    report = AlertsReport()
    usable = True
    try:
        rules = load_rules(settings.home)
    except AlertError as error:
        report.faults.append(str(error))
        rules, usable = Rules(), False
    if plan is None:
        from oasis_pipeline.automation.staleness import current_plan

        plan = current_plan(warehouse)
    looked = look(Sight(settings, warehouse, rules.limits, plan, now))
    report.faults += looked.faults
    with warehouse.transaction() as tx:
        settled = settle(tx, looked.signals, looked.kinds, rules, settings.zone, now)
        _keep_figures(tx, STALE, stale_counts(plan), now)
    report.opened, report.resolved, report.open = settled.opened, settled.resolved, settled.open
    if usable:
        sent = send_due(warehouse, rules, now)
        report.sent = sent.messages
        report.faults += [f"{name} could not be told: {why}" for name, why in sent.failed.items()]
    return report


def _keep_figures(tx: Transaction, name: str, values: Mapping[str, int], now: datetime) -> None:
    """Keep figures that `/metrics` could not work out in a moment; the same ones are not written again at once."""
    wanted = {"": float(sum(values.values())), **{label: float(value) for label, value in values.items()}}
    kept = tx.query(f"SELECT label, value, at FROM {FIGURE.full_name} WHERE name = $1", (name,)).to_pylist()
    fresh = all(abs(now - row["at"]) < FRESH for row in kept)
    if fresh and {row["label"]: row["value"] for row in kept} == wanted:
        return
    tx.execute(f"DELETE FROM {FIGURE.full_name} WHERE name = $1", (name,))
    tx.execute(
        f"INSERT INTO {FIGURE.full_name} (name, label, value, at) SELECT $1, label, value, $4::timestamptz"
        " FROM unnest($2::text[], $3::float8[]) AS given (label, value)",
        (name, list(wanted), list(wanted.values()), now),
    )
