"""Cards of a run's days beside those that the model in use has learned from: an asset check that warns, and never blocks.

Here: the check. Not here: the reference and what the days come to (``operations.drift``), the measure (``learning.drift``).
"""

from __future__ import annotations

import dagster as dg

from oasis_pipeline.learning.drift import LEAST_WELLS
from oasis_pipeline.operations.days import Days
from oasis_pipeline.operations.drift import CLASSIFIER, drift_of_days, load_reference
from oasis_pipeline.operations.registry import model_row
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Warehouse

NAME = "input_drift"


def check_drift(warehouse: Warehouse, store: ObjectStore, days: Days) -> dg.AssetCheckResult:
    """Warn where cards of a run's days no longer look like those of the time that the model in use has learned.

    Parameters
    ----------
    warehouse : Warehouse
    store : ObjectStore
    days : Days
        Of the run.

    Returns
    -------
    AssetCheckResult
        Passed where nothing could be measured, with the reason.
    """
    used = model_row(warehouse, CLASSIFIER)
    reference = None if used is None else load_reference(store, used["version"])
    if used is None or reference is None:
        return _unmeasured("the model in use has no reference: it was made before there were features")
    measured = [(each.day, each.drift) for each in drift_of_days(store, reference, days) if each.drift]
    if not measured:
        return _unmeasured(f"no day, or the reference, has cards of {LEAST_WELLS} wells or more")
    worst = max(measured, key=lambda pair: max(pair[1].index[g] / pair[1].limit[g] for g in pair[1].index))
    drifted = [(day, drift) for day, drift in measured if drift.drifted]
    records = [
        dg.TableRecord(
            {
                "features": group,
                "index": round(worst[1].index[group], 3),
                "limit": round(worst[1].limit[group], 3),
                "moved most": worst[1].feature[group],
            }
        )
        for group in worst[1].index
    ]
    text = None
    if drifted:
        groups = list(dict.fromkeys(group for _, drift in drifted for group in drift.drifted))
        text = (
            f"the cards of {', '.join(str(day) for day, _ in drifted[-5:])} no longer look like those that {used['version']} has "
            f"learned: {', '.join(groups)}. Look for changed instruments or settings; if the field has changed, label some of the new cards"
        )
    return dg.AssetCheckResult(
        passed=not drifted,
        severity=dg.AssetCheckSeverity.WARN,
        description=text,
        metadata={
            "model_version": used["version"],
            "days_measured": len(measured),
            "days_drifted": [str(day) for day, _ in drifted],
            "worst_day": str(worst[0]),
            "worst_day_wells": worst[1].wells,
            "population_stability_index": dg.MetadataValue.table(records),
        },
    )


def _unmeasured(reason: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=True, severity=dg.AssetCheckSeverity.WARN, metadata={"not_measured": reason}
    )
