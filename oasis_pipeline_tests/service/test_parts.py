"""Parts of the service that need no database: the key, the configuration, the throttle, literals, cursors, forms."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.schema import Column, Kind, Table, Type
from oasis_pipeline.service.asgi import spelled
from oasis_pipeline.service.config import ConfigurationError, Exposure, django_configuration
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.output import form_of
from oasis_pipeline.service.query import parse, resource_of, split_list
from oasis_pipeline.service.secret import SecretKeyError, secret_key
from oasis_pipeline.service.throttle import Known, MinuteCount, Throttle, network_of
from oasis_pipeline.settings import load_settings
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.postgres import Warehouse

HERE = Address("127.0.0.1")


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "home")
    keys: list[str] = []
    threads = [threading.Thread(target=lambda: keys.append(secret_key(settings))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    path = settings.home / "secret_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in settings.home.iterdir()] == ["secret_key"]
    path.chmod(0o640)
    with pytest.raises(SecretKeyError, match="chmod 600"):
        secret_key(settings)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(SecretKeyError, match="no key"):
        secret_key(settings)
    assert secret_key(load_settings(tmp_path, secret_key="k" * 40)) == "k" * 40
    with pytest.raises(SecretKeyError, match="shorter"):
        secret_key(load_settings(tmp_path, secret_key="k"))


def test_debug_is_never_on_by_accident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(tmp_path / "home")
    monkeypatch.delenv("OASIS_DEBUG", raising=False)
    # what turns debugging on elsewhere
    for name in ("DEBUG", "DJANGO_DEBUG"):
        monkeypatch.setenv(name, "1")
    for host in ("127.0.0.1", "0.0.0.0"):
        made = django_configuration(settings, HERE, Exposure.from_environment(host))
        assert made["DEBUG"] is False
        for name in ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY"):
            assert made[name] is True
    monkeypatch.setenv("OASIS_DEBUG", "1")
    assert django_configuration(settings, HERE, Exposure.from_environment("::1"))["DEBUG"] is True
    for host in ("0.0.0.0", "10.1.2.3", "field.example"):
        with pytest.raises(ConfigurationError, match="not on"):
            Exposure.from_environment(host)


def test_host_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OASIS_ALLOWED_HOSTS", raising=False)
    assert "*" not in Exposure.from_environment("localhost").hosts
    assert Exposure.from_environment("0.0.0.0").hosts == ["*"]
    monkeypatch.setenv("OASIS_ALLOWED_HOSTS", "data.field.example, other")
    assert Exposure.from_environment("0.0.0.0").hosts == [
        "data.field.example",
        "other",
        "localhost",
        "127.0.0.1",
        "[::1]",
    ]


def test_buckets_fill_at_their_rate_and_are_shared(tmp_path: Path) -> None:
    one, two = Throttle(tmp_path / "t" / "file"), Throttle(tmp_path / "t" / "file")
    assert stat.S_IMODE((tmp_path / "t" / "file").stat().st_mode) == 0o600
    now = 1_000_000.0
    assert [one.take("a", 60, now) for _ in range(5)] == [0.0] * 5
    assert [two.take("a", 60, now) for _ in range(5)] == [0.0] * 5
    assert one.take("a", 60, now) == pytest.approx(1.0)
    assert one.take("b", 60, now) == 0.0
    assert one.take("a", 60, now + 1.001) == 0.0
    assert one.take("a", 60, now + 1.002) > 0.9
    assert one.take("a", 60, now - 3) == 0.0, "a clock that was set back begins anew"
    assert one.take("a", 0, now) > 0
    # over a minute no more than the burst and the rate
    taken = sum(one.take("c", 600, now + k / 100) == 0.0 for k in range(6000))
    assert 695 <= taken <= 701
    one.close()
    two.close()


def test_threads_take_no_more_than_there_is(tmp_path: Path) -> None:
    throttle = Throttle(tmp_path / "file")
    got: list[float] = []
    threads = [
        threading.Thread(target=lambda: got.extend(throttle.take("a", 600, 5.0) for _ in range(50)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wait == 0.0 for wait in got) == 100


def test_failures_of_a_minute_are_counted_exactly_and_by_all_together(tmp_path: Path) -> None:
    one, two = MinuteCount(tmp_path / "file", 3), MinuteCount(tmp_path / "file", 3)
    now = 1_000_000.0
    assert [one.add("a", now), two.add("a", now + 20), one.add("a", now + 40)] == [0.0, 0.0, 0.0]
    assert two.add("a", now + 50) == pytest.approx(10.0)
    assert one.wait("a", now + 50) == pytest.approx(10.0)
    assert one.wait("b", now + 50) == 0.0
    assert two.add("a", now + 39.9) > 0, "who looked at the clock earlier, but came later"
    assert two.add("a", now + 60.5) == 0.0
    assert one.add("a", now + 70) == pytest.approx(10.0), "the minute slides: no burst at its end"
    two.take_back("a", now + 60.5)
    assert one.add("a", now + 70) == 0.0
    one.close()
    again = MinuteCount(tmp_path / "file", 3)
    assert again.wait("a", now + 71) > 0, "stays when the service is started again"
    assert again.add("a", now - 1e6) == 0.0, "a clock that was set back begins anew"
    got: list[float] = []
    threads = [
        threading.Thread(target=lambda: got.extend(again.add("c", now) for _ in range(20))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wait == 0.0 for wait in got) == 3


def test_somebody_is_known_for_a_time(tmp_path: Path) -> None:
    known = Known(tmp_path / "file", 1000.0)
    assert not known.has("a", 1e9)
    known.note("a", 1e9)
    assert known.has("a", 1e9 + 999)
    assert not known.has("b", 1e9)
    assert not known.has("a", 1e9 + 1001)
    assert not known.has("a", 1e9 - 1)


def test_addresses_of_one_network() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert network_of("2001:db8:0:1::1") != network_of("2001:db8::1")
    assert network_of("::ffff:10.0.0.1") == network_of("10.0.0.1") == "10.0.0.1"
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("") == ""


def test_a_text_that_a_spreadsheet_would_run_shows_itself() -> None:
    from oasis_pipeline.service.output import defused, fused

    for text in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "＝1"):
        assert defused(text) == "'" + text
        assert fused(defused(text)) == text
    for text in ("", "Well 7", "a=b", "'tis", "5 - 3", "[1]"):
        assert defused(text) == fused(text) == text


def test_origins_of_web_pages_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(tmp_path / "home")
    monkeypatch.delenv("OASIS_CORS_ORIGINS", raising=False)
    plain = django_configuration(settings, HERE, Exposure.from_environment("127.0.0.1"))
    assert "corsheaders" not in plain["INSTALLED_APPS"], "off unless somebody asks for it"
    monkeypatch.setenv("OASIS_CORS_ORIGINS", "https://board.example, http://localhost:5173")
    made = django_configuration(settings, HERE, Exposure.from_environment("127.0.0.1"))
    assert made["CORS_ALLOWED_ORIGINS"] == ["https://board.example", "http://localhost:5173"]
    assert made["CORS_ALLOW_CREDENTIALS"] is made["CORS_ALLOW_ALL_ORIGINS"] is False
    for wrong in ("board.example", "https://board.example/x", "https://*.example", "null"):
        monkeypatch.setenv("OASIS_CORS_ORIGINS", wrong)
        with pytest.raises(ConfigurationError, match="OASIS_CORS_ORIGINS"):
            Exposure.from_environment("127.0.0.1")


def test_paths_are_spelled_one_way() -> None:
    assert spelled("/api/Module") == spelled("/API/module/") == "/api/module/"
    assert spelled("/api/docs/") == "/api/docs"
    assert spelled("/admin/Auth") == "/admin/Auth"
    assert spelled("/API/Alarm/Well 7/8 #1 at 6:00/dismiss/") == "/api/alarm/Well 7/8 #1 at 6:00/dismiss"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("(a,b)", ["a", "b"]),
        (" ( a , b ) ", ["a", "b"]),
        ("[1,2]", ["1", "2"]),
        ("()", []),
        ('("a,b",c)', ["a,b", "c"]),
        ("a,b", None),
        ("(", None),
        ('("a)', None),
    ],
)
def test_lists(text: str, parts: list[str] | None) -> None:
    assert split_list(text) == parts


def outcome(what: Callable[..., object], *arguments: object) -> int:
    """Status of something that answers or refuses with a reason."""
    try:
        return 200 if what(*arguments) else 0
    except ApiError as error:
        return error.status if error.reason else 0


@given(accept=st.text(max_size=60))
def test_any_accept_header_is_a_form_or_an_error_with_a_reason(accept: str) -> None:
    assert outcome(form_of, None, accept) in (200, 406)


TABLE = Table(
    "iot",
    "t",
    ("k",),
    (
        Column("k", Type.INT),
        Column("text", Type.TEXT),
        Column("number", Type.FLOAT),
        Column("moment", Type.UTC),
        Column("local", Type.TIME),
        Column("day", Type.DAY),
        Column("flag", Type.BOOL),
        Column("measures", Type.JSON),
    ),
    Kind.SERIES,
    "",
)
RESOURCE = resource_of(TABLE)
_names = st.sampled_from([*RESOURCE.fields, "order_by", "limit", "cursor", "measures__a'b"]) | st.text(
    max_size=20
)
_lookups = st.sampled_from(["", "__gte", "__in", "__range", "__contains", "__", "__x"])
_values = st.text(max_size=30) | st.sampled_from(
    ["1", "-1.5", "(1,2)", "2024-01-01", "2024-01-01T00:00:00Z", "true", "-k", "(k,-number)", "''", "\\'; --"]
)


@given(parameters=st.lists(st.tuples(st.tuples(_names, _lookups).map("".join), _values), max_size=4))
def test_any_parameters_are_a_statement_or_an_error_with_a_reason(parameters: list[tuple[str, str]]) -> None:
    assert outcome(lambda: parse(RESOURCE, parameters).sql()) in (200, 400)


@pytest.mark.server
def test_any_text_goes_into_a_statement_as_itself(new_warehouse: Callable[[], Warehouse]) -> None:
    house = new_warehouse()
    with house.transaction() as tx:
        tx.execute(
            'CREATE TABLE iot.t (k bigint PRIMARY KEY, text text, number float8, moment timestamptz, "local" timestamp(3),'
            " day date, flag boolean, measures jsonb)"
        )
    # also where the server would read a backslash as an escape
    with house.transaction() as tx:
        tx.execute("ALTER DATABASE " + house.address.db + " SET standard_conforming_strings = off")
    fresh = Warehouse(house.address)
    texts = [
        "it's",
        "\\",
        "\\'",
        "'; DROP TABLE iot.t; --",
        'a"b',
        "%",
        "$1",
        "é\u2028",
        "{}",
        "\\x41",
        "E'\\n'",
    ]
    with fresh.transaction() as tx:
        for k, text in enumerate(texts):
            tx.execute(
                "INSERT INTO iot.t (k, text, measures) VALUES ($1, $2, jsonb_build_object($2::text, 1))",
                (k, text),
            )
    for k, text in enumerate(texts):
        for parameters in (
            [("text", text)],
            [("text__in", '("' + text.replace('"', '""') + '",none)')],
            [("measures__" + text, "1")],
            [("measures__contains", text)],
        ):
            found = fresh.query(parse(RESOURCE, parameters).sql())["k"].to_pylist()
            assert found == [k], (text, parameters)
        assert k in fresh.query(parse(RESOURCE, [("text__contains", text)]).sql())["k"].to_pylist()
    with fresh.transaction() as tx:
        tx.execute(
            "INSERT INTO iot.t (k, number, moment) VALUES (-1, 'NaN', '2024-01-01 00:00:00.000001Z'), (-2, '-inf', now())"
        )
    for order in ("number", "-number", "(flag,-moment)", "(-local,day)", "text"):
        query = parse(RESOURCE, [("order_by", order)])
        whole = fresh.query(query.sql()).to_pylist()
        for at, row in enumerate(whole):
            after = parse(RESOURCE, [("order_by", order), ("cursor", query.cursor_after(row))])
            assert [r["k"] for r in fresh.query(after.sql()).to_pylist()] == [
                r["k"] for r in whole[at + 1 :]
            ], (order, at)
    fresh.close()


def test_moments_are_spelled_with_z() -> None:
    from oasis_pipeline.service.output import stamp

    assert stamp(datetime(2024, 1, 1, tzinfo=UTC)) == "2024-01-01T00:00:00Z"
    assert stamp(datetime(2024, 1, 1, 0, 0, 0, 5000, tzinfo=UTC)) == "2024-01-01T00:00:00.005000Z"
