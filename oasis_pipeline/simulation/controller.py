"""What the pump-off controller and the vendor's analysis make of a card, with their errors.

Belongs here: the measured surface card, the controller's own pump card (computed with rod data that are a little wrong and one
fixed damping), its fillage, and the vendor's verdicts. The true card and the truth come from the predictive model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics.sensor_faults import measure
from oasis_pipeline.physics.wave_frequency import damping_per_s, pump_card
from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation.equipment import Wells

FloatArray = NDArray[np.float64]

VENDOR_TEXTS: dict[int, tuple[str, ...]] = {
    c.FULL: ("Full pump",),
    c.POUND: ("Fluid pound", "Incomplete pump fillage"),
    c.GAS: ("Gas interference", "Incomplete pump fillage"),
    c.TV: ("Possible TV leak", "Worn pump barrel"),
    c.SV: ("Possible SV leak",),
    c.FRICTION: ("High rod-tubing friction", "Bent pump barrel or sticking plunger"),
    c.TUBING: ("Full pump", "Phase shift in dyno card"),
    c.UP: ("Pump hitting up",),
    c.DOWN: ("Pump hitting down",),
    c.VIBRATION: ("High rod-tubing friction", "Phase shift in dyno card"),
    c.PARTED: ("Incomplete pump fillage", "Full pump"),
    c.WORN: ("Worn pump barrel", "Possible TV leak"),
}
"""What the vendor's analysis calls each condition, the usual word first."""

_DRIFT = tuple({text for texts in VENDOR_TEXTS.values() for text in texts})


@dataclass(frozen=True)
class Controllers:
    """Habits of each well's controller, arrays of shape (n,)."""

    load_offset_lbf: FloatArray
    load_gain: FloatArray
    position_phase_deg: FloatArray
    high_clip_lbf: FloatArray
    samples: FloatArray
    noise_lbf: FloatArray
    length_error: FloatArray
    damping: FloatArray
    true_load: NDArray[np.bool_]
    poc_type: NDArray[np.int64]

    def take(self, indices: NDArray[np.int64]) -> Controllers:
        """Pick controllers by index; an index may repeat."""
        return Controllers(**{name: getattr(self, name)[indices] for name in self.__dataclass_fields__})


def make_controllers(wells: Wells, rng: np.random.Generator) -> Controllers:
    """Make controllers: most sound, some with an offset, a phase error, a clipped load cell or a low sampling rate."""
    count = len(wells)

    def some(share: float) -> NDArray[np.bool_]:
        return rng.random(count) < share

    peak = wells.rods.buoyant_weight_lbf(wells.fluid_gravity) + wells.fluid_load_lbf
    offset = rng.normal(0.0, 120.0, count) + np.where(
        some(0.08), rng.choice([-1.0, 1.0], count) * 1500.0, 0.0
    )
    return Controllers(
        load_offset_lbf=np.round(offset),
        load_gain=np.round(rng.normal(1.0, 0.006, count), 4),
        position_phase_deg=np.where(some(0.08), np.round(rng.uniform(-4.0, 4.0, count), 1), 0.0),
        high_clip_lbf=np.where(some(0.05), np.round(peak * 1.12, -2), np.inf),
        samples=np.where(some(0.06), 100.0, np.inf),
        noise_lbf=rng.uniform(8.0, 45.0, count),
        length_error=rng.normal(0.0, 0.01, count),
        damping=np.round(rng.uniform(0.06, 0.16, count), 2),
        true_load=some(0.25),
        poc_type=rng.choice([8, 8, 8, 17, 16], count),
    )


def measured_surface_cards(
    position_in: FloatArray, load_lbf: FloatArray, controllers: Controllers, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Surface cards as the controllers store them: loads to a pound, positions to a hundredth of an inch."""
    return measure(
        position_in,
        load_lbf,
        load_offset_lbf=controllers.load_offset_lbf,
        load_gain=controllers.load_gain,
        position_phase_deg=controllers.position_phase_deg,
        high_clip_lbf=controllers.high_clip_lbf,
        samples=controllers.samples,
        load_noise_lbf=controllers.noise_lbf,
        load_quantum_lbf=1.0,
        position_quantum_in=0.01,
        rng=rng,
    )


def controller_pump_cards(
    position_in: FloatArray, load_lbf: FloatArray, wells: Wells, controllers: Controllers, points: int = 100
) -> tuple[FloatArray, FloatArray]:
    """Pump cards as the controllers compute them from their own surface cards.

    Rod length (and the weight that follows) is off by the controller's error, damping is its fixed setting, thirty
    harmonics are kept, and a quarter of the controllers store true loads, which lie lower by the buoyant force.
    """
    rods = replace(
        wells.rods, length_ft=wells.rods.length_ft * (1.0 + controllers.length_error)[:, np.newaxis]
    )
    position, load = pump_card(
        position_in,
        load_lbf,
        rods,
        wells.spm,
        damping_per_s(rods, controllers.damping),
        buoyant_weight_lbf=rods.buoyant_weight_lbf(wells.fluid_gravity),
        harmonics=30,
    )
    buoyancy = rods.air_weight_lbf - rods.buoyant_weight_lbf(wells.fluid_gravity)
    load = load - np.where(controllers.true_load, buoyancy, 0.0)[:, np.newaxis]
    every = position.shape[1] // points
    position = position[:, ::every] - position.min(axis=1, keepdims=True)
    return np.round(position, 2), np.round(load[:, ::every])


def controller_fillage_pct(position_in: FloatArray, load_lbf: FloatArray) -> FloatArray:
    """Fillage as a controller reads it: where the load falls through the middle of its range on the downstroke."""
    count = position_in.shape[1]
    middle = 0.5 * (load_lbf.max(axis=1) + load_lbf.min(axis=1))
    low, span = position_in.min(axis=1), np.ptp(position_in, axis=1)
    top = position_in.argmax(axis=1)
    order = (top[:, np.newaxis] + np.arange(count)) % count
    falling_load = np.take_along_axis(load_lbf, order, axis=1)
    falling_position = np.take_along_axis(position_in, order, axis=1)
    crossing = np.argmax(falling_load < middle[:, np.newaxis], axis=1)
    at = np.take_along_axis(falling_position, crossing[:, np.newaxis], axis=1)[:, 0]
    return np.asarray(np.round(np.clip(100.0 * (at - low) / np.maximum(span, 1e-6), 0.0, 100.0), 1))


def vendor_conditions(severity: FloatArray, rng: np.random.Generator) -> NDArray[np.str_]:
    """Two verdicts of the vendor's analysis per card, the second often empty; about one in four is off.

    Parameters
    ----------
    severity : ndarray, shape (n, 12)
        True severities.
    rng : numpy.random.Generator
        For its errors.

    Returns
    -------
    ndarray of str, shape (n, 2)
    """
    verdict = np.zeros((len(severity), 2), dtype="<U40")
    for i, row in enumerate(severity + rng.normal(0.0, 0.08, severity.shape)):
        named = [j for j in np.argsort(-row[1:], kind="stable") + 1 if row[j] > c.NAMING_POINT][:2]
        texts = [VENDOR_TEXTS[j][int(rng.random() < 0.25) % len(VENDOR_TEXTS[j])] for j in named] or [
            "Full pump"
        ]
        if rng.random() < 0.08:
            texts[0] = sorted(_DRIFT)[int(rng.integers(len(_DRIFT)))]
        unique = list(dict.fromkeys(texts))
        verdict[i, : len(unique)] = unique
    return verdict
