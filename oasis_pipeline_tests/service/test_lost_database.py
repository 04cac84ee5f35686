"""A database that dies in the middle of a request: 503 with a time to try again, on every page, and a client that does."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg2
import psycopg2.errors
import pytest

from oasis_pipeline_tests.service.conftest import EXAMPLES, PASSWORD, Answer, Service, basic

pytestmark = pytest.mark.server

READING = EXAMPLES["readings"][0]  # type: ignore[index]
TABLES = (
    "iot.module, iot.rawdata, clean.carddiag, clean.dynalabel, xspoc.card, xspoc.node, django.auth_user, django.service_token,"
    " django.auth_group, django.django_session"
)


def cut_connections(but: int) -> int:
    """Cut this process's connections to PostgreSQL, all but one, as a server that dies does: without a word."""
    cut = 0
    for name in Path("/dev/fd").iterdir():
        with suppress(OSError, ValueError):
            number = int(name.name)
            if number == but or not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            with socket.socket(fileno=os.dup(number)) as one:
                if ".s.PGSQL." in str(one.getpeername()):
                    one.shutdown(socket.SHUT_RDWR)
                    cut += 1
    return cut


@contextmanager
def nobody_may_read(service: Service) -> Iterator[Any]:
    with closing(psycopg2.connect(service.warehouse.address.uri())) as blocker, blocker.cursor() as cursor:
        while True:
            try:
                cursor.execute(f"LOCK TABLE {TABLES}")
                break
            except psycopg2.errors.DeadlockDetected:
                # a question whose connection was cut goes on when the last lock is gone, and meets this one
                blocker.rollback()
        yield blocker


def waiting(blocker: Any) -> bool:
    with blocker.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        return bool(cursor.fetchone()[0])


def ask_while_it_dies(service: Service, method: str, path: str, body: Any, **options: Any) -> Answer:
    answers: list[Answer] = []
    thread = threading.Thread(
        target=lambda: answers.append(service.ask(method, path, body, **options)), daemon=True
    )
    with nobody_may_read(service) as blocker:
        thread.start()
        end = time.monotonic() + 20
        while not waiting(blocker):
            assert time.monotonic() < end, "it never asked the database"
            assert thread.is_alive(), answers
            time.sleep(0.01)
        assert cut_connections(but=blocker.fileno())
        # what is tried again at once waits for the lock
        thread.join(1.0)
    thread.join(30)
    return answers[0]


REQUESTS = [
    ("GET", "/api/module/", None),
    ("GET", "/api/rawdata/", None),
    ("GET", "/api/rawdata/?limit=2", None),
    ("GET", "/api/rawdata/?format=arrow", None),
    ("GET", "/api/databatch/?module_num=34.B2.9F.A9&window_size=2", None),
    ("GET", "/api/userprofile/", None),
    ("GET", "/api/carddiag/", None),
    ("GET", "/api/card/?limit=1", None),
    ("POST", "/api/module/", {"module_num": "M"}),
    (
        "POST",
        "/api/rawdata/",
        [{**READING, "timestamp": f"2018-01-01T00:{i // 60:02}:{i % 60:02}Z"} for i in range(400)],
    ),
    ("POST", "/api/userprofile/", {"username": "x", "password": PASSWORD, "roles": ["viewer"]}),
    ("POST", "/api/dynalabel/", {"NodeID": "W", "Date": "2024-01-01", "TrueLabel1": "Full Pump"}),
    ("DELETE", "/api/module/?module_num=M", None),
    ("DELETE", "/api/rawdata/?module=34.B2.9F.A9", None),
    ("DELETE", "/api/userprofile/?username=viewer", None),
]


def test_the_api_says_that_it_may_go_again_later(service: Service) -> None:
    for method, path, body in REQUESTS:
        service.get("/api/module/?limit=1")  # the token is known now
        refused_for_now(ask_while_it_dies(service, method, path, body))
        again = service.ask(method, path, body)
        assert again.status == 200, (method, path, again)


def refused_for_now(answer: Answer) -> None:
    assert answer.status == 503, answer
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["reason"]


def test_a_small_post_is_stored_at_the_second_attempt_or_refused_for_now(service: Service) -> None:
    service.post("/api/rawdata/", READING)
    other = {**READING, "timestamp": "2018-01-02T00:00:00Z"}
    answer = ask_while_it_dies(service, "POST", "/api/rawdata/", other)
    assert answer.status in (200, 503), answer
    assert service.post("/api/rawdata/", other).status == 200
    assert service.count() == 2


def test_so_do_log_ins_and_pages(service: Service) -> None:
    from oasis_pipeline.service import access

    for path in ("/api/module/", "/api/docs"):
        refused_for_now(ask_while_it_dies(service, "GET", path, None, role="viewer"))
        access.forget()
    refused_for_now(ask_while_it_dies(service, "GET", "/ready", None, role=None))
    name = basic("viewer")
    refused_for_now(ask_while_it_dies(service, "GET", "/api/module/", None, role=None, headers=name))
    session = service.log_in("root")
    for path in ("/admin/", "/"):
        refused_for_now(ask_while_it_dies(service, "GET", path, None, role=None, headers=session))
    token = service.get("/login/", role=None).cookies["csrftoken"]
    form = urlencode({"username": "root", "password": PASSWORD, "csrfmiddlewaretoken": token}).encode()
    headers = {"cookie": f"csrftoken={token}", "content-type": "application/x-www-form-urlencoded"}
    refused_for_now(ask_while_it_dies(service, "POST", "/login/", form, role=None, headers=headers))
