"""The registry of models: which versions there are, where their artifacts lie, and which one predicts.

Here: entering and looking up. Not here: what a model is and how it is packed (``learning``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar, cast

import pyarrow as pa

from oasis_pipeline.learning.container import ArtifactError
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.errors import StorageError, one_line
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Transaction, Warehouse
from oasis_pipeline.storage.versions import check_version

MODEL = table("oasis", "model")

Built = TypeVar("Built")


class ModelFileError(StorageError):
    """The file of a model is missing or damaged; the message names it and the cure.

    Attributes
    ----------
    name, version : str
        The model.
    """

    def __init__(self, row: Mapping[str, Any], reason: object) -> None:
        self.name, self.version = str(row["name"]), str(row["version"])
        super().__init__(
            f"the file {row['path']} of {self.name} {self.version} can't be used: {one_line(str(reason))}. "
            "`oasis models use VERSION` takes another version (`oasis models list` shows them), and so does a new training"
        )


@lru_cache(maxsize=64)
def _unpacked(
    store: ObjectStore, path: str, sha256: str, unpack: Callable[[bytes, str], tuple[Any, Any]]
) -> Any:
    return unpack(store.get_bytes(path), sha256)[0]


def load_artifact(
    store: ObjectStore,
    row: Mapping[str, Any],
    unpack: Callable[[bytes, str], tuple[Built, Any]],
    version_key: str,
    *wanted: str,
) -> Built:
    """Read the artifact of a model; what was read of late stays in memory.

    Parameters
    ----------
    store : ObjectStore
    row : mapping
        Of the registry.
    unpack : callable
        Takes the bytes and the hash that the registry keeps, checks both, and gives the model.
    version_key : str
        Entry of the manifest that holds the code version.
    *wanted : str
        Code versions of which this release makes one.

    Returns
    -------
    object
        The model.

    Raises
    ------
    ModelFileError
        If the file is missing or damaged.
    OtherVersionError
        If another code version has made it.
    """
    manifest = row["manifest"]
    known = json.loads(manifest) if isinstance(manifest, str) else manifest
    check_version(f"{row['name']} {row['version']}", known.get(version_key), *wanted)
    try:
        return cast(Built, _unpacked(store, row["path"], row["sha256"], unpack))
    except (StorageError, ArtifactError) as error:
        raise ModelFileError(row, error) from None


def register_model(
    warehouse: Warehouse,
    store: ObjectStore,
    name: str,
    data: bytes,
    sha256: str,
    manifest: dict[str, Any],
    *,
    is_base: bool,
    in_use: bool = True,
) -> None:
    """Store an artifact, then enter it: an artifact without an entry is harmless, an entry without one is not.

    Parameters
    ----------
    warehouse : Warehouse
        Where the registry stands.
    store : ObjectStore
        Where the artifact goes.
    name : str
        For example ``dyna_classifier``.
    data : bytes
        The artifact.
    sha256 : str
        Its hash.
    manifest : dict
        As packed; its ``version`` is the model's.
    is_base : bool
        Whether it was learned without the field's own data.
    in_use : bool
        Whether it predicts from now on, in place of the one that did.
    """
    version = manifest["version"]
    path = f"models/{name}/{version}.model"
    store.put_bytes(path, data)
    row = {
        "name": name,
        "version": version,
        "sha256": sha256,
        "path": path,
        "manifest": json.dumps(manifest),
        "is_base": is_base,
        "in_use": in_use,
        "created_at": datetime.now(UTC),
    }
    with warehouse.transaction() as tx:
        if in_use:
            tx.execute("update oasis.model set in_use = false where name = $1", (name,))
        tx.upsert(MODEL, pa.Table.from_pylist([row], schema=arrow_schema(MODEL)))


def is_sound(store: ObjectStore, row: Mapping[str, Any]) -> bool:
    """Whether the file of a model is there and has the hash that the registry keeps."""
    try:
        return bool(store.sha256(row["path"]) == row["sha256"])
    except StorageError:
        return False


def model_row(warehouse: Warehouse, name: str, version: str | None = None) -> dict[str, Any] | None:
    """Look up a model of the registry.

    Parameters
    ----------
    warehouse : Warehouse
        Where the registry stands.
    name : str
        For example ``dyna_classifier``.
    version : str, optional
        By default the one in use.

    Returns
    -------
    dict or None
        The registry's row; None where no model is in use yet.

    Raises
    ------
    ValueError
        If a version was asked for that the registry does not have; the message lists those it has.
    """
    if version is None:
        found = warehouse.query("select * from oasis.model where name = $1 and in_use", (name,)).to_pylist()
        return found[0] if found else None
    found = warehouse.query(
        "select * from oasis.model where name = $1 and version = $2", (name, version)
    ).to_pylist()
    if not found:
        known = warehouse.query(
            "select version from oasis.model where name = $1 order by created_at desc", (name,)
        )
        raise ValueError(
            f"there is no {name} {version!r}; the registry has {', '.join(known['version'].to_pylist()) or 'none'}"
        )
    row: dict[str, Any] = found[0]
    return row


def newest_named(warehouse: Warehouse, name: str, prefix: str) -> dict[str, Any] | None:
    """Look up the newest model whose version begins so: of a model that is learned at cut-offs, the one that holds at a cut-off.

    Parameters
    ----------
    warehouse : Warehouse
        Where the registry stands.
    name, prefix : str
        Name of the model, begin of its version.

    Returns
    -------
    dict or None
        The registry's row; None without any.
    """
    found: list[dict[str, Any]] = warehouse.query(
        "select * from oasis.model where name = $1 and starts_with(version, $2) order by created_at desc limit 1",
        (name, prefix),
    ).to_pylist()
    return found[0] if found else None


def models_of(warehouse: Warehouse | Transaction, name: str | None = None) -> list[dict[str, Any]]:
    """List the models of the registry, the newest of each name first.

    Parameters
    ----------
    warehouse : Warehouse or Transaction
        Where the registry stands.
    name : str, optional
        Of one name only.

    Returns
    -------
    list of dict
        The registry's rows, the manifest as a dict.
    """
    rows = warehouse.query(
        "select * from oasis.model where $1::text is null or name = $1 order by name, created_at desc",
        (name,),
    ).to_pylist()
    return [{**row, "manifest": json.loads(row["manifest"])} for row in rows]


def find_model(warehouse: Warehouse, version: str, name: str | None = None) -> dict[str, Any]:
    """Find a model by its version alone.

    Parameters
    ----------
    warehouse : Warehouse
        Where the registry stands.
    version : str
        As in ModelVersion.
    name : str, optional
        Needed only where models of several names have this version.

    Returns
    -------
    dict
        The registry's row, the manifest as a dict.

    Raises
    ------
    ValueError
        If there is no such version, or several names have it.
    """
    known = models_of(warehouse, name)
    found = [row for row in known if row["version"] == version]
    if not found:
        has = ", ".join(f"{row['name']} {row['version']}" for row in known) or "none"
        raise ValueError(f"there is no model {version!r}; the registry has {has}")
    if len(found) > 1:
        names = ", ".join(row["name"] for row in found)
        raise ValueError(
            f"models of several names have the version {version!r} ({names}): choose one with --name"
        )
    return found[0]


def use_model(warehouse: Warehouse, name: str, version: str) -> None:
    """Let a version predict from now on, in place of the one that does.

    Parameters
    ----------
    warehouse : Warehouse
        Where the registry stands.
    name, version : str
        Of a model that the registry has.
    """
    with warehouse.transaction() as tx:
        tx.execute(
            "update oasis.model set in_use = (version = $2) where name = $1 and in_use <> (version = $2)",
            (name, version),
        )
        # what could not be made with the model that was in use is tried again
        ledger.mark_changed(tx, f"models/{name}", {"": None})
