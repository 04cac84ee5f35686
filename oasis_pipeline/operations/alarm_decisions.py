"""What people say of alarms: acknowledged or dismissed, by whom, when and why.

Here: alarms listed, a decision noted, decisions brought back to alarms. Not here: how alarms are raised (``alarms``).

``analysis.alarm_decision`` is only added to, so it holds the history of each alarm; ``clean.alarm`` shows the newest decision. An alarm
that is made again from nothing finds what was said of it there.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage.postgres import Transaction, Warehouse

ALARM, ALARM_DECISION = table("clean", "alarm"), table("analysis", "alarm_decision")

DECISIONS = ("acknowledged", "dismissed")
ALARM_STATES = ("open", *DECISIONS, "closed")


class AlarmError(ValueError):
    """What was asked of an alarm can't be done; the message says why."""


class NoAlarmError(AlarmError):
    """There is no such alarm."""


class EndedAlarmError(AlarmError):
    """The alarm has ended, so that nothing is left to decide."""


def decide(tx: Transaction, alarm_id: str, decision: str, by: str, note: str | None = None) -> dict[str, Any]:
    """Note what a person says of an alarm.

    Parameters
    ----------
    tx : Transaction
    alarm_id : str
    decision : str
        One of `DECISIONS`.
    by : str
        Who.
    note : str, optional
        Why, or what is done about it; a dismissal needs one.

    Returns
    -------
    dict
        The alarm as it is now. The same decision again without another note changes nothing: who said it first stays.

    Raises
    ------
    NoAlarmError
    EndedAlarmError
    AlarmError
        If a dismissal has no reason.
    """
    if decision not in DECISIONS:
        raise AlarmError(f"a decision must be {' or '.join(DECISIONS)}, not {decision}")
    note = " ".join(note.split()) if note else None
    tx.lock("alarms")
    found = tx.query('select * from clean.alarm where "AlarmID" = $1', (alarm_id,)).to_pylist()
    if not found:
        raise NoAlarmError(f"there is no alarm {alarm_id!r}; `oasis alarms` lists the open ones")
    row: dict[str, Any] = found[0]
    if row["State"] == decision and note in (None, row["note"]):
        return row
    if row["State"] == "closed":
        raise EndedAlarmError(f"the alarm {alarm_id!r} was closed at {row['ClosedAt']}")
    if decision == "dismissed" and not note:
        raise AlarmError("dismissing an alarm needs a reason: use --note")
    row |= {"State": decision, "decided_by": by, "decided_at": datetime.now(UTC), "note": note or row["note"]}
    said = {name: row[name] for name in ALARM_DECISION.column_names if name != "decision"}
    tx.upsert(
        ALARM_DECISION,
        pa.Table.from_pylist([{**said, "decision": decision}], schema=arrow_schema(ALARM_DECISION)),
    )
    tx.upsert(ALARM, pa.Table.from_pylist([row], schema=arrow_schema(ALARM)))
    return row


def decided_alarms(tx: Transaction) -> list[dict[str, Any]]:
    """Read the alarms of which people have said something, as rows of ``clean.alarm``, with what was said last."""
    rows = tx.query(
        'select distinct on ("AlarmID") * from analysis.alarm_decision order by "AlarmID", decided_at desc'
    ).to_pylist()
    return [
        {
            **{name: row.get(name) for name in ALARM.column_names},
            "State": row["decision"],
        }
        for row in rows
    ]


def list_alarms(warehouse: Warehouse, states: tuple[str, ...]) -> list[dict[str, Any]]:
    """Alarms in some states, the newest first."""
    rows: list[dict[str, Any]] = warehouse.query(
        'select * from clean.alarm where "State" = any($1::text[]) order by "RaisedAt" desc, "NodeID"',
        (list(states),),
    ).to_pylist()
    return rows
