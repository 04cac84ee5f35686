"""What the features are computed from, on simulated cards with the wells' equipment."""

from dataclasses import replace

import numpy as np
import pytest

from oasis_pipeline.cards.canonical import time_form_column
from oasis_pipeline.learning import base
from oasis_pipeline.learning.base import laid_out
from oasis_pipeline.learning.features import (
    CardContext,
    CardShapes,
    History,
    card_features,
    feature_names,
    rows_with,
)
from oasis_pipeline.learning.inputs import CardInputs, Findings
from oasis_pipeline.physics.diagnosis import Cards, diagnose_all
from oasis_pipeline.physics.diagnosis.again import pump_cards_again
from oasis_pipeline.physics.diagnosis.pump_cards import HARMONICS, load_lines, read
from oasis_pipeline.physics.diagnosis.well import Quality, columns_of
from oasis_pipeline.simulation.cards import JUDGED, simulate_cards
from oasis_pipeline.simulation.recorded import recorded_wells


@pytest.fixture(scope="module")
def batch():
    return simulate_cards(40, 11, cards_per_well=4, circumstances=JUDGED)


@pytest.mark.parametrize("given", [True, False])
def test_the_pump_card_is_the_one_of_the_diagnosis(batch, given):
    wells = recorded_wells(batch.known)
    cards = Cards(batch.surface_position_in, batch.surface_load_lbf, batch.known.spm, well=np.arange(40))
    found = diagnose_all(cards, wells)
    x, f = pump_cards_again(
        batch.surface_position_in,
        batch.surface_load_lbf,
        columns_of(wells),
        np.arange(40),
        batch.known.spm,
        found.columns["damping" if given else "balance_damping"],
        found.columns["position_phase_deg"],
        *([] if given else [HARMONICS]),
    )
    if given:
        np.testing.assert_allclose(x, found.pump_position_in, atol=1e-6)
        np.testing.assert_allclose(f, found.pump_load_lbf, atol=1e-4)
        return
    # the card that was read: its load lines are the diagnosis's
    spm = np.asarray(batch.known.spm)
    whole = np.flatnonzero((found.codes & Quality.PARTED_ROD) == 0)
    got = read(batch.surface_position_in, x, f, columns_of(wells), np.arange(40), spm)
    for name, column in zip(("fluid_load_upper_lbf", "fluid_load_lower_lbf"), load_lines(got), strict=True):
        np.testing.assert_allclose(found.columns[name][whole], column[whole], atol=2.0)


def test_features_do_not_depend_on_the_damping_that_pump_cards_are_given_with(batch):
    wells = recorded_wells(batch.known)
    forms = [
        time_form_column(laid_out(x, f, np.ones(len(batch), bool)))
        for x, f in (
            (batch.surface_position_in, batch.surface_load_lbf),
            (batch.pump_position_in, batch.pump_load_lbf),
        )
    ]
    made = []
    for card_damping in (np.nan, 0.2):
        asked = [replace(well, card_damping=card_damping) for well in wells]
        cards = Cards(batch.surface_position_in, batch.surface_load_lbf, batch.known.spm, well=np.arange(40))
        findings = Findings(diagnose_all(cards, asked).columns, columns_of(asked), np.arange(40))
        inputs = CardInputs.of(*forms, batch.known.spm, batch.fillage_pct, findings=findings)
        made.append(inputs.features())
        assert np.isfinite(made[-1]["physics_damping"]).sum() > 20
    for name, column in made[0].items():
        np.testing.assert_array_equal(column, made[1][name], err_msg=name)


def test_known_rods_give_every_row_a_pump_card_and_physics(batch):
    names = feature_names()
    known, unknown = (base.simulated_training_set(batch, rods=rods).features for rods in (True, False))
    assert rows_with(known, "both").all()
    np.testing.assert_array_equal(rows_with(unknown, "pump"), batch.has_pump_card)
    physics = [name.startswith("physics_") for name in names]
    assert np.isnan(unknown[:, physics]).all()
    movement = known[:, names.index("physics_fillage_pct")]
    assert np.isfinite(movement).mean() > 0.8
    surface = [name.startswith("surface_") for name in names]
    np.testing.assert_array_equal(known[:, surface], unknown[:, surface])


def test_the_earlier_method_sees_the_controllers_card_only(batch):
    known, unknown = (base.simulated_training_set(batch, rods=rods).seed_features for rods in (True, False))
    np.testing.assert_array_equal(known, unknown)


def test_a_change_is_a_share_of_what_was():
    card = CardShapes(np.linspace(0, 99, 100)[None], np.linspace(1000, 2000, 100)[None])
    now = dict.fromkeys(
        ("pprl_lbf", "mprl_lbf", "polished_rod_power_hp", "fillage_pct", "fluid_load_lbf", "gross_stroke_in"),
        np.array([50.0]),
    )
    then = {name: np.array([40.0]) for name in now}
    nothing = {name: np.array([np.nan]) for name in now}
    columns = card_features(card, None, CardContext(history=History(now, nothing, then)))
    assert columns["history_week_fillage_pct_change"][0] == pytest.approx(0.25)
    assert np.isnan(columns["history_day_fillage_pct_change"][0])
