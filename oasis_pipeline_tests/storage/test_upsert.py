"""Upsert against a plain dictionary, on a real server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from oasis_pipeline.schema import Column, Kind, Table, Type, arrow_schema, table
from oasis_pipeline.storage.errors import StorageError
from oasis_pipeline.storage.postgres import Upserted, Warehouse

pytestmark = pytest.mark.server

TEST = table("xspoc", "welltest")
CARD = table("xspoc", "card")
DAY = datetime(2024, 3, 1, 6, 30)
STAMP = datetime(2024, 3, 2)


def well_tests(*rows: tuple[str, datetime, float | None, datetime]) -> pa.Table:
    names = ("NodeID", "TestDate", "OilRate", "file_stamp")
    types = (pa.string(), pa.timestamp("ms"), pa.float64(), pa.timestamp("ms"))
    columns = list(zip(*rows, strict=True)) or [()] * 4
    return pa.table({n: pa.array(c, t) for n, c, t in zip(names, columns, types, strict=True)})


def stored(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    found = warehouse.read(TEST, ("NodeID", "TestDate", "OilRate", "file_stamp"), "true ORDER BY 1, 2")
    return [tuple(row.values()) for row in found.to_pylist()]


def upsert(warehouse: Warehouse, rows: pa.Table) -> Upserted:
    with warehouse.transaction() as tx:
        return tx.upsert(TEST, rows, newest_by="file_stamp")


def test_new_rows_are_counted_by_day(warehouse: Warehouse) -> None:
    done = upsert(
        warehouse,
        well_tests(
            ("a", DAY, 1.0, STAMP), ("b", DAY, 2.0, STAMP), ("a", DAY + timedelta(days=3), None, STAMP)
        ),
    )
    assert done == Upserted(3, 0, 3, 3, 0, {date(2024, 3, 1): 2, date(2024, 3, 4): 1})
    assert [row[2] for row in stored(warehouse)] == [1.0, None, 2.0]


def test_the_same_rows_again_change_nothing_on_disk(warehouse: Warehouse) -> None:
    rows = well_tests(("a", DAY, 1.0, STAMP), ("b", DAY, None, STAMP))
    upsert(warehouse, rows)
    place = "SELECT ctid::text AS place, xmin::text AS writer FROM xspoc.welltest"
    before = warehouse.query(place)
    assert upsert(warehouse, rows) == Upserted(stored=2)
    assert warehouse.query(place).equals(before)


def test_a_newer_stamp_with_the_same_values_is_no_change_but_is_kept(warehouse: Warehouse) -> None:
    upsert(warehouse, well_tests(("a", DAY, 1.0, STAMP)))
    later = STAMP + timedelta(hours=2)
    assert upsert(warehouse, well_tests(("a", DAY, 1.0, later))) == Upserted(stored=1)
    between = well_tests(("a", DAY, 9.0, STAMP + timedelta(hours=1)))
    assert upsert(warehouse, between) == Upserted(superseded=1)
    assert stored(warehouse) == [("a", DAY, 1.0, later)]


def test_a_row_wins_whole_nulls_and_missing_columns_included(warehouse: Warehouse) -> None:
    first = well_tests(("a", DAY, 1.0, STAMP)).append_column("GasRate", pa.array([5.0]))
    upsert(warehouse, first)
    done = upsert(warehouse, well_tests(("a", DAY, None, STAMP)))
    assert (done.stored, done.inserted, done.changed) == (1, 0, 1)
    row = warehouse.read(TEST).to_pylist()[0]
    assert row["OilRate"] is None
    assert row["GasRate"] is None


def test_inside_one_call_the_newest_stamp_wins_then_the_last_row(warehouse: Warehouse) -> None:
    newer = STAMP + timedelta(hours=1)
    done = upsert(
        warehouse,
        well_tests(
            ("a", DAY, 1.0, newer), ("a", DAY, 2.0, newer), ("a", DAY, 3.0, STAMP), ("b", DAY, 4.0, STAMP)
        ),
    )
    assert (done.stored, done.superseded) == (2, 2)
    assert stored(warehouse) == [("a", DAY, 2.0, newer), ("b", DAY, 4.0, STAMP)]


def test_every_type_comes_back_as_it_went_in(warehouse: Warehouse) -> None:
    rejected = table("xspoc", "rejected")
    rows = pa.table(
        {
            "Kind": ["CardData"],
            "SourceFile": ["Ä 'quoted' \\ file"],
            "RowNumber": pa.array([7], pa.int32()),
            "Date": pa.array([DAY], pa.timestamp("us")),
            "Reason": ["because\nof \t this"],
            "Raw": ['{"a": "b\'", "c": null}'],
            "RejectedAt": pa.array([STAMP], pa.timestamp("us", tz="UTC")),
        }
    )
    with warehouse.transaction() as tx:
        assert tx.upsert(rejected, rows).inserted == 1
        assert tx.upsert(rejected, rows).changed == 0
    back = warehouse.read(rejected)
    assert back.schema.equals(pa.schema([(c.name, c.type.arrow) for c in rejected.columns]))
    assert back.select(rows.column_names).to_pylist() == rows.to_pylist()


def test_points_of_cards_come_back_bit_by_bit(warehouse: Warehouse) -> None:
    points = [[0.1, -0.0, float("inf"), 1e-45, 3.4e38], [], None, [float("nan")] * 200]
    rows = pa.table(
        {
            "NodeID": ["a", "b", "c", "d"],
            "Date": pa.array([DAY] * 4, pa.timestamp("ms")),
            "surfcard_load": pa.array(points, pa.list_(pa.float32())),
            "file_stamp": pa.array([STAMP] * 4, pa.timestamp("ms")),
        }
    )
    with warehouse.transaction() as tx:
        tx.upsert(CARD, rows, newest_by="file_stamp")
        again = tx.upsert(CARD, rows, newest_by="file_stamp")
    assert again == Upserted(stored=4)
    back = warehouse.read(CARD, ["surfcard_load"], 'true ORDER BY "NodeID"')["surfcard_load"].combine_chunks()
    there = rows["surfcard_load"].combine_chunks()
    assert back.is_null().to_pylist() == there.is_null().to_pylist()
    assert back.value_lengths().equals(there.value_lengths())
    assert back.flatten().to_numpy().tobytes() == there.flatten().to_numpy().tobytes()


def test_floating_keys_follow_the_server(warehouse: Warehouse) -> None:
    survey = table("xspoc", "deviations")
    rows = pa.table(
        {
            "NodeID": ["a"] * 2,
            "MD": [0.0, -0.0],
            "Azimuth": [1.0, 2.0],
            "file_stamp": pa.array([STAMP] * 2, pa.timestamp("ms")),
        }
    )
    with warehouse.transaction() as tx:
        assert tx.upsert(survey, rows) == Upserted(1, 1, 1, 1, 0, {})
    assert warehouse.read(survey, ["Azimuth"])["Azimuth"].to_pylist() == [2.0]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (pa.table({"NodeID": ["a"], "Nonsense": [1]}), "no column Nonsense"),
        (well_tests(("a", DAY, 1.0, STAMP)).drop_columns("TestDate"), "without the column TestDate"),
        (well_tests(("a", DAY, 1.0, STAMP), ("b", None, 1.0, STAMP)), "1 rows without a value of TestDate"),  # type: ignore[arg-type]
        (
            well_tests(("a", DAY, 1.0, STAMP)).set_column(2, "OilRate", pa.array(["much"])),
            "OilRate \\(string\\) does not convert to double",
        ),
        (well_tests(("a", DAY, 1.0, STAMP)).drop_columns("file_stamp"), "without the column file_stamp"),
    ],
)
def test_rows_that_do_not_fit_are_refused_in_one_line(
    warehouse: Warehouse, rows: pa.Table, words: str
) -> None:
    with pytest.raises(StorageError, match=words) as raised:
        upsert(warehouse, rows)
    assert "\n" not in str(raised.value)
    assert stored(warehouse) == []


def test_an_error_rolls_everything_back(warehouse: Warehouse) -> None:
    def fail() -> None:
        with warehouse.transaction() as tx:
            tx.upsert(TEST, well_tests(("a", DAY, 1.0, STAMP)), newest_by="file_stamp")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert stored(warehouse) == []


def test_several_upserts_in_one_transaction(warehouse: Warehouse) -> None:
    with warehouse.transaction() as tx:
        one = tx.upsert(TEST, well_tests(("a", DAY, 1.0, STAMP)), newest_by="file_stamp")
        two = tx.upsert(
            TEST, well_tests(("a", DAY, 2.0, STAMP), ("b", DAY, 1.0, STAMP)), newest_by="file_stamp"
        )
        none = tx.upsert(TEST, well_tests(), newest_by="file_stamp")
    assert (one + two + none) == Upserted(3, 0, 2, 3, 0, {date(2024, 3, 1): 3})


def test_columns_may_come_with_the_data(warehouse: Warehouse) -> None:
    xpred = table("clean", "xpred")
    rows = {
        "NodeID": ["a"],
        "Date": [DAY],
        "HorizonDays": [7],
        "PredClass": ["Normal"],
        "Prob Normal": [80.0],
        "FailureProb": [20.0],
        "ModelVersion": ["base-1"],
        'Prob Rod "x"': [20.0],
    }
    with warehouse.transaction() as tx:
        wider = tx.add_columns(xpred, [Column('Prob Rod "x"', Type.FLOAT, "%"), xpred.by_name["Prob Normal"]])
        tx.upsert(wider, pa.table(rows))
    with warehouse.transaction() as tx:
        assert tx.add_columns(xpred, [Column('Prob Rod "x"', Type.FLOAT, "%")]) == wider
    assert warehouse.read(wider, list(rows)).to_pylist() == [
        {name: values[0] for name, values in rows.items()}
    ]


class TestReplaceDays:
    @pytest.fixture
    def filled(self, warehouse: Warehouse) -> Warehouse:
        upsert(
            warehouse,
            well_tests(*((well, DAY + timedelta(days=day), 1.0, STAMP) for well in "ab" for day in range(4))),
        )
        return warehouse

    def test_rows_of_the_days_become_exactly_those_given(self, filled: Warehouse) -> None:
        rows = well_tests(
            ("a", DAY + timedelta(days=1), 1.0, STAMP),
            ("a", DAY + timedelta(days=2), 5.0, STAMP),
            ("c", DAY + timedelta(days=2), 6.0, STAMP),
        )
        with filled.transaction() as tx:
            done = tx.replace_days(TEST, rows, date(2024, 3, 2), date(2024, 3, 3))
        assert done == Upserted(3, 0, 1, 4, 2, {date(2024, 3, 2): 1, date(2024, 3, 3): 3})
        assert [(well, time.day, rate) for well, time, rate, _ in stored(filled)] == [
            ("a", 1, 1.0), ("a", 2, 1.0), ("a", 3, 5.0), ("a", 4, 1.0), ("b", 1, 1.0), ("b", 4, 1.0), ("c", 3, 6.0),
        ]  # fmt: skip

    def test_no_rows_empty_the_days(self, filled: Warehouse) -> None:
        with filled.transaction() as tx:
            done = tx.replace_days(TEST, well_tests(), date(2024, 3, 1), date(2024, 3, 1))
        assert done == Upserted(changed=2, removed=2, changed_days={date(2024, 3, 1): 2})
        assert len(stored(filled)) == 6

    def test_open_ends_take_the_whole_table(self, filled: Warehouse) -> None:
        with filled.transaction() as tx:
            done = tx.replace_days(TEST, well_tests(("a", DAY, 1.0, STAMP)), None, None)
        assert (done.changed, done.removed) == (7, 7)
        assert len(stored(filled)) == 1

    def test_rows_outside_of_the_range_are_refused(self, filled: Warehouse) -> None:
        with pytest.raises(StorageError, match="rows lie outside 2024-03-02"), filled.transaction() as tx:
            tx.replace_days(TEST, well_tests(("a", DAY, 1.0, STAMP)), date(2024, 3, 2), date(2024, 3, 2))
        assert len(stored(filled)) == 8

    def test_a_table_without_days_has_none_to_replace(self, warehouse: Warehouse) -> None:
        units = table("xspoc", "pumpingunits")
        empty = arrow_schema(units).empty_table()
        with pytest.raises(StorageError, match="no days"), warehouse.transaction() as tx:
            tx.replace_days(units, empty, date(2024, 3, 2), None)


MODEL_TABLE = Table(
    "clean",
    "for_the_model",
    ("well", "time"),
    (
        Column("well", Type.TEXT),
        Column("time", Type.TIME),
        Column("value", Type.FLOAT),
        Column("stamp", Type.TIME, required=True),
    ),
    Kind.SERIES,
    "Test.",
    time_column="time",
)

row = st.tuples(
    st.sampled_from(["A", "b", "ß"]),
    st.sampled_from([DAY, DAY + timedelta(milliseconds=1), DAY + timedelta(days=1)]),
    st.one_of(st.none(), st.sampled_from([0.0, 1.5, float("nan")])),
    st.sampled_from([STAMP, STAMP + timedelta(minutes=1), STAMP + timedelta(minutes=2)]),
)
batches = st.lists(st.lists(row, max_size=8), min_size=1, max_size=4)


def as_table(rows: list[Any]) -> pa.Table:
    names = ("well", "time", "value", "stamp")
    columns = list(zip(*rows, strict=True)) or [()] * 4
    types = [column.type.arrow for column in MODEL_TABLE.columns]
    return pa.table({n: pa.array(c, t) for n, c, t in zip(names, columns, types, strict=True)})


@pytest.fixture(scope="module")
def model_warehouse(new_warehouse: Callable[[], Warehouse]) -> Warehouse:
    made = new_warehouse()
    with made.transaction() as tx:
        tx.execute(
            "CREATE TABLE clean.for_the_model (well text, time timestamp(3), value double precision,"
            " stamp timestamp(3) NOT NULL, PRIMARY KEY (well, time))"
        )
    return made


def same(one: Any, other: Any) -> bool:
    return (
        one is other
        or one == other
        or (one is not None and other is not None and one != one and other != other)
    )


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=batches)
def test_newest_stamp_wins_as_in_a_dictionary(model_warehouse: Warehouse, batches: list[list[Any]]) -> None:
    model: dict[Any, tuple[Any, datetime]] = {}
    with model_warehouse.transaction() as tx:
        tx.execute("DELETE FROM clean.for_the_model")
        for batch in batches:
            before = dict(model)
            for well, time, value, stamp in batch:
                if (well, time) not in model or model[well, time][1] <= stamp:
                    model[well, time] = (value, stamp)
            done = tx.upsert(MODEL_TABLE, as_table(batch), newest_by="stamp")
            changed = {key for key in model if key not in before or not same(before[key][0], model[key][0])}
            winners = {(w, t) for w, t, _, s in batch if model[w, t][1] == s}
            assert done.stored == len(winners)
            assert done.stored + done.superseded == len(batch)
            assert done.inserted == len(model.keys() - before.keys())
            assert done.changed == len(changed) == sum(done.changed_days.values())
            assert done.changed_days.keys() == {time.date() for _, time in changed}
        found = {(r["well"], r["time"]): (r["value"], r["stamp"]) for r in tx.read(MODEL_TABLE).to_pylist()}
    assert found.keys() == model.keys()
    assert all(same(found[key][0], model[key][0]) and found[key][1] == model[key][1] for key in model)


@hypothesis_settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=batches, data=st.data())
def test_order_of_arrival_matters_only_between_equal_stamps(
    model_warehouse: Warehouse, batches: list[list[Any]], data: st.DataObject
) -> None:
    # one value for each key and stamp, so that no tie is left to the order
    batches = [[(w, t, float(s.minute * 7 + t.day), s) for w, t, _, s in batch] for batch in batches]
    results = []
    for order in (batches, data.draw(st.permutations(batches))):
        with model_warehouse.transaction() as tx:
            tx.execute("DELETE FROM clean.for_the_model")
            for batch in order:
                tx.upsert(MODEL_TABLE, as_table(batch), newest_by="stamp")
            results.append(tx.read(MODEL_TABLE, None, "true ORDER BY well, time"))
    assert results[0].equals(results[1])
