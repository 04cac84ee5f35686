"""Names and bytes of drop files."""

from __future__ import annotations

import gzip
import io
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.intake import chunks, unpacking
from oasis_pipeline.intake.files import parse_name, read_chunks
from oasis_pipeline.intake.unpacking import TextStream, UnreadableFileError
from oasis_pipeline.schema import DROP_KINDS

TESTS = DROP_KINDS["WellTests"]
HEADER = "NodeID,TestDate,OilRate"


def read(data: bytes, suffix: str = ".csv", kind: Any = TESTS) -> list[tuple[int, tuple[Any, ...]]]:
    """Row number and row, malformed lines among them."""
    rows: list[tuple[int, tuple[Any, ...]]] = []
    for chunk in read_chunks(data, suffix, kind):
        rows += [(int(n), tuple(chunk.raw_row(i).values())) for i, n in enumerate(chunk.row_numbers)]
        rows += [(line.row_number, (line.reason, line.text)) for line in chunk.malformed]
    return sorted(rows)


def attempt(data: bytes, suffix: str = ".csv") -> list[tuple[int, tuple[Any, ...]]] | str:
    """Rows, or why there are none."""
    try:
        return read(data, suffix)
    except UnreadableFileError as error:
        return str(error)


@pytest.mark.parametrize("kind", list(DROP_KINDS))
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_every_kind_has_its_names(kind: str, suffix: str) -> None:
    drop = parse_name(f"{kind}.E2E.20260102.0304{suffix}")
    assert drop is not None
    assert (drop.kind.name, drop.stamp, drop.suffix) == (kind, datetime(2026, 1, 2, 3, 4), suffix)


def test_only_failures_come_as_excel_too() -> None:
    taken = [kind for kind in DROP_KINDS if parse_name(f"{kind}.E2E.20260102.0304.xlsx")]
    assert taken == ["Failures"]


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt", "CardData.csv", "CardData.E2E.20260102.csv", "CardData.E2E.20260230.0000.csv", "CardData.E2E.20260102.2400.csv",
        "CardData.E2E.20260102.0060.csv", "Cards.E2E.20260102.0304.csv", "CardData.E2E.20260102.0304.csv.tmp",
        "CardData.E2E.20260102.0304", ".CardData.E2E.20260102.0304.csv", "CardData.E2E.00000102.0304.csv",
        "CardData.E2E.20260102.0304.csv.csv", "CardData.E2E.٢٠٢٦٠١٠٢.0304.csv",
    ],
)  # fmt: skip
def test_names_that_fit_no_kind(name: str) -> None:
    assert parse_name(name) is None


@given(st.text())
def test_any_name_is_told_or_refused(name: str) -> None:
    assert parse_name(name) is None or name.startswith(tuple(DROP_KINDS))


def test_rows_are_numbered_from_1_after_the_header_and_faulty_lines_keep_their_number() -> None:
    data = f"{HEADER}\nA,2026-01-01,1\nB,2026-01-01\n\nC,2026-01-01,3,4\nD,2026-01-01,4\n".encode()
    assert read(data) == [
        (1, ("A", "2026-01-01", "1")),
        (2, ("2 fields where the header has 3", "B,2026-01-01")),
        (3, ("4 fields where the header has 3", "C,2026-01-01,3,4")),
        (4, ("D", "2026-01-01", "4")),
    ]


@given(st.lists(st.integers(1, 5), max_size=40), st.integers(64, 200))
def test_numbers_hold_across_blocks(widths: list[int], block: int) -> None:
    lines = [",".join([f"n{row}", *["x"] * (width - 1)]) for row, width in enumerate(widths, 1)]
    before = chunks.BLOCK_BYTES
    try:
        chunks.BLOCK_BYTES = block
        rows = read("\n".join([HEADER, *lines]).encode())
    finally:
        chunks.BLOCK_BYTES = before
    assert [number for number, _ in rows] == list(range(1, len(widths) + 1))
    for (number, row), width in zip(rows, widths, strict=True):
        assert (row[0] == f"n{number}") == (width == 3)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_quotes_byte_order_mark_and_line_ends(end: str, bom: str, last: bool) -> None:
    lines = [HEADER, '"A, ""north""",2026-01-01,1', '"B","2026-01-01",""']
    data = (bom + end.join(lines) + (end if last else "")).encode()
    assert read(data) == [(1, ('A, "north"', "2026-01-01", "1")), (2, ("B", "2026-01-01", ""))]


def test_a_line_break_in_quotes_belongs_to_the_value() -> None:
    assert read(f'{HEADER}\n"A\nB",2026-01-01,1\nC,2026-01-02,2\n'.encode())[1] == (
        2,
        ("C", "2026-01-02", "2"),
    )


def test_a_quotation_mark_never_closed_is_a_faulty_row() -> None:
    data = f'{HEADER}\nA 2" rod,2026-01-01,1\nB,"2026-01-01,1\nC,2026-01-01,1\n'.encode()
    assert read(data)[1][0] == 2
    assert "fields" in read(data)[1][1][0]
    data = f'{HEADER}\nA,2026-01-01,1\nB,2026-01-01,"1\nC,2026-01-01,1\n'.encode()
    assert read(data) == [
        (1, ("A", "2026-01-01", "1")),
        (2, ("a quotation mark is never closed", "B,2026-01-01,1\nC,2026-01-01,1\n")),
    ]
    with pytest.raises(UnreadableFileError, match="quotation mark in the first row is never closed"):
        read(f'"{HEADER}\nA,2026-01-01,1\n'.encode())


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_separators_encodings_and_brackets(separator: str, encoding: str, suffix: str) -> None:
    rows = [
        ["[NodeID]", "[ TestDate ]", '"[OilRate]"'],
        ["Brunnen Ä 💧 1", "2026-01-01", "1.5"],
        ["B", '"a,;\t"', "2"],
    ]
    text = "\r\n".join(separator.join(row) for row in rows)
    data = (b"\xfe\xff" if encoding == "utf-16-be" else b"") + text.encode(encoding)
    data = gzip.compress(data) if suffix == ".csv.gz" else data
    chunk = next(read_chunks(data, suffix, TESTS))
    assert chunk.header.index == {"NodeID": 0, "TestDate": 1, "OilRate": 2}
    assert read(data, suffix) == [(1, ("Brunnen Ä 💧 1", "2026-01-01", "1.5")), (2, ("B", "a,;\t", "2"))]


@given(
    st.text(alphabet='aÄ💧\n\r,"x', max_size=60), st.integers(2, 40), st.sampled_from(["utf-8", "utf-16-le"])
)
def test_text_is_the_same_in_any_encoding_whatever_the_blocks(text: str, block: int, encoding: str) -> None:
    data = {"utf-8": b"", "utf-16-le": b"\xff\xfe"}[encoding] + text.encode(encoding)
    before = unpacking.HEAD_BYTES
    try:
        unpacking.HEAD_BYTES = block
        stream = TextStream(pa.BufferReader(data))
        parts = list(iter(lambda: stream.read(block), b""))
    finally:
        unpacking.HEAD_BYTES = before
    assert all(len(part) <= block for part in parts)
    ended = text if not text or text[-1] in "\r\n" else text + "\n"
    assert b"".join(parts).decode() == ended
    assert stream.quotes == text.count('"')


def test_names_of_columns_match_exactly_then_without_regard_to_case() -> None:
    header = chunks.match_header(TESTS, ["nodeid", "TestDate", " OILRATE ", "Colour", "testdate"])
    assert header.index == {"NodeID": 0, "TestDate": 1, "OilRate": 2}
    assert header.ignored == ("Colour", "testdate")
    assert header.missing == ("Approved", "Duration", "WaterRate", "GasRate", "FluidAbovePump")


def test_unknown_columns_may_repeat() -> None:
    header = chunks.match_header(TESTS, ["NodeID", "TestDate", "", ""])
    assert header.names == ("NodeID", "TestDate", "", " (4)")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"A,2026-01-01,1\nB,2026-01-01,2\n", "no column NodeID, TestDate in the first row"),
        (b"NodeID,OilRate\nA,1\n", "no column TestDate"),
        (b"NodeID,TestDate,NodeID\nA,2026-01-01,B\n", "column NodeID appears in the header 2 times"),
        (b"nodeid,TestDate,NODEID\nA,2026-01-01,B\n", "column NodeID appears in the header 2 times"),
        (b"NodeID,TestDate\nA\xff,2026-01-01\n", "not UTF-8"),
        ("NodeID,TestDate\nA,2026-01-01\n".encode("utf-16-le"), "no column NodeID.*UTF-16 without a mark"),
        ("NodeID,TestDate\nA,2026-01-01\n".encode("utf-16")[:-1], "not UTF-16"),
        ("NodeID,TestDate\nA,2026-01-01\n".encode("utf-32"), "UTF-32"),
        (b"NodeID|TestDate\nA|2026-01-01\n", "no column NodeID"),
    ],
)
def test_a_csv_that_can_not_be_read_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableFileError, match=reason):
        read(data)


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (b"not gzip", ".csv.gz"),
        (gzip.compress(f"{HEADER}\nA,2026-01-01,1\n".encode(), mtime=0)[:-9], ".csv.gz"),
        (b"", ".csv.gz"),
        (b"not parquet", ".parquet"),
        (b"", ".parquet"),
        (b"PAR1garbagePAR1", ".parquet"),
        (b"not a zip", ".xlsx"),
        (b"PK\x03\x04", ".xlsx"),
    ],
)
def test_damaged_files_say_so(data: bytes, suffix: str) -> None:
    with pytest.raises(UnreadableFileError):
        read(data, suffix)


def test_a_quotation_mark_never_closed_in_a_long_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "BLOCK_BYTES", 1 << 12)
    data = f'{HEADER}\n"A,2026-01-01,1\n'.encode() + b"B,2026-01-01,1\n" * 1000
    with pytest.raises(UnreadableFileError, match="quotation mark"):
        read(data)


def test_parquet_of_any_type_reads_like_csv(tmp_path: Path) -> None:
    table = pa.table(
        {
            "NodeID": pa.array(["A", "B"]).dictionary_encode(),
            "TestDate": pa.array([datetime(2026, 1, 1, 1, 2, 3, 456_789), None], pa.timestamp("us")),
            "Approved": [True, None],
            "OilRate": [0.1, float("nan")],
            "WaterRate": pa.array([0.1, None], pa.float32()),
            "GasRate": pa.array([3, 4], pa.int16()),
            "Duration": pa.array([date(2026, 1, 1), None]),
            "no values": [[1], None],
            "bytes": [b"\x01\xff", None],
        }
    )
    path = tmp_path / "x.parquet"
    pq.write_table(table, path)
    row = ("A", "2026-01-01 01:02:03.456789", "true", "0.1", "0.1", "3", "2026-01-01", None, "01ff")
    assert read(path.read_bytes(), ".parquet") == [
        (1, row),
        (2, ("B", None, None, "nan", None, "4", None, None, None)),
    ]


def test_parquet_column_that_is_no_value(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"NodeID": ["A"], "TestDate": [[1, 2]]}), path)
    with pytest.raises(UnreadableFileError, match="column TestDate of type list"):
        read(path.read_bytes(), ".parquet")


def test_excel_reads_like_csv() -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in [
        ["NodeID", "Failure Start Date", "Failure End Date", "Failures"],
        ["A", datetime(2026, 1, 1, 12, 30), date(2026, 1, 2), "Rod part"],
        [None, None, None, None],
        [12, "1/3/2026", None, True],
    ]:
        book.active.append(row)
    data = io.BytesIO()
    book.save(data)
    assert read(data.getvalue(), ".xlsx", DROP_KINDS["Failures"]) == [
        (1, ("A", "2026-01-01 12:30:00", "2026-01-02 00:00:00", "Rod part")),
        (2, ("12", "1/3/2026", "", "true")),
    ]


@given(st.binary(max_size=300), st.sampled_from([".csv", ".csv.gz", ".parquet", ".xlsx"]))
def test_any_bytes_are_read_or_refused_with_a_reason(data: bytes, suffix: str) -> None:
    outcome = attempt(data, suffix)
    if isinstance(outcome, str):
        assert outcome
    else:
        assert [number for number, _ in outcome] == list(range(1, len(outcome) + 1))


@pytest.mark.parametrize("data", [HEADER, f"\n\n{HEADER}", f"\ufeff{HEADER}", f"{HEADER}\n"])
def test_a_header_alone_is_a_file_without_rows(data: str) -> None:
    assert read(data.encode()) == []


@given(st.binary(max_size=300))
def test_any_bytes_after_a_good_header_keep_their_numbers(data: bytes) -> None:
    outcome = attempt(HEADER.encode() + b"\n" + data)
    if isinstance(outcome, str):
        assert "UTF-8" in outcome
    else:
        assert [number for number, _ in outcome] == list(range(1, len(outcome) + 1))
