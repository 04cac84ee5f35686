"""Rows of ``clean.carddiag`` and ``clean.roddiag``: cards of the warehouse through the physical diagnosis.

Here: what is read for `physics.diagnosis` and how its answer becomes rows. Not here: the diagnosis itself, and how
equipment rows become a well (``wells``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oasis_pipeline.cards.canonical import TimeForm, time_form_column
from oasis_pipeline.cards.column import rows_at
from oasis_pipeline.cards.quality import MIN_POINTS
from oasis_pipeline.engine import LOCAL, Engine
from oasis_pipeline.operations.days import Days
from oasis_pipeline.operations.wells import Equipment, EquipmentStates
from oasis_pipeline.physics.diagnosis import Cards, Diagnosis, diagnose_all
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage.card_points import USABLE_POINTS, cards_of
from oasis_pipeline.storage.postgres import Warehouse

if TYPE_CHECKING:
    from oasis_pipeline.plotting.diagnosis import DiagnosedCard

CARDDIAG = table("clean", "carddiag")
RODDIAG = table("clean", "roddiag")

DIAGNOSIS_VERSION = "3"
"""Raise it when the diagnosis of the same card comes out otherwise, in any column."""

EXAMPLES = 6

ROWS_AT_ONCE = 10_000
"""Cards that are stored together."""

SUMMED_UP = (
    "fillage_pct",
    "pump_intake_pressure_psi",
    "inferred_production_bpd",
    "gearbox_load_pct",
    "structural_load_pct",
    "max_rod_load_pct",
)
"""Columns whose median stands in the metadata."""

_CARDS = f"""
select c."NodeID", c."Date", c."SPM", c."Runtime", {USABLE_POINTS}
from xspoc.card as c
where c."Date" >= $1 and c."Date" < $2 and (c.surfcard_fault is null or c.pocdowncard_fault is null)
order by c."NodeID", c."Date"
"""


@dataclass(frozen=True)
class DiagnosedDay:
    """What was found on a day, or on some days in a row.

    Attributes
    ----------
    cards, rods : pyarrow.Table
        Rows of ``clean.carddiag`` and ``clean.roddiag``.
    examples : list of DiagnosedCard
        Some cards to draw, from the poorest filled pump to the best, each of another well.
    """

    cards: pa.Table
    rods: pa.Table
    examples: list[DiagnosedCard]


@dataclass(frozen=True)
class DiagnosisSummary:
    """What the metadata of a day say.

    Attributes
    ----------
    values : dict of str to list of ndarray
        Columns that medians are told of.
    counts : dict of str to int
        Cards by source of the pump card and by code of ``quality``.
    """

    values: dict[str, NDArray[np.float64]]
    counts: Counter[str]

    def medians(self) -> dict[str, float]:
        """Medians of the columns, rounded; those without values left out."""
        return {
            f"median_{name}": round(float(np.median(values)), 1)
            for name, values in self.values.items()
            if len(values)
        }


def summaries_by_day(cards: pa.Table) -> dict[str, DiagnosisSummary]:
    """Sum up rows of ``clean.carddiag``, each day that has some by itself, in order."""
    cards = cards.select(["Date", "pump_card_source", "quality", *SUMMED_UP])
    days = cards["Date"].cast(pa.date32())
    found = {}
    for day in sorted(pc.unique(days).to_pylist()):
        rows = cards.filter(pc.equal(days, day))
        counts = Counter(f"pump card: {source}" for source in rows["pump_card_source"].to_pylist())
        for text in rows["quality"].to_pylist():
            counts.update(code for code in text.split("; ") if code)
        values = {name: pc.drop_null(rows[name]).to_numpy() for name in SUMMED_UP}
        found[day.isoformat()] = DiagnosisSummary(values, counts)
    return found


def diagnosed_days(
    warehouse: Warehouse, days: Days, card_damping: float = math.nan, engine: Engine = LOCAL
) -> Iterator[tuple[Days, DiagnosedDay]]:
    """Diagnose the cards of some days, a day a core at a time, so that a year's backfill needs the memory of these.

    Parameters
    ----------
    warehouse : Warehouse
        Where cards and equipment are read.
    days : Days
        The days.
    card_damping : float
        Dimensionless damping that pump cards are given with; the usual one where NaN.
    engine : Engine
        Where the days are computed.

    Yields
    ------
    tuple of (Days, DiagnosedDay)
        One row for each card whose surface card or pump card is usable; days with few cards come together, because
        storing costs by the transaction.
    """
    first = days.first
    equipment = EquipmentStates.of_cards(warehouse, days.begin, days.end)
    held: list[DiagnosedDay] = []
    read = partial(_read_day, warehouse)
    for day, found in engine.each(days.dates, read, _diagnose_day, (equipment, card_damping)):
        held.append(found)
        if day == days.last or sum(found.cards.num_rows for found in held) >= ROWS_AT_ONCE:
            yield (
                Days(first, day),
                DiagnosedDay(
                    pa.concat_tables(found.cards for found in held),
                    pa.concat_tables(found.rods for found in held),
                    next((found.examples for found in reversed(held) if found.examples), []),
                ),
            )
            held, first = [], day + timedelta(days=1)


def _read_day(warehouse: Warehouse, day: date) -> pa.Table:
    span = Days(day, day)
    return warehouse.query(_CARDS, (span.begin, span.end))


def _diagnose_day(shared: tuple[EquipmentStates, float], rows: pa.Table) -> DiagnosedDay:
    """Diagnose the cards of a day with the equipment that each well had at the time of the card."""
    equipment, card_damping = shared
    if rows.num_rows == 0:
        return DiagnosedDay(arrow_schema(CARDDIAG).empty_table(), arrow_schema(RODDIAG).empty_table(), [])
    nodes: list[str] = rows["NodeID"].to_pylist()
    which = equipment.index_all(rows)
    surface = time_form_column(cards_of(rows["surface_position"], rows["surface_load"]))
    pump = time_form_column(cards_of(rows["pump_position"], rows["pump_load"]))
    wells = equipment.columns().given_with(card_damping)
    speed, runtime = (rows[name].to_numpy().astype(np.float64) for name in ("SPM", "Runtime"))
    parts: list[tuple[NDArray[np.intp], Diagnosis]] = []
    # Cards of equal point counts are diagnosed together; a card that is missing counts 0 points.
    counts = np.stack([surface.column.counts, pump.column.counts], axis=1)
    for count in np.unique(counts, axis=0).tolist():
        chosen = np.flatnonzero((counts == count).all(axis=1))
        cards = Cards(
            *_dense(surface, chosen, count[0]),
            spm=speed[chosen],
            runtime_h_per_d=runtime[chosen],
            well=which[chosen],
            is_open=surface.is_open[chosen],
            **_pump_cards(pump, chosen, count[1]),
        )
        parts.append((chosen, diagnose_all(cards, wells)))
    order = np.argsort(np.concatenate([chosen for chosen, _ in parts]))
    columns = {
        name: np.concatenate([part.columns[name] for _, part in parts])[order] for name in parts[0][1].columns
    }
    return DiagnosedDay(
        _card_rows(rows, columns),
        _rod_rows(rows, which, equipment.found, parts),
        _examples(nodes, rows["Date"].to_pylist(), columns, surface, pump, parts),
    )


def _dense(
    form: TimeForm, chosen: NDArray[np.intp], points: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if points == 0:
        nothing = np.full((len(chosen), MIN_POINTS), np.nan)
        return nothing, nothing
    starts = form.column.offsets[:-1][chosen]
    position, load = (rows_at(flat, starts, points) for flat in (form.column.position, form.column.load))
    return position.astype(np.float64), load.astype(np.float64)


def _pump_cards(form: TimeForm, chosen: NDArray[np.intp], points: int) -> dict[str, NDArray[np.float64]]:
    if points == 0:
        return {}
    position, load = _dense(form, chosen, points)
    # half strokes have neither load lines nor filling
    position[form.is_open[chosen]] = np.nan
    return {"pump_position_in": position, "pump_load_lbf": load}


def _finite(values: NDArray[np.float64]) -> pa.Array:
    """Numbers for a table; what is not one becomes null."""
    return pa.array(values, pa.float64(), mask=~np.isfinite(values))


def _card_rows(rows: pa.Table, columns: dict[str, NDArray[Any]]) -> pa.Table:
    made = {
        name: _finite(values) if values.dtype.kind == "f" else pa.array(values.tolist(), pa.string())
        for name, values in columns.items()
    }
    keys = {name: rows[name].combine_chunks() for name in ("NodeID", "Date")}
    return pa.table({**keys, **{name: made[name] for name in CARDDIAG.value_columns}}).cast(
        arrow_schema(CARDDIAG)
    )


def _rod_rows(
    rows: pa.Table,
    which: NDArray[np.intp],
    found: list[Equipment],
    parts: list[tuple[NDArray[np.intp], Diagnosis]],
) -> pa.Table:
    card, taper = [], []
    values: dict[str, list[NDArray[np.float64]]] = {}
    for chosen, part in parts:
        here, number = np.nonzero(np.isfinite(part.rods["top_max_stress_psi"]))
        card.append(chosen[here])
        taper.append(number)
        for name, stress in part.rods.items():
            values.setdefault(name, []).append(stress[here, number])
    cards, tapers = np.concatenate(card), np.concatenate(taper)
    order = np.lexsort((tapers, cards))
    cards, tapers = cards[order], tapers[order]
    rod = [found[which[c]].rods[t] for c, t in zip(cards, tapers, strict=True)]
    schema = arrow_schema(RODDIAG)
    return (
        pa.table(
            {
                **{name: rows[name].combine_chunks().take(pa.array(cards)) for name in ("NodeID", "Date")},
                "RodNum": pa.array([row["RodNum"] for row in rod], pa.int64()),
                "grade": pa.array([row["Grade"] for row in rod], pa.string()),
                "length_ft": pa.array([row["Length"] for row in rod], pa.float64()),
                "diameter_in": pa.array([row["Diameter"] for row in rod], pa.float64()),
                **{name: _finite(np.concatenate(stress)[order]) for name, stress in values.items()},
            }
        )
        .select(schema.names)
        .cast(schema)
    )


def _examples(
    nodes: list[str],
    dates: list[object],
    columns: dict[str, NDArray[Any]],
    surface: TimeForm,
    pump: TimeForm,
    parts: list[tuple[NDArray[np.intp], Diagnosis]],
) -> list[DiagnosedCard]:
    """Draw the newest card of some wells, spread over the range of fillage."""
    from oasis_pipeline.plotting.diagnosis import DiagnosedCard

    newest = {node: i for i, node in enumerate(nodes)}
    ranked = sorted(newest.values(), key=lambda i: (np.nan_to_num(columns["fillage_pct"][i], nan=-1.0), i))
    picked = [ranked[i] for i in np.unique(np.linspace(0, len(ranked) - 1, EXAMPLES).round().astype(int))]
    examples = []
    for i in picked:
        chosen, part = next((c, p) for c, p in parts if i in c)
        row = int(np.searchsorted(chosen, i))
        source = columns["pump_card_source"][i]
        downhole = None
        if source == "computed":
            downhole = (part.pump_position_in[row], part.pump_load_lbf[row])
        elif pump.column.counts[i]:
            downhole = pump.column.row(i)
        examples.append(
            DiagnosedCard(
                title=nodes[i],
                note=f"{dates[i]:%Y-%m-%d %H:%M}",
                surface=surface.column.row(i) if surface.column.counts[i] else None,
                pump=downhole,
                findings={name: float(v[i]) for name, v in columns.items() if v.dtype.kind == "f"},
            )
        )
    return examples
