"""The list of wells: order, filters, pages, what is remembered, and what it asks of the database."""

from __future__ import annotations

import csv
import io
import re
from html import unescape
from urllib.parse import quote, urlencode, urlsplit

import pytest

from oasis_pipeline_tests.service.conftest import Answer, Service
from oasis_pipeline_tests.service.pages.conftest import WELLS, Asked

pytestmark = pytest.mark.server
PAGE = 50


def wells_of(service: Service, path: str, **options: object) -> list[str]:
    answer = service.get(path, role="viewer", **options)
    assert answer.status == 200, (path, answer.body[:500])
    return [
        unescape(name) for name in re.findall(r'<a class="well" href="[^"]*">([^<]*)<', answer.body.decode())
    ]


def link(body: bytes, marked: str) -> str:
    found = re.search(rf"<a[^>]*{marked}[^>]*>", body.decode())
    assert found is not None, marked
    return unescape(re.search(r'href="([^"]*)"', found.group())[1])  # type: ignore[index]


def test_the_list_goes_by_rank_and_shows_what_stands_in_the_tables(field: Service) -> None:
    body = field.get("/", role="viewer").body.decode()
    assert re.findall(r'class="rank number">(\d+)<', body) == [str(n + 1) for n in range(PAGE)]
    assert body.count('<svg class="card"') == PAGE
    assert "Lengthen the idle time" in body
    assert "Fluid Pound for 3 days (90 %), line 1." in body
    assert re.search(r"<b class=\"bad\">12</b><span>down", body)
    assert len(body) < 300_000


def test_the_list_says_what_each_action_brings(field: Service) -> None:
    text = field.get("/", role="viewer").body.decode()
    # by number of the well: 1 has an action that brings 1, 4 none, 5 one of which nobody knows, 6 one without oil
    for line, said in ((1, "+1 bbl/d"), (6, "no oil by it"), (5, None), (4, None)):
        row = re.search(rf"Well 000{line}</a>.*?</tr>", text, re.DOTALL)[0]  # type: ignore[index]
        assert ("bbl/d</span>" in row or "no oil by it" in row) == (said is not None), line
        assert said is None or said in row
    first = wells_of(field, "/?sort=gain")[0]
    row = re.search(rf"{first}</a>.*?</tr>", field.get("/?sort=gain", role="viewer").body.decode(), re.DOTALL)
    brings = [int(number) for number in re.findall(r">\s*\+(\d+) bbl/d</span>", text)]
    assert row is not None
    assert f"+{max(brings)} bbl/d</span>" in row[0]
    assert "+3 bbl/d of oil, " in field.get("/well/Well%200003", role="viewer").body.decode()


def test_pages_follow_each_other_without_a_gap(field: Service) -> None:
    for sort in ("", "lost", "-lost", "gain", "risk", "class", "age", "well"):
        path, seen, pages = f"/?sort={sort}" if sort else "/", [], 0
        while path:
            answer = field.get(path, role="viewer")
            seen += wells_of(field, path)
            pages += 1
            path = link(answer.body, 'id="next"') if b'id="next"' in answer.body else ""
        assert pages == 3, sort
        assert len(seen) == len(set(seen)) == WELLS, sort


def test_a_cursor_of_another_order_is_told(field: Service) -> None:
    following = link(field.get("/?sort=lost", role="viewer").body, 'id="next"')
    answer = field.get(following.replace("sort=lost", "sort=risk"), role="viewer")
    assert answer.status == 400
    assert b"begin at its first page" in answer.body
    assert field.get("/?cursor=%00", role="viewer").status == 400


def test_filters_narrow_the_list_and_what_is_exported(field: Service) -> None:
    cases = {
        "/?state=down": {f"Well {n:04}" for n in range(1, WELLS + 1) if n % 10 == 5},
        "/?class=none": {f"Well {n:04}" for n in range(1, WELLS + 1) if n % 17 == 0},
        "/?class=Fluid+Pound&action=lengthen_idle_time&group=Route+1": {
            f"Well {n:04}" for n in range(1, WELLS + 1) if n % 4 == 1 and n % 8 == 1 and n % 17
        },
        "/?q=WELL+line+77": {"Well 0077"},
        "/?over=1&risky=1&state=idle": set(),
        "/?state=no+such": set(),
        "/?q=100%25+%27%22%3Cscript%3E%00%5C": set(),
    }
    for path, expected in cases.items():
        if path.startswith("/?over"):
            expected = {
                f"Well {n:04}"
                for n in range(1, WELLS + 1)
                if n % 10 == 3
                and 60 + n % 70 > 100
                and n % 13
                and (n * 7 + 31) % 100 >= 15  # alarms begin there too
            }
            assert expected
        assert set(wells_of(field, path)) == expected, path
        answer = field.get(path + "&format=csv", role="viewer")
        assert answer.headers["content-type"] == "text/csv"
        rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
        assert {row["NodeID"] for row in rows} == expected, path
    assert b"<script>" not in field.get("/?q=%3Cscript%3E", role="viewer").body


def test_a_list_of_an_earlier_day_and_days_that_have_none(field: Service) -> None:
    assert wells_of(field, "/?day=2025-03-30")[0] == "Well 0001"
    body = field.get("/?day=2025-03-30", role="viewer").body
    assert link(body, 'title="The day before"') == "/?day=2025-03-29"
    assert link(body, 'title="The day after"') == "/?day=2025-03-31"
    for day, status in (("2025-03-01", 404), ("2026-01-01", 404), ("soon", 400)):
        answer = field.get(f"/?day={day}", role="viewer")
        assert answer.status == status
        assert day.encode() in answer.body


def test_the_classes_day_by_day(field: Service) -> None:
    body = field.get("/?view=map&state=down", role="viewer").body.decode()
    assert body.count('<a href="/well/') == WELLS // 10
    assert "Fluid Pound" in body
    assert field.get("/?view=map&q=nothing", role="viewer").status == 200


def test_wells_of_any_name_have_a_line_and_a_way_to_them(field: Service) -> None:
    from oasis_pipeline.service.pages.tags import well_url

    names = ["A/B 100%", 'O\'Neil "7"', "<b>&amp;", "Ölfeld 1?#", "-1+1", "..", "%2F"]
    for number, name in enumerate(names, 1):
        with field.warehouse.transaction() as tx:
            for table in ("clean.worklist", "clean.wellstatus", "clean.wellsummary", "xspoc.card"):
                tx.execute(
                    f'update {table} set "NodeID" = $1 where "NodeID" = $2', (name, f"Well {number:04}")
                )
    found = field.get("/", role="viewer").body.decode()
    assert wells_of(field, "/")[: len(names)] == names
    for name in names:
        assert f'href="{well_url(name)}"' in found
        assert wells_of(field, f"/?q={quote(name)}&state=pumping") in ([name], [])
        assert "<b>&amp;<" not in found
    rows = csv.reader(io.StringIO(field.get("/?q=-1%2B1&format=csv", role="viewer").body.decode()))
    assert next(row for row in rows if "1+1" in row[0])[0] == "'-1+1", "no formula for a spreadsheet"


def test_what_somebody_chose_is_there_the_next_time(field: Service) -> None:
    viewer, other = field.log_in("viewer"), field.log_in("engineer")
    here = {"referer": "http://localhost/"}
    assert field.get("/?state=down&sort=lost", role=None, headers={**viewer, **here}).status == 200
    again = field.get("/", role=None, headers=viewer)
    assert (again.status, again.headers["location"]) == (302, "/?state=down&sort=lost")
    assert field.get("/", role=None, headers=other).status == 200
    # a link that somebody was sent is looked at, and not remembered
    elsewhere = {"referer": "http://localhost/well/A"}
    assert field.get("/?state=idle", role=None, headers={**viewer, **elsewhere}).status == 200
    assert "state=down" in field.get("/", role=None, headers=viewer).headers["location"]
    # all wells again, chosen on the page
    assert field.get("/", role=None, headers={**viewer, **here}).status == 200
    assert field.get("/", role=None, headers=viewer).status == 200


def test_part_of_the_page_comes_with_its_address(field: Service) -> None:
    asked = {"hx-request": "true"}
    answer = field.get(
        "/?q=&state=down&class=&day=2025-03-30&sort=rank&view=list", role="viewer", headers=asked
    )
    assert urlsplit(answer.headers["hx-push-url"]).query == "state=down&day=2025-03-30"


def test_with_nothing_here_the_page_says_what_to_do(bare: Service) -> None:
    body = bare.get("/", role="viewer").body.decode()
    assert "drop folder" in body
    assert "oasis demo" in body
    with bare.warehouse.transaction() as tx:
        tx.execute(
            """insert into xspoc.card ("NodeID", "Date", file_stamp) values ('A', '2025-01-01', '2025-01-01')"""
        )
    assert "No worklist has been made yet" in bare.get("/", role="viewer").body.decode()
    assert bare.get("/?format=csv", role="viewer").status == 200


def test_the_list_is_read_in_few_statements_each_by_an_index(field: Service, asked: Asked) -> None:
    field.get("/", role="viewer")
    field.get("/?view=map", role="viewer")
    asked.statements.clear()
    field.get("/?sort=lost&q=well", role="viewer")
    assert len(asked.statements) <= 7
    field.get("/?view=map&group=Route+1", role="viewer")
    tables = {"card", "worklist", "wellstatus", "dynabounds", "carddiag", "failure_info"}
    assert asked.scans(field, tables) == []
    assert asked.scans(field, {"wellsummary"}) == []


def test_groups_are_made_by_hand_in_the_administration_site(field: Service) -> None:
    session = field.log_in("root")
    form = {**session, "content-type": "application/x-www-form-urlencoded"}

    def send(path: str, **values: str) -> Answer:
        answer = field.post(path, urlencode(values).encode(), role=None, headers=form)
        assert answer.status in (200, 302), answer.body[:300]
        return answer

    wrong = send("/admin/service/wellgroup/add/", name="North", wells="Well 0001\nwell 9999")
    assert b"No such well: well 9999." in wrong.body
    assert (
        send("/admin/service/wellgroup/add/", name=" North  side ", wells="WELL 0001\n\n#well 0003 ").status
        == 302
    )
    assert wells_of(field, "/?group=North+side") == ["Well 0001", "Well 0003"]
    assert b"North side (2)" in field.get("/", role="viewer").body
    listed = field.get("/admin/service/wellgroup/", role=None, headers=session).body.decode()
    assert listed.count(">North side<") == 1
    assert "9 groups of wells" in listed
    path = "/admin/service/wellgroup/North%20side/change/"
    page = field.get(path, role=None, headers=session)
    assert page.status == 200
    assert b"Well 0001\nWell 0003" in page.body
    send(path, wells="Well 0005")
    assert wells_of(field, "/?group=North+side") == ["Well 0005"]
    who = field.warehouse.query(
        """select given_by from analysis.well_group where "GroupName" = 'North side'"""
    )
    assert who["given_by"].to_pylist() == ["root"]
    send(path.replace("change", "delete"), post="yes")
    assert wells_of(field, "/?group=North+side") == []
    send("/admin/service/wellgroup/", action="delete_selected", _selected_action="Route 1", post="yes")
    assert wells_of(field, "/?group=Route+1") == []
    assert len(wells_of(field, "/?group=Route+2")) == 15
