"""``alerts.toml``: what is refused and how, who is told what, and when."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from oasis_pipeline.automation.alerts import texts
from oasis_pipeline.automation.alerts.rules import (
    KINDS,
    AlertError,
    Limits,
    Receiver,
    Rules,
    load_rules,
    parse_rules,
)

ZONE = ZoneInfo("America/Chicago")
TO = '[to.crew]\nurl = "json://127.0.0.1/x"\n'


def test_the_file_of_the_docs_can_be_used() -> None:
    page = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    rules = parse_rules(text)
    assert len(rules.to) > 2
    assert len(rules.rule) > 2
    for kind, level in KINDS.items():
        assert f"| `{kind}` | {level} |" in page
    for name, default in msgspec.structs.asdict(Limits()).items():
        assert f"`{name}` {'none' if default is None else f'{default:g}'}" in page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = ", "can't be used"),
        ("limit = 1", "unknown field `limit`"),
        ("timezone = 'Mars'", "timezone: 'Mars' is not a time zone"),
        ("[limits]\nfree_gib = 0", r"\$.limits.free_gib"),
        ("[to.a]\nurl = '127.0.0.1'", r"to\.a\.url: is not an address"),
        (TO + "quiet = ['22-6']", r"to\.crew\.quiet: '22-6' is not a span"),
        (TO + "digest = ['7:00']", r"to\.crew\.digest: '7:00' is not a time"),
        (TO + "[[rule]]\nwhat = ['stall']\nto = ['crew']", "rule 1: what: 'stall' is none of run_failed"),
        (TO + "[[rule]]\nwhat = ['*']\nto = ['crowd']", "no receiver 'crowd'"),
        ("[[rule]]\nwhat = ['*']\nto = ['crew']", "none is there"),
        (TO + "[[rule]]\nwhat = ['*']\nto = []", r"\$.rule\[0\].to|\$.rule\[...\].to"),
    ],
)
def test_what_can_not_be_meant_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(AlertError, match=said):
        parse_rules(text)


def test_without_a_file_nobody_is_told(tmp_path: Path) -> None:
    assert load_rules(tmp_path) == Rules()
    (tmp_path / "alerts.toml").write_bytes(b"\xff")
    with pytest.raises(AlertError, match="can't be read"):
        load_rules(tmp_path)


def test_an_address_that_a_variable_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver(url="env:OASIS_ALERTS_CREW")
    with pytest.raises(AlertError, match="OASIS_ALERTS_CREW, which holds the address, is not set"):
        receiver.address()
    monkeypatch.setenv("OASIS_ALERTS_CREW", "json://127.0.0.1")
    assert receiver.address() == "json://127.0.0.1"


def test_a_receiver_is_told_by_the_first_rule_that_names_it() -> None:
    rules = parse_rules(
        TO
        + "[[rule]]\nwhat = ['well_*']\nwells = ['north*']\nto = ['crew']\nurgent = true\n"
        + "[[rule]]\nwhat = ['*']\nto = ['crew']\n"
    )
    assert [rule.urgent for rule, _ in rules.of("well_down", "North 7")] == [True]
    assert [rule.urgent for rule, _ in rules.of("well_down", "South 7")] == [False]
    assert [rule.urgent for rule, _ in rules.of("disk", None)] == [False]


def test_quiet_hours_and_digests_hold_back_what_is_not_urgent() -> None:
    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=ZONE)

    night = Receiver(url="json://x", quiet=["22:00-06:00"])
    assert night.due(at("2026-07-01 21:59")) == at("2026-07-01 21:59")
    assert night.due(at("2026-07-01 22:00")) == at("2026-07-02 06:00")
    assert night.due(at("2026-07-02 05:59")) == at("2026-07-02 06:00")
    assert night.due(at("2026-07-02 05:59"), urgent=True) == at("2026-07-02 05:59")
    morning = Receiver(url="json://x", digest=["07:00", "16:00"], quiet=["15:00-17:30", "17:30-18:00"])
    assert morning.due(at("2026-07-02 05:00")) == at("2026-07-02 07:00")
    assert morning.due(at("2026-07-02 07:00")) == at("2026-07-02 18:00"), "the digest falls into quiet hours"
    assert morning.due(at("2026-07-02 17:00")) == at("2026-07-03 07:00")
    # the night in which clocks are set back
    assert night.due(at("2026-10-31 23:00")) == at("2026-11-01 06:00")


def test_a_long_list_is_counted() -> None:
    title, body = texts.bundle([{"event": "opened", "title": f"Well {n} is down"} for n in range(80)])
    assert title == "80 alerts"
    assert "- Well 49 is down\n... and 30 more" in body
