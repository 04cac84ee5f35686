"""The dbt project ``dbt_sql/`` as assets of the graph, its tests as asset checks.

Here: where the project and its manifest lie, keys and partitions of its models, the call of dbt. Not here: SQL.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, DbtProject, dbt_assets

from oasis_pipeline.assets.common import ONE_RUN, OWNER, WAREHOUSE_POOL, days_of, making, table_metadata
from oasis_pipeline.assets.dbt_project import project_digest, project_folder
from oasis_pipeline.schema import TABLES, table
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.resources import WarehouseResource

DAY_MODELS = "path:models/clean/xspoc.sql"
"""dbt selection of the models that hold days."""


def prepare(settings: Settings) -> DbtProject:
    """Make dbt's manifest, unless one of the very same project is there.

    Parameters
    ----------
    settings : Settings
        The home folder holds the manifest, so that an installed package stays unwritten.

    Returns
    -------
    DbtProject
        With a manifest of this project. Parsing takes seconds, so a manifest is kept under the hash of the
        project's files.
    """
    folder = project_folder()
    target = settings.home / "dbt" / "target" / project_digest()
    project = DbtProject(project_dir=folder, profiles_dir=folder, target_path=target)
    if not project.manifest_path.exists():
        shutil.rmtree(target.parent, ignore_errors=True)
        target.mkdir(parents=True, exist_ok=True)
        with _environment({"DBT_LOG_PATH": str(target / "logs")}):
            _dbt(project).cli(["parse", "--quiet"], target_path=target, raise_on_error=True).wait()
    return project


def _dbt(project: DbtProject) -> DbtCliResource:
    """Call dbt of this very environment, whether or not it is activated."""
    beside = Path(sys.executable).parent / "dbt"
    return DbtCliResource(project_dir=project, dbt_executable=str(beside) if beside.exists() else "dbt")


def dbt_environment(address: Address, settings: Settings) -> dict[str, str]:
    """Variables that ``profiles.yml`` reads; the password under a name that dbt scrubs from its logs."""
    return {
        "OASIS_DBT_HOST": address.host,
        "OASIS_DBT_PORT": str(address.port),
        "OASIS_DBT_USER": address.user,
        "DBT_ENV_SECRET_OASIS_PASS": address.password or "",
        "OASIS_DBT_DB": address.db,
        "DBT_LOG_PATH": str(settings.home / "dbt" / "logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


class _environment:  # noqa: N801 - used like a function
    """Environment variables for the length of a block; dbt runs as a child process and reads them there."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.before: dict[str, str | None] = {}

    def __enter__(self) -> None:
        self.before = {name: os.environ.get(name) for name in self.values}
        os.environ.update(self.values)

    def __exit__(self, *_: object) -> None:
        for name, value in self.before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Translator(DagsterDbtTranslator):
    """Keys ``[schema, table]``, groups by schema, descriptions and columns from the one schema source."""

    def __init__(self) -> None:
        super().__init__(settings=DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_source_tests_as_checks=False))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Give ``[schema, name]``."""
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Give the schema."""
        return str(dbt_resource_props["schema"])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """Give the one team that keeps the warehouse."""
        return [OWNER]

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        """Give columns of the schema source where the model fills one of its tables."""
        key = (dbt_resource_props["schema"], dbt_resource_props["name"])
        known = super().get_metadata(dbt_resource_props)
        if key in {(t.schema, t.name) for t in TABLES}:
            return {**known, **table_metadata(table(*key))}
        return known


def build_dbt_assets(project: DbtProject, settings: Settings, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Assets of all models: the views, and the tables that hold days.

    Parameters
    ----------
    project : DbtProject
        With its manifest.
    settings : Settings
        For the child process.
    days : PartitionsDefinition
        Day partitions.

    Returns
    -------
    list of AssetsDefinition
    """
    translator = Translator()

    def call(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, arguments: list[str]
    ) -> Iterator[Any]:
        dbt = _dbt(project)
        with _environment(dbt_environment(warehouse.open().address, settings)):
            # one folder for all calls keeps dbt's partial parse; runs are serialised by the warehouse pool
            yield from dbt.cli(["build", "--quiet", *arguments], context=context, target_path=project.target_path).stream()

    @dbt_assets(
        manifest=project.manifest_path,
        exclude=DAY_MODELS,
        project=project,
        name="dbt_views",
        dagster_dbt_translator=translator,
        pool=WAREHOUSE_POOL,
    )
    def views(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> Iterator[Any]:
        yield from call(context, warehouse, [])

    @dbt_assets(
        manifest=project.manifest_path,
        select=DAY_MODELS,
        project=project,
        name="dbt_days",
        dagster_dbt_translator=translator,
        partitions_def=days,
        backfill_policy=ONE_RUN,
        pool=WAREHOUSE_POOL,
    )
    def day_tables(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> Iterator[Any]:
        span = days_of(context)
        house = warehouse.open()
        with making(house, "clean/xspoc", span.keys) as done:
            with house.transaction() as tx:
                # dbt writes in a transaction of its own; a mark too many is harmless, one too few is not
                ledger.mark_changed(tx, "clean/xspoc", dict.fromkeys(span.keys))
            variables = f"{{first_day: '{span.first}', last_day: '{span.last}'}}"
            yield from call(context, warehouse, ["--vars", variables])
            counts = house.query(
                'select "Date"::date::text as day, count(*) as rows from clean.xspoc '
                'where "Date" >= $1 and "Date" < $2 group by 1',
                (span.begin, span.end),
            ).to_pylist()
            done.rows.update({row["day"]: row["rows"] for row in counts})

    return [views, day_tables]
