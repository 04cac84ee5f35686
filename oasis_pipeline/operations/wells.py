"""Wells as the diagnosis takes them, from the equipment tables as they were at a time.

Here: which state of a well's equipment holds for a card, and how its rows become a `Well`. Not here: cards.

A value that no equipment can have (a rod without length, a plunger of 0 in, a linkage that can't turn) counts as
unknown, like one that is missing: the quantities that need it stay null, and ``quality`` names what was not known.
"""

from __future__ import annotations

import difflib
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import RLock
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oasis_pipeline.intake.values import clean_node, node_key
from oasis_pipeline.physics.diagnosis import Well
from oasis_pipeline.physics.diagnosis.well import WellColumns, columns_of
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.unit import PumpingUnit, UnitKind, stroke_in
from oasis_pipeline.physics.well_path import Survey
from oasis_pipeline.schema import history_of, quote, table
from oasis_pipeline.storage.postgres import Transaction, Warehouse

EQUIPMENT = ("welldetails", "rods", "deviations", "pumpingunits")
"""Tables of schema ``xspoc`` whose history makes a `Well`."""

Row = Mapping[str, Any]
States = dict[str, list[tuple[datetime, list[Row]]]]
"""Well -> its states of one table, oldest first: since when, and the rows."""

_OF_DETAILS = {
    "spm": "SPM",
    "plunger_diameter_in": "PlungerDiam",
    "clearance_in": "Clearance",
    "pump_depth_ft": "PumpDepth",
    "fluid_sg": "FluidSpecificGravity",
    "water_sg": "WaterSG",
    "viscosity_cp": "Viscosity",
    "tubing_anchor_depth_ft": "TubingAnchorDepth",
    "tubing_od_in": "TubingOD",
    "tubing_id_in": "TubingID",
}
"""Field of `Well` -> column of ``welldetails``, positive or unknown."""

_SIGNED = {
    "tubing_pressure_psi": "TubingPressure",
    "casing_pressure_psi": "CasingPressure",
    "water_cut_pct": "WaterCut",
    "oil_api_deg": "OilAPIGravity",
}


@dataclass(frozen=True)
class Equipment:
    """Everything known of one well at a time.

    Attributes
    ----------
    well : Well
        For the diagnosis.
    rods : tuple of mapping
        Rows of ``xspoc.rods`` behind ``well.rods``, top first; empty without them.
    """

    well: Well
    rods: tuple[Row, ...] = ()


class EquipmentStates:
    """Equipment of some wells over a span of time. Several threads may ask for rows and columns.

    Parameters
    ----------
    states : mapping of str to States
        By table.
    """

    def __init__(self, states: Mapping[str, States]) -> None:
        self._states = states
        self._since = {
            name: {well: [since for since, _ in mine] for well, mine in of_wells.items()}
            for name, of_wells in states.items()
        }
        self._known: dict[tuple[str, tuple[int, ...]], int] = {}
        self._columns: WellColumns | None = None
        self._lock = RLock()
        self.found: list[Equipment] = []
        """Equipment asked for so far; `index` counts these."""

    def __reduce__(self) -> tuple[type[EquipmentStates], tuple[Mapping[str, States]]]:
        """To another process go the states; what was found from them is found there again."""
        return EquipmentStates, (self._states,)

    @classmethod
    def read(
        cls, source: Warehouse | Transaction, wells: Sequence[str], begin: datetime, end: datetime
    ) -> EquipmentStates:
        """Read the states that hold for any time from `begin` up to (not including) `end`.

        Parameters
        ----------
        source : Warehouse or Transaction
        wells : sequence of str
            NodeIDs as shown.
        begin, end : datetime
            Field's local time.
        """
        return cls({name: _read(source, name, wells, begin, end) for name in EQUIPMENT})

    @classmethod
    def of_cards(cls, source: Warehouse | Transaction, begin: datetime, end: datetime) -> EquipmentStates:
        """Read the states of the wells that have cards in a span of time, as `read` does."""
        sql = 'select distinct "NodeID" from xspoc.card where "Date" >= $1 and "Date" < $2 order by 1'
        return cls.read(source, source.query(sql, (begin, end))["NodeID"].to_pylist(), begin, end)

    @classmethod
    def of_rows(cls, source: Warehouse | Transaction, *tables: pa.Table) -> EquipmentStates:
        """Read the states that hold for rows with ``NodeID`` and ``Date``, one or more in all, as `read` does."""
        dates = [date for rows in tables for date in rows["Date"].to_pylist()]
        wells = sorted({node for rows in tables for node in rows["NodeID"].to_pylist()})
        return cls.read(source, wells, min(dates), max(dates) + timedelta(milliseconds=1))

    def columns(self) -> WellColumns:
        """Return the equipment of `found` as columns; made again only when something was found since."""
        with self._lock:
            if self._columns is None or len(self._columns.has_rods) != len(self.found):
                self._columns = columns_of([equipment.well for equipment in self.found])
            return self._columns

    def index(self, well: str, when: datetime) -> int:
        """Place in `found` of the equipment of a well at a time."""
        places = tuple(_place(self._since[name].get(well, []), when) for name in EQUIPMENT)
        key = (well, places)
        if key not in self._known:
            parts = [
                self._states[name][well][place][1] if place >= 0 else []
                for name, place in zip(EQUIPMENT, places, strict=True)
            ]
            self._known[key] = len(self.found)
            self.found.append(equipment_of(*parts))
        return self._known[key]

    def index_all(self, rows: pa.Table) -> NDArray[np.intp]:
        """Places in `found` of the equipment of rows with ``NodeID`` and ``Date``, shape (rows,)."""
        pairs = zip(rows["NodeID"].to_pylist(), rows["Date"].to_pylist(), strict=True)
        with self._lock:
            return np.array([self.index(node, when) for node, when in pairs], dtype=np.intp)


class UnknownWellError(LookupError):
    """No well has this NodeID; the message names those that come close."""


def find_node(source: Warehouse | Transaction, name: str) -> str:
    """Return the NodeID of a well as shown.

    Parameters
    ----------
    source : Warehouse or Transaction
    name : str
        In any spelling.

    Raises
    ------
    UnknownWellError
        If there is no such well.
    """
    rows = source.query('select node_key, "NodeID" from xspoc.node').to_pylist()
    nodes: dict[str, str] = {row["node_key"]: row["NodeID"] for row in rows}
    key = node_key(clean_node(name))
    if key not in nodes:
        close = [nodes[k] for k in difflib.get_close_matches(key, nodes, n=3)]
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise UnknownWellError(f"there is no well {name!r} in the warehouse ({len(nodes)} wells){hint}")
    return nodes[key]


def newest_well(source: Warehouse | Transaction, name: str) -> tuple[str, Well]:
    """Read the newest equipment of a well.

    Parameters
    ----------
    source : Warehouse or Transaction
    name : str
        NodeID in any spelling.

    Returns
    -------
    node : str
        NodeID as shown.
    well : Well

    Raises
    ------
    UnknownWellError
        If there is no such well.
    """
    node, newest = find_node(source, name), datetime.max.replace(microsecond=0)
    states = EquipmentStates.read(source, [node], newest, newest)
    return node, states.found[states.index(node, newest)].well


def _read(
    source: Warehouse | Transaction, name: str, wells: Sequence[str], begin: datetime, end: datetime
) -> States:
    history = history_of(table("xspoc", name))
    order = ", ".join(quote(column) for column in history.key if column not in ("NodeID", "ValidFrom"))
    rows = source.query(
        "with since as (select w.node, coalesce("
        f'(select max("ValidFrom") from {history.full_name} where "NodeID" = w.node and "ValidFrom" <= $2::timestamp), '
        f'(select min("ValidFrom") from {history.full_name} where "NodeID" = w.node)) as first '
        "from unnest($1::text[]) as w(node)) "
        f'select h.* from since join {history.full_name} as h on h."NodeID" = since.node '
        'and (h."ValidFrom" = since.first or (h."ValidFrom" > since.first and h."ValidFrom" < $3::timestamp)) '
        f'order by h."NodeID", h."ValidFrom"{", " + order if order else ""}',
        (list(wells), begin, end),
    )
    states: States = {}
    for row in rows.to_pylist():
        mine = states.setdefault(row["NodeID"], [])
        if not mine or mine[-1][0] != row["ValidFrom"]:
            mine.append((row["ValidFrom"], []))
        mine[-1][1].append(row)
    return states


def _place(since: list[datetime], when: datetime) -> int:
    """Place of the state that holds: the newest not after the time, the first for all time before; -1 without any."""
    return max(bisect_right(since, when) - 1, 0) if since else -1


def equipment_of(
    details: Sequence[Row], rods: Sequence[Row], deviations: Sequence[Row], units: Sequence[Row]
) -> Equipment:
    """Make a well of the rows that hold.

    Parameters
    ----------
    details, rods, deviations, units : sequence of mapping
        Rows of the four equipment tables, in the order of their keys; empty where nothing is known.

    Returns
    -------
    Equipment
    """
    row: Row = details[0] if details else {}
    string = _rod_string(rods)
    if string is not None and _has_gap(rods) and math.isnan(_positive(row.get("PumpDepth"))):
        # with a pump depth the diagnosis sees for itself whether the string is whole
        string = None
    numbers = {field: _positive(row.get(column)) for field, column in _OF_DETAILS.items()}
    numbers |= {field: _number(row.get(column)) for field, column in _SIGNED.items()}
    well = Well(
        rods=string,
        unit=_unit(units[0]) if units else None,
        survey=_survey(deviations),
        tubing_anchored=row.get("TubingAnchored"),
        **numbers,
    )
    return Equipment(well, tuple(rods) if string is not None else ())


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _positive(value: float | None) -> float:
    return float(value) if value is not None and value > 0.0 else float("nan")


def _all_positive(values: Iterable[float | None]) -> bool:
    return all(value is not None and 0.0 < value < 1e6 for value in values)


def _rod_string(rows: Sequence[Row]) -> RodString | None:
    length, diameter = [row["Length"] for row in rows], [row["Diameter"] for row in rows]
    if not rows or not _all_positive((*length, *diameter)):
        return None
    return RodString.from_sections(length, diameter, [row["Grade"] for row in rows])


def _has_gap(rods: Sequence[Row]) -> bool:
    """Whether the numbers of the rods, 1 at the top, leave some out."""
    return sorted(row["RodNum"] for row in rods) != list(range(1, len(rods) + 1))


def _survey(rows: Sequence[Row]) -> Survey | None:
    kept = [row for row in rows if row["Inclination"] is not None]
    if len(kept) < 2:
        return None
    # a station whose azimuth is missing still says how steep the well is
    azimuth = [row["Azimuth"] or 0.0 for row in kept]
    depth, inclination = ([row[name] for row in kept] for name in ("MD", "Inclination"))
    return Survey(*(np.array(values, dtype=np.float64) for values in (depth, inclination, azimuth)))


def _unit(row: Row) -> PumpingUnit | None:
    try:
        kind = UnitKind.from_text(row["UnitType"] or "")
    except ValueError:
        return None
    sizes: list[float] = [row[name] for name in "ACIKPR"]
    if kind is UnitKind.SIMPLE_HARMONIC:
        sizes[:5] = [1.0] * 5
    if not _all_positive(sizes):
        return None
    unit = PumpingUnit(
        kind,
        **dict(zip(("a_in", "c_in", "i_in", "k_in", "p_in", "r_in"), sizes, strict=True)),
        clockwise=not (row["Rotation"] or "").strip().upper().startswith(("CC", "COUNTER", "ANTI")),
        gearbox_rating_in_lbf=_positive(row["GearboxRating"]),
        structural_rating_lbf=_positive(row["StructuralRating"]),
        counterbalance_moment_in_lbf=_number(row["CounterbalanceMoment"]),
        crank_offset_deg=row["CrankOffset"] or 0.0,
    )
    return unit if can_turn(unit) else None


def can_turn(unit: PumpingUnit) -> bool:
    """Whether the crank of a linkage gets round."""
    with np.errstate(invalid="ignore"):
        stroke = float(stroke_in(unit))
    return bool(np.isfinite(stroke) and stroke > 0.0)
