"""``oasis labels`` and ``oasis models`` as a person uses them, on a real warehouse."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from oasis_pipeline.automation.instance import URL_VARIABLE
from oasis_pipeline.commands.main import cli
from oasis_pipeline.operations.label_queue import LABEL_QUEUE
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.postgres import Warehouse

pytestmark = pytest.mark.server

Oasis = Callable[..., Result]


@pytest.fixture
def oasis(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Oasis:
    """The command on an installation over the test's warehouse."""
    for name in ("DAGSTER_HOME", URL_VARIABLE, "OASIS_HOME"):
        monkeypatch.setenv(name, "")
    settings.home.mkdir(parents=True, exist_ok=True)
    (settings.home / ".env").write_text(
        f"OASIS_HOST={settings.host}\nOASIS_PORT={settings.port}\nOASIS_USER={settings.user}\nOASIS_DB={settings.db}\n"
    )

    def run(*arguments: str, code: int = 0) -> Result:
        answer = CliRunner().invoke(cli, [*arguments, "--home", str(settings.home)])
        assert answer.exit_code == code, answer.output
        return answer

    return run


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(["NodeID,Date,TrueLabel1,TrueLabel2", *lines]) + "\n")
    return str(path)


def test_labels_go_in_with_a_name_come_out_and_go_in_again(
    oasis: Oasis, warehouse: Warehouse, tmp_path: Path
) -> None:
    mine = write(
        tmp_path / "my labels.csv",
        "Well 1,2025-01-01 10:00:00,Full Pump,",
        "Well #1,2025-01-02 10:00:00,fluid pound,Wellbore Friction",
        "Well 1,2025-01-03 10:00:00.125,Fluid Pound,",
        "Well 1,not a time,Fluid Pound,",
    )
    facts = json.loads(
        oasis("labels", "import", mine, "--by", "Crew A", "--json", "--stamp", "20250110.0800").output
    )
    assert facts["file"] == "Labels.E2E.20250110.0800.csv"
    assert (facts["rows"], facts["stored"], facts["rejected"]) == (4, 3, 1)
    assert "Date" in facts["rejected_rows"][0]["Reason"]
    state = warehouse.query("select changed_tick from oasis.asset_state where asset = 'clean/dynalabel'")
    assert state.num_rows == 1, "the classifier is stale now"

    out = tmp_path / "out.csv"
    oasis("labels", "export", "--out", str(out))
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[1] == {
        "NodeID": "Well 1",
        "Date": "2025-01-02 10:00:00",
        "TrueLabel1": "fluid pound",
        "TrueLabel2": "Wellbore Friction",
        "LabeledBy": "Crew A",
        "LabeledAt": "2025-01-10 08:00:00",
    }
    assert rows[2]["Date"] == "2025-01-03 10:00:00.125"
    assert rows[2]["TrueLabel1"] == "fluid pound", "the first spelling is the one shown"

    again = json.loads(oasis("labels", "import", str(out), "--json", "--stamp", "20250111.0800").output)
    assert (again["stored"], again["rejected"]) == (3, 0)
    assert again["ignored_columns"] == ["LabeledBy", "LabeledAt"]
    with_history = json.loads(oasis("labels", "export", "--history", "--json").output)
    assert len(with_history) == 6
    assert "no disagreements" in oasis("labels", "disagreements").output
    assert not list((tmp_path / "home").glob("labels-*")), "nothing is left behind"


def test_two_people_who_disagree_are_both_shown(oasis: Oasis, tmp_path: Path) -> None:
    first = write(
        tmp_path / "a.csv", "Well 1,2025-01-01 10:00:00,Full Pump,", "Well 2,2025-01-01 11:00:00,Full Pump,"
    )
    second = write(tmp_path / "b.csv", "Well 1,2025-01-01 10:00:00,Fluid Pound,")
    oasis("labels", "import", first, "--by", "Crew A", "--stamp", "20250110.0800")
    oasis("labels", "import", second, "--by", "Crew B", "--stamp", "20250110.0900")
    (card,) = json.loads(oasis("labels", "disagreements", "--json").output)
    assert card["NodeID"] == "Well 1"
    assert [(said["by"], said["labels"], said["in_force"]) for said in card["labels"]] == [
        ("Crew A", ["Full Pump"], False),
        ("Crew B", ["Fluid Pound"], True),
    ]
    shown = oasis("labels", "disagreements").output
    assert "Crew A" in shown
    assert "in force" in shown


def test_a_file_that_is_no_file_of_labels_is_one_clear_line(oasis: Oasis, tmp_path: Path) -> None:
    other = tmp_path / "CardData.E2E.20250101.0000.csv"
    other.write_text("NodeID\n")
    assert "CardData, not of labels" in oasis("labels", "import", str(other), code=1).output
    text = tmp_path / "labels.txt"
    text.write_text("x")
    assert ".csv" in oasis("labels", "import", str(text), code=1).output
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    assert "empty.csv" in oasis("labels", "import", str(empty), code=1).output


def test_the_queue_goes_out_is_filled_in_in_part_and_comes_back(
    oasis: Oasis, warehouse: Warehouse, tmp_path: Path
) -> None:
    assert "queue is empty" in oasis("labels", "queue").output
    rows = [
        {
            "NodeID": f"Well {number}",
            "Date": datetime(2025, 1, 1, number),
            "rank": number,
            "score": 1 / number,
            "uncertainty_bits": 1.0,
            "well_labels": 0,
            "Label1": "Full Pump",
            "Prob1": 51.0,
            "ModelVersion": "base-1",
        }
        for number in (1, 2, 3)
    ]
    cards = [
        {
            "NodeID": row["NodeID"],
            "Date": row["Date"],
            "file_stamp": datetime(2025, 1, 2),
            "surfcard_position": [0.0, 50.0, 100.0, 50.0],
            "surfcard_load": [5000.0, 9000.0, 9000.0, 5000.0],
        }
        for row in rows
    ]
    card = table("xspoc", "card")
    with warehouse.transaction() as tx:
        tx.upsert(LABEL_QUEUE, pa.Table.from_pylist(rows, schema=arrow_schema(LABEL_QUEUE)))
        names = list(cards[0])
        schema = pa.schema([arrow_schema(card).field(name) for name in names])
        tx.upsert(card, pa.Table.from_pylist(cards, schema=schema))
    out, sheet = tmp_path / "queue.csv", tmp_path / "queue.html"
    oasis("labels", "queue", "--limit", "2", "--out", str(out), "--sheet", str(sheet))
    assert sheet.read_text().count("data:image/png;base64,") == 1
    lines = out.read_text().splitlines()
    assert lines[0].startswith("NodeID,Date,TrueLabel1,TrueLabel2,rank,")
    assert lines[1].startswith("Well 1,2025-01-01 01:00:00,,,1,")
    assert len(lines) == 3
    filled = "\n".join([lines[0], lines[1].replace(",,,", ",Fluid Pound,,", 1), lines[2]])
    out.write_text(filled + "\n")
    facts = json.loads(oasis("labels", "import", str(out), "--json").output)
    assert (facts["stored"], facts["without_label"]) == (1, 1)
    assert [row["rank"] for row in json.loads(oasis("labels", "queue", "--json").output)] == [2, 3]
    assert "no suspected labels" in oasis("labels", "suspects").output


def test_models_are_listed_chosen_by_hand_and_an_unknown_one_says_what_there_is(
    oasis: Oasis, warehouse: Warehouse
) -> None:
    assert "no models yet" in oasis("models", "list").output
    for version, used in (("v1", True), ("v2", False)):
        with warehouse.transaction() as tx:
            tx.execute(
                "insert into oasis.model values ('forecaster', $1, 'x', 'y', '{\"cards\": 5, \"wells\": 2}', false, $2, now())",
                (version, used),
            )
    oasis("models", "use", "v2")
    listed = json.loads(oasis("models", "list", "--json").output)
    assert {row["version"]: row["in_use"] for row in listed} == {"v1": False, "v2": True}
    assert "v2" in oasis("models", "list", "--name", "forecaster").output
    assert "the registry has" in oasis("models", "use", "v3", code=1).output
    with warehouse.transaction() as tx:
        tx.execute(
            "insert into oasis.model select 'other', version, sha256, path, manifest, is_base, false, now() from oasis.model"
        )
    assert "--name" in oasis("models", "use", "v1", code=1).output
    oasis("models", "use", "v1", "--name", "other")
    assert "no classifier yet" in oasis("models", "repredict", "in-use", code=1).output
    assert (
        "--from lies after --to"
        in oasis("models", "repredict", "v1", "--from", "2025-02-01", "--to", "2025-01-01", code=2).output
    )
