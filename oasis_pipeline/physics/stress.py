"""Rod stress: the modified Goodman diagram of API RP 11BR.

Belongs here: allowable stress and loading of a rod section from its smallest and largest load. Does not belong here:
finding those loads along the string (:mod:`.wave_frequency`).

References
----------
.. [1] API RP 11BR, *Recommended practice for the care and handling of sucker rods*.
.. [2] G. Takacs, *Sucker-Rod Pumping Handbook*, Gulf, 2015, section 4.4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def allowable_stress_psi(
    minimum_stress_psi: ArrayLike, tensile_psi: ArrayLike, service_factor: ArrayLike = 1.0
) -> Array:
    """Largest stress the modified Goodman diagram allows: SA = (T/4 + 0.5625 Smin) SF.

    A rod in compression (negative smallest stress) is judged as if unloaded, Smin = 0: the diagram is not defined
    there, and using the negative value would count compression as if it were a smaller tension.

    Parameters
    ----------
    minimum_stress_psi : array_like
        Smallest stress of the cycle.
    tensile_psi : array_like
        Minimum tensile strength of the grade.
    service_factor : array_like
        Factor for the environment, 1 in clean, inhibited service.

    Returns
    -------
    ndarray
        Allowable stress, psi.
    """
    low = np.maximum(np.asarray(minimum_stress_psi, dtype=np.float64), 0.0)
    return (0.25 * np.asarray(tensile_psi, dtype=np.float64) + 0.5625 * low) * np.asarray(
        service_factor, dtype=np.float64
    )


def goodman_loading_pct(
    minimum_stress_psi: ArrayLike,
    maximum_stress_psi: ArrayLike,
    tensile_psi: ArrayLike,
    service_factor: ArrayLike = 1.0,
) -> Array:
    """Rod loading: 100 (Smax - Smin) / (SA - Smin), percent.

    Parameters
    ----------
    minimum_stress_psi, maximum_stress_psi : array_like
        Stress range of the cycle; a negative minimum is set to 0 (see :func:`allowable_stress_psi`).
    tensile_psi : array_like
        Minimum tensile strength of the grade; NaN (unknown grade) gives NaN.
    service_factor : array_like
        Factor for the environment.

    Returns
    -------
    ndarray
        Percent of the allowable range that is used; infinite where the smallest stress alone uses it up.
    """
    low = np.maximum(np.asarray(minimum_stress_psi, dtype=np.float64), 0.0)
    room = allowable_stress_psi(low, tensile_psi, service_factor) - low
    used = np.asarray(maximum_stress_psi, dtype=np.float64) - low
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(room > 0.0, 100.0 * used / room, np.where(np.isnan(room), np.nan, np.inf))
