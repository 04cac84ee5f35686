"""Assets of decisions: each well's day, its status, its advised set point, and the ranked list of wells.

Here: declarations, and what their metadata shows. What they read stands in ``decisions``, ``setpoints`` and ``prices`` of ``operations``,
what is decided in the room ``decisions``.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.assets.common import WAREHOUSE_POOL
from oasis_pipeline.assets.declaration import (
    Run,
    day_asset,
    days_back,
    from_its_day,
    histories,
    same_day,
    source,
    whole,
)
from oasis_pipeline.operations.days import rows_by_day, store_days
from oasis_pipeline.operations.home_files import ECONOMICS, ECONOMICS_FILE, stored_economics
from oasis_pipeline.operations.setpoints import (
    CARD_DAYS,
    PAST_DAYS,
    SETPOINT_VERSION,
    read_responses,
    setpoint_rows,
    write_responses,
)
from oasis_pipeline.operations.well_status import REACH_DAYS, RISK_REACH_DAYS, status_rows, summary_rows
from oasis_pipeline.operations.worklist import worklist_rows
from oasis_pipeline.schema import table

WELLSUMMARY = table("clean", "wellsummary")
WELLSTATUS = table("clean", "wellstatus")
SETPOINT = table("clean", "setpoint")
WORKLIST = table("clean", "worklist")

DECISIONS_VERSION = "6"
"""Raise it when the same inputs come out otherwise."""

WORKLIST_VERSION = "9"
"""The same for the list."""

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
def wellstatus(run: Run) -> None:
    """Make ``clean.wellstatus``."""
    rows = status_rows(run.warehouse, run.days)
    _store(run, rows)
    _note_counts(run, rows, "state")


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
def setpoint(run: Run) -> None:
    """Make ``clean.setpoint``."""
    responses = read_responses(run.store)
    rows = setpoint_rows(run.warehouse, run.days, stored_economics(run.warehouse), responses)
    _store(run, rows)
    write_responses(run.store, responses)
    _note_counts(run, rows, "action")


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
def worklist(run: Run) -> None:
    """Make ``clean.worklist``."""
    rows = worklist_rows(run.warehouse, run.days, stored_economics(run.warehouse))
    _store(run, rows)
    first = rows.select(["Date", "NodeID", "rank", "reason"]).filter(pc.less_equal(rows["rank"], 5))
    for row in sorted(first.to_pylist(), key=lambda row: row["rank"]):
        text = f"{row['NodeID']}: {row['reason']}"
        run.note(row["Date"].isoformat(), {f"rank_{row['rank']}": text})


def _note_counts(run: Run, rows: pa.Table, column: str) -> None:
    """Tell how many wells have each value on each day."""
    days = rows["Date"].cast(pa.date32())
    counts = (
        pa.table({"day": days, "value": rows[column]})
        .group_by(["day", "value"])
        .aggregate([([], "count_all")])
    )
    for row in counts.to_pylist():
        run.note(row["day"].isoformat(), {f"wells_{row['value']}": row["count_all"]})


def _store(run: Run, rows: pa.Table) -> None:
    (asset,) = run.made
    store_days(run.warehouse, table(*asset.split("/")), rows, run.days)
    run.rows(rows_by_day(rows))
