"""Rows out: filters, order, pages, forms, and tables of the platform."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest

from oasis_pipeline.schema import table
from oasis_pipeline_tests.service.conftest import Service

pytestmark = pytest.mark.server

MODULE = "34.B2.9F.A9"
START = datetime(2024, 1, 1, 22)


@pytest.fixture
def rows(service: Service) -> list[dict[str, Any]]:
    """Readings of three modules over midnight; some values are missing, many are the same."""
    service.post("/api/module/", [{"module_num": "b,c"}, {"module_num": 'd"e', "asset": "Pump's"}])
    items = []
    for i in range(60):
        measures = {"V": i % 7, "odd name": -i} if i % 3 else {"V": i % 7}
        items.append(
            {
                "module_num": (MODULE, "b,c", 'd"e')[i % 3],
                "timestamp": (START + timedelta(minutes=5 * (i // 3), seconds=i % 2)).isoformat() + "Z",
                "measures": [{"name": name, "value": float(value)} for name, value in measures.items()],
                "temperature": None if i % 4 == 0 else float(i % 5),
                "voltage": float(i),
                "description": None if i % 2 else f"no. {i} it's",
            }
        )
    assert service.post("/api/rawdata/", items).status == 200
    return [{"module": item["module_num"], **item} for item in items]


def measure(row: dict[str, Any], name: str) -> float | None:
    return next((pair["value"] for pair in row["measures"] if pair["name"] == name), None)


def at(row: dict[str, Any]) -> str:
    return str(row["timestamp"])


FILTERS: list[tuple[dict[str, str], Any]] = [
    ({"module": MODULE}, lambda r: r["module"] == MODULE),
    ({"module_num": "b,c"}, lambda r: r["module"] == "b,c"),
    ({"module_num__in": '("b,c",34.B2.9F.A9)'}, lambda r: r["module"] in ("b,c", MODULE)),
    ({"module__in": "()"}, lambda r: False),
    ({"timestamp__gte": "2024-01-01T23:00:00Z"}, lambda r: at(r) >= "2024-01-01T23:00:00Z"),
    ({"timestamp__lt": "2024-01-02T00:00:00+01:00"}, lambda r: at(r) < "2024-01-01T23:00:00Z"),
    (
        {"timestamp__range": "(2024-01-01 22:30, 2024-01-01 23:00)"},
        lambda r: "2024-01-01T22:30:00Z" <= at(r) <= "2024-01-01T23:00:00Z",
    ),
    ({"voltage": "7"}, lambda r: r["voltage"] == 7),
    ({"voltage__gt": "3e1", "voltage__lte": "40"}, lambda r: 30 < r["voltage"] <= 40),
    ({"temperature__in": "(1,2)"}, lambda r: r["temperature"] in (1, 2)),
    ({"temperature__gte": "0"}, lambda r: r["temperature"] is not None),
    ({"description__contains": "it's"}, lambda r: r["description"] is not None),
    ({"description__contains": "%"}, lambda r: False),
    ({"description": "no. 4 it's"}, lambda r: r["voltage"] == 4),
    ({"measures__contains": "odd name"}, lambda r: measure(r, "odd name") is not None),
    ({"measures__V": "3"}, lambda r: measure(r, "V") == 3),
    ({"measures__odd name__lte": "-50"}, lambda r: (measure(r, "odd name") or 0) <= -50),
    (
        {"measures__V__in": "(1,6)", "voltage__lt": "30"},
        lambda r: measure(r, "V") in (1, 6) and r["voltage"] < 30,
    ),
    ({"measures__it's__gt": "0"}, lambda r: False),
]


def test_filters(service: Service, rows: list[dict[str, Any]]) -> None:
    for parameters, keeps in FILTERS:
        got = service.get("/api/rawdata/", **parameters)
        assert got.status == 200, (parameters, got.body)
        assert got.json() == sorted(filter(keeps, rows), key=lambda r: (r["module"], at(r))), parameters


def test_a_blank_for_a_plus_in_an_offset(service: Service, rows: list[dict[str, Any]]) -> None:
    got = service.get("/api/rawdata/?timestamp__lt=2024-01-02T00:00:00+01:00").json()
    assert len(got) == len([row for row in rows if at(row) < "2024-01-01T23:00:00Z"])


def test_order(service: Service, rows: list[dict[str, Any]]) -> None:
    by_time = sorted(rows, key=lambda r: (at(r), r["module"]))
    assert service.get("/api/rawdata/", order_by="timestamp").json() == by_time
    assert service.get("/api/rawdata/", order_by="-timestamp").json() == by_time[::-1]
    assert service.get("/api/rawdata/", order_by="(voltage)").json() == sorted(
        rows, key=lambda r: r["voltage"]
    )


def test_pages_put_together_are_the_whole(service: Service, rows: list[dict[str, Any]]) -> None:
    cases = [
        (None, 7),
        ("timestamp", 60),
        ("-timestamp", 29),
        ("temperature", 7),
        ("-temperature", 13),
        ("(temperature,-voltage)", 61),
        ("(-temperature,description)", 2),
        ("(-description,-temperature)", 11),
        ("(module,-timestamp)", 25),
    ]
    for order, limit in cases:
        options = {} if order is None else {"order_by": order}
        whole = service.get("/api/rawdata/", **options).json()
        assert len(whole) == 60
        assert pages(service, limit, options) == whole, (order, limit)


def test_only_the_fields_that_are_wanted(service: Service, rows: list[dict[str, Any]]) -> None:
    narrow = [{"voltage": row["voltage"], "timestamp": row["timestamp"]} for row in rows]
    by_time = sorted(narrow, key=lambda r: (at(r), r["voltage"]))
    options = {"fields": "(voltage,timestamp)", "order_by": "timestamp"}
    whole = service.get("/api/rawdata/", **options).json()
    assert sorted(whole, key=lambda r: (at(r), r["voltage"])) == by_time
    assert [list(row) for row in whole] == [["voltage", "timestamp"]] * 60
    # the cursor goes by the module too, which is not asked for
    assert pages(service, 7, options) == whole
    assert service.get("/api/rawdata/", fields="voltage", format="csv").body.splitlines()[0] == b'"voltage"'


def pages(service: Service, limit: int, options: dict[str, str]) -> list[Any]:
    found: list[Any] = []
    path = "/api/rawdata/?" + "&".join([f"limit={limit}", *(f"{k}={v}" for k, v in options.items())])
    for _ in range(100):
        answer = service.get(path)
        assert answer.status == 200, answer.body
        assert len(answer.json()) <= limit
        found += answer.json()
        if "x-next-cursor" not in answer.headers:
            break
        path = answer.headers["link"].split(">")[0].removeprefix("<")
        assert answer.headers["x-next-cursor"] in path
    return found


def test_a_page_is_not_moved_by_rows_that_come_in_between(
    service: Service, rows: list[dict[str, Any]]
) -> None:
    first = service.get("/api/rawdata/", module=MODULE, limit=5)
    service.post("/api/rawdata/", {"module": MODULE, "timestamp": "2023-01-01T00:00:00Z"})
    second = service.get("/api/rawdata/", module=MODULE, limit=5, cursor=first.headers["x-next-cursor"])
    mine = [row for row in rows if row["module"] == MODULE]
    assert first.json() + second.json() == mine[:10]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"modul": "x"}, "Fields: module, module_num, timestamp, measures, temperature, voltage, description"),
    ({"voltage__near": "3"}, "no lookup near"),
    ({"voltage": "three"}, "not a valid number"),
    ({"voltage": "inf"}, "not a valid number"),
    ({"voltage__in": "1,2"}, "not a list"),
    ({"voltage__range": "(1,2,3)"}, "list of two"),
    ({"voltage__contains": "3"}, "not text"),
    ({"timestamp__gte": "noon"}, "not a valid time"),
    ({"timestamp__gte": "0001-01-01T00:00:00+14:00"}, "not within the range"),
    ({"measures": "V"}, "measures__NAME"),
    ({"order_by": "size"}, "order_by=size is not a field"),
    ({"order_by": "measures"}, "can't order"),
    ({"fields": "(voltage,size)"}, "fields=size is not a field"),
    ({"fields": "()"}, "names no field"),
    ({"limit": "0"}, "1 to"),
    ({"limit": "many"}, "1 to"),
    ({"limit": "3", "cursor": "nonsense"}, "none that this service gave"),
    ({"limit": "3", "cursor": "é"}, "none that this service gave"),
    ({"limit": ["3", "4"]}, "twice"),
    ({"format": "xml"}, "json, csv, parquet, arrow"),
    ({"description": "a\x00b"}, "NUL"),
    ({"description": "x" * 10_001}, "more than"),
    (
        {"voltage": "x", "temperature": "y"},
        "voltage is not a valid number; temperature is not a valid number",
    ),
]


def test_what_can_not_be_asked_is_a_reason(service: Service) -> None:
    for parameters, words in REFUSED:
        answer = service.get("/api/rawdata/", **parameters)
        assert answer.status == 400, parameters
        assert words in answer.json()["reason"], parameters


def test_an_unknown_field_lists_the_fields(service: Service) -> None:
    answer = service.get("/api/carddiag/", pprl="1").json()
    assert answer["fields"] == list(table("clean", "carddiag").column_names)
    assert answer["errors"] == [{"field": "pprl", "reason": "is not a field"}]


def test_a_cursor_of_another_question_is_refused(service: Service, rows: list[dict[str, Any]]) -> None:
    cursor = service.get("/api/rawdata/", limit=3).headers["x-next-cursor"]
    for change in ({"order_by": "-timestamp"}, {"module": MODULE}):
        answer = service.get("/api/rawdata/", limit=3, cursor=cursor, **change)
        assert "other filters or another order" in answer.json()["reason"]


def test_forms(service: Service, rows: list[dict[str, Any]]) -> None:
    wanted = service.get("/api/rawdata/").json()

    text = service.get("/api/rawdata/", headers={"accept": "text/csv"})
    assert text.headers["content-type"] == "text/csv"
    lines = list(csv.DictReader(io.StringIO(text.body.decode())))
    assert [line["timestamp"] for line in lines] == [row["timestamp"] for row in wanted]
    assert [json.loads(line["measures"]) for line in lines] == [
        {pair["name"]: pair["value"] for pair in row["measures"]} for row in wanted
    ]
    tables = [
        pq.read_table(io.BytesIO(service.get("/api/rawdata/", format="parquet").body)),
        pa.ipc.open_stream(service.get("/api/rawdata/", format="arrow").body).read_all(),
        pa.ipc.open_stream(
            service.get("/api/rawdata/", headers={"accept": "application/vnd.apache.arrow.stream"}).body
        ).read_all(),
    ]
    for found in tables:
        assert found.schema.field("timestamp").type == pa.timestamp("us", tz="UTC")
        assert found["voltage"].to_pylist() == [row["voltage"] for row in wanted]
        assert [dict(pairs) for pairs in found["measures"].to_pylist()] == [
            {pair["name"]: pair["value"] for pair in row["measures"]} for row in wanted
        ]
    assert service.get("/api/rawdata/", headers={"accept": "image/png"}).status == 406
    assert service.get("/api/rawdata/", headers={"accept": "text/html,*/*;q=0.1"}).status == 200
    preferred = service.get("/api/rawdata/", headers={"accept": "application/json;q=0.2, text/csv"})
    assert preferred.headers["content-type"] == "text/csv"
    for form in ("csv", "parquet", "arrow", "json"):
        assert service.get("/api/rawdata/", module="nobody", format=form).status == 200
    assert service.get("/api/rawdata/", module="nobody").json() == []


def test_a_page_in_every_form_has_its_cursor(service: Service, rows: list[dict[str, Any]]) -> None:
    for form in ("csv", "parquet", "arrow"):
        assert "x-next-cursor" in service.get("/api/rawdata/", limit=5, format=form).headers


def test_wells_are_found_in_any_spelling_and_new_columns_appear(service: Service) -> None:
    house = service.warehouse
    with house.transaction() as tx:
        tx.execute("""INSERT INTO xspoc.node VALUES ('well 7', 'Well 7', true), ('well 8', 'Well 8', true)""")
        tx.execute(
            """INSERT INTO clean.xpred ("NodeID", "Date", "HorizonDays", "PredClass", "Prob Normal", "FailureProb", "ModelVersion")"""
            " SELECT n, '2024-01-02 03:04:05.678', 3, 'Normal', p, 100 - p, 'base-1' FROM (VALUES ('Well 7', 90::float8), ('Well 8', 'NaN')) AS v(n, p)"
        )
        tx.execute('ALTER TABLE clean.xpred ADD COLUMN IF NOT EXISTS "Prob Rod" double precision')
        tx.execute('UPDATE clean.xpred SET "Prob Rod" = 10')
    from oasis_pipeline.service import resources

    resources._grown._known.clear()
    (row,) = service.get("/api/xpred/", NodeID="#WELL  7").json()
    assert row["Date"] == "2024-01-02T03:04:05.678000"
    assert (row["Prob Normal"], row["Prob Rod"]) == (90.0, 10.0)
    assert len(service.get("/api/xpred/", NodeID__in="(well 7,WELL 8)").json()) == 2
    assert len(service.get("/api/xpred/", **{"Prob Rod__gte": 5}).json()) == 2
    assert service.get("/api/xpred/", NodeID="Well 8").json()[0]["Prob Normal"] is None, "JSON knows no NaN"
    page = service.get("/api/xpred/", order_by="-Prob Normal", limit=1)
    rest = service.get("/api/xpred/", order_by="-Prob Normal", limit=1, cursor=page.headers["x-next-cursor"])
    assert [page.json()[0]["NodeID"], rest.json()[0]["NodeID"]] == ["Well 8", "Well 7"]
    answer = service.get("/api/xpred/", Date__gte="2024-01-01T00:00:00Z")
    assert "local time" in answer.json()["reason"]


def test_cards_come_as_lists_of_points(service: Service) -> None:
    with service.warehouse.transaction() as tx:
        tx.execute("TRUNCATE xspoc.card")
        tx.execute(
            """INSERT INTO xspoc.card ("NodeID", "Date", surfcard_position, surfcard_load, file_stamp)"""
            " VALUES ('Well 7', '2024-01-01', '{0,1.5,NaN}', '{1,2,3}', '2024-01-01')"
        )
    (row,) = service.get("/api/card/").json()
    assert row["surfcard_position"] == [0.0, 1.5, None]
    assert service.get("/api/card/", surfcard_position="1").status == 400
    line = service.get("/api/card/", format="csv").body.decode().splitlines()[1]
    assert '"[0.0,1.5,null]"' in line
    found = pq.read_table(io.BytesIO(service.get("/api/card/", format="parquet").body))
    assert found["surfcard_load"].to_pylist() == [[1.0, 2.0, 3.0]]


def test_every_table_of_wells_can_be_read_and_has_a_name_in_words(service: Service) -> None:
    named = """welltest failure_info welldetails rods roddiag trend cardanomaly runlife alarm wellstatus worklist rejected"""
    paths = service.get("/api/openapi.json").json()["paths"]
    assert {f"/api/{name}/" for name in named.split()} <= set(paths)
    summaries = [operation["summary"] for methods in paths.values() for operation in methods.values()]
    assert len(summaries) == len(set(summaries))
    assert {text.split()[0] for text in summaries} <= {
        "List", "Store", "Delete", "Compute", "Acknowledge", "Dismiss",
    }  # fmt: skip
    assert not [text for text in summaries if "_" in text], (
        "a table goes by its name: give it one in openapi.NAMES"
    )
    for path, methods in paths.items():
        if "get" in methods and path != "/api/databatch/":
            for form in ("json", "csv", "parquet"):
                assert service.get(path, format=form, limit=3).status == 200, (path, form)


def test_rejected_rows_come_as_they_came(service: Service) -> None:
    with service.warehouse.transaction() as tx:
        tx.execute(
            """INSERT INTO xspoc.rejected VALUES ('CardData', 'CardData.x.csv', 3, 'Well 7', NULL, 'Date: is not a valid time',"""
            """ '{"NodeID": "Well 7", "Date": "<b>soon</b>"}', '2024-01-05T06:00:00Z') ON CONFLICT DO NOTHING"""
        )
    (row,) = service.get("/api/rejected/", NodeID="Well 7", Kind="CardData").json()
    assert row["Raw"] == {"NodeID": "Well 7", "Date": "<b>soon</b>"}
    assert row["RejectedAt"] == "2024-01-05T06:00:00Z"
    assert service.get("/api/rejected/", Reason__contains="not a valid time", format="csv").status == 200
    assert service.get("/api/rejected/", Raw="x").status == 400


def test_csv_holds_nothing_that_a_spreadsheet_runs(service: Service) -> None:
    text = "=HYPERLINK(0)"
    reading = {"module": "34.B2.9F.A9", "timestamp": "2024-01-01", "temperature": -4.5, "description": text}
    assert service.post("/api/rawdata/", reading).status == 200
    assert service.post("/api/module/", {"module_num": "+1", "asset": "@SUM(1)"}).status == 200
    (row,) = pcsv.read_csv(io.BytesIO(service.get("/api/rawdata/?format=csv").body)).to_pylist()
    assert (row["description"], row["temperature"]) == ("'" + text, -4.5)
    (row,) = pcsv.read_csv(
        io.BytesIO(service.get("/api/module/?format=csv&module_num=%2B1").body)
    ).to_pylist()
    assert (row["module_num"], row["asset"]) == ("'+1", "'@SUM(1)")
    (row,) = service.get("/api/rawdata/").json()
    assert row["description"] == text, "as it came everywhere else"
