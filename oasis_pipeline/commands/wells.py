"""``oasis wells``: the worklist, or everything about one well."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oasis_pipeline.commands.common import home_option, json_option, print_json, print_table, settings_of
from oasis_pipeline.storage.installation import existing_warehouse

if TYPE_CHECKING:
    from oasis_pipeline.settings import Settings
    from oasis_pipeline.storage.postgres import Warehouse

DAY = click.DateTime(["%Y-%m-%d"])
EVENTS = 8


class WellError(RuntimeError):
    """A well or day that is not there; the message says what to do."""


@click.command()
@click.argument("well", metavar="[NODEID]", required=False)
@home_option
@click.option("--day", type=DAY, help="Day of the worklist, as known at its end; default: the newest.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Lines of the list.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Picture of the well's newest card (PNG)."
)
@json_option
def wells(
    well: str | None, home: Path | None, day: datetime | None, limit: int, out: Path | None, as_json: bool
) -> None:
    """Show which well comes first and why, or everything about one well."""
    if out is not None and well is None:
        raise click.UsageError("--out draws the card of one well: give its NODEID")
    settings = settings_of(home)
    with existing_warehouse(settings) as warehouse:
        chosen = list_day(warehouse, day.date() if day else None)
        if well is None:
            rows = worklist(warehouse, chosen)
            if as_json:
                print_json({"day": chosen, "wells": rows[:limit]})
                return
            print_worklist(rows, chosen, limit)
            return
        facts = well_facts(warehouse, settings, well, chosen)
        if out is not None:
            draw_card(warehouse, facts, out)
            facts["picture"] = out
    if as_json:
        print_json(facts)
    else:
        print_well(facts)


def list_day(warehouse: Warehouse, wanted: date | None) -> date:
    """Choose the day of the list.

    Parameters
    ----------
    warehouse : Warehouse
    wanted : date or None
        None for the newest.

    Returns
    -------
    date

    Raises
    ------
    WellError
        If no list has been made for that day.
    """
    found = warehouse.query(
        'select max("Date") as newest, min("Date") as oldest, bool_or("Date" = $1::date) as there from clean.worklist',
        (wanted,),
    ).to_pylist()[0]
    if found["newest"] is None:
        raise WellError("there is no worklist yet: put files into the drop folder and run `oasis run`")
    if wanted is not None and not found["there"]:
        raise WellError(
            f"there is no worklist of {wanted}: worklists exist from {found['oldest']} to {found['newest']}"
        )
    return wanted or found["newest"]


_LIST = """
select w.rank, w."NodeID", w.score, w.lost_oil_bpd, w.value_at_risk, w.overload_pct, w.gain_oil_bpd, w.gain_value,
    w.action, w.reason, w.parts::text as parts, s.state, s.state_since, s.last_card_at, s.data_age_h, s."Label1", s."Prob1", s.label_days, s.oil_bpd, s.attainable_oil_bpd,
    s.production_bpd, s.production_lower_bpd, s.production_upper_bpd, s.production_source, s.failure_prob_15d,
    s.failure_prob_change_7d, s.disagreements, s.missing
from clean.worklist as w
join clean.wellstatus as s using ("NodeID", "Date")
where w."Date" = $1::date
order by w.rank
"""


def worklist(warehouse: Warehouse, day: date) -> list[dict[str, Any]]:
    """Read the worklist of a day with the state of each well, rank 1 first."""
    rows: list[dict[str, Any]] = warehouse.query(_LIST, (day,)).to_pylist()
    for row in rows:
        row["parts"] = json.loads(row["parts"])
    return rows


def action_text(action: str) -> str:
    """Words of an action code."""
    from oasis_pipeline.decisions import ACTIONS

    return ACTIONS.get(action, action)


def gain_text(oil_bpd: float | None) -> str:
    """Oil that an action brings back or adds, bbl/d; a question mark where only a look or a test can tell."""
    if oil_bpd is None:
        return "?"
    return "0" if abs(oil_bpd) < 0.5 else f"{oil_bpd:+.0f}"


def print_worklist(rows: list[dict[str, Any]], day: date, limit: int) -> None:
    """Print the first lines of a worklist."""
    currency = rows[0]["parts"]["currency"] if rows else ""
    print_table(
        f"Wells by what they are worth, down ones first, {day:%-d %B %Y} (oil in bbl/d, score in {currency})",
        ["", "well", "state", "lost", "score", "do", "back", "why"],
        [
            [
                str(row["rank"]),
                row["NodeID"],
                row["state"],
                "?" if row["lost_oil_bpd"] is None else f"{row['lost_oil_bpd']:.0f}",
                f"{row['score']:,.0f}",
                action_text(row["action"]),
                gain_text(row["gain_oil_bpd"]),
                row["reason"],
            ]
            for row in rows[:limit]
        ],
        right=(0, 3, 4, 6),
    )
    if len(rows) > limit:
        click.echo(f"{len(rows) - limit:,} more wells: use --limit to show them")
    click.echo("`oasis wells NODEID` shows everything about one well")


_STATUS = """
select s.*, w.rank, w.score, w.gain_oil_bpd, w.gain_value, w.action, w.reason, w.parts::text as parts, (select count(*) from clean.worklist as l where l."Date" = s."Date") as listed
from clean.wellstatus as s left join clean.worklist as w using ("NodeID", "Date")
where s."Date" = $2::date and lower(s."NodeID") = lower($1)
"""

_CARD = """
select p."Label1", p."Prob1", p."Label2", p."Prob2", p."ModelVersion", p.in_training, d.*
from xspoc.card as c
left join clean.dynapred as p on p."NodeID" = c."NodeID" and p."Date" = c."Date"
left join clean.carddiag as d on d."NodeID" = c."NodeID" and d."Date" = c."Date"
where c."NodeID" = $1 and c."Date" = $2
"""


def well_facts(warehouse: Warehouse, settings: Settings, well: str, day: date) -> dict[str, Any]:
    """Read everything about one well as known at the end of a day.

    Parameters
    ----------
    warehouse : Warehouse
    settings : Settings
        Where the store with the models lies.
    well : str
        NodeID in any case.
    day : date

    Returns
    -------
    dict
        ``status``, ``card`` (class and diagnosis of the newest card), ``reasons`` of the class, ``events``.

    Raises
    ------
    WellError
        If the well is not on that day's list.
    """
    found = warehouse.query(_STATUS, (" ".join(well.replace("#", "").split()), day)).to_pylist()
    if not found:
        raise WellError(f"no well {well!r} on {day}: `oasis wells --limit 1000` lists them")
    from oasis_pipeline.storage.well_events import read_events

    status = found[0]
    status["parts"] = json.loads(status["parts"]) if status["parts"] else None
    node, end = status["NodeID"], datetime.combine(day + timedelta(days=1), datetime.min.time())
    cards = (
        warehouse.query(_CARD, (node, status["last_card_at"])).to_pylist() if status["last_card_at"] else []
    )
    return {
        "well": node,
        "day": day,
        "status": status,
        "card": cards[0] if cards else None,
        "reasons": _reasons(warehouse, settings, node, status["last_card_at"]) if cards else [],
        "events": read_events(warehouse, node, end, EVENTS),
    }


def _reasons(warehouse: Warehouse, settings: Settings, node: str, when: datetime) -> list[dict[str, Any]]:
    """What spoke most for the class of a card; empty where its model can't say."""
    from oasis_pipeline.operations.reasons import card_reasons
    from oasis_pipeline.storage.objects import open_store

    try:
        found = card_reasons(warehouse, open_store(settings), node, when)
    except ValueError:
        return []
    return [{"about": reason.what, "points": reason.points} for reason in found]


def draw_card(warehouse: Warehouse, facts: dict[str, Any], out: Path) -> None:
    """Draw the newest card of a well with what was found in it."""
    from oasis_pipeline.operations.pictures import pictures_of
    from oasis_pipeline.plotting.diagnosis import DiagnosedCard, diagnosis_figure
    from oasis_pipeline.plotting.style import png
    from oasis_pipeline.storage.card_points import USABLE_POINTS

    rows = warehouse.query(
        f'select c."NodeID", c."Date", \'\' as title, {USABLE_POINTS} from xspoc.card as c where c."NodeID" = $1 and c."Date" = $2',
        (facts["well"], facts["status"]["last_card_at"]),
    )
    if not rows.num_rows:
        raise WellError(f"{facts['well']} has no card up to {facts['day']}")
    picture = pictures_of(rows)[0]
    card = facts["card"] or {}
    findings = {name: value for name, value in card.items() if isinstance(value, float)}
    label = card.get("Label1")
    note = f"{label} ({card['Prob1']:.0f} %)" if label else ""
    drawn = DiagnosedCard(
        picture.title, note, picture.surface, picture.pump, None, findings, report=card.get("report") or ""
    )
    out.write_bytes(png(diagnosis_figure(drawn), 110))


def print_well(facts: dict[str, Any]) -> None:
    """Print everything about one well."""
    status, card = facts["status"], facts["card"] or {}
    since = f" since {status['state_since']:%Y-%m-%d %H:%M}" if status["state_since"] else ""
    place = f", place {status['rank']} of {status['listed']}" if status["rank"] else ""
    click.echo(f"{facts['well']}: {status['state']}{since}{place} ({facts['day']:%-d %B %Y})")
    if status["reason"]:
        click.echo(f"  do    {action_text(status['action'])}")
        click.echo(f"  gives {_gives(status)}")
        click.echo(f"  why   {status['reason']}")
    rows = [[name, text] for name, text in _lines(status, card) if text]
    if advice := (status["parts"] or {}).get("setpoint"):
        rows.append(["set point", advice])
    if facts["reasons"]:
        rows.append(
            [
                "what spoke for the class",
                "; ".join(f"{r['about']} ({r['points']:+.0f} points)" for r in facts["reasons"]),
            ]
        )
    print_table("", ["", ""], rows)
    if card.get("report"):
        click.echo(f"Diagnosis of the newest card: {card['report']}")
    if facts["events"]:
        print_table(
            "History, newest first",
            ["when", "what"],
            [[f"{event['moment']:%Y-%m-%d}", event["what"]] for event in facts["events"]],
        )
    if "picture" in facts:
        click.echo(f"picture  {facts['picture']}")


def _gives(status: dict[str, Any]) -> str:
    """What the action gives: oil, and money over the horizon."""
    if status["gain_oil_bpd"] is None:
        return "only a look or a test can tell"
    currency = (status["parts"] or {}).get("currency", "")
    value = status["gain_value"]
    money = f", worth {value:,.0f} {currency} over the horizon" if value is not None else ""
    return f"{gain_text(status['gain_oil_bpd'])} bbl/d oil{money}"


def _lines(status: dict[str, Any], card: dict[str, Any]) -> list[tuple[str, str]]:
    from oasis_pipeline.decisions.findings import BASES, contradictions_of, missing_of

    def number(value: float | None, unit: str, digits: int = 0) -> str:
        return "" if value is None else f"{value:,.{digits}f} {unit}"

    label = status["Label1"]
    row = f", {days} days in a row" if (days := status["label_days"] or 0) > 1 else ""
    second = f", and {status['Label2']}" if status["Label2"] else ""
    interval = (
        f" ({status['production_lower_bpd']:,.0f} to {status['production_upper_bpd']:,.0f})"
        if status["production_lower_bpd"] is not None
        else ""
    )
    change = status["failure_prob_change_7d"] or 0.0
    moved = f", {change:+.0f} points in 7 days" if abs(change) >= 1.0 else ""
    water, tested = status["water_cut_pct"], status["test_age_d"]
    cut = f" at {water:.0f} % water" if water is not None else ""
    age = f", {tested:.0f} {'day' if round(tested) == 1 else 'days'} old" if tested is not None else ""
    source = (status["production_source"] or "").replace("_", " ")
    basis = status["attainable_basis"]
    missing = "; ".join(what[0].lower() + what[1:] for what, _ in missing_of(status["missing"] or []))
    return [
        ("newest card", f"{status['last_card_at']:%Y-%m-%d %H:%M}" if status["last_card_at"] else ""),
        ("class", f"{label} ({status['Prob1']:.0f} %){row}{second}" if label else ""),
        ("production", number(status["production_bpd"], f"bbl/d{interval}, {source}")),
        ("inferred from the card", number(status["inferred_production_bpd"], "bbl/d")),
        (
            "newest approved test",
            number(status["test_production_bpd"], f"bbl/d{age}"),
        ),
        ("vendor", number(status["vendor_production_bpd"], "bbl/d")),
        ("oil, three days", number(status["oil_bpd"], f"bbl/d{cut}", 1)),
        (
            "attainable oil",
            number(status["attainable_oil_bpd"], f"bbl/d, by {BASES.get(basis, basis)}", 1),
        ),
        ("lost oil", number(status["lost_oil_bpd"], "bbl/d", 1)),
        ("run time", number(status["runtime_h"], "h/d", 1)),
        ("fillage", number(status["fillage_pct"], "%")),
        ("pump intake pressure", number(status["pump_intake_pressure_psi"], "psi")),
        ("gearbox load", number(status["gearbox_load_pct"], "%")),
        ("structural load", number(status["structural_load_pct"], "%")),
        ("rod load, worst taper", number(status["max_rod_load_pct"], "%")),
        ("failure within 3 d", number(status["failure_prob_3d"], "%")),
        ("failure within 15 d", number(status["failure_prob_15d"], f"%{moved}")),
        (
            "contradictions",
            " ".join(contradictions_of(status["disagreements"] or [], status["reason"] or "")),
        ),
        ("not known", missing),
        ("model", card.get("ModelVersion") or ""),
    ]
