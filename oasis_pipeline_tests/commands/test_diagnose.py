"""``oasis diagnose`` as a person and as a program call it: answers, pictures, and one clear line for bad input."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oasis_pipeline.commands.main import cli
from oasis_pipeline.physics.diagnosis.one_card import ASSUMED, NEEDED_BY
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.simulator import SimulatedCards, parameters, simulate
from oasis_pipeline.physics.unit import PumpingUnit, UnitKind
from oasis_pipeline.schema import table
from oasis_pipeline.settings import Settings
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline_tests.operations import test_diagnosis as warehouse_rows

LINKAGE = {"a_in": 129.0, "c_in": 111.09, "i_in": 111.0, "k_in": 151.34, "p_in": 114.0, "r_in": 42.0}
RATINGS = {
    "gearbox_rating_in_lbf": 456_000.0,
    "structural_rating_lbf": 30_500.0,
    "counterbalance_moment_in_lbf": 420_000.0,
    "crank_offset_deg": 0.0,
}
WELL: dict[str, Any] = {
    "spm": 8.0,
    "rods": [
        {"length_ft": 1690, "diameter_in": 0.875, "grade": "D"},
        {"length_ft": 3310, "diameter_in": 0.75, "grade": "D"},
    ],
    "pump": {"diameter_in": 1.75, "depth_ft": 5000, "clearance_in": 0.005},
    "fluid_sg": 1.0,
    "viscosity_cp": 2.0,
    "tubing_pressure_psi": 100,
    "casing_pressure_psi": 50,
    "tubing_anchored": True,
    "survey": [
        {"md_ft": 0, "inclination_deg": 0, "azimuth_deg": 0},
        {"md_ft": 5000, "inclination_deg": 0, "azimuth_deg": 0},
    ],
    "unit": {"type": "Conventional", "rotation": "CW", **LINKAGE, **RATINGS},
}


@pytest.fixture(scope="module")
def pound() -> SimulatedCards:
    rods = RodString.from_sections([1690.0, 3310.0], [0.875, 0.75], ["D", "D"])
    state = parameters(
        1, spm=8.0, discharge_psi=100.0 + 62.4 / 144.0 * 5000.0, intake_psi=50.0, gas_fraction=0.5
    )
    return simulate(rods, PumpingUnit(UnitKind.CONVENTIONAL, **LINKAGE, **RATINGS), state)


@pytest.fixture(scope="module")
def points(pound: SimulatedCards) -> np.ndarray:
    return np.column_stack([pound.surface_position_in[0], pound.surface_load_lbf[0]])


def csv_of(points: np.ndarray) -> str:
    return "position_in,load_lbf\n" + "".join(f"{x!r},{f!r}\n" for x, f in points.tolist())


def put(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["diagnose", *arguments])


def answer_of(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout, parse_constant=pytest.fail)
    return answer


def refusal(*arguments: str) -> str:
    """The one line that a person gets."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture
def files(tmp_path: Path, points: np.ndarray) -> Callable[..., list[str]]:
    """Write a card and a well, and give the arguments that name them."""

    def write(card: str | None = None, well: Any = WELL) -> list[str]:
        return [
            put(tmp_path / "card.csv", card if card is not None else csv_of(points)),
            "--well-file",
            put(tmp_path / "well.json", well),
        ]

    return write


Files = Callable[..., list[str]]


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Compare answers: equal, but for the last digits of the second solver, whose sums depend on where memory lies."""
    pairs = zip(one.pop("pump_card_fd").values(), other.pop("pump_card_fd").values(), strict=True)
    assert one == other
    for here, there in pairs:
        assert here == pytest.approx(there, rel=1e-9, abs=1e-6)


def test_the_answer_has_the_names_of_the_contract_and_the_numbers_of_the_simulator(
    files: Files, pound: SimulatedCards, points: np.ndarray
) -> None:
    answer = answer_of(*files(), "--damping", "0.1")  # that of the simulated rods
    assert list(answer) == [
        "surface_card", "pump_card", "pump_card_fd", "direction_reversed", "diagnosis", "missing", "report",
    ]  # fmt: skip
    for name in ("surface_card", "pump_card", "pump_card_fd"):
        assert list(answer[name]) == ["position_in", "load_lbf"]
        assert len(answer[name]["position_in"]) == len(answer[name]["load_lbf"]) == len(points)
    assert answer["direction_reversed"] is False
    found = answer["diagnosis"]
    assert set(found) <= set(table("clean", "carddiag").value_columns)
    for name, within in (
        ("fillage_pct", 2.5),
        ("pump_intake_pressure_psi", 60.0),
        ("net_stroke_in", 2.5),
        ("pprl_lbf", 300.0),
    ):
        assert found[name] == pytest.approx(pound.truth[name][0], abs=within), name
    assert found["pump_card_source"] == "computed"
    assert "fillage" in answer["report"]
    # both solvers and the model's own pump card agree
    frequency, differences = (np.array(answer[name]["load_lbf"]) for name in ("pump_card", "pump_card_fd"))
    height = np.ptp(pound.pump_load_lbf[0])
    assert np.sqrt(np.mean((frequency - differences) ** 2)) < 0.02 * height
    assert np.sqrt(np.mean((frequency[::2] - pound.pump_load_lbf[0]) ** 2)) < 0.04 * height
    assert answer["missing"] == [text for _, text in ASSUMED if text.startswith("pump.length_in")]


def test_damping_of_the_pump_card_is_asked_for_set_or_small(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = answer_of(*files())
    assert usual["diagnosis"]["damping"] == 0.01
    assert usual["diagnosis"]["balance_damping"] > 0.05
    monkeypatch.setenv("OASIS_DAMPING", "0.05")
    assert answer_of(*files())["diagnosis"]["damping"] == 0.05
    asked = answer_of(*files(), "--damping", "0")
    assert asked["diagnosis"]["damping"] == 0.0
    assert np.ptp(asked["pump_card"]["load_lbf"]) != pytest.approx(
        np.ptp(usual["pump_card"]["load_lbf"]), rel=1e-3
    )
    assert asked["diagnosis"]["fluid_load_lbf"] == usual["diagnosis"]["fluid_load_lbf"]
    known = answer_of(*files(well={**WELL, "damping": 0}), "--damping", "0.2")["diagnosis"]
    assert (known["damping"], known["balance_damping"]) == (0.2, 0.0)
    assert run(*files(), "--damping", "-0.1").exit_code == 2


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda p: np.roll(p, 57, axis=0), id="another start"),
        pytest.param(lambda p: p[::-1], id="backwards"),
        pytest.param(lambda p: np.roll(p[::-1], 120, axis=0), id="backwards from another start"),
        pytest.param(lambda p: np.vstack([p, p[:1]]), id="closed"),
        pytest.param(
            lambda p: np.vstack([np.roll(p, 31, axis=0), np.roll(p, 31, axis=0)[:1]]), id="closed elsewhere"
        ),
    ],
)
def test_however_the_points_come_the_answer_is_the_same(
    files: Files, points: np.ndarray, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    plain, changed = answer_of(*files()), answer_of(*files(csv_of(change(points))))
    backwards = bool(np.array_equal(change(points)[:20], points[::-1][:20])) or changed["direction_reversed"]
    assert changed.pop("direction_reversed") is backwards
    plain.pop("direction_reversed")
    assert_same(changed, plain)


def test_direction_is_told_where_it_was_turned(files: Files, points: np.ndarray) -> None:
    assert answer_of(*files(csv_of(points[::-1])))["direction_reversed"] is True
    assert "in reverse order of time" in run(*files(csv_of(points[::-1]))).output


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(lambda t: t.replace("\n", "\r\n"), id="windows lines"),
        pytest.param(lambda t: "\ufeff" + t, id="byte order mark"),
        pytest.param(lambda t: t.replace("position_in,load_lbf", ' Position_In , "LOAD_LBF"'), id="spelling"),
        pytest.param(lambda t: "\n" + t.replace("\n", "\n\n"), id="blank lines"),
        pytest.param(
            lambda t: "\n".join("note," + line for line in t.split("\n") if line), id="another column"
        ),
        pytest.param(
            lambda t: "\n".join(",".join(line.split(",")[::-1]) for line in t.split("\n")),
            id="columns swapped",
        ),
    ],
)
def test_forms_of_csv_that_mean_the_same(
    files: Files, points: np.ndarray, text: Callable[[str], str]
) -> None:
    assert_same(answer_of(*files(text(csv_of(points)))), answer_of(*files()))


def dyn_of(points: np.ndarray, tail: str = "0\n8.0\n100.2\n0\n0\n24\n") -> str:
    return f"{len(points)}\n" + "".join(f"{x!r}, {f!r}\n" for x, f in points.tolist()) + tail


@pytest.mark.parametrize(
    ("tail", "spm"),
    [
        ("0\n8.0\n100.2\n0\n0\n24\n", 8.0),
        ("1\n9397.781\n.532\n8.415627\n144.75\n0\n0\n", 8.415627),
        ("-1\n9397\n0.5\n8.4\n0\n0\n", 8.4),
        ("0\n0\n0\n0\n0\n\x1a", WELL["spm"]),
        ("", WELL["spm"]),
        ("1\n9397.781\n", WELL["spm"]),
    ],
)
def test_a_dyn_file_is_the_same_card(
    tmp_path: Path, files: Files, points: np.ndarray, tail: str, spm: float
) -> None:
    card, *well = files()
    plain = answer_of(card, *well, "--spm", str(spm))
    dyn = put(tmp_path / "WELL 1.DYN", dyn_of(points, tail))
    assert_same(answer_of(dyn, *well), plain)
    assert_same(answer_of(dyn, *well, "--spm", "7.0"), answer_of(card, *well, "--spm", "7.0"))


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ("", "begins with its number of points"),
        ("position_in,load_lbf\n1,2\n", "begins with its number of points"),
        ("3\n1,2\n", "3 points are announced, but 1 lines follow"),
        ("2\n1,2\n1,2,3\n", "line 3: '1,2,3' is not a pair"),
        ("2\n1,2\n1,x\n", "line 3: load_lbf is 'x'"),
        ("2\n1,2\n1,3\n0\n", "fewer than 8 usable points"),
    ],
)
def test_a_dyn_file_that_is_none_is_one_clear_line(tmp_path: Path, card: str, says: str) -> None:
    assert says in refusal(put(tmp_path / "card.dyn", card))


def test_a_speed_in_a_dyn_file_has_to_be_one(tmp_path: Path, points: np.ndarray) -> None:
    dyn = put(tmp_path / "card.dyn", dyn_of(points, "0\n144.75\n8.4\n"))
    assert "strokes a minute" in refusal(dyn)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="0123456789.,;- \t\n-ex\x1a\x00", max_size=120))
def test_any_text_as_a_dyn_file_is_an_answer_or_one_line(tmp_path: Path, text: str) -> None:
    never_a_traceback(put(tmp_path / "card.dyn", text))


def test_points_that_are_missing_are_mended(files: Files, points: np.ndarray) -> None:
    lines = csv_of(points).split("\n")
    lines[30], lines[90] = ",", "NULL,nan"
    found, plain = answer_of(*files("\n".join(lines)))["diagnosis"], answer_of(*files())["diagnosis"]
    assert found["fillage_pct"] == pytest.approx(plain["fillage_pct"], abs=1.0)


def test_without_a_well_only_the_surface_card_speaks(tmp_path: Path, points: np.ndarray) -> None:
    answer = answer_of(put(tmp_path / "card.csv", csv_of(points)))
    assert set(answer["diagnosis"]) == {"pprl_lbf", "mprl_lbf", "pump_card_source", "quality"}
    assert answer["pump_card"] == answer["pump_card_fd"] == {"position_in": [], "load_lbf": []}
    told = {line.split(":")[0]: line for line in answer["missing"]}
    assert {"spm", "rods", "unit", "fluid_sg"} <= set(told)
    assert "pump_card" in told["rods"]
    assert "polished_rod_power_hp" in told["spm"]


@pytest.mark.parametrize(
    "key",
    ["spm", "rods", "fluid_sg", "viscosity_cp", "tubing_pressure_psi", "casing_pressure_psi", "unit", "pump"],
)
def test_what_is_left_out_is_named_with_what_it_withholds(files: Files, key: str) -> None:
    whole = answer_of(*files())
    for well in ({k: v for k, v in WELL.items() if k != key}, {**WELL, key: None}):
        answer = answer_of(*files(well=well))
        lost = set(whole["diagnosis"]) - set(answer["diagnosis"])
        told = {
            line.split(":")[0]: set(line.split("there is no ")[-1].split(", ")) for line in answer["missing"]
        }
        mine = {k: names for k, names in told.items() if k == key or k.startswith(f"{key}.")}
        assert mine
        assert lost <= set().union(*mine.values())
        assert lost


def test_every_withheld_name_is_a_column_or_a_card() -> None:
    columns = {*table("clean", "carddiag").column_names, "pump_card", "pump_card_fd"}
    assert {name for _, _, names in NEEDED_BY for name in names} <= columns


def test_a_speed_on_the_command_line_is_stronger_than_the_wells(files: Files) -> None:
    slow, fast = (
        answer_of(*files(), "--spm", spm)["diagnosis"]["gross_displacement_bpd"] for spm in ("6", "8")
    )
    assert slow < 0.8 * fast
    assert "--spm" in refusal(*files(), "--spm", "-3")


def test_for_a_person_it_prints_the_report_and_the_figures_and_draws(files: Files, tmp_path: Path) -> None:
    picture = tmp_path / "card.png"
    result = run(*files(), "--out", str(picture))
    assert result.exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "poorly filled" in result.output.splitlines()[0]
    for words in ("fillage", "pump intake pressure", "psi", f"picture: {picture}"):
        assert words in result.output
    assert "can't write the picture" in refusal(*files(), "--out", str(tmp_path / "nowhere" / "a.png"))


def test_half_a_stroke_is_said_to_be_open(files: Files, points: np.ndarray) -> None:
    answer = answer_of(*files(csv_of(points[:100])))
    assert "open_card" in answer["diagnosis"]["quality"]
    assert answer["pump_card"]["load_lbf"] == []


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ("", "position_in and load_lbf"),
        ("a,b\n1,2\n", "but names a, b"),
        ("position_in,position_in,load_lbf\n1,2,3\n", "each once"),
        ("position_in,load_lbf\n", "no usable card"),
        ("position_in,load_lbf\n1,2\n3,four\n", "line 3: load_lbf is 'four'"),
        ("position_in,load_lbf\n1,inf\n", "line 2: load_lbf is 'inf'"),
        ("position_in,load_lbf\n1,1e999\n", "not a number"),
        ("position_in,load_lbf\n1_0,2\n", "line 2: position_in is '1_0'"),
        ("position_in,load_lbf\n1,1e9\n", "check column and unit"),
        ("position_in,load_lbf\n" + "1,2\n2,3\n" * 3, "fewer than 8 usable points"),
        ("position_in,load_lbf\n" + "5,100\n5,200\n" * 9, "no stroke"),
        ("position_in,load_lbf\n" + "0,0\n" * 20, "every value is zero"),
        ("position_in,load_lbf\n" + "1,2\n2,\n" * 9, "more than a fifth"),
        ('position_in,load_lbf\n"1,2\n', ""),
        ("position_in,load_lbf\n1,\x1b[31m\n", "not a number"),
        ("position_in,load_lbf\n1\x00,2\n", ""),
    ],
)
def test_a_card_that_is_none_is_one_clear_line(tmp_path: Path, card: str, says: str) -> None:
    said = refusal(put(tmp_path / "card.csv", card))
    assert says in said
    assert "card.csv" in said


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rod": []}, "unknown key 'rod'; known keys are"),
        ({"spm": "8"}, 'spm is "8"; it must be a number'),
        ({"spm": True}, "spm is true"),
        ({"spm": 0}, "spm is 0; it must be above 0"),
        ({"spm": 10**400}, "spm is inf"),
        ({"rods": []}, "rods is []"),
        ({"rods": {"length_ft": 3}}, "it must be a list of at least one object"),
        ({"rods": [{"length_ft": 100}]}, "rods[0].diameter_in is missing"),
        ({"rods": [{"length_ft": 100, "diameter_in": 0.75, "grade": 3}]}, "rods[0].grade is 3"),
        ({"rods": [{"length_ft": -1, "diameter_in": 0.75}]}, "rods[0].length_ft is -1"),
        ({"rods": [3]}, "rods[0] is 3"),
        ({"pump": {"diameter": 2}}, "pump has the unknown key 'diameter'"),
        ({"pump": [1]}, "pump is [1]"),
        ({"tubing_anchored": "yes"}, "it must be true or false"),
        ({"tubing_od_in": 2.0, "tubing_id_in": 2.5}, "smaller than tubing_od_in"),
        ({"survey": [{"md_ft": 0, "inclination_deg": 0, "azimuth_deg": 0}]}, "at least two stations"),
        ({"survey": [{"md_ft": 0, "inclination_deg": 0}]}, "survey[0].azimuth_deg is missing"),
        ({"unit": {"type": "Rotary", **LINKAGE}}, "unit.type is"),
        ({"unit": {"type": "C", **LINKAGE, "rotation": "left"}}, "unit.rotation is"),
        ({"unit": {"type": "C"}}, "unit.a_in is missing"),
        ({"unit": {"type": "C", **LINKAGE, "r_in": 500}}, "can't turn"),
        ({"damping": -0.1}, "damping is -0.1"),
    ],
)
def test_a_well_file_that_is_wrong_is_one_clear_line(files: Files, change: dict[str, Any], says: str) -> None:
    said = refusal(*files(well={**WELL, **change}))
    assert says in said
    assert "well.json" in said


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "3", "null", '{"spm": NaN}', '{"spm": Infinity}', "[" * 100_000, '{"spm": 8} x']
)
def test_a_well_file_that_is_no_json_is_one_clear_line(files: Files, text: str) -> None:
    assert "well.json" in refusal(*files(well=text))


def test_files_that_cannot_be_read_and_wells_named_twice(
    files: Files, tmp_path: Path, points: np.ndarray
) -> None:
    card = put(tmp_path / "card.csv", csv_of(points))
    assert "can't read" in refusal(str(tmp_path / "nothing.csv"))
    assert "can't read" in refusal(str(tmp_path))
    assert "can't read" in refusal(card, "--well-file", str(tmp_path / "nothing.json"))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x81" * 50)
    assert "not UTF-8 text" in refusal(str(tmp_path / "binary.csv"))
    (tmp_path / "long.csv").write_bytes(b"position_in,load_lbf\n" + b"1,2\n" * 1_500_000)
    assert "MB" in refusal(str(tmp_path / "long.csv"))
    assert "cannot be used together" in refusal(*files(), "--well", "A 1")
    assert "there is no installation" in refusal(card, "--well", "A 1", "--home", str(tmp_path / "home"))
    # the well is looked at before the card, and the picture's folder too
    nowhere = str(tmp_path / "nothing.csv")
    assert "there is no installation" in refusal(nowhere, "--well", "A 1", "--home", str(tmp_path / "home"))
    assert "nothing.json" in refusal(nowhere, "--well-file", str(tmp_path / "nothing.json"))
    assert "there is no folder" in refusal(nowhere, "--out", str(tmp_path / "none" / "picture.png"))
    assert not (tmp_path / "home" / "postgres").exists()


def test_units_of_all_kinds_and_free_tubing_are_understood(files: Files) -> None:
    plain = answer_of(*files())["diagnosis"]
    harmonic = answer_of(*files(well={**WELL, "unit": {"type": "SHM", "r_in": 50.0, **RATINGS}}))["diagnosis"]
    assert harmonic["peak_gearbox_torque_in_lbf"] != plain["peak_gearbox_torque_in_lbf"]
    free = {**WELL, "tubing_anchored": False, "tubing_od_in": 2.875, "tubing_id_in": 2.441}
    assert answer_of(*files(well=free))["diagnosis"]["tubing_movement_in"] > 2.0
    unknown = answer_of(*files(well={**WELL, "tubing_anchored": False}))
    assert any(line.startswith("tubing_anchored") for line in unknown["missing"])


@pytest.mark.server
def test_equipment_comes_from_the_warehouse(
    settings: Settings,
    warehouse: Warehouse,
    tmp_path: Path,
    points: np.ndarray,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("host", "port", "user", "db"):
        monkeypatch.setenv(f"OASIS_{name.upper()}", str(getattr(settings, name)))
    for since, details in (
        (2024, {**warehouse_rows.DETAILS, "PlungerDiam": 2.5}),
        (2025, warehouse_rows.DETAILS),
    ):
        stamp = warehouse_rows.datetime(since, 1, 1)
        warehouse_rows.equipment(
            warehouse,
            "Heron 1-2H",
            stamp,
            details=details,
            rods=warehouse_rows.RODS,
            unit=warehouse_rows.UNIT,
        )
    warehouse_rows.put(
        warehouse,
        table("xspoc", "node"),
        [{"node_key": "heron 1-2h", "NodeID": "Heron 1-2H", "from_welldetails": True}],
    )
    card, home = put(tmp_path / "card.csv", csv_of(points)), ["--home", str(settings.home)]
    found = answer_of(card, "--well", " heron   #1-2h", *home)
    told = answer_of(*files(well={**WELL, "survey": None}))
    assert found["diagnosis"] == told["diagnosis"]
    assert found["pump_card"] == told["pump_card"]
    assert "did you mean Heron 1-2H?" in refusal(card, "--well", "Heron 1-2", *home)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*WELL, "length_ft", "md_ft", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
PLACES = [
    *((key,) for key in WELL),
    *(("rods", 0, key) for key in ("length_ft", "diameter_in", "weight_lb_per_ft", "modulus_psi", "grade")),
    *(("pump", key) for key in ("diameter_in", "depth_ft", "clearance_in", "length_in")),
    *(("unit", key) for key in WELL["unit"]),
    *(("survey", 1, key) for key in ("md_ft", "inclination_deg", "azimuth_deg")),
]
QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def never_a_traceback(*arguments: str) -> None:
    result = run(*arguments, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit)
    if result.exit_code == 0:
        json.loads(result.stdout, parse_constant=pytest.fail)
    else:
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ")
        assert result.stderr.count("\n") == 1


@given(place=st.sampled_from(PLACES), value=ANYTHING)
@QUICK
def test_any_value_anywhere_in_a_well_file_is_an_answer_or_one_line(
    files: Files, place: tuple[Any, ...], value: Any
) -> None:
    well = copy.deepcopy(WELL)
    spot: Any = well
    for step in place[:-1]:
        spot = spot[step]
    spot[place[-1]] = value
    never_a_traceback(*files(well=json.dumps(well)))


@given(
    place=st.sampled_from(
        [p for p in PLACES if p[-1] not in ("rods", "pump", "unit", "survey", "type", "rotation", "grade")]
    ),
    factor=st.sampled_from([1e-3, 1e-2, 0.1, 0.5, 2.0, 10.0, 100.0]),
)
@QUICK
def test_any_size_of_a_number_is_an_answer_or_one_line(
    files: Files, place: tuple[Any, ...], factor: float
) -> None:
    well = copy.deepcopy(WELL)
    spot: Any = well
    for step in place[:-1]:
        spot = spot[step]
    spot[place[-1]] = (spot.get(place[-1]) or 1.0) * factor
    never_a_traceback(*files(well=well))


@given(body=st.text(alphabet='0123456789.,-+eE \n\r\t"nNaA;x\x00\u0662', max_size=120))
@QUICK
def test_any_text_as_a_card_is_an_answer_or_one_line(files: Files, body: str) -> None:
    never_a_traceback(*files("position_in,load_lbf\n" + body))


@given(
    st.lists(
        st.tuples(st.floats(-200, 200, width=32), st.floats(-1e5, 1e5, width=32))
        | st.sampled_from([(0.0, 0.0), (1.0, 1.0)]),
        min_size=8,
        max_size=60,
    )
)
@QUICK
def test_any_points_as_a_card_are_an_answer_or_one_line(
    files: Files, some: list[tuple[float, float]]
) -> None:
    never_a_traceback(*files(csv_of(np.array(some))))


def test_the_example_of_the_manual_is_a_well_file(files: Files) -> None:
    manual = (Path(__file__).resolve().parents[2] / "docs" / "how-to.md").read_text(encoding="utf-8")
    example = json.loads(manual.split("```json\n")[1].split("```")[0])
    assert answer_of(*files(well=example))["diagnosis"]["fillage_pct"] == pytest.approx(52.0, abs=3.0)


CASES = Path(__file__).parents[1] / "fixtures" / "cases"
HEALTHY = CASES / "load-cell-low-called-parted"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("cm_N", "in N"),
        ("klbf", "klbf"),
        ("load_percent", "% of full scale"),
        ("metres_kN", "positions in m and loads in kN"),
        ("swapped", "swapped"),
    ],
)
def test_a_card_in_other_units_is_told_which(name: str, says: str) -> None:
    said = refusal(
        str(CASES / "units-called-parted" / f"{name}.csv"), "--well-file", str(HEALTHY / "well.json")
    )
    assert says in said


def test_several_strokes_are_no_card() -> None:
    said = refusal(
        str(CASES / "several-strokes-in-one-file" / "two_strokes.csv"),
        "--well-file",
        str(HEALTHY / "well.json"),
    )
    assert "goes up 2 times" in said


def test_a_wrong_zero_of_the_load_cell_is_no_parted_rod() -> None:
    plain = answer_of(str(HEALTHY / "card_0.csv"), "--well-file", str(HEALTHY / "well.json"))["diagnosis"]
    for name in ("card_-500", "card_-1000", "card_-6000"):
        answer = answer_of(str(HEALTHY / f"{name}.csv"), "--well-file", str(HEALTHY / "well.json"))
        low = answer["diagnosis"]
        assert low["fillage_pct"] == pytest.approx(plain["fillage_pct"], abs=0.1)
        assert low["fluid_load_lbf"] == pytest.approx(plain["fluid_load_lbf"], rel=0.05)
        bounds = low["pump_intake_pressure_lower_psi"], low["pump_intake_pressure_upper_psi"]
        assert bounds[0] <= plain["pump_intake_pressure_psi"] <= bounds[1]
        assert "pump_intake_pressure_psi" not in low
        assert "zero error of the load cell" in answer["report"]
        assert "parted" not in answer["report"]
        assert "not affected" not in answer["report"]


def test_a_slope_is_given_to_the_tubing_or_to_the_valve() -> None:
    folder = CASES / "anchor-unknown-leak"
    unknown, free = (
        answer_of(str(folder / "card.csv"), "--well-file", str(folder / f"well_{name}.json"))
        for name in ("unknown", "free")
    )
    found, truth = unknown["diagnosis"], free["diagnosis"]
    assert found["tv_leak_bpd"] == truth["tv_leak_bpd"] == 0.0
    assert found["inferred_production_bpd"] == pytest.approx(truth["inferred_production_bpd"], rel=0.02)
    assert found["tubing_movement_in"] == pytest.approx(truth["tubing_movement_in"], rel=0.1)
    assert "can't be told from it" in unknown["report"]
    assert "runtime_unknown" in found["quality"]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("rods", 0, "diameter_in"), 22.2, "mm"),
        (("rods", 0, "diameter_in"), 0.0222, "looks like m"),
        (("rods", 0, "modulus_psi"), 210.0, "GPa"),
        (("rods", 0, "modulus_psi"), 210_000.0, "MPa"),
        (("pump", "diameter_in"), 44.4, "mm"),
        (("pump", "depth_ft"), 1524, "looks like m"),
        (("fluid_sg",), 1000.0, "kg/m3"),
        (("spm",), 0.09, "strokes a second"),
        (("unit", "r_in"), 1066.8, "mm"),
        (("tubing_od_in",), 73.0, "mm"),
    ],
)
def test_metric_values_of_a_well_are_named(
    files: Files, path: tuple[str | int, ...], value: float, says: str
) -> None:
    well = copy.deepcopy(WELL)
    place: Any = well
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert says in refusal(*files(well=well))


def test_rods_that_end_far_above_the_pump_are_no_string(files: Files) -> None:
    answer = answer_of(*files(well={**WELL, "rods": WELL["rods"][:1]}))
    assert answer["pump_card"]["load_lbf"] == []
    assert "rods_incomplete" in answer["diagnosis"]["quality"]
    assert "incomplete" in answer["report"]
    assert "fillage_pct" not in answer["diagnosis"]
