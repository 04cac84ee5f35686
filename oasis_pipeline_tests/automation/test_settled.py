"""A pass with nothing to do, told without loading the graph."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oasis_pipeline.automation import settled
from oasis_pipeline.automation.settled import SETTLED_FILE, forget_settled, is_settled, note_settled
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Warehouse


def change_rows(warehouse: Warehouse, home: Path) -> None:
    with warehouse.transaction() as tx:
        ledger.mark_changed(tx, "xspoc/card", {"2025-01-01": 3})


def fail(warehouse: Warehouse, home: Path) -> None:
    with warehouse.transaction() as tx:
        ledger.mark_failed(tx, "clean/carddiag", ["2025-01-01"], "no")


def choose_model(warehouse: Warehouse, home: Path) -> None:
    with warehouse.transaction() as tx:
        tx.execute("UPDATE oasis.model SET in_use = true")


def ask_for_model(warehouse: Warehouse, home: Path) -> None:
    with warehouse.transaction() as tx:
        tx.execute(
            "INSERT INTO oasis.prediction_request (day, version, asked_at) VALUES ('2025-01-01', 'v', now())"
        )


def name_prices(warehouse: Warehouse, home: Path) -> None:
    (home / "economics.toml").write_text("oil_price_per_bbl = 61.0\n")


def change_code(warehouse: Warehouse, home: Path) -> None:
    (home / "package" / "assets.py").write_text("VERSION = 2\n")


@pytest.mark.server
@pytest.mark.parametrize("change", [change_rows, fail, choose_model, ask_for_model, name_prices, change_code])
def test_any_change_that_could_make_something_stale_is_seen(
    change: Callable[[Warehouse, Path], None],
    settings: Settings,
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.home.mkdir(exist_ok=True)
    package = settings.home / "package"
    package.mkdir()
    (package / "assets.py").write_text("VERSION = 10\n")
    monkeypatch.setattr(settled.oasis_pipeline, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(settled, "views_current", lambda warehouse: True)
    with warehouse.transaction() as tx:
        tx.execute(
            "INSERT INTO oasis.model (name, version, sha256, path, manifest, is_base, in_use, created_at)"
            " VALUES ('m', 'v', '', '', '{}', false, false, now())"
        )
    assert not is_settled(warehouse, settings)
    note_settled(warehouse, settings)
    assert is_settled(warehouse, settings)
    change(warehouse, settings.home)
    assert not is_settled(warehouse, settings)


@pytest.mark.server
def test_views_of_other_sql_and_a_forgotten_note_are_work(
    settings: Settings, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.home.mkdir(exist_ok=True)
    note_settled(warehouse, settings)
    # nobody has made the views yet
    assert not is_settled(warehouse, settings)
    monkeypatch.setattr(settled, "views_current", lambda warehouse: True)
    assert is_settled(warehouse, settings)
    forget_settled(settings)
    assert not is_settled(warehouse, settings)
    assert not (settings.home / SETTLED_FILE).exists()


_IDLE = """
import sys
from pathlib import Path
from oasis_pipeline.automation import passes
from oasis_pipeline.settings import load_settings
passes.is_settled = lambda warehouse, settings: True
settings = load_settings(Path(sys.argv[1]), database_url=sys.argv[2])
summary = passes.run_pass(settings)
assert not summary.runs
print(*sorted({"dagster", "numba", "sktime", "sklearn", "dbt", "matplotlib"} & sys.modules.keys()))
"""


@pytest.mark.server
def test_a_pass_that_finds_nothing_loads_no_graph(settings: Settings, warehouse: Warehouse) -> None:
    settings.drop.mkdir(parents=True, exist_ok=True)
    given = [str(settings.home), warehouse.address.uri()]
    done = subprocess.run([sys.executable, "-c", _IDLE, *given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
