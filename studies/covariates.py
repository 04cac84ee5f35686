"""Covariates of a life, each with the moment at which it was known: what came after the decision is refused.

Belongs here: the guard, and survival with covariates. Does not belong here: lives without covariates (``run_life``).

A mean over a whole run is known when the run has ended, and so is whether there is one: runs that ended early, or before the recorder came,
have none. Both tell the outcome, so such a column is refused as a whole; it can't be turned into a flag of missing values either, because
the flag would be made from the column.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


class LeakError(ValueError):
    """A covariate was not known yet when it was to be used; the message names it."""


@dataclass(frozen=True)
class Covariate:
    """One column of n lives.

    Attributes
    ----------
    name : str
    values : ndarray, shape (n,)
        NaN is missing.
    known_ms : ndarray of int64, shape (n,)
        When the value, or that there is none, was known: the end of the span that it was measured over.
    """

    name: str
    values: Float64
    known_ms: Int64


def usable(covariates: Sequence[Covariate], decision_ms: Int64) -> Float64:
    """Lay covariates side by side after making sure that all of them were known.

    Parameters
    ----------
    covariates : sequence of Covariate
    decision_ms : ndarray of int64, shape (n,)
        When each life is forecast: its begin.

    Returns
    -------
    ndarray, shape (n, covariates)

    Raises
    ------
    LeakError
        If one was known only later, in any row.
    """
    late = [
        f"{each.name} ({int((each.known_ms > decision_ms).sum())} rows)"
        for each in covariates
        if np.any(each.known_ms > decision_ms)
    ]
    if late:
        raise LeakError(
            f"known only after the life had begun, so they tell its outcome: {', '.join(late)}. "
            "Measure them over a window that ends before the forecast"
        )
    return np.stack([each.values for each in covariates], axis=1)


@dataclass(frozen=True)
class CoxModel:
    """Proportional hazards on standardised covariates.

    Attributes
    ----------
    weight, centre, spread : ndarray, shape (covariates,)
    """

    weight: Float64
    centre: Float64
    spread: Float64

    def risk(self, table: Float64) -> Float64:
        """Logarithm of the hazard up to a constant, shape (n,); a missing value counts as the centre."""
        return np.asarray(np.nan_to_num((table - self.centre) / self.spread) @ self.weight)


def fit_cox(
    days: Float64,
    failed: NDArray[np.bool_],
    covariates: Sequence[Covariate],
    decision_ms: Int64,
    penalizer: float = 0.05,
) -> CoxModel:
    """Fit proportional hazards to lives with censoring.

    Parameters
    ----------
    days : ndarray, shape (n,)
    failed : ndarray of bool, shape (n,)
    covariates : sequence of Covariate
    decision_ms : ndarray of int64, shape (n,)
        Begin of each life.
    penalizer : float
        Strength of the ridge.

    Returns
    -------
    CoxModel

    Raises
    ------
    LeakError
        See `usable`.
    """
    import pandas as pd
    from lifelines import CoxPHFitter

    table = usable(covariates, decision_ms)
    centre = np.nanmedian(table, axis=0)
    spread = np.maximum(np.nanstd(table, axis=0), 1e-9)
    frame = pd.DataFrame(np.nan_to_num((table - centre) / spread), columns=[each.name for each in covariates])
    frame["days"], frame["failed"] = np.maximum(days, 0.5), failed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = CoxPHFitter(penalizer=penalizer).fit(frame, "days", "failed")
    return CoxModel(fitted.params_.to_numpy(np.float64), centre, spread)


def concordance(days: Float64, failed: NDArray[np.bool_], risk: Float64) -> float:
    """Share of comparable pairs in which the life of higher risk failed first; 0.5 for guessing.

    Parameters
    ----------
    days : ndarray, shape (n,)
    failed : ndarray of bool, shape (n,)
    risk : ndarray, shape (n,)

    Returns
    -------
    float
    """
    from lifelines.utils import concordance_index

    return float(concordance_index(days, -np.asarray(risk), failed))
