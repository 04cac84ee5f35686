"""Any bytes as a file of any kind: taken in with counts that add up, or moved aside with a reason, never an exception."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, date
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oasis_pipeline.intake.files import parse_name, read_chunks
from oasis_pipeline.intake.rules import Rules
from oasis_pipeline.intake.unpacking import UnreadableFileError
from oasis_pipeline.schema import CARD_BLOBS, DROP_KINDS, DropKind
from oasis_pipeline_tests.intake.conftest import Field, hex_card

pytestmark = pytest.mark.server

TEXTS = st.one_of(
    st.sampled_from(
        ["", "NULL", "nan", "inf", "-1e400", "1", "2.5", "-3", "true", "A", "a ", "#A", "2026-01-01", "2026-01-10 12:00:59.999",
         "2026-01-01T00:00Z", "1/2/2026 3:04 PM", "9999-12-31", "0001-01-01", "Rod", '"', '""', '"x', "x\ny", "\x00", "é", "💥",
         "00", "0", "zz", "0000807f0000807f", hex_card(points=8), "9" * 400, "N" * 300, "\\", "\u2028", "ſ", "İ",
         "None", "(null)", r"\N", "#N/A", "1.#QNAN", "-1.#IND", "1.#INF", "8,1", "0x", r"\x", "0x" + hex_card(points=8), "2026-01-01T00:00:00+01:00",
         "9999-12-31T23:59:59-18:00", "0001-01-01 00:00+18:00", "Jan  5 2025  7:00AM", "2025/01/05", "1/5/2025 7:00\u202fAM", "1736060400"]
    ),
    st.text(max_size=12),
)  # fmt: skip


@st.composite
def tables(draw: st.DrawFn, kind: DropKind) -> bytes:
    """A file of that kind as a careless program would write it."""
    names = [*kind.table.key, *draw(st.lists(st.sampled_from([*kind.columns, "Extra", ""]), max_size=5))]
    if draw(st.booleans()):
        names = list(dict.fromkeys(names))
    if draw(st.booleans()):
        names = [f"[{name}]" for name in names]
    separator = draw(st.sampled_from([",", ",", ";", "\t"]))
    quoted = draw(st.booleans())
    width = len(names)
    body = draw(
        st.lists(st.lists(TEXTS, min_size=width, max_size=width + draw(st.integers(0, 1))), max_size=8)
    )
    rows = [names, *body]
    if quoted:
        rows = [['"' + text.replace('"', '""') + '"' for text in row] for row in rows]
    text = draw(st.sampled_from(["\n", "\r\n"])).join(separator.join(row) for row in rows)
    mark, encoding = draw(st.sampled_from([(b"", "utf-8"), (b"", "utf-8"), (b"\xff\xfe", "utf-16-le")]))
    return mark + text.encode(encoding, "surrogatepass")


_SAID = ("can be used, so none is", "registered", "texts and no numbers", "without seconds or milliseconds")


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=80)
@given(
    data=st.data(),
    name=st.sampled_from(sorted(DROP_KINDS)),
    suffix=st.sampled_from([".csv", ".csv.gz", ".parquet"]),
)
def test_any_content_is_read_and_checked_row_by_row_or_refused(
    data: st.DataObject, name: str, suffix: str
) -> None:
    kind = DROP_KINDS[name]
    content = data.draw(st.one_of(tables(kind), tables(kind), st.binary(max_size=200)))
    drop = parse_name(f"{name}.E2E.20260110.1200{suffix}")
    assert drop is not None
    numbers: list[int] = []
    rules = Rules(drop, date(2000, 1, 1), data.draw(st.sampled_from([UTC, ZoneInfo("America/Chicago")])))
    try:
        for chunk in read_chunks(gzip.compress(content) if suffix == ".csv.gz" else content, suffix, kind):
            checked = rules.check(chunk)
            assert checked.rows.num_rows + len(checked.rejected) == len(chunk) + len(chunk.malformed)
            assert all(checked.rejected.reason)
            assert all(isinstance(json.loads(raw), dict) for raw in checked.rejected.raw)
            for column in kind.table.key:
                assert checked.rows[column].null_count == 0
            numbers += [*chunk.row_numbers.tolist(), *(line.row_number for line in chunk.malformed)]
    except UnreadableFileError as error:
        refused = str(error)
    else:
        refused = ""
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert refused or suffix != ".parquet"


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=int(os.environ.get("OASIS_FUZZ_EXAMPLES", "12")),
    deadline=None,
)
@given(data=st.data())
def test_any_content_is_stored_or_rejected_with_a_reason(field: Field, data: st.DataObject) -> None:
    # one field for all examples: what came before must not matter either
    names = data.draw(st.lists(st.sampled_from(sorted(DROP_KINDS)), min_size=1, max_size=4))
    for number, name in enumerate(names):
        kind = DROP_KINDS[name]
        content = data.draw(st.one_of(tables(kind), tables(kind), tables(kind), st.binary(max_size=200)))
        suffix = data.draw(st.sampled_from([".csv", ".csv", ".csv.gz", ".parquet"]))
        packed = gzip.compress(content) if suffix == ".csv.gz" and data.draw(st.booleans()) else content
        field.put(f"{name}.E2E.2026011{number}.1200{suffix}", packed)
    report = field.run()
    assert report.warnings == [line for line in report.warnings if any(said in line for said in _SAID)]
    assert len(report.files) + len(report.rejected_files) == len(set(report_names(report)))
    assert not list(field.settings.drop.iterdir())
    assert all(reason for _, reason in report.rejected_files)
    for file in report.files:
        if file.already_loaded:
            continue
        kept = field.warehouse.query(
            'SELECT "RowNumber" AS n, "Reason" AS why FROM xspoc.rejected WHERE "SourceFile" = $1 ORDER BY 1',
            (file.source_file,),
        ).to_pylist()
        assert len(kept) == file.rejected
        assert all(1 <= row["n"] <= file.rows and row["why"] for row in kept)


def report_names(report: Any) -> list[str]:
    return [file.source_file for file in report.files] + [name for name, _ in report.rejected_files]


def test_every_blob_column_is_one_of_the_contract() -> None:
    assert set(CARD_BLOBS) < set(DROP_KINDS["CardData"].columns)
