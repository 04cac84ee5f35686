"""The public Python API on a small real installation, and without one."""

from __future__ import annotations

import inspect
import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import oasis_pipeline
from oasis_pipeline import Field, decode_card
from oasis_pipeline.cards.codec import encode_blobs, encode_hex
from oasis_pipeline.cards.column import CardColumn
from oasis_pipeline.operations.features import FEATURES_VERSION, features_of
from oasis_pipeline.operations.wells import UnknownWellError
from oasis_pipeline.schema import table
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.day_files import read_day
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.installation import NoInstallationError
from oasis_pipeline.storage.objects import open_store
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline.storage.readings import store_readings
from oasis_pipeline_tests.fixtures.notebooks import run_notebook
from oasis_pipeline_tests.fixtures.small_home import SPAN, WELLS, make_small_home

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def home(new_warehouse: Callable[[], Warehouse], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_small_home(tmp_path_factory.mktemp("api"), new_warehouse())


@pytest.fixture(scope="module")
def field(home: Settings) -> Iterator[Field]:
    with oasis_pipeline.open(home.home) as opened:
        yield opened


def square() -> tuple[np.ndarray, np.ndarray]:
    angle = np.linspace(0.0, 2.0 * np.pi, 200, endpoint=False)
    return 60.0 - 60.0 * np.cos(angle), 9_000.0 + 5_000.0 * np.clip(4.0 * np.sin(angle), -1.0, 1.0)


def test_importing_the_package_loads_nothing() -> None:
    code = "import oasis_pipeline, sys; print([n for n in ('numpy', 'pandas', 'dagster', 'matplotlib') if n in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
    assert {*oasis_pipeline.__all__} <= {*dir(oasis_pipeline)}
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        _ = oasis_pipeline.opne


def test_the_page_lists_all_that_is_public() -> None:
    page = (DOCS / "python-api.md").read_text()
    for name in oasis_pipeline.__all__:
        assert f"`{name}" in page or f"oasis_pipeline.{name}" in page, name
    for kind in (oasis_pipeline.Field, oasis_pipeline.Card, oasis_pipeline.CardSeries):
        public = [name for name, value in vars(kind).items() if inspect.isfunction(value) and name[0] != "_"]
        for name in public:
            assert re.search(rf"\.{name}\(", page), f"{kind.__name__}.{name}"


def test_the_page_shows_the_parameters_that_there_are() -> None:
    page = (DOCS / "python-api.md").read_text()
    owners = {"field": oasis_pipeline.Field, "cards": oasis_pipeline.CardSeries, "card": oasis_pipeline.Card}
    shown = re.findall(r"^\| `(\w+)\.(\w+)\(([^)]*)\)` \|", page, re.MULTILINE)
    assert len(shown) >= 10
    for owner, method, parameters in shown:
        real = [
            name for name in inspect.signature(getattr(owners[owner], method)).parameters if name != "self"
        ]
        assert [name for name in parameters.split(", ") if name] == real, f"{owner}.{method}"


def test_a_folder_without_an_installation_is_told_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(NoInstallationError, match="there is no installation in"):
        oasis_pipeline.open(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("form", ["bytes", "hex", "HEX", "0x", "\\x"])
def test_blobs_are_decoded_in_every_form(form: str) -> None:
    column = CardColumn.from_rows([square()])
    text = encode_hex(CardColumn(column.position.astype("f4"), column.load.astype("f4"), column.offsets))[0]
    data = {"bytes": bytes.fromhex(text), "hex": text, "HEX": text.upper()}.get(form, form + text)
    card = decode_card(data, spm=8.0)
    np.testing.assert_array_equal(card.surface, np.asarray(square(), np.float32))
    assert not len(card.pump[0])
    assert len(decode_card(data, pump_card=True).pump[0]) == 200


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("zz", "is not hexadecimal"),
        ("abc", "odd number of hexadecimal digits"),
        (b"\0" * 12, "is not an even number of whole 4-byte floats"),
        (np.array([1.0, np.inf], "<f4").tobytes(), "contains an infinite value"),
        ("", "is empty"),
    ],
)
def test_a_blob_that_is_no_card_is_refused(data: bytes | str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode_card(data)


def test_a_card_from_nowhere_has_what_it_alone_tells() -> None:
    card = oasis_pipeline.Card(surface=([*square()[0]], [*square()[1]]), spm=8.0)
    found = card.diagnose()
    assert found.findings["pprl_lbf"] == pytest.approx(14_000.0, rel=0.01)
    assert any(line.startswith("rods: not given") for line in found.missing)
    assert len(card.plot(diagnosed=False).axes) == 1
    assert math.isfinite(card.features()["surface_pprl_lbf"])
    with pytest.raises(ValueError, match="needs the model of a field"):
        card.classify()
    with pytest.raises(ValueError, match="can't be used: all zero"):
        oasis_pipeline.Card(surface=(np.zeros(20), np.zeros(20))).diagnose()
    with pytest.raises(ValueError, match="of equal length"):
        oasis_pipeline.Card(surface=([1.0, 2.0], [1.0]))


@pytest.mark.server
def test_wells_and_their_cards(field: Field, home: Settings) -> None:
    wells = field.wells()
    assert len(wells) == WELLS
    name = wells.index[0]
    cards = field.cards(f"  {name.upper()}# ")
    assert len(cards) == wells.loc[name, "n_cards"] > 2
    frame = cards.to_frame()
    assert list(frame.index.get_level_values("NodeID").unique()) == [name]
    assert frame.index.get_level_values("Date").is_monotonic_increasing
    assert {"SPM", "fillage_pct", "Label1", "surfcard_fault"} <= {*frame.columns}
    position, load = cards.to_arrays(points=64)
    assert position.shape == load.shape == (len(cards), 64)
    usable = frame["surfcard_fault"].isna().to_numpy()
    np.testing.assert_array_equal(np.isfinite(load).all(axis=1), usable)
    assert cards[-1].when == frame.index[-1][1]
    assert len(cards[1:3]) == len(cards[1:3].to_frame()) == 2
    day = field.cards(name, "2025-03-02", datetime(2025, 3, 3))
    assert 0 < len(day) < len(cards)
    assert len(field.cards(name, "2031-01-01")) == len(field.cards(name, "2031-01-01").to_frame()) == 0
    with pytest.raises(UnknownWellError, match=f"did you mean .*{re.escape(name)}"):
        field.cards(name[:-1])
    with pytest.raises(ValueError, match="is not a time"):
        field.cards(name, "last week")
    with pytest.raises(ValueError, match="'surface' or 'pump'"):
        cards.to_arrays("downhole")


@pytest.mark.server
def test_a_stored_card_says_what_the_platform_says(field: Field, home: Settings) -> None:
    stored = read_day(open_store(home), "clean/card_features", SPAN.last, version=FEATURES_VERSION)
    assert stored is not None
    for name in field.wells().index:
        cards = field.cards(name, SPAN.last)
        if not len(cards):
            continue
        row = cards.to_frame().iloc[-1]
        card = cards[-1]
        found = card.diagnose()
        for quantity in ("pprl_lbf", "fillage_pct", "pump_intake_pressure_psi", "inferred_production_bpd"):
            assert found.findings.get(quantity, np.nan) == pytest.approx(row[quantity], nan_ok=True), quantity
        assert (found.findings["quality"], found.report) == (row["quality"], row["report"])
        classed = card.classify()
        assert (classed.Label1, classed.ModelVersion) == (row["Label1"], row["ModelVersion"])
        assert classed.Prob1 == pytest.approx(row["Prob1"], abs=1e-3)
        assert max(classed.probabilities.values()) <= 100.0
        features = card.features()
        assert [*features] == json.loads(stored.schema.field("features").metadata[b"names"])
        at = [
            i
            for i, key in enumerate(
                zip(stored["NodeID"].to_pylist(), stored["Date"].to_pylist(), strict=True)
            )
            if key == (name, card.when)
        ]
        kept = features_of(stored)[at[0]]
        given = np.array(list(features.values()))
        np.testing.assert_allclose(np.where(np.isfinite(given), given, np.nan), kept, rtol=1e-5)
        assert card.plot().axes


@pytest.mark.server
def test_a_blob_is_diagnosed_and_classified_as_a_card_of_a_field(field: Field) -> None:
    name = field.wells().index[0]
    stored = next(card for card in field.cards(name) if len(card.surface[0]))
    column = CardColumn.from_rows([stored.surface])
    card = decode_card(encode_blobs(column)[0].tobytes(), spm=stored.spm, well=field.well(name), field=field)
    assert card.diagnose().findings["pprl_lbf"] == stored.diagnose().findings["pprl_lbf"]
    assert card.classify().ModelVersion == "card-of-a-test"
    with pytest.raises(ValueError, match="there is no dyna_classifier 'card-9'"):
        card.classify("card-9")


@pytest.mark.server
def test_readings_are_columns(field: Field, home: Settings, new_warehouse: Callable[[], Warehouse]) -> None:
    rows = [
        {
            "module_num": "0a.01",
            "timestamp": datetime(2025, 3, 1, hour),
            "measures": json.dumps({"y": 2.0 * hour, "x": 1.0}),
        }
        for hour in (3, 1)
    ]
    with field._warehouse.transaction() as tx:
        tx.upsert(
            table("iot", "module"),
            pa.Table.from_pylist([{"module_num": "0a.01", "module_type": "vibration"}]),
        )
        schema = pa.schema(
            [("module_num", pa.string()), ("timestamp", pa.timestamp("us", "UTC")), ("measures", pa.string())]
        )
        given = pa.Table.from_pylist(rows, schema=schema)
        for name, kind in (
            ("temperature", pa.float64()),
            ("voltage", pa.float64()),
            ("description", pa.string()),
        ):
            given = given.append_column(name, pa.nulls(len(rows), kind))
        store_readings(tx, given)
    frame = field.readings("0a.01", "2025-03-01", "2025-03-02")
    assert [*frame.columns] == ["x", "y", "temperature", "voltage", "description"]
    assert frame["y"].tolist() == [2.0, 6.0]
    assert str(frame.index.tz) == "UTC"
    assert field.readings("0a.01", "2025-04-01").empty
    with pytest.raises(LookupError, match=r"there is no module '9'; registered are .*0a\.01"):
        field.readings("9")


@pytest.mark.server
def test_nothing_is_written_and_a_closed_field_says_so(field: Field, home: Settings) -> None:
    with pytest.raises(StorageError, match="read-only transaction"):
        field.query("delete from xspoc.card returning 1")
    other = oasis_pipeline.open(home.home)
    assert (
        other.query('select count(*) as n from xspoc.card where "Date" > $1', (datetime(2025, 1, 1),))["n"][0]
        > 0
    )
    other.close()
    other.close()
    with pytest.raises(ValueError, match="the field is closed"):
        other.wells()


@pytest.mark.server
def test_the_notebook_runs(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.home.parent)
    file = DOCS / "python-api.ipynb"
    for cell, said, value in run_notebook(file):
        assert cell["outputs"] or not (said or value is not None), (
            "run: python -m oasis_pipeline_tests.fixtures.notebooks " + str(file)
        )
