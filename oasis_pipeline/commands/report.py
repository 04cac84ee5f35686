"""``oasis report``: the report of a field as one page that can be mailed, the worklist first.

Here: what is read and how it is put into words. Not here: pictures (``plotting``), the list itself (``commands.wells``).
"""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oasis_pipeline.commands.common import home_option, json_option, print_json, settings_of
from oasis_pipeline.commands.wells import DAY, action_text, gain_text, list_day, worklist
from oasis_pipeline.storage.installation import existing_warehouse

if TYPE_CHECKING:
    import numpy as np

    from oasis_pipeline.storage.postgres import Warehouse

LISTED = 40
"""Wells that get a line with a picture; the others follow in a plain table."""

MAPPED = 60
"""Wells that are drawn day by day."""

MAP_DAYS = 90
COURSE_DAYS = 30

_DAILY = """
select "NodeID" as well, "Date"::text as day, "Label1" as label from clean.wellsummary
where "NodeID" = any($1::text[]) and "Date" > $2::date and "Date" <= $3::date and "Label1" is not null
"""

_KINDS = """
select kind, count(*) as files, sum(rows)::bigint as rows, sum(stored)::bigint as stored,
    sum(superseded)::bigint as superseded, sum(rejected)::bigint as rejected
from oasis.file group by kind order by kind
"""

# Reasons name values; what is the same but for those is one kind of trouble.
_REASONS = """
select "Kind" || ': ' || min("Reason") as reason, count(*) as rows
from xspoc.rejected group by "Kind", regexp_replace("Reason", '[0-9''].*', '') order by 2 desc, 1 limit 20
"""


def field_facts(warehouse: Warehouse) -> dict[str, Any]:
    """Read the figures of a field.

    Parameters
    ----------
    warehouse : Warehouse
        Where to read.

    Returns
    -------
    dict
        ``wells``, ``cards``, ``predicted``, ``rejected``, ``days``, ``counts`` by class, ``kinds``, ``model`` (version and
        evaluation) - plain values, for tables and JSON.
    """
    one = warehouse.query(
        'select count(*) as cards, count(distinct "NodeID") as wells, count(distinct "Date"::date) as days, '
        'min("Date") as first, max("Date") as last from xspoc.card'
    ).to_pylist()[0]
    labels = warehouse.query(
        'select "Label1" as label, count(*) as n from clean.dynapred group by 1'
    ).to_pylist()
    model = warehouse.query(
        "select version, is_base, manifest::text as manifest from oasis.model where name = 'dyna_classifier' and in_use"
    ).to_pylist()
    manifest = json.loads(model[0]["manifest"]) if model else {}
    return {
        **one,
        "rejected": warehouse.query("select count(*) as n from xspoc.rejected")["n"][0].as_py(),
        "counts": {
            row["label"]: row["n"] for row in sorted(labels, key=lambda row: (-row["n"], row["label"]))
        },
        "predicted": sum(row["n"] for row in labels),
        "kinds": warehouse.query(_KINDS).to_pylist(),
        "model": {
            "version": model[0]["version"] if model else None,
            "is_base": model[0]["is_base"] if model else None,
            "evaluation": None if not model or model[0]["is_base"] else manifest["metrics"],
        },
    }


_CARDS = """
select c."NodeID", b.pos_min, b.pos_max, b.load_min, b.load_max, {points}
from unnest($1::text[], $2::timestamp[]) as k(node, moment)
join xspoc.card as c on c."NodeID" = k.node and c."Date" = k.moment
left join lateral (
    select * from clean.dynabounds as d where d."NodeID" = c."NodeID" and d."Date" = c."Date"::date order by d.card limit 1
) as b on true
"""

_RISK = """
select "NodeID", "Date", failure_prob_15d from clean.wellstatus
where "NodeID" = any($1::text[]) and "Date" > $2::date and "Date" <= $3::date
"""

_FAILURES = """
select "NodeID", "Failure Start Date" as start, "Failure End Date" as stop from analysis.failure_info
where "NodeID" = any($1::text[]) and known_from < $2
"""


@click.command()
@home_option
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="File; default: report.html in the home."
)
@click.option("--day", type=DAY, help="Day of the worklist, as known at its end; default: the newest.")
@json_option
def report(home: Path | None, out: Path | None, day: datetime | None, as_json: bool) -> None:
    """Write the field's report as one HTML file that needs nothing else: the worklist first."""
    settings = settings_of(home)
    with existing_warehouse(settings) as warehouse:
        path = write_report(
            warehouse,
            out or settings.home / "report.html",
            title="The field",
            simulated=(settings.home / "demo.json").exists(),
            day=day.date() if day else None,
        )
    if as_json:
        print_json({"report": path})
    else:
        click.echo(f"report  {path}")


def write_report(
    warehouse: Warehouse, out: Path, *, title: str, simulated: bool, day: date | None = None
) -> Path:
    """Write the report of a field.

    Parameters
    ----------
    warehouse : Warehouse
        Where to read.
    out : Path
        File to write.
    title : str
        Headline.
    simulated : bool
        Whether to say that the field is simulated.
    day : date, optional
        Day of the worklist, the newest by default.

    Returns
    -------
    Path
        ``out``.
    """
    from oasis_pipeline.plotting.documents import template

    page = template("oasis_pipeline.commands", "report.html")
    chosen = list_day(warehouse, day)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page.render(**_contents(warehouse, chosen, title, simulated)), encoding="utf-8")
    return out


def _contents(warehouse: Warehouse, day: date, title: str, simulated: bool) -> dict[str, Any]:
    from oasis_pipeline.operations.days import Days
    from oasis_pipeline.operations.pictures import BY_LABEL, pictures_of
    from oasis_pipeline.plotting.cards import cards_grid, class_shares
    from oasis_pipeline.plotting.colours import class_colours
    from oasis_pipeline.plotting.style import data_uri

    facts = field_facts(warehouse)
    colours = class_colours(facts["counts"])
    rows = worklist(warehouse, day)
    span = Days(facts["first"].date(), facts["last"].date())
    examples = pictures_of(warehouse.query(BY_LABEL, (span.begin, span.end, 16)))
    scores = _scores(facts["model"]["evaluation"])
    lost = [row["lost_oil_bpd"] for row in rows if row["lost_oil_bpd"] is not None]
    field_map, shown = _map(warehouse, [row["NodeID"] for row in rows[:MAPPED]], day, colours)
    figures = [
        (f"{len(rows):,}", "well" if len(rows) == 1 else "wells"),
        (f"{sum(row['state'] in ('down', 'silent', 'idle') for row in rows):,}", "down, silent or idle"),
        (
            f"{sum(lost):,.0f} bbl/d" if lost else "?",
            "oil lost, all wells" if lost else "oil lost: no rate is known",
        ),
        (f"{sum((row['overload_pct'] or 0.0) > 100.0 for row in rows):,}", "overloaded"),
        (
            f"{sum((row['failure_prob_15d'] or 0.0) >= 50.0 for row in rows):,}",
            "likelier than not to fail in 15 days",
        ),
    ]
    return {
        "title": title,
        "subtitle": f"As known at the end of {day:%-d %B %Y}; data from {facts['first']:%-d %B %Y}",
        "figures": figures,
        "currency": rows[0]["parts"]["currency"],
        "lines": _lines(warehouse, rows[:LISTED], day, colours),
        "others": [_line(row, colours) for row in rows[LISTED:]],
        "map": field_map,
        "mapped": min(len(rows), MAPPED),
        "wells": len(rows),
        "legend": [(name, colours[name]) for name in shown],
        "cards_picture": data_uri(cards_grid(examples), 110) if examples else None,
        "shares_picture": data_uri(class_shares(facts["counts"], "Cards by first label", colours), 110)
        if facts["counts"]
        else None,
        "scores": scores,
        "scheme": (facts["model"]["evaluation"] or {}).get("scheme", ""),
        "simulated": simulated,
        "kinds": [
            {name: f"{v:,}" if isinstance(v, int) else v for name, v in row.items()} for row in facts["kinds"]
        ],
        "reasons": warehouse.query(_REASONS).to_pylist(),
        "footer": f"Model {facts['model']['version']}. Written by OASIS Pipeline, {datetime.now():%Y-%m-%d %H:%M}.",
    }


def _line(row: dict[str, Any], colours: dict[str, str]) -> dict[str, Any]:
    """Texts of one line of the list."""
    risk = row["failure_prob_15d"]
    overload = row["overload_pct"]
    return {
        "rank": row["rank"],
        "well": row["NodeID"],
        "state": row["state"],
        "since": f"{row['state_since']:%-d %b}" if row["state_since"] else "",
        "label": row["Label1"] or "",
        "colour": colours.get(row["Label1"], "transparent"),
        "lost": "?" if row["lost_oil_bpd"] is None else f"{row['lost_oil_bpd']:,.0f}",
        "gain": gain_text(row["gain_oil_bpd"]),
        "score": f"{row['score']:,.0f}",
        "risk": "" if risk is None else f"{risk:.0f} %",
        "overload": "" if overload is None else f"{overload:.0f} %",
        "over": overload is not None and overload > 100.0,
        "action": action_text(row["action"]),
        "reason": row["reason"],
    }


def _lines(
    warehouse: Warehouse, rows: list[dict[str, Any]], day: date, colours: dict[str, str]
) -> list[dict[str, Any]]:
    """Lines of the list with the newest card of each well and the course of its risk."""
    import numpy as np

    from oasis_pipeline.plotting.svg import card_svg, course_svg
    from oasis_pipeline.storage.card_points import USABLE_POINTS, cards_of

    nodes = [row["NodeID"] for row in rows]
    keyed = [row for row in rows if row["last_card_at"] is not None]
    found = warehouse.query(
        _CARDS.format(points=USABLE_POINTS),
        ([row["NodeID"] for row in keyed], [row["last_card_at"] for row in keyed]),
    )
    surface = cards_of(found["surface_position"], found["surface_load"])
    pump = cards_of(found["pump_position"], found["pump_load"])
    cards: dict[str, str] = {}
    for place, card in enumerate(
        found.select(["NodeID", "pos_min", "pos_max", "load_min", "load_max"]).to_pylist()
    ):
        node = card.pop("NodeID")
        limits = tuple(card.values())
        cards[node] = card_svg(
            surface.row(place) if surface.counts[place] else None,
            pump.row(place) if pump.counts[place] else None,
            limits if None not in limits else None,
            title=f"newest card of {node}",
        )
    course = {node: np.full(COURSE_DAYS, np.nan) for node in nodes}
    first = day - timedelta(days=COURSE_DAYS)
    for risk in warehouse.query(_RISK, (nodes, first, day)).to_pylist():
        if risk["failure_prob_15d"] is not None:
            course[risk["NodeID"]][(risk["Date"] - first).days - 1] = risk["failure_prob_15d"]
    return [
        {
            **_line(row, colours),
            "card": cards.get(row["NodeID"], ""),
            "course": course_svg(
                course[row["NodeID"]],
                top=100.0,
                title=f"probability of a failure of {row['NodeID']}, 30 days",
            ),
        }
        for row in rows
    ]


def _map(warehouse: Warehouse, wells: list[str], day: date, colours: dict[str, str]) -> tuple[str, list[str]]:
    """Draw the classes of some wells day by day, with failures (F) and ended jobs (W); gives the classes too."""
    import numpy as np

    from oasis_pipeline.plotting.svg import days_svg

    rows = warehouse.query(_DAILY, (wells, day - timedelta(days=MAP_DAYS), day)).to_pylist()
    if not rows:
        return "", []
    first = min(date.fromisoformat(row["day"]) for row in rows)
    days = [(first + timedelta(days=n)).isoformat() for n in range((day - first).days + 1)]
    label: np.ndarray = np.full((len(wells), len(days)), None, dtype=object)
    place = {well: row for row, well in enumerate(wells)}
    for row in rows:
        label[place[row["well"]], (date.fromisoformat(row["day"]) - first).days] = row["label"]
    marks: dict[tuple[int, int], str] = {}
    end = datetime.combine(day + timedelta(days=1), datetime.min.time())
    for row in warehouse.query(_FAILURES, (wells, end)).to_pylist():
        for moment, text in ((row["start"], "F"), (row["stop"], "W")):
            if moment is not None and first <= moment.date() <= day:
                marks[place[row["NodeID"]], (moment.date() - first).days] = text
    return days_svg(wells, days, label, colours, marks), sorted({row["label"] for row in rows})


def _scores(evaluation: dict[str, Any] | None) -> list[dict[str, str]]:
    if not evaluation:
        return []
    return [
        {
            "name": model["name"],
            "macro_f1": f"{model['macro_f1']:.2f}",
            "interval": f"{model['macro_f1_low']:.2f} to {model['macro_f1_high']:.2f}",
            "first": f"{100 * model['first_label_right']:.0f} %",
            "coverage": f"{100 * model['coverage']:.0f} %",
            "calibration": f"{model['calibration_error']:.3f}",
        }
        for model in evaluation["models"]
    ]
