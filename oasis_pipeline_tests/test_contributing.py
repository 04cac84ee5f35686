"""The worked examples of CONTRIBUTING.md, run as they stand there."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from oasis_pipeline.assets import declaration, factory
from oasis_pipeline.assets.common import day_partitions
from oasis_pipeline.assets.graph import PARTITIONED
from oasis_pipeline.assets.resources import build_resources
from oasis_pipeline.intake import take_in
from oasis_pipeline.schema import TABLES, create_table_sql
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.migrate import prepare
from oasis_pipeline.storage.objects import open_store
from oasis_pipeline.storage.postgres import Warehouse

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"


def run_example(name: str) -> dict[str, Any]:
    """Run the block below a mark in a namespace of its own."""
    found = re.findall(rf"<!-- example: {name} -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(found) == 1, name
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(found[0], f"CONTRIBUTING.md, {name}", "exec"), namespace)
    return namespace


def test_every_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (PAGE.parent / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make\s([a-z]+)`", PAGE.read_text())) <= targets


def test_a_feature_is_a_function_of_arrays_of_any_batch_shape() -> None:
    above = run_example("feature")["time_above_middle"]
    load = np.array([[1.0, 1.0, 1.0, 9.0], [1.0, 9.0, 9.0, 9.0], [np.nan] * 4])
    np.testing.assert_array_equal(above(load), [0.25, 0.75, np.nan])
    np.testing.assert_array_equal(above(load[:, None]), [[0.25], [0.75], [np.nan]])
    assert above(load[0]) == 0.25


@pytest.mark.server
def test_a_column_is_added_when_an_installation_is_opened(warehouse: Warehouse) -> None:
    changed = run_example("column")["changed"]
    tables = [changed if each.asset == changed.asset else each for each in TABLES]
    prepare(warehouse.address, tables)
    rows = warehouse.query("select separator_psi from xspoc.welltest")
    assert rows.num_rows == 0


@pytest.mark.server
def test_an_asset_is_one_declaration(
    warehouse: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(declaration, "_declared", {})
    table = run_example("asset")["CARDCOUNT"]
    with warehouse.transaction() as tx:
        for statement in create_table_sql(table):
            tx.execute(statement)
        for hour in (5, 7):
            tx.execute(
                'insert into xspoc.card ("NodeID", "Date", file_stamp) values ($1, $2::timestamp, $2::timestamp)',
                ("A 1", datetime(2025, 3, 1, hour)),
            )
    (asset,) = declaration.declared()
    days = day_partitions(date(2025, 3, 1), date(2025, 3, 1))
    built = factory.build_assets(
        [asset], dict.fromkeys(declaration.Calendar, days), {**PARTITIONED, asset.key: True}, lambda *_: None
    )
    result = dg.materialize(built, resources=build_resources(settings), partition_key="2025-03-01")
    assert result.success
    assert warehouse.query('select "NodeID", cards from clean.cardcount').to_pylist() == [
        {"NodeID": "A 1", "cards": 2}
    ]


@pytest.mark.server
def test_classes_and_sensors_are_data(
    warehouse: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.drop.mkdir(parents=True)
    monkeypatch.chdir(settings.drop)
    for name in ("label", "sensor"):
        run_example(name)
    report = take_in(warehouse, open_store(settings), settings)
    assert {file.kind: (file.stored, file.rejected) for file in report.files} == {
        "Labels": (1, 0),
        "Readings": (2, 0),
    }
    assert warehouse.query('select "TrueLabel1" from clean.dynalabel')["TrueLabel1"].to_pylist() == [
        "Stuck Pump"
    ]
    assert warehouse.query("select measures::text as m from iot.rawdata order by timestamp")["m"][
        0
    ].as_py() == ('{"casing_psi": 112.5, "flowline_f": 96}')
    assert warehouse.query("select module_type from iot.module")["module_type"].to_pylist() == ["unknown"]
