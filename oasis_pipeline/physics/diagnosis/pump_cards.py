"""Pump cards of a batch with wells of its own: solved in the frequency domain, once to be read and once to be given.

Belongs here: which string, damping and solver a card gets, and the readings of the resulting pump cards. Does not
belong here: what the readings mean (:mod:`.quantities`).

Drag (viscous damping) and dry friction both burn power in the rods, and one card does not tell their shares. So there are two pump cards.
The one that is *given* has all friction left in, as vendors draw it: its damping is the small one of thin liquids
(`CARD_DAMPING`), or what the well or a convention says. The one that is *read* has everything taken out that the power balance calls drag:
its load lines are flat whichever of the two burned the power, and load lines, valves and speeds are found on it. How far the load lines of the two
are apart is what is not known for want of the damping.

The damping of the card that is read, where the well gives none, comes from the power balance of Everitt and Jennings [1]_ with the hydraulic work
taken from the card itself instead of a known lift: what the polished rod puts in, less what fluid and dry friction take at
the pump (load lines x stroke x filled share), is what the damping burns. The loss that the wave equation computes is
proportional to the damping, so one division corrects it, repeated until it is steady; a card whose damping still moves after
the last round, or ends on a bound, is flagged.

References
----------
.. [1] T. A. Everitt and J. W. Jennings, SPE Prod. Eng. 7 (1992) 121-127, SPE 18189.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics import wave_difference, wave_frequency
from oasis_pipeline.physics.constants import STANDARD_PRESSURE_PSI
from oasis_pipeline.physics.diagnosis.reading import read_pump_cards
from oasis_pipeline.physics.diagnosis.well import WellColumns
from oasis_pipeline.physics.fluids import discharge_pressure_psi, plunger_area_in2
from oasis_pipeline.physics.power_balance import POWER_BALANCE_BOUNDS
from oasis_pipeline.physics.torque import card_area_in_lbf

Array = NDArray[np.float64]

START_DAMPING = 0.10
HARMONICS = 60
"""Of the card that is read: above this the signal of a real card is below its noise; the simulator's cards lose nothing either."""

CARD_DAMPING = 0.01
"""Dimensionless damping of the card that is given. Thin liquid drags at the rods of a usual well with 0.001 to 0.01; vendors' cards of real wells
fit 0 to 0.01, where the power balance says 0.1 and more of wells with friction."""
CARD_HARMONICS = 30
"""Of the card that is given: noise of real positions grows with the harmonic, and with 60 it shows."""

EXPECTED_FRICTION_LBF = 150.0
"""Friction where a card does not tell it: 100 lbf of the plunger, 50 of stuffing box and rods; the
spread below goes with it."""
FRICTION_SPREAD_LBF = 70.0

TUBING_TRAVEL_IN = 0.3
"""Less movement in both load transfers is not told from a card's noise."""

STEADY = 0.10
"""Relative change of the damping in a round that counts as settled."""
MAX_ROUNDS = 4


@dataclass(frozen=True)
class PumpCards:
    """Pump cards of a batch and what was read off them.

    Attributes
    ----------
    position_in, load_lbf : ndarray, shape (k, n)
        Pump cards as they are given, effective loads with friction left in.
    read_load_lbf : ndarray, shape (k, n)
        Effective loads of the cards that were read.
    taper_load_lbf : ndarray, shape (k, tapers - 1, n)
        Dynamic load at the bottom of each taper but the last, of the cards that were read.
    damping, balance_damping : ndarray, shape (k,)
        Dimensionless damping of the cards that are given, and of those that were read.
    settled : ndarray of bool, shape (k,)
        False where the power balance did not settle.
    readings : dict of ndarray, shape (k,)
        As of :func:`~.reading.read_pump_cards`, and ``given_span_lbf``, the distance of the load lines at rest of the cards that are given.
    """

    position_in: Array
    load_lbf: Array
    read_load_lbf: Array
    taper_load_lbf: Array
    damping: Array
    balance_damping: Array
    settled: NDArray[np.bool_]
    readings: dict[str, Array]

    def replace(self, rows: NDArray[np.intp], other: PumpCards) -> None:
        """Put the cards of another batch in the place of some rows."""
        for field in fields(self):
            if field.name != "readings":
                getattr(self, field.name)[rows] = getattr(other, field.name)
        for name, column in self.readings.items():
            column[rows] = other.readings[name]


def _solve(
    position_in: Array,
    dynamic_lbf: Array,
    wells: WellColumns,
    well: NDArray[np.intp],
    spm: Array,
    damping: Array,
    *,
    harmonics: int = HARMONICS,
    tapers: bool = False,
) -> tuple[Array, Array, Array | None]:
    """One run of the frequency-domain solver with a damping of its own for each card."""
    rods = wells.rods.take(well)
    coefficient = wave_frequency.damping_per_s(rods, damping)
    return wave_frequency.propagate_each(
        position_in, dynamic_lbf, rods, spm, coefficient, harmonics + 1, tapers=tapers
    )


def _along_path(
    position_in: Array,
    dynamic_lbf: Array,
    wells: WellColumns,
    well: NDArray[np.intp],
    spm: Array,
    damping: Array,
) -> tuple[NDArray[np.intp], Array, Array]:
    """Pump cards, by finite differences, of the wells whose friction along the path is known; rows, positions, loads."""
    coefficient = wells.plain["friction_coefficient"]
    rows, positions, loads = [], [], []
    for w in np.unique(well):
        survey = wells.surveys[w]
        if survey is None or not np.isfinite(coefficient[w]):
            continue
        mine = np.flatnonzero(well == w)
        string = wells.rods.take(int(w))
        x, f = wave_difference.pump_card(
            position_in[mine],
            dynamic_lbf[mine],
            string,
            spm[mine],
            wave_frequency.damping_per_s(string, damping[mine]),
            buoyant_weight_lbf=0.0,
            survey=survey,
            friction_coefficient=float(coefficient[w]),
            buoyancy=float(
                wells.rods.buoyant_weight_lbf(wells.plain["fluid_sg"])[w] / wells.rods.air_weight_lbf[w]
            ),
        )
        rows.append(mine)
        positions.append(x)
        loads.append(f)
    if not rows:
        empty = np.empty((0, position_in.shape[1]))
        return np.empty(0, dtype=np.intp), empty, empty
    return np.concatenate(rows), np.concatenate(positions), np.concatenate(loads)


def read(
    surface_position_in: Array,
    position_in: Array,
    load_lbf: Array,
    wells: WellColumns,
    well: NDArray[np.intp],
    spm: Array,
) -> dict[str, Array]:
    """Read pump cards with the tubing, pump and fluid of their wells.

    Where the anchor is not known, tubing that is seen to move is taken to be free, so that its slope is read as movement and not
    as a leak once more. ``tubing_stretch_in_per_lbf`` of the readings is what was taken.
    """
    plain = wells.plain
    area = plunger_area_in2(plain["plunger_diameter_in"])
    load = (area * (discharge_psi(wells) + STANDARD_PRESSURE_PSI))[well]

    def of(rows: NDArray[np.intp] | slice, stretch: Array) -> dict[str, Array]:
        return read_pump_cards(
            surface_position_in[rows],
            position_in[rows],
            load_lbf[rows],
            spm=spm[rows],
            stretch_in_per_lbf=stretch,
            discharge_load_lbf=load[rows],
            gas_exponent=plain["gas_exponent"][well][rows],
        )

    stretch = wells.stretch_in_per_lbf[well].copy()
    found = of(slice(None), stretch)
    # Tubing whose anchor is not known moves where the plunger goes up in both load transfers: a leak moves them apart.
    with np.errstate(divide="ignore", invalid="ignore"):
        travel = np.minimum(found["pickup_travel_in"], found["unload_travel_in"])
        seen = travel / (found["upper_lbf"] - found["lower_lbf"])
    moving = np.flatnonzero((wells.most_stretch_in_per_lbf[well] > 0.0) & (travel > TUBING_TRAVEL_IN))
    if len(moving):
        stretch[moving] = np.minimum(seen[moving], wells.most_stretch_in_per_lbf[well][moving])
        for name, values in of(moving, stretch[moving]).items():
            found[name][moving] = values
    found["tubing_stretch_in_per_lbf"] = stretch
    return found


def discharge_psi(wells: WellColumns) -> Array:
    """Discharge pressure of each well, psi gauge."""
    return discharge_pressure_psi(
        wells.plain["tubing_pressure_psi"], wells.plain["fluid_sg"], wells.vertical_depth_ft
    )


def _balanced(
    surface_area: Array, readings: dict[str, Array], damping: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Damping that makes the computed loss equal to what the pump leaves over, and where it stayed inside its bounds."""
    span = readings["upper_rest_lbf"] - readings["lower_rest_lbf"]
    span = np.where(np.isnan(span), readings["upper_lbf"] - readings["lower_lbf"], span)
    friction = readings["shelf_friction_lbf"]
    friction = np.clip(
        np.where(np.isnan(friction), EXPECTED_FRICTION_LBF, friction), 0.0, 0.25 * np.abs(span)
    )
    stroke = readings["gross_stroke_in"]
    filled = np.clip(readings["fill_area"], 0.0, 1.0)
    useful = (span - 2.0 * friction) * stroke * filled + 2.0 * friction * stroke
    computed = surface_area - readings["area_in_lbf"]
    with np.errstate(divide="ignore", invalid="ignore"):
        raw = damping * (surface_area - useful) / computed
    low, high = POWER_BALANCE_BOUNDS
    value = np.clip(np.where(np.isfinite(raw), raw, START_DAMPING), low, high)
    return value, np.isfinite(raw) & (raw > low) & (raw < high)


def compute(
    position_in: Array, load_lbf: Array, wells: WellColumns, well: NDArray[np.intp], spm: Array
) -> PumpCards:
    """Pump cards and their readings.

    Parameters
    ----------
    position_in, load_lbf : ndarray, shape (k, n)
        Surface cards in time form, without NaN.
    wells : WellColumns
        Wells with rods.
    well : ndarray of int, shape (k,)
        Well of each card.
    spm : ndarray, shape (k,)
        Positive speeds.

    Returns
    -------
    PumpCards
        Cards and readings.
    """
    weight = wells.buoyant_weight_lbf[well]
    dynamic = load_lbf - weight[:, None]
    given = wells.plain["damping"][well]
    damping = np.where(np.isnan(given), START_DAMPING, given)
    settled = np.ones(len(well), dtype=np.bool_)
    todo = np.flatnonzero(np.isnan(given))
    settled[todo] = False
    surface_area = card_area_in_lbf(position_in, load_lbf)
    for _ in range(MAX_ROUNDS):
        if not len(todo):
            break
        x, f, _none = _solve(position_in[todo], dynamic[todo], wells, well[todo], spm[todo], damping[todo])
        got = read(position_in[todo], x, f, wells, well[todo], spm[todo])
        value, inside = _balanced(surface_area[todo], got, damping[todo])
        steady = np.abs(value / damping[todo] - 1.0) < STEADY
        damping[todo] = value
        settled[todo] = steady & inside
        todo = todo[~steady]
    x, f, below = _solve(position_in, dynamic, wells, well, spm, damping, tapers=True)
    rows, along_x, along_f = _along_path(position_in, dynamic, wells, well, spm, damping)
    x[rows], f[rows] = along_x, along_f
    readings = read(position_in, x, f, wells, well, spm)
    assert below is not None, "tapers were asked for"
    card_damping = given_damping(wells)[well]
    card_x, card_f, _none = _solve(
        position_in, dynamic, wells, well, spm, card_damping, harmonics=CARD_HARMONICS
    )
    rows, along_x, along_f = _along_path(position_in, dynamic, wells, well, spm, card_damping)
    card_x[rows], card_f[rows] = along_x, along_f
    upper, lower = load_lines(read(position_in, card_x, card_f, wells, well, spm))
    readings["given_span_lbf"] = upper - lower
    return PumpCards(card_x, card_f, f, below, card_damping, damping, settled, readings)


def given_damping(wells: WellColumns) -> Array:
    """Dimensionless damping of the pump cards that are given of each well."""
    plain = wells.plain
    known = np.where(np.isnan(plain["damping"]), CARD_DAMPING, plain["damping"])
    return np.where(np.isnan(plain["card_damping"]), known, plain["card_damping"])


def load_lines(readings: dict[str, Array]) -> tuple[Array, Array]:
    """Upper and lower load line, lbf: at rest, or the median loads where that can't be had."""
    upper, lower = (
        np.where(
            np.isnan(readings[f"{line}_rest_lbf"]), readings[f"{line}_lbf"], readings[f"{line}_rest_lbf"]
        )
        for line in ("upper", "lower")
    )
    return upper, lower
