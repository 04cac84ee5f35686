"""The page of a well: what it shows, its cards, whatever its name is, notes, and what it asks of the database."""

from __future__ import annotations

import json
import re
from html import unescape
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from oasis_pipeline_tests.service.conftest import Service
from oasis_pipeline_tests.service.pages.conftest import DAYS, Asked

pytestmark = pytest.mark.server
WELL = "/well/Well%200007"


def text_of(service: Service, path: str, status: int = 200, role: str = "viewer") -> str:
    answer = service.get(path, role=role, headers={"accept": "text/html"})
    assert answer.status == status, (path, answer.body[:400])
    assert answer.headers["content-type"].startswith("text/html")
    return answer.body.decode()


def link(text: str, marked: str) -> str:
    found = re.search(rf"<a[^>]*{marked}[^>]*>", text)
    assert found is not None, marked
    return unescape(re.search(r'href="([^"]*)"', found.group())[1])  # type: ignore[index]


def shown_card(text: str) -> str:
    return re.search(r'data-card="([^"]*)"', text)[1]  # type: ignore[index]


def test_a_well_shows_its_state_its_newest_card_and_why_it_stands_in_its_place(field: Service) -> None:
    text = text_of(field, "/well/Well%200003")
    for words in (
        "Well 0003",
        '<span class="badge idle">idle</span>',
        "<b>3</b> of 120",
        "<b>Pull the pump.</b> Leak in Traveling Valve for 3 days (90 %), line 3.",
        "The card is classified as leaking, but the timing of the valves shows no leak.",
        "Full pump. No leak is seen.",
        "An approved well test since the last workover: would give production corrected by it.",
        "Route 3",
        "Surface card",
        "Pump card",
        "fluid load, up",
        "high load limit",
        "bounds of this well",
    ):
        assert words in text, words
    assert shown_card(text) == "2025-03-31T02:00:00"
    assert (link(text, 'id="ahead"'), link(text, 'id="behind"')) == ("/well/Well%200002", "/well/Well%200004")
    assert len(text) < 100_000


def test_what_the_reason_has_said_is_not_said_again() -> None:
    from oasis_pipeline.decisions.findings import contradictions_of

    both = ["test_above_inferred", "vendor_above_inferred"]
    test, vendor = contradictions_of(both)
    assert contradictions_of(both, f"Test the well. {test}") == [vendor]


def test_a_survey_is_drawn_with_the_tapers(field: Service) -> None:
    with field.warehouse.transaction() as tx:
        tx.execute(
            'insert into xspoc.deviations ("NodeID", "MD", "Inclination", "Azimuth", file_stamp) select \'Well 0004\', md, md / 500, 90, now()'
            " from generate_series(0, 6000, 500) as md"
        )
        tx.execute(
            'insert into xspoc.rods ("NodeID", "RodNum", "Length", "Diameter", file_stamp) values'
            " ('Well 0004', 1, 2500, 0.875, now()), ('Well 0004', 2, 3000, 0.75, now())"
        )
    text = text_of(field, "/well/Well%200004")
    assert "12.0 deg at 6,000 ft" in text
    assert "0.2 deg/100 ft" in text
    assert text.count('<svg class="path"') == 1
    assert "0.875 in</text>" in text
    assert "0.750 in</text>" in text
    assert '<svg class="path"' not in text_of(field, "/well/Well%200005")


def test_cards_follow_each_other_in_both_directions(field: Service) -> None:
    path, seen = "/well/Well%200001", []
    while path:
        text = text_of(field, path)
        seen.append(shown_card(text))
        path = link(text, 'rel="prev"') if 'rel="prev"' in text else ""
    assert seen == [f"2025-03-{31 - day:02}T02:00:00" for day in range(DAYS)]
    assert shown_card(text_of(field, link(text, 'rel="next"'))) == seen[-2]
    # between two cards it is the one before; before the first it is the first
    assert shown_card(text_of(field, "/well/Well%200001?card=2025-03-30T01:59")) == seen[2]
    assert shown_card(text_of(field, "/well/Well%200001?card=1999-01-01")) == seen[-1]
    assert shown_card(text_of(field, "/well/Well%200001?day=2025-03-29")) == seen[2]
    part = text_of(field, "/well/Well%200001?part=card&card=2025-03-29T02:00:00")
    assert shown_card(part) == seen[2]
    assert part.startswith('<div id="card"')


def test_cards_are_pinned_over_others_four_at_most(field: Service) -> None:
    path = "/well/Well%200001?card=2025-03-30T02:00:00"
    for count in range(1, 6):
        text = text_of(field, path)
        path = link(text, 'id="pin"')
        pins = parse_qs(urlsplit(path).query)["pin"]
        assert len(pins) == min(count, 4)
        text = text_of(field, path)
        assert 'id="pin"' not in text
        assert text.count('class="mark-pin"') == min(count, 4)
        assert text.count('class="pin"') == 2 * min(count, 4)
        path = link(text, 'rel="prev"')
    fewer = link(text, 'aria-label="Take the card')
    assert len(parse_qs(urlsplit(fewer).query)["pin"]) == 3


def test_a_well_of_any_name_has_a_page(field: Service) -> None:
    names = ["A/B 100%", 'O\'Neil "7"', "<b>&amp;", "Ölfeld 1?#", "-1+1", "%2F", "a//b", "x;y=z", "Well\\7"]
    for number, name in enumerate(names, 1):
        with field.warehouse.transaction() as tx:
            tx.execute('delete from xspoc.node where "NodeID" = $1', (f"Well {number:04}",))
            tx.execute(
                "insert into xspoc.node values ($1, $2, true)", (name.replace("#", "").casefold(), name)
            )
            for table in (
                "clean.worklist",
                "clean.wellstatus",
                "clean.wellsummary",
                "clean.carddiag",
                "xspoc.card",
            ):
                tx.execute(
                    f'update {table} set "NodeID" = $1 where "NodeID" = $2', (name, f"Well {number:04}")
                )
    from oasis_pipeline.service.pages.tags import well_url

    for name in names:
        text = text_of(field, well_url(name))
        assert "Surface card" in text, name
        assert "<b>&amp;<" not in text
        exported = next(unescape(a) for a in re.findall(r'href="([^"]*)" download', text) if "carddiag" in a)
        assert parse_qs(urlsplit(exported).query)["NodeID"] == [name]
        rows = field.get(exported, role="viewer")
        assert rows.status == 200
        # one of them has been silent for five days
        assert len(rows.body.splitlines()) == (DAYS - 4 if name == "a//b" else DAYS + 1)
    assert text_of(field, "/well/well%20%200011").count("Well 0011") > 1, "in any spelling"


def test_what_is_not_there_is_told(field: Service) -> None:
    assert "Wells with that in their names: Well 0010, Well 0011" in text_of(field, "/well/well%20001", 404)
    for path in ("/well/nobody", "/well/%", "/well/' or 1=1 --", "/well/" + "x" * 3000):
        assert "No such well" in text_of(field, path, 404), path
    assert "Nothing here" in text_of(field, "/well/", 404)
    assert "is not a valid time" in text_of(field, f"{WELL}?card=soon", 400)
    assert "is not a valid time" in text_of(field, f"{WELL}?pin=2025-99-01", 400)
    assert field.get(f"{WELL}?card=9999-12-31T23:59:59", role="viewer").status == 200


def test_a_well_without_cards_or_a_list(bare: Service) -> None:
    with bare.warehouse.transaction() as tx:
        tx.execute("insert into xspoc.node values ('lonely', 'Lonely', true)")
    text = text_of(bare, "/well/Lonely")
    assert "No cards of this well" in text
    assert "This well is on no list yet" in text
    with bare.warehouse.transaction() as tx:
        tx.execute(
            'insert into xspoc.card ("NodeID", "Date", surfcard_fault, file_stamp) '
            "values ('Lonely', '2025-01-01', 'fewer than 8 points', '2025-01-01')"
        )
    text = text_of(bare, "/well/Lonely")
    assert "no usable card" in text
    assert "fewer than 8 points" in text
    assert "No class" in text


def test_reasons_of_a_class_or_why_there_are_none(field: Service) -> None:
    assert "there is no classifier yet" in text_of(field, f"{WELL}?why=1")


def test_notes_are_written_by_engineers_and_read_by_all(field: Service) -> None:
    written = "Stuffing box leaks <b>badly</b>\nseen twice"
    for role, status in (("viewer", 403), ("device", 403), ("engineer", 302), ("admin", 302)):
        headers = field.log_in(role)
        body = urlencode({"text": f"{written}, says {role}"}).encode()
        headers["content-type"] = "application/x-www-form-urlencoded"
        answer = field.post("/note/well%200007", body, role=None, headers=headers)
        assert answer.status == status, (role, answer.body)
    assert answer.headers["location"] == "/well/well%200007#notes"
    text = text_of(field, WELL)
    assert "Stuffing box leaks &lt;b&gt;badly&lt;/b&gt;<br>seen twice, says engineer" in text
    assert text.index("says admin") < text.index("says engineer")
    assert "says viewer" not in text
    assert "<textarea" not in text
    assert "<textarea" in text_of(field, WELL, role="engineer")
    headers = {**field.log_in("engineer"), "content-type": "application/x-www-form-urlencoded"}
    for path, body, status in (
        ("/note/Well%200007", b"text=+", 400),
        ("/note/Well%200007", b"text=" + b"x" * 4001, 400),
        ("/note/nobody", b"text=x", 404),
    ):
        assert field.post(path, body, role=None, headers=headers).status == status
    without = {name: value for name, value in headers.items() if name != "x-csrftoken"}
    assert field.post("/note/Well%200007", b"text=x", role=None, headers=without).status == 403


def test_the_course_comes_from_the_api(field: Service) -> None:
    for resource, fields in (
        ("wellstatus", "(Date,failure_prob_15d,production_bpd,lost_oil_bpd,gearbox_load_pct,runtime_h)"),
        ("wellsummary", "(Date,spm)"),
        ("carddiag", "(Date,pprl_lbf,mprl_lbf,fillage_pct,pump_intake_pressure_psi)"),
        ("welltest", "(TestDate,OilRate,WaterRate,Approved)"),
    ):
        time = fields[1:].split(",")[0]
        query = f"NodeID=Well+0001&fields={quote(fields)}&order_by={time}&limit=20000&{time}__gte=2025-03-28"
        answer = field.get(f"/api/{resource}/?{query}", role="viewer", headers={"accept": "application/json"})
        assert answer.status == 200, answer.body
        assert len(answer.json()) == (0 if resource == "welltest" else 4)


def test_a_well_is_read_in_few_statements_each_by_an_index(field: Service, asked: Asked) -> None:
    text_of(field, WELL)
    asked.statements.clear()
    text_of(field, f"{WELL}?part=card&card=2025-03-30T02:00:00")
    assert len(asked.statements) <= 4
    asked.statements.clear()
    text_of(field, f"{WELL}?pin=2025-03-29T02:00:00")
    assert len(asked.statements) <= 16
    tables = {
        "card",
        "worklist",
        "wellstatus",
        "wellsummary",
        "dynabounds",
        "dynapred",
        "carddiag",
        "roddiag",
        "failure_info",
        "alarm",
    }
    assert asked.scans(field, tables) == []


def test_advice_on_set_points_is_read_by_the_names_of_its_columns(service: Service) -> None:
    from oasis_pipeline.schema.model import Column, Kind, Table, Type
    from oasis_pipeline.service.pages.well import advice_of

    names = (
        "spm",
        "advised_spm",
        "idle_min",
        "advised_idle_min",
        "oil_change_bpd",
        "oil_change_bpd_lower",
        "oil_change_bpd_upper",
    )
    words = ("Present speed", "", "Minutes of standing, a day", "", "Change of oil, expected", "", "")
    columns = [Column(name, Type.FLOAT, "u", text) for name, text in zip(names, words, strict=True)]
    advice = Table("clean", "advice", ("NodeID",), (Column("NodeID", Type.TEXT), *columns), Kind.SERIES, "")
    row = dict(zip(names, (8.0, 6.5, 0.0, None, 3.2, 1.0, 5.0), strict=True)) | {
        "NodeID": "A",
        "reason": "Slower.",
    }
    assert advice_of(advice, row) == {
        "reason": "Slower.",
        "confidence": None,
        "points": [("Speed", 8.0, 6.5, "u")],
        "changes": [("Change of oil", 3.2, 1.0, 5.0, "u")],
        "curves": [],
    }
    tried = {
        "spm": [6.5, 8.0],
        "idle_min": [0.0, 0.0],
        "oil_change_bpd": [3.2, 0.0],
        "oil_change_bpd_lower": [1.0, 0.0],
        "oil_change_bpd_upper": [5.0, 0.0],
        "allowed": [True, True],
    }
    curve = {"speed": tried, "idle_time": {name: values[1:] for name, values in tried.items()}}
    drawn = advice_of(advice, row | {"action": "slow_down", "curve": json.dumps(curve)})["curves"]
    assert len(drawn) == 1, "an idle time alone is no curve"
    assert "from +3.2 bbl/d at 6.5 to +0.0 at 8 1/min" in drawn[0]
    assert ">advised<" in drawn[0]
