"""Events of a well in words."""

from datetime import datetime

import pyarrow as pa

from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage.postgres import Warehouse
from oasis_pipeline.storage.well_events import read_events


def test_an_open_failure_that_was_reported_later_says_when(warehouse: Warehouse) -> None:
    failures = table("analysis", "failure_info")
    rows = [
        {
            "NodeID": "A",
            "Failure Start Date": datetime(2025, 3, day, 1),
            "Failures": "Rod - Body Break",
            "failure_class": "Rod",
            "known_from": known,
            "file_stamp": known,
        }
        for day, known in ((2, datetime(2025, 3, 4, 6)), (5, datetime(2025, 3, 5, 6)))
    ]
    with warehouse.transaction() as tx:
        tx.upsert(failures, pa.Table.from_pylist(rows, schema=arrow_schema(failures)))
    said = [event["what"] for event in read_events(warehouse, "A", datetime(2025, 3, 10), 9)]
    # a list of 2 March shows the well pumping still
    assert said == [
        "failure: Rod - Body Break, open",
        "failure: Rod - Body Break, open, reported 2025-03-04",
    ]
