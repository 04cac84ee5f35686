"""Cards that depart from their forecast.

Belongs here: how far a card lies from its forecast, how rare that is, and what it looks like in words. Does not belong here: which
forecast a card is held against (``assets``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.card_forecast.history import LOADS, POINTS

Float64 = NDArray[np.float64]

DEPARTURE_PROBABILITIES = tuple(float(p) for p in (*np.linspace(0.05, 0.95, 19), 0.975, 0.99, 0.995, 0.999))
"""Where the distribution of departures is kept."""

ANOMALY_PROBABILITY = 0.995
"""A card is an anomaly when this share of ordinary cards lies nearer to their forecast."""


def departure(error_lbf: NDArray[np.floating], half_width_lbf: NDArray[np.floating]) -> Float64:
    """How far cards lie from their forecasts: rms over the points of error over half width, shape (n,).

    Parameters
    ----------
    error_lbf, half_width_lbf : ndarray, shape (n, points)
        Card less forecast, and half of the band.

    Returns
    -------
    ndarray, shape (n,)
        About 0.6 for an ordinary card: nine points in ten lie within one.
    """
    relative = np.asarray(error_lbf, np.float64) / np.maximum(half_width_lbf, 1e-9)
    return np.asarray(np.sqrt(np.mean(np.square(relative), axis=-1)))


@dataclass(frozen=True)
class Scored:
    """Cards held against their forecasts, n of them.

    Attributes
    ----------
    departure : ndarray, shape (n,)
        See `departure`.
    outside_pct : ndarray, shape (n,)
        Share of the points outside of the band.
    rmse_lbf : ndarray, shape (n,)
    rarity_pct : ndarray, shape (n,)
        Share of ordinary cards that lie nearer to their forecast.
    is_anomaly : ndarray of bool, shape (n,)
    reason : list of str
        What departs most, in words; empty for cards that are none.
    """

    departure: Float64
    outside_pct: Float64
    rmse_lbf: Float64
    rarity_pct: Float64
    is_anomaly: NDArray[np.bool_]
    reason: list[str]


def score_cards(
    state: NDArray[np.floating],
    forecast: NDArray[np.floating],
    half_width_lbf: NDArray[np.floating],
    quantiles: NDArray[np.floating],
) -> Scored:
    """Hold cards against their forecasts.

    Parameters
    ----------
    state, forecast : ndarray, shape (n, STATE_SIZE)
        The cards that came, and their forecasts.
    half_width_lbf : ndarray, shape (n, POINTS)
        Half of the band.
    quantiles : ndarray, shape (n, len(DEPARTURE_PROBABILITIES))
        Of the departures of ordinary cards, from the model that made each forecast.

    Returns
    -------
    Scored
    """
    error = np.asarray(state, np.float64)[:, LOADS] - np.asarray(forecast, np.float64)[:, LOADS]
    far = departure(error, half_width_lbf)
    below = (far[:, None] >= quantiles).sum(axis=1)
    rarity = np.concatenate([[0.0], DEPARTURE_PROBABILITIES])[below]
    odd = rarity >= ANOMALY_PROBABILITY
    return Scored(
        far,
        100.0 * (np.abs(error) > half_width_lbf).mean(axis=1) if len(error) else np.zeros(0),
        np.sqrt(np.square(error).mean(axis=1)) if len(error) else np.zeros(0),
        100.0 * rarity,
        odd,
        [_reason(s, f) if o else "" for s, f, o in zip(state, forecast, odd, strict=True)],
    )


def _reason(state: NDArray[np.floating], forecast: NDArray[np.floating]) -> str:
    """Name the feature of the card that departs most, relative to the forecast's load range."""
    loads = [np.asarray(card, np.float64)[LOADS] for card in (state, forecast)]
    half = POINTS // 2
    span = max(float(np.ptp(loads[1])), 1.0)
    up = [float(load[:half].mean()) for load in loads]
    down = [float(load[half:].mean()) for load in loads]
    ranges = [float(np.ptp(load)) for load in loads]
    area = [u - d for u, d in zip(up, down, strict=True)]
    stroke = [float(card[1] - card[0]) for card in (state, forecast)]
    whole = [float(load.mean()) for load in loads]
    told = [
        # what moves several of these as much is told by the plainest: a shift of the whole card, then one of a stroke
        (1.02 * abs(whole[0] - whole[1]) / span, "load", whole[0] - whole[1], "lbf"),
        (abs(up[0] - up[1]) / span, "load of the upstroke", up[0] - up[1], "lbf"),
        (abs(down[0] - down[1]) / span, "load of the downstroke", down[0] - down[1], "lbf"),
        (0.99 * abs(ranges[0] - ranges[1]) / span, "load range", ranges[0] - ranges[1], "lbf"),
        (0.98 * abs(area[0] - area[1]) / span, "mean height of the card", area[0] - area[1], "lbf"),
        (abs(stroke[0] - stroke[1]) / max(abs(stroke[1]), 1.0), "stroke", stroke[0] - stroke[1], "in"),
    ]
    size, name, change, unit = max(told)
    if size < 0.02:
        return "shape differs, loads do not"
    return f"{name} {abs(change):,.0f} {unit} {'above' if change > 0 else 'below'} the forecast"
