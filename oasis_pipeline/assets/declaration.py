"""What an asset is made from, declared once; everything else that knows of assets is made from these declarations.

Here: `day_asset`, `whole_asset` and `source`, and what a body gets. Not here: any particular asset, and the Dagster definitions that come from
declarations (``specs``, ``factory``).

A declaration holds an asset's inputs with their reach, its code version, checks, columns, owner and body. From it come Dagster's
dependencies with partition mappings, what makes a partition stale (``automation.staleness``), the lists of the jobs, the checks, and the
data versions that Dagster shows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

import dagster as dg
import pyarrow as pa

from oasis_pipeline.assets.checks import Check
from oasis_pipeline.assets.common import MEMORY_POOL, OWNER, SCIENCE_OWNER
from oasis_pipeline.assets.resources import StoreResource, WarehouseResource
from oasis_pipeline.engine import Engine, open_engine
from oasis_pipeline.operations.days import Days
from oasis_pipeline.operations.materializations import Materialization
from oasis_pipeline.schema import Table
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import first_days
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
