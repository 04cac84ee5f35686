"""Sentences: numbers in, the right words out, no sentence with a missing number."""

from __future__ import annotations

import numpy as np
import pytest

from oasis_pipeline.physics.diagnosis.quantities import PUMP_COLUMNS, SENSOR_COLUMNS, SURFACE_COLUMNS
from oasis_pipeline.physics.report import reports


def columns(quality: str = "", source: str = "computed", **values: float) -> dict[str, np.ndarray]:
    names = (*PUMP_COLUMNS, *SURFACE_COLUMNS, *SENSOR_COLUMNS)
    out: dict[str, np.ndarray] = {name: np.array([values.get(name, np.nan)]) for name in names}
    out["quality"] = np.array([quality], dtype=object)
    out["pump_card_source"] = np.array([source], dtype=object)
    return out


def test_full_pump_reads_as_an_engineer_would_write_it() -> None:
    text = reports(
        columns(
            fillage_pct=98.4,
            fillage_spread_pct=1.2,
            net_stroke_in=80.0,
            gross_stroke_in=81.6,
            fluid_load_lbf=4967.0,
            pump_intake_pressure_psi=205.0,
            pump_discharge_pressure_psi=2265.0,
            fluid_above_pump_ft=358.0,
            inferred_production_bpd=221.0,
            slippage_bpd=9.0,
            pprl_lbf=16_120.0,
            mprl_lbf=6120.0,
            polished_rod_power_hp=9.24,
            max_rod_load_pct=71.0,
            structural_load_pct=53.0,
        )
    )[0]
    for part in (
        "The pump is full: 98 % fillage (methods within 1 %), 80 in net of 82 in plunger travel.",
        "Fluid load 4,967 lbf without friction, intake pressure 205 psi of 2,265 psi discharge, 358 ft of fluid above the pump.",
        "By this card alone it makes 221 bbl/d after 9 bbl/d slippage.",
        "Polished-rod load 6,120 to 16,120 lbf, 9.2 hp.",
        "Loading: rods 71 %, structure 53 %.",
    ):
        assert part in text
    assert "Overloaded" not in text


@pytest.mark.parametrize(("fillage", "word"), [(99.0, "full"), (85.0, "not full"), (40.0, "poorly filled")])
def test_words_for_fillage(fillage: float, word: str) -> None:
    text = reports(
        columns(fillage_pct=fillage, fillage_spread_pct=1.0, net_stroke_in=fillage, gross_stroke_in=100.0)
    )[0]
    assert f"The pump is {word}:" in text


def test_balance_advice_only_where_it_helps() -> None:
    values = {
        "peak_gearbox_torque_in_lbf": 500_000.0,
        "gearbox_load_pct": 110.0,
        "counterbalance_lbf": 9000.0,
        "best_counterbalance_lbf": 11_000.0,
    }
    wrong = reports(columns(**values, best_gearbox_torque_in_lbf=300_000.0))[0]
    assert (
        "500 thousand in-lbf, 110 % of its rating; balanced (counterbalance 11,000 lbf instead of 9,000)"
        in wrong
    )
    assert "in balance" in reports(columns(**values, best_gearbox_torque_in_lbf=495_000.0))[0]


def test_missing_numbers_never_show() -> None:
    rng = np.random.default_rng(0)
    names = (*PUMP_COLUMNS, *SURFACE_COLUMNS, *SENSOR_COLUMNS)
    for _ in range(300):
        given = {name: float(rng.uniform(1.0, 5000.0)) for name in names if rng.random() < 0.6}
        # Quantities that come from one step are there together or not at all.
        for group in (
            ("fillage_pct", "fillage_spread_pct", "net_stroke_in", "gross_stroke_in"),
            ("pump_intake_pressure_psi", "fluid_load_lbf", "pump_discharge_pressure_psi"),
            ("pprl_lbf", "mprl_lbf"),
            (
                "peak_gearbox_torque_in_lbf",
                "best_gearbox_torque_in_lbf",
                "best_counterbalance_lbf",
                "counterbalance_lbf",
            ),
        ):
            if any(name not in given for name in group):
                for name in group:
                    given.pop(name, None)
        assert "nan" not in reports(columns(**given))[0]


def test_codes_become_sentences() -> None:
    text = reports(columns("no_rods; clipped_load; low_rate; load_offset", load_offset_lbf=-640.0))[0]
    assert "Not known: rods." in text
    assert "cut off" in text
    assert "Few points" in text
    assert "-640 lbf" in text


def test_no_cards_no_reports() -> None:
    empty = {name: column[:0] for name, column in columns().items()}
    assert len(reports(empty)) == 0
