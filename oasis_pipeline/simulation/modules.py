"""Readings of a few simulated sensor modules: a solar panel, a power supply and a radio beside a well.

Belongs here: what such modules measure over a day, and what goes wrong with them now and then (a stuck sensor, a gap, a spike, values that
somebody filled in). Not here: files (``field``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

STEP = timedelta(minutes=15)
PER_DAY = 96
TYPES = ("P-Solar Panel", "P-AC/DC Input", "Radio-2.4 GHz")
"""Types of modules in turn; a module's number tells its type, as a Readings file does not."""

MEASURES = ("VMPPT", "power_w", "v_supply_v", "current_a", "rssi_dbm", "packets")
"""Every measure of any type: the columns of a file."""


@dataclass(frozen=True)
class ModuleReadings:
    """Readings of one module over some days.

    Attributes
    ----------
    module_num, module_type : str
    times : list of datetime
        UTC, without a zone.
    temperature, voltage : ndarray of float64, shape (n,)
    measures : dict of str to ndarray of float64, shape (n,)
    faults : dict of str to int
        What was put in on purpose: readings by kind of fault.
    """

    module_num: str
    module_type: str
    times: list[datetime]
    temperature: NDArray[np.float64]
    voltage: NDArray[np.float64]
    measures: dict[str, NDArray[np.float64]]
    faults: dict[str, int] = field(default_factory=dict)


def module_readings(count: int, start: datetime, days: int, rng: np.random.Generator) -> list[ModuleReadings]:
    """Simulate modules.

    Parameters
    ----------
    count : int
        Modules, their types in turn.
    start : datetime
        Midnight of the first day.
    days : int
    rng : numpy.random.Generator

    Returns
    -------
    list of ModuleReadings
        A reading each quarter of an hour, a few seconds late as gateways are; the first day of the first module holds a stuck stretch, the
        second a straight line in place of readings, and every module a gap and a spike.
    """
    n = days * PER_DAY
    hour = np.arange(n) % PER_DAY / 4
    sun = np.clip(np.sin((hour - 6.0) / 12.0 * np.pi), 0.0, None)
    found = []
    for number in range(count):
        kind = TYPES[number % len(TYPES)]
        cloud = np.clip(1.0 - 0.3 * np.abs(np.cumsum(rng.normal(0, 0.15, n)) % 2 - 1), 0.3, 1.0)
        air = 14 + 9 * np.sin((hour - 9) / 24 * 2 * np.pi) + rng.normal(0, 0.2, n)
        battery = 3.3 + 0.25 * sun + rng.normal(0, 0.005, n)
        if kind == TYPES[0]:
            measures = {
                "VMPPT": (3.0 + 0.6 * sun) * (sun > 0) + rng.normal(0, 0.01, n) * (sun > 0),
                "power_w": 5.2 * sun * cloud,
            }
        elif kind == TYPES[1]:
            measures = {"v_supply_v": 24 + rng.normal(0, 0.08, n), "current_a": 0.4 + 0.1 * rng.random(n)}
        else:
            measures = {
                "rssi_dbm": -67 + rng.normal(0, 2.5, n),
                "packets": np.round(rng.poisson(120, n).astype(float)),
            }
        faults: dict[str, int] = {}
        seconds = rng.integers(0, 4, n)
        main = next(iter(measures.values()))
        if number == 0:
            main[36:52] = main[36]
            faults["stale"] = 16
            if days > 1:
                power = measures["power_w"]
                low, high = PER_DAY + 40, PER_DAY + 60
                at = np.arange(n) * STEP.total_seconds() + seconds
                power[low : high + 1] = np.interp(at[low : high + 1], at[[low, high]], power[[low, high]])
                faults["interpolated"] = high - low - 1
        main[70] += 60 * float(np.median(np.abs(np.diff(main[np.abs(main) > 0]))))
        faults["spike"] = 1
        keep = np.ones(n, np.bool_)
        gap = int(rng.integers(76, 84))
        keep[gap : gap + 6] = False
        faults["missing"] = 6
        found.append(
            ModuleReadings(
                f"0a.1b.2c.{number + 1:02x}",
                kind,
                [
                    start + i * STEP + timedelta(seconds=int(seconds[i]))
                    for i in np.flatnonzero(keep).tolist()
                ],
                np.round(air[keep], 1),
                np.round(battery[keep], 3),
                {name: np.round(values[keep], 4) for name, values in measures.items()},
                faults,
            )
        )
    return found
