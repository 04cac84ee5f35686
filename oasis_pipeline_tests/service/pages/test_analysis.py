"""The page of the analysis: any period, one well or the field, as a page and as a file."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from datetime import date

import pytest

from oasis_pipeline.operations.analysis_facts import Scope
from oasis_pipeline.operations.analysis_report import Report, keep_field_report
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.objects import open_store
from oasis_pipeline_tests.service.conftest import Service
from oasis_pipeline_tests.service.pages.conftest import Asked

pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def _nothing_kept(service: Service) -> Iterator[None]:
    def forget() -> None:
        # what needs a configured Django is imported where it is used
        from oasis_pipeline.service.pages import analysis

        analysis._reports().clear()
        store = open_store(service.settings)
        for path in store.list("analysis/"):
            store.delete(path)

    forget()
    yield
    forget()


def text(service: Service, path: str, status: int = 200) -> str:
    answer = service.get(path, role="viewer")
    while answer.status == 202:
        assert answer.headers["refresh"] == "1"
        assert b"The report is being made" in answer.body
        time.sleep(0.05)
        answer = service.get(path, role="viewer")
    assert answer.status == status, answer.body[:2000]
    return answer.body.decode()


def test_an_empty_warehouse_says_what_to_do(bare: Service) -> None:
    for path in ("/analysis", "/analysis?from=2025-01-01&to=2025-02-01", "/analysis?well=nobody"):
        page = text(bare, path)
        assert "No cards have arrived yet" in page
        assert "oasis run" in page
    assert "Nothing to report yet" in text(bare, "/analysis?format=html", 404)


def test_readers_see_it_and_find_it_in_the_head_of_each_page(field: Service) -> None:
    for role in ("viewer", "engineer", "admin"):
        answer = field.get("/analysis", role=role)
        assert answer.status in (200, 202)
        assert b'aria-current="page">Analysis' in answer.body
    assert field.get("/analysis", role="device").status == 403
    answer = field.get("/analysis?well=a%20b&from=2025-03-01", role=None)
    assert (answer.status, answer.headers["location"]) == (
        302,
        "/login/?next=%2Fanalysis%3Fwell%3Da%2520b%26from%3D2025-03-01",
    )


def test_the_whole_field_is_told_of_with_ways_to_its_wells(field: Service) -> None:
    page = text(field, "/analysis")
    # of 120 wells over 8 days, the 12 silent ones send on two days only
    assert "<b>900</b><span>cards</span>" in page.replace("\n", "")
    for heading in (
        "Coverage and gaps", "Cadence", "Failures and run life", "Distributions", "Correlations", "Outliers", "The vendor&#x27;s labels",
        "What is missing", "What was refused",
    ):  # fmt: skip
        assert heading.replace("&#x27;", "'") in page, heading
    assert 'href="/analysis?from=2025-03-24&amp;to=2025-03-31&amp;well=Well+0007"' in page
    assert "24 Mar 2025 to 31 Mar 2025" in page
    assert len(page) < 500_000


def test_a_well_and_a_period_have_an_address_of_their_own(field: Service) -> None:
    page = text(field, "/analysis?from=2025-03-26&to=2025-03-28&well=well+0001")
    assert "<h1>Data of Well 0001, 26 Mar 2025 to 28 Mar 2025</h1>" in page
    assert "<b>3</b><span>cards</span>" in page
    assert 'value="2025-03-26"' in page
    assert 'value="Well 0001"' in page
    assert 'href="/well/Well%200001"' in page
    link = re.search(r'href="(/analysis\?[^"]*format=html)"', page)
    assert link is not None
    answer = field.get(link.group(1).replace("&amp;", "&"), role="viewer")
    assert (
        answer.headers["content-disposition"] == 'attachment; filename="analysis_2025-03-26_2025-03-28.html"'
    )
    document = answer.body.decode()
    assert document.startswith("<!doctype html>")
    assert not re.findall(r'(?:src|href)="', document)


def test_what_lies_outside_of_the_data_is_cut_off_or_told(field: Service) -> None:
    assert "24 Mar 2025 to 31 Mar 2025" in text(field, "/analysis?from=0001-01-01&to=9999-12-31")
    assert "29 Mar 2025 to 31 Mar 2025" in text(field, "/analysis?from=2025-03-29")
    for path, words in (
        ("?from=2025-03-30&to=2025-03-29", "before its first day"),
        ("?to=0001-01-01", "they are from 2025-03-24 to 2025-03-31"),
        ("?from=9999-12-31", "they are from 2025-03-24 to 2025-03-31"),
        ("?from=yesterday", "write it as 2025-03-31"),
        ("?to=2025-02-30", "write it as 2025-03-31"),
        ("?from=%00", "write it as 2025-03-31"),
        (f"?well={'x' * 201}", "at most 200 characters"),
    ):
        assert words in text(field, f"/analysis{path}", 400)


@pytest.mark.parametrize(
    "well",
    ["nobody", "%00", "%27%20or%20true%20--", "%3Cscript%3E", "%F0%9F%9B%A2%EF%B8%8F", "%ED%A0%80", "%25"],
)
def test_a_well_that_is_none_is_told(field: Service, well: str) -> None:
    page = text(field, f"/analysis?well={well}", 404)
    assert "No well is called" in page
    assert "<script>" not in page


def test_nothing_in_particular_is_answered_by_what_the_asset_has_kept(field: Service, asked: Asked) -> None:
    store = open_store(field.settings)
    keep_field_report(store, Report(Scope(date(2025, 3, 25), date(2025, 3, 31)), "<p>Kept.</p>", "", ""))
    asked.statements.clear()
    page = text(field, "/analysis")
    assert "<p>Kept.</p>" in page
    assert "25 Mar 2025 to 31 Mar 2025" in page
    assert "Made by the asset" in page
    assert not [sql for sql, _ in asked.statements if "carddiag" in sql]
    assert "<p>Kept.</p>" not in text(field, "/analysis?from=2025-03-25")


def test_a_report_is_remembered_until_something_changes(field: Service, asked: Asked) -> None:
    path = "/analysis?from=2025-03-30"
    text(field, path)
    asked.statements.clear()
    text(field, path)
    assert not [sql for sql, _ in asked.statements if "carddiag" in sql]
    with field.warehouse.transaction() as tx:
        tx.execute(
            "insert into oasis.asset_state (asset, partition, changed_tick, made_tick) values ('of/a_test', '', 99999999, 0)"
        )
    try:
        text(field, path)
        assert [sql for sql, _ in asked.statements if "carddiag" in sql]
    finally:
        with field.warehouse.transaction() as tx:
            tx.execute("delete from oasis.asset_state where asset = 'of/a_test'")
    lock = field.settings.home / "service" / "reports.lock"
    assert lock.stat().st_mode & 0o077 == 0, "who can open it can hold it"


def test_a_report_that_takes_long_is_waited_for_by_the_page(
    field: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oasis_pipeline.service.pages import analysis

    begun, may_end = threading.Event(), threading.Event()
    real = analysis.make_report
    made = []

    def slow(*given: object) -> Report:
        made.append(given)
        begun.set()
        assert may_end.wait(60)
        return real(*given)

    monkeypatch.setattr(analysis, "make_report", slow)
    monkeypatch.setattr(analysis, "PATIENCE", 0.001)
    path = "/analysis?from=2025-03-28&to=2025-03-29"
    for ending in ("", "&format=html"):
        answer = field.get(path + ending, role="viewer")
        assert (answer.status, answer.headers["refresh"], answer.headers["retry-after"]) == (202, "1", "1")
        assert b"28 Mar 2025 to 29 Mar 2025</h1>" in answer.body
    assert begun.wait(60)
    may_end.set()
    assert "What was refused" in text(field, path)
    assert len(made) == 1
    # kept where other processes of the service find it
    analysis._reports.cache_clear()
    assert "What was refused" in text(field, path)
    assert len(made) == 1


def test_a_report_that_can_not_be_made_is_told_and_tried_again(
    field: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oasis_pipeline.service.pages import analysis

    real, failures = analysis.make_report, [StorageError("it took too long", sqlstate="57014")]

    def once(*given: object) -> Report:
        if failures:
            raise failures.pop()
        return real(*given)

    monkeypatch.setattr(analysis, "make_report", once)
    monkeypatch.setattr(analysis, "PATIENCE", 30.0)
    path = "/analysis?from=2025-03-27&to=2025-03-29"
    text(field, path, 503)
    assert "What was refused" in text(field, path)


def test_a_rule_file_that_can_not_be_read_is_named(field: Service) -> None:
    path = field.settings.home / "vendor_labels.toml"
    path.write_text("no toml [")
    try:
        assert "vendor_labels.toml" in text(field, "/analysis", 409)
    finally:
        path.unlink()


def test_one_wells_report_reads_its_rows_by_an_index(field: Service, asked: Asked) -> None:
    asked.statements.clear()
    text(field, "/analysis?well=Well+0001&from=2025-03-26")
    assert asked.scans(field, {"card", "carddiag", "dynapred"}) == []
