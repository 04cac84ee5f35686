"""Classifiers as one bytes object, without pickle, and back.

Belongs here: which arrays a classifier consists of, their checks, the manifest. Does not belong here: the format itself (``container``), where the
bytes are kept and which model is in use (the model registry).
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.calibration import Calibration
from oasis_pipeline.learning.classifier import ClassifierModel, View
from oasis_pipeline.learning.container import ArtifactError, pack, unpack
from oasis_pipeline.learning.evidence import Evidence
from oasis_pipeline.learning.features import FEATURE_VERSION, VIEWS, feature_names
from oasis_pipeline.learning.forest import Forest
from oasis_pipeline.learning.kernel import CurveKernel
from oasis_pipeline.learning.seed_method import SEED_FEATURE_VERSION, SeedModel

CLASSIFIER, SEED_FORESTS = "classifier", "seed_forests"
SEED_FEATURES = 23

_FOREST = {"feature": "<i2", "threshold": "<f4", "right": "<i4", "leaf_value": "|u1", "roots": "<i4"}
_VIEW = {**_FOREST, "fill": "<f4", "slope": "<f8", "offset": "<f8"}
_KERNEL = {
    "columns": "<i4",
    "centre": "<f4",
    "scale": "<f4",
    "landmarks": "<f4",
    "weights": "<f4",
    "base": "<f4",
    "sets": "|u1",
}
_EVIDENCE = {"columns": "<i4", "coefficients": "<f8", "share": "<f8", "rival": "<i4"}
_VERSIONS = {CLASSIFIER: FEATURE_VERSION, SEED_FORESTS: SEED_FEATURE_VERSION}
Model = ClassifierModel | SeedModel


def make_manifest(
    *,
    wells: int,
    cards: int,
    first_day: str | None,
    last_day: str | None,
    simulated: bool,
    metrics: Mapping[str, Any] | None = None,
    created: str | None = None,
    seed: int = 0,
    **more: Any,
) -> dict[str, Any]:
    """Say what a model was trained on.

    Parameters
    ----------
    wells, cards : int
        How many taught it.
    first_day, last_day : str or None
        Days of the oldest and the newest card, ISO; None for simulated cards.
    simulated : bool
        Whether it was learned on simulated cards only.
    metrics : mapping, optional
        For example ``Evaluation.to_dict()``.
    created : str, optional
        Time of training, ISO with zone. Given by the caller, so that training itself depends on nothing but its data.
    seed : int
    **more
        Further entries that JSON can hold.

    Returns
    -------
    dict
        To be handed to `save_model`, which adds kind, classes, feature version and format.
    """
    libraries = {name: metadata.version(name) for name in ("numpy", "scikit-learn")}
    return {
        "wells": wells,
        "cards": cards,
        "first_day": first_day,
        "last_day": last_day,
        "simulated": simulated,
        "metrics": dict(metrics or {}),
        "created": created,
        "seed": seed,
        "libraries": {"python": platform.python_version(), **libraries},
        **more,
    }


def save_model(model: Model, manifest: Mapping[str, Any]) -> tuple[bytes, str]:
    """Pack a model.

    Parameters
    ----------
    model : ClassifierModel or SeedModel
    manifest : mapping
        From `make_manifest`.

    Returns
    -------
    data : bytes
    sha256 : str
        Hash of the bytes, lower-case hex: what the registry keeps.

    Raises
    ------
    ArtifactError
        If the manifest holds something that JSON cannot.
    """
    facts: dict[str, Any] = {
        "classes": list(model.classes),
        "unlearned": dict(model.unlearned),
        "feature_version": model.feature_version,
    }
    arrays: dict[str, NDArray[Any]] = {}
    if isinstance(model, ClassifierModel):
        facts |= {
            "features": len(feature_names()),
            "abstain_threshold": {name: view.abstain_threshold for name, view in model.views.items()},
            "kernel_weight": {name: view.kernel_weight for name, view in model.views.items() if view.kernel},
            "controller_share": {
                name: view.controller_share for name, view in model.views.items() if view.controller
            },
            "with_evidence": [name for name, view in model.views.items() if view.evidence],
        }
        arrays["prior"] = model.prior
        for name, view in model.views.items():
            parts = {
                **view.forest.arrays(),
                "fill": view.fill,
                "slope": view.calibration.slope,
                "offset": view.calibration.offset,
            }
            arrays |= {f"{name}_{part}": array for part, array in parts.items()}
            if view.kernel is not None:
                arrays |= {f"{name}_kernel_{part}": array for part, array in view.kernel.arrays().items()}
            if view.evidence is not None:
                arrays |= {f"{name}_evidence_{part}": getattr(view.evidence, part) for part in _EVIDENCE}
            if view.controller is not None:
                arrays |= {
                    f"{name}_controller_{part}": array for part, array in view.controller.arrays().items()
                }
        wanted = _wanted(*_view_names(facts))
        kind = CLASSIFIER
    else:
        facts |= {"features": SEED_FEATURES, "trees_per_class": model.trees_per_class}
        kind, arrays, wanted = SEED_FORESTS, model.forest.arrays(), _FOREST
    return pack(kind, {**manifest, **facts}, arrays, wanted)


def load_model(data: bytes, expected_sha256: str) -> tuple[Model, dict[str, Any]]:
    """Unpack a model after checking that it is the expected one and that it is sound.

    Parameters
    ----------
    data : bytes
    expected_sha256 : str
        What the registry keeps.

    Returns
    -------
    model : ClassifierModel or SeedModel
    manifest : dict

    Raises
    ------
    ArtifactError
        If the hash differs, the file is no artifact of this format, it was trained on other features than this release computes, or an
        array is missing, of another type, or no part of a sound model.
    """
    return unpack(data, expected_sha256, _wanted_of, _build)


def _wanted_of(manifest: dict[str, Any]) -> dict[str, str]:
    kind = manifest.get("kind")
    if not isinstance(kind, str) or kind not in _VERSIONS:
        raise ArtifactError(f"the artifact holds a model of unknown kind {kind!r}")
    if manifest.get("feature_version") != _VERSIONS[kind]:
        raise ArtifactError(
            f"the model was trained on features {manifest.get('feature_version')!r}, "
            f"this release computes {_VERSIONS[kind]!r}: train it again"
        )
    if kind == SEED_FORESTS:
        return _FOREST
    return _wanted(*_view_names(manifest))


def _wanted(
    views: list[str], with_kernel: list[str], with_evidence: list[str], with_controller: list[str]
) -> dict[str, str]:
    """Return the arrays that a model of this kind consists of, with their types: the allow-list."""
    parts = {f"{view}_{part}": dtype for view in views for part, dtype in _VIEW.items()}
    kernels = {f"{view}_kernel_{part}": dtype for view in with_kernel for part, dtype in _KERNEL.items()}
    evidence = {
        f"{view}_evidence_{part}": dtype for view in with_evidence for part, dtype in _EVIDENCE.items()
    }
    controllers = {
        f"{view}_controller_{part}": dtype for view in with_controller for part, dtype in _FOREST.items()
    }
    return {"prior": "<f4", **parts, **kernels, **evidence, **controllers}


def _view_names(manifest: Mapping[str, Any]) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the views, and which of them have a kernel, evidence, a forest of the controller's card."""
    names, *parts = (
        list(manifest[entry])
        for entry in ("abstain_threshold", "kernel_weight", "with_evidence", "controller_share")
    )
    if not names or not set(names) <= set(VIEWS):
        raise ArtifactError(f"the artifact holds views {names}, known are {list(VIEWS)}")
    for what, views in zip(("kernels", "evidence", "forests of controllers"), parts, strict=True):
        if not set(views) <= set(names):
            raise ArtifactError(f"the artifact holds {what} of views {views}, its views are {names}")
    return names, parts[0], parts[1], parts[2]


def _build(manifest: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Model:
    kind = manifest["kind"]
    classes = manifest["classes"]
    if not isinstance(classes, list) or not classes or not all(isinstance(text, str) for text in classes):
        raise ArtifactError("the artifact's class list is not a list of texts")
    unlearned = {str(text): int(count) for text, count in manifest["unlearned"].items()}
    wanted = len(feature_names()) if kind == CLASSIFIER else SEED_FEATURES
    if manifest["features"] != wanted:
        raise ArtifactError(
            f"the model takes {manifest['features']} features, this release computes {wanted}"
        )
    if kind == SEED_FORESTS:
        forest = _forest(arrays, "", wanted, 1)
        trees = manifest["trees_per_class"]
        if not isinstance(trees, int) or trees < 1 or trees * len(classes) != forest.n_trees:
            raise ArtifactError("the artifact's trees do not fit its classes")
        return SeedModel(tuple(classes), unlearned, forest, trees)
    _check_numbers(arrays["prior"], len(classes), "class shares")
    views = {}
    for name, threshold in manifest["abstain_threshold"].items():
        _check_numbers(arrays[f"{name}_fill"], wanted, "filling values")
        for part in ("slope", "offset"):
            _check_numbers(arrays[f"{name}_{part}"], len(classes), "calibration")
        if not 0 <= float(threshold) <= 1:
            raise ArtifactError("the artifact's threshold is not a probability")
        views[name] = View(
            _forest(arrays, f"{name}_", wanted, len(classes)),
            arrays[f"{name}_fill"],
            Calibration(arrays[f"{name}_slope"], arrays[f"{name}_offset"]),
            float(threshold),
            *_kernel(manifest, arrays, name, wanted),
            _evidence(manifest, arrays, name, wanted),
            *_controller(manifest, arrays, name, wanted),
        )
    return ClassifierModel(tuple(classes), unlearned, views, arrays["prior"])


def _forest(arrays: dict[str, NDArray[Any]], prefix: str, features: int, outputs: int) -> Forest:
    forest = Forest(**{name: arrays[prefix + name] for name in _FOREST}, n_features=features)
    try:
        forest.check()
    except ValueError as error:
        raise ArtifactError(f"the artifact holds no sound forest: {error}") from error
    if forest.leaf_value.shape[1] != outputs:
        raise ArtifactError("the artifact's forest does not fit its classes")
    return forest


def _kernel(
    manifest: dict[str, Any], arrays: dict[str, NDArray[Any]], view: str, features: int
) -> tuple[CurveKernel | None, float]:
    """Build the kernel of a view, if it has one, and its weight."""
    if view not in manifest["kernel_weight"]:
        return None, 0.0
    weight = float(manifest["kernel_weight"][view])
    if not 0 < weight <= 1:
        raise ArtifactError("the artifact's weight of a kernel is not between 0 and 1")
    kernel = CurveKernel(**{part: arrays[f"{view}_kernel_{part}"] for part in _KERNEL})
    try:
        kernel.check(features)
    except ValueError as error:
        raise ArtifactError(f"the artifact holds no sound kernel: {error}") from error
    if kernel.sets.shape[1] != len(manifest["classes"]):
        raise ArtifactError("the artifact's kernel does not fit its classes")
    return kernel, weight


def _controller(
    manifest: dict[str, Any], arrays: dict[str, NDArray[Any]], view: str, features: int
) -> tuple[Forest | None, float]:
    """Build the forest on the controller's pump card of a view, if it has one, and its share."""
    if view not in manifest["controller_share"]:
        return None, 0.0
    share = float(manifest["controller_share"][view])
    if not 0 < share <= 1:
        raise ArtifactError("the artifact's share of the controller's card is not between 0 and 1")
    return _forest(arrays, f"{view}_controller_", features, len(manifest["classes"])), share


def _evidence(
    manifest: dict[str, Any], arrays: dict[str, NDArray[Any]], view: str, features: int
) -> Evidence | None:
    """Build what a view knows beside its labels, if it does."""
    if view not in manifest["with_evidence"]:
        return None
    evidence = Evidence(**{part: arrays[f"{view}_evidence_{part}"] for part in _EVIDENCE})
    try:
        evidence.check(features, len(manifest["classes"]))
    except ValueError as error:
        raise ArtifactError(f"the artifact holds no sound evidence: {error}") from error
    return evidence


def _check_numbers(values: NDArray[Any], count: int, what: str) -> None:
    if values.shape != (count,) or not np.isfinite(values).all():
        raise ArtifactError(f"the artifact's {what} are not {count} numbers")
