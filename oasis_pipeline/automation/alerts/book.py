"""What is open, and what is owed to whom: ``oasis.alert`` and ``oasis.alert_delivery``.

Here: from signals to rows, in one transaction; the same signals twice change nothing. Not here: looking (``signals``) and sending (``sending``).

An alert is one kind and subject from when it was first seen until it was no more. A delivery is owed once for each alert, receiver and event
(``opened``, ``reminder 1``, ``resolved``); its key says so, and no process can owe it twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from oasis_pipeline.automation.alerts import texts
from oasis_pipeline.automation.alerts.rules import KINDS, NO_END, Rules
from oasis_pipeline.automation.alerts.signals import Signal, plain
from oasis_pipeline.schema.system_tables import ALERT, ALERT_DELIVERY
from oasis_pipeline.storage.postgres import Transaction, Warehouse

KEPT = timedelta(days=90)
"""An alert that is over is kept for so long."""

OPENED, RESOLVED = "opened", "resolved"
PENDING, OPEN = "pending", "open"


@dataclass(frozen=True)
class Settled:
    """What came of the signals.

    Attributes
    ----------
    opened, resolved : list of str
        Titles of alerts that began, and that are over.
    open : int
        Alerts that are open now.
    """

    opened: list[str]
    resolved: list[str]
    open: int


def settle(
    tx: Transaction,
    signals: Iterable[Signal],
    kinds: Collection[str],
    rules: Rules,
    zone: ZoneInfo,
    now: datetime,
) -> Settled:
    """Bring the book up to what is so now, and note what is owed to whom.

    Parameters
    ----------
    tx : Transaction
    signals : iterable of Signal
    kinds : collection of str
        Kinds that were looked at; alerts of others stay as they are.
    rules : Rules
    zone : ZoneInfo
        The field's.
    now : datetime
        With a zone.

    Returns
    -------
    Settled
    """
    tx.lock("alerts")
    there = {
        (row["kind"], row["subject"]): row
        for row in tx.query(f"SELECT * FROM {ALERT.full_name} WHERE state <> $1", (RESOLVED,)).to_pylist()
    }
    local = now.astimezone(rules.zone(zone))
    opened, resolved, count = [], [], 0
    for signal in signals:
        known = there.pop((signal.kind, signal.subject), None)
        if known is None and not signal.fresh:
            continue
        first = known["first_seen_at"] if known else now
        is_open = (known is not None and known["state"] == OPEN) or now - first >= signal.hold
        row = _write(tx, signal, known, is_open, now)
        if not is_open:
            continue
        count += 1
        if known is None or known["state"] != OPEN:
            opened.append(row["title"])
        _owe(tx, row, rules, local)
    for row in there.values():
        if row["kind"] not in kinds:
            count += row["state"] == OPEN
        elif row["state"] == PENDING:
            tx.execute(f"DELETE FROM {ALERT.full_name} WHERE alert_id = $1", (row["alert_id"],))
        else:
            _resolve(tx, row, rules, local)
            resolved.append(row["title"])
    _forget(tx, now)
    return Settled(opened, resolved, count)


def _write(
    tx: Transaction, signal: Signal, known: Mapping[str, Any] | None, is_open: bool, now: datetime
) -> dict[str, Any]:
    facts = plain(signal.facts)
    title, body = texts.write(signal.kind, signal.subject, facts)
    if known is None:
        name = f"{signal.kind} {signal.subject} {now.isoformat()}"
        row: dict[str, Any] = {
            "alert_id": hashlib.sha256(name.encode()).hexdigest()[:16],
            "kind": signal.kind,
            "subject": signal.subject,
            "well": signal.well,
            "level": KINDS[signal.kind],
            "opened_at": now if is_open else None,
            "first_seen_at": now,
        }
        tx.execute(
            f"INSERT INTO {ALERT.full_name} (alert_id, kind, subject, well, level, title, body, facts, state, first_seen_at, opened_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10::timestamptz, $11::timestamptz)",
            (
                *(row[name] for name in ("alert_id", "kind", "subject", "well", "level")),
                *(title, body, json.dumps(facts), OPEN if is_open else PENDING, now, row["opened_at"]),
            ),
        )
    else:
        begins = is_open and known["state"] != OPEN
        row = {**known, "opened_at": now if begins else known["opened_at"]}
        if begins or (title, body) != (known["title"], known["body"]):
            tx.execute(
                f"UPDATE {ALERT.full_name} SET title = $2, body = $3, facts = $4::jsonb, state = $5, opened_at = $6::timestamptz"
                " WHERE alert_id = $1",
                (
                    *(known["alert_id"], title, body, json.dumps(facts)),
                    *(OPEN if is_open else PENDING, row["opened_at"]),
                ),
            )
    return {**row, "title": title, "body": body}


def _owe(tx: Transaction, row: Mapping[str, Any], rules: Rules, local: datetime) -> None:
    """Note what each receiver of an open alert has to be told by now."""
    lasted = local - row["opened_at"]
    for rule, name in rules.of(row["kind"], row["well"]):
        after = timedelta(minutes=rule.after_minutes)
        if lasted < after:
            continue
        events = [OPENED]
        if rule.remind_hours is not None:
            number = int((lasted - after) / timedelta(hours=rule.remind_hours))
            events += [f"reminder {number}"] * (number > 0)
        for event in events:
            due = rules.to[name].due(local, urgent=rule.urgent)
            tx.execute(
                f"INSERT INTO {ALERT_DELIVERY.full_name} (alert_id, receiver, event, made_at, due_at, tries)"
                " VALUES ($1, $2, $3, $4::timestamptz, $5::timestamptz, 0) ON CONFLICT DO NOTHING",
                (row["alert_id"], name, event, local, due),
            )


def _resolve(tx: Transaction, row: Mapping[str, Any], rules: Rules, local: datetime) -> None:
    """End an alert; whoever was told of it, or could not be, is told of its end."""
    tx.execute(
        f"UPDATE {ALERT.full_name} SET state = $2, resolved_at = $3::timestamptz WHERE alert_id = $1",
        (row["alert_id"], RESOLVED, local),
    )
    # what still waited for its hour is of no use to anybody; what failed to be sent is told all the same
    tx.execute(
        f"DELETE FROM {ALERT_DELIVERY.full_name} WHERE alert_id = $1 AND sent_at IS NULL AND tries = 0",
        (row["alert_id"],),
    )
    if row["kind"] in NO_END:
        return
    urgent = {name for rule, name in rules.of(row["kind"], row["well"]) if rule.urgent}
    told = tx.query(
        f"SELECT DISTINCT receiver FROM {ALERT_DELIVERY.full_name} WHERE alert_id = $1", (row["alert_id"],)
    )["receiver"].to_pylist()
    for name in told:
        if name in rules.to:
            tx.execute(
                f"INSERT INTO {ALERT_DELIVERY.full_name} (alert_id, receiver, event, made_at, due_at, tries)"
                " VALUES ($1, $2, $3, $4::timestamptz, $5::timestamptz, 0) ON CONFLICT DO NOTHING",
                (row["alert_id"], name, RESOLVED, local, rules.to[name].due(local, urgent=name in urgent)),
            )


def _forget(tx: Transaction, now: datetime) -> None:
    """Remove what has been over for long and is owed to nobody."""
    old = f"SELECT alert_id FROM {ALERT.full_name} WHERE state = $1 AND resolved_at < $2::timestamptz"
    params = (RESOLVED, now - KEPT)
    tx.execute(f"DELETE FROM {ALERT_DELIVERY.full_name} WHERE alert_id IN ({old})", params)
    tx.execute(f"DELETE FROM {ALERT.full_name} WHERE alert_id IN ({old})", params)


def count_alerts(source: Warehouse | Transaction) -> int:
    """How many alerts are open."""
    rows = source.query(f"SELECT count(*) AS n FROM {ALERT.full_name} WHERE state = $1", (OPEN,))
    return int(rows["n"][0].as_py())


def list_alerts(source: Warehouse | Transaction, *, limit: int = 200) -> list[dict[str, Any]]:
    """Alerts that are open, and those that were over last.

    Returns
    -------
    list of dict
        Columns of ``oasis.alert`` with ``told``: receivers that know of it. Open ones first, the newest first.
    """
    found: list[dict[str, Any]] = source.query(
        "SELECT a.alert_id, a.kind, a.subject, a.well, a.level, a.title, a.body, a.state, a.opened_at, a.resolved_at,"
        f" (SELECT string_agg(DISTINCT d.receiver, ', ') FROM {ALERT_DELIVERY.full_name} AS d"
        f" WHERE d.alert_id = a.alert_id AND d.sent_at IS NOT NULL) AS told FROM {ALERT.full_name} AS a WHERE a.state <> $1"
        " ORDER BY (a.state = 'open') DESC, coalesce(a.resolved_at, a.opened_at) DESC, a.alert_id LIMIT $2::bigint",
        (PENDING, limit),
    ).to_pylist()
    return found


def list_unsent(source: Warehouse | Transaction, *, limit: int = 200) -> list[dict[str, Any]]:
    """What is still to be sent, what failed first.

    Returns
    -------
    list of dict
        ``alert_id``, ``receiver``, ``event``, ``title``, ``made_at``, ``due_at``, ``tries``, ``error`` (null: it was not tried yet).
    """
    found: list[dict[str, Any]] = source.query(
        "SELECT d.alert_id, d.receiver, d.event, a.title, d.made_at, d.due_at, d.tries, d.error"
        f" FROM {ALERT_DELIVERY.full_name} AS d JOIN {ALERT.full_name} AS a USING (alert_id) WHERE d.sent_at IS NULL"
        " ORDER BY (d.tries > 0) DESC, d.due_at, d.alert_id, d.event LIMIT $1::bigint",
        (limit,),
    ).to_pylist()
    return found
