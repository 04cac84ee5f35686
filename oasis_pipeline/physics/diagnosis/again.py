"""Pump cards of cards that have been diagnosed, without a second diagnosis.

Belongs here: one run of the frequency-domain solver with the damping and the phase that the diagnosis found. Does not belong here:
finding them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.physics import wave_frequency
from oasis_pipeline.physics.diagnosis.pump_cards import CARD_HARMONICS
from oasis_pipeline.physics.diagnosis.sensors import advance_position
from oasis_pipeline.physics.diagnosis.well import WellColumns

Array = NDArray[np.float64]


def pump_cards_again(
    position_in: Array,
    load_lbf: Array,
    wells: WellColumns,
    well: NDArray[np.intp],
    spm: Array,
    damping: Array,
    position_phase_deg: Array,
    harmonics: int = CARD_HARMONICS,
) -> tuple[Array, Array]:
    """Compute the pump cards of diagnosed cards.

    Parameters
    ----------
    position_in, load_lbf : ndarray, shape (k, n)
        Surface cards in time form, without NaN.
    wells : WellColumns
        Wells with rods.
    well : ndarray of int, shape (k,)
        Well of each card.
    spm, damping, position_phase_deg : ndarray, shape (k,)
        Speed, and what the diagnosis found: `damping` for the card that was given, ``balance_damping`` for the one that was read.
    harmonics : int
        `CARD_HARMONICS` for the card that was given, `HARMONICS` for the one that was read.

    Returns
    -------
    position_in, load_lbf : ndarray, shape (k, n)
        Pump cards, effective loads.
    """
    position = np.array(position_in, np.float64)
    late = np.flatnonzero(position_phase_deg > 0)
    if len(late):
        position[late] = advance_position(position[late], position_phase_deg[late])
    dynamic = np.asarray(load_lbf, np.float64) - wells.buoyant_weight_lbf[well][:, None]
    rods = wells.rods.take(well)
    coefficient = wave_frequency.damping_per_s(rods, damping)
    x, f, _none = wave_frequency.propagate_each(position, dynamic, rods, spm, coefficient, harmonics + 1)
    return x, f
