"""Numbers of the physics block on pump cards whose truth is known, made without the project's simulator."""

import numpy as np
import pytest

from oasis_pipeline.learning.pump_features import (
    DIAGNOSED,
    READINGS,
    PumpKnowledge,
    physics_block,
    physics_names,
)

POINTS, FULL_LBF, STROKE_IN = 200, 4_000.0, 100.0


def pump_card(give_in, leak_share):
    """A full pump whose barrel gives by `give_in` under the full load, and that lets past `leak_share` of a stroke in a cycle.

    Positive leaks are those of the travelling valve, negative ones of the standing valve. While both valves are shut the load rises by the
    stiffness of the tubing times what the plunger travels beyond the leak.
    """
    steps = 40_000
    t = np.arange(3 * steps) / steps
    x = 0.5 * STROKE_IN * (1.0 - np.cos(2.0 * np.pi * t))
    per_step = np.diff(x, prepend=x[0]) - leak_share * STROKE_IN / steps
    load, f = 0.0, np.empty_like(x)
    for k, travel in enumerate(per_step):
        load = min(max(load + FULL_LBF / give_in * travel, 0.0), FULL_LBF)
        f[k] = load
    last = slice(2 * steps, 3 * steps, steps // POINTS)
    return x[last], f[last]


def block(x, f):
    nothing = np.full(1, np.nan)
    readings = dict.fromkeys(READINGS, nothing) | {
        "upper_lbf": np.array([FULL_LBF]),
        "lower_lbf": np.zeros(1),
    }
    known = PumpKnowledge(
        dict.fromkeys(DIAGNOSED, nothing),
        readings,
        buoyant_weight_lbf=nothing,
        discharge_load_lbf=np.array([FULL_LBF]),
        stretch_in_per_lbf=nothing,
        impedance_lbf_s_per_in=nothing,
        pump_position_in=x[None],
        pump_load_lbf=f[None],
        is_computed=np.array([True]),
    )
    row = physics_block(known, x[None], f[None], np.array([8.0]))[0]
    return {name.removeprefix("physics_"): value for name, value in zip(physics_names(), row, strict=True)}


@pytest.mark.parametrize("leak_share", [-0.5, 0.0, 0.5])
@pytest.mark.parametrize("give_in", [2.0, 8.0])
def test_the_tubings_give_is_told_apart_from_a_leak(give_in, leak_share):
    found = block(*pump_card(give_in, leak_share))
    assert found["tubing_give_share"] == pytest.approx(give_in / STROKE_IN, abs=0.006)
    assert found["tubing_give_per_load"] == pytest.approx(found["tubing_give_share"], abs=1e-6)
    assert found["passing_fluid_share"] == pytest.approx(leak_share, abs=0.1)


def test_a_leaking_standing_valve_is_picked_up_before_the_bottom():
    early, late = (block(*pump_card(1.0, leak))["pickup_middle_time"] for leak in (-1.5, 1.5))
    assert early < 0 < late


def test_no_pump_card_gives_no_numbers():
    found = block(np.full(POINTS, np.nan), np.full(POINTS, np.nan))
    assert np.isnan([found["tubing_give_share"], found["least_give_share"], found["unload_time"]]).all()


def test_ripples_are_measured_about_the_lines_as_shares_of_the_full_load():
    x, f = pump_card(2.0, 0.0)
    turn = np.arange(POINTS) * 2.0 * np.pi / POINTS
    still, shaken = block(x, f), block(x, f + 0.1 * FULL_LBF * np.sin(15.0 * turn))
    for number in range(3):
        assert still[f"ripple{number}_share"] < 0.005
        assert 0.04 < shaken[f"ripple{number}_share"] < 0.1
        # thirty changes of sign a stroke of two hundred points
        assert 0.1 < shaken[f"ripple{number}_turns"] < 0.25
