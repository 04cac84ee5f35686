"""Dagster resources over the warehouse and the object store.

Here: what a step or a sensor asks for by name (`build_resources`). Not here: connections themselves; nothing is opened before
a step asks, and no resource holds a secret: passwords come from the environment or the ``.env`` file of the home folder, S3 credentials from
the standard AWS chain.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.objects import ObjectStore, S3Store, open_store
from oasis_pipeline.storage.postgres import Warehouse, open_warehouse

__all__ = ["StoreResource", "WarehouseResource", "build_resources"]

_SECRET_FIELDS = {"password", "reader_password", "source_url", "remote_drop", "secret_key"}


class _Installation(dg.ConfigurableResource[Any]):
    """An installation, by its home folder and what was set about it; secrets are read when needed.

    Attributes
    ----------
    home : str
        Home folder.
    given : dict
        Other fields of `Settings`, none of them secret; stronger than the environment, as they were read from it.
    """

    home: str
    given: dict[str, Any] = Field(default_factory=dict)

    def settings(self) -> Settings:
        """Read the configuration."""
        return load_settings(self.home, **self.given)


class WarehouseResource(_Installation):
    """The warehouse."""

    def open(self) -> Warehouse:
        """Open the warehouse: once a process, then found again; an embedded server that has been stopped is started.

        Returns
        -------
        Warehouse

        Raises
        ------
        StorageError
            As `open_warehouse`.
        """
        given = json.dumps(self.given, sort_keys=True)
        opened = _opened(self.home, given, os.getpid())
        if opened.address.is_socket and self.settings().embedded:
            address = embedded.running(self.settings().postgres_data)
            if address is None or (address.host, address.port) != (opened.address.host, opened.address.port):
                _opened.cache_clear()
                opened = _opened(self.home, given, os.getpid())
        return opened


class StoreResource(_Installation):
    """The object store."""

    def open(self) -> ObjectStore:
        """Open the object store; in S3 by the client of `dagster_aws.s3.S3Resource`."""
        settings = self.settings()
        if settings.s3_bucket is None:
            return open_store(settings)
        return S3Store(
            settings.s3_bucket, settings.s3_prefix, settings.s3_endpoint, _s3(settings).get_client()
        )


def build_resources(settings: Settings) -> dict[str, Any]:
    """Resources of an installation.

    Parameters
    ----------
    settings : Settings
        The installation.

    Returns
    -------
    dict of str to resource
        ``warehouse``, ``store``, ``parquet_io``, and ``s3`` where a bucket is configured.
    """
    from oasis_pipeline.assets.io_manager import ParquetIOManager

    given = settings.model_dump(mode="json", exclude_none=True, exclude={"home", *_SECRET_FIELDS})
    store = StoreResource(home=str(settings.home), given=given)
    resources: dict[str, Any] = {
        "warehouse": WarehouseResource(home=str(settings.home), given=given),
        "store": store,
        "parquet_io": ParquetIOManager(store=store),
    }
    if settings.s3_bucket is not None:
        resources["s3"] = _s3(settings)
    return resources


def _s3(settings: Settings) -> Any:
    # 0.8 s of imports that an installation without S3 need not wait for
    from dagster_aws.s3 import S3Resource

    return S3Resource(endpoint_url=settings.s3_endpoint)


@lru_cache(maxsize=4)
def _opened(home: str, given: str, process: int) -> Warehouse:
    return open_warehouse(load_settings(Path(home), **json.loads(given)))
