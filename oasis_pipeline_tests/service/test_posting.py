"""Posts by token: the way without tasks answers as the one through ASGI does, and groups hand back what is theirs."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from oasis_pipeline.service import limits
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline_tests.service.conftest import Answer, Service

MODULE = "34.B2.9F.A9"
READING = {"module": MODULE, "measures": {"V": 1.5}, "voltage": 3.3, "timestamp": "2018-01-01T00:07:37Z"}

pytestmark = pytest.mark.server


def at_once(
    service: Service, body: Any, *, role: str = "module", taken: bool = True, **headers: str
) -> Answer | None:
    """Post by `take_at_once`; None if it leaves the post to the application."""
    from oasis_pipeline.service.posting import take_at_once

    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {
        "host": "localhost",
        "authorization": f"Bearer {service.tokens.get(role, role)}",
        "content-type": "application/json",
        "content-length": str(len(data)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    scope = {
        "method": "POST",
        "path": "/api/rawdata/",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 1),
    }

    async def post() -> Answer | None:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def send(status: int, found: list[tuple[bytes, bytes]], answer: bytes) -> None:
            future.set_result(Answer(status, {n.decode().lower(): v.decode() for n, v in found}, answer))

        if not take_at_once(scope, data, send):
            return None
        return await asyncio.wait_for(future, 30)

    found = asyncio.run(post())
    assert (found is not None) == taken
    return found


BODIES: list[Any] = [
    READING,
    [READING, {**READING, "timestamp": "2018-01-01T00:07:38Z"}],
    {**READING, "voltage": 9.9},
    [],
    {**READING, "module": "nobody"},
    {**READING, "measures": {"V": "high"}},
    {**READING, "timestamp": "1999-01-01T00:00:00Z"},
    {**READING, "timestamp": "2018-01-01"},
    {**READING, "unknown": 1},
    b'{"module": "34.B2.9F.A9", "module": "34.B2.9F.A9", "measures": {"V": 1}}',
    b'{"module": ',
    b"\xff\xfe",
    b"",
    b"3",
    [{**READING, "timestamp": 1_514_764_800 + i} for i in range(limits.GROUPED_READINGS + 1)],
]


@pytest.mark.parametrize("role", ["module", "engineer", "viewer"])
def test_both_ways_answer_the_same(service: Service, role: str) -> None:
    service.post("/api/rawdata/", READING)
    service.get("/api/module/", role=role)  # the token is known now
    for body in BODIES:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        first = at_once(service, data, role=role)
        then = service.post("/api/rawdata/", data, role=role)
        assert first is not None
        assert (first.status, first.json()) == (then.status, then.json()), data[:100]
        assert first.headers == then.headers
    assert service.count() == (1 if role == "viewer" else 2 + limits.GROUPED_READINGS + 1)


def test_what_is_not_the_usual_goes_through_the_application(service: Service) -> None:
    service.get("/api/module/", role="module")
    usual = at_once(service, READING)
    assert usual is not None
    assert usual.status == 200
    short = at_once(service, READING, prefer="return=minimal")
    assert short is not None
    assert short.headers["preference-applied"] == "return=minimal"
    for header in (
        {"cookie": "a=b"},
        {"origin": "http://localhost"},
        {"host": "evil.example"},
        {"content_encoding": "gzip"},
        {"authorization": "Basic eDp5"},
        {"authorization": "Bearer oasis-" + "0" * 16 + "-x"},
    ):
        at_once(service, READING, taken=False, **header)
    at_once(service, b"[" + b" " * (64 << 10) + b"]", taken=False)


def test_a_revoked_token_a_locked_user_and_one_too_many_are_refused(service: Service) -> None:
    from django.contrib.auth.models import User

    from oasis_pipeline.service.models import Token

    slow = Token(name="slow", module_num=MODULE, requests_per_minute=12)
    text = slow.renew()
    slow.save()
    assert (
        service.get("/api/userprofile/", headers={"authorization": f"Bearer {text}"}, role=None).status == 200
    )
    statuses = [found.status for _ in range(2) if (found := at_once(service, READING, role=text))]
    assert statuses == [200, 429]

    for role in ("module", "engineer"):
        assert service.get("/api/module/", role=role).status in (200, 403)
    Token.objects.filter(module_num=MODULE).update(revoked=True)
    User.objects.filter(username="engineer").update(is_active=False)
    time.sleep(limits.CACHE_SECONDS + 0.05)
    other = {**READING, "timestamp": "2018-01-01T00:09:00Z"}
    # what is known is too old, so it is looked up
    at_once(service, other, role="module", taken=False)
    for role in ("module", "engineer"):
        assert service.post("/api/rawdata/", other, role=role).status == 401
        # known again, and still refused
        refused = at_once(service, other, role=role)
        assert refused is not None
        assert refused.status == 401
        assert refused.headers["www-authenticate"]
    assert service.count() == 1


def test_a_wrong_secret_of_a_known_token_is_refused_and_counted(service: Service) -> None:
    service.get("/api/module/", role="module")
    wrong = service.tokens["module"][:-4] + "0000"
    statuses = [found.status for _ in range(12) if (found := at_once(service, READING, role=wrong))]
    assert statuses == [401] * limits.FAILED_LOGINS_PER_MINUTE + [429] * 2
    assert service.count() == 0


class Writer:
    """Stores nothing; says how many came together, and waits when it is told to."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.error: Exception | None = None

    def store(self, posts: Sequence[Any]) -> list[Any]:
        from oasis_pipeline.storage.posts import PostResult

        assert self.go.wait(30)
        self.groups.append(len(posts))
        if self.error is not None:
            raise self.error
        return [PostResult(new=int(post.modules[0])) for post in posts]


@pytest.fixture
def queue(service: Service) -> tuple[Any, Writer, Callable[[int], Any]]:
    from datetime import UTC, datetime

    from oasis_pipeline.service.group_commit import GroupCommit
    from oasis_pipeline.storage.posts import Post

    now = datetime.now(UTC)

    def post(number: int) -> Post:
        return Post(now, [str(number)], [now], [b"{}"], [None], [None], [None])

    writer = Writer()
    made: Any = GroupCommit(writer)  # type: ignore[arg-type]
    return made, writer, post


def test_who_waits_is_stored_together_and_each_gets_his_own(
    queue: tuple[Any, Writer, Callable[[int], Any]],
) -> None:
    made, writer, post = queue
    writer.go.clear()
    first = made.submit(post(7))
    while len(made):
        time.sleep(0.001)

    async def posts() -> list[int]:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(50)]
        for number, future in enumerate(futures):
            made.submit_and_tell(post(number), future.set_result)
        with ThreadPoolExecutor(4) as threads:
            others = list(threads.map(lambda n: made.submit(post(n)), range(100, 120)))
        writer.go.set()
        assert [other.result(30).new for other in others] == list(range(100, 120))
        return [found.new for found in await asyncio.gather(*futures)]

    assert asyncio.run(posts()) == list(range(50))
    assert first.result(30).new == 7
    assert writer.groups == [1, 70]


def test_who_comes_alone_waits_for_nobody_and_what_came_together_does_again(
    queue: tuple[Any, Writer, Callable[[int], Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, writer, post = queue
    monkeypatch.setattr(limits, "GATHER_SECONDS", 20.0)
    for number in range(3):
        # would last for 20 s each
        assert made.submit(post(number)).result(10).new == number
    writer.go.clear()
    held = made.submit(post(0))
    while len(made):
        time.sleep(0.001)
    together = [made.submit(post(number)) for number in range(4)]
    writer.go.set()
    assert held.result(30).new == 0
    assert [one.result(30).new for one in together] == list(range(4))
    again = [made.submit(post(number)) for number in range(3)]
    time.sleep(0.05)
    assert not any(one.done() for one in again), "the fourth is waited for"
    again.append(made.submit(post(3)))
    assert [one.result(10).new for one in again] == list(range(4))
    assert writer.groups == [1, 1, 1, 1, 4, 4]
    monkeypatch.setattr(limits, "GATHER_SECONDS", 0.01)
    assert made.submit(post(5)).result(10).new == 5, "but not for long"


def test_a_failed_group_tells_everybody(queue: tuple[Any, Writer, Callable[[int], Any]]) -> None:
    made, writer, post = queue
    for error, busy in (
        (StorageError("gone", sqlstate="57P01"), False),
        (StorageError("in the way", sqlstate="55P03"), True),
        (ValueError("a fault of the program"), False),
    ):
        writer.error = error

        async def outcome() -> Any:
            future = asyncio.get_running_loop().create_future()
            made.submit_and_tell(post(1), future.set_result)
            return await asyncio.wait_for(future, 30)

        found = asyncio.run(outcome())
        assert found.busy if busy else found is error
    writer.error = None
    given_up = made.submit(post(1))
    given_up.cancel()
    assert made.submit(post(2)).result(30).new == 2, "one who has gone harms nobody"


def test_one_that_is_looked_up_brings_along_all_in_use(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oasis_pipeline.service import access
    from oasis_pipeline.service.models import Token

    monkeypatch.setattr(access._tokens, "_seconds", 0.4)
    monkeypatch.setattr(limits, "CACHE_SECONDS", 0.4)
    for role in ("module", "engineer", "viewer"):
        service.get("/api/module/", role=role)
    Token.objects.filter(name="viewer").update(revoked=True)
    time.sleep(0.5)
    service.get("/api/module/", role="module")
    known = [access.is_remembered(service.tokens[role]) for role in ("module", "engineer", "viewer")]
    assert known == [True] * 3
    assert service.get("/api/module/", role="engineer").status == 200
    assert service.get("/api/module/", role="viewer").status == 401, "as it is now, not as it was"
