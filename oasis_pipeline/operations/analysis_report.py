"""The report of a field's data put together, and where that of the newest days is kept.

Here: from a scope to HTML; the same for the asset (``analysis``) and the web page (``service.pages.analysis``). Imports no Dagster.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

from oasis_pipeline.learning.weak_labels import Rules
from oasis_pipeline.operations.analysis_facts import GAP_HOURS, MEASURED, Readable, Scope, report_facts
from oasis_pipeline.plotting.analysis import render_body, render_document, title_of
from oasis_pipeline.storage.objects import ObjectStore

FIELD_REPORT_VERSION = "2"
"""Raise it when the same data are told otherwise."""

FOLDER = "analysis/field_report"
FIELD_FILE = f"{FOLDER}/field.html"
"""The report of the newest days of the field, a file that stands by itself."""

_FIELD_PAGE = f"{FOLDER}/field.page.html"
"""The same as the part of a web page, after a line that says what it is."""


@dataclass(frozen=True)
class Report:
    """A report that was made.

    Attributes
    ----------
    scope : Scope
    body : str
        Part of a web page, in which wells lead to their pages.
    document : str
        A file that needs nothing else.
    summary : str
        A few lines of Markdown.
    """

    scope: Scope
    body: str
    document: str
    summary: str

    @property
    def path(self) -> str:
        """Where the file of a scope is kept in the object store."""
        period = f"{self.scope.first}_{self.scope.last}"
        if self.scope.node is None:
            return f"{FOLDER}/{period}.html"
        # names of wells hold what names of objects may not
        return f"{FOLDER}/well-{sha256(self.scope.node.encode()).hexdigest()[:16]}_{period}.html"


def make_report(warehouse: Readable, scope: Scope, rules: Rules) -> Report:
    """Read, count and put together the report of a scope.

    Parameters
    ----------
    warehouse : Warehouse or Transaction
    scope : Scope
    rules : Rules
        What the vendor's texts say in the words of our classes.

    Returns
    -------
    Report
    """
    facts = report_facts(warehouse, scope, rules)
    body, plain = (render_body(facts, MEASURED, GAP_HOURS, linked=linked) for linked in (True, False))
    footer = f"Written by OASIS Pipeline, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    return Report(scope, body, render_document(plain, title_of(scope), footer), _summary(facts))


def _summary(facts: dict[str, Any]) -> str:
    """The first things that somebody wants to know."""
    wells, scope, labels = facts["wells"], facts["scope"], facts["vendor"]["labels"]
    cards = sum(row["cards"] for row in wells)
    days = sum(row["days"] for row in wells)
    lines = [
        f"{cards:,} cards of {len(wells):,} {'well' if len(wells) == 1 else 'wells'} in {scope.days:,} {'day' if scope.days == 1 else 'days'}"
    ]
    if wells:
        lines.append(f"{100 * days / (len(wells) * scope.days):.0f} % of the well-days have cards")
    if facts["silent"]:
        lines.append(f"{len(facts['silent']):,} known wells without a card")
    if labels["compared"]:
        lines.append(
            f"vendor's class and ours agree on {100 * labels['same'] / labels['compared']:.0f} % of {labels['compared']:,} cards"
        )
    far = [row["ours"] for row in facts["vendor"]["quantities"] if row["far"]]
    if far:
        lines.append(f"far from the vendor's in the median: {', '.join(far)}")
    lines.append(f"{facts['outliers']['cards']:,} cards with an outlier")
    lines.append(f"{sum(row['failures'] for row in facts['failures']):,} failures began")
    lines.append(f"{sum(row['rows'] for row in facts['rejects']['reasons']):,} refused rows are kept")
    return "\n".join(f"- {line}" for line in lines)


def keep_field_report(store: ObjectStore, report: Report) -> None:
    """Keep the report of the newest days of the field, as a file and as the part of a web page."""
    told = {
        "version": FIELD_REPORT_VERSION,
        "first": report.scope.first.isoformat(),
        "last": report.scope.last.isoformat(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    store.put_bytes(FIELD_FILE, report.document.encode())
    store.put_bytes(_FIELD_PAGE, f"{json.dumps(told)}\n{report.body}".encode())


@dataclass(frozen=True)
class Kept:
    """The report of the newest days of the field as it was kept.

    Attributes
    ----------
    scope : Scope
    made : datetime
        UTC.
    body : str
        Part of a web page.
    """

    scope: Scope
    made: datetime
    body: str


def kept_field_report(store: ObjectStore) -> Kept | None:
    """Read the report that `keep_field_report` kept; None without one, or with one of another version.

    Parameters
    ----------
    store : ObjectStore

    Returns
    -------
    Kept or None
    """
    if not store.exists(_FIELD_PAGE):
        return None
    head, _, body = store.get_bytes(_FIELD_PAGE).decode().partition("\n")
    told = json.loads(head)
    if told["version"] != FIELD_REPORT_VERSION:
        return None
    scope = Scope(date.fromisoformat(told["first"]), date.fromisoformat(told["last"]))
    return Kept(scope, datetime.fromisoformat(told["made"]), body)
