"""Analysis: what the data of the field, or of one well, are like in any period, as a page and as a file.

Here: what the address asks for. Not here: what is read and told (``operations.analysis_report``), which the asset of the same name shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict

from oasis_pipeline.learning.weak_labels import RuleFileError, Rules, read_vendor_rules
from oasis_pipeline.operations.analysis_facts import Scope, find_well, held_days, scope_of
from oasis_pipeline.operations.analysis_report import (
    FIELD_REPORT_VERSION,
    Report,
    kept_field_report,
    make_report,
)
from oasis_pipeline.plotting.analysis import title_of
from oasis_pipeline.service.pages.made_reports import MadeReports
from oasis_pipeline.service.pages.shared import PageError, page, render_page
from oasis_pipeline.service.warehouse import installation, reading
from oasis_pipeline.storage.objects import open_store
from oasis_pipeline.storage.postgres import Transaction

LONGEST_NAME = 200
PATIENCE = 0.15
"""Seconds that a request waits for a report; one that takes longer is shown by the page when it comes again."""

_SHORTCUTS = (7, 30, 90, 365)


@dataclass(frozen=True)
class Wanted:
    """What the address asks for.

    Attributes
    ----------
    first, last : date or None
        Both included; None: the newest days.
    well : str
        As it was written; empty: the field.
    as_file : bool
        A file that needs nothing else, not a page.
    """

    first: date | None = None
    last: date | None = None
    well: str = ""
    as_file: bool = False

    @property
    def usual(self) -> bool:
        """Whether it asks for nothing in particular."""
        return self.first is None and self.last is None and not self.well and not self.as_file


def read_address(given: QueryDict) -> Wanted:
    """Read what the address asks for.

    Raises
    ------
    PageError
        400 for a day that is none.
    """

    def day(name: str) -> date | None:
        text = given.get(name, "").strip()
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            raise PageError(
                400,
                "No such day",
                f"{name} is {text[:40]!r}, which is not a valid day: write it as 2025-03-31.",
            ) from None

    well = given.get("well", "").strip()
    if len(well) > LONGEST_NAME:
        raise PageError(400, "No such well", f"A well's name has at most {LONGEST_NAME} characters.")
    return Wanted(day("from"), day("to"), well, given.get("format") == "html")


@page("tables")
def show(request: HttpRequest) -> HttpResponseBase:
    """Show the report of a period, or (``format=html``) send it as a file."""
    wanted = read_address(request.GET)
    rules = _rules()
    with reading() as tx:
        held = held_days(tx)
        if held is None:
            if wanted.as_file:
                raise PageError(404, "Nothing to report yet", "No cards have arrived.")
            return render_page(request, "pages/analysis.html", {"title": "Analysis"})
        scope = _scope(tx, wanted, held)
        kept = kept_field_report(_store()) if wanted.usual else None
        # a period that has ended may still get late cards
        newest = _newest(tx)
    report = None
    if kept is not None:
        scope = kept.scope
    else:
        name = (scope, FIELD_REPORT_VERSION, newest, sorted(rules.items()))
        report = _reports().get(name, lambda: _made(scope, rules), PATIENCE)
        if report is not None and wanted.as_file:
            return _file(report)
    shown = kept or report
    answer = render_page(
        request,
        "pages/analysis.html",
        {
            "title": "Analysis",
            "heading": title_of(scope),
            "scope": scope,
            "held": held,
            "body": shown.body if shown else None,
            "made": kept.made if kept else None,
            "well": scope.node or "",
            "file": scope.address + "&format=html",
            "shortcuts": _shortcuts(scope, held),
        },
        200 if shown else 202,
    )
    if not shown:
        # browsers come again by this, without scripts as well; programs read the other one
        answer.headers["Refresh"] = answer.headers["Retry-After"] = "1"
    return answer


@lru_cache(maxsize=1)
def _reports() -> MadeReports[Report]:
    return MadeReports(installation().home / "service" / "reports")


def _made(scope: Scope, rules: Rules) -> Report:
    with reading() as tx:
        return make_report(tx, scope, rules)


def _store() -> Any:
    return open_store(installation())


def _rules() -> Rules:
    try:
        return read_vendor_rules(installation().home)
    except RuleFileError as error:
        raise PageError(409, "That can't be shown", str(error)) from None


def _scope(tx: Transaction, wanted: Wanted, held: tuple[date, date]) -> Scope:
    node = find_well(tx, wanted.well) if wanted.well else None
    if wanted.well and node is None:
        raise PageError(
            404,
            "No such well",
            f"No well is called {wanted.well[:80]!r}. The first page lists all wells and searches among them.",
        )
    try:
        return scope_of(held, wanted.first, wanted.last, node)
    except ValueError as error:
        raise PageError(400, "No such period", f"{str(error).capitalize()}.") from None


_NEWEST = "select (select max(changed_tick) from oasis.asset_state) as tick, (select max(arrival) from oasis.file) as file"


def _newest(tx: Transaction) -> tuple[int | None, int | None]:
    """Newest change in the warehouse and newest file: what was made before them is not shown after them."""
    found = tx.query(_NEWEST).to_pylist()[0]
    return found["tick"], found["file"]


def _file(report: Report) -> HttpResponse:
    answer = HttpResponse(report.document, content_type="text/html; charset=utf-8")
    # the name holds nothing of the well's, which may hold anything
    name = f"analysis_{report.scope.first}_{report.scope.last}.html"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _shortcuts(scope: Scope, held: tuple[date, date]) -> list[tuple[str, str, bool]]:
    """Periods that end with the newest day: words, address, whether it is the one that is shown."""
    days = (held[1] - held[0]).days + 1
    found = []
    for count in (*(each for each in _SHORTCUTS if each < days), days):
        other = Scope(held[1] - timedelta(days=count - 1), held[1], scope.node)
        found.append((f"{count} days" if count < days else "all", other.address, other == scope))
    return found
