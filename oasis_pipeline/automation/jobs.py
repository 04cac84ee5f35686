"""Jobs that schedules, sensors and people start.

Here: what a job selects. Not here: when it runs.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import dagster as dg

from oasis_pipeline.assets.common import WAREHOUSE_POOL
from oasis_pipeline.assets.graph import DAY_ASSETS_OF_CARDS, MODELS, READING_ASSETS
from oasis_pipeline.assets.resources import StoreResource, WarehouseResource
from oasis_pipeline.automation.alerts import AlertsReport, attend
from oasis_pipeline.automation.materialize import make_stale
from oasis_pipeline.automation.passes import one_pass_at_a_time
from oasis_pipeline.automation.recording import record_empty_tables, record_intake, record_source
from oasis_pipeline.automation.staleness import plan_unattended
from oasis_pipeline.automation.summary import PassSummary
from oasis_pipeline.intake import PassReport, take_in
from oasis_pipeline.intake.sources import SourceError, open_sources

WORKLIST = "clean/worklist"

AFTER_INTAKE_S = 60.0
"""A run of intake begins no materialization after so long: files that arrive meanwhile wait for its end."""


@dataclass(frozen=True)
class Jobs:
    """The jobs, by what they are for.

    Attributes
    ----------
    intake : JobDefinition
        Takes in the drop folder.
    source : JobDefinition
        Brings what is new in the live sources.
    stale : JobDefinition
        Materializes everything that is stale.
    days : job
        Makes days out of what has arrived.
    train : job
        Learns the classifier anew.
    readings : job
        Makes days of sensor readings.
    """

    intake: dg.JobDefinition
    source: dg.JobDefinition
    stale: dg.JobDefinition
    days: Any
    train: Any
    readings: Any

    def all(self) -> list[Any]:
        """Every job."""
        return [self.intake, self.source, self.stale, self.days, self.train, self.readings]


def intake_metadata(report: PassReport) -> dict[str, Any]:
    """Counts of a pass of intake, file by file."""
    rows = [
        dg.TableRecord(
            {
                "file": file.source_file,
                "rows": file.rows,
                "stored": file.stored,
                "superseded": file.superseded,
                "rejected": file.rejected,
                "ignored columns": ", ".join(file.ignored_columns),
            }
        )
        for file in report.files
    ]
    return {
        "files": len(report.files),
        "rows": sum(file.rows for file in report.files),
        "stored": sum(file.stored for file in report.files),
        "superseded": sum(file.superseded for file in report.files),
        "rejected": sum(file.rejected for file in report.files),
        "rejected_files": [f"{name}: {reason}" for name, reason in report.rejected_files],
        "warnings": report.warnings,
        "notes": report.notes,
        **({"by_file": dg.MetadataValue.table(rows)} if rows else {}),
    }


@dg.op(pool=WAREHOUSE_POOL, description="Take in every file of the drop folder: load, archive, delete.")
def take_in_files(context: dg.OpExecutionContext, warehouse: WarehouseResource, store: StoreResource) -> None:
    """Run one pass of intake and tell Dagster which days it touched."""
    report = take_in(warehouse.open(), store.open(), warehouse.settings())
    for warning in report.warnings:
        context.log.warning(warning)
    record_intake(context.instance, warehouse.open(), report)
    record_empty_tables(context.instance)
    context.add_output_metadata(intake_metadata(report))


@dg.op(pool=WAREHOUSE_POOL, description="Bring what is new or corrected in the live sources, and take it in.")
def read_source(context: dg.OpExecutionContext, warehouse: WarehouseResource, store: StoreResource) -> None:
    """Run one increment and tell Dagster which days it touched."""
    metadata: dict[str, Any] = {}
    faults: list[SourceError] = []
    sources = open_sources(warehouse.settings(), warehouse.open(), store.open())
    for source in sources:
        try:
            with closing(source):
                report = source.run()
        except SourceError as error:
            # the others go on; one that stays silent is told by an alert
            context.log.warning(str(error))
            faults.append(error)
            continue
        for note in report.notes:
            context.log.warning(note)
        record_source(context.instance, warehouse.open(), report)
        metadata[source.name] = {
            "rows": report.rows,
            "looked_at": report.looked_at,
            "sweep": report.sweep,
            "notes": report.notes,
        }
    context.add_output_metadata(metadata)
    if faults and len(faults) == len(sources):
        raise faults[0]


@dg.op(
    ins={"arrived": dg.In(dg.Nothing)},
    description=f"Materialize what has become stale, beginning no more runs after {AFTER_INTAKE_S:.0f} s; the sensor stale_days sees to the rest.",
)
def materialize_arrived(
    context: dg.OpExecutionContext, warehouse: WarehouseResource, store: StoreResource
) -> None:
    """Go on in the same process: a new one would spend longer on its start than on a day's cards."""
    _materialize(context, warehouse, store, wait=False, until=time.monotonic() + AFTER_INTAKE_S)


@dg.op(
    description="Materialize what is stale, run by run in this process; each is a run of its own on the page of runs."
)
def materialize_stale(
    context: dg.OpExecutionContext, warehouse: WarehouseResource, store: StoreResource
) -> None:
    """Wait for the end of another pass, then materialize what it has left."""
    _materialize(context, warehouse, store, wait=True, until=None)


def _materialize(
    context: dg.OpExecutionContext,
    warehouse: WarehouseResource,
    store: StoreResource,
    *,
    wait: bool,
    until: float | None,
) -> None:
    database, settings = warehouse.open(), warehouse.settings()
    with one_pass_at_a_time(database.address, wait=wait) as alone:
        if not alone:
            context.log.info("another run is at work and materializes these days too")
            return
        summary, told = PassSummary(PassReport()), list[AlertsReport]()
        make_stale(
            settings,
            database,
            summary,
            instance=context.instance,
            plan_of=lambda **since: plan_unattended(database, store.open(), **since),
            until=until,
            # who waits for an alert does not wait for the queue of cards to label, which comes last
            after=lambda assets: told.append(attend(database, settings)) if WORKLIST in assets else None,
        )
    told.append(attend(database, settings))
    for note in (*summary.notes, *(fault for report in told for fault in report.faults)):
        context.log.warning(note)
    runs = [
        dg.TableRecord(
            {
                "run": run["run_id"],
                "assets": ", ".join(run["assets"]),
                "days": " to ".join(run["days"]),
                "seconds": run["seconds"],
            }
        )
        for run in summary.runs
    ]
    if runs:
        context.add_output_metadata({"runs": dg.MetadataValue.table(runs)})
    summary.raise_failures()


def build_jobs() -> Jobs:
    """Make the jobs."""

    @dg.job(name="intake", description="Take in the drop folder, and materialize what has become stale.")
    def intake() -> None:
        materialize_arrived(take_in_files())

    @dg.job(
        name="source",
        description="Bring what is new in the live sources, and materialize what has become stale.",
    )
    def source() -> None:
        materialize_arrived(read_source())

    @dg.job(name="stale", description="Materialize everything that is stale.")
    def stale() -> None:
        materialize_stale()

    return Jobs(
        intake=intake,
        source=source,
        stale=stale,
        days=dg.define_asset_job(
            "days",
            selection=dg.AssetSelection.assets(*keys_of(DAY_ASSETS_OF_CARDS)),
            description="Materialize days: clean tables, bounds, diagnosis, features and predictions.",
        ),
        train=dg.define_asset_job(
            "train",
            selection=dg.AssetSelection.assets(*keys_of(MODELS)),
            description="Train every model: the classifier on all labels, forecasters at their cut-offs.",
        ),
        readings=dg.define_asset_job(
            "readings",
            selection=dg.AssetSelection.assets(*keys_of(READING_ASSETS)),
            description="Materialize days of sensor readings: flagged readings, batches, profiles and regular series.",
        ),
    )


def keys_of(assets: Sequence[str]) -> list[dg.AssetKey]:
    """Dagster's keys of assets."""
    return [dg.AssetKey(asset.split("/")) for asset in assets]
