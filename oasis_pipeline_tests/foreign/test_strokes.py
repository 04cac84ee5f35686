"""Rods and pump of the foreign field against balances and closed forms."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import foreign
from benchmarks.foreign.strokes import (
    COLUMN,
    NAMES,
    NONE,
    RESULT,
    RESULTS,
    SAMPLES,
    clearance_flow,
    run_strokes,
)
from benchmarks.foreign.units import AIR_BALANCED, CONVENTIONAL, LONG_STROKE, MARK_II, make_unit, polished_rod
from benchmarks.foreign.wells import FT, GRAVITY, IN, PSI

AREA = np.pi / 4 * (1.75 * IN) ** 2
STROKE = 120 * IN
WAVE_SPEED, MODULUS, LENGTH = 4950.0, 2.1e11, 150 * FT
STEP = LENGTH / WAVE_SPEED
DIAMETERS = np.repeat([1.0, 0.875], [12, 25]) * IN
ROD_AREA = np.pi / 4 * DIAMETERS**2
WEIGHT = 7850 * ROD_AREA * LENGTH * GRAVITY * (1 - 930 / 7850)


class Card(NamedTuple):
    surface: NDArray[np.float32]
    pump: NDArray[np.float32]
    result: dict[str, float]


def run(
    changes: dict[str, float] | None = None, *, elements: int = 37, strokes: int = 6, **more: float
) -> Card:
    """Run strokes of one well, given what differs from a plain full pump."""
    given = dict.fromkeys(NAMES, 0.0) | {
        "period": 7.5, "stroke": STROKE, "damping": 6.0, "static_excess": 0.3, "slow_speed": 0.1, "deposit_depth": 1.0,
        "discharge": 2300 * PSI, "intake": 150 * PSI, "inflow": 1.0, "sump": 1.0, "release_time": 2.0, "polytropic": 1.15,
        "dead_space": AREA * 6 * IN, "density": 930.0, "bulk": 1.2e9, "plunger_area": AREA, "tv_area": 0.15 * AREA,
        "sv_area": 0.18 * AREA, "open_time": 0.02, "close_time": 0.04, "clearance": 0.001 * IN, "worn_at": 0.5, "worn_width": 0.2,
        "viscosity": 0.002, "plunger_length": 4 * FT, "plunger_diameter": 1.75 * IN, "tubing_give": 1e-10, "tubing_drag": 1e9,
        "tag_low": NONE, "tag_high": NONE, "tag_stiffness": 1e6, "ripple_fade": 0.3,
    } | (changes or {}) | more  # fmt: skip
    parameters = np.array([[given[name] for name in NAMES]])
    motion = polished_rod(make_unit(CONVENTIONAL, 120, True, np.zeros(3)))[None] / 120
    surface, pump = np.zeros((1, 2, SAMPLES), np.float32), np.zeros((1, 2, SAMPLES), np.float32)
    results = np.zeros((1, len(RESULTS)))
    none = np.zeros(elements)
    run_strokes(
        motion, MODULUS * ROD_AREA[:elements] / WAVE_SPEED, WEIGHT[:elements], none, none, none, STEP, parameters, strokes, strokes,
        surface, pump, results,
    )  # fmt: skip
    return Card(surface[0], pump[0], {name: float(results[0, k]) for name, k in RESULT.items()})


FAULTS: dict[str, dict[str, float]] = {
    "full": {},
    "pound": {"inflow": 2.2e-4, "sump": 1e-3, "intake": 60 * PSI},
    "gas": {"gas_share": 0.4, "intake": 500 * PSI, "dissolved": 0.15},
    "travelling valve": {"tv_leak": 6e-6},
    "standing valve": {"sv_leak": 6e-6},
    "friction": {"deposit_drag": 60.0, "plunger_friction": 500.0},
    "tubing": {"tubing_give": 2e-5, "tubing_drag": 5e3},
    "tag high": {"tag_high": 2 * IN},
    "tag low": {"tag_low": 2 * IN},
    "worn": {"wear": 0.01 * IN},
    "knock": {"ripple": 0.3 * IN, "ripple_cycles": 18},
    "parted": {"hanging": 25},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_energy_and_mass_are_kept(fault: str) -> None:
    found = run(FAULTS[fault]).result
    spent = sum(
        found[name]
        for name in (
            "pump_work",
            "viscous_work",
            "friction_work",
            "end_work",
            "tag_work",
            "weight_work",
            "stored_work",
        )
    )
    assert found["surface_work"] == pytest.approx(spent, abs=1e-6 * max(abs(found["surface_work"]), 100))
    assert found["drawn"] - found["produced"] == pytest.approx(found["stored"], abs=1e-9)
    assert found["viscous_work"] >= 0
    assert found["friction_work"] >= -1e-6
    assert found["end_work"] >= -1e-6


def test_slow_stroke_lifts_the_weight_and_the_pressure_over_the_plunger() -> None:
    card = run(period=120.0, strokes=3)
    load = np.sort(card.surface[1])
    buoyant = WEIGHT.sum()
    lift = AREA * 2150 * PSI
    assert load[60] == pytest.approx(buoyant, rel=0.01)
    assert load[-60] == pytest.approx(buoyant + lift, rel=0.01)
    assert np.sort(card.pump[1])[-60] == pytest.approx(lift, rel=0.005)
    # The rods' stretch under the lift is lost to the plunger.
    stretch = lift * (LENGTH / (MODULUS * ROD_AREA)).sum()
    assert card.result["travel"] == pytest.approx(STROKE - stretch, rel=0.01)


def test_short_stiff_rods_move_the_plunger_as_the_polished_rod() -> None:
    card = run(elements=3)
    assert card.result["travel"] == pytest.approx(STROKE, rel=0.01)
    assert np.abs(card.pump[0] - card.surface[0]).max() < 0.02 * STROKE


def test_full_pump_delivers_its_displacement_less_the_slip() -> None:
    found = run().result
    swept = AREA * found["net_travel"]
    slip = clearance_flow(0.001 * IN, 0, 1.75 * IN, 4 * FT, 0.002, 2150 * PSI, 0) * 3.75
    assert found["fillage"] > 0.93
    assert found["produced"] == pytest.approx(swept - slip, rel=0.08)


def test_standing_wave_in_free_rods() -> None:
    """The end of rods without a pump moves by 1 / cos(w L / a) of a harmonic polished rod (fixed-free bar)."""
    elements, n = 30, 400
    given = np.zeros((1, len(NAMES)))
    for name, value in {"period": n * STEP, "stroke": 1.0, "slow_speed": 1.0, "hanging": elements, "release_time": 1.0, "polytropic": 1.0, "plunger_area": 1.0}.items():  # fmt: skip
        given[0, COLUMN[name]] = value
    motion = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1440) / 1440))[None]
    surface, pump = np.zeros((1, 2, SAMPLES), np.float32), np.zeros((1, 2, SAMPLES), np.float32)
    results = np.zeros((1, len(RESULTS)))
    none = np.zeros(elements)
    impedance = np.full(elements, 2e4)
    # A little drag lets the start die out; it hardly moves the amplitude.
    given[0, COLUMN["damping"]] = 0.02 * 2e4 / elements
    run_strokes(motion, impedance, none, none, none, none, STEP, given, 200, 200, surface, pump, results)
    wave = 2 * np.pi * elements / n
    assert np.ptp(pump[0, 0]) == pytest.approx(1 / np.cos(wave), rel=0.005)
    assert np.ptp(surface[0, 1]) == pytest.approx(2e4 * 2 * np.pi / (n * STEP) * np.tan(wave), rel=0.01)


def test_parted_rods_weigh_what_hangs() -> None:
    card = run(hanging=25)
    assert card.surface[1].mean() == pytest.approx(WEIGHT[:25].sum(), rel=0.01)
    assert card.result["produced"] == 0


def test_leaks_and_missing_liquid_show_in_what_is_lifted() -> None:
    full = run().result["produced"]
    for fault in ("pound", "gas", "travelling valve", "standing valve", "worn"):
        assert run(FAULTS[fault]).result["produced"] < 0.85 * full, fault
    assert run(FAULTS["pound"], strokes=20).result["produced"] == pytest.approx(2.2e-4 * 7.5, rel=0.05)


def test_clearance_flow_is_that_of_a_slot() -> None:
    slot = np.pi * 0.04 * 5e-5**3 * 1e7 / (12 * 1e-3 * 1.0)
    assert clearance_flow(5e-5, 0, 0.04, 1.0, 1e-3, 1e7, 0) == pytest.approx(slot)
    assert clearance_flow(5e-5, 1, 0.04, 1.0, 1e-3, 1e7, 0) == pytest.approx(2.5 * slot)
    assert clearance_flow(5e-5, 0, 0.04, 1.0, 1e-3, 0, 2.0) == pytest.approx(-np.pi * 0.04 * 5e-5)


@pytest.mark.parametrize("kind", [CONVENTIONAL, MARK_II, AIR_BALANCED, LONG_STROKE])
def test_units_make_their_stroke_once_a_turn(kind: str) -> None:
    height = polished_rod(make_unit(kind, 144.0, True, np.array([0.03, -0.04, 0.02])), 0.1, 1.0)
    assert height[0] == 0
    assert height.max() == pytest.approx(144)
    rising = np.diff(np.append(height, 0)) > 0
    assert np.abs(np.diff(rising.astype(int))).sum() <= 2


def test_field_borrows_nothing_from_the_packaged_simulators() -> None:
    folder = Path(foreign.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert not name.startswith(("oasis_pipeline.physics", "oasis_pipeline.simulation")), (
                    path.name,
                    name,
                )
