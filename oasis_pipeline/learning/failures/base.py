"""The base model of failures: what forecasts a field that has no history of failures yet.

Belongs here: the model that comes with the package. It was learned on simulated fields by ``models/failure_forecaster.py``;
that it knows real ones is not said, and a field's own evidence replaces it (``forecaster.fit_at``).

It has two experts: of fields where a fault that grows ends in a failure, and of fields where most do not. The base model is both of
them in equal parts; at a cut-off what came of the field's days may speak for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from oasis_pipeline.learning.failures.forecaster import (
    FORECAST_VERSION,
    Forecaster,
)
from oasis_pipeline.learning.failures.packing import read_false_alarms, unpack_forecaster

BASE_FILE = Path(__file__).with_name("base_failures.model")
BASE_VERSION = f"base-{FORECAST_VERSION}-sim3"
"""ModelVersion of its rows."""
EXPERTS_BEFOREHAND = MappingProxyType({"failing": 0.25, "lasting": 0.75})
"""Weights before a field's days are looked at: in real fields most faults end without a failure."""


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


@lru_cache(maxsize=1)
def base_experts() -> Mapping[str, Forecaster]:
    """Load the parts of the base model, by kind of field.

    Returns
    -------
    mapping of str to Forecaster

    Raises
    ------
    ArtifactError
        If the package's file is damaged.
    """
    whole, manifest = base_forecaster()
    return MappingProxyType(
        {
            name: replace(
                whole,
                members=tuple(whole.members[number] for number in part["members"]),
                threshold=float(part["threshold"]),
                false_alarms=read_false_alarms(part["false_alarms"]),
            )
            for name, part in manifest["experts"].items()
        }
    )


def base_sha256() -> str:
    """Return the hash that the package's file must have."""
    return BASE_FILE.with_suffix(".sha256").read_text(encoding="ascii").strip()
