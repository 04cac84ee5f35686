"""Models as one bytes object, without pickle, and back.

Belongs here: the format, the checks, the manifest. Does not belong here: where the bytes are kept and which model is in
use (the model registry).

The format is a zip archive that ``numpy.load`` and any zip program can open: ``manifest.json`` and one ``.npy`` a
array. Only arrays of numbers and booleans are read, each of a name, type and number of axes that the model kind calls for, so nothing in a
file can name code to run. The same model and manifest give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import zipfile
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oasis_pipeline.learning.calibration import Calibration
from oasis_pipeline.learning.classifier import ClassifierModel, View
from oasis_pipeline.learning.features import FEATURE_VERSION, VIEWS, feature_names
from oasis_pipeline.learning.forest import Forest
from oasis_pipeline.learning.seed_method import SEED_FEATURE_VERSION, SeedModel

FORMAT = 1
CLASSIFIER, SEED_FORESTS = "classifier", "seed_forests"
SEED_FEATURES = 23

_FOREST = {"feature": "<i2", "threshold": "<f4", "right": "<i4", "leaf_value": "|u1", "roots": "<i4"}
_VIEW = {**_FOREST, "fill": "<f4", "slope": "<f8", "offset": "<f8"}
_VERSIONS = {CLASSIFIER: FEATURE_VERSION, SEED_FORESTS: SEED_FEATURE_VERSION}
_MANIFEST = "manifest.json"
_MAX_ARRAY_BYTES = 1 << 30
_MAX_MANIFEST_BYTES = 1 << 24
_STAMP = (1980, 1, 1, 0, 0, 0)

Model = ClassifierModel | SeedModel


class ArtifactError(ValueError):
    """A model artifact that must not be used; the text says why."""


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
        "format": FORMAT,
        "classes": list(model.classes),
        "unlearned": dict(model.unlearned),
        "feature_version": model.feature_version,
    }
    arrays: dict[str, NDArray[Any]] = {}
    if isinstance(model, ClassifierModel):
        facts |= {
            "kind": CLASSIFIER,
            "features": len(feature_names()),
            "abstain_threshold": {name: view.abstain_threshold for name, view in model.views.items()},
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
        views = list(model.views)
    else:
        facts |= {"kind": SEED_FORESTS, "features": SEED_FEATURES, "trees_per_class": model.trees_per_class}
        arrays, views = model.forest.arrays(), []
    try:
        text = json.dumps({**manifest, **facts}, sort_keys=True, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"the manifest cannot be written as JSON: {error}") from error
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.writestr(_entry(_MANIFEST), text)
        for name, dtype in _wanted(facts["kind"], views).items():
            body = io.BytesIO()
            np.lib.format.write_array(
                body, np.ascontiguousarray(arrays[name], dtype), version=(1, 0), allow_pickle=False
            )
            archive.writestr(_entry(f"{name}.npy"), body.getvalue())
    data = target.getvalue()
    return data, hashlib.sha256(data).hexdigest()


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
        array is missing, of another type, or not a forest.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != expected_sha256.lower():
        raise ArtifactError(
            f"the artifact's SHA-256 is {found}, the registry says {expected_sha256.lower()}: not loaded"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            manifest = _read_manifest(archive)
            kind = manifest["kind"]
            views = _view_names(manifest) if kind == CLASSIFIER else []
            arrays = {name: _read_array(archive, name, dtype) for name, dtype in _wanted(kind, views).items()}
        return _build(kind, manifest, arrays), manifest
    except ArtifactError:
        raise
    except Exception as error:  # any damage: zip, zlib, json and NumPy raise a dozen kinds between them
        raise ArtifactError(f"the artifact is damaged: {type(error).__name__}: {error}") from error


def _wanted(kind: str, views: list[str]) -> dict[str, str]:
    """Return the arrays that a model of this kind consists of, with their types: the allow-list."""
    if kind == SEED_FORESTS:
        return _FOREST
    parts = {f"{view}_{part}": dtype for view in views for part, dtype in _VIEW.items()}
    return {"prior": "<f4", **parts}


def _view_names(manifest: dict[str, Any]) -> list[str]:
    names = list(manifest["abstain_threshold"])
    if not names or not set(names) <= set(VIEWS):
        raise ArtifactError(f"the artifact holds views {names}, known are {list(VIEWS)}")
    return names


def _read_manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo(_MANIFEST).file_size > _MAX_MANIFEST_BYTES:
        raise ArtifactError("the artifact's manifest is too large")
    manifest = json.loads(archive.read(_MANIFEST))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtifactError(f"the artifact is not of format {FORMAT}")
    kind = manifest.get("kind")
    if not isinstance(kind, str) or kind not in _VERSIONS:
        raise ArtifactError(f"the artifact holds a model of unknown kind {kind!r}")
    if manifest.get("feature_version") != _VERSIONS[kind]:
        raise ArtifactError(
            f"the model was trained on features {manifest.get('feature_version')!r}, "
            f"this release computes {_VERSIONS[kind]!r}: train it again"
        )
    return manifest


def _read_array(archive: zipfile.ZipFile, name: str, dtype: str) -> NDArray[Any]:
    """Read one array after its header has been checked, so that no header can ask for more than its entry holds."""
    entry = archive.getinfo(f"{name}.npy")
    if entry.file_size > _MAX_ARRAY_BYTES:
        raise ArtifactError(f"the array {name!r} is too large")
    body = io.BytesIO(archive.read(entry))
    if np.lib.format.read_magic(body) != (1, 0):
        raise ArtifactError(f"the array {name!r} is of an unknown format")
    shape, by_column, found = np.lib.format.read_array_header_1_0(body)
    if found.str != dtype or (by_column and len(shape) > 1):
        raise ArtifactError(f"the array {name!r} has type {found.str}, allowed is {dtype}")
    content = body.read()
    count = 1
    for length in shape:
        count *= length
    if min(shape, default=1) < 0 or count * found.itemsize != len(content):
        raise ArtifactError(f"the array {name!r} does not have the size that it states")
    return np.frombuffer(content, found).reshape(shape).copy()


def _build(kind: str, manifest: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Model:
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
            raise ArtifactError("the artifact's threshold is no probability")
        views[name] = View(
            _forest(arrays, f"{name}_", wanted, len(classes)),
            arrays[f"{name}_fill"],
            Calibration(arrays[f"{name}_slope"], arrays[f"{name}_offset"]),
            float(threshold),
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


def _check_numbers(values: NDArray[Any], count: int, what: str) -> None:
    if values.shape != (count,) or not np.isfinite(values).all():
        raise ArtifactError(f"the artifact's {what} are not {count} numbers")


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _STAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
