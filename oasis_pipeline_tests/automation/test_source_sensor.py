"""The sensor of the live source: an increment when there is news, seldom looks at what does not answer."""

from __future__ import annotations

import dagster as dg
import pytest

from oasis_pipeline.assets.resources import build_resources
from oasis_pipeline.automation.jobs import build_jobs
from oasis_pipeline.automation.sensors import SOURCE_LONGEST_S, SourceCursor, build_sensors
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.fixtures.xspoc import Xspoc


def test_looks_at_a_source_that_does_not_answer_grow_rare_and_begin_anew() -> None:
    cursor, looks = SourceCursor(), 0
    for now_s in range(0, 86_400, 15):
        if cursor.due(60, now_s):
            looks += 1
            cursor.looked(now_s, failed=True)
    assert 86_400 / SOURCE_LONGEST_S < looks < 86_400 / SOURCE_LONGEST_S + 8
    cursor.looked(86_400)
    assert cursor.pause_s(60) == 60
    assert cursor.due(60, 1000), "the clock was set back"
    assert SourceCursor.parse(str(cursor)) == cursor
    assert SourceCursor.parse("of an earlier release") == SourceCursor()


def test_an_increment_that_failed_is_counted_once() -> None:
    cursor = SourceCursor()
    cursor.looked(0, asked=True)
    for _ in range(5):
        cursor.take(failed=True)
    assert cursor.failures == 1
    cursor.looked(120, asked=True)
    cursor.take(failed=False)
    assert (cursor.failures, cursor.asked) == (0, 2)


@pytest.mark.server
def test_ticks_and_the_run_they_ask_for(
    warehouse: Warehouse, settings: Settings, new_xspoc: Xspoc, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = build_jobs()
    (sensor,) = [each for each in build_sensors(jobs) if each.name == "live_source"]
    state: list[str | None] = [None]
    with dg.DagsterInstance.ephemeral() as instance:

        def tick() -> dg.SensorResult | dg.SkipReason:
            resources = {name: build_resources(settings)[name] for name in ("warehouse", "store")}
            with dg.build_sensor_context(instance=instance, cursor=state[0], resources=resources) as context:
                result = sensor(context)
            assert isinstance(result, (dg.SensorResult, dg.SkipReason))
            state[0] = getattr(result, "cursor", None) or state[0]
            return result

        def run(expected: int) -> None:
            result = tick()
            assert isinstance(result, dg.SensorResult)
            requests = result.run_requests or []
            assert len(requests) == expected, result.skip_reason
            for request in requests:
                resources = {name: build_resources(settings)[name] for name in ("warehouse", "store")}
                assert jobs.source.execute_in_process(
                    resources=resources, instance=instance, tags=request.tags
                ).success

        assert "no live source" in str(tick())
        settings.home.mkdir(parents=True)
        (settings.home / "source.toml").write_text("every_seconds = 5\n")
        monkeypatch.setenv("OASIS_SOURCE_URL", new_xspoc.address.uri())
        new_xspoc.card("A", settings.field_now().replace(hour=0, minute=0, microsecond=0))
        run(1)
        assert warehouse.query("SELECT count(*) AS n FROM xspoc.card")["n"][0].as_py() == 1
        run(0)
        cursor = SourceCursor.parse(state[0])
        cursor.at_s = 0
        state[0] = str(cursor)
        run(0)
        monkeypatch.setenv("OASIS_SOURCE_URL", "postgresql://u:hunter2@127.0.0.1:1/none")
        (settings.home / "source.toml").write_text("every_seconds = 5\nschema = 5\n")
        state[0] = str(SourceCursor(asked=1))
        result = tick()
        assert isinstance(result, dg.SensorResult)
        assert "source.toml can't be used" in str(result.skip_reason)
        assert SourceCursor.parse(result.cursor).failures == 1
