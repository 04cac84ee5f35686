"""Pictures for the metadata of materializations: example cards and class shares, small enough for an event log.

Here: which rows are drawn. Not here: drawing (``plotting``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from oasis_pipeline.operations.days import Days
from oasis_pipeline.storage.card_points import USABLE_POINTS, cards_of
from oasis_pipeline.storage.postgres import Warehouse

if TYPE_CHECKING:
    from oasis_pipeline.plotting.cards import Picture
    from oasis_pipeline.plotting.diagnosis import DiagnosedCard

# Modules of `plotting` are imported where something is drawn: a pass that makes nothing should not wait for Matplotlib.

EXAMPLES = 8

# One card a well, the newest: neighbours of one well look alike and show nothing new.
_NEWEST = f"""
select distinct on (c."NodeID") c."NodeID", c."Date", '' as title, {USABLE_POINTS}
from xspoc.card as c
where c."Date" >= $1 and c."Date" < $2 and (c.surfcard_fault is null or c.pocdowncard_fault is null)
order by c."NodeID", c."Date" desc
limit $3
"""

# The card of each class that the model is surest of, the newest of equals.
BY_LABEL = f"""
select distinct on (p."Label1") c."NodeID", c."Date",
    p."Label1" || ' (' || round(p."Prob1"::numeric) || ' %)' as title, p."Label1", p."Prob1", {USABLE_POINTS}
from clean.dynapred as p
join xspoc.card as c using ("NodeID", "Date")
where p."Date" >= $1 and p."Date" < $2
order by p."Label1", p."Prob1" desc, p."Date" desc, p."NodeID"
limit $3
"""


# The cards that depart most, one a well, and beside them one of an ordinary well for each.
_AGAINST = """
select c."NodeID", c."Date", a.departure, a.is_anomaly, a.reason, a."HorizonHours",
    p.position_in, p.load_lbf, p.load_lower_lbf, p.load_upper_lbf,
    case p.card when 'pocdowncard' then c.pocdowncard_position else c.surfcard_position end as position,
    case p.card when 'pocdowncard' then c.pocdowncard_load else c.surfcard_load end as load
from (
    select * from (
        select distinct on (is_anomaly, "NodeID") * from clean.cardanomaly
        where "Date" >= $1 and "Date" < $2
        order by is_anomaly, "NodeID", departure desc, "Date"
    ) as worst
    order by is_anomaly desc, departure desc
    limit $3
) as a
join clean.cardpred as p using ("NodeID", "IssuedAt", "HorizonHours")
join xspoc.card as c on c."NodeID" = a."NodeID" and c."Date" = a."Date"
order by a.departure desc
"""


def cards_against_forecast(warehouse: Warehouse, days: Days) -> str:
    """Draw cards of some days over their forecasts, those that depart most first, as Markdown."""
    from oasis_pipeline.plotting.forecasts import ForecastPicture, forecasts_grid
    from oasis_pipeline.plotting.style import markdown

    rows = warehouse.query(_AGAINST, (days.begin, days.end, EXAMPLES)).to_pylist()
    pictures = [
        ForecastPicture(
            row["reason"] or "as forecast",
            row["position_in"],
            row["load_lbf"],
            row["load_lower_lbf"],
            row["load_upper_lbf"],
            actual=(row["position"], row["load"]),
            note=f"{row['NodeID']}, {row['Date']:%Y-%m-%d %H:%M}, {row['HorizonHours']} h ahead",
        )
        for row in rows
    ]
    return (
        markdown(forecasts_grid(pictures), "cards over their forecasts")
        if pictures
        else "no card had a forecast"
    )


def pictures_of(rows: pa.Table) -> list[Picture]:
    """Turn rows of cards into pictures.

    Parameters
    ----------
    rows : pyarrow.Table
        ``NodeID``, ``Date``, ``title``, and the points of both cards (null where a card is missing).

    Returns
    -------
    list of Picture
    """
    from oasis_pipeline.plotting.cards import Picture

    surface = cards_of(rows["surface_position"], rows["surface_load"])
    pump = cards_of(rows["pump_position"], rows["pump_load"])
    found = []
    keys = zip(rows["NodeID"].to_pylist(), rows["Date"].to_pylist(), rows["title"].to_pylist(), strict=True)
    for i, (node, when, title) in enumerate(keys):
        where = f"{node}, {when:%Y-%m-%d %H:%M}"
        found.append(
            Picture(
                title or where,
                surface.row(i) if surface.counts[i] else None,
                pump.row(i) if pump.counts[i] else None,
                note=where if title else "",
            )
        )
    return found


def cards_of_days(warehouse: Warehouse, days: Days) -> str:
    """Draw the newest card of some wells, as Markdown."""
    return _drawn(warehouse.query(_NEWEST, (days.begin, days.end, EXAMPLES)), "newest cards")


def cards_by_label(warehouse: Warehouse, days: Days) -> str:
    """Draw one card of each predicted class, as Markdown."""
    return _drawn(warehouse.query(BY_LABEL, (days.begin, days.end, 16)), "one card of each class")


def label_shares(counts: Mapping[str, int]) -> str:
    """Draw how many cards each class has, as Markdown."""
    from oasis_pipeline.plotting.cards import class_shares
    from oasis_pipeline.plotting.style import markdown

    return markdown(class_shares(counts), "cards by class") if counts else "no cards"


def diagnosed_examples(cards: Sequence[DiagnosedCard]) -> str:
    """Draw diagnosed cards, as Markdown."""
    from oasis_pipeline.plotting.diagnosis import diagnosis_grid
    from oasis_pipeline.plotting.style import markdown

    return markdown(diagnosis_grid(cards), "diagnosed cards") if cards else "no usable card"


def _drawn(rows: pa.Table, title: str) -> str:
    from oasis_pipeline.plotting.cards import cards_grid
    from oasis_pipeline.plotting.style import markdown

    return markdown(cards_grid(pictures_of(rows)), title) if rows.num_rows else "no usable card"


_SIGNAL = """
select "NodeID", "Date", "FailureProb" from clean.xpred
where "HorizonDays" = 15 and "NodeID" = any($1::text[]) and "Date" > $2 order by 1, 2
"""


def signals_of_alarms(warehouse: Warehouse, alarms: Sequence[Mapping[str, Any]]) -> str:
    """Draw what raised the newest alarms of those given, two months of each, as Markdown."""
    from oasis_pipeline.plotting.failures import Signal, signals_figure
    from oasis_pipeline.plotting.style import markdown

    newest = sorted(alarms, key=lambda row: (row["RaisedAt"], row["NodeID"]), reverse=True)[:EXAMPLES]
    if not newest:
        return "no alarm stands"
    begin = min(row["RaisedAt"] for row in newest) - timedelta(days=60)
    rows = warehouse.query(_SIGNAL, ([row["NodeID"] for row in newest], begin))
    courses: dict[str, list[tuple[datetime, float]]] = {}
    for row in rows.to_pylist():
        courses.setdefault(row["NodeID"], []).append((row["Date"], row["FailureProb"]))
    signals = [
        Signal(
            f"{row['NodeID']}: {row['Class']}, raised {row['RaisedAt']:%Y-%m-%d}",
            [when for when, _ in courses[row["NodeID"]]],
            [percent for _, percent in courses[row["NodeID"]]],
            row["threshold"],
            row["RaisedAt"],
        )
        for row in newest
        if row["NodeID"] in courses
    ]
    return markdown(signals_figure(signals), "signals of alarms") if signals else "no forecast of these wells"
