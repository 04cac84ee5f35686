"""What is known of a source: how far each well was read, what was sent, and how far its tasks are.

Here: the tables ``source_watermark``, ``source_row`` and ``source_task`` of one source. Not here: what is read because of them (``database``).
"""

from __future__ import annotations

from collections import abc
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from oasis_pipeline.intake.sources.mapping import Mapping
from oasis_pipeline.schema import Table
from oasis_pipeline.schema.model import arrow_schema
from oasis_pipeline.schema.system_tables import SOURCE_ROW, SOURCE_TASK, SOURCE_WATERMARK
from oasis_pipeline.storage.postgres import Transaction, Warehouse

_SWEEP, _STAMP = "sweep", "stamp"


class Watermarks:
    """Watermarks, digests and tasks of a source.

    Parameters
    ----------
    warehouse : Warehouse
    mapping : Mapping
        Of the source; its name is the source's.
    """

    def __init__(self, warehouse: Warehouse, mapping: Mapping) -> None:
        self._warehouse, self._mapping = warehouse, mapping

    def kinds(self) -> set[str]:
        """Return the kinds that rows were sent of."""
        rows = self._warehouse.query(
            f"SELECT DISTINCT kind FROM {SOURCE_ROW.full_name} WHERE source = $1", (self._mapping.name,)
        )
        return set(rows["kind"].to_pylist())

    def newest(self, kind: str) -> dict[str, datetime]:
        """Return the time of the newest row that was sent, by well."""
        rows = self._warehouse.query(
            f"SELECT well, newest FROM {SOURCE_WATERMARK.full_name} WHERE source = $1 AND kind = $2",
            (self._mapping.name, kind),
        )
        return {row["well"]: row["newest"] for row in rows.to_pylist()}

    def digests(self, kind: str, since: dict[str, datetime] | None = None) -> dict[str, str]:
        """Return digests of what was sent by the text of the key: of all wells, or of some from their times on."""
        where, params = "source = $1 AND kind = $2", [self._mapping.name, kind]
        extra: list[Any] = []
        if since is not None:
            where += " AND well = ANY($3::text[]) AND row_time >= $4::timestamp"
            extra = [list(since), min(since.values())]
        rows = self._warehouse.query(
            f"SELECT row_key, digest FROM {SOURCE_ROW.full_name} WHERE {where}", (*params, *extra)
        )
        return dict(zip(rows["row_key"].to_pylist(), rows["digest"].to_pylist(), strict=True))

    def note(
        self,
        kind: str,
        newest: dict[str, datetime],
        digests: abc.Mapping[str, tuple[str, datetime | None, str]],
    ) -> None:
        """Move watermarks forward, never back, and keep digests of what was sent: key -> well, time, digest."""
        own = {"source": self._mapping.name, "kind": kind}
        marks = self.newest(kind) if newest else {}
        moved = [
            {**own, "well": well, "newest": at, "noted_at": datetime.now(UTC)}
            for well, at in newest.items()
            if well not in marks or at > marks[well]
        ]
        rows = [
            {**own, "row_key": key, "well": well, "row_time": at, "digest": digest}
            for key, (well, at, digest) in digests.items()
        ]
        with self._warehouse.transaction() as tx:
            _upsert(tx, SOURCE_WATERMARK, moved)
            _upsert(tx, SOURCE_ROW, rows)

    def forget(self, kinds: abc.Iterable[str]) -> None:
        """Drop digests of rows so old that no sweep meets them again."""
        with self._warehouse.transaction() as tx:
            for kind in kinds:
                days = max(self._mapping.sweep_days(kind), self._mapping.overlap_minutes / 1440) + 1
                tx.execute(
                    f"DELETE FROM {SOURCE_ROW.full_name} AS r USING {SOURCE_WATERMARK.full_name} AS w WHERE r.source = $1 AND r.kind = $2"
                    " AND w.source = r.source AND w.kind = r.kind AND w.well = r.well AND r.row_time < w.newest - $3::float8 * interval '1 day'",
                    (self._mapping.name, kind, days),
                )

    def stamp(self) -> datetime | None:
        """Return the stamp of the newest file."""
        last: datetime | None = self._task(_STAMP).get("stamp")
        return last

    def note_stamp(self, stamp: datetime) -> None:
        """Keep the stamp of a file that is about to be written."""
        self._note_task(_STAMP, stamp=stamp)

    def position(self, task: str) -> str | None:
        """Return how far a backfill came; None if it was not begun, or is done."""
        position: str | None = self._task(task).get("position")
        return position

    def note_position(self, task: str, position: str | None) -> None:
        """Keep how far a backfill came."""
        self._note_task(task, position=position)

    def sweep_due(self) -> bool:
        """Say whether the last sweep is too long ago."""
        last = self._task(_SWEEP).get("at")
        age = None if last is None else (datetime.now(UTC) - last).total_seconds()
        return age is None or not 0 <= age < self._mapping.sweep_minutes * 60

    def note_sweep(self) -> None:
        """Keep that a sweep ended now."""
        self._note_task(_SWEEP)

    def _task(self, name: str) -> dict[str, Any]:
        rows = self._warehouse.query(
            f"SELECT stamp, position, at FROM {SOURCE_TASK.full_name} WHERE source = $1 AND task = $2",
            (self._mapping.name, name),
        ).to_pylist()
        return rows[0] if rows else {}

    def _note_task(self, name: str, **values: Any) -> None:
        row = {
            "source": self._mapping.name,
            "task": name,
            "stamp": None,
            "position": None,
            "at": datetime.now(UTC),
            **values,
        }
        with self._warehouse.transaction() as tx:
            _upsert(tx, SOURCE_TASK, [row])


def _upsert(tx: Transaction, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        tx.upsert(table, pa.Table.from_pylist(rows, schema=pa.schema(list(arrow_schema(table)))))
