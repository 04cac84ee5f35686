"""Arrays and a manifest as one bytes object, without pickle, and back.

Belongs here: the format and what makes it safe to read. Does not belong here: which arrays a kind of model consists of (the model's
own module, ``artifact`` for classifiers), where the bytes are kept and which model is in use (the model registry).

The format is a zip archive that ``numpy.load`` and any zip program can open: ``manifest.json`` and one ``.npy`` a
array. Only arrays of numbers and booleans are read, each of a name and type that the model kind calls for, so nothing in a
file can name code to run. The same arrays and manifest give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

FORMAT = 1

Built = TypeVar("Built")

_MANIFEST = "manifest.json"
_MAX_ARRAY_BYTES = 1 << 30
_MAX_MANIFEST_BYTES = 1 << 24
_STAMP = (1980, 1, 1, 0, 0, 0)


class ArtifactError(ValueError):
    """A model artifact that must not be used; the text says why."""


def pack(
    kind: str, manifest: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], wanted: Mapping[str, str]
) -> tuple[bytes, str]:
    """Pack arrays with their manifest.

    Parameters
    ----------
    kind : str
        Kind of model; goes into the manifest with the format.
    manifest : mapping
        What a reader should know; must fit into JSON.
    arrays : mapping of str to ndarray
        At least those of `wanted`.
    wanted : mapping of str to str
        Names and types of the arrays to write.

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
    try:
        text = json.dumps(
            {**manifest, "format": FORMAT, "kind": kind}, sort_keys=True, indent=1, allow_nan=False
        )
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"the manifest cannot be written as JSON: {error}") from error
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.writestr(_entry(_MANIFEST), text)
        for name, dtype in wanted.items():
            body = io.BytesIO()
            np.lib.format.write_array(
                body, np.ascontiguousarray(arrays[name], dtype), version=(1, 0), allow_pickle=False
            )
            archive.writestr(_entry(f"{name}.npy"), body.getvalue())
    data = target.getvalue()
    return data, hashlib.sha256(data).hexdigest()


def unpack(
    data: bytes,
    expected_sha256: str,
    wanted: Callable[[dict[str, Any]], Mapping[str, str]],
    build: Callable[[dict[str, Any], dict[str, NDArray[Any]]], Built],
) -> tuple[Built, dict[str, Any]]:
    """Unpack a model after checking that it is the expected one and that it is sound.

    Parameters
    ----------
    data : bytes
    expected_sha256 : str
        What the registry keeps.
    wanted : callable
        From the manifest to the names and types of the arrays: the allow-list. Refuses a manifest of another kind.
    build : callable
        From manifest and arrays to the model; checks their shapes and values.

    Returns
    -------
    model
        What `build` made.
    manifest : dict

    Raises
    ------
    ArtifactError
        If the hash differs, the file is no artifact of this format, or `wanted` or `build` find it unsound.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != expected_sha256.lower():
        raise ArtifactError(
            f"the artifact's SHA-256 is {found}, the registry says {expected_sha256.lower()}: not loaded"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            manifest = _read_manifest(archive)
            arrays = {name: _read_array(archive, name, dtype) for name, dtype in wanted(manifest).items()}
        return build(manifest, arrays), manifest
    except ArtifactError:
        raise
    except Exception as error:  # any damage: zip, zlib, json and NumPy raise a dozen kinds between them
        raise ArtifactError(f"the artifact is damaged: {type(error).__name__}: {error}") from error


def _read_manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo(_MANIFEST).file_size > _MAX_MANIFEST_BYTES:
        raise ArtifactError("the artifact's manifest is too large")
    manifest = json.loads(archive.read(_MANIFEST))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtifactError(f"the artifact is not of format {FORMAT}")
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


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _STAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
