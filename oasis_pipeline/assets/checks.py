"""Checks of assets: the shape of a table, which blocks what comes after, and its values, day by day.

Here: what a check is, how it is run inside of a Dagster run and outside of one. Not here: which asset has which (its declaration), dbt's
tests, which are checks of their own. A value check looks at the days of its run only.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import dagster as dg

from oasis_pipeline.assets.resources import StoreResource, WarehouseResource
from oasis_pipeline.operations.days import Days
from oasis_pipeline.schema import Table
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

Judge = Callable[[Warehouse, ObjectStore, Days], dg.AssetCheckResult]

COLUMNS = "columns"
"""Check that each table has: its columns, types and not-null marks."""


@dataclass(frozen=True)
class Check:
    """A check of an asset: by a query, by a function, or judged by the body that makes the asset.

    Attributes
    ----------
    name : str
        Name of the check.
    says : str
        The rule in words.
    blocking : bool
        Whether what comes after must wait.
    offenders : str or None
        Query for the rows that break the rule; ``$1`` and ``$2`` are the first moment of the days and the first after. Its column
        ``Date`` (or ``IssuedAt``) tells which days must wait.
    judge : callable or None
        Function of warehouse, store and days; where neither stands, the body gives the result.
    """

    name: str
    says: str
    blocking: bool = False
    offenders: str | None = None
    judge: Judge | None = None

    @property
    def description(self) -> str:
        """The rule as a sentence."""
        return f"{self.says[0].upper()}{self.says[1:]}."

    @property
    def by_body(self) -> bool:
        """Whether the body that makes the asset judges it."""
        return self.offenders is None and self.judge is None


def column_faults(warehouse: Warehouse, wanted: Table) -> list[str]:
    """Compare a table of the database with the schema source.

    Parameters
    ----------
    warehouse : Warehouse
        Where to look.
    wanted : Table
        As it should be.

    Returns
    -------
    list of str
        What differs, in words; further columns are no fault.
    """
    rows = warehouse.query(
        "select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as required "
        "from pg_attribute a where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped",
        (wanted.full_name,),
    ).to_pylist()
    found = {row["name"]: row for row in rows}
    if not found:
        return [f"{wanted.full_name} does not exist"]
    faults = [f"{name} is missing" for name in wanted.column_names if name not in found]
    for column in wanted.columns:
        here = found.get(column.name)
        spelled = _SPELLED.get(column.type.sql, column.type.sql)
        if here and here["type"] != spelled:
            faults.append(f"{column.name} is {here['type']}, not {spelled}")
        if here and (column.required or column.name in wanted.key) and not here["required"]:
            faults.append(f"{column.name} allows null")
    return faults


_SPELLED = {"timestamp(3)": "timestamp(3) without time zone", "timestamptz": "timestamp with time zone"}


def check_definitions(
    asset: str, table: Table | None, checks: Sequence[Check], partitioned: bool
) -> list[dg.AssetChecksDefinition]:
    """Make the checks of an asset that are no part of its body, of its columns, by queries and by functions: one step of a run for all.

    Parameters
    ----------
    asset : str
        ``schema/name``.
    table : Table or None
        The table that it fills.
    checks : sequence of Check
    partitioned : bool
        Whether it has days.

    Returns
    -------
    list of AssetChecksDefinition
        Empty for an asset without such checks.
    """
    key = dg.AssetKey(asset.split("/"))
    own = {each.name: each for each in checks if not each.by_body}
    specs = [
        dg.AssetCheckSpec(each.name, asset=key, blocking=each.blocking, description=each.description)
        for each in own.values()
    ]
    if table is not None:
        says = "The table has the columns, types and not-null constraints of the schema."
        specs.insert(0, dg.AssetCheckSpec(COLUMNS, asset=key, blocking=True, description=says))
    if not specs:
        return []

    @dg.multi_asset_check(name=f"{'__'.join(key.path)}__checks", specs=specs, can_subset=True)
    def check(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource, store: StoreResource
    ) -> Iterator[dg.AssetCheckResult]:
        database, span = warehouse.open(), days_of_run(context)
        for spec in specs:
            if spec.key not in context.selected_asset_check_keys:
                continue
            if spec.name == COLUMNS and table is not None:
                result = run_schema_check(database, table)
                if not result.passed:
                    _fail(database, asset, span.keys if partitioned else [""], result)
            else:
                result = _run_check(database, store.open(), asset, own[spec.name], span)
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name=spec.name,
                passed=result.passed,
                severity=result.severity,
                description=result.description,
                metadata=result.metadata,
            )

    return [check]


def _run_check(
    warehouse: Warehouse, store: ObjectStore, asset: str, each: Check, span: Days
) -> dg.AssetCheckResult:
    if each.judge is not None:
        return each.judge(warehouse, store, span)
    result = run_value_check(warehouse, each, span)
    if each.blocking and not result.passed:
        _fail(warehouse, asset, days_with_offenders(warehouse, each, span), result)
    return result


def _fail(warehouse: Warehouse, asset: str, partitions: Sequence[str], result: dg.AssetCheckResult) -> None:
    """Note in the ledger that partitions must not be used, so that later runs wait for them too."""
    with warehouse.transaction() as tx:
        ledger.mark_failed(tx, asset, partitions, result.description or "a blocking check failed")


def days_of_run(context: dg.AssetCheckExecutionContext) -> Days:
    """Read the days of the run that a check is part of; all days where it is run by itself.

    The checks themselves have no partitions: Dagster records the result of a check with partitions for single days only,
    and a run that makes a range would seem unchecked.
    """
    tags = context.run.tags
    first = tags.get("dagster/asset_partition_range_start") or tags.get("dagster/partition")
    last = tags.get("dagster/asset_partition_range_end") or tags.get("dagster/partition")
    if first is None or last is None:
        return Days(date(1900, 1, 1), date(2999, 12, 31))
    return Days(date.fromisoformat(first), date.fromisoformat(last))


def evaluate_checks(
    warehouse: Warehouse, asset: str, table: Table | None, checks: Sequence[Check], span: Days
) -> list[dg.AssetCheckEvaluation]:
    """Run the checks of a table outside of a Dagster run, for rows that intake has written.

    Parameters
    ----------
    warehouse : Warehouse
        Where to look.
    asset : str
        ``schema/table``.
    table : Table or None
    checks : sequence of Check
        Those by a query are run.
    span : Days
        Days that intake has touched.

    Returns
    -------
    list of AssetCheckEvaluation
        To be reported to the instance; empty for a table without checks.
    """
    results = {}
    if table is not None:
        results[COLUMNS] = (run_schema_check(warehouse, table), True)
    for rule in checks:
        if rule.offenders is not None:
            results[rule.name] = (run_value_check(warehouse, rule, span), rule.blocking)
    return [
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(asset.split("/")),
            check_name=check,
            passed=result.passed,
            metadata=result.metadata,
            severity=result.severity,
            description=result.description,
            blocking=blocking,
        )
        for check, (result, blocking) in results.items()
    ]


def run_schema_check(warehouse: Warehouse, wanted: Table) -> dg.AssetCheckResult:
    """Say whether a table of the database is as the schema source says."""
    faults = column_faults(warehouse, wanted)
    return dg.AssetCheckResult(
        passed=not faults,
        description="; ".join(faults) or None,
        metadata={"columns": len(wanted.columns), "faults": faults},
    )


def run_value_check(warehouse: Warehouse, rule: Check, span: Days) -> dg.AssetCheckResult:
    """Count the rows of some days that break a rule, and show the first of them."""
    limited = f"select *, count(*) over () as offenders from ({rule.offenders}) as o limit 5"
    rows = warehouse.query(limited, (span.begin, span.end)).to_pylist()
    count = rows[0]["offenders"] if rows else 0
    shown = [{name: str(value) for name, value in row.items() if name != "offenders"} for row in rows]
    return dg.AssetCheckResult(
        passed=count == 0,
        severity=dg.AssetCheckSeverity.ERROR if rule.blocking else dg.AssetCheckSeverity.WARN,
        description=None if count == 0 else f"{count:,} rows violate the rule: {rule.says}{_first_of(shown)}",
        metadata={
            "rows_that_break_it": count,
            "first_of_them": shown,
            "days": f"{span.first} to {span.last}",
        },
    )


def days_with_offenders(warehouse: Warehouse, rule: Check, span: Days) -> list[str]:
    """Days of a range that have rows which break a rule."""
    rows = warehouse.query(f"select * from ({rule.offenders}) as o", (span.begin, span.end))
    name = next(column for column in ("Date", "IssuedAt") if column in rows.column_names)
    return sorted({str(moment)[:10] for moment in rows[name].to_pylist()})


def _first_of(shown: list[dict[str, str]]) -> str:
    """Name the first of the rows that break a rule."""
    when = next((name for name in ("Date", "IssuedAt") if name in shown[0]), None)
    if "NodeID" not in shown[0] or when is None:
        return ""
    return f"; the first is of {shown[0]['NodeID']} at {shown[0][when]}"
