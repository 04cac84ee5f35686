"""Alarms of failures to come: listed, filtered, acknowledged, dismissed with a reason, each with its history.

Here: the page. Not here: what a person may decide (``service.alarms``), filters and cursors (``query``), how alarms are raised
(``operations.alarms``).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect

from oasis_pipeline.operations.alarm_decisions import ALARM_STATES
from oasis_pipeline.service.access import asking
from oasis_pipeline.service.alarms import LONGEST_NOTE, decide_alarm
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.middleware import note
from oasis_pipeline.service.pages.cards import thumbnails
from oasis_pipeline.service.pages.shared import PageError, page, render_page
from oasis_pipeline.service.query import Query, parse
from oasis_pipeline.service.resources import table_resource
from oasis_pipeline.service.roles import allowed
from oasis_pipeline.service.warehouse import reading
from oasis_pipeline.storage.postgres import Transaction

LIMIT = 50
STANDING = "standing"
STATES = (STANDING, *ALARM_STATES, "all")
ORDERS = {"-RaisedAt": "newest first", "-Prob": "most probable first", "NodeID": "by well"}

_HISTORY = """
select * from analysis.alarm_decision where "AlarmID" = any($1::text[]) order by decided_at desc
"""
_NEWEST_CARD = """
select distinct on (s."NodeID") s."NodeID", s.last_card_at from clean.wellstatus as s
where s."NodeID" = any($1::text[]) and s.last_card_at is not null order by s."NodeID", s."Date" desc
"""
_TALLY = """
select "State" as state, count(*) as n from clean.alarm group by 1
"""
_CLASSES = 'select distinct "Class" as label from clean.alarm order by 1'


@page("alarm")
def show(request: HttpRequest) -> HttpResponseBase:
    """List alarms."""
    chosen = _chosen(request)
    filters = _filters(chosen)
    pages = [("limit", str(LIMIT)), *([("cursor", chosen["cursor"])] if chosen["cursor"] else [])]
    query = parse(table_resource("alarm"), [*filters, *pages])
    with reading() as tx:
        found = tx.query(query.sql(limit=LIMIT + 1)).to_pylist()
        rows = _complete(tx, found[:LIMIT])
        tally = {row["state"]: row["n"] for row in tx.query(_TALLY).to_pylist()}
        classes = tx.query(_CLASSES)["label"].to_pylist()
        forecasts = tx.query("select exists (select from clean.xpred) as there")["there"][0].as_py()
    kept = {name: value for name, value in chosen.items() if value and name != "cursor"}
    return render_page(
        request,
        "pages/alarms.html",
        {
            "title": "Alarms",
            "rows": rows,
            "chosen": chosen,
            "states": [(state, _count(state, tally)) for state in STATES],
            "classes": classes,
            "orders": list(ORDERS.items()),
            "next": _next(query, found, kept),
            "csv": f"/api/alarm/?{urlencode([*filters, ('format', 'csv')])}",
            "here_path": request.get_full_path(),
            "forecasts": forecasts,
            "any_alarm": bool(tally),
            "may_decide": allowed(asking(request).roles, "alarm", "POST"),
        },
    )


def _chosen(request: HttpRequest) -> dict[str, str]:
    """Parameters of the page, each with its default."""
    defaults = {"state": STANDING, "class": "", "q": "", "order": "-RaisedAt", "cursor": ""}
    chosen = {name: request.GET.get(name, value).strip() for name, value in defaults.items()}
    if chosen["state"] not in STATES or chosen["order"] not in ORDERS:
        told = f"state is one of {', '.join(STATES)}; order one of {', '.join(ORDERS)}"
        raise PageError(400, "That can't be shown", told)
    return chosen


def _filters(chosen: dict[str, str]) -> list[tuple[str, str]]:
    """The page's choice as parameters of the API."""
    filters = [("order_by", chosen["order"])]
    if chosen["state"] == STANDING:
        filters.append(("State__in", "(open,acknowledged)"))
    elif chosen["state"] != "all":
        filters.append(("State", chosen["state"]))
    if chosen["class"]:
        filters.append(("Class", chosen["class"]))
    if chosen["q"]:
        filters.append(("NodeID__contains", chosen["q"]))
    return filters


def _count(state: str, tally: dict[str, int]) -> int:
    if state == STANDING:
        return tally.get("open", 0) + tally.get("acknowledged", 0)
    return sum(tally.values()) if state == "all" else tally.get(state, 0)


def _next(query: Query, found: list[dict[str, Any]], kept: dict[str, str]) -> str | None:
    if len(found) <= LIMIT:
        return None
    return "?" + urlencode({**kept, "cursor": query.cursor_after(found[LIMIT - 1])})


def _complete(tx: Transaction, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to alarms the newest card of their wells and what people said of them."""
    nodes = sorted({row["NodeID"] for row in rows})
    newest = {row["NodeID"]: row["last_card_at"] for row in tx.query(_NEWEST_CARD, (nodes,)).to_pylist()}
    drawn = thumbnails(tx, list(newest.items()))
    cards = {node: svg for (node, _), svg in drawn.items()}
    said: dict[str, list[dict[str, Any]]] = {}
    for decision in tx.query(_HISTORY, ([row["AlarmID"] for row in rows],)).to_pylist():
        said.setdefault(decision["AlarmID"], []).append(decision)
    return [
        {
            **row,
            "card": cards.get(row["NodeID"], ""),
            "said": said.get(row["AlarmID"], []),
            "stands": row["State"] in ("open", "acknowledged"),
        }
        for row in rows
    ]


@page("alarm")
def decide(request: HttpRequest) -> HttpResponseBase:
    """Acknowledge or dismiss an alarm by the form of its row; with htmx the row is answered, else the list."""
    if request.method != "POST":
        raise PageError(
            405, "Not by a link", "alarms are acknowledged and dismissed by the buttons of their rows"
        )
    alarm_id, decision = request.POST.get("AlarmID", ""), request.POST.get("decision", "")
    said = request.POST.get("note", "").strip() or None
    if decision not in ("acknowledged", "dismissed") or "\x00" in alarm_id + (said or ""):
        raise PageError(
            400, "That can't be done", "decision is acknowledged or dismissed, and no text has a NUL"
        )
    if len(said or "") > LONGEST_NOTE:
        raise PageError(400, "That can't be done", f"a note has at most {LONGEST_NOTE} characters")
    trouble = None
    try:
        decide_alarm(alarm_id, decision, asking(request).name, said)
    except ApiError as error:
        if "HX-Request" not in request.headers or error.status == 503:
            raise PageError(error.status, "That can't be done", error.reason) from None
        trouble = error.reason
    note(request, decision=decision)
    if "HX-Request" not in request.headers:
        then = request.POST.get("next", "")
        safe = then == "/alarms" or then.startswith("/alarms?")
        return HttpResponseRedirect(then if safe else "/alarms", status=303)
    return _row(request, alarm_id, trouble)


def _row(request: HttpRequest, alarm_id: str, trouble: str | None) -> HttpResponse:
    with reading() as tx:
        rows = _complete(
            tx, tx.query('select * from clean.alarm where "AlarmID" = $1', (alarm_id,)).to_pylist()
        )
    if not rows:
        raise PageError(404, "No such alarm", trouble or "there is no such alarm")
    return render_page(
        request,
        "pages/alarm_row.html",
        {"row": {**rows[0], "trouble": trouble}, "may_decide": True, "here_path": "/alarms"},
    )
