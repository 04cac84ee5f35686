"""Readings and modules in: forms, faults, conflicts, durability of marks."""

from __future__ import annotations

import gzip
import json
import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from oasis_pipeline.service import limits
from oasis_pipeline_tests.service.conftest import EXAMPLES, Service

pytestmark = pytest.mark.server

MODULE = "34.B2.9F.A9"


def reading(**changes: Any) -> dict[str, Any]:
    return {**EXAMPLES["readings"][0], **changes}  # type: ignore[index]


def test_the_first_services_examples_work_as_they_stand(service: Service) -> None:
    service.delete("/api/module/", module_num=MODULE)
    posted = service.post("/api/module/", EXAMPLES["module"])
    assert posted.status == 200
    assert posted.json() == {"module": MODULE, **EXAMPLES["module"]}  # type: ignore[dict-item]

    answer = service.post("/api/rawdata/", EXAMPLES["readings"])
    assert answer.status == 200
    assert [row["timestamp"] for row in answer.json()] == [
        "2018-01-01T00:07:37Z",
        "2018-01-01T00:12:49Z",
        "2018-01-01T00:17:39Z",
        "2018-01-01T00:22:42Z",
    ]
    assert answer.json()[0] == {
        "module": MODULE,
        "module_num": MODULE,
        "timestamp": "2018-01-01T00:07:37Z",
        "measures": [{"name": "VMPPT", "value": 3.29}],
        "temperature": 26.0,
        "voltage": 3.29,
        "description": None,
    }
    assert service.get("/api/rawdata/", module=MODULE).json() == answer.json()
    assert service.get("/api/rawdata", module_num=MODULE).json() == answer.json(), "without the last slash"
    assert service.get("/API/RawData/", module__module_num=MODULE).json() == answer.json()


def test_one_object_is_answered_by_one_object(service: Service) -> None:
    answer = service.post("/api/rawdata/", reading(description="dusty"))
    assert answer.json()["description"] == "dusty"
    assert service.post("/api/rawdata/", []).json() == []


def test_the_same_again_is_nothing_and_something_else_is_a_conflict(service: Service) -> None:
    first = service.post("/api/rawdata/", EXAMPLES["readings"]).json()
    states = service.warehouse.query("SELECT * FROM oasis.asset_state").to_pylist()
    assert service.post("/api/rawdata/", EXAMPLES["readings"]).json() == first
    assert service.warehouse.query("SELECT * FROM oasis.asset_state").to_pylist() == states, (
        "no change, no mark"
    )

    other = service.post("/api/rawdata/", [reading(temperature=27), reading(timestamp="2018-01-01T01:00")])
    assert other.status == 200
    assert other.json()[0] == {**first[0], "conflict": True}, "what stands is kept, and shown"
    assert "conflict" not in other.json()[1]
    assert service.count() == 5
    spelled = reading(timestamp="2018-01-01T02:07:37+02:00", measures={"VMPPT": 3.290})
    assert "conflict" not in service.post("/api/rawdata/", spelled).json(), (
        "the same moment and number, spelled otherwise"
    )


def test_of_one_key_twice_in_a_request_the_first_counts(service: Service) -> None:
    answer = service.post("/api/rawdata/", [reading(), reading(), reading(voltage=1)])
    assert ["conflict" in row for row in answer.json()] == [False, False, True]
    assert [row["voltage"] for row in answer.json()] == [3.29] * 3
    assert service.count() == 1


def test_every_fault_of_every_item_is_listed_and_nothing_is_stored(service: Service) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=1, minutes=5)).isoformat()
    bad: list[tuple[Any, str | None, str]] = [
        (17, None, "not an object"),
        (reading(temprature=1), "temprature", "not a field"),
        ({"measures": []}, "module_num", "required"),
        (reading(module_num="other"), "module", "synonym"),
        (reading(module=5), "module", "not text"),
        (reading(module="x" * 101), "module", "more than 100"),
        (reading(temperature="26"), "temperature", "not a valid number"),
        (reading(voltage=True), "voltage", "not a valid number"),
        (reading(description="a\x00b"), "description", "NUL"),
        (reading(timestamp="yesterday"), "timestamp", "not a time"),
        (reading(timestamp=15147652), "timestamp", "seconds or milliseconds"),
        (reading(timestamp=946684799), "timestamp", "seconds or milliseconds"),
        (reading(timestamp=9999999999), "timestamp", "a day ahead"),
        (reading(timestamp=1e30), "timestamp", "seconds or milliseconds"),
        (reading(timestamp=True), "timestamp", "not a time"),
        (reading(timestamp="1514765257"), "timestamp", "not a time"),
        (reading(timestamp="1999-12-31T23:59:59"), "timestamp", "before 2000-01-01"),
        (reading(timestamp="2000-01-01T00:30:00+01:00"), "timestamp", "before 2000-01-01"),
        (reading(timestamp=ahead), "timestamp", "a day ahead"),
        (reading(timestamp="0001-01-01T00:00:00+23:00"), "timestamp", "not a time"),
        (reading(measures=None), "measures", "not a list"),
        (reading(measures=[3]), "measures[0]", "not an object"),
        (reading(measures=[{"name": "a"}]), "measures[0]", "name and value"),
        (reading(measures=[{"name": "", "value": 1}]), "measures[0].name", "1 to 100"),
        (reading(measures=[{"name": "a", "value": None}]), "measures[0].value", "not a valid number"),
        (reading(measures=[{"name": "a", "value": 1}] * 2), "measures[1].name", "second time"),
        (reading(measures={"a": "1"}), "measures.a.value", "not a valid number"),
    ]
    items = [reading(), *(item for item, _, _ in bad)]
    answer = service.post("/api/rawdata/", items)
    assert answer.status == 400
    errors = answer.json()["errors"]
    assert [(error["index"], error["field"]) for error in errors] == [
        (i + 1, name) for i, (_, name, _) in enumerate(bad)
    ]
    for error, (_, _, words) in zip(errors, bad, strict=True):
        assert words in error["reason"]
    assert service.count() == 0


def test_two_faults_of_one_item_are_two_entries_and_a_number_beyond_all_bounds_is_one(
    service: Service,
) -> None:
    text = json.dumps([reading(temperature="x", voltage="y")])[:-1] + ', {"module": "m", "voltage": 1e999}]'
    errors = service.post("/api/rawdata/", text.encode()).json()["errors"]
    assert [(error["index"], error["field"]) for error in errors] == [
        (0, "temperature"),
        (0, "voltage"),
        (1, "voltage"),
    ]


def test_long_lists_of_faults_are_cut_and_counted(service: Service) -> None:
    answer = service.post("/api/rawdata/", [1] * (limits.MAX_ERRORS + 5)).json()
    assert len(answer["errors"]) == limits.MAX_ERRORS
    assert answer["more_errors"] == 5


def test_a_module_that_is_not_known_is_named(service: Service) -> None:
    answer = service.post("/api/rawdata/", [reading(), reading(module="nobody"), reading(module="no'one")])
    assert answer.status == 400
    assert [(e["index"], e["field"]) for e in answer.json()["errors"]] == [
        (1, "module_num"),
        (2, "module_num"),
    ]
    assert "there is no module nobody" in answer.json()["errors"][0]["reason"]
    assert service.count() == 0


def test_times_without_offset_are_utc_and_missing_ones_the_time_of_receipt(service: Service) -> None:
    before = datetime.now(UTC)
    rows = service.post(
        "/api/rawdata/",
        [
            reading(timestamp="2024-05-01T12:00:00+02:00"),
            reading(timestamp="2024-05-01"),
            reading(timestamp="2024-05-01T10:00:00.25Z"),
            reading(timestamp=None),
            {k: v for k, v in reading().items() if k != "timestamp"},
        ],
    ).json()
    assert [row["timestamp"] for row in rows[:3]] == [
        "2024-05-01T10:00:00Z",
        "2024-05-01T00:00:00Z",
        "2024-05-01T10:00:00.250000Z",
    ]
    received = [datetime.fromisoformat(row["timestamp"]) for row in rows[3:]]
    assert before <= received[0] < received[1] <= datetime.now(UTC)
    assert service.count() == 5, "two readings without a time are two readings"


def test_times_may_be_seconds_or_milliseconds_since_1970(service: Service) -> None:
    times = [1714557600, 1714557600250, 1714557600.5, 1714557601000.5]
    rows = service.post("/api/rawdata/", [reading(timestamp=time) for time in times]).json()
    assert [row["timestamp"] for row in rows] == [
        "2024-05-01T10:00:00Z",
        "2024-05-01T10:00:00.250000Z",
        "2024-05-01T10:00:00.500000Z",
        "2024-05-01T10:00:01.000500Z",
    ]
    # beside an item with a fault every item goes the slow way
    answer = service.post("/api/rawdata/", [reading(timestamp=1714557602), reading(temperature="x")])
    assert [error["index"] for error in answer.json()["errors"]] == [1]
    again = service.post(
        "/api/rawdata/", [reading(timestamp="2024-05-01T10:00:00Z"), reading(timestamp="2024-05-02")]
    )
    assert len(again.json()) == 2
    assert service.count() == 5


def test_json_lines_and_gzip(service: Service) -> None:
    lines = "\n".join(json.dumps(item) for item in EXAMPLES["readings"]) + "\n\n"
    headers = {"content-type": "application/x-ndjson", "content-encoding": "gzip"}
    answer = service.post("/api/rawdata/", gzip.compress(lines.encode()), headers=headers)
    assert len(answer.json()) == 4
    # two gzip members after each other are one stream
    again = service.post(
        "/api/rawdata/",
        gzip.compress(lines[:30].encode()) + gzip.compress(lines[30:].encode()),
        headers=headers,
    )
    assert again.json() == answer.json()
    broken = lines.replace("26", "twentysix", 1) + "nonsense\n"
    errors = service.post(
        "/api/rawdata/", broken.encode(), headers={"content-type": "application/x-ndjson"}
    ).json()["errors"]
    assert [(e["index"], e["field"]) for e in errors] == [(0, None), (4, None)]


REFUSED: list[tuple[bytes, dict[str, str], int]] = [
    (b"", {}, 400),
    (b"[", {}, 400),
    (b"3", {}, 400),
    (b'"\xff"', {}, 400),
    (b'[{"module": "\\ud800"}]', {}, 400),
    (b"[" * 100_000, {}, 400),
    (b'{"module": 1' + b"0" * 6000 + b"}", {}, 400),
    (b"{}", {"content-type": "text/xml"}, 415),
    (b"{}", {"content-type": "application/json; charset=latin-1"}, 415),
    (b"{}", {"content-encoding": "br"}, 415),
    (b"{}", {"content-encoding": "gzip"}, 400),
    (gzip.compress(b"{}")[:-3], {"content-encoding": "gzip"}, 400),
    (gzip.compress(bytes(limits.MAX_BODY_BYTES + 1)), {"content-encoding": "gzip"}, 413),
    (b"[" + b"1," * limits.MAX_READINGS + b"1]", {}, 413),
    (b"1\n" * (limits.MAX_READINGS + 1), {"content-type": "application/x-ndjson"}, 413),
]


def test_a_body_that_can_not_be_used_is_refused_with_a_reason(service: Service) -> None:
    for body, headers, status in REFUSED:
        answer = service.post("/api/rawdata/", body, headers=headers)
        assert answer.status == status, (body[:50], answer.body[:500])
        assert answer.json()["reason"]
    assert service.count() == 0


def test_days_that_changed_are_marked_with_their_rows(service: Service) -> None:
    def states() -> dict[str, tuple[int, int]]:
        rows = service.warehouse.query(
            "SELECT partition, rows, changed_tick FROM oasis.asset_state WHERE asset = 'iot/rawdata'"
        ).to_pylist()
        return {row["partition"]: (row["rows"], row["changed_tick"]) for row in rows}

    service.post("/api/rawdata/", EXAMPLES["readings"])
    service.post(
        "/api/rawdata/", [reading(timestamp="2018-01-03T23:59:59Z"), reading(timestamp="2018-01-04")]
    )
    first = states()
    assert {day: rows for day, (rows, _) in first.items()} == {
        "2018-01-01": 4,
        "2018-01-03": 1,
        "2018-01-04": 1,
    }
    service.post("/api/rawdata/", [reading(temperature=99), reading(timestamp="2018-01-04T01:00")])
    second = states()
    assert second["2018-01-01"] == first["2018-01-01"], "a conflict changes nothing"
    assert second["2018-01-04"][0] == 2
    assert second["2018-01-04"][1] > first["2018-01-04"][1]
    service.delete("/api/rawdata/", timestamp__lt="2018-01-02")
    third = states()
    assert third["2018-01-01"][0] == 0
    assert third["2018-01-01"][1] > second["2018-01-04"][1]


def test_the_first_day_of_readings_follows_what_is_stored_and_deleted(service: Service) -> None:
    from oasis_pipeline.service import first_day

    first_day._noted.clear()
    first_day._strays.clear()
    note = service.settings.first_reading_day_file
    service.post("/api/rawdata/", reading(timestamp="2018-01-05"))
    assert note.read_text() == "2018-01-05"
    service.post("/api/rawdata/", reading(timestamp="2018-01-09"))
    service.post("/api/rawdata/", reading(timestamp="2018-01-02"))
    assert note.read_text() == "2018-01-02"
    service.delete("/api/rawdata/", timestamp__lt="2018-01-03")
    assert note.read_text() == "2018-01-05"
    many = [reading(timestamp=f"2026-01-05T{i // 60:02d}:{i % 60:02d}") for i in range(300)]
    service.post("/api/rawdata/", many)
    service.post("/api/rawdata/", reading(timestamp="2017-01-05"))
    assert note.read_text() == "2026-01-05", "three readings of earlier years among 303"
    assert not service.settings.first_day_file.exists(), "cards have a first day of their own"


def test_a_short_answer_on_request(service: Service) -> None:
    headers = {"prefer": "return=minimal"}
    assert service.post("/api/rawdata/", EXAMPLES["readings"], headers=headers).json() == {
        "received": 4,
        "stored": 4,
        "conflicts": [],
    }
    more = [reading(voltage=9), reading(), reading(timestamp="2018-01-02")]
    assert service.post("/api/rawdata/", more, headers=headers).json() == {
        "received": 3,
        "stored": 1,
        "conflicts": [0],
    }


def test_many_at_once_in_opposite_orders_are_all_stored_once(service: Service) -> None:
    start = datetime(2018, 1, 1, 23, 50, tzinfo=UTC)
    items = [reading(timestamp=(start + timedelta(seconds=i)).isoformat()) for i in range(1500)]
    answers: list[Any] = []

    def send(part: list[dict[str, Any]]) -> None:
        answers.append(service.post("/api/rawdata/", part))

    threads = [
        threading.Thread(target=send, args=(part,))
        for part in (items, items[::-1], items[700:] + items[:700], items[::2] + items[1::2])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(a.status, len(a.json())) for a in answers] == [(200, 1500)] * 4
    assert not any("conflict" in row for a in answers for row in a.json())
    assert service.count() == 1500
    rows = service.warehouse.query(
        "SELECT sum(rows)::bigint AS n FROM oasis.asset_state WHERE asset = 'iot/rawdata'"
    )
    assert rows["n"][0].as_py() == 1500


def test_modules_again_and_their_faults(service: Service) -> None:
    again = service.post("/api/module/", [EXAMPLES["module"], {"module": MODULE, "asset": "Roof"}])
    assert [row.get("conflict", False) for row in again.json()] == [False, True]
    assert again.json()[1]["asset"] == "Solar Panel"
    bad = service.post(
        "/api/module/", [{"module": "new"}, {"module": ""}, {"asset": 5, "module": "x", "size": 1}, None]
    )
    assert bad.status == 400
    assert [(e["index"], e["field"]) for e in bad.json()["errors"]] == [
        (1, "module"),
        (2, "size"),
        (2, "asset"),
        (3, None),
    ]
    assert service.count("iot.module") == 1


def test_deleting_needs_a_filter_and_tells_what_is_left(service: Service) -> None:
    service.post("/api/rawdata/", EXAMPLES["readings"])
    for path in ("/api/rawdata/", "/api/module/", "/api/userprofile/"):
        answer = service.delete(path)
        assert answer.status == 400
        assert "filter" in answer.json()["reason"]
        assert service.delete(path, limit=1).status == 400
        assert service.delete(path, nonsense=1).status == 400
    assert service.count() == 4
    gone = service.delete("/api/rawdata/", measures__VMPPT__lt=3.285)
    assert gone.json() == {"deleted": 1, "remaining": []}
    assert service.delete("/api/rawdata/", module="nobody").json() == {"deleted": 0, "remaining": []}
    all_of_it = service.delete("/api/module/", asset="Solar Panel").json()
    assert all_of_it == {"deleted": 1, "deleted_readings": 3, "remaining": []}
    assert service.count() == service.count("iot.module") == 0
    assert service.get("/api/module/", role="module").status == 401, "its tokens are gone as well"


def test_readings_before_the_first_day_of_the_installation_are_refused(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oasis_pipeline.service import posting

    later = service.settings.model_copy(update={"start": date(2020, 1, 1)})
    monkeypatch.setattr(posting, "installation", lambda: later)
    answer = service.post("/api/rawdata/", EXAMPLES["readings"])
    assert answer.status == 400
    assert "before 2020-01-01" in answer.json()["errors"][0]["reason"]


DOUBLES = [
    ("/api/rawdata/", '{"module": "34.B2.9F.A9", "temperature": 1, "temperature": 2}', 0, "temperature"),
    (
        "/api/rawdata/",
        '[{"module": "34.B2.9F.A9"}, {"module": "34.B2.9F.A9", "module": "other"}]',
        1,
        "module",
    ),
    ("/api/rawdata/", '{"module":"34.B2.9F.A9","measures":{"V":1,"V":2}}', 0, "V"),
    ("/api/rawdata/", '{"module":"34.B2.9F.A9","measures":[{"name":"V","value":1,"value":2}]}', 0, "value"),
    ("/api/rawdata/", '{"module" :"34.B2.9F.A9", "voltage":1, "voltage" : 1}', 0, "voltage"),
    (
        "/api/rawdata/",
        '{"module":"34.B2.9F.A9", "description":"a", "descripti\\u006fn":"b"}',
        0,
        "description",
    ),
    ("/api/module/", '{"module_num": "new", "asset": "a", "asset": "b"}', 0, "asset"),
    ("/api/userprofile/", '[{"username": "new", "roles": ["viewer"], "roles": ["admin"]}]', 0, "roles"),
    (
        "/api/dynalabel/",
        '{"NodeID": "W", "Date": "2024-01-01", "TrueLabel1": "a", "TrueLabel1": "b"}',
        0,
        "TrueLabel1",
    ),
]


@pytest.mark.parametrize(("path", "body", "index", "name"), DOUBLES)
def test_a_name_that_comes_twice_is_a_fault(
    service: Service, path: str, body: str, index: int, name: str
) -> None:
    lines = {"content-type": "application/x-ndjson"}
    before = service.count(), service.count("iot.module"), service.count("django.auth_user")
    whole = service.post(path, body.encode())
    rows = [json.dumps(row) for row in json.loads(body)] if body[0] == "[" else []
    asked = [whole] if rows else [whole, service.post(path, body.encode(), headers=lines)]
    for answer in asked:
        assert answer.status == 400, answer
        assert answer.json()["errors"] == [
            {"index": index, "field": name, "reason": "is given twice in one object"}
        ]
    assert (service.count(), service.count("iot.module"), service.count("django.auth_user")) == before


def test_what_only_looks_like_a_name_twice_is_none(service: Service) -> None:
    odd = [
        {
            "module": "34.B2.9F.A9",
            "description": text,
            "measures": {'a":"a': 1.0, ":": 2.0},
            "timestamp": stamp,
        }
        for text, stamp in ((':": "x', "2024-01-01"), ('\\":', "2024-01-02"), (":", "2024-01-03"))
    ]
    for k, body in enumerate((json.dumps(odd), json.dumps(odd, indent=1, separators=(" ,", " : ")))):
        answer = service.post("/api/rawdata/", body.encode())
        assert answer.status == 200, answer
        assert [row["description"] for row in answer.json()] == [row["description"] for row in odd], k
    assert service.count() == 3
