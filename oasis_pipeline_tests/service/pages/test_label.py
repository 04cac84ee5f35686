"""The page of labels: which cards come, what is stored, taken back and asked, and how it looks without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

from oasis_pipeline_tests.fixtures.label_queue import fill_queue, moment, node
from oasis_pipeline_tests.service.conftest import Answer, Service

pytestmark = pytest.mark.server

CARDS = 30


@pytest.fixture
def cards(service: Service) -> Iterator[Service]:
    """Thirty cards of three wells in the queue."""
    fill_queue(service.warehouse, CARDS)
    yield service
    fill_queue(service.warehouse, 0)


def shown(answer: Answer) -> list[str]:
    """Times of the cards of a page, in order."""
    assert answer.status == 200, answer.body[:2000]
    return re.findall(r'data-date="([^"]*)"', answer.body.decode())


def submit(service: Service, path: str, session: dict[str, str], **form: str) -> Answer:
    headers = {**session, "content-type": "application/x-www-form-urlencoded"}
    return service.post(path, urlencode(form).encode(), role=None, headers=headers)


def label(service: Service, number: int, text: str, role: str = "engineer") -> None:
    item = {"NodeID": node(number), "Date": moment(number).isoformat(), "TrueLabel1": text}
    assert service.post("/api/dynalabel/", item, role=role).status == 200


def test_cards_come_in_the_order_of_the_queue_and_labelled_ones_are_left_out(cards: Service) -> None:
    first = cards.get("/label", role="engineer")
    assert shown(first) == [moment(n).isoformat() for n in range(24)]
    text = first.body.decode()
    assert "The model says <b>Fluid Pound</b>" in text
    assert text.count('aria-label="pump card of') == 24
    assert "<b>8</b>" not in text, "names of wells are text"
    label(cards, 0, "Full Pump")
    label(cards, 2, "Full Pump")
    assert shown(cards.get("/label", role="engineer"))[:2] == [moment(1).isoformat(), moment(3).isoformat()]
    part = cards.get("/label?part=1&after=24", role="engineer", headers={"hx-request": "true"})
    assert shown(part) == [moment(n).isoformat() for n in range(24, CARDS)]
    assert b"<html" not in part.body
    last = cards.get("/label?view=twelve&after=30", role="engineer")
    assert shown(last) == []
    assert b"The queue is empty" in last.body


def test_a_certain_card_has_an_address_and_shows_what_one_has_said(cards: Service) -> None:
    label(cards, 1, "Gas Interference")
    answer = cards.get("/label", role="engineer", NodeID=node(1).upper(), Date=moment(1).isoformat())
    assert shown(answer) == [moment(1).isoformat()]
    assert b'data-own1="Gas Interference"' in answer.body
    assert (
        b'data-own1=""' in cards.get("/label", role="admin", NodeID=node(1), Date=moment(1).isoformat()).body
    )


def test_where_the_controller_sends_no_pump_card_the_rods_give_one(cards: Service) -> None:
    turn = np.linspace(0.0, 2.0 * np.pi, 100, endpoint=False)
    position, load = (
        60.0 - 60.0 * np.cos(turn),
        12_000.0 + 4_000.0 * np.sin(turn) + 300.0 * np.sin(5.0 * turn),
    )
    key = (node(0), moment(0))
    with cards.warehouse.transaction() as tx:
        tx.execute(
            "UPDATE xspoc.card SET pocdowncard_position = null, pocdowncard_load = null, surfcard_position = $3::text::real[],"
            ' surfcard_load = $4::text::real[] WHERE "NodeID" = $1 AND "Date" = $2::timestamp',
            (*key, *("{" + ",".join(f"{value:.2f}" for value in axis) + "}" for axis in (position, load))),
        )
        tx.execute(
            'INSERT INTO clean.carddiag ("NodeID", "Date", pump_card_source, damping, position_phase_deg, fillage_pct, quality, report)'
            " VALUES ($1, $2::timestamp, 'computed', 0.1, 0, 83, '', '')",
            key,
        )
        tx.execute(
            'INSERT INTO xspoc.rods_history ("NodeID", "RodNum", "Grade", "Length", "Diameter", "ValidFrom")'
            " VALUES ($1, 1, 'D', 2500, 0.875, '2023-01-01'), ($1, 2, 'D', 2500, 0.75, '2023-01-01') ON CONFLICT DO NOTHING",
            (node(0),),
        )
    text = cards.get("/label", role="engineer").body.decode()
    assert "Pump card by the rods, fillage 83 %" in text
    assert text.count('aria-label="pump card of') == 24
    picture = text[text.index('aria-label="pump card of') :]
    assert picture[: picture.index("</svg>")].count("L") > 40
    with cards.warehouse.transaction() as tx:
        tx.execute('DELETE FROM xspoc.rods_history WHERE "NodeID" = $1', (node(0),))
    text = cards.get("/label", role="engineer").body.decode()
    assert "by the rods" not in text, "without rods there is none"
    assert text.count('aria-label="pump card of') == 23


def test_a_form_stores_a_label_and_one_button_takes_it_back(cards: Service) -> None:
    session = cards.log_in("engineer")
    card = {"NodeID": node(1), "Date": moment(1).isoformat()}
    answer = submit(
        cards,
        "/label",
        session,
        **card,
        TrueLabel1="Fluid Pound",
        TrueLabel2="Worn Pump Barrel",
        next="/label?view=one",
    )
    assert (answer.status, answer.headers["location"]) == (303, "/label?view=one")
    (row,) = cards.get("/api/dynalabel/").json()
    assert (row["NodeID"], row["TrueLabel1"], row["TrueLabel2"], row["LabeledBy"]) == (
        node(1), "Fluid Pound", "Worn Pump Barrel", "engineer",
    )  # fmt: skip
    away = submit(cards, "/label", session, **card, TrueLabel1="Full Pump", next="//elsewhere.example/label")
    assert away.headers["location"] == "/label"
    assert submit(cards, "/label/undo", session, **card).json() == {"taken_back": True}
    assert submit(cards, "/label/undo", session, **card).json() == {"taken_back": False}
    assert cards.get("/api/dynalabel/").json() == []
    assert b"taken back" in cards.get("/label", role="engineer").body
    wrong = submit(cards, "/label", session, **card)
    assert wrong.status == 400
    assert b"both empty" in wrong.body


def test_second_opinions_ask_for_what_others_have_labelled_and_do_not_tell_it(cards: Service) -> None:
    assert b"No card has labels by two people yet" in cards.get("/label/agreement", role="admin").body
    nothing = cards.get("/label?mode=second", role="admin")
    assert b"Nothing to look at again" in nothing.body
    for number in range(6):
        label(cards, number, "Parted Rod")
    found = shown(cards.get("/label?mode=second", role="admin"))
    assert sorted(found) == [moment(n).isoformat() for n in range(6)]
    assert b"The model says" not in cards.get("/label?mode=second", role="admin").body
    assert shown(cards.get("/label?mode=second", role="engineer")) == [], "not one's own"
    after = re.findall(r'data-place="([^"]*)"', cards.get("/label?mode=second", role="admin").body.decode())[
        3
    ]
    assert shown(cards.get(f"/label?mode=second&after={after}", role="admin")) == found[4:]

    session = cards.log_in("engineer")
    card = {"NodeID": node(9), "Date": moment(9).isoformat()}
    assert submit(cards, "/label/ask", session, **card).json() == {"asked": True}
    assert submit(cards, "/label/ask", session, **card).status == 200, "asked again"
    assert shown(cards.get("/label?mode=second", role="admin"))[0] == moment(9).isoformat()
    assert cards.get("/api/opinion_request/").json()[0]["asked_by"] == "engineer"
    label(cards, 9, "Full Pump", "admin")
    label(cards, 0, "Parted Rod", "admin")
    label(cards, 1, "Fluid Pound", "admin")
    assert moment(9).isoformat() not in shown(cards.get("/label?mode=second", role="viewer"))[:1]
    assert b"No card has labels by two people" not in cards.get("/label/agreement", role="viewer").body
    text = cards.get("/label/agreement", role="viewer").body.decode()
    assert cards.get("/label/agreement", role="viewer", headers={"hx-request": "true"}).body.decode() in text
    assert "Of <b>2</b> opinions of two people on the same card <b>50 %</b> are the same" in text
    assert re.search(r"engineer: Parted Rod.*admin: Fluid Pound <span class=\"badge good\">in force", text)


def test_progress_counts_what_is_in_force(cards: Service) -> None:
    for number in range(4):
        label(cards, number, "Gas Interference")
    text = cards.get("/label", role="engineer").body.decode()
    assert "<b>4</b> cards of <b>3</b> wells have a label" in text
    assert '<b id="mine">4</b>' in text
    assert '<b id="mine">0</b>' in cards.get("/label", role="viewer").body.decode()


def test_roles_and_whoever_is_not_logged_in(cards: Service) -> None:
    viewer = cards.get("/label", role="viewer").body
    assert b"takes the role engineer or admin" in viewer
    assert b'<form method="post" action="/label"' not in viewer
    session = cards.log_in("viewer")
    card = {"NodeID": node(1), "Date": moment(1).isoformat()}
    for path in ("/label", "/label/undo", "/label/ask"):
        assert submit(cards, path, session, **card, TrueLabel1="Full Pump").status == 403
    assert cards.get("/label", role=None).status == 302
    assert cards.get("/label/agreement", role="device").status == 403
    for path in ("/label/undo", "/label/ask"):
        assert cards.get(path, role="admin").status == 405
    assert cards.get("/api/dynalabel/").json() == []


def test_hostile_parameters_and_forms_are_told(cards: Service) -> None:
    for query in (
        "view=three", "mode=all", "after=1%27", "after=" + "9" * 30, "after=%00", "mode=second&after=%27--", "NodeID=x",
        "NodeID=x&Date=soon", "NodeID=%00&Date=2024-01-01", "NodeID=&Date=2024-01-01", "NodeID=x&Date=2024-01-01T00:00:00Z",
        "NodeID=" + "x" * 999 + "&Date=2024-01-01",
    ):  # fmt: skip
        assert cards.get(f"/label?{query}", role="engineer").status == 400, query
    missing = cards.get("/label", role="engineer", NodeID='"><script>alert(1)</script>', Date="2024-01-01")
    assert missing.status == 200
    assert b"<script>alert" not in missing.body
    session = cards.log_in("engineer")
    forms: list[tuple[str, dict[str, Any], int]] = [
        ("/label", {"NodeID": "x", "Date": "soon", "TrueLabel1": "a"}, 400),
        ("/label", {"NodeID": "x", "Date": "2024-01-01", "TrueLabel1": "a" * 300}, 400),
        ("/label/undo", {"NodeID": "x"}, 400),
        ("/label/undo", {"NodeID": "a\x00b", "Date": "2024-01-01"}, 400),
        ("/label/ask", {"NodeID": "nobody", "Date": "2024-01-01"}, 404),
    ]
    for path, form, status in forms:
        assert submit(cards, path, session, **form).status == status, (path, form)


def test_an_empty_warehouse_says_what_to_do(cards: Service) -> None:
    with cards.warehouse.transaction() as tx:
        tx.execute("TRUNCATE clean.label_queue")
    body = cards.get("/label", role="engineer").body
    assert b"There are no predicted cards yet" in body
    assert b"oasis run" in body


def test_guidelines_show_every_class_and_may_be_the_fields_own(cards: Service) -> None:
    label(cards, 3, "Paraffin <i>")
    label(cards, 1, "Full Pump")
    text = cards.get("/label/guide", role="viewer").body.decode()
    assert text.count("simulated pump card of") == 24
    assert "Paraffin &lt;i&gt;" in text
    assert text.count("of this field</figcaption>") == 2
    assert "<kbd>1</kbd> Full Pump" in text
    own = cards.settings.home / "label_guidelines.toml"
    try:
        own.write_text('[[class]]\nlabel = "Full Pump"\nlooks = "Round & <full>"\n', "utf-8")
        assert "Round &amp; &lt;full&gt;" in cards.get("/label/guide", role="viewer").body.decode()
        own.write_text("[[class]]\nlooks = 5", "utf-8")
        answer = cards.get("/label", role="viewer")
        assert answer.status == 503
        assert b"label_guidelines.toml" in answer.body
    finally:
        own.unlink()
