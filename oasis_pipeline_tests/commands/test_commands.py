"""The ``oasis`` command as a person calls it: answers, errors of one line, exit status."""

from __future__ import annotations

import errno
import html
import json
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest
from click.testing import CliRunner

from oasis_pipeline.automation.plan import Plan
from oasis_pipeline.commands.common import explain
from oasis_pipeline.commands.demo import DemoError, alarm_lines, claim_home
from oasis_pipeline.commands.main import SUBCOMMANDS, cli
from oasis_pipeline.commands.status import asset_rows
from oasis_pipeline.learning.base import simulated_training_set
from oasis_pipeline.settings import SettingsError, load_settings
from oasis_pipeline.simulation.cards import simulate_cards
from oasis_pipeline.storage import embedded, ledger
from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline_tests.fixtures.platform import free_port

FIELD = {"wells": 3, "days": 3, "seed": 5}


def oasis(*arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("OASIS_", "DAGSTER"))
    }
    if home is not None:
        environment["OASIS_HOME"] = str(home)
    command = [sys.executable, "-m", "oasis_pipeline.commands.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280, check=False)


@pytest.mark.parametrize("name", [*SUBCOMMANDS])
def test_every_command_explains_itself(name: str) -> None:
    answer = CliRunner().invoke(cli, [name, "--help"])
    assert answer.exit_code == 0
    assert "--home" in answer.output or "--out" in answer.output


def test_an_unknown_command_is_an_error_of_the_caller() -> None:
    answer = oasis("fly")
    assert answer.returncode == 2
    assert "No such command" in answer.stderr


def test_a_command_that_ends_with_a_status_of_its_own_is_a_process_that_does(tmp_path: Path) -> None:
    done = oasis("doctor", "--home", str(tmp_path / "nowhere"))
    assert done.returncode == 1, done
    assert "there is no installation" in done.stdout
    assert oasis("--version").returncode == oasis("doctor", "--help").returncode == 0


def test_errors_of_the_platform_are_one_line_and_faults_of_the_program_say_so() -> None:
    assert (
        explain(SettingsError("configuration: OASIS_START: no date")) == "configuration: OASIS_START: no date"
    )
    text = explain(ZeroDivisionError("division by zero"))
    assert text.startswith("unexpected ZeroDivisionError")
    assert "OASIS_TRACE=1" in text
    assert "\n" not in text


def test_a_drop_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    answer = oasis("run", "--home", str(tmp_path / "home"), "--drop", str(tmp_path / "nowhere"))
    assert answer.returncode == 1
    assert "there is no folder" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_server_that_does_not_answer_is_one_clear_line_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".env").write_text("OASIS_HOST=127.0.0.1\nOASIS_PORT=1\nOASIS_USER=u\nOASIS_PASS=hunter2\n")
    answer = oasis("dsn", home=home)
    assert answer.returncode == 1
    assert answer.stderr.startswith("oasis: ")
    assert len(answer.stderr.splitlines()) == 1
    assert "hunter2" not in answer.stderr + answer.stdout


def test_a_demo_never_mixes_with_another_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OASIS_")]:
        monkeypatch.delenv(name)
    settings = load_settings(tmp_path / "home")
    start = claim_home(settings, FIELD)
    assert claim_home(settings, FIELD) == start
    with pytest.raises(DemoError, match="another field"):
        claim_home(settings, {**FIELD, "seed": 6})
    used = load_settings(tmp_path / "used")
    used.drop.mkdir(parents=True)
    with pytest.raises(DemoError, match="in use"):
        claim_home(used, FIELD)
    with pytest.raises(DemoError, match="OASIS_HOST"):
        claim_home(load_settings(tmp_path / "other", host="db.example"), FIELD)


READING = [
    ["status"],
    ["alarms"],
    ["alarms", "acknowledge", "x"],
    ["alarms", "dismiss", "x", "--note", "sand"],
    ["dsn"],
    ["labels", "queue"],
    ["labels", "export"],
    ["labels", "disagreements"],
    ["labels", "suspects"],
    ["models", "list"],
    ["models", "use", "x"],
    ["models", "repredict", "x"],
    ["diagnose", "card.csv", "--well", "W"],
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_what_only_reads_makes_no_installation(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("OASIS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OASIS_HOME", "")  # settings_of sets it; put back afterwards
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    answer = CliRunner().invoke(cli, [*command, "--home", str(home)])
    said = answer.output + (explain(answer.exception) if isinstance(answer.exception, Exception) else "")
    assert answer.exit_code == 1
    assert f"there is no installation in {home}" in said
    assert "--home" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.server
def test_what_only_reads_makes_no_tables_on_a_server_of_ones_own(embedded_server: Address) -> None:
    from oasis_pipeline.storage.installation import NoInstallationError, require_installation
    from oasis_pipeline.storage.migrate import is_prepared

    nowhere = replace(embedded_server, db="nowhere")
    for address in (nowhere, embedded_server):
        settings = load_settings(host=address.host, port=address.port, user=address.user, db=address.db)
        with pytest.raises(NoInstallationError, match="OASIS_DB"):
            require_installation(settings)
        assert not is_prepared(address)
    with pytest.raises(StorageError, match="does not answer"):
        is_prepared(replace(embedded_server, port=1))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(errno.EROFS, "Read-only file system", "/x/y"),
            "can't write /x/y: its disk is mounted read-only",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "is full: free some space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/x/y"), "the disk of /x/y is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/root/y"), "permission denied: /root/y as "),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/x/y"), "a file of that name exists"),
        (FileExistsError(errno.EEXIST, "File exists", "/x/y"), "a file of that name exists"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x/y"), "/x/y: No such file"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/x" * 500), "too long: choose a shorter one"),
        (
            psycopg2.OperationalError("server closed the connection\npassword=hunter2"),
            "PostgreSQL does not answer",
        ),
        (MemoryError(), "out of memory"),
        (StorageError("can't make it: No space left on device"), "device. A disk is full: free some space"),
    ],
)
def test_what_the_machine_refuses_is_no_fault_of_the_program(error: Exception, words: str) -> None:
    text = explain(error)
    assert words in text
    for bare in ("[Errno", "error in the program", "hunter2", "\n"):
        assert bare not in text


def test_a_home_of_somebody_else_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / ".env"))

    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    monkeypatch.setattr("oasis_pipeline.commands.common.load_settings", refuse)
    answer = CliRunner().invoke(cli, ["status", "--home", str(tmp_path)])
    assert isinstance(answer.exception, PermissionError), answer.output
    assert "run as its owner" in explain(answer.exception)


@pytest.mark.parametrize("name", [*SUBCOMMANDS])
def test_a_home_that_is_a_file_is_one_clear_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "file"
    home.write_text("")
    more = {
        "diagnose": ["card.csv", "--well", "W"],
        "labels": ["queue"],
        "models": ["list"],
        "source": ["run"],
        "backup": ["copy"],
        "restore": ["copy"],
        "serve": ["--port", str(free_port())],
    }
    arguments = [name, *more.get(name, [])]
    monkeypatch.setenv("OASIS_HOME", str(home))
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "x")
    arguments += {"simulate": ["--out", str(home)], "createsuperuser": ["--noinput"]}.get(name, [])
    answer = CliRunner().invoke(cli, arguments)
    said = answer.output + (explain(answer.exception) if isinstance(answer.exception, Exception) else "")
    assert answer.exit_code in (1, 2)
    assert str(home) in said
    assert "[Errno" not in said
    assert "error in the program" not in said


def test_a_simulation_looks_at_its_folder_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oasis_pipeline.simulation import field

    monkeypatch.setattr(field, "simulate_field", lambda *a, **k: pytest.fail("worked before it looked"))
    (tmp_path / "file").write_text("")
    answer = CliRunner().invoke(cli, ["simulate", "--out", str(tmp_path / "file" / "below")])
    assert isinstance(answer.exception, OSError)
    assert "a file of that name exists" in explain(answer.exception)
    assert "--out" in explain(answer.exception)


def test_an_administrator_is_made_or_it_is_said_that_none_was(tmp_path: Path) -> None:
    home = tmp_path / "home"
    silent = oasis("createsuperuser", home=home)
    assert (silent.returncode, silent.stdout) == (1, "")
    assert "--noinput" in silent.stderr
    assert len(silent.stderr.splitlines()) == 1
    without = oasis("createsuperuser", "--noinput", home=home)
    assert (without.returncode, without.stdout) == (1, "")
    assert "DJANGO_SUPERUSER_PASSWORD" in without.stderr
    assert not home.exists()


def test_an_asset_without_partitions_is_one_thing_done() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    def state(asset: str, partition: str, rows: int | None, error: str | None = None) -> ledger.State:
        return ledger.State(asset, partition, 1, 1, moment, moment, rows, error)

    days = [f"2026-01-{day:02d}" for day in range(1, 24)]
    entries = [
        state("analysis/failure_info", "", 7),
        *(state("analysis/failure_info", day, None) for day in days),
        *(state("models/card_forecaster", day, None) for day in days[:3]),
        *(state("clean/xpred", day, 4) for day in days[:2]),
    ]
    plan = Plan(days={"clean/xpred": {days[1]}})
    by_asset = {row["asset"]: row for row in asset_rows({(s.asset, s.partition): s for s in entries}, plan)}
    counts = {
        name: (row["done"], row["missing"], row["failed"], row["rows"]) for name, row in by_asset.items()
    }
    assert counts == {
        "analysis/failure_info": (1, 0, 0, 7),
        "models/card_forecaster": (1, 0, 0, None),
        "clean/xpred": (1, 1, 0, 8),
    }
    stale = asset_rows({("clean/alarm", ""): state("clean/alarm", "", 2)}, Plan(whole={"clean/alarm"}))
    assert [(row["done"], row["missing"]) for row in stale] == [(0, 1)]
    broken = asset_rows(
        {("clean/alarm", ""): state("clean/alarm", "", 2, "why")}, Plan(whole={"clean/alarm"})
    )
    assert [(row["done"], row["missing"], row["failed"]) for row in broken] == [(0, 0, 1)]


def test_the_demo_says_what_came_after_each_alarm() -> None:
    raised = datetime(2026, 11, 15, 18)
    alarm = {"NodeID": "SABLE 1", "RaisedAt": raised, "Prob": 66.2, "failure": "Pump", "failed_at": None}
    assert alarm_lines([alarm, {**alarm, "failed_at": datetime(2026, 11, 19, 6)}]) == [
        "alarm   SABLE 1, 15 November (66 %): no failure since",
        "alarm   SABLE 1, 15 November (66 %): Pump 3.5 days later",
    ]


def test_what_is_compiled_ahead_is_what_cards_go_through() -> None:
    from oasis_pipeline.commands.ahead import compile_card_steps
    from oasis_pipeline.physics.diagnosis import reading

    compile_card_steps()
    compiled = {str(types) for types in reading._read_all.signatures}
    assert compiled
    batch = simulate_cards(3, 1)
    simulated_training_set(batch)
    assert {str(types) for types in reading._read_all.signatures} == compiled, "nothing more to compile"


def test_preparing_ahead_ends_with_its_block(tmp_path: Path) -> None:
    from oasis_pipeline.commands.ahead import preparing

    with preparing(tmp_path):
        pass
    assert not multiprocessing.active_children()


@pytest.mark.server
def test_a_demo_from_nothing_to_report_then_status_and_dsn(server_folder: Path) -> None:
    home = server_folder / "home"
    size = ["--wells", "3", "--days", "3", "--seed", "5"]
    answer = oasis("demo", "--home", str(home), *size, "--json")
    assert answer.returncode == 0, answer.stderr
    facts = json.loads(answer.stdout)
    assert facts["wells"] == 3
    assert facts["predicted"] == sum(facts["counts"].values()) > 10
    assert all(row["stored"] + row["superseded"] + row["rejected"] == row["rows"] for row in facts["kinds"])
    assert [row["rank"] for row in facts["worklist"]] == [1, 2, 3]
    report = (home / "report.html").read_text()
    assert report.count("data:image/png;base64,") == 2
    assert report.count('class="card"') == 3
    assert "simulated" in report
    assert all(row["reason"] in html.unescape(report) for row in facts["worklist"])
    (home / "report.html").unlink()
    assert "report.html" in oasis("report", "--home", str(home)).stdout
    assert (home / "report.html").exists()

    listed = json.loads(oasis("wells", "--home", str(home), "--json").stdout)
    first = listed["wells"][0]
    assert first == {**first, **{name: facts["worklist"][0][name] for name in ("NodeID", "reason", "score")}}
    picture = home / "first.png"
    one = oasis("wells", first["NodeID"].lower(), "--home", str(home), "--out", str(picture))
    assert one.returncode == 0, one.stderr
    assert first["reason"] in one.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "no well 'nobody'" in oasis("wells", "nobody", "--home", str(home)).stderr
    assert (
        "there is no worklist of 1999-01-01"
        in oasis("wells", "--day", "1999-01-01", "--home", str(home)).stderr
    )

    again = oasis("run", "--home", str(home), "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["runs"] == []

    status = oasis("status", "--home", str(home), "--json")
    rows = {row["asset"]: row for row in json.loads(status.stdout)["assets"]}
    assert rows["clean/dynapred"]["rows"] == facts["predicted"]
    assert all(row["missing"] == row["failed"] == 0 for row in rows.values())
    assert "clean/dynapred" in oasis("status", "--home", str(home)).stdout

    assert embedded.running(home / "postgres") is None, "the last user stops the server"
    try:
        dsn = oasis("dsn", "--home", str(home)).stdout.strip()
        with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
            cursor.execute("select count(*) from clean.dynapred")
            assert cursor.fetchone() == (facts["predicted"],)
    finally:
        embedded.stop(home / "postgres")


def test_help_loads_neither_settings_nor_science() -> None:
    look = (
        "import sys; sys.argv = ['oasis', '--help']; from oasis_pipeline.commands.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'pydantic', 'numpy', 'pyarrow', 'dagster', 'psycopg2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
