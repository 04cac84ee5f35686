"""The dbt project ``dbt_sql/`` as assets of the graph, its tests as asset checks.

Here: where the project and its manifest lie, keys and partitions of its models, the call of dbt. Not here: SQL.

The manifest is read as the JSON that it is, and dbt is imported when it runs: every process that loads the graph would wait three seconds
for it and for ``dagster-dbt``.
"""

import hashlib
import json
import os
import shutil
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

from oasis_pipeline.assets.common import ONE_RUN, OWNER, WAREHOUSE_POOL, days_of, table_metadata
from oasis_pipeline.assets.factory import note_days
from oasis_pipeline.assets.graph import BY_KEY, PARTITIONED
from oasis_pipeline.assets.resources import WarehouseResource
from oasis_pipeline.assets.specs import dependencies, freshness_of
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


def prepare(settings: Settings) -> Path:
    """Make dbt's manifest, unless one of the very same project is there.

    Parameters
    ----------
    settings : Settings
        The home folder holds the manifest, so that an installed package stays unwritten.

    Returns
    -------
    Path
        Folder of a manifest of this project. Parsing takes seconds, so a manifest is kept under the hash of the
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
    return target


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


@cache
def _models(target: Path) -> tuple[Mapping[str, Any], ...]:
    """Models of a manifest, each with its tests under ``tests``."""
    manifest = json.loads((target / "manifest.json").read_bytes())
    nodes = manifest["nodes"] | manifest["sources"]
    tests = [node for node in nodes.values() if node["resource_type"] == "test"]
    return tuple(
        {
            **node,
            "inputs": [_key(nodes[each]) for each in node["depends_on"]["nodes"]],
            "tests": [test for test in tests if test["attached_node"] == node["unique_id"]],
        }
        for node in nodes.values()
        if node["resource_type"] == "model"
    )


def _key(node: Mapping[str, Any]) -> dg.AssetKey:
    return dg.AssetKey([node["schema"], node["name"]])


def _spec(model: Mapping[str, Any], days: dg.PartitionsDefinition) -> dg.AssetSpec:
    """Specification of a model: what the declaration says where it is declared, else what dbt knows."""
    key = _key(model)
    asset = BY_KEY.get("/".join(key.path))
    known = {(each.schema, each.name) for each in TABLES}
    columns = [
        dg.TableColumn(column["name"], column["data_type"] or "?", column["description"] or None)
        for column in model["columns"].values()
    ]
    code = model["raw_code"]
    return dg.AssetSpec(
        key,
        group_name=model["meta"].get("dagster", {}).get("group") or model["schema"],
        deps=dependencies(asset, PARTITIONED) if asset else model["inputs"],
        owners=[OWNER],
        kinds={"dbt", "postgres"},
        description=f"{model['description']}\n\n#### Raw SQL:\n```sql\n{textwrap.indent(code, '    ')}\n```",
        metadata={
            "materialization": model["config"]["materialized"],
            "dagster/table_name": f"{model['schema']}.{model['name']}",
            "dagster/column_schema": dg.TableSchema(columns=columns),
            **(table_metadata(table(*key.path)) if tuple(key.path) in known else {}),
        },
        code_version=asset.code_version if asset else hashlib.sha1(code.encode()).hexdigest(),  # noqa: S324 - no secret
        freshness_policy=freshness_of(asset) if asset else None,
        partitions_def=days if asset else None,
        skippable=True,
    )


def _checks(model: Mapping[str, Any]) -> list[dg.AssetCheckSpec]:
    """Specifications of a model's tests."""
    return [
        dg.AssetCheckSpec(
            test["name"],
            asset=_key(model),
            blocking=test["config"]["severity"].lower() == "error",
            description=test["description"] or None,
        )
        for test in model["tests"]
    ]


def build_dbt_assets(target: Path, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Assets of all models: the views, and the tables that hold days.

    Parameters
    ----------
    target : Path
        Folder of the manifest, see `prepare`.
    days : PartitionsDefinition
        Day partitions.

    Returns
    -------
    list of AssetsDefinition
    """
    held = [model for model in _models(target) if "/".join(_key(model).path) == ROWS]
    viewed = [model for model in _models(target) if model not in held]

    def build(warehouse: WarehouseResource, arguments: list[str]) -> Any:
        folder = project_folder()
        environment = dbt_environment(warehouse.open().address)
        with _own_target(target) as own:
            manifest = _parsed(folder, target, own, environment[_DB])
            return _invoke(folder, own, ["build", *arguments], environment, manifest)

    @dg.multi_asset(
        name="dbt_views",
        specs=[_spec(model, days) for model in viewed],
        check_specs=[check for model in viewed for check in _checks(model)],
        can_subset=True,
        pool=WAREHOUSE_POOL,
    )
    def views(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> Iterator[Any]:
        chosen = sorted("/".join(key.path) for key in context.selected_asset_keys)
        results = build(warehouse, ["--select", *(f"path:models/{name}.sql" for name in chosen)])
        yield from dbt_events(context, results)
        mark_views(warehouse.open(), chosen)

    @dg.multi_asset(
        name="dbt_days",
        specs=[_spec(model, days) for model in held],
        check_specs=[check for model in held for check in _checks(model)],
        can_subset=True,
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
            note_days(context, BY_KEY[ROWS], done.rows)
            yield from dbt_events(context, results)

    return [views, day_tables]


def dbt_events(
    context: dg.AssetExecutionContext, results: Any
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Turn what dbt did into what Dagster records: models to materializations, tests to check results.

    Parameters
    ----------
    context : AssetExecutionContext
        Tells which checks belong to the run.
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
                    asset_key=dg.AssetKey([node.schema, node.name]),
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
