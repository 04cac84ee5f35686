"""Pictures of stored cards for pages: thumbnails over the well's bounds.

Here: which cards are read, and the colours of classes. Not here: drawing (``plotting.svg``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from oasis_pipeline.plotting.colours import QUIET, class_colours
from oasis_pipeline.plotting.svg import card_svg
from oasis_pipeline.service.access import Remembered
from oasis_pipeline.service.warehouse import warehouse
from oasis_pipeline.storage.card_points import USABLE_POINTS, cards_of
from oasis_pipeline.storage.postgres import Transaction

COLOUR_SECONDS = 300.0

_colours: Remembered[dict[str, str]] = Remembered(COLOUR_SECONDS)

_CARDS = f"""
select c."NodeID", c."Date", b.pos_min, b.pos_max, b.load_min, b.load_max, {USABLE_POINTS}
from unnest($1::text[], $2::timestamp[]) as k(node, moment)
join xspoc.card as c on c."NodeID" = k.node and c."Date" = k.moment
left join clean.dynabounds as b on b."NodeID" = c."NodeID" and b."Date" = c."Date"::date
"""


def thumbnails(
    tx: Transaction, keys: Sequence[tuple[str, datetime]], *, width: int = 132, height: int = 78
) -> dict[tuple[str, datetime], str]:
    """Draw cards, each over the bounds of its day, in one statement.

    Parameters
    ----------
    tx : Transaction
        Of ``warehouse.reading``.
    keys : sequence of (str, datetime)
        NodeID as shown and Date of each card.
    width, height : int
        Size in pixels.

    Returns
    -------
    dict of (str, datetime) to str
        An ``<svg>`` element a card, safe to put into a page; cards that are not there have none.
    """
    if not keys:
        return {}
    found = tx.query(_CARDS, ([node for node, _ in keys], [when for _, when in keys]))
    surface = cards_of(found["surface_position"], found["surface_load"])
    pump = cards_of(found["pump_position"], found["pump_load"])
    plain = found.select(["NodeID", "Date", "pos_min", "pos_max", "load_min", "load_max"]).to_pylist()
    drawn: dict[tuple[str, datetime], str] = {}
    for place, row in enumerate(plain):
        limits = (row["pos_min"], row["pos_max"], row["load_min"], row["load_max"])
        drawn[row["NodeID"], row["Date"]] = card_svg(
            surface.row(place) if surface.counts[place] else None,
            pump.row(place) if pump.counts[place] else None,
            limits if None not in limits else None,
            width=width,
            height=height,
            title=f"card of {row['NodeID']}, {row['Date']:%Y-%m-%d %H:%M}",
        )
    return drawn


def colours_of_classes() -> dict[str, str]:
    """Colour of every class that the field has shown so far, the same on all pages; looked up now and then.

    Returns
    -------
    dict of str to str
        A CSS colour by class text, with ``Unknown``.
    """

    def find() -> dict[str, str]:
        rows = warehouse().query(
            'select distinct "Label1" as label from clean.wellsummary where "Label1" is not null'
        )
        quiet = dict.fromkeys(QUIET, "var(--quiet)")
        return {**class_colours(rows["label"].to_pylist()), **quiet}

    return _colours.get("classes", find)
