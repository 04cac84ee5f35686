"""Pump cards beside a vendor's, of real wells: what every user compares with, friction left in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oasis_pipeline.commands.card_file import read_card_file, read_well
from oasis_pipeline.physics.diagnosis import CardDiagnosis, diagnose_card


def diagnosed(folder: Path) -> CardDiagnosis:
    form = read_card_file(folder / "card.csv").form
    position, load = (np.asarray(values, np.float64) for values in form.column.row(0))
    return diagnose_card((position, load), read_well(folder / "well.json"))


def distance(load_lbf: np.ndarray, vendor_lbf: np.ndarray) -> float:
    """Rms difference of two loads in time form over the vendor's range, at the best shift in time, a constant apart.

    The constant is left out because it is the weight of the rods in a liquid whose gravity these wells do not tell.
    """
    count = len(load_lbf)
    one, other = load_lbf - load_lbf.mean(), vendor_lbf - vendor_lbf.mean()
    spectrum, harmonic = np.fft.rfft(one), np.arange(count // 2 + 1)
    shifts = np.arange(0.0, count, 0.1)
    moved = np.fft.irfft(spectrum * np.exp(2j * np.pi * np.outer(shifts, harmonic) / count), count, axis=1)
    return float(np.sqrt(np.mean((moved - other) ** 2, axis=1)).min() / np.ptp(vendor_lbf))


@pytest.mark.parametrize("name", ["well-1", "well-2"])
def test_pump_cards_lie_within_two_percent_of_the_vendors(shared_data: Path, name: str) -> None:
    folder = shared_data / "vendor-wells" / name
    vendor = np.loadtxt(folder / "vendor_pump_card.csv", delimiter=",", skiprows=1)
    found = diagnosed(folder)
    assert distance(found.pump[1], vendor[:, 1]) < 0.02
    assert np.ptp(found.pump[0]) == pytest.approx(np.ptp(vendor[:, 0]), rel=0.005)
    assert found.findings["damping"] == 0.01
    assert found.findings["balance_damping"] > 0.1


@pytest.mark.parametrize("name", ["well-1", "well-2"])
def test_a_slope_that_tubing_can_give_leaves_the_production(shared_data: Path, name: str) -> None:
    found = diagnosed(shared_data / "vendor-wells" / name)
    assert found.findings["inferred_production_bpd"] == pytest.approx(
        found.findings["net_displacement_bpd"], rel=1e-6
    )
    assert "leak_or_tubing" in found.findings["quality"]
    assert "not known" in found.report
