"""Displacement, slippage and leaks (the printed numbers are in test_oracles)."""

from __future__ import annotations

import numpy as np
import pytest

from oasis_pipeline.physics import slippage as sl


def test_displacement_follows_runtime() -> None:
    assert float(sl.displacement_bpd(100.0, 8.0, 1.75)) == pytest.approx(
        0.116571 * 100.0 * 8.0 * 1.75**2, rel=1e-5
    )
    assert float(sl.displacement_bpd(100.0, 8.0, 1.75, 6.0)) == pytest.approx(
        float(sl.displacement_bpd(100.0, 8.0, 1.75)) / 4.0
    )


def test_a_still_plunger_slips_by_the_ratio_of_the_constants() -> None:
    parts = (2.0, 2000.0, 0.006, 48.0, 3.0)
    assert float(sl.slippage_patterson_bpd(0.0, *parts)) == pytest.approx(
        float(sl.slippage_arco_hf_bpd(*parts)) * 453.0 / 870.0
    )


def test_unknown_input_gives_nan() -> None:
    assert np.isnan(sl.slippage_arco_hf_bpd(2.0, 2000.0, np.nan, 48.0, 1.0))
