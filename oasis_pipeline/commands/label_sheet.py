"""A page with the cards of the queue, for the person who labels them.

Here: the page. Not here: which cards (``operations.label_queue``) and how a card is drawn (``plotting``).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from oasis_pipeline.operations.pictures import pictures_of
from oasis_pipeline.plotting.cards import cards_grid
from oasis_pipeline.plotting.style import data_uri
from oasis_pipeline.storage.card_points import USABLE_POINTS
from oasis_pipeline.storage.postgres import Warehouse

_A_PICTURE = 12

_CARDS = f"""
select c."NodeID", c."Date", o.title, {USABLE_POINTS}
from unnest($1::text[], $2::text[], $3::text[]) with ordinality as o(node, moment, title, place)
join xspoc.card as c on c."NodeID" = o.node and c."Date" = o.moment::timestamp
order by o.place
"""


def write_sheet(warehouse: Warehouse, rows: Sequence[dict[str, Any]], out: Path) -> None:
    """Write a page with a picture of each card of the queue.

    Parameters
    ----------
    warehouse : Warehouse
        Where the points of the cards are read.
    rows : sequence of dict
        Rows of ``clean.label_queue``, at least one.
    out : Path
        Html file, complete in itself.
    """
    parts = []
    for first in range(0, len(rows), _A_PICTURE):
        chosen = rows[first : first + _A_PICTURE]
        titles = [f"{row['rank']}: {row['Label1']}? ({row['Prob1']:.0f} %)" for row in chosen]
        keys = ([row["NodeID"] for row in chosen], [row["Date"].isoformat() for row in chosen], titles)
        figure = cards_grid(pictures_of(warehouse.query(_CARDS, keys)))
        alt = escape(", ".join(f"{row['rank']} {row['NodeID']}" for row in chosen))
        parts.append(f'<p><img src="{data_uri(figure)}" alt="{alt}"></p>')
    out.write_text(
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Cards to label</title>\n'
        "<style>body{font-family:sans-serif;margin:2em}img{max-width:100%}</style>\n"
        "<h1>Cards to label</h1>\n<p>In the order of the queue. Above each card its rank, and what the model would say, which is a "
        "guess: it is unsure of these. Fill in TrueLabel1, and TrueLabel2 where the card shows two things, in the csv of "
        f"<code>oasis labels queue --out</code>, and give it to <code>oasis labels import</code>.</p>\n{''.join(parts)}\n</html>\n",
        "utf-8",
    )
