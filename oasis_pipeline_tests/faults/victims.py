"""What the victims of trials do: passes of intake and whole passes, each in a forked process of its own.

Here: functions that ``warm`` runs by name, with arguments that JSON can hold. Not here: what is done to them.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import resource
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oasis_pipeline.automation.passes import run_pass
from oasis_pipeline.intake import take_in
from oasis_pipeline.settings import load_settings
from oasis_pipeline.storage.installation import using_warehouse
from oasis_pipeline.storage.objects import open_store
from oasis_pipeline_tests.faults import points


def intake(environment: Mapping[str, str], **faults: Any) -> dict[str, Any]:
    """Take in the drop folder, and no more."""
    settings = _settings(environment, faults)
    with using_warehouse(settings) as warehouse:
        report = take_in(warehouse, open_store(settings), settings)
    return {
        "changed": report.changed,
        "warnings": report.warnings,
        "points": points.passed(),
        "processor_s": time.process_time(),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def whole(environment: Mapping[str, str], **faults: Any) -> dict[str, Any]:
    """A pass as ``oasis run`` does it."""
    settings = _settings(environment, faults)
    summary = run_pass(settings)
    summary.raise_failures()
    return {
        "changed": summary.intake.changed,
        "warnings": summary.intake.warnings,
        "runs": [run["assets"] for run in summary.runs],
        "seconds": summary.seconds,
        "points": points.passed(),
        "processor_s": time.process_time(),
    }


def _settings(environment: Mapping[str, str], faults: Mapping[str, Any]) -> Any:
    for name in [name for name in os.environ if name.startswith(("OASIS_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ.update(environment)
    home = Path(environment["OASIS_HOME"])
    # where it hangs, if it hangs
    faulthandler.register(
        signal.SIGUSR1, file=(home.parent / f"stacks.{os.getpid()}").open("w"), all_threads=True
    )
    logging.disable(logging.CRITICAL)
    points.arm(**faults)
    return load_settings()
