"""The frequency-domain solver: against the real series of Gibbs, and what must not change its answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_pipeline.physics.constants import GRAVITY_FT_PER_S2
from oasis_pipeline.physics.rods import RodString
from oasis_pipeline.physics.wave_frequency import (
    damping_per_s,
    propagate,
    propagate_each,
    pump_card,
    transfer,
)

from .wells import Array, band_limited_card, random_string

STRING = RodString.from_sections([1690.0, 3310.0], [0.875, 0.75])
WEIGHT = float(STRING.buoyant_weight_lbf(0.9))


def gibbs_series(
    position: Array, dynamic: Array, string: RodString, spm: float, c: float
) -> tuple[Array, Array]:
    """Real Fourier-series solution for one section, written from the equations of Gibbs (1963), one harmonic at a time."""
    points = len(position)
    turn = 2.0 * np.pi * np.arange(points) / points
    a, ea, depth = (float(v[0]) for v in (string.wave_speed_ft_per_s, string.stiffness_lbf, string.length_ft))
    y_mean, t_mean = position.mean() / 12.0, dynamic.mean()
    y = np.full(points, y_mean - t_mean * depth / ea)
    load = np.full(points, t_mean)
    for n in range(1, (points + 1) // 2):
        w = 2.0 * np.pi * n * spm / 60.0
        cosine, sine = np.cos(n * turn), np.sin(n * turn)
        # Loads in the sense of Gibbs are EA du/dx with u downward = -y: strains below are of u.
        s, t = (2.0 / points * (dynamic @ v) for v in (cosine, sine))
        nu, delta = (2.0 / points * (-position / 12.0 @ v) for v in (cosine, sine))
        alpha = w / (a * np.sqrt(2.0)) * np.sqrt(1.0 + np.sqrt(1.0 + (c / w) ** 2))
        beta = w / (a * np.sqrt(2.0)) * np.sqrt(-1.0 + np.sqrt(1.0 + (c / w) ** 2))
        kappa = (s * alpha + t * beta) / (ea * (alpha**2 + beta**2))
        mu = (s * beta - t * alpha) / (ea * (alpha**2 + beta**2))
        sa, ca, sh, ch = (
            np.sin(alpha * depth),
            np.cos(alpha * depth),
            np.sinh(beta * depth),
            np.cosh(beta * depth),
        )
        o = (kappa * ch + delta * sh) * sa + (mu * sh + nu * ch) * ca
        p = (kappa * sh + delta * ch) * ca - (mu * ch + nu * sh) * sa
        slope_o = (
            (kappa * beta * sh + delta * beta * ch) * sa
            + (kappa * ch + delta * sh) * alpha * ca
            + (mu * beta * ch + nu * beta * sh) * ca
            - (mu * sh + nu * ch) * alpha * sa
        )
        slope_p = (
            (kappa * beta * ch + delta * beta * sh) * ca
            - (kappa * sh + delta * ch) * alpha * sa
            - (mu * beta * sh + nu * beta * ch) * sa
            - (mu * ch + nu * sh) * alpha * ca
        )
        y -= o * cosine + p * sine
        load += ea * (slope_o * cosine + slope_p * sine)
    return y * 12.0, load


@pytest.mark.parametrize(
    ("length", "spm", "nu"), [(3000.0, 12.0, 0.05), (5000.0, 8.0, 0.1), (9000.0, 6.0, 0.4)]
)
def test_equals_the_real_series_of_gibbs(length: float, spm: float, nu: float) -> None:
    string = RodString.from_sections([length], [0.875])
    position, load = band_limited_card(np.random.default_rng(3), harmonics=30)
    c = float(damping_per_s(string, nu))
    x, f = pump_card(position, load, string, spm, c, buoyant_weight_lbf=8000.0)
    series_x, series_f = gibbs_series(position, load - 8000.0, string, spm, c)
    assert np.abs(x - series_x).max() < 1e-8 * np.ptp(series_x)
    assert np.abs(f - series_f).max() < 1e-8 * np.ptp(series_f)


def test_inverse_matrix_goes_back_up() -> None:
    rng = np.random.default_rng(5)
    string = random_string(rng)
    matrix = transfer(string, 9.0, 0.4, 60).matrix()[0]
    assert np.abs(np.linalg.det(matrix) - 1.0).max() < 1e-6
    # A string looked at from below is the inverse: reversed order of sections, depth counted backward.
    flipped = RodString(
        *(
            getattr(string, n)[::-1]
            for n in ("length_ft", "diameter_in", "weight_lb_per_ft", "modulus_psi", "tensile_psi")
        )
    )
    back = transfer(flipped, 9.0, 0.4, 60).matrix()[0] * np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert np.abs(back @ matrix - np.eye(2)).max() < 1e-5


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.integers(1, 199))
def test_rotation_of_the_start_rotates_the_answer(seed: int, shift: int) -> None:
    rng = np.random.default_rng(seed)
    string = random_string(rng)
    position, load = band_limited_card(rng, harmonics=40)
    x, f = pump_card(position, load, string, 8.0, 0.5, buoyant_weight_lbf=5000.0)
    x2, f2 = pump_card(
        np.roll(position, shift), np.roll(load, shift), string, 8.0, 0.5, buoyant_weight_lbf=5000.0
    )
    assert np.allclose(np.roll(x, shift), x2, atol=1e-7 * np.ptp(x))
    assert np.allclose(np.roll(f, shift), f2, atol=1e-7 * np.ptp(f))


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.floats(0.05, 0.95))
def test_splitting_a_taper_changes_nothing(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    whole = random_string(rng)
    cut = int(rng.integers(whole.tapers))
    parts = {
        n: np.insert(getattr(whole, n), cut, getattr(whole, n)[cut])
        for n in ("length_ft", "diameter_in", "weight_lb_per_ft", "modulus_psi", "tensile_psi")
    }
    parts["length_ft"][cut] *= share
    parts["length_ft"][cut + 1] *= 1.0 - share
    position, load = band_limited_card(rng, harmonics=40)
    x, f = pump_card(position, load, whole, 8.0, 0.5, buoyant_weight_lbf=5000.0)
    x2, f2 = pump_card(position, load, RodString(**parts), 8.0, 0.5, buoyant_weight_lbf=5000.0)
    assert np.allclose(x, x2, atol=1e-7 * np.ptp(x))
    assert np.allclose(f, f2, atol=1e-7 * np.ptp(f))


def test_padding_changes_nothing() -> None:
    position, load = band_limited_card(np.random.default_rng(1))
    three = RodString.from_sections([1000.0, 1000.0, 1000.0], [1.0, 0.875, 0.75])
    both = RodString.stack([STRING, three])
    c = np.array([0.5, 0.6])
    x, f = pump_card(
        np.stack([position] * 2),
        np.stack([load] * 2),
        both,
        [8.0, 9.0],
        c,
        buoyant_weight_lbf=[WEIGHT, 5000.0],
    )
    for i, (string, spm, weight) in enumerate([(STRING, 8.0, WEIGHT), (three, 9.0, 5000.0)]):
        alone_x, alone_f = pump_card(position, load, string, spm, c[i], buoyant_weight_lbf=weight)
        assert np.allclose(x[i], alone_x, atol=1e-9)
        assert np.allclose(f[i], alone_f, atol=1e-6)


def test_load_offset_shifts_only_the_mean() -> None:
    position, load = band_limited_card(np.random.default_rng(2))
    x, f = pump_card(position, load, STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT)
    x2, f2 = pump_card(position, load + 700.0, STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT)
    assert np.allclose(f2 - f, 700.0, atol=1e-6)
    assert np.allclose(x2 - x, -700.0 * float(STRING.stretch_in_per_lbf), atol=1e-8)
    x3, f3 = pump_card(
        position, load + 700.0, STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT, load_offset_lbf=700.0
    )
    assert np.allclose(f3, f, atol=1e-6)
    assert np.allclose(x3, x, atol=1e-8)


def test_true_load_is_effective_load_less_buoyancy() -> None:
    position, load = band_limited_card(np.random.default_rng(2))
    _, effective = pump_card(position, load, STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT)
    _, true = pump_card(position, load, STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT, true_load=True)
    assert np.allclose(effective - true, float(STRING.air_weight_lbf) - WEIGHT, atol=1e-6)


def test_units_do_not_matter() -> None:
    # The same well in other units of length (k) and force (q): lengths x k, loads x q, moduli x q/k^2, and so on.
    k, q = 0.3048, 4.448
    position, load = band_limited_card(np.random.default_rng(4))
    x, f = pump_card(position, load, STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT)
    # mass per length [F T2 / L2] scales by q / k^2; "weight" is mass per length times the fixed gc.
    other = RodString(
        STRING.length_ft * k,
        STRING.diameter_in * k,
        STRING.weight_lb_per_ft * q / k**2,
        STRING.modulus_psi * q / k**2,
        STRING.tensile_psi,
    )
    x2, f2 = pump_card(position * k, load * q, other, 8.0, 0.5, buoyant_weight_lbf=WEIGHT * q)
    assert np.allclose(x2, x * k, atol=1e-8)
    assert np.allclose(f2, f * q, atol=1e-5)
    assert other.weight_lb_per_ft[0] / GRAVITY_FT_PER_S2 > 0


def test_doubling_the_load_doubles_the_static_stretch() -> None:
    flat = np.zeros(50)
    single = pump_card(flat, flat + 1000.0, STRING, 1.0, 0.1, buoyant_weight_lbf=0.0)[0]
    double = pump_card(flat, flat + 2000.0, STRING, 1.0, 0.1, buoyant_weight_lbf=0.0)[0]
    assert np.allclose(double, 2.0 * single)
    assert np.allclose(single, -1000.0 * float(STRING.stretch_in_per_lbf))


def test_tapers_come_with_the_card() -> None:
    position, load = band_limited_card(np.random.default_rng(6))
    matrices = transfer(STRING, 8.0, 0.5, 60)
    _, _, tapers = propagate(position[None], load[None] - WEIGHT, matrices, tapers=True)
    upper = RodString.from_sections([1690.0], [0.875])
    _, f = pump_card(position, load, upper, 8.0, 0.5, buoyant_weight_lbf=WEIGHT)
    assert tapers is not None
    assert np.allclose(tapers[0, 0], f, atol=1e-6)


@settings(max_examples=60)
@given(
    st.integers(0, 2**31),
    st.floats(0.5, 15.0),
    st.one_of(st.just(0.0), st.floats(1e-6, 5.0)),
    st.integers(1, 120),
)
def test_entries_equal_their_formulas(seed: int, spm: float, nu: float, harmonics: int) -> None:
    string = random_string(np.random.default_rng(seed))
    c = float(damping_per_s(string, nu))
    found = transfer(string, spm, c, harmonics)
    omega = 2.0 * np.pi * spm / 60.0 * np.arange(1, harmonics)
    stiffness = string.stiffness_lbf[:, None]
    k = np.sqrt((omega**2 - 1j * omega * c) * (string.weight_lb_per_ft[:, None] / 32.174) / stiffness)
    cosine, sine = np.cos(k * string.length_ft[:, None]), np.sin(k * string.length_ft[:, None])
    for entries, formula in (
        (found.cosine, cosine),
        (found.sine_over, 12.0 * sine / (stiffness * k)),
        (found.sine_times, stiffness * k * sine / 12.0),
    ):
        size = np.abs(formula).max(axis=1, keepdims=True, initial=1e-30)
        assert (np.abs(entries[0, :, 1:] - formula) <= 1e-8 * size).all()


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 130), st.sampled_from([8, 99, 200]))
def test_cards_of_their_own_equal_cards_one_by_one(
    seed: int, cards: int, harmonics: int, points: int
) -> None:
    rng = np.random.default_rng(seed)
    strings = RodString.stack([random_string(rng) for _ in range(cards)])
    position, load = rng.normal(0.0, 30.0, (2, cards, points))
    spm, nu = rng.uniform(2.0, 14.0, cards), rng.uniform(0.0, 0.8, cards)
    c = damping_per_s(strings, nu)
    x, f, tapers = propagate_each(position, load, strings, spm, c, harmonics, tapers=True)
    for i in range(cards):
        matrices = transfer(strings.take([i]), spm[i], c[i], harmonics)
        one = propagate(position[i : i + 1], load[i : i + 1], matrices, tapers=True)
        assert np.allclose(x[i], one[0][0], atol=1e-7 * np.ptp(one[0]))
        assert np.allclose(f[i], one[1][0], atol=1e-7 * np.ptp(one[1]))
        assert np.allclose(tapers[i], one[2][0], atol=1e-7 * np.abs(one[2]).max(initial=1.0))


@pytest.mark.parametrize("points", [3, 8, 9, 45, 100, 200, 251])
def test_any_number_of_points(points: int) -> None:
    turn = 2.0 * np.pi * np.arange(points) / points
    x, f = pump_card(
        -50.0 * np.cos(turn), 9000.0 + 1000.0 * np.sin(turn), STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT
    )
    assert x.shape == f.shape == (points,)
    assert np.isfinite(x).all()


@pytest.mark.parametrize(
    ("spm", "c"),
    [(1e-300, 0.5), (1e-12, 1e12), (8.0, 1e300), (8.0, 1e19), (1e-19, 1e-19), (8.0, np.nan), (np.nan, 0.5)],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_impossible_numbers_harm_no_other_card(spm: float, c: float) -> None:
    rng = np.random.default_rng(11)
    position, load = np.stack([band_limited_card(rng) for _ in range(3)], axis=1)
    wanted = propagate_each(position[::2], load[::2], STRING, np.full(2, 8.0), np.full(2, 0.5), 100)
    speeds, dampings = np.array([8.0, spm, 8.0]), np.array([0.5, c, 0.5])
    x, f, tapers = propagate_each(position, load, STRING, speeds, dampings, 100, tapers=True)
    assert tapers is not None
    assert x.shape == f.shape == position.shape
    assert np.allclose(x[::2], wanted[0])
    assert np.allclose(f[::2], wanted[1])
    assert transfer(STRING, spm, c, 100).cosine.shape[-1] == 100


def test_batch_shapes_and_nan_rows() -> None:
    position, load = band_limited_card(np.random.default_rng(6))
    stack_x, stack_f = np.tile(position, (2, 3, 1)), np.tile(load, (2, 3, 1))
    stack_f[1, 2] = np.nan
    x, f = pump_card(stack_x, stack_f, STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT)
    alone = pump_card(position, load, STRING, 8.0, 0.5, buoyant_weight_lbf=WEIGHT)
    assert x.shape == (2, 3, 200)
    assert np.isnan(f[1, 2]).all()
    assert np.allclose(x[0, 1], alone[0], atol=1e-9)


@pytest.mark.parametrize(
    ("position", "load", "spm", "c", "message"),
    [
        (np.zeros(10), np.zeros(9), 8.0, 0.5, "have to be equal"),
        (np.zeros(2), np.zeros(2), 8.0, 0.5, "3 points or more"),
        (np.zeros(10), np.zeros(10), 0.0, 0.5, "spm has to be positive"),
        (np.zeros(10), np.zeros(10), 8.0, -0.1, "damping_per_s has to be 0 or more"),
    ],
)
def test_bad_input_is_refused(position: Array, load: Array, spm: float, c: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pump_card(position, load, STRING, spm, c, buoyant_weight_lbf=0.0)
