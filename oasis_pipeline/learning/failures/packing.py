"""Forecasters of failures as artifacts: arrays and a manifest, checked in full when they are read.

Belongs here: packing and unpacking. Does not belong here: fitting (``forecaster``), the container (``learning.container``).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.container import ArtifactError, pack, unpack
from oasis_pipeline.learning.failures.alarms import FalseAlarms
from oasis_pipeline.learning.failures.boosting import BoostedTrees
from oasis_pipeline.learning.failures.forecaster import FORECAST_VERSION, Forecaster
from oasis_pipeline.learning.failures.hazard import BaseRates, BoostedHazards

KIND = "failure_forecaster"

_TREE_TYPES = {
    "feature": "<i4",
    "threshold": "<f8",
    "missing_left": "|b1",
    "left": "<i4",
    "right": "<i4",
    "roots": "<i4",
    "baseline": "<f8",
}


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
    arrays: dict[str, NDArray[Any]] = {}
    members: list[dict[str, Any]] = []
    for number, member in enumerate(forecaster.members):
        if isinstance(member, BaseRates):
            arrays[f"{number}.rate_per_day"] = member.rate_per_day
            members.append({"rates": True})
            continue
        for part in ("any_failure", "which"):
            trees = getattr(member, part)
            if trees is not None:
                arrays |= {f"{number}.{part}.{name}": values for name, values in trees.arrays().items()}
        members.append(
            {
                "taught": member.taught.tolist(),
                "log_odds": member.log_odds,
                "which": member.which is not None,
                "n_features": [member.any_failure.n_features, len(forecaster.features)],
            }
        )
    full = {
        **manifest,
        "forecast_version": FORECAST_VERSION,
        "classes": list(forecaster.classes),
        "features": list(forecaster.features),
        "threshold": forecaster.threshold,
        "log_odds": forecaster.log_odds,
        "members": members,
    }
    if forecaster.false_alarms is not None:
        full["false_alarms"] = told(forecaster.false_alarms)
    data, sha256 = pack(KIND, full, arrays, _wanted({**full, "kind": KIND}))
    return data, sha256, json.loads(json.dumps({**full, "kind": KIND}))


def told(false_alarms: FalseAlarms) -> list[list[float]]:
    """Bring false alarms into a manifest, see `read_false_alarms`."""
    return [np.round(column, 6).tolist() for column in (false_alarms.threshold, false_alarms.per_well_month)]


def read_false_alarms(kept: Any) -> FalseAlarms:
    """Read false alarms from a manifest.

    Raises
    ------
    ArtifactError
        If they are none.
    """
    try:
        threshold, rate = np.asarray(kept, np.float64)
    except (TypeError, ValueError):
        raise ArtifactError("the false alarms are no two rows of numbers") from None
    if threshold.ndim != 1 or len(threshold) == 0 or not np.isfinite(np.stack([threshold, rate])).all():
        raise ArtifactError("the false alarms are no two rows of numbers")
    if np.any(np.diff(threshold) <= 0.0) or np.any(rate < 0.0):
        raise ArtifactError("the thresholds of the false alarms do not ascend")
    return FalseAlarms(threshold, rate)


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
        raise ArtifactError(f"the artifact is no {KIND} of version {FORECAST_VERSION}")
    wanted: dict[str, str] = {}
    for number, member in enumerate(manifest["members"]):
        if member.get("rates"):
            wanted[f"{number}.rate_per_day"] = "<f8"
            continue
        for part in ("any_failure", "which") if member["which"] else ("any_failure",):
            wanted |= {f"{number}.{part}.{name}": dtype for name, dtype in _TREE_TYPES.items()}
    return wanted


def _build(manifest: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Forecaster:
    classes = tuple(manifest["classes"])
    members: list[BoostedHazards | BaseRates] = []
    for number, member in enumerate(manifest["members"]):
        if member.get("rates"):
            rate = arrays[f"{number}.rate_per_day"]
            if rate.shape != (len(classes),) or not (np.isfinite(rate).all() and (rate >= 0.0).all()):
                raise ArtifactError("the rates do not fit the classes")
            members.append(BaseRates(rate))
            continue
        taught = np.array(member["taught"], np.int64)
        if taught.ndim != 1 or np.any(taught < 0) or np.any(taught >= len(classes)):
            raise ArtifactError("a member was taught classes that are not there")
        trees: dict[str, BoostedTrees | None] = {"which": None}
        parts = ("any_failure", "which") if member["which"] else ("any_failure",)
        for part, width in zip(parts, member["n_features"], strict=False):
            own = BoostedTrees(
                **{name: arrays[f"{number}.{part}.{name}"] for name in _TREE_TYPES}, n_features=int(width)
            )
            own.check()
            trees[part] = own
        first, which = trees["any_failure"], trees["which"]
        assert first is not None
        if first.n_features != len(manifest["features"]) + 1 or len(first.baseline) != 2:
            raise ArtifactError("the trees do not fit the features")
        if len(taught) != (1 if which is None else len(which.baseline)):
            raise ArtifactError("the trees do not fit the classes")
        members.append(BoostedHazards(first, which, taught, len(classes), float(member["log_odds"])))
    return Forecaster(
        tuple(members),
        classes,
        tuple(manifest["features"]),
        float(manifest["threshold"]),
        float(manifest["log_odds"]),
        read_false_alarms(manifest["false_alarms"]) if "false_alarms" in manifest else None,
    )
