"""The mixture of candidates that forecasts a card, its band, and how it is kept.

Belongs here: one model, that is the weights and band widths of one cut-off. Does not belong here: learning them (``learn``).

A forecast is the newest card plus a weighted sum of departures from it. Weights depend on the horizon and on the situation: how
odd the newest card is (a card far off the week's median is as a rule an episode that passes: parted rods, a sensor) and whether the
well drifts. All loads of a card share the weights, so a forecast is always a mixture of cards that were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.card_forecast.candidates import CANDIDATES, MEDIAN, Candidates
from oasis_pipeline.learning.card_forecast.history import LOADS, POINTS, Float32
from oasis_pipeline.learning.container import ArtifactError, pack, unpack

Float64 = NDArray[np.float64]

KIND = "card_forecaster"
STATE_VERSION = "cards-1"
"""Changes whenever the same cards would give other candidates or weights; part of every ModelVersion."""

HORIZONS_HOURS = (24, 72, 168)
NOMINAL_PCT = 90.0

ODDNESS_EDGES = (1.0, 2.0, 4.0, 8.0, 20.0)
DRIFT_EDGES = (4.0,)
LAST_ORDINARY = 3
"""Levels of oddness above this one are learned apart from the ordinary ones: their errors are tens of times larger."""

LEVELS = len(ODDNESS_EDGES) + 1
SITUATIONS = LEVELS * (len(DRIFT_EDGES) + 1)

_PRIOR_DAYS = 5.0
"""The spread of a window counts as so many days of the profile of the whole field."""

_ARRAYS = {
    "weights": "<f8",
    "gram": "<f8",
    "moment": "<f8",
    "pairs": "<f8",
    "profile": "<f8",
    "widths": "<f8",
    "band_pairs": "<f8",
    "departures": "<f8",
}


@dataclass(frozen=True)
class ForecastModel:
    """Weights and band of one cut-off. H horizons, S situations, L levels of oddness, K candidates.

    Attributes
    ----------
    version : str
        As in ModelVersion; names the cut-off, or begins with ``base-``.
    weights : ndarray, shape (H, S, K)
    gram, moment, pairs : ndarray, shapes (H, S, K, K), (H, S, K), (H, S)
        The evidence that the weights were solved from: sums over pairs of a card and the one a horizon later.
    profile : ndarray, shape (H, POINTS)
        Rms error at each point in units of the well's noise.
    widths : ndarray, shape (H, L)
        Half width of the band in units of its scale.
    band_pairs : ndarray, shape (H, L)
        Pairs that the widths rest on.
    departures : ndarray, shape (H, Q)
        Quantiles of how far ordinary cards depart from their forecast (see ``anomaly``).
    """

    version: str
    weights: Float64
    gram: Float64
    moment: Float64
    pairs: Float64
    profile: Float64
    widths: Float64
    band_pairs: Float64
    departures: Float64

    @property
    def is_base(self) -> bool:
        """Whether it knows simulated fields only."""
        return self.version.startswith("base-")


def situations(known: Candidates) -> NDArray[np.int64]:
    """Situation of each row, 0 <= s < SITUATIONS; the level of oddness is ``s // (len(DRIFT_EDGES) + 1)``."""
    level = np.digitize(known.oddness, ODDNESS_EDGES)
    return np.asarray(level * (len(DRIFT_EDGES) + 1) + np.digitize(known.drift, DRIFT_EDGES), np.int64)


def levels(known: Candidates) -> NDArray[np.int64]:
    """Level of oddness of each row, 0 <= l < LEVELS."""
    return np.asarray(np.digitize(known.oddness, ODDNESS_EDGES), np.int64)


def at_horizon(known: Candidates, hours: float) -> Float32:
    """Departures of the candidates at a horizon, shape (n, K, STATE_SIZE): slopes become what they add until then."""
    departures = known.departures.copy()
    departures[:, MEDIAN + 1 :] *= np.float32(hours / 24.0)
    return departures


def forecast_states(model: ForecastModel, known: Candidates, hours: float) -> Float32:
    """Forecast the state of the card after a horizon.

    Parameters
    ----------
    model : ForecastModel
    known : Candidates
        What is known at the issue of each row.
    hours : float
        One of `HORIZONS_HOURS`, or any other: weights between two of them are interpolated, and those of the nearest hold outside.

    Returns
    -------
    ndarray of float32, shape (n, STATE_SIZE)
    """
    after = min(int(np.searchsorted(HORIZONS_HOURS, hours)), len(HORIZONS_HOURS) - 1)
    learned = model.weights[after]
    if after and hours < HORIZONS_HOURS[after]:
        share = (HORIZONS_HOURS[after] - hours) / (HORIZONS_HOURS[after] - HORIZONS_HOURS[after - 1])
        learned = share * model.weights[after - 1] + (1.0 - share) * learned
    weights = learned[situations(known)].astype(np.float32)
    moved = (weights[:, None] @ at_horizon(known, hours))[:, 0]
    # positions hardly move, and a slope must not carry the stroke away
    moved[:, :2] = known.departures[:, 1, :2]
    return np.asarray(known.newest + moved)


def band_scale(profile: Float64, known: Candidates) -> Float64:
    """Expected error of each load (lbf) up to a factor, shape (n, POINTS): the well's own spread beside the field's profile."""
    field = np.square(profile * known.noise_lbf[:, None])
    own = np.square(known.spread.astype(np.float64))
    days = np.maximum(known.days - 2.0, 0.0)[:, None]
    return np.sqrt((days * own + _PRIOR_DAYS * field) / (days + _PRIOR_DAYS))


def band_lbf(model: ForecastModel, known: Candidates, hours: int) -> Float64:
    """Half width (lbf) of the band at each load, shape (n, POINTS)."""
    at = HORIZONS_HOURS.index(hours)
    return np.asarray(model.widths[at][levels(known)][:, None] * band_scale(model.profile[at], known))


def save_forecaster(model: ForecastModel, manifest: Mapping[str, Any]) -> tuple[bytes, str]:
    """Pack a model; gives the artifact and its SHA-256."""
    arrays = {name: getattr(model, name) for name in _ARRAYS}
    return pack(KIND, {**manifest, "version": model.version}, arrays, _ARRAYS)


def load_forecaster(data: bytes, sha256: str) -> tuple[ForecastModel, dict[str, Any]]:
    """Unpack a model after checking it.

    Raises
    ------
    ArtifactError
        If the hash differs or the artifact is damaged, of another kind, or of another state version.
    """
    return unpack(data, sha256, _wanted, _build)


def _wanted(manifest: dict[str, Any]) -> dict[str, str]:
    if manifest.get("kind") != KIND:
        raise ArtifactError(f"the artifact holds a {manifest.get('kind')!r}, not a {KIND}")
    if manifest.get("state_version") != STATE_VERSION:
        raise ArtifactError(
            f"the model was learned on states {manifest.get('state_version')!r}, these are {STATE_VERSION!r}"
        )
    return _ARRAYS


def _build(manifest: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> ForecastModel:
    horizons, kinds = len(HORIZONS_HOURS), len(CANDIDATES)
    shapes = {
        "weights": (horizons, SITUATIONS, kinds),
        "gram": (horizons, SITUATIONS, kinds, kinds),
        "moment": (horizons, SITUATIONS, kinds),
        "pairs": (horizons, SITUATIONS),
        "profile": (horizons, POINTS),
        "widths": (horizons, LEVELS),
        "band_pairs": (horizons, LEVELS),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ArtifactError(f"the array {name!r} has shape {arrays[name].shape}, not {shape}")
    if any(not np.isfinite(values).all() for values in arrays.values()):
        raise ArtifactError("the artifact holds a value that is not finite")
    return ForecastModel(str(manifest["version"]), **arrays)


@lru_cache(maxsize=1)
def base_forecaster() -> ForecastModel:
    """Return the model for wells of which too little is known yet, learned on simulated fields.

    Notes
    -----
    It comes with the package; ``make models`` makes it again. Its hash is not checked
    against a registry: it is as trustworthy as the code beside it.
    """
    import hashlib

    data = resources.files("oasis_pipeline.learning.card_forecast").joinpath("base.model").read_bytes()
    return load_forecaster(data, hashlib.sha256(data).hexdigest())[0]


__all__ = [
    "HORIZONS_HOURS",
    "KIND",
    "LOADS",
    "STATE_VERSION",
    "ForecastModel",
    "base_forecaster",
    "forecast_states",
    "load_forecaster",
    "save_forecaster",
]
