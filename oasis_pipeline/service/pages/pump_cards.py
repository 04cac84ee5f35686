"""Pump cards computed from surface cards for pages, as the diagnosis computed them.

Here: which cards can be had, and the equipment that they need. Not here: the computation (``physics.diagnosis.again``), and drawing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from oasis_pipeline.cards.canonical import time_form_column
from oasis_pipeline.cards.column import CardColumn
from oasis_pipeline.operations.wells import EquipmentStates
from oasis_pipeline.physics.diagnosis.again import pump_cards_again
from oasis_pipeline.plotting.svg import Card
from oasis_pipeline.storage.postgres import Transaction


def pump_cards_by_rods(
    tx: Transaction, rows: Sequence[Mapping[str, Any]], surface: CardColumn
) -> list[Card | None]:
    """Compute the pump cards of some cards from their surface cards, with what the diagnosis found.

    Parameters
    ----------
    tx : Transaction
    rows : sequence of mapping, length n
        NodeID as shown, Date and SPM of each card, and its pump_card_source, damping, balance_damping and position_phase_deg of
        ``clean.carddiag``.
    surface : CardColumn
        Surface cards, n of them.

    Returns
    -------
    list of (ndarray, ndarray) or None
        Position (in) and effective load (lbf); None where the diagnosis computed none.
    """
    cards: list[Card | None] = [None] * len(rows)
    form = time_form_column(surface)
    wanted = [
        place
        for place, row in enumerate(rows)
        if row["pump_card_source"] == "computed"
        and _damping(row) is not None
        and row["SPM"]
        and form.column.counts[place]
        and not form.is_open[place]
    ]
    if not wanted:
        return cards
    times = [rows[place]["Date"] for place in wanted]
    nodes = sorted({rows[place]["NodeID"] for place in wanted})
    states = EquipmentStates.read(tx, nodes, min(times), max(times) + timedelta(seconds=1))
    well = np.array([states.index(rows[place]["NodeID"], rows[place]["Date"]) for place in wanted], np.intp)
    wells = states.columns()
    places = np.array(wanted, np.intp)
    points = form.column.counts[places]
    # cards of one length at a time
    for count in np.unique(points).tolist():
        some = np.flatnonzero((points == count) & wells.has_rods[well])
        if not some.size:
            continue
        chosen = [rows[place] for place in places[some].tolist()]
        pairs = [form.column.row(place) for place in places[some].tolist()]
        x, f = pump_cards_again(
            np.array([position for position, _ in pairs], np.float64),
            np.array([load for _, load in pairs], np.float64),
            wells,
            well[some],
            np.array([row["SPM"] for row in chosen], np.float64),
            np.array([_damping(row) for row in chosen], np.float64),
            np.array([row["position_phase_deg"] or 0.0 for row in chosen], np.float64),
        )
        for number, place in enumerate(places[some].tolist()):
            cards[place] = x[number], f[number]
    return cards


def _damping(row: Mapping[str, Any]) -> float | None:
    """Return what the pump card was given with; rows of earlier releases have but one damping."""
    damping: float | None = row["damping"] if row["damping"] is not None else row["balance_damping"]
    return damping
