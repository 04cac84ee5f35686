"""What a file changed, gathered while it is loaded and written to the ledger at the end of its transaction.

Here: changed partitions with their numbers of rows. Not here: what is made from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from oasis_pipeline.schema import Table, history_of, quote
from oasis_pipeline.storage import ledger
from oasis_pipeline.storage.postgres import Transaction

WHOLE = ""
"""Partition of an asset without partitions."""


class Marks:
    """Changed partitions of a file's transaction."""

    def __init__(self) -> None:
        self._tables: dict[str, Table] = {}
        self.changed: dict[str, dict[str, int]] = {}
        """Asset -> partition -> rows that changed (0 = not counted)."""
        self._more: dict[str, dict[str, int]] = {}
        self._since: dict[str, set[str]] = {}

    def days(self, table: Table, days: Iterable[str] | Mapping[str, int]) -> None:
        """Mark days of a table.

        Parameters
        ----------
        table : Table
        days : iterable of str, or mapping of str to int
            ISO days, with the number of changed rows where it is known.
        """
        counted = dict(days) if isinstance(days, Mapping) else dict.fromkeys(days, 0)
        if not counted:
            return
        self._tables[table.asset] = table
        mine = self.changed.setdefault(table.asset, {})
        for day, rows in counted.items():
            mine[day] = mine.get(day, 0) + rows

    def counted_days(self, table: Table, changed: Mapping[str, int], more: Mapping[str, int]) -> None:
        """Mark days of a table that others write at the same time, so that its rows can't be counted but only added.

        Parameters
        ----------
        table : Table
        changed : mapping of str to int
            Changed rows by ISO day.
        more : mapping of str to int
            Rows that are new, by ISO day.
        """
        self.days(table, changed)
        mine = self._more.setdefault(table.asset, {})
        for day, rows in more.items():
            mine[day] = mine.get(day, 0) + rows

    def whole(self, table: Table, rows: int = 0) -> None:
        """Mark an asset without partitions."""
        self.days(table, {WHOLE: rows})

    def since(self, table: Table, day: date | None) -> None:
        """Mark that a state of an equipment table is another one from a day on, or for all time if the day is None.

        The mark stands under the name of the history, with the day as partition: what is made of earlier days stays as it is.
        """
        partition = WHOLE if day is None else day.isoformat()
        self._since.setdefault(history_of(table).asset, set()).add(partition)

    def write(self, tx: Transaction) -> None:
        """Write everything to the ledger, each partition with the number of rows that it holds now.

        Parameters
        ----------
        tx : Transaction
        """
        for asset, partitions in self.changed.items():
            if asset in self._more:
                more = self._more[asset]
                ledger.mark_changed_by(tx, asset, {day: more.get(day, 0) for day in sorted(partitions)})
                continue
            ledger.mark_changed(tx, asset, _held(tx, self._tables[asset], list(partitions)))
        for asset, since in self._since.items():
            ledger.mark_changed(tx, asset, dict.fromkeys(since))


def _held(tx: Transaction, table: Table, partitions: list[str]) -> dict[str, int | None]:
    """Count the rows of partitions; a day of a table that is not kept by day is not counted."""
    held: dict[str, int | None] = dict.fromkeys(partitions)
    if WHOLE in held:
        held[WHOLE] = int(tx.query(f"SELECT count(*) AS n FROM {table.full_name}")["n"][0].as_py())
    days = [day for day in partitions if day != WHOLE]
    if days and table.time_column is not None:
        held |= dict.fromkeys(days, 0)
        time = quote(table.time_column)
        counts = tx.query(
            f"SELECT d.day, count(t.{time}) AS n FROM unnest($1::text[]) AS d(day) "
            f"LEFT JOIN {table.full_name} AS t ON t.{time} >= d.day::date AND t.{time} < d.day::date + 1 GROUP BY d.day",
            (days,),
        )
        held |= dict(zip(counts["day"].to_pylist(), counts["n"].to_pylist(), strict=True))
    return held
