"""``/metrics``: figures of the pipeline in the text form of Prometheus.

Here: the statements and the text. Not here: figures that take longer than a moment, which are kept with the alerts (``oasis.figure``).

It is two statements over the book-keeping and the ends of indexes, whatever the size of the field; one more if Dagster has run. All processes of the
service answer the same, for nothing of it is counted in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from oasis_pipeline.service.access import logged_in, require
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.rows import storage_error
from oasis_pipeline.service.warehouse import installation, reading
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.postgres import Transaction
from oasis_pipeline.storage.runs import newest_runs

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

METRICS = {
    "oasis_files_in_total": ("counter", "kind", "Files taken in"),
    "oasis_rows_in_total": ("counter", "kind", "Rows that files brought and that stand in a table or did"),
    "oasis_rows_superseded_total": ("counter", "kind", "Rows that lost to another one of the same key"),
    "oasis_rows_rejected_total": ("counter", "kind", "Rows refused"),
    "oasis_last_file_timestamp_seconds": ("gauge", "kind", "When the last file was taken in"),
    "oasis_left_files": ("gauge", "", "Files that the last pass left where they are"),
    "oasis_newest_row_age_seconds": ("gauge", "table", "Age of the newest row, by the field's clock"),
    "oasis_source_last_read_timestamp_seconds": ("gauge", "source", "When a live source was last read whole"),
    "oasis_asset_rows": ("gauge", "asset", "Rows that the asset holds"),
    "oasis_asset_changed_timestamp_seconds": ("gauge", "asset", "When its rows last changed"),
    "oasis_asset_failed_partitions": ("gauge", "asset", "Partitions that could not be made the last time"),
    "oasis_asset_stale_partitions": ("gauge", "asset", "Partitions that are stale"),
    "oasis_stale_counted_timestamp_seconds": ("gauge", "", "When stale partitions were last counted"),
    "oasis_job_ended_timestamp_seconds": ("gauge", "job", "When its newest run ended"),
    "oasis_job_seconds": ("gauge", "job", "How long that run took"),
    "oasis_job_succeeded": ("gauge", "job", "Whether that run succeeded, 1 or 0"),
    "oasis_alerts_open": ("gauge", "level", "Alerts that are open"),
    "oasis_alert_messages_waiting": ("gauge", "receiver", "Messages that wait for their time"),
    "oasis_alert_messages_failing": (
        "gauge",
        "receiver",
        "Messages that could not be sent and are tried again",
    ),
}
"""Name -> its kind, its label (empty: none), and what it is."""

_FILES = (
    "SELECT kind, count(*) AS files, sum(stored)::bigint AS stored, sum(superseded)::bigint AS superseded, sum(rejected)::bigint AS rejected,"
    " extract(epoch FROM max(loaded_at))::float8 AS at FROM oasis.file GROUP BY kind"
)
_OTHERS = """
WITH state AS (
    SELECT asset, sum(rows) AS rows, max(changed_at) AS at, count(*) FILTER (WHERE error IS NOT NULL) AS failed
    FROM oasis.asset_state WHERE asset NOT LIKE '%\\_history' GROUP BY asset
), owed AS (
    SELECT receiver, count(*) FILTER (WHERE error IS NULL) AS waiting, count(*) FILTER (WHERE error IS NOT NULL) AS failing
    FROM oasis.alert_delivery WHERE sent_at IS NULL GROUP BY receiver
), newest (name, at) AS (
    SELECT 'xspoc.card', max("Date") FROM xspoc.card
    UNION ALL SELECT 'xspoc.xdiagresults', max("Date") FROM xspoc.xdiagresults
    UNION ALL SELECT 'xspoc.welltest', max("TestDate") FROM xspoc.welltest
)
SELECT 'oasis_left_files' AS name, '' AS label, count(*)::float8 AS value FROM oasis.left_file
UNION ALL SELECT 'oasis_newest_row_age_seconds', name, extract(epoch FROM $1::timestamp - at)::float8 FROM newest WHERE at IS NOT NULL
UNION ALL SELECT 'oasis_source_last_read_timestamp_seconds', source, extract(epoch FROM at)::float8 FROM oasis.source_task WHERE task = 'sweep'
UNION ALL SELECT 'oasis_asset_rows', asset, rows::float8 FROM state WHERE rows IS NOT NULL
UNION ALL SELECT 'oasis_asset_changed_timestamp_seconds', asset, extract(epoch FROM at)::float8 FROM state WHERE at IS NOT NULL
UNION ALL SELECT 'oasis_asset_failed_partitions', asset, failed::float8 FROM state
UNION ALL SELECT 'oasis_asset_stale_partitions', label, value FROM oasis.figure WHERE name = 'stale_partitions' AND label <> ''
UNION ALL SELECT 'oasis_stale_counted_timestamp_seconds', '', extract(epoch FROM at)::float8
    FROM oasis.figure WHERE name = 'stale_partitions' AND label = ''
UNION ALL SELECT 'oasis_alerts_open', level, (SELECT count(*) FROM oasis.alert AS a WHERE a.level = l.level AND a.state = 'open')::float8
    FROM unnest(array['failure', 'warning', 'info']) AS l (level)
UNION ALL SELECT 'oasis_alert_messages_waiting', receiver, waiting::float8 FROM owed
UNION ALL SELECT 'oasis_alert_messages_failing', receiver, failing::float8 FROM owed
"""


@logged_in
def show(request: HttpRequest) -> HttpResponseBase:
    """Answer with all figures."""
    try:
        require(request, "tables")
        with reading() as tx:
            text = render(figures(tx, installation().field_now()))
    except ApiError as error:
        return HttpResponse(
            f"# {error.reason}\n", status=error.status, content_type=CONTENT_TYPE, headers=error.headers
        )
    except StorageError as error:
        known = storage_error(error)
        return HttpResponse(
            f"# {known.reason}\n", status=known.status, content_type=CONTENT_TYPE, headers=known.headers
        )
    return HttpResponse(text, content_type=CONTENT_TYPE)


def figures(tx: Transaction, now: datetime) -> dict[str, dict[str, float]]:
    """Work out all figures.

    Parameters
    ----------
    tx : Transaction
    now : datetime
        By the field's clock.

    Returns
    -------
    dict of str to dict of str to float
        Metric -> label -> value.
    """
    found: dict[str, dict[str, float]] = {name: {} for name in METRICS}
    for row in tx.query(_FILES).to_pylist():
        kind = row["kind"]
        found["oasis_files_in_total"][kind] = row["files"]
        found["oasis_rows_in_total"][kind] = row["stored"]
        found["oasis_rows_superseded_total"][kind] = row["superseded"]
        found["oasis_rows_rejected_total"][kind] = row["rejected"]
        found["oasis_last_file_timestamp_seconds"][kind] = row["at"]
    for row in tx.query(_OTHERS, (now,)).to_pylist():
        found[row["name"]][row["label"]] = row["value"]
    for run in newest_runs(tx):
        found["oasis_job_ended_timestamp_seconds"][run["job"]] = run["at"]
        found["oasis_job_seconds"][run["job"]] = run["seconds"]
        found["oasis_job_succeeded"][run["job"]] = float(run["status"] == "SUCCESS")
    return found


def render(found: Mapping[str, Mapping[str, float]]) -> str:
    """Write figures as Prometheus reads them."""
    return "".join(line for name in METRICS for line in _lines(name, found.get(name, {})))


def _lines(name: str, values: Mapping[str, Any]) -> Iterable[str]:
    kind, label, what = METRICS[name]
    if not values:
        return
    yield f"# HELP {name} {what}.\n# TYPE {name} {kind}\n"
    for of, value in sorted(values.items()):
        if value is not None:
            yield f'{name}{{{label}="{_escaped(of)}"}} {value!r}\n' if label else f"{name} {value!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
