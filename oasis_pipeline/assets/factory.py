"""What an asset is made from, declared once; everything else that knows of assets is made from these declarations.

Here: `day_asset`, `whole_asset` and `source`, and the Dagster definitions that come from them. Not here: any particular asset.

A declaration holds an asset's inputs with their reach, its code version, checks, columns, owner and body. From it come Dagster's
dependencies with partition mappings, what makes a partition stale (``automation.staleness``), the lists of the jobs, the checks, and the
data versions that Dagster shows.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from functools import cached_property
from typing import Any

import dagster as dg
import pyarrow as pa

from oasis_pipeline.assets.checks import Check, check_definitions
from oasis_pipeline.assets.common import MEMORY_POOL, ONE_RUN, OWNER, SCIENCE_OWNER, days_of, table_metadata
from oasis_pipeline.assets.resources import DayFiles, StoreResource, WarehouseResource
from oasis_pipeline.engine import Engine, open_engine
from oasis_pipeline.operations.days import Days
from oasis_pipeline.operations.materializations import Materialization, marked_days, record_materialization
from oasis_pipeline.operations.registry import ModelFileError
from oasis_pipeline.schema import Table
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import first_days, ledger
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

Picture = Callable[[Warehouse, Days], str]


class Reach(Enum):
    """Which changes of an input make a partition stale."""

    DAY = "the same day"
    BACK = "the same day and the ones before it"
    WHOLE = "the asset as a whole"
    ALL_DAYS = "every day"
    SINCE = "whatever holds from a day on, on that day and all later ones"
    KEPT = "none: what was made keeps what it was made with"


@dataclass(frozen=True)
class Input:
    """One thing that an asset is made from.

    Attributes
    ----------
    asset : str
        ``schema/name``.
    reach : Reach
    days : int
        Days that count, the own one included; of `Reach.BACK`.
    for_all_time : bool
        Whether a change without a day counts for every day; of `Reach.SINCE`.
    """

    asset: str
    reach: Reach
    days: int = 1
    for_all_time: bool = True


def same_day(*assets: str) -> tuple[Input, ...]:
    """Inputs of which an asset's day needs the same day."""
    return tuple(Input(asset, Reach.DAY) for asset in assets)


def days_back(days: int, *assets: str) -> tuple[Input, ...]:
    """Inputs of which an asset's day needs that day and the ones before it, `days` in all."""
    return tuple(Input(asset, Reach.BACK, days) for asset in assets)


def whole(*assets: str) -> tuple[Input, ...]:
    """Inputs without days, each change of which counts."""
    return tuple(Input(asset, Reach.WHOLE) for asset in assets)


def all_days(*assets: str) -> tuple[Input, ...]:
    """Inputs of which an asset without days needs every day."""
    return tuple(Input(asset, Reach.ALL_DAYS) for asset in assets)


def histories(*tables: str) -> tuple[Input, ...]:
    """Equipment in force: another state makes the days stale from which on it holds. Names of tables of ``xspoc``."""
    return tuple(Input(f"xspoc/{name}_history", Reach.SINCE) for name in tables)


def from_its_day(*assets: str) -> tuple[Input, ...]:
    """Inputs without days of which a change is known with the day from which on it counts."""
    return tuple(Input(asset, Reach.SINCE, for_all_time=False) for asset in assets)


def kept(*assets: str) -> tuple[Input, ...]:
    """Inputs that are read, but of which a change leaves what was made as it is."""
    return tuple(Input(asset, Reach.KEPT) for asset in assets)


class Due(Enum):
    """When an asset without days is due, beside a change of its inputs."""

    CHANGE = "when an input has changed"
    MONDAYS = "when a Monday on or before a day of its inputs has not been learned at"
    CUTOFFS = "when a cut-off has not been learned at, or a day before the newest one has changed"


class Calendar(Enum):
    """Whose days an asset has: a day exists when one of these assets has rows on it."""

    CARDS = first_days.SOURCES[first_days.CARDS]
    READINGS = first_days.SOURCES[first_days.READINGS]


@dataclass(frozen=True)
class Asset:
    """The declaration of an asset.

    Attributes
    ----------
    key : str
        ``schema/name``.
    inputs : tuple of Input
    code_version : str
        Another one makes everything stale that an earlier one made. Raise it when values change.
    description : str
    partitioned : bool
        By day, or made as a whole.
    body : callable or None
        Takes a `Run`; None for what others make (intake, dbt).
    table : Table or None
        Of PostgreSQL, with its columns.
    columns : callable or None
        Gives the Arrow schema of its Parquet files; the body then yields partition keys with rows.
    partition_column, group_column : str
        Of the Parquet files: column whose day decides, and column by which a day is kept in several files.
    checks : tuple of Check
        Those of the columns of a table come by themselves.
    pictures : mapping of str to callable
        Name in the metadata -> function of warehouse and days that gives Markdown.
    config : type of dg.Config or None
        What a run may be told.
    calendar : Calendar
    due : Due
    partitions : callable or None
        What the ledger keeps as partitions of an asset without days, of those that its next materialization makes.
    waits_for_labels : int
        New labels that the sensor waits for before it makes the asset; a pass of ``oasis run`` and the weekly schedule don't wait.
    serves_meanwhile : bool
        What reads it goes with the one there is while it is stale: it is made after all days and all else.
    together : bool
        Made in the same run as its inputs, without waiting whether these come out otherwise than before: for what costs less to make than
        a run.
    group : str
        Group in Dagster; the schema if empty.
    owner, kinds, pool : str
    metadata : mapping
        Further metadata of the definition.
    """

    key: str
    inputs: tuple[Input, ...]
    code_version: str
    description: str
    partitioned: bool
    body: Callable[["Run"], Any] | None = None
    table: Table | None = None
    columns: Callable[[], pa.Schema] | None = None
    partition_column: str = "Date"
    group_column: str | None = None
    checks: tuple[Check, ...] = ()
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    config: type[dg.Config] | None = None
    calendar: Calendar = Calendar.CARDS
    due: Due = Due.CHANGE
    partitions: Callable[[Warehouse], list[str]] | None = None
    waits_for_labels: int = 1
    serves_meanwhile: bool = False
    together: bool = False
    group: str = ""
    owner: str = SCIENCE_OWNER
    kinds: frozenset[str] = frozenset()
    pool: str = MEMORY_POOL
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asset_key(self) -> dg.AssetKey:
        """Dagster's key."""
        return dg.AssetKey(self.key.split("/"))

    @property
    def planned(self) -> bool:
        """Whether the planner sees to it; what arrives by itself has no code version."""
        return bool(self.code_version)

    @property
    def group_name(self) -> str:
        """Group in Dagster."""
        return self.group or self.key.split("/")[0]

    def named(self, *reaches: Reach) -> tuple[str, ...]:
        """Names of the inputs that reach so."""
        return tuple(each.asset for each in self.inputs if each.reach in reaches)


class Run:
    """One materialization of an asset, or of several that one body makes, as the body sees it.

    Attributes
    ----------
    days : Days
        Days to make; of an asset without days there are none.
    warehouse : Warehouse
    store : ObjectStore
    settings : Settings
        The installation.
    config : dg.Config or None
    partitions : list of str
        Days to make, by name; of an asset without days what the ledger keeps of it.
    made : dict of str to Materialization
        Asset -> rows by partition, to be filled; its keys are what is wanted.
    metadata : dict of str to dict
        Asset -> metadata that hold for each of its partitions, to be filled. What the body returns besides is of the run as a whole.
    checked : dict of str to CheckResult
        Results of checks that the body judges, by name.
    """

    def __init__(
        self,
        warehouse: WarehouseResource,
        store: StoreResource,
        days: Days | None,
        config: Any,
        partitions: Callable[[Warehouse], list[str]] | None = None,
    ) -> None:
        self.warehouse: Warehouse = warehouse.open()
        self.store: ObjectStore = store.open()
        self.settings: Settings = warehouse.settings()
        self.config = config
        self.made: dict[str, Materialization] = {}
        self.metadata: dict[str, dict[str, Any]] = {}
        self.by_day: dict[str, dict[str, dict[str, Any]]] = {}
        self.checked: dict[str, dg.AssetCheckResult] = {}
        self._days = days
        whole = partitions(self.warehouse) if partitions else [""]
        self.partitions: list[str] = whole if days is None else days.keys

    @cached_property
    def engine(self) -> Engine:
        """Where heavy functions of days are executed, as the settings say."""
        return open_engine(self.settings)

    @property
    def days(self) -> Days:
        """Days to make."""
        assert self._days is not None, "an asset without days"
        return self._days

    def rows(self, rows: Mapping[str, int] | int, asset: str | None = None) -> None:
        """Tell how many rows there are now, by partition or of the one."""
        key = asset or next(iter(self.made))
        self.made[key].rows.update(rows if isinstance(rows, Mapping) else {"": rows})

    def note(self, day: str, metadata: Mapping[str, Any], asset: str | None = None) -> None:
        """Tell metadata of one day."""
        key = asset or next(iter(self.made))
        self.by_day.setdefault(key, {}).setdefault(day, {}).update(metadata)

    def check(
        self, name: str, faults: Mapping[str, Sequence[str]], *, blocking: bool, **metadata: Any
    ) -> None:
        """Give the result of a check that the body judges: faults in words by partition.

        A partition with faults of a blocking check counts as failed: what is made from it waits, also in later runs.
        """
        texts = [f"{day}: {text}" if day else text for day, found in faults.items() for text in found]
        self.checked[name] = dg.AssetCheckResult(
            check_name=name,
            passed=not texts,
            severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
            description="; ".join(texts[:3]) or None,
            metadata={"faults": texts[:20], **metadata},
        )
        if blocking:
            (made,) = self.made.values()
            made.failed.update({day: "; ".join(found)[:500] for day, found in faults.items() if found})


_declared: dict[str, Asset] = {}


def declared() -> tuple[Asset, ...]:
    """All declarations of the modules that were imported so far, in their order."""
    return tuple(_declared.values())


def _declare(asset: Asset) -> Asset:
    if asset.key in _declared:
        raise ValueError(f"{asset.key} is declared twice")
    _declared[asset.key] = asset
    return asset


Body = Callable[[Run], Any]


def day_asset(
    key: str, *, inputs: Iterable[tuple[Input, ...]], code_version: str, description: str, **more: Any
) -> Callable[[Body], Body]:
    """Declare an asset with a partition a day; its body is the function that this decorates.

    Parameters
    ----------
    key : str
        ``schema/name``.
    inputs : iterable of tuple of Input
        Given by `same_day`, `days_back`, `whole`, `histories`, `from_its_day` and `kept`.
    code_version, description : str
    **more
        Other attributes of `Asset`.

    Returns
    -------
    callable
        Decorator of the body. A body that carries two declarations makes both assets in one step.
    """
    return _declaring(key, inputs, code_version, description, partitioned=True, **more)


def whole_asset(
    key: str, *, inputs: Iterable[tuple[Input, ...]], code_version: str, description: str, **more: Any
) -> Callable[[Body], Body]:
    """Declare an asset without partitions, as `day_asset` does; of days it takes `all_days`."""
    return _declaring(key, inputs, code_version, description, partitioned=False, **more)


def _declaring(
    key: str, inputs: Iterable[tuple[Input, ...]], code_version: str, description: str, **more: Any
) -> Callable[[Body], Body]:
    given = tuple(each for group in inputs for each in group)

    def declare(body: Body) -> Body:
        _declare(Asset(key, given, code_version, description, body=body, **more))
        return body

    return declare


def source(key: str, *, description: str, partitioned: bool, code_version: str = "", **more: Any) -> Asset:
    """Declare an asset that is not made by the graph's own bodies: by intake, the data service or dbt."""
    inputs = tuple(each for group in more.pop("inputs", ()) for each in group)
    return _declare(Asset(key, inputs, code_version, description, partitioned, **{"owner": OWNER, **more}))


# From declarations to Dagster's definitions


def in_order(assets: Sequence[Asset]) -> tuple[Asset, ...]:
    """Put assets that the graph makes into an order in which they can be made: days as early, wholes as late as their inputs allow."""
    waiting = {asset.key: asset for asset in assets}
    done: list[Asset] = []
    while waiting:
        ready = [a for a in waiting.values() if not {each.asset for each in a.inputs} & waiting.keys()]
        if not ready:
            raise ValueError(f"circular dependencies between assets: {', '.join(waiting)}")
        days = [asset for asset in ready if asset.partitioned]
        # one day asset at a time, as it may make another one ready; wholes together, as they are a wave of their own
        for asset in days[:1] or ready:
            done.append(asset)
            del waiting[asset.key]
    return tuple(done)


DaysOf = Mapping[Calendar, dg.PartitionsDefinition]


@dataclass(frozen=True)
class View:
    """What of an input without days counts on a day, as an asset of its own that Dagster can compare day by day.

    Dagster compares an input without days as a whole. Through this view of it, a rod string that was run today makes no day before today
    stale, and a new model none that keeps the model it was made with.

    Attributes
    ----------
    key : str
        ``schema/name`` of the view.
    of : str
        The asset.
    reach : Reach
    calendar : Calendar
    """

    key: str
    of: str
    reach: Reach
    calendar: Calendar = Calendar.CARDS


def view_of(each: Input, calendar: Calendar = Calendar.CARDS) -> View:
    """Daily view of an input without days, for assets of a calendar."""
    if each.asset.endswith("_history"):
        return View(each.asset, each.asset.removesuffix("_history"), Reach.SINCE)
    ending = {Reach.SINCE: "so_far", Reach.KEPT: "kept"}.get(each.reach, "of_day")
    reach = Reach.DAY if each.reach is Reach.BACK else each.reach
    return View(f"{each.asset}_{ending}", each.asset, reach, calendar)


def needed_views(assets: Iterable[Asset], partitioned: Mapping[str, bool]) -> tuple[View, ...]:
    """Daily views that some assets need; `partitioned` tells which assets have days themselves."""
    found = [
        view_of(each, asset.calendar)
        for asset in assets
        for each in asset.inputs
        if each.reach is not Reach.WHOLE and not partitioned.get(each.asset, False)
    ]
    return tuple(dict.fromkeys(found))


def mapping_of(each: Input, by_day: bool) -> dg.PartitionMapping:
    """Partition mapping of an input with days, to an asset with days or without."""
    if not by_day:
        return dg.AllPartitionMapping()
    return dg.TimeWindowPartitionMapping(
        start_offset=1 - each.days, allow_nonexistent_upstream_partitions=each.days > 1
    )


def dependencies(asset: Asset, partitioned: Mapping[str, bool]) -> list[dg.AssetDep]:
    """Dagster's dependencies of an asset; `partitioned` tells which assets have days."""
    found: dict[str, dg.AssetDep] = {}
    for each in sorted(asset.inputs, key=lambda each: -each.days):
        name = each.asset
        if not partitioned.get(name, False) and each.reach is not Reach.WHOLE:
            name = view_of(each).key
        mapped = each.reach is not Reach.WHOLE
        if name not in found:
            found[name] = dg.AssetDep(
                dg.AssetKey(name.split("/")),
                partition_mapping=mapping_of(each, asset.partitioned) if mapped else None,
            )
    return list(found.values())


def definition_metadata(asset: Asset) -> dict[str, Any]:
    """Metadata of an asset's definition: columns, where its code is, where its days lie."""
    shown: dict[str, Any] = dict(asset.metadata)
    if asset.table is not None:
        shown |= table_metadata(asset.table)
    if asset.columns is not None:
        columns = [dg.TableColumn(each.name, str(each.type)) for each in asset.columns()]
        shown |= {
            "dagster/column_schema": dg.TableSchema(columns=columns),
            "partition_column": asset.partition_column,
            "code_version": asset.code_version,
        }
        if asset.group_column is not None:
            shown["group_column"] = asset.group_column
    if asset.body is not None:
        code = inspect.unwrap(asset.body).__code__
        reference = dg.LocalFileCodeReference(
            file_path=code.co_filename, line_number=code.co_firstlineno, label=asset.key
        )
        shown["dagster/code_references"] = dg.CodeReferencesMetadataValue(code_references=[reference])
    return shown


def freshness_of(asset: Asset) -> dg.FreshnessPolicy | None:
    """A field sends cards daily, a gateway by the minute: two days without news want a look."""
    if not asset.partitioned:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(days=3), warn_window=timedelta(hours=36))


def spec_of(asset: Asset, days: DaysOf, partitioned: Mapping[str, bool], **more: Any) -> dg.AssetSpec:
    """Dagster's specification of a declared asset."""
    return dg.AssetSpec(
        asset.asset_key,
        group_name=asset.group_name,
        deps=dependencies(asset, partitioned),
        owners=[asset.owner],
        kinds=set(asset.kinds)
        or {"python", "postgres" if asset.table else "parquet" if asset.columns else "python"},
        description=asset.description,
        metadata=definition_metadata(asset),
        code_version=asset.code_version or None,
        partitions_def=days[asset.calendar] if asset.partitioned else None,
        freshness_policy=freshness_of(asset),
        **more,
    )


def build_view(view: View, days: DaysOf) -> dg.AssetSpec:
    """Specification of a daily view."""
    says = {
        Reach.SINCE: f"What of {view.of} is known or in force on a day",
        Reach.DAY: f"What of {view.of} concerns a day",
        Reach.KEPT: f"What a day was made with of {view.of}, and keeps",
    }[view.reach]
    return dg.AssetSpec(
        dg.AssetKey(view.key.split("/")),
        group_name=view.key.split("/")[0],
        deps=[dg.AssetKey(view.of.split("/"))],
        partitions_def=days[view.calendar],
        owners=[OWNER],
        description=f"{says}. Not materialized: observed when it changes, so that Dagster compares {view.of} day by day.",
    )


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
        model = _declared.get(f"models/{error.name}")
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
