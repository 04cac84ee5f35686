"""A field of 120 wells over eight days behind the pages, and what they ask of the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from oasis_pipeline.storage.postgres import Transaction
from oasis_pipeline_tests.fixtures.field import empty_field, fill_field
from oasis_pipeline_tests.service.conftest import Service

WELLS, DAYS = 120, 8


@pytest.fixture
def field(service: Service) -> Iterator[Service]:
    forget()
    fill_field(service.warehouse, WELLS, DAYS)
    yield service
    empty_field(service.warehouse)


@pytest.fixture
def bare(service: Service) -> Service:
    """Nothing has arrived yet."""
    empty_field(service.warehouse)
    forget()
    return service


def forget() -> None:
    """Forget colours of classes, which are looked up now and then only."""
    # what needs a configured Django is imported where it is used
    from oasis_pipeline.service.pages import cards

    cards._colours.clear()


class Asked:
    """Statements that requests run, with their parameters."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, Any]] = []

    def scans(self, service: Service, tables: set[str]) -> list[str]:
        """Scans of some tables that would read all of them, by the planner's word where it may not choose so freely.

        A small table is read whole whatever indexes it has: the planner is told not to, and what it can't avoid then has no index.
        """
        found: list[str] = []
        address = service.warehouse.address.uri()
        with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
            cursor.execute("set enable_seqscan = off")
            for number, (sql, params) in enumerate(self.statements):
                # as the driver does it: prepared, so that types of parameters come from the statement
                cursor.execute(f"prepare asked_{number} as {sql}")
                places = ", ".join(["%s"] * len(params))
                given = cursor.mogrify(f"({places})", params).decode() if params else ""
                cursor.execute(f"explain (format json) execute asked_{number}{given}")
                plan = cursor.fetchone()
                assert plan is not None
                found += [
                    f"{node['Relation Name']}: {sql}"
                    for node in _nodes(plan[0][0]["Plan"])
                    if node.get("Relation Name") in tables and not _by_index(node)
                ]
        return found


def _nodes(plan: dict[str, Any], parent: str = "") -> Iterator[dict[str, Any]]:
    yield {**plan, "Parent": parent}
    for part in plan.get("Plans", []):
        yield from _nodes(part, plan["Node Type"])


def _by_index(node: dict[str, Any]) -> bool:
    conditions = str(node.get("Index Cond", "")) + str(node.get("Recheck Cond", ""))
    # the first entry of an index is the least value
    ends = node["Parent"] == "Limit" and node["Node Type"] == "Index Only Scan"
    return ends or (node["Node Type"] != "Seq Scan" and bool(conditions))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What is asked from here on."""
    kept = Asked()
    plain = Transaction.query

    def query(self: Transaction, sql: str, params: Any = ()) -> Any:
        kept.statements.append((sql, params))
        return plain(self, sql, params)

    monkeypatch.setattr(Transaction, "query", query)
    return kept
