"""What a materialization enters into the ledger, and when."""

from __future__ import annotations

import pytest

from oasis_pipeline.operations.materializations import record_materialization
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Warehouse

ASSET, DAY = "clean/card_features", "2025-01-02"


def error_of(warehouse: Warehouse) -> str | None:
    return ledger.states(warehouse, [ASSET])[ASSET, DAY].error


def test_what_fails_after_the_rows_were_handed_on_is_in_the_ledger_at_once(warehouse: Warehouse) -> None:
    """The body still waits then, and when an interpreter closes it is up to that: 3.13 does so later than 3.11."""
    entry = record_materialization(warehouse, ASSET, [DAY])
    entry.__enter__().note_failure(OSError("no space left"))
    assert error_of(warehouse) == "OSError: no space left"
    assert entry.__exit__(GeneratorExit, GeneratorExit(), None) is False
    assert error_of(warehouse) == "OSError: no space left"


def test_a_body_that_raises_is_in_the_ledger_and_one_that_ends_clears_it(warehouse: Warehouse) -> None:
    with pytest.raises(ValueError, match="no rods"), record_materialization(warehouse, ASSET, [DAY]):
        raise ValueError("no rods")
    assert error_of(warehouse) == "ValueError: no rods"
    with record_materialization(warehouse, ASSET, [DAY]) as done:
        done.rows[DAY] = 3
    assert error_of(warehouse) is None
