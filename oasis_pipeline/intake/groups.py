"""Groups of wells: routes, batteries, foremen.

Here: how a Groups file and what people choose by hand enter ``analysis.well_group``. Not here: who looks at wells by group.

A file names the groups of wells as they are: it replaces what earlier files said of each well it names, and leaves the others alone. What
somebody chose by hand stays until somebody takes it back by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from oasis_pipeline.intake.marks import Marks
from oasis_pipeline.schema import table
from oasis_pipeline.storage.postgres import Transaction
from oasis_pipeline.storage.upsert import Upserted

WELL_GROUP = table("analysis", "well_group")

_REPLACED = """
delete from analysis.well_group as g using unnest($1::text[]) as w(node)
where g."NodeID" = w.node and g.given_by is null and g.file_stamp <= $2::timestamp
    and not exists (select from unnest($3::text[], $4::text[]) as r(node, name) where r.node = g."NodeID" and r.name = g."GroupName")
"""

_STORED = """
insert into analysis.well_group as g ("NodeID", "GroupName", file_stamp)
select r.node, r.name, $3::timestamp from unnest($1::text[], $2::text[]) as r(node, name)
on conflict ("NodeID", "GroupName") do update set file_stamp = excluded.file_stamp where g.given_by is null
"""

_NEW = """
select count(*) as n from unnest($1::text[], $2::text[]) as r(node, name)
left join analysis.well_group as g on g."NodeID" = r.node and g."GroupName" = r.name where g."NodeID" is null
"""


def load_groups(tx: Transaction, rows: pa.Table, stamp: datetime, marks: Marks) -> Upserted:
    """Load the rows of one Groups file.

    Parameters
    ----------
    tx : Transaction
    rows : pyarrow.Table
        ``NodeID`` in the shown spelling, ``GroupName``; one row a key.
    stamp : datetime
        The file's.
    marks : Marks
        Gets the table, if a well came into a group or left one.

    Returns
    -------
    Upserted
        Rows of wells of which a newer file has spoken are superseded.
    """
    if rows.num_rows == 0:
        return Upserted()
    wells: list[str] = pc.unique(rows["NodeID"]).to_pylist()
    newer = tx.query(
        'select distinct "NodeID" as node from analysis.well_group '
        'where "NodeID" = any($1::text[]) and given_by is null and file_stamp > $2::timestamp',
        (wells, stamp),
    )["node"].to_pylist()
    kept = rows.filter(pc.invert(pc.is_in(rows["NodeID"], value_set=pa.array(newer, pa.string()))))
    nodes, names = kept["NodeID"].to_pylist(), kept["GroupName"].to_pylist()
    removed = tx.execute(_REPLACED, (sorted(set(nodes)), stamp, nodes, names))
    inserted = int(tx.query(_NEW, (nodes, names))["n"][0].as_py())
    tx.execute(_STORED, (nodes, names, stamp))
    if removed or inserted:
        marks.whole(WELL_GROUP, kept.num_rows)
    return Upserted(
        stored=kept.num_rows,
        superseded=rows.num_rows - kept.num_rows,
        inserted=inserted,
        removed=removed,
    )


def choose_wells(tx: Transaction, name: str, wells: Sequence[str], given_by: str, now: datetime) -> None:
    """Make a group hold these wells and no others, by hand.

    Parameters
    ----------
    tx : Transaction
    name : str
        Of the group.
    wells : sequence of str
        NodeIDs as shown; none takes the group away.
    given_by : str
        Who chooses.
    now : datetime
        The field's local time, without a zone.
    """
    marks = Marks()
    gone = tx.execute(
        'delete from analysis.well_group where "GroupName" = $1 and "NodeID" <> all($2::text[])',
        (name, list(wells)),
    )
    come = tx.execute(
        'insert into analysis.well_group ("NodeID", "GroupName", given_by, file_stamp) '
        "select w.node, $1, $3, $4::timestamp from unnest($2::text[]) as w(node) on conflict do nothing",
        (name, list(wells), given_by, now),
    )
    if gone or come:
        marks.whole(WELL_GROUP)
        marks.write(tx)
