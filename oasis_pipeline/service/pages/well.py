"""A well: its state and what to do, its cards one by one, its course over time, equipment, events and notes.

Here: what the address says and what is read of a well besides a card. Not here: a card (``well_card``); the courses, which the page's script fetches
from the API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

import numpy as np
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, QueryDict

from oasis_pipeline.decisions import ACTIONS, findings
from oasis_pipeline.intake.values import clean_node, node_key
from oasis_pipeline.physics.well_path import Survey
from oasis_pipeline.plotting.svg import path_svg, setpoint_svg, strip_svg
from oasis_pipeline.schema import TABLES, Table
from oasis_pipeline.schema.model import Column
from oasis_pipeline.service.access import asking
from oasis_pipeline.service.models import Note
from oasis_pipeline.service.pages.cards import colours_of_classes
from oasis_pipeline.service.pages.shared import PageError, page, render_page
from oasis_pipeline.service.pages.tags import well_url
from oasis_pipeline.service.pages.well_card import MOST_PINS, read_card
from oasis_pipeline.service.resources import readable_tables
from oasis_pipeline.service.roles import allowed
from oasis_pipeline.service.warehouse import installation, reading
from oasis_pipeline.storage.postgres import Transaction
from oasis_pipeline.storage.well_events import read_events

EVENTS = 200
NOTES = 50
LONGEST_NOTE = 4000
EXPORTED = (
    "card", "carddiag", "roddiag", "dynapred", "wellstatus", "wellsummary", "worklist", "setpoint", "xpred", "trend", "cardanomaly", "welltest",
    "failure_info", "welldetails", "rods", "pumpingunits", "deviations", "alarm", "dynalabel",
)  # fmt: skip
"""Tables that the page shows something of, by the names of their resources."""

_WELL = """
select n."NodeID" as node, s.*, w.rank, w.score, w.value_at_risk, w.overload_pct, w.gain_oil_bpd, w.gain_value, w.action, w.reason, w.parts::text as parts,
    (select count(*) from clean.worklist as l where l."Date" = s."Date") as listed,
    (select string_agg(g."GroupName", ', ' order by g."GroupName") from analysis.well_group as g where g."NodeID" = n."NodeID") as groups,
    (select o."NodeID" from clean.worklist as o where o."Date" = w."Date" and o.rank = w.rank - 1) as ahead,
    (select o."NodeID" from clean.worklist as o where o."Date" = w."Date" and o.rank = w.rank + 1) as behind
from xspoc.node as n
left join clean.wellstatus as s on s."NodeID" = n."NodeID" and s."Date" = (
    select max("Date") from clean.wellstatus where "NodeID" = n."NodeID" and "Date" <= $2::date)
left join clean.worklist as w on w."NodeID" = s."NodeID" and w."Date" = s."Date"
where n.node_key = $1
"""

_ALIKE = 'select "NodeID" as node from xspoc.node where position($1 in node_key) > 0 order by 1 limit 12'

_SPAN = """
select (select min("Date") from xspoc.card where "NodeID" = $1) as first, (select max("Date") from xspoc.card where "NodeID" = $1) as last
"""

_CLASSES = 'select "Date" as day, "Label1" as label from clean.wellsummary where "NodeID" = $1 and "Date" >= $2::date'

_STRING = """
select "RodNum" as number, "Grade" as grade, "Length" as length_ft, "Diameter" as diameter_in from xspoc.rods where "NodeID" = $1
order by "RodNum"
"""

_SURVEY = """
select "MD" as md, "Inclination" as inclination, coalesce("Azimuth", 0) as azimuth from xspoc.deviations
where "NodeID" = $1 and "Inclination" is not null and "MD" is not null order by "MD"
"""

CLASS_DAYS = 366
"""Of the strip under the slider: older days stay without colour."""


@dataclass(frozen=True)
class Wanted:
    """What the address asks for.

    Attributes
    ----------
    node : str
        As it stands in the address.
    card : datetime or None
        None: the newest.
    pins : tuple of datetime
        Cards laid over.
    day : date or None
        As known at its end; None: the newest.
    why : bool
        Whether reasons of the class are asked for.
    """

    node: str
    card: datetime | None = None
    pins: tuple[datetime, ...] = ()
    day: date | None = None
    why: bool = False

    def address(self, **other: Any) -> str:
        """The same with some parts changed."""
        wanted = replace(self, **other)
        named = [("card", wanted.card.isoformat())] if wanted.card else []
        named += [("pin", pin.isoformat()) for pin in wanted.pins]
        named += [("day", wanted.day.isoformat())] if wanted.day else []
        named += [("why", "1")] if wanted.why else []
        path: str = well_url(wanted.node)
        return path + (f"?{urlencode(named)}" if named else "")


def read_address(node: str, given: QueryDict) -> Wanted:
    """Read what the address asks for.

    Raises
    ------
    PageError
        400 for a time or a day that is none.
    """

    def moment(text: str) -> datetime:
        try:
            return datetime.fromisoformat(text).replace(tzinfo=None)
        except ValueError:
            raise PageError(
                400, "No such time", f"{text[:100]} is not a valid time: write it as 2025-03-10T06:00:00."
            ) from None

    card, day = given.get("card", ""), given.get("day", "")
    pins = tuple(dict.fromkeys(moment(text) for text in given.getlist("pin")[:MOST_PINS]))
    return Wanted(
        node,
        moment(card) if card else None,
        pins,
        moment(day).date() if day else None,
        given.get("why") == "1",
    )


@page("tables")
def show(request: HttpRequest, node: str) -> HttpResponseBase:
    """Show a well, or (``part=card``) one of its cards for the page that is open."""
    wanted = read_address(node, request.GET)
    key = node_key(clean_node(node))
    if "\x00" in key:
        raise PageError(404, "No such well", "A well's name has no NUL character.")
    with reading() as tx:
        found = tx.query(_WELL, (key, wanted.day or date.max)).to_pylist()
        if not found:
            raise _no_well(tx, node, key)
        status = found[0]
        wanted = replace(wanted, node=status["node"])
        moment = wanted.card or _end_of(wanted.day)
        card = read_card(tx, status["node"], moment, wanted.pins)
        context = {"wanted": wanted, "status": status, "card": card, **_card_links(wanted, card)}
        if card is not None:
            context["colour"] = colours_of_classes().get(card["Label1"] or "", "var(--strong-line)")
            context["label_reasons"] = _reasons(status["node"], card["Date"]) if wanted.why else None
        if request.GET.get("part") == "card":
            return render_page(request, "pages/well_card.html", context)
        context |= _rest(tx, wanted, status, card)
    who = asking(request)
    context |= {
        "title": status["node"],
        "notes": list(Note.objects.filter(node=key)[:NOTES]),
        "may_write": allowed(who.roles, "note", "POST"),
        "longest_note": LONGEST_NOTE,
        "exports": _exports(status["node"]),
        "here": "/",
    }
    return render_page(request, "pages/well.html", context)


@page("note")
def write_note(request: HttpRequest, node: str) -> HttpResponseBase:
    """Keep what somebody writes about a well."""
    if request.method != "POST":
        return HttpResponseRedirect(well_url(node))
    text = request.POST.get("text", "").replace("\x00", "").strip()
    key = node_key(clean_node(node))
    with reading() as tx:
        if not tx.query("select node_key from xspoc.node where node_key = $1", (key,)).num_rows:
            raise _no_well(tx, node, key)
    if not text or len(text) > LONGEST_NOTE:
        raise PageError(
            400,
            "Nothing is kept",
            f"A note has 1 to {LONGEST_NOTE:,} characters; this one has {len(text):,}.",
        )
    Note.objects.create(node=key, text=text, written_by=asking(request).name)
    return HttpResponseRedirect(well_url(node) + "#notes")


def _no_well(tx: Transaction, node: str, key: str) -> PageError:
    alike = [row["node"] for row in tx.query(_ALIKE, (key[:100],)).to_pylist()] if key else []
    more = f" Wells with that in their names: {', '.join(alike)}." if alike else ""
    return PageError(404, "No such well", f"Nothing is known of a well {node[:200]!r}.{more}")


def _end_of(day: date | None) -> datetime:
    return datetime.max if day is None else datetime.combine(day, time.max)


def _card_links(wanted: Wanted, card: dict[str, Any] | None) -> dict[str, Any]:
    """Addresses of the cards beside, and of this one with others laid over."""
    if card is None:
        return {}
    here = replace(wanted, card=card["Date"], why=False)
    pins = [
        {
            **pin,
            "without": here.address(
                pins=tuple(p for p in wanted.pins if f"{p:%Y-%m-%d %H:%M:%S}" != pin["name"])
            ),
        }
        for pin in card["pins"]
    ]
    return {
        "self_link": here.address(),
        "before_link": here.address(card=card["before"]) if card["before"] else "",
        "after_link": here.address(card=card["after"]) if card["after"] else "",
        "newest_link": here.address(card=None),
        "pin_link": here.address(pins=(*wanted.pins, card["Date"])[-MOST_PINS:])
        if card["Date"] not in wanted.pins
        else "",
        "unpin_link": here.address(pins=()) if wanted.pins else "",
        "why_link": here.address(why=True),
        "pins": pins,
    }


def _reasons(node: str, moment: datetime) -> list[dict[str, Any]] | str:
    """What spoke most for the class of a card, or why that can't be said."""
    # the models come with libraries that no other page needs
    from oasis_pipeline.operations.reasons import card_reasons
    from oasis_pipeline.service.warehouse import warehouse
    from oasis_pipeline.storage.objects import open_store

    try:
        found = card_reasons(warehouse(), open_store(installation()), node, moment)
    except ValueError as error:
        return str(error)
    most = max((abs(reason.points) for reason in found), default=1.0) or 1.0
    return [
        {"what": reason.what, "points": reason.points, "width": 100.0 * abs(reason.points) / most}
        for reason in found
    ]


def _rest(
    tx: Transaction, wanted: Wanted, status: dict[str, Any], card: dict[str, Any] | None
) -> dict[str, Any]:
    """Everything of the page besides the card."""
    node = status["node"]
    span = tx.query(_SPAN, (node,)).to_pylist()[0]
    strip = ""
    if span["first"] is not None:
        begin = max(span["first"].date(), span["last"].date() - timedelta(days=CLASS_DAYS))
        days = [begin + timedelta(days=n) for n in range((span["last"].date() - begin).days + 1)]
        label = {row["day"]: row["label"] for row in tx.query(_CLASSES, (node, begin)).to_pylist()}
        strip = strip_svg(
            [day.isoformat() for day in days],
            [label.get(day) for day in days],
            colours_of_classes(),
            title=f"classes of {node} day by day",
        )
        span["begin"] = datetime.combine(begin, time())
        span["end"] = datetime.combine(days[-1] + timedelta(days=1), time())
    events = read_events(tx, node, _end_of(wanted.day), EVENTS)
    advice = _setpoint(tx, node, status["Date"])
    parts = json.loads(status["parts"]) if status["parts"] else {}
    tapers = tx.query(_STRING, (node,)).to_pylist()
    return {
        "span": span,
        "strip": strip,
        "events": events,
        "chart": {
            "node": node,
            "first": (span["first"] or datetime.now()).isoformat(),
            "last": (_end_of(wanted.day) if wanted.day else span["last"] or datetime.now()).isoformat(),
            "events": [
                {
                    "kind": event["kind"],
                    "at": event["moment"].isoformat(),
                    "end": event["ended"].isoformat() if event["ended"] else None,
                    "what": event["what"],
                }
                for event in events
            ],
        },
        "do": ACTIONS.get(status["action"] or "", status["action"]),
        "parts": parts,
        "contradictions": findings.contradictions_of(status["disagreements"] or [], status["reason"] or ""),
        "lacking": findings.missing_of(status["missing"] or []),
        "setpoint": advice,
        "equipment": _equipment(tx, node),
        # the panel of the card has them taper by taper
        "string": tapers if card is None or not card["rods"] else [],
        "survey": _survey(tx.query(_SURVEY, (node,)).to_pylist(), tapers),
        "ahead_link": well_url(status["ahead"]) if status["ahead"] else "",
        "behind_link": well_url(status["behind"]) if status["behind"] else "",
    }


def _table(schema: str, name: str) -> Table | None:
    return next((each for each in TABLES if (each.schema, each.name) == (schema, name)), None)


def _setpoint(tx: Transaction, node: str, day: date | None) -> dict[str, Any] | None:
    """Advice on set points of the day, in the words of the schema source; None where there is none."""
    table = _table("clean", "setpoint")
    if table is None or day is None:
        return None
    rows = tx.read(table, where='"NodeID" = $1 and "Date" = $2::date', params=(node, day)).to_pylist()
    if not rows:
        return None
    return advice_of(table, rows[0])


def advice_of(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Put a row of advice into the order in which it is read, by the names of its columns.

    Parameters
    ----------
    table : Table
        A column ``advised_x`` beside ``x`` is a set point or what comes of it; ``x_lower`` and ``x_upper`` beside ``x`` are the interval of a
        change that is expected.
    row : mapping
        Values by column.

    Returns
    -------
    dict
        ``reason``, ``confidence``; ``points`` (name, now, advised, unit) and ``changes`` (name, expected, lower, upper, unit), without those that
        have no value.
    """
    columns = table.by_name
    points = [
        (_title(columns[name], "Present "), row[name], row[f"advised_{name}"], columns[name].unit)
        for name in columns
        if f"advised_{name}" in columns and row[name] is not None and row[f"advised_{name}"] is not None
    ]
    changes = [
        (_title(columns[name]), row[name], row[f"{name}_lower"], row[f"{name}_upper"], columns[name].unit)
        for name in columns
        if f"{name}_lower" in columns and f"{name}_upper" in columns and row[name] is not None
    ]
    return {
        "reason": row.get("reason"),
        "confidence": row.get("confidence"),
        "points": points,
        "changes": changes,
        "curves": _curves(row),
    }


def _curves(row: Mapping[str, Any]) -> list[str]:
    """Draw what other speeds and idle times would bring; empty where nothing was tried."""
    if not row.get("curve"):
        return []
    tried = json.loads(row["curve"])
    drawn = [
        setpoint_svg(
            tried[axis][column],
            tried[axis]["oil_change_bpd"],
            tried[axis]["oil_change_bpd_lower"],
            tried[axis]["oil_change_bpd_upper"],
            tried[axis]["allowed"],
            row[f"advised_{column}"] if row["action"] != "none" else None,
            name=name,
            unit=unit,
            present=row[column],
        )
        for axis, column, name, unit in (
            ("speed", "spm", "Speed", "1/min"),
            ("idle_time", "idle_min", "Idle time", "min/d"),
        )
    ]
    return [picture for picture in drawn if picture]


def _title(column: Column, without: str = "") -> str:
    """The words before the first comma of a column's description."""
    return (
        column.description.removeprefix(without).split(",")[0] or column.name.replace("_", " ")
    ).capitalize()


_EQUIPMENT = ("pumpingunits", "welldetails")


def _equipment(tx: Transaction, node: str) -> list[tuple[str, Any, str, str]]:
    """Equipment in force: name, value, unit, and what the name means."""
    facts: list[tuple[str, Any, str, str]] = []
    for name in _EQUIPMENT:
        table = _table("xspoc", name)
        assert table is not None
        for row in tx.read(table, where='"NodeID" = $1', params=(node,)).to_pylist():
            facts += [
                (_spaced(column.name), row[column.name], column.unit, column.description)
                for column in table.columns
                if column.name not in ("NodeID", "file_stamp") and row[column.name] is not None
            ]
    return facts


def _spaced(name: str) -> str:
    """A column's name of the vendor in words: PumpDepth to Pump depth."""
    if len(name) == 1:
        return f"Linkage {name}"
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]*", name)
    return " ".join([parts[0], *(part if part.isupper() else part.lower() for part in parts[1:])])


def _survey(rows: Sequence[dict[str, Any]], string: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The path of the well in figures and as a picture, with the lower end of each taper."""
    if len(rows) < 2:
        return None
    depth, inclination, azimuth = (
        np.array([row[name] for row in rows], dtype=np.float64) for name in ("md", "inclination", "azimuth")
    )
    path = Survey(depth, inclination, azimuth)
    steepest = int(np.argmax(inclination))
    bends = path.dogleg_deg_per_100ft()
    ends = np.cumsum([rod["length_ft"] or 0.0 for rod in string])
    tapers = [
        (f"{rod['diameter_in']:.3f} in", float(end))
        for rod, end in zip(string, ends, strict=True)
        if rod["diameter_in"]
    ]
    return {
        "points": len(rows),
        "inclination": inclination[steepest],
        "md": depth[steepest],
        "dogleg": float(bends.max()),
        "dogleg_md": depth[int(np.argmax(bends))],
        "picture": path_svg(path, [(name, end) for name, end in tapers if end <= depth[-1]]),
    }


def _exports(node: str) -> list[tuple[str, str]]:
    """Name and address of the csv of each table that the page shows something of."""
    there = readable_tables()
    return [
        (name, f"/api/{name}/?{urlencode({'NodeID': node, 'format': 'csv'})}")
        for name in EXPORTED
        if name in there
    ]
