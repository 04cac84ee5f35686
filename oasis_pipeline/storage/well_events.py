"""What happened to a well, for lists and time axes: failures, alarms, tests, changes of equipment.

Here: one statement over the tables that know of events. Not here: how they are shown.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

_EVENTS = """
select moment, ended, kind, what from (
    select "Failure Start Date" as moment, "Failure End Date" as ended, 'failure' as kind, 'failure: ' || coalesce("Failures", 'unknown')
        || case when "Failure End Date" is null then ', open' || case when known_from::date > "Failure Start Date"::date then ', reported ' || to_char(known_from, 'YYYY-MM-DD') else '' end else ', ended ' || to_char("Failure End Date", 'YYYY-MM-DD') end as what
    from analysis.failure_info where "NodeID" = $1 and known_from < $2
    union all
    select "RaisedAt", "ClosedAt", 'alarm', 'alarm (' || "State" || '): ' || "Reason" from clean.alarm
    where "NodeID" = $1 and "RaisedAt" < $2
    union all
    select "TestDate", null, 'test', 'well test' || case when "Approved" then '' else ', not approved' end || ': '
        || coalesce(round("OilRate"::numeric)::text || ' oil', 'oil not measured') || ', '
        || coalesce(round("WaterRate"::numeric)::text || ' water', 'water not measured') || ', bbl/d'
    from xspoc.welltest where "NodeID" = $1 and "TestDate" < $2
    union all
    select "ValidFrom", null, 'equipment', 'equipment ' || case when "ValidFrom" > min("ValidFrom") over () then 'changed' else 'known from here on' end
    from xspoc.welldetails_history where "NodeID" = $1 and "ValidFrom" < $2
    union all
    select "ValidFrom", null, 'rods', 'rods ' || case when "ValidFrom" > min("ValidFrom") over () then 'changed' else 'known from here on' end
    from (select distinct "ValidFrom" from xspoc.rods_history where "NodeID" = $1 and "ValidFrom" < $2) as strings
) as events order by moment desc, kind limit $3
"""


class _Reader(Protocol):
    def query(self, sql: str, params: Any = ()) -> pa.Table: ...


def read_events(reader: _Reader, node: str, before: datetime, limit: int) -> list[dict[str, Any]]:
    """Read the newest events of a well that were known before a moment.

    Parameters
    ----------
    reader : Warehouse or Transaction
    node : str
        NodeID as shown.
    before : datetime
        The field's local time.
    limit : int

    Returns
    -------
    list of dict
        ``moment``, ``ended`` (None for what has no end, or none yet), ``kind`` (failure, alarm, test, equipment or rods) and ``what`` in
        words; newest first.
    """
    rows: list[dict[str, Any]] = reader.query(_EVENTS, (node, before, limit)).to_pylist()
    return rows
