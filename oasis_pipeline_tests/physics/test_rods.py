"""Rod strings against the numbers of API RP 11L and of hand calculation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_pipeline.physics.rods import (
    ROD_GRADES,
    RodString,
    api_tapers,
    grade_of,
    rod_area_in2,
    rod_weight_lb_per_ft,
)


def rod_76() -> RodString:
    diameters, shares = api_tapers("76", 1.5)
    return RodString.from_sections([5000.0 * share for share in shares], diameters, ["D", "D"])


def test_rod_76_with_a_plunger_of_one_and_a_half_inches_has_the_weight_of_the_tables():
    string = rod_76()
    assert api_tapers("76", 1.5) == ((0.875, 0.75), pytest.approx((0.338, 0.662)))
    # API RP 11L: 1.8334 lb/ft on average, 9,165 lbf in air, 8,109 lbf in a fluid of gravity 0.9.
    assert string.air_weight_lbf / 5000.0 == pytest.approx(1.8334, abs=2e-4)
    assert string.buoyant_weight_lbf(0.9) == pytest.approx(8109.2, rel=1e-3)


def test_static_stretch_of_one_size():
    # 10,000 lbf on 5,000 ft of 7/8 in rods of 30.5 million psi.
    string = RodString.from_sections([5000.0], [0.875], modulus_psi=[30.5e6])
    assert 10_000.0 * string.stretch_in_per_lbf == pytest.approx(32.7149, abs=1e-4)


def test_spring_constant_is_close_to_the_printed_elastic_constants():
    # The tables' 0.80391e-6 in/lbf-ft comes from a modulus about one per cent higher than 30.5 million psi.
    assert rod_76().stretch_in_per_lbf / 5000.0 == pytest.approx(0.80391e-6, rel=0.012)


def test_wave_speed_is_the_practical_one_with_couplings():
    speeds = rod_76().wave_speed_ft_per_s
    assert speeds == pytest.approx(16_300.0, rel=2e-3)


def test_bare_steel_carries_sound_at_16982_ft_per_s():
    area_ft2 = rod_area_in2(1.0) / 144.0
    string = RodString.from_sections(
        [100.0], [1.0], weight_lb_per_ft=[490.0 * area_ft2], modulus_psi=[30.5e6]
    )
    assert string.wave_speed_ft_per_s[0] == pytest.approx(16_981.9, abs=0.1)


@given(
    st.lists(st.floats(10.0, 4000.0), min_size=1, max_size=4),
    st.floats(0.05, 0.95),
    st.integers(0, 3),
)
def test_splitting_a_taper_changes_nothing(lengths, share, where):
    sizes = [1.0, 0.875, 0.75, 0.625][: len(lengths)]
    where %= len(lengths)
    whole = RodString.from_sections(lengths, sizes)
    cut = lengths[where]
    split = RodString.from_sections(
        [*lengths[:where], cut * share, cut * (1.0 - share), *lengths[where + 1 :]],
        [*sizes[:where], sizes[where], sizes[where], *sizes[where + 1 :]],
    )
    for name in ("air_weight_lbf", "total_length_ft", "stretch_in_per_lbf"):
        assert getattr(split, name) == pytest.approx(getattr(whole, name), rel=1e-12)
    assert split.buoyant_weight_lbf(0.9) == pytest.approx(whole.buoyant_weight_lbf(0.9), rel=1e-12)


def test_a_batch_gives_each_string_what_it_has_alone():
    one = rod_76()
    other = RodString.from_sections([1000.0, 2000.0, 1500.0], [1.0, 0.875, 1.5], ["HS", "HS", "SB"])
    batch = RodString.stack([one, other])
    assert batch.batch_shape == (2,)
    assert batch.tapers == 3
    for name in ("air_weight_lbf", "total_length_ft", "stretch_in_per_lbf"):
        assert getattr(batch, name) == pytest.approx(
            [float(getattr(one, name)), float(getattr(other, name))], rel=1e-12
        )
    assert batch.take(1).air_weight_lbf == pytest.approx(float(other.air_weight_lbf))
    assert batch.take([1, 0, 1]).batch_shape == (3,)


def test_fibreglass_is_lighter_softer_and_floats_more():
    steel = RodString.from_sections([3000.0], [1.0], ["D"])
    glass = RodString.from_sections([3000.0], [1.0], ["Fiberglass"])
    assert glass.air_weight_lbf < 0.4 * steel.air_weight_lbf
    assert glass.stretch_in_per_lbf > 3.0 * steel.stretch_in_per_lbf
    assert glass.buoyant_weight_lbf(1.0) / glass.air_weight_lbf < 0.6


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("D", "D"),
        ("api d", "D"),
        ("Grade K", "K"),
        ("Norris 97 N97", "N97"),
        ("Sinker Bar", "SB"),
        ("FG 1.0", "FG"),
    ],
)
def test_grades_are_found_as_the_field_writes_them(text, name):
    assert grade_of(text) == ROD_GRADES[name]


def test_an_unknown_grade_has_no_strength():
    assert grade_of("mystery") is None
    assert grade_of(None) is None
    assert np.isnan(RodString.from_sections([100.0], [1.0], ["mystery"]).tensile_psi[0])


def test_sinker_bars_weigh_what_solid_steel_weighs():
    assert rod_weight_lb_per_ft(1.5, "SB") == pytest.approx(6.01, abs=0.01)
    assert rod_weight_lb_per_ft(1.5) == pytest.approx(6.01, abs=0.01)


@pytest.mark.parametrize(
    "broken",
    [
        lambda: RodString.from_sections([], []),
        lambda: RodString.from_sections([100.0], [1.0, 0.875]),
        lambda: RodString.from_sections([-1.0], [1.0]),
        lambda: RodString.from_sections([np.nan], [1.0]),
        lambda: RodString.from_sections([100.0], [0.0]),
        lambda: RodString.from_sections([100.0], [1.0], modulus_psi=[0.0]),
        lambda: RodString.stack([]),
        lambda: api_tapers("12", 1.5),
    ],
)
def test_impossible_strings_are_refused(broken):
    with pytest.raises(ValueError, match=r".+"):
        broken()
