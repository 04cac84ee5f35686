"""The pages of sensor modules: the newest readings, their flags, windows and spectra."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest

from oasis_pipeline_tests.service.conftest import Service

pytestmark = pytest.mark.server

MODULE = "34.B2.9F.A9"
START = datetime(2024, 1, 1)


@pytest.fixture
def readings(service: Service) -> Service:
    """Two days of a module at a quarter of an hour: a wave of six hours, and a spike; another that never sent anything."""
    service.post("/api/module/", [{"module_num": "<b>&'\"", "asset": "Pump <1>"}])
    items: list[dict[str, Any]] = []
    for n in range(192):
        value = 10.0 + math.sin(2 * math.pi * n / 24) + (50.0 if n == 100 else 0.001 * (n % 7))
        measures = {"wave": value, "<i>odd</i>": float(n % 5)}
        at = (START + timedelta(minutes=15 * n)).isoformat() + "Z"
        items.append(
            {"module": MODULE, "timestamp": at, "measures": measures, "voltage": 3.3, "description": "ok <u>"}
        )
    assert service.post("/api/rawdata/", items).status == 200
    return service


def test_an_empty_service_says_what_to_do(service: Service) -> None:
    with service.warehouse.transaction() as tx:
        tx.execute("TRUNCATE iot.module CASCADE")
    body = service.get("/sensors", role="viewer").body
    assert b"No sensor module yet" in body
    assert b"/api/rawdata/" in body


def test_modules_are_listed_with_their_newest_reading_and_flags(readings: Service) -> None:
    text = readings.get("/sensors", role="viewer").body.decode()
    assert "2024-01-02 23:45" in text
    assert "wave <b>9.743</b>" in text
    assert re.search(r"spike \d\.\d %", text)
    assert "never" in text
    assert "<b>&'" not in text
    assert "&lt;b&gt;&amp;&#x27;&quot;" in text
    assert MODULE not in readings.get("/sensors?q=pump+%3C1", role="viewer").body.decode()
    assert MODULE in readings.get("/sensors?q=SOLAR", role="viewer").body.decode()
    assert b"No module like this" in readings.get("/sensors?q=%25", role="viewer").body


def test_modules_come_in_pages(readings: Service) -> None:
    readings.post("/api/module/", [{"module_num": f"m{n:03}"} for n in range(120)])
    path, seen = "/sensors", []
    while path:
        text = readings.get(path, role="viewer").body.decode()
        seen += re.findall(r"<td><a [^>]*><b>([^<]*)</b>", text)
        found = re.search(r'href="([^"]*)" rel="next"', text)
        path = "/sensors" + unescape(found[1]) if found else ""
    assert len(seen) == len(set(seen)) == 122


def test_a_module_shows_its_series_windows_and_spectrum(readings: Service) -> None:
    answer = readings.get("/sensors", role="viewer", module=MODULE, measure="wave", window="6h", days="3")
    text = answer.body.decode()
    assert answer.status == 200, text[:2000]
    assert "<b>8</b> readings" not in text
    assert "192 readings" in text
    assert "wave: most of a wave of 6 h" in text
    assert text.count('<td class="nowrap">2024-01-0') == 8 + 12, (
        "windows of six hours, and the newest readings"
    )
    assert re.search(r"spike \d\.\d %", text)
    assert "<i>odd" not in text
    assert "ok &lt;u&gt;" in text
    api = unescape(re.search(r'data-api="([^"]*)"', text)[1])  # type: ignore[index]
    assert len(readings.get(api, role="viewer").json()) == 192
    windows = unescape(re.search(r'href="(/api/databatch/[^"]*)"', text)[1])  # type: ignore[index]
    assert readings.get(windows, role="viewer").status == 200


def test_periods_lead_to_each_other(readings: Service) -> None:
    text = readings.get(f"/sensors?module={MODULE}", role="viewer").body.decode()
    assert "96 readings" in text
    earlier = "/sensors" + unescape(re.search(r'href="([^"]*)" rel="prev"', text)[1])  # type: ignore[index]
    text = readings.get(earlier, role="viewer").body.decode()
    assert "96 readings" in text
    later = "/sensors" + unescape(re.search(r'href="([^"]*)" rel="next"', text)[1])  # type: ignore[index]
    assert "to 2024-01-02 23:45" in readings.get(later, role="viewer").body.decode()
    empty = readings.get(f"/sensors?module={MODULE}&until=2020-01-01", role="viewer").body
    assert b"No reading in this period" in empty
    never = readings.get("/sensors", role="viewer", module="<b>&'\"").body
    assert b"No reading yet" in never


def test_roles_and_hostile_parameters(readings: Service) -> None:
    for role in ("device", "module"):
        assert readings.get("/sensors", role=role).status == 403
    session = readings.log_in("device")
    assert readings.post("/sensors", b"", role=None, headers=session).status == 403
    assert readings.get("/sensors", role=None).status == 302
    assert readings.get("/sensors?module=nothing%3Cscript%3E", role="viewer").status == 404
    for query in (
        "until=soon",
        "until=0001-01-01",
        "days=9999",
        "window=1s",
        "measure=%00",
        "until=9999-12-31T23:59:59-23:00",
    ):
        status = readings.get(f"/sensors?module={MODULE}&{query}", role="viewer").status
        assert status == 400, query
    odd = readings.get(f"/sensors?module={MODULE}&measure=nothing", role="viewer")
    assert odd.status == 200
    assert b"Windows of " in odd.body
    assert readings.get("/sensors?after=%27%3B--&q=%5C", role="viewer").status == 200
