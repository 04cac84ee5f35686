from __future__ import annotations

import numpy as np
import pytest

from oasis_pipeline.cards.canonical import shape_form
from oasis_pipeline.learning.drift import (
    Drift,
    feature_group,
    make_reference,
    measure_drift,
    measured_features,
)
from oasis_pipeline.learning.features import (
    SHAPE_POINTS,
    CardContext,
    CardShapes,
    card_features,
    feature_matrix,
    feature_names,
)
from oasis_pipeline.simulation.cards import CardBatch
from oasis_pipeline.simulation.field import Field as SimulatedField
from oasis_pipeline.simulation.field import make_field

DAYS, LEARNED = 16, 8
NAMES = measured_features(feature_names())
COLUMNS = [feature_names().index(name) for name in NAMES]


def features_of(batch: CardBatch) -> np.ndarray:
    """Features that come of the two cards alone: the diagnosis would take longer than all the rest."""
    shapes = [
        CardShapes(*shape_form(position.astype(np.float32), load.astype(np.float32), SHAPE_POINTS))
        for position, load in (
            (batch.surface_position_in, batch.surface_load_lbf),
            (batch.pump_position_in, batch.pump_load_lbf),
        )
    ]
    context = CardContext(spm=batch.wells.spm, fillage_pct=batch.fillage_pct)
    return feature_matrix(card_features(*shapes, context))[:, COLUMNS]


@pytest.fixture(scope="module")
def simulated() -> SimulatedField:
    return make_field(16, DAYS, 21, cards_per_day=2)


@pytest.fixture(scope="module")
def table(simulated: SimulatedField) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    features = features_of(simulated.batch)
    return features, simulated.batch.well, np.floor(simulated.times.day).astype(int)


def drifts(
    table: tuple[np.ndarray, np.ndarray, np.ndarray], shifted: np.ndarray | None = None
) -> list[Drift]:
    """Drift of each day after those that were learned."""
    features, wells, day = table
    early = day < LEARNED
    reference = make_reference(features[early], NAMES, wells[early])
    asked = features if shifted is None else shifted
    found = [
        measure_drift(reference, asked[day == number], wells[day == number])
        for number in range(LEARNED, DAYS)
    ]
    return [each for each in found if each is not None]


def test_a_simulated_field_that_goes_on_as_it_was_raises_no_alarm(table) -> None:
    days = drifts(table)
    assert len(days) == DAYS - LEARNED
    assert [day.drifted for day in days] == [[]] * len(days)


def test_a_load_cell_that_reads_a_sixth_too_much_on_every_well_raises_one(table, simulated) -> None:
    from dataclasses import replace

    batch = simulated.batch
    louder = replace(batch, surface_load_lbf=1.15 * batch.surface_load_lbf + 500)
    days = drifts(table, features_of(louder))
    assert all("surface card, size" in day.drifted for day in days)
    assert not any("pump card, shape" in day.drifted for day in days), "only what moved is named"


def test_pump_cards_that_stop_coming_raise_one(table) -> None:
    features = table[0].copy()
    pump = [name.startswith("pump_") for name in NAMES]
    features[:, pump] = np.nan
    assert all("pump card, shape" in day.drifted for day in drifts(table, features))


def test_another_mix_of_wells_is_no_drift(table) -> None:
    features, wells, day = table
    early = day < LEARNED
    reference = make_reference(features[early], NAMES, wells[early])
    largest = np.isin(wells, np.argsort([np.nanmean(features[wells == w, 4]) for w in range(16)])[-6:])
    for number in range(LEARNED, DAYS):
        chosen = (day == number) & largest
        drift = measure_drift(reference, features[chosen], wells[chosen])
        assert drift is None or not drift.drifted
    one_talks = np.flatnonzero(day == LEARNED)
    first_well = one_talks[wells[one_talks] == wells[one_talks[0]]]
    many = np.concatenate([one_talks, np.tile(first_well, 100)])
    drift = measure_drift(reference, features[many], wells[many])
    assert drift is not None
    assert not drift.drifted, "a well that sends a hundred times as many cards is one well"


def test_few_wells_are_not_measured(table) -> None:
    features, wells, _ = table
    reference = make_reference(features, NAMES, wells)
    few = wells < 4
    assert measure_drift(reference, features[few], wells[few]) is None
    assert measure_drift(reference, features[:0], wells[:0]) is None
    small = make_reference(features[few], NAMES, wells[few])
    assert measure_drift(small, features, wells) is None


def test_every_feature_has_a_group() -> None:
    groups = {feature_group(name) for name in NAMES}
    assert {"surface card, size", "surface card, shape", "pump card, size", "well"} <= groups
    assert len(groups) <= 8
    assert not [name for name in NAMES if "history_" in name or "_to_bounds_" in name], (
        "they lean on the past"
    )
