"""Every statement of Grafana's dashboards, run by the read-only role on a warehouse with rows; and what Grafana is told of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml

from oasis_pipeline.storage.address import Address
from oasis_pipeline.storage.database_roles import READER, keep_reader
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.fixtures.field import LAST_DAY, fill_field

GRAFANA = Path(__file__).resolve().parents[2] / "docker" / "grafana"
DASHBOARDS = {
    file.stem: json.loads(file.read_text()) for file in sorted((GRAFANA / "dashboards").glob("*.json"))
}
SOURCE = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "oasis.yaml").read_text())["datasources"][
    0
]
PROVIDER = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "oasis.yaml").read_text())["providers"][
    0
]
FROM, TO = "2025-01-15T00:00:00Z", f"{LAST_DAY}T23:59:59.999Z"
CARD = f"{LAST_DAY} 02:00:00.000"
VALUES = {"well": "Well 0005", "card": CARD, "group": "All wells", "module": "34.B2'9F", "measure": "P-1"}
NUMBERS = (int, float)


@dataclass(frozen=True)
class Statement:
    """One statement of a dashboard, as Grafana would send it, but for its macros and variables."""

    dashboard: str
    title: str
    kind: str
    sql: str
    format: str = "table"

    @property
    def name(self) -> str:
        return f"{self.dashboard}: {self.title}"


def statements() -> Iterator[Statement]:
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                title = f"{panel['title']} {target['refId']}"
                yield Statement(name, title, panel["type"], target["rawSql"], target["format"])
        for variable in dashboard["templating"]["list"]:
            yield Statement(name, f"${variable['name']}", "variable", variable["query"])
        for annotation in dashboard["annotations"]["list"]:
            yield Statement(name, annotation["name"], "annotation", annotation["target"]["rawSql"])


ALL = list(statements())


def filled(sql: str, values: dict[str, str] = VALUES) -> str:
    """As Grafana does it: variables with the format ``sqlstring``, then macros."""
    sql = re.sub(r"\$\{(\w+):sqlstring\}", lambda match: "'" + values[match[1]].replace("'", "''") + "'", sql)
    sql = sql.replace("$__interval_ms", "60000")
    sql = re.sub(r"\$__timeFilter\(([^)]*)\)", lambda match: f"{match[1]} BETWEEN '{FROM}' AND '{TO}'", sql)
    sql = sql.replace("$__timeFrom()", f"'{FROM}'").replace("$__timeTo()", f"'{TO}'")
    assert "$" not in sql, "a macro or variable that this test does not know"
    return sql


@pytest.fixture(scope="module")
def reader(new_warehouse: Callable[[], Warehouse], tmp_path_factory: pytest.TempPathFactory) -> Address:
    """A field of 12 wells and 60 days with readings, files and models, as the read-only role sees it."""
    warehouse = new_warehouse()
    fill_field(warehouse, 12, 60)
    with warehouse.transaction() as tx:
        for statement in _MORE:
            tx.execute(statement)
    keep_reader(warehouse.address, tmp_path_factory.mktemp("reader") / "password")
    return replace(warehouse.address, user=READER)


_MORE = (
    "CREATE TABLE iot.rawdata_last PARTITION OF iot.rawdata FOR VALUES FROM ('2025-03-31Z') TO ('2025-04-01Z')",
    "INSERT INTO iot.module VALUES ('34.B2''9F', 'Sensor', 'Well 0001', 'Pressure'), ('silent', 'Sensor', null, null)",
    "INSERT INTO iot.rawdata (module_num, timestamp, measures, temperature, voltage, received_at, received_row)"
    " SELECT '34.B2''9F', '2025-03-31Z'::timestamptz + n * interval '10 s', jsonb_build_object('P-1', n % 7, 'P-2', n), 21.5, 3.3, now(), n"
    " FROM generate_series(0, 399) AS n",
    'INSERT INTO clean.alarm ("AlarmID", "NodeID", "RaisedAt", "Class", "Prob", "Reason", "State", threshold, "ModelVersion")'
    " VALUES ('a', 'Well 0005', '2025-03-20', 'Pump', 60, 'fillage falls', 'open', 30, 'of a test')",
    'INSERT INTO xspoc.welltest ("NodeID", "TestDate", "Approved", "OilRate", "WaterRate", file_stamp)'
    " VALUES ('Well 0005', '2025-03-10', true, 40, 60, '2025-03-11')",
    "INSERT INTO oasis.asset_state (asset, partition, changed_tick, made_tick, changed_at, made_at, rows, error, failed_at, failures, code_version)"
    " VALUES ('clean/xspoc', '2025-03-31', 5, 6, now(), now(), 12, null, null, null, '1'),"
    " ('clean/carddiag', '2025-03-31', 5, 0, now(), null, null, 'it broke', now(), 2, '1')",
    "INSERT INTO oasis.file (source_file, kind, stamp, sha256, arrival, rows, stored, superseded, rejected, rejected_reasons, loaded_at, archived)"
    " VALUES ('CardData.E2E.20250331.0000.csv', 'CardData', '2025-03-31', 'x', 1, 20, 15, 2, 3, '{\"no date\": 3}', '2025-03-31Z', true)",
    "INSERT INTO oasis.left_file VALUES ('drop', 'CardData.E2E.x.csv', 'still written', null, now())",
    "INSERT INTO oasis.model VALUES ('dyna_classifier', 'v1', 'x', 'models/x', '{}', true, true, now())",
)


def run(reader: Address, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    with closing(psycopg2.connect(reader.uri())) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        assert cursor.description is not None
        return [column.name for column in cursor.description], cursor.fetchall()


@pytest.mark.parametrize("statement", ALL, ids=lambda each: each.name)
def test_every_statement_answers_with_rows(reader: Address, statement: Statement) -> None:
    names, rows = run(reader, filled(statement.sql))
    assert rows, "the seeded rows show"
    assert len(names) == len(set(names))
    assert any(value is not None for row in rows for value in row)
    if statement.format == "time_series":
        assert names[0] == "time"
        times = [row[0] for row in rows]
        assert all(isinstance(time, datetime) for time in times), "Grafana takes no date for a time"
        assert times == sorted(times)
        if names[1:2] == ["metric"]:
            assert [type(value) for value in rows[0][1:2]] == [str]
            assert len(names) == 3
        else:
            values = [value for row in rows for value in row[1:] if value is not None]
            assert values
            assert all(isinstance(float(value), float) and not isinstance(value, str) for value in values)
    elif statement.kind == "stat":
        assert len(rows) == len(names) == 1
    elif statement.kind == "xychart":
        assert names[0] == "position (in)"
        assert all(isinstance(value, NUMBERS) for row in rows for value in row)
        assert rows[0] == rows[-1], "the loop is closed"
    elif statement.kind == "variable":
        assert len(names) == 1
        assert all(isinstance(row[0], str) for row in rows)
    elif statement.kind == "annotation":
        assert names == ["time", "timeend", "text"]


@pytest.fixture(scope="module")
def reader_of_nothing(
    new_warehouse: Callable[[], Warehouse], tmp_path_factory: pytest.TempPathFactory
) -> Address:
    """An empty warehouse, as the read-only role sees it."""
    warehouse = new_warehouse()
    keep_reader(warehouse.address, tmp_path_factory.mktemp("reader") / "password")
    return replace(warehouse.address, user=READER)


@pytest.mark.parametrize("statement", ALL, ids=lambda each: each.name)
def test_no_statement_fails_on_an_empty_warehouse_or_by_what_a_variable_holds(
    reader_of_nothing: Address, statement: Statement
) -> None:
    odd = dict.fromkeys(VALUES, "' OR true; --") | {"card": CARD}
    names, rows = run(reader_of_nothing, filled(statement.sql, odd))
    assert names
    assert not rows or statement.kind in ("stat", "variable", "table")


def test_a_group_narrows_the_worklist(reader: Address) -> None:
    sql = next(s.sql for s in ALL if s.title == "Which well first, and why A")
    names, rows = run(reader, filled(sql, VALUES | {"group": "Route 1"}))
    assert [row[names.index("well")] for row in rows] == ["Well 0001", "Well 0009"]
    assert len(run(reader, filled(sql))[1]) == 12


def test_tables_have_a_size_partitioned_or_not(reader: Address) -> None:
    sizes = dict(run(reader, filled(next(s.sql for s in ALL if s.title == "Size of tables A")))[1])
    assert sizes["xspoc.card"] > sizes["clean.worklist"] > 0
    assert sizes["iot.rawdata"] > 8192


def test_the_card_is_drawn_as_it_arrived(reader: Address) -> None:
    arrived = run(
        reader,
        f"SELECT surfcard_position, surfcard_load FROM xspoc.card WHERE \"NodeID\" = 'Well 0005' AND \"Date\" = '{CARD}'",
    )[1][0]
    drawn = run(reader, filled(next(s.sql for s in ALL if s.title == "Card ${card} A")))[1]
    assert drawn[:-1] == list(zip(*arrived, strict=True))


def test_the_dashboards_and_the_datasource_fit_each_other() -> None:
    assert set(DASHBOARDS) == {"field", "well", "sensors", "platform"}
    kind = {"type": SOURCE["type"], "uid": SOURCE["uid"]}
    for name, dashboard in DASHBOARDS.items():
        assert dashboard["uid"] == f"oasis-{name}"
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids))
        sources = [panel["datasource"] for panel in dashboard["panels"]]
        sources += [target["datasource"] for panel in dashboard["panels"] for target in panel["targets"]]
        sources += [
            item["datasource"] for part in ("templating", "annotations") for item in dashboard[part]["list"]
        ]
        assert all(source == kind for source in sources)
        boxes = [tuple(panel["gridPos"][key] for key in "xywh") for panel in dashboard["panels"]]
        assert all(x >= 0 and x + w <= 24 for x, y, w, h in boxes)
        assert not any(_overlap(a, b) for i, a in enumerate(boxes) for b in boxes[:i])
    links = re.findall(r"/d/([\w-]+)\?var-(\w+)=", json.dumps(DASHBOARDS))
    assert links
    for uid, variable in links:
        target = DASHBOARDS[uid.removeprefix("oasis-")]
        assert variable in [item["name"] for item in target["templating"]["list"]]


def _overlap(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def test_the_xy_chart_finds_its_columns() -> None:
    panel = next(panel for panel in DASHBOARDS["well"]["panels"] if panel["type"] == "xychart")
    for number, series in enumerate(panel["options"]["series"]):
        assert series["frame"]["matcher"] == {"id": "byIndex", "options": number}
        for axis in "xy":
            assert f'AS "{series[axis]["matcher"]["options"]}"' in panel["targets"][number]["rawSql"]


def test_grafana_gets_the_read_only_role_and_finds_the_dashboards_where_compose_puts_them() -> None:
    compose = yaml.safe_load((GRAFANA.parent / "compose.yaml").read_text())
    service = compose["services"]["grafana"]
    wanted = set(re.findall(r"\$(?:\{)?(\w+)", json.dumps(SOURCE)))
    # the password comes from a file
    given = set(re.findall(r"(\w+)=", service["entrypoint"][-1])) | set(service["environment"])
    assert wanted <= given
    assert SOURCE["user"] == READER
    assert set(service["secrets"]) == {"reader_pass", "grafana_pass"}, (
        "the platform's own is none of its business"
    )
    assert "env_file" not in service
    mounts = dict(mount.split(":")[:2] for mount in service["volumes"] if mount.startswith("./"))
    folder = service["environment"]["OASIS_DASHBOARDS"]
    assert mounts["./grafana/dashboards"] == folder
    assert PROVIDER["options"]["path"] == "$OASIS_DASHBOARDS"
    home = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/field.json"
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
    # the role is there before Grafana asks: `init` makes it
    assert service["depends_on"]["init"]["condition"] == "service_completed_successfully"
    assert "oasis roles" in json.dumps(compose["services"]["init"]["command"])
    assert service["profiles"] == ["grafana"]
