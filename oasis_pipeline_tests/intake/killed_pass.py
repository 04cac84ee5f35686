"""A pass that is killed at one of its steps, in a process of its own."""

from __future__ import annotations

import os
import signal

from oasis_pipeline.intake import take_in
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.objects import ObjectStore
from oasis_pipeline.storage.postgres import Address, Warehouse


def run_until(address: Address, store: ObjectStore, settings: Settings, kill_at: int) -> None:
    """Run a pass and kill this process, as the power cut would, when its step number `kill_at` has been done."""
    left = kill_at

    def on_step(_step: str, _file: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    take_in(Warehouse(address), store, settings, on_step=on_step)
