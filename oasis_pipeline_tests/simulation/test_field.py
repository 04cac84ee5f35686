"""A simulated field as files: what the contract says of the drop folder, and the truth beside it."""

import csv
import json
import re
from collections import Counter
from datetime import datetime, timedelta

import numpy as np
import pytest

from oasis_pipeline.cards.codec import BlobFault, decode_hex, pack_bytes
from oasis_pipeline.schema.xspoc_tables import XDIAGRESULTS
from oasis_pipeline.simulation import conditions as c
from oasis_pipeline.simulation.cards import simulate_cards
from oasis_pipeline.simulation.field import simulate_field

NAME = re.compile(r"^([A-Za-z]+)\.E2E\.(\d{8})\.(\d{4})\.csv$")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("field")
    calls = []
    summary = simulate_field(
        out, wells=13, days=20, seed=7, cards_per_day=1, progress=lambda *x: calls.append(x)
    )
    return out, summary, calls


def read(out, kind):
    rows = []
    for path in sorted((out / "drop").glob(f"{kind}.E2E.*.csv")):
        _, day, time = NAME.match(path.name).groups()
        stamp = datetime.strptime(day + time, "%Y%m%d%H%M")
        with path.open(newline="", encoding="utf-8") as stream:
            rows += [(stamp, row) for row in csv.DictReader(stream)]
    return rows


def clean(node):
    return " ".join(node.replace("#", "").split()).casefold()


def test_file_names_are_the_contract_s(written):
    out, summary, _ = written
    names = [path.name for path in (out / "drop").iterdir()]
    assert len(names) == summary["files"]
    assert all(NAME.match(name) for name in names)
    kinds = {NAME.match(name)[1] for name in names}
    expected = {
        "CardData",
        "XDiagResults",
        "XDiagRodResults",
        "WellTests",
        "WellDetails",
        "Rods",
        "PumpingUnits",
    }
    assert expected | {"Failures", "Labels"} <= kinds


def test_rows_add_up_with_the_summary(written):
    out, summary, _ = written
    for kind, count in summary["rows"].items():
        assert len(read(out, kind)) == count
    planted = sum(
        summary[f"{name}_rows"] for name in ("bad_hex", "odd_length", "future", "keyless", "text_for_number")
    )
    assert planted == summary["rows_to_reject"]
    extra = planted + summary["empty_card_rows"] + summary["repeated_rows"]
    assert summary["rows"]["CardData"] == summary["cards"] + extra
    assert json.loads((out / "truth.json").read_text()) == summary


def test_progress_ends_with_all_cards(written):
    _, summary, calls = written
    assert calls[-1] == (summary["cards"], summary["cards"])


def test_truth_and_card_rows_are_the_same_cards(written):
    out, summary, _ = written
    with (out / "truth.csv").open(newline="", encoding="utf-8") as stream:
        truth = list(csv.DictReader(stream))
    assert len(truth) == summary["cards"]
    keys = {(clean(row["NodeID"]), row["Date"]) for row in truth}
    assert len(keys) == len(truth)
    sent = {(clean(row["NodeID"]), row["Date"]) for _, row in read(out, "CardData")}
    assert keys <= sent
    assert {f"Severity {label}" for label in c.LABELS} <= set(truth[0])
    assert {
        "fillage_pct",
        "net_stroke_in",
        "fluid_load_lbf",
        "pump_intake_pressure_psi",
        "tv_leak_bpd",
    } <= set(truth[0])
    for row in truth:
        assert set(row["Labels"].split("; ")) <= set(c.LABELS)


def test_card_blobs_decode_to_200_and_100_points(written):
    out, summary, _ = written
    rows = [row for _, row in read(out, "CardData")]
    column, fault = decode_hex(*pack_bytes([row["SurfaceCardB"] for row in rows]))
    good = fault == BlobFault.OK
    assert (~good).sum() == summary["bad_hex_rows"]
    assert set(column.counts[good]) == {200}
    pump, fault = decode_hex(*pack_bytes([row["POCDownholeCardB"] for row in rows]))
    assert (fault != BlobFault.OK).sum() >= summary["odd_length_rows"]
    full = [i for i in range(len(rows)) if rows[i]["POCDownholeCardB"] and fault[i] == BlobFault.OK]
    assert set(pump.counts[full]) == {100}
    strokes = [np.ptp(column.row(i)[0]) for i in np.flatnonzero(good)]
    stated = [float(rows[i]["StrokeLength"]) for i in np.flatnonzero(good)]
    whole = [i for i, stroke in enumerate(strokes) if stroke > 0.0]
    assert len(strokes) - len(whole) == summary["empty_card_rows"]
    assert np.array(strokes)[whole] == pytest.approx(np.array(stated)[whole], abs=3.0)


def test_files_hold_what_was_known_when_they_were_written(written):
    out, summary, _ = written
    for kind in ("CardData", "XDiagResults", "Labels"):
        future = 0
        for stamp, row in read(out, kind):
            moment = datetime.fromisoformat(row["Date"])
            future += moment > stamp
            assert stamp - moment < timedelta(days=9) or moment > stamp
        assert future == (summary["future_rows"] if kind == "CardData" else 0)
    for stamp, row in read(out, "Failures"):
        start = datetime.fromisoformat(row["Failure Start Date"])
        assert start <= stamp
        if row["Failure End Date"]:
            end = datetime.fromisoformat(row["Failure End Date"])
            assert start < end <= stamp < end + timedelta(days=3)


def test_node_ids_are_known_in_whatever_spelling(written):
    out, summary, _ = written
    known = {clean(row["NodeID"]) for _, row in read(out, "WellDetails")}
    assert len(known) == 13
    wrong = 0
    exact = {row["NodeID"] for _, row in read(out, "WellDetails")}
    for kind in (
        "CardData",
        "XDiagResults",
        "XDiagRodResults",
        "WellTests",
        "Rods",
        "PumpingUnits",
        "Failures",
        "Labels",
    ):
        for _, row in read(out, kind):
            if row["NodeID"]:
                assert clean(row["NodeID"]) in known
                wrong += kind == "CardData" and row["NodeID"] not in exact
    assert wrong >= summary["misspelt_node_ids"] > 0


def test_vendor_rows_have_all_99_columns(written):
    out, _, _ = written
    rows = read(out, "XDiagResults")
    assert len(rows[0][1]) == 99
    assert set(rows[0][1]) <= {column.name for column in XDIAGRESULTS.columns}
    filled = [float(row["FillagePct"]) for _, row in rows if row["FillagePct"]]
    assert len(filled) > 0.8 * len(rows)
    assert min(filled) >= 0.0
    assert max(filled) <= 100.0


def test_labels_are_the_truth_for_six_wells_in_ten(written):
    out, summary, _ = written
    with (out / "truth.csv").open(newline="", encoding="utf-8") as stream:
        truth = {
            (row["NodeID"], row["Date"]): set(row["Labels"].lower().split("; "))
            for row in csv.DictReader(stream)
        }
    rows = [row for _, row in read(out, "Labels")]
    assert len(rows) == summary["labels"]
    assert len({row["NodeID"] for row in rows}) == summary["labelled_wells"] == 8
    for row in rows:
        given = {row["TrueLabel1"].lower(), row["TrueLabel2"].lower()} - {""}
        assert given == truth[row["NodeID"], row["Date"]]


def test_the_same_seed_writes_the_same_files_and_another_one_others(tmp_path):
    def files(name, seed):
        simulate_field(tmp_path / name, wells=3, days=2, seed=seed)
        return {
            path.name: path.read_bytes() for path in sorted((tmp_path / name).rglob("*")) if path.is_file()
        }

    first, again, other = files("a", 1), files("b", 1), files("c", 2)
    assert first == again
    assert first["truth.csv"] != other["truth.csv"]


def test_the_smallest_field(tmp_path):
    summary = simulate_field(tmp_path, wells=1, days=1, seed=0, cards_per_day=1)
    assert summary["wells"] == 1
    assert (tmp_path / "drop").is_dir()


@pytest.mark.parametrize("size", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_field_without_size_is_refused(tmp_path, size):
    wells, days, cards = size
    with pytest.raises(ValueError, match="at least 1"):
        simulate_field(tmp_path, wells, days, 0, cards_per_day=cards)


def test_cards_for_learning_have_every_class_and_wells_of_their_own():
    batch = simulate_cards(240, seed=3)
    assert len(batch) == 240
    counts = Counter(batch.labels.ravel().tolist())
    assert set(c.LABELS) <= set(counts)
    assert np.bincount(batch.well).tolist() == [10] * 24
    assert batch.pump_load_lbf.shape == (240, 100)
    assert np.isfinite(batch.pump_load_lbf).all()
    assert np.isfinite(batch.surface_load_lbf).all()
    assert batch.steady.mean() > 0.9
    # The controller's pump card is not the true one, nor far from it where the rods are whole.
    whole = batch.severity[:, c.PARTED] == 0.0
    span = np.ptp(batch.true_pump_load_lbf[whole], axis=1)
    seen = np.ptp(batch.pump_load_lbf[whole], axis=1)
    assert np.median(seen / span) == pytest.approx(1.05, abs=0.15)


def test_cards_for_learning_do_not_depend_on_how_many_run_at_once():
    few, more = simulate_cards(20, seed=5), simulate_cards(20, seed=5)
    np.testing.assert_array_equal(few.surface_load_lbf, more.surface_load_lbf)
    with pytest.raises(ValueError, match="positive"):
        simulate_cards(0, seed=1)
