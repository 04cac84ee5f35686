"""The newest run of each job, out of Dagster's own tables: for those who have no Dagster at hand."""

from __future__ import annotations

from typing import Any

from oasis_pipeline.storage.postgres import Transaction, Warehouse


def newest_runs(source: Warehouse | Transaction) -> list[dict[str, Any]]:
    """The newest run of each job that has ended within 30 days, as Dagster keeps it.

    Returns
    -------
    list of dict
        ``job``, ``run_id``, ``status`` (``SUCCESS`` or ``FAILURE``), ``at`` (its end, seconds since 1970), ``seconds`` (how long it took); empty
        before Dagster has made its tables.
    """
    if source.query("SELECT to_regclass('dagster.runs')::text AS name")["name"][0].as_py() is None:
        return []
    found: list[dict[str, Any]] = source.query(
        "SELECT DISTINCT ON (pipeline_name) pipeline_name AS job, run_id, status, end_time AS at, end_time - start_time AS seconds"
        " FROM dagster.runs WHERE status IN ('SUCCESS', 'FAILURE')"
        " AND create_timestamp > (now() AT TIME ZONE 'UTC') - interval '30 days' ORDER BY pipeline_name, id DESC"
    ).to_pylist()
    return found
