"""What fields of other sizes need, reckoned from what one field took here: time of a night, disk, rows a second.

Rates are those of ``end_to_end`` on this machine in this run; ``docs/capacity.md`` says what gives out first and what to change then.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.bench_end_to_end import SIZE, Measured, measure, write_field

ON_REQUEST = True

FIELDS = ((1_000, 8), (10_000, 8), (100_000, 8), (1_000_000, 8), (1_000, 288), (10_000, 288))
"""Wells, and cards of each a day."""

ROWS_A_CARD = 5.0
"""Rows of PostgreSQL that a card brings: itself, the vendor's result, diagnosis, tapers, prediction and the like."""


def rows(size: tuple[int, int] = SIZE, cache: Path | None = None) -> list[dict[str, Any]]:
    """Measure one field, reckon the others; one row a figure: name, figure, unit, note."""
    with tempfile.TemporaryDirectory(prefix="oasis-bench-") as scratch:
        root = Path(scratch)
        measured = measure(write_field(cache or root / "cache", *size), *size, root)
    return list(_reckoned(measured))


def _reckoned(measured: Measured) -> Iterator[dict[str, Any]]:
    def row(name: str, figure: float, unit: str, note: str = "") -> dict[str, Any]:
        return {"name": name, "figure": figure, "unit": unit, "note": note}

    cards, cores = measured.cards, os.cpu_count() or 1
    training = sum(p["seconds"] for p in measured.backfill["profile"] if p["part"].startswith("models__"))
    a_card = (measured.backfill["seconds"] - training) * cores / cards
    newest = cards / measured.days
    overhead = max(measured.increment["seconds"] - newest * a_card / cores, 0.0)
    database, store, archive = (
        size / cards / 1e3 for size in (measured.database_bytes, measured.store_bytes, measured.archive_bytes)
    )
    yield row("processor time of a card, every table", 1e3 * a_card, "ms", f"{cards:,} cards, training apart")
    yield row("one more day, whatever its size", overhead, "s")
    yield row("disk of a card: database", database, "kB")
    yield row("disk of a card: object store", store, "kB", "features and forecasts")
    yield row("disk of a card: archive of drop files", archive, "kB")
    for wells, a_day in FIELDS:
        daily = wells * a_day
        field = f"{wells:,} wells, {a_day} cards a day"
        night = overhead + daily * a_card / cores
        yield row(f"{field}: one more day", night / 60.0, "min", f"on these {cores} cores")
        yield row(f"{field}: database", daily * 365 * database / 1e6, "GB a year")
        yield row(f"{field}: store and archive", daily * 365 * (store + archive) / 1e6, "GB a year")
        yield row(
            f"{field}: rows of PostgreSQL", daily * ROWS_A_CARD / 86_400, "rows/s", "evenly over the day"
        )
