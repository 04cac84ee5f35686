"""Fixtures of the whole suite."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

# how long an example takes says something of the machine, not of the code
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

# files that tests write are whole when they are written
os.environ["OASIS_SETTLE_SECONDS"] = "0.2"

pytest_plugins = ("oasis_pipeline_tests.fixtures.servers",)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with example data; tests that need it are skipped without it."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    found = Path(os.environ.get("OASIS_SHARED_DATA") or beside)
    if not found.is_dir():
        pytest.skip("no example data: set OASIS_SHARED_DATA")
    return found


_SERVERS = {"embedded_server", "s3_server", "server_folder", "server_folder_of_module"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need a server, and put the longest files first: no process is left alone with one at the end."""
    for item in items:
        if _SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)

    def rank(item: pytest.Item) -> int:
        if {"end_to_end", "commands"} & set(item.path.parts):
            return 0
        return 1 if item.get_closest_marker("server") else 2

    items.sort(key=rank)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Leave signals as they were: what a test lets ignore, the processes of all later ones would ignore too."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        return (yield)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
