"""The declared graph: its order, and links from Dagster's pages into the platform's own."""

from __future__ import annotations

import subprocess
import sys

import dagster as dg

from oasis_pipeline.assets.build import PAGES, link_to_pages
from oasis_pipeline.assets.graph import BY_KEY, GRAPH


def test_assets_link_to_the_pages_that_show_them() -> None:
    assert PAGES.keys() <= BY_KEY.keys()
    specs = [dg.AssetSpec([*key.split("/")], description="Says.") for key in ("clean/alarm", "clean/roddiag")]
    alarm, rods = link_to_pages(specs, "https://oasis.example/")
    assert alarm.description == "Says.\n\n[Open its page](https://oasis.example/alarms)"
    assert rods.description == "Says."


def test_the_order_does_not_hang_on_who_was_imported_first() -> None:
    code = (
        "from oasis_pipeline.assets import outlook, decisions\n"
        "from oasis_pipeline.assets.graph import GRAPH\n"
        "print(*(asset.key for asset in GRAPH))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == [asset.key for asset in GRAPH]
