"""The platform left alone with a drop folder, and looked at in a browser.

``oasis up`` runs on a home whose drop folder holds files: sensors have to take them in and make everything. Then a person
opens the pages and starts a backfill of a range.
"""

from __future__ import annotations

import json
import re
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from oasis_pipeline.automation.staleness import current_plan
from oasis_pipeline.simulation.field import simulate_field
from oasis_pipeline.storage.embedded import running
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.fixtures.platform import Up, free_port
from oasis_pipeline_tests.fixtures.servers import server_home

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(2400)]

DAYS = 3
PATIENCE_S = 1200


class Platform:
    """A running platform and ways to ask it."""

    def __init__(self, up: Up, port: int) -> None:
        self.up = up
        self.url = f"http://127.0.0.1:{port}"
        address = running(up.home / "postgres")
        assert address is not None
        self.warehouse = Warehouse(type(address)(address.host, address.port, address.user, "oasis"))

    def ask(self, query: str) -> Any:
        request = urllib.request.Request(
            f"{self.url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def runs(self) -> list[dict[str, Any]]:
        found = self.ask(
            "{ runsOrError { ... on Runs { results { runId status jobName tags { key value } } } } }"
        )
        runs: list[dict[str, Any]] = found["runsOrError"]["results"]
        return runs

    def wait(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not what():
            assert self.up.process.poll() is None, self.up.said()
            failed = [run for run in self.runs() if run["status"] == "FAILURE"]
            assert not failed, failed
            assert time.monotonic() < end, self.tell()
            time.sleep(1)

    def tell(self) -> str:
        """What happened so far: runs, stale partitions, the last ticks and the end of each log."""
        told = [f"{run['jobName']} {run['status']}" for run in self.runs()]
        told.append(str(current_plan(self.warehouse)))
        ticks = self.warehouse.query("select tick_body from dagster.job_ticks order by id desc limit 6")
        told += ticks["tick_body"].to_pylist()
        told += [f"{log.name}: {log.read_text()[-3000:]}" for log in (self.up.home / "logs").iterdir()]
        return "\n".join(told)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    field = tmp_path_factory.mktemp("field")
    simulate_field(field, wells=4, days=DAYS, seed=7, start=date.today() - timedelta(days=DAYS))
    with server_home() as folder:
        home = folder / "home"
        shutil.copytree(field / "drop", home / "drop")
        port = free_port()
        up = Up(home, port)
        try:
            up.wait_for("Ctrl-C stops all of it.")
            yield Platform(up, port)
        finally:
            up.kill()


def test_what_lies_in_the_drop_folder_becomes_predictions_by_itself(platform: Platform) -> None:
    drop = platform.up.home / "drop"
    platform.wait(lambda: not list(drop.iterdir()))
    house = platform.warehouse
    platform.wait(lambda: house.query("select count(*) as n from clean.dynapred")["n"][0].as_py() > 0)
    platform.wait(lambda: not current_plan(house))
    usable = house.query(
        "select count(*) as n from xspoc.card where surfcard_fault is null or pocdowncard_fault is null"
    )["n"][0].as_py()
    assert house.query("select count(*) as n from clean.dynapred")["n"][0].as_py() == usable > 10
    assert house.query("select count(*) as n from xspoc.merged")["n"][0].as_py() >= usable


def test_the_pages_show_the_graph_and_its_pictures_and_start_a_backfill(
    platform: Platform, tmp_path: Path
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    platform.wait(
        lambda: platform.warehouse.query("select count(*) as n from clean.dynapred")["n"][0].as_py() > 0
    )
    platform.wait(lambda: not current_plan(platform.warehouse))
    first = (date.today() - timedelta(days=DAYS)).isoformat()
    calendar = '{ assetNodeOrError(assetKey: {path: ["clean", "dynabounds"]}) { ... on AssetNode { partitionKeys } } }'
    platform.wait(lambda: first in platform.ask(calendar)["assetNodeOrError"].get("partitionKeys", ()))
    before = {run["runId"] for run in platform.runs()}
    with sync_api.sync_playwright() as play:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = play.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1900, "height": 1700})
        page.set_default_timeout(90_000)

        for group, assets in (
            ("clean", ("card_features", "dynabounds", "dynapred", "dynalabel")),
            ("forecasts", ("cardpred", "winpred", "alarm")),
            ("decisions", ("wellstatus", "worklist", "setpoint")),
        ):
            # the lineage draws only what lies in the window
            page.goto(f"{platform.url}/locations/oasis_pipeline/asset-groups/{group}/lineage")
            page.get_by_text(assets[0], exact=True).first.wait_for()
            page.get_by_role("tab", name="List").click()
            for asset in assets:
                page.get_by_text(re.compile(f"^clean ?/ ?{asset}$")).first.wait_for()

        page.goto(f"{platform.url}/assets/clean/dynapred")
        page.get_by_text("Most probable class, or Unknown").wait_for()
        page.get_by_text("[Show Markdown]").first.click()
        picture = page.get_by_role("dialog").locator("img").first
        picture.wait_for()
        assert str(picture.get_attribute("src")).startswith("data:image/png")
        page.keyboard.press("Escape")

        page.goto(f"{platform.url}/assets/clean/dynabounds")
        page.get_by_role("button", name="Materialize").first.click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="All", exact=True).click()
        dialog.get_by_role("button", name="Launch", exact=False).click()
        dialog.wait_for(state="detached")
        browser.close()

    def backfilled() -> list[dict[str, Any]]:
        return [run for run in platform.runs() if run["runId"] not in before and run["status"] == "SUCCESS"]

    platform.wait(lambda: bool(backfilled()))
    runs = backfilled()
    assert len(runs) == 1, "a range is one run"
    tags = {tag["key"]: tag["value"] for tag in runs[0]["tags"]}
    assert tags["dagster/asset_partition_range_start"] == first
