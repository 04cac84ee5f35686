"""Examples of pages that no test of their subject runs: they are run as they stand, and pages of new ones are named here."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from oasis_pipeline.decisions.economics import Economics, parse_economics
from oasis_pipeline.intake.failures import package_rules, read_rules, reduce_text
from oasis_pipeline.learning.site_models import parse_site_models
from oasis_pipeline.operations.reading_days import FLAGS, readings_schema
from oasis_pipeline.storage.day_files import write_days
from oasis_pipeline.storage.objects import LocalStore
from oasis_pipeline.storage.postgres import Warehouse

ROOT = Path(__file__).parents[1]
HOW_TO = (ROOT / "docs" / "how-to.md").read_text()
RUN_HERE = {"dashboards.md", "decisions.md", "diagnosis.md"}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_every_page_with_an_example_is_named_by_a_test_that_runs_it() -> None:
    tests = "".join(
        file.read_text()
        for file in (ROOT / "oasis_pipeline_tests").rglob("test_*.py")
        if file != Path(__file__)
    )
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    with_examples = {
        page.name for page in pages if re.search(r"^```(?!sh\n)[a-z]+\n", page.read_text(), re.MULTILINE)
    }
    assert len(with_examples) > 8
    assert sorted(name for name in with_examples - RUN_HERE if f'"{name}"' not in tests) == []


def test_the_prices_shown_are_the_defaults() -> None:
    (shown,) = blocks((ROOT / "docs" / "decisions.md").read_text(), "toml")
    assert parse_economics(shown) == Economics()


def test_the_card_of_the_diagnosis_is_diagnosed(capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = blocks((ROOT / "docs" / "physics" / "diagnosis.md").read_text(), "python")
    exec(shown, {})
    assert "fillage" in capsys.readouterr().out


def test_site_models_and_failure_classes_of_the_manual_can_be_used(tmp_path: Path) -> None:
    models, rule = blocks(HOW_TO, "toml")
    named = parse_site_models(models)
    assert (named.trend.forecaster, named.comparison.classifier) == tuple(
        re.findall(r"(sktime\.[\w.]+)", models)
    )
    (tmp_path / "failure_classes.toml").write_text(rule)
    rules = [*read_rules(tmp_path), *package_rules()]
    assert reduce_text("Polished Rod - Bent", rules) == "Polished Rod"


def test_the_readings_of_the_manual_are_those_without_the_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime(2026, 3, 1, 5, 30, tzinfo=UTC)
    row = {"module_num": "0a.17", "module_type": "pressure", "timestamp": at, "received_at": at}
    flags = dict.fromkeys(FLAGS, False)
    rows = [row | flags | {"value": 1.0}, row | flags | {"value": 2.0, "stale": True}]
    table = pa.Table.from_pylist(rows, readings_schema())
    store = LocalStore(tmp_path / ".oasis" / "store")
    write_days(store, "iot/readings", [table], [date(2026, 3, 1)], "timestamp", group_by="module_type")
    monkeypatch.chdir(tmp_path)
    (shown,) = blocks(HOW_TO, "python")
    made: dict[str, Any] = {}
    exec(shown, made)
    assert list(made["rows"]["value"]) == [1.0]


@pytest.mark.server
def test_statements_that_pages_show_are_answered(warehouse: Warehouse) -> None:
    shown = re.findall(r"psql \"\$\(oasis dsn\)\" -c '([^']+)'", HOW_TO)
    shown += [
        " ".join(text.split()).replace("...", "true") for text in re.findall(r"`(select [^`]+)`", HOW_TO)
    ]
    shown += blocks((ROOT / "docs" / "dashboards.md").read_text(), "sql")
    assert len(shown) == 4
    for statement in shown:
        assert warehouse.query(statement).num_rows == 0
