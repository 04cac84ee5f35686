"""Failures of wells: their classes, from when they were known, and which days they touch.

Here: how a Failures file enters ``analysis.failure_info``. Not here: forecasting of failures.
"""

from __future__ import annotations

import tomllib
from datetime import date, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa

from oasis_pipeline.intake.marks import Marks
from oasis_pipeline.schema import arrow_schema, table
from oasis_pipeline.storage.postgres import Transaction
from oasis_pipeline.storage.upsert import Upserted

FAILURE_INFO = table("analysis", "failure_info")
RULE_FILE = "failure_classes.toml"
UNKNOWN = "Unknown"
"""Class of a failure without a text."""

_START, _END = "Failure Start Date", "Failure End Date"
_DAY_SOURCES = ["xspoc/card", "xspoc/xdiagresults"]
_ONE_DAY = timedelta(days=1)
_AT_ONCE = 50_000
"""Rows that stand in memory one by one at the same time."""
Key = tuple[str, datetime]
_COLUMNS = (
    'f."NodeID", f."Failure Start Date", f."Failure End Date", f."Failures", f.failure_class, f.known_from'
)


class RuleFileError(ValueError):
    """The rule file of failure classes can't be used; the message says why."""


def read_rules(home: Path) -> list[tuple[str, str]]:
    """Read the rules that reduce a failure's text to its class.

    Parameters
    ----------
    home : Path
        A file ``failure_classes.toml`` there takes the place of the package's own.

    Returns
    -------
    list of (str, str)
        Text to be found, in folded case, and the class; in order.

    Raises
    ------
    RuleFileError
        If the user's file can't be read or holds something else than rules.
    """
    own = home / RULE_FILE
    try:
        return _rules(own.read_text("utf-8-sig")) if own.is_file() else package_rules()
    except (
        OSError,
        UnicodeDecodeError,
        tomllib.TOMLDecodeError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise RuleFileError(f"{own} can't be used ({error!r}); correct it or remove it") from error


def package_rules() -> list[tuple[str, str]]:
    """Read the package's own rules."""
    return _rules(resources.files(__package__).joinpath(RULE_FILE).read_text("utf-8"))


def _rules(text: str) -> list[tuple[str, str]]:
    content = tomllib.loads(text)
    return [(str(rule["contains"]).casefold(), str(rule["class"])) for rule in content.get("rule", [])]


def reduce_text(text: str | None, rules: list[tuple[str, str]]) -> str:
    """Reduce a failure's text to its class.

    Parameters
    ----------
    text : str or None
    rules : list of (str, str)
        As `read_rules` gives them.

    Returns
    -------
    str
        Class of the first rule that fits, else the text itself, tidied.
    """
    tidied = " ".join((text or "").split())
    folded = tidied.casefold()
    return next((name for found, name in rules if found in folded), tidied or UNKNOWN)


def load_failures(
    tx: Transaction, rows: pa.Table, rules: list[tuple[str, str]], stamp: datetime, marks: Marks
) -> Upserted:
    """Load the failure rows of one file.

    Parameters
    ----------
    tx : Transaction
    rows : pyarrow.Table
        One row a failure, NodeID in the shown spelling.
    rules : list of (str, str)
        As `read_rules` gives them.
    stamp : datetime
        The file's.
    marks : Marks
        Gets every day of the old and the new span of each failure that changed.

    Returns
    -------
    Upserted
    """
    done = Upserted()
    for start in range(0, rows.num_rows, _AT_ONCE):
        done = done + _load_some(tx, rows.slice(start, _AT_ONCE), rules, stamp, marks)
    return done


def _load_some(
    tx: Transaction, rows: pa.Table, rules: list[tuple[str, str]], stamp: datetime, marks: Marks
) -> Upserted:
    new = rows.to_pylist()
    before = _stored(tx, rows)
    shown = {
        str(name).casefold(): str(name)
        for name in tx.query(f"SELECT DISTINCT failure_class AS c FROM {FAILURE_INFO.full_name}")[
            "c"
        ].to_pylist()
    }
    for row in new:
        reduced = reduce_text(row["Failures"], rules)
        row["failure_class"] = shown.setdefault(reduced.casefold(), reduced)
        old = before.get((row["NodeID"], row[_START]))
        known = [stamp, *([row[_END] + _ONE_DAY] if row[_END] and row[_END].year < 9999 else [])]
        row["known_from"] = min([*known, *([old["known_from"]] if old else [])])
        row["file_stamp"] = stamp
    staged = pa.Table.from_pylist(
        new, schema=pa.schema(f.with_nullable(True) for f in arrow_schema(FAILURE_INFO))
    )
    done = tx.upsert(FAILURE_INFO, staged, newest_by="file_stamp")
    # An older file that arrives late changes nothing but this: the failure was known earlier.
    tx.execute(
        f"UPDATE {FAILURE_INFO.full_name} AS f SET known_from = k.known FROM unnest($1::text[], $2::timestamp[], $3::timestamp[]) "
        'AS k(node, start, known) WHERE f."NodeID" = k.node AND f."Failure Start Date" = k.start AND f.known_from > k.known',
        ([row["NodeID"] for row in new], [row[_START] for row in new], [row["known_from"] for row in new]),
    )
    mark_spans(tx, before, _stored(tx, rows), marks)
    return done


def reduce_again(tx: Transaction, rules: list[tuple[str, str]], marks: Marks) -> int:
    """Bring the classes of failures already stored up to a rule file that has changed.

    Parameters
    ----------
    tx : Transaction
    rules : list of (str, str)
    marks : Marks
        Gets the days of the failures whose class changed.

    Returns
    -------
    int
        Failures whose class changed.
    """
    stored = tx.query(
        f'SELECT DISTINCT "Failures" AS text, failure_class AS name FROM {FAILURE_INFO.full_name}'
    ).to_pylist()
    shown: dict[str, str] = {}
    for row in sorted(stored, key=lambda row: (str(row["name"]), str(row["text"]))):
        shown.setdefault(str(row["name"]).casefold(), str(row["name"]))
    changed = 0
    for row in stored:
        reduced = reduce_text(row["text"], rules)
        reduced = shown.setdefault(reduced.casefold(), reduced)
        if reduced == row["name"]:
            continue
        same = '"Failures" IS NOT DISTINCT FROM $1::text AND failure_class IS NOT DISTINCT FROM $2::text'
        rows = tx.query(
            f"SELECT {_COLUMNS} FROM {FAILURE_INFO.full_name} AS f WHERE {same}", (row["text"], row["name"])
        )
        before = {(each["NodeID"], each[_START]): each for each in rows.to_pylist()}
        tx.execute(
            f"UPDATE {FAILURE_INFO.full_name} SET failure_class = $3 WHERE {same}",
            (row["text"], row["name"], reduced),
        )
        mark_spans(tx, before, _stored(tx, rows), marks)
        changed += len(before)
    return changed


def stored_failures(tx: Transaction) -> dict[Key, dict[str, Any]]:
    """Read all failures, by well and start."""
    found = tx.query(f"SELECT {_COLUMNS} FROM {FAILURE_INFO.full_name} AS f")
    return {(row["NodeID"], row[_START]): row for row in found.to_pylist()}


def _stored(tx: Transaction, rows: pa.Table) -> dict[Key, dict[str, Any]]:
    found = tx.query(
        f"SELECT {_COLUMNS} FROM {FAILURE_INFO.full_name} AS f JOIN unnest($1::text[], $2::timestamp[]) AS k(node, start) "
        'ON f."NodeID" = k.node AND f."Failure Start Date" = k.start',
        (rows["NodeID"].to_pylist(), rows[_START].to_pylist()),
    )
    return {(row["NodeID"], row[_START]): row for row in found.to_pylist()}


def mark_spans(
    tx: Transaction, before: dict[Key, dict[str, Any]], after: dict[Key, dict[str, Any]], marks: Marks
) -> None:
    """Mark the days from start to end of failures that changed, old and new.

    An end without a time covers its day, an open failure every day so far.

    Parameters
    ----------
    tx : Transaction
    before, after : dict of (NodeID, start) to dict
        Rows as they were and as they are now; a row that is gone is in `before` alone.
    marks : Marks
    """
    changed = [key for key in before | after if before.get(key) != after.get(key)]
    if not changed:
        return
    marks.whole(FAILURE_INFO, len(changed))
    newest = tx.query(
        "SELECT max(partition) AS day FROM oasis.asset_state WHERE asset = ANY($1::text[]) AND partition <> ''",
        (_DAY_SOURCES,),
    )["day"][0].as_py()
    if newest is None:
        return
    last = date.fromisoformat(newest)
    days: dict[str, int] = {}
    for key in changed:
        own: set[date] = set()
        for row in (before.get(key), after.get(key)):
            if row is not None:
                first, end = row[_START].date(), min(row[_END].date() if row[_END] else last, last)
                own |= {first + timedelta(days=step) for step in range((end - first).days + 1)}
        for day in own:
            days[day.isoformat()] = days.get(day.isoformat(), 0) + 1
    marks.days(FAILURE_INFO, days)
