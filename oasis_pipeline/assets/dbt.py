"""The dbt project ``dbt_sql/`` as assets of the graph, its tests as asset checks.

Here: where the project and its manifest lie, keys and partitions of its models, the call of dbt. Not here: SQL.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject, dbt_assets

from oasis_pipeline.assets.common import ONE_RUN, OWNER, WAREHOUSE_POOL, days_of, table_metadata
from oasis_pipeline.assets.factory import dependencies, freshness_of, note_rows_by_day
from oasis_pipeline.assets.graph import BY_KEY, PARTITIONED
from oasis_pipeline.assets.resources import WarehouseResource
from oasis_pipeline.operations.dbt_project import mark_views, project_digest, project_folder
from oasis_pipeline.operations.materializations import record_materialization
from oasis_pipeline.schema import TABLES, table
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.address import Address

ROWS = "clean/xspoc"
DAY_MODELS = f"path:models/{ROWS}.sql"
"""dbt selection of the models that hold days."""

_DB = "OASIS_DBT_DB"
_PARSED_BEFORE = "partial_parse.msgpack"


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
    # dbt writes the database's name into the manifest
    target = settings.home / "dbt" / f"{project_digest()}-{settings.db}"
    if not (target / "manifest.json").exists():
        # several processes may load the graph at once: each makes its own, one of them wins
        fresh = target.with_name(f".{target.name}.{os.getpid()}")
        _manifests[target] = _invoke(folder, fresh, ["parse"], {_DB: settings.db})
        try:
            fresh.rename(target)
        except OSError:
            shutil.rmtree(fresh)
    return DbtProject(project_dir=folder, profiles_dir=folder, target_path=target)


def _invoke(
    folder: Path, target: Path, arguments: list[str], environment: Mapping[str, str], manifest: Any = None
) -> Any:
    """Call dbt inside this process: a child process would spend seconds on imports and on parsing all of it again.

    Returns
    -------
    Any
        What dbt found, as its own objects.

    Raises
    ------
    DbtError
        With the reasons of everything that failed.
    """
    from dbt.cli.main import dbtRunner

    where = ["--project-dir", str(folder), "--profiles-dir", str(folder), "--target-path", str(target)]
    quiet = ["--log-path", str(target), "--quiet", "--log-level", "none"]
    with _environment({**environment, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}):
        answer = dbtRunner(manifest=manifest).invoke([*arguments, *where, *quiet])
    if answer.exception is not None:
        raise DbtError(" ".join(str(answer.exception).split()))
    return answer.result


class DbtError(RuntimeError):
    """A model of ``dbt_sql`` could not be built; the message is dbt's."""


_manifests: dict[Path, Any] = {}
"""Parsed projects of this process by target folder; each belongs to one database."""


@contextmanager
def _own_target(shared: Path) -> Iterator[Path]:
    """A target folder of one run: dbt writes its manifest anew, and who loads the graph meanwhile would read half of it."""
    with tempfile.TemporaryDirectory(prefix="oasis-dbt-") as folder:
        own = Path(folder)
        with suppress(OSError):
            # what dbt parsed before, so that it does not parse it again
            shutil.copy(shared / _PARSED_BEFORE, own)
        yield own


def _parsed(folder: Path, target: Path, own: Path, database: str) -> Any:
    """Parse the project of a target once a process, writing to a folder of this run."""
    if target not in _manifests:
        _manifests[target] = _invoke(folder, own, ["parse"], {_DB: database})
    return _manifests[target]


def dbt_environment(address: Address) -> dict[str, str]:
    """Variables that ``profiles.yml`` reads; the password under a name that dbt scrubs from its logs."""
    return {
        "OASIS_DBT_HOST": address.host,
        "OASIS_DBT_PORT": str(address.port),
        "OASIS_DBT_USER": address.user,
        "DBT_ENV_SECRET_OASIS_PASS": address.password or "",
        _DB: address.db,
    }


class _environment:  # noqa: N801 - used like a function
    """Environment variables for the length of a block, where ``profiles.yml`` finds them."""

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
        super().__init__(
            settings=DagsterDbtTranslatorSettings(
                enable_asset_checks=True, enable_source_tests_as_checks=False
            )
        )

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Give ``[schema, name]``."""
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """Give the group that the model's own description names, or the schema."""
        return super().get_group_name(dbt_resource_props) or str(dbt_resource_props["schema"])

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """Give the one team that keeps the warehouse."""
        return [OWNER]

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetSpec:
        """Give what the declaration says where the model is declared: inputs with their reach, code version, columns."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        asset = BY_KEY.get("/".join(spec.key.path))
        if asset is None:
            return spec
        return spec.replace_attributes(
            deps=dependencies(asset, PARTITIONED),
            code_version=asset.code_version,
            freshness_policy=freshness_of(asset),
        )

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        """Give columns of the schema source where the model fills one of its tables."""
        key = (dbt_resource_props["schema"], dbt_resource_props["name"])
        known = super().get_metadata(dbt_resource_props)
        if key in {(t.schema, t.name) for t in TABLES}:
            return {**known, **table_metadata(table(*key))}
        return known


def build_dbt_assets(
    project: DbtProject, settings: Settings, days: dg.PartitionsDefinition
) -> list[dg.AssetsDefinition]:
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

    def build(warehouse: WarehouseResource, arguments: list[str]) -> Any:
        folder, target = project_folder(), Path(project.target_path)
        environment = dbt_environment(warehouse.open().address)
        with _own_target(target) as own:
            manifest = _parsed(folder, target, own, environment[_DB])
            return _invoke(folder, own, ["build", *arguments], environment, manifest)

    @dbt_assets(
        manifest=project.manifest_path,
        exclude=DAY_MODELS,
        project=project,
        name="dbt_views",
        dagster_dbt_translator=translator,
        pool=WAREHOUSE_POOL,
    )
    def views(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> Iterator[Any]:
        chosen = sorted("/".join(key.path) for key in context.selected_asset_keys)
        results = build(warehouse, ["--select", *(f"path:models/{name}.sql" for name in chosen)])
        yield from dbt_events(context, translator, results)
        mark_views(warehouse.open(), chosen)

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
        database = warehouse.open()
        with record_materialization(database, ROWS, span.keys, BY_KEY[ROWS].code_version) as done:
            with database.transaction() as tx:
                # dbt writes in a transaction of its own; a mark too many is harmless, one too few is not
                ledger.mark_changed(tx, ROWS, dict.fromkeys(span.keys))
            variables = f"{{first_day: '{span.first}', last_day: '{span.last}'}}"
            results = build(warehouse, ["--select", DAY_MODELS, "--vars", variables])
            counts = database.query(
                'select "Date"::date::text as day, count(*) as rows from clean.xspoc '
                'where "Date" >= $1 and "Date" < $2 group by 1',
                (span.begin, span.end),
            ).to_pylist()
            done.rows.update({row["day"]: row["rows"] for row in counts})
            note_rows_by_day(context, BY_KEY[ROWS], done.rows)
            yield from dbt_events(context, translator, results)

    return [views, day_tables]


def dbt_events(
    context: dg.AssetExecutionContext, translator: Translator, results: Any
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Turn what dbt did into what Dagster records: models to materializations, tests to check results.

    Parameters
    ----------
    context : AssetExecutionContext
        Tells which checks belong to the run.
    translator : Translator
        Keys of the models.
    results : dbt's run results
        One entry a model or test.

    Yields
    ------
    MaterializeResult or AssetCheckResult

    Raises
    ------
    DbtError
        If a model could not be built.
    """
    checks = {key.name: key for key in context.selected_asset_check_keys}
    failed = []
    for result in results:
        node = result.node
        status = str(result.status)
        if node.resource_type == "model":
            if status == "success":
                yield dg.MaterializeResult(
                    asset_key=translator.get_asset_key({"schema": node.schema, "name": node.name}),
                    metadata={"seconds": round(result.execution_time, 3), "unique_id": node.unique_id},
                )
            else:
                failed.append(f"{node.schema}.{node.name}: {' '.join(str(result.message or status).split())}")
        elif node.name in checks:
            key = checks[node.name]
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=status == "pass",
                severity=dg.AssetCheckSeverity.WARN if status == "warn" else dg.AssetCheckSeverity.ERROR,
                description=None if status == "pass" else result.message,
                metadata={"rows_that_break_it": int(result.failures or 0), "status": status},
            )
    if failed:
        raise DbtError("; ".join(failed))
