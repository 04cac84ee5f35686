"""The diagnosis of a batch of cards, from input types to columns.

Belongs here: the order of the steps and what is withheld when. Does not belong here: the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.cards.misfit import Expected, odd_cards
from oasis_pipeline.physics.diagnosis import quantities as q
from oasis_pipeline.physics.diagnosis.pump_cards import compute, discharge_psi, read
from oasis_pipeline.physics.diagnosis.sensors import advance_position, find_phase, signal_codes
from oasis_pipeline.physics.diagnosis.well import (
    BREAKING_STRESS_PSI,
    Cards,
    Quality,
    Well,
    WellColumns,
    columns_of,
    quality_text,
)
from oasis_pipeline.physics.fluids import plunger_area_in2
from oasis_pipeline.physics.report import reports

Array = NDArray[np.float64]

_CHUNK = 256
HOURS_A_DAY = 24.0
PARTED_HEIGHT = 0.7
PARTED_WORK = 0.45
"""Height of the pump card and its work, as shares of a full pump's with no intake pressure, below which rods can be parted."""


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was found out about a batch of k cards.

    Attributes
    ----------
    columns : dict of ndarray, shape (k,)
        Named after ``clean.carddiag``; numbers are float64 with NaN for what could not be had, ``pump_card_source``,
        ``quality`` and ``report`` are str.
    rods : dict of ndarray, shape (k, tapers)
        Stress (psi) and loading (%) of each taper, for ``clean.roddiag``.
    pump_position_in, pump_load_lbf : ndarray, shape (k, n)
        Computed pump cards, effective loads with friction left in; NaN where none could be computed.
    codes : ndarray of int64, shape (k,)
        :class:`~.well.Quality` of each card.
    """

    columns: dict[str, NDArray[Any]]
    rods: dict[str, Array]
    pump_position_in: Array
    pump_load_lbf: Array
    codes: NDArray[np.int64]


def diagnose(cards: Cards, well: Well | Sequence[Well]) -> dict[str, NDArray[Any]]:
    """Diagnose cards: the columns of ``clean.carddiag``.

    Parameters
    ----------
    cards : Cards
        Cards in time form.
    well : Well or sequence of Well
        The wells that ``cards.well`` counts.

    Returns
    -------
    dict of ndarray, shape (k,)
        As :attr:`Diagnosis.columns`.
    """
    return diagnose_all(cards, well).columns


def diagnose_all(cards: Cards, well: Well | Sequence[Well] | WellColumns) -> Diagnosis:
    """Diagnose cards: columns, rod stresses and pump cards.

    Parameters
    ----------
    cards : Cards
        Cards in time form.
    well : Well, sequence of Well or WellColumns
        The wells that ``cards.well`` counts.

    Returns
    -------
    Diagnosis
        Findings in the order of the cards.

    Raises
    ------
    ValueError
        When shapes do not fit or ``cards.well`` names a well that is not there.
    """
    if not isinstance(well, WellColumns):
        wells = [well] if isinstance(well, Well) else list(well)
        if not wells:
            raise ValueError("a diagnosis needs at least one well; Well() is one of which nothing is known")
        well = columns_of(wells)
    which = (
        np.zeros(len(cards), dtype=np.intp) if cards.well is None else np.asarray(cards.well, dtype=np.intp)
    )
    count = len(well.has_rods)
    if len(which) and (which.min() < 0 or which.max() >= count):
        raise ValueError(f"cards.well counts {count} wells from 0, it holds {which.min()} to {which.max()}")
    parts = [
        _part(cards, well, which, slice(start, min(start + _CHUNK, len(cards))))
        for start in range(0, len(cards), _CHUNK)
    ] or [_part(cards, well, which, slice(0, 0))]
    joined = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    codes = np.concatenate([part.codes for part in parts])
    joined["quality"] = quality_text(codes)
    joined["report"] = reports(joined)
    return Diagnosis(
        joined,
        {name: np.concatenate([part.rods[name] for part in parts]) for name in parts[0].rods},
        np.concatenate([part.pump_position_in for part in parts]),
        np.concatenate([part.pump_load_lbf for part in parts]),
        codes,
    )


def _parted(readings: dict[str, Array], wells: WellColumns, well: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Cards of rods that have come apart: no fluid load, and less weight than the string has.

    Both lines of the pump card lie below zero, by more than friction or a wrong zero explain, and close together; what is left
    between them is the weight below the part, which the solver swings in vain, and does little work. A pump card of full
    height is none of parted rods, however far it lies below zero.
    """
    weight = wells.buoyant_weight_lbf[well]
    expected = plunger_area_in2(wells.plain["plunger_diameter_in"][well]) * discharge_psi(wells)[well]
    expected = np.where(np.isnan(expected), 0.3 * weight, expected)
    span = readings["upper_lbf"] - readings["lower_lbf"]
    missing = -readings["mean_lbf"]
    with np.errstate(invalid="ignore", divide="ignore"):
        work = readings["area_in_lbf"] / (expected * readings["gross_stroke_in"])
        hanging = missing > 0.5 * span + 0.10 * weight
        swinging = (span < PARTED_HEIGHT * expected) & (work < PARTED_WORK)
        return (missing > np.maximum(0.03 * weight, 150.0)) & (
            (span < 0.12 * expected) | (hanging & swinging)
        )


def expected_of(wells: WellColumns, well: NDArray[np.intp]) -> Expected:
    """What the surface cards of wells can be.

    Parameters
    ----------
    wells : WellColumns
        Wells.
    well : ndarray of int, shape (k,)
        Well of each card.

    Returns
    -------
    Expected
        Arrays of shape (k,).
    """
    rods, has_rods = wells.rods, wells.has_rods[well]
    stress = np.where(np.isnan(rods.tensile_psi[:, 0]), BREAKING_STRESS_PSI, rods.tensile_psi[:, 0])
    fluid = plunger_area_in2(wells.plain["plunger_diameter_in"]) * discharge_psi(wells)
    return Expected(
        rod_weight_lbf=np.where(has_rods, rods.air_weight_lbf[well], np.nan),
        fluid_load_lbf=fluid[well],
        strength_lbf=np.where(has_rods, (rods.area_in2[:, 0] * stress)[well], np.nan),
        stroke_in=np.where(wells.has_unit[well], wells.motion.stroke_in[well], np.nan),
    )


def _of_another_well(
    position: Array, load: Array, wells: WellColumns, well: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Surface cards that can't be of these rods or this unit: other units, other columns, another well's."""
    return odd_cards(np.ptp(position, axis=1), load.min(axis=1), load.max(axis=1), expected_of(wells, well))


def _part(cards: Cards, wells: WellColumns, which: NDArray[np.intp], rows: slice) -> Diagnosis:
    """Diagnose some consecutive cards."""
    position = np.array(cards.position_in[rows], dtype=np.float64)
    load = np.ascontiguousarray(cards.load_lbf[rows], dtype=np.float64)
    well = which[rows]
    count = len(well)
    spm = wells.plain["spm"][well]
    if cards.spm is not None:
        own = np.asarray(cards.spm[rows], dtype=np.float64)
        spm = np.where(own > 0, own, spm)
    codes = wells.quality[well].copy()
    runtime = np.full(count, np.nan)
    if cards.runtime_h_per_d is not None:
        runtime = np.asarray(cards.runtime_h_per_d[rows], dtype=np.float64)
    known = (runtime >= 0.0) & (runtime <= HOURS_A_DAY)
    codes[~known] |= Quality.RUNTIME_UNKNOWN
    runtime = np.where(known, runtime, HOURS_A_DAY)
    moving = spm > 0
    codes[~moving] |= Quality.NO_SPM
    measured = np.isfinite(position.sum(axis=1) + load.sum(axis=1)) & (np.ptp(position, axis=1) > 0)
    codes[~measured] |= Quality.NO_SURFACE_CARD
    is_open = np.zeros(count, dtype=np.bool_) if cards.is_open is None else np.asarray(cards.is_open[rows])
    codes[is_open] |= Quality.OPEN_CARD
    flat = np.ptp(load, axis=1) <= 0
    codes[flat] |= Quality.CLIPPED_LOAD
    odd = _of_another_well(position, load, wells, well) & measured & ~is_open
    codes[odd] |= Quality.NOT_OF_THIS_WELL
    whole = measured & ~is_open & ~flat & ~odd
    if measured.any():
        codes[measured] |= signal_codes(load[measured])

    solved = np.flatnonzero(whole & moving & wells.has_rods[well])
    phase = np.full(count, np.nan)
    pump = None
    if len(solved):
        pump = compute(position[solved], load[solved], wells, well[solved], spm[solved])
        phase[solved] = 0.0
        late, lag = find_phase(position[solved], load[solved], wells, well[solved], spm[solved], pump)
        if len(late):
            shifted = solved[late]
            phase[shifted] = lag
            codes[shifted] |= Quality.PHASE_SHIFT | Quality.PHASE_CORRECTED
            position[shifted] = advance_position(position[shifted], lag)
            pump.replace(late, compute(position[shifted], load[shifted], wells, well[shifted], spm[shifted]))

    out: dict[str, NDArray[Any]] = q.surface_columns(position, load, spm, wells, well, whole)
    for name in (*q.PUMP_COLUMNS, *q.SENSOR_COLUMNS):
        out[name] = np.full(count, np.nan)
    out["position_phase_deg"] = phase
    source = np.full(count, "none", dtype=object)
    tapers = wells.rods.tapers
    rods = {
        name: np.full((count, tapers), np.nan)
        for name in ("top_max_stress_psi", "top_min_stress_psi", "bottom_min_stress_psi", "loading_pct")
    }
    pump_position = np.full(position.shape, np.nan)
    pump_load = np.full(position.shape, np.nan)

    if pump is not None:
        source[solved] = "computed"
        pump_position[solved], pump_load[solved] = pump.position_in, pump.load_lbf
        stress = q.rod_columns(load[solved], pump, wells, well[solved])
        for name, value in stress.items():
            rods[name][solved] = value
        with np.errstate(invalid="ignore"):
            worst = np.where(np.isnan(stress["loading_pct"]), -np.inf, stress["loading_pct"]).max(axis=1)
        out["max_rod_load_pct"][solved] = np.where(np.isneginf(worst), np.nan, worst)
        out["damping"][solved] = pump.damping
        out["balance_damping"][solved] = pump.balance_damping
        given = np.isfinite(wells.plain["damping"][well[solved]])
        codes[solved[~given]] |= Quality.DAMPING_ASSUMED
        codes[solved[~given & ~pump.settled]] |= Quality.DAMPING_NOT_CONVERGED
        parted = _parted(pump.readings, wells, well[solved])
        gone = solved[parted]
        codes[gone] |= Quality.PARTED_ROD
        hanging = load[gone].mean(axis=1) / wells.buoyant_weight_lbf[well[gone]]
        out["parted_depth_ft"][gone] = _depth_of_weight(hanging, wells, well[gone])
        for name in rods:
            rods[name][gone] = np.nan
        out["max_rod_load_pct"][gone] = np.nan
        keep = ~parted
        _fill(
            out,
            codes,
            {k: v[keep] for k, v in pump.readings.items()},
            wells,
            well,
            spm,
            runtime,
            solved[keep],
            True,
        )

    if cards.pump_position_in is not None and cards.pump_load_lbf is not None:
        x = np.asarray(cards.pump_position_in[rows], dtype=np.float64)
        f = np.asarray(cards.pump_load_lbf[rows], dtype=np.float64)
        usable = np.isfinite(x.sum(axis=1) + f.sum(axis=1)) & (np.ptp(x, axis=1) > 0)
        given_rows = np.flatnonzero((source == "none") & usable & moving & ~is_open)
        if len(given_rows):
            source[given_rows] = "poc"
            codes[given_rows] |= Quality.POC_PUMP_CARD
            x, f = x[given_rows], f[given_rows]
            got = read(x, x, f, wells, well[given_rows], spm[given_rows])
            got["given_span_lbf"] = np.full(len(given_rows), np.nan)  # the controller's damping is not known
            _fill(out, codes, got, wells, well, spm, runtime, given_rows, False)
    out["pump_card_source"] = source
    return Diagnosis(out, rods, pump_position, pump_load, codes)


def _fill(
    out: dict[str, NDArray[Any]],
    codes: NDArray[np.int64],
    readings: dict[str, Array],
    wells: WellColumns,
    well: NDArray[np.intp],
    spm: Array,
    runtime: Array,
    rows: NDArray[np.intp],
    computed: bool,
) -> None:
    """Put the pump quantities of some rows into the columns."""
    if not len(rows):
        return
    mine = well[rows]
    zero_known = np.full(len(rows), computed) & np.isfinite(wells.plain["fluid_sg"][mine])
    got, more = q.pump_columns(readings, wells, mine, spm[rows], runtime[rows], zero_known)
    expected = plunger_area_in2(wells.plain["plunger_diameter_in"][mine]) * discharge_psi(wells)[mine]
    span = readings["upper_lbf"] - readings["lower_lbf"]
    # A pump card without height says how far the plunger went and nothing about filling.
    flat = ~(span > 0.05 * np.where(np.isnan(expected), 0.0, expected))
    more[flat] |= Quality.NO_FLUID_LOAD
    for name in ("fillage_pct", "fillage_spread_pct", "net_stroke_in", "net_displacement_bpd", "tv_leak_bpd"):
        got[name] = np.where(flat, np.nan, got[name])
    for name in ("sv_leak_bpd", "barrel_leak_bpd", "inferred_production_bpd", "tubing_movement_in"):
        got[name] = np.where(flat, np.nan, got[name])
    for name, value in got.items():
        out[name][rows] = value
    codes[rows] |= more


def _depth_of_weight(share: Array, wells: WellColumns, well: NDArray[np.intp]) -> Array:
    """Depth (ft) above which the string has a given share of its weight."""
    depth = np.empty(len(share))
    for i, (value, w) in enumerate(zip(share, well, strict=True)):
        length = wells.rods.length_ft[w]
        weight = np.concatenate([[0.0], np.cumsum(wells.rods.taper_air_weight_lbf[w])])
        depth[i] = np.interp(value * weight[-1], weight, np.concatenate([[0.0], np.cumsum(length)]))
    return depth
