"""Speed of the warehouse: decoded cards by `Transaction.upsert`, beside a plain ADBC ingest of the same rows.

The plain ingest goes into an empty table with the same columns, the same key and the same storage, without staging, without
counting and without looking for older rows: it is what the upsert is measured against. Both go to the same embedded server with
its ordinary settings (every commit is on disk), each time into a fresh table; medians of alternating repeats. What was
written is read back and compared before any figure is printed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import adbc_driver_postgresql.dbapi
import numpy as np
import pyarrow as pa

from oasis_pipeline.schema import Table, Type, create_table_sql, table
from oasis_pipeline.storage import embedded
from oasis_pipeline.storage.migrate import prepare
from oasis_pipeline.storage.postgres import Warehouse

N_CARDS = 20_000
SURFACE_POINTS = 200
PUMP_POINTS = 100
REPEATS = 5

CARD = replace(table("xspoc", "card"), indexes=())
PLAIN = replace(CARD, name="bench_plain")
OURS = replace(CARD, name="bench_upsert")


def decoded_cards(n_cards: int = N_CARDS, seed: int = 0) -> pa.Table:
    """Make rows of ``xspoc.card`` as intake writes them: surface and pump cards, all scalars filled."""
    rng = np.random.default_rng(seed)
    wells = n_cards // 100
    number = np.arange(n_cards)
    date = pa.array(np.datetime64("2024-01-01T00:00", "ms") + (number // wells) * np.timedelta64(8, "h"))
    limits = {"surfcard": (SURFACE_POINTS, 168.0, 20_000.0), "pocdowncard": (PUMP_POINTS, 150.0, 8_000.0)}

    def points(name: str) -> pa.Array:
        count, stroke, load = limits[name.partition("_")[0]]
        high, digits = (stroke, 2) if name.endswith("_position") else (load, 0)
        phase = np.linspace(0, 2 * np.pi, count, endpoint=False)
        values = high * (0.5 - 0.5 * np.cos(phase)) * rng.uniform(0.5, 1, (n_cards, 1))
        values += rng.normal(0, 0.01 * high, (n_cards, count))
        flat = np.round(values, digits).astype(np.float32).ravel()
        return pa.ListArray.from_arrays(np.arange(n_cards + 1, dtype=np.int32) * count, pa.array(flat))

    given: dict[str, Any] = {
        "NodeID": pa.array([f"Smith State {k % wells:04d}H" for k in number]),
        "Date": date,
        "AnalysisDate": date,
        "CardType": pa.array(["P"] * n_cards),
        "file_stamp": pa.array([datetime(2025, 1, 1)] * n_cards, pa.timestamp("ms")),
    }
    columns = {}
    for column in CARD.columns:
        if column.name in given:
            columns[column.name] = given[column.name]
        elif column.type is Type.POINTS and column.name.partition("_")[0] in limits:
            columns[column.name] = points(column.name)
        elif column.type in (Type.FLOAT, Type.INT):
            columns[column.name] = pa.array(rng.integers(0, 1000, n_cards)).cast(column.type.arrow)
        else:
            columns[column.name] = pa.nulls(n_cards, column.type.arrow)
    return pa.table(columns)


def fresh(warehouse: Warehouse, made: Table) -> None:
    with warehouse.transaction() as tx:
        tx.execute(f"DROP TABLE IF EXISTS {made.full_name}")
        for statement in create_table_sql(made):
            tx.execute(statement)


def ingest(warehouse: Warehouse, into: Table, cards: pa.Table) -> None:
    with (
        closing(adbc_driver_postgresql.dbapi.connect(warehouse.address.uri())) as connection,
        closing(connection.cursor()) as cursor,
    ):
        cursor.adbc_ingest(into.name, cards, mode="append", db_schema_name=into.schema)
        connection.commit()


def upsert(warehouse: Warehouse, into: Table, cards: pa.Table) -> int:
    with warehouse.transaction() as tx:
        return tx.upsert(into, cards, newest_by="file_stamp").changed


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def rows() -> list[dict[str, Any]]:
    """Measure; one row a figure: name, figure, unit, note."""
    with (
        tempfile.TemporaryDirectory(prefix="oasis-bench-") as folder,
        embedded.lease(Path(folder) / "postgres") as server,
    ):
        address = replace(server, db="oasis")
        prepare(address)
        with closing(Warehouse(address)) as warehouse:
            return _measure(warehouse)


def _measure(warehouse: Warehouse) -> list[dict[str, Any]]:
    cards = decoded_cards()
    again = cards.set_column(
        cards.column_names.index("file_stamp"),
        "file_stamp",
        pa.array([datetime(2025, 1, 2)] * len(cards), pa.timestamp("ms")),
    )
    names = ("plain", "upsert", "same", "newer", "read")
    taken: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(REPEATS):
        fresh(warehouse, PLAIN)
        taken["plain"].append(seconds(lambda: ingest(warehouse, PLAIN, cards)))
        fresh(warehouse, OURS)
        taken["upsert"].append(seconds(lambda: upsert(warehouse, OURS, cards)))
        taken["same"].append(seconds(lambda: upsert(warehouse, OURS, cards)))
        taken["newer"].append(seconds(lambda: upsert(warehouse, OURS, again)))
        taken["read"].append(seconds(lambda: warehouse.read(OURS)))
        if repeat == 0:
            _check(warehouse, cards, again)
    speed = {name: len(cards) / median(times) for name, times in taken.items()}
    what = f"{len(cards)} cards, surface {SURFACE_POINTS} and pump {PUMP_POINTS} points, {cards.nbytes / 1e6:.0f} MB"
    return [
        {
            "name": "plain ADBC ingest",
            "figure": round(speed["plain"]),
            "unit": "rows/s",
            "note": f"{what}, empty table",
        },
        {
            "name": "upsert, empty table",
            "figure": round(speed["upsert"]),
            "unit": "rows/s",
            "note": "COPY to staging, one upsert",
        },
        {
            "name": "upsert : plain ingest",
            "figure": round(speed["upsert"] / speed["plain"], 2),
            "unit": "",
            "note": "same run; 0.5 or more is wanted",
        },
        {
            "name": "upsert, same rows again",
            "figure": round(speed["same"]),
            "unit": "rows/s",
            "note": "changes no row",
        },
        {
            "name": "upsert, same rows, newer file",
            "figure": round(speed["newer"]),
            "unit": "rows/s",
            "note": "only the stamps move",
        },
        {"name": "read to Arrow", "figure": round(speed["read"]), "unit": "rows/s", "note": "every column"},
    ]


def _check(warehouse: Warehouse, cards: pa.Table, again: pa.Table) -> None:
    order = [("NodeID", "ascending"), ("Date", "ascending")]
    for made, expected in ((PLAIN, cards), (OURS, again)):
        found = warehouse.read(made).sort_by(order)
        if not found.equals(expected.select(found.column_names).sort_by(order)):
            raise AssertionError(f"{made.name} does not hold what was written")
    if upsert(warehouse, OURS, cards):
        raise AssertionError("older rows have changed something")


def main() -> None:
    for row in rows():
        print(f"{row['name']:32} {row['figure']:>10} {row['unit']:8} {row['note']}")


if __name__ == "__main__":
    main()
