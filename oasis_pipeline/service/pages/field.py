"""The field: which well first, and why, with a picture of its newest card; or the classes of all wells day by day.

Here: what the address says, what is read of a day, and how a line is put together. Not here: filters and cursors themselves (``query``), what a line is
worth (``decisions``).

The list is a resource like those of the API: state, class, action and group are filters of it, the page after is found by the last row, and its csv
is the same statement without a limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, QueryDict

from oasis_pipeline.decisions import ACTIONS
from oasis_pipeline.decisions.states import WellState
from oasis_pipeline.plotting.svg import course_svg, days_svg, strip_svg
from oasis_pipeline.schema import quote, table
from oasis_pipeline.service.access import asking
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.pages import preferences
from oasis_pipeline.service.pages.cards import colours_of_classes, thumbnails
from oasis_pipeline.service.pages.shared import PageError, page, render_page
from oasis_pipeline.service.pages.tags import well_url
from oasis_pipeline.service.query import Field, Query, Resource, literal, parse
from oasis_pipeline.service.rows import everything
from oasis_pipeline.service.warehouse import reading
from oasis_pipeline.storage.postgres import Transaction

PAGE_WELLS = 50
"""Lines of a page of the list: with their cards some 300 kB."""

MAP_WELLS = 100
MAP_DAYS = 90
STRIP_DAYS = 30
RISKY_PCT = 15.0
_RISKY_FROM = RISKY_PCT - 0.5  # as it is shown, rounded: what reads 15 % counts
"""Probability of a failure within 15 days that is marked: that of alarms before a field has a threshold of its own."""
OVERLOADED_PCT = 100.0

_STATUS_COLUMNS = (
    "state", "state_since", "last_card_at", "data_age_h", "Label1", "Prob1", "Label2", "label_days", "oil_bpd", "attainable_oil_bpd",
    "lost_oil_lower_bpd", "lost_oil_upper_bpd", "production_bpd", "production_source", "failure_prob_15d", "failure_prob_change_7d",
    "likely_failure", "fillage_pct",
)  # fmt: skip
_LIST_COLUMNS = (
    "NodeID", "Date", "rank", "score", "lost_oil_bpd", "value_at_risk", "overload_pct", "gain_oil_bpd", "action", "reason",
)  # fmt: skip


def _list_resource() -> Resource:
    worklist, status = table("clean", "worklist"), table("clean", "wellstatus")
    fields = {}
    for source, alias, names in ((worklist, "w", _LIST_COLUMNS), (status, "s", _STATUS_COLUMNS)):
        for name in names:
            column = source.by_name[name]
            fields[name] = Field(
                name,
                column.type,
                f"{alias}.{quote(name)}",
                column.description,
                column.unit,
                column.required or name in source.key,
            )
    joined = f'{worklist.full_name} AS w JOIN {status.full_name} AS s ON s."NodeID" = w."NodeID" AND s."Date" = w."Date"'
    return Resource("worklist", joined, fields, ("NodeID", "Date"))


LIST = _list_resource()

SORTS: Mapping[str, tuple[str, bool]] = {
    "rank": ("rank", False),
    "well": ("NodeID", False),
    "since": ("state_since", True),
    "class": ("Label1", False),
    "lost": ("lost_oil_bpd", True),
    "gain": ("gain_oil_bpd", True),
    "risk": ("failure_prob_15d", True),
    "load": ("overload_pct", True),
    "score": ("score", True),
    "age": ("data_age_h", True),
}
"""Name in the address -> column, and whether the greatest comes first; a minus before the name turns it round."""

_FILTERS = {"state": "state", "class": "Label1", "action": "action"}
_NONE = "none"
"""In the address: wells without a class."""

_DAYS = """
select d.*, (select max("Date") from clean.worklist where "Date" < d.chosen) as before,
    (select min("Date") from clean.worklist where "Date" > d.chosen) as after
from (select max("Date") as newest, min("Date") as oldest,
    (select max("Date") from clean.worklist where "Date" <= $1::date) as chosen from clean.worklist) as d
"""

_COUNTS = """
select s.state, s."Label1" as label, w.action, count(*) as wells, sum(w.lost_oil_bpd) as lost, sum(w.gain_oil_bpd) as gain,
    count(*) filter (where w.overload_pct > $2) as overloaded, count(*) filter (where s.failure_prob_15d >= $3) as risky,
    max(s.last_card_at) as newest
from clean.worklist as w join clean.wellstatus as s on s."NodeID" = w."NodeID" and s."Date" = w."Date"
where w."Date" = $1::date group by 1, 2, 3
"""

_GROUPS = 'select "GroupName" as name, count(*) as wells from analysis.well_group group by 1 order by 1'

_COURSES = """
select s."NodeID" as node, s."Date" as day, s.failure_prob_15d as risk, d."Label1" as label
from clean.wellstatus as s left join clean.wellsummary as d on d."NodeID" = s."NodeID" and d."Date" = s."Date"
    and d."NodeID" = any($1::text[]) and d."Date" > $2::date
where s."NodeID" = any($1::text[]) and s."Date" > $2::date and s."Date" <= $3::date
"""

_CLASSES = """
select "NodeID" as node, "Date" as day, "Label1" as label from clean.wellsummary
where "NodeID" = any($1::text[]) and "Date" > $2::date and "Date" <= $3::date and "Label1" is not null
"""

_FAILURES = """
select "NodeID" as node, "Failure Start Date" as start, "Failure End Date" as stop from analysis.failure_info
where "NodeID" = any($1::text[]) and known_from < $2
"""

_ANYTHING = "select exists(select from xspoc.card) as cards, exists(select from oasis.file) as files"


@dataclass(frozen=True)
class Wanted:
    """What the address asks for.

    Attributes
    ----------
    state, label, action, group, search : str
        Empty: all.
    over, risky : bool
        Overloaded wells only; wells that are likelier than not to fail only.
    sort : str
        Key of `SORTS`, with a minus before it to turn it round.
    view : str
        ``list`` or ``map``.
    day : date or None
        None: the newest.
    cursor : str
    """

    state: str = ""
    label: str = ""
    action: str = ""
    group: str = ""
    search: str = ""
    over: bool = False
    risky: bool = False
    sort: str = "rank"
    view: str = "list"
    day: date | None = None
    cursor: str = ""

    def address(self, **other: Any) -> str:
        """The same with some parts changed; whatever is changed begins at the first page."""
        wanted = replace(self, **{"cursor": "", **other})
        named = {
            "q": wanted.search,
            "state": wanted.state,
            "class": wanted.label,
            "action": wanted.action,
            "group": wanted.group,
            "over": "1" if wanted.over else "",
            "risky": "1" if wanted.risky else "",
            "sort": "" if wanted.sort == "rank" else wanted.sort,
            "view": "" if wanted.view == "list" else wanted.view,
            "day": wanted.day.isoformat() if wanted.day else "",
            "cursor": wanted.cursor,
        }
        query = urlencode({name: value for name, value in named.items() if value})
        return f"/?{query}" if query else "/"

    @property
    def narrows(self) -> bool:
        """Whether it leaves any well out."""
        return any((self.state, self.label, self.action, self.group, self.search, self.over, self.risky))


def read_address(given: QueryDict) -> Wanted:
    """Read what the address asks for; what means nothing is left out, a day that is none is told.

    Raises
    ------
    PageError
        400.
    """

    def text(name: str) -> str:
        return str(given.get(name, "")).replace("\x00", "")[:200].strip()

    day = None
    if text("day"):
        try:
            day = date.fromisoformat(text("day"))
        except ValueError:
            raise PageError(
                400, "No such day", f"{text('day')} is not a valid date: write it as 2025-03-10."
            ) from None
    sort = text("sort")
    return Wanted(
        state=text("state"),
        label=text("class"),
        action=text("action"),
        group=text("group"),
        search=text("q"),
        over=text("over") == "1",
        risky=text("risky") == "1",
        sort=sort if sort.removeprefix("-") in SORTS else "rank",
        view="map" if text("view") == "map" else "list",
        day=day,
        cursor=str(given.get("cursor", "")),
    )


@page("tables")
def show(request: HttpRequest) -> HttpResponseBase:
    """Show the worklist of a day, or the classes of its wells day by day."""
    wanted = read_address(request.GET)
    who = asking(request)
    if _comes_from_here(request):
        preferences.write(who, "field", wanted.address(day=None, search="").partition("?")[2])
    elif not request.GET and (kept := preferences.read(who, "field")):
        return HttpResponseRedirect(f"/?{kept}")
    with reading() as tx:
        days = tx.query(_DAYS, (wanted.day or date.max,)).to_pylist()[0]
        if days["newest"] is None:
            there = tx.query(_ANYTHING).to_pylist()[0]
            return render_page(request, "pages/field.html", {"title": "Field", "nothing": there})
        if days["chosen"] is None or (wanted.day is not None and days["chosen"] != wanted.day):
            raise PageError(
                404,
                "No list of that day",
                f"There is no worklist of {wanted.day}: worklists exist from {days['oldest']} to {days['newest']}.",
            )
        query, more = _query(wanted, days["chosen"])
        if request.GET.get("format") == "csv":
            return everything(query, "csv", *more)
        counts = tx.query(_COUNTS, (days["chosen"], OVERLOADED_PCT, _RISKY_FROM)).to_pylist()
        groups = tx.query(_GROUPS).to_pylist()
        size = query.limit or 0
        rows = tx.query(query.sql(more=more, limit=size + 1)).to_pylist()
        after = query.cursor_after(rows[size - 1]) if len(rows) > size else ""
        rows = rows[:size]
        colours = _colours(row["label"] for row in counts)
        shown = (
            _map(tx, rows, days["chosen"], colours)
            if wanted.view == "map"
            else {"lines": _lines(tx, rows, days["chosen"], colours)}
        )
    context = {
        "title": "Field",
        "wanted": wanted,
        "days": days,
        "figures": _figures(wanted, counts),
        "choices": _choices(counts, groups),
        "heads": _heads(wanted),
        "next": wanted.address(cursor=after) if after else "",
        "first": wanted.address() if wanted.cursor else "",
        "export": wanted.address() + ("&" if "?" in wanted.address() else "?") + "format=csv",
        "list_address": wanted.address(view="list"),
        "map_address": wanted.address(view="map"),
        "clear": wanted.address(state="", label="", action="", group="", search="", over=False, risky=False),
        "before": wanted.address(day=days["before"]) if days["before"] else "",
        "after": wanted.address(day=days["after"]) if days["after"] else "",
        **shown,
    }
    answer = render_page(request, "pages/field.html", context)
    if "HX-Request" in request.headers and not wanted.cursor:
        answer.headers["HX-Push-Url"] = wanted.address()
    return answer


def _comes_from_here(request: HttpRequest) -> bool:
    """Whether somebody chose on the page itself, and did not follow a link that he was sent."""
    came = urlsplit(request.headers.get("Referer", ""))
    return came.path == "/" and bool(came.netloc == request.get_host())


def _query(wanted: Wanted, day: date) -> tuple[Query, list[str]]:
    """Query of the list, and conditions that are no plain filters."""
    name, down = SORTS[wanted.sort.removeprefix("-")]
    down ^= wanted.sort.startswith("-")
    given = [("Date", day.isoformat()), ("order_by", f"-{name}" if down else name)]
    given.append(("limit", str(MAP_WELLS if wanted.view == "map" else PAGE_WELLS)))
    for own, column in _FILTERS.items():
        value = wanted.label if own == "class" else getattr(wanted, own)
        if value and not (own == "class" and value == _NONE):
            given.append((column, value))
    if wanted.over:
        given.append(("overload_pct__gt", str(OVERLOADED_PCT)))
    if wanted.risky:
        given.append(("failure_prob_15d__gte", str(_RISKY_FROM)))
    if wanted.cursor:
        given.append(("cursor", wanted.cursor))
    more = []
    if wanted.label == _NONE:
        more.append('s."Label1" is null')
    if wanted.group:
        more.append(
            f'exists (select from analysis.well_group as g where g."NodeID" = w."NodeID" and g."GroupName" = {literal(wanted.group)})'
        )
    text = "lower(w.\"NodeID\" || ' ' || w.reason)"
    more += [f"position({literal(word)} in {text}) > 0" for word in wanted.search.lower().split()]
    try:
        return parse(LIST, given), more
    except ApiError as error:
        if wanted.cursor:
            raise PageError(
                400,
                "That page is gone",
                "The list was sorted or filtered otherwise: begin at its first page.",
            ) from error
        raise


def _colours(labels: Any) -> dict[str, str]:
    known = colours_of_classes()
    # a class that came a moment ago is grey until the colours are looked up again
    return {**{label: "var(--strong-line)" for label in labels if label}, **known}


def _figures(wanted: Wanted, counts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tiles above the list: how the whole field stands, each leading to its wells."""

    def wells(*states: str) -> int:
        return sum(row["wells"] for row in counts if row["state"] in states)

    plain = {"state": "", "over": False, "risky": False}
    states = [
        {
            "name": str(state),
            "value": f"{wells(state):,}",
            "address": wanted.address(**{**plain, "state": str(state)}),
            "on": wanted.state == state,
            "tone": ""
            if state == WellState.PUMPING or not wells(state)
            else ("bad" if state == WellState.DOWN else "warn"),
        }
        for state in (WellState.PUMPING, WellState.DOWN, WellState.SILENT, WellState.IDLE)
    ]
    lost, gain = ([row[name] for row in counts if row[name] is not None] for name in ("lost", "gain"))
    return [
        {
            "name": "wells",
            "value": f"{sum(row['wells'] for row in counts):,}",
            "address": wanted.address(**plain),
            "on": False,
        },
        *states,
        {
            "name": "oil lost",
            "value": f"{sum(lost):,.0f}" if lost else "?",
            "unit": "bbl/d",
            "address": wanted.address(sort="lost"),
            "on": wanted.sort == "lost",
        },
        {
            "name": "actions bring",
            "value": f"{sum(gain):,.0f}" if gain else "?",
            "unit": "bbl/d",
            "address": wanted.address(sort="gain"),
            "on": wanted.sort == "gain",
        },
        {
            "name": "overloaded",
            "value": f"{sum(row['overloaded'] for row in counts):,}",
            "address": wanted.address(**{**plain, "over": True}),
            "on": wanted.over,
        },
        {
            "name": f"at risk, ≥ {RISKY_PCT:.0f} %",
            "value": f"{sum(row['risky'] for row in counts):,}",
            "address": wanted.address(**{**plain, "risky": True}),
            "on": wanted.risky,
        },
    ]


def _choices(
    counts: Sequence[Mapping[str, Any]], groups: Sequence[Mapping[str, Any]]
) -> dict[str, list[tuple[str, str, int]]]:
    """What each filter can be: value, words, wells; the most frequent first."""

    def by(name: str, words: Mapping[str, str] | None = None) -> list[tuple[str, str, int]]:
        found: dict[str, int] = {}
        for row in counts:
            key = row[name] or _NONE
            found[key] = found.get(key, 0) + row["wells"]
        ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return [(key, (words or {}).get(key, key), wells) for key, wells in ordered]

    return {
        "state": by("state"),
        "class": by("label", {_NONE: "no class"}),
        "action": by("action", ACTIONS),
        "group": [(row["name"], row["name"], row["wells"]) for row in groups],
    }


def _heads(wanted: Wanted) -> list[dict[str, str]]:
    """Heads of the columns, with what a click sorts by."""
    titles = (
        ("rank", "#", "number"),
        ("well", "Well", ""),
        ("", "Newest card", ""),
        ("class", "Class", ""),
        ("lost", "Lost oil, bbl/d", "number"),
        ("risk", "Fails within 15 d", ""),
        ("load", "Worst load", "number"),
        ("gain", "Do, and why", ""),
        ("score", "Score", "number"),
        ("age", "Data age", "number"),
    )
    now, turned = wanted.sort.removeprefix("-"), wanted.sort.startswith("-")
    heads = []
    for key, title, kind in titles:
        head = {"title": title, "kind": kind, "address": "", "sort": "", "arrow": ""}
        if key:
            down = SORTS[key][1] ^ (turned and key == now)
            head["address"] = wanted.address(sort=f"-{key}" if key == now and not turned else key)
            if key == now:
                head["sort"], head["arrow"] = ("descending", "▾") if down else ("ascending", "▴")
        heads.append(head)
    return heads


def _lines(
    tx: Transaction, rows: Sequence[Mapping[str, Any]], day: date, colours: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Lines of the list: what the tables say, and pictures of the newest card, the classes and the risk."""
    nodes = [row["NodeID"] for row in rows]
    keys = [(row["NodeID"], row["last_card_at"]) for row in rows if row["last_card_at"] is not None]
    cards = thumbnails(tx, keys, width=124, height=64)
    first = day - timedelta(days=STRIP_DAYS)
    dates = [(first + timedelta(days=n)).isoformat() for n in range(1, STRIP_DAYS + 1)]
    risk = {node: np.full(STRIP_DAYS, np.nan) for node in nodes}
    label: dict[str, list[str | None]] = {node: [None] * STRIP_DAYS for node in nodes}
    for row in tx.query(_COURSES, (nodes, first, day)).to_pylist():
        place = (row["day"] - first).days - 1
        label[row["node"]][place] = row["label"]
        if row["risk"] is not None:
            risk[row["node"]][place] = row["risk"]
    return [
        {
            **row,
            "address": well_url(row["NodeID"]),
            "card": cards.get((row["NodeID"], row["last_card_at"]), ""),
            "colour": colours.get(row["Label1"] or "", "var(--strong-line)"),
            "strip": strip_svg(
                dates, label[row["NodeID"]], colours, title=f"classes of {row['NodeID']}, {STRIP_DAYS} days"
            ),
            "course": course_svg(
                risk[row["NodeID"]],
                top=100.0,
                width=84,
                height=24,
                title=f"probability of a failure of {row['NodeID']}, {STRIP_DAYS} days",
            )
            if row["failure_prob_15d"] is not None
            else "",
            "do": ACTIONS.get(row["action"], row["action"]),
            "moved": abs(row["failure_prob_change_7d"] or 0.0) >= 1.0,
            "over": (row["overload_pct"] or 0.0) > OVERLOADED_PCT,
            "risky": (row["failure_prob_15d"] or 0.0) >= _RISKY_FROM,
        }
        for row in rows
    ]


def _map(
    tx: Transaction, rows: Sequence[Mapping[str, Any]], day: date, colours: Mapping[str, str]
) -> dict[str, Any]:
    """Classes of the wells of the list day by day, with failures (F) and ended jobs (W)."""
    wells = [row["NodeID"] for row in rows]
    found = tx.query(_CLASSES, (wells, day - timedelta(days=MAP_DAYS), day)).to_pylist()
    if not found:
        return {"map": "", "legend": []}
    first = min(row["day"] for row in found)
    days = [(first + timedelta(days=n)).isoformat() for n in range((day - first).days + 1)]
    label: np.ndarray[Any, np.dtype[np.object_]] = np.full((len(wells), len(days)), None, dtype=object)
    place = {well: number for number, well in enumerate(wells)}
    for row in found:
        label[place[row["node"]], (row["day"] - first).days] = row["label"]
    marks: dict[tuple[int, int], str] = {}
    end = datetime.combine(day + timedelta(days=1), datetime.min.time())
    for row in tx.query(_FAILURES, (wells, end)).to_pylist():
        for moment, text in ((row["start"], "F"), (row["stop"], "W")):
            if moment is not None and first <= moment.date() <= day:
                marks[place[row["node"]], (moment.date() - first).days] = text
    shown = sorted({row["label"] for row in found})
    whole = _colours(shown) | dict(colours)
    drawn = days_svg(
        wells, days, label, whole, marks, links=[well_url(well) for well in wells], name_width=140
    )
    return {"map": drawn, "legend": [(name, whole[name]) for name in shown]}
