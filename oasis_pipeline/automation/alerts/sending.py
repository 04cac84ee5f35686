"""Sending what is owed, by `apprise`.

Here: messages, what becomes of those that could not be sent, and the test message. Not here: what is owed (``book``).

A delivery is marked as sent when the receiver's server has taken it. A process that dies in between sends it again: told twice rather than
never. Whatever fails is kept and tried again, after a minute, four, and so on up to an hour, until it is sent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from oasis_pipeline.automation.alerts import texts
from oasis_pipeline.automation.alerts.book import RESOLVED
from oasis_pipeline.automation.alerts.rules import AlertError, Receiver, Rules
from oasis_pipeline.schema.system_tables import ALERT, ALERT_DELIVERY
from oasis_pipeline.storage.errors import one_line
from oasis_pipeline.storage.postgres import Warehouse

if TYPE_CHECKING:
    import apprise

SINGLE = 5
"""More than so many messages for one receiver become one."""

BUDGET_S = 30.0
"""So long one round goes on sending; what is left goes with the next."""

MOST = 500
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)

_log = logging.getLogger(__name__)
_PAGER = "pagerduty"


@dataclass
class Sent:
    """What a round sent.

    Attributes
    ----------
    messages : int
        Messages that were taken.
    failed : dict of str to str
        Receiver -> why nothing could be sent to it.
    """

    messages: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def send_due(warehouse: Warehouse, rules: Rules, now: datetime) -> Sent:
    """Send what is due; one process at a time, and none waits for another.

    Parameters
    ----------
    warehouse : Warehouse
    rules : Rules
    now : datetime

    Returns
    -------
    Sent
    """
    sent = Sent()
    with warehouse.transaction() as turn:
        mine = turn.query(
            "SELECT pg_try_advisory_xact_lock(hashtextextended('oasis:alerts sent', 0)) AS mine"
        )
        if not mine["mine"][0].as_py():
            return sent
        with warehouse.transaction() as tx:
            gone = list(rules.to)
            tx.execute(
                f"DELETE FROM {ALERT_DELIVERY.full_name} WHERE sent_at IS NULL AND NOT (receiver = ANY($1::text[]))",
                (gone,),
            )
        owed = warehouse.query(
            "SELECT d.alert_id, d.receiver, d.event, d.tries, a.kind, a.subject, a.well, a.level, a.title, a.body"
            f" FROM {ALERT_DELIVERY.full_name} AS d JOIN {ALERT.full_name} AS a USING (alert_id)"
            " WHERE d.sent_at IS NULL AND d.due_at <= $1::timestamptz ORDER BY d.made_at, d.alert_id, d.event LIMIT $2::bigint",
            (now, MOST),
        ).to_pylist()
        end = time.monotonic() + BUDGET_S
        for name in dict.fromkeys(row["receiver"] for row in owed):
            mine_of = [row for row in owed if row["receiver"] == name]
            _send_to(warehouse, name, rules.to[name], mine_of, now, end, sent)
    return sent


def _send_to(
    warehouse: Warehouse,
    name: str,
    receiver: Receiver,
    owed: Sequence[dict[str, Any]],
    now: datetime,
    end: float,
    sent: Sent,
) -> None:
    one_by_one = receiver.url.startswith(f"{_PAGER}:") or (len(owed) <= SINGLE and not receiver.digest)
    parts = [[row] for row in owed] if one_by_one else [list(owed)]
    for number, rows in enumerate(parts):
        if time.monotonic() > end:
            return
        try:
            deliver(receiver, **_message(rows))
        except AlertError as error:
            # the others would fail as well, and each costs some seconds
            left = [row for part in parts[number:] for row in part]
            _note_failed(warehouse, left, str(error), now)
            sent.failed[name] = str(error)
            return
        _note_sent(warehouse, rows, now)
        sent.messages += 1


def _message(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if len(rows) > 1:
        title, body = texts.bundle(rows)
        levels = [row["level"] for row in rows if row["event"] != RESOLVED]
        level = next((each for each in ("failure", "warning", "info") if each in levels), "success")
        return {"title": title, "body": body, "level": level}
    (row,) = rows
    over, again = row["event"] == RESOLVED, row["event"].startswith("reminder")
    return {
        "title": f"{'Over: ' if over else 'Still: ' if again else ''}{row['title']}",
        "body": row["body"] or row["title"],
        "level": "success" if over else row["level"],
        "facts": {
            "alert_id": row["alert_id"],
            "event": row["event"],
            "kind": row["kind"],
            "subject": row["subject"],
            "well": row["well"] or "",
        },
    }


def deliver(
    receiver: Receiver, *, title: str, body: str, level: str, facts: Mapping[str, str] | None = None
) -> None:
    """Send one message.

    Parameters
    ----------
    receiver : Receiver
    title, body : str
    level : str
        ``failure``, ``warning``, ``info`` or ``success``.
    facts : mapping, optional
        For programs: fields of a JSON message, and the key of an event of PagerDuty.

    Raises
    ------
    AlertError
        If it was not taken; nothing in it tells the address.
    """
    service = open_receiver(receiver, facts or {})
    import apprise

    heard = _Heard()
    logger = logging.getLogger("apprise")
    logger.addHandler(heard)
    try:
        taken = service.notify(
            body=body,
            title=title,
            notify_type=apprise.NotifyType(level),
            body_format=apprise.NotifyFormat.TEXT,
        )
    except Exception as error:  # a plugin of hundreds may raise anything
        taken = False
        heard.said.append(f"{type(error).__name__}: {error}")
    finally:
        logger.removeHandler(heard)
    if not taken:
        raise AlertError(one_line(" ".join(heard.said[-2:]) or "the receiver did not take it"))


def open_receiver(receiver: Receiver, facts: Mapping[str, str]) -> apprise.NotifyBase:
    """Find the service that an address names.

    Raises
    ------
    AlertError
        If `apprise` is not installed, or knows no such service.
    """
    try:
        import apprise
    except ImportError:
        raise AlertError(
            "messages need the package apprise: install it with pip install 'oasis-pipeline[alerts]'"
        ) from None
    address = receiver.address()
    scheme = address.partition(":")[0].lower()
    extra: dict[str, str] = {}
    if scheme == _PAGER and facts:
        extra = {
            "dedup": f"oasis-{facts['alert_id']}",
            "action": "resolve" if facts["event"] == RESOLVED else "trigger",
        }
    elif scheme in ("json", "jsons"):
        extra = {f":{name}": value for name, value in facts.items()}
    if extra:
        address += f"{'&' if '?' in address else '?'}{urlencode(extra, quote_via=quote)}"
    asset = apprise.AppriseAsset(app_id="OASIS", app_desc="OASIS Pipeline", app_url="")
    service = apprise.Apprise.instantiate(address, asset=asset, suppress_exceptions=True)
    if not isinstance(service, apprise.NotifyBase):
        raise AlertError(f"apprise knows no service by this address ({scheme}://...): see docs/alerts.md")
    return service


class _Heard(logging.Handler):
    """What apprise says of a failure; it answers with yes or no only."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def _note_sent(warehouse: Warehouse, rows: Sequence[dict[str, Any]], now: datetime) -> None:
    with warehouse.transaction() as tx:
        for row in rows:
            tx.execute(
                f"UPDATE {ALERT_DELIVERY.full_name} SET sent_at = $4::timestamptz, tries = tries + 1, error = NULL"
                " WHERE alert_id = $1 AND receiver = $2 AND event = $3",
                (row["alert_id"], row["receiver"], row["event"], now),
            )


def _note_failed(warehouse: Warehouse, rows: Sequence[dict[str, Any]], error: str, now: datetime) -> None:
    with warehouse.transaction() as tx:
        for row in rows:
            wait = min(FIRST_WAIT * 4 ** min(row["tries"], 10), LONGEST_WAIT)
            tx.execute(
                f"UPDATE {ALERT_DELIVERY.full_name} SET due_at = $5::timestamptz, tries = tries + 1, error = $4"
                " WHERE alert_id = $1 AND receiver = $2 AND event = $3",
                (row["alert_id"], row["receiver"], row["event"], error, now + wait),
            )
