"""What forecasts a field that has no history of failures yet: hazards by cause at published rates."""

from __future__ import annotations

from functools import lru_cache

from oasis_pipeline.learning.failures.causes import CAUSE_CHANNELS, SHARES, CauseHazards, prior_rates
from oasis_pipeline.learning.failures.forecaster import FORECAST_VERSION, Forecaster
from oasis_pipeline.learning.failures.windows import feature_names

BASE_VERSION = f"base-{FORECAST_VERSION}"
"""ModelVersion of its rows."""
BASE_THRESHOLD = 0.18
"""Probability within the alarm's window that raises alarms; fourteen times what a well has without any condition."""


@lru_cache(maxsize=1)
def base_forecaster() -> Forecaster:
    """Return the base model.

    Returns
    -------
    Forecaster
    """
    classes, names = tuple(SHARES), tuple(feature_names(CAUSE_CHANNELS))
    return Forecaster(CauseHazards(prior_rates(classes), names), classes, names, BASE_THRESHOLD)
