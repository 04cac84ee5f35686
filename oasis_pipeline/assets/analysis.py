"""The report of the field's data as an asset: one HTML file in the object store, made anew when cards, results or failures change.

Here: the declaration, which period it is about, and where the file is kept. Not here: what it tells (``operations.analysis_facts``) and how it looks
(``plotting.analysis``).
"""

from __future__ import annotations

from datetime import date
from typing import Any

import dagster as dg

from oasis_pipeline.assets.common import WAREHOUSE_POOL
from oasis_pipeline.assets.declaration import Run, all_days, whole, whole_asset
from oasis_pipeline.learning.weak_labels import read_vendor_rules
from oasis_pipeline.operations.analysis_facts import Scope, find_well, held_days, scope_of
from oasis_pipeline.operations.analysis_report import (
    FIELD_FILE,
    FIELD_REPORT_VERSION,
    keep_field_report,
    make_report,
)

FIELD_REPORT = "analysis/field_report"


class ReportConfig(dg.Config):
    """What a report is about; without any of it, the newest days of the whole field.

    Attributes
    ----------
    first, last : str
        Days as 2025-03-31, both included.
    well : str
        One well.
    """

    first: str = ""
    last: str = ""
    well: str = ""


@whole_asset(
    FIELD_REPORT,
    inputs=[
        # not cards and results themselves: Dagster sees no change of one of all days of what arrives
        all_days("clean/xspoc", "clean/carddiag", "clean/dynapred"),
        whole("analysis/failure_info"),
    ],
    code_version=FIELD_REPORT_VERSION,
    group="analysis",
    description="What the data are like, as one HTML file in the object store: coverage and gaps, cadence, missing values, distributions, correlations, "
    "outliers, the vendor's labels and quantities against ours, failures and run life, what was refused. Of the newest 30 days of the field; other "
    "periods and single wells by the configuration of a run, or at once on the data service's page /analysis.",
    config=ReportConfig,
    kinds=frozenset({"python", "html"}),
    pool=WAREHOUSE_POOL,
)
def field_report(run: Run) -> dict[str, Any]:
    """Make ``analysis/field_report``."""
    scope = _scope(run)
    if scope is None:
        return {"said": "there are no cards yet"}
    report = make_report(run.warehouse, scope, read_vendor_rules(run.settings.home))
    path = report.path
    if run.config == ReportConfig():
        path = FIELD_FILE
        keep_field_report(run.store, report)
    else:
        run.store.put_bytes(path, report.document.encode())
    return {
        "summary": dg.MetadataValue.md(report.summary),
        "report": run.store.where(path),
        "page": scope.address,
        "period": f"{scope.first} to {scope.last}",
    }


def _scope(run: Run) -> Scope | None:
    held = held_days(run.warehouse)
    if held is None:
        return None
    chosen: ReportConfig = run.config
    well = find_well(run.warehouse, chosen.well) if chosen.well else None
    if chosen.well and well is None:
        raise ValueError(f"there is no well {chosen.well!r}; the data service lists them all")
    try:
        first, last = (date.fromisoformat(day) if day else None for day in (chosen.first, chosen.last))
    except ValueError:
        raise ValueError("first and last must be days such as 2025-03-31") from None
    return scope_of(held, first, last, well)
