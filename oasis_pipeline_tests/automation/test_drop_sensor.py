"""The sensor of the drop folder: a pass for every file that arrives, and none for ever for what can't be taken in."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import dagster as dg
import pytest

from oasis_pipeline.assets.resources import build_resources
from oasis_pipeline.automation.jobs import build_jobs
from oasis_pipeline.automation.sensors import RETRY_S, DropCursor, build_sensors
from oasis_pipeline.intake import take_in
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.objects import LocalStore
from oasis_pipeline.storage.postgres import Warehouse

CARD = "CardData.E2E.20260110.1200.csv"


def test_what_a_pass_left_is_asked_for_again_only_now_and_then() -> None:
    cursor = DropCursor()
    assert cursor.ask(["a 1 1 1 1"], set(), 1000.0)
    assert not cursor.ask(["a 1 1 1 1"], set(), 1010.0), "the run has not begun yet"
    assert not cursor.ask(["a 1 1 1 2"], {"a 1 1 1 2"}, 1020.0)
    assert cursor.ask(["a 1 1 1 2", "b 1 1 2 1"], {"a 1 1 1 2"}, 1030.0), "another one came"
    times = [1030.0 + 10 * tick for tick in range(1, 360)]
    asked = [at for at in times if cursor.ask(["a 1 1 1 2"], {"a 1 1 1 2"}, at)]
    assert len(asked) == 3600 // RETRY_S - 1
    assert DropCursor.parse(str(cursor)) == cursor


def test_a_pass_that_fails_is_not_asked_for_at_every_tick_though_each_renames_the_files() -> None:
    cursor = DropCursor()
    asked = sum(cursor.ask([f"a 1 1 1 {tick}"], set(), 10.0 * tick, failed=tick > 0) for tick in range(360))
    assert asked == 3600 // RETRY_S
    assert cursor.ask(["b 1 1 1 1"], set(), 3600.0, failed=True), "a new file"


def test_a_cursor_of_an_earlier_release_is_forgotten() -> None:
    assert DropCursor.parse("3f2a7b") == DropCursor() == DropCursor.parse(None)


@pytest.mark.server
def test_the_same_file_dropped_again_with_the_same_time_is_asked_for_again(
    warehouse: Warehouse, settings: Settings, local_store: LocalStore, tmp_path: Path
) -> None:
    (sensor,) = [each for each in build_sensors(build_jobs()) if each.name == "new_drop_files"]
    source = tmp_path / CARD
    source.write_text("NodeID,Date,SPM\nA,2026-01-09,1\n")
    os.utime(source, (1_700_000_000,) * 2)
    settings.drop.mkdir(parents=True)
    keys: list[str] = []
    state: list[str | None] = [None]

    def tick() -> int:
        resources = {"warehouse": build_resources(settings)["warehouse"]}
        with (
            dg.DagsterInstance.ephemeral() as instance,
            dg.build_sensor_context(instance=instance, cursor=state[0], resources=resources) as context,
        ):
            result = sensor(context)
        if isinstance(result, dg.SkipReason):
            return 0
        assert isinstance(result, dg.SensorResult)
        state[0] = result.cursor
        keys.extend(str(request.run_key) for request in result.run_requests or [])
        return len(result.run_requests or [])

    assert tick() == 0
    for seen_empty in (True, False, False):
        shutil.copy2(source, settings.drop)
        assert tick() == 1
        assert tick() == 0, "once asked is enough"
        take_in(warehouse, local_store, settings)
        assert list(settings.drop.iterdir()) == []
        if seen_empty:
            assert tick() == 0
    assert len(set(keys)) == 3
    (settings.drop / CARD).symlink_to(source)
    assert tick() == 0, "nothing that a pass would take in"
    shutil.copy2(source, settings.drop / "CardData.E2E.20520110.1200.csv")
    assert tick() == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            LocalStore, "put_file", lambda *_args: (_ for _ in ()).throw(OSError(28, "No space left"))
        )
        shutil.copy2(source, settings.drop / "CardData.E2E.20260110.1300.csv")
        assert tick() == 1
        report = take_in(warehouse, local_store, settings)
    assert "No space left" in report.left["CardData.E2E.20260110.1300.csv"]
    assert [tick() for _ in range(3)] == [0, 0, 0], "left by a pass: tried again, but not at every tick"
