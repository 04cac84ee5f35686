"""Files of a small foreign field: the platform takes them in, and the truth goes with them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from benchmarks.foreign.conditions import CLASSES
from benchmarks.foreign.files import FIRST_DAY, write_field
from oasis_pipeline.intake import take_in
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.objects import LocalStore
from oasis_pipeline.storage.postgres import Warehouse


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foreign")
    write_field(folder, seed=5, wells=5, days=6)
    return folder


def test_the_platform_takes_in_every_file(
    made: Path, warehouse: Warehouse, local_store: LocalStore, settings: Settings
) -> None:
    shutil.copytree(made / "drop", settings.drop, dirs_exist_ok=True)
    for path in settings.drop.iterdir():
        os.utime(path, (time.time() - 60,) * 2)
    report = take_in(warehouse, local_store, settings)
    assert not report.warnings
    assert len(report.files) == len(list((made / "drop").iterdir()))
    assert sum(file.rejected for file in report.files) == 0
    cards = warehouse.query('SELECT count(*) AS n, count("Runtime") AS known FROM xspoc.card').to_pylist()[0]
    truth = pq.read_table(made / "truth" / "cards.parquet")
    assert cards["n"] == cards["known"] == truth.num_rows
    usable = warehouse.query(
        "SELECT count(*) AS n FROM xspoc.card WHERE cardinality(surfcard_load) > 20"
    ).to_pylist()
    assert usable[0]["n"] == truth.num_rows


def test_truth_is_whole(made: Path) -> None:
    truth = pq.read_table(made / "truth" / "cards.parquet")
    first = truth["condition1"].to_pylist()
    assert set(first) <= set(CLASSES)
    parted = np.array([name == "Parted Rod" for name in first])
    pressure = truth["pump_intake_pressure_psi"].to_numpy()
    assert np.isnan(pressure[parted]).all()
    assert (pressure[~parted] > 0).all()
    assert (truth["production_bpd"].to_numpy()[parted] == 0).all()


def test_a_second_field_does_not_mix_with_the_first(made: Path) -> None:
    with pytest.raises(FileExistsError, match="without one"):
        write_field(made, seed=6, wells=2, days=1)


def test_same_seed_same_field(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_field(tmp_path / name, seed=3, wells=2, days=2)
    a, b = (pq.read_table(tmp_path / name / "truth" / "cards.parquet") for name in ("a", "b"))
    assert a.equals(b)


def test_a_lifelike_field_has_workovers_before_its_data(tmp_path: Path) -> None:
    write_field(tmp_path / "field", seed=4, wells=3, days=3, lifelike=True)
    told = csv.read_csv(tmp_path / "field" / "drop" / "Failures.E2E.20230306.0100.csv").to_pylist()
    assert told
    assert all(row["Failure Start Date"] < row["Failure End Date"] < FIRST_DAY for row in told)
    cards = pq.read_table(tmp_path / "field" / "truth" / "cards.parquet")
    assert 5 <= cards.num_rows <= 9
