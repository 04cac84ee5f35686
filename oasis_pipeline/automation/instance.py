"""Dagster's own instance: its storage on the platform's PostgreSQL, its settings in the home folder.

Here: what ``dagster.yaml`` of a home folder says. Not here: what is run on it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from oasis_pipeline.home import make_home
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.address import Address

if TYPE_CHECKING:
    import dagster as dg

URL_VARIABLE = "OASIS_DAGSTER_URL"
"""Dagster reads its database address from here, so that no password stands in a file."""


WORKSPACE = {
    "load_from": [
        {"python_module": {"module_name": "oasis_pipeline.definitions", "location_name": "oasis_pipeline"}}
    ]
}
"""Where Dagster's processes find the graph; the same as ``workspace.yaml`` of the checkout."""


def served_workspace(home: Path, socket: Path) -> Path:
    """Write a workspace whose graph comes from a code server that is there already.

    Parameters
    ----------
    home : Path
        Instance folder.
    socket : Path
        Where the code server listens.

    Returns
    -------
    Path
        The file, for ``-w``.
    """
    import yaml

    server = {"grpc_server": {"socket": str(socket), "location_name": "oasis_pipeline"}}
    file = home / "workspace_served.yaml"
    file.write_text(yaml.safe_dump({"load_from": [server]}, sort_keys=False))
    return file


def storage_url(address: Address) -> str:
    """Address of Dagster's tables: the same database, a schema of their own."""
    url = address.sqlalchemy_url()
    return f"{url}{'&' if '?' in url else '?'}options={quote('-csearch_path=dagster')}"


def configuration(settings: Settings) -> dict[str, Any]:
    """Contents of ``dagster.yaml``.

    Parameters
    ----------
    settings : Settings
        Where compute logs go: the bucket where one is configured, else the home folder.

    Returns
    -------
    dict
        As Dagster's documentation describes it.
    """
    config: dict[str, Any] = {
        "storage": {
            "custom": {
                "module": "oasis_pipeline.automation.dagster_storage",
                "class": "PooledPostgresStorage",
                "config": {"postgres_url": {"env": URL_VARIABLE}},
            }
        },
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        # PostgreSQL takes few writers well, and a step that holds many cards fills the memory of a small machine;
        # the jobs of sensors execute runs of their own, one at a time, which count too
        "concurrency": {
            "pools": {"default_limit": 2, "granularity": "op"},
            "runs": {"max_concurrent_runs": 4},
        },
        # a row that has arrived waits for this too before it is seen on the worklist
        "run_coordinator": {
            "module": "dagster",
            "class": "QueuedRunCoordinator",
            "config": {"dequeue_interval_seconds": 1},
        },
        "run_monitoring": {
            "enabled": True,
            "start_timeout_seconds": 300,
            "max_runtime_seconds": 6 * 3600,
            # a run whose process was killed keeps its places in the pools, and the next ones wait for them
            "free_slots_after_run_end_seconds": 60,
        },
        "run_retries": {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False},
        "retention": {
            "schedule": {"purge_after_days": 30},
            "sensor": {"purge_after_days": {"skipped": 2, "failure": 30, "success": 30}},
        },
    }
    if settings.s3_bucket:
        s3: dict[str, Any] = {
            "bucket": settings.s3_bucket,
            "prefix": f"{settings.s3_prefix.strip('/')}/compute_logs".strip("/"),
        }
        if settings.s3_endpoint:
            s3["endpoint_url"] = settings.s3_endpoint
        config["compute_logs"] = {
            "module": "dagster_aws.s3.compute_log_manager",
            "class": "S3ComputeLogManager",
            "config": {**s3, "local_dir": str(settings.dagster_home / "compute_logs")},
        }
    return config


def prepare_home(settings: Settings, address: Address) -> Path:
    """Write ``dagster.yaml`` and ``workspace.yaml``, and point this process and its children at it.

    Parameters
    ----------
    settings : Settings
        The installation.
    address : Address
        The platform's PostgreSQL.

    Returns
    -------
    Path
        The instance folder, also set as ``DAGSTER_HOME``.
    """
    import yaml

    home = settings.dagster_home
    make_home(settings.home)
    home.mkdir(exist_ok=True)
    text = "# Written by oasis at every start.\n" + yaml.safe_dump(configuration(settings), sort_keys=False)
    file = home / "dagster.yaml"
    if not file.exists() or file.read_text() != text:
        file.write_text(text)
    (home / "workspace.yaml").write_text(yaml.safe_dump(WORKSPACE, sort_keys=False))
    os.environ["DAGSTER_HOME"] = str(home)
    # a range of days is as many events: a connection for each of them is most of what a small run costs
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "500")
    os.environ[URL_VARIABLE] = storage_url(address)
    return home


def open_instance(settings: Settings, address: Address) -> dg.DagsterInstance:
    """Open the instance, making its tables at the first time.

    Parameters
    ----------
    settings : Settings
        The installation.
    address : Address
        The platform's PostgreSQL.

    Returns
    -------
    DagsterInstance
    """
    import dagster as dg

    return dg.DagsterInstance.from_config(str(prepare_home(settings, address)))


PASS_TAG = {"oasis/pass": "run"}
"""Tag of the runs that ``oasis run`` executes in its own process."""


def end_runs_of_killed_passes(instance: dg.DagsterInstance) -> int:
    """End runs that a killed ``oasis run`` left under way, and free the places in the pools that they and ended runs still hold.

    Without it two killed passes leave no place in a pool, and every later run waits for ever. Call it under the lock of a pass: no other
    pass is alive then.

    Parameters
    ----------
    instance : DagsterInstance
        Instance of the installation.

    Returns
    -------
    int
        Number of runs that were ended.
    """
    import dagster as dg

    under_way = [
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    dead = instance.get_runs(dg.RunsFilter(statuses=under_way, tags=PASS_TAG))
    for run in dead:
        # canceled and not failed: the next pass makes what is missing, and the daemon must not try this run again
        instance.report_run_canceled(run, message="the process that executed this run was ended")
    for run_id in instance.event_log_storage.get_concurrency_run_ids():
        holder = instance.get_run_by_id(run_id)
        if holder is None or holder.is_finished:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return len(dead)
