"""Features of stored cards: what a well usually shows is read from its earlier days alone."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np

from oasis_pipeline.intake import take_in
from oasis_pipeline.learning.features import change_columns, feature_names, rows_with
from oasis_pipeline.operations.days import Days
from oasis_pipeline.operations.features import feature_tables, features_of
from oasis_pipeline.settings import load_settings
from oasis_pipeline.simulation.field import simulate_field
from oasis_pipeline.storage.objects import open_store
from oasis_pipeline.storage.postgres import Warehouse

FIRST = date(2025, 3, 1)


def compared(warehouse: Warehouse, day: date) -> tuple[list[str], np.ndarray]:
    """Wells of a day's cards, and what is said of the surface cards beside what is usual."""
    rows = next(iter(feature_tables(warehouse, Days(day, day))))[1]
    matrix = features_of(rows)[:, : len(feature_names())]
    seen = rows_with(matrix, "surface")
    return np.array(rows["NodeID"].to_pylist())[seen].tolist(), matrix[seen][:, change_columns("surface")]


def test_a_well_is_compared_with_itself_two_weeks_before(
    new_warehouse: Callable[[], Warehouse], tmp_path: Path
) -> None:
    warehouse = new_warehouse()
    simulate_field(tmp_path, wells=2, days=2, seed=12, start=FIRST)
    at = warehouse.address
    settings = load_settings(tmp_path, host=at.host, port=at.port, user=at.user, db=at.db)
    assert take_in(warehouse, open_store(settings), settings).files
    later = FIRST + timedelta(days=14)
    with warehouse.transaction() as tx:
        tx.execute(
            'update xspoc.card set "Date" = "Date" + interval \'13 days\' where "Date" >= $1::timestamp',
            (datetime.combine(FIRST + timedelta(days=1), datetime.min.time()),),
        )
    assert np.isnan(compared(warehouse, FIRST)[1]).all()
    nodes, told = compared(warehouse, later)
    assert len(set(nodes)) == 2
    assert np.isfinite(told).all()

    # a card of the day itself, or one of last week, says nothing of what is usual
    wells = sorted(set(nodes))
    with warehouse.transaction() as tx:
        tx.execute(
            'update xspoc.card set "Date" = "Date" + interval \'7 days\' '
            'where "NodeID" = $1 and "Date" < $2::timestamp',
            (wells[0], datetime.combine(later, datetime.min.time())),
        )
    nodes, again = compared(warehouse, later)
    new = np.array(nodes) == wells[0]
    assert np.isnan(again[new]).all()
    np.testing.assert_array_equal(again[~new], told[~new])
