"""Why a probability is high, in words: which quantities it rests on, and how they moved.

Belongs here: ranking quantities by what hiding them does to the probability, and sentences. Does not belong here: pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.failures.alarms import ALARM_HORIZON_DAYS
from oasis_pipeline.learning.failures.forecaster import Forecaster
from oasis_pipeline.learning.failures.outcomes import HORIZONS_DAYS
from oasis_pipeline.learning.failures.windows import STATISTICS
from oasis_pipeline.learning.severities import CONDITIONS

Float32 = NDArray[np.float32]

NAMED = 3
_ALARM = HORIZONS_DAYS.index(ALARM_HORIZON_DAYS)

WORDS = {
    "tv_leak_share": ("leak past the travelling valve", "of the displacement"),
    "sv_leak_share": ("leak past the standing valve", "of the displacement"),
    "production_share": ("inferred production", "of the displacement"),
    "friction_share": ("friction at the pump", "of the fluid load"),
    "stroke_share": ("plunger travel", "of the surface stroke"),
    "net_stroke_share": ("net stroke", "of the gross stroke"),
    "tubing_movement_share": ("tubing movement", "of the plunger travel"),
    "load_range_share": ("minimum load", "of the peak load"),
    "power_share": ("pump power", "of the polished-rod power"),
    "vendor_production_share": ("production by the vendor", "of the displacement"),
    "vendor_load_share": ("fluid load by the vendor", "of the peak load"),
    "vendor_friction_share": ("friction by the vendor", "of the fluid load"),
    "SPM": ("pumping speed", "1/min"),
    "Runtime": ("runtime", "h/d"),
    "Fillage": ("fillage by the controller", "%"),
    "FillagePct": ("fillage by the vendor", "%"),
    "PumpEffPct": ("pump efficiency by the vendor", "%"),
    "PPRL": ("peak load by the vendor", "lbf"),
    "MPRL": ("minimum load by the vendor", "lbf"),
    "FluidLoadonPump": ("fluid load by the vendor", "lbf"),
    "PumpIntakePressure": ("intake pressure by the vendor", "psi"),
    "NetProd": ("net production by the vendor", "bbl/d"),
    "TubingMovement": ("tubing movement by the vendor", "in"),
    "MaxRodLoad": ("rod load by the vendor", "%"),
    "TubingPressure": ("tubing pressure", "psi"),
    "CasingPressure": ("casing pressure", "psi"),
    "fillage_pct": ("fillage", "%"),
    "fillage_spread_pct": ("disagreement on the fillage", "%"),
    "fillage_area_pct": ("area of the pump card", "%"),
    "pump_intake_pressure_psi": ("intake pressure", "psi"),
    "fluid_above_pump_ft": ("fluid above the pump", "ft"),
    "friction_lbf": ("friction at the pump", "lbf"),
    "gearbox_load_pct": ("gearbox load", "%"),
    "max_rod_load_pct": ("rod load", "%"),
    "damping": ("damping", ""),
    "parted_depth_ft": ("depth of a parting", "ft"),
    **{
        f"severity_{name}": (f"{name.replace('_', ' ')} as cards show it", "of the worst")
        for name in CONDITIONS
    },
}
"""Quantity: name in words, unit. What is not here is a descriptor of the card's shape and is called by its own name."""


def weight_of_quantities(
    forecaster: Forecaster, features: Float32, quantities: tuple[str, ...]
) -> NDArray[np.float64]:
    """Fall of the probability when each quantity is hidden.

    Parameters
    ----------
    forecaster : Forecaster
    features : ndarray of float32, shape (n, features)
    quantities : tuple of str
        In the order of the features, `STATISTICS` columns each.

    Returns
    -------
    ndarray, shape (n, quantities)
        Positive where the quantity speaks for a failure.
    """
    full = 1.0 - forecaster.probabilities(features)[:, _ALARM, 0]
    weight = np.zeros((len(features), len(quantities)))
    width = len(STATISTICS)
    for place in range(len(quantities)):
        hidden = features.copy()
        hidden[:, place * width : (place + 1) * width] = np.nan
        weight[:, place] = full - (1.0 - forecaster.probabilities(hidden)[:, _ALARM, 0])
    return weight


def reasons(
    weight: NDArray[np.float64],
    features: Float32,
    quantities: tuple[str, ...],
    age_days: NDArray[np.floating],
) -> list[str]:
    """Say what the probabilities rest on.

    Parameters
    ----------
    weight : ndarray, shape (n, quantities)
        From `weight_of_quantities`.
    features : ndarray of float32, shape (n, features)
    quantities : tuple of str
    age_days : ndarray, shape (n,)
        Since the workover.

    Returns
    -------
    list of str
        One text a row.
    """
    width = len(STATISTICS)
    texts = []
    for row in range(len(weight)):
        parts = [
            _sentence(quantities[place], features[row, place * width : (place + 1) * width])
            for place in np.argsort(-weight[row], kind="stable")[:NAMED]
            if weight[row, place] > 0.0
        ]
        told = [part for part in parts if part] or ["no single quantity stands out"]
        texts.append(f"{'; '.join(told)}; {age_days[row]:.0f} days since the workover or the first data")
    return texts


def _sentence(quantity: str, values: NDArray[np.floating]) -> str:
    level, mean, change, slope, long_slope, _ = (float(value) for value in values)
    name, unit = WORDS.get(quantity, (quantity.replace("_", " "), ""))
    scale = 100.0 if unit.startswith("of ") else 1.0
    unit = f"% {unit}" if unit.startswith("of ") else unit
    now = level if np.isfinite(level) else mean
    if not np.isfinite(now):
        return f"{name} is missing"

    def number(value: float) -> str:
        return f"{value:.3g}" if abs(value) < 1000.0 else f"{value:,.0f}"

    text = f"{name} {number(scale * now)} {unit}".rstrip()
    if np.isfinite(change) and change != 0.0:
        text += f", {'up' if change > 0 else 'down'} {number(abs(scale * change))} on the month before"
    else:
        trend = slope if np.isfinite(slope) else long_slope
        if np.isfinite(trend) and trend != 0.0:
            text += f", {'rising' if trend > 0 else 'falling'} {number(abs(scale * trend))} a day"
    return text
