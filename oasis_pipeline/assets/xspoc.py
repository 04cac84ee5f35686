"""Assets that intake fills: the tables of the drop files' kinds.

Rows arrive by intake, which records a materialization of each day it touched. Materialising one of these assets by
hand loads its days (or, without partitions, all of it) again from the archive. Not here: reading and checking files.
"""

from __future__ import annotations

from typing import Any

from oasis_pipeline.assets.checks import Check
from oasis_pipeline.assets.common import OWNER, WAREHOUSE_POOL
from oasis_pipeline.assets.declaration import Run, source
from oasis_pipeline.intake import reload_days
from oasis_pipeline.operations.pictures import cards_of_days
from oasis_pipeline.schema import DROP_KINDS, DropKind, Kind

CARDS = "xspoc/card"

_CHECKS = {
    CARDS: (
        Check(
            "usable_cards",
            "every row has a usable surface card or pump card",
            offenders='select "NodeID", "Date", surfcard_fault, pocdowncard_fault from xspoc.card '
            'where "Date" >= $1 and "Date" < $2 and surfcard_fault is not null and pocdowncard_fault is not null',
        ),
    )
}


def _declare(kind: DropKind) -> None:
    table, by_day = kind.table, kind.table.kind is Kind.SERIES

    def load_again(run: Run) -> dict[str, Any]:
        first, last = (run.days.first, run.days.last) if by_day else (None, None)
        done = reload_days(run.warehouse, run.store, table, first, last, run.settings.zone)
        rows = "rows_of_the_run" if by_day else "dagster/row_count"
        return {rows: done.stored, "rows_that_changed": done.changed, "by": "archive"}

    again = "its days are" if by_day else "it is"
    source(
        table.asset,
        partitioned=by_day,
        body=load_again,
        table=table,
        description=f"{table.description} From {kind.name} files; materializing by hand loads {again} again from the archive.",
        kinds=frozenset({"csv", "postgres"}),
        checks=_CHECKS.get(table.asset, ()),
        pictures={"cards": cards_of_days} if table.asset == CARDS else {},
        pool=WAREHOUSE_POOL,
        owner=OWNER,
        metadata={"drop_files": f"{kind.name}.E2E.<YYYYMMDD>.<HHMM>.csv"},
    )


for _kind in DROP_KINDS.values():
    if not _kind.open_columns:  # readings: the data service writes that table too
        _declare(_kind)
