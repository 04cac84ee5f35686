"""What to do, why, what it is worth, and in which order."""

import math
import re
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from oasis_pipeline.decisions.economics import Economics, EconomicsError, parse_economics
from oasis_pipeline.decisions.worklist import ACTIONS, WellDay, rank_lines, write_line

NOW = datetime(2025, 3, 10, 23, 50)
MONEY = Economics()
HEALTHY = WellDay(
    well="A 1",
    state="pumping",
    as_of=NOW,
    label="Full Pump",
    label_pct=98.0,
    label_days=30,
    oil_bpd=20.0,
    lost_bpd=0.2,
    attainable_bpd=20.2,
    basis="own_past",
    fillage_pct=98.0,
    run_h=24.0,
    gearbox_pct=80.0,
    structure_pct=70.0,
    rods_pct=60.0,
    pump_depth_ft=6000.0,
    failure_prob_15d=3.0,
)


def test_a_healthy_well_has_nothing_to_do():
    line = write_line(HEALTHY, MONEY)
    assert line.action == "none"
    assert line.reason == "Nothing stands out."
    assert line.overload_pct == 80.0


def test_a_loss_that_is_not_known_is_no_loss_of_zero_and_a_down_well_stays_first():
    line = write_line(replace(HEALTHY, lost_bpd=float("nan"), attainable_bpd=float("nan")), MONEY)
    assert math.isnan(line.lost_oil_bpd)
    down = replace(HEALTHY, well="B", state="down", lost_bpd=float("nan"), attainable_bpd=float("nan"))
    assert rank_lines([line, write_line(down, MONEY)])[0].well == "B"


def test_half_a_stroke_says_nothing_of_the_pump():
    leaks = replace(
        HEALTHY, label="Worn Pump Barrel", second="Excessive Vibration of the Rod", half_stroke=True
    )
    line = write_line(leaks, MONEY)
    assert line.action == "check_sensor"
    assert line.reason.startswith("Its newest card holds half a stroke only")
    assert "Barrel" not in line.reason


def test_parted_rods_by_the_class_alone_are_looked_at_before_they_are_pulled():
    alone = replace(HEALTHY, label="Parted Rod", label_pct=83.0, label_days=1, fillage_pct=float("nan"))
    line = write_line(alone, MONEY)
    assert line.action == "test_well"
    assert "Parted Rod (83 %), and no pump card confirms it" in line.reason
    confirmed = write_line(replace(alone, no_fluid_load=True, parted_depth_ft=2100.0), MONEY)
    assert confirmed.action == "pull_rods"
    assert "parted at about 2,100 ft" in confirmed.reason


def test_a_leak_that_costs_oil_names_part_days_and_rates():
    day = replace(
        HEALTHY,
        label="Leak in Standing Valve",
        label_days=12,
        oil_bpd=3.0,
        lost_bpd=21.0,
        attainable_bpd=24.0,
    )
    line = write_line(day, MONEY)
    assert line.action == "pull_pump"
    assert "Standing valve: Leak in Standing Valve for 12 days (98 %)" in line.reason
    assert "makes 3 of 24 bbl/d oil" in line.reason
    assert line.parts["lost_oil_value"] == pytest.approx(21.0 * 60.0 * 30.0)
    assert line.parts["payback_days"] == pytest.approx(25_000 / (21.0 * 60.0), abs=0.1)


def test_no_rate_or_load_of_a_doubtful_card_is_told_as_a_fact():
    day = replace(
        HEALTHY,
        label="Worn Pump Barrel",
        label_days=12,
        oil_bpd=3.0,
        lost_bpd=21.0,
        attainable_bpd=24.0,
        barrel_leak_bpd=90.0,
        displacement_bpd=180.0,
        gearbox_pct=140.0,
    )
    assert "the barrel passes 90 bbl/d at full pressure" in write_line(day, MONEY).reason
    doubtful = write_line(replace(day, sensor_doubt="The card's load is cut off"), MONEY)
    assert "90 bbl/d" not in doubtful.reason
    assert "how much it passes can't be told" in doubtful.reason
    over = write_line(replace(HEALTHY, gearbox_pct=140.0, sensor_doubt="The card's load is cut off"), MONEY)
    assert over.reason.startswith(
        "Gearbox at 140 % of its rating if the card's loads are right. The card's load is cut off"
    )
    # what one worn stretch would pass is no rate of the pump
    more = write_line(replace(day, barrel_leak_bpd=1035.0), MONEY)
    assert "the barrel passes more than the pump displaces at full pressure" in more.reason


def test_a_down_well_comes_before_a_dearer_one_unless_it_loses_little():
    down = replace(
        HEALTHY,
        well="B 1",
        state="down",
        since=NOW,
        failure="Tubing - Hole",
        failure_class="Tubing",
        lost_bpd=5.0,
    )
    leaking = replace(
        HEALTHY, well="C 1", label="Worn Pump Barrel", oil_bpd=5.0, lost_bpd=60.0, attainable_bpd=65.0
    )
    little = replace(down, well="D 1", lost_bpd=0.4, attainable_bpd=0.4)
    order = [line.well for line in rank_lines([write_line(day, MONEY) for day in (leaking, little, down)])]
    assert order == ["B 1", "C 1", "D 1"]
    assert write_line(down, MONEY).action == "repair_tubing"


def test_wells_with_nothing_to_do_come_last_whatever_may_fail():
    idle = replace(HEALTHY, well="A 1", failure_prob_15d=20.0)
    faster = replace(
        HEALTHY,
        well="B 1",
        advice="speed_up",
        advice_gain=50.0,
        advice_oil_bpd=1.0,
        advice_reason="Speed it up",
    )
    lines = [write_line(day, MONEY) for day in (idle, faster)]
    assert [line.action for line in lines] == ["none", "speed_up"]
    assert lines[0].score > lines[1].score
    assert [line.well for line in rank_lines(lines)] == ["B 1", "A 1"]


def test_a_silent_well_is_on_the_list_with_the_share_of_what_it_may_lose():
    day = replace(HEALTHY, state="silent", since=datetime(2025, 3, 7, 1, 50), silent_down_share=0.75)
    line = write_line(day, MONEY)
    assert line.action == "check_power_or_communication"
    assert line.lost_oil_bpd == pytest.approx(0.75 * 20.2)
    assert "no card for 94 h" in line.reason or "no card for 4 days" in line.reason
    assert "75 %" in line.reason


def test_an_overloaded_gearbox_is_balanced_where_that_helps_and_slowed_where_not():
    day = replace(
        HEALTHY,
        gearbox_pct=142.0,
        best_gearbox_pct=92.0,
        counterbalance_lbf=9000.0,
        best_counterbalance_lbf=12000.0,
    )
    line = write_line(day, MONEY)
    assert line.action == "balance"
    assert line.overload_pct == 142.0
    assert "142 %" in line.reason
    assert "12,000" in line.reason
    assert write_line(replace(day, best_gearbox_pct=140.0), MONEY).action == "slow_down"
    assert write_line(replace(HEALTHY, rods_pct=114.0, worst_taper=2), MONEY).reason.startswith(
        "Rods at 114 %"
    )


def test_a_loss_that_no_card_explains_asks_for_a_test():
    line = write_line(replace(HEALTHY, oil_bpd=8.0, lost_bpd=12.0, attainable_bpd=20.0), MONEY)
    assert line.action == "test_well"
    assert "no card says why" in line.reason


def test_parted_rods_are_pulled_with_their_depth():
    day = replace(
        HEALTHY, label="Parted Rod", no_fluid_load=True, parted_depth_ft=2150.0, oil_bpd=0.0, lost_bpd=20.0
    )
    line = write_line(day, MONEY)
    assert line.action == "pull_rods"
    assert "2,150 ft" in line.reason


def test_the_climb_of_a_probability_is_said():
    line = write_line(
        replace(HEALTHY, failure_prob_15d=62.0, failure_prob_change_7d=41.0, likely_failure="Pump"), MONEY
    )
    assert "Failure within 15 days: 62 % (Pump), +41 points in a week" in line.reason
    assert line.value_at_risk == pytest.approx(0.62 * (25_000 + 7 * 20.0 * 60.0))


def test_a_contradiction_stands_beside_the_action():
    line = write_line(replace(HEALTHY, disagreements=("test_below_inferred",)), MONEY)
    assert line.action == "test_well"
    assert "far below the rate inferred" in line.reason


def test_an_advice_takes_the_place_of_the_rule_of_thumb():
    pound = replace(HEALTHY, label="Fluid Pound", label_pct=95.0, fillage_pct=55.0, run_h=18.0)
    assert write_line(pound, MONEY).action == "lengthen_idle_time"
    said = "Slow it down from 8.0 to 5.5 strokes a minute: oil -0.1 bbl/d; worth 20 USD a day."
    line = write_line(replace(pound, advice="slow_down", advice_gain=20.0, advice_reason=said), MONEY)
    assert line.action == "slow_down"
    assert "Fluid Pound" in line.reason
    assert "from 8.0 to 5.5" in line.reason
    assert line.parts["setpoint_value"] == 600
    assert line.score == write_line(pound, MONEY).score, "what could be gained is no loss"


def test_the_rule_of_thumb_gives_way_to_an_advice_for_the_opposite():
    day = replace(HEALTHY, label="Fluid Pound", label_pct=95.0)
    said = "Speed it up from 8.0 to 8.5 strokes a minute: oil +3.0 bbl/d; worth 150 USD a day."
    line = write_line(replace(day, advice="speed_up", advice_gain=150.0, advice_reason=said), MONEY)
    assert line.action == "speed_up"
    assert "slow" not in line.reason


def test_a_pump_that_has_to_be_pulled_is_pulled_whatever_the_advice():
    leak = replace(HEALTHY, label="Leak in Standing Valve", label_pct=95.0, lost_bpd=15.0, oil_bpd=5.0)
    line = write_line(
        replace(leak, advice="slow_down", advice_gain=10.0, advice_reason="Slow it down."), MONEY
    )
    assert line.action == "pull_pump"


def test_what_an_action_brings_back_stands_beside_what_is_lost():
    leak = replace(HEALTHY, label="Worn Pump Barrel", oil_bpd=5.0, lost_bpd=15.0)
    mended = write_line(leak, MONEY)
    assert mended.gain_oil_bpd == mended.lost_oil_bpd == 15.0
    assert mended.gain_value == pytest.approx(15.0 * 60.0 * 30.0)
    over = replace(HEALTHY, gearbox_pct=140.0, best_gearbox_pct=90.0)
    balanced = write_line(over, MONEY)
    assert (balanced.action, balanced.gain_oil_bpd) == ("balance", 0.0)
    assert balanced.gain_value == pytest.approx(balanced.parts["overload_value"], abs=1.0)
    faster = replace(
        HEALTHY, advice="speed_up", advice_gain=150.0, advice_oil_bpd=3.0, advice_reason="Speed it up."
    )
    line = write_line(faster, MONEY)
    assert line.gain_oil_bpd == 3.0
    assert line.gain_value == pytest.approx(150.0 * 30.0)
    nothing = write_line(HEALTHY, MONEY)
    assert (nothing.gain_oil_bpd, nothing.gain_value) == (0.0, 0.0)
    looked_at = write_line(replace(HEALTHY, sensor_doubt="The card's load is cut off"), MONEY)
    assert math.isnan(looked_at.gain_oil_bpd)


def test_a_pump_that_empties_its_well_is_no_reason_to_promise_oil_by_slowing_it():
    day = replace(
        HEALTHY,
        label="Fluid Pound",
        fillage_pct=56.0,
        oil_bpd=60.0,
        lost_bpd=50.0,
        attainable_bpd=110.0,
        advice="slow_down",
        advice_gain=11.0,
        advice_oil_bpd=0.0,
        advice_reason="Slow it down from 5.0 to 3.6 strokes a minute: oil +0.0 bbl/d; worth 11 USD a day.",
    )
    line = write_line(day, MONEY)
    assert line.action == "test_well"
    assert math.isnan(line.gain_oil_bpd), "only a test can tell what there is to be had"
    assert "makes 60 of 110 bbl/d oil of its own past: the pump empties it, so less flows in" in line.reason
    assert "Slow it down from 5.0 to 3.6" in line.reason
    assert line.parts["lost_oil_value"] == pytest.approx(50.0 * 60.0 * 30.0)


NUMBER = st.one_of(st.just(float("nan")), st.floats(0.0, 5000.0))


@settings(max_examples=100, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.data())
def test_any_well_gets_a_documented_action_and_one_clean_sentence(data):
    names = [
        name
        for name, value in vars(HEALTHY).items()
        if isinstance(value, float) and name != "silent_down_share"
    ]
    day = replace(
        HEALTHY,
        state=data.draw(st.sampled_from(["pumping", "idle", "down", "silent"])),
        since=data.draw(st.sampled_from([None, NOW])),
        label=data.draw(
            st.sampled_from([None, "Full Pump", "Gas Interference", "Parted Rod", "Unknown", "Odd"])
        ),
        second=data.draw(
            st.sampled_from([None, "Fluid Pound", "Leak in Traveling Valve", "Wellbore Friction"])
        ),
        worst_taper=data.draw(st.sampled_from([None, 1, 3])),
        no_fluid_load=data.draw(st.booleans()),
        sensor_doubt=data.draw(st.sampled_from(["", "The card's load is cut off"])),
        half_stroke=data.draw(st.booleans()),
        advice=data.draw(st.sampled_from(["none", "slow_down", "speed_up", "shorten_idle_time"])),
        advice_reason="Run it 12.0 h a day instead of 24.0: oil -0.1 bbl/d; worth 20 USD a day.",
        **{name: data.draw(NUMBER) for name in names},
    )
    line = write_line(day, MONEY)
    assert line.action in ACTIONS
    assert line.reason.endswith(".")
    assert not re.search(r"\bnan\b", line.reason)
    assert "None" not in line.reason
    assert line.score >= 0.0
    assert not line.lost_oil_bpd < 0.0


def test_only_what_earns_pays_for_itself():
    emptied = replace(HEALTHY, label="Fluid Pound", run_h=23.5, oil_bpd=10.0, lost_bpd=10.0)
    looked_at = write_line(emptied, MONEY)
    assert looked_at.action == "test_well"
    assert looked_at.parts["job_cost"] == MONEY.job_cost.visit
    assert "payback_days" not in looked_at.parts
    faster = replace(
        HEALTHY, advice="speed_up", advice_gain=10.0, advice_oil_bpd=0.2, advice_reason="Speed it up; x."
    )
    assert write_line(faster, MONEY).parts["payback_days"] == pytest.approx(150.0 / 10.0)
    leaks = replace(emptied, label="Worn Pump Barrel")
    free = write_line(leaks, parse_economics("oil_price_per_bbl = 0"))
    assert free.action == "pull_pump"
    assert "payback_days" not in free.parts


def test_a_well_without_a_usable_card_is_looked_at():
    line = write_line(
        replace(HEALTHY, label=None, label_pct=float("nan"), unusable="all values are zero"), MONEY
    )
    assert line.action == "check_sensor"
    assert line.reason == "None of its newest cards can be used: all values are zero."


def test_prices_are_read_and_wrong_ones_named():
    found = parse_economics("oil_price_per_bbl = 40\n[job_cost]\npump = 9000\n")
    assert found.oil_price_per_bbl == 40.0
    assert found.job_cost.pump == 9000.0
    assert found.job_cost.rod == Economics().job_cost.rod
    assert found.cost_of("Pump") == 9000.0
    assert found.cost_of("Something else") == found.job_cost.other
    for text, said in (
        ("oil_prise = 3", "oil_prise"),
        ("oil_price_per_bbl = -1", "oil_price_per_bbl"),
        ("oil_price_per_bbl = 'much'", "oil_price_per_bbl"),
        ("[job_cost]\npump = nan", "pump"),
        ("[job_cost]\npump = inf", "pump"),
        ("oil_price_per_bbl = 1e300", "oil_price_per_bbl"),
        ("not toml", "economics.toml"),
    ):
        with pytest.raises(EconomicsError, match=said):
            parse_economics(text)
