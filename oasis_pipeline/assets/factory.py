"""From declarations to steps of Dagster: what happens around a body when an asset is made.

Not here: declarations (``declaration``), and what Dagster knows of an asset before it is made (``specs``).
"""

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import dagster as dg
import pyarrow as pa
from threadpoolctl import threadpool_limits

from oasis_pipeline.assets.checks import check_definitions
from oasis_pipeline.assets.common import ONE_RUN, days_of
from oasis_pipeline.assets.declaration import Asset, Due, Run, declared
from oasis_pipeline.assets.resources import DayFiles, StoreResource, WarehouseResource
from oasis_pipeline.assets.specs import DaysOf, spec_of
from oasis_pipeline.operations.days import Days
from oasis_pipeline.operations.materializations import Materialization, marked_days, record_materialization
from oasis_pipeline.operations.registry import ModelFileError
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Warehouse


def step_name(made: Sequence[Asset]) -> str:
    """Name of the step that makes some assets with one body."""
    first = made[0]
    if len(made) > 1 and first.body is not None:
        return first.body.__name__
    return first.key.replace("/", "__")


Told = Callable[[dg.AssetExecutionContext, Warehouse, Asset], None]


def build_assets(
    assets: Sequence[Asset], days: DaysOf, partitioned: Mapping[str, bool], told: Told
) -> list[dg.AssetsDefinition]:
    """Definitions of the assets that have a body; a body of several assets becomes one step that can make any of them.

    `told` is called when an asset without days was made.
    """
    by_body: dict[Any, list[Asset]] = {}
    for asset in assets:
        if asset.body is not None:
            by_body.setdefault(asset.body, []).append(asset)
    return [_build(made, days, partitioned, told) for made in by_body.values()]


def _build(
    made: Sequence[Asset], days: DaysOf, partitioned: Mapping[str, bool], told: Told
) -> dg.AssetsDefinition:
    first, body = made[0], made[0].body
    assert body is not None
    in_body = [
        dg.AssetCheckSpec(
            each.name, asset=asset.asset_key, blocking=each.blocking, description=each.description
        )
        for asset in made
        for each in asset.checks
        if each.by_body
    ]
    config = first.config

    def make(
        context: dg.AssetExecutionContext, warehouse: WarehouseResource, store: StoreResource
    ) -> Iterator[Any]:
        run = Run(
            warehouse,
            store,
            days_of(context) if first.partitioned else None,
            None if config is None else config(**(context.op_execution_context.op_config or {})),
            first.partitions,
        )
        wanted = [asset for asset in made if asset.asset_key in context.selected_asset_keys]
        with ExitStack() as stack:
            # days are computed side by side already: more threads of the linear algebra wait for each other, and burn cores at it
            stack.enter_context(threadpool_limits(1, user_api="blas"))
            for asset in wanted:
                entry = (
                    record_materialization(run.warehouse, asset.key, run.partitions, asset.code_version)
                    if asset.planned
                    else _arriving(run, asset)
                )
                run.made[asset.key] = stack.enter_context(entry)
                run.metadata[asset.key] = {}
            if first.columns is not None:
                yield dg.Output(_day_files(context, first, run))
            else:
                with _relearning(run):
                    said = body(run) or {}
                    # what is true of a range of days is true of none of them
                    if not first.partitioned or len(run.partitions) == 1:
                        run.metadata[wanted[0].key].update(said)
                    elif "note" in said:
                        # what people should know is printed at the end of the pass
                        run.note(run.partitions[-1], {"note": said["note"]})
        if shares := run.engine.report():
            context.log.info(
                f"rows by node: {', '.join(f'{node} {rows:,}' for node, rows in shares.items())}"
            )
        _return_memory()
        if first.columns is not None:
            yield from run.checked.values()
        for asset in wanted:
            if first.columns is None:
                note_days(context, asset, run.made[asset.key].rows, _by_day(asset, run))
                yield dg.MaterializeResult(
                    asset_key=asset.asset_key,
                    metadata=_metadata(asset, run),
                    data_version=dg.DataVersion(str(_version(asset, run))),
                    check_results=list(run.checked.values()),
                )
            yield from _other_versions(context, asset, run.made[asset.key].versions)
        if not first.partitioned:
            told(context, run.warehouse, first)

    options: dict[str, Any] = {
        "partitions_def": days[first.calendar] if first.partitioned else None,
        "backfill_policy": ONE_RUN if first.partitioned else None,
        "pool": first.pool,
        "check_specs": in_body or None,
        "config_schema": None if config is None else config.to_config_schema().as_field(),
    }
    if len(made) > 1:
        specs = [spec_of(asset, days, partitioned, skippable=True) for asset in made]
        several = dg.multi_asset(name=step_name(made), specs=specs, can_subset=True, **options)
        return several(make)
    spec = spec_of(first, days, partitioned)
    one = dg.asset(
        key=spec.key,
        deps=spec.deps,
        group_name=spec.group_name,
        owners=spec.owners,
        kinds=spec.kinds,
        description=spec.description,
        metadata=spec.metadata,
        code_version=spec.code_version,
        freshness_policy=spec.freshness_policy,
        io_manager_key="parquet_io" if first.columns is not None else None,
        **options,
    )
    definition: dg.AssetsDefinition = one(make)
    return definition


def _version(asset: Asset, run: Run) -> int:
    if asset.partitioned:
        return main_version(run.made[asset.key].versions)
    # cut-offs of a model stand in the ledger as partitions
    states = ledger.states(run.warehouse, [asset.key]).values()
    return max((state.data_version or 0 for state in states), default=0)


@contextmanager
def _arriving(run: Run, asset: Asset) -> Iterator[Materialization]:
    """Stand in for `record_materialization` where rows are loaded again that arrived: intake marks what changes, nothing is made."""
    done = Materialization()
    yield done
    states = ledger.states(run.warehouse, [asset.key])
    done.versions = {
        partition: state.data_version or state.changed_tick
        for (_, partition), state in states.items()
        if partition in run.partitions
    }


@contextmanager
def _relearning(run: Run) -> Iterator[None]:
    """See to it that a model whose file is damaged is learned again, where its cut-offs say from what."""
    try:
        yield
    except ModelFileError as error:
        model = next((each for each in declared() if each.key == f"models/{error.name}"), None)
        if model is not None and model.due is not Due.CHANGE:
            with run.warehouse.transaction() as tx:
                ledger.forget_making(tx, model.key)
        raise


def _metadata(asset: Asset, run: Run) -> dict[str, Any]:
    shown = run.metadata[asset.key]
    rows = run.made[asset.key].rows
    if rows and not asset.partitioned:
        shown.setdefault("dagster/row_count", sum(rows.values()))
    return shown if not asset.partitioned else {}


DAYS_WITH_METADATA = 400
"""Of a longer run only the newest day's event has metadata of its own: Dagster looks through the whole range for each."""


def note_days(
    context: dg.AssetExecutionContext,
    asset: Asset,
    rows: Mapping[str, int],
    by_day: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Have the event of each day carry its own metadata and number of rows.

    Parameters
    ----------
    context : AssetExecutionContext
    asset : Asset
        One without days is left as it is; where rows arrive by themselves they are not counted.
    rows : mapping of str to int
        Day -> rows; days of the run that are absent have none.
    by_day : mapping of str to mapping, optional
        Day -> metadata.
    """
    if not asset.partitioned:
        return
    days = context.partition_keys
    for day in days if len(days) <= DAYS_WITH_METADATA else days[-1:]:
        counted = {"dagster/partition_row_count": rows.get(day, 0)} if asset.planned else {}
        if shown := {**(by_day or {}).get(day, {}), **counted}:
            context.add_asset_metadata(shown, asset.asset_key, day)


def _by_day(asset: Asset, run: Run) -> dict[str, dict[str, Any]]:
    """Metadata of each day, pictures first; pictures are drawn of the newest day alone."""
    if not asset.partitioned:
        return {}
    newest = run.days.last
    drawn = {
        name: dg.MetadataValue.md(draw(run.warehouse, Days(newest, newest)))
        for name, draw in asset.pictures.items()
    }
    own, shared = run.by_day.get(asset.key, {}), run.metadata[asset.key]
    return {
        day: {**(drawn if day == run.partitions[-1] else {}), **own.get(day, {}), **shared}
        for day in run.partitions
    }


def _day_files(context: dg.AssetExecutionContext, asset: Asset, run: Run) -> DayFiles:
    """What the IO manager writes: rows of each day, stamped with the code version."""
    (made,) = run.made.values()
    body = asset.body
    assert body is not None

    def tables() -> Iterator[pa.Table]:
        yield from marked_days(run.warehouse, run.store, asset.key, asset.code_version, body(run), made)
        note_days(context, asset, made.rows, _by_day(asset, run))
        # the event of the materialization is made before this body goes on
        versions = made.versions_to_come(run.partitions)
        context.set_data_version(asset.asset_key, dg.DataVersion(str(main_version(versions))))

    return DayFiles(tables(), made.note_failure)


def main_version(versions: Mapping[str, int]) -> int:
    """Data version of most partitions of a run, of equals the newest: one materialization carries one version for all its partitions."""
    counts: dict[int, int] = {}
    for version in versions.values():
        counts[version] = counts.get(version, 0) + 1
    return max(counts, key=lambda version: (counts[version], version), default=0)


def data_version_tags(version: int) -> dict[str, str]:
    """Tags of an event that tell Dagster a data version."""
    return {"dagster/data_version": str(version), "dagster/data_version_is_user_provided": "true"}


def _return_memory() -> None:
    """Give freed memory back to the system: allocators keep it, and the next asset's would come on top."""
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


_PROVENANCE = ("dagster/code_version", "dagster/input_", "dagster/data_version")


def _other_versions(
    context: dg.AssetExecutionContext, asset: Asset, versions: Mapping[str, int]
) -> Iterator[dg.AssetMaterialization]:
    """Events for the partitions of a run whose data version is another one than that of most: their rows came out as they were."""
    main = main_version(versions)
    others = {partition: version for partition, version in versions.items() if version != main and partition}
    if not others:
        return
    event = context.instance.get_latest_materialization_event(asset.asset_key)
    found = event.asset_materialization if event is not None else None
    tags = {
        name: value
        for name, value in ((found.tags if found else None) or {}).items()
        if name.startswith(_PROVENANCE)
    }
    for partition, version in sorted(others.items()):
        yield dg.AssetMaterialization(
            asset.asset_key,
            partition=partition,
            description="rows unchanged; see the metadata of the previous materialization",
            tags={**tags, **data_version_tags(version)},
        )


def build_asset_checks(assets: Sequence[Asset]) -> list[dg.AssetChecksDefinition]:
    """Checks of all assets that are steps of their own."""
    return [
        check
        for asset in assets
        for check in check_definitions(asset.key, asset.table, asset.checks, asset.partitioned)
    ]
