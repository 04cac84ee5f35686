"""Links from Dagster's pages into the platform's own."""

from __future__ import annotations

import dagster as dg

from oasis_pipeline.assets.build import PAGES, link_to_pages
from oasis_pipeline.assets.graph import BY_KEY


def test_assets_link_to_the_pages_that_show_them() -> None:
    assert PAGES.keys() <= BY_KEY.keys()
    specs = [dg.AssetSpec([*key.split("/")], description="Says.") for key in ("clean/alarm", "clean/roddiag")]
    alarm, rods = link_to_pages(specs, "https://oasis.example/")
    assert alarm.description == "Says.\n\n[Open its page](https://oasis.example/alarms)"
    assert rods.description == "Says."
