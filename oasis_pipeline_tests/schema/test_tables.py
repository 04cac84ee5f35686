from __future__ import annotations

import pyarrow as pa
import pytest

from oasis_pipeline.schema import (
    CARD_BLOBS,
    DROP_KINDS,
    TABLES,
    Column,
    Kind,
    Table,
    Type,
    arrow_schema,
    create_table_sql,
    history_of,
    table,
)


def test_the_kinds_and_targets_of_the_drop_folder() -> None:
    targets = {name: kind.table.asset for name, kind in DROP_KINDS.items()}
    assert targets == {
        "CardData": "xspoc/card",
        "XDiagResults": "xspoc/xdiagresults",
        "XDiagRodResults": "xspoc/xdiagrodresults",
        "WellTests": "xspoc/welltest",
        "WellDetails": "xspoc/welldetails",
        "Rods": "xspoc/rods",
        "Deviations": "xspoc/deviations",
        "PumpingUnits": "xspoc/pumpingunits",
        "Failures": "analysis/failure_info",
        "Labels": "clean/dynalabel",
        "Groups": "analysis/well_group",
        "Readings": "iot/rawdata",
    }


def test_the_vendors_results_have_all_99_columns() -> None:
    assert len(DROP_KINDS["XDiagResults"].columns) == 99


def test_each_blob_has_a_column_for_each_axis() -> None:
    card = table("xspoc", "card")
    for prefix in CARD_BLOBS.values():
        assert card.by_name[f"{prefix}_position"].unit == "in"
        assert card.by_name[f"{prefix}_load"].unit == "lbf"
    assert set(CARD_BLOBS) < set(DROP_KINDS["CardData"].columns)


@pytest.mark.parametrize("each", TABLES, ids=lambda t: t.asset)
def test_ddl_and_arrow_schema_agree_on_columns_and_keys(each: Table) -> None:
    create = create_table_sql(each)[0]
    schema = arrow_schema(each)
    for column in each.columns:
        assert f'"{column.name}" {column.type.sql}' in create
        assert schema.field(column.name).type == column.type.arrow
        assert schema.field(column.name).nullable is not (column.required or column.name in each.key)
    assert each.time_column is None or each.time_column in each.key
    assert (each.kind is Kind.SERIES) == (each.time_column is not None)


def test_a_history_keeps_every_state_by_the_stamp_of_its_file() -> None:
    rods, history = table("xspoc", "rods"), history_of(table("xspoc", "rods"))
    assert history.key == ("NodeID", "RodNum", "ValidFrom")
    assert "file_stamp" not in history.by_name
    assert set(rods.column_names) - set(history.column_names) == {"file_stamp"}


def test_a_key_that_is_no_column_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown key columns"):
        Table("a", "b", ("x",), (Column("y"),), Kind.STATE, "")


def test_times_are_kept_to_the_millisecond() -> None:
    assert Type.TIME.arrow == pa.timestamp("ms")
    assert Type.TIME.sql == "timestamp(3)"
