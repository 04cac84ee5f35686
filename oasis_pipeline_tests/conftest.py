"""Fixtures of the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest_plugins = ("oasis_pipeline_tests.fixtures.servers",)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with example data; tests that need it are skipped without it."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    found = Path(os.environ.get("OASIS_SHARED_DATA") or beside)
    if not found.is_dir():
        pytest.skip("no example data: set OASIS_SHARED_DATA")
    return found
