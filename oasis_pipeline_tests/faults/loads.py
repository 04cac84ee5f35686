"""What lies in the drop folder of a trial: small simulated fields, cut so that a pass takes seconds.

Here: making them once, and copying one. Not here: what a file may hold (``simulation`` and the docs say that).
"""

from __future__ import annotations

import os
import shutil
import time
from datetime import date
from pathlib import Path

from oasis_pipeline.simulation.field import simulate_field

INTAKE_LOADS = {
    "cards": ("WellDetails", "CardData"),
    "results": ("XDiagResults", "XDiagRodResults", "Rods"),
    "readings-alone": ("Readings", "Labels", "PumpingUnits", "Deviations"),
}
"""Parts of a small field by the kinds of their files, for passes that begin with an empty warehouse."""

MAKING_LOADS = ("readings", "day", "day with labels")
"""The next day of the field of the base: its sensor readings alone (a pass of a few steps), all of it but labels, or with labels
too, from which a model is learned."""


NOTHING = "nothing"
"""An empty drop folder, for trials that write their own files."""


def write_loads(base: Path) -> None:
    """Write every load below ``base/loads``."""
    loads = base / "loads"
    made = base / "made"
    simulate_field(made, wells=2, days=1, seed=11, start=date(2025, 1, 1), modules=1)
    for name, kinds in INTAKE_LOADS.items():
        folder = loads / name
        folder.mkdir(parents=True)
        for path in (made / "drop").iterdir():
            if path.name.split(".")[0] in kinds:
                shutil.copy(path, folder / path.name)
    # besides what a field sends: a file that can't be read, and one that comes again under a newer stamp
    (loads / "cards" / "WellTests.E2E.20250101.0002.csv").write_text("no header\n")
    results = next((loads / "results").glob("XDiagResults.*.csv"))
    shutil.copy(results, results.with_name("XDiagResults.E2E.20250119.1200.csv"))
    shutil.rmtree(made)
    made = base / "made"
    simulate_field(made, wells=3, days=3, seed=5, start=date(2025, 1, 1), modules=3)
    for name in ("history", *MAKING_LOADS):
        (loads / name).mkdir()
    for path in (made / "drop").iterdir():
        if ".20250104." not in path.name:
            shutil.copy(path, loads / "history" / path.name)
            continue
        shutil.copy(path, loads / "day with labels" / path.name)
        if not path.name.startswith("Labels."):
            shutil.copy(path, loads / "day" / path.name)
        if path.name.startswith("Readings."):
            shutil.copy(path, loads / "readings" / path.name)
    shutil.rmtree(made)


def copy_load(base: Path, name: str, drop: Path) -> None:
    """Copy a load into a drop folder, as files that came a minute ago."""
    moment = time.time() - 60
    folder = base / "loads" / name
    for path in sorted(folder.iterdir()) if name != NOTHING else ():
        target = drop / path.name
        shutil.copyfile(path, target)
        os.utime(target, (moment, moment))
