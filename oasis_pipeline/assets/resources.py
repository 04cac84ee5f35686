"""Dagster resources over the warehouse and the object store, and the IO manager that keeps assets as Parquet files of days.

Here: what a step or a sensor asks for by name (`build_resources`). Not here: connections themselves; nothing is opened before
a step asks, and no resource holds a secret: passwords come from the environment or the ``.env`` file of the home folder, S3 credentials from
the standard AWS chain.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
from pydantic import Field, SecretStr

from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.day_files import day_path, read_days, table_path, write_days
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.installation import open_warehouse
from oasis_pipeline.storage.objects import ObjectStore, S3Store, open_store
from oasis_pipeline.storage.postgres import Warehouse

__all__ = ["DayFiles", "ParquetIOManager", "StoreResource", "WarehouseResource", "build_resources"]

_SECRET_FIELDS = {
    name for name, field in Settings.model_fields.items() if field.annotation == SecretStr | None
}


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
        if opened.address.is_socket and (settings := self.settings()).embedded:
            address = embedded.running(settings.postgres_data)
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


@dataclass(frozen=True)
class DayFiles:
    """Rows of some days on their way to the IO manager, and whom to tell if they can't be computed or written.

    An asset hands its rows on before they are computed, so that a year needs the memory of a day; what goes wrong then never comes back
    to its body.
    """

    tables: Iterator[pa.Table]
    failed: Callable[[Exception], None]

    def __iter__(self) -> Iterator[pa.Table]:
        return self.tables


class ParquetIOManager(dg.ConfigurableIOManager):
    """Keeps what an asset returns as Parquet; made for `pyarrow.Table`, and for an iterator of them over a range of days.

    The definition metadata of an asset may name its ``partition_column`` (default ``Date``) and the ``group_column`` by which its days are
    kept in several files; the metadata of an input may name the ``columns`` to read.

    Attributes
    ----------
    store : StoreResource
        The object store.
    """

    store: StoreResource

    def handle_output(self, context: dg.OutputContext, obj: pa.Table | Iterable[pa.Table]) -> None:
        """Write what an asset returned; of `DayFiles`, tell what goes wrong."""
        try:
            self._write(context, obj)
        except Exception as error:
            if isinstance(obj, DayFiles):
                obj.failed(error)
            raise

    def _write(self, context: dg.OutputContext, obj: pa.Table | Iterable[pa.Table]) -> None:
        store, asset = self.store.open(), "/".join(context.asset_key.path)
        tables = _tables(asset, obj)
        if not context.has_asset_partitions:
            rows = pa.concat_tables(list(tables), promote_options="default")
            size = store.write_table(table_path(asset), rows)
            context.add_output_metadata(
                {**_facts(rows.num_rows, size), "path": store.where(table_path(asset))}
            )
            return
        days = [_day(asset, key) for key in context.asset_partition_keys]
        column = str(_plain(context.definition_metadata, "partition_column") or "Date")
        group = _plain(context.definition_metadata, "group_column")
        written = write_days(store, asset, tables, days, column, group)
        where = day_path(asset, days[0]) if len(days) == 1 and group is None else asset
        total, size = (sum(pair[i] for pair in written.values()) for i in (0, 1))
        # of a range of days they are of no day
        facts = _facts(total, size) if len(days) == 1 else {}
        context.add_output_metadata({**facts, "path": store.where(where)})

    def load_input(self, context: dg.InputContext) -> pa.Table:
        """Read an upstream asset: one day, a range, or all of it."""
        store, asset = self.store.open(), "/".join(context.asset_key.path)
        columns = _plain(context.definition_metadata, "columns")
        if not context.has_asset_partitions:
            return store.read_table(table_path(asset), columns)
        days = [_day(asset, key) for key in context.asset_partition_keys]
        made = context.upstream_output.definition_metadata if context.upstream_output else {}
        version = _plain(made, "code_version")
        # an asset of a graph that keeps no versions is read as it is
        return read_days(store, asset, days, columns, version=None if version is None else str(version))


def _tables(asset: str, given: object) -> Iterator[pa.Table]:
    if isinstance(given, pa.Table):
        yield given
        return
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes, Mapping)):
        raise StorageError(f"{asset} returned {type(given).__name__}; a pyarrow.Table is required")
    for table in given:
        if not isinstance(table, pa.Table):
            raise StorageError(f"{asset} gave {type(table).__name__}; a pyarrow.Table is required")
        yield table


def _day(asset: str, key: str) -> date:
    try:
        return date.fromisoformat(key)
    except ValueError:
        raise StorageError(f"{asset}: partition {key!r} is not a valid day (YYYY-MM-DD)") from None


def _facts(rows: int, size: int) -> dict[str, Any]:
    return {"rows": rows, "bytes": size}


def _plain(metadata: Mapping[str, Any] | None, name: str) -> Any:
    value = (metadata or {}).get(name)
    return value.value if isinstance(value, dg.MetadataValue) else value


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
