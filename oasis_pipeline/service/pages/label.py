"""Labelling by keyboard: cards of the queue or for a second opinion, one at a time or twelve at once.

Here: which cards come next, and what a person does with one. Not here: the rules of labels (``service.labels``), what people have said so far
(``operations.labels``), guidelines (``guidelines``).

A label goes by ``POST /api/dynalabel/``, as any program's; the forms of a page without scripts come to the same function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme

from oasis_pipeline.intake.values import clean_node, node_key
from oasis_pipeline.learning.agreement import agreement
from oasis_pipeline.operations import labels
from oasis_pipeline.plotting.svg import card_svg
from oasis_pipeline.schema.xspoc_tables import NODE_TABLE
from oasis_pipeline.service.access import asking
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.labels import store_labels, take_back
from oasis_pipeline.service.middleware import note
from oasis_pipeline.service.pages.cards import colours_of_classes
from oasis_pipeline.service.pages.guidelines import guidelines, own_examples, simulated_examples
from oasis_pipeline.service.pages.pump_cards import pump_cards_by_rods
from oasis_pipeline.service.pages.shared import PageError, page, render_page
from oasis_pipeline.service.readings import Body
from oasis_pipeline.service.roles import allowed
from oasis_pipeline.service.store import changing
from oasis_pipeline.service.warehouse import installation, reading
from oasis_pipeline.storage.card_points import USABLE_POINTS, cards_of
from oasis_pipeline.storage.postgres import Transaction

VIEWS = ("one", "twelve")
MODES = ("queue", "second")
BATCH = 24
"""Cards that a page brings along, so that the next one is there before its key is pressed."""

SHOWN_DISAGREEMENTS, MOST_DISAGREEMENTS = 8, 500
_SIZE = {"width": 460, "height": 290}
_WHY = (
    "somebody asks for another opinion",
    "the newest training doubts the label in force",
    "labelled by somebody else",
)
_CARDS = f"""
select c."NodeID", c."Date", p."Label1", p."Prob1", p."Label2", p."Prob2", d.fillage_pct, d.pump_card_source, d.damping, d.balance_damping, d.position_phase_deg, c."SPM",
    own."TrueLabel1" as own1, own."TrueLabel2" as own2, b.card as bounded, b.pos_min, b.pos_max, b.load_min, b.load_max, {USABLE_POINTS}
from unnest($1::text[], $2::timestamp[]) with ordinality as k(node, moment, place)
join xspoc.card as c on c."NodeID" = k.node and c."Date" = k.moment
left join clean.dynapred as p on p."NodeID" = c."NodeID" and p."Date" = c."Date"
left join clean.carddiag as d on d."NodeID" = c."NodeID" and d."Date" = c."Date"
left join clean.dynabounds as b on b."NodeID" = c."NodeID" and b."Date" = c."Date"::date
left join lateral (
    select h."TrueLabel1", h."TrueLabel2" from clean.dynalabel_history as h
    where h."NodeID" = c."NodeID" and h."Date" = c."Date" and h."LabeledBy" = $3 order by h."LabeledAt" desc limit 1
) as own on true
order by k.place
"""


@dataclass(frozen=True)
class Asked:
    """What a person wants to label: the parameters of the page.

    Attributes
    ----------
    view : str
        Of `VIEWS`.
    mode : str
        Of `MODES`.
    after : str
        Place of the last card that has been shown.
    node, time : str, datetime, or None
        One certain card in their place.
    """

    view: str
    mode: str
    after: str
    node: str | None
    time: datetime | None


def _asked(request: HttpRequest) -> Asked:
    given = request.GET
    view, mode, after = given.get("view", "one"), given.get("mode", "queue"), given.get("after", "")
    if view not in VIEWS or mode not in MODES:
        raise PageError(
            400, "That can't be shown", f"view is {' or '.join(VIEWS)}, mode is {' or '.join(MODES)}"
        )
    plain = re.fullmatch(r"\d{0,9}" if mode == "queue" else r"[0-9a-f]{0,40}", after, re.ASCII)
    if plain is None:
        raise PageError(400, "That can't be shown", "after is the place of a card that this page has shown")
    node, moment = given.get("NodeID"), given.get("Date")
    if (node is None) != (moment is None):
        raise PageError(400, "That can't be shown", "a certain card is NodeID and Date together")
    if node is None or moment is None:
        return Asked(view, mode, after, None, None)
    return Asked(view, mode, after, _node(node), _moment(moment))


def _node(text: str) -> str:
    if not text or "\x00" in text or len(text) > 200:
        raise PageError(400, "That can't be done", "NodeID is missing, too long, or has a NUL")
    return text


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is not None:
        raise PageError(
            400,
            "That can't be shown",
            "Date is the time of a card as YYYY-MM-DDTHH:MM:SS, in the field's local time",
        )
    return found


@page("dynalabel")
def show(request: HttpRequest) -> HttpResponseBase:
    """Show cards to label; a form's label comes here too."""
    if request.method == "POST":
        return _form(request)
    asked, who = _asked(request), asking(request)
    part = "part" in request.GET
    now = installation().field_now()
    with reading() as tx:
        cards = _cards(tx, asked, who.name)
        counts = labels.counts_of_labels(tx)
        context = {
            "title": "Label",
            "asked": asked,
            "cards": cards,
            "classes": guidelines(list(counts)),
            "may_label": allowed(who.roles, "dynalabel", "POST"),
        }
        if part:
            return render_page(request, "pages/label_cards.html", context)
        context |= {
            "progress": labels.progress(tx, who.name, now.date()),
            "newest": labels.newest_labels(tx, who.name, 8),
        }
    colours = colours_of_classes()
    most = max(counts.values(), default=1)
    context["counts"] = [
        {
            "label": label,
            "cards": count,
            "width": round(100 * count / most),
            "colour": colours.get(label, "var(--muted)"),
        }
        for label, count in counts.items()
    ]
    return render_page(request, "pages/label.html", context)


@page("dynalabel")
def show_guide(request: HttpRequest) -> HttpResponseBase:
    """Show how to tell classes apart, with pictures of typical cards."""
    with reading() as tx:
        own, counts = own_examples(tx), labels.counts_of_labels(tx)
    simulated = simulated_examples()
    entries = [
        {"guideline": entry, "simulated": simulated.get(entry.label, []), "own": own.get(entry.label)}
        for entry in guidelines(list(counts))
    ]
    return render_page(
        request,
        "pages/label_guide.html",
        {"title": "How to tell cards apart", "entries": entries, "here": "/label"},
    )


@page("dynalabel")
def show_agreement(request: HttpRequest) -> HttpResponseBase:
    """Show how far people agree and on which cards they do not; as a part of the page of labels the first of them."""
    with reading() as tx:
        opinions, cards = agreement(labels.pairs_of_opinions(tx)), labels.disagreements(tx)
    part = "HX-Request" in request.headers
    shown = cards[: SHOWN_DISAGREEMENTS if part else MOST_DISAGREEMENTS]
    context = {
        "title": "Agreement",
        "agreement": opinions,
        "disagreements": shown,
        "all": len(cards),
        "here": "/label",
    }
    return render_page(
        request, "pages/label_opinions.html" if part else "pages/label_agreement.html", context
    )


@page("dynalabel")
def undo(request: HttpRequest) -> HttpResponseBase:
    """Take back what one has said of a card."""
    node, moment = _key(request)
    done = take_back(node, moment, asking(request).name, installation().field_now())
    note(request, taken_back=int(done))
    return _done(request, {"taken_back": done})


@page("dynalabel")
def ask(request: HttpRequest) -> HttpResponseBase:
    """Note that one would like a second opinion on a card."""
    node, moment = _key(request)
    with changing() as tx:
        if not tx.query(
            'select 1 from xspoc.card where "NodeID" = $1 and "Date" = $2::timestamp', (node, moment)
        ).num_rows:
            raise PageError(
                404, "No such card", f"there is no card of {node[:100]} at {moment.isoformat(' ')}"
            )
        labels.ask_opinion(tx, node, moment, asking(request).name, installation().field_now())
    return _done(request, {"asked": True})


def _key(request: HttpRequest) -> tuple[str, datetime]:
    if request.method != "POST":
        raise PageError(405, "Not by a link", "this changes something: it is done by the buttons of the page")
    moment = _moment(request.POST.get("Date", ""))
    with reading() as tx:
        return _shown(tx, _node(request.POST.get("NodeID", ""))), moment


def _shown(tx: Transaction, node: str) -> str:
    """The spelling of a well that is shown everywhere; the text itself where there is no such well."""
    rows = tx.query(
        f'select "NodeID" from {NODE_TABLE.full_name} where node_key = $1', (node_key(clean_node(node)),)
    )
    return str(rows["NodeID"][0].as_py()) if rows.num_rows else node


def _done(request: HttpRequest, answer: dict[str, Any]) -> HttpResponse:
    """What a script is answered, and where a form leads."""
    if "next" not in request.POST:
        return HttpResponse(msgspec.json.encode(answer), content_type="application/json")
    then = request.POST["next"]
    safe = url_has_allowed_host_and_scheme(then, allowed_hosts=None) and then.startswith("/label")
    return HttpResponseRedirect(then if safe else "/label", status=303)


def _form(request: HttpRequest) -> HttpResponse:
    """Store the label of a form: the way of the API, for a page without scripts."""
    names = ("NodeID", "Date", "TrueLabel1", "TrueLabel2")
    item = {name: request.POST[name] for name in names if request.POST.get(name)}
    try:
        stored, _ = store_labels(
            Body(msgspec.json.encode(item), False), asking(request).name, installation().field_now()
        )
    except ApiError as error:
        told = "; ".join(
            f"{fault['field'] or ''} {fault['reason']}" for fault in error.more.get("errors", [])
        )
        raise PageError(error.status, "That label can't be stored", told or error.reason) from None
    note(request, labels=len(stored))
    return _done(request, {"stored": len(stored)})


def _cards(tx: Transaction, asked: Asked, person: str) -> list[dict[str, Any]]:
    """Cards to label with everything that is shown of them; cards that are not stored any more are left out."""
    if asked.node is not None and asked.time is not None:
        wanted: list[dict[str, Any]] = [
            {"NodeID": _shown(tx, asked.node), "Date": asked.time, "place": "", "why": ""}
        ]
    elif asked.mode == "queue":
        wanted = [
            {
                **row,
                "place": str(row["rank"]),
                "why": f"rank {row['rank']:,}: {row['well_labels']:,} cards of this well have a label",
            }
            for row in labels.queue(tx, BATCH, int(asked.after or 0))
        ]
    else:
        wanted = [
            {**row, "why": _WHY[row["kind"]]} for row in labels.to_see_again(tx, person, BATCH, asked.after)
        ]
    if not wanted:
        return []
    keys = ([row["NodeID"] for row in wanted], [row["Date"] for row in wanted])
    found = tx.query(_CARDS, (*keys, person))
    surface = cards_of(found["surface_position"], found["surface_load"])
    pump = cards_of(found["pump_position"], found["pump_load"])
    plain = found.drop_columns(["surface_position", "surface_load", "pump_position", "pump_load"]).to_pylist()
    # a controller that stores no pump card leaves that to the rods
    lacking = [place for place, row in enumerate(plain) if not pump.counts[place]]
    by_rods = (
        pump_cards_by_rods(tx, [plain[place] for place in lacking], surface.take(lacking)) if lacking else []
    )
    computed = dict(zip(lacking, by_rods, strict=True))
    about = {(row["NodeID"], row["Date"]): row for row in wanted}
    cards = []
    for place, row in enumerate(plain):
        edges = (row["pos_min"], row["pos_max"], row["load_min"], row["load_max"])
        limits = {} if None in edges else {row["bounded"]: edges}
        spoken = f"of {row['NodeID']}, {row['Date']:%Y-%m-%d %H:%M}"
        below = pump.row(place) if pump.counts[place] else computed.get(place)
        on_top = surface.row(place) if surface.counts[place] else None
        cards.append(
            {
                **about[row["NodeID"], row["Date"]],
                **row,
                "key": row["Date"].isoformat(),
                "surface": card_svg(
                    on_top, None, limits.get("surfcard"), title=f"surface card {spoken}", **_SIZE
                )
                if on_top is not None
                else "",
                "pump": card_svg(
                    None,
                    below,
                    limits.get("pocdowncard") if pump.counts[place] else None,
                    title=f"pump card {spoken}",
                    **_SIZE,
                )
                if below is not None
                else "",
                "by_rods": computed.get(place) is not None,
                "loads": (float(max(on_top[1])), float(min(on_top[1]))) if on_top is not None else None,
            }
        )
    return cards
