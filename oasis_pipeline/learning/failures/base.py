"""The base model of failures: what forecasts a field that has no history of failures yet.

Belongs here: the model that comes with the package. It was learned on simulated fields by ``benchmarks/base_failure_model.py``;
that it knows real ones is not said, and a field's own evidence replaces it (``forecaster.fit_at``).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from oasis_pipeline.learning.failures.forecaster import FORECAST_VERSION, Forecaster, unpack_forecaster

BASE_FILE = Path(__file__).with_name("base_failures.model")
BASE_VERSION = f"base-{FORECAST_VERSION}-sim1"
"""ModelVersion of its rows."""


@lru_cache(maxsize=1)
def base_forecaster() -> tuple[Forecaster, dict[str, Any]]:
    """Load the base model.

    Returns
    -------
    forecaster : Forecaster
    manifest : dict

    Raises
    ------
    ArtifactError
        If the package's file is damaged.
    """
    return unpack_forecaster(BASE_FILE.read_bytes(), base_sha256())


def base_sha256() -> str:
    """Return the hash that the package's file must have."""
    return BASE_FILE.with_suffix(".sha256").read_text(encoding="ascii").strip()
