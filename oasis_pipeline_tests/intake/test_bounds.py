"""Files made of too much: what they take is bounded, what is left out is counted, and the reason is said."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import multiprocessing
import re
import resource
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_pipeline.intake import chunks, load, reload_days, take_in, unpacking
from oasis_pipeline.intake.files import parse_name, read_chunks
from oasis_pipeline.intake.readers import csv as csv_reader
from oasis_pipeline.intake.readers import xlsx as xlsx_reader
from oasis_pipeline.intake.rules import Rules
from oasis_pipeline.intake.unpacking import UnreadableFileError
from oasis_pipeline.schema import DROP_KINDS, table
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.objects import LocalStore
from oasis_pipeline.storage.postgres import Address, Warehouse
from oasis_pipeline_tests.intake.conftest import Field, csv, hex_card

TESTS = DROP_KINDS["WellTests"]
HEADER = "NodeID,TestDate,OilRate"
NAME = "WellTests.E2E.20260110.1200.csv"


def read(data: bytes, suffix: str = ".csv", kind: Any = TESTS) -> list[chunks.Chunk]:
    return list(read_chunks(data, suffix, kind))


def parquet(rows: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(rows), file, **options)
    return file.getvalue()


# ---- rows that can't be used


def test_a_file_of_which_nearly_all_rows_have_another_width_is_refused_whole() -> None:
    bad, good = "A,2026-01-01", "A,2026-01-01,1"
    with pytest.raises(
        UnreadableFileError, match=r"100 of the 104 rows .* which has 3; most have 2.* by a comma\?"
    ):
        read(csv(HEADER, *[bad] * 100, *[good] * 4).encode())
    assert sum(chunk.malformed_rows for chunk in read(csv(HEADER, *[bad] * 99).encode())) == 99
    assert sum(len(chunk) for chunk in read(csv(HEADER, *[bad] * 100, *[good] * 6).encode())) == 6


def test_a_hopeless_file_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "HOPELESS_LINES", 1000)
    with pytest.raises(UnreadableFileError, match="1,000 of the first 1,000 rows"):
        read(gzip.compress(csv(HEADER, *["x"] * 1_000_000).encode(), 1), ".csv.gz")


@pytest.mark.server
def test_rejects_beyond_a_number_are_counted_and_stay_rejected(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "KEPT_ROWS", 5)
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1 << 11)  # many chunks
    lines = [f"A,2026-01-{1 + row % 9:02d},{row}" for row in range(20)]
    lines += [f"B,1999-01-01,{row}" for row in range(20)]  # refused for a setting, not for what they are
    lines += ["C,2026-01-02,x", "D,2026-01-02", *["E,2026-01-02,1,2"] * 30]
    report = field.take(NAME, HEADER, *lines)
    file = report.files[0]
    assert (file.rows, file.stored, file.superseded, file.rejected, file.rejects_kept) == (72, 9, 11, 52, 12)
    assert len(field.rejects()) == 12
    (row,) = field.rows("SELECT rejected, rejects_kept, rejected_reasons FROM oasis.file")
    assert (row["rejected"], row["rejects_kept"]) == (52, 12)
    assert json.loads(row["rejected_reasons"]) == {
        "TestDate: lies before 2000-01-01, the first day accepted": 20,
        "OilRate: is not a number": 1,
        "2 fields where the header has 3": 1,
        "4 fields where the header has 3": 30,
    }
    assert any("of 52 rejected rows 12 are in xspoc.rejected" in line for line in report.warnings)
    done = reload_days(
        field.warehouse, field.store, table("xspoc", "welltest"), date(1990, 1, 1), date(2027, 1, 1)
    )
    assert done.changed == 0


def test_what_is_kept_of_rejected_rows_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "KEPT_BYTES", 50_000)
    monkeypatch.setattr(chunks, "LONGEST_RAW", 1000)
    drop = parse_name(NAME)
    assert drop is not None
    rules = Rules(drop, date(2000, 1, 1))
    long = "y" * 5000
    lines = [f"A,2026-01-01,{long}"] * 100 + [f"A,{long}"] * 50
    checked = [rules.check(chunk) for chunk in read(csv(HEADER, *lines).encode())]
    assert sum(each.refused for each in checked) == 150
    kept = [raw for each in checked for raw in each.rejected.raw]
    assert 10 < len(kept) < 100
    assert max(map(len, kept)) < 1200
    assert "5,000 characters in all" in kept[0]
    assert rules.reasons == {"OilRate: is not a number": 100, "2 fields where the header has 3": 50}


@given(
    st.lists(
        st.sampled_from(["A,2026-01-01,1", "A,2026-01-01", "A,2026-01-01,x", "A,1990-01-01,1,", ",,"]),
        max_size=60,
    )
)
@settings(max_examples=40)
def test_whatever_is_kept_the_counts_add_up(lines: list[str]) -> None:
    drop = parse_name(NAME)
    assert drop is not None
    before = chunks.KEPT_ROWS, chunks.BLOCK_BYTES
    try:
        chunks.KEPT_ROWS, chunks.BLOCK_BYTES = 3, 64
        rules = Rules(drop, date(2000, 1, 1))
        checked = [rules.check(chunk) for chunk in read(csv(HEADER, *lines).encode())]
    finally:
        chunks.KEPT_ROWS, chunks.BLOCK_BYTES = before
    assert sum(each.rows.num_rows + each.refused for each in checked) == len(lines)
    good = [number for number, line in enumerate(lines, 1) if line == "A,2026-01-01,1"]
    assert [number for each in checked for number in each.row_numbers.tolist()] == good
    numbers = [number for each in checked for number in each.rejected.row_number]
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & set(good)


# ---- text without end


def test_a_header_of_a_million_columns_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(UnreadableFileError, match="more than 4096 columns"):
        read(("NodeID,TestDate" + ",c" * 1_000_000 + "\n" + "x,y\n").encode())


@pytest.mark.parametrize(
    "data", [b"A" * (20 << 20), b"\x00" * (20 << 20), b"\n" * (20 << 20), b'"' * (9 << 20)]
)
@pytest.mark.parametrize("before", [b"", b"NodeID,TestDate\n"])
def test_one_line_without_end(before: bytes, data: bytes) -> None:
    found: list[chunks.Chunk] = []
    with contextlib.suppress(UnreadableFileError):
        found = read(before + data)
    assert sum(len(chunk) for chunk in found) <= 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"v": ' + "[" * 1_000_000, "is not valid JSON"),
        ('{"a":' * 100_000, "is not valid JSON"),
        ('{"v": ' + "9" * 1_000_000 + "}", "is not valid JSON"),
        ('{"module_num": "a", "module_num": "b"}', "'module_num' is given twice"),
        ("\x00" * 1000, "is not valid JSON"),
    ],
)
def test_json_made_to_harm_is_a_line_that_is_none(line: str, reason: str) -> None:
    good = '{"module_num": "a", "timestamp": "2026-01-01", "v": 1}'
    (chunk,) = read(f"{good}\n{line}\n{good}".encode(), ".ndjson", DROP_KINDS["Readings"])
    assert chunk.row_numbers.tolist() == [1, 3]
    assert reason in chunk.malformed[0].reason
    assert len(chunk.malformed[0].text) < chunks.LONGEST_RAW + 100


def test_a_json_line_without_end_and_one_with_too_many_columns_are_refused() -> None:
    with pytest.raises(UnreadableFileError, match="a line is longer than 4 MB"):
        read(b'{"v": "' + b"x" * (6 << 20), ".ndjson", DROP_KINDS["Readings"])
    line = json.dumps({f"c{at}": at for at in range(5000)})
    with pytest.raises(UnreadableFileError, match="more than 4096 columns"):
        read(line.encode(), ".ndjson", DROP_KINDS["Readings"])


@pytest.mark.parametrize("name", ["XDiagResults", "Readings"])
def test_rows_of_few_characters_come_in_chunks_of_few_rows(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1 << 20)
    kind = DROP_KINDS[name]
    measures = [f"{at:03d}{'m' * 90}" for at in range(200)] if kind.open_columns else []
    found = read(
        csv(",".join([*kind.table.key, *measures]), *["a,b" + "," * len(measures)] * 3000).encode(),
        ".csv",
        kind,
    )
    values = (1 << 20) // (16 * len(kind.columns) + 117 * len(measures))
    assert max(len(chunk) for chunk in found) <= values
    numbers = np.concatenate([chunk.row_numbers for chunk in found])
    assert numbers.tolist() == list(range(1, 3001))


# ---- packed files


def test_gzip_that_unfolds_beyond_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "FREE_BYTES", 10 << 20)
    data = gzip.compress(csv(HEADER, *["A,2026-01-01,1"] * 1_000_000).encode())
    with pytest.raises(UnreadableFileError, match="unpacks to more than 200 times its size"):
        read(data, ".csv.gz")


def test_a_parquet_value_repeated_a_million_times_is_not_unfolded_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 4 << 20)
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(3000, np.int32)), pa.array(["x" * 100_000]))
    data = parquet({"NodeID": ["A"] * 3000, "TestDate": ["2026-01-01"] * 3000, "Note": long})
    assert len(data) < 300_000
    rows = 0
    for chunk in read_chunks(data, ".parquet", TESTS):
        rows += len(chunk)
        assert sum(column.nbytes for column in chunk.columns) < 5 << 20
        assert chunk.columns[2][0].as_py() == "x" * 100_000
    assert rows == 3000


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
def test_a_parquet_page_beyond_bounds_is_refused_and_any_other_is_read(
    version: Any, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {
        "NodeID": [f"A{at}" for at in range(5000)],
        "TestDate": ["2026-01-01"] * 5000,
        "OilRate": [None, 1.0] * 2500,
    }
    data = parquet(
        rows, compression=compression, data_page_version=version, data_page_size=4096, row_group_size=900
    )
    monkeypatch.setattr(unpacking, "PAGE_BYTES", 1 << 15)
    assert sum(len(chunk) for chunk in read(data, ".parquet")) == 5000
    monkeypatch.setattr(unpacking, "PAGE_BYTES", 1000)
    with pytest.raises(UnreadableFileError, match="a page of the Parquet file unfolds"):
        read(data, ".parquet")
    monkeypatch.setattr(unpacking, "PAGE_BYTES", 1 << 15)
    monkeypatch.setattr(unpacking, "FOOTER_BYTES", 1000)
    with pytest.raises(UnreadableFileError, match="the description of its row groups"):
        read(data, ".parquet")


@given(st.data())
@settings(max_examples=60)
def test_a_parquet_file_with_any_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(_SMALL)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(4, len(content) - 5))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnreadableFileError):
        read(bytes(content), ".parquet")


_SMALL = parquet({"NodeID": ["A", "B"] * 10, "TestDate": ["2026-01-01"] * 20, "OilRate": [1.5, None] * 10})


def excel(rows: list[list[Any]], far: str | None = None) -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    if far:
        book.active[far] = "x"
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def test_excel_files_that_unfold_beyond_bounds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = DROP_KINDS["Failures"]
    rows = [["NodeID", "Failure Start Date", "Failures"], ["A", "2026-01-01", "Rod"]]
    assert len(read(excel(rows), ".xlsx", failures)[0]) == 1
    monkeypatch.setattr(xlsx_reader, "MAX_CELLS", 10_000)
    with pytest.raises(UnreadableFileError, match="a single cell far off"):
        read(excel(rows, "XFD300"), ".xlsx", failures)
    bomb = io.BytesIO(excel(rows))
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/media/zeros", b"\0" * (65 << 20))
    with pytest.raises(UnreadableFileError, match="unpacks to 65 MB"):
        read(bomb.getvalue(), ".xlsx", failures)


# ---- what a file may name


@pytest.mark.server
def test_a_file_of_too_many_wells_or_rows_held_together_is_refused(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "MAX_WELLS", 10)
    report = field.take(NAME, HEADER, *(f"{well},2026-01-01,1" for well in range(20)))
    assert "more than 10 wells" in report.rejected_files[0][1]
    monkeypatch.setattr(load, "HELD_BYTES", 1000)
    report = field.take("Labels.E2E.20260110.1200.csv", "NodeID,Date,TrueLabel1", *["A,2026-01-01,x"] * 100)
    assert "a Labels file is loaded as a whole" in report.rejected_files[0][1]
    assert field.values("SELECT count(*) FROM xspoc.welltest") == [0]
    assert field.values("SELECT count(*) FROM xspoc.node") == [0]


# ---- memory, measured


def _peak_mb() -> float:
    """Greatest memory of this process; `getrusage` counts what the process had that started it, too."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _peak_of(address: Address, settings: Settings, answer: Any) -> None:
    report = take_in(Warehouse(address), LocalStore(settings.store), settings)
    peak = _peak_mb()
    counts = [(each.rows, each.stored, each.superseded, each.rejected) for each in report.files]
    answer.put((peak, counts, report.rejected_files))


def many_cards(megabytes: int) -> Iterator[str]:
    """Cards of a few wells, the same times over and over."""
    blob = hex_card(points=200)
    yield "NodeID,Date,SPM,SurfaceCardB,POCDownholeCardB\n"
    lines = [
        f"W{row % 50},2026-01-0{1 + row // 50 % 9} 00:{row % 60:02d},8,{blob},{blob}\n" for row in range(2000)
    ]
    for _ in range(max(1, (megabytes << 20) // sum(map(len, lines)))):
        yield "".join(lines)


def many_tests(megabytes: int) -> Iterator[str]:
    """Rows of few characters, each of another time, the half of them faulty."""
    yield f"{HEADER}\n"
    for start in range(0, (megabytes << 20) // 36, 50_000):
        times = np.datetime64("2003-01-01", "ms") + 137 * np.arange(start, start + 50_000)
        yield "".join(f"A,{time},1\nA,{time},x\n" for time in times)


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "megabytes"),
    [
        ("CardData.E2E.20260110.1200.csv", many_cards, 500),
        ("CardData.E2E.20260110.1200.csv.gz", many_cards, 100),
        (NAME, many_tests, 100),
    ],
)
def test_the_memory_of_intake_does_not_grow_with_the_file(
    field: Field, name: str, content: Callable[[int], Iterator[str]], megabytes: int
) -> None:
    path = field.put(name, b"")
    lines = 0
    with gzip.open(path, "wt", 1) if name.endswith(".gz") else path.open("w") as file:
        for text in content(megabytes):
            file.write(text)
            lines += text.count("\n")
    spawn = multiprocessing.get_context("spawn")
    answer = spawn.Queue()
    process = spawn.Process(
        target=_peak_of,
        args=(field.warehouse.address, field.settings.model_copy(update={"settle_seconds": 0}), answer),
    )
    process.start()
    peak_mb, counts, refused = answer.get(timeout=3600)
    process.join()
    assert refused == []
    ((rows, stored, superseded, rejected),) = counts
    assert rows == lines - 1 == stored + superseded + rejected
    assert peak_mb < 1000
