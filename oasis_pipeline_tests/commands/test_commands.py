"""The ``oasis`` command as a person calls it: answers, errors of one line, exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
from click.testing import CliRunner

from oasis_pipeline.commands.common import explain
from oasis_pipeline.commands.demo import DemoError, claim_home
from oasis_pipeline.commands.main import SUBCOMMANDS, cli
from oasis_pipeline.settings import SettingsError, load_settings
from oasis_pipeline.storage import embedded

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
    report = (home / "report.html").read_text()
    assert report.count("data:image/png;base64,") == 3
    assert "simulated" in report

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
