"""Checks of the tables: their shape, which blocks what comes after, and their values, day by day.

Here: the checks of tables that are not dbt's (dbt's tests are checks of their own). A value check looks at the days of
its run only.
"""

from dataclasses import dataclass
from datetime import date

import dagster as dg

from oasis_pipeline.assets.common import Days
from oasis_pipeline.assets.drift import CHECK as DRIFT_CHECK
from oasis_pipeline.assets.drift import check_drift
from oasis_pipeline.assets.vendor_check import NAME as VENDOR_CHECK
from oasis_pipeline.assets.vendor_check import compare_with_vendor
from oasis_pipeline.schema import Table, table
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline.storage.resources import StoreResource, WarehouseResource

CHECKED_TABLES = (
    ("xspoc", "card"),
    ("xspoc", "xdiagresults"),
    ("xspoc", "xdiagrodresults"),
    ("xspoc", "welltest"),
    ("clean", "dynabounds"),
    ("clean", "carddiag"),
    ("clean", "roddiag"),
    ("clean", "dynapred"),
    ("clean", "cardpred"),
    ("clean", "cardanomaly"),
    ("clean", "trend"),
)
"""Day-partitioned tables with a blocking check of their columns."""


@dataclass(frozen=True)
class ValueCheck:
    """A rule on the values of a table.

    Attributes
    ----------
    asset : str
        ``schema/table``.
    name : str
        Name of the check.
    says : str
        The rule in words.
    offenders : str
        Query for the rows that break it; ``$1`` and ``$2`` are the first moment of the days and the first after.
    blocking : bool
        Whether what comes after must wait.
    """

    asset: str
    name: str
    says: str
    offenders: str
    blocking: bool = False


VALUE_CHECKS = (
    ValueCheck(
        "xspoc/card",
        "usable_cards",
        "every row has a usable surface card or pump card",
        'select "NodeID", "Date", surfcard_fault, pocdowncard_fault from xspoc.card '
        'where "Date" >= $1 and "Date" < $2 and surfcard_fault is not null and pocdowncard_fault is not null',
    ),
    ValueCheck(
        "clean/dynabounds",
        "ordered",
        "bounds are in order and rest on at least one card",
        'select * from clean.dynabounds where "Date" >= $1::timestamp and "Date" < $2::timestamp '
        "and not (pos_min <= pos_max and load_min <= load_max and n_cards >= 1)",
        blocking=True,
    ),
    ValueCheck(
        "clean/carddiag",
        "every_usable_card",
        "every usable card has one diagnosis, and nothing else has one",
        'select "NodeID", "Date" from xspoc.card c full join clean.carddiag d using ("NodeID", "Date") '
        'where "Date" >= $1 and "Date" < $2 and (d.quality is null and (surfcard_fault is null or '
        "pocdowncard_fault is null) or c.file_stamp is null or d.quality is not null and surfcard_fault is not null "
        "and pocdowncard_fault is not null)",
    ),
    ValueCheck(
        "clean/carddiag",
        "possible",
        "fillage lies between 0 and 100, strokes are not negative, and the loads are in order",
        'select "NodeID", "Date", fillage_pct, gross_stroke_in, net_stroke_in, pprl_lbf, mprl_lbf from clean.carddiag '
        'where "Date" >= $1 and "Date" < $2 and not (coalesce(fillage_pct, 0) between 0 and 100 '
        "and coalesce(gross_stroke_in, 0) >= 0 and coalesce(net_stroke_in, 0) >= 0 and coalesce(pprl_lbf >= mprl_lbf, true))",
    ),
    ValueCheck(
        "clean/dynapred",
        "probabilities",
        "probabilities lie between 0 and 100, the first is the greater, and a second label has more than 35",
        'select * from clean.dynapred where "Date" >= $1 and "Date" < $2 and not ("Prob1" between 0 and 100 '
        'and coalesce("Prob2", 0) between 0 and "Prob1" and ("Label2" is null or "Prob2" > 35))',
        blocking=True,
    ),
    ValueCheck(
        "clean/dynapred",
        "every_usable_card",
        "every usable card has one prediction, and nothing else has one",
        'select "NodeID", "Date" from xspoc.card c full join clean.dynapred p using ("NodeID", "Date") '
        'where "Date" >= $1 and "Date" < $2 and (p."Label1" is null and (surfcard_fault is null or '
        'pocdowncard_fault is null) or c.file_stamp is null or p."Label1" is not null and surfcard_fault is not null '
        "and pocdowncard_fault is not null)",
    ),
    ValueCheck(
        "clean/cardpred",
        "bands",
        "a forecast lies inside of its band, and every issue has all three horizons",
        'select "NodeID", "IssuedAt", count(*) as horizons from clean.cardpred where "IssuedAt" >= $1 and "IssuedAt" < $2 '
        "group by 1, 2 having count(*) <> 3 or bool_or(load_lower_lbf[1] > load_lbf[1] or load_lbf[1] > load_upper_lbf[1] "
        "or cardinality(load_lbf) <> cardinality(position_in))",
        blocking=True,
    ),
    ValueCheck(
        "clean/trend",
        "bands",
        "a forecast lies inside of its band",
        'select * from clean.trend where "IssuedAt" >= $1 and "IssuedAt" < $2 '
        "and not (lower <= value and value <= upper)",
        blocking=True,
    ),
)


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


def build_checks() -> list[dg.AssetChecksDefinition]:
    """Make all checks.

    Returns
    -------
    list of AssetChecksDefinition
    """
    return [
        *(_schema_check(table(*name)) for name in CHECKED_TABLES),
        *(_value_check(rule) for rule in VALUE_CHECKS),
        _vendor_check(),
        _drift_check(),
    ]


def _schema_check(wanted: Table) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey([wanted.schema, wanted.name]),
        name="columns",
        description="The table has the columns, types and not-null marks of the schema source.",
        blocking=True,
    )
    def check(warehouse: WarehouseResource) -> dg.AssetCheckResult:
        return run_schema_check(warehouse.open(), wanted)

    return check


def _value_check(rule: ValueCheck) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(rule.asset.split("/")),
        name=rule.name,
        description=f"{rule.says[0].upper()}{rule.says[1:]}.",
        blocking=rule.blocking,
    )
    def check(context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource) -> dg.AssetCheckResult:
        return run_value_check(warehouse.open(), rule, days_of_run(context))

    return check


def _vendor_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(["clean", "carddiag"]),
        name=VENDOR_CHECK,
        description="The medians lie near those of the vendor's diagnosis, where there is one.",
    )
    def check(context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource) -> dg.AssetCheckResult:
        return compare_with_vendor(warehouse.open(), days_of_run(context))

    return check


def _drift_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(["clean", "dynapred"]),
        name=DRIFT_CHECK,
        description="The day's cards look like those of the time that the model in use has learned.",
    )
    def check(
        context: dg.AssetCheckExecutionContext, warehouse: WarehouseResource, store: StoreResource
    ) -> dg.AssetCheckResult:
        return check_drift(warehouse.open(), store.open(), days_of_run(context))

    return check


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


def evaluate(warehouse: Warehouse, asset: str, span: Days) -> list[dg.AssetCheckEvaluation]:
    """Run every check of a table outside of a Dagster run, for rows that intake has written.

    Parameters
    ----------
    warehouse : Warehouse
        Where to look.
    asset : str
        ``schema/table``.
    span : Days
        Days that intake has touched.

    Returns
    -------
    list of AssetCheckEvaluation
        To be reported to the instance; empty for a table without checks.
    """
    schema, name = asset.split("/")
    results = {}
    if (schema, name) in CHECKED_TABLES:
        results["columns"] = (run_schema_check(warehouse, table(schema, name)), True)
    for rule in VALUE_CHECKS:
        if rule.asset == asset:
            results[rule.name] = (run_value_check(warehouse, rule, span), rule.blocking)
    return [
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey([schema, name]),
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


def run_value_check(warehouse: Warehouse, rule: ValueCheck, span: Days) -> dg.AssetCheckResult:
    """Count the rows of some days that break a rule, and show the first of them."""
    limited = f"select *, count(*) over () as offenders from ({rule.offenders}) as o limit 5"
    rows = warehouse.query(limited, (span.begin, span.end)).to_pylist()
    count = rows[0]["offenders"] if rows else 0
    shown = [{name: str(value) for name, value in row.items() if name != "offenders"} for row in rows]
    return dg.AssetCheckResult(
        passed=count == 0,
        severity=dg.AssetCheckSeverity.ERROR if rule.blocking else dg.AssetCheckSeverity.WARN,
        description=None if count == 0 else f"{count:,} rows: not true that {rule.says}{_first_of(shown)}",
        metadata={
            "rows_that_break_it": count,
            "first_of_them": shown,
            "days": f"{span.first} to {span.last}",
        },
    )


def _first_of(shown: list[dict[str, str]]) -> str:
    """Name the first of the rows that break a rule."""
    when = next((name for name in ("Date", "IssuedAt") if name in shown[0]), None)
    if "NodeID" not in shown[0] or when is None:
        return ""
    return f"; the first is of {shown[0]['NodeID']} at {shown[0][when]}"
