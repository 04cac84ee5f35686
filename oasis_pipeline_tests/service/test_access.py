"""Who may do what: the matrix of roles, tokens, passwords, sessions, and what is bounded."""

from __future__ import annotations

import asyncio
import gzip
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from oasis_pipeline.service import limits
from oasis_pipeline.service.asgi import bounded
from oasis_pipeline.service.roles import MATRIX, ROLES, allowed
from oasis_pipeline_tests.service.conftest import EXAMPLES, Service, add_alarm, basic, make_token

pytestmark = pytest.mark.server

MODULE = "34.B2.9F.A9"
READERS = {"admin", "engineer", "viewer"}
# written out by hand, not taken from the code: path, method, body, who may
TABLES = (
    "card",
    "carddiag",
    "dynapred",
    "xpred",
    "dynalabel",
    "alarm",
    "rejected",
    "failure_info",
    "welltest",
)
WHO: list[tuple[str, str, Any, set[str]]] = [
    ("/api/module/", "GET", None, READERS),
    ("/api/module/", "POST", {"module_num": "new"}, {"admin", "engineer"}),
    ("/api/module/?module_num=none", "DELETE", None, {"admin"}),
    ("/api/rawdata/?limit=1", "GET", None, READERS),
    ("/api/rawdata/", "POST", EXAMPLES["readings"], {"admin", "engineer", "device", "module"}),
    ("/api/rawdata/?module_num=none", "DELETE", None, {"admin"}),
    ("/api/databatch/?module_num=m&window_size=2", "GET", None, READERS),
    ("/api/userprofile/", "GET", None, {*ROLES, "module"}),
    ("/api/userprofile/", "POST", {"username": "somebody"}, {"admin"}),
    ("/api/userprofile/?username=nobody", "DELETE", None, {"admin"}),
    *((f"/api/{name}/?limit=1", "GET", None, READERS) for name in TABLES),
    (
        "/api/dynalabel/",
        "POST",
        {"NodeID": "W1", "Date": "2024-01-01T00:00:00", "TrueLabel1": "Full Pump"},
        {"admin", "engineer"},
    ),
    ("/api/alarm/{alarm_id}/acknowledge", "POST", None, {"admin", "engineer"}),
    ("/api/alarm/{alarm_id}/dismiss", "POST", {"reason": "sand"}, {"admin", "engineer"}),
    ("/api/docs", "GET", None, {*ROLES, "module"}),
    ("/api/openapi.json", "GET", None, {*ROLES, "module"}),
]


def give_module(username: str, module: str | None) -> None:
    from oasis_pipeline.service import access
    from oasis_pipeline.service.models import Profile

    Profile.objects.filter(user__username=username).update(module_num=module)
    access.forget()


def test_each_role_may_do_what_the_matrix_says(service: Service) -> None:
    give_module("device", MODULE)
    alarm = quote(add_alarm(service.warehouse, "Well 7/8"))
    for listed, method, body, who in WHO:
        path = listed.replace("{alarm_id}", alarm)
        for role in (*ROLES, "module"):
            answer = service.ask(method, path, body, role=role)
            case = (method, path, role, answer.status, answer.body[:300])
            assert answer.status == (200 if role in who else 403), case
            assert role in who or role in answer.json()["reason"], case
        assert service.ask(method, path, body, role=None).status == 401, (method, path)


def test_the_matrix_above_is_whole(service: Service) -> None:
    paths = service.get("/api/openapi.json").json()["paths"]
    listed = {(path.split("?")[0], method) for path, method, _, _ in WHO}
    there = {(path, method.upper()) for path, methods in paths.items() for method in methods}
    others = {(path, method) for path, method in there - listed}
    assert all(method == "GET" and allowed(frozenset({"viewer"}), "tables", "GET") for _, method in others)
    assert not listed - there - {("/api/docs", "GET"), ("/api/openapi.json", "GET")}
    assert set(MATRIX["tables"]) == {"GET"}


def test_nothing_but_health_readiness_and_the_log_in_without_one(service: Service) -> None:
    assert service.get("/health", role=None).json() == {"status": "alive"}
    assert service.get("/ready", role=None).json() == {"status": "ready"}
    assert service.get("/login/", role=None).status == 200
    for path in ("/", "/admin/", "/admin/auth/user/add/"):
        answer = service.get(path, role=None)
        assert answer.status == 302
        assert "/login/" in answer.headers["location"]
    html = service.get("/api/docs", role=None, headers={"accept": "text/html"})
    assert html.headers["location"] == "/login/?next=%2Fapi%2Fdocs"
    answer = service.get("/api/module/", role=None)
    assert answer.status == 401
    assert "Basic" in answer.headers["www-authenticate"]
    assert answer.json()["reason"]


def test_a_proxy_asks_who_may_see_dagsters_pages(service: Service) -> None:
    def ask(role: str | None = None, **headers: str) -> Any:
        given = {"X-Forwarded-Uri": "/dagster/runs?x=1", "X-Forwarded-Method": "GET"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return service.get("/auth/dagster", role=role, headers=given)

    page = {"accept": "text/html,*/*"}
    for role in ROLES:
        status = 200 if role in ("admin", "engineer") else 403
        assert ask(role).status == status, role
        if role != "admin":  # whose name is root
            assert ask(**basic(role)).status == status, role
            assert ask(cookie=service.log_in(role)["cookie"]).status == status, role
    assert "engineer or admin" in ask("viewer", **page).body.decode()
    answer = ask(**page)
    assert (answer.status, answer.headers["location"]) == (302, "/login/?next=%2Fdagster%2Fruns%3Fx%3D1")
    answer = ask()
    assert (answer.status, set(answer.json())) == (401, {"reason"})
    assert "Basic" in answer.headers["www-authenticate"]
    for cookie in ("sessionid=", f"sessionid={'x' * 32}", "sessionid=' OR true --", "sessionid=a\x00b"):
        assert ask(cookie=cookie, **page).status == 302, cookie
    session = service.log_in("engineer")["cookie"]
    assert ask(cookie=session, origin="https://evil.example").status == 403
    assert ask(cookie=session, origin="http://localhost").status == 200
    assert ask(cookie=session, X_Forwarded_Uri="/dagster/graphql?query=x").status == 405
    assert ask(cookie=session, X_Forwarded_Uri="/dagster/graphql", X_Forwarded_Method="POST").status == 200
    socket = {"X_Forwarded_Uri": "/dagster/graphql", "Sec_WebSocket_Key": "x"}
    assert ask(cookie=session, **socket, origin="http://localhost").status == 200
    assert ask(cookie=session, **socket, origin="https://evil.example").status == 403


def test_a_session_of_dagsters_pages_ends_with_its_password_and_its_user(service: Service) -> None:
    from django.contrib.auth.models import User

    from oasis_pipeline.service import access

    session = service.log_in("engineer")["cookie"]
    (key,) = (part[10:] for part in session.split("; ") if part.startswith("sessionid="))
    user = User.objects.get(username="engineer")
    found = access.principal_of_session_key(key)
    assert found is not None
    assert (found.name, found.roles) == ("engineer", frozenset({"engineer"}))
    assert found.user_id == user.pk
    for change in ({"is_active": False}, {"password": user.password[::-1]}):
        own = {name: getattr(user, name) for name in change}
        User.objects.filter(pk=user.pk).update(**change)
        access.forget()
        assert access.principal_of_session_key(key) is None, change
        User.objects.filter(pk=user.pk).update(**own)
        access.forget()
        assert access.principal_of_session_key(key) is not None


def test_a_device_posts_readings_of_its_own_module_only(service: Service) -> None:
    service.post("/api/module/", {"module_num": "other"})
    mixed = [EXAMPLES["readings"][0], {**EXAMPLES["readings"][1], "module": "other"}]  # type: ignore[index]
    for role in ("module", "device"):
        give_module("device", MODULE)
        answer = service.post("/api/rawdata/", mixed, role=role)
        assert answer.status == 403
        assert [error["index"] for error in answer.json()["errors"]] == [1]
        assert service.count() == 0
        give_module("device", None)
    assert "without a module" in service.post("/api/rawdata/", mixed[0], role="device").json()["reason"]
    assert service.post("/api/rawdata/", mixed, role="engineer").status == 200


def test_ones_own_row_and_no_other(service: Service) -> None:
    for role in ("engineer", "viewer", "device"):
        (row,) = service.get("/api/userprofile/", role=role).json()
        assert row["username"] == role
        assert service.get("/api/userprofile/", role=role, username="root").json() == []
    assert len(service.get("/api/userprofile/").json()) == 5
    assert service.get("/api/userprofile/", role="module").json() == []
    assert b"password" not in service.get("/api/userprofile/").body


def test_of_a_token_only_the_hash_is_kept(service: Service) -> None:
    token = service.tokens["engineer"]
    secret = token.split("-", 2)[2]
    kept = service.warehouse.query("SELECT row_to_json(t)::text AS row FROM django.service_token AS t")["row"]
    assert not any(secret in row for row in kept.to_pylist())
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    for text in (
        wrong,
        "oasis",
        "oasis--",
        token.replace("oasis", "other"),
        "oasis-" + "0" * 16 + "-x",
        "\xe9",
    ):
        answer = service.get("/api/module/", headers={"authorization": f"Bearer {text}"}, role=None)
        assert answer.status == 401, text


def test_a_revoked_an_expired_and_a_deactivated_users_token_end_within_a_second(service: Service) -> None:
    from django.contrib.auth.models import User

    from oasis_pipeline.service.models import Token

    def ends(role: str) -> None:
        assert limits.CACHE_SECONDS <= 1.0
        time.sleep(limits.CACHE_SECONDS + 0.05)
        assert service.get("/api/module/", role=role).status == 401

    for role in ("engineer", "viewer", "admin"):
        assert service.get("/api/module/", role=role).status == 200
    Token.objects.filter(name="engineer").update(revoked=True)
    Token.objects.filter(name="viewer").update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    User.objects.filter(username="admin").update(is_active=False)
    for role in ("engineer", "viewer", "admin"):
        ends(role)


def test_basic_log_in_and_a_password_that_was_changed(service: Service) -> None:
    from django.contrib.auth.models import User

    assert service.get("/api/module/", headers=basic("viewer"), role=None).status == 200
    assert service.get("/api/module/", headers=basic("viewer", "wrong"), role=None).status == 401
    assert service.get("/api/module/", headers=basic("nobody"), role=None).status == 401
    assert service.get("/api/module/", headers=basic("no\x00body"), role=None).status == 401
    assert service.get("/api/module/", headers={"authorization": "Basic ???"}, role=None).status == 401
    user = User.objects.get(username="viewer")
    user.set_password("another-one-17")
    user.save()
    time.sleep(limits.CACHE_SECONDS + 0.05)
    assert service.get("/api/module/", headers=basic("viewer"), role=None).status == 401
    assert service.get("/api/module/", headers=basic("viewer", "another-one-17"), role=None).status == 200


MOST = limits.FAILED_LOGINS_PER_MINUTE


def statuses(service: Service, count: int, **options: Any) -> list[int]:
    return [
        service.get("/api/module/", role=None, headers=basic("viewer", f"guess{i}"), **options).status
        for i in range(count)
    ]


def test_guessing_passwords_is_slowed_down_on_every_way_in(service: Service) -> None:
    assert statuses(service, MOST + 3, client="10.9.8.7") == [401] * MOST + [429] * 3
    right = service.get("/api/module/", headers=basic("viewer"), role=None, client="10.9.8.7")
    assert right.status == 429
    assert 0 < int(right.headers["retry-after"]) <= 60
    for path in ("/login/", "/admin/login/"):
        page = service.get(path, role=None, client="10.9.8.7")
        token = page.cookies["csrftoken"]
        form = f"username=VIEWER&password=x&csrfmiddlewaretoken={token}".encode()
        headers = {"cookie": f"csrftoken={token}", "content-type": "application/x-www-form-urlencoded"}
        answer = service.post(path, form, role=None, headers=headers, client="10.9.8.7")
        assert answer.status == 429, path
        assert int(answer.headers["retry-after"]) > 0
        assert b"too many failed log-ins: wait" in answer.body
    with pytest.raises(AssertionError):
        service.log_in("viewer", client="10.9.8.7")


def test_the_pages_count_as_the_rest(service: Service) -> None:
    for path in ("/login/", "/admin/login/"):
        for i in range(MOST // 2):
            token = service.get(path, role=None).cookies["csrftoken"]
            form = f"username=admin&password=guess{i}&csrfmiddlewaretoken={token}".encode()
            headers = {"cookie": f"csrftoken={token}", "content-type": "application/x-www-form-urlencoded"}
            answer = service.post(path, form, role=None, headers=headers)
            assert answer.status == 200
            assert b"correct" in answer.body
    assert service.get("/api/module/", headers=basic("admin"), role=None).status == 429


def test_a_stranger_does_not_keep_the_owner_out(service: Service) -> None:
    assert service.get("/api/module/", headers=basic("viewer"), role=None, client="10.1.1.1").status == 200
    # one attacker: whoever comes from elsewhere is not touched
    assert 429 in statuses(service, MOST + 1, client="10.9.9.1")
    attacker = service.get("/api/module/", headers=basic("viewer"), role=None, client="10.9.9.1")
    assert attacker.status == 429, "not even the right password, although the service remembers it"
    assert service.get("/api/module/", headers=basic("viewer"), role=None, client="10.2.2.2").status == 200
    # many: no more guesses than for one name, and who logged in from there before still can
    guesses = [status for i in range(2, 9) for status in statuses(service, MOST, client=f"10.9.9.{i}")]
    assert guesses.count(401) == limits.FAILED_LOGINS_OF_NAME - MOST
    assert service.get("/api/module/", headers=basic("viewer"), role=None, client="10.1.1.1").status == 200
    assert service.get("/api/module/", headers=basic("viewer"), role=None, client="10.3.3.3").status == 429


def test_one_address_guesses_no_more_under_many_names(service: Service) -> None:
    assert service.get("/api/module/", headers=basic("viewer"), role=None).status == 200
    found = [
        service.get("/api/module/", headers=basic(f"name{i}", "x"), role=None).status
        for i in range(limits.FAILED_LOGINS_OF_ADDRESS + 5)
    ]
    assert found == [401] * limits.FAILED_LOGINS_OF_ADDRESS + [429] * 5
    assert service.get("/api/module/", headers=basic("viewer"), role=None).status == 200, "known here"
    assert service.get("/api/module/", headers=basic("engineer"), role=None).status == 429


def test_guesses_at_the_same_time_are_no_way_around(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from django.test import RequestFactory

    from oasis_pipeline.service import access
    from oasis_pipeline.service.errors import ApiError

    def slowly(given: str, stored: str) -> bool:
        time.sleep(0.1)
        return given == "right"

    monkeypatch.setattr(access, "check_password", slowly)
    request = RequestFactory().get("/")

    def guess(password: str) -> str:
        try:
            return "right" if access.principal_of_password(request, "viewer", password) else "wrong"
        except ApiError as error:
            return str(error.status)

    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(guess, [f"guess{i}" for i in range(20)]))
        assert sorted(found) == ["429"] * 10 + ["wrong"] * 10
        # a program's first requests, side by side
        monkeypatch.setattr(access, "client_address", lambda request: "10.5.5.5")
        request.META["REMOTE_ADDR"] = "10.5.5.5"
        assert list(threads.map(guess, ["right"] * 20)) == ["right"] * 20


def test_guessing_tokens_is_slowed_down_and_harms_no_other(service: Service) -> None:
    key = service.tokens["viewer"].split("-")[1]
    found = [
        service.get("/api/module/", headers={"authorization": f"Bearer oasis-{key}-{i}"}, role=None).status
        for i in range(MOST + 2)
    ]
    assert found == [401] * MOST + [429, 429]
    assert service.get("/api/module/", role="viewer").status == 429, "the same token from the same address"
    assert service.get("/api/module/", role="viewer", client="10.0.0.9").status == 200
    headers = [{"authorization": f"Bearer oasis-{i:016x}-x"} for i in range(limits.FAILED_LOGINS_OF_ADDRESS)]
    found = [service.get("/api/module/", headers=one, role=None).status for one in headers]
    assert found.count(401) == limits.FAILED_LOGINS_OF_ADDRESS - MOST
    assert service.get("/api/module/", role="engineer").status == 200, (
        "a right token is never refused for others"
    )


def test_a_session_needs_the_csrf_token_to_change_something(service: Service) -> None:
    session = service.log_in("engineer")
    assert service.get("/api/module/", headers=session, role=None).status == 200
    bare = {"cookie": session["cookie"]}
    answer = service.post("/api/module/", {"module_num": "new"}, headers=bare, role=None)
    assert answer.status == 403
    assert "X-CSRFToken" in answer.json()["reason"]
    assert service.post("/api/module/", {"module_num": "new"}, headers=session, role=None).status == 200
    assert service.get("/api/docs", headers=session, role=None).status == 200


def test_cookies_are_secure_but_where_there_is_no_wire(service: Service) -> None:
    here = service.get("/login/", role=None)
    assert "Secure" not in here.set_cookies[0]
    for options in (
        {"client": "10.0.0.5"},
        {"headers": {"x-forwarded-for": "10.0.0.5"}},
        {"headers": {"x-forwarded-proto": "https"}},
    ):
        away = service.get("/login/", role=None, **options)  # type: ignore[arg-type]
        assert "Secure" in away.set_cookies[0], options
        assert "SameSite=Lax" in away.set_cookies[0]
    session = service.log_in("viewer")
    assert "sessionid" in session["cookie"]


def test_headers_that_keep_browsers_from_mischief(service: Service) -> None:
    for path in ("/login/", "/health", "/api/module/", "/api/docs"):
        headers = service.get(path).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert "script-src 'self';" in headers["content-security-policy"]
        assert "no-store" in headers["cache-control"]


def test_another_host_name_is_refused(service: Service) -> None:
    answer = service.get("/health", headers={"host": "evil.example"})
    assert answer.status == 400
    assert "Host" in answer.json()["reason"]


def test_a_token_has_its_own_rate(service: Service) -> None:
    from oasis_pipeline.service.models import Token

    token = Token(name="slow", module_num=MODULE, requests_per_minute=12)
    headers = {"authorization": f"Bearer {token.renew()}"}
    token.save()
    got = [service.get("/api/userprofile/", headers=headers, role=None) for _ in range(4)]
    assert [answer.status for answer in got] == [200, 200, 429, 429]
    assert int(got[2].headers["retry-after"]) >= 1
    assert "12 requests a minute" in got[2].json()["reason"]
    assert service.get("/api/userprofile/", role="module").status == 200, (
        "another token of the same module goes on"
    )


def test_a_token_belongs_to_one_module_or_one_user(service: Service) -> None:
    from django.contrib.auth.models import User
    from django.core.exceptions import ValidationError
    from django.db import IntegrityError, transaction

    from oasis_pipeline.service.models import Token

    user = User.objects.get(username="viewer")
    for owner in ({}, {"user": user, "module_num": MODULE}, {"module_num": "nobody"}):
        with pytest.raises(ValidationError):
            Token(name="x", **owner).full_clean(exclude=["key", "digest"])
    with pytest.raises(IntegrityError), transaction.atomic():
        make_token(Token, "x")


def test_a_body_too_large_or_too_slow_is_cut_off() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("must not be reached")

    def status(headers: list[tuple[bytes, bytes]], pieces: list[bytes], monkey: dict[str, float]) -> int:
        came: list[Any] = []
        left = list(pieces)

        async def receive() -> Any:
            if left:
                return {"type": "http.request", "body": left.pop(0), "more_body": True}
            await asyncio.sleep(60)

        async def send(message: Any) -> None:
            came.append(message)

        with pytest.MonkeyPatch.context() as patch:
            for name, value in monkey.items():
                patch.setattr(limits, name, value)
            scope = {"type": "http", "path": "/api/rawdata/", "method": "POST", "headers": headers}
            asyncio.run(bounded(application)(scope, receive, send))
        return int(came[0]["status"])

    known = (b"authorization", b"Bearer x")
    huge = str(limits.MAX_BODY_BYTES + 1).encode()
    assert status([known, (b"content-length", huge)], [], {}) == 413
    assert status([known], [b"x" * 600, b"x" * 600], {"MAX_BODY_BYTES": 1000}) == 413
    assert status([(b"content-length", huge)], [], {}) == 401, "who has not logged in is told so at once"
    assert status([], [b"x" * 600, b"x" * 600], {"MAX_ANONYMOUS_BYTES": 1000}) == 401
    assert status([known], [b"x"], {"BODY_PAUSE_SECONDS": 0.05}) == 408
    assert status([known], [b"x"], {"BODY_SECONDS": 0.05}) == 408
    assert status([known], [b"x" * 600, b"x"], {"MAX_BODIES_BYTES": 500}) == 503


def test_the_log_has_a_line_for_each_request_and_no_secret(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json
    import logging

    from oasis_pipeline.service.logs import JsonLines

    monkeypatch.setattr(logging.getLogger("oasis"), "propagate", True)
    with caplog.at_level(logging.INFO):
        service.post("/api/rawdata/?key=topsecret", EXAMPLES["readings"], role="engineer")
        service.post("/api/rawdata/", EXAMPLES["readings"])
        service.get("/api/module/", headers=basic("viewer", "hunter2hunter2"), role=None)
        service.log_in("viewer")
    records = dict.fromkeys(record for record in caplog.records if record.name == "oasis.access")
    lines = [JsonLines().format(record) for record in records]
    parsed = [json.loads(line) for line in lines]
    assert [(line["method"], line["path"], line["status"]) for line in parsed[:3]] == [
        ("POST", "/api/rawdata/", 200),
        ("POST", "/api/rawdata/", 200),
        ("GET", "/api/module/", 401),
    ]
    assert parsed[0]["who"] == "engineer"
    assert (parsed[0]["readings"], parsed[0]["stored"], parsed[1]["stored"]) == (4, 4, 0)
    secrets = [
        "topsecret",
        "hunter2",
        "correct-horse",
        *(t.split("-", 2)[2] for t in service.tokens.values()),
    ]
    assert not [secret for secret in secrets for line in lines if secret in line]


def test_errors_are_json_everywhere(service: Service) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "/api/nothing/", 404),
        ("PUT", "/api/module/", 405),
        ("PATCH", "/api/rawdata/", 405),
        ("POST", "/health/x", 404),
        ("GET", "/api/", 404),
        ("GET", "/static/nothing.js", 404),
    ):
        answer = service.ask(method, path)
        assert answer.status == status, path
        assert answer.json()["reason"], path
    assert "GET" in service.ask("PUT", "/api/module/").headers["allow"]


def test_head_is_get_without_its_body(service: Service) -> None:
    service.post("/api/rawdata/", EXAMPLES["readings"])
    paths = [path for path, method, _, _ in WHO if method == "GET"]
    for path in (
        *paths,
        "/health",
        "/ready",
        "/login/",
        "/",
        "/favicon.ico",
        "/api/nothing/",
        "/static/admin/css/base.css",
    ):
        get, head = service.get(path), service.ask("HEAD", path)
        assert head.status == get.status, path
        assert head.body == b"", path
        assert head.headers.get("content-type") == get.headers.get("content-type"), path
        assert head.headers.get("x-next-cursor") == get.headers.get("x-next-cursor"), path
        if "content-length" in get.headers:
            assert head.headers["content-length"] == get.headers["content-length"], path
    assert service.ask("HEAD", "/api/module/", role="module").status == 403
    assert service.ask("HEAD", "/api/module/", role=None).status == 401


def test_files_of_the_pages_go_out_compressed_to_whoever_takes_that(service: Service) -> None:
    path = "/static/pages/vendor/htmx-2.0.11.min.js"
    plain = service.get(path)
    packed = service.ask("GET", path, headers={"accept-encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(packed.body) < len(plain.body) / 2
    assert gzip.decompress(packed.body) == plain.body
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"


def test_scripts_of_other_pages_read_only_where_that_was_asked_for(service: Service) -> None:
    from corsheaders.middleware import CorsMiddleware
    from django.http import HttpResponse
    from django.test import RequestFactory, override_settings

    from oasis_pipeline.service.config import Exposure, django_configuration

    board = {"origin": "https://board.example", "access-control-request-method": "POST"}
    for method in ("GET", "OPTIONS"):
        answer = service.ask(method, "/api/module/", headers=board)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    made = django_configuration(
        service.settings, service.warehouse.address, Exposure(origins=("https://board.example",))
    )
    cors = CorsMiddleware(lambda request: HttpResponse())
    with override_settings(**{name: value for name, value in made.items() if name.startswith("CORS_")}):
        for path, origin, named in (
            ("/api/module/", "https://board.example", "https://board.example"),
            ("/api/module/", "https://evil.example", None),
            ("/admin/", "https://board.example", None),
        ):
            asked = {"HTTP_ORIGIN": origin, "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST"}
            for request in (RequestFactory().get(path, **asked), RequestFactory().options(path, **asked)):
                headers = cors(request).headers
                assert headers.get("access-control-allow-origin") == named
                assert "access-control-allow-credentials" not in headers
        assert (
            "authorization"
            in cors(
                RequestFactory().options(
                    "/api/module/",
                    HTTP_ORIGIN="https://board.example",
                    HTTP_ACCESS_CONTROL_REQUEST_METHOD="GET",
                )
            ).headers["access-control-allow-headers"]
        )
