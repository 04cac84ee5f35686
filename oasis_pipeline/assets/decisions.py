"""Assets of decisions: each well's day, its status, its advised set point, and the ranked list of wells.

Here: declarations, what their metadata shows, and the prices of ``economics.toml`` that the list rests on. What they read stands in
``decision_rows`` and ``setpoint_rows``, what is decided in ``decisions``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from oasis_pipeline.assets.common import WAREHOUSE_POOL, rows_by_day, store_days
from oasis_pipeline.assets.decision_rows import (
    REACH_DAYS,
    RISK_REACH_DAYS,
    status_rows,
    summary_rows,
    worklist_rows,
)
from oasis_pipeline.assets.factory import (
    Run,
    day_asset,
    days_back,
    from_its_day,
    histories,
    same_day,
    source,
    whole,
)
from oasis_pipeline.assets.setpoint_rows import CARD_DAYS, PAST_DAYS, setpoint_rows
from oasis_pipeline.decisions import Economics, EconomicsError, parse_economics
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Warehouse

WELLSUMMARY = table("clean", "wellsummary")
WELLSTATUS = table("clean", "wellstatus")
SETPOINT = table("clean", "setpoint")
WORKLIST = table("clean", "worklist")
ECONOMICS = table("analysis", "economics")

DECISIONS_VERSION = "2"
"""Raise it when the same inputs come out otherwise."""

SETPOINT_VERSION = "2"
"""The same for set points; also when the predictive model changes."""

WORKLIST_VERSION = "3"
"""The same for the list."""

ECONOMICS_FILE = "economics.toml"
NEWEST_CARD_DAYS = 8
"""Days back that the diagnosis of a well's newest card is looked for."""

source(
    ECONOMICS.asset,
    description=f"Prices and costs of {ECONOMICS_FILE} in the home folder, defaults where there is none.",
    partitioned=False,
    table=ECONOMICS,
)


@day_asset(
    WELLSUMMARY.asset,
    inputs=[
        same_day("xspoc/card", "xspoc/xdiagresults", "clean/carddiag", "clean/dynapred", "clean/cardanomaly")
    ],
    code_version=DECISIONS_VERSION,
    group="decisions",
    description=WELLSUMMARY.description,
    table=WELLSUMMARY,
    pool=WAREHOUSE_POOL,
)
def wellsummary(run: Run) -> None:
    """Make ``clean.wellsummary``."""
    _store(run, summary_rows(run.warehouse, run.days))


@day_asset(
    WELLSTATUS.asset,
    inputs=[
        days_back(REACH_DAYS + 1, WELLSUMMARY.asset, "xspoc/welltest"),
        days_back(RISK_REACH_DAYS + 1, "clean/xpred"),
        from_its_day("analysis/failure_info"),
        histories("welldetails"),
    ],
    code_version=DECISIONS_VERSION,
    group="decisions",
    description=WELLSTATUS.description,
    table=WELLSTATUS,
)
def wellstatus(run: Run) -> dict[str, Any]:
    """Make ``clean.wellstatus``."""
    rows = status_rows(run.warehouse, run.days)
    _store(run, rows)
    states = rows["state"].value_counts().to_pylist()
    return {f"well_days_{row['values']}": row["counts"] for row in states}


@day_asset(
    SETPOINT.asset,
    inputs=[
        days_back(CARD_DAYS, WELLSTATUS.asset, "xspoc/card", "clean/carddiag"),
        days_back(PAST_DAYS + 1, WELLSUMMARY.asset),
        from_its_day("analysis/failure_info"),
        histories("welldetails", "rods", "deviations", "pumpingunits"),
        whole(ECONOMICS.asset),
    ],
    code_version=SETPOINT_VERSION,
    group="decisions",
    description=SETPOINT.description,
    table=SETPOINT,
    pool=WAREHOUSE_POOL,
)
def setpoint(run: Run) -> dict[str, Any]:
    """Make ``clean.setpoint``."""
    rows = setpoint_rows(run.warehouse, run.days, stored_economics(run.warehouse))
    _store(run, rows)
    actions = rows["action"].value_counts().to_pylist()
    return {f"well_days_{row['values']}": row["counts"] for row in actions}


@day_asset(
    WORKLIST.asset,
    inputs=[
        same_day(WELLSTATUS.asset, SETPOINT.asset),
        days_back(NEWEST_CARD_DAYS, "clean/carddiag", "clean/roddiag"),
        whole(ECONOMICS.asset),
    ],
    code_version=WORKLIST_VERSION,
    group="decisions",
    description=WORKLIST.description,
    table=WORKLIST,
    pool=WAREHOUSE_POOL,
)
def worklist(run: Run) -> dict[str, Any]:
    """Make ``clean.worklist``."""
    rows = worklist_rows(run.warehouse, run.days, stored_economics(run.warehouse))
    _store(run, rows)
    newest = max(rows["Date"].to_pylist(), default=None)
    first = [row for row in rows.to_pylist() if row["Date"] == newest and row["rank"] <= 5]
    return {
        f"rank_{row['rank']}": f"{row['NodeID']}: {row['reason']}"
        for row in sorted(first, key=lambda row: row["rank"])
    }


def _store(run: Run, rows: pa.Table) -> None:
    (asset,) = run.made
    store_days(run.warehouse, table(*asset.split("/")), rows, run.days)
    run.rows(rows_by_day(rows))


def stored_economics(warehouse: Warehouse) -> Economics:
    """Read the prices that are in force; the defaults before any were stored."""
    rows = warehouse.query("select settings::text as settings from analysis.economics").to_pylist()
    return msgspec.json.decode(rows[0]["settings"], type=Economics) if rows else Economics()


def take_economics(warehouse: Warehouse, home: Path) -> str | None:
    """Store the prices of the home folder where they have changed, so that the lists are made again.

    Parameters
    ----------
    warehouse : Warehouse
    home : Path
        Home folder.

    Returns
    -------
    str or None
        What is wrong with the file; the prices that were in force stay so.
    """
    path = home / ECONOMICS_FILE
    try:
        wanted = parse_economics(path.read_text(encoding="utf-8")) if path.exists() else Economics()
    except (EconomicsError, OSError, UnicodeDecodeError) as error:
        return f"{path}: {error}; the lists keep the prices they had"
    rows = warehouse.query("select settings::text as settings from analysis.economics").to_pylist()
    if rows and msgspec.json.decode(rows[0]["settings"], type=Economics) == wanted:
        return None
    new = pa.table(
        {"name": ["economics"], "settings": [msgspec.json.encode(wanted).decode()]},
        schema=arrow_schema(ECONOMICS),
    )
    with warehouse.transaction() as tx:
        tx.upsert(ECONOMICS, new)
        ledger.mark_changed(tx, ECONOMICS.asset, {"": 1})
    return None
