"""What people say of alarms, as it comes over http.

Here: the body of a decision, and what its faults mean to a client. Not here: the decision itself (``operations.alarm_decisions``).
"""

from __future__ import annotations

import pyarrow as pa

from oasis_pipeline.operations.alarm_decisions import (
    ALARM,
    AlarmError,
    EndedAlarmError,
    NoAlarmError,
    decide,
)
from oasis_pipeline.schema import arrow_schema
from oasis_pipeline.service.errors import ApiError
from oasis_pipeline.service.readings import Body, decode_items, text_field
from oasis_pipeline.service.store import changing

LONGEST_NOTE = 1000


def said_of_alarm(body: Body, field: str) -> str | None:
    """Read the one text that a decision may bring.

    Parameters
    ----------
    body : Body
        May be empty.
    field : str
        Name of the text.

    Returns
    -------
    str or None

    Raises
    ------
    ApiError
        400 if it is anything else.
    """
    if not body.data.strip():
        return None
    items, single, faults = decode_items(body)
    if not single:
        raise ApiError(400, f'the body must be an object like {{"{field}": "..."}}')
    faults.raise_any()
    for name in items[0]:
        if name != field:
            faults.add(0, name[:100], f"is not a field of this request; the field is {field}")
    text = text_field(items[0], field, 0, faults, longest=LONGEST_NOTE)
    faults.raise_any()
    return text


def decide_alarm(alarm_id: str, decision: str, by: str, said: str | None) -> pa.Table:
    """Note what a person says of an alarm.

    Parameters
    ----------
    alarm_id, decision, by : str
    said : str or None
        A dismissal needs it.

    Returns
    -------
    pyarrow.Table
        The alarm as it is now, one row.

    Raises
    ------
    ApiError
        404 if there is no such alarm, 409 if it has ended, 400 if a dismissal has no reason.
    """
    try:
        with changing() as tx:
            row = decide(tx, alarm_id, decision, by, said)
    except NoAlarmError:
        raise ApiError(404, f"there is no alarm {alarm_id[:200]!r}; GET /api/alarm/ lists them") from None
    except EndedAlarmError as error:
        raise ApiError(409, f"{error}: nothing is left to decide") from None
    except AlarmError as error:
        raise ApiError(400, str(error)) from None
    return pa.Table.from_pylist([row], schema=arrow_schema(ALARM))
