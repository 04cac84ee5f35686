"""SQL Server: the statements as they are compiled for it, and its types as the driver hands them over."""

from __future__ import annotations

import builtins
import uuid
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mssql

from oasis_pipeline.intake.files import parse_name, read_chunks
from oasis_pipeline.intake.rules import Rules
from oasis_pipeline.intake.sources import statements
from oasis_pipeline.intake.sources.base import SourceError
from oasis_pipeline.intake.sources.connection import SourceConnection, parse_url
from oasis_pipeline.intake.sources.mapping import ColumnMapping, Mapping
from oasis_pipeline.intake.sources.rows import to_arrow
from oasis_pipeline.intake.sources.statements import SourceTable
from oasis_pipeline.schema import DROP_KINDS

UTC = ZoneInfo("UTC")
AT = datetime(2026, 1, 5, 7, 30)


def table(kind: str, *columns: str) -> SourceTable:
    return SourceTable(
        DROP_KINDS[kind], "dbo", f"tbl{kind}", {name: ColumnMapping(name) for name in columns}, (), "mssql"
    )


def compiled(statement: sa.Select[Any]) -> str:
    text = str(statement.compile(dialect=mssql.dialect(), compile_kwargs={"literal_binds": True}))
    return " ".join(text.split())


CARDS = table("CardData", "NodeID", "Date", "SurfaceCardB")


def test_a_page_is_a_top_by_key_without_row_values_and_with_times_of_no_language() -> None:
    text = compiled(CARDS.page(500, since={"A's": AT, "B": AT}, until=AT, after=["A's", AT]))
    assert text.startswith(
        "SELECT TOP 500 [NodeID] AS [NodeID], [Date] AS [Date], [SurfaceCardB] AS [SurfaceCardB] FROM [dbo].[tblCardData] WHERE "
    )
    assert (
        "([NodeID] = 'A''s' AND [Date] >= CAST('2026-01-05 07:30:00' AS DATETIME2(3)) OR [NodeID] = 'B' AND "
        in text
    )
    assert (
        "([NodeID] > 'A''s' OR [NodeID] = 'A''s' AND [Date] > CAST('2026-01-05 07:30:00' AS DATETIME2(3)))"
        in text
    )
    assert text.endswith("ORDER BY [NodeID], [Date]")


def test_the_other_statements() -> None:
    rods = table("Rods", "NodeID", "RodNum")
    assert compiled(rods.page(10, after=["A", 2])) == (
        "SELECT TOP 10 [NodeID] AS [NodeID], [RodNum] AS [RodNum] FROM [dbo].[tblRods]"
        " WHERE [NodeID] > 'A' OR [NodeID] = 'A' AND [RodNum] > 2 ORDER BY [NodeID], [RodNum]"
    )
    assert compiled(CARDS.newer({"A": AT}, AT)).startswith(
        "SELECT TOP 1 [NodeID] FROM [dbo].[tblCardData] WHERE "
    )
    assert compiled(CARDS.next_well("A")).startswith("SELECT min([NodeID])")
    assert compiled(CARDS.extent()).startswith("SELECT count(*)")
    assert (
        compiled(statements.clock("mssql"))
        == "SELECT sysdatetime() AS sysdatetime_1, sysutcdatetime() AS sysutcdatetime_1"
    )
    columns = compiled(statements.columns_of("mssql", "DBO"))
    assert columns == (
        "SELECT [TABLE_NAME], [COLUMN_NAME], [DATA_TYPE] FROM [INFORMATION_SCHEMA].[COLUMNS] WHERE lower([TABLE_SCHEMA]) = 'dbo'"
    )


def test_types_as_the_driver_hands_them_over_go_through_the_rules_of_drop_files(tmp_path: Any) -> None:
    # real and float: float; int, smallint: int; bit: bool; money, numeric: Decimal; char, nvarchar, text: str; datetime: datetime;
    # varbinary: bytes; uniqueidentifier: UUID; date: date
    blob = b"\0\0\x80\x3f" * 4
    kind = table(
        "XDiagResults",
        "NodeID",
        "Date",
        "FillagePct",
        "PPRL",
        "TubingLeak",
        "CurrentMonthlyElec",
        "PumpCond1",
        "AnalysisDate",
    )
    rows = [
        ("A", AT, 80, 21000.5, True, Decimal("1234.5600"), uuid.UUID(int=1), date(2026, 1, 5)),
        ("B", AT.replace(microsecond=123_333), None, 7.0, None, None, None, None),
        ("C", AT, 5, Decimal("6.5"), False, 3, "x", AT),
    ]
    made = to_arrow(kind, rows, UTC, UTC)
    types = dict(zip(made.schema.names, made.schema.types, strict=True))
    assert types["FillagePct"] == pa.int64()
    assert types["PPRL"] == types["CurrentMonthlyElec"] == pa.float64()
    assert types["TubingLeak"] == pa.bool_()
    assert types["Date"] == types["AnalysisDate"] == pa.timestamp("us")
    assert to_arrow(CARDS, [("A", AT, blob), ("B", AT, None)], UTC, UTC)["SurfaceCardB"].type == pa.binary()
    pa.parquet.write_table(made, tmp_path / "x.parquet")
    drop = parse_name("XDiagResults.E2E.20260105.0800.parquet")
    assert drop is not None
    (chunk,) = read_chunks(tmp_path / "x.parquet", ".parquet", drop.kind)
    checked = Rules(drop, date(2000, 1, 1)).check(chunk)
    assert checked.refused == 0
    values = checked.rows.to_pylist()
    assert values[0]["CurrentMonthlyElec"] == "1234.56" or values[0]["CurrentMonthlyElec"] == 1234.56
    assert [row["PPRL"] for row in values] == [21000.5, 7.0, 6.5]
    assert values[1]["Date"] == AT.replace(microsecond=123_000)
    assert values[0]["AnalysisDate"] == datetime(2026, 1, 5)


def test_an_hour_that_comes_twice_and_one_that_is_left_out() -> None:
    rows = [
        ("A", datetime(2026, 11, 1, 6, 30), None),
        ("A", datetime(2026, 11, 1, 7, 30), None),
        ("A", datetime(2026, 3, 8, 8, 30), None),
    ]
    local = to_arrow(CARDS, rows, UTC, ZoneInfo("America/Chicago"))["Date"].to_pylist()
    assert local == [datetime(2026, 11, 1, 1, 30), datetime(2026, 11, 1, 1, 30), datetime(2026, 3, 8, 3, 30)]


@pytest.mark.parametrize("text", ["", "mysql://h/d", "mssql://h", "not a url", "postgresql://u:p@h"])
def test_an_address_that_can_not_be_used(text: str) -> None:
    with pytest.raises(SourceError, match="write mssql://"):
        parse_url(text)


def test_a_server_that_is_not_there_is_one_clear_line_without_the_password() -> None:
    waits: list[float] = []
    connection = SourceConnection(parse_url("mssql://sa:hunter2@127.0.0.1:1/XSPOC"), Mapping(), waits.append)
    with pytest.raises(SourceError, match="does not answer") as error:
        connection.read(statements.clock("mssql"))
    assert "hunter2" not in str(error.value) + str(connection.where)
    assert waits == [1.0, 4.0, 16.0]


def test_without_the_driver_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def none(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "pymssql":
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", none)
    with pytest.raises(SourceError, match=r"oasis-pipeline\[mssql\]"):
        SourceConnection(parse_url("mssql://u:p@h/XSPOC"), Mapping())
