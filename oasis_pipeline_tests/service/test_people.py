"""Users and labels: what people send."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from oasis_pipeline.intake.labels import IN_FORCE
from oasis_pipeline.operations import labels
from oasis_pipeline_tests.service.conftest import Service, basic

pytestmark = pytest.mark.server

MODULE = "34.B2.9F.A9"


def test_users_are_made_found_and_deleted(service: Service) -> None:
    new = [
        {"username": "reader", "password": "a-long-one-99", "email": "reader@field.example"},
        {"username": "gateway", "password": "a-long-one-98", "roles": ["device"], "module": MODULE},
    ]
    answer = service.post("/api/userprofile/", new)
    assert answer.status == 200
    assert [(row["username"], row["roles"], row["module_num"]) for row in answer.json()] == [
        ("reader", "viewer", None),
        ("gateway", "device", MODULE),
    ]
    assert not any("password" in row for row in answer.json())
    assert service.get("/api/module/", headers=basic("reader", "a-long-one-99"), role=None).status == 200
    found = service.get("/api/userprofile/", module_num=MODULE).json()
    assert [row["username"] for row in found] == ["gateway"]

    again = service.post("/api/userprofile/", [new[0], {**new[1], "email": "other@field.example"}]).json()
    assert [row.get("conflict", False) for row in again] == [False, True]
    assert again[1]["email"] == ""

    gone = service.delete("/api/userprofile/", username__in="(reader,gateway)")
    assert gone.json() == {"deleted": 2, "remaining": []}
    refused = service.delete("/api/userprofile/", username="admin")
    assert refused.status == 400
    assert "users cannot delete themselves" in refused.json()["reason"]


def test_faults_of_users_are_listed_and_none_is_made(service: Service) -> None:
    before = service.count("django.auth_user")
    bad: list[tuple[Any, str | None]] = [
        ({"password": "a-long-one-99"}, "username"),
        ({"username": "a b"}, "username"),
        ({"username": "x", "email": "nowhere"}, "email"),
        ({"username": "x", "password": "1234"}, "password"),
        ({"username": "x", "roles": ["king"]}, "roles"),
        ({"username": "x", "roles": 5}, "roles"),
        ({"username": "x", "roles": ["device"]}, "module_num"),
        ({"username": "x", "module_num": "nobody"}, "module_num"),
        ({"username": "x", "size": 1}, "size"),
        ("x", None),
    ]
    answer = service.post("/api/userprofile/", [{"username": "fine"}, *(item for item, _ in bad)])
    assert answer.status == 400
    assert [(e["index"], e["field"]) for e in answer.json()["errors"]] == [
        (i + 1, name) for i, (_, name) in enumerate(bad)
    ]
    assert service.count("django.auth_user") == before


def test_nobody_becomes_a_superuser_by_the_api(service: Service) -> None:
    for name in ("is_superuser", "is_staff", "is_active", "id", "groups", "conflict"):
        answer = service.post("/api/userprofile/", {"username": "sly", name: True})
        assert answer.status == 400, name
        assert [error["field"] for error in answer.json()["errors"]] == [name]
    row = service.post("/api/userprofile/", {"username": "sly"}).json()
    assert (row["is_superuser"], row["is_staff"], row["roles"]) == (False, False, "viewer")


def test_labels_go_the_way_of_a_labels_file(service: Service) -> None:
    house = service.warehouse
    with house.transaction() as tx:
        tx.execute("INSERT INTO xspoc.node VALUES ('well 7', 'Well 7', true)")
    first = {"NodeID": "#well  7", "Date": "1/5/2024 6:00 AM", "TrueLabel1": " Fluid Pound "}
    answer = service.post("/api/dynalabel/", first, role="engineer")
    assert answer.status == 200, answer.body
    assert answer.json()["NodeID"] == "Well 7", "the shown spelling"
    assert answer.json()["Date"] == "2024-01-05T06:00:00"
    assert (answer.json()["TrueLabel1"], answer.json()["LabeledBy"]) == ("Fluid Pound", "engineer")

    later = [
        {
            "NodeID": "WELL 7",
            "Date": "2024-01-05T06:00:00",
            "TrueLabel1": "FLUID POUND",
            "TrueLabel2": "Worn Pump Barrel",
        },
        {"NodeID": "not here yet", "Date": "2024-01-06", "TrueLabel1": "Full Pump"},
    ]
    rows = service.post("/api/dynalabel/", later, role="admin").json()
    assert [(row["TrueLabel1"], row["TrueLabel2"], row["LabeledBy"]) for row in rows] == [
        ("Fluid Pound", "Worn Pump Barrel", "admin"),
        ("Full Pump", None, "admin"),
    ]
    history = house.query('SELECT "LabeledBy" FROM clean.dynalabel_history ORDER BY "LabeledAt", "NodeID"')
    assert history["LabeledBy"].to_pylist() == ["engineer", "admin", "admin"]
    assert service.get("/api/dynalabel/", NodeID="well 7").json() == rows[:1]

    def tick() -> int:
        found = house.query("SELECT changed_tick FROM oasis.asset_state WHERE asset = 'clean/dynalabel'")
        return int(found["changed_tick"][0].as_py())

    before = tick()
    assert service.post("/api/dynalabel/", later[1], role="engineer").status == 200
    assert tick() == before, "the same labels in force are no reason to learn anew"
    service.post("/api/dynalabel/", {**later[1], "TrueLabel1": "Gas Interference"}, role="engineer")
    assert tick() > before


def test_a_label_taken_back_lets_what_others_said_come_into_force_again(service: Service) -> None:
    from oasis_pipeline.service.labels import take_back

    house, moment = service.warehouse, datetime(2024, 1, 5, 6)
    label = {"NodeID": "Well 7", "Date": moment.isoformat(), "TrueLabel1": "Fluid Pound"}
    service.post("/api/dynalabel/", label, role="engineer")
    service.post("/api/dynalabel/", {**label, "TrueLabel1": "Full Pump"}, role="admin")

    def in_force() -> list[tuple[str, str]]:
        return [(row["TrueLabel1"], row["LabeledBy"]) for row in service.get("/api/dynalabel/").json()]

    now = datetime(2024, 1, 6)
    assert not take_back("Well 7", moment, "viewer", now), "who said nothing has nothing to take back"
    assert in_force() == [("Full Pump", "admin")]
    assert take_back("Well 7", moment, "admin", now)
    assert not take_back("Well 7", moment, "admin", now), "once"
    assert in_force() == [("Fluid Pound", "engineer")]
    assert take_back("Well 7", moment, "engineer", now)
    assert in_force() == []
    assert service.count("clean.dynalabel_history") == 4, "nothing is removed"
    assert labels.disagreements(house) == []
    with house.transaction() as tx:
        assert tx.query(IN_FORCE, (None, None)).num_rows == 0
    service.post("/api/dynalabel/", label, role="engineer")
    assert in_force() == [("Fluid Pound", "engineer")]


def test_faults_of_labels_are_listed_and_none_is_stored(service: Service) -> None:
    fine = {"NodeID": "W", "Date": "2024-01-01", "TrueLabel1": "Full Pump"}
    bad: list[tuple[Any, str | None]] = [
        ({**fine, "NodeID": "#"}, "NodeID"),
        ({**fine, "Date": "soon"}, "Date"),
        ({**fine, "Date": "2124-01-01"}, "Date"),
        ({**fine, "Date": "1999-01-01"}, "Date"),
        ({**fine, "TrueLabel1": ""}, "TrueLabel1, TrueLabel2"),
    ]
    answer = service.post("/api/dynalabel/", [fine, *(item for item, _ in bad)])
    assert answer.status == 400
    assert [(e["index"], e["field"]) for e in answer.json()["errors"]] == [
        (i + 1, name) for i, (_, name) in enumerate(bad)
    ]
    strange = service.post("/api/dynalabel/", [5, {**fine, "Label": "x"}, {**fine, "Date": 7}]).json()[
        "errors"
    ]
    assert [(e["index"], e["field"]) for e in strange] == [(0, None), (1, "Label"), (2, "Date")]
    assert service.count("clean.dynalabel") == 0
    assert service.post("/api/dynalabel/", []).json() == []


def test_a_new_user_of_the_administration_site_is_a_viewer_until_somebody_says_otherwise(
    service: Service,
) -> None:
    from django.contrib.auth.models import User

    user = User.objects.create_user("newcomer", password="a-long-one-97")
    assert [group.name for group in user.groups.all()] == ["viewer"]
    assert user.profile.module_num is None
    assert service.get("/api/module/", headers=basic("newcomer", "a-long-one-97"), role=None).status == 200
    user.groups.clear()
    from oasis_pipeline.service import access

    access.forget()
    answer = service.get("/api/module/", headers=basic("newcomer", "a-long-one-97"), role=None)
    assert answer.status == 403
    assert "no role" in answer.json()["reason"]
