"""The data service in this process, on a database of its own that lives as long as the run.

``service`` is an empty one, with a user for each role; its requests go through the whole ASGI application, bounds included.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import pytest

from oasis_pipeline.settings import Settings, load_settings
from oasis_pipeline.storage.postgres import Warehouse

PASSWORD = "correct-horse-9"
EXAMPLES = {
    "module": {
        "module_num": "34.B2.9F.A9",
        "module_type": "Sensor",
        "asset": "Solar Panel",
        "sensor_type": "P-Solar Panel",
    },
    "readings": [
        {
            "module": "34.B2.9F.A9",
            "measures": [{"name": "VMPPT", "value": value}],
            "temperature": 26,
            "voltage": voltage,
            "timestamp": f"2018-01-01 {clock}",
        }
        for value, voltage, clock in (
            (3.29, 3.29, "00:07:37"),
            (3.28, 3.28, "00:12:49"),
            (3.29, 3.28, "00:17:39"),
            (3.29, 3.28, "00:22:42"),
        )
    ],
}


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes
    cookies: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)

    def json(self) -> Any:
        return json.loads(self.body)


class Service:
    """The application, asked without a network."""

    def __init__(self, application: Any, warehouse: Warehouse, settings: Settings) -> None:
        self.application = application
        self.warehouse = warehouse
        self.settings = settings
        self.tokens: dict[str, str] = {}

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: str | None = "admin",
        headers: Mapping[str, str] | None = None,
        client: str = "127.0.0.1",
        **parameters: Any,
    ) -> Answer:
        sent = {"host": "localhost", **{name.lower(): value for name, value in (headers or {}).items()}}
        if role is not None:
            sent.setdefault("authorization", f"Bearer {self.tokens[role]}")
        data = b""
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
            sent.setdefault("content-length", str(len(data)))
        if parameters:
            path += "?" + urlencode(parameters, doseq=True)
        return asyncio.run(self._ask(method, path, data, sent, client))

    async def _ask(
        self, method: str, path: str, data: bytes, headers: Mapping[str, str], client: str
    ) -> Answer:
        bare, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(bare),
            "raw_path": bare.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": (client, 1),
            "server": ("localhost", 80),
        }
        messages = [{"type": "http.request", "body": data, "more_body": False}]
        ended = asyncio.Event()
        came: list[Mapping[str, Any]] = []

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            came.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                ended.set()

        await self.application(scope, receive, send)
        start = came[0]
        pairs = [(name.decode().lower(), value.decode()) for name, value in start["headers"]]
        cookies = [value for name, value in pairs if name == "set-cookie"]
        return Answer(
            start["status"],
            dict(pairs),
            b"".join(message.get("body", b"") for message in came[1:]),
            dict(cookie.split(";", 1)[0].split("=", 1) for cookie in cookies),
            cookies,
        )

    def get(self, path: str, **options: Any) -> Answer:
        return self.ask("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> Answer:
        return self.ask("POST", path, body, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        return self.ask("DELETE", path, **options)

    def count(self, table: str = "iot.rawdata") -> int:
        return int(self.warehouse.query(f"SELECT count(*) AS n FROM {table}")["n"][0].as_py())

    def log_in(self, username: str, password: str = PASSWORD, **options: Any) -> dict[str, str]:
        """Log in by the page; the headers of the session."""
        page = self.get("/login/", role=None)
        token = page.cookies["csrftoken"]
        form = urlencode({"username": username, "password": password, "csrfmiddlewaretoken": token}).encode()
        headers = {
            "cookie": f"csrftoken={token}",
            "content-type": "application/x-www-form-urlencoded",
        }
        answer = self.post("/login/", form, role=None, headers=headers, **options)
        assert answer.status == 302, answer
        token = answer.cookies.get("csrftoken", token)
        return {"cookie": f"csrftoken={token}; sessionid={answer.cookies['sessionid']}", "x-csrftoken": token}


def basic(username: str, password: str = PASSWORD) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


@pytest.fixture(scope="session")
def prepared_service(
    new_warehouse: Callable[[], Warehouse], tmp_path_factory: pytest.TempPathFactory
) -> Service:
    from oasis_pipeline.service.asgi import service_application
    from oasis_pipeline.service.config import Exposure, configure
    from oasis_pipeline.service.database import prepare_database
    from oasis_pipeline.storage.database_roles import SERVICE, make_role

    warehouse = new_warehouse()
    address = warehouse.address
    home: Path = tmp_path_factory.mktemp("service")
    # the service works by its own role, the tests by the one that owns the tables
    settings = load_settings(home, host=address.host, port=address.port, user=SERVICE, db=address.db)
    configure(settings, replace(address, user=SERVICE), Exposure())
    from django.conf import settings as django_settings
    from django.db import connection

    # the tests' passwords need not withstand anybody
    django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    own = connection.settings_dict["USER"]
    connection.settings_dict["USER"] = address.user
    prepare_database(address)
    connection.settings_dict["USER"] = own
    make_role(address, address, SERVICE, PASSWORD)
    return Service(service_application(), warehouse, settings)


@pytest.fixture
def service(prepared_service: Service) -> Iterator[Service]:
    """The service with an empty database but for users ``admin``, ``engineer``, ``viewer``, ``device`` and their tokens.

    ``tokens["module"]`` is the token of module ``34.B2.9F.A9``.
    """
    from django.contrib.auth.models import Group, User
    from django.db import connections

    from oasis_pipeline.service import access
    from oasis_pipeline.service.models import Token
    from oasis_pipeline.service.roles import ROLES

    tables = (
        "iot.rawdata, iot.module, clean.dynalabel, clean.dynalabel_history, clean.xpred, clean.dynapred, clean.alarm,"
        " analysis.alarm_decision, xspoc.node, oasis.asset_state, django.auth_user, django.django_session"
    )
    with prepared_service.warehouse.transaction() as tx:
        tx.execute(f"TRUNCATE {tables} CASCADE")
        tx.execute("INSERT INTO iot.module VALUES ('34.B2.9F.A9', 'Sensor', 'Solar Panel', 'P-Solar Panel')")
    access.forget()
    forget_failed_logins(prepared_service)
    prepared_service.settings.first_day_file.unlink(missing_ok=True)
    prepared_service.settings.first_reading_day_file.unlink(missing_ok=True)
    prepared_service.tokens = {}
    for role in ROLES:
        user = User.objects.create_user(role, f"{role}@field.example", PASSWORD)
        user.groups.set([Group.objects.get(name=role)])
        prepared_service.tokens[role] = make_token(Token, role, user=user)
    User.objects.create_superuser("root", "root@field.example", PASSWORD)
    prepared_service.tokens["module"] = make_token(Token, "gateway", module_num="34.B2.9F.A9")
    yield prepared_service
    connections.close_all()


def add_alarm(warehouse: Warehouse, node: str = "Well 7", state: str = "open", day: int = 5) -> str:
    """Put an alarm there; its id."""
    alarm_id = f"{node} 2024-01-{day:02} 06:00:00"
    with warehouse.transaction() as tx:
        tx.execute(
            'INSERT INTO clean.alarm ("AlarmID", "NodeID", "RaisedAt", "Class", "Prob", "Reason", "State", "ClosedAt", threshold,'
            """ "ModelVersion") VALUES ($1, $2, $3::timestamp, 'Pump', 41.5, 'fillage falls', $4,"""
            " CASE WHEN $4 = 'closed' THEN $3::timestamp + interval '3 days' END, 30, 'base-1')",
            (alarm_id, node, datetime(2024, 1, day, 6), state),
        )
    return alarm_id


def make_token(model: Any, name: str, **owner: Any) -> str:
    token = model(name=name, requests_per_minute=1_000_000, **owner)
    text: str = token.renew()
    token.save()
    return text


def forget_failed_logins(service: Service) -> None:
    """Begin with nobody's log-in failed, and nobody known."""
    from oasis_pipeline.service import login

    if login.patience.cache_info().currsize:
        login.patience().close()
        login.patience.cache_clear()
    for file in (service.settings.home / "service").glob("*"):
        if file.name.startswith("failed") or file.name == "known":
            file.unlink()
