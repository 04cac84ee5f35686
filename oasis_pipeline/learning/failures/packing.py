"""Forecasters of failures as artifacts: arrays and a manifest, checked in full when they are read.

Belongs here: packing and unpacking. Does not belong here: fitting (``forecaster``), the container (``learning.container``).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from oasis_pipeline.learning.container import ArtifactError, pack, unpack
from oasis_pipeline.learning.failures.causes import CAUSES, CauseHazards
from oasis_pipeline.learning.failures.forecaster import FORECAST_VERSION, Forecaster

KIND = "failure_forecaster"


def pack_forecaster(forecaster: Forecaster, manifest: dict[str, Any]) -> tuple[bytes, str, dict[str, Any]]:
    """Pack a forecaster.

    Parameters
    ----------
    forecaster : Forecaster
    manifest : dict
        What a reader should know.

    Returns
    -------
    data : bytes
    sha256 : str
    manifest : dict
        As packed.
    """
    full = {
        **manifest,
        "forecast_version": FORECAST_VERSION,
        "classes": list(forecaster.classes),
        "features": list(forecaster.features),
        "threshold": forecaster.threshold,
        "causes": list(CAUSES),
    }
    arrays = {"rate_per_day": forecaster.model.rate_per_day}
    data, sha256 = pack(KIND, full, arrays, _wanted({**full, "kind": KIND}))
    return data, sha256, json.loads(json.dumps({**full, "kind": KIND}))


def unpack_forecaster(data: bytes, sha256: str) -> tuple[Forecaster, dict[str, Any]]:
    """Unpack a forecaster after checking it.

    Parameters
    ----------
    data : bytes
    sha256 : str
        What the registry keeps.

    Returns
    -------
    forecaster : Forecaster
    manifest : dict

    Raises
    ------
    ArtifactError
        If it must not be used.
    """
    return unpack(data, sha256, _wanted, _build)


def _wanted(manifest: dict[str, Any]) -> dict[str, str]:
    if manifest.get("kind") != KIND or manifest.get("forecast_version") != FORECAST_VERSION:
        raise ArtifactError(f"the artifact is not a {KIND} of version {FORECAST_VERSION}")
    return {"rate_per_day": "<f8"}


def _build(manifest: dict[str, Any], arrays: dict[str, Any]) -> Forecaster:
    classes, features = tuple(manifest["classes"]), tuple(manifest["features"])
    causes, rate = manifest["causes"], arrays["rate_per_day"]
    if causes != list(CAUSES):
        raise ArtifactError("the artifact knows other causes of failures")
    if rate.shape != (1 + len(CAUSES), len(classes)):
        raise ArtifactError("the rates do not fit the causes and classes")
    if not (np.isfinite(rate).all() and (rate >= 0.0).all()):
        raise ArtifactError("a rate is not a finite number from 0 on")
    return Forecaster(CauseHazards(rate, features), classes, features, float(manifest["threshold"]))
