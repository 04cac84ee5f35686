from __future__ import annotations

import csv
from datetime import date, datetime
from pathlib import Path

import numpy as np

from oasis_pipeline.intake.files import parse_name, read_chunks
from oasis_pipeline.intake.rules import Rules
from oasis_pipeline.readings.quality import interpolated_values, stale_values
from oasis_pipeline.simulation.field import MODULE_DAYS, simulate_field
from oasis_pipeline.simulation.modules import MEASURES, TYPES, module_readings


def test_modules_measure_what_their_type_does_and_carry_faults() -> None:
    found = module_readings(4, datetime(2026, 3, 1), 2, np.random.default_rng(1))
    assert [module.module_type for module in found] == [*TYPES, TYPES[0]]
    assert {name for module in found for name in module.measures} == set(MEASURES)
    for module in found:
        assert len(module.times) == 2 * 96 - module.faults["missing"]
        assert all(np.isfinite(values).all() for values in module.measures.values())
        assert module.times == sorted(module.times)
    first = found[0]
    times = np.array(first.times, "datetime64[us]").astype(np.int64)
    assert stale_values(first.measures["VMPPT"]).sum() == first.faults["stale"] == 16
    assert interpolated_values(times, first.measures["power_w"]).sum() == first.faults["interpolated"]


def test_readings_are_files_that_intake_takes_whole_and_the_rest_of_the_field_is_the_same(
    tmp_path: Path,
) -> None:
    without = simulate_field(tmp_path / "a", 1, 3, 3, start=date(2026, 3, 1))
    found = simulate_field(tmp_path / "b", 1, 3, 3, start=date(2026, 3, 1), modules=2)
    assert list(found["modules"].values()) == list(TYPES[:2])
    for path in (tmp_path / "a" / "drop").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "drop" / path.name).read_bytes()
    assert without["files"] + MODULE_DAYS == found["files"]
    files = sorted((tmp_path / "b" / "drop").glob("Readings.*"))
    assert [path.name for path in files] == [f"Readings.E2E.2026030{day}.0013.csv" for day in (2, 3, 4)]
    for path in files:
        drop = parse_name(path.name)
        assert drop is not None
        rules = Rules(drop, date(2000, 1, 1))
        for chunk in read_chunks(path, drop.suffix, drop.kind):
            assert len(rules.check(chunk).rejected) == 0
    with files[0].open() as stream:
        assert {row["timestamp"][:10] for row in csv.DictReader(stream)} == {"2026-03-01"}
