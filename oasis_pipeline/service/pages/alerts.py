"""Alerts on the platform and its wells: what is open, what was, and messages that could not be sent.

Here: the page. Not here: what there are alerts of, and sending (``automation.alerts``).
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase

from oasis_pipeline.automation.alerts.book import list_alerts, list_unsent
from oasis_pipeline.automation.alerts.rules import AlertError, load_rules
from oasis_pipeline.service.pages.shared import page, render_page
from oasis_pipeline.service.warehouse import installation, reading

LIMIT = 200


@page("tables")
def show(request: HttpRequest) -> HttpResponseBase:
    """List alerts."""
    trouble, receivers = None, 0
    try:
        receivers = len(load_rules(installation().home).to)
    except AlertError as error:
        trouble = str(error)
    with reading() as tx:
        rows = list_alerts(tx, limit=LIMIT)
        unsent = list_unsent(tx, limit=LIMIT)
    badges = {"failure": "bad", "warning": "warn", "info": ""}
    rows = [{**row, "badge": badges.get(row["level"], "")} for row in rows]
    context = {
        "title": "Alerts",
        "open": [row for row in rows if row["state"] == "open"],
        "over": [row for row in rows if row["state"] != "open"],
        "failed": [row for row in unsent if row["error"]],
        "waiting": [row for row in unsent if not row["error"]],
        "trouble": trouble,
        "receivers": receivers,
    }
    return render_page(request, "pages/alerts.html", context)
