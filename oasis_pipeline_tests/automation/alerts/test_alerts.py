"""Alerts from what is wrong to what real receivers get: told once, told when over, kept when it can't be sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from oasis_pipeline.assets.resources import build_resources
from oasis_pipeline.automation.alerts import AlertsReport, attend
from oasis_pipeline.automation.alerts.book import list_alerts, list_unsent
from oasis_pipeline.automation.alerts.rules import KINDS
from oasis_pipeline.automation.jobs import build_jobs
from oasis_pipeline.automation.plan import Plan
from oasis_pipeline.automation.sensors import build_sensors
from oasis_pipeline.commands.main import cli
from oasis_pipeline.decisions import ACTIONS
from oasis_pipeline.operations.home_files import take_home_files
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.automation.alerts.receivers import Mailbox, Posts, mail_server, web_server

pytestmark = pytest.mark.server
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as box:
        yield box


@pytest.fixture
def posts() -> Iterator[Posts]:
    with web_server() as server:
        yield server


@pytest.fixture
def home(settings: Settings) -> Path:
    settings.home.mkdir(parents=True, exist_ok=True)
    return settings.home


def rules(home: Path, text: str) -> None:
    (home / "alerts.toml").write_text(f"[limits]\nfree_gib = 0.001\n{text}")


def to(name: str, url: str, more: str = "") -> str:
    return f'[to.{name}]\nurl = "{url}"\n{more}\n'


def rule(what: str, name: str, more: str = "") -> str:
    return f'[[rule]]\nwhat = ["{what}"]\nto = ["{name}"]\n{more}\n'


def look(warehouse: Warehouse, settings: Settings, at: datetime = NOON) -> AlertsReport:
    return attend(warehouse, settings, plan=Plan(), now=at)


def fail(warehouse: Warehouse, asset: str = "clean/x", error: str | None = "no memory") -> None:
    with warehouse.transaction() as tx:
        tx.execute(
            "INSERT INTO oasis.asset_state (asset, partition, changed_tick, made_tick, error) VALUES ($1, '2026-03-01', 1, 1, $2)"
            " ON CONFLICT (asset, partition) DO UPDATE SET error = excluded.error",
            (asset, error),
        )


def test_told_once_by_mail_and_json_and_told_when_over(
    warehouse: Warehouse, settings: Settings, home: Path, mailbox: Mailbox, posts: Posts
) -> None:
    mail = f"mailto://127.0.0.1:{mailbox.port}/?from=oasis@field.example&to=crew@field.example&smtp=127.0.0.1"
    rules(
        home,
        to("mail", mail)
        + to("hook", f"json://127.0.0.1:{posts.port}/alert?-key=1")
        + rule("run_failed", "mail")
        + rule("*", "hook"),
    )
    fail(warehouse)
    first = look(warehouse, settings)
    assert (first.opened, first.sent, first.faults) == (["clean/x could not be made"], 2, [])
    assert look(warehouse, settings, NOON + MINUTE) == AlertsReport(open=1), "told once"
    ((subject, text),) = mailbox.mails
    assert subject == "clean/x could not be made"
    assert "no memory" in text
    assert "1 day: 2026-03-01." in text
    ((path, said),) = posts.came
    assert path == "/alert?key=1"
    assert {
        "kind": "run_failed",
        "subject": "clean/x",
        "event": "opened",
        "type": "failure",
    }.items() <= said.items()
    fail(warehouse, error=None)
    over = look(warehouse, settings, NOON + 2 * MINUTE)
    assert (over.resolved, over.open, over.sent) == (first.opened, 0, 2)
    assert mailbox.mails[1][0] == "Over: clean/x could not be made"
    assert posts.came[1][1]["alert_id"] == said["alert_id"]
    assert (posts.came[1][1]["event"], posts.came[1][1]["type"]) == ("resolved", "success")
    fail(warehouse)
    assert look(warehouse, settings, NOON + 3 * MINUTE).sent == 2, "a new one is told anew"
    assert posts.came[2][1]["alert_id"] != said["alert_id"]
    look(warehouse, settings, NOON + timedelta(days=200))
    fail(warehouse, error=None)
    look(warehouse, settings, NOON + timedelta(days=201))
    assert len(list_alerts(warehouse)) == 1, "what has been over for long is forgotten"


def test_forms_of_slack_teams_and_pagerduty(
    warehouse: Warehouse, settings: Settings, home: Path, posts: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apprise.plugins import pagerduty, slack

    monkeypatch.setattr(slack.NotifySlack, "webhook_url", f"{posts.url}/services")
    monkeypatch.setitem(pagerduty.PAGERDUTY_API_LOOKUP, "us", f"{posts.url}/v2/enqueue")
    monkeypatch.setenv("OASIS_ALERTS_PAGER", "pagerduty://integration@api/oasis?region=us")
    rules(
        home,
        to("slack", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ")
        + to("pager", "env:OASIS_ALERTS_PAGER")
        + rule("run_failed", "slack")
        + rule("run_failed", "pager"),
    )
    fail(warehouse)
    assert look(warehouse, settings).faults == []
    fail(warehouse, error=None)
    assert look(warehouse, settings, NOON + MINUTE).sent == 2
    slacks = [body for path, body in posts.came if path.startswith("/services/T1JJ3T3L2/")]
    assert len(slacks) == 2
    assert "no memory" in json.dumps(slacks[0])
    pages = [body for path, body in posts.came if path == "/v2/enqueue"]
    assert [body["event_action"] for body in pages] == ["trigger", "resolve"]
    assert pages[0]["dedup_key"] == pages[1]["dedup_key"]
    assert pages[0]["payload"]["severity"] == "critical"


def test_what_can_not_be_sent_is_kept_and_tried_again(
    warehouse: Warehouse, settings: Settings, home: Path, posts: Posts, mailbox: Mailbox
) -> None:
    url = f"json://user:hunter2@127.0.0.1:{posts.port}"
    mail = f"mailto://127.0.0.1:{mailbox.port}/?from=oasis@field.example&to=crew@field.example&smtp=127.0.0.1"
    rules(home, to("hook", url) + to("mail", mail) + rule("run_failed", "hook") + rule("run_failed", "mail"))
    posts.status, mailbox.refusing = 500, True
    fail(warehouse)
    report = look(warehouse, settings)
    assert report.sent == 0
    assert "500" in "".join(report.faults)
    assert len(report.faults) == 2
    assert look(warehouse, settings, NOON + MINUTE / 2) == AlertsReport(open=1), "not before its time"
    look(warehouse, settings, NOON + MINUTE)
    kept = list_unsent(warehouse)
    assert [(row["receiver"], row["tries"]) for row in kept] == [("hook", 2), ("mail", 2)]
    assert {row["due_at"] for row in kept} == {NOON + 5 * MINUTE}
    assert "hunter2" not in str(kept)
    said = CliRunner().invoke(
        cli, ["alerts", "--home", str(home), "--test", "hook"], env=environment(settings)
    )
    assert said.exit_code == 1
    assert "hook: Failed to send JSON POST" in said.output
    assert "hunter2" not in said.output
    fail(warehouse, error=None)
    look(warehouse, settings, NOON + 2 * MINUTE)
    posts.status, mailbox.refusing = 200, False
    look(warehouse, settings, NOON + 5 * MINUTE)
    assert [body["event"] for _, body in posts.came] == ["opened", "resolved"], "in order, though it is over"
    assert [subject for subject, _ in mailbox.mails] == [
        "clean/x could not be made",
        "Over: clean/x could not be made",
    ]
    assert list_unsent(warehouse) == []


def test_many_become_one_and_a_digest_waits_for_its_hour(
    warehouse: Warehouse, settings: Settings, home: Path, posts: Posts
) -> None:
    web = f"json://127.0.0.1:{posts.port}"
    rules(
        home,
        to("now", f"{web}/now")
        + to("later", f"{web}/later", 'digest = ["14:00"]')
        + to("night", f"{web}/night", 'quiet = ["11:00-13:00"]')
        + rule("run_failed", "now", "urgent = true")
        + rule("run_failed", "later")
        + rule("run_failed", "night"),
    )
    for number in range(8):
        fail(warehouse, f"clean/a{number}")
    assert look(warehouse, settings).sent == 1
    ((path, said),) = posts.came
    assert path.startswith("/now")
    assert said["title"] == "8 alerts"
    fail(warehouse, "clean/a0", None)
    look(warehouse, settings, NOON + MINUTE)
    assert posts.came[1][1]["title"] == "Over: clean/a0 could not be made"
    look(warehouse, settings, NOON + HOUR)
    assert (posts.came[2][0].split("?")[0], posts.came[2][1]["title"]) == ("/night", "7 alerts"), (
        "what is over needs no words"
    )
    look(warehouse, settings, NOON + 2 * HOUR)
    assert (posts.came[3][0].split("?")[0], posts.came[3][1]["title"]) == ("/later", "7 alerts")
    assert len(posts.came) == 4


def test_only_what_lasts_and_again_after_a_time(
    warehouse: Warehouse, settings: Settings, home: Path, posts: Posts
) -> None:
    rules(
        home,
        to("hook", f"json://127.0.0.1:{posts.port}")
        + rule("run_failed", "hook", "after_minutes = 30\nremind_hours = 2"),
    )
    fail(warehouse)
    for minutes in range(0, 300, 10):
        look(warehouse, settings, NOON + minutes * MINUTE)
    titles = [body["title"] for _, body in posts.came]
    assert titles == ["clean/x could not be made", *["Still: clean/x could not be made"] * 2]
    fail(warehouse, "clean/blip")
    look(warehouse, settings, NOON + 300 * MINUTE)
    fail(warehouse, "clean/blip", None)
    look(warehouse, settings, NOON + 310 * MINUTE)
    assert len(posts.came) == 3, "a blip is shown on the page, and told to nobody"
    assert any("blip" in row["title"] for row in list_alerts(warehouse))


def test_every_kind_is_seen_and_over(warehouse: Warehouse, settings: Settings, home: Path) -> None:
    (home / "alerts.toml").write_text("[limits]\nfree_gib = 1e9\nstale_hours = 1\ndatabase_gib = 0.0001\n")
    with warehouse.transaction() as tx:
        for statement in (
            "INSERT INTO oasis.file (source_file, kind, stamp, sha256, arrival, rows, stored, superseded, rejected, loaded_at, archived)"
            " VALUES ('f', 'CardData', '2026-03-01', '', 1, 1000, 900, 0, 100, '2026-03-04 11:00Z', true)",
            "INSERT INTO oasis.model (name, version, sha256, path, manifest, is_base, in_use, created_at) VALUES"
            " ('dyna_classifier', 'card-1', '', '', '{}', true, true, '2026-01-01Z'),"
            " ('dyna_classifier', 'card-2', '', '', '{\"promotion\": {\"reason\": \"fewer right\"}}', false, false, '2026-02-01Z')",
            'INSERT INTO clean.wellstatus ("NodeID", "Date", state, state_since, failure) VALUES'
            " ('Old', '2026-03-03', 'down', '2026-01-01', 'Rod'), ('New', '2026-03-03', 'down', '2026-03-02 05:00', 'Pump'),"
            " ('Fine', '2026-03-03', 'pumping', '2026-01-01', NULL), ('Past', '2026-03-02', 'down', '2026-03-02', NULL)",
            'INSERT INTO clean.worklist ("NodeID", "Date", rank, score, action, reason, parts) VALUES'
            " ('New', '2026-03-03', 1, 12000, 'pull_pump', 'It is down.', '{}'), ('Fine', '2026-03-03', 2, 1, 'none', '', '{}')",
            'INSERT INTO clean.alarm ("AlarmID", "NodeID", "RaisedAt", "Class", "Prob", "Reason", "State", threshold, "ModelVersion") VALUES'
            " ('a', 'Fine', '2026-03-03', 'Pump', 41, 'fillage falls', 'open', 30, 'b'),"
            " ('o', 'Fine', '2026-01-03', 'Pump', 41, 'fillage falls', 'open', 30, 'b'),"
            " ('c', 'Fine', '2026-03-03', 'Pump', 41, 'fillage falls', 'acknowledged', 30, 'b')",
        ):
            tx.execute(statement)
    take_home_files(warehouse, home)
    fail(warehouse)
    stale = Plan(days={"clean/wellsummary": {"2026-03-01", "2026-03-02"}})

    def seen(at: datetime, plan: Plan = stale) -> dict[str, list[str]]:
        report = attend(warehouse, settings, plan=plan, now=at)
        assert report.faults == []
        found: dict[str, list[str]] = {}
        for row in list_alerts(warehouse):
            if row["state"] == "open":
                found.setdefault(row["kind"], []).append(row["title"])
        return found

    first = seen(NOON)
    assert set(first) == set(KINDS) - {"stale", "source_silent"}
    assert first["well_down"] == ["New is down"]
    assert first["worklist_first"] == ["New is first on the worklist"]
    (body,) = [row["body"] for row in list_alerts(warehouse) if row["kind"] == "worklist_first"]
    assert body.endswith(" USD over 30 days.")
    assert f"Action: {ACTIONS['pull_pump']}. Worth" in body, "as the worklist says it"
    assert first["rejected_share"] == ["10.0 % of the rows of CardData were rejected"]
    assert first["failure_alarm"] == ["Fine: failure of class Pump within 15 days, 41 %"]
    assert first["model_not_promoted"] == ["dyna_classifier card-2 was not promoted"]
    assert len(first["disk"]) == 2
    later = seen(NOON + HOUR)
    assert later["stale"] == ["clean/wellsummary is stale"]
    assert warehouse.query("SELECT label, value FROM oasis.figure ORDER BY 1").to_pylist() == [
        {"label": "", "value": 2.0},
        {"label": "clean/wellsummary", "value": 2.0},
    ]
    seen(NOON + HOUR + MINUTE)
    assert warehouse.query("SELECT DISTINCT at FROM oasis.figure")["at"].to_pylist() == [NOON + HOUR], (
        "what is the same is not written again at once"
    )
    day_after = seen(NOON + 25 * HOUR, Plan())
    assert set(day_after) - set(first) == {"source_silent"}
    assert set(first) - set(day_after) == {"rejected_share"}
    with warehouse.transaction() as tx:
        for table in ("clean.wellstatus", "clean.worklist", "clean.alarm", "oasis.asset_state", "oasis.file"):
            tx.execute(f"DELETE FROM {table}")
        tx.execute("UPDATE oasis.model SET in_use = NOT in_use")
    (home / "alerts.toml").unlink()
    assert set(seen(NOON + 26 * HOUR, Plan())) <= {"disk"}


def test_a_look_that_fails_leaves_its_alerts_as_they_are(
    warehouse: Warehouse, settings: Settings, home: Path, posts: Posts
) -> None:
    rules(home, to("hook", f"json://127.0.0.1:{posts.port}") + rule("*", "hook"))
    fail(warehouse, "clean/1+1 of 50 % & more")
    look(warehouse, settings)
    assert posts.came[0][1]["subject"] == "clean/1+1 of 50 % & more", "as it is, also in an address"
    with warehouse.transaction() as tx:
        tx.execute("ALTER TABLE oasis.asset_state RENAME TO away")
    report = look(warehouse, settings, NOON + MINUTE)
    with warehouse.transaction() as tx:
        tx.execute("ALTER TABLE oasis.away RENAME TO asset_state")
    assert report.open == 1
    assert "run_failed could not be looked at" in report.faults[0]
    assert len(posts.came) == 1


def test_runs_of_dagster_that_no_asset_explains(warehouse: Warehouse, settings: Settings, home: Path) -> None:
    with warehouse.transaction() as tx:
        tx.execute("CREATE SCHEMA IF NOT EXISTS dagster")
        tx.execute(
            "CREATE TABLE dagster.runs (id bigserial, run_id text, pipeline_name text, status text, create_timestamp timestamp,"
            " start_time float8, end_time float8)"
        )
        tx.execute(
            "INSERT INTO dagster.runs (run_id, pipeline_name, status, create_timestamp, start_time, end_time) VALUES"
            " ('r1', 'intake', 'SUCCESS', now(), 1, 2), ('r2', 'intake', 'FAILURE', now(), 3, 4), ('r3', 'source', 'FAILURE', now(), 1, 2),"
            " ('r4', 'source', 'SUCCESS', now(), 3, 4), ('r5', '__ASSET_JOB', 'FAILURE', now(), 1, 2)"
        )
    assert look(warehouse, settings).opened == ["Job __asset_job failed", "Job intake failed"]
    fail(warehouse)
    report = look(warehouse, settings, NOON + MINUTE)
    assert report.resolved == ["Job __asset_job failed"], "the asset says more"


def test_a_file_that_can_not_be_used_is_told_everywhere(
    warehouse: Warehouse, settings: Settings, home: Path
) -> None:
    (home / "alerts.toml").write_text("[to.a]\nurl = 'x'\n")
    fail(warehouse)
    report = look(warehouse, settings)
    assert report.open == 1
    assert report.faults == [
        "alerts.toml can't be used: to.a.url: is not an address such as mailto://..., slack://..., or env:NAME"
    ]
    (sensor,) = [each for each in build_sensors(build_jobs()) if each.name == "alerts"]
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"warehouse": build_resources(settings)["warehouse"]}
        with dg.build_sensor_context(instance=instance, resources=resources) as context:
            result = sensor(context)
    assert isinstance(result, dg.SkipReason)
    assert "1 alert is open" in str(result.skip_message)
    assert "alerts.toml can't be used" in str(result.skip_message)


def environment(settings: Settings) -> dict[str, str]:
    return {
        "OASIS_HOST": str(settings.host),
        "OASIS_PORT": str(settings.port),
        "OASIS_USER": str(settings.user),
        "OASIS_DB": settings.db,
    }


def test_the_command_lists_and_tests(
    warehouse: Warehouse, settings: Settings, home: Path, posts: Posts
) -> None:
    def ask(*arguments: str) -> tuple[int, str]:
        answer = CliRunner().invoke(
            cli, ["alerts", "--home", str(home), *arguments], env=environment(settings)
        )
        return answer.exit_code, answer.output or str(answer.exception)

    assert "names no receiver" in ask("--test")[1]
    rules(
        home,
        to("hook", f"json://127.0.0.1:{posts.port}") + to("odd", "nosuch://x") + rule("run_failed", "hook"),
    )
    fail(warehouse)
    code, output = ask()
    assert code == 0
    assert "clean/x could not be made" in output
    assert "hook" in output
    assert ask("--test", "hook") == (0, "hook: the message was taken\n")
    assert posts.came[-1][1]["title"] == "Test of alerts"
    code, output = ask("--test")
    assert code == 1
    assert "apprise knows no service by this address (nosuch://...)" in output
    assert ask("--test", "crowd")[0] == 2
    (row,) = json.loads(ask("--json")[1])["alerts"]
    assert (row["state"], row["told"]) == ("open", "hook")
