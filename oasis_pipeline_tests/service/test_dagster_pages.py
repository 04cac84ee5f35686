"""The door in front of Dagster's pages: by which names, from which pages, and as whom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from oasis_pipeline.service.config import Exposure
from oasis_pipeline.service.dagster_pages import PAGES_TOKEN_VARIABLE, Door, behind_door, user_who_asks
from oasis_pipeline_tests.service.conftest import PASSWORD, Service, basic

HERE = "127.0.0.1:3000"


def knock(
    door: Door, kind: str = "http", path: str = "/graphql", method: str = "POST", **headers: str
) -> Any:
    """The status, or `close` for a web socket that was refused, with the headers of the answer."""
    came: list[Any] = []
    pairs = {"host": HERE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": kind,
        "path": path,
        "method": method,
        "client": ("10.0.0.7", 1),
        "headers": [(name.encode(), value.encode()) for name, value in pairs.items()],
    }

    async def receive() -> Any:
        return {"type": f"{kind}.connect"}

    async def send(message: Any) -> None:
        came.append(message)

    asyncio.run(door(scope, receive, send))
    if came[0]["type"] == "websocket.close":
        return "close", {}
    if came[0]["type"] == "websocket.accept":
        return "accept", {}
    return came[0]["status"], {name.decode(): value.decode() for name, value in came[0]["headers"]}


async def pages(scope: Any, receive: Any, send: Any) -> None:
    """In the place of Dagster's application."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_on_this_machine_by_its_own_names_and_from_its_own_pages_only() -> None:
    door = Door(pages, Exposure().hosts, None)
    for host in (HERE, "localhost:3000", "localhost", "[::1]:3000", "LOCALHOST:1"):
        assert knock(door, host=host)[0] == 200, host
        assert knock(door, "websocket", host=host, origin=f"http://{host}")[0] == "accept"
    for host in ("evil.example", "evil.example:3000", "127.0.0.1.evil.example", "", "[", "localhost.:3000"):
        assert knock(door, host=host)[0] == 400, host
        assert knock(door, "websocket", host=host)[0] == "close"
    for origin in ("http://evil.example", "null", "http://127.0.0.1:3001", "https://localhost:3000", ""):
        assert knock(door, origin=origin)[0] == 403, origin
        assert knock(door, "websocket", origin=origin)[0] == "close", origin
    assert knock(door, origin=f"http://{HERE}")[0] == 200
    # a picture, a script or a form of another page; a link is fine
    for mode, target, status in (
        ("no-cors", "image", 403),
        ("navigate", "iframe", 403),
        ("navigate", "document", 200),
    ):
        asked = {"sec_fetch_site": "cross-site", "sec_fetch_mode": mode, "sec_fetch_dest": target}
        assert knock(door, method="GET", path="/runs", **asked)[0] == status
    assert knock(door, method="GET", path="/prefix/graphql")[0] == 405, "an address that runs something"
    for prefix in ("", "/dagster"):
        entrance = Door(pages, Exposure().hosts, None, prefix)
        status, headers = knock(entrance, method="GET", path=f"{prefix}/")
        assert (status, headers["location"]) == (307, f"{prefix}/asset-groups")
        assert knock(entrance, method="GET", path=f"{prefix}/overview/activity/timeline")[0] == 200
    assert knock(door, method="GET", accept="text/html,*/*")[0] == 200


@pytest.mark.server
def test_where_others_reach_it_people_log_in(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PAGES_TOKEN_VARIABLE, raising=False)
    monkeypatch.setenv("OASIS_HOME", str(service.settings.home))
    monkeypatch.delenv("OASIS_TRUST_PROXY", raising=False)
    assert knock(behind_door(pages, "127.0.0.1"))[0] == 200
    monkeypatch.setattr(
        "oasis_pipeline.storage.server.address_of", lambda settings: service.warehouse.address
    )
    for host in ("0.0.0.0", "192.168.1.5", "::", "field.example"):
        assert knock(behind_door(pages, host), host="field.example")[0] == 401
    monkeypatch.setenv("OASIS_TRUST_PROXY", "1")
    assert knock(behind_door(pages, "127.0.0.1"))[0] == 401, "whoever reaches the proxy reaches the pages"

    door = Door(pages, ["*"], user_who_asks)
    assert knock(door, path="/server_info", method="GET")[0] == 200, "for health checks"
    assert knock(door, path="/dagster/server_info", method="GET")[0] == 401
    below = Door(pages, ["*"], user_who_asks, "/dagster")
    assert knock(below, path="/dagster/server_info", method="GET")[0] == 200
    assert knock(below, path="/server_info", method="GET")[0] == 401
    assert knock(door, "websocket")[0] == "close"
    session = service.log_in("engineer")["cookie"]
    assert knock(door, cookie=session)[0] == 200, "who has logged in to the data service"
    assert knock(door, "websocket", cookie=session)[0] == "accept"
    assert knock(door, cookie=service.log_in("viewer")["cookie"])[0] == 403
    status, headers = knock(door, **basic("engineer"))
    assert (status, headers["set-cookie"].split("=")[0]) == (200, "oasis_pages")
    assert "HttpOnly; SameSite=Strict" in headers["set-cookie"]
    cookie = headers["set-cookie"].split(";")[0]
    for kind, answer in (("http", 200), ("websocket", "accept")):
        assert knock(door, kind, cookie=f"other=1; {cookie}")[0] == answer
        assert knock(door, kind, **basic("root"))[0] == answer
        assert knock(door, kind, authorization=f"Bearer {service.tokens['admin']}")[0] == answer
    assert knock(door, authorization="Basic ???")[0] == 401
    assert knock(door, **basic("engineer", "wrong"))[0] == 401
    assert knock(door, authorization=f"Bearer {service.tokens['admin']}x")[0] == 401
    for role in ("viewer", "device"):
        assert knock(door, **basic(role))[0] == 403, "they start runs"
        assert knock(door, authorization=f"Bearer {service.tokens[role]}")[0] == 403
    for changed in (
        cookie[:-1] + ("A" if cookie[-1] != "A" else "B"),
        "oasis_pages=",
        "oasis_pages=a:b:c",
        "x;;=",
    ):
        assert knock(door, cookie=changed)[0] == 401, changed
    assert {knock(door, **basic("viewer", f"guess{i}"))[0] for i in range(12)} == {401, 429}

    monkeypatch.setenv(PAGES_TOKEN_VARIABLE, "t0ken")
    assert knock(door, authorization="Bearer t0ken")[0] == 200
    assert knock(door, authorization="Bearer t0ke")[0] == 401
    assert knock(door, authorization="Bearer ")[0] == 401


@pytest.mark.server
def test_a_password_that_was_changed_ends_the_log_in(service: Service) -> None:
    from django.contrib.auth.models import User

    from oasis_pipeline.service import access

    door = Door(pages, ["*"], user_who_asks)
    _, headers = knock(door, **basic("engineer", PASSWORD))
    cookie = headers["set-cookie"].split(";")[0]
    user = User.objects.get(username="engineer")
    user.set_password("another-one-17")
    user.save()
    access.forget()
    assert knock(door, cookie=cookie)[0] == 401
