"""Simulated cards in memory: what a base model learns from, and what the field writer puts into files.

Belongs here: running the predictive model over many wells and conditions, with controllers and labels. Files and dates are
in `field`, the course of severities over time in `histories`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics.simulator import SIMULATOR_VERSION, simulate
from oasis_pipeline.physics.unit import stroke_in
from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation.controller import (
    Controllers,
    controller_fillage_pct,
    controller_pump_cards,
    make_controllers,
    measured_surface_cards,
)
from oasis_pipeline.simulation.equipment import Wells, make_wells
from oasis_pipeline.simulation.variety import (
    Variety,
    make_variety,
    motions,
    recorded,
    varied_conditions,
    varied_controllers,
    varied_pump_cards,
    varied_wells,
)

FloatArray = NDArray[np.float64]

FIELD_VERSION = f"{SIMULATOR_VERSION}.2"
"""Changes whenever the same seed would give another field."""

_CHUNK = 256


@dataclass(frozen=True)
class Circumstances:
    """How a set of simulated cards differs from the plain one.

    Attributes
    ----------
    surface_only_share : float
        Share of the wells whose controller stores no pump card and no fillage.
    controller_error : float
        Factor on how wrong the controllers' rod lengths are, and on the spread of their damping settings.
    noise : float
        Factor on the noise of the load cells.
    damping : float
        Factor on the damping of the rods.
    linkage_change : float
        By which share, up or down, each of the unit's lengths differs from the catalogue's; the stroke stays.
    rod_data_error : float
        By which share, up or down, the rods' lengths in the well file are wrong.
    varied : bool
        Whether each well stands in a world of its own (`variety`).
    one_habit : bool
        Whether there all people write Full Pump beside a lone fault that leaves the pump full, as plain labels have it.
    shallow : bool
        Whether the wells are shallow and pump slowly (`equipment.make_wells`).
    """

    surface_only_share: float = 0.0
    controller_error: float = 1.0
    noise: float = 1.0
    damping: float = 1.0
    linkage_change: float = 0.0
    rod_data_error: float = 0.0
    varied: bool = False
    one_habit: bool = False
    shallow: bool = False


PLAIN = Circumstances()

JUDGED = Circumstances(surface_only_share=0.5, controller_error=3.0)
"""What classifiers are judged on: half of the wells send surface cards only, and pump cards by controllers are often poor."""

MISMATCHED = replace(JUDGED, noise=2.0, damping=1.6, linkage_change=0.06, rod_data_error=0.02)
"""The same from another simulator: what a model learned on `JUDGED` has to stand."""

VARIED = Circumstances(surface_only_share=0.5, linkage_change=0.06, rod_data_error=0.01, varied=True)
"""What models of the package are taught by: each well in a world of its own, wide enough to hold those of fields."""

JUDGED_CARDS, JUDGED_SEED, MISMATCHED_SEED = 4_000, 20_261_125, 20_261_126
"""Size and seeds of the judged sets (ten cards a well), fixed before anything was tuned on them; development uses other seeds."""


@dataclass(frozen=True)
class CardBatch:
    """Simulated cards with everything known about them, n cards.

    Attributes
    ----------
    well : ndarray of int, shape (n,)
        Which well each card comes from (for splits by well).
    wells : Wells
        Equipment of each card's well, n entries.
    severity : ndarray, shape (n, 12)
        Severities in the order of `conditions.LABELS`.
    labels : ndarray of str, shape (n, 2)
        Labels as a careful person would give them, the second empty where there is one.
    surface_position_in, surface_load_lbf : ndarray, shape (n, 200)
        Measured surface card.
    pump_position_in, pump_load_lbf : ndarray, shape (n, 100)
        Pump card as the controller computes it.
    true_pump_position_in, true_pump_load_lbf : ndarray, shape (n, 100)
        Pump card of the model, effective loads.
    fillage_pct : ndarray, shape (n,)
        Fillage by the controller.
    truth : dict of str to ndarray
        True quantities under the names of ``clean.carddiag``.
    steady : ndarray of bool, shape (n,)
        Whether the model reached a repeating cycle.
    has_pump_card : ndarray of bool, shape (n,)
        Whether the controller stores pump card and fillage; both are NaN where not.
    known : Wells
        Equipment as the well file has it; n entries.
    """

    well: NDArray[np.int64]
    wells: Wells
    severity: FloatArray
    labels: NDArray[np.str_]
    surface_position_in: FloatArray
    surface_load_lbf: FloatArray
    pump_position_in: FloatArray
    pump_load_lbf: FloatArray
    true_pump_position_in: FloatArray
    true_pump_load_lbf: FloatArray
    fillage_pct: FloatArray
    truth: dict[str, FloatArray]
    steady: NDArray[np.bool_]
    has_pump_card: NDArray[np.bool_]
    known: Wells

    def __len__(self) -> int:
        """Count the cards."""
        return len(self.well)


def run_cards(
    well: NDArray[np.int64],
    wells: Wells,
    controllers: Controllers,
    severity: FloatArray,
    rng: np.random.Generator,
    progress: Callable[[int, int], None] | None = None,
    variety: Variety | None = None,
) -> CardBatch:
    """Simulate one card for each row.

    Parameters
    ----------
    well : ndarray of int, shape (n,)
        Well number of each card.
    wells, controllers : Wells, Controllers
        Equipment and controller of each card, n entries.
    severity : ndarray, shape (n, 12)
        Severities; the column of "Full Pump" should follow from the others (`conditions.fullness`).
    rng : numpy.random.Generator
        Source of all randomness.
    progress : callable, optional
        Called with (cards done, cards in all).
    variety : Variety, optional
        World of each card, n entries; the plain one by default.

    Returns
    -------
    CardBatch
    """
    count = len(well)
    conditions = c.condition_parameters(wells, severity, rng)
    if variety is not None:
        conditions = varied_conditions(conditions, wells, severity, variety)
        real, told = motions(wells, variety)
    parts = []
    for start in range(0, count, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, count))
        part = wells.take(rows)
        parts.append(
            simulate(
                part.rods,
                part.unit if variety is None else None,
                conditions[rows],
                measured_position_in=None if variety is None else real[rows],
                nodes=40,
                tolerance=5e-3,
                max_cycles=14,
            )
        )
        if progress is not None:
            progress(int(rows[-1]) + 1, count)

    def joined(name: str) -> FloatArray:
        return np.concatenate([getattr(part, name) for part in parts])

    true_surface = joined("surface_position_in"), joined("surface_load_lbf")
    truth = {name: np.concatenate([part.truth[name] for part in parts]) for name in parts[0].truth}
    truth["load_offset_lbf"] = controllers.load_offset_lbf.copy()
    truth["position_phase_deg"] = controllers.position_phase_deg.copy()
    head_ft = (truth["pump_intake_pressure_psi"] - wells.casing_pressure_psi) / (0.4333 * wells.fluid_gravity)
    truth["fluid_level_ft"] = np.clip(wells.vertical_depth_ft - np.maximum(head_ft, 0.0), 0.0, None)
    if variety is None:
        surface = measured_surface_cards(*true_surface, controllers, rng)
        pump = controller_pump_cards(*surface, wells, controllers)
        labels = c.name_cards(severity)
    else:
        shaken = 0.1 * severity[:, c.VIBRATION] * variety.shaking_factor * variety.shaken_cell
        shaken *= wells.fluid_load_lbf
        seen = recorded(*true_surface, told, wells.spm, shaken, variety, rng)
        surface = measured_surface_cards(*seen, controllers, rng)
        pump = varied_pump_cards(
            *surface, wells, controllers.length_error, controllers.damping, controllers.true_load, variety
        )
        labels = c.name_cards(severity, variety.naming_points, variety.names_full)
    return CardBatch(
        well,
        wells,
        severity,
        labels,
        *surface,
        *pump,
        joined("pump_position_in"),
        joined("pump_load_lbf"),
        controller_fillage_pct(*pump),
        truth,
        np.concatenate([part.results["steady"] for part in parts]) > 0.5,
        np.ones(count, np.bool_),
        wells,
    )


def simulate_cards(
    count: int,
    seed: int,
    *,
    cards_per_well: int = 10,
    combined_share: float = 0.3,
    circumstances: Circumstances = PLAIN,
    progress: Callable[[int, int], None] | None = None,
) -> CardBatch:
    """Simulate labelled cards of many wells, all classes about equally often, without the file format.

    Parameters
    ----------
    count : int
        Number of cards.
    seed : int
        The same seed gives the same cards, whatever the number of threads.
    cards_per_well : int
        Cards that share a well, one after another.
    combined_share : float
        Share of cards with a second condition.
    circumstances : Circumstances
        How the wells, their controllers and their files differ from the plain ones.
    progress : callable, optional
        Called with (cards done, cards in all).

    Returns
    -------
    CardBatch
        Severities run through the naming point in both directions, so some cards are borderline.

    Raises
    ------
    ValueError
        If a count is not positive.
    """
    if count < 1 or cards_per_well < 1:
        raise ValueError("count and cards_per_well must be positive")
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(5)]
    well = np.arange(count, dtype=np.int64) // cards_per_well
    catalogue = make_wells(int(well[-1]) + 1, streams[0], shallow=circumstances.shallow)
    controllers = make_controllers(catalogue, streams[1])
    wells, known, controllers, has_pump_card = _changed(catalogue, controllers, circumstances, streams[4])
    variety = None
    if circumstances.varied:
        variety = make_variety(len(wells), streams[4]).take(well)
        if circumstances.one_habit:
            variety = replace(variety, names_full=np.ones(count, np.bool_))
    rng = streams[2]
    # Below the naming point everywhere, then one condition (or none) on top, sometimes two.
    severity = rng.beta(1.0, 6.0, (count, len(c.LABELS))) * 0.3
    severity[:, c.PARTED] = 0.0
    main = rng.integers(0, len(c.LABELS), count)
    rows = np.arange(count)
    faulty = main != c.FULL
    severity[rows[faulty], main[faulty]] = rng.uniform(0.2, 1.0, int(faulty.sum()))
    second = rng.integers(1, len(c.LABELS), count)
    both = faulty & (rng.random(count) < combined_share) & (second != c.PARTED) & (main != c.PARTED)
    severity[rows[both], second[both]] = rng.uniform(0.3, 0.9, int(both.sum()))
    parted = main == c.PARTED
    severity[parted, c.PARTED] = rng.uniform(c.NAMING_POINT, 1.0, int(parted.sum()))
    severity[:, c.FULL] = c.fullness(severity)
    batch = run_cards(well, wells.take(well), controllers.take(well), severity, streams[3], progress, variety)
    sends = has_pump_card[well]
    return replace(
        batch,
        pump_position_in=np.where(sends[:, np.newaxis], batch.pump_position_in, np.nan),
        pump_load_lbf=np.where(sends[:, np.newaxis], batch.pump_load_lbf, np.nan),
        fillage_pct=np.where(sends, batch.fillage_pct, np.nan),
        has_pump_card=sends,
        known=known.take(well),
    )


def _changed(
    wells: Wells, controllers: Controllers, asked: Circumstances, rng: np.random.Generator
) -> tuple[Wells, Wells, Controllers, NDArray[np.bool_]]:
    """Apply circumstances: wells as they are, as their files have them, their controllers, and who sends pump cards."""
    count = len(wells)
    if asked.varied:
        wells = varied_wells(wells, rng, slowest_spm=1.2 if asked.shallow else 2.5)
        controllers = varied_controllers(controllers, rng)
    sends = rng.random(count) >= asked.surface_only_share
    change = 1.0 + asked.linkage_change * rng.uniform(-1.0, 1.0, (6, count))
    names = ("a_in", "c_in", "i_in", "k_in", "p_in", "r_in")
    unit = replace(
        wells.unit,
        **{name: getattr(wells.unit, name) * factor for name, factor in zip(names, change, strict=True)},
    )
    stroke = stroke_in(unit)
    # A linkage that no longer turns stays the catalogue's.
    turns = np.isfinite(stroke) & (stroke > 0.0)
    scale = np.where(turns, wells.stroke_in / np.where(turns, stroke, 1.0), 1.0)
    unit = replace(
        unit,
        **{name: np.where(turns, getattr(unit, name) * scale, getattr(wells.unit, name)) for name in names},
    )
    real = replace(
        wells,
        unit=unit if asked.linkage_change else wells.unit,
        damping_up=wells.damping_up * asked.damping,
        damping_down=wells.damping_down * asked.damping,
    )
    error = 1.0 + asked.rod_data_error * rng.choice([-1.0, 1.0], count)
    rods = replace(wells.rods, length_ft=wells.rods.length_ft * error[:, np.newaxis])
    middle = float(np.mean(controllers.damping))
    return (
        real,
        replace(wells, rods=rods),
        replace(
            controllers,
            noise_lbf=controllers.noise_lbf * asked.noise,
            length_error=controllers.length_error * asked.controller_error,
            damping=np.maximum(middle + (controllers.damping - middle) * asked.controller_error, 0.01),
        ),
        sends,
    )
