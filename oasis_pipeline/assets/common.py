"""What every asset needs: its partitions, pools and owners, and its metadata from the schema source.

Not here: any particular asset.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg
from dagster._core.events import (
    AssetObservationData,
    DagsterEvent,
    DagsterEventBatchMetadata,
    StepMaterializationData,
)
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID

from oasis_pipeline.operations.days import Days
from oasis_pipeline.schema import Table, Type

# Parts of Dagster that this graph relies on are marked beta (backfill policies, partitioned checks); the minor version is
# pinned, and a warning for each of them would bury everything else on the terminal.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

OWNER = "team:data-engineering"
SCIENCE_OWNER = "team:data-science"

WAREHOUSE_POOL = "warehouse"
"""Steps that write to PostgreSQL; the instance configuration limits how many run at once."""

MEMORY_POOL = "memory"
"""Steps that hold many cards in memory."""

_MATERIALIZATION, _OBSERVATION = (
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_OBSERVATION,
)

ONE_RUN = dg.BackfillPolicy.single_run()
"""A backfill of a range is one run that handles the range."""


def day_partitions(first_day: date | None, last_day: date | None = None) -> dg.DailyPartitionsDefinition:
    """Partitions of everything with a time.

    Parameters
    ----------
    first_day : date or None
        First day of the data; None before any data has come (then today).
    last_day : date or None
        Newest day known, where it lies after today: a field's clock may run ahead of this machine's.

    Returns
    -------
    DailyPartitionsDefinition
        From the first day to today, today included: files of the running day arrive by the hour.
    """
    today = date.today()
    ahead = max((last_day - today).days, 0) if last_day else 0
    start = min(first_day or today, today + timedelta(days=ahead))
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), end_offset=1 + ahead)


def days_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Days:
    """Read the days of the run from its partition or range of partitions."""
    span = context.partition_key_range
    return Days(date.fromisoformat(span.start), date.fromisoformat(span.end))


def table_metadata(table: Table, **extra: Any) -> dict[str, Any]:
    """Definition metadata of an asset that is a table: its columns with type, unit and meaning.

    Parameters
    ----------
    table : Table
        From the schema source.
    **extra
        Further entries.

    Returns
    -------
    dict
        For ``metadata=`` of an asset.
    """
    columns = [
        dg.TableColumn(
            column.name,
            column.type.sql,
            description=f"{column.description} [{column.unit}]"
            if column.unit
            else column.description or None,
            constraints=dg.TableColumnConstraints(nullable=not (column.required or column.name in table.key)),
        )
        for column in table.columns
        if column.type is not Type.POINTS or not column.name.startswith(("torque", "permissible"))
    ]
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/table_name": f"{table.schema}.{table.name}",
        **extra,
    }


def report_together(
    instance: dg.DagsterInstance, events: Sequence[dg.AssetMaterialization | dg.AssetObservation]
) -> None:
    """Report materializations or observations of one asset that no run made, in one statement.

    ``report_runless_asset_event`` takes several statements for each; a year's files are thousands of days.

    Parameters
    ----------
    instance : DagsterInstance
        Where to report.
    events : sequence of AssetMaterialization or AssetObservation
        Of one asset and one of the two kinds, in the order in which they happened.
    """
    batch = uuid.uuid4().hex
    for number, event in enumerate(events, 1):
        if isinstance(event, dg.AssetMaterialization):
            kind = _MATERIALIZATION.value
            data: StepMaterializationData | AssetObservationData = StepMaterializationData(event)
        else:
            kind, data = _OBSERVATION.value, AssetObservationData(event)
        instance.report_dagster_event(
            DagsterEvent(event_type_value=kind, job_name=RUNLESS_JOB_NAME, event_specific_data=data),
            RUNLESS_RUN_ID,
            batch_metadata=DagsterEventBatchMetadata(batch, number == len(events)),
        )
